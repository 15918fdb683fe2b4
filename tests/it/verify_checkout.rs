//! The working trees that show the branch, and their indexes, are compared with its tip; writers are not waited for, and
//! not mistaken for somebody who changes things.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use git_audit::ledger::{Clock, ConfigVariables, IdentityVariables, Ledger, Place};
use git_audit::verify::checkout::{self, Compared};
use git_audit::verify::report::Code;

use crate::sandbox::{NOW, Sandbox, run};

fn place(directory: &Path) -> Place {
    Place {
        directory: directory.to_owned(),
        git_dir: None,
        work_tree: None,
        ceilings: Vec::new(),
        config: ConfigVariables { no_system: true, ..ConfigVariables::default() },
        identity: IdentityVariables::default(),
        durability: None,
        state_home: None,
        cache_home: None,
        search_path: None,
        clock: Clock::Fixed(NOW.parse().unwrap()),
    }
}

fn check(sandbox: &Sandbox) -> Compared {
    checkout::compare(&Ledger::open(&place(&sandbox.path(""))).unwrap()).unwrap()
}

/// Codes and paths of what differs.
#[track_caller]
fn differing(sandbox: &Sandbox) -> Vec<(Code, String)> {
    let checked = check(sandbox);
    assert!(checked.unchecked.is_empty(), "{checked:?}");
    checked.findings.into_iter().map(|finding| (finding.code, finding.path.unwrap_or_default())).collect()
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

fn tree(path: &str) -> Vec<(Code, String)> {
    vec![(Code::WorkTreeDiffers, path.to_owned())]
}

fn index(path: &str) -> Vec<(Code, String)> {
    vec![(Code::IndexDiffers, path.to_owned())]
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
        assert!(checked.findings[0].message.contains("a symbolic link in the place"), "{checked:?}");
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
    fs::write(sandbox.path(A), "{}").unwrap();
    let checked = check(&sandbox);
    assert_eq!(checked.findings.len(), 1);
    assert!(checked.unchecked[0].contains("index"), "{checked:?}");
}

#[test]
fn every_worktree_that_shows_the_branch_is_compared() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("a", &[]);
    assert_eq!(check(&sandbox).work_trees, 0);
    let linked = sandbox.root().join("linked");
    sandbox.git(&["worktree", "add", "--quiet", linked.to_str().unwrap(), "audit"]);
    assert_eq!(check(&sandbox).work_trees, 1);
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
    assert!(checked.unchecked[0].contains("git audit flush"), "{checked:?}");
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
    assert!(checked.findings[100].message.contains("50 more"), "{:?}", checked.findings[100]);
}

#[test]
fn verify_says_so_and_a_bare_repository_has_nothing_to_differ() {
    let sandbox = ledger();
    let layer = |answer: &serde_json::Value| {
        let layers = answer["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["layer"] == "checkout").unwrap()["status"].clone()
    };
    let answer = sandbox.audit(&["verify", "--json"]).exits(0).json();
    assert_eq!(layer(&answer), "ok");
    fs::write(sandbox.path(A), "{}").unwrap();
    sandbox.git(&["add", A]);
    let answer = sandbox.audit(&["verify", "--json"]).exits(3).json();
    assert_eq!(layer(&answer), "failed");
    let counts = serde_json::json!({ "work-tree-differs": 1, "index-differs": 1 });
    assert_eq!(answer["finding_counts"], counts);
    assert_eq!(answer["first_bad_commit"], serde_json::Value::Null);
    sandbox.git(&["config", "core.bare", "true"]);
    let answer =
        run(sandbox.audit_command(&["verify", "--json"]).current_dir(sandbox.path(".git"))).exits(0).json();
    assert_eq!(layer(&answer), "ok");
}
