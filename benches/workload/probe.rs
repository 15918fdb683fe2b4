//! What a wall clock does not show: the syncs of a command and its peak memory, through tools that may be absent.
//!
//! Each probe runs the command once, and answers with a figure or with the reason why there is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::sandbox::{Result, Sandbox, output};

const SYNC_CALLS: &str = "trace=fsync,fdatasync,sync_file_range";

/// A figure, or why it could not be had on this machine.
pub(crate) enum Probed<T> {
    Figure(T),
    Skipped(String),
}

/// The calls of a command, its threads and its children that write to the disk at once: one name and count for each
/// kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Syncs(Vec<(String, u64)>);

impl Syncs {
    /// Those that also make the disk empty its cache: `sync_file_range` does not.
    pub(crate) fn flushes(&self) -> u64 {
        self.0.iter().filter(|(name, _)| name != "sync_file_range").map(|(_, count)| count).sum()
    }

    /// All of them, in words.
    pub(crate) fn describe(&self) -> String {
        let kinds: Vec<String> = self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        kinds.join(", ")
    }
}

/// How often the command asks for a sync.
pub(crate) fn syncs(sandbox: &Sandbox, command: &Command) -> Result<Probed<Syncs>> {
    let table = sandbox.path("strace.txt");
    let mut strace = sandbox.command("strace");
    strace.args(["-f", "-c", "-e", SYNC_CALLS, "-o"]).arg(&table);
    // Trying it on `true` tells a machine without strace, or one that forbids it, from a command that fails.
    if output(sandbox.command("strace").args(["-f", "-c", "true"])).is_err() {
        return Ok(Probed::Skipped("strace is missing or may not trace".to_owned()));
    }
    output(append(&mut strace, command))?;
    Ok(Probed::Figure(Syncs(parse_syncs(&fs::read_to_string(table)?))))
}

/// The command's peak resident memory in megabytes, 10^6 bytes.
///
/// By way of `time`, not of our own children's usage: a child's peak begins with the size of the process that forked
/// it, and a bench is bigger than `time`.
pub(crate) fn peak_megabytes(sandbox: &Sandbox, command: &Command) -> Result<Probed<f64>> {
    const TIME: &str = "/usr/bin/time";
    if !Path::new(TIME).exists() {
        return Ok(Probed::Skipped(format!("no {TIME}")));
    }
    let report = sandbox.path("time.txt");
    let mut time = sandbox.command(TIME);
    output(append(time.arg("-v").arg("-o").arg(&report), command))?;
    let report = fs::read_to_string(report)?;
    let kibibytes = report.lines().find_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        (name == "Maximum resident set size (kbytes)").then(|| value.parse::<f64>().ok())?
    });
    Ok(match kibibytes {
        Some(kibibytes) => Probed::Figure(kibibytes * 1024.0 / 1e6),
        None => Probed::Skipped(format!("{TIME} -v names no resident set size")),
    })
}

fn append<'a>(wrapper: &'a mut Command, command: &Command) -> &'a mut Command {
    wrapper.arg(command.get_program()).args(command.get_args());
    let changed = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    wrapper.envs(changed)
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`: the errors are blank when there were none.
fn parse_syncs(table: &str) -> Vec<(String, u64)> {
    let rows = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let calls = fields.get(3)?.parse().ok()?;
        Some(((*fields.last()?).to_owned(), calls))
    });
    rows.filter(|(name, _)| name != "total").collect()
}
