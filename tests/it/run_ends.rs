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
