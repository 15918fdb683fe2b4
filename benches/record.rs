//! What one `git-audit record` costs, as a ratio to `git add` + `git commit` of the same entry in the same run.
//!
//! The three contestants take turns, so that whatever slows the machine down slows all of them; the clock sees whole
//! processes, and nothing else runs meanwhile. It is no test: a missed bar is printed, not failed.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench talks to whoever runs it"
)]

mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use workload::probe::{Probed, peak_memory_bytes, syncs};
use workload::sandbox::{Result, Sandbox, output};
use workload::score::{Score, median};
use workload::{entry, sealed};

const BINARY: &str = env!("CARGO_BIN_EXE_git-audit");

/// Rounds before the clock counts: page cache, lazily made directories, index entries too young to be trusted.
const WARM_UP_ROUNDS: u64 = 3;

const LARGE: u64 = 100_000;

const MEMORY_BAR_MB: f64 = 30.0;

const USAGE: &str = "usage: cargo bench --bench record -- [--rounds N] [--large]

  --rounds N  timed rounds for each ledger size (default 30)
  --large     also a ledger of 100,000 entries (minutes, about 1.5 GB in the temporary directory)
  --help      this text";

#[derive(Clone, Copy)]
enum Case {
    NotCheckedOut,
    CheckedOut,
}

impl Case {
    fn name(self) -> &'static str {
        match self {
            Self::NotCheckedOut => "not checked out",
            Self::CheckedOut => "checked out",
        }
    }

    /// The ratio to stay under, where one is set for this size.
    fn bar(self, entries: u64) -> Option<f64> {
        match (self, entries) {
            (Self::CheckedOut, _) => Some(1.0),
            (Self::NotCheckedOut, 1_000) => Some(0.35),
            (Self::NotCheckedOut, 10_000) => Some(0.15),
            (Self::NotCheckedOut, _) => None,
        }
    }
}

struct Options {
    rounds: u64,
    large: bool,
}

/// One ledger, three times over.
struct Arena {
    sandbox: Sandbox,
    entries: u64,
    not_checked_out: PathBuf,
    checked_out: PathBuf,
    peer: PathBuf,
}

/// The wall times of one round, in milliseconds.
struct Round {
    not_checked_out: f64,
    checked_out: f64,
    peer: f64,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|options| options.as_ref().map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when only the usage was asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options = Options { rounds: 30, large: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => {
                println!("{USAGE}");
                return Ok(None);
            }
            "--large" => options.large = true,
            "--rounds" => {
                let rounds = arguments.next().and_then(|number| number.parse().ok());
                options.rounds =
                    rounds.filter(|rounds| *rounds > 0).ok_or("--rounds wants a number of at least 1")?;
            }
            // `cargo bench` tells every bench what it is.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}\n{USAGE}").into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<()> {
    print_header(options)?;
    let mut score = Score::default();
    let mut probes = Vec::new();
    println!("entries  case             ours ms    git ms   ratio  bar     verdict");
    for entries in [1_000, 10_000, LARGE] {
        if entries == LARGE && !options.large {
            continue;
        }
        eprintln!("({entries} entries: building the repositories)");
        let arena = build_arena(entries)?;
        let rounds = compete(&arena, options.rounds)?;
        print_rows(entries, &rounds, &mut score);
        for case in [Case::NotCheckedOut, Case::CheckedOut] {
            probes.push(probe(&arena, options.rounds, case, &mut score)?);
        }
    }
    println!("\nentries  case             memory MB  bar     verdict  syncs");
    for line in probes {
        println!("{line}");
    }
    println!("\nbars met: {} of {}", score.met, score.set);
    Ok(())
}

fn print_header(options: &Options) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let version = output(sandbox.command("git").arg("--version"))?.stdout;
    let file_system = output(sandbox.command("stat").args(["-f", "-c", "%T", "."]));
    let file_system = file_system.map_or_else(|_| b"unknown".to_vec(), |known| known.stdout);
    let cores = std::thread::available_parallelism()?;
    println!("One `git-audit record` against `git add` + `git commit` of the same entry: whole processes,");
    println!("in turn, median of {} rounds; ratio = median of ours / git, round by round.", options.rounds);
    println!(
        "{}, {cores} cores, file system {}, {}",
        String::from_utf8_lossy(&version).trim(),
        String::from_utf8_lossy(&file_system).trim(),
        std::env::temp_dir().display()
    );
    if cfg!(debug_assertions) {
        println!("WARNING: a debug build; its ratios mean nothing. Use `cargo bench`.");
    }
    println!();
    Ok(())
}

fn build_arena(entries: u64) -> Result<Arena> {
    let sandbox = Sandbox::new()?;
    let not_checked_out = sandbox.build_ledger("not-checked-out", entries)?;
    let checked_out = sandbox.copy_checked_out(&not_checked_out, "checked-out")?;
    let peer = sandbox.copy_checked_out(&not_checked_out, "peer")?;
    // What the building left in memory must not be written out while the clock runs.
    output(&mut sandbox.command("sync"))?;
    Ok(Arena { sandbox, entries, not_checked_out, checked_out, peer })
}

fn compete(arena: &Arena, rounds: u64) -> Result<Vec<Round>> {
    let total = WARM_UP_ROUNDS + rounds;
    let mut timed = Vec::new();
    for round in 0..total {
        let result = play_round(arena, arena.entries + round)?;
        if round >= WARM_UP_ROUNDS {
            timed.push(result);
        }
    }
    check_work(arena, total)?;
    Ok(timed)
}

fn play_round(arena: &Arena, i: u64) -> Result<Round> {
    let file = write_input(arena, i)?;
    let ours = |repository| wall_ms(&mut [record_command(arena, repository, &file)]);
    Ok(Round {
        not_checked_out: ours(&arena.not_checked_out)?,
        checked_out: ours(&arena.checked_out)?,
        peer: play_peer(arena, i)?,
    })
}

fn play_peer(arena: &Arena, i: u64) -> Result<f64> {
    let sealed = sealed(i);
    let file = arena.peer.join(&sealed.path);
    fs::create_dir_all(file.parent().expect("an entry lies in a directory"))?;
    fs::write(&file, &sealed.bytes)?;
    let mut add = arena.sandbox.git(&arena.peer);
    add.args(["add", &sealed.path]);
    let mut commit = arena.sandbox.git(&arena.peer);
    commit.args(["commit", "-q", "-m", &sealed.message]);
    wall_ms(&mut [add, commit])
}

fn write_input(arena: &Arena, i: u64) -> Result<PathBuf> {
    let file = arena.sandbox.path("entry.json");
    fs::write(&file, serde_json::to_vec_pretty(&entry(i))?)?;
    Ok(file)
}

fn record_command(arena: &Arena, repository: &Path, file: &Path) -> Command {
    let mut command = arena.sandbox.command(BINARY);
    command.arg("-C").arg(repository).arg("record").arg(file);
    command
}

/// The wall time of the commands, one after the other, from before the first starts to after the last has ended.
fn wall_ms(commands: &mut [Command]) -> Result<f64> {
    let start = Instant::now();
    for command in commands {
        output(command.stdout(Stdio::null()))?;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// A contestant that skipped its work would win: every ledger must have grown by every round, with nothing left over.
fn check_work(arena: &Arena, rounds: u64) -> Result<()> {
    let expected = 1 + arena.entries + rounds;
    for repository in [&arena.not_checked_out, &arena.checked_out, &arena.peer] {
        let commits = arena.sandbox.count_commits(repository)?;
        let mut status = arena.sandbox.git(repository);
        let changes = output(status.args(["status", "--porcelain"]))?.stdout;
        if commits != expected || !changes.is_empty() {
            let changes = String::from_utf8_lossy(&changes);
            let place = repository.display();
            return Err(format!("{place}: {commits} commits, not {expected}\n{changes}").into());
        }
    }
    Ok(())
}

fn print_rows(entries: u64, rounds: &[Round], score: &mut Score) {
    let git_ms = median(rounds.iter().map(|round| round.peer));
    for case in [Case::NotCheckedOut, Case::CheckedOut] {
        let ours = |round: &Round| match case {
            Case::NotCheckedOut => round.not_checked_out,
            Case::CheckedOut => round.checked_out,
        };
        let ours_ms = median(rounds.iter().map(ours));
        let ratio = median(rounds.iter().map(|round| ours(round) / round.peer));
        let (bar, verdict) = score.judge(ratio, case.bar(entries));
        let name = case.name();
        println!(
            "{entries:>7}  {name:<15}  {ours_ms:>7.2}  {git_ms:>8.2}  {ratio:>6.3}  {bar:<6}  {verdict}"
        );
    }
}

/// Two more records, one under each tool; their line of the second table.
fn probe(arena: &Arena, rounds: u64, case: Case, score: &mut Score) -> Result<String> {
    let repository = match case {
        Case::NotCheckedOut => &arena.not_checked_out,
        Case::CheckedOut => &arena.checked_out,
    };
    let next = arena.entries + WARM_UP_ROUNDS + rounds;
    let command = record_command(arena, repository, &write_input(arena, next)?);
    let syncs = match syncs(&arena.sandbox, &command)? {
        Probed::Figure(calls) => describe_syncs(&calls),
        Probed::Skipped(reason) => format!("skipped: {reason}"),
    };
    write_input(arena, next + 1)?;
    let (memory, bar, verdict) = match peak_memory_bytes(&arena.sandbox, &command)? {
        Probed::Figure(bytes) => {
            #[allow(clippy::cast_precision_loss, reason = "a table shows one decimal")]
            let megabytes = bytes as f64 / 1e6;
            let bar = (arena.entries == LARGE).then_some(MEMORY_BAR_MB);
            let (bar, verdict) = score.judge(megabytes, bar);
            (format!("{megabytes:.1}"), bar, verdict)
        }
        Probed::Skipped(reason) => {
            eprintln!("(memory skipped: {reason})");
            ("skipped".to_owned(), "none".to_owned(), "")
        }
    };
    let (entries, name) = (arena.entries, case.name());
    Ok(format!("{entries:>7}  {name:<15}  {memory:>9}  {bar:<6}  {verdict:<7}  {syncs}"))
}

fn describe_syncs(calls: &[(String, u64)]) -> String {
    let total: u64 = calls.iter().map(|(_, count)| count).sum();
    let kinds: Vec<String> = calls.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{total} ({})", kinds.join(", "))
}
