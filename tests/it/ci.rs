//! CI: what entries say of the job they are of.

use std::fs;
use std::path::Path;

use git_audit::entry::ci::{FACTS, PROVIDERS};
use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, run};

/// The environment of a job, as GitHub makes it.
pub const GITHUB: [(&str, &str); 14] = [
    ("CI", "true"),
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_ACTOR", "ann"),
    ("GITHUB_EVENT_NAME", "push"),
    ("GITHUB_JOB", "build"),
    ("GITHUB_REF", "refs/heads/main"),
    ("GITHUB_REPOSITORY", "acme/shop"),
    ("GITHUB_RUN_ATTEMPT", "1"),
    ("GITHUB_RUN_ID", "4821"),
    ("GITHUB_SERVER_URL", "https://git.example.com"),
    ("GITHUB_SHA", "e115c46ce359ce89f8b96ac16cb98521f4ad5d25"),
    ("GITHUB_TOKEN", "not-for-the-ledger"),
    ("GITHUB_WORKFLOW", "release"),
    ("RUNNER_NAME", "runner-7"),
];

/// The environment of a job, as GitLab makes it.
pub const GITLAB: [(&str, &str); 12] = [
    ("CI", "true"),
    ("GITLAB_CI", "true"),
    ("CI_COMMIT_REF_NAME", "main"),
    ("CI_COMMIT_SHA", "e115c46ce359ce89f8b96ac16cb98521f4ad5d25"),
    ("CI_JOB_ID", "77"),
    ("CI_JOB_NAME", "build"),
    ("CI_JOB_TOKEN", "not-for-the-ledger"),
    ("CI_JOB_URL", "https://gitlab-ci-token:not-for-the-ledger@git.example.com/acme/shop/-/jobs/77"),
    ("CI_PIPELINE_ID", "12"),
    ("CI_PIPELINE_SOURCE", "push"),
    ("CI_PROJECT_PATH", "acme/shop"),
    ("GITLAB_USER_LOGIN", "ann"),
];

fn audit_in_job(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    run(sandbox.audit_command(arguments).envs(variables.iter().copied()))
}

fn shown(sandbox: &Sandbox, task_id: &str) -> Value {
    sandbox.audit(&["show", "--json", task_id]).exits(0).json()
}

#[test]
fn a_record_in_a_job_says_which_job_it_is_of() {
    let sandbox = Sandbox::beside_code();
    let arguments = ["record", "--status", "completed", "--actor", "bob", "--metadata", r#"{"a": 1}"#];
    audit_in_job(&sandbox, &GITHUB, &arguments).exits(0);
    let entry = shown(&sandbox, "github-4821-1-build");
    let context = json!({
        "workspace_id": "acme/shop", "session_id": "github-4821-1", "correlation_id": "github-4821",
        "worker_id": "runner-7", "actor": "bob"
    });
    assert_eq!(entry["context"], context);
    assert_eq!(entry["metadata"]["a"], 1);
    assert_eq!(
        entry["metadata"]["ci"]["url"],
        "https://git.example.com/acme/shop/actions/runs/4821/attempts/1"
    );
    assert!(!entry.to_string().contains("not-for-the-ledger"));
    assert_eq!(sandbox.logged(&["--correlation", "github-4821"]).len(), 1);
}

#[test]
fn an_entry_of_a_document_keeps_what_it_says_and_needs_its_own_id() {
    let sandbox = Sandbox::beside_code();
    let given = r#"{"task_id": "t1", "status": "failed", "context": {"worker_id": "w1"}, "metadata": {"ci": {"own": 1}}}"#;
    let file = sandbox.input("t1.json", given);
    audit_in_job(&sandbox, &GITLAB, &["record", &file]).exits(0);
    let entry = shown(&sandbox, "t1");
    assert_eq!((&entry["context"]["worker_id"], &entry["context"]["actor"]), (&json!("w1"), &json!("ann")));
    assert_eq!(entry["metadata"], json!({"ci": {"own": 1}}));
    let nameless = sandbox.input("nameless.json", r#"{"status": "failed"}"#);
    audit_in_job(&sandbox, &GITLAB, &["record", &nameless]).exits(2).says("task_id is missing");
}

#[test]
fn a_repeated_record_in_another_attempt_is_the_same_record() {
    let sandbox = Sandbox::beside_code();
    let arguments = ["record", "--json", "--strict", "--task-id", "t1", "--status", "completed"];
    audit_in_job(&sandbox, &GITHUB, &arguments).exits(0);
    let mut again = GITHUB;
    again.iter_mut().find(|(name, _)| *name == "GITHUB_RUN_ATTEMPT").unwrap().1 = "2";
    let line = audit_in_job(&sandbox, &again, &arguments).exits(0).json();
    assert_eq!((&line["outcome"], &line["identical"]), (&"skipped".into(), &true.into()));
    // Without an id of its own it is another task: the second attempt of the job.
    audit_in_job(&sandbox, &again, &["record", "--status", "completed"]).exits(0);
    assert_eq!(sandbox.logged(&[]), ["github-4821-2-build", "t1"]);
}

#[test]
fn ci_is_off_where_it_is_not_wanted_or_not_sure() {
    let sandbox = Sandbox::beside_code();
    for (task_id, variables, flag) in [
        ("off", &GITHUB[..], Some("--no-ci")),
        ("plain", &[("CI", "true")][..], None),
        ("both", &[&GITHUB[..], &GITLAB].concat(), None),
    ] {
        let arguments = ["record", "--task-id", task_id, "--status", "completed"];
        let arguments: Vec<_> = arguments.into_iter().chain(flag).collect();
        audit_in_job(&sandbox, variables, &arguments).exits(0);
        let entry = shown(&sandbox, task_id);
        assert_eq!((&entry["context"], &entry["metadata"]), (&Value::Null, &Value::Null), "{task_id}");
    }
}

#[test]
fn insisting_on_an_unknown_ci_is_an_error_that_says_what_is_known() {
    let sandbox = Sandbox::beside_code();
    let arguments = ["record", "--ci", "--task-id", "t1", "--status", "completed"];
    sandbox.audit(&arguments).exits(2).says("GitHub Actions").says("--task-id");
    assert_eq!(sandbox.logged(&[]).len(), 0);
    sandbox.audit(&[&arguments[..], &["--best-effort"]].concat()).exits(0).says("warning: --ci");
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    audit_in_job(&sandbox, &GITLAB, &["record", "--ci", "--status", "completed"]).exits(0);
    assert_eq!(sandbox.logged(&["--workspace", "acme/shop"]), ["gitlab-12-77"]);
}

/// The reference of `docs/CI.md`, from the table that the program has.
fn reference() -> String {
    let code = |text: &str| {
        let alternatives = text.split('|').filter(|part| !part.is_empty());
        alternatives.map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", else ")
    };
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    for provider in PROVIDERS {
        text.push_str(&format!("### {}\n\nRecognised by {}", provider.title, list(provider.marks)));
        if !provider.unless.is_empty() {
            text.push_str(&format!(", without {}", list(provider.unless)));
        }
        text.push_str(".\n\n| field | value |\n|---|---|\n");
        let parts: Vec<_> = provider.task_id.iter().map(|part| part.trim_end_matches('|')).collect();
        text.push_str(&format!("| `task_id` | `{}-{}` |\n", provider.name, parts.join("-")));
        text.push_str(&format!("| `metadata.ci.provider` | `{}` |\n", provider.name));
        for (key, value) in provider.facts {
            text.push_str(&format!("| `metadata.ci.{key}` | {} |\n", code(value)));
        }
        if !provider.directory.is_empty() {
            text.push_str(&format!("| `context.worktree_path` | {} |\n", code(provider.directory)));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn the_document_names_every_variable_that_is_looked_at() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CI.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, documented) =
        text.split_once("<!-- From the table in src/entry/ci/providers.rs. -->\n\n").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let start = &text[..text.len() - documented.len()];
        return fs::write(&path, format!("{start}{}", reference())).unwrap();
    }
    assert_eq!(documented, reference(), "run with UPDATE_DOCS=1 to mend it");
    assert!(FACTS.iter().all(|key| before.contains(&format!("`{key}`"))));
}
