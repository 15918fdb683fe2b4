//! What a clone remembers of what it verified: a history that is sound in itself, and is another one.

use std::fs;

use git_audit::verify::report::Code;
use serde_json::json;

use crate::tamper::{Ledger, task, task_with};

const PIN: &str = ".git/git-audit/verified/audit.json";
const LEAVES: &str = ".git/git-audit/verified/audit.leaves";

/// A ledger that was verified with these tasks.
fn verified(tasks: &[&str]) -> Ledger {
    let mut ledger = Ledger::of(tasks);
    ledger.verify().finds(&[]);
    ledger
}

/// Fails the test unless the pin is lost, and the findings name these tasks, and not those.
#[track_caller]
fn loses(ledger: &mut Ledger, gone: &[&str], kept: &[&str]) {
    let report = ledger.verify().finds(&[Code::PinLost]);
    assert_eq!(report.layer("pin"), "failed");
    assert!(report.answer["first_bad_commit"].is_null(), "none is bad; one is not there");
    let told = report.answer["findings"].to_string();
    for id in gone {
        assert!(told.contains(&format!("\"{id}\"")), "{id}: {told}");
    }
    for id in kept {
        assert!(!told.contains(&format!("\"{id}\"")), "{id}: {told}");
    }
}

#[test]
fn what_was_verified_is_remembered_and_goes_on() {
    let mut ledger = verified(&["one", "two"]);
    assert!(ledger.sandbox.path(PIN).is_file() && ledger.sandbox.path(LEAVES).is_file());
    ledger.record(&task("three"));
    let report = ledger.verify().finds(&[]);
    assert_eq!((report.layer("pin"), &report.answer["entries"]), ("ok", &3.into()));
}

#[test]
fn a_tip_that_was_reset_is_found_and_what_vanished_is_named() {
    let mut ledger = verified(&["one", "two", "three"]);
    ledger.move_to("audit~2");
    loses(&mut ledger, &["two", "three"], &["one"]);
    // A finding stays one until somebody decides otherwise.
    loses(&mut ledger, &["two", "three"], &["one"]);
}

#[test]
fn what_vanished_is_named_when_its_objects_are_gone_too() {
    let mut ledger = verified(&["one", "two", "three"]);
    ledger.move_to("audit~1");
    ledger.sandbox.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
    ledger.sandbox.git(&["gc", "--quiet", "--prune=now"]);
    loses(&mut ledger, &["three"], &["one", "two"]);
}

#[test]
fn a_commit_in_the_middle_that_was_rewritten_with_all_that_follows_is_found() {
    let mut ledger = verified(&["one", "two", "three"]);
    let base = ledger.id("audit~2");
    ledger.record_after(&base, &task_with("two", json!({"title": "it went well"})));
    ledger.record(&task("three"));
    ledger.record(&task("four"));
    loses(&mut ledger, &["two"], &["one"]);
}

#[test]
fn a_commit_that_was_left_out_is_found() {
    let mut ledger = verified(&["one", "two", "three"]);
    let base = ledger.id("audit~2");
    ledger.record_after(&base, &task("three"));
    loses(&mut ledger, &["two"], &["one"]);
}

#[test]
fn commits_that_changed_places_are_found() {
    let mut ledger = verified(&["one", "two", "three"]);
    let base = ledger.id("audit~2");
    ledger.record_after(&base, &task("three"));
    ledger.record(&task("two"));
    ledger.verify().finds(&[Code::PinLost]);
}

#[test]
fn another_ledger_in_the_place_of_this_one_is_found() {
    let mut ledger = verified(&["one", "two"]);
    ledger.commit("audit: init ledger").rootless().put(".audit/config.toml", "version = 1\n").end();
    ledger.record(&task("one"));
    ledger.verify().finds(&[Code::PinLost]);
}

#[test]
fn a_ledger_with_a_fault_is_not_remembered() {
    let mut ledger = verified(&["one", "two"]);
    let pin = fs::read(ledger.sandbox.path(PIN)).unwrap();
    ledger.commit("tidied up").remove(".audit/tasks/one.json").end();
    ledger.verify().finds(&[Code::EntryRemoved]);
    assert_eq!(fs::read(ledger.sandbox.path(PIN)).unwrap(), pin);
    // So when the fault is taken out of the history, the ledger that was verified is there again.
    ledger.move_to("audit~1");
    ledger.verify().finds(&[]);
}

#[test]
fn what_was_left_out_of_a_verification_by_since_is_found_by_the_full_one() {
    let mut ledger = verified(&["one", "two"]);
    ledger.record(&task("three"));
    assert_eq!(ledger.verify_with(&["--since", "pin"]).finds(&[]).answer["entries"], 3);
    ledger
        .commit("a word")
        .put(".audit/tasks/two.json", task_with("two", json!({"title": "well"})).bytes)
        .end();
    ledger.verify_with(&["--since", "pin"]).finds(&[Code::EntryChanged]);
    ledger.verify().finds(&[Code::EntryChanged]);
}

#[test]
fn a_tip_that_was_reset_is_found_by_since_as_well() {
    let mut ledger = verified(&["one", "two", "three"]);
    ledger.move_to("audit~1");
    ledger.verify_with(&["--since", "pin"]).finds(&[Code::PinLost]);
    ledger.sandbox.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
    ledger.sandbox.git(&["gc", "--quiet", "--prune=now"]);
    ledger.verify_with(&["--since", "pin"]).finds(&[Code::PinLost]);
}

/// It is a file like any other. One that cannot be read proves nothing, and is never taken for a good one.
#[test]
fn a_garbled_pin_is_never_ok() {
    for text in ["", "{", "{}", "null", "[1, 2]", "\0\0\0", "{\"commit\": 7}"] {
        let mut ledger = verified(&["one", "two"]);
        ledger.sandbox.write(PIN, text);
        let report = ledger.verify();
        assert_ne!(report.layer("pin"), "ok", "{text}: {:#}", report.answer);
    }
}

#[test]
fn a_pin_that_contradicts_itself_is_never_ok() {
    let mut ledger = verified(&["one", "two"]);
    let mut pin: serde_json::Value =
        serde_json::from_slice(&fs::read(ledger.sandbox.path(PIN)).unwrap()).unwrap();
    pin["merkle_root"] = "AAAA".into();
    ledger.sandbox.write(PIN, pin.to_string());
    let report = ledger.verify();
    assert_ne!(report.layer("pin"), "ok", "{:#}", report.answer);
    assert_ne!(report.answer["verdict"], "valid");
}

#[test]
fn a_notebook_that_is_gone_or_garbled_is_written_anew() {
    for text in [None, Some("garbage\n"), Some("")] {
        let mut ledger = verified(&["one", "two"]);
        let notebook = ledger.sandbox.path(LEAVES);
        let honest = fs::read(&notebook).unwrap();
        match text {
            Some(text) => fs::write(&notebook, text).unwrap(),
            None => fs::remove_file(&notebook).unwrap(),
        }
        ledger.verify().finds(&[]);
        assert_eq!(fs::read(&notebook).unwrap(), honest);
    }
}
