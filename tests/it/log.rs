//! `git audit log`: the history, filtered, by walking the commits.

use serde_json::json;

use crate::sandbox::{Sandbox, fixture_entries, run};

/// Five tasks, recorded in the order a … e.
fn five_tasks() -> Sandbox {
    let sandbox = Sandbox::beside_code();
    let tasks = [
        json!({"task_id": "a", "status": "completed", "timestamp": "2026-11-01T10:00:00Z", "plan_id": "p1",
            "dispatch_info": {"agent_id": "ann"}, "execution_result": {"outcome": {"action_type": "deploy"}, "services_touched": ["web", "api"]}}),
        json!({"task_id": "b", "status": "failed", "timestamp": "2026-11-15T10:00:00Z", "plan_id": "p1",
            "dispatch_info": {"agent_id": "bob"}, "execution_result": {"outcome": {"action_type": "scan"}, "services_touched": ["api"]}}),
        json!({"task_id": "c", "status": "failed", "timestamp": "2026-11-19T23:30:00Z", "plan_id": "p2",
            "dispatch_info": {"agent_id": "ann"}, "execution_result": {"services_touched": ["日本", "web"]}}),
        json!({"task_id": "d", "status": "rejected", "timestamp": "2026-11-20T11:00:00Z"}),
        json!({"task_id": "e", "status": "cancelled", "timestamp": "2026-11-13T12:00:00Z", "execution_result": {"services_touched": ["a\nb"]}}),
    ];
    let lines: String = tasks.iter().map(|task| format!("{task}\n")).collect();
    sandbox.audit_with_input(&["record"], lines).exits(0);
    sandbox
}

#[test]
fn filters_mean_any_of_one_and_all_of_several() {
    let sandbox = five_tasks();
    let expectations: [(&[&str], &[&str]); 18] = [
        (&[], &["e", "d", "c", "b", "a"]),
        (&["--reverse"], &["a", "b", "c", "d", "e"]),
        (&["--status", "failed"], &["c", "b"]),
        (&["--status", "failed", "--status", "rejected"], &["d", "c", "b"]),
        (&["--service", "web"], &["c", "a"]),
        (&["--service", "web", "--service", "api"], &["c", "b", "a"]),
        (&["--service", "日本"], &["c"]),
        (&["--service", "a\nb"], &["e"]),
        (&["--service", r"a\nb"], &[]),
        (&["--service", "we"], &[]),
        (&["--service", "web", "--status", "failed"], &["c"]),
        (&["--intent", "deploy"], &["a"]),
        (&["--plan", "p1", "--agent", "bob"], &["b"]),
        (&["--agent", "ann"], &["c", "a"]),
        (&["--since", "2026-11-15T10:00:00Z"], &["d", "c", "b"]),
        (&["--until", "2026-11-15T10:00:00Z"], &["e", "b", "a"]),
        (&["--since", "yesterday", "--until", "yesterday"], &["c"]),
        (&["--since", "2026-11-01", "--until", "2026-11-15"], &["e", "b", "a"]),
    ];
    for (filters, expected) in expectations {
        assert_eq!(sandbox.logged(filters), expected, "{filters:?}");
        let count = sandbox.audit(&[&["log", "--count"], filters].concat()).exits(0);
        assert_eq!(count.stdout, format!("{}\n", expected.len()), "{filters:?}");
    }
    assert_eq!(sandbox.logged(&["--days", "7"]), ["e", "d", "c", "b"]);
    assert_eq!(sandbox.logged(&["--days", "0"]), Vec::<String>::new());
    assert_eq!(sandbox.logged(&["--since", "7d"]), ["e", "d", "c", "b"]);
    assert_eq!(sandbox.logged(&["--since", "monday"]), ["d", "c"]);
}

#[test]
fn days_are_those_of_the_readers_zone() {
    let sandbox = five_tasks();
    let mut command = sandbox.audit_command(&["log", "--since", "today", "--format", "csv"]);
    // Task c ended at 23:30 UTC yesterday, which was today in Tokyo.
    let done = run(command.env("TZ", "Asia/Tokyo")).exits(0);
    let ids: Vec<_> = done.stdout.lines().skip(1).map(|line| &line[..1]).collect();
    assert_eq!(ids, ["d", "c"]);
    let human = run(sandbox.audit_command(&["log", "--plan", "p2"]).env("TZ", "Asia/Tokyo")).exits(0);
    assert!(human.stdout.contains("2026-11-20 08:30"), "{}", human.stdout);
}

#[test]
fn pages_join_without_gap_or_overlap_in_both_orders() {
    let sandbox = five_tasks();
    for order in [&[][..], &["--reverse"]] {
        let whole = sandbox.logged(order);
        let mut joined = Vec::new();
        for offset in ["0", "2", "4", "6"] {
            let page = sandbox
                .audit(&[&["log", "--json", "--limit", "2", "--offset", offset], order].concat())
                .exits(0)
                .json();
            assert_eq!(
                (&page["total"], &page["limit"], page["offset"].to_string().as_str()),
                (&5.into(), &2.into(), offset)
            );
            joined.extend(
                page["entries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|entry| entry["task_id"].as_str().unwrap().to_owned()),
            );
        }
        assert_eq!(joined, whole);
    }
    assert_eq!(sandbox.audit(&["log", "--limit", "0", "--json"]).exits(0).json()["total"], 5);
}

#[test]
fn a_json_answer_is_one_object_with_its_schema_and_coverage() {
    let sandbox = five_tasks();
    let answer = sandbox.audit(&["log", "--json", "--status", "failed"]).exits(0).json();
    assert_eq!(answer["schema"], "git-audit/log/v1");
    assert_eq!((&answer["total"], &answer["limit"], &answer["offset"]), (&2.into(), &100.into(), &0.into()));
    let head = sandbox.git(&["rev-parse", "audit"]);
    assert_eq!(answer["coverage"], json!({"head": head.trim(), "entries": 5, "complete": true}));
    let entry = &answer["entries"][0];
    assert_eq!((&entry["schema"], &entry["task_id"]), (&"git-audit/entry/v1".into(), &"c".into()));
    assert_eq!(entry["path"], ".audit/tasks/c.json");
    assert_eq!(entry["recorded_at"], "2026-11-20T12:00:00Z");
    assert_eq!(
        entry["commit"].as_str().unwrap(),
        sandbox.git(&["log", "--format=%H", "--grep", "Audit-Task: c$", "audit"]).trim()
    );
    let empty = sandbox.audit(&["log", "--json", "--plan", "none"]).exits(0).json();
    assert_eq!((&empty["entries"], &empty["total"]), (&json!([]), &0.into()));
    let count = sandbox.audit(&["log", "--json", "--count"]).exits(0).json();
    assert_eq!((&count["schema"], &count["total"]), (&"git-audit/count/v1".into(), &5.into()));
}

#[test]
fn the_other_formats_have_one_line_per_entry() {
    let sandbox = five_tasks();
    let lines = sandbox.audit(&["log", "--format", "jsonl"]).exits(0).stdout;
    let ids: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["task_id"].clone())
        .collect();
    assert_eq!(ids, ["e", "d", "c", "b", "a"]);
    let csv = sandbox.audit(&["log", "--format", "csv", "--agent", "ann"]).exits(0).stdout;
    let mut rows = csv.lines();
    assert!(rows.next().unwrap().starts_with(
        "task_id,status,timestamp,title,error_message,plan_id,agent_id,agent_pool,intent,services,"
    ));
    assert!(rows.next().unwrap().starts_with("c,failed,2026-11-19T23:30:00Z,,,p2,ann,,,日本;web,"));
    let human = sandbox.audit(&["log", "--status", "failed"]).exits(0).stdout;
    assert!(human.starts_with("TIME "), "{human}");
    assert_eq!(human.lines().count(), 3);
}

#[test]
fn wrong_questions_are_errors_and_never_empty_answers() {
    let sandbox = five_tasks();
    for arguments in [
        &["--status", "success"][..],
        &["--since", "soon"],
        &["--until", "7"],
        &["--days", "x"],
        &["--days", "-1"],
        &["--limit", "-1"],
        &["--limit", "many"],
        &["--service", ""],
        &["--since", "1d", "--until", "2d"],
        &["--since", "1d", "--days", "2"],
        &["--days", "4294967295"],
        &["extra"],
    ] {
        let done = sandbox.audit(&[&["log"], arguments].concat()).exits(2);
        assert_eq!(done.stdout, "", "{arguments:?}");
        assert!(done.stderr.starts_with("error: "), "{arguments:?}: {}", done.stderr);
    }
    sandbox.audit(&["log", "--plan", "none"]).exits(0).says("none of 5 entries match");
    sandbox.audit(&["log", "--limit", "2"]).exits(0).says("--offset 2");
    assert_eq!(sandbox.audit(&["log", "--limit", "0"]).exits(0).stderr, "");
}

#[test]
fn an_empty_ledger_has_an_empty_history() {
    let sandbox = Sandbox::with_ledger();
    let answer = sandbox.audit(&["log", "--json"]).exits(0).json();
    assert_eq!((&answer["total"], &answer["coverage"]["entries"]), (&0.into(), &0.into()));
    sandbox.audit(&["log"]).exits(0).says("note: the ledger has no entries yet");
    let nowhere = Sandbox::with_code();
    nowhere.audit(&["log"]).exits(1).says("no audit ledger");
}

#[test]
fn commits_of_other_people_on_a_shared_branch_are_passed_over() {
    let sandbox = Sandbox::on_main();
    sandbox.record("t1", &[]);
    sandbox.write("README", "a better program\n");
    sandbox.git(&["add", "README"]);
    sandbox.commit("docs: better");
    sandbox.record("t2", &[]);
    assert_eq!(sandbox.logged(&[]), ["t2", "t1"]);
}

#[test]
fn an_entry_that_came_with_someone_elses_commit_is_in_the_history_too() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &[]);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout;
    sandbox.write(".audit/tasks/t2.json", stored.replace("\"t1\"", "\"t2\"").replace("completed", "failed"));
    sandbox.write(".audit/tasks/not-an-entry.json", "{}\n");
    sandbox.git(&["add", "."]);
    sandbox.commit("by hand");
    assert_eq!(sandbox.logged(&["--status", "failed"]), ["t2"]);
    let done = sandbox.audit(&["log"]).exits(0).says("not-an-entry.json").says("not a valid entry");
    assert_eq!(done.stdout.lines().count(), 3);
    let again = sandbox.audit(&["record", "--json", "--task-id", "t2", "--status", "failed"]).exits(0).json();
    assert_eq!(again["commit"].as_str().unwrap(), sandbox.git(&["rev-parse", "HEAD"]).trim());
}

#[test]
fn merged_ledgers_answer_each_entry_once() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t0", &[]);
    sandbox.git(&["branch", "other", "audit"]);
    sandbox.record("t1", &[]);
    sandbox.git(&["config", "audit.branch", "other"]);
    sandbox.record("t2", &[]);
    sandbox.git(&["config", "audit.branch", "audit"]);
    sandbox.git(&["checkout", "--quiet", "audit"]);
    sandbox.git_as_user(&["merge", "--quiet", "--no-ff", "-m", "merge", "other"]);
    let mut ids = sandbox.logged(&[]);
    ids.sort();
    assert_eq!(ids, ["t0", "t1", "t2"]);
    assert_eq!(sandbox.logged(&[]).last().unwrap(), "t0");
    sandbox.record("t3", &[]);
    assert_eq!(sandbox.logged(&[])[0], "t3");
}

#[test]
fn a_shallow_clone_says_that_its_answer_is_incomplete() {
    let origin = Sandbox::beside_code();
    for id in ["t1", "t2", "t3"] {
        origin.record(id, &[]);
    }
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--depth", "2", "--branch", "audit", &url, "."]);
    let done = clone.audit(&["log", "--json"]).exits(0).says("incomplete").says("shallow");
    let coverage = &done.json()["coverage"];
    assert_eq!(coverage["complete"], false);
    assert!(coverage["reason"].as_str().unwrap().contains("shallow"));
    let again =
        clone.audit(&["record", "--json", "--task-id", "t1", "--status", "completed"]).exits(0).json();
    assert_eq!((&again["outcome"], &again["commit"]), (&"skipped".into(), &serde_json::Value::Null));
}

#[test]
fn a_changed_entry_is_shown_as_it_was_recorded_with_a_warning() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &["--title", "as recorded"]);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout;
    sandbox.write(".audit/tasks/t1.json", stored.replace("as recorded", "forged"));
    sandbox.git(&["add", "."]);
    sandbox.commit("nothing to see here");
    for command in [&["log"][..], &["show", "t1"]] {
        let done = sandbox.audit(command).exits(0).says("was changed or removed after it was recorded");
        assert!(done.stdout.contains("as recorded") && !done.stdout.contains("forged"), "{}", done.stdout);
    }
    sandbox.git(&["rm", "--quiet", ".audit/tasks/t1.json"]);
    sandbox.commit("gone");
    let done = sandbox.audit(&["log"]).exits(0).says("was changed or removed");
    assert!(done.stdout.contains("as recorded"));
}

#[test]
fn every_fixture_is_found_by_what_it_says() {
    let sandbox = Sandbox::beside_code();
    let files = fixture_entries();
    let mut arguments = vec!["record"];
    arguments.extend(files.iter().map(String::as_str));
    sandbox.audit(&arguments).exits(0);
    let all = sandbox.audit(&["log", "--json", "--limit", "all"]).exits(0).json();
    for entry in all["entries"].as_array().unwrap() {
        let id = entry["task_id"].as_str().unwrap().to_owned();
        let result = &entry["execution_result"];
        let services =
            result["services_touched"].as_array().into_iter().flatten().map(|service| ("--service", service));
        let named = [
            ("--status", &entry["status"]),
            ("--intent", &result["outcome"]["action_type"]),
            ("--plan", &entry["plan_id"]),
            ("--agent", &entry["dispatch_info"]["agent_id"]),
        ];
        for (flag, value) in services.chain(named) {
            if let Some(value) = value.as_str() {
                assert!(sandbox.logged(&[flag, value]).contains(&id), "{flag} {value}");
            }
        }
    }
}

#[test]
fn commits_with_odd_headers_or_forged_subjects_do_not_mislead_the_walk() {
    let sandbox = Sandbox::on_main();
    sandbox.record("t1", &[]);
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"]);
    for time in ["abc +0000", "99999999999999999 +0000", "-5 +0000"] {
        let parent = sandbox.git(&["rev-parse", "HEAD"]);
        let commit = format!(
            "tree {}\nparent {}\nauthor a <a@x> 1 +0000\ncommitter a <a@x> {time}\n\nodd\n",
            tree.trim(),
            parent.trim()
        );
        let file = sandbox.input("odd", commit);
        let id = sandbox.git(&["hash-object", "-t", "commit", "--literally", "-w", &file]);
        sandbox.git(&["update-ref", "HEAD", id.trim()]);
    }
    let forged = "audit: task t1 failed at 2020-01-01T00:00:00Z\n\nAudit-Task: t2\n";
    sandbox.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", forged]);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    assert_eq!(sandbox.logged(&["--status", "failed"]), Vec::<String>::new());
    sandbox.record("t3", &[]);
    assert_eq!(sandbox.logged(&[]), ["t3", "t1"]);
}

#[test]
fn an_amended_commit_that_holds_a_second_entry_makes_the_answer_incomplete() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &[]);
    let raw = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout;
    sandbox.write(".audit/tasks/t2.json", raw.replace("\"t1\"", "\"t2\""));
    sandbox.git(&["add", ".audit"]);
    sandbox.git_as_user(&["commit", "--quiet", "--amend", "--no-edit"]);
    let done = sandbox.audit(&["log", "--json"]).exits(0).says("holds 2 entries, its commits name 1");
    assert_eq!(done.json()["coverage"]["complete"], false);
    let shown = sandbox.audit(&["show", "t2"]).exits(0).stdout;
    assert!(shown.contains("commit       not known"), "{shown}");
}
