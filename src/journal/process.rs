//! Whose task it is. A process id alone says nothing for long: ids are used again, other machines and containers have
//! their own. So a process is known by its id and start time, on one boot of one machine, in one space of ids.

use std::fs;

use rustix::process::{Pid, getppid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Programs that only start others, and are gone while what they started goes on.
const WRAPPERS: [&str; 6] = ["git", "timeout", "env", "nice", "stdbuf", "setsid"];
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "fish", "ksh", "busybox"];
/// Nobody is nested deeper than that.
const MAX_ANCESTORS: usize = 32;

/// A process, told apart from all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    /// The space of process ids, which containers have their own of.
    #[serde(skip_serializing_if = "Option::is_none")]
    id_space: Option<String>,
    /// The machine's name.
    pub host: String,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It does.
    Alive,
    /// It is gone.
    Lost,
    /// It cannot be told from here: it is of another machine or container.
    Elsewhere,
}

impl Process {
    /// This process.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The process that a command of ours was called by: the nearest one above that is neither `git`, which runs us, nor
    /// another wrapper, nor a shell that was started for this one command, or copied for a part of a script.
    pub fn caller() -> Self {
        let parent = getppid().map_or(1, |pid| pid.as_raw_nonzero().get().unsigned_abs());
        let mut pid = parent;
        for _ in 0..MAX_ANCESTORS {
            let Some(above) = parent_of(pid).filter(|above| *above > 1 && is_passing(pid)) else { break };
            pid = above;
        }
        Self::of(pid)
    }

    /// The process of that id.
    pub fn of(pid: u32) -> Self {
        Self { pid, started: start_time(pid), boot: boot(), id_space: id_space(), host: host() }
    }

    /// Whether it lives.
    pub fn liveness(&self) -> Liveness {
        if self.host != host() {
            return Liveness::Elsewhere;
        }
        if self.boot != boot() {
            return Liveness::Lost;
        }
        if self.id_space != id_space() {
            return Liveness::Elsewhere;
        }
        let is_there = i32::try_from(self.pid).ok().and_then(Pid::from_raw).is_some_and(|pid| {
            // One that may not be signalled is there.
            !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
        });
        let is_same = start_time(self.pid) == self.started && !is_zombie(self.pid);
        if is_there && is_same { Liveness::Alive } else { Liveness::Lost }
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn id_space() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// The fields of `/proc/<pid>/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn start_time(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state == "Z"))
}

fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Whether the process is there only for what it runs.
fn is_passing(pid: u32) -> bool {
    let command = command_of(pid);
    let Some(program) = command.first() else { return false };
    let name = program.rsplit('/').next().unwrap_or_default();
    let runs_one_command = || {
        let flag = command.get(1).map(String::as_str).unwrap_or_default();
        flag.starts_with('-') && !flag.starts_with("--") && flag.contains('c')
    };
    // A part of a script in parentheses, or in `$(…)`, is a copy of its shell.
    let is_part = || parent_of(pid).is_some_and(|parent| command_of(parent) == command);
    WRAPPERS.contains(&name) || SHELLS.contains(&name) && (runs_one_command() || is_part())
}

fn command_of(pid: u32) -> Vec<String> {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = command.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_was_waited_for_is_lost() {
        assert_eq!(Process::this().liveness(), Liveness::Alive);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id());
        assert_eq!(process.liveness(), Liveness::Alive);
        child.kill().unwrap();
        // Dead, though nobody has asked for its status yet.
        while !is_zombie(child.id()) {
            std::thread::yield_now();
        }
        assert_eq!(process.liveness(), Liveness::Lost);
        child.wait().unwrap();
        assert_eq!(process.liveness(), Liveness::Lost);
    }

    #[test]
    fn another_process_of_the_same_id_is_not_it() {
        let other = Process { started: Some(1), ..Process::this() };
        assert_eq!(other.liveness(), Liveness::Lost);
        let before = Process { boot: Some("another".into()), ..Process::this() };
        assert_eq!(before.liveness(), Liveness::Lost);
        let elsewhere = Process { host: "another".into(), ..Process::this() };
        assert_eq!(elsewhere.liveness(), Liveness::Elsewhere);
    }
}
