//! Journals under many writers, kills, torn lines, full disks, and what somebody may put in their place.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::journal::{begin, event_types, journal, stored};
use crate::sandbox::{Sandbox, run};

/// Ends the task, and gives the `metadata.message` of its events between the first and the last one.
#[track_caller]
fn messages(sandbox: &Sandbox, task_id: &str) -> Vec<String> {
    sandbox.audit(&["finish", task_id, "--status", "completed"]).exits(0);
    let entry = stored(sandbox, task_id);
    let types = event_types(&entry);
    let events = &entry["events"].as_array().unwrap()[1..types.len() - 1];
    events.iter().map(|event| event["metadata"]["message"].as_str().unwrap_or("").to_owned()).collect()
}

/// How many events the running task has.
#[track_caller]
fn events_so_far(sandbox: &Sandbox, task_id: &str) -> usize {
    let answer = sandbox.audit(&["tasks", task_id, "--json"]).exits(0).json();
    answer["tasks"][0]["events"].as_array().unwrap().len()
}

#[test]
fn twenty_processes_lose_and_mix_nothing() {
    const PROCESSES: usize = 20;
    const EVENTS: usize = 5;
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "shared");
    thread::scope(|scope| {
        for process in 0..PROCESSES {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let own = format!("own-{process}");
                begin(sandbox, &own);
                for number in 0..EVENTS {
                    let said = format!("{process}.{number}");
                    let children = [own.as_str(), "shared"]
                        .map(|task| sandbox.start(&["event", task, "x", "--message", &said, "--json"]));
                    for child in children {
                        assert!(child.wait_with_output().unwrap().status.success());
                    }
                }
            });
        }
    });
    for process in 0..PROCESSES {
        let expected: Vec<_> = (0..EVENTS).map(|number| format!("{process}.{number}")).collect();
        assert_eq!(messages(&sandbox, &format!("own-{process}")), expected);
    }
    let shared = messages(&sandbox, "shared");
    let all: BTreeSet<_> = (0..PROCESSES)
        .flat_map(|process| (0..EVENTS).map(move |number| format!("{process}.{number}")))
        .collect();
    assert_eq!(shared.len(), PROCESSES * EVENTS);
    assert_eq!(shared.into_iter().collect::<BTreeSet<_>>(), all);
}

#[test]
fn twenty_processes_that_begin_one_task_begin_it_once() {
    let sandbox = Sandbox::beside_code();
    let children: Vec<_> =
        (0..20).map(|_| sandbox.start(&["start", "t1", "--pid", "none", "--json"])).collect();
    let outcomes = children.into_iter().map(|child| {
        let output = child.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["outcome"].as_str().unwrap().to_owned()
    });
    assert_eq!(outcomes.filter(|outcome| outcome == "started").count(), 1);
    assert_eq!(messages(&sandbox, "t1"), [""; 0]);
}

#[test]
fn a_last_line_that_was_torn_anywhere_costs_none_before_it() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    sandbox.audit(&["event", "t1", "kept", "--message", "one"]).exits(0);
    let path = journal(&sandbox, "t1");
    let before = fs::read(&path).unwrap();
    sandbox.audit(&["event", "t1", "torn", "--message", "é {}"]).exits(0);
    let whole = fs::read(&path).unwrap();
    for length in before.len()..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(events_so_far(&sandbox, "t1"), 2, "at {length}");
        assert_eq!(sandbox.audit(&["event", "t1", "next"]).exits(0).stdout, "event 3 of t1\n", "at {length}");
        let after = fs::read_to_string(&path).unwrap();
        let added = after.strip_prefix(std::str::from_utf8(&before).unwrap()).unwrap();
        assert!(added.starts_with("{\"seq\":3,") && added.lines().count() == 1, "at {length}: {added}");
    }
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "kept", "next", "task_complete"]);
}

#[test]
fn a_first_line_that_was_torn_anywhere_was_never_a_task() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let path = journal(&sandbox, "t1");
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for length in [0, 1, first / 2, first] {
        fs::write(&path, &whole[..length]).unwrap();
        sandbox.audit(&["event", "t1", "x"]).exits(1).says("not running");
        assert_eq!(sandbox.audit(&["tasks"]).exits(0).stdout, "");
        sandbox.audit(&["finish", "t1", "--status", "failed"]).exits(1).says("not running");
        assert_eq!(sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0).stdout, "started t1\n");
        assert_eq!(fs::read(&path).unwrap(), whole, "at {length}");
    }
}

#[test]
fn nul_bytes_that_a_power_cut_left_at_the_end_are_overwritten() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let path = journal(&sandbox, "t1");
    for length in [1, 4096, 100_000] {
        let size = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size + length).unwrap();
        sandbox.audit(&["event", "t1", "x"]).exits(0);
        assert!(!fs::read(&path).unwrap().contains(&0));
    }
    assert_eq!(messages(&sandbox, "t1").len(), 3);
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_journal_is_kept() {
    for damaged in [0, 1, 2] {
        let sandbox = Sandbox::beside_code();
        begin(&sandbox, "t1");
        sandbox.audit(&["event", "t1", "one"]).exits(0);
        sandbox.audit(&["event", "t1", "two"]).exits(0);
        let path = journal(&sandbox, "t1");
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.insert(damaged, "\u{fffd}not a line");
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        sandbox.audit(&["event", "t1", "three"]).exits(0);
        assert_eq!(events_so_far(&sandbox, "t1"), 4);
        sandbox
            .audit(&["finish", "t1", "--status", "completed"])
            .exits(0)
            .says(&format!("cannot be read are not in the entry: {}", damaged + 1))
            .says("set-aside/journal/t1.jsonl.1");
        assert_eq!(
            event_types(&stored(&sandbox, "t1")),
            ["task_start", "one", "two", "three", "task_complete"]
        );
    }
}

#[test]
fn a_journal_that_lost_its_first_line_is_taken_up_by_the_next_start_and_kept() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    sandbox.audit(&["event", "t1", "one"]).exits(0);
    let path = journal(&sandbox, "t1");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"[[", 0).unwrap();
    sandbox.audit(&["event", "t1", "two"]).exits(1).says("not running");
    assert_eq!(sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0).stdout, "started t1\n");
    sandbox.audit(&["event", "t1", "three"]).exits(0);
    sandbox
        .audit(&["finish", "t1", "--status", "completed"])
        .exits(0)
        .says("entry: 1, 2, 3")
        .says("set-aside/journal/t1.jsonl.1");
    assert!(stored(&sandbox, "t1")["events"].to_string().contains("three"));
}

#[test]
fn a_number_that_cannot_be_followed_is_an_error() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let mut file = OpenOptions::new().append(true).open(journal(&sandbox, "t1")).unwrap();
    let event = json!({"type": "x", "at": "2026-11-20T12:00:00Z"});
    writeln!(file, "{{\"seq\":{},\"record\":\"event\",\"event\":{event}}}", u64::MAX).unwrap();
    sandbox.audit(&["event", "t1", "x"]).exits(1).says("number the events in");
}

#[test]
fn what_is_no_journal_is_never_followed_and_does_not_hide_the_others() {
    type Plant = fn(&Path, &Path);
    let plants: [Plant; 4] = [
        |path, target| symlink(target, path).unwrap(),
        |path, target| symlink(target.with_extension("absent"), path).unwrap(),
        |path, _| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        |path, _| fs::create_dir(path).unwrap(),
    ];
    for plant in plants {
        let sandbox = Sandbox::beside_code();
        begin(&sandbox, "t1");
        let own = fs::read_to_string(journal(&sandbox, "t1")).unwrap();
        let target = PathBuf::from(sandbox.input("target", own.replace("\"t1\"", "\"t2\"")));
        let untouched = fs::read(&target).unwrap();
        plant(&journal(&sandbox, "t2"), &target);
        for command in [
            &["start", "t2"][..],
            &["event", "t2", "x"],
            &["artifact", "t2", "tag", "v"],
            &["finish", "t2", "--status", "failed"],
        ] {
            let done = sandbox.audit(command).exits(1);
            assert_eq!(done.stdout, "");
        }
        assert_eq!(sandbox.audit(&["tasks"]).exits(0).stdout.lines().count(), 2);
        sandbox.audit(&["finish", "--lost"]).exits(0);
        // The command runs all the same.
        let done = sandbox.audit(&["run", "--task-id", "t2", "--no-ci", "--", "echo", "hi"]).exits(0);
        assert_eq!(done.stdout, "hi\n");
        assert!(done.stderr.contains("what happens is recorded only at the end"), "{}", done.stderr);
        assert_eq!(fs::read(&target).unwrap(), untouched);
        assert!(!target.with_extension("absent").exists());
    }
}

#[test]
fn every_event_that_was_acknowledged_survives_kills_of_others() {
    const WRITERS: u64 = 4;
    const KILLS: u32 = 25;
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let acknowledged: Vec<(u64, String)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    let mut heard = Vec::new();
                    for number in 0..KILLS {
                        let said = format!("{writer}.{number} {}", "x".repeat(3000));
                        let mut child = sandbox.start(&["event", "t1", "x", "--message", &said, "--json"]);
                        thread::sleep(Duration::from_micros(u64::from(number * 977 % 25) * 1000));
                        child.kill().unwrap();
                        let output = child.wait_with_output().unwrap();
                        if let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) {
                            heard.push((answer["seq"].as_u64().unwrap(), said));
                        }
                    }
                    heard
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let numbers: BTreeSet<_> = acknowledged.iter().map(|(seq, _)| seq).collect();
    assert_eq!(numbers.len(), acknowledged.len(), "a number was given twice");
    let all = messages(&sandbox, "t1");
    for (seq, said) in &acknowledged {
        assert_eq!(&all[usize::try_from(*seq).unwrap() - 2], said);
    }
}

#[test]
fn a_full_disk_takes_no_part_of_an_event() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let path = journal(&sandbox, "t1");
    let before = fs::read(&path).unwrap();
    let long = "x".repeat(100_000);
    // No file may grow beyond so many KiB: the write ends in the middle, once with an error, once with a signal.
    for (trap, code) in [("trap '' XFSZ;", 1), ("", 128 + 25)] {
        let limited = format!("{trap} ulimit -f 40; git-audit event t1 x --message {long}; exit $?");
        let done = run(sandbox.command("bash").args(["-c", &limited]));
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{}", done.stderr);
        let now = fs::read(&path).unwrap();
        assert!(now.starts_with(&before));
        assert_eq!(now.len() == before.len(), code == 1, "an error leaves nothing behind");
    }
    sandbox.audit(&["event", "t1", "next", "--message", "next"]).exits(0);
    assert_eq!(messages(&sandbox, "t1"), ["next"]);
}

#[test]
fn a_journal_that_others_hold_is_waited_for_within_the_deadline() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let held = File::open(journal(&sandbox, "t1")).unwrap();
    held.lock().unwrap();
    for command in [
        &["event", "t1", "x"][..],
        &["artifact", "t1", "tag", "v"],
        &["start", "t1"],
        &["finish", "t1", "--status", "failed"],
    ] {
        sandbox.audit(&[command, &["--timeout", "0.1"]].concat()).exits(7).says("the journal of task t1");
    }
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("t1"));
    let child = sandbox.start(&["event", "t1", "x"]);
    drop(held);
    assert!(child.wait_with_output().unwrap().status.success());
}
