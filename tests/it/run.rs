//! `git audit run`: the command is as it would be alone, and its entry says how it went. Signals and kills are in
//! `run_signals.rs`, terminals in `run_terminal.rs`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::journal::{begin, event_types, journal, stored};
use crate::run_signals::{Started, wait_until};
use crate::sandbox::{NOW, Run, Sandbox, run};

/// `git audit run --task-id ID -- sh -c SCRIPT`, not started yet.
pub fn run_script(sandbox: &Sandbox, task_id: &str, script: &str) -> Command {
    sandbox.audit_command(&["run", "--task-id", task_id, "--", "sh", "-c", script])
}

fn script(sandbox: &Sandbox, task_id: &str, text: &str) -> Run {
    run(&mut run_script(sandbox, task_id, text))
}

/// Files in the user's own spool.
fn spooled_at_home(sandbox: &Sandbox) -> Vec<String> {
    let mut folders = vec![sandbox.root().join("home")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(fs::read_to_string(path).unwrap()) }
        }
    }
    found
}

#[test]
fn the_exit_code_is_the_commands_own_and_the_entry_says_what_it_means() {
    let sandbox = Sandbox::beside_code();
    let unreadable = sandbox.input("unreadable", "#!/bin/sh\n");
    let directory = sandbox.root().to_str().unwrap().to_owned();
    let cases: [(&str, &[&str], i32, &str, &str); 10] = [
        ("zero", &["true"], 0, "completed", ""),
        ("one", &["false"], 1, "failed", "exit code 1"),
        (
            "said",
            &["sh", "-c", "echo no >&2; echo 'not that' >&2; exit 77"],
            77,
            "failed",
            "exit code 77: not that",
        ),
        ("large", &["sh", "-c", "exit 255"], 255, "failed", "exit code 255"),
        ("absent", &["no-such-command"], 127, "failed", "command not found: no-such-command"),
        ("path", &["/no/such/command"], 127, "failed", "command not found: /no/such/command"),
        ("empty", &[""], 127, "failed", "command not found: "),
        ("file", &[&unreadable], 126, "failed", "Permission denied"),
        ("folder", &[&directory], 126, "failed", "Permission denied"),
        ("signal", &["sh", "-c", "kill -TERM $$"], 128 + 15, "cancelled", "ended by SIGTERM"),
    ];
    for (task_id, command, code, status, error) in cases {
        sandbox.audit(&[&["run", "--task-id", task_id, "--"], command].concat()).exits(code);
        let entry = stored(&sandbox, task_id);
        assert_eq!(entry["status"], status, "{task_id}");
        assert!(entry["error_message"].as_str().unwrap_or("").contains(error), "{task_id}: {entry}");
        let outcome = &entry["execution_result"]["outcome"];
        assert_eq!(
            (&outcome["exit_code"], &outcome["command"]),
            (&json!(code), &json!(command)),
            "{task_id}"
        );
        let failed = ["task_start", "execute_error", "task_complete"];
        let expected = if code == 0 { &["task_start", "task_complete"][..] } else { &failed };
        assert_eq!(event_types(&entry), expected);
        assert!(!journal(&sandbox, task_id).exists());
    }
    assert_eq!(stored(&sandbox, "signal")["execution_result"]["outcome"]["signal"], "SIGTERM");
}

#[test]
fn a_script_that_names_no_interpreter_is_the_shells() {
    let sandbox = Sandbox::beside_code();
    let path = sandbox.write("plain", "echo \"$1\"; exit 5\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let done = sandbox.audit(&["run", "--task-id", "t", "--", "./plain", "hi"]).exits(5);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("hi\n", ""));
    assert_eq!(stored(&sandbox, "t")["execution_result"]["outcome"]["command"], json!(["./plain", "hi"]));
}

#[test]
fn standard_input_is_the_commands_whatever_it_holds() {
    let sandbox = Sandbox::beside_code();
    let every_byte: Vec<u8> = (0..=255).collect();
    for input in [Vec::new(), every_byte.repeat(4), every_byte.repeat(40_000)] {
        let mut command = sandbox.audit_command(&["run", "--", "cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let given = input.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&given).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success() && output.stdout == input, "{} bytes", input.len());
    }
    let closed =
        run(sandbox.command("sh").args(["-c", "git-audit run -- sh -c 'read line || echo closed' <&-"]));
    assert!(closed.exits(0).stdout.contains("closed"));
}

const BOTH: &str = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done";

#[test]
fn standard_output_and_error_arrive_byte_for_byte_and_keep_their_order_in_one_file_or_pipe() {
    let sandbox = Sandbox::beside_code();
    let alone = |redirect: &str| {
        let text = format!("exec {redirect}; {BOTH}; printf '\\000\\377\\033[31m' >&2; printf '\\001\\376'");
        sandbox.command("sh").args(["-c", &text]).output().unwrap()
    };
    let watched = |redirect: &str| {
        let text = format!(
            "exec {redirect}; exec git-audit run -- sh -c '{BOTH}; printf \"\\000\\377\\033[31m\" >&2; printf \"\\001\\376\"'"
        );
        sandbox.command("sh").args(["-c", &text]).output().unwrap()
    };
    for redirect in ["3>&-", "2>&1", "1>&2", ">both 2>&1", ">>both 2>&1", ">out 2>err"] {
        let mut results = Vec::new();
        for command in [&alone as &dyn Fn(&str) -> Output, &watched] {
            let output = command(redirect);
            assert!(output.status.success());
            let files = ["both", "out", "err"].map(|name| {
                let path = sandbox.path(name);
                let bytes = fs::read(&path).unwrap_or_default();
                _ = fs::remove_file(path);
                bytes
            });
            results.push((output.stdout, output.stderr, files));
        }
        assert!(results[0] == results[1], "{redirect}");
    }
}

#[test]
fn the_entry_has_the_last_lines_as_they_were_left_on_the_screen() {
    let sandbox = Sandbox::beside_code();
    let said = |task_id: &str, text: &str| {
        script(&sandbox, task_id, &format!("{text}; exit 3")).exits(3);
        let entry = stored(&sandbox, task_id);
        (entry["execution_result"]["outcome"]["stderr"].clone(), entry["error_message"].clone())
    };
    let (stderr, error) =
        said("esc", r"printf '\033[1;31merror\033[0m: \033]8;;http://x\033\\no\033]8;;\007\n' >&2");
    assert_eq!((stderr, error), (json!("error: no"), json!("exit code 3: error: no")));
    assert_eq!(said("progress", r"printf '10%%\r50%%\r100%%\r\ndone' >&2").0, json!("100%\ndone"));
    assert_eq!(said("bytes", r"printf 'a\377b' >&2").0, json!("a\u{fffd}b"));
    assert_eq!(said("blank", r"printf '\n\n \n' >&2").1, json!("exit code 3"));
    assert_eq!(said("none", "echo out").0, Value::Null);
    let (stderr, error) = said("many", "seq 1 100000 >&2");
    let numbers: Vec<_> = (99_981..=100_000).map(|number| number.to_string()).collect();
    assert_eq!((stderr, error), (json!(numbers.join("\n")), json!("exit code 3: 100000")));
    let (stderr, error) = said("long", "head -c 300000 /dev/zero | tr '\\000' x >&2");
    assert!(stderr.as_str().unwrap().len() <= 4096 && error.as_str().unwrap().len() < 4200);
    // Who succeeds may have said anything.
    script(&sandbox, "fine", "echo warning >&2").exits(0);
    assert_eq!(stored(&sandbox, "fine")["execution_result"]["outcome"]["stderr"], Value::Null);
}

#[test]
fn what_it_cost_is_there_and_plausible() {
    let sandbox = Sandbox::beside_code();
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; head -c 60000000 /dev/zero | tail -c 60000000 >/dev/null; sleep 0.2";
    script(&sandbox, "busy", busy).exits(0);
    let used = stored(&sandbox, "busy")["execution_result"]["resources_used"].clone();
    let number = |key: &str| used[key].as_f64().unwrap();
    assert!(number("wall_seconds") >= 0.2 && number("cpu_seconds") > 0.02, "{used}");
    let sum = number("cpu_user_seconds") + number("cpu_system_seconds");
    assert!((number("cpu_seconds") - sum).abs() < 0.002, "{used}");
    assert!((60e6..2e9).contains(&number("max_rss_bytes")), "{used}");
    script(&sandbox, "idle", "sleep 0.1").exits(0);
    let used = stored(&sandbox, "idle")["execution_result"]["resources_used"].clone();
    assert!(used["cpu_seconds"].as_f64().unwrap() < used["wall_seconds"].as_f64().unwrap(), "{used}");
}

#[test]
fn the_command_finds_its_task_and_can_add_to_it() {
    let sandbox = Sandbox::beside_code();
    let inside = "git audit event $GIT_AUDIT_TASK inner --message \"$GIT_AUDIT_LEDGER\" &&
        git audit artifact $GIT_AUDIT_TASK tag v1 && git audit tasks --format csv";
    let seen = script(&sandbox, "t1", inside).exits(0).stdout;
    assert!(seen.contains("\nt1,alive,"), "{seen}");
    let entry = stored(&sandbox, "t1");
    assert_eq!(event_types(&entry), ["task_start", "inner", "task_complete"]);
    let ledger = sandbox.path(".git").canonicalize().unwrap();
    assert_eq!(entry["events"][1]["metadata"]["message"], ledger.to_str().unwrap());
    assert_eq!(entry["artifacts"][0]["ref_value"], "v1");
    // One that finishes its own task has said how it ended.
    script(&sandbox, "t2", "git audit finish $GIT_AUDIT_TASK --status rejected").exits(0);
    assert_eq!(stored(&sandbox, "t2")["status"], "rejected");
    // One in another is a task of its own.
    script(
        &sandbox,
        "t3",
        "git audit run --task-id t4 -- sh -c 'echo $GIT_AUDIT_TASK'; echo $GIT_AUDIT_TASK",
    )
    .exits(0);
    assert_eq!(sandbox.logged(&[]), ["t3", "t4", "t2", "t1"]);
}

#[test]
fn without_an_id_one_is_made_that_sorts_by_time() {
    let sandbox = Sandbox::beside_code();
    let mut made = Vec::new();
    for second in [1, 2, 3] {
        let mut command = sandbox.audit_command(&["run", "--", "sh", "-c", "echo $GIT_AUDIT_TASK"]);
        let done = run(command.env("GIT_AUDIT_TEST_NOW", format!("2026-11-20T12:00:0{second}Z"))).exits(0);
        made.push(done.stdout.trim().to_owned());
    }
    assert!(made.is_sorted() && made.iter().all(|id| id.len() == 36 && &id[14..15] == "7"), "{made:?}");
    let logged = sandbox.logged(&["--reverse"]);
    assert_eq!(logged, made);
    assert_eq!(stored(&sandbox, &made[0])["title"], "sh -c echo $GIT_AUDIT_TASK");
}

#[test]
fn the_fields_and_repositories_that_were_given_are_in_the_entry() {
    let (sandbox, other) = (Sandbox::beside_code(), Sandbox::with_code());
    let shop = other.path("");
    let change = format!(
        "cd {} && echo more >>README && git -c user.name=D -c user.email=d@e commit -qam more",
        shop.display()
    );
    let flags = [
        "--title",
        "T",
        "--plan",
        "p",
        "--service",
        "web",
        "--agent",
        "bot",
        "--verbose",
        "--repo-id",
        "shop",
    ];
    let done = sandbox.audit(
        &[
            &["run", "--task-id", "t1", "--repo", shop.to_str().unwrap()],
            &flags[..],
            &["--", "sh", "-c", &change],
        ]
        .concat(),
    );
    done.exits(0).says("note: recorded task t1");
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (&entry["title"], &entry["plan_id"], &entry["timestamp"]),
        (&json!("T"), &json!("p"), &json!(NOW))
    );
    assert_eq!(entry["dispatch_info"]["agent_id"], "bot");
    assert_eq!(event_types(&entry), ["task_start", "repo_commit", "task_complete"]);
    let head = other.git(&["rev-parse", "HEAD"]);
    assert_eq!(
        (&entry["artifacts"][0]["repo_id"], &entry["artifacts"][0]["ref_value"]),
        (&json!("shop"), &json!(head.trim()))
    );
}

#[test]
fn whatever_the_arguments_are_the_command_gets_them_and_the_entry_holds() {
    let sandbox = Sandbox::beside_code();
    let hostile: [OsString; 6] = [
        "new\nline\r\t\u{0}".replace('\u{0}', "").into(),
        "\u{1b}[31m\u{202e}".into(),
        OsString::from_vec(vec![b'a', 0xff, 0xfe]),
        "".into(),
        "--task-id=other".into(),
        "x".repeat(100_000).into(),
    ];
    let mut command = sandbox.audit_command(&["run", "--task-id", "t1", "--", "printf", "%s|"]);
    let output = command.args(&hostile).output().unwrap();
    let expected: Vec<u8> =
        hostile.iter().flat_map(|word| [word.as_encoded_bytes(), b"|"].concat()).collect();
    assert!(
        output.stdout == expected && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let entry = stored(&sandbox, "t1");
    let words = entry["execution_result"]["outcome"]["command"].as_array().unwrap().clone();
    assert_eq!(words[2], "new\nline\r\t");
    assert_eq!((&words[4], &words[6]), (&json!("a\u{fffd}\u{fffd}"), &json!("--task-id=other")));
    assert!(words[7].as_str().unwrap().ends_with("... (truncated, total 100000 bytes)"));
    assert_eq!(
        sandbox.git(&["log", "-1", "--format=%s", "audit"]),
        format!("audit: task t1 completed at {NOW}\n")
    );
    // More than an entry could hold, in few words and in many.
    for (task_id, words) in
        [("few", vec!["\u{1}".repeat(100_000); 12]), ("many", vec!["ab".to_owned(); 100_000])]
    {
        let mut command =
            sandbox.audit_command(&["run", "--task-id", task_id, "--", "sh", "-c", "echo $#", "sh"]);
        let done = run(command.args(&words)).exits(0);
        assert_eq!((done.stdout, done.stderr.as_str()), (format!("{}\n", words.len()), ""));
        let last = stored(&sandbox, task_id)["execution_result"]["outcome"]["command"]
            .as_array()
            .unwrap()
            .last()
            .cloned();
        assert!(last.unwrap().as_str().unwrap().ends_with("more arguments)"));
    }
}

#[test]
fn it_stands_where_dash_c_says_and_leaves_the_environment_alone() {
    let sandbox = Sandbox::beside_code();
    let mut command =
        sandbox.audit_command(&["-C", "../repo/src", "run", "--task-id", "t1", "--", "sh", "-c", "pwd; env"]);
    let done = run(command.current_dir(sandbox.root().join("home")).env("KEPT", "a b")).exits(0);
    let src = sandbox.path("src").canonicalize().unwrap();
    assert!(done.stdout.starts_with(&format!("{}\n", src.display())), "{}", done.stdout);
    assert!(done.stdout.contains("\nKEPT=a b\n") && done.stdout.contains("\nGIT_AUDIT_TASK=t1\n"));
    let added =
        done.stdout.lines().filter(|line| line.starts_with("GIT_AUDIT_") && !line.contains("TEST_NOW"));
    assert_eq!(added.count(), 2, "{}", done.stdout);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    // What is open is the command's as it was; nothing of ours is open beside it.
    let listed = |text: &str| run(sandbox.command("sh").args(["-c", text])).exits(0).stdout;
    assert_eq!(
        listed("git-audit run -- ls /proc/self/fd 7</dev/null"),
        listed("ls /proc/self/fd 7</dev/null")
    );
}

#[test]
fn two_in_one_repository_at_once_do_not_mix() {
    let sandbox = Sandbox::beside_code();
    let other = |own: &str, other: &str| {
        format!("echo {own} >&2; : >{own}; while [ ! -e {other} ]; do sleep 0.01; done; exit 1")
    };
    let children = [("a", "b"), ("b", "a")].map(|(own, them)| {
        let mut command = run_script(&sandbox, own, &other(own, them));
        Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()))
    });
    for mut child in children {
        assert_eq!(child.code(), 1);
    }
    for task_id in ["a", "b"] {
        let entry = stored(&sandbox, task_id);
        assert_eq!(entry["execution_result"]["outcome"]["stderr"], task_id);
        assert_eq!(event_types(&entry), ["task_start", "execute_error", "task_complete"]);
    }
}

#[test]
fn what_cannot_be_recorded_is_run_all_the_same_and_waits_in_the_spool() {
    let told = |done: Run, text: &str| {
        assert_eq!(done.stdout, "hi\n");
        done.exits(3).says("what happens is recorded only at the end").says(text).says("the entry waits in");
    };
    let command = ["run", "--task-id", "t1", "--", "sh", "-c", "echo hi; exit 3"];
    let nowhere = Sandbox::empty();
    told(nowhere.audit(&command), "no git repository");
    assert!(spooled_at_home(&nowhere).concat().contains("t1"));
    let without = Sandbox::with_code();
    told(without.audit(&command), "no audit ledger");
    without.audit(&["init"]).exits(0);
    without.audit(&["flush"]).exits(0);
    assert_eq!(stored(&without, "t1")["status"], "failed");
    // A file stands where the journals belong.
    let blocked = Sandbox::beside_code();
    blocked.write(".git/git-audit/journal", "in the way");
    blocked.audit(&command).exits(3).says("what happens is recorded only at the end");
    assert_eq!(stored(&blocked, "t1")["execution_result"]["outcome"]["exit_code"], 3);
    // The lock is held.
    let busy = Sandbox::beside_code();
    let held = busy.hold_lock();
    let waiting = [&["run", "--timeout", "0"], &command[1..]].concat();
    busy.audit(&waiting).exits(3).says("busy").says("the entry waits in");
    drop(held);
    busy.audit(&["flush"]).exits(0);
    assert_eq!(event_types(&stored(&busy, "t1")), ["task_start", "execute_error", "task_complete"]);
}

#[test]
fn with_strict_what_cannot_be_recorded_is_not_run_or_exits_125() {
    let command =
        ["run", "--strict", "--timeout", "0", "--task-id", "t1", "--", "sh", "-c", "echo hi; : >ran"];
    for sandbox in [Sandbox::empty(), Sandbox::with_code()] {
        let done = sandbox.audit(&command).exits(125).says("the command was not run");
        assert!(done.stdout.is_empty() && !sandbox.path("ran").exists());
        assert!(spooled_at_home(&sandbox).is_empty());
    }
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let done = sandbox.audit(&command).exits(125).says("waits in");
    assert_eq!(done.stdout, "hi\n");
    drop(held);
    sandbox.audit(&["flush"]).exits(0);
    sandbox.audit(&command).exits(125).says("recorded already").says("the command was not run");
    sandbox.audit(&["run", "--strict", "--task-id", "t2", "--", "sh", "-c", "exit 4"]).exits(4);
}

#[test]
fn a_task_that_is_recorded_already_is_run_and_the_first_entry_stands() {
    let sandbox = Sandbox::beside_code();
    script(&sandbox, "t1", "exit 1").exits(1);
    let says = "task t1 is another run's; this one is task t1.run-2";
    script(&sandbox, "t1", "echo $GIT_AUDIT_TASK >task").exits(0).says(says);
    assert_eq!(fs::read_to_string(sandbox.path("task")).unwrap(), "t1.run-2\n");
    assert_eq!(stored(&sandbox, "t1")["status"], "failed");
    let second = stored(&sandbox, "t1.run-2");
    assert_eq!((&second["status"], &second["metadata"]["repeats"]), (&json!("completed"), &json!("t1")));
    // One that was begun by hand goes on.
    begin(&sandbox, "t2");
    sandbox.audit(&["event", "t2", "before"]).exits(0);
    script(&sandbox, "t2", "exit 0").exits(0);
    assert_eq!(event_types(&stored(&sandbox, "t2")), ["task_start", "before", "task_complete"]);
}

#[test]
fn a_repository_that_is_deleted_meanwhile_is_an_event_or_the_entry_waits_at_home() {
    let (sandbox, other) = (Sandbox::beside_code(), Sandbox::with_code());
    let shop = other.path("").to_str().unwrap().to_owned();
    let delete = format!("rm -rf {shop}");
    sandbox.audit(&["run", "--task-id", "t1", "--repo", &shop, "--", "sh", "-c", &delete]).exits(0);
    assert_eq!(event_types(&stored(&sandbox, "t1")), ["task_start", "repo_read_error", "task_complete"]);
    let done = script(&sandbox, "t2", "cd ..; rm -rf repo; echo gone; exit 6").exits(6);
    assert_eq!(done.stdout, "gone\n");
    assert!(done.stderr.contains("the entry waits in"), "{}", done.stderr);
    assert!(spooled_at_home(&sandbox).concat().contains("exit_code\\\": 6"), "{}", done.stderr);
}

#[test]
fn a_daemon_that_it_leaves_behind_is_not_waited_for_and_can_go_on_writing() {
    let sandbox = Sandbox::beside_code();
    run(sandbox.command("mkfifo").arg("go")).exits(0);
    let errors = sandbox.root().join("errors");
    let daemon =
        "(read line <go; echo later >&2; echo after >&2; : >ended) >/dev/null & echo now >&2; exit 3";
    let mut command = run_script(&sandbox, "t1", daemon);
    let mut child = Started::new(command.stdout(Stdio::null()).stderr(File::create(&errors).unwrap()));
    assert_eq!(child.code(), 3);
    assert_eq!(stored(&sandbox, "t1")["execution_result"]["outcome"]["stderr"], "now");
    fs::write(sandbox.path("go"), "\n").unwrap();
    wait_until("the daemon has written", || sandbox.path("ended").exists());
    wait_until("its words have arrived", || fs::read_to_string(&errors).unwrap().ends_with("after\n"));
    assert_eq!(fs::read_to_string(&errors).unwrap(), "now\nlater\nafter\n");
}

#[test]
fn closed_streams_are_to_it_what_they_would_be_alone() {
    let sandbox = Sandbox::beside_code();
    let done = script(&sandbox, "closes", "exec 2>&-; echo out; echo lost >&2; exit 4").exits(4);
    assert_eq!(done.stdout, "out\n");
    // A reader that goes away: of standard output, of standard error, of both.
    for (task_id, redirect) in [("out", ""), ("err", "3>&1 >/dev/null 2>&3 3>&-"), ("both", "2>&1")] {
        let text = if task_id == "err" { "yes >&2" } else { "yes" };
        let line =
            format!("(git-audit run --task-id {task_id} -- sh -c 'exec {text}' {redirect}) | head -n 1");
        assert_eq!(run(sandbox.command("bash").args(["-c", &line])).exits(0).stdout, "y\n");
        assert_eq!(stored(&sandbox, task_id)["error_message"], "ended by SIGPIPE", "{task_id}");
    }
    let none = run(sandbox
        .command("sh")
        .args(["-c", "git-audit run --task-id none -- sh -c 'exit 9' <&- >&- 2>&-"]));
    assert_eq!(none.code, 9);
    assert_eq!(stored(&sandbox, "none")["status"], "failed");
}

#[test]
fn an_error_that_cannot_be_written_is_no_reason_to_end() {
    let sandbox = Sandbox::beside_code();
    let text = "for n in 1 2 3; do echo $n >&2; sleep 0.05; done; exit 3";
    let mut command = run_script(&sandbox, "t1", text);
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(Started::new(command.stderr(full)).code(), 3);
    assert_eq!(stored(&sandbox, "t1")["execution_result"]["outcome"]["stderr"], "1\n2\n3");
}

#[test]
fn code_is_committed_under_it_while_the_ledger_is_checked_out() {
    let sandbox = Sandbox::on_main();
    let text = "echo more >>README && git -c user.name=D -c user.email=d@e commit -qam more && git audit record --task-id inner --status completed >&2";
    script(&sandbox, "t1", text).exits(0);
    assert_eq!(sandbox.logged(&[]), ["t1", "inner"]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
}

#[test]
fn a_journal_that_is_thrown_away_meanwhile_costs_only_its_events() {
    let sandbox = Sandbox::beside_code();
    script(&sandbox, "t1", "git audit event t1 x; rm -rf .git/git-audit; exit 8").exits(8);
    let entry = stored(&sandbox, "t1");
    assert_eq!(entry["error_message"], "exit code 8");
    assert_eq!(
        (&entry["title"], &entry["events"]),
        (&json!("sh -c git audit event t1 x; rm -rf .git/git-audit; exit 8"), &Value::Null)
    );
}

#[test]
fn a_reader_that_is_slow_gets_everything_though_nobody_waits_for_it() {
    let sandbox = Sandbox::beside_code();
    // More than the pipe to the reader holds, and less than that with the one to the relay.
    let mut command = run_script(&sandbox, "t1", "head -c 90000 /dev/zero | tr '\\000' e >&2; exit 3");
    let mut child = Started::new(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    assert_eq!(child.code(), 3);
    let mut text = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.starts_with(&"e".repeat(90_000)), "{} bytes", text.len());
    assert_eq!(stored(&sandbox, "t1")["status"], "failed");
}

#[test]
fn a_hundred_megabytes_pass_without_being_kept() {
    let sandbox = Sandbox::beside_code();
    let text = "head -c 100000000 /dev/zero >&2; git audit event $GIT_AUDIT_TASK written; read line; exit 2";
    let mut command = run_script(&sandbox, "t1", text);
    let mut child = Started::new(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("all is written", || {
        fs::read_to_string(journal(&sandbox, "t1")).is_ok_and(|text| text.contains("\"type\":\"written\""))
    });
    let relay = child.relay().unwrap();
    let status = fs::read_to_string(format!("/proc/{relay}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 40_000, "{peak} kB");
    drop(child.0.stdin.take());
    assert_eq!(child.code(), 2);
    wait_until("the relay has ended", || !fs::exists(format!("/proc/{relay}")).unwrap());
}

#[test]
fn nobody_is_left_behind() {
    let sandbox = Sandbox::beside_code();
    let relays = || {
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|item| fs::read(item.ok()?.path().join("cmdline")).ok());
        let own = OsStr::new(sandbox.root()).as_encoded_bytes().to_owned();
        processes.filter(|line| line.windows(own.len()).any(|part| part == own)).count()
    };
    for text in ["exit 0", "exit 1", "kill -9 $$", "exec 2>&-"] {
        let marked = format!(": {}; {text}", sandbox.root().display());
        run(&mut sandbox.audit_command(&["run", "--", "sh", "-c", &marked]));
    }
    wait_until("all have ended", || relays() == 0);
}
