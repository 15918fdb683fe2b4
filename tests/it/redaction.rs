//! Secrets never reach the disk: not the objects, not the spool, not a message.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, entry, run};

/// A token that is none, in pieces: whoever scans these sources must not take it for one.
pub fn token() -> String {
    format!("gh{}{}", "p_", body())
}

/// What must not be found anywhere.
pub fn body() -> String {
    ["Zq7Rt2", "Lm9Xw4", "Kd8Vb3", "Hs6Yn5", "Pf1Gc0", "Jt4Qz8"].concat()
}

pub fn password() -> String {
    ["corr3ct-", "h0rse"].concat()
}

fn base64(text: &str) -> String {
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let symbol = |index: usize| char::from(symbols[(bits >> (18 - 6 * index) & 63) as usize]);
        let length = group.len() + 1;
        (0..4).map(|index| if index < length { symbol(index) } else { '=' }).collect::<String>()
    };
    text.as_bytes().chunks(3).map(group).collect()
}

/// What stands in base64 where the text is in it, whatever is beside it.
fn encoded(text: &str) -> Vec<String> {
    (0..3).map(|shift| base64(&format!("{}{text}", &"  "[..shift]))[4..text.len()].to_owned()).collect()
}

/// Everything that the sandbox has on its disk: all files, and all objects of the repository inflated.
fn everything(sandbox: &Sandbox, but: &[&Path]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut folders = vec![sandbox.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if !but.contains(&path.as_path()) {
                all.extend(fs::read(path).unwrap());
            }
        }
    }
    if sandbox.path(".git").exists() {
        let mut command = sandbox.command("git");
        let objects = command.args(["cat-file", "--batch-all-objects", "--batch"]).output().unwrap();
        all.extend(objects.stdout);
    }
    all
}

/// Fails the test if a secret is anywhere: on the disk, or in what was printed.
#[track_caller]
pub fn assert_gone(sandbox: &Sandbox, runs: &[&Run], but: &[&Path]) {
    let mut all = everything(sandbox, but);
    runs.iter().for_each(|run| all.extend([run.stdout.as_bytes(), run.stderr.as_bytes()].concat()));
    for secret in [body(), password()] {
        for text in [vec![secret.clone()], encoded(&secret)].concat() {
            let found = all.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!found, "{secret} is there, as {text}: {runs:?}");
        }
    }
}

/// Writes a policy to the ledger's branch.
pub fn set_policy(sandbox: &Sandbox, policy: &str) {
    sandbox.git(&["checkout", "--quiet", "audit"]);
    sandbox.write(".audit/config.toml", format!("version = 1\n{policy}"));
    sandbox.git(&["add", ".audit/config.toml"]);
    sandbox.commit("policy");
    sandbox.git(&["checkout", "--quiet", "main"]);
}

pub fn stored(sandbox: &Sandbox, task_id: &str) -> Value {
    sandbox.audit(&["show", task_id, "--raw"]).exits(0).json()
}

#[test]
fn the_base64_of_these_tests_is_base64() {
    let decoded = run(Sandbox::empty()
        .command("sh")
        .args(["-c", &format!("printf %s '{}' | base64 -d", base64(&token()))]));
    assert_eq!(decoded.stdout, token());
}

#[test]
fn a_secret_in_flags_is_redacted_and_named_but_not_shown() {
    let sandbox = Sandbox::beside_code();
    let metadata =
        json!({"token": token(), "config": {"db_password": password()}, "encoded": base64(&token())})
            .to_string();
    let error = format!("cannot fetch https://bot:{}@git.example.com/x: 401", password());
    let flags =
        ["record", "--task-id", "t1", "--status", "failed", "--metadata", &metadata, "--error", &error];
    let first =
        sandbox.audit(&flags).exits(0).says("warning: the flags: redacted github-pat at /metadata/token");
    let first = first
        .says("redacted password at /metadata/config/db_password")
        .says("redacted url-password at /error_message");
    let entry = stored(&sandbox, "t1");
    let expected = json!({"token": "[redacted:github-pat]", "config": {"db_password": "[redacted:password]"}, "encoded": "[redacted:github-pat]"});
    assert_eq!(entry["metadata"], expected);
    assert_eq!(
        entry["error_message"],
        "cannot fetch https://bot:[redacted:url-password]@git.example.com/x: 401"
    );
    let again = sandbox.audit(&[&flags[..], &["--strict", "--json"]].concat()).exits(0);
    assert_eq!((&again.json()["outcome"], &again.json()["identical"]), (&"skipped".into(), &true.into()));
    assert_gone(&sandbox, &[&first, &again], &[]);
}

#[test]
fn files_json_lines_standard_input_and_imports_are_redacted() {
    let sandbox = Sandbox::beside_code();
    let with = |id: &str| json!({"task_id": id, "status": "failed", "events": [{"type": "execute_error", "error_message": format!("Authorization: Bearer {}", token())}]});
    let file = sandbox.input("one.json", serde_json::to_string_pretty(&with("a")).unwrap());
    let lines = format!(
        "{}\n{}\n{{\"task_id\": \"x\", \"{}\": 1, \"{}\": 2}}\n",
        with("b"),
        with("c"),
        token(),
        token()
    );
    let one = sandbox
        .audit(&["record", &file])
        .exits(0)
        .says("one.json: redacted github-pat at /events/0/error_message");
    let two = sandbox
        .audit_with_input(&["record"], &lines)
        .exits(2)
        .says("standard input:2: redacted github-pat at");
    let array = sandbox.input("many.json", json!([with("d"), with("e")]).to_string());
    let three =
        sandbox.audit(&["import", &array]).exits(0).says("redacted github-pat at /events/0/error_message");
    assert_eq!(sandbox.logged(&[]).len(), 5);
    assert_gone(&sandbox, &[&one, &two, &three], &[Path::new(&file), Path::new(&array)]);
}

#[test]
fn without_a_repository_the_built_in_rules_apply_before_anything_is_spooled() {
    let sandbox = Sandbox::empty();
    let metadata = json!({"token": token()}).to_string();
    let flags = ["record", "--best-effort", "--task-id", "t1", "--status", "failed", "--metadata", &metadata];
    let entry = sandbox.audit(&flags).exits(0).says("redacted github-pat").says("the entry waits in");
    let broken =
        format!("{{\"task_id\": \"t2\", \"password\": \"{}\", \"token\": \"{}\"", password(), token());
    let broken =
        sandbox.audit_with_input(&["record", "--best-effort", "-"], &broken).exits(0).says("it is kept in");
    let flag = format!("--password={}", password());
    let unknown = sandbox
        .audit(&["record", "--best-effort", &flag, "--title", &token()])
        .exits(0)
        .says("the arguments are in");
    let quoted = sandbox.audit(&["record", "--project", &token()]).exits(2);
    assert_gone(&sandbox, &[&entry, &broken, &unknown, &quoted], &[]);
}

#[test]
fn a_secret_in_an_id_is_refused_by_the_rules_name() {
    let sandbox = Sandbox::beside_code();
    for flags in [["--task-id", &token(), "--supersedes", "x"], ["--task-id", "x", "--supersedes", &token()]]
    {
        let line = [&["record", "--status", "failed"], &flags[..]].concat();
        let refused = sandbox.audit(&line).exits(2).says("holds what looks like a secret (rule github-pat)");
        let kept = sandbox.audit(&[&line[..], &["--best-effort"]].concat()).exits(0).says("it is kept in");
        assert_gone(&sandbox, &[&refused, &kept], &[]);
    }
    assert!(sandbox.logged(&[]).is_empty());
}

#[test]
fn a_message_that_quotes_what_is_wrong_quotes_no_secret() {
    let sandbox = Sandbox::beside_code();
    for value in [
        json!({"task_id": "t", "status": token()}),
        json!({"task_id": "t", "status": "failed", "timestamp": format!("at {}", token())}),
        json!({"task_id": format!("no id: {}", token()), "status": "failed"}),
        json!({"schema": token(), "task_id": "t", "status": "failed"}),
        json!({"task_id": "t", "status": "failed", "steps": [{"step_id": 5, "x": token()}]}),
        json!({"task_id": "t", "status": "failed", "context": {(token()): 1, "project_number": "x"}}),
    ] {
        let refused = sandbox.audit_with_input(&["record"], value.to_string()).exits(2);
        assert_gone(&sandbox, &[&refused], &[]);
    }
}

#[test]
fn a_policy_can_block_and_the_others_are_recorded() {
    let sandbox = Sandbox::beside_code();
    set_policy(&sandbox, "[redaction]\naction = \"block\"\n");
    let mut bad = entry("bad");
    bad["metadata"] = json!({"deep": [{"token": token()}]});
    let lines = format!("{}\n{bad}\n{}\n", entry("a"), entry("b"));
    let blocked = sandbox.audit_with_input(&["record"], &lines).exits(2);
    let blocked = blocked.says(":2: /metadata/deep/0/token: holds what looks like a secret (rule github-pat), which the ledger's policy blocks");
    let kept = sandbox
        .audit_with_input(&["record", "--best-effort"], bad.to_string())
        .exits(0)
        .says("it is kept in");
    assert_eq!(sandbox.logged(&[]), ["b", "a"]);
    assert_gone(&sandbox, &[&blocked, &kept], &[]);
}

#[test]
fn a_policy_can_warn_for_one_rule_and_disable_another() {
    let sandbox = Sandbox::beside_code();
    let policy = "[redaction]\ndisabled = [\"password\"]\n[[redaction.rules]]\nid = \"github-pat\"\naction = \"warn\"\n";
    set_policy(&sandbox, policy);
    let metadata = json!({"a": token(), "password": "hunter2"}).to_string();
    let warned = sandbox.record("t1", &["--metadata", &metadata]);
    let warned = warned.says("warning: the flags: kept what looks like github-pat at /metadata/a");
    assert!(!warned.stderr.contains(&body()));
    assert_eq!(stored(&sandbox, "t1")["metadata"], json!({"a": token(), "password": "hunter2"}));
    // That what must be gone elsewhere would be found.
    let all = everything(&sandbox, &[]);
    assert!(all.windows(body().len()).any(|part| part == body().as_bytes()));
}

#[test]
fn a_policy_has_rules_of_its_own_pasted_ones_and_pointers() {
    let sandbox = Sandbox::beside_code();
    set_policy(
        &sandbox,
        r#"title = "pasted from a scanner"
[redaction]
[[redaction.rules]]
id = "customer"
pointers = ["/metadata/customer/email", "/events/*/metadata/user"]
[[rules]]
id = "acme-key"
description = "Acme"
regex = '''acme-([a-z0-9]{8})'''
keywords = ["acme-"]
tags = ["x"]
[rules.allowlist]
paths = ['''x''']
stopwords = ["example"]
"#,
    );
    let value = json!({
        "task_id": "t1", "status": "failed", "title": "key acme-a1b2c3d4, not acme-1example",
        "metadata": {"customer": {"email": {"address": password()}}, "email": "x"},
        "events": [{"type": "a", "metadata": {"user": password()}}, {"type": "b", "metadata": {"user": 5}}]
    });
    let said = sandbox.audit_with_input(&["record"], value.to_string()).exits(0);
    let said = said.says("redacted customer at /events/1/metadata/user").says("redacted acme-key at /title");
    let entry = stored(&sandbox, "t1");
    assert_eq!(entry["title"], "key acme-[redacted:acme-key], not acme-1example");
    assert_eq!(entry["metadata"], json!({"customer": {"email": "[redacted:customer]"}, "email": "x"}));
    let broken = format!("{{\"metadata\": {{\"customer\": {{\"email\": \"{}\"", password());
    let broken =
        sandbox.audit_with_input(&["record", "--best-effort", "-"], broken).exits(0).says("it is kept in");
    assert_gone(&sandbox, &[&said, &broken], &[]);
}

#[test]
fn a_policy_that_is_wrong_stops_everything_and_names_the_rule() {
    let sandbox = Sandbox::beside_code();
    set_policy(&sandbox, "[[redaction.rules]]\nid = \"broken\"\nregex = \"a(\"\n");
    let metadata = json!({"token": token()}).to_string();
    let flags = ["--task-id", "t1", "--status", "failed", "--metadata", &metadata];
    let refused = sandbox
        .audit(&[&["record"], &flags[..]].concat())
        .exits(1)
        .says(".audit/config.toml")
        .says("rule `broken`: regex");
    let file = sandbox.input("x.jsonl", entry("a").to_string());
    sandbox.audit(&["import", &file]).exits(1).says("rule `broken`");
    let kept = sandbox
        .audit(&[&["record", "--best-effort"], &flags[..]].concat())
        .exits(0)
        .says("the entry waits in");
    sandbox.audit(&["flush"]).exits(1).says("rule `broken`");
    assert!(sandbox.logged(&[]).is_empty());
    assert_gone(&sandbox, &[&refused, &kept], &[]);
    set_policy(&sandbox, "");
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(stored(&sandbox, "t1")["metadata"]["token"], "[redacted:github-pat]");
}

#[test]
fn what_waited_is_redacted_by_the_policy_of_then() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("known", &["--title", "other"]);
    let held = sandbox.hold_lock();
    for id in ["t1", "known", "blocked"] {
        let title = format!("{id} acme-{}", password());
        let flags = ["record", "--best-effort", "--task-id", id, "--status", "completed", "--title", &title];
        sandbox.audit(&[&flags[..], &["--timeout", "0"]].concat()).exits(0).says("the entry waits in");
    }
    drop(held);
    let rule = |id: &str, regex: &str, action: &str| {
        format!("[[rules]]\nid = \"{id}\"\nregex = '{regex}'\naction = \"{action}\"\n")
    };
    set_policy(
        &sandbox,
        &[rule("acme", "acme-[a-z0-9-]+", "redact"), rule("no", "^blocked", "block")].concat(),
    );
    let flushed =
        sandbox.audit(&["flush"]).exits(2).says("t1: redacted acme at /title").says("holds no entry");
    assert_eq!(stored(&sandbox, "t1")["title"], "t1 [redacted:acme]");
    assert!(sandbox.path(".git/git-audit/set-aside/spool").exists());
    let mut logged = sandbox.logged(&[]);
    logged.sort();
    assert_eq!(logged, ["known", "t1"]);
    assert_gone(&sandbox, &[&flushed], &[]);
}

#[test]
fn nothing_in_the_fixtures_looks_like_a_secret() {
    let sandbox = Sandbox::beside_code();
    for file in crate::sandbox::fixture_entries() {
        let said = sandbox.audit(&["record", &file]).exits(0);
        assert!(!said.stderr.contains("redacted"), "{}", said.stderr);
    }
}

#[test]
fn the_document_lists_the_rules_that_there_are() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/REDACTION.md")).unwrap();
    let rules = git_audit::entry::redact::built_in().map(|(id, what)| format!("| `{id}` | {what} |"));
    let section = text.split("\n## ").find(|section| section.starts_with("Built-in rules")).unwrap();
    let listed: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    assert_eq!(listed, rules.collect::<Vec<_>>());
}

#[test]
fn the_examples_in_the_template_are_a_policy() {
    let sandbox = Sandbox::beside_code();
    let template = sandbox.git(&["show", "audit:.audit/config.toml"]);
    let examples: Vec<_> = template.lines().skip_while(|line| !line.starts_with("# [redaction]")).collect();
    let policy: Vec<_> = examples.iter().map(|line| line.strip_prefix("# ").unwrap_or("")).collect();
    set_policy(&sandbox, &policy.join("\n"));
    sandbox
        .record("t1", &["--metadata", r#"{"customer": {"email": "a@example.com"}}"#])
        .says("at /metadata/customer/email");
}

#[test]
fn a_rule_of_later_does_not_keep_a_task_from_ending_and_a_command_cannot_escape_its_record() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0);
    sandbox.audit(&["event", "t1", "x", "--message", "order acme-1234"]).exits(0);
    set_policy(
        &sandbox,
        "[redaction]\naction = \"block\"\n[[redaction.rules]]\nid = \"acme\"\nregex = 'acme-[0-9]+'\n",
    );
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0).says("redacted acme");
    assert!(stored(&sandbox, "t1")["events"].to_string().contains("order [redacted:acme]"));
    // At the door it is blocked.
    sandbox.audit(&["start", "t2", "--title", "acme-1"]).exits(2).says("acme");
    let command = ["run", "--task-id", "t2", "--", "sh", "-c", "exit 3", "acme-77"];
    sandbox.audit(&command).exits(3).says("redacted acme");
    assert!(stored(&sandbox, "t2").to_string().contains("[redacted:acme]"));
    let titled = ["run", "--task-id", "t3", "--title", "acme-2", "--", "true"];
    sandbox.audit(&titled).exits(0).says("redacted acme at /title");
    let strict = [&["run", "--strict"], &command[1..]].concat();
    sandbox.audit(&strict).exits(125).says("the command was not run");
}

#[test]
fn a_secret_in_the_id_of_a_task_never_becomes_the_name_of_a_file() {
    let sandbox = Sandbox::beside_code();
    let token = token();
    let runs = [
        sandbox.audit(&["start", &token]).exits(2).says("an id cannot be redacted"),
        sandbox
            .audit(&["run", "--task-id", &token, "--", "true"])
            .exits(125)
            .says("an id cannot be redacted"),
    ];
    assert_gone(&sandbox, &runs.iter().collect::<Vec<_>>(), &[]);
    assert!(!sandbox.path(&format!(".git/git-audit/journal/{token}.jsonl")).exists());
}
