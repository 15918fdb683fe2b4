//! A running task: `start`, `event`, `artifact`, `finish`, `tasks`, and the entry that comes out. What goes wrong on
//! the way is in `journal_faults.rs`, and the end in `journal_end.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{NOW, Run, Sandbox, run};

/// Begins a task that belongs to no process.
#[track_caller]
pub fn begin(sandbox: &Sandbox, task_id: &str) {
    sandbox.audit(&["start", task_id, "--pid", "none"]).exits(0);
}

/// The file of a task's journal.
pub fn journal(sandbox: &Sandbox, task_id: &str) -> PathBuf {
    sandbox.path(&format!(".git/git-audit/journal/{task_id}.jsonl"))
}

/// The stored entry.
#[track_caller]
pub fn stored(sandbox: &Sandbox, task_id: &str) -> Value {
    sandbox.audit(&["show", "--raw", task_id]).exits(0).json()
}

/// The types of an entry's events, whose numbers must be 1, 2, 3 and so on.
#[track_caller]
pub fn event_types(entry: &Value) -> Vec<String> {
    let events = entry["events"].as_array().unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// The commits of the ledger's branch that are entries.
fn entries(sandbox: &Sandbox) -> usize {
    sandbox.git(&["log", "--format=%s", "audit", "--grep=^Audit-Task: "]).lines().count()
}

#[test]
fn a_task_from_start_to_finish_becomes_one_entry() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("before", &[]);
    let at = |second: u32, arguments: &[&str]| {
        let mut command = sandbox.audit_command(arguments);
        run(command.env("GIT_AUDIT_TEST_NOW", format!("2026-11-20T12:00:{second:02}Z"))).exits(0)
    };
    let start = ["start", "t1", "--title", "first", "--plan", "p", "--agent", "bot", "--service", "web"];
    at(1, &[&start[..], &["--session", "s", "--supersedes", "before", "--metadata", r#"{"a":1}"#]].concat());
    at(2, &["event", "t1", "phase_started", "--message", "building", "--data", r#"{"phase":3}"#]);
    at(3, &["artifact", "t1", "pr", "17", "--repo-id", "shop", "--summary", "raise the limit"]);
    at(4, &["event", "t1", "step_result", "--data", r#"{"step_id":"s1","success":true}"#]);
    let push = ["event", "t1", "repo_push_error", "--repo-id", "shop", "--message", "hung up"];
    at(5, &[&push[..], &["--commit", "0123456789abcdef0123456789abcdef01234567", "--file", "a.c"]].concat());
    let end = ["finish", "t1", "--status", "failed", "--error", "boom", "--title", "last", "--service", "db"];
    at(6, &[&end[..], &["--service", "web", "--worker", "w", "--metadata", r#"{"b":2}"#]].concat());

    let time = |second: u32| format!("2026-11-20T12:00:{second:02}Z");
    let expected = json!({
        "schema": "git-audit/entry/v1",
        "task_id": "t1",
        "status": "failed",
        "title": "last",
        "error_message": "boom",
        "plan_id": "p",
        "dispatch_info": {"agent_id": "bot"},
        "execution_result": {
            "services_touched": ["web", "db"], "start_time": time(1), "end_time": time(6),
        },
        "context": {"session_id": "s", "worker_id": "w"},
        "steps": [{"step_id": "s1", "success": true}],
        "events": [
            {"seq": 1, "type": "task_start", "at": time(1)},
            {"seq": 2, "type": "phase_started", "at": time(2), "metadata": {"message": "building", "phase": 3}},
            {"seq": 3, "type": "repo_push_error", "at": time(5), "repo_id": "shop", "operation": "push",
             "commit_hash": "0123456789abcdef0123456789abcdef01234567", "files_changed": ["a.c"], "error_message": "hung up"},
            {"seq": 4, "type": "execute_error", "at": time(6), "level": "error", "error_message": "boom"},
            {"seq": 5, "type": "task_complete", "at": time(6), "status": "failed"},
        ],
        "artifacts": [{"repo_id": "shop", "ref_type": "pr", "ref_value": "17", "summary": "raise the limit", "created_at": time(3)}],
        "supersedes": "before",
        "metadata": {"a": 1, "b": 2},
        "timestamp": time(6),
    });
    assert_eq!(stored(&sandbox, "t1"), expected);
    assert_eq!(entries(&sandbox), 2);
    assert!(!journal(&sandbox, "t1").exists());
    assert_eq!(sandbox.audit(&["tasks"]).exits(0).stdout, "");
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
}

#[test]
fn each_command_answers_in_every_format() {
    let sandbox = Sandbox::beside_code();
    let answer = |arguments: &[&str], format: &str| {
        sandbox.audit(&[arguments, &["--format", format]].concat()).exits(0).stdout
    };
    let of = |arguments: &[&str], format: &str| -> Value {
        let text = answer(arguments, format);
        assert!(format == "json" || text.lines().count() == 1, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    for format in ["json", "jsonl"] {
        let start = of(&["start", format, "--pid", "none", "--title", "T"], format);
        let path = journal(&sandbox, format).canonicalize().unwrap();
        assert_eq!(
            start,
            json!({"schema": "git-audit/start/v1", "task_id": format, "outcome": "started", "since": NOW, "journal": path.to_str().unwrap()})
        );
        assert_eq!(of(&["start", format, "--pid", "none"], format)["outcome"], "resumed");
        let event = of(&["event", format, "x"], format);
        assert_eq!(event, json!({"schema": "git-audit/event/v1", "task_id": format, "seq": 2, "added": 1}));
        let artifact = of(&["artifact", format, "tag", "v1"], format);
        let whole = json!({"ref_type": "tag", "ref_value": "v1", "created_at": NOW});
        assert_eq!(
            artifact,
            json!({"schema": "git-audit/artifact/v1", "task_id": format, "artifact": whole})
        );
        let tasks = of(&["tasks", format], format);
        let task = if format == "json" { &tasks["tasks"][0] } else { &tasks };
        assert_eq!((&task["state"], &task["fields"]), (&json!("open"), &json!({"title": "T"})));
        assert_eq!((&task["events"][1]["seq"], &task["artifacts"]), (&json!(2), &json!([whole])));
        let counts = of(&["tasks"], format);
        let task = if format == "json" { &counts["tasks"][0] } else { &counts };
        assert_eq!([&task["events"], &task["artifacts"], &task["steps"]], [2, 1, 0]);
        let receipt = of(&["finish", format, "--status", "completed"], format);
        assert_eq!((&receipt["outcome"], &receipt["identical"]), (&json!("recorded"), &json!(true)));
    }
    let csv = |arguments: &[&str]| answer(arguments, "csv");
    assert_eq!(
        csv(&["start", "c", "--pid", "none"]),
        format!("task_id,outcome,since\r\nc,started,{NOW}\r\n").replace("\r\n", "\n")
    );
    assert_eq!(csv(&["event", "c", "x"]), "task_id,seq,added\nc,2,1\n");
    assert_eq!(csv(&["artifact", "c", "tag", "v1"]), "task_id,repo_id,ref_type,ref_value\nc,,tag,v1\n");
    let tasks = csv(&["tasks"]);
    assert_eq!(tasks.lines().nth(1).unwrap(), format!("c,open,{NOW},{NOW},,2,1,,"));
    assert!(csv(&["finish", "c", "--status", "completed"]).contains("\nc,recorded,true,"));
    let human = |arguments: &[&str]| answer(arguments, "human");
    assert_eq!(human(&["start", "h", "--pid", "none"]), "started h\n");
    assert_eq!(human(&["start", "h", "--pid", "none"]), format!("resumed h: running since {NOW}\n"));
    assert_eq!(human(&["event", "h", "x", "--message", "said so"]), "event 2 of h\n");
    assert_eq!(human(&["artifact", "h", "tag", "v1"]), "tag v1 of h\n");
    assert!(human(&["tasks"]).contains("open   h          2  -"));
    let story = human(&["tasks", "h"]);
    assert!(story.contains("said so") && story.contains("tag   v1"), "{story}");
    assert!(human(&["finish", "h", "--status", "completed"]).starts_with("recorded h in "));
}

#[test]
fn an_artifact_or_the_result_of_a_step_is_taken_down_once() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let artifact = |more: &[&str]| sandbox.audit(&[&["artifact", "t1"], more].concat());
    let step = |data: &str| sandbox.audit(&["event", "t1", "step_result", "--data", data]);
    artifact(&["pr", "17", "--repo-id", "shop"]).exits(0);
    step(r#"{"step_id":"s1","transition_id":"a","success":true}"#).exits(0);
    let before = fs::read(journal(&sandbox, "t1")).unwrap();
    artifact(&["pr", "17", "--repo-id", "shop", "--summary", "other words"])
        .exits(2)
        .says("task `t1` has the artifact pr 17 of shop already; nothing was added");
    step(r#"{"step_id":"s1","transition_id":"a","success":false}"#).exits(2).says("the result of step s1");
    assert_eq!(fs::read(journal(&sandbox, "t1")).unwrap(), before);
    // Another repository, another type, another transition: another thing.
    artifact(&["pr", "17"]).exits(0);
    artifact(&["tag", "17", "--repo-id", "shop"]).exits(0);
    step(r#"{"step_id":"s1","success":true}"#).exits(0);
    let twice = "{\"type\":\"step_result\",\"metadata\":{\"step_id\":\"s2\",\"success\":true}}\n".repeat(2);
    let done = sandbox.audit_with_input(&["event", "t1", "-"], twice).exits(2);
    assert!(done.stderr.contains("standard input:2: task `t1` has the result of step s2"), "{}", done.stderr);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = stored(&sandbox, "t1");
    let number_of = |list: &str| entry[list].as_array().unwrap().len();
    assert_eq!((number_of("artifacts"), number_of("steps")), (3, 3));
}

#[test]
fn a_task_that_is_not_running_is_named_with_the_way_on() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "deploy-42");
    begin(&sandbox, "other");
    sandbox
        .audit(&["event", "deploy-43", "x"])
        .exits(1)
        .says("task `deploy-43` is not running here")
        .says("did you mean deploy-42?");
    sandbox.audit(&["event", "zzz", "x"]).exits(1).says("git audit start zzz");
    for command in
        [&["artifact", "zzz", "tag", "v"][..], &["finish", "zzz", "--status", "failed"], &["tasks", "zzz"]]
    {
        sandbox.audit(command).exits(1).says("task `zzz` is not running here");
    }
    assert_eq!(fs::read_dir(sandbox.path(".git/git-audit/journal")).unwrap().count(), 2);
    sandbox.audit(&["finish", "other", "--status", "completed"]).exits(0);
    for command in [&["event", "other", "x"][..], &["artifact", "other", "tag", "v"], &["finish", "other"]] {
        sandbox.audit(command).exits(1).says("it is recorded: run `git audit show other`");
    }
    // Told again, as by a caller that did not hear the answer.
    let again = sandbox.audit(&["finish", "other", "--status", "completed"]).exits(0);
    assert!(again.stdout.starts_with("skipped other: recorded in "), "{}", again.stdout);
    sandbox.audit(&["finish", "other", "--status", "failed", "--strict"]).exits(5).says("/status");
    sandbox
        .audit(&["start", "other"])
        .exits(1)
        .says("recorded already, so it cannot begin")
        .says("--supersedes other");
    sandbox.audit(&["event", "deploy-42", "Not A Type"]).exits(2).says("/type");
    sandbox.audit(&["finish", "deploy-42", "--status", "over"]).exits(2);
    sandbox.audit(&["finish", "deploy-42"]).exits(2).says("status is missing");
    sandbox.audit(&["finish", "deploy-42", "other", "--status", "failed"]).exits(2).says("one by one");
    sandbox.audit(&["finish", "deploy-42", "--status", "completed"]).exits(0);
    let elsewhere = Sandbox::empty();
    elsewhere.audit(&["event", "t", "x"]).exits(1).says("repository");
    let without = Sandbox::with_code();
    without.audit(&["start", "t"]).exits(1).says("git audit init");
    without.audit(&["start", "t", "--init"]).exits(0).says("began a ledger on branch audit");
}

#[test]
fn nothing_is_added_to_a_task_whose_end_was_said() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let held = sandbox.hold_lock();
    sandbox.audit(&["finish", "t1", "--status", "completed", "--timeout", "0"]).exits(7);
    let before = fs::read(journal(&sandbox, "t1")).unwrap();
    for command in [&["event", "t1", "x"][..], &["artifact", "t1", "tag", "v"], &["start", "t1"]] {
        sandbox.audit(command).exits(1).says("being finished").says("git audit finish t1");
    }
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("finishing  t1"));
    assert_eq!(fs::read(journal(&sandbox, "t1")).unwrap(), before);
    drop(held);
    // No word about how it ended: that was said.
    sandbox.audit(&["finish", "t1"]).exits(0);
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "task_complete"]);
}

#[test]
fn a_task_that_is_started_again_goes_on_with_what_is_new() {
    let sandbox = Sandbox::beside_code();
    sandbox.start_lost("t1", &["--title", "a", "--service", "web"]);
    assert!(sandbox.audit(&["tasks", "--lost"]).exits(0).says("finish --lost").stdout.contains("lost   t1"));
    let again = ["start", "t1", "--pid", "none", "--title", "b", "--service", "db", "--json"];
    assert_eq!(sandbox.audit(&again).exits(0).json()["outcome"], "resumed");
    assert_eq!(sandbox.audit(&["tasks", "--lost"]).exits(0).stdout, "");
    sandbox.audit(&["finish", "--lost"]).exits(0).says("no task is lost");
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = stored(&sandbox, "t1");
    assert_eq!(entry["title"], "b");
    assert_eq!(entry["execution_result"]["services_touched"], json!(["web", "db"]));
    assert_eq!(event_types(&entry), ["task_start", "task_complete"]);
}

#[test]
fn a_task_belongs_to_whoever_started_it_and_is_lost_with_that() {
    let sandbox = Sandbox::beside_code();
    // The shell that runs a script is the caller; one that runs a single command is not.
    let script = sandbox.input("script", "git audit start t1 >&2\ngit audit tasks t1 --format csv\n");
    let seen = run(sandbox.command("sh").arg(script)).exits(0).stdout;
    assert!(seen.lines().nth(1).unwrap().starts_with("t1,alive,"), "{seen}");
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("lost   t1"));
    run(sandbox.command("sh").args(["-c", "git audit start t2"])).exits(0);
    let own = sandbox.audit(&["tasks", "t2", "--json"]).exits(0).json();
    assert_eq!(
        (&own["tasks"][0]["state"], &own["tasks"][0]["pid"]),
        (&json!("alive"), &json!(std::process::id()))
    );
    let answer = sandbox.audit(&["finish", "--lost", "--json"]).exits(0).json();
    assert_eq!(answer["task_id"], "t1");
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (&entry["status"], &entry["error_message"]),
        (&json!("failed"), &json!("its process ended without finishing it"))
    );
    assert_eq!(event_types(&entry), ["task_start", "execute_error", "task_complete"]);
    assert!(journal(&sandbox, "t2").exists());
}

#[test]
fn bad_lines_of_a_stream_cost_no_good_one() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let lines = [
        r#"{"type":"a","at":"2026-11-20T13:00:00+01:00"}"#,
        "nonsense",
        r#"{"type":"NOT A TYPE"}"#,
        r#"{"type":"b","seq":77,"unknown":"kept"}"#,
        "[1]",
        "",
        r#"{"type":"c","at":"yesterday"}"#,
        r#"{"type":"step_result","metadata":{"step_id":"s","success":true}}"#,
        r#"{"type":"step_result","metadata":{"text":"no step"}}"#,
        r#"{"type":"d"}"#,
    ];
    let done = sandbox.audit_with_input(&["event", "t1", "-"], lines.join("\n")).exits(2);
    for line in [2, 3, 5, 7] {
        assert!(done.stderr.contains(&format!("standard input:{line}: ")), "{line}: {}", done.stderr);
    }
    assert_eq!(done.stderr.lines().count(), 4, "{}", done.stderr);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = stored(&sandbox, "t1");
    assert_eq!(event_types(&entry), ["task_start", "a", "b", "step_result", "d", "task_complete"]);
    assert_eq!(entry["events"][1]["at"], NOW);
    assert_eq!(entry["events"][2]["unknown"], "kept");
    assert_eq!(entry["steps"], json!([{"step_id": "s", "success": true}]));
}

#[test]
fn what_no_entry_could_hold_is_refused_before_it_is_written() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let before = fs::read(journal(&sandbox, "t1")).unwrap();
    let long = format!("{{\"type\":\"x\",\"metadata\":{{\"a\":\"{}\"}}}}", "a".repeat(300_000));
    sandbox.audit_with_input(&["event", "t1", "-"], &long).exits(2).says("at most 262144");
    assert_eq!(fs::read(journal(&sandbox, "t1")).unwrap(), before);
    let done =
        sandbox.audit_with_input(&["event", "t1", "-"], format!("{long}\n{{\"type\":\"y\"}}")).exits(2);
    assert!(done.stderr.contains("standard input:1: ") && done.stdout == "event 2 of t1\n", "{done:?}");
    for arguments in [
        &["event", "t1", "x", "--at", "noon"][..],
        &["event", "t1", "x", "--data", "{"],
        &["event", "t1", "step_result", "--data", r#"{"step_id":7}"#],
        &["artifact", "t1", "wish", "x"],
        &["start", "t2", "--dispatched", "noon"],
        &["start", "t2", "--supersedes", "no id"],
        &["start", "no id"],
    ] {
        let done = sandbox.audit(arguments).exits(2);
        assert_eq!(done.stdout, "");
    }
    assert!(!journal(&sandbox, "t2").exists());
}

#[test]
fn an_id_that_differs_only_in_case_cannot_begin() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    // They would be one entry, and on some file systems one journal.
    sandbox.audit(&["start", "T1"]).exits(2).says("differs only in case from `t1`, which is running");
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    sandbox.audit(&["start", "T1"]).exits(1).says("recorded already");
}

/// Runs the commands of a task where `command` stands, and gives the path of its journal.
#[track_caller]
fn task_in(place: &str, command: &dyn Fn(&[&str]) -> Command) -> PathBuf {
    let done = |arguments: &[&str]| -> Run { run(&mut command(arguments)).exits(0) };
    let start = done(&["start", "t1", "--pid", "none", "--json"]).json();
    done(&["event", "t1", "x"]);
    done(&["artifact", "t1", "tag", "v1"]);
    assert!(done(&["tasks"]).stdout.contains("t1"), "{place}");
    let journal = PathBuf::from(start["journal"].as_str().unwrap());
    assert!(journal.exists(), "{place}");
    done(&["finish", "t1", "--status", "completed"]);
    let entry = done(&["show", "--raw", "t1"]).json();
    assert_eq!(event_types(&entry), ["task_start", "x", "task_complete"], "{place}");
    assert!(!journal.exists(), "{place}");
    journal
}

#[test]
fn a_task_is_the_repositorys_from_wherever_it_is_named() {
    let places = ["repo", "repo/src", "linked", "linked/sub", "repo/.git", "home -C", "home GIT_DIR"];
    // With GIT_CEILING_DIRECTORIES and without: it decides how the journal is found.
    for (has_ceiling, places) in [(false, &places[..]), (true, &places[1..4])] {
        let command_in = |sandbox: &Sandbox, directory: &str, arguments: &[&str]| {
            let mut command = sandbox.audit_command(arguments);
            command.current_dir(sandbox.root().join(directory));
            if !has_ceiling {
                command.env_remove("GIT_CEILING_DIRECTORIES");
            }
            command
        };
        for &place in places {
            let sandbox = Sandbox::beside_code();
            sandbox.git(&["worktree", "add", "--quiet", "../linked"]);
            fs::create_dir(sandbox.root().join("linked/sub")).unwrap();
            let journal = task_in(place, &|arguments| match place {
                "home -C" => {
                    let here: [&str; 4] = ["-C", "../repo", "-C", "src"];
                    command_in(&sandbox, "home", &[&here[..], arguments].concat())
                }
                "home GIT_DIR" => {
                    let mut command = command_in(&sandbox, "home", arguments);
                    command.env("GIT_DIR", "../repo/.git");
                    command
                }
                _ => command_in(&sandbox, place, arguments),
            });
            assert!(journal.canonicalize().is_err());
            assert!(journal.ends_with("repo/.git/git-audit/journal/t1.jsonl"), "{}", journal.display());
        }
        let bare = Sandbox::empty();
        bare.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        bare.audit(&["init"]).exits(0);
        task_in("bare", &|arguments| command_in(&bare, "repo", arguments));
    }
}

#[test]
fn who_shares_the_repository_may_write_its_journals() {
    let sandbox = Sandbox::beside_code();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    begin(&sandbox, "own");
    assert_eq!(mode(journal(&sandbox, "own")) & 0o022, 0);
    sandbox.audit(&["finish", "own", "--status", "completed"]).exits(0);
    fs::remove_dir_all(sandbox.path(".git/git-audit/journal")).unwrap();
    sandbox.git(&["config", "core.sharedRepository", "group"]);
    begin(&sandbox, "t1");
    assert_eq!(mode(sandbox.path(".git/git-audit/journal")) & 0o2070, 0o2070);
    assert_eq!(mode(journal(&sandbox, "t1")) & 0o060, 0o060);
}

#[test]
fn who_may_only_read_the_repository_sees_what_is_running() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = sandbox.input("git-audit", "");
    fs::copy(env!("CARGO_BIN_EXE_git-audit"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let home = sandbox.root().join("home");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = sandbox.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program.as_str()]);
        run(command.args(arguments))
    };
    if as_nobody(&["log"]).code != 0 {
        eprintln!("skipped: `setpriv` (util-linux) cannot become another user here");
        return;
    }
    assert!(as_nobody(&["tasks", "t1"]).exits(0).stdout.contains("open   t1"));
    as_nobody(&["event", "t1", "x"]).exits(1).says("Permission denied");
    assert_eq!(as_nobody(&["run", "--", "echo", "hi"]).exits(0).says("waits").stdout, "hi\n");
}

#[test]
fn finishing_again_with_the_same_words_changes_nothing_and_with_others_says_so() {
    let sandbox = Sandbox::beside_code();
    begin(&sandbox, "t1");
    let copy = fs::read(journal(&sandbox, "t1")).unwrap();
    let finish = |more: &[&str]| sandbox.audit(&[&["finish", "t1", "--json", "--status"], more].concat());
    assert_eq!(finish(&["completed"]).exits(0).json()["outcome"], "recorded");
    // As if it had been killed before the journal was gone.
    fs::write(journal(&sandbox, "t1"), &copy).unwrap();
    assert_eq!(finish(&["completed", "--strict"]).exits(0).json()["identical"], true);
    assert!(!journal(&sandbox, "t1").exists());
    for strict in [false, true] {
        fs::write(journal(&sandbox, "t1"), &copy).unwrap();
        let flags: &[&str] = if strict { &["failed", "--strict"] } else { &["failed"] };
        let done =
            finish(flags).exits(if strict { 5 } else { 0 }).says("/status").says("the journal was moved to");
        assert_eq!(done.json()["identical"], false);
        let number = 1 + usize::from(strict);
        let aside = sandbox.path(&format!(".git/git-audit/set-aside/journal/t1.jsonl.{number}"));
        assert!(fs::read_to_string(aside).unwrap().contains("\"failed\""));
        assert!(!journal(&sandbox, "t1").exists());
    }
    assert_eq!(entries(&sandbox), 1);
}

#[test]
fn a_task_is_not_given_to_a_process_that_is_not_there() {
    let sandbox = Sandbox::beside_code();
    for pid in ["0", "999999999", "4294967295"] {
        let refused = sandbox.audit(&["start", "t1", "--pid", pid]).exits(2);
        refused.says("no such process").says("living one, or `none`");
    }
    assert_eq!(sandbox.audit(&["tasks", "--json"]).exits(0).json()["total"], 0);
    sandbox.audit(&["start", "t1", "--pid", &std::process::id().to_string()]).exits(0);
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("alive"));
}

#[test]
fn a_repository_whose_path_is_no_text_is_worked_in_like_any_other() {
    let sandbox = Sandbox::beside_code();
    let odd = sandbox.root().join(OsStr::from_bytes(b"caf\xe9"));
    run(sandbox.command("git").args(["init", "--quiet"]).arg(&odd)).exits(0);
    let mut start = sandbox.audit_command(&["start", "t1", "--pid", "none", "--repo"]);
    run(start.arg(&odd)).exits(0);
    fs::write(odd.join("new"), "1\n").unwrap();
    run(sandbox.audit_command(&["event", "t1", "look", "--repo"]).arg(&odd)).exits(0);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = stored(&sandbox, "t1");
    assert_eq!(event_types(&entry), ["task_start", "look", "repo_write", "task_complete"]);
    assert_eq!(entry["events"][2]["files_changed"], json!(["new"]));
}
