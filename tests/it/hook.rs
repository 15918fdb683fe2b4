//! `git audit hook`: agents and git are never disturbed, what they tell is recorded, and their settings stay theirs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
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

// Installing.

fn settings(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(".claude/settings.json")
}

fn parsed(path: &PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_fresh_install_shows_what_it_writes_and_a_second_one_changes_nothing() {
    let sandbox = Sandbox::with_code();
    for (agent, path) in [
        ("claude", ".claude/settings.json"),
        ("codex", ".codex/hooks.json"),
        ("cursor", ".cursor/hooks.json"),
    ] {
        let path = sandbox.path(path);
        let shown = sandbox.audit(&["hook", "install", agent, "--dry-run"]).exits(0);
        assert!(shown.stdout.contains("--- /dev/null\n+++ ") && shown.stdout.contains("would create "));
        assert!(!path.exists());
        let done = sandbox.audit(&["hook", "install", agent]).exits(0).says("git audit init");
        assert!(
            done.stdout.contains(&format!("git audit hook {agent} 2>/dev/null || true")),
            "{}",
            done.stdout
        );
        let first = fs::read(&path).unwrap();
        assert!(parsed(&path)["hooks"].as_object().unwrap().len() >= 7);
        let again = sandbox.audit(&["hook", "install", agent]).exits(0);
        assert_eq!((again.stdout, again.stderr), (format!("unchanged {}\n", path.display()), String::new()));
        assert_eq!(fs::read(&path).unwrap(), first);
        let removed = sandbox.audit(&["hook", "uninstall", agent, "--json"]).exits(0).json();
        assert_eq!(removed["files"][0]["outcome"], "changed");
        assert!(!fs::read_to_string(&path).unwrap().contains("audit"));
    }
}

#[test]
fn what_the_user_has_in_the_settings_stays_as_it_is() {
    let sandbox = Sandbox::beside_code();
    let own = "{\n    // why this model\n    \"model\": \"x\",   \"env\": {\"B\":\"1\",\"A\":\"2\"},\n    \"hooks\": {\n        \"Stop\": [ {\"hooks\": [{\"type\": \"command\", \"command\": \"date\"}]} ],\n    }\n}\n";
    let path = sandbox.write(".claude/settings.json", own);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    sandbox.audit(&["hook", "install", "claude"]).exits(0);
    let now = fs::read_to_string(&path).unwrap();
    assert!(
        now.starts_with(
            "{\n    // why this model\n    \"model\": \"x\",   \"env\": {\"B\":\"1\",\"A\":\"2\"},\n"
        ),
        "{now}"
    );
    assert_eq!(now.matches("date").count(), 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    sandbox.audit(&["hook", "uninstall", "claude"]).exits(0);
    let out = fs::read_to_string(&path).unwrap();
    assert!(out.contains("// why this model") && out.contains("date") && !out.contains("audit"), "{out}");
}

#[test]
fn broken_settings_are_refused_with_their_place_and_left_alone() {
    let sandbox = Sandbox::beside_code();
    let path = sandbox.write(".claude/settings.json", "{\n  \"a\": [1,\n}\n");
    let refused = sandbox.audit(&["hook", "install", "claude"]).exits(1);
    assert!(refused.stderr.contains("settings.json: line 3, column 1"), "{}", refused.stderr);
    refused.says("nothing was written").says("hint: put the JSON right");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"a\": [1,\n}\n");
    for odd in ["[]", "{\"hooks\": 1}", "{\"hooks\": {\"Stop\": 1}}"] {
        fs::write(&path, odd).unwrap();
        sandbox.audit(&["hook", "install", "claude"]).exits(1).says("is not an");
        assert_eq!(fs::read_to_string(&path).unwrap(), odd);
    }
}

#[test]
fn settings_that_are_a_symbolic_link_stay_one() {
    let sandbox = Sandbox::beside_code();
    let target = sandbox.write("shared.json", "{}\n");
    fs::create_dir(sandbox.path(".claude")).unwrap();
    symlink(&target, settings(&sandbox)).unwrap();
    sandbox.audit(&["hook", "install", "claude"]).exits(0);
    assert!(settings(&sandbox).is_symlink());
    assert!(parsed(&target)["hooks"]["Stop"].is_array());
    // One that leads nowhere is not for us to decide about.
    fs::remove_file(&target).unwrap();
    sandbox.audit(&["hook", "install", "claude"]).exits(1).says("follow the symbolic link");
}

#[test]
fn settings_outside_of_the_repository_are_changed_only_as_the_users() {
    let sandbox = Sandbox::beside_code();
    let home = sandbox.root().join("home/.claude");
    fs::create_dir(&home).unwrap();
    symlink(&home, sandbox.path(".claude")).unwrap();
    for arguments in [&["install", "claude"][..], &["install", "claude", "--local"], &["uninstall", "claude"]]
    {
        let refused = sandbox.audit(&[&["hook"], arguments].concat()).exits(1);
        refused.says("outside of the repository").says(home.to_str().unwrap()).says("claude --user");
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    // A link below the user's own directory is the user's affair, and the path is the real one.
    let dotfiles = sandbox.root().join("dotfiles");
    fs::rename(&home, &dotfiles).unwrap();
    symlink(&dotfiles, &home).unwrap();
    let done = sandbox.audit(&["hook", "install", "claude", "--user", "--json"]).exits(0).json();
    assert_eq!(done["files"][0]["path"], dotfiles.join("settings.json").to_str().unwrap());
    assert!(dotfiles.join("settings.json").is_file());
    // A linked worktree may share what the main one has.
    let tree = sandbox.root().join("tree");
    sandbox.git(&["worktree", "add", "--quiet", tree.to_str().unwrap()]);
    sandbox.write(".codex/hooks.json", "{}\n");
    symlink(sandbox.path(".codex"), tree.join(".codex")).unwrap();
    run(sandbox.audit_command(&["hook", "install", "codex"]).current_dir(&tree)).exits(0);
    assert!(parsed(&sandbox.path(".codex/hooks.json"))["hooks"].is_object());
}

#[test]
fn the_diff_that_is_shown_has_no_secret_of_the_settings() {
    let sandbox = Sandbox::beside_code();
    let secret = ["sk-ant-api03-", "Zk3vQ9xT7mB2nR5wL8pD1sF6hJ4cG0yA"].concat();
    let own = format!("{{\n  \"env\": {{\n    \"ANTHROPIC_API_KEY\": \"{secret}\"\n  }}\n}}\n");
    let path = sandbox.write(".claude/settings.json", &own);
    for arguments in [&["--dry-run"][..], &["--dry-run", "--json"], &["--dry-run", "--format", "csv"], &[]] {
        let shown = sandbox.audit(&[&["hook", "install", "claude"], arguments].concat()).exits(0);
        assert!(!(shown.stdout + &shown.stderr).contains(&secret[20..]), "{arguments:?}");
    }
    assert!(fs::read_to_string(&path).unwrap().contains(&secret));
    let shown = sandbox.audit(&["hook", "uninstall", "claude"]).exits(0).stdout;
    assert!(shown.contains("ANTHROPIC_API_KEY\": \"[redacted:"), "{shown}");
    assert!(fs::read_to_string(&path).unwrap().contains(&secret));
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let sandbox = Sandbox::beside_code();
    sandbox.write(".claude", "a file where the directory should be");
    sandbox.audit(&["hook", "install", "claude"]).exits(1).says("cannot ");
    assert!(sandbox.path(".claude").is_file());
    let path = sandbox.write(".cursor/hooks.json", "{}");
    let mode = |mode| fs::set_permissions(sandbox.path(".cursor"), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let is_root = fs::write(sandbox.path(".cursor/probe"), "").is_ok();
    if !is_root {
        sandbox.audit(&["hook", "install", "cursor"]).exits(1).says("cannot write");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }
    mode(0o755);
}

#[test]
fn the_users_settings_need_no_repository() {
    let sandbox = Sandbox::empty();
    sandbox.audit(&["hook", "install", "claude"]).exits(1).says("no git repository");
    sandbox.audit(&["hook", "install", "claude", "--user"]).exits(0);
    assert!(parsed(&sandbox.root().join("home/.claude/settings.json"))["hooks"].is_object());
    let elsewhere = sandbox.root().join("codex");
    run(sandbox.audit_command(&["hook", "install", "codex", "--user"]).env("CODEX_HOME", &elsewhere))
        .exits(0)
        .says("/hooks");
    assert!(elsewhere.join("hooks.json").is_file());
    sandbox.audit(&["hook", "install", "cursor", "--local"]).exits(2);
    sandbox.audit(&["hook", "install", "git", "--user"]).exits(2);
}

#[test]
fn from_a_directory_below_the_settings_are_those_of_the_whole_tree() {
    let sandbox = Sandbox::beside_code();
    run(sandbox.audit_command(&["hook", "install", "claude", "--local"]).current_dir(sandbox.path("src")))
        .exits(0);
    assert!(sandbox.path(".claude/settings.local.json").is_file());
}

// git's hooks.

/// Runs git as `git audit run` runs a command of a task.
fn git_in_task(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let ledger = fs::canonicalize(sandbox.path(".git")).unwrap();
    let mut command = sandbox.command("git");
    command.args(Sandbox::as_user(arguments)).env("GIT_AUDIT_TASK", "t1").env("GIT_AUDIT_LEDGER", ledger);
    run(&mut command).exits(0)
}

fn events(sandbox: &Sandbox) -> Vec<Value> {
    let finished = show(sandbox, "t1");
    finished["events"].as_array().unwrap().clone()
}

#[test]
fn what_git_does_in_a_task_is_its_events_and_nothing_otherwise() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    sandbox.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", "before"]);
    sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0);
    git_in_task(&sandbox, &["checkout", "--quiet", "-b", "topic"]);
    git_in_task(&sandbox, &["commit", "--quiet", "--allow-empty", "-m", "First\n\nbody"]);
    git_in_task(&sandbox, &["commit", "--quiet", "--amend", "--allow-empty", "-m", "Second"]);
    let remote = sandbox.root().join("remote.git");
    sandbox.git(&["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    git_in_task(&sandbox, &["push", "--quiet", remote.to_str().unwrap(), "topic"]);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let events = events(&sandbox);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "task_start",
            "repo_checkout",
            "repo_commit",
            "repo_commit",
            "repo_rewrite",
            "repo_push",
            "task_complete"
        ]
    );
    let head = sandbox.git(&["rev-parse", "topic"]);
    assert_eq!(events[2]["metadata"]["subject"], "First");
    assert_eq!(events[3]["commit_hash"], head.trim());
    assert_eq!(events[4]["metadata"]["commits"][0]["old"], events[2]["commit_hash"]);
    assert_eq!(events[5]["metadata"]["refs"][0]["local_ref"], "refs/heads/topic");
}

#[test]
fn inside_run_the_hooks_find_the_task_by_themselves() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    let commit = Sandbox::as_user(&["commit", "--quiet", "--allow-empty", "-m", "From inside"]);
    sandbox.audit(&[&["run", "--task-id", "t1", "--", "git"], &commit[..]].concat()).exits(0);
    let events = events(&sandbox);
    let event = events.iter().find(|event| event["type"] == "repo_commit").unwrap();
    assert_eq!(event["metadata"]["subject"], "From inside");
    assert_eq!(event["metadata"]["directory"], sandbox.path("").to_str().unwrap().trim_end_matches('/'));
}

#[test]
fn a_hook_that_is_there_is_kept_with_its_exit_code_and_its_input() {
    let sandbox = Sandbox::beside_code();
    let own = "#!/bin/sh\ncat >\"$(git rev-parse --git-dir)/seen\"\nexit 3\n";
    let path = sandbox.write(".git/hooks/pre-push", own);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    let with = fs::read_to_string(&path).unwrap();
    assert!(with.starts_with("#!/bin/sh\n# >>> git-audit") && with.ends_with("exit 3\n"), "{with}");
    let again = sandbox.audit(&["hook", "install", "git", "--json"]).exits(0).json();
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["outcome"] == "unchanged"), "{again}");
    sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0);
    let remote = sandbox.root().join("remote.git");
    sandbox.git(&["init", "--quiet", "--bare", remote.to_str().unwrap()]);
    let mut push = sandbox.command("git");
    push.args(["push", "--quiet", remote.to_str().unwrap(), "main"]);
    push.env("GIT_AUDIT_TASK", "t1").env("GIT_AUDIT_LEDGER", sandbox.path(".git"));
    assert_ne!(run(&mut push).code, 0);
    assert!(fs::read_to_string(sandbox.path(".git/seen")).unwrap().starts_with("refs/heads/main "));
    sandbox.audit(&["hook", "uninstall", "git"]).exits(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), own);
    assert!(!sandbox.path(".git/hooks/post-commit").exists());
}

#[test]
fn git_goes_on_where_the_program_or_the_task_is_gone() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    // No such task.
    let done = git_in_task(&sandbox, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    // No such program: only git's own directories.
    let path = sandbox.git(&["--exec-path"]);
    let mut commit = sandbox.command("git");
    commit.args(Sandbox::as_user(&["commit", "--quiet", "--allow-empty", "-m", "x"]));
    commit.env("PATH", format!("/usr/bin:/bin:{}", path.trim())).env("GIT_AUDIT_TASK", "t1");
    let done = run(commit.env("GIT_AUDIT_LEDGER", sandbox.path(".git"))).exits(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[test]
fn a_hook_in_another_language_is_refused_and_no_hook_is_written() {
    let sandbox = Sandbox::beside_code();
    sandbox.write(".git/hooks/post-merge", "#!/usr/bin/env python3\n");
    sandbox
        .audit(&["hook", "install", "git"])
        .exits(1)
        .says("no shell script")
        .says("hint: call `git audit hook git post-merge");
    assert!(!sandbox.path(".git/hooks/post-commit").exists());
}

#[test]
fn the_repositorys_own_hooks_path_is_used_and_a_shared_one_refused() {
    let sandbox = Sandbox::beside_code();
    sandbox.git(&["config", "core.hooksPath", "tools/hooks"]);
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    assert!(sandbox.path("tools/hooks/post-commit").is_file());
    assert!(!sandbox.path(".git/hooks/post-commit").exists());
    sandbox.git(&["config", "--unset", "core.hooksPath"]);
    sandbox.git(&["config", "--global", "core.hooksPath", "~/hooks"]);
    sandbox.audit(&["hook", "install", "git"]).exits(1).says("home/hooks").says("core.hooksPath");
    assert!(!sandbox.root().join("home/hooks").exists());
    // What is said to do works, also from a linked worktree, where `.git` is a file.
    let tree = sandbox.root().join("tree");
    sandbox.git(&["worktree", "add", "--quiet", tree.to_str().unwrap()]);
    let install = || run(sandbox.audit_command(&["hook", "install", "git"]).current_dir(&tree));
    let refused = install().exits(1).stderr;
    let (_, way_out) = refused.split_once("run `").unwrap();
    let (command, _) = way_out.split_once('`').unwrap();
    run(sandbox.command("sh").args(["-c", command]).current_dir(&tree)).exits(0);
    install().exits(0);
    assert!(sandbox.path(".git/hooks/post-commit").is_file());
    let seen = run(sandbox.command("git").args(["rev-parse", "--git-path", "hooks"]).current_dir(&tree));
    assert_eq!(seen.stdout.trim(), sandbox.path(".git/hooks").to_str().unwrap());
}

#[test]
fn a_hook_that_is_switched_off_stays_off() {
    let sandbox = Sandbox::beside_code();
    let own = "#!/bin/sh\nexit 1\n";
    let path = sandbox.write(".git/hooks/pre-push", own);
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let refused = sandbox.audit(&["hook", "install", "git"]).exits(1).says("not executable");
    refused.says("nothing was written").says(&format!("chmod +x {}", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), own);
    assert!(!sandbox.path(".git/hooks/post-commit").exists());
    // What was there before is there again afterwards, to the last byte and bit.
    for (own, bits) in [(own, 0o744), ("#!/bin/sh\n", 0o755), ("#!/bin/bash", 0o700)] {
        fs::write(&path, own).unwrap();
        mode(bits);
        sandbox.audit(&["hook", "install", "git"]).exits(0);
        assert_ne!(fs::read_to_string(&path).unwrap(), own);
        sandbox.audit(&["hook", "uninstall", "git"]).exits(0);
        assert_eq!(fs::read_to_string(&path).unwrap(), own);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, bits);
        assert!(!sandbox.path(".git/hooks/post-commit").exists());
    }
}

#[test]
fn hooks_that_a_symbolic_link_shares_with_others_are_refused() {
    let sandbox = Sandbox::beside_code();
    let shared = sandbox.root().join("shared");
    fs::create_dir(&shared).unwrap();
    let hooks = sandbox.path(".git/hooks");
    _ = fs::remove_dir_all(&hooks);
    symlink(&shared, &hooks).unwrap();
    let refused = sandbox.audit(&["hook", "install", "git"]).exits(1).says("outside of the repository");
    refused.says(shared.to_str().unwrap());
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
    // The user may say that they are this repository's all the same.
    sandbox.git(&["config", "core.hooksPath", shared.to_str().unwrap()]);
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    assert!(shared.join("post-commit").is_file());
}

#[test]
fn in_a_linked_worktree_the_hooks_are_those_of_the_repository() {
    let sandbox = Sandbox::beside_code();
    let tree = sandbox.root().join("tree");
    sandbox.git(&["worktree", "add", "--quiet", tree.to_str().unwrap()]);
    run(sandbox.audit_command(&["hook", "install", "git"]).current_dir(&tree)).exits(0);
    assert!(sandbox.path(".git/hooks/post-commit").is_file());
    run(sandbox.audit_command(&["hook", "install", "claude"]).current_dir(&tree)).exits(0);
    assert!(tree.join(".claude/settings.json").is_file());
}
