//! `git audit show` and `git audit path`: one entry.

use std::fs;

use serde_json::json;

use crate::sandbox::{Sandbox, fixture, fixture_entries};

#[test]
fn raw_is_the_stored_bytes_and_their_digest_is_the_trailer() {
    let sandbox = Sandbox::beside_code();
    for file in fixture_entries() {
        let line = sandbox.audit(&["record", "--json", &file]).exits(0).json();
        let id = line["task_id"].as_str().unwrap();
        let raw = sandbox.audit(&["show", id, "--raw"]).exits(0).stdout;
        let path = sandbox.audit(&["path", id]).exits(0).stdout;
        assert_eq!(raw, sandbox.git(&["cat-file", "blob", &format!("audit:{}", path.trim())]));
    }
    // A fixture that is in stored form already is stored as it is.
    let file = fixture("entries/01-deploy-several-services.json");
    let given = fs::read_to_string(&file).unwrap();
    let id =
        serde_json::from_str::<serde_json::Value>(&given).unwrap()["task_id"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.audit(&["show", &id, "--raw"]).exits(0).stdout, given);
}

#[test]
fn json_is_the_entry_with_where_and_when_it_was_recorded() {
    let sandbox = Sandbox::beside_code();
    let given = json!({"task_id": "t1", "status": "failed", "timestamp": "2026-11-19T08:00:00Z", "zeta": 1, "commit": "mine"});
    sandbox.audit_with_input(&["record"], given.to_string()).exits(0);
    sandbox.record("t2", &[]);
    let answer = sandbox.audit(&["show", "t1", "--format", "json"]).exits(0).json();
    let head = sandbox.git(&["rev-parse", "audit"]);
    assert_eq!(
        answer,
        json!({
            "schema": "git-audit/entry/v1", "task_id": "t1", "status": "failed", "timestamp": "2026-11-19T08:00:00Z", "zeta": 1,
            "commit": sandbox.git(&["rev-parse", "audit~1"]).trim(), "path": ".audit/tasks/t1.json", "recorded_at": "2026-11-20T12:00:00Z",
            "coverage": {"head": head.trim(), "entries": 2, "complete": true},
        })
    );
    assert!(sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout.contains("\"commit\": \"mine\""));
    assert_eq!(sandbox.audit(&["show", "t1", "--format", "jsonl"]).exits(0).stdout.lines().count(), 1);
    assert_eq!(sandbox.audit(&["show", "t1", "--format", "csv"]).exits(0).stdout.lines().count(), 2);
    assert_eq!(sandbox.audit(&["path", "t1", "--json"]).exits(0).json()["path"], ".audit/tasks/t1.json");
}

#[test]
fn the_readable_form_has_everything_the_entry_has() {
    let sandbox = Sandbox::beside_code();
    for file in fixture_entries() {
        sandbox.audit(&["record", &file]).exits(0);
        let given: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let shown = sandbox.audit(&["show", given["task_id"].as_str().unwrap()]).exits(0).stdout;
        let mut missing = Vec::new();
        every_text(&given, &mut |text| {
            // Times are shown in the reader's zone and in another form; long text line by line.
            if chrono::DateTime::parse_from_rfc3339(text).is_err() && text != "git-audit/entry/v1" {
                missing.extend(
                    text.lines()
                        .map(|line| line.trim().replace('\t', "    "))
                        .filter(|line| !shown.contains(line)),
                );
            }
        });
        assert!(missing.is_empty(), "{file} lacks {missing:?}:\n{shown}");
    }
}

fn every_text(value: &serde_json::Value, visit: &mut dyn FnMut(&str)) {
    match value {
        serde_json::Value::String(text) => visit(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| every_text(item, visit)),
        serde_json::Value::Object(map) => map.values().for_each(|item| every_text(item, visit)),
        _ => {}
    }
}

#[test]
fn an_unknown_id_is_exit_1_with_ids_that_were_perhaps_meant() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("deploy-2026-11-03.1", &[]);
    for command in ["show", "path"] {
        let done = sandbox.audit(&[command, "deploy-2026"]).exits(1).says("no entry for task `deploy-2026`");
        assert!(done.stderr.contains("did you mean deploy-2026-11-03.1?"), "{}", done.stderr);
        sandbox.audit(&[command, "deploi-2026-11-03.1"]).exits(1).says("did you mean deploy-2026-11-03.1?");
        sandbox.audit(&[command, "DEPLOY-2026-11-03.1"]).exits(1).says("did you mean deploy-2026-11-03.1?");
        sandbox.audit(&[command, "zzz"]).exits(1).says("git audit log");
    }
    sandbox.audit(&["show", "deploy-2026", "--raw"]).exits(1);
}

#[test]
fn a_removed_entry_is_shown_as_it_was_recorded_and_not_called_unknown() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &["--title", "as recorded"]);
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.git(&["rm", "--quiet", ".audit/tasks/t1.json"]);
    sandbox.commit("tidy");
    let shown = sandbox.audit(&["show", "t1"]).exits(0).says("was changed or removed after it was recorded");
    assert!(shown.stdout.contains("as recorded"));
    for arguments in [&["path", "t1"][..], &["show", "t1", "--raw"]] {
        let done = sandbox.audit(arguments).exits(1).says("was removed from the ledger");
        assert!(
            done.stderr.contains(&format!("git show {}:.audit/tasks/t1.json", commit.trim())),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn an_entry_that_was_put_back_changed_is_shown_as_it_was_recorded() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &["--title", "as recorded"]);
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    let raw = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout;
    sandbox.git(&["rm", "--quiet", ".audit/tasks/t1.json"]);
    sandbox.commit("remove");
    sandbox.write(".audit/tasks/t1.json", raw.replace("as recorded", "forged"));
    sandbox.git(&["add", ".audit"]);
    sandbox.commit("put back");
    let shown = sandbox.audit(&["show", "t1"]).exits(0).says("was changed or removed after it was recorded");
    assert!(shown.stdout.contains("as recorded") && !shown.stdout.contains("forged"), "{}", shown.stdout);
    let again =
        sandbox.audit(&["record", "--json", "--task-id", "t1", "--status", "completed"]).exits(0).json();
    assert_eq!(again["commit"].as_str().unwrap(), commit.trim());
}
