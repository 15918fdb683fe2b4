//! Journals under many writers, kills, torn lines, full disks, and what somebody may put in their place.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

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

/// Whether there is such a program here; says so where a test must do without.
fn has(program: &str) -> bool {
    let is_there =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_there = is_there.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("skipped: there is no `{program}`");
    }
    is_there
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
fn a_finish_that_is_killed_at_any_call_is_finished_by_the_next_one() {
    if !has("strace") {
        return;
    }
    let sandbox = Sandbox::beside_code();
    let mut finished = 0;
    let mut kills = 0;
    for call in ["pwrite64", "fdatasync", "fsync", "rename", "unlink"] {
        for when in 1..40 {
            let task_id = format!("{call}-{when}");
            sandbox.audit(&["start", &task_id, "--pid", "999999999", "--title", &task_id]).exits(0);
            sandbox.audit(&["event", &task_id, "x"]).exits(0);
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let mut strace = sandbox.command("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
            strace.arg(env!("CARGO_BIN_EXE_git-audit"));
            let done = run(strace.args(["finish", &task_id, "--status", "completed", "--error", "e"]));
            if done.stderr.contains("strace:") {
                eprintln!("skipped: strace cannot trace or inject here");
                return;
            }
            let is_killed = done.code != 0;
            kills += usize::from(is_killed);
            if let Ok(lock) = File::open(sandbox.path(".git/refs/heads/audit.lock")) {
                // Nobody has to wait until it is stale.
                lock.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
            }
            let path = journal(&sandbox, &task_id);
            if path.exists() {
                let is_closed = fs::read_to_string(&path).unwrap().contains("\"record\":\"finish\"");
                // In turn: the same words again, none where the end was said, and whatever is lost.
                match (kills % 3, is_closed) {
                    (0, _) => sandbox.audit(&["finish", "--lost"]).exits(0),
                    (1, true) => sandbox.audit(&["finish", &task_id]).exits(0),
                    _ => {
                        sandbox.audit(&["finish", &task_id, "--status", "completed", "--error", "e"]).exits(0)
                    }
                };
            }
            assert!(!path.exists(), "{task_id}");
            let entry = stored(&sandbox, &task_id);
            assert_eq!(
                event_types(&entry),
                ["task_start", "x", "execute_error", "task_complete"],
                "{task_id}"
            );
            finished += 1;
            if !is_killed {
                break;
            }
        }
    }
    assert!(kills >= 10, "only {kills} calls were reached");
    let ids = sandbox.logged(&[]);
    assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>().len()), (finished, finished));
    assert!(!sandbox.path(".git/git-audit/set-aside/journal").exists());
}

#[test]
fn a_ledger_that_cannot_take_the_entry_leaves_the_journal_for_later() {
    let finish = ["finish", "t1", "--status", "completed", "--timeout", "0"];
    // The writers' lock is held.
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let held = sandbox.hold_lock();
    sandbox.audit(&finish).exits(7).says("busy");
    assert!(journal(&sandbox, "t1").exists());
    drop(held);
    sandbox.audit(&finish).exits(0);
    // There is no ledger any more; the branch is broken.
    for damage in ["", "garbage\n"] {
        let sandbox = Sandbox::beside_code();
        begin(&sandbox, "t1");
        let branch = sandbox.path(".git/refs/heads/audit");
        let whole = fs::read(&branch).unwrap();
        if damage.is_empty() {
            fs::remove_file(&branch).unwrap()
        } else {
            fs::write(&branch, damage).unwrap()
        };
        let done = sandbox.audit(&finish).exits(1);
        assert!(done.stderr.contains("audit") && done.stdout.is_empty(), "{}", done.stderr);
        sandbox.audit(&["event", "t1", "x"]).exits(1).says("being finished");
        assert!(journal(&sandbox, "t1").exists());
        fs::write(&branch, whole).unwrap();
        sandbox.audit(&finish).exits(0);
        assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "task_complete"]);
    }
}

#[test]
fn with_best_effort_an_entry_that_cannot_be_recorded_waits_in_the_spool() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    sandbox.audit(&["event", "t1", "x"]).exits(0);
    let held = sandbox.hold_lock();
    let finish = ["finish", "t1", "--status", "failed", "--best-effort", "--timeout", "0"];
    sandbox.audit(&finish).exits(0).says("the entry waits in");
    assert!(!journal(&sandbox, "t1").exists());
    assert_eq!(fs::read_dir(sandbox.path(".git/git-audit/spool")).unwrap().count(), 1);
    drop(held);
    assert_eq!(sandbox.audit(&["flush", "--json"]).exits(0).json()["recorded"], json!(["t1"]));
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "x", "task_complete"]);
}

#[test]
fn an_entry_that_somebody_else_recorded_meanwhile_stands_and_the_journal_is_kept() {
    for strict in [false, true] {
        let sandbox = Sandbox::beside_code();
        begin(&sandbox, "t1");
        sandbox.audit(&["event", "t1", "mine"]).exits(0);
        sandbox.record("t1", &["--title", "theirs"]);
        let flags: &[&str] = if strict { &["--strict"] } else { &[] };
        let done = sandbox.audit(&[&["finish", "t1", "--status", "failed"], flags].concat());
        let done = done.exits(if strict { 5 } else { 0 }).says("recorded already, with other values");
        let (_, aside) = done.stderr.split_once("the journal was moved to ").unwrap();
        let kept = fs::read_to_string(aside.lines().next().unwrap()).unwrap();
        assert!(kept.contains("\"mine\"") && !journal(&sandbox, "t1").exists());
        assert_eq!(stored(&sandbox, "t1")["title"], "theirs");
    }
}

#[test]
fn many_that_finish_one_task_at_once_record_it_once() {
    let sandbox = Sandbox::beside_code();
    for round in 0..5 {
        let task_id = format!("t{round}");
        sandbox.audit(&["start", &task_id, "--pid", "999999999"]).exits(0);
        let children: Vec<_> = (0..8)
            .map(|number| match number % 2 {
                0 => sandbox.start(&["finish", &task_id, "--status", "failed"]),
                _ => sandbox.start(&["finish", "--lost"]),
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let is_fine = output.status.success() || said.contains("it is recorded");
            assert!(is_fine, "{said}");
        }
        assert!(!journal(&sandbox, &task_id).exists());
        let types = event_types(&stored(&sandbox, &task_id));
        assert_eq!(
            (types.first().unwrap().as_str(), types.last().unwrap().as_str()),
            ("task_start", "task_complete")
        );
        assert!(types.iter().filter(|kind| *kind == "task_complete").count() == 1, "{types:?}");
    }
    assert_eq!(sandbox.logged(&[]).len(), 5);
}

#[test]
fn an_event_beside_a_finish_is_in_the_entry_or_refused() {
    let sandbox = Sandbox::beside_code();
    for round in 0..6 {
        let task_id = format!("t{round}");
        begin(&sandbox, &task_id);
        let children: Vec<_> = (0..6).map(|_| sandbox.start(&["event", &task_id, "x", "--json"])).collect();
        thread::sleep(Duration::from_millis(round * 3));
        let finish = sandbox.start(&["finish", &task_id, "--status", "completed"]);
        let again = sandbox.start(&["start", &task_id, "--pid", "none"]);
        let acknowledged = children.into_iter().filter_map(|child| {
            let answer: Option<Value> =
                serde_json::from_slice(&child.wait_with_output().unwrap().stdout).ok();
            answer?["seq"].as_u64()
        });
        let acknowledged: Vec<_> = acknowledged.collect();
        assert!(finish.wait_with_output().unwrap().status.success());
        again.wait_with_output().unwrap();
        // Whether or not it was begun once more in between, it is not running now.
        assert!(!journal(&sandbox, &task_id).exists());
        let types = event_types(&stored(&sandbox, &task_id));
        assert_eq!(types.len(), acknowledged.len() + 2);
        assert!(acknowledged.iter().all(|seq| types[usize::try_from(*seq).unwrap() - 1] == "x"));
    }
}

#[test]
fn thousands_of_steps_and_artifacts_are_taken_down_in_passing() {
    const ITEMS: usize = 3000;
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let steps: String = (0..ITEMS)
        .map(|number| {
            format!(
                "{{\"type\":\"step_result\",\"metadata\":{{\"step_id\":\"s{number}\",\"success\":true}}}}\n"
            )
        })
        .collect();
    sandbox.audit_with_input(&["event", "t1", "-"], steps).exits(0);
    let mut file = OpenOptions::new().append(true).open(journal(&sandbox, "t1")).unwrap();
    for number in 0..ITEMS {
        let artifact = json!({"ref_type": "pr", "ref_value": number.to_string()});
        writeln!(file, "{{\"seq\":1,\"record\":\"artifact\",\"artifact\":{artifact}}}").unwrap();
    }
    sandbox.audit(&["artifact", "t1", "pr", "7"]).exits(2);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (entry["steps"].as_array().unwrap().len(), entry["artifacts"].as_array().unwrap().len()),
        (ITEMS, ITEMS)
    );
}

/// Events, one a line, whose texts are so long.
fn lines(count: usize, length: usize) -> String {
    let text = "x".repeat(length);
    (0..count)
        .map(|number| {
            format!("{}\n", json!({"type": "x", "metadata": {"message": format!("{number} {text}")}}))
        })
        .collect()
}

#[test]
fn a_story_that_is_too_long_for_one_entry_goes_on_in_parts_and_loses_nothing() {
    const EVENTS: usize = 60;
    let sandbox = Sandbox::beside_code();
    for task_id in ["t1", &"t".repeat(128)] {
        sandbox.audit(&["start", task_id, "--pid", "none", "--plan", "p", "--agent", "bot"]).exits(0);
        sandbox.audit_with_input(&["event", task_id, "-"], lines(EVENTS, 50_000)).exits(0);
        sandbox.audit(&["artifact", task_id, "tag", "v1"]).exits(0);
        let before = sandbox.git(&["rev-list", "--count", "audit"]);
        let done = sandbox.audit(&["finish", task_id, "--status", "completed", "--format", "jsonl"]).exits(0);
        let ids: Vec<_> = done
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["task_id"].as_str().unwrap().to_owned())
            .collect();
        assert!(ids.len() > 2 && ids[0] == task_id, "{ids:?}");
        let after = sandbox.git(&["rev-list", "--count", "audit"]);
        let count = |text: &str| text.trim().parse::<usize>().unwrap();
        assert_eq!(count(&after) - count(&before), ids.len());
        let entries: Vec<_> = ids.iter().map(|id| stored(&sandbox, id)).collect();
        assert_eq!(entries[0]["metadata"]["parts"], ids.len());
        let events: Vec<_> = entries
            .iter()
            .flat_map(|entry| entry["events"].as_array().cloned().unwrap_or_default())
            .collect();
        assert_eq!(event_types(&json!({ "events": events })).len(), EVENTS + 2);
        for (number, event) in events[1..=EVENTS].iter().enumerate() {
            assert!(event["metadata"]["message"].as_str().unwrap().starts_with(&format!("{number} x")));
        }
        for (index, entry) in entries.iter().enumerate().skip(1) {
            assert_eq!((&entry["plan_id"], &entry["status"]), (&json!("p"), &json!("completed")));
            assert_eq!(entry["metadata"], json!({"continues": task_id, "part": index + 1}));
        }
        assert!(!journal(&sandbox, task_id).exists());
    }
    let listed = sandbox.audit(&["events", "--plan", "p", "--count"]).exits(0).stdout;
    assert_eq!(listed.trim(), (2 * (EVENTS + 2)).to_string());
}

#[test]
fn ten_thousand_events_take_little_memory_and_are_all_there() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    sandbox.audit_with_input(&["event", "t1", "-"], lines(10_000, 40)).exits(0);
    let size = fs::metadata(journal(&sandbox, "t1")).unwrap().len();
    assert!((1_000_000..4_000_000).contains(&size));
    // As `run` measures it.
    let measured = Sandbox::beside_code();
    let finish = ["finish", "t1", "--status", "completed", "-C"];
    let place = sandbox.path("");
    let run_it = [
        &["run", "--task-id", "m", "--", env!("CARGO_BIN_EXE_git-audit")],
        &finish[..],
        &[place.to_str().unwrap()],
    ];
    measured.audit(&run_it.concat()).exits(0);
    let used = &stored(&measured, "m")["execution_result"]["resources_used"]["max_rss_bytes"];
    assert!(used.as_u64().unwrap() < 100 << 20, "{used}");
    let listed = sandbox.audit(&["events", "--count"]).exits(0).stdout;
    assert_eq!(listed.trim(), "10002");
}

#[test]
fn a_story_that_no_entry_can_hold_is_refused_before_it_is_closed_and_keeps_no_other() {
    let sandbox = Sandbox::beside_code();
    let fields = |number: u32, length: usize| json!({format!("k{number}"): "x".repeat(length)}).to_string();
    for number in 0..11 {
        let metadata = fields(number, 100_000);
        sandbox.audit(&["start", "t1", "--pid", "999999999", "--metadata", &metadata]).exits(0);
    }
    sandbox.audit(&["start", "t2", "--pid", "999999999"]).exits(0);
    let tip = sandbox.git(&["rev-parse", "audit"]);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(2).says("give it smaller fields");
    assert_eq!(sandbox.git(&["rev-parse", "audit"]), tip);
    sandbox.audit(&["finish", "--lost"]).exits(2).says("task t1 is not recorded").says("smaller fields");
    assert_eq!(sandbox.logged(&[]), ["t2"]);
    sandbox.audit(&["event", "t1", "x"]).exits(0);
    sandbox.audit(&["finish", "t1", "--status", "completed", "--metadata", &fields(0, 1)]).exits(0);
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "x", "task_complete"]);
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
