//! Merges: a merge has the entries of its parents, all of them, and none besides.

use git_audit::ledger::layout::CONFIG;
use git_audit::verify::report::Code;
use serde_json::json;

use crate::sandbox::Sandbox;
use crate::tamper::{Ledger, POLICY, Task, task, task_with};

const MESSAGE: &str = "Merge branch 'audit' of another clone";

/// A ledger of one task that two clones have gone on from: here with `three`, there with `two`. Gives their tips.
fn forked() -> (Ledger, String, String) {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let there = ledger.record(&task("two"));
    let here = ledger.record_after(&base, &task("three"));
    (ledger, here, there)
}

/// The merge of both, as git makes it.
fn merged() -> (Ledger, String, String) {
    let (mut ledger, here, there) = forked();
    let two = task("two");
    ledger.commit(MESSAGE).merging(&there).put(&two.path, two.bytes).end();
    (ledger, here, there)
}

/// The entries that are left after two clones were merged by `git merge` itself.
#[test]
fn two_honest_clones_that_were_merged_by_git_are_valid() {
    let (mut ledger, here, there) = forked();
    let [here, there] = [here, there].map(|commit| ledger.id(&commit));
    ledger.sandbox.git(&["checkout", "--quiet", "--detach", &here]);
    ledger.sandbox.git_as_user(&["merge", "--quiet", "--no-edit", &there]);
    let merge = ledger.id("HEAD");
    ledger.move_to(&merge);
    let report = ledger.verify().finds(&[]);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&3.into(), &5.into()));
    let (mut told, ..) = merged();
    assert_eq!(ledger.id("audit^{tree}"), told.id("audit^{tree}"), "the merges that are told are git's");
    assert_eq!(told.verify().finds(&[]).answer["merkle_root"], report.answer["merkle_root"]);
}

#[test]
fn what_was_tampered_with_before_a_merge_is_blamed_on_its_commit() {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let better = task_with("one", json!({"title": "it went well"}));
    let bad = ledger.commit("a word").put(&better.path, &better.bytes).end();
    ledger.record_after(&base, &task("three"));
    ledger.commit(MESSAGE).merging(&bad).put(&better.path, &better.bytes).end();
    let bad = ledger.id(&bad);
    let report = ledger.verify().exits(3);
    assert_eq!(report.finding(Code::EntryChanged)["commit"], bad.as_str());
}

#[test]
fn an_evil_merge_is_found_whatever_it_does() {
    let (two, three) = (task("two"), task("three"));
    let better = task_with("two", json!({"title": "it went well"}));
    // It drops what the other parent has.
    let (mut ledger, _, there) = forked();
    ledger.commit(MESSAGE).merging(&there).end();
    ledger.verify().finds(&[Code::EntryRemoved]);
    // It drops what the first parent has.
    let (mut ledger, _, there) = forked();
    ledger.commit(MESSAGE).merging(&there).put(&two.path, &two.bytes).remove(&three.path).end();
    ledger.verify().finds(&[Code::EntryRemoved]);
    // It drops what both have.
    let (mut ledger, _, there) = forked();
    let draft = ledger.commit(MESSAGE).merging(&there).put(&two.path, &two.bytes);
    draft.remove(&task("one").path).end();
    ledger.verify().finds(&[Code::EntryRemoved]);
    // It changes what it brings in.
    let (mut ledger, _, there) = forked();
    ledger.commit(MESSAGE).merging(&there).put(&two.path, &better.bytes).end();
    ledger.verify().finds(&[Code::EntryChanged]);
    // It changes what both have.
    let (mut ledger, _, there) = forked();
    let draft = ledger.commit(MESSAGE).merging(&there).put(&two.path, &two.bytes);
    draft.put(&task("one").path, task_with("one", json!({"title": "well"})).bytes).end();
    ledger.verify().finds(&[Code::EntryChanged]);
    // It makes one of them a program.
    let (mut ledger, _, there) = forked();
    ledger.commit(MESSAGE).merging(&there).put_as("100755", &two.path, &two.bytes).end();
    ledger.verify().finds(&[Code::EntryMode]);
}

#[test]
fn an_entry_that_a_merge_adds_is_found_with_any_message() {
    for message in [MESSAGE.to_owned(), task("four").message] {
        let (mut ledger, _, there) = forked();
        let (two, four) = (task("two"), task("four"));
        let draft = ledger.commit(message).merging(&there).put(&two.path, two.bytes);
        draft.put(&four.path, four.bytes).end();
        let report = ledger.verify().exits(3);
        assert!(report.codes().contains(&"merge-addition"), "{:#}", report.answer);
    }
}

#[test]
fn one_task_that_both_clones_recorded_byte_for_byte_is_listed_once() {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let there = ledger.record(&task("two"));
    ledger.record_after(&base, &task("two"));
    ledger.commit(MESSAGE).merging(&there).end();
    ledger.record(&task("three"));
    let report = ledger.verify().finds(&[]);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&3.into(), &6.into()));
}

#[test]
fn one_task_with_two_outcomes_is_a_conflict_whichever_stays() {
    let [first, second, third] =
        ["first", "second", "third"].map(|title| task_with("two", json!({"title": title})));
    for kept in [&first, &second, &third] {
        let mut ledger = Ledger::of(&["one"]);
        let base = ledger.tip.clone().unwrap();
        let there = ledger.record(&first);
        ledger.record_after(&base, &second);
        ledger.commit(MESSAGE).merging(&there).put(&kept.path, &kept.bytes).end();
        ledger.verify().finds(&[Code::MergeConflict]);
    }
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let there = ledger.record(&first);
    ledger.record_after(&base, &second);
    ledger.commit(MESSAGE).merging(&there).remove(&first.path).end();
    let report = ledger.verify().exits(3);
    assert_eq!(report.layer("history"), "failed");
}

/// git keeps both sides in the file, with marks between them.
#[test]
fn a_merge_that_keeps_both_outcomes_in_one_file_is_a_conflict() {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let there = ledger.record(&task_with("two", json!({"title": "first"})));
    let here = ledger.record_after(&base, &task_with("two", json!({"title": "second"})));
    let [here, there] = [here, there].map(|commit| ledger.id(&commit));
    ledger.sandbox.git(&["checkout", "--quiet", "--detach", &here]);
    let merge = Sandbox::as_user(&["merge", "--quiet", "--no-edit", &there]);
    assert_eq!(ledger.sandbox.try_git(&merge).code, 1);
    ledger.sandbox.git(&["add", "."]);
    ledger.sandbox.commit(MESSAGE);
    let merge = ledger.id("HEAD");
    ledger.move_to(&merge);
    let report = ledger.verify().exits(3);
    assert!(report.codes().contains(&"merge-conflict"), "{:#}", report.answer);
}

#[test]
fn tasks_that_differ_in_letters_meet_in_a_merge() {
    let mut ledger = Ledger::of(&["one"]);
    let (base, large) = (ledger.tip.clone().unwrap(), task("TWO"));
    let there = ledger.record(&large);
    ledger.record_after(&base, &task("two"));
    ledger.commit(MESSAGE).merging(&there).put(&large.path, &large.bytes).end();
    ledger.verify().finds(&[Code::EntryRepeated]);
}

#[test]
fn a_criss_cross_of_merges_is_valid() {
    let (mut ledger, here, there) = forked();
    let (two, three) = (task("two"), task("three"));
    let left = ledger.commit(MESSAGE).after(&here).merging(&there).put(&two.path, &two.bytes).end();
    let right = ledger.commit(MESSAGE).after(&there).merging(&here).put(&three.path, &three.bytes).end();
    let four = task("four");
    let right = ledger.record_after(&right, &four);
    ledger.record_after(&left, &task("five"));
    ledger.commit(MESSAGE).merging(&right).put(&four.path, &four.bytes).end();
    assert_eq!(ledger.verify().finds(&[]).answer["entries"], 5);
    // Each side is there, so the one that is older is no reason to drop it.
    ledger.commit("drop").after(&left).merging(&right).remove(&two.path).put(&four.path, &four.bytes).end();
    let report = ledger.verify().exits(3);
    assert!(report.codes().contains(&"entry-removed"), "{:#}", report.answer);
}

/// A ledger with `count` branches of one task each, merged at once; `drop` leaves the last one's task out.
fn octopus(count: usize, drop: bool) -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let tasks: Vec<Task> = (0..count).map(|number| task(&format!("t-{number}"))).collect();
    let tips: Vec<String> = tasks.iter().map(|task| ledger.record_after(&base, task)).collect();
    let mut draft = ledger.commit("Merge them all").after(&tips[0]);
    for (tip, task) in tips.iter().zip(&tasks).skip(1) {
        draft = draft.merging(tip).put(&task.path, &task.bytes);
    }
    if drop {
        draft = draft.remove(&tasks[count - 1].path);
    }
    draft.end();
    ledger
}

#[test]
fn an_octopus_is_valid_and_an_evil_one_is_not() {
    assert_eq!(octopus(5, false).verify().finds(&[]).answer["entries"], 6);
    octopus(5, true).verify().finds(&[Code::EntryRemoved]);
}

#[test]
fn a_merge_of_a_thousand_parents_is_answered_in_time() {
    assert_eq!(octopus(1000, false).verify().finds(&[]).answer["entries"], 1001);
}

#[test]
fn code_that_was_begun_apart_may_be_merged_with_the_ledger() {
    let mut ledger = Ledger::of(&["one"]);
    let here = ledger.tip.clone().unwrap();
    let code = ledger.commit("code").rootless().put("src/main.c", "int main;").end();
    ledger.commit(MESSAGE).after(&here).merging(&code).put("src/main.c", "int main;").end();
    ledger.record(&task("two"));
    ledger.verify().finds(&[]);
}

#[test]
fn a_second_beginning_is_found_in_whatever_order_it_was_merged() {
    for first in [true, false] {
        let mut ledger = Ledger::of(&["one"]);
        let (here, one, two) = (ledger.tip.clone().unwrap(), task("one"), task("two"));
        ledger.commit("audit: init ledger").rootless().put(CONFIG, POLICY).end();
        let there = ledger.record(&two);
        let draft = ledger.commit(MESSAGE);
        let draft =
            if first { draft.after(&here).merging(&there) } else { draft.after(&there).merging(&here) };
        draft.put(&one.path, &one.bytes).put(&two.path, &two.bytes).end();
        ledger.verify().finds(&[Code::SecondRoot]);
    }
}

#[test]
fn a_merge_that_says_it_adds_an_entry_and_adds_none_is_found() {
    let (mut ledger, _, there) = forked();
    let two = task("two");
    ledger.commit(task("four").message).merging(&there).put(&two.path, &two.bytes).end();
    ledger.verify().finds(&[Code::MessageWithoutEntry]);
}

#[test]
fn a_merge_may_change_code_and_its_change_of_the_policy_is_named() {
    let (mut ledger, _, there) = forked();
    let two = task("two");
    let draft = ledger.commit(MESSAGE).merging(&there).put(&two.path, &two.bytes);
    draft.put("src/main.c", "int main;").end();
    ledger.verify().finds(&[]);
    let (mut ledger, _, there) = forked();
    let draft = ledger.commit(MESSAGE).merging(&there).put(&two.path, &two.bytes);
    draft.put(CONFIG, "version = 1\n").end();
    ledger.verify().finds(&[Code::ConfigChanged]);
}
