//! Where a ledger may be: bare, detached, in a linked worktree, with other hashes, with objects of another repository.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use git_audit::verify::report::Code;
use serde_json::json;

use crate::sandbox::Sandbox;
use crate::tamper::{Ledger, overwrite, task, task_with, verify_in};

/// A repository that was initialised with these flags, in `.git`.
fn initialised(flags: &[&str]) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.git(&[&["init", "--quiet", "--initial-branch=main"], flags].concat());
    sandbox
}

/// An honest ledger is found no fault with, and one that was tampered with is.
#[track_caller]
fn works_in(sandbox: impl Fn() -> Sandbox) {
    let mut ledger = Ledger::on(sandbox(), &["one", "two"]);
    assert_eq!(ledger.verify().finds(&[]).answer["entries"], 2);
    let better = task_with("one", json!({"title": "it went well"}));
    ledger.commit("a word").put(&better.path, better.bytes).end();
    ledger.verify().finds(&[Code::EntryChanged]);
}

#[test]
fn a_bare_repository_is_verified() {
    works_in(|| initialised(&["--bare", ".git"]));
}

#[test]
fn a_repository_of_sha_256_is_verified() {
    works_in(|| initialised(&["--object-format=sha256"]));
}

#[test]
fn a_ledger_recorded_with_sha_256_is_found_no_fault_with() {
    let sandbox = initialised(&["--object-format=sha256"]);
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("one", &[]);
    let report = Ledger::in_repository(sandbox).verify().finds(&[]);
    assert_eq!(report.answer["head"].as_str().unwrap().len(), 64);
}

#[test]
fn a_detached_head_is_no_matter() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger.sandbox.git(&["checkout", "--quiet", "--detach", "audit~1"]);
    assert_eq!(ledger.verify().finds(&[]).answer["entries"], 2);
}

#[test]
fn a_linked_worktree_sees_the_same() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger.sandbox.git(&["worktree", "add", "--quiet", "../linked", "audit"]);
    let linked = ledger.sandbox.root().join("linked");
    let here = ledger.verify().finds(&[]);
    let there = verify_in(&ledger.sandbox, &linked, &[]).finds(&[]);
    assert_eq!(here.answer["merkle_root"], there.answer["merkle_root"]);
    // What is there is the branch's working tree, also when we stand here.
    overwrite(&linked.join(".audit/tasks/one.json"), "{}");
    ledger.verify().finds(&[Code::WorkTreeDiffers]);
    verify_in(&ledger.sandbox, &linked, &[]).finds(&[Code::WorkTreeDiffers]);
}

#[test]
fn objects_of_another_repository_are_read() {
    let mut origin = Ledger::of(&["one", "two"]);
    let blob = origin.loose("audit:.audit/tasks/one.json");
    let clone = Sandbox::empty();
    let url = origin.sandbox.path("").display().to_string();
    clone.git(&["clone", "--quiet", "--shared", "--bare", "--branch", "audit", &url, ".git"]);
    let mut ledger = Ledger::in_repository(clone);
    ledger.verify().finds(&[]);
    let bytes = fs::read(&blob).unwrap();
    overwrite(&blob, &bytes[..bytes.len() / 2]);
    ledger.verify().finds(&[Code::ObjectDamaged]);
    fs::remove_file(blob).unwrap();
    ledger.verify().finds(&[Code::ObjectMissing]);
}

#[test]
fn a_packed_ledger_is_verified_like_a_loose_one() {
    let mut ledger = Ledger::of(&["one", "two", "three"]);
    let loose = ledger.verify().finds(&[]);
    ledger.sandbox.git(&["gc", "--quiet", "--prune=now"]);
    let packed = ledger.verify().finds(&[]);
    for key in ["head", "entries", "commits", "merkle_root"] {
        assert_eq!(loose.answer[key], packed.answer[key], "{key}");
    }
}

#[test]
fn the_ledger_of_a_clone_that_has_no_branch_of_its_own_is_origins() {
    let mut origin = Ledger::of(&["one", "two"]);
    origin.build();
    origin.sandbox.git(&["branch", "code", "audit"]);
    let clone = Sandbox::empty();
    let url = origin.sandbox.path("").display().to_string();
    clone.git(&["clone", "--quiet", "--branch", "code", "--no-checkout", &url, "."]);
    clone.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    clone.git(&["branch", "--quiet", "-D", "code"]);
    let report = Ledger::in_repository(clone).verify().finds(&[]);
    assert_eq!(report.answer["entries"], 2);
}

#[test]
fn a_repository_that_may_not_be_written_is_verified() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    // A file in the way does what a read-only disk does, also where we are root.
    fs::write(ledger.sandbox.path(".git/git-audit"), "in the way").unwrap();
    let report = ledger.verify();
    assert!(report.codes().is_empty(), "{:#}", report.answer);
    report.exits(0);
}

/// Fails the test unless each of these verifications, beside `meanwhile`, finds nothing.
fn finds_nothing_beside(ledger: &mut Ledger, mut meanwhile: impl FnMut(&Sandbox) + Send) {
    ledger.build();
    let sandbox = &ledger.sandbox;
    let is_done = AtomicBool::new(false);
    let reports: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            meanwhile(sandbox);
            is_done.store(true, Ordering::Relaxed);
        });
        let more = || !is_done.load(Ordering::Relaxed);
        std::iter::from_fn(|| more().then(|| verify_in(sandbox, &sandbox.path(""), &[]))).collect()
    });
    for report in reports {
        report.finds(&[]);
    }
    ledger.verify().finds(&[]);
}

#[test]
fn a_verification_beside_writers_finds_no_fault() {
    for checked_out in [true, false] {
        let sandbox = if checked_out { Sandbox::with_ledger() } else { Sandbox::beside_code() };
        sandbox.record("first", &[]);
        finds_nothing_beside(&mut Ledger::in_repository(sandbox), |sandbox| {
            for number in 0..30 {
                sandbox.record(&format!("t-{number}"), &[]);
            }
        });
    }
}

#[test]
fn a_verification_beside_packing_finds_no_fault() {
    let tasks: Vec<_> = (0..300).map(|number| format!("t-{number}")).collect();
    let tasks: Vec<_> = tasks.iter().map(String::as_str).collect();
    finds_nothing_beside(&mut Ledger::of(&tasks), |sandbox| {
        // Each time another pack takes the place of the one before.
        for depth in ["1", "2", "3", "4", "5", "6"] {
            sandbox.git(&["repack", "-q", "-a", "-d", "-f", "--depth", depth]);
        }
    });
}

#[test]
fn the_environment_of_git_does_not_move_what_is_read() {
    let mut ledger = Ledger::of(&["one"]);
    let bad = task_with("one", json!({"title": "it went well"}));
    ledger.commit("a word").put(&bad.path, bad.bytes).end();
    ledger.record(&task("two"));
    ledger.build();
    let other = ledger.sandbox.root().join("objects");
    fs::create_dir(&other).unwrap();
    for (name, value) in [
        ("GIT_OBJECT_DIRECTORY", other.to_str().unwrap()),
        ("GIT_REPLACE_REF_BASE", "refs/heads/"),
        ("GIT_GRAFT_FILE", "/dev/null"),
        ("GIT_SHALLOW_FILE", "/dev/null"),
        ("GIT_NAMESPACE", "other"),
    ] {
        let mut command = ledger.sandbox.audit_command(&["verify", "--json"]);
        let done = crate::sandbox::run(command.env(name, value));
        let done = done.exits(3);
        assert_eq!(done.json()["finding_counts"], json!({"entry-changed": 1}), "{name}");
    }
}
