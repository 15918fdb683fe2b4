//! `git audit verify --since`: what came after a commit, judged with what was there before it.

use git_audit::ledger::layout::CONFIG;
use git_audit::verify::report::Code;
use serde_json::json;

use crate::tamper::{Ledger, Report, shard, task, task_with};

const ONE: &str = ".audit/tasks/one.json";

/// What is found since the commit before the newest.
#[track_caller]
fn since_parent(ledger: &mut Ledger) -> Report {
    ledger.verify_with(&["--since", "audit~1"])
}

#[test]
fn what_came_before_is_not_looked_at_and_nothing_is_called_valid() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let bad = task_with("one", json!({"title": "it went well"}));
    ledger.commit("a word").put(ONE, bad.bytes).end();
    ledger.record(&task("three"));
    ledger.record(&task("four"));
    let start = ledger.id("audit~2");
    let report = ledger.verify_with(&["--since", &start]).finds(&[]);
    let answer = &report.answer;
    assert_eq!((&answer["verdict"], &answer["since"]), (&"nothing-found".into(), &start.into()));
    assert_eq!((&answer["commits"], &answer["merkle_root"]), (&2.into(), &json!(null)));
    ledger.verify_with(&["--since", "audit~3"]).finds(&[Code::EntryChanged]);
    ledger.verify().finds(&[Code::EntryChanged]);
}

#[test]
fn what_was_there_before_is_known() {
    // In other letters, in its shard, removed, changed.
    for id in ["ONE", "One"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.record(&task(id));
        since_parent(&mut ledger).finds(&[Code::EntryRepeated]);
    }
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("tidied up").remove(ONE).end();
    since_parent(&mut ledger).finds(&[Code::EntryRemoved]);
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("moved").rename(ONE, &shard("one")).end();
    let report = since_parent(&mut ledger).exits(3);
    assert!(report.codes().contains(&"entry-renamed"), "{:#}", report.answer);
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.record(&task_with("three", json!({"supersedes": "one"})));
    since_parent(&mut ledger).finds(&[]);
    let mut ledger = Ledger::of(&["one", "two"]);
    let three = task("three");
    ledger.commit(&*three.message).at(0).put(&three.path, three.bytes).end();
    let report = since_parent(&mut ledger);
    assert!(report.codes().contains(&"commit-backdated"), "{:#}", report.answer);
}

#[test]
fn a_merge_is_judged_with_what_both_sides_had_before() {
    for (kept, codes) in [(true, [].as_slice()), (false, &[Code::EntryRemoved])] {
        let mut ledger = Ledger::of(&["one"]);
        let base = ledger.tip.clone().unwrap();
        let two = task("two");
        let side = ledger.record(&two);
        let start = ledger.record_after(&base, &task("three"));
        let merge = ledger.commit("Merge branch 'side'").merging(&side);
        if kept { merge.put(&two.path, &two.bytes) } else { merge }.end();
        ledger.record(&task("four"));
        let start = ledger.id(&start);
        ledger.verify_with(&["--since", &start]).finds(codes);
        // From the side the history does not go on: all of it is looked at.
        let side = ledger.id(&side);
        let report = ledger.verify_with(&["--since", &side]).finds(codes);
        assert!(report.answer["since"].is_null());
    }
}

#[test]
fn a_second_beginning_after_the_commit_is_found() {
    let mut ledger = Ledger::of(&["one"]);
    let (here, two) = (ledger.tip.clone().unwrap(), task("two"));
    ledger.commit("audit: init ledger").rootless().put(CONFIG, "version = 1\n").end();
    let there = ledger.record(&two);
    let merge = ledger.commit("Merge").after(&here).merging(&there).put(&two.path, two.bytes).end();
    assert_eq!(ledger.id(&merge), ledger.id("audit"));
    since_parent(&mut ledger).finds(&[Code::SecondRoot]);
}

#[test]
fn the_tip_itself_leaves_nothing_to_check_and_is_not_called_valid() {
    let mut ledger = Ledger::of(&["one"]);
    let report = ledger.verify_with(&["--since", "audit"]);
    assert_ne!(report.answer["verdict"], "valid");
    ledger.verify().finds(&[]);
    let report = ledger.verify_with(&["--since", "pin"]).exits(0);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&1.into(), &0.into()));
}

#[test]
fn a_commit_that_is_not_there_is_an_error() {
    let mut ledger = Ledger::of(&["one"]);
    ledger.build();
    for name in ["nowhere", "1234567890123456789012345678901234567890", "audit:.audit", "", "--all"] {
        let done = ledger.sandbox.audit(&["verify", "--json", "--since", name]);
        assert!([1, 2].contains(&done.code), "{name}: {done:?}");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn since_the_pin_where_nothing_was_verified_is_since_the_beginning() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let report = ledger.verify_with(&["--since", "pin"]).finds(&[]);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&2.into(), &3.into()));
}
