//! A ledger whose branch is checked out: the branch never moves without its index, whatever happens in between.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, run};

/// A shared branch, checked out, with one entry.
fn shared() -> Sandbox {
    let sandbox = Sandbox::with_code();
    sandbox.audit(&["init", "--branch", "main"]).exits(0);
    sandbox.record("t1", &[]);
    sandbox
}

fn commit_everything(sandbox: &Sandbox) {
    run(sandbox.command("git").args([
        "-c",
        "user.name=D",
        "-c",
        "user.email=d@x",
        "commit",
        "--quiet",
        "--allow-empty",
        "-am",
        "mine",
    ]))
    .exits(0);
}

#[test]
fn the_entry_is_a_file_and_the_next_commits_of_the_user_keep_it() {
    let sandbox = shared();
    assert!(sandbox.path(".audit/tasks/t1.json").exists());
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    sandbox.write("README", "more\n");
    commit_everything(&sandbox);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    let changes = sandbox.git(&["show", "--name-status", "--format=", "HEAD"]);
    assert_eq!(changes, "M\tREADME\n");
}

#[test]
fn a_held_index_lock_is_waited_for_and_then_exit_7_with_nothing_moved() {
    let sandbox = shared();
    let tip = sandbox.git(&["rev-parse", "main"]);
    let index = fs::read(sandbox.path(".git/index")).unwrap();
    let lock = sandbox.write(".git/index.lock", "");
    let done =
        sandbox.audit(&["record", "--timeout", "0.3", "--task-id", "t2", "--status", "failed"]).exits(7);
    assert!(done.stderr.contains("index.lock") && done.stderr.contains("remove it"), "{}", done.stderr);
    assert_eq!((done.stdout.as_str(), sandbox.git(&["rev-parse", "main"])), ("", tip));
    assert_eq!(fs::read(sandbox.path(".git/index")).unwrap(), index);
    assert!(!sandbox.path(".audit/tasks/t2.json").exists());

    // Released in time, the record goes on.
    let mut waiting =
        sandbox.audit_command(&["record", "--timeout", "30", "--task-id", "t2", "--status", "failed"]);
    let mut waiting = waiting.stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(waiting.try_wait().unwrap(), None);
    fs::remove_file(lock).unwrap();
    assert!(waiting.wait().unwrap().success());
    assert_eq!(sandbox.logged(&[]), ["t2", "t1"]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_held_ref_lock_is_waited_for_and_then_exit_7() {
    let sandbox = shared();
    let tip = sandbox.git(&["rev-parse", "main"]);
    let lock = sandbox.write(".git/refs/heads/main.lock", "");
    sandbox
        .audit(&["record", "--timeout", "0.2", "--task-id", "t2", "--status", "failed"])
        .exits(7)
        .says("main.lock");
    assert_eq!(sandbox.git(&["rev-parse", "main"]), tip);
    fs::remove_file(lock).unwrap();
    // Nothing was recorded, so nothing is left that could be recorded later.
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    sandbox.record("t3", &[]);
    assert_eq!(sandbox.logged(&[]), ["t3", "t1"]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_record_while_the_user_writes_a_commit_message_leaves_both_intact() {
    for all in [false, true] {
        let sandbox = shared();
        sandbox.write("README", "mine\n");
        sandbox.git(&["add", "README"]);
        let editor = sandbox.input("editor", "#!/bin/sh\ngit-audit record --timeout 0.3 --task-id t2 --status failed\necho $? > \"$HOME/code\"\necho mine > \"$1\"\n");
        run(Command::new("chmod").args(["+x", &editor])).exits(0);
        let mut commit = sandbox.command("git");
        commit
            .args(["-c", "user.name=D", "-c", "user.email=d@x", "commit"])
            .args(all.then_some("-a"))
            .env("GIT_EDITOR", &editor);
        let users = run(&mut commit);
        let code = fs::read_to_string(sandbox.root().join("home/code")).unwrap();
        if code == "0\n" {
            // The branch moved, so git refuses the user's commit; it is still staged, and goes in at the second try.
            assert_ne!(users.code, 0, "{users:?}");
            assert_eq!(sandbox.git(&["diff", "--cached", "--name-only"]), "README\n");
            sandbox.commit("mine");
        } else {
            assert_eq!((code.as_str(), users.code), ("7\n", 0), "{users:?}");
            sandbox.record("t2", &[]);
        }
        assert_eq!(sandbox.logged(&[]), ["t2", "t1"]);
        assert_eq!(sandbox.git(&["show", "main:README"]), "mine\n");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    }
}

/// Kills a record after more and more time, from before it began to after it ended.
#[test]
fn killed_at_any_point_no_commit_of_the_user_removes_an_entry() {
    let sandbox = shared();
    let mut acknowledged = vec!["t1".to_owned()];
    for round in 0..40_u64 {
        let id = format!("k{round}");
        let mut command = sandbox.audit_command(&["record", "--task-id", &id, "--status", "failed"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 300));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.stdout.starts_with(b"recorded") {
            acknowledged.push(id.clone());
        }
        wait_for_no_lock(&sandbox);
        let before = sandbox.logged(&[]);
        sandbox.write("README", format!("{round}\n"));
        commit_everything(&sandbox);
        let after = sandbox.logged(&[]);
        assert!(before.iter().all(|entry| after.contains(entry)), "round {round}: {before:?} {after:?}");
        sandbox.record(&format!("after-{round}"), &[]);
        acknowledged.push(format!("after-{round}"));
    }
    let history = sandbox.logged(&[]);
    for id in &acknowledged {
        assert_eq!(history.iter().filter(|entry| *entry == id).count(), 1, "{id}");
    }
    assert_eq!(
        sandbox.git(&["log", "--diff-filter=MDRT", "--name-only", "--format=", "--", ".audit/tasks"]),
        ""
    );
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

/// The git child of a killed record goes on for a moment. A ref lock that the kill left behind is removed, as its
/// message says; an index lock would be git's own.
fn wait_for_no_lock(sandbox: &Sandbox) {
    let started = Instant::now();
    while sandbox.path(".git/index.lock").exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "index.lock was left behind");
        std::thread::sleep(Duration::from_millis(2));
    }
    for lock in [".git/refs/heads/main.lock", ".git/HEAD.lock"] {
        _ = fs::remove_file(sandbox.path(lock));
    }
}

#[test]
fn an_entry_that_a_crash_left_staged_is_completed_by_the_next_record() {
    let sandbox = shared();
    // What a kill between the index and the ref leaves: the mark, the file, the index entry.
    let twin = shared();
    twin.record("t2", &["--title", "left behind"]);
    let bytes = twin.audit(&["show", "t2", "--raw"]).exits(0).stdout;
    sandbox.write(".git/git-audit/pending/t2", ".audit/tasks/t2.json");
    sandbox.write(".audit/tasks/t2.json", &bytes);
    sandbox.git(&["add", ".audit/tasks/t2.json"]);
    let done = sandbox.record("t3", &[]).says("also recorded t2");
    assert!(done.stdout.starts_with("recorded t3"));
    assert_eq!(sandbox.logged(&[]), ["t3", "t2", "t1"]);
    assert_eq!(sandbox.audit(&["show", "t2", "--raw"]).exits(0).stdout, bytes);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert!(!sandbox.path(".git/git-audit/pending").exists());
}

#[test]
fn a_mark_without_its_file_is_forgotten_and_a_forged_one_does_no_harm() {
    let sandbox = shared();
    sandbox.write(".git/git-audit/pending/t2", ".audit/tasks/t2.json");
    sandbox.write(".git/git-audit/pending/t3", "../../README");
    sandbox.write(".git/git-audit/pending/t4", "README");
    sandbox.record("t5", &[]);
    assert_eq!(sandbox.logged(&[]), ["t5", "t1"]);
}

#[test]
fn a_draft_in_the_entrys_place_is_kept_aside() {
    let sandbox = shared();
    sandbox.write(".audit/tasks/t2.json", "my draft\n");
    sandbox.record("t2", &[]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    let kept: Vec<_> = fs::read_dir(sandbox.path(".git/git-audit/set-aside"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(&kept[0]).unwrap(), b"my draft\n");
    // An input that lies exactly there is recorded from there.
    let draft = sandbox.write(".audit/tasks/t3.json", "{\"task_id\":\"t3\",\"status\":\"failed\"}");
    sandbox.audit(&["record", draft.to_str().unwrap()]).exits(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn without_git_on_the_path_a_checked_out_branch_does_not_move() {
    let sandbox = shared();
    let tip = sandbox.git(&["rev-parse", "main"]);
    let mut command = sandbox.audit_command(&["record", "--task-id", "t2", "--status", "failed"]);
    run(command.env("PATH", "/nowhere")).exits(1).says("run `git`");
    assert_eq!(sandbox.git(&["rev-parse", "main"]), tip);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    // Where the branch is not checked out, git is not needed.
    let beside = Sandbox::beside_code();
    let mut command = beside.audit_command(&["record", "--task-id", "t2", "--status", "failed"]);
    run(command.env("PATH", "/nowhere")).exits(0);
}
