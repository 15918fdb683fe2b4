//! What is printed, and how it cannot be turned against its reader.

use std::fs::OpenOptions;
use std::process::Stdio;

use serde_json::json;

use crate::sandbox::{Sandbox, entry, run};

/// ESC, a C1 control, DEL, a bidi override, a line separator, a bell, and the start of a formula.
const HOSTILE: &str =
    "=cmd|' /C calc'!A0 \u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{7f}\u{202e}txt.exe\u{2028}\r\nforged: line";

#[test]
fn hostile_text_comes_out_inert_in_every_format_and_in_the_stored_bytes() {
    let sandbox = Sandbox::beside_code();
    let hostile = json!({
        "task_id": "t1", "status": "failed", "title": HOSTILE, "error_message": HOSTILE, "plan_id": HOSTILE, "plan_steps": [HOSTILE],
        "dispatch_info": {"agent_id": HOSTILE, "agent_pool": HOSTILE, HOSTILE: HOSTILE},
        "execution_result": {"outcome": {"action_type": HOSTILE, HOSTILE: [HOSTILE]}, "services_touched": [HOSTILE]},
        "context": {"actor": HOSTILE, "session_id": HOSTILE}, "steps": [{"step_id": HOSTILE, "name": HOSTILE, "result": HOSTILE}],
        "events": [{"type": "repo_commit", "repo_id": HOSTILE, "metadata": {HOSTILE: HOSTILE}}],
        "artifacts": [{"ref_type": "file", "ref_value": HOSTILE, "summary": HOSTILE}], "metadata": {"x": HOSTILE}, HOSTILE: HOSTILE,
    });
    sandbox.audit_with_input(&["record"], hostile.to_string()).exits(0);
    let commands: [&[&str]; 10] = [
        &["show", "t1"],
        &["show", "t1", "--raw"],
        &["log"],
        &["log", "--format", "json"],
        &["log", "--format", "jsonl"],
        &["log", "--format", "csv"],
        &["show", "t1", "--format", "json"],
        &["show", "t1", "--format", "csv"],
        &["record", "--task-id", "t1", "--status", "completed"],
        &["log", "--service", HOSTILE],
    ];
    for command in commands {
        let done = sandbox.audit(command).exits(0);
        for text in [&done.stdout, &done.stderr] {
            let active = text.chars().find(|character| {
                (character.is_control() && *character != '\n')
                    || ('\u{202a}'..='\u{202e}').contains(character)
                    || *character == '\u{2028}'
            });
            assert_eq!(active, None, "{command:?}: {text}");
            assert!(
                !text.lines().any(|line| line.trim_start() == "forged: line") || command == ["show", "t1"],
                "{command:?}: {text}"
            );
        }
    }
    // Nothing is lost by it.
    assert_eq!(sandbox.audit(&["show", "t1", "--json"]).exits(0).json()["title"], HOSTILE);
    assert_eq!(sandbox.logged(&["--service", HOSTILE]), ["t1"]);
    let csv = sandbox.audit(&["log", "--format", "csv"]).exits(0).stdout;
    assert!(
        !csv.lines().nth(1).unwrap().split(',').any(|cell| cell.trim_start_matches('"').starts_with('=')),
        "{csv}"
    );
    // No value could forge a trailer.
    assert_eq!(
        sandbox
            .git(&[
                "log",
                "-1",
                "--format=%(trailers:key=forged,valueonly)%(trailers:key=Audit-Status,valueonly)",
                "audit"
            ])
            .trim(),
        "failed"
    );
    let raw_commit = sandbox.git(&["cat-file", "commit", "audit"]);
    assert!(!raw_commit.contains('\u{1b}') && !raw_commit.contains('\u{202e}'));
}

#[test]
fn hostile_arguments_come_out_inert_in_messages() {
    let sandbox = Sandbox::beside_code();
    let hostile = "\u{1b}]0;owned\u{7}\u{202e}";
    for command in [
        &["show", hostile][..],
        &["log", "--status", hostile],
        &["log", "--since", hostile],
        &[hostile],
        &["log", hostile],
        &["record", hostile],
        &["init", "--branch", hostile],
        &["-C", hostile, "log"],
        &["record", "--task-id", "x", "--outcome", hostile],
    ] {
        let done = sandbox.audit(command);
        assert_ne!(done.code, 0, "{command:?}");
        assert!(!done.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{command:?}: {}", done.stderr);
    }
}

#[test]
fn a_receipt_that_cannot_be_printed_is_exit_6_and_everything_is_recorded() {
    let sandbox = Sandbox::beside_code();
    let full = OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let file = sandbox.input("two.jsonl", format!("{}\n{}\n", entry("a"), entry("b")));
    let done = run(sandbox
        .audit_command(&["record", &file])
        .stdout(full.try_clone().unwrap())
        .stderr(Stdio::piped()));
    let done = done.exits(6).says("recorded and durable, but the answer could not be printed");
    assert!(done.stderr.contains("running it again is safe"));
    assert_eq!(sandbox.logged(&[]), ["b", "a"]);
    // A query has nothing to lose: it has failed.
    run(sandbox.audit_command(&["log"]).stdout(full)).exits(1).says("the answer could not be printed");
}

#[test]
fn a_reader_that_stops_early_is_not_an_error() {
    let sandbox = Sandbox::beside_code();
    let lines: String = (0..300).map(|number| format!("{}\n", entry(&format!("task-{number}")))).collect();
    sandbox.audit_with_input(&["record"], lines).exits(0);
    for format in ["human", "json", "jsonl", "csv"] {
        let script =
            format!("git-audit log --limit all --format {format} | head -n 1; test ${{PIPESTATUS[0]}} -eq 0");
        let done = run(sandbox.command("bash").args(["-c", &script])).exits(0);
        assert_eq!((done.stdout.lines().count(), done.stderr.as_str()), (1, ""), "{format}");
    }
}

#[test]
fn help_of_every_command_has_an_example_and_names_no_internals() {
    let sandbox = Sandbox::empty();
    let overview = sandbox.audit(&["-h"]).exits(0).stdout;
    for command in ["init", "record", "show", "path", "log"] {
        assert!(overview.contains(&format!("\n  {command}")), "{overview}");
        let help = sandbox.audit(&[command, "-h"]).exits(0).stdout;
        assert!(help.contains("Example") && help.contains("  git audit "), "{help}");
        assert!(help.contains(&format!("Usage: git audit {command}")), "{help}");
        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 100, "{command}: {longest} columns");
    }
    // Through git, as people run it.
    let through_git = run(sandbox.command("git").args(["audit", "-h"])).exits(0);
    assert_eq!(through_git.stdout, overview);
    sandbox.audit(&[]).exits(2);
    assert!(sandbox.audit(&["--version"]).exits(0).stdout.starts_with("git-audit 0."));
    sandbox.audit(&["reccord"]).exits(2).says("'record'");
}

#[test]
fn messages_go_to_standard_error_and_data_alone_to_standard_output() {
    let sandbox = Sandbox::with_code();
    let done = sandbox.audit(&["init", "--json"]).exits(0);
    assert_eq!(done.stdout.lines().next(), Some("{"));
    done.json();
    sandbox.record("t1", &[]);
    let done = sandbox
        .audit(&["record", "--json", "--task-id", "t1", "--status", "failed"])
        .exits(0)
        .says("warning: ");
    assert_eq!(done.json()["outcome"], "skipped");
    let csv = sandbox
        .audit(&["record", "--format", "csv", "--task-id", "t1", "--status", "completed"])
        .exits(0)
        .stdout;
    assert!(csv.starts_with("task_id,outcome,identical,commit,path,digest\nt1,skipped,true,"), "{csv}");
}
