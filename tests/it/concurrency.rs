//! Many writers: every acknowledged entry is in the history, once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;

use serde_json::Value;

use crate::sandbox::Sandbox;

const WRITERS: usize = 6;

fn receipts(children: Vec<Child>) -> Vec<Value> {
    let finish = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    children.into_iter().map(finish).collect()
}

#[test]
fn six_writers_of_different_ids_into_an_empty_ledger_sixty_times() {
    for round in 0..60 {
        // In turn: the ledger not made yet, made but empty, and on a branch that is checked out.
        let sandbox = match round % 3 {
            0 => Sandbox::with_code(),
            1 => Sandbox::beside_code(),
            _ => Sandbox::with_ledger(),
        };
        let ids: Vec<_> = (0..WRITERS).map(|writer| format!("task-{writer}")).collect();
        let children = ids
            .iter()
            .map(|id| sandbox.start(&["record", "--init", "--json", "--task-id", id, "--status", "failed"]))
            .collect();
        let receipts = receipts(children);
        assert!(receipts.iter().all(|receipt| receipt["outcome"] == "recorded"));
        let mut logged = sandbox.logged(&[]);
        logged.sort();
        assert_eq!(logged, ids, "round {round}");
        let branch = sandbox.git(&["config", "audit.branch"]);
        let commits =
            sandbox.git(&["rev-list", "--min-parents=0", "--max-parents=1", "--parents", branch.trim()]);
        assert_eq!(commits.lines().filter(|line| !line.contains(' ')).count(), 1, "one root");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "", "round {round}");
    }
}

#[test]
fn six_writers_of_the_same_id_make_one_commit() {
    for _ in 0..10 {
        let sandbox = Sandbox::beside_code();
        let children = (0..WRITERS)
            .map(|_| sandbox.start(&["record", "--json", "--task-id", "same", "--status", "failed"]))
            .collect();
        let receipts = receipts(children);
        let mut outcomes = BTreeMap::new();
        for receipt in &receipts {
            *outcomes.entry(receipt["outcome"].as_str().unwrap()).or_insert(0) += 1;
            assert_eq!(receipt["commit"], receipts[0]["commit"]);
        }
        assert_eq!(outcomes, BTreeMap::from([("recorded", 1), ("skipped", WRITERS - 1)]));
        assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "2\n");
    }
}

#[test]
fn writers_beside_plain_git_on_the_same_branch_lose_nothing() {
    let sandbox = Sandbox::on_main();
    let mut committed = 0;
    for round in 0..8 {
        let ids: Vec<_> = (0..3).map(|writer| format!("r{round}-{writer}")).collect();
        let children = ids
            .iter()
            .map(|id| sandbox.start(&["record", "--json", "--task-id", id, "--status", "failed"]))
            .collect();
        for number in 0..3 {
            sandbox.write(&format!("file-{round}-{number}"), "x");
            // git gives up where we hold a lock; the user tries again.
            let added = sandbox.try_git(&["add", &format!("file-{round}-{number}")]).code == 0;
            let done = sandbox.try_git(&Sandbox::as_user(&["commit", "--quiet", "-m", "mine"]));
            committed += usize::from(added && done.code == 0);
        }
        assert_eq!(receipts(children).len(), 3);
    }
    // Every acknowledged entry is in the history. That none is ever missing at the tip cannot be asked for: git reads
    // an index before it locks it, so a `git commit` that began before a record can write the older index after it.
    let logged: BTreeSet<_> = sandbox.logged(&[]).into_iter().collect();
    assert_eq!(logged.len(), 24, "{committed} commits beside");
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn two_inits_at_once_make_one_root() {
    for _ in 0..10 {
        let sandbox = Sandbox::with_code();
        let children = (0..WRITERS).map(|_| sandbox.start(&["init", "--json"])).collect();
        let outcomes: Vec<_> =
            receipts(children).iter().map(|answer| answer["outcome"].as_str().unwrap().to_owned()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| *outcome == "created").count(), 1, "{outcomes:?}");
        assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "1\n");
    }
}

#[test]
fn a_held_writer_lock_is_exit_7_after_the_deadline() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let lock = std::fs::File::open(sandbox.path(".git/git-audit/lock")).unwrap();
    lock.lock().unwrap();
    let done =
        sandbox.audit(&["record", "--timeout", "0.2", "--task-id", "t2", "--status", "failed"]).exits(7);
    assert!(done.stderr.contains("busy: ") && done.stderr.contains("--timeout"), "{}", done.stderr);
    // Reading needs no lock.
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    lock.unlock().unwrap();
    sandbox.record("t2", &[]);
}
