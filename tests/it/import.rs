//! `git audit import`: many at once, safe to run again, and no bad entry costs a good one.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, entry, fixture_entries};

fn lines(ids: std::ops::Range<u32>) -> String {
    ids.map(|number| format!("{}\n", entry(&format!("task-{number:05}")))).collect()
}

#[test]
fn every_entry_becomes_one_commit_and_importing_again_changes_nothing() {
    for sandbox in [Sandbox::beside_code(), Sandbox::with_ledger()] {
        let file = sandbox.input("old.jsonl", lines(0..1200));
        let done = sandbox.audit(&["import", "--json", &file]).exits(0).json();
        assert_eq!((&done["schema"], &done["recorded"]), (&json!("git-audit/import/v1"), &json!(1200)));
        let branch = sandbox.git(&["config", "audit.branch"]);
        let tip = sandbox.git(&["rev-parse", branch.trim()]);
        assert_eq!(sandbox.git(&["rev-list", "--count", tip.trim()]).trim(), "1201");
        let added = sandbox.git(&[
            "log",
            "--format=",
            "--name-status",
            "-m",
            "--first-parent",
            &format!("{}~1200..{}", tip.trim(), tip.trim()),
        ]);
        assert_eq!(added.lines().filter(|line| line.starts_with("A\t")).count(), 1200);
        assert_eq!(added.lines().filter(|line| !line.is_empty()).count(), 1200);
        assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
        let shown = sandbox.audit(&["show", "--raw", "task-01100"]).exits(0).stdout;
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["task_id"], "task-01100");
        let again = sandbox.audit(&["import", "--json", &file]).exits(0).json();
        assert_eq!(
            (&again["recorded"], &again["skipped"], &again["differing"]),
            (&json!(0), &json!(1200), &json!(0))
        );
        assert_eq!(sandbox.git(&["rev-parse", branch.trim()]), tip);
    }
}

#[test]
fn the_commits_are_those_that_record_makes() {
    let (one, many) = (Sandbox::beside_code(), Sandbox::beside_code());
    let files = fixture_entries();
    for file in &files {
        one.audit(&["record", file]).exits(0);
    }
    let all: Vec<Value> =
        files.iter().map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap()).collect();
    let array = many.input("all.json", serde_json::to_string_pretty(&all).unwrap());
    many.audit(&["import", &array]).exits(0);
    assert_eq!(one.git(&["rev-parse", "audit"]), many.git(&["rev-parse", "audit"]));
}

#[test]
fn an_array_and_lines_are_read_alike_and_invalid_entries_are_named_by_line() {
    let good = |id: &str| entry(id).to_string();
    let array =
        format!("[\n{},\n{{\"task_id\": \"x\",\n \"status\": \"done\"}},\n{}\n]\n", good("a"), good("b"));
    let listed =
        format!("{}\n{{\"task_id\": \"x\", \"status\": \"done\"}}\n\n{}\nrubbish\n", good("a"), good("b"));
    for (text, refused) in [(array, vec![3]), (listed, vec![2, 5])] {
        let sandbox = Sandbox::beside_code();
        let done = sandbox.audit_with_input(&["import", "--json", "-"], &text).exits(2);
        let done = done.says("standard input:");
        let answer = done.json();
        assert_eq!((&answer["recorded"], &answer["invalid"]), (&json!(2), &json!(refused.len())));
        let named: Vec<_> =
            answer["refused"].as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect();
        assert_eq!(named, refused);
        let mut logged = sandbox.logged(&[]);
        logged.sort();
        assert_eq!(logged, ["a", "b"]);
    }
}

#[test]
fn ids_given_twice_are_recorded_once_and_other_content_is_named() {
    let sandbox = Sandbox::beside_code();
    let text = [
        json!({"task_id": "a", "status": "failed"}),
        json!({"task_id": "b", "status": "failed"}),
        json!({"task_id": "a", "status": "failed"}),
        json!({"task_id": "b", "status": "completed"}),
        json!({"task_id": "B", "status": "completed"}),
    ];
    let text: String = text.iter().map(|value| format!("{value}\n")).collect();
    let done = sandbox.audit_with_input(&["import", "--json", "-"], &text).exits(2);
    let done = done.says("standard input:4: b is recorded already, with other values in /status");
    let done = done.says("differs only in case");
    let answer = done.json();
    let counts = ["recorded", "skipped", "differing", "invalid"].map(|key| answer[key].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 1, 1]);
    sandbox
        .audit_with_input(&["import", "--strict", "-"], "{\"task_id\":\"a\",\"status\":\"rejected\"}")
        .exits(5);
}

#[test]
fn at_recorded_time_keeps_the_entries_own_times_as_author_dates() {
    let sandbox = Sandbox::beside_code();
    // An old row, without anything that says who did it.
    let rows = "[{\"task_id\":\"row-1\",\"status\":\"failed\",\"timestamp\":\"2019-05-06T07:08:09+02:00\"}]";
    sandbox.audit_with_input(&["import", "--at-recorded-time", "-"], rows).exits(0);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%at %ct", "audit"]).trim(), "1557119289 1795176000");
    sandbox
        .audit_with_input(
            &["import", "-"],
            "{\"task_id\":\"row-2\",\"status\":\"failed\",\"timestamp\":\"2019-05-06T07:08:09Z\"}",
        )
        .exits(0);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%at %ct", "audit"]).trim(), "1795176000 1795176000");
}

#[test]
fn a_time_that_git_does_not_know_is_no_damage() {
    let sandbox = Sandbox::beside_code();
    let rows = "{\"task_id\":\"row-1\",\"status\":\"failed\",\"timestamp\":\"1960-05-06T07:08:09Z\"}";
    sandbox.audit_with_input(&["import", "--at-recorded-time", "-"], rows).exits(0);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%at", "audit"]).trim(), "0");
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn a_ledger_is_made_only_when_asked_for() {
    let sandbox = Sandbox::with_code();
    let file = sandbox.input("old.jsonl", lines(0..3));
    sandbox.audit(&["import", &file]).exits(1).says("no audit ledger");
    sandbox.audit(&["import", "--init", &file]).exits(0).says("began a ledger on branch audit");
    sandbox.audit(&["import", "no-such-file"]).exits(2).says("cannot be read");
    sandbox.audit_with_input(&["import", "-"], "[]").exits(0);
    sandbox.audit_with_input(&["import", "-"], "").exits(2).says("is empty");
    sandbox.audit_with_input(&["import", "-"], "[{}").exits(2).says("the array does not end");
}

#[test]
fn an_import_that_is_killed_is_simply_run_again() {
    for sandbox in [Sandbox::beside_code(), Sandbox::with_ledger()] {
        let file = sandbox.input("old.jsonl", lines(0..2000));
        for pause_ms in [5, 40, 120, 300] {
            let mut import = sandbox
                .audit_command(&["import", &file])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(pause_ms));
            import.kill().unwrap();
            import.wait().unwrap();
        }
        let done = sandbox.audit(&["import", "--json", "--timeout", "60", &file]).exits(0).json();
        assert_eq!(done["recorded"].as_u64().unwrap() + done["skipped"].as_u64().unwrap(), 2000);
        assert_eq!(sandbox.audit(&["log", "--count"]).exits(0).stdout.trim(), "2000");
        assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn records_get_their_turn_while_an_import_runs() {
    let sandbox = Sandbox::beside_code();
    let file = sandbox.input("old.jsonl", lines(0..6000));
    let mut import = sandbox.audit_command(&["import", &file]).stdout(Stdio::null()).spawn().unwrap();
    let mut recorded = 0;
    while import.try_wait().unwrap().is_none() {
        sandbox.record(&format!("live-{recorded}"), &[]);
        recorded += 1;
    }
    assert!(import.wait().unwrap().success());
    assert_eq!(sandbox.audit(&["log", "--count"]).exits(0).stdout.trim(), (6000 + recorded).to_string());
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn an_import_whose_input_pauses_makes_nobody_wait() {
    use std::io::Write;
    let sandbox = Sandbox::beside_code();
    let mut import =
        sandbox.audit_command(&["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = import.stdin.take().unwrap();
    input.write_all(lines(0..300).as_bytes()).unwrap();
    input.flush().unwrap();
    for _ in 0..200 {
        if sandbox.audit(&["log", "--count"]).exits(0).stdout.trim() == "300" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    sandbox.record("live", &["--timeout", "10"]);
    input.write_all(lines(300..310).as_bytes()).unwrap();
    drop(input);
    assert!(import.wait_with_output().unwrap().status.success());
    assert_eq!(sandbox.audit(&["log", "--count"]).exits(0).stdout.trim(), "311");
}

#[test]
fn a_lock_that_is_held_for_a_moment_is_waited_for_and_a_failed_import_ends_at_once() {
    let sandbox = Sandbox::beside_code();
    let file = sandbox.input("old.jsonl", lines(0..50));
    let lock = sandbox.write(".git/refs/heads/audit.lock", "");
    let import = sandbox.audit_command(&["import", &file]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    fs::remove_file(&lock).unwrap();
    assert!(import.wait_with_output().unwrap().status.success());
    fs::write(&lock, "").unwrap();
    // Its input never ends.
    let mut import = sandbox
        .audit_command(&["import", "--timeout", "0.5", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, lines(50..60).as_bytes()).unwrap();
    assert_eq!(import.wait().unwrap().code(), Some(7));
    drop(input);
}

#[test]
fn an_import_first_completes_what_an_interrupted_record_left() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &[]);
    // As a record leaves it that is killed between the index and the branch.
    let text = sandbox.audit(&["show", "--raw", "t1"]).stdout.replace("\"t1\"", "\"left\"");
    sandbox.write(".audit/tasks/left.json", &text);
    sandbox.git(&["add", ".audit/tasks/left.json"]);
    sandbox.write(".git/git-audit/pending/left", ".audit/tasks/left.json");
    sandbox.audit_with_input(&["import", "-"], lines(0..3)).exits(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert!(sandbox.logged(&[]).contains(&"left".to_owned()));
}
