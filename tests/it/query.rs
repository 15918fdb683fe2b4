//! What each query command answers, in plain cases that can be counted by hand.

use std::process::Command;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::index::both_ways;
use crate::sandbox::{Run, Sandbox, run};

const COMMIT: &str = "1f0c9d2e4b5a69788796a5b4c3d2e1f001234567";

fn ledger(tasks: &[Value]) -> Sandbox {
    let sandbox = Sandbox::beside_code();
    record(&sandbox, tasks);
    sandbox
}

fn record(sandbox: &Sandbox, tasks: &[Value]) {
    let lines: String = tasks.iter().map(|task| format!("{task}\n")).collect();
    sandbox.audit_with_input(&["record", "--durability", "off"], lines).exits(0);
}

/// Three tasks with artifacts, events and steps.
fn three_tasks() -> Sandbox {
    ledger(&[
        json!({"task_id": "build", "status": "completed", "timestamp": "2026-11-18T10:00:00Z", "plan_id": "nightly",
            "context": {"worker_id": "w1", "correlation_id": "c1"},
            "execution_result": {"start_time": "2026-11-18T09:59:58Z", "end_time": "2026-11-18T10:00:00Z", "services_touched": ["web", "api", "web"]},
            "artifacts": [
                {"repo_id": "shop", "ref_type": "commit", "ref_value": COMMIT, "summary": "the fix"},
                {"repo_id": "shop", "ref_type": "branch", "ref_value": "1f0c9d2"},
                {"repo_id": "docs", "ref_type": "pr", "ref_value": "42"}],
            "events": [
                {"type": "task_start", "seq": 5, "level": "info"}, {"type": "repo_commit", "seq": 9, "repo_id": "shop", "level": "info"},
                {"type": "repo_push", "repo_id": "docs", "level": "error", "error_message": "refused"}],
            "steps": [
                {"step_id": "compile", "success": true, "execution_time_ms": 1500},
                {"step_id": "test", "success": false, "execution_time_ms": 400, "worker_id": "w2"}]}),
        json!({"task_id": "deploy", "status": "failed", "timestamp": "2026-11-19T10:00:00Z", "plan_id": "nightly",
            "execution_result": {"start_time": "2026-11-19T09:59:50Z", "end_time": "2026-11-19T10:00:00Z", "services_touched": ["web"]},
            "artifacts": [{"ref_type": "commit", "ref_value": "1F0C9D2E"}, {"ref_type": "commit", "ref_value": "1f0c9d"}],
            "steps": [{"step_id": "test", "worker_id": "w1", "correlation_id": "c2"}]}),
        json!({"task_id": "old", "status": "failed", "timestamp": "2026-11-01T10:00:00Z"}),
    ])
}

/// What a list has under `pointer`, row by row.
#[track_caller]
fn rows(sandbox: &Sandbox, question: &[&str], pointer: &str) -> Vec<String> {
    let answer = both_ways(sandbox, &[question, &["--json"]].concat()).exits(0).json();
    let list =
        ["entries", "artifacts", "events", "steps"].iter().find_map(|key| answer[key].as_array()).unwrap();
    assert_eq!(answer["total"], list.len());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.iter().map(|row| row.pointer(pointer).map_or_else(|| "-".to_owned(), text)).collect()
}

#[test]
fn failures_are_the_failed_tasks_of_the_last_seven_days() {
    let sandbox = three_tasks();
    for form in ["human", "json", "jsonl", "csv"] {
        let failures = sandbox.audit(&["failures", "--format", form]).exits(0).stdout;
        let log =
            sandbox.audit(&["log", "--status", "failed", "--days", "7", "--format", form]).exits(0).stdout;
        assert_eq!(failures, log);
    }
    assert_eq!(rows(&sandbox, &["failures"], "/task_id"), ["deploy"]);
    assert_eq!(rows(&sandbox, &["failures", "--days", "30"], "/task_id"), ["old", "deploy"]);
    assert_eq!(rows(&sandbox, &["failures", "--until", "2026-11-05"], "/task_id"), ["old"]);
    assert_eq!(
        rows(&sandbox, &["failures", "--since", "2026-01-01", "--service", "web"], "/task_id"),
        ["deploy"]
    );
    sandbox.audit(&["failures", "--status", "completed"]).exits(2);
}

#[test]
fn artifacts_are_found_by_reference_and_commits_by_the_beginning_of_either() {
    let sandbox = three_tasks();
    let cases: [(&[&str], &[&str]); 14] = [
        (&[], &["1F0C9D2E", "1f0c9d", COMMIT, "1f0c9d2", "42"]),
        (&["--ref", COMMIT], &["1F0C9D2E", COMMIT]),
        (&["--ref", "1F0C9D2E4B5A69788796A5B4C3D2E1F001234567"], &["1F0C9D2E", COMMIT]),
        (&["--ref", "1f0c9d2"], &["1F0C9D2E", COMMIT, "1f0c9d2"]),
        (&["--ref", "1f0c9d2", "--type", "commit"], &["1F0C9D2E", COMMIT]),
        (&["--ref", "1f0c"], &["1F0C9D2E", "1f0c9d", COMMIT]),
        (&["--ref", "1f0"], &[]),
        (&["--ref", "1f0d"], &[]),
        (&["--ref", "4"], &[]),
        (&["--ref", "42"], &["42"]),
        (&["--ref", "42", "--ref", "1f0c9d"], &["1F0C9D2E", "1f0c9d", COMMIT, "42"]),
        (&["--repo-id", "docs"], &["42"]),
        (&["--artifact", "pr:42"], &["42"]),
        (&["--task", "deploy", "--task", "absent"], &["1F0C9D2E", "1f0c9d"]),
    ];
    for (question, expected) in cases {
        let question = [&["artifacts"], question].concat();
        assert_eq!(rows(&sandbox, &question, "/artifact/ref_value"), expected, "{question:?}");
    }
    // Which task made this commit?
    let human = sandbox.audit(&["artifacts", "--ref", "1f0c9d2e4b5a"]).exits(0).stdout;
    assert!(human.contains("build") && human.contains("the fix"), "{human}");
    sandbox.audit(&["artifacts", "--type", "commit", "--ref", "1f0"]).exits(2).says("too short");
    sandbox.audit(&["artifacts", "--ref", "1f0"]).exits(0).says("at least 4 digits");
    sandbox.audit(&["artifacts", "--ref", "pr:42"]).exits(0).says("`--type pr --ref 42`");
    sandbox.audit(&["artifacts", "--ref", "abcdef12"]).exits(0).says("git audit log --grep 'abcdef12*'");
}

#[test]
fn events_stand_in_their_order_and_steps_fall_back_to_their_task() {
    let sandbox = three_tasks();
    assert_eq!(rows(&sandbox, &["events", "--task", "build"], "/event/seq"), ["5", "9", "10"]);
    assert_eq!(rows(&sandbox, &["events", "--reverse"], "/event/seq"), ["5", "9", "10"]);
    assert_eq!(rows(&sandbox, &["events", "--level", "info"], "/event/type"), ["task_start", "repo_commit"]);
    assert_eq!(
        rows(&sandbox, &["events", "--type", "repo_push", "--type", "x"], "/event/error_message"),
        ["refused"]
    );
    assert_eq!(rows(&sandbox, &["events", "--repo-id", "shop"], "/event/type"), ["repo_commit"]);
    let step = |question: &[&str]| {
        let question = [&["steps"], question].concat();
        let ids = rows(&sandbox, &question, "/task_id");
        let steps = rows(&sandbox, &question, "/step/step_id");
        ids.iter().zip(steps).map(|(id, step)| format!("{id} {step}")).collect::<Vec<_>>()
    };
    assert_eq!(step(&["--worker", "w1"]), ["deploy test", "build compile"]);
    assert_eq!(step(&["--worker", "w2"]), ["build test"]);
    assert_eq!(step(&["--correlation", "c1"]), ["build compile", "build test"]);
    assert_eq!(step(&["--failed"]), ["build test"]);
    assert_eq!(step(&["--min-duration", "1.5s"]), ["build compile"]);
    assert_eq!(step(&["--min-duration", "1501ms"]), [""; 0]);
    assert_eq!(step(&["--step", "test", "--status", "failed"]), ["deploy test"]);
    assert_eq!(rows(&sandbox, &["steps", "--task", "build"], "/worker_id"), ["w1", "w2"]);
}

#[test]
fn stats_count_what_can_be_counted_by_hand() {
    let mut tasks: Vec<_> = (1..=20)
        .map(|number| {
            json!({"task_id": format!("t{number}"), "status": if number > 15 { "failed" } else { "completed" }, "plan_id": "nightly",
                "timestamp": "2026-11-18T10:00:00Z",
                "execution_result": {"services_touched": ["web", "web", "api"], "start_time": "2026-11-18T10:00:00Z", "end_time": format!("2026-11-18T10:00:{number:02}Z")}})
        })
        .collect();
    tasks.push(json!({"task_id": "backwards", "status": "rejected", "timestamp": "2026-11-15T23:30:00Z",
        "execution_result": {"start_time": "2026-11-18T10:00:00Z", "end_time": "2026-11-18T09:00:00Z"}}));
    tasks.push(json!({"task_id": "timeless", "status": "cancelled", "timestamp": "2026-11-16T00:00:00Z"}));
    let sandbox = ledger(&tasks);
    let by = |grouping: &str| both_ways(&sandbox, &["stats", "--by", grouping, "--json"]).exits(0).json();
    let plan = by("plan");
    assert_eq!(
        plan["groups"][0],
        json!({"key": "nightly", "total": 20, "completed": 15, "failed": 5, "rejected": 0, "cancelled": 0,
            "failure_rate": 0.25, "p50_duration_ms": 10_000, "p95_duration_ms": 19_000})
    );
    assert_eq!((&plan["groups"][1]["key"], &plan["groups"][1]["total"]), (&Value::Null, &2.into()));
    assert_eq!((&plan["groups"][1]["p50_duration_ms"], &plan["all"]["total"]), (&0.into(), &22.into()));
    let services = by("service");
    let totals: Vec<_> =
        services["groups"].as_array().unwrap().iter().map(|group| (&group["key"], &group["total"])).collect();
    assert_eq!(totals, [(&"api".into(), &20.into()), (&"web".into(), &20.into()), (&Value::Null, &2.into())]);
    let days = |answer: &Value| {
        answer["groups"].as_array().unwrap().iter().map(|group| group["key"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(days(&by("day")), ["2026-11-18", "2026-11-16", "2026-11-15"]);
    assert_eq!(days(&by("week")), ["2026-11-16", "2026-11-09"]);
    assert_eq!(days(&by("status")), ["completed", "failed", "rejected", "cancelled"]);
    // A person's days are those of their zone, data's are UTC's.
    let mut abroad = sandbox.audit_command(&["stats", "--by", "day"]);
    let abroad = run(abroad.env("TZ", "Asia/Tokyo")).exits(0).stdout;
    assert!(abroad.contains("2026-11-16  2 ") || abroad.contains("2026-11-16      2"), "{abroad}");
    assert_eq!(
        sandbox.audit(&["stats", "--by", "day", "--format", "csv"]).exits(0).stdout.lines().nth(3).unwrap(),
        "2026-11-15,1,0,0,1,0,0.0000,0,0"
    );
    assert!(!abroad.contains('█'), "bars are for terminals");
    if Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        for columns in [80, 120] {
            let command =
                format!("stty rows 24 cols {columns}; GIT_PAGER=cat git-audit stats --by plan --color never");
            let mut script = sandbox.command("script");
            script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
            let shown = run(&mut script).exits(0).stdout;
            assert!(shown.contains('█'), "{columns}: {shown}");
            for line in shown.lines() {
                assert!(line.trim_end().width() <= columns, "{columns}: {line}");
            }
        }
    }
    let few = sandbox.audit(&["stats", "--by", "service", "--limit", "1"]).exits(0).says("2 more groups");
    assert_eq!(few.stdout.lines().count(), 3, "{}", few.stdout);
}

#[test]
fn fields_are_picked_in_every_format_and_unknown_ones_are_named() {
    let sandbox = ledger(&[
        json!({"task_id": "t", "status": "failed", "metadata": {"ticket": "OPS-7", "a/b": [1, "x"]},
        "execution_result": {"services_touched": ["web", "api"]}, "steps": [{"step_id": "s", "result": {"k": 1}}]}),
    ]);
    let fields = "services,/metadata/ticket,plan_id,/metadata/a~1b";
    let asked =
        |format: &str| sandbox.audit(&["log", "--fields", fields, "--format", format]).exits(0).stdout;
    assert_eq!(
        asked("csv"),
        "services,/metadata/ticket,plan_id,/metadata/a~1b\nweb;api,OPS-7,,\"[1,\"\"x\"\"]\"\n"
    );
    assert_eq!(
        asked("jsonl"),
        "{\"services\":[\"web\",\"api\"],\"/metadata/ticket\":\"OPS-7\",\"plan_id\":null,\"/metadata/a~1b\":[1,\"x\"]}\n"
    );
    let json: Value = serde_json::from_str(&asked("json")).unwrap();
    assert_eq!(json["entries"][0]["/metadata/ticket"], "OPS-7");
    let human = asked("human");
    assert!(human.starts_with("SERVICES") && human.contains("OPS-7"), "{human}");
    let steps = sandbox
        .audit(&["steps", "--fields", "task_id,step_id,/step/result/k", "--format", "csv"])
        .exits(0)
        .stdout;
    assert_eq!(steps, "task_id,step_id,/step/result/k\nt,s,1\n");
    for (command, wrong, known) in [
        ("log", "service", "services"),
        ("artifacts", "value", "ref_value"),
        ("events", "title", "commit_hash"),
        ("steps", "status", "execution_time_ms"),
    ] {
        let done = sandbox.audit(&[command, "--fields", &format!("task_id,{wrong}")]).exits(2);
        assert!(
            done.stderr.contains(wrong) && done.stderr.contains(known) && done.stdout.is_empty(),
            "{}",
            done.stderr
        );
    }
    for wrong in ["", "task_id,,status", "x\u{1b}[31m", "TASK_ID"] {
        let done = sandbox.audit(&["log", "--fields", wrong]).exits(2);
        assert!(!done.stderr.contains('\u{1b}'), "{wrong:?}: {}", done.stderr);
    }
    // A key twice would be no JSON that everybody reads the same.
    sandbox.audit(&["log", "--fields", "task_id,status,task_id"]).exits(2).says("`task_id` is named twice");
}

/// Goes through pages of two, while another entry arrives after each. Gives the rows' names.
fn paged(sandbox: &Sandbox, question: &[&str], pointers: [&str; 2], way: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut cursor = None::<String>;
    for page in 0..60 {
        let mut arguments = [question, way, &["--json", "--limit", "2"]].concat();
        arguments.extend(cursor.iter().flat_map(|cursor| ["--after", cursor.as_str()]));
        let answer = sandbox.audit(&arguments).exits(0).json();
        let list =
            ["entries", "events", "steps"].iter().find_map(|key| answer[key].as_array()).unwrap().clone();
        let name = |row: &Value| {
            pointers.map(|pointer| row.pointer(pointer).cloned().unwrap_or_default().to_string()).join(" ")
        };
        names.extend(list.iter().map(name));
        cursor = answer["cursor"].as_str().map(str::to_owned);
        assert_eq!(answer["more"].as_bool().unwrap(), list.len() == 2 && answer["more"] == true);
        if answer["more"] == false {
            assert!(list.len() <= 2);
            return names;
        }
        assert_eq!(list.len(), 2);
        let id = format!("late-{}-{page}", sandbox.git(&["rev-parse", "audit"]).get(..8).unwrap());
        if page < 4 {
            record(
                sandbox,
                &[
                    json!({"task_id": id, "status": "failed", "events": [{"type": "x"}, {"type": "y"}, {"type": "z"}]}),
                ],
            );
        }
    }
    panic!("no end: {names:?}");
}

#[test]
fn pages_joined_by_their_cursor_have_no_gap_and_no_double_while_entries_arrive() {
    for way in [&[][..], &["--no-index"]] {
        let tasks: Vec<_> = (0..5)
            .map(|number| json!({"task_id": format!("t{number}"), "status": "failed", "events": (0..number).map(|_| json!({"type": "x"})).collect::<Vec<_>>()}))
            .collect();
        let sandbox = ledger(&tasks);
        let before = |question: &[&str], pointers: [&str; 2]| {
            let answer = sandbox.audit(&[question, &["--json", "--limit", "all"]].concat()).exits(0).json();
            let list = ["entries", "events"].iter().find_map(|key| answer[key].as_array()).unwrap().clone();
            let name = |row: &Value| {
                pointers
                    .map(|pointer| row.pointer(pointer).cloned().unwrap_or_default().to_string())
                    .join(" ")
            };
            list.iter().map(name).collect::<Vec<_>>()
        };
        for (question, pointers) in [
            (&["log"][..], ["/task_id", "/status"]),
            (&["events"], ["/task_id", "/event/seq"]),
            (&["log", "--where", "/status=failed"], ["/task_id", "/status"]),
        ] {
            // Newest first, what arrives is before the first page; oldest first, it comes at the end.
            let there = before(question, pointers);
            assert_eq!(paged(&sandbox, question, pointers, way), there, "{question:?} {way:?}");
            let oldest_first = [question, &["--reverse"]].concat();
            let joined = paged(&sandbox, &oldest_first, pointers, way);
            assert_eq!(joined, before(&oldest_first, pointers), "{question:?} {way:?}");
        }
    }
}

#[test]
fn a_cursor_of_another_ledger_is_refused() {
    let sandbox = three_tasks();
    let other = ledger(&[json!({"task_id": "build", "status": "failed"})]);
    let cursor = other.audit(&["log", "--json"]).exits(0).json()["cursor"].as_str().unwrap().to_owned();
    let own = sandbox.audit(&["log", "--json", "--limit", "1"]).exits(0).json()["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let commit = own.split(':').next().unwrap();
    for wrong in [&*cursor, &format!("{commit}:OLD:0"), &format!("{commit}:absent:0")] {
        for question in
            [&["log"][..], &["events"], &["log", "--where", "/status=failed"], &["log", "--plan", "nobody"]]
        {
            let done = both_ways(&sandbox, &[question, &["--json", "--after", wrong]].concat()).exits(2);
            assert!(
                done.stderr.contains("--after names no entry of this ledger"),
                "{wrong}: {}",
                done.stderr
            );
        }
    }
    for wrong in
        ["x", "1:2:3", ":::", &format!("{commit}:t:-1"), &format!("{commit}:../t:0"), &format!("{own}:")]
    {
        sandbox.audit(&["log", "--after", wrong]).exits(2).says("--after");
    }
    assert_eq!(sandbox.logged(&["--after", ""]), sandbox.logged(&[]));
    let end = sandbox.audit(&["log", "--json"]).exits(0).json()["cursor"].as_str().unwrap().to_owned();
    let empty = both_ways(&sandbox, &["log", "--json", "--after", &end]).json();
    assert_eq!(
        (&empty["cursor"], &empty["total"], &empty["more"]),
        (&end.as_str().into(), &3.into(), &false.into())
    );
    both_ways(&sandbox, &["log", "--after", &end]);
    both_ways(&sandbox, &["log", "--offset", "3"]);
    both_ways(&sandbox, &["log", "--offset", "4", "--status", "failed"]);
}

#[test]
fn values_that_can_be_no_answer_are_errors_and_not_empty_answers() {
    let sandbox = three_tasks();
    let wrong: [&[&str]; 34] = [
        &["log", "--status", "done"],
        &["log", "--status", "FAILED"],
        &["log", "--service", ""],
        &["log", "--event-type", "Repo-Push"],
        &["log", "--event-type", ""],
        &["log", "--artifact", "42"],
        &["log", "--artifact", "issue:42"],
        &["log", "--artifact", "pr:"],
        &["log", "--project", "x"],
        &["log", "--project", "-1"],
        &["log", "--project", "18446744073709551616"],
        &["log", "--where", "status=failed"],
        &["log", "--where", "/status"],
        &["log", "--where", "/a~2=1"],
        &["log", "--grep", ""],
        &["log", "--grep", "!?"],
        &["log", "--grep", "\"open"],
        &["log", "--min-duration", "90"],
        &["log", "--min-duration", "x"],
        &["log", "--min-duration", "-1s"],
        &["log", "--days", "-1"],
        &["log", "--days", "x"],
        &["log", "--since", "soon"],
        &["log", "--since", "2026-11-20", "--until", "2026-11-19"],
        &["log", "--days", "1", "--since", "monday"],
        &["log", "--limit", "-1"],
        &["log", "--limit", "many"],
        &["log", "--count", "--fields", "task_id"],
        &["stats", "--by", "colour"],
        &["artifacts", "--type", "issue"],
        &["artifacts", "--ref", ""],
        &["events", "--type", "Push"],
        &["steps", "--task", "../x"],
        &["index"],
    ];
    for arguments in wrong {
        let done = sandbox.audit(arguments).exits(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{arguments:?}: {}", done.stdout);
    }
}

/// No character that acts on a terminal, or turns text around.
#[track_caller]
fn is_inert(done: &Run, question: &[&str]) {
    let active = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for text in [&done.stdout, &done.stderr] {
        assert!(!text.contains(active), "{question:?}: {text:?}");
    }
}

#[test]
fn hostile_text_is_inert_in_every_field_format_and_command() {
    let evil = "=cmd()\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200f}\r\n\0\u{8}\tend";
    let sandbox = ledger(&[json!({
        "task_id": "t", "status": "failed", "timestamp": "2026-11-20T10:00:00Z", "title": evil, "error_message": evil, "plan_id": evil, "plan_steps": [evil],
        "dispatch_info": {"agent_id": evil, "agent_pool": evil, evil: evil},
        "execution_result": {"outcome": {"action_type": evil, evil: [evil]}, "services_touched": [evil], "resources_used": {evil: evil},
            "start_time": "2026-11-20T09:00:00Z", "end_time": "2026-11-20T10:00:00Z"},
        "context": {"workspace_id": evil, "worktree_path": evil, "session_id": evil, "correlation_id": evil, "worker_id": evil, "actor": evil},
        "steps": [{"step_id": evil, "name": evil, "success": false, "execution_time_ms": 5, "from_state": evil, "to_state": evil, "transition_id": evil, "result": {evil: evil}}],
        "events": [{"type": "note", "level": evil, "repo_id": evil, "operation": evil, "status": evil, "files_changed": [evil], "commit_hash": evil,
            "git_status_summary": evil, "git_diff_summary": evil, "error_message": evil, "message": evil, "metadata": {evil: evil}}],
        "artifacts": [{"repo_id": evil, "ref_type": "branch", "ref_value": evil, "summary": evil, "metadata": {evil: evil}}],
        "metadata": {evil: evil}, evil: evil,
    })]);
    let lists = [
        (
            "log",
            "title,error_message,plan_id,plan_steps,agent_id,agent_pool,intent,services,workspace_id,worktree_path,session_id,correlation_id,worker_id,actor,/metadata,/execution_result",
        ),
        ("failures", "title"),
        ("artifacts", "repo_id,ref_value,summary,/artifact/metadata"),
        (
            "events",
            "level,repo_id,operation,status,files_changed,commit_hash,git_status_summary,git_diff_summary,error_message,/event/metadata,/event/message",
        ),
        ("steps", "step_id,name,worker_id,correlation_id,from_state,to_state,transition_id,/step/result"),
    ];
    for format in ["human", "json", "jsonl", "csv"] {
        for (command, fields) in lists {
            for way in
                [&[][..], &["--no-index"], &["--fields", fields], &["--color", "always", "--fields", fields]]
            {
                let question = [&[command, "--format", format], way].concat();
                let mut done = sandbox.audit(&question).exits(0);
                done.stdout =
                    done.stdout.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[m", "");
                assert!(done.stdout.contains("cmd()"), "{question:?}: {}", done.stdout);
                is_inert(&done, &question);
                let begins = |cell: &str| cell.trim_matches('"').starts_with(['=', '+', '-', '@']);
                assert!(
                    format != "csv" || !done.stdout.lines().any(|line| line.split(',').any(begins)),
                    "{}",
                    done.stdout
                );
            }
        }
        for by in ["status", "service", "agent", "plan", "intent", "day", "week"] {
            for way in ["--verbose", "--no-index"] {
                let question = ["stats", "--by", by, "--format", format, way];
                let done = sandbox.audit(&question).exits(0);
                is_inert(&done, &question);
                assert!(format != "csv" || !done.stdout.contains("\n="), "{}", done.stdout);
            }
        }
    }
    // And what the caller typed.
    let typed = "x\u{1b}[31m\u{202e}\u{9b}";
    for question in [
        &["log", "--status", typed][..],
        &["log", "--since", typed],
        &["log", "--grep", typed, "-v"],
        &["log", "--where", typed],
        &["log", "--fields", typed],
        &["log", "--after", typed],
        &["stats", "--by", typed],
        &["log", "--artifact", typed],
        &["log", "--min-duration", typed],
        &["steps", "--task", typed],
        &["artifacts", "--type", "commit", "--ref", "\u{1b}"],
        &["log", "--limit", typed],
        &["events", "--type", typed],
        &["log", "--fields", "/\u{1b}[31m\u{202e}"],
        &["log", "--fields", "/\u{1b}[31m\u{202e}", "--json"],
        &["log", "--fields", "/\u{1b}[31m\u{202e}", "--format", "csv"],
    ] {
        is_inert(&sandbox.audit(question), question);
    }
}

#[test]
fn verbose_prints_the_instants_that_words_for_time_stand_for() {
    let sandbox = three_tasks();
    let done =
        sandbox.audit(&["log", "-v", "--since", "yesterday", "--until", "2026-11-19", "--json"]).exits(0);
    let done = done
        .says("tasks that ended from 2026-11-19T00:00:00Z")
        .says("tasks that ended before 2026-11-20T00:00:00Z");
    assert!(done.json()["entries"].is_array());
    sandbox.audit(&["failures", "-v"]).exits(0).says("from 2026-11-13T12:00:00Z");
    let mut abroad = sandbox.audit_command(&["stats", "-v", "--since", "today"]);
    run(abroad.env("TZ", "Asia/Tokyo"))
        .exits(0)
        .says("from 2026-11-19T15:00:00Z (2026-11-20 00:00:00 +09:00)");
    let quiet = sandbox.audit(&["log", "--since", "yesterday"]).exits(0);
    assert_eq!(quiet.stderr, "");
    sandbox.audit(&["log", "-v"]).exits(0).says("note: answered by the index\n");
    sandbox.audit(&["log", "-v", "--no-index"]).exits(0).says("note: answered by walking the history\n");
}

#[test]
fn a_question_of_hundreds_of_words_is_answered_by_the_index_too() {
    let words: Vec<_> = (0..400).map(|number| format!("w{number}")).collect();
    let sandbox = ledger(&[
        json!({"task_id": "all", "status": "failed", "title": words.join(" ")}),
        json!({"task_id": "most", "status": "failed", "title": words[1..].join(" ")}),
    ]);
    let (all, phrase) = (words.join(" "), format!("\"{}\"", words[3..].join(" ")));
    assert_eq!(rows(&sandbox, &["log", "--grep", &all], "/task_id"), ["all"]);
    assert_eq!(rows(&sandbox, &["log", "--grep", &phrase], "/task_id"), ["most", "all"]);
    let many: Vec<_> =
        words.iter().flat_map(|word| ["--grep", word.as_str(), "--service", word.as_str()]).collect();
    assert_eq!(rows(&sandbox, &[&["log"], &many[..]].concat(), "/task_id"), [""; 0]);
    let hexadecimal = "ab".repeat(4000);
    both_ways(&sandbox, &["artifacts", "--ref", &hexadecimal, "--json"]);
}

#[test]
fn thousands_of_entries_with_many_events_are_listed_in_little_memory() {
    const MOST_KIB: u64 = 60 * 1024;
    if Command::new("/usr/bin/time").args(["-f", "%M", "true"]).output().is_err() {
        eprintln!("skipped: there is no /usr/bin/time to measure memory");
        return;
    }
    let sandbox = Sandbox::beside_code();
    let events: Vec<_> = (0..20).map(|number| json!({"type": "repo_write", "repo_id": format!("r{}", number % 7), "level": "info", "message": "wrote a file".repeat(4)})).collect();
    let tasks: Vec<_> = (0..3000).map(|number| json!({"task_id": format!("t-{number}"), "status": "completed", "title": "many events", "events": events})).collect();
    let lines: String = tasks.iter().map(|task| format!("{task}\n")).collect();
    let file = sandbox.input("tasks.jsonl", lines);
    sandbox.audit(&["import", &file, "--durability", "off"]).exits(0);
    for question in [&["index", "rebuild"][..], &["log", "--limit", "all", "--format", "jsonl"]] {
        let mut command = sandbox.command("/usr/bin/time");
        let done = run(command.args(["-f", "%M", env!("CARGO_BIN_EXE_git-audit")]).args(question)).exits(0);
        let kib: u64 = done.stderr.lines().last().unwrap().parse().unwrap();
        eprintln!("{question:?}: {kib} KiB at most");
        assert!(kib < MOST_KIB || question[0] == "index", "{question:?}: {kib} KiB");
    }
}
