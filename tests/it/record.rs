//! `git audit record`: what is recorded, and that it is recorded once.

use std::fs;

use serde_json::json;

use crate::sandbox::{NOW, Sandbox, entry, fixture, fixture_entries, run};

#[test]
fn every_fixture_is_recorded_with_the_contract_message_and_bytes() {
    let sandbox = Sandbox::beside_code();
    let files = fixture_entries();
    assert!(files.len() >= 12);
    for file in &files {
        let line = sandbox.audit(&["record", "--json", file]).exits(0).json();
        let given: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let task_id = given["task_id"].as_str().unwrap();
        let path = format!(".audit/tasks/{task_id}.json");
        assert_eq!(line["schema"], "git-audit/record/v1");
        assert_eq!(
            (&line["task_id"], &line["outcome"], &line["identical"]),
            (&given["task_id"], &"recorded".into(), &true.into())
        );
        assert_eq!(line["path"], path.as_str());
        assert_eq!(line["commit"].as_str().unwrap(), sandbox.git(&["rev-parse", "audit"]).trim());

        let stored = sandbox.git(&["show", &format!("audit:{path}")]);
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let timestamp = stored["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z'));
        let subject = format!("audit: task {task_id} {} at {timestamp}\n", given["status"].as_str().unwrap());
        assert_eq!(sandbox.git(&["log", "-1", "--format=%s", "audit"]), subject);
        let digest = sandbox.git(&[
            "log",
            "-1",
            "--format=%(trailers:key=Audit-Digest,valueonly,separator=)",
            "audit",
        ]);
        assert_eq!(digest.trim(), line["digest"]);
        assert_eq!(
            sandbox.git(&["diff-tree", "-r", "--no-commit-id", "--name-status", "audit"]),
            format!("A\t{path}\n")
        );
    }
    assert_eq!(sandbox.logged(&[]).len(), files.len());
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
}

#[test]
fn a_repeated_record_makes_no_commit_and_names_the_one_that_did() {
    let sandbox = Sandbox::beside_code();
    let file = fixture("entries/01-deploy-several-services.json");
    let first = sandbox.audit(&["record", "--json", &file]).exits(0).json();
    sandbox.record("between", &[]);
    let tip = sandbox.git(&["rev-parse", "audit"]);
    let again = sandbox.audit(&["record", "--json", &file]).exits(0).json();
    assert_eq!((&again["outcome"], &again["identical"]), (&"skipped".into(), &true.into()));
    for key in ["commit", "path", "digest"] {
        assert_eq!(again[key], first[key]);
    }
    assert_eq!(sandbox.git(&["rev-parse", "audit"]), tip);
}

#[test]
fn every_fixture_is_identical_to_itself_also_with_other_zones_and_cut_summaries() {
    let sandbox = Sandbox::beside_code();
    let long = json!({"task_id": "long", "status": "failed", "events": [
        {"type": "repo_commit", "git_status_summary": "é".repeat(4000), "git_diff_summary": "x".repeat(20_000)}]});
    let long = sandbox.input("long.json", long.to_string());
    for file in fixture_entries().iter().chain([&long]) {
        sandbox.audit(&["record", file]).exits(0);
        let again = sandbox.audit(&["record", "--strict", "--json", file]).exits(0).json();
        assert_eq!((&again["outcome"], &again["identical"]), (&"skipped".into(), &true.into()), "{file}");
    }
    let stored = sandbox.audit(&["show", "--json", "long"]).exits(0).json();
    let event = &stored["events"][0];
    assert!(event["git_status_summary"].as_str().unwrap().len() <= 5 * 1024);
    assert!(event["git_status_summary"].as_str().unwrap().ends_with("é... (truncated, total 8000 bytes)"));
    assert!(event["git_diff_summary"].as_str().unwrap().ends_with("x... (truncated, total 20000 bytes)"));
    assert_eq!(event["seq"], 1);
}

#[test]
fn other_content_under_the_same_id_is_a_warning_and_with_strict_exit_5() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &["--title", "first", "--service", "web"]);
    let tip = sandbox.git(&["rev-parse", "audit"]);
    let different = ["record", "--task-id", "t1", "--status", "failed", "--title", "second"];
    let done = sandbox
        .audit(&different)
        .exits(0)
        .says("warning: t1")
        .says("/status, /title")
        .says("--supersedes t1");
    assert!(done.stdout.starts_with("skipped t1"));
    let strict = sandbox.audit(&[&different[..], &["--strict", "--json"]].concat()).exits(5).json();
    assert_eq!((&strict["identical"], &strict["differing"]), (&false.into(), &json!(["/status", "/title"])));
    // What the caller leaves out cannot differ.
    sandbox.audit(&["record", "--strict", "--task-id", "t1", "--status", "completed"]).exits(0);
    assert_eq!(sandbox.git(&["rev-parse", "audit"]), tip);
}

#[test]
fn flags_make_a_whole_entry() {
    let sandbox = Sandbox::beside_code();
    let flags = [
        "record",
        "--task-id",
        "t1",
        "--status",
        "failed",
        "--title",
        "T",
        "--plan",
        "p1",
        "--step",
        "one",
        "--step",
        "two",
        "--service",
        "web",
        "--service",
        "api",
        "--intent",
        "deploy",
        "--agent",
        "a1",
        "--pool",
        "infra",
        "--start",
        "2026-11-20T10:00:00Z",
        "--end",
        "2026-11-20T12:30:00+01:00",
        "--outcome",
        r#"{"exit_code": 3}"#,
        "--error",
        "boom",
        "--worker",
        "w1",
        "--correlation",
        "c1",
        "--session",
        "s1",
        "--actor",
        "ann",
        "--workspace",
        "ws",
        "--worktree",
        "/srv/x",
        "--project",
        "7",
        "--phase",
        "2",
        "--supersedes",
        "t0",
        "--metadata",
        r#"{"a": [1]}"#,
        "--resources",
        r#"{"cpu_seconds": 1.5}"#,
        "--dispatched",
        "2026-11-20T09:59:00Z",
        "--timestamp",
        "2026-11-20T11:30:05Z",
    ];
    sandbox.audit(&flags).exits(0);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).json();
    let expected = json!({
        "schema": "git-audit/entry/v1", "task_id": "t1", "status": "failed", "title": "T", "error_message": "boom", "plan_id": "p1",
        "plan_steps": ["one", "two"],
        "dispatch_info": {"agent_pool": "infra", "agent_id": "a1", "dispatch_timestamp": "2026-11-20T09:59:00Z"},
        "execution_result": {"outcome": {"action_type": "deploy", "exit_code": 3}, "resources_used": {"cpu_seconds": 1.5},
            "services_touched": ["web", "api"], "start_time": "2026-11-20T10:00:00Z", "end_time": "2026-11-20T11:30:00Z"},
        "context": {"workspace_id": "ws", "worktree_path": "/srv/x", "project_number": 7, "phase_number": 2, "session_id": "s1",
            "correlation_id": "c1", "worker_id": "w1", "actor": "ann"},
        "supersedes": "t0", "metadata": {"a": [1]}, "timestamp": "2026-11-20T11:30:05Z",
    });
    assert_eq!(stored, expected);
}

#[test]
fn flags_win_over_the_file_and_the_time_is_now_when_nobody_says() {
    let sandbox = Sandbox::beside_code();
    let file = sandbox.input(
        "e.json",
        json!({"task_id": "t1", "status": "completed", "execution_result": {"outcome": {"x": 1}}})
            .to_string(),
    );
    sandbox.audit(&["record", "--status", "failed", "--intent", "scan", &file]).exits(0);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).json();
    assert_eq!((&stored["status"], &stored["timestamp"]), (&"failed".into(), &NOW.into()));
    assert_eq!(stored["execution_result"]["outcome"], json!({"x": 1, "action_type": "scan"}));
}

#[test]
fn standard_input_files_and_several_of_them_are_read_in_order() {
    let sandbox = Sandbox::beside_code();
    let lines = format!("{}\n\n{}\n", entry("a"), entry("b"));
    let done = sandbox.audit_with_input(&["record"], &lines).exits(0);
    assert_eq!(done.stdout.lines().count(), 2);
    let file = sandbox.input("c.json", serde_json::to_string_pretty(&entry("c")).unwrap());
    sandbox.audit_with_input(&["record", &file, "-"], entry("d").to_string()).exits(0);
    assert_eq!(sandbox.logged(&[]), ["d", "c", "b", "a"]);
    sandbox.audit(&["record", "-", "-"]).exits(2);
}

#[test]
fn an_id_twice_in_one_input_is_recorded_once() {
    let sandbox = Sandbox::beside_code();
    let lines = format!("{0}\n{0}\n{1}\n", entry("a"), entry("b"));
    let done = sandbox.audit_with_input(&["record", "--json"], lines).exits(0);
    let outcomes: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        outcomes.iter().map(|line| line["outcome"].as_str().unwrap()).collect::<Vec<_>>(),
        ["recorded", "skipped", "recorded"]
    );
    assert_eq!(outcomes[0]["commit"], outcomes[1]["commit"]);
    assert_eq!(sandbox.logged(&[]), ["b", "a"]);
}

#[test]
fn ids_that_differ_only_in_case_are_a_conflict() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("Task-1", &[]);
    let tip = sandbox.git(&["rev-parse", "audit"]);
    let done = sandbox.audit(&["record", "--task-id", "task-1", "--status", "failed"]).exits(2);
    assert!(done.stderr.contains("differs only in case from `Task-1`"), "{}", done.stderr);
    assert_eq!((done.stdout.as_str(), sandbox.git(&["rev-parse", "audit"])), ("", tip));
}

#[test]
fn init_makes_the_ledger_where_there_is_none_but_no_repository() {
    let sandbox = Sandbox::with_code();
    sandbox
        .audit(&["record", "--task-id", "t1", "--status", "failed"])
        .exits(1)
        .says("no audit ledger")
        .says("git audit init");
    sandbox.record("t1", &["--init"]);
    assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "2\n");
    let nowhere = Sandbox::empty();
    nowhere
        .audit(&["record", "--init", "--task-id", "t1", "--status", "failed"])
        .exits(1)
        .says("no git repository")
        .says("git init");
}

#[test]
fn entries_past_the_flat_limit_are_sharded_and_found_on_either_side() {
    let sandbox = Sandbox::with_code();
    sandbox.audit(&["init", "--flat-limit", "3"]).exits(0);
    let lines: String = (1..=6).map(|number| format!("{}\n", entry(&format!("task-{number}")))).collect();
    sandbox.audit_with_input(&["record"], &lines).exits(0);
    let paths = sandbox.git(&["ls-tree", "-r", "--name-only", "audit", ".audit/tasks", ".audit/shards"]);
    assert_eq!(paths.lines().filter(|path| path.starts_with(".audit/tasks/")).count(), 3);
    assert_eq!(paths.lines().filter(|path| path.starts_with(".audit/shards/")).count(), 3);
    for number in 1..=6 {
        let id = format!("task-{number}");
        let path = sandbox.audit(&["path", &id]).exits(0).stdout;
        assert!(paths.contains(path.trim()), "{path}");
        assert_eq!(path.starts_with(".audit/tasks/"), number <= 3);
        sandbox.audit(&["show", &id]).exits(0);
        let again =
            sandbox.audit(&["record", "--json", "--task-id", &id, "--status", "completed"]).exits(0).json();
        assert_eq!(again["outcome"], "skipped");
        sandbox.audit(&["record", "--task-id", &id.to_uppercase(), "--status", "completed"]).exits(2);
    }
    assert_eq!(sandbox.logged(&[]).len(), 6);
    // The directory that is full is never written again, also when the policy allows more later.
    let policy =
        sandbox.git(&["show", "audit:.audit/config.toml"]).replace("flat_limit = 3", "flat_limit = 100");
    sandbox.git(&["checkout", "--quiet", "audit"]);
    sandbox.write(".audit/config.toml", policy);
    sandbox.git(&["add", ".audit/config.toml"]);
    sandbox.commit("policy");
    sandbox.record("task-7", &[]);
    assert!(sandbox.audit(&["path", "task-7"]).exits(0).stdout.starts_with(".audit/shards/"));
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_thousand_and_first_entry_is_sharded() {
    let sandbox = Sandbox::with_code();
    sandbox.audit(&["init"]).exits(0);
    let lines: String = (1..=1002).map(|number| format!("{}\n", entry(&format!("task-{number}")))).collect();
    sandbox.audit_with_input(&["record"], &lines).exits(0);
    assert!(sandbox.audit(&["path", "task-1000"]).exits(0).stdout.starts_with(".audit/tasks/"));
    assert!(sandbox.audit(&["path", "task-1001"]).exits(0).stdout.starts_with(".audit/shards/"));
    for id in ["task-1", "task-1000", "task-1001", "task-1002"] {
        let again =
            sandbox.audit(&["record", "--json", "--task-id", id, "--status", "completed"]).exits(0).json();
        assert_eq!(again["outcome"], "skipped");
    }
    assert_eq!(sandbox.audit(&["log", "--count"]).exits(0).stdout, "1002\n");
}

#[test]
fn without_an_identity_there_is_still_one_and_the_date_variables_do_not_count() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let format = "--format=%an <%ae> %cn <%ce> %ct";
    assert_eq!(
        sandbox.git(&["log", "-1", format, "audit"]),
        "git-audit <git-audit@localhost> git-audit <git-audit@localhost> 1795176000\n"
    );
    sandbox.git(&["config", "user.name", "Configured"]);
    let mut command = sandbox.audit_command(&["record", "--task-id", "t2", "--status", "failed"]);
    command
        .env("GIT_AUTHOR_NAME", "Agent 7")
        .env("GIT_AUTHOR_EMAIL", "a7@example.com")
        .env("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z");
    run(&mut command).exits(0);
    assert_eq!(
        sandbox.git(&["log", "-1", format, "audit"]),
        "Agent 7 <a7@example.com> Configured <git-audit@localhost> 1795176000\n"
    );
}

#[test]
fn numbers_keep_their_value() {
    let sandbox = Sandbox::beside_code();
    let numbers = r#"[0.1, 1.0, 18446744073709551615, -9223372036854775808, 3.141592653589793, 5e-324, 1.7976931348623157e308, 123456789.12345679]"#;
    let line = format!(r#"{{"task_id":"n","status":"completed","metadata":{{"n":{numbers}}}}}"#);
    sandbox.audit_with_input(&["record", "--strict"], &line).exits(0);
    let stored = sandbox.audit(&["show", "n", "--raw"]).exits(0).json();
    let expected: serde_json::Value = serde_json::from_str(numbers).unwrap();
    assert_eq!(stored["metadata"]["n"], expected);
    sandbox.audit_with_input(&["record", "--strict"], &line).exits(0);
}

#[test]
fn a_time_of_the_clock_is_recorded_to_the_millisecond() {
    let sandbox = Sandbox::beside_code();
    let mut command = sandbox.audit_command(&["record", "--task-id", "t1", "--status", "failed"]);
    run(command.env("GIT_AUDIT_TEST_NOW", "2026-11-20T12:00:00.123456789Z")).exits(0);
    assert_eq!(
        sandbox.audit(&["show", "t1", "--raw"]).exits(0).json()["timestamp"],
        "2026-11-20T12:00:00.123Z"
    );
}

#[test]
fn a_clone_that_records_first_follows_origin() {
    let origin = Sandbox::beside_code();
    let clone = Sandbox::empty();
    clone.git(&["clone", "--quiet", origin.path("").to_str().unwrap(), "."]);
    clone.record("t1", &[]);
    assert_eq!(clone.git(&["rev-parse", "--abbrev-ref", "audit@{upstream}"]), "origin/audit\n");
}

#[test]
fn a_shared_repository_stays_writable_for_its_group() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--bare", "--shared=group", "--initial-branch=main"]);
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("t1", &[]);
    let mode = |path: &str| fs::metadata(sandbox.path(path)).unwrap().permissions().mode() & 0o7777;
    for file in fs::read_dir(sandbox.path("objects/pack")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o060, 0o040);
    }
    assert_eq!(mode("refs/heads/main") & 0o060, 0o060);
    assert_eq!((mode("git-audit") & 0o2070, mode("git-audit/lock") & 0o060), (0o2070, 0o060));
}

#[test]
fn one_task_id_for_several_entries_is_refused_before_anything_is_recorded() {
    let sandbox = Sandbox::beside_code();
    let lines = format!("{}\n{}\n", entry("a"), entry("b"));
    sandbox
        .audit_with_input(&["record", "--task-id", "q", "-"], &lines)
        .exits(2)
        .says("--task-id names one task");
    let files =
        [sandbox.input("a.json", entry("a").to_string()), sandbox.input("b.json", entry("b").to_string())];
    sandbox.audit(&["record", "--task-id", "q", &files[0], &files[1]]).exits(2);
    assert_eq!(sandbox.logged(&[]), Vec::<String>::new());
    sandbox.audit(&["record", "--task-id", "q", &files[0]]).exits(0);
    assert_eq!(sandbox.logged(&[]), ["q"]);
    // One flag, one value: the last one does not win in silence.
    sandbox.audit(&["record", "--task-id", "z", "--status", "failed", "--status", "completed"]).exits(2);
}

#[test]
fn a_flag_with_an_empty_value_counts_as_not_given() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &["--title", "", "--service", "", "--service", "web", "--agent", ""]);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).json();
    assert_eq!(
        stored.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["execution_result", "schema", "status", "task_id", "timestamp"]
    );
    assert_eq!(stored["execution_result"], json!({"services_touched": ["web"]}));
    sandbox
        .audit(&["record", "--task-id", "", "--status", "failed"])
        .exits(2)
        .says("--task-id: task_id is missing");
}

#[test]
fn what_happens_besides_is_said() {
    let sandbox = Sandbox::with_code();
    let done = sandbox.record("t1", &["--init"]).says("note: began a ledger on branch audit");
    assert!(done.stdout.starts_with("recorded t1"));
    assert_eq!(sandbox.record("t2", &["--init"]).stderr, "");
    sandbox.git(&["config", "--unset", "audit.branch"]);
    sandbox.record("t3", &[]).says("records go to branch audit from now on");
    assert_eq!(sandbox.record("t4", &[]).stderr, "");
    let lines = sandbox
        .input("lines", format!("{}\n{}\n", entry("t5"), json!({"task_id": "t5", "status": "failed"})));
    sandbox
        .audit(&["record", &lines])
        .exits(0)
        .says("lines:2: t5 is recorded already, with other values in /status");
}

#[test]
fn a_refusal_of_flags_names_the_flag() {
    let sandbox = Sandbox::beside_code();
    let id = ["record", "--task-id", "x", "--status", "failed"];
    sandbox
        .audit(&[&id[..], &["--end", "tomorrow"]].concat())
        .exits(2)
        .says("error: --end: end_time must be an RFC 3339 time");
    sandbox.audit(&[&id[..], &["--metadata", "[]"]].concat()).exits(2).says("error: --metadata: ");
    sandbox.audit(&["record", "--service", "web"]).exits(2).says("error: --task-id: ").says("add `-`");
}

#[test]
fn the_configuration_files_that_the_environment_names_are_read() {
    let sandbox = Sandbox::with_code();
    let global = sandbox
        .input("global", "[user]\n\tname = Global\n\temail = g@example.com\n[audit]\n\tbranch = records\n");
    fs::write(sandbox.root().join("home/.gitconfig"), "[user]\n\tname = Home\n\temail = h@example.com\n")
        .unwrap();
    let author = |name: &str, value: &str| {
        let id = format!("t-{}", value.len());
        let mut command =
            sandbox.audit_command(&["record", "--init", "--task-id", &id, "--status", "failed"]);
        run(command.env(name, value)).exits(0);
        sandbox.git(&["log", "-1", "--format=%an", "audit"])
    };
    assert_eq!(author("UNRELATED", ""), "Home\n");
    assert_eq!(author("GIT_CONFIG_GLOBAL", "/dev/null"), "git-audit\n");
    sandbox.git(&["config", "audit.branch", "audit"]);
    assert_eq!(author("GIT_CONFIG_GLOBAL", &global), "Global\n");
    let elsewhere = Sandbox::with_code();
    let mut init = elsewhere.audit_command(&["log"]);
    run(init.env("GIT_CONFIG_GLOBAL", &global)).exits(1).says("`records`");
}
