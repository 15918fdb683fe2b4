//! The end of a task: `finish` that is killed, raced, refused, or has more to say than one entry holds.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::journal::{begin, event_types, journal, stored};
use crate::sandbox::{Sandbox, run};

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
            sandbox.start_lost(&task_id, &["--title", &task_id]);
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
        sandbox.start_lost(&task_id, &[]);
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
        sandbox.start_lost("t1", &["--metadata", &metadata]);
    }
    sandbox.start_lost("t2", &[]);
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
fn a_task_that_is_taken_over_at_the_last_moment_is_not_lost() {
    let sandbox = Sandbox::beside_code();
    sandbox.start_lost("t1", &[]);
    let path = journal(&sandbox, "t1");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.lock().unwrap();
    let finish = sandbox.start(&["finish", "--lost"]);
    thread::sleep(Duration::from_millis(300));
    // As `start --pid none` writes it.
    file.write_all(b"{\"seq\":1,\"record\":\"resume\",\"owner\":null,\"fields\":{}}\n").unwrap();
    file.unlock().unwrap();
    assert!(finish.wait_with_output().unwrap().status.success());
    assert_eq!(sandbox.logged(&[]), Vec::<String>::new());
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("open"));
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
}

#[test]
fn two_that_finish_what_is_lost_do_not_disturb_each_other() {
    let sandbox = Sandbox::beside_code();
    let tasks: Vec<_> = (0..12).map(|number| format!("t{number}")).collect();
    for task_id in &tasks {
        sandbox.start_lost(task_id, &[]);
    }
    let finishing: Vec<_> = (0..3).map(|_| sandbox.start(&["finish", "--lost"])).collect();
    for finish in finishing {
        let done = finish.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(sandbox.logged(&[]).len(), tasks.len());
    assert!(tasks.iter().all(|task_id| !journal(&sandbox, task_id).exists()));
}

#[test]
fn a_journal_of_another_version_is_named_and_stops_no_other() {
    let sandbox = Sandbox::beside_code();
    for task_id in ["new", "old"] {
        sandbox.start_lost(task_id, &[]);
    }
    let path = journal(&sandbox, "new");
    let text = fs::read_to_string(&path).unwrap().replace("git-audit/journal/v1", "git-audit/journal/v9");
    fs::write(&path, &text).unwrap();
    let shown = sandbox.audit(&["tasks"]).exits(1).says("task new is not shown").says("git-audit/journal/v9");
    assert!(shown.stdout.contains("old") && !shown.stdout.contains("new"), "{}", shown.stdout);
    sandbox.audit(&["event", "new", "x"]).exits(1).says("git-audit/journal/v9");
    sandbox.audit(&["finish", "--lost"]).exits(1).says("task new is not recorded");
    assert_eq!(sandbox.logged(&[]), ["old"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_task_whose_entry_waits_in_the_spool_is_over() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let held = sandbox.hold_lock();
    let finish = ["finish", "t1", "--status", "completed", "--best-effort", "--timeout", "0"];
    sandbox.audit(&finish).exits(0).says("waits in");
    drop(held);
    for command in [&["start", "t1"][..], &["event", "t1", "x"]] {
        sandbox.audit(command).exits(1).says("waits in the spool").says("git audit flush");
    }
    assert!(!journal(&sandbox, "t1").exists());
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(stored(&sandbox, "t1")["status"], "completed");
}

#[test]
fn what_a_killed_start_left_does_not_stand_in_the_way() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "other");
    fs::write(journal(&sandbox, "Deploy"), "").unwrap();
    begin(&sandbox, "deploy");
    sandbox.audit(&["finish", "deploy", "--status", "completed"]).exits(0);
}
