//! A ledger whose branch is checked out: the branch never moves without its index, whatever happens in between.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Sandbox, run};

/// A shared branch, checked out, with one entry.
fn shared() -> Sandbox {
    let sandbox = Sandbox::on_main();
    sandbox.record("t1", &[]);
    sandbox
}

fn commit_everything(sandbox: &Sandbox) {
    sandbox.git_as_user(&["commit", "--quiet", "--allow-empty", "-am", "mine"]);
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
        commit.args(Sandbox::as_user(&["commit"])).args(all.then_some("-a")).env("GIT_EDITOR", &editor);
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

#[test]
fn a_git_directory_behind_a_link_does_not_lead_the_files_away() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
    fs::create_dir(sandbox.root().join("real")).unwrap();
    fs::rename(sandbox.path(".git"), sandbox.root().join("real/repo.git")).unwrap();
    std::os::unix::fs::symlink("../real/repo.git", sandbox.path(".git")).unwrap();
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("t1", &[]);
    assert!(sandbox.path(".audit/tasks/t1.json").exists() && !sandbox.root().join("real/.audit").exists());
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    commit_everything(&sandbox);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    assert!(sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD"]).contains("t1.json"));
}

#[test]
fn a_work_tree_that_is_given_for_a_linked_worktree_is_that_ones() {
    let sandbox = shared();
    let linked = sandbox.root().join("linked");
    sandbox.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let git_dir = sandbox.git(&["-C", linked.to_str().unwrap(), "rev-parse", "--absolute-git-dir"]);
    let mut command = sandbox.audit_command(&["record", "--task-id", "t2", "--status", "failed"]);
    run(command.current_dir(&linked).env("GIT_DIR", git_dir.trim()).env("GIT_WORK_TREE", &linked)).exits(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert!(sandbox.path(".audit/tasks/t2.json").exists() && !linked.join(".audit/tasks/t2.json").exists());
}

#[test]
fn a_head_that_leads_to_the_branch_by_another_name_counts() {
    let sandbox = shared();
    sandbox.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    sandbox.git(&["symbolic-ref", "HEAD", "refs/heads/alias"]);
    sandbox.record("t2", &[]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    commit_everything(&sandbox);
    assert!(sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD"]).contains("t2.json"));
}

#[test]
fn a_pipe_or_a_directory_in_the_entrys_place_is_in_the_way_and_never_waited_for() {
    let sandbox = shared();
    run(sandbox.command("mkfifo").arg(sandbox.path(".audit/tasks/t2.json"))).exits(0);
    fs::create_dir(sandbox.path(".audit/tasks/t3.json")).unwrap();
    let tip = sandbox.git(&["rev-parse", "main"]);
    for id in ["t2", "t3"] {
        sandbox
            .audit(&["record", "--task-id", id, "--status", "failed"])
            .exits(1)
            .says("where the ledger needs");
    }
    assert_eq!(sandbox.git(&["rev-parse", "main"]), tip);
}

#[test]
fn exit_7_puts_everything_back_also_a_draft_and_a_second_working_tree() {
    let sandbox = shared();
    let second = sandbox.root().join("second");
    sandbox.git(&["worktree", "add", "--quiet", "--force", second.to_str().unwrap(), "main"]);
    sandbox.write(".audit/tasks/t2.json", "my draft\n");
    let lock = sandbox.write(".git/worktrees/second/index.lock", "");
    let before = sandbox.git(&["status", "--porcelain"]);
    sandbox.audit(&["record", "--timeout", "0.3", "--task-id", "t2", "--status", "failed"]).exits(7);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), before);
    assert_eq!(fs::read(sandbox.path(".audit/tasks/t2.json")).unwrap(), b"my draft\n");
    fs::remove_file(lock).unwrap();
    assert_eq!(sandbox.git(&["-C", second.to_str().unwrap(), "status", "--porcelain"]), "");
    assert_eq!(sandbox.record("t3", &[]).stderr, "");
    assert_eq!(sandbox.logged(&[]), ["t3", "t1"]);

    let fresh = Sandbox::new();
    fresh.write(".git/refs/heads/main.lock", "");
    fresh.audit(&["init", "--timeout", "0.3"]).exits(7);
    assert_eq!(fresh.git(&["status", "--porcelain"]), "");
    assert!(!fresh.path(".audit").exists());
}

#[test]
fn an_index_that_was_written_from_an_older_one_gets_the_entry_back() {
    let sandbox = shared();
    let older = fs::read(sandbox.path(".git/index")).unwrap();
    sandbox.record("t2", &[]);
    // What a `git commit` does that had read the index before the record and writes it after.
    fs::write(sandbox.path(".git/index"), older).unwrap();
    assert!(sandbox.git(&["status", "--porcelain"]).starts_with("D  .audit/tasks/t2.json"));
    sandbox.record("t3", &[]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_a_slow_commit_of_the_user_may_be_taking_along_is_not_pulled_from_under_it() {
    let sandbox = shared();
    let ref_lock = sandbox.write(".git/refs/heads/main.lock", "");
    let mut record =
        sandbox.audit_command(&["record", "--timeout", "1.5", "--task-id", "t2", "--status", "failed"]);
    let record = record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !sandbox.git(&["ls-files", ".audit"]).contains("t2.json") {
        std::thread::sleep(Duration::from_millis(5));
    }
    // As git takes it: only when nobody holds it.
    let index_lock = sandbox.path(".git/index.lock");
    while fs::File::create_new(&index_lock).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let done = record.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(7));
    for lock in [ref_lock, index_lock] {
        fs::remove_file(lock).unwrap();
    }
    // It is still staged, and its file is there: whatever the user commits now is whole.
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "A  .audit/tasks/t2.json\n");
    commit_everything(&sandbox);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert_eq!(sandbox.record("t3", &[]).stderr, "");
    assert_eq!(sandbox.logged(&[]), ["t3", "t2", "t1"]);
}
