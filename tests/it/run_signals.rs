//! `git audit run` and signals: which reach the command, how often, and what a kill leaves.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::journal::{event_types, journal, stored};
use crate::run::run_script;
use crate::sandbox::{Sandbox, run};

/// Nothing here takes that long; a machine that is busy may.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must come, and fails the test where it does not.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process that does not outlive its test.
pub struct Started(pub Child);

impl Started {
    pub fn new(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; its code, or -1 where it was killed.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its children, by process id, with their command lines.
    fn children(&self) -> Vec<(u32, String)> {
        let own = self.0.id().to_string();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|item| {
            let pid: u32 = item.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            (parent == own).then(|| (pid, String::from_utf8_lossy(&line).into_owned()))
        });
        processes.collect()
    }

    /// The relay of a `run`.
    pub fn relay(&self) -> Option<u32> {
        self.children().into_iter().find_map(|(pid, line)| line.contains("run-relay").then_some(pid))
    }

    /// The command of a `run`.
    pub fn command(&self) -> Option<u32> {
        self.children().into_iter().find_map(|(pid, line)| (!line.contains("run-relay")).then_some(pid))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Counts a signal in the file `got`, one line each, until a file `enough` is there.
fn counting(signal: &str, after: &str) -> String {
    format!("trap 'echo x >>got' {signal}; : >ready; while [ ! -e enough ]; do sleep 0.01; done; {after}")
}

fn started(sandbox: &Sandbox, task_id: &str, text: &str) -> Started {
    let mut command = run_script(sandbox, task_id, text);
    let child = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("the command is ready", || sandbox.path("ready").exists());
    child
}

#[test]
fn a_signal_that_is_sent_to_run_alone_reaches_the_command_once() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let sandbox = Sandbox::beside_code();
        let mut child = started(&sandbox, "t1", &counting(name, "exit 5"));
        for count in 1..=2 {
            child.signal(signal);
            let got = || fs::read_to_string(sandbox.path("got")).unwrap_or_default();
            wait_until(name, || got().lines().count() >= count);
            thread::sleep(Duration::from_millis(30));
            assert_eq!(got().lines().count(), count, "{name}");
        }
        sandbox.write("enough", "");
        assert_eq!(child.code(), 5, "{name}");
        let entry = stored(&sandbox, "t1");
        // The last two do not ask anybody to end.
        let status = if name.starts_with("USR") { "failed" } else { "cancelled" };
        assert_eq!(entry["status"], status, "{name}");
        if status == "cancelled" {
            assert_eq!(entry["error_message"], format!("ended with exit code 5 after SIG{name}"));
        }
    }
}

#[test]
fn a_command_that_ends_well_after_a_signal_is_completed() {
    let sandbox = Sandbox::beside_code();
    let mut child = started(&sandbox, "t1", &counting("INT", "exit 0"));
    child.signal(Signal::INT);
    wait_until("it got the signal", || sandbox.path("got").exists());
    sandbox.write("enough", "");
    assert_eq!(child.code(), 0);
    assert_eq!(stored(&sandbox, "t1")["status"], "completed");
    fs::remove_file(sandbox.path("ready")).unwrap();
    let mut child = started(&sandbox, "t2", ": >ready; exec sleep 600");
    child.signal(Signal::TERM);
    assert_eq!(child.code(), 128 + 15);
    assert_eq!(stored(&sandbox, "t2")["error_message"], "ended by SIGTERM");
}

#[test]
fn a_command_that_is_killed_is_cancelled() {
    let sandbox = Sandbox::beside_code();
    let mut child = started(&sandbox, "t1", ": >ready; echo last >&2; exec sleep 600");
    wait_until("it is there", || child.command().is_some());
    let pid = Pid::from_raw(i32::try_from(child.command().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(child.code(), 128 + 9);
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (&entry["status"], &entry["error_message"]),
        (&json!("cancelled"), &json!("ended by SIGKILL"))
    );
    assert_eq!(entry["execution_result"]["outcome"]["stderr"], "last");
}

#[test]
fn what_was_ignored_stays_ignored() {
    let sandbox = Sandbox::beside_code();
    let show = "trap '' HUP USR1; exec git-audit run --task-id t1 -- sh -c ': >ready; grep SigIgn /proc/self/status; while [ ! -e enough ]; do sleep 0.01; done'";
    let mut command = sandbox.command("sh");
    let mut child = Started::new(command.args(["-c", show]).stdout(Stdio::piped()).stderr(Stdio::null()));
    wait_until("the command is ready", || sandbox.path("ready").exists());
    child.signal(Signal::HUP);
    child.signal(Signal::USR1);
    sandbox.write("enough", "");
    let mut text = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.code(), 0);
    let mask = u64::from_str_radix(text.trim().trim_start_matches("SigIgn:").trim(), 16).unwrap();
    assert_eq!(mask & 0x7fff_ffff, 1 | 1 << 9, "HUP and USR1, and not PIPE, which our own runtime ignores");
    assert_eq!(stored(&sandbox, "t1")["status"], "completed");
}

#[test]
fn a_run_that_is_killed_leaves_its_command_alone_and_its_story_to_finish_lost() {
    let sandbox = Sandbox::beside_code();
    let errors = sandbox.root().join("errors");
    let text = "echo one >&2; : >ready; while [ ! -e enough ]; do sleep 0.01; done; echo two >&2; seq 1 30000 >&2; : >ended";
    let mut command = run_script(&sandbox, "t1", text);
    let mut child = Started::new(command.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap()));
    wait_until("the command is ready", || sandbox.path("ready").exists());
    assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("alive"));
    child.0.kill().unwrap();
    assert_eq!(child.code(), -1);
    let lost = sandbox.audit(&["tasks", "--lost"]).exits(0).says("git audit finish --lost");
    assert!(lost.stdout.contains("lost   t1"), "{}", lost.stdout);
    sandbox.audit(&["event", "t1", "from_the_command"]).exits(0);
    sandbox.audit(&["finish", "--lost"]).exits(0);
    let entry = stored(&sandbox, "t1");
    assert_eq!(event_types(&entry), ["task_start", "from_the_command", "execute_error", "task_complete"]);
    assert_eq!(entry["status"], "failed");
    assert!(!sandbox.path("ended").exists(), "the command still runs");
    sandbox.write("enough", "");
    wait_until("the command has ended", || sandbox.path("ended").exists());
    let expected: String = (1..=30_000).map(|number| format!("{number}\n")).collect();
    let expected = format!("one\ntwo\n{expected}");
    wait_until("all was handed on", || fs::read_to_string(&errors).unwrap().len() >= expected.len());
    assert_eq!(fs::read_to_string(&errors).unwrap(), expected);
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_recorded_once_or_never_began() {
    let sandbox = Sandbox::beside_code();
    let mut seen = [0, 0, 0];
    for round in 0..60_u64 {
        let task_id = format!("t{round}");
        let mut command = run_script(&sandbox, &task_id, "echo x >&2; sleep 0.02; exit 1");
        let mut child = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
        thread::sleep(Duration::from_micros(round * 1500));
        _ = child.0.kill();
        child.code();
        let is_recorded = sandbox.audit(&["path", &task_id]).code == 0;
        let is_running = sandbox.audit(&["tasks", &task_id]).code == 0;
        sandbox.audit(&["finish", "--lost", &task_id]).exits(0);
        assert!(
            !journal(&sandbox, &task_id).exists()
                || !is_running && fs::read(journal(&sandbox, &task_id)).unwrap().is_empty()
        );
        match (is_recorded, is_running) {
            (false, false) => seen[0] += 1,
            (_, true) => {
                seen[1] += 1;
                let types = event_types(&stored(&sandbox, &task_id));
                assert!(types[0] == "task_start" && types.last().unwrap() == "task_complete", "{types:?}");
            }
            (true, false) => seen[2] += 1,
        }
    }
    assert_eq!(sandbox.logged(&[]).len(), seen[1] + seen[2]);
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn a_relay_that_is_killed_costs_the_last_lines_and_not_the_result() {
    let sandbox = Sandbox::beside_code();
    let mut child = started(
        &sandbox,
        "t1",
        "trap '' PIPE; : >ready; while [ ! -e enough ]; do sleep 0.01; done; echo lost >&2; exit 6",
    );
    let relay = Pid::from_raw(i32::try_from(child.relay().unwrap()).unwrap()).unwrap();
    kill_process(relay, Signal::KILL).unwrap();
    sandbox.write("enough", "");
    assert_eq!(child.code(), 6);
    let entry = stored(&sandbox, "t1");
    assert_eq!((&entry["status"], &entry["error_message"]), (&json!("failed"), &json!("exit code 6")));
}

#[test]
fn a_signal_while_the_entry_is_recorded_does_not_end_that() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let mut command = run_script(&sandbox, "t1", ": >ready; exit 7");
    let mut child = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_until("the command has ended", || {
        fs::read_to_string(journal(&sandbox, "t1")).is_ok_and(|text| text.contains("\"record\":\"finish\""))
    });
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        child.signal(signal);
    }
    drop(held);
    assert_eq!(child.code(), 7);
    assert_eq!(stored(&sandbox, "t1")["error_message"], "exit code 7");
    assert_eq!(run(&mut sandbox.audit_command(&["tasks"])).exits(0).stdout, "");
}
