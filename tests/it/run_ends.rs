//! How `run` ends where something was in the way: its directory is gone, its journal is held.

use std::fs::File;
use std::thread;
use std::time::Duration;

use crate::journal::{begin, event_types, journal, stored};
use crate::sandbox::Sandbox;

#[test]
fn a_command_may_remove_the_directory_that_it_stands_in() {
    let sandbox = Sandbox::beside_code();
    std::fs::create_dir(sandbox.path("below")).unwrap();
    let below = sandbox.path("below");
    let place = ["-C", below.to_str().unwrap()];
    let command = ["run", "--task-id", "t1", "--", "sh", "-c", "rmdir ../below; exit 4"];
    let done = sandbox.audit(&[&place[..], &command].concat()).exits(4);
    assert_eq!(done.stderr, "");
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "execute_error", "task_complete"]);
}

#[test]
fn where_the_journal_cannot_be_closed_the_end_is_recorded_all_the_same() {
    let sandbox = Sandbox::beside_code();
    let script = "git audit event $GIT_AUDIT_TASK x; echo ready >ready; sleep 0.5; exit 3";
    let run = sandbox.start(&["run", "--timeout", "0.2", "--task-id", "t1", "--", "sh", "-c", script]);
    while !sandbox.path("ready").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    let held = File::open(journal(&sandbox, "t1")).unwrap();
    held.lock().unwrap();
    let done = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(3) && said.contains("could not be closed"), "{said}");
    let entry = stored(&sandbox, "t1");
    assert_eq!(event_types(&entry), ["task_start", "x", "execute_error", "task_complete"]);
    assert_eq!(entry["execution_result"]["outcome"]["exit_code"], 3);
    held.unlock().unwrap();
    sandbox.audit(&["finish", "--lost"]).exits(0).says("set-aside/journal/t1.jsonl");
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    begin(&sandbox, "t2");
}

#[test]
fn an_unknown_flag_is_no_command() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["run", "--task-id", "t1", "--best-effort", "--", "true"]).exits(2).says("--best-effort");
    assert_eq!(sandbox.logged(&[]), Vec::<String>::new());
    let own = ["run", "--task-id", "t1", "echo", "--flag", "-x"];
    assert_eq!(sandbox.audit(&own).exits(0).stdout, "--flag -x\n");
}

#[test]
fn a_lost_task_keeps_the_repositories_that_it_worked_in() {
    let (sandbox, other) = (Sandbox::beside_code(), Sandbox::with_code());
    other.git(&["remote", "add", "origin", "https://example.com/acme/shop.git"]);
    sandbox.start_lost("t1", &["--repo", other.path("").to_str().unwrap()]);
    sandbox.audit(&["finish", "--lost"]).exits(0);
    let found = sandbox.audit(&["log", "--repo-id", "example.com/acme/shop", "--count"]).exits(0).stdout;
    assert_eq!(found, "1\n");
    let entry = stored(&sandbox, "t1");
    assert_eq!(entry["events"][1]["commit_hash"], other.git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(entry["events"][1]["metadata"]["looked_at_end"], false);
}

#[test]
fn a_part_of_a_script_does_not_own_the_task_that_it_starts() {
    let sandbox = Sandbox::beside_code();
    let script = "id=$(git audit start t1 --json | sed 's/.*\"task_id\":\"\\([^\"]*\\).*/\\1/')
        ( git audit start t2 >/dev/null; : )
        timeout 60 git audit start t3 >/dev/null
        git audit tasks --lost; echo $id";
    let script = sandbox.input("script.sh", script);
    let done = crate::sandbox::run(sandbox.command("sh").arg(script)).exits(0);
    assert_eq!(done.stdout.trim(), "t1");
}

#[test]
fn what_another_working_tree_shows_is_somebody_elses_work() {
    let sandbox = Sandbox::beside_code();
    let beside = sandbox.root().join("beside");
    sandbox.git(&["worktree", "add", "--quiet", "-b", "theirs", beside.to_str().unwrap()]);
    let commit = "git -c user.name=a -c user.email=a@b commit --quiet --allow-empty -m";
    let script = format!("{commit} ours && cd {} && {commit} theirs", beside.display());
    sandbox.audit(&["run", "--task-id", "t1", "--repo", ".", "--", "sh", "-c", &script]).exits(0);
    let entry = stored(&sandbox, "t1");
    let subjects: Vec<_> =
        entry["artifacts"].as_array().unwrap().iter().map(|made| &made["summary"]).collect();
    assert_eq!(subjects, ["ours"]);
}

#[test]
fn the_task_of_a_commit_is_found_by_its_patch_id_after_a_rebase() {
    let sandbox = Sandbox::beside_code();
    let commit = "git -c user.name=a -c user.email=a@b commit --quiet";
    let script = format!("echo change >new && git add new && {commit} --message change");
    sandbox.audit(&["run", "--task-id", "t1", "--repo", ".", "--", "sh", "-c", &script]).exits(0);
    sandbox.git_as_user(&["commit", "--quiet", "--amend", "--message", "another subject"]);
    let patch = sandbox
        .command("sh")
        .args(["-c", "git diff-tree -p --root --full-index HEAD | git patch-id --stable"])
        .output();
    let patch = String::from_utf8(patch.unwrap().stdout).unwrap();
    let patch_id = patch.split_whitespace().next().unwrap();
    assert_eq!(sandbox.logged(&["--grep", patch_id]), ["t1"]);
    assert_eq!(sandbox.logged(&["--no-index", "--grep", patch_id]), ["t1"]);
}
