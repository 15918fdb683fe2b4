//! A command, run as if nobody watched: its own standard input and output, its terminal, its signals, its exit code.
//!
//! - [`signals`]: what is sent to us is sent on · [`mod@relay`]: standard error on its way, and its last lines
//! - [`tail`]: what is worth keeping of those

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

mod relay;
mod signals;
mod tail;

use relay::Relay;
pub use relay::relay;
use signals::Signals;

const SHELL: &str = "/bin/sh";

/// A command to run.
pub struct Launch<'l> {
    /// The program and its arguments.
    pub command: &'l [OsString],
    /// Where it stands.
    pub directory: &'l Path,
    /// What is added to its environment.
    pub variables: &'l [(&'static str, OsString)],
    /// The program of ours that relays, with its arguments. `None`: the last lines are not kept.
    pub relay: Option<(&'l Path, &'l [&'l str])>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be run: there is no such program.
    NotFound,
    /// It could not be run, for this reason.
    NotExecutable(String),
}

impl Ending {
    /// The exit code that stands for it, as `env(1)` and the shells have it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(*code).unwrap_or(u8::MAX),
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::NotFound => 127,
            Self::NotExecutable(_) => 126,
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// The last signal that was to end it, whoever sent it.
    pub asked_to_end: Option<i32>,
    /// The last lines of its standard error.
    pub last_lines: String,
    /// How long it ran.
    pub wall: Duration,
    /// What it cost, with all its children that it waited for.
    pub usage: Usage,
}

/// What a command cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of its own.
    pub user: Duration,
    /// Processor time of the system for it.
    pub system: Duration,
    /// The most memory that it, or the largest of its children, had at once.
    pub peak_memory_bytes: u64,
}

/// Runs the command to its end.
pub fn run(launch: &Launch<'_>) -> Ended {
    let started = Instant::now();
    let signals = Signals::listen();
    let mut commands = commands(launch);
    // Without one, the command has our own standard error.
    let relay =
        launch.relay.and_then(|(program, arguments)| Relay::begin(program, arguments, &mut commands).ok());
    let spawned = spawn(&mut commands);
    // The command's ends of what the relay reads: it would never see the end of them.
    drop(commands);
    let ending = match spawned {
        Ok(child) => wait_for(child, &signals),
        Err(error) if error.kind() == ErrorKind::NotFound => Ending::NotFound,
        Err(error) => Ending::NotExecutable(error.to_string()),
    };
    let usage = usage();
    let last_lines = relay.map(|relay| tail::lines(&relay.tail())).unwrap_or_default();
    Ended { ending, asked_to_end: signals.asked_to_end(), last_lines, wall: started.elapsed(), usage }
}

/// The command, and the same handed to a shell.
fn commands(launch: &Launch<'_>) -> [Command; 2] {
    let program = launch.command.first().cloned().unwrap_or_default();
    let mut commands = [Command::new(&program), Command::new(SHELL)];
    commands[1].arg(&program);
    for command in &mut commands {
        command.args(launch.command.iter().skip(1)).current_dir(launch.directory);
        command.envs(launch.variables.iter().map(|(name, value)| (name, value)));
    }
    commands
}

/// A script without a first line that names its interpreter is the shell's, as `execvp` and so `env(1)` have it.
fn spawn([command, by_shell]: &mut [Command; 2]) -> io::Result<Child> {
    let is_path = command.get_program().as_bytes().contains(&b'/');
    match command.spawn() {
        Err(error) if is_path && Errno::from_io_error(&error) == Some(Errno::NOEXEC) => by_shell.spawn(),
        spawned => spawned,
    }
}

fn wait_for(mut child: Child, signals: &Signals) -> Ending {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        signals.send_on_to(pid);
        // Not reaped yet, so that no signal can reach another process of the same id.
        while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        }
        signals.stop();
    }
    child.wait().map_or_else(|error| Ending::NotExecutable(error.to_string()), ending)
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::NotExecutable("it ended in an unknown way".into()),
    }
}

/// The name of a signal, such as `SIGTERM`.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    signal_hook::low_level::signal_name(signal)
}

/// Of all children that were waited for, which is the command alone.
fn usage() -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Usage::default() };
    let duration = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Usage {
        user: duration(usage.user_time()),
        system: duration(usage.system_time()),
        peak_memory_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * unit,
    }
}
