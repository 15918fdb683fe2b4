//! Best effort: the caller never fails, and nothing is dropped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::sandbox::{Sandbox, entry};

const TASK: [&str; 4] = ["--task-id", "t1", "--status", "failed"];

fn best_effort<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["record", "--best-effort"], more].concat()
}

fn files_in(directory: PathBuf) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory).into_iter().flatten().map(|item| item.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn an_entry_that_finds_the_lock_held_waits_and_the_next_record_commits_it() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let spooled = sandbox.audit(&best_effort(&[&TASK[..], &["--timeout", "0.1"]].concat())).exits(0);
    spooled.says("busy").says("the entry waits in");
    assert_eq!(files_in(sandbox.path(".git/git-audit/spool")).len(), 1);
    assert!(files_in(sandbox.path(".git/git-audit/queue")).is_empty(), "its ticket is withdrawn");
    drop(held);
    sandbox.record("t2", &[]).says("also recorded 1 entry from the spool");
    let mut logged = sandbox.logged(&[]);
    logged.sort();
    assert_eq!(logged, ["t1", "t2"]);
    assert!(files_in(sandbox.path(".git/git-audit/spool")).is_empty());
}

#[test]
fn the_time_of_an_entry_is_when_the_task_ended_not_when_it_was_flushed() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&[&TASK[..], &["--timeout", "0"]].concat())).exits(0);
    drop(held);
    let mut later = sandbox.audit_command(&["flush"]);
    assert!(later.env("GIT_AUDIT_TEST_NOW", "2027-01-01T00:00:00Z").status().unwrap().success());
    let shown = sandbox.audit(&["show", "t1", "--json"]).exits(0).json();
    let text = shown.to_string();
    assert!(text.contains("\"timestamp\":\"2026-11-20T12:00:00Z\""), "{text}");
}

#[test]
fn two_flushes_at_once_record_each_entry_once() {
    for _ in 0..5 {
        let sandbox = Sandbox::beside_code();
        let held = sandbox.hold_lock();
        for number in 0..10 {
            let id = format!("t{number}");
            sandbox.audit(&best_effort(&["--task-id", &id, "--status", "failed", "--timeout", "0"])).exits(0);
        }
        drop(held);
        let start = || sandbox.audit_command(&["flush", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let flushes = [start(), start()].map(|child| child.wait_with_output().unwrap());
        assert!(flushes.iter().all(|flush| flush.status.success()));
        assert_eq!(sandbox.logged(&[]).len(), 10);
        let tip = sandbox.git(&["rev-list", "--count", "audit"]);
        assert_eq!(tip.trim(), "11", "one commit each");
        assert!(files_in(sandbox.path(".git/git-audit/spool")).is_empty());
        sandbox.audit(&["flush"]).exits(0);
    }
}

#[test]
fn without_a_repository_it_waits_in_the_users_state_directory() {
    let sandbox = Sandbox::empty();
    let elsewhere = Sandbox::empty();
    let run = sandbox.audit(&best_effort(&TASK)).exits(0);
    run.says("no git repository").says(".local/state/git-audit/spool");
    sandbox.audit(&["flush"]).exits(1).says("no git repository");
    sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
    sandbox.audit(&["flush"]).exits(1).says("no audit ledger");
    sandbox.audit(&["init"]).exits(0);
    let flushed = sandbox.audit(&["flush"]).exits(0);
    assert_eq!(flushed.stdout.lines().next(), Some("recorded t1"));
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    drop(elsewhere);
}

#[test]
fn an_entry_of_another_place_is_left_where_it_is() {
    let sandbox = Sandbox::beside_code();
    let outside = sandbox.root().join("outside");
    fs::create_dir(&outside).unwrap();
    let mut record = sandbox.audit_command(&best_effort(&TASK));
    assert!(record.current_dir(&outside).status().unwrap().success());
    sandbox.record("t2", &[]);
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(sandbox.logged(&[]), ["t2"]);
    let waiting: Vec<_> = files_in(sandbox.root().join("home/.local/state/git-audit/spool"));
    assert_eq!(waiting.len(), 1, "{waiting:?}");
}

#[test]
fn a_git_directory_that_cannot_be_written_is_no_failure() {
    let sandbox = Sandbox::beside_code();
    // For root, who may write anywhere: something that is no directory is in the way.
    fs::remove_dir_all(sandbox.path(".git/git-audit")).unwrap();
    sandbox.write(".git/git-audit", "in the way");
    sandbox.audit(&["record", "--task-id", "t1", "--status", "failed"]).exits(1);
    sandbox.audit(&best_effort(&TASK)).exits(0).says("the entry waits in");
    fs::remove_file(sandbox.path(".git/git-audit")).unwrap();
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
}

#[test]
fn what_can_be_kept_nowhere_is_at_least_said() {
    let sandbox = Sandbox::beside_code();
    fs::remove_dir_all(sandbox.path(".git/git-audit")).unwrap();
    sandbox.write(".git/git-audit", "in the way");
    let mut record = sandbox.audit_command(&best_effort(&TASK));
    let output = record.env("XDG_STATE_HOME", sandbox.path("README").join("x")).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("could not be kept") && said.contains("\"task_id\":\"t1\""), "{said}");
}

#[test]
fn what_is_no_entry_is_kept_for_a_person() {
    let sandbox = Sandbox::beside_code();
    let spool = || files_in(sandbox.path(".git/git-audit/spool"));
    sandbox.audit(&best_effort(&["--task-id", "a b", "--status", "failed"])).exits(0).says("it is kept in");
    sandbox.audit_with_input(&best_effort(&["-"]), "rubbish").exits(0).says("it is kept in");
    sandbox
        .audit(&best_effort(&["--task-id", "t1", "--status", "done"]))
        .exits(0)
        .says("the arguments are in");
    sandbox.audit(&["record", "--task-id", "t1", "--status", "done"]).exits(2);
    assert_eq!(spool().len(), 3);
    let kept: String = spool().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(kept.contains("a b") && kept.contains("rubbish") && kept.contains("done"), "{kept}");
    sandbox.record("t2", &[]);
    sandbox.audit(&["flush"]).exits(2).says("holds no entry");
    assert_eq!(spool().len(), 3, "it is not dropped");
    // A good line beside a bad one is recorded.
    let lines = format!("{}\nrubbish\n", entry("good"));
    sandbox.audit_with_input(&best_effort(&["-"]), &lines).exits(0);
    assert_eq!(sandbox.logged(&[]), ["good", "t2"]);
}

#[test]
fn an_entry_whose_task_is_recorded_with_other_content_is_moved_aside() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&[&TASK[..], &["--timeout", "0"]].concat())).exits(0);
    drop(held);
    sandbox.audit(&["record", "--best-effort", "--task-id", "other", "--status", "completed"]).exits(0);
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&["--task-id", "t1", "--status", "rejected", "--timeout", "0"])).exits(0);
    sandbox.audit(&best_effort(&["--task-id", "t1", "--status", "failed", "--timeout", "0"])).exits(0);
    drop(held);
    let flushed = sandbox.audit(&["flush", "--json"]).exits(0);
    let answer = flushed.json();
    assert_eq!(answer["skipped"].as_array().unwrap().len(), 1);
    assert_eq!(answer["differing"][0]["task_id"], "t1");
    let moved = fs::read_to_string(answer["differing"][0]["moved_to"].as_str().unwrap()).unwrap();
    assert!(moved.contains("rejected"), "{moved}");
}

#[test]
fn a_closed_standard_output_and_other_content_are_no_failure_either() {
    let sandbox = Sandbox::beside_code();
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let mut record = sandbox.audit_command(&best_effort(&TASK));
    assert!(record.stdout(full()).status().unwrap().success());
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    let other = ["--strict", "--task-id", "t1", "--status", "completed"];
    sandbox.audit(&best_effort(&other)).exits(0).says("other values");
    let mut nowhere = sandbox.audit_command(&[
        "-C",
        "no/such/place",
        "record",
        "--best-effort",
        "--task-id",
        "t3",
        "--status",
        "failed",
    ]);
    assert!(nowhere.status().unwrap().success());
}

#[test]
fn what_waits_can_be_read_by_its_owner_only_through_git_audit() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&[&TASK[..], &["--timeout", "0"]].concat())).exits(0);
    drop(held);
    let file = &files_in(sandbox.path(".git/git-audit/spool"))[0];
    // Somebody's hand in it: it is not recorded as something else.
    let text = fs::read_to_string(file)
        .unwrap()
        .replace("\\\"status\\\": \\\"failed\\\"", "\\\"status\\\": \\\"whatever\\\"");
    assert!(text.contains("whatever"));
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.audit(&["flush"]).exits(2).says("holds no entry");
    assert!(sandbox.logged(&[]).is_empty());
}

#[test]
fn whatever_the_flags_say_the_caller_goes_on_and_what_they_said_is_kept() {
    let sandbox = Sandbox::beside_code();
    let spool = || files_in(sandbox.path(".git/git-audit/spool"));
    let kept = |count: usize| assert_eq!(spool().len(), count, "{:?}", spool());
    sandbox
        .audit(&best_effort(&["--task-id", "u1", "--status", "failed", "--intent", "x", "--outcome", "3"]))
        .exits(0)
        .says("the arguments are in");
    kept(1);
    let two = "{\"status\":\"completed\"}\n{\"status\":\"failed\"}\n";
    sandbox.audit_with_input(&best_effort(&["--task-id", "u2", "-"]), two).exits(0).says("2 entries wait");
    kept(3);
    sandbox.audit(&["record", "--best-effort=yes", "--task-id", "u3", "--status", "failed"]).exits(0);
    kept(4);
    // The first of the two is recorded; the other one has the same id, and is moved aside.
    let flushed = sandbox.audit(&["flush", "--json"]).exits(2).json();
    assert_eq!(flushed["recorded"], serde_json::json!(["u2"]));
    assert_eq!(flushed["differing"][0]["task_id"], "u2");
    assert_eq!(flushed["invalid"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_in_the_spool_says_why_it_cannot_be_recorded() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&["--task-id", "T1", "--status", "failed", "--timeout", "0"])).exits(0);
    drop(held);
    sandbox.write(".git/git-audit/spool/zz.json", "not what was kept");
    sandbox.audit(&["flush"]).exits(2);
    let held = sandbox.hold_lock();
    sandbox.audit(&best_effort(&["--task-id", "t1", "--status", "failed", "--timeout", "0"])).exits(0);
    drop(held);
    let flushed = sandbox.audit(&["flush", "--json"]).exits(2).json();
    let file = flushed["invalid"][0].as_str().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("differs only in case from `T1`"), "{file}");
}

#[test]
fn an_entry_waits_for_the_repository_that_git_dir_named() {
    let (meant, other) = (Sandbox::beside_code(), Sandbox::beside_code());
    let git_dir = meant.path(".git");
    fs::remove_dir_all(meant.path(".git/git-audit")).unwrap();
    meant.write(".git/git-audit", "in the way");
    let mut record = other.audit_command(&best_effort(&TASK));
    assert!(record.env("GIT_DIR", &git_dir).status().unwrap().success());
    other.record("t2", &[]);
    other.audit(&["flush"]).exits(0).says("run `git audit flush` there");
    assert_eq!(other.logged(&[]), ["t2"]);
    fs::remove_file(meant.path(".git/git-audit")).unwrap();
    let mut flush = other.audit_command(&["flush"]);
    assert!(flush.env("GIT_DIR", &git_dir).status().unwrap().success());
    assert_eq!(meant.logged(&[]), ["t1"]);
}
