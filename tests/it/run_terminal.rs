//! `git audit run` on a terminal, which the test holds the other end of: it types, resizes, hangs up.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::journal::stored;
use crate::run_signals::{Started, wait_until};
use crate::sandbox::Sandbox;

/// A terminal with a command on it, which it controls.
struct Terminal {
    child: Started,
    master: Option<File>,
    screen: Arc<Mutex<Vec<u8>>>,
    is_closed: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

const SIZE: Winsize = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };

impl Terminal {
    /// Runs a shell command on a new terminal. `None` where `setsid` (util-linux) is missing.
    fn new(sandbox: &Sandbox, command: &str) -> Option<Self> {
        if !Command::new("setsid").arg("--version").output().is_ok_and(|done| done.status.success()) {
            eprintln!("skipped: there is no `setsid` (util-linux) to give a command its terminal");
            return None;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, SIZE).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
        let mut setsid = sandbox.command("setsid");
        setsid.args(["--ctty", "sh", "-c", command]).env("TERM", "xterm").env("PS1", "$ ");
        let child = Started::new(setsid.stdin(slave()).stdout(slave()).stderr(slave()));
        drop(setsid);
        let master = File::from(master);
        let (screen, is_closed) = (Arc::default(), Arc::default());
        let reader = Some(read_to(&master, &screen, &is_closed));
        Some(Self { child, master: Some(master), screen, is_closed, reader })
    }

    fn types(&self, text: &str) {
        self.master.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// As a window is closed.
    fn hangs_up(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.reader.take().unwrap().join().unwrap();
        drop(self.master.take());
    }

    fn shows(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn waits_for(&self, text: &str) {
        wait_until(&format!("`{text}` is shown"), || self.shows().contains(text));
    }
}

/// Reads what the terminal shows until it is closed.
fn read_to(master: &File, screen: &Arc<Mutex<Vec<u8>>>, is_closed: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (mut master, screen, is_closed) =
        (master.try_clone().unwrap(), Arc::clone(screen), Arc::clone(is_closed));
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let moment = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        while !is_closed.load(Ordering::Relaxed) {
            let is_ready = poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&moment)).unwrap() > 0;
            match if is_ready { master.read(&mut buffer) } else { continue } {
                Ok(read @ 1..) => screen.lock().unwrap().extend_from_slice(&buffer[..read]),
                // Nobody has it open any more.
                _ => break,
            }
        }
    })
}

/// `git-audit run --task-id t1` of a shell script that is in a file, so that nothing has to be quoted twice.
fn on_terminal(sandbox: &Sandbox, script: &str) -> Option<Terminal> {
    let script = sandbox.input("script", script);
    Terminal::new(sandbox, &format!("exec git-audit run --task-id t1 -- sh {script}"))
}

#[test]
fn the_command_has_a_terminal_of_the_same_size_on_all_three_streams() {
    let sandbox = Sandbox::beside_code();
    let look = "for n in 0 1 2; do test -t $n && echo tty $n; done
        stty size; stty size <&1; stty size <&2; tty; stty -a <&2 | tr ';' '\\n' | grep speed
        ls --color=auto -d /tmp; printf '\\033[31mred\\033[0m\\n' >&2; printf 'a\\tb\\n' >&2; tput cols; exit 3";
    let Some(mut terminal) = on_terminal(&sandbox, look) else { return };
    assert_eq!(terminal.child.code(), 3);
    terminal.waits_for("a\tb\r\n");
    let shown = terminal.shows();
    assert!(shown.starts_with("tty 0\r\ntty 1\r\ntty 2\r\n33 77\r\n33 77\r\n33 77\r\n/dev/pts/"), "{shown}");
    assert!(shown.contains("\u{1b}[31mred\u{1b}[0m\r\n"), "nothing is turned into something else: {shown:?}");
    assert!(shown.matches('\u{1b}').count() > 2, "ls colours: {shown:?}");
    assert_eq!(stored(&sandbox, "t1")["error_message"], "exit code 3: a\tb");
}

#[test]
fn an_interrupt_from_the_keyboard_reaches_the_command_once() {
    for (key, name) in [("\u{3}", "INT"), ("\u{1c}", "QUIT")] {
        let sandbox = Sandbox::beside_code();
        let count = format!(
            "trap 'echo x >>got' {name}; echo ready; while [ ! -e enough ]; do sleep 0.01; done; exit 5"
        );
        let Some(mut terminal) = on_terminal(&sandbox, &count) else { return };
        terminal.waits_for("ready");
        for count in 1..=2 {
            terminal.types(key);
            let got = || fs::read_to_string(sandbox.path("got")).unwrap_or_default();
            wait_until(name, || got().lines().count() >= count);
            thread::sleep(std::time::Duration::from_millis(30));
            assert_eq!(got().lines().count(), count, "{name}");
        }
        sandbox.write("enough", "");
        assert_eq!(terminal.child.code(), 5);
        let entry = stored(&sandbox, "t1");
        assert_eq!(
            (entry["status"].as_str(), entry["error_message"].as_str()),
            (Some("cancelled"), Some(format!("ended with exit code 5 after SIG{name}").as_str()))
        );
    }
    let sandbox = Sandbox::beside_code();
    let Some(mut terminal) = on_terminal(&sandbox, "echo ready; echo busy >&2; exec sleep 600") else {
        return;
    };
    terminal.waits_for("ready");
    terminal.waits_for("busy");
    terminal.types("\u{3}");
    assert_eq!(terminal.child.code(), 128 + 2);
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (entry["status"].as_str(), entry["error_message"].as_str()),
        (Some("cancelled"), Some("ended by SIGINT"))
    );
}

#[test]
fn what_is_typed_is_the_commands() {
    let sandbox = Sandbox::beside_code();
    let ask = "printf 'name? ' >&2; read name; echo \"hello $name\"; stty -echo; read secret; stty echo; echo \"$secret\" | wc -c; cat";
    let Some(mut terminal) = on_terminal(&sandbox, ask) else { return };
    terminal.waits_for("name? ");
    terminal.types("ann\n");
    terminal.waits_for("hello ann");
    wait_until("the echo is off", || {
        let settings = rustix::termios::tcgetattr(terminal.master.as_ref().unwrap()).unwrap();
        !settings.local_modes.contains(rustix::termios::LocalModes::ECHO)
    });
    terminal.types("hidden\n");
    terminal.waits_for("7\r\n");
    terminal.types("last\n\u{4}");
    assert_eq!(terminal.child.code(), 0);
    assert!(
        !terminal.shows().contains("hidden") && terminal.shows().contains("last\r\nlast"),
        "{}",
        terminal.shows()
    );
}

#[test]
fn a_terminal_that_changes_its_size_does_so_for_every_stream() {
    let sandbox = Sandbox::beside_code();
    let report = "trap 'echo resized' WINCH; echo ready; while [ ! -e enough ]; do stty size <&2; sleep 0.01; done; stty size <&0";
    let Some(mut terminal) = on_terminal(&sandbox, report) else { return };
    terminal.waits_for("ready");
    for columns in [132, 90, 77] {
        let size = Winsize { ws_row: 50, ws_col: columns, ..SIZE };
        tcsetwinsize(terminal.master.as_ref().unwrap(), size).unwrap();
        terminal.waits_for(&format!("50 {columns}\r\n"));
    }
    terminal.waits_for("resized");
    sandbox.write("enough", "");
    assert_eq!(terminal.child.code(), 0);
    terminal.waits_for("50 77\r\n50 77\r\n");
}

#[test]
fn a_job_can_be_stopped_and_goes_on_in_the_foreground() {
    let sandbox = Sandbox::beside_code();
    let Some(terminal) = Terminal::new(&sandbox, "exec sh -i") else { return };
    let script = sandbox.input(
        "script",
        "echo be\"\"gan; while [ ! -e enough ]; do sleep 0.01; done; echo en\"\"ded >&2; exit 4",
    );
    terminal.types(&format!("git-audit run --task-id t1 -- sh {script}\n"));
    terminal.waits_for("began");
    for _ in 0..2 {
        let times = |text: &str| terminal.shows().matches(text).count();
        let before = times("Stopped");
        terminal.types("\u{1a}");
        wait_until("the job is stopped", || times("Stopped") > before);
        assert!(sandbox.audit(&["tasks"]).exits(0).stdout.contains("alive"));
        let before = times("git-audit run");
        terminal.types("fg\n");
        // The next key would throw away what the shell has not read.
        wait_until("the shell has told it to go on", || times("git-audit run") > before);
    }
    sandbox.write("enough", "");
    terminal.waits_for("ended");
    terminal.types("echo \"code $?\"\n");
    terminal.waits_for("code 4");
    terminal.types("exit\n");
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (entry["status"].as_str(), entry["error_message"].as_str()),
        (Some("failed"), Some("exit code 4: ended"))
    );
}

#[test]
fn a_terminal_that_is_closed_ends_the_command_and_the_entry_says_so() {
    let sandbox = Sandbox::beside_code();
    let Some(mut terminal) = on_terminal(&sandbox, "echo ready; echo waits >&2; exec sleep 600") else {
        return;
    };
    terminal.waits_for("ready");
    terminal.waits_for("waits");
    terminal.hangs_up();
    assert_eq!(terminal.child.code(), 128 + 1);
    let entry = stored(&sandbox, "t1");
    assert_eq!(
        (entry["status"].as_str(), entry["error_message"].as_str()),
        (Some("cancelled"), Some("ended by SIGHUP"))
    );
}

#[test]
fn a_command_that_survives_its_terminal_is_recorded_at_its_end() {
    let sandbox = Sandbox::beside_code();
    let script = "trap '' HUP; echo ready; while [ ! -e enough ]; do sleep 0.01; done; echo gone >&2; : >ended; exit 0";
    let Some(mut terminal) = on_terminal(&sandbox, script) else { return };
    terminal.waits_for("ready");
    terminal.hangs_up();
    sandbox.write("enough", "");
    assert_eq!(terminal.child.code(), 0);
    assert!(sandbox.path("ended").exists());
    assert_eq!(stored(&sandbox, "t1")["status"], "completed");
}

#[test]
fn a_run_that_is_killed_leaves_the_terminal_to_the_command() {
    let sandbox = Sandbox::beside_code();
    let script = "trap '' HUP; echo ready; while [ ! -e enough ]; do sleep 0.01; done; echo still >&2; test -t 2 && echo tty; : >ended";
    let script = sandbox.input("script", script);
    // A shell before it, or its end would close the terminal.
    let Some(mut terminal) = Terminal::new(
        &sandbox,
        &format!(
            "git-audit run --task-id t1 -- sh {script} & echo $! >pid; wait; while [ ! -e ended ]; do sleep 0.01; done; sleep 0.2"
        ),
    ) else {
        return;
    };
    terminal.waits_for("ready");
    let pid = fs::read_to_string(sandbox.path("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    sandbox.write("enough", "");
    terminal.waits_for("still");
    terminal.waits_for("tty");
    assert_eq!(terminal.child.code(), 0);
    assert!(sandbox.audit(&["tasks", "--lost"]).exits(0).stdout.contains("t1"));
}
