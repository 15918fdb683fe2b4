//! The working trees that show the branch, and their indexes, are compared with its tip; writers are not waited for, and
//! not mistaken for somebody who changes things.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, run};

/// What `verify` says of the layer.
#[derive(Debug)]
struct Layer {
    status: String,
    why: String,
    findings: Vec<Value>,
}

fn check(sandbox: &Sandbox) -> Layer {
    let answer = sandbox.audit(&["verify", "--json"]).json();
    let layers = answer["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["layer"] == "checkout").unwrap();
    let findings = answer["findings"].as_array().unwrap().iter();
    Layer {
        status: layer["status"].as_str().unwrap().to_owned(),
        why: layer["why"].as_str().unwrap_or_default().to_owned(),
        findings: findings.filter(|finding| finding["layer"] == "checkout").cloned().collect(),
    }
}

/// Codes and paths of what differs.
#[track_caller]
fn differing(sandbox: &Sandbox) -> Vec<(String, String)> {
    let layer = check(sandbox);
    assert_ne!(layer.status, "not-checked", "{layer:?}");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    layer.findings.iter().map(|finding| (text(finding, "code"), text(finding, "path"))).collect()
}

fn message(finding: &Value) -> &str {
    finding["message"].as_str().unwrap()
}

/// A ledger with entries in shards, too.
fn ledger() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.audit(&["init", "--flat-limit", "2"]).exits(0);
    for task in ["a", "b", "c", "d"] {
        sandbox.record(task, &[]);
    }
    assert!(differing(&sandbox).is_empty());
    sandbox
}

const A: &str = ".audit/tasks/a.json";

fn tree(path: &str) -> Vec<(String, String)> {
    vec![("work-tree-differs".to_owned(), path.to_owned())]
}

fn index(path: &str) -> Vec<(String, String)> {
    vec![("index-differs".to_owned(), path.to_owned())]
}

#[test]
fn what_the_tip_has_must_be_in_the_working_tree_as_it_is() {
    let sandbox = ledger();
    let (path, stored) = (sandbox.path(A), fs::read(sandbox.path(A)).unwrap());
    let mut changed = stored.clone();
    changed[20] ^= 1;
    fs::write(&path, changed).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
    fs::remove_file(&path).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
    symlink("b.json", &path).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
    fs::remove_dir(&path).unwrap();
    assert!(sandbox.command("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(differing(&sandbox), tree(A));
    fs::remove_file(&path).unwrap();
    fs::write(&path, &stored).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
    sandbox.git(&["config", "core.fileMode", "false"]);
    assert!(differing(&sandbox).is_empty());
}

#[test]
fn what_the_tip_does_not_have_must_not_be_where_entries_are() {
    let sandbox = ledger();
    for path in [".audit/tasks/x.json", ".audit/tasks/x/y", ".audit/shards/0/x"] {
        sandbox.write(path, "{}");
        assert_eq!(differing(&sandbox), tree(path));
        fs::remove_file(sandbox.path(path)).unwrap();
    }
    sandbox.write(".audit/notes.txt", "mine");
    sandbox.write("elsewhere.txt", "mine");
    assert!(differing(&sandbox).is_empty());
}

#[test]
fn a_directory_that_is_gone_or_something_else_is_one_finding() {
    let sandbox = ledger();
    for directory in [".audit/shards", ".audit"] {
        let aside = sandbox.root().join("aside");
        fs::rename(sandbox.path(directory), &aside).unwrap();
        assert_eq!(differing(&sandbox), tree(directory));
        symlink(&aside, sandbox.path(directory)).unwrap();
        let checked = check(&sandbox);
        assert_eq!(checked.findings.len(), 1);
        assert!(message(&checked.findings[0]).contains("a symbolic link in the place"), "{checked:?}");
        fs::remove_file(sandbox.path(directory)).unwrap();
        fs::rename(&aside, sandbox.path(directory)).unwrap();
    }
}

#[test]
fn the_index_must_have_what_the_tip_has() {
    let sandbox = ledger();
    sandbox.git(&["rm", "--quiet", "--cached", A]);
    assert_eq!(differing(&sandbox), index(A));
    sandbox.git(&["reset", "--quiet"]);
    sandbox.git(&["update-index", "--chmod=+x", A]);
    assert_eq!(differing(&sandbox), index(A));
    sandbox.git(&["reset", "--quiet"]);
    sandbox.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("100644,{},.audit/tasks/x.json", sandbox.git(&["rev-parse", &format!("main:{A}")]).trim()),
    ]);
    assert_eq!(differing(&sandbox), index(".audit/tasks/x.json"));
    sandbox.git(&["reset", "--quiet"]);
    // Promised only, or not looked at by git: nothing of it gets into a commit.
    sandbox.write(".audit/notes.txt", "mine");
    sandbox.git(&["add", "--intent-to-add", ".audit/notes.txt"]);
    sandbox.git(&["update-index", "--assume-unchanged", A]);
    assert!(differing(&sandbox).is_empty());
    fs::write(sandbox.path(A), "{}").unwrap();
    assert_eq!(differing(&sandbox), tree(A));
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_not_missing() {
    let sandbox = Sandbox::on_main();
    sandbox.record("a", &[]);
    sandbox.git(&["reset", "--hard", "--quiet"]);
    sandbox.git(&["sparse-checkout", "set", "--no-cone", "/src/"]);
    assert!(!sandbox.path(A).exists());
    assert!(differing(&sandbox).is_empty());
    sandbox.git(&["sparse-checkout", "disable"]);
    fs::remove_file(sandbox.path(A)).unwrap();
    assert_eq!(differing(&sandbox), tree(A));
}

#[test]
fn an_index_that_cannot_be_read_is_said_and_files_are_compared_all_the_same() {
    let sandbox = ledger();
    sandbox.git(&["update-index", "--split-index"]);
    let checked = check(&sandbox);
    assert_eq!(checked.status, "not-checked");
    assert!(checked.why.contains("index"), "{checked:?}");
    fs::write(sandbox.path(A), "{}").unwrap();
    assert_eq!(differing(&sandbox), tree(A));
}

#[test]
fn every_worktree_that_shows_the_branch_is_compared() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("a", &[]);
    let linked = sandbox.root().join("linked");
    sandbox.git(&["worktree", "add", "--quiet", linked.to_str().unwrap(), "audit"]);
    assert!(differing(&sandbox).is_empty());
    fs::remove_file(linked.join(A)).unwrap();
    run(sandbox.command("git").args(["rm", "--quiet", "--cached", A]).current_dir(&linked)).exits(0);
    assert_eq!(differing(&sandbox), [tree(A), index(A)].concat());
}

#[test]
fn what_a_killed_append_left_is_no_finding() {
    let sandbox = ledger();
    sandbox.write(".git/git-audit/pending/x", ".audit/tasks/x.json");
    sandbox.write(".audit/tasks/x.json", "{}");
    let checked = check(&sandbox);
    assert!(checked.findings.is_empty());
    assert!(checked.why.contains("git audit flush"), "{checked:?}");
}

#[test]
fn writers_are_neither_stopped_nor_found_fault_with() {
    let sandbox = ledger();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..15 {
                sandbox.record(&format!("task-{number}"), &[]);
            }
        });
        while !writer.is_finished() {
            let checked = check(&sandbox);
            assert!(checked.findings.is_empty(), "{checked:?}");
        }
    });
    assert!(differing(&sandbox).is_empty());
}

#[test]
fn many_differences_are_counted_and_not_all_told() {
    let sandbox = Sandbox::with_ledger();
    let lines: String =
        (0..150).map(|number| format!("{{\"task_id\":\"t{number}\",\"status\":\"completed\"}}\n")).collect();
    sandbox.audit(&["import", &sandbox.input("tasks.jsonl", lines)]).exits(0);
    sandbox.git(&["rm", "-r", "--quiet", "--cached", ".audit/tasks"]);
    let checked = check(&sandbox);
    assert_eq!(checked.findings.len(), 101);
    assert!(message(&checked.findings[100]).contains("50 more"), "{:?}", checked.findings[100]);
}

#[test]
fn verify_says_so_and_a_bare_repository_has_nothing_to_differ() {
    let sandbox = ledger();
    fs::write(sandbox.path(A), "{}").unwrap();
    sandbox.git(&["add", A]);
    let answer = sandbox.audit(&["verify", "--json"]).exits(3).json();
    assert_eq!(check(&sandbox).status, "failed");
    assert_eq!(answer["finding_counts"], json!({ "work-tree-differs": 1, "index-differs": 1 }));
    assert_eq!(answer["first_bad_commit"], Value::Null);
    let bare = sandbox.root().join("bare.git");
    sandbox.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    run(sandbox.audit_command(&["verify"]).current_dir(bare)).exits(0);
}
