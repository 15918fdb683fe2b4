//! `git audit hook install`: the settings of agents and the hooks of git stay their owner's, and the hooks work.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, run};

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
        assert_eq!(removed["files"][0]["outcome"], "removed");
        assert!(!path.exists());
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
    assert_eq!(fs::read_to_string(&path).unwrap(), own);
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
    let finished = sandbox.audit(&["show", "--json", "t1"]).exits(0).json();
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
fn the_commits_that_git_makes_are_artifacts_of_the_task_by_the_repositorys_name() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    sandbox.git(&["remote", "add", "origin", "https://dev:s3cret@example.com/shop.git"]);
    sandbox.audit(&["start", "t1", "--pid", "none"]).exits(0);
    let tree = sandbox.root().join("tree");
    git_in_task(&sandbox, &["worktree", "add", "--quiet", "-b", "topic", tree.to_str().unwrap()]);
    let tree = tree.to_str().unwrap();
    git_in_task(&sandbox, &["-C", tree, "commit", "--quiet", "--allow-empty", "-m", "First"]);
    fs::write(sandbox.root().join("tree/new"), "1\n").unwrap();
    git_in_task(&sandbox, &["-C", tree, "add", "new"]);
    git_in_task(&sandbox, &["-C", tree, "commit", "--quiet", "--amend", "-m", "Second"]);
    // What is known is not taken down again.
    git_in_task(&sandbox, &["-C", tree, "hook", "run", "post-commit"]);
    sandbox.audit(&["finish", "t1", "--status", "completed"]).exits(0);
    let entry = sandbox.audit(&["show", "--json", "t1"]).exits(0).json();
    let artifacts = entry["artifacts"].as_array().unwrap();
    let summaries: Vec<_> = artifacts.iter().map(|artifact| artifact["summary"].as_str().unwrap()).collect();
    assert_eq!(summaries, ["First", "Second"]);
    assert_eq!(artifacts[1]["ref_value"], sandbox.git(&["rev-parse", "topic"]).trim());
    assert!(artifacts[1]["metadata"]["patch_id"].is_string(), "{}", artifacts[1]);
    let events = entry["events"].as_array().unwrap();
    let of_git = events.iter().filter(|event| event["type"].as_str().unwrap().starts_with("repo_"));
    for item in of_git.chain(artifacts) {
        assert_eq!(item["repo_id"], "example.com/shop", "{item}");
    }
}

#[test]
fn a_name_that_the_task_gave_the_repository_is_the_name_of_its_commits() {
    let sandbox = Sandbox::beside_code();
    sandbox.audit(&["hook", "install", "git"]).exits(0);
    let commit = Sandbox::as_user(&["commit", "--quiet", "--allow-empty", "-m", "From inside"]);
    let run = ["run", "--task-id", "t1", "--repo", ".", "--repo-id", "shop", "--", "git"];
    sandbox.audit(&[&run, &commit[..]].concat()).exits(0);
    let entry = sandbox.audit(&["show", "--json", "t1"]).exits(0).json();
    let artifacts = entry["artifacts"].as_array().unwrap();
    assert_eq!(artifacts.len(), 1, "{entry}");
    assert_eq!(artifacts[0]["repo_id"], "shop");
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
