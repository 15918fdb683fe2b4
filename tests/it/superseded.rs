//! Entries that correct a task which the ledger does not have: whoever records them is told, and `verify` finds them until
//! that task is recorded.

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, entry};

fn correction(task_id: &str, supersedes: &str) -> Value {
    let mut correction = entry(task_id);
    correction["supersedes"] = supersedes.into();
    correction
}

fn lines(entries: &[Value]) -> String {
    entries.iter().map(|entry| format!("{entry}\n")).collect()
}

/// Fails the test unless there is a warning about each of these, and about nothing else.
#[track_caller]
fn warns(run: &Run, expected: &[(&str, &str)]) {
    let told: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let line = |(id, other): &(&str, &str)| {
        format!("warning: {id} supersedes {other}, which the ledger does not have")
    };
    assert_eq!(told, expected.iter().map(line).collect::<Vec<_>>(), "{}", run.stderr);
    if let Some((_, other)) = expected.first() {
        let hint = format!("hint: record {other} too, or `git audit verify` will have a finding\n");
        assert!(run.stderr.contains(&hint), "{}", run.stderr);
    }
}

#[test]
fn a_record_that_corrects_an_unknown_task_is_made_and_told() {
    let sandbox = Sandbox::beside_code();
    let done = sandbox.record("fix", &["--supersedes", "nowhere", "--json"]);
    assert_eq!(done.json()["outcome"], "recorded");
    warns(&done, &[("fix", "nowhere")]);
    let found = sandbox.audit(&["verify", "--json"]).exits(3).json();
    assert_eq!(found["finding_counts"], json!({"supersedes-unknown": 1}));
    // In other letters it is another task.
    sandbox.record("there", &[]);
    warns(&sandbox.record("fix-2", &["--supersedes", "THERE"]), &[("fix-2", "THERE")]);
    warns(&sandbox.record("fix-3", &["--supersedes", "there"]), &[]);
    // What is recorded already is not told again.
    warns(&sandbox.record("fix", &["--supersedes", "nowhere"]), &[]);
}

#[test]
fn the_missing_task_that_is_recorded_later_mends_it() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("fix", &["--supersedes", "late"]);
    sandbox.audit(&["verify"]).exits(3);
    warns(&sandbox.record("late", &[]), &[]);
    sandbox.audit(&["verify"]).exits(0);
}

#[test]
fn what_comes_in_one_input_is_looked_up_at_its_end() {
    for command in [["record", "-"], ["import", "-"]] {
        let sandbox = Sandbox::beside_code();
        let input =
            lines(&[correction("b", "a"), entry("a"), correction("c", "nowhere"), correction("d", "b")]);
        warns(&sandbox.audit_with_input(&command, input).exits(0), &[("c", "nowhere")]);
    }
}

#[test]
fn very_many_are_counted() {
    let sandbox = Sandbox::beside_code();
    let input: Vec<_> = (0..1300).map(|number| correction(&format!("t-{number}"), "nowhere")).collect();
    for (command, input) in [("record", &input[..20]), ("import", &input[20..])] {
        let done = sandbox.audit_with_input(&[command, "-"], lines(input)).exits(0);
        let told = done.stderr.lines().filter(|line| line.ends_with("which the ledger does not have"));
        assert_eq!(told.count(), 10, "{}", done.stderr);
        let more = input.len() - 10;
        assert!(done.stderr.contains(&format!("up to {more} more entries")), "{}", done.stderr);
    }
}

#[test]
fn finish_and_run_tell_it_too() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["start", "work", "--pid", "none"]).exits(0);
    let done =
        sandbox.audit(&["finish", "work", "--status", "completed", "--supersedes", "nowhere"]).exits(0);
    warns(&done, &[("work", "nowhere")]);
    let done = sandbox.audit(&["run", "--task-id", "ran", "--supersedes", "nowhere", "--", "true"]).exits(0);
    warns(&done, &[("ran", "nowhere")]);
}

#[test]
fn what_waits_in_the_spool_is_not_judged() {
    let sandbox = Sandbox::new();
    let done = sandbox.audit(&[
        "record",
        "--best-effort",
        "--task-id",
        "fix",
        "--status",
        "failed",
        "--supersedes",
        "no",
    ]);
    assert!(!done.exits(0).stderr.contains("supersedes"));
}
