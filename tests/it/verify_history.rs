//! What a commit may do to a ledger: add one entry, or touch none.

use git_audit::ledger::layout::CONFIG;
use git_audit::verify::report::Code;
use serde_json::json;

use crate::sandbox::Sandbox;
use crate::tamper::{Ledger, POLICY, shard, task, task_with};

const ONE: &str = ".audit/tasks/one.json";
const TWO: &str = ".audit/tasks/two.json";

/// Fails the test unless these codes are among those that are found, and the ledger is not valid.
#[track_caller]
fn finds_among_others(mut ledger: Ledger, codes: &[Code]) {
    let report = ledger.verify().exits(3);
    for code in codes {
        assert!(report.codes().contains(&code.as_str()), "no {} in {:#}", code.as_str(), report.answer);
    }
}

#[test]
fn the_finding_names_the_commit_the_task_and_both_contents() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let better = task_with("one", json!({"title": "it went well"}));
    let bad = ledger.commit("a word").put(ONE, better.bytes).end();
    ledger.record(&task("three"));
    let bad = ledger.id(&bad);
    let report = ledger.verify().finds(&[Code::EntryChanged]);
    assert_eq!(report.answer["first_bad_commit"], bad.as_str());
    let finding = report.finding(Code::EntryChanged);
    assert_eq!(
        (&finding["commit"], &finding["path"], &finding["task_id"]),
        (&bad.into(), &ONE.into(), &"one".into())
    );
    assert!(!finding["expected"].is_null() && finding["expected"] != finding["actual"], "{finding:#}");
}

#[test]
fn the_first_bad_commit_is_the_first_in_the_order_of_the_ledger() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let first = ledger.commit("tidied up").remove(TWO).end();
    ledger.commit("a word").put(ONE, task_with("one", json!({"title": "well"})).bytes).end();
    let first = ledger.id(&first);
    let report = ledger.verify().finds(&[Code::EntryRemoved, Code::EntryChanged]);
    assert_eq!(report.answer["first_bad_commit"], first.as_str());
    assert_eq!(report.answer["findings"][0]["code"], "entry-removed");
}

#[test]
fn an_entry_of_another_mode_is_found_when_it_is_added_and_when_it_is_changed() {
    for mode in ["100755", "120000"] {
        let mut ledger = Ledger::of(&["one"]);
        let two = task("two");
        ledger.commit(&*two.message).put_as(mode, &two.path, &two.bytes).end();
        ledger.verify().finds(&[Code::EntryMode]);

        let mut ledger = Ledger::of(&["one", "two"]);
        let blob = ledger.id(&format!("audit:{ONE}"));
        ledger.commit("of another kind").link(mode, ONE, &blob).end();
        ledger.verify().finds(&[Code::EntryMode]);
    }
    for add in [true, false] {
        let mut ledger = Ledger::of(&["one", "two"]);
        let (commit, three) = (ledger.id("audit"), task("three"));
        let draft = if add { ledger.commit(&*three.message) } else { ledger.commit("a submodule") };
        draft.link("160000", if add { &three.path } else { ONE }, &commit).end();
        finds_among_others(ledger, &[Code::EntryMode]);
    }
}

#[test]
fn an_entry_that_was_removed_and_came_back_is_found_twice() {
    for title in ["one", "another outcome"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.commit("by the one").remove(ONE).end();
        ledger.record(&task("three"));
        ledger.record(&task_with("one", json!({"title": title})));
        ledger.verify().finds(&[Code::EntryRemoved, Code::EntryRepeated]);
    }
}

#[test]
fn an_entry_that_moved_is_found_wherever_it_went() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("put elsewhere").rename(ONE, &shard("one")).end();
    finds_among_others(ledger, &[Code::EntryRenamed]);
    for path in [".audit/one.json", "old/one.json", ".audit/tasks/.one.json", ".audit/tasks/old/one.json"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        let moved = ledger.commit("put elsewhere").rename(ONE, path).end();
        let moved = ledger.id(&moved);
        let report = ledger.verify().exits(3);
        assert_eq!(report.answer["first_bad_commit"], moved.as_str());
        let named = ["entry-removed", "entry-renamed"].map(|code| report.codes().contains(&code));
        assert!(named.contains(&true), "{path}: {:#}", report.answer);
    }
}

#[test]
fn nothing_is_smuggled_in_beside_an_entry() {
    for (path, code) in [
        ("run.sh", Code::ForeignChange),
        (".gitattributes", Code::ForeignChange),
        (".auditor", Code::ForeignChange),
        (".audit/run.sh", Code::ForeignChange),
        (CONFIG, Code::ForeignChange),
        (".audit/tasks/run.sh", Code::PathMisplaced),
        (".audit/tasks/a/b", Code::PathMisplaced),
    ] {
        let mut ledger = Ledger::of(&["one"]);
        let two = task("two");
        ledger.commit(&*two.message).put(&two.path, two.bytes).put(path, "true").end();
        ledger.verify().finds(&[code]);
    }
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("code").put("src/main.c", "int main;").end();
    let two = task("two");
    ledger.commit(&*two.message).put(&two.path, two.bytes).remove("src/main.c").end();
    ledger.verify().finds(&[Code::ForeignChange]);
}

#[test]
fn an_entry_beside_the_removal_or_change_of_another_is_both() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let three = task("three");
    ledger.commit(&*three.message).put(&three.path, three.bytes).remove(ONE).end();
    finds_among_others(ledger, &[Code::EntryRemoved]);
    let mut ledger = Ledger::of(&["one", "two"]);
    let three = task("three");
    ledger.commit(&*three.message).put(ONE, &three.bytes).put(&three.path, &three.bytes).end();
    finds_among_others(ledger, &[Code::EntryChanged]);
}

#[test]
fn entries_that_change_places_are_both_changed() {
    let mut ledger = Ledger::of(&["one", "two", "three"]);
    ledger.commit("the other way round").put(ONE, task("two").bytes).put(TWO, task("one").bytes).end();
    let report = ledger.verify();
    assert!(report.code == 3 && report.codes().contains(&"entry-changed"), "{:#}", report.answer);
}

#[test]
fn what_stands_where_only_entries_belong_is_misplaced() {
    let wrong_shard = if shard("two").starts_with(".audit/shards/0/") { "1/0/0" } else { "0/0/0" };
    let paths = [
        ".audit/tasks/two.txt".into(),
        ".audit/tasks/TWO.JSON".into(),
        ".audit/tasks/.json".into(),
        ".audit/tasks/a..b.json".into(),
        ".audit/tasks/con.json".into(),
        ".audit/tasks/inner/two.json".into(),
        ".audit/shards/two.json".into(),
        ".audit/shards/README".into(),
        format!(".audit/shards/{wrong_shard}/two.json"),
        shard("two").replace("/two.json", "/deeper/two.json"),
    ];
    for path in paths {
        let mut ledger = Ledger::of(&["one"]);
        ledger.commit("somewhere").put(&path, task("two").bytes).end();
        let report = ledger.verify();
        assert!(report.codes().contains(&"path-misplaced"), "{path}: {:#}", report.answer);
        report.exits(3);
    }
}

/// A ledger whose flat directory holds one entry.
fn sharded(tasks: &[&str]) -> Ledger {
    let mut ledger = Ledger::in_repository(Sandbox::new());
    ledger.pin_branch();
    let policy = POLICY.replace("flat_limit = 1000", "flat_limit = 1");
    ledger.commit("audit: init ledger").put(CONFIG, policy).end();
    for (number, id) in tasks.iter().enumerate() {
        let task = task(id);
        let path = if number == 0 { task.path.clone() } else { shard(id) };
        ledger.record(&task.at(path));
    }
    ledger
}

#[test]
fn entries_are_flat_until_there_is_no_room_and_never_again() {
    sharded(&["one", "two", "three"]).verify().finds(&[]);
    // No room.
    let mut ledger = sharded(&["one"]);
    ledger.record(&task("two"));
    ledger.verify().finds(&[Code::PathMisplaced]);
    // Flat, where shards have followed.
    let mut ledger = sharded(&["one", "two"]);
    ledger.record(&task("three"));
    ledger.verify().finds(&[Code::PathMisplaced]);
    // Sharded, where there is room.
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").at(shard("two")));
    ledger.verify().finds(&[Code::PathMisplaced]);
}

#[test]
fn a_task_in_other_letters_is_the_same_task_wherever_it_stands() {
    let mut ledger = sharded(&["one", "two"]);
    ledger.record(&task("Two").at(shard("Two")));
    ledger.verify().finds(&[Code::EntryRepeated]);
    let mut ledger = sharded(&["one", "two"]);
    ledger.record(&task("One").at(shard("One")));
    ledger.verify().finds(&[Code::EntryRepeated]);
    let mut ledger = sharded(&["one", "two"]);
    ledger.record(&task("one").at(shard("one")));
    ledger.verify().finds(&[Code::EntryRepeated]);
}

#[test]
fn a_directory_of_the_ledger_that_became_something_else_is_found() {
    let shard = shard("two");
    let above = shard.match_indices('/').map(|(end, _)| &shard[..end]);
    for path in above.chain([".audit/tasks"]) {
        for mode in ["100644", "120000", "160000"] {
            let mut ledger = sharded(&["one", "two"]);
            let commit = ledger.id("audit");
            let draft = ledger.commit("in the place of it").remove(path);
            let draft = match mode {
                "160000" => draft.link(mode, path, &commit),
                _ => draft.put_as(mode, path, "elsewhere"),
            };
            draft.end();
            finds_among_others(ledger, &[Code::DirectoryReplaced]);
        }
    }
}

#[test]
fn an_entry_that_became_a_directory_is_found() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let inside = format!("{ONE}/one.json");
    ledger.commit("deeper").remove(ONE).put(&inside, task("one").bytes).end();
    let report = ledger.verify().exits(3);
    assert_eq!(report.layer("history"), "failed");
}

#[test]
fn the_whole_ledger_removed_is_found_and_never_nothing_to_check() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("code instead").remove(".audit").put("README", "a program").end();
    ledger.sandbox.git(&["config", "audit.branch", "audit"]);
    finds_among_others(ledger, &[Code::EntryRemoved]);
}

#[test]
fn a_change_is_found_behind_ten_thousand_others() {
    for place in ["!", ".audit/a/", "src/"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        let mut draft = ledger.commit("very much");
        for number in 0..10_500 {
            draft = draft.put(&format!("{place}{number}"), "");
        }
        draft.put(ONE, task_with("one", json!({"title": "it went well"})).bytes).end();
        finds_among_others(ledger, &[Code::EntryChanged]);
    }
}

/// Ten directories in each directory, all of them the same, eight levels down: a hundred million paths in nine objects.
#[test]
fn a_tree_that_unfolds_without_end_is_answered_in_time() {
    let names: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    for (bottom, mode) in [("blob", "100644"), ("tree", "40000")] {
        let mut ledger = Ledger::of(&["one"]);
        let (mut id, mut mode) = (ledger.object(bottom, ""), mode);
        for _ in 0..8 {
            id =
                ledger.tree(&names.iter().map(|name| (mode, name.as_str(), id.as_str())).collect::<Vec<_>>());
            mode = "40000";
        }
        ledger.commit("much").link("040000", ".audit/much", &id).link("040000", "much", &id).end();
        let bad = ledger.id("audit");
        let report = ledger.verify().finds(&[Code::PathMisplaced]);
        assert_eq!(report.answer["first_bad_commit"], bad.as_str());
    }
}

#[test]
fn a_change_of_the_policy_is_named_and_is_no_fault() {
    for path in [CONFIG, ".audit/README.md", ".audit/schema/entry-v1.schema.json", ".audit/allowed_signers"] {
        let mut ledger = Ledger::of(&["one"]);
        let commit = ledger.commit("other rules").put(path, format!("{POLICY}\n")).end();
        ledger.record(&task("two"));
        let commit = ledger.id(&commit);
        let report = ledger.verify().finds(&[Code::ConfigChanged]);
        let finding = report.finding(Code::ConfigChanged);
        assert_eq!((&finding["commit"], &finding["path"]), (&commit.into(), &path.into()));
    }
}

#[test]
fn taking_a_change_back_does_not_make_it_undone() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("a word").put(ONE, task_with("one", json!({"title": "well"})).bytes).end();
    ledger.commit("as it was").put(ONE, task("one").bytes).end();
    ledger.record(&task("three"));
    let report = ledger.verify().finds(&[Code::EntryChanged]);
    assert_eq!(report.answer["finding_counts"]["entry-changed"], 2);
}
