//! What a person sees: the table, colour, the pager, in a terminal that `script` makes.

use std::process::Command;

use serde_json::json;
use unicode_width::UnicodeWidthStr;

use crate::sandbox::{Run, Sandbox, run};

/// Tasks as they are: long titles, wide characters, many services, none of them.
fn ledger() -> Sandbox {
    let sandbox = Sandbox::beside_code();
    let tasks = [
        json!({"task_id": "deploy-2026-11-20-7", "status": "completed", "title": "Deploy checkout 4.2.0 to all regions, with the new rate limits",
            "dispatch_info": {"agent_id": "agent-eu-west-07"}, "execution_result": {"services_touched": ["checkout", "billing", "web"]}}),
        json!({"task_id": "migrate-11", "status": "failed", "error_message": "connection to the database was lost after 30 seconds; rolled back",
            "dispatch_info": {"agent_id": "ann"}, "execution_result": {"services_touched": ["ledger"]},
            "steps": [{"step_id": "s1", "success": true}, {"step_id": "s2", "success": false}]}),
        json!({"task_id": "t-3", "status": "rejected", "title": "日本語の長い題名がここにあります、とても長い題名です",
            "dispatch_info": {"agent_id": "代理人"}, "execution_result": {"services_touched": ["請求", "台帳"]}}),
        json!({"task_id": "t-4", "status": "cancelled", "title": "x\u{1b}[31mred\u{202e}\tab\u{9b}2J\u{7}end"}),
    ];
    let lines: String = tasks.iter().map(|task| format!("{task}\n")).collect();
    sandbox.audit_with_input(&["record"], lines).exits(0);
    sandbox
}

const TASKS: [&str; 4] = ["deploy-2026-11-20-7", "migrate-11", "t-3", "t-4"];

/// Environment variables and their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// Runs a shell command in a terminal of so many columns; `None` where there is no `script` to make one.
fn in_terminal(sandbox: &Sandbox, columns: usize, command: &str, variables: Variables<'_>) -> Option<Run> {
    if !Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no `script` (util-linux) to make a terminal");
        return None;
    }
    let mut script = sandbox.command("script");
    script.args(["-qec", &format!("stty rows 24 cols {columns} -echo; {command}"), "/dev/null"]);
    script.env("TERM", "xterm").env("SHELL", "/bin/sh").envs(variables.iter().copied());
    let mut done = run(&mut script);
    done.stdout = done.stdout.replace("\r\n", "\n");
    Some(done)
}

const NO_PAGER: (&str, &str) = ("GIT_PAGER", "cat");

/// Without what the table is coloured with.
fn uncolored(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap_or(("", part)).1)
}

#[test]
fn nothing_is_coloured_or_shortened_in_a_pipe() {
    let sandbox = ledger();
    for arguments in [&["log"][..], &["show", "t-4"], &["show", "missing"], &["log", "--days", "x"]] {
        let done = run(sandbox.audit_command(arguments).env("TERM", "xterm").env("COLUMNS", "40"));
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
        assert!(!done.stdout.contains('…'));
    }
}

#[test]
fn color_always_colours_in_a_pipe_and_only_what_is_for_people() {
    let sandbox = ledger();
    let plain = sandbox.audit(&["log"]).exits(0).stdout;
    let coloured = sandbox.audit(&["log", "--color", "always"]).exits(0).stdout;
    assert!(coloured.contains("\u{1b}[31mfailed\u{1b}[m"), "{coloured}");
    assert_eq!(uncolored(&coloured), plain, "without colour it reads the same");
    let page = sandbox.audit(&["show", "migrate-11", "--color=always"]).exits(0).stdout;
    assert!(page.contains("\u{1b}[31mfailed\u{1b}[m"), "{page}");
    assert_eq!(uncolored(&page), sandbox.audit(&["show", "migrate-11"]).exits(0).stdout);
    for format in ["json", "jsonl", "csv"] {
        let data = sandbox.audit(&["log", "--color", "always", "--format", format]).exits(0).stdout;
        assert!(!data.contains('\u{1b}'), "{data}");
    }
    let error = sandbox.audit(&["--color", "always", "show", "missing"]).exits(1).stderr;
    assert!(error.starts_with("\u{1b}[1;31merror:\u{1b}[m no entry"), "{error}");
}

#[test]
fn colour_follows_the_terminal_no_color_and_gits_configuration() {
    let sandbox = ledger();
    let cases: [(&str, Variables<'_>, bool); 12] = [
        ("git-audit log", &[], true),
        ("git-audit log", &[("NO_COLOR", "")], true),
        ("git-audit log", &[("NO_COLOR", "1")], false),
        ("git-audit log", &[("TERM", "dumb")], false),
        ("git-audit log --color never", &[], false),
        ("git-audit log --color always", &[("NO_COLOR", "1")], true),
        ("git-audit log | cat", &[], false),
        ("git -c color.ui=false audit log", &[], false),
        ("git -c color.ui=always audit log | cat", &[], true),
        ("git -c color.ui=never -c color.audit=auto audit log", &[], true),
        ("git-audit log --json", &[], false),
        ("git-audit log --count", &[], false),
    ];
    for (command, variables, is_coloured) in cases {
        let variables = [variables, &[NO_PAGER]].concat();
        let Some(done) = in_terminal(&sandbox, 80, command, &variables) else { return };
        let done = done.exits(0);
        assert_eq!(done.stdout.contains('\u{1b}'), is_coloured, "{command} {variables:?}: {}", done.stdout);
    }
    let messages = "git-audit show t-5; git-audit show t-5 --color never; git -c color.ui=off audit show t-5";
    let Some(done) = in_terminal(&sandbox, 80, messages, &[NO_PAGER]) else { return };
    assert_eq!(done.stdout.matches("\u{1b}[1;31merror:\u{1b}[m").count(), 1, "{}", done.stdout);
    assert_eq!(done.stdout.matches("\nerror: no entry").count(), 2, "{}", done.stdout);
}

#[test]
fn the_table_fits_the_terminal_and_task_ids_stay_whole() {
    let sandbox = ledger();
    for columns in [60, 80, 120] {
        let Some(done) = in_terminal(&sandbox, columns, "git-audit log --color never", &[NO_PAGER]) else {
            return;
        };
        let text = done.exits(0).stdout;
        assert_eq!(text.lines().count(), 5, "{text}");
        for line in text.lines() {
            assert!(line.width() <= columns, "{columns}: {line}");
        }
        for task_id in TASKS {
            assert!(text.contains(&format!("  {task_id}  ")), "{columns}: {text}");
        }
        assert!(text.contains('…'), "{text}");
    }
}

#[test]
fn text_from_outside_does_not_act_on_a_terminal() {
    let sandbox = ledger();
    for command in ["git-audit log --limit 1", "git-audit show t-4"] {
        let Some(done) = in_terminal(&sandbox, 200, command, &[NO_PAGER]) else { return };
        let text = uncolored(&done.exits(0).stdout);
        let active = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!text.contains(active), "{text:?}");
        assert!(text.contains(r"x\u001b[31mred\u202e"), "{text}");
    }
}

#[test]
fn on_a_terminal_lists_go_through_the_pager_that_git_would_use() {
    let sandbox = ledger();
    let cases: [(&str, Variables<'_>, &str); 18] = [
        ("git-audit log", &[("GIT_PAGER", "sed s/^/P:/")], "P:"),
        ("git-audit show t-3", &[("GIT_PAGER", "sed s/^/P:/")], "P:"),
        ("git audit log", &[("GIT_PAGER", "sed s/^/P:/")], "P:"),
        ("git-audit log", &[("GIT_PAGER", "sed s/^/P:/"), ("PAGER", "sed s/^/Q:/")], "P:"),
        ("git-audit log", &[("PAGER", "sed s/^/Q:/")], "Q:"),
        ("git -c core.pager='sed s/^/C:/' audit log", &[("PAGER", "sed s/^/Q:/")], "C:"),
        ("git -c core.pager='sed s/^/C:/' audit log", &[("GIT_PAGER", "sed s/^/P:/")], "P:"),
        ("git -c core.pager= audit log", &[("PAGER", "sed s/^/Q:/")], ""),
        ("git-audit log", &[NO_PAGER], ""),
        ("git-audit log", &[("GIT_PAGER", "")], ""),
        ("git --no-pager audit log", &[("PAGER", "sed s/^/Q:/")], ""),
        ("git -c pager.audit=false audit log", &[("PAGER", "sed s/^/Q:/")], ""),
        ("git-audit log --json", &[("GIT_PAGER", "sed s/^/P:/")], ""),
        ("git-audit log --count", &[("GIT_PAGER", "sed s/^/P:/")], ""),
        ("git-audit show t-3 --raw", &[("GIT_PAGER", "sed s/^/P:/")], ""),
        ("git-audit path t-3", &[("GIT_PAGER", "sed s/^/P:/")], ""),
        ("git-audit log | cat", &[("GIT_PAGER", "sed s/^/P:/")], ""),
        ("git-audit log", &[("GIT_PAGER", "not-there")], ""),
    ];
    for (command, variables, mark) in cases {
        let Some(done) = in_terminal(&sandbox, 80, command, variables) else { return };
        let text = uncolored(&done.exits(0).stdout);
        assert!(!text.is_empty());
        for line in text.lines() {
            let found = ["P:", "Q:", "C:"].into_iter().find(|mark| line.starts_with(mark)).unwrap_or("");
            assert_eq!(found, mark, "{command} {variables:?}: {text}");
        }
    }
    sandbox.git(&["config", "core.pager", "sed s/^/C:/"]);
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log", &[]) else { return };
    assert!(uncolored(&done.exits(0).stdout).starts_with("C:TIME "));
}

#[test]
fn a_pager_gets_what_git_gives_it() {
    let sandbox = ledger();
    let pager = ("GIT_PAGER", "cat >/dev/null; echo \"$LESS $LV [$GIT_PAGER_IN_USE]\"");
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log", &[pager]) else { return };
    assert_eq!(done.exits(0).stdout, "FRX -c []\n");
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log", &[pager, ("LESS", "i")]) else { return };
    assert_eq!(done.exits(0).stdout, "i -c []\n");
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log", &[("LESS", "FRX")]) else { return };
    assert!(uncolored(&done.exits(0).stdout).contains("migrate-11"), "the default pager shows it");
}

#[test]
fn a_pager_that_git_has_started_gets_colour_and_the_terminals_width() {
    let sandbox = ledger();
    let variables = [("GIT_PAGER_IN_USE", "true"), ("COLUMNS", "60"), ("TERM", "xterm")];
    let done = run(sandbox.audit_command(&["log"]).envs(variables)).exits(0);
    assert!(done.stdout.contains("\u{1b}[31mfailed\u{1b}[m"), "{}", done.stdout);
    assert!(uncolored(&done.stdout).lines().all(|line| line.width() <= 60), "{}", done.stdout);
    sandbox.git(&["config", "color.pager", "false"]);
    let done = run(sandbox.audit_command(&["log"]).envs(variables)).exits(0);
    assert!(!done.stdout.contains('\u{1b}'), "{}", done.stdout);
    sandbox.git(&["config", "--unset", "color.pager"]);
    let Some(done) = in_terminal(&sandbox, 60, "git -p audit log", &[("GIT_PAGER", "sed s/^/P:/")]) else {
        return;
    };
    let text = done.exits(0).stdout;
    assert!(text.contains("\u{1b}[31mfailed"), "{text}");
    assert!(
        uncolored(&text)
            .lines()
            .all(|line| line.starts_with("P:") && !line.starts_with("P:P:") && line.width() <= 62),
        "{text}"
    );
}

#[test]
fn a_pager_that_is_quit_early_is_no_error_and_one_that_cannot_start_is_done_without() {
    let sandbox = ledger();
    let many: String = (0..3000)
        .map(|number| {
            format!(
                "{}\n",
                json!({"task_id": format!("many-{number}"), "status": "completed", "title": "x".repeat(90)})
            )
        })
        .collect();
    sandbox.audit_with_input(&["import", "-"], many).exits(0);
    for pager in ["head -1", "true", "exec 0<&-; sleep 0.1"] {
        let Some(done) =
            in_terminal(&sandbox, 100, "git-audit log --limit all; echo code $?", &[("GIT_PAGER", pager)])
        else {
            return;
        };
        let text = done.stdout;
        assert!(text.ends_with("code 0\n") && text.lines().count() <= 2, "{pager}: {text}");
    }
    for pager in ["not-there", "not-there --flag", "/not/there 'x'"] {
        let Some(done) = in_terminal(&sandbox, 100, "git-audit log --limit all", &[("GIT_PAGER", pager)])
        else {
            return;
        };
        let text = done.exits(0).stdout;
        assert_eq!(text.matches("many-").count(), 3000, "{pager}");
        assert!(text.contains("migrate-11"), "{pager}");
    }
}

#[test]
fn an_interrupt_is_the_pagers_while_it_runs() {
    let sandbox = ledger();
    let pager = ("GIT_PAGER", "kill -INT $PPID; sleep 0.1; cat; echo closed");
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log; echo code $?", &[pager]) else { return };
    assert!(
        done.stdout.contains("migrate-11") && done.stdout.ends_with("closed\ncode 0\n"),
        "{}",
        done.stdout
    );
}

#[test]
fn an_error_opens_no_pager_and_messages_come_when_it_has_ended() {
    let sandbox = ledger();
    let pager = ("GIT_PAGER", "echo opened; cat; sleep 0.1; echo closed");
    for command in ["git-audit show missing", "git-audit log --status completed --plan none"] {
        let Some(done) = in_terminal(&sandbox, 80, command, &[pager]) else { return };
        assert!(!done.stdout.contains("opened"), "{}", done.stdout);
    }
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log --limit 1 --color never", &[pager]) else {
        return;
    };
    let text = done.exits(0).stdout;
    assert!(text.starts_with("opened\nTIME "), "{text}");
    assert!(text.contains("closed\nnote: there are more"), "{text}");
    let Some(done) = in_terminal(&sandbox, 80, "git-audit log --limit 1 2>err; cat err >/dev/null", &[pager])
    else {
        return;
    };
    assert!(!done.stdout.contains("there are more"), "{}", done.stdout);
}

#[test]
fn no_program_of_the_working_tree_is_taken_for_the_pager() {
    let sandbox = ledger();
    let own = sandbox.write("less", "#!/bin/sh\necho mine\n");
    run(Command::new("chmod").arg("+x").arg(own)).exits(0);
    let command = "PATH=.:$PATH git-audit log; PATH=.:$PATH GIT_PAGER='less -F' git-audit log";
    let Some(done) = in_terminal(&sandbox, 80, command, &[]) else { return };
    assert!(!done.exits(0).stdout.contains("mine"));
}
