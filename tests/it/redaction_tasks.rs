//! Secrets in what is captured while a task runs: names, subjects and paths of repositories, and what is said about them.

use std::path::Path;

use serde_json::json;

use crate::journal::{begin, journal};
use crate::redaction::{assert_gone, body, set_policy, stored, token};
use crate::sandbox::{Run, Sandbox};

/// A repository with secrets wherever it can have them, after `start`. Its own files are not looked at for them.
fn change(code: &Sandbox) {
    code.git(&["checkout", "--quiet", "-b", &format!("fix-{}", token())]);
    // Wherever a subject is cut, it is not cut in the middle of one.
    for length in (430..560).step_by(9) {
        let subject = format!("{}{}", "word ".repeat(length / 5), " ".repeat(length % 5));
        code.git_as_user(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            &format!("Fix {subject}{} it", token()),
        ]);
    }
    for name in 0..150 {
        code.write(&format!("{}-{name}", token()), "x");
    }
}

/// Not even a part of it is there.
#[track_caller]
fn assert_no_part(sandbox: &Sandbox, runs: &[&Run]) {
    assert_gone(sandbox, runs, &[]);
    let log = sandbox.git(&["log", "-p", "--format=%B", "audit"]);
    assert!(!log.contains(&body()[..8]), "{log}");
}

#[test]
fn what_a_look_finds_holds_no_secret_and_no_part_of_one() {
    let (sandbox, code) = (Sandbox::beside_code(), Sandbox::with_code());
    let repository = code.path("");
    let repository = repository.to_str().unwrap();
    let url = format!("https://bot:{}@git.example.com/shop", token());
    code.git(&["checkout", "--quiet", "-b", &format!("old-{}", token())]);
    let start = ["start", "t1", "--pid", "none", "--repo", repository, "--repo-id", &url];
    let started = sandbox.audit(&start).exits(0);
    assert_gone(&sandbox, &[&started], &[]);
    change(&code);
    let event = ["event", "t1", "repo_write", "--repo", repository];
    let told = sandbox.audit(&event).exits(0).says("warning: the repository: redacted github-pat at ");
    let artifact = ["artifact", "t1", "commit", "HEAD~14", "--repo", repository];
    let added =
        sandbox.audit(&artifact).exits(0).says("warning: the repository: redacted github-pat at /summary");
    assert!(
        std::fs::read_to_string(journal(&sandbox, "t1")).unwrap().contains("https://git.example.com/shop")
    );
    let finished = sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    assert_no_part(&sandbox, &[&started, &told, &added, &finished]);
    let entry = stored(&sandbox, "t1");
    assert_eq!(entry["artifacts"].as_array().unwrap().len(), 16);
    assert_eq!(entry["events"][1]["repo_id"], "https://git.example.com/shop");
    let status = entry["events"][1]["git_status_summary"].as_str().unwrap();
    assert!(status.len() <= 5 << 10 && status.contains("... (truncated, total "), "{status}");
}

#[test]
fn a_policy_that_blocks_never_keeps_a_task_from_ending_for_what_a_repository_holds() {
    let (sandbox, code) = (Sandbox::beside_code(), Sandbox::with_code());
    let pointers = "[[redaction.rules]]\nid = \"files\"\npointers = [\"/events/*/files_changed\"]\n";
    set_policy(&sandbox, &format!("[redaction]\naction = \"block\"\n{pointers}"));
    let repository = code.path("");
    let repository = repository.to_str().unwrap();
    sandbox.audit(&["start", "t1", "--pid", "none", "--repo", repository]).exits(0);
    change(&code);
    sandbox.audit(&["event", "t1", "repo_write", "--repo", repository]).exits(0);
    let said = ["event", "t1", "note", "--message", &token()];
    let blocked = sandbox.audit(&said).exits(2).says("which the ledger's policy blocks");
    let finished = sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    assert_no_part(&sandbox, &[&blocked, &finished]);
    let summary = stored(&sandbox, "t1")["artifacts"][0]["summary"].to_string();
    assert!(summary.contains("[redacted:github-pat]"), "{summary}");
}

#[test]
fn messages_about_a_running_task_quote_no_secret() {
    let (sandbox, code) = (Sandbox::beside_code(), Sandbox::with_code());
    begin(&sandbox, "t1");
    let lines = [
        json!({"type": "note", "at": {(token()): 1}}).to_string(),
        json!({"type": token()}).to_string(),
        json!({"type": "note", (token()): 1, "metadata": token()}).to_string(),
        format!("{{\"{}\": 1, \"{}\": 2}}", token(), token()),
    ];
    let refused = sandbox.audit_with_input(&["event", "t1", "-"], lines.join("\n")).exits(2);
    let missing = code.path(&format!("no/{}", token()));
    let repository = code.path("");
    let of = |value: &str, path: &Path| {
        sandbox.audit(&["artifact", "t1", "commit", value, "--repo", path.to_str().unwrap()]).exits(1)
    };
    let (commit, path) = (of(&token(), &repository), of("HEAD", &missing));
    let start = sandbox.audit(&["start", "t2", "--repo", missing.to_str().unwrap()]).exits(1);
    assert_gone(&sandbox, &[&refused, &commit, &path, &start], &[]);
}
