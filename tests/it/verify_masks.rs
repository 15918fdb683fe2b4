//! What hides a ledger from git: grafts, a forged `shallow`, replace refs, a forged commit-graph, a partial clone. It is
//! named, and what was tampered with behind it is found all the same.

use std::fs;

use git_audit::verify::report::Code;
use serde_json::json;
use sha1::{Digest as _, Sha1};

use crate::sandbox::Sandbox;
use crate::tamper::{Ledger, overwrite, task, task_with};

/// Has git write its commit-graph, and puts another tree in it for a commit.
pub fn forge_commit_graph(ledger: &mut Ledger, commit: &str, tree: &str) {
    let old = ledger.id(&format!("{commit}^{{tree}}"));
    ledger.sandbox.git(&["commit-graph", "write", "--reachable"]);
    edit_commit_graph(ledger, |bytes| {
        let [old, new] = [old.as_str(), tree].map(unhex);
        let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
        bytes[at..at + old.len()].copy_from_slice(&new);
    });
}

/// Changes the commit-graph, and makes its checksum fit.
fn edit_commit_graph(ledger: &Ledger, change: impl FnOnce(&mut [u8])) {
    let path = ledger.sandbox.path(".git/objects/info/commit-graph");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 20;
    change(&mut bytes[..end]);
    let sum = Sha1::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    overwrite(&path, bytes);
}

fn unhex(id: &str) -> Vec<u8> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
}

/// A clone of a ledger, without its blobs, of a repository that is gone.
pub fn partial_clone() -> Ledger {
    clone_with(&["--bare", "--filter=blob:none"])
}

fn clone_with(flags: &[&str]) -> Ledger {
    let mut origin = Ledger::of(&["one", "two", "three"]);
    origin.build();
    origin.sandbox.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.sandbox.path("").display());
    let clone = Sandbox::empty();
    clone.git(&[&["clone", "--quiet", "--branch", "audit"], flags, &[&url, ".git"]].concat());
    let ledger = Ledger::in_repository(clone);
    ledger.pin_branch();
    ledger
}

/// A ledger in which an entry was changed by a commit in the middle.
fn tampered() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let better = task_with("one", json!({"title": "it went well"}));
    ledger.commit("a word").put(&better.path, better.bytes).end();
    ledger.record(&task("three"));
    ledger
}

#[test]
fn a_shallow_clone_and_a_partial_one_are_inconclusive() {
    let report = clone_with(&["--bare", "--depth", "2"]).verify().exits(4);
    assert!(report.codes().contains(&"shallow"), "{}", report.answer);
    partial_clone().verify().finds(&[Code::ObjectAbsent]);
    let report = clone_with(&["--bare", "--filter=tree:0"]).verify().exits(4);
    assert!(report.codes().contains(&"object-absent"), "{}", report.answer);
}

#[test]
fn a_change_behind_a_graft_a_forged_shallow_or_a_replace_ref_is_found() {
    type Mask = fn(&mut Ledger);
    let masks: [(Mask, Code); 6] = [
        (|ledger| graft(ledger, "audit", "audit~3"), Code::Grafts),
        (
            |ledger| {
                let tip = ledger.sandbox.git(&["rev-parse", "audit"]);
                ledger.sandbox.write(".git/shallow", format!("{}\n", tip.trim_end()));
            },
            Code::Shallow,
        ),
        (|ledger| replace(ledger, "audit~1", "audit~2"), Code::Replaced),
        (|ledger| replace(ledger, "audit~1^{tree}", "audit~2^{tree}"), Code::Replaced),
        (
            |ledger| replace(ledger, "audit~1:.audit/tasks/one.json", "audit~2:.audit/tasks/one.json"),
            Code::Replaced,
        ),
        (
            |ledger| {
                let tree = ledger.id("audit~2^{tree}");
                forge_commit_graph(ledger, "audit~1", &tree);
            },
            Code::CommitGraph,
        ),
    ];
    for (mask, code) in masks {
        let mut ledger = tampered();
        ledger.build();
        mask(&mut ledger);
        ledger.verify().finds(&[Code::EntryChanged, code]);
    }
}

fn graft(ledger: &mut Ledger, commit: &str, parent: &str) {
    let [commit, parent] = [commit, parent].map(|name| ledger.id(name));
    ledger.sandbox.write(".git/info/grafts", format!("{commit} {parent}\n"));
}

fn replace(ledger: &mut Ledger, old: &str, new: &str) {
    ledger.sandbox.git(&["replace", old, new]);
}

#[test]
fn replace_refs_of_other_things_than_the_ledger_are_no_matter() {
    let mut ledger = Ledger::of(&["one"]);
    ledger.build();
    let [old, new] = ["old", "new"].map(|text| ledger.object("blob", text));
    replace(&mut ledger, &old, &new);
    ledger.verify().finds(&[]);
    ledger.sandbox.git(&["pack-refs", "--all"]);
    ledger.verify().finds(&[]);
    replace(&mut ledger, "audit:.audit/tasks/one.json", &old);
    ledger.sandbox.git(&["pack-refs", "--all"]);
    ledger.verify().finds(&[Code::Replaced]);
}

#[test]
fn an_honest_commit_graph_is_no_matter_and_a_garbled_one_is() {
    for chain in [&["--reachable"][..], &["--reachable", "--split"]] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.build();
        ledger.sandbox.git(&[&["commit-graph", "write"], chain].concat());
        ledger.verify().finds(&[]);
    }
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger.sandbox.git(&["commit-graph", "write", "--reachable"]);
    let path = ledger.sandbox.path(".git/objects/info/commit-graph");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 1, 7, 8, 40, bytes.len() / 2, bytes.len() - 21, bytes.len() - 1] {
        overwrite(&path, &bytes[..length]);
        ledger.verify().exits(4);
    }
}

#[test]
fn other_parents_in_the_commit_graph_are_found() {
    let mut ledger = Ledger::of(&["one", "two", "three"]);
    ledger.build();
    ledger.sandbox.git(&["commit-graph", "write", "--reachable"]);
    // The data of a commit: its tree, the places of two parents, eight bytes about its age.
    let tree = unhex(&ledger.id("audit^{tree}"));
    edit_commit_graph(&ledger, |bytes| {
        let parent = bytes.windows(20).position(|window| window == tree).unwrap() + 20;
        let place = u32::from_be_bytes(bytes[parent..parent + 4].try_into().unwrap());
        bytes[parent..parent + 4].copy_from_slice(&((place + 1) % 4).to_be_bytes());
    });
    ledger.verify().finds(&[Code::CommitGraph]);
}
