//! How the cost of one `git-audit record` grows with its ledger, as a ratio to a ledger of 1,000 entries in the same run.
//!
//! The ledgers take turns, one record each. It is no test: a missed bar is printed, not failed.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a bench talks to whoever runs it")]

mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use workload::clock::wall_ms;
use workload::entry;
use workload::options::{Options, Spec};
use workload::probe::{Probed, peak_megabytes};
use workload::sandbox::{Result, Sandbox};
use workload::score::{Bar, Score, median, overall};

/// A whole turn of putting small packs together.
const WARM_UP_ROUNDS: u64 = 8;

/// Records under `time`: among eight in a row is one that puts packs together.
const PROBES: u64 = 8;

const HUGE: u64 = 1_000_000;

const RATIO_BAR: Bar = Bar::AtMost(1.5);
const MEMORY_BAR_MB: Bar = Bar::Below(30.0);

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench growth -- [--rounds N] [--huge]

  --rounds N  timed rounds (default 64)
  --huge      also a ledger of 1,000,000 entries (minutes, about 2 GB in the temporary directory)
  --help      this text",
    rounds: 64,
    long: Some("--huge"),
};

struct Ledger {
    entries: u64,
    repository: PathBuf,
    /// Wall times of the timed rounds, in milliseconds.
    times: Vec<f64>,
}

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    println!(
        "One `git-audit record` into ledgers of different sizes, not checked out: whole processes, in turn,"
    );
    println!(
        "median of {} rounds; ratio = to the ledger of 1,000, median round by round; overall = all",
        options.rounds
    );
    println!("rounds together; memory = the highest of {PROBES} records.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let mut ledgers = Vec::new();
    for entries in [1_000, 10_000, 100_000, HUGE] {
        if entries == HUGE && !options.is_long {
            continue;
        }
        eprintln!("({entries} entries: building the repository)");
        let repository = sandbox.build_ledger(&format!("ledger-{entries}"), entries)?;
        ledgers.push(Ledger { entries, repository, times: Vec::new() });
    }
    sandbox.settle()?;
    for round in 0..WARM_UP_ROUNDS + options.rounds {
        for ledger in &mut ledgers {
            let ms = wall_ms(&mut [record(&sandbox, ledger, round)?])?;
            if round >= WARM_UP_ROUNDS {
                ledger.times.push(ms);
            }
        }
    }
    check_work(&sandbox, &ledgers, WARM_UP_ROUNDS + options.rounds)?;
    let mut score = Score::default();
    println!("  entries  ours ms   ratio  overall  bar     verdict  memory MB  bar   verdict");
    for ledger in &ledgers {
        print_row(&sandbox, ledger, &ledgers[0], &mut score)?;
    }
    println!("\n{score}");
    Ok(())
}

/// The command that records the task which comes `further` after those that the ledger was built of.
fn record(sandbox: &Sandbox, ledger: &Ledger, further: u64) -> Result<Command> {
    let file = sandbox.path("entry.json");
    fs::write(&file, serde_json::to_vec_pretty(&entry(ledger.entries + further))?)?;
    let mut command = sandbox.audit(&ledger.repository);
    command.arg("record").arg(file);
    Ok(command)
}

/// Every ledger must have grown by every round.
fn check_work(sandbox: &Sandbox, ledgers: &[Ledger], rounds: u64) -> Result<()> {
    for ledger in ledgers {
        let (commits, expected) = (sandbox.count_commits(&ledger.repository)?, 1 + ledger.entries + rounds);
        if commits != expected {
            return Err(format!("{}: {commits} commits, not {expected}", ledger.repository.display()).into());
        }
    }
    Ok(())
}

fn print_row(sandbox: &Sandbox, ledger: &Ledger, smallest: &Ledger, score: &mut Score) -> Result<()> {
    let is_huge = ledger.entries == HUGE;
    let pairs = || ledger.times.iter().copied().zip(smallest.times.iter().copied());
    let ms = median(ledger.times.iter().copied());
    let ratio = median(pairs().map(|(ours, smallest)| ours / smallest));
    let overall = overall(pairs());
    let (bar, verdict) = score.judge(ratio, is_huge.then_some(RATIO_BAR));
    let (memory, memory_bar, memory_verdict) = match peak(sandbox, ledger)? {
        Probed::Figure(peak) => {
            let (bar, verdict) = score.judge(peak, is_huge.then_some(MEMORY_BAR_MB));
            (format!("{peak:.1}"), bar, verdict)
        }
        Probed::Skipped(reason) => {
            eprintln!("(memory skipped: {reason})");
            ("skipped".to_owned(), "none".to_owned(), "")
        }
    };
    let entries = ledger.entries;
    let time = format!("{ms:>7.2}  {ratio:>6.3}  {overall:>7.3}  {bar:<6}  {verdict:<7}");
    let line = format!("{entries:>9}  {time}  {memory:>9}  {memory_bar:<4}  {memory_verdict}");
    println!("{}", line.trim_end());
    Ok(())
}

fn peak(sandbox: &Sandbox, ledger: &Ledger) -> Result<Probed<f64>> {
    let mut highest = 0.0_f64;
    let done = WARM_UP_ROUNDS + u64::try_from(ledger.times.len())?;
    for further in done..done + PROBES {
        match peak_megabytes(sandbox, &record(sandbox, ledger, further)?)? {
            Probed::Figure(megabytes) => highest = highest.max(megabytes),
            skipped @ Probed::Skipped(_) => return Ok(skipped),
        }
    }
    Ok(Probed::Figure(highest))
}
