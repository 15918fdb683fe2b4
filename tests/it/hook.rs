//! `git audit hook`: agents are never disturbed, and what they tell is recorded. Installing, and git's own hooks, are in
//! `hook_install.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox, fixture, run};

const SESSION: &str = "3f2b8c1e-7d4a-4f6b-9c2d-1e0f9a8b7c6d";

/// What an agent hands to its hook, as documented, but of a session in this sandbox.
fn input(sandbox: &Sandbox, name: &str) -> String {
    let text = fs::read(fixture(&format!("hooks/{name}.json"))).unwrap();
    let fixture: Value = serde_json::from_slice(&text).unwrap();
    fixture["input"]
        .to_string()
        .replace("/home/dev/shop", sandbox.path("").to_str().unwrap().trim_end_matches('/'))
}

/// Calls the hook as the agent does, which must not notice anything.
#[track_caller]
fn call(sandbox: &Sandbox, agent: &str, name: &str) {
    is_silent(&sandbox.audit_with_input(&["hook", agent], input(sandbox, name)));
}

#[track_caller]
fn is_silent(run: &Run) {
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
}

fn show(sandbox: &Sandbox, task_id: &str) -> Value {
    sandbox.audit(&["show", "--json", task_id]).exits(0).json()
}

fn types(entry: &Value) -> Vec<&str> {
    entry["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn a_session_is_a_task_with_its_tools_as_events_and_its_tasks_beside_it() {
    let sandbox = Sandbox::beside_code();
    let names = [
        "session-start",
        "user-prompt-submit",
        "post-tool-use-write",
        "post-tool-use-bash",
        "post-tool-use-failure",
        "task-created",
        "task-completed",
        "subagent-start",
        "subagent-stop",
        "stop",
        "session-end",
    ];
    for name in names {
        call(&sandbox, "claude", &format!("claude/{name}"));
    }
    let session = show(&sandbox, SESSION);
    assert_eq!(session["status"], "completed");
    assert_eq!(
        types(&session),
        [
            "task_start",
            "session_start",
            "prompt",
            "tool_use",
            "tool_use",
            "tool_use_error",
            "task_created",
            "task_completed",
            "subagent_start",
            "subagent_stop",
            "turn_end",
            "repo_read",
            "task_complete"
        ]
    );
    assert_eq!(session["events"][3]["files_changed"], json!(["src/cart.rs"]));
    assert_eq!(session["metadata"]["end_reason"], "prompt_input_exit");
    let task = show(&sandbox, &format!("{SESSION}.task-001"));
    assert_eq!(task["context"]["session_id"], SESSION);
    assert_eq!(task["execution_result"], Value::Null);
    let subagent = session["events"][9]["metadata"]["task_id"].as_str().unwrap();
    let took = &show(&sandbox, subagent)["execution_result"];
    assert_eq!(took["start_time"], session["events"][8]["at"]);
    assert!(took["end_time"].is_string(), "{took}");
    assert_eq!(sandbox.logged(&["--session", SESSION, "--agent", "claude"]).len(), 3);
    let everything = sandbox.git(&["log", "-p", "audit"]);
    assert!(!everything.contains("s3cret"), "{everything}");
}

#[test]
fn codex_and_cursor_tell_the_same_in_their_words() {
    let sandbox = Sandbox::beside_code();
    for name in ["session-start", "post-tool-use-apply-patch", "stop", "session-end"] {
        call(&sandbox, "auto", &format!("codex/{name}"));
    }
    let codex = show(&sandbox, "0199a213-81c0-7800-8aa1-bbab2a035a53");
    assert_eq!(codex["dispatch_info"]["agent_id"], "codex");
    assert_eq!(codex["events"][2]["files_changed"], json!(["src/cart.rs", "src/old.rs", "src/tax.rs"]));
    for name in ["session-start", "post-tool-use-write", "subagent-stop", "session-end"] {
        call(&sandbox, "auto", &format!("cursor/{name}"));
    }
    let cursor = show(&sandbox, "9d7c0a8e-2b1f-4c3d-8e5f-6a7b8c9d0e1f");
    assert_eq!(
        (&cursor["dispatch_info"]["agent_id"], &cursor["status"]),
        (&"cursor".into(), &"cancelled".into())
    );
}

#[test]
fn the_program_that_codex_notifies_has_its_json_as_the_last_argument() {
    let sandbox = Sandbox::beside_code();
    is_silent(&sandbox.audit(&["hook", "codex", &input(&sandbox, "codex/notify")]));
    let running = sandbox.audit(&["tasks", "--json"]).exits(0).stdout;
    assert!(running.contains("0199a213-81c0-7800-8aa1-bbab2a035a53"), "{running}");
}

#[test]
fn hooks_installed_in_the_middle_of_a_session_begin_it() {
    let sandbox = Sandbox::beside_code();
    call(&sandbox, "claude", "claude/post-tool-use-read");
    call(&sandbox, "claude", "claude/session-end");
    assert_eq!(types(&show(&sandbox, SESSION)), ["task_start", "tool_use", "repo_read", "task_complete"]);
}

#[test]
fn a_session_that_goes_on_after_its_end_is_a_task_of_its_own_and_a_late_event_is_dropped() {
    let sandbox = Sandbox::beside_code();
    for name in ["session-start", "session-end", "stop"] {
        call(&sandbox, "claude", &format!("claude/{name}"));
    }
    assert_eq!(types(&show(&sandbox, SESSION)).len(), 4);
    assert_eq!(sandbox.logged(&[]), [SESSION]);
    for name in ["session-start", "post-tool-use-read", "session-end", "session-end"] {
        call(&sandbox, "claude", &format!("claude/{name}"));
    }
    let second = show(&sandbox, &format!("{SESSION}.run-2"));
    assert_eq!(types(&second), ["task_start", "session_start", "tool_use", "repo_read", "task_complete"]);
    assert_eq!(second["metadata"]["continues"], SESSION);
    assert_eq!(sandbox.logged(&[]).len(), 2);
}

#[test]
fn whatever_is_handed_over_the_caller_notices_nothing() {
    let ledger = Sandbox::beside_code();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"session_id\": \"{}\"}}", "x".repeat(9 << 20));
    let inputs: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\"x\"",
        b"\xff\xfe{}",
        b"{\"session_id\": 1}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for agent in ["claude", "codex", "cursor", "auto", "git"] {
        for input in inputs {
            is_silent(&ledger.audit_with_input(&["hook", agent], input));
        }
        for arguments in
            [&["--format", "no such"][..], &["--unknown=1", "-x"], &["--json", "extra"], &["--color"]]
        {
            is_silent(&ledger.audit(&[&["hook", agent], arguments].concat()));
            is_silent(&ledger.audit(&[&["--format", "csv", "hook", agent], arguments].concat()));
        }
        // No ledger, no repository, no directory.
        for place in [Sandbox::with_code(), Sandbox::empty()] {
            call(&place, agent, "claude/session-start");
            assert!(!place.path(".git/git-audit/journal").exists());
        }
        is_silent(
            &ledger
                .audit_with_input(&["-C", "missing", "hook", agent], input(&ledger, "claude/session-start")),
        );
    }
    assert_eq!(ledger.audit(&["tasks", "--json"]).exits(0).json()["total"], 0);
    // But a word of a hook does not hush other commands.
    ledger.audit(&["record", "--title", "hook", "git", "--bogus"]).exits(2);
}

/// libgit2 spins for ever on a truncated object. What is left behind ends with its process.
#[test]
fn a_repository_that_gives_no_answer_does_not_keep_a_session_from_the_ledger() {
    let sandbox = Sandbox::beside_code();
    let tree = sandbox.loose("HEAD^{tree}");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o644)).unwrap();
    let bytes = fs::read(&tree).unwrap();
    fs::write(&tree, &bytes[..bytes.len() / 2]).unwrap();
    let timed = |name: &str| {
        let started = Instant::now();
        call(&sandbox, "claude", name);
        started.elapsed()
    };
    let begin = timed("claude/session-start");
    let tool = timed("claude/post-tool-use-read");
    let end = timed("claude/session-end");
    let session = show(&sandbox, SESSION);
    assert_eq!(types(&session)[..3], ["task_start", "session_start", "tool_use"]);
    assert!(
        session["events"][3]["metadata"]["incomplete"].as_str().unwrap().contains("no answer within 1 s")
    );
    // The agent would have ended the hook after ten.
    for took in [begin, tool, end] {
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
}

#[test]
fn a_look_that_was_cut_short_is_not_tried_again_at_each_event() {
    let sandbox = Sandbox::beside_code();
    super::sandbox::run(sandbox.command("mkfifo").arg(sandbox.path(".gitignore"))).exits(0);
    sandbox.write("new", "1\n");
    let file = sandbox.input("input.json", input(&sandbox, "claude/session-start"));
    let mut command = sandbox.audit_command(&["hook", "claude"]);
    let mut hook = command.stdin(fs::File::open(file).unwrap()).spawn().unwrap();
    while sandbox.audit(&["tasks", "--json"]).exits(0).json()["total"] == 0 {}
    hook.kill().unwrap();
    // On a machine so busy that the look was over by then, there is nothing to see.
    if hook.wait().unwrap().success() {
        return;
    }
    call(&sandbox, "claude", "claude/post-tool-use-read");
    call(&sandbox, "claude", "claude/session-end");
    let session = show(&sandbox, SESSION);
    let types: Vec<_> = types(&session).into_iter().filter(|kind| *kind != "session_start").collect();
    assert_eq!(types, ["task_start", "tool_use", "task_complete"]);
}

#[test]
fn what_could_not_be_done_is_said_to_whom_asks() {
    let sandbox = Sandbox::with_code();
    let said = sandbox.audit_with_input(&["hook", "claude", "--verbose"], input(&sandbox, "claude/stop"));
    assert_eq!(said.exits(0).says("no audit ledger").stdout, "");
    let said = sandbox.audit_with_input(&["hook", "claude", "--verbose"], "{").exits(0).says("not JSON");
    assert_eq!(said.stdout, "");
}

#[test]
fn what_was_taken_down_is_said_in_words() {
    let sandbox = Sandbox::beside_code();
    let said = |name: &str| {
        sandbox.audit_with_input(&["hook", "claude", "--verbose"], input(&sandbox, name)).exits(0).stderr
    };
    assert_eq!(said("claude/session-start"), format!("note: 1 event of {SESSION}\n"));
    let both = format!("note: 1 event of {SESSION}, the entry {SESSION}.task-001\n");
    assert_eq!(said("claude/task-completed"), both);
    assert_eq!(said("claude/session-end"), format!("note: the end of {SESSION}\n"));
    assert_eq!(said("claude/stop"), "note: nothing to take down\n");
}

#[test]
fn the_ledger_is_that_of_the_directory_which_the_agent_names() {
    let sandbox = Sandbox::beside_code();
    let mut command = sandbox.audit_command(&["hook", "claude"]);
    let mut call = |directory: &str| {
        let file = sandbox.input("input.json", input(&sandbox, "claude/session-start"));
        run(command.current_dir(directory).stdin(fs::File::open(file).unwrap()))
    };
    is_silent(&call("/"));
    assert_eq!(sandbox.audit(&["tasks", "--json"]).exits(0).json()["total"], 1);
}
