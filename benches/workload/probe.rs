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

/// How often the command, its threads and its children ask for a sync: one call name and count for each kind.
pub(crate) fn syncs(sandbox: &Sandbox, command: &Command) -> Result<Probed<Vec<(String, u64)>>> {
    let table = sandbox.path("strace.txt");
    let mut strace = sandbox.command("strace");
    strace.args(["-f", "-c", "-e", SYNC_CALLS, "-o"]).arg(&table);
    // Trying it on `true` tells a machine without strace, or one that forbids it, from a command that fails.
    if output(sandbox.command("strace").args(["-f", "-c", "true"])).is_err() {
        return Ok(Probed::Skipped("strace is missing or may not trace".to_owned()));
    }
    output(append(&mut strace, command))?;
    Ok(Probed::Figure(parse_syncs(&fs::read_to_string(table)?)))
}

/// The command's peak resident memory in bytes.
///
/// By way of `time`, not of our own children's usage: a child's peak begins with the size of the process that forked
/// it, and a bench is bigger than `time`.
pub(crate) fn peak_memory_bytes(sandbox: &Sandbox, command: &Command) -> Result<Probed<u64>> {
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
        (name == "Maximum resident set size (kbytes)").then(|| value.parse::<u64>().ok())?
    });
    Ok(match kibibytes {
        Some(kibibytes) => Probed::Figure(kibibytes * 1024),
        None => Probed::Skipped(format!("{TIME} -v names no resident set size")),
    })
}

fn append<'a>(wrapper: &'a mut Command, command: &Command) -> &'a mut Command {
    wrapper.arg(command.get_program()).args(command.get_args())
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
