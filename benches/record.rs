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
use std::process::{Command, ExitCode};

use workload::clock::wall_ms;
use workload::options::{Options, Spec};
use workload::probe::{Probed, Syncs, peak_megabytes, syncs};
use workload::sandbox::{Result, Sandbox, output};
use workload::score::{Bar, Score, median, overall};
use workload::{entry, sealed};

/// Rounds before the clock counts: page cache, lazily made directories, index entries too young to be trusted.
const WARM_UP_ROUNDS: u64 = 3;

/// Records under each tool: among eight in a row is one that puts packs together.
const PROBES: u64 = 8;

const LARGE: u64 = 100_000;

const MEMORY_BAR_MB: Bar = Bar::Below(30.0);
const FLUSHES_BAR: Bar = Bar::AtMost(4.0);

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench record -- [--rounds N] [--large]

  --rounds N  timed rounds for each ledger size (default 30)
  --large     also a ledger of 100,000 entries (minutes, about 1.5 GB in the temporary directory)
  --help      this text",
    rounds: 30,
    long: Some("--large"),
};

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

    /// What the ratio is held against.
    fn bar(self, entries: u64) -> Bar {
        Bar::AtMost(match (self, entries) {
            (Self::CheckedOut, _) => 0.5,
            (Self::NotCheckedOut, 1_000) => 0.3,
            (Self::NotCheckedOut, 10_000) => 0.1,
            (Self::NotCheckedOut, _) => 0.02,
        })
    }
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

impl Round {
    fn ours(&self, case: Case) -> f64 {
        match case {
            Case::NotCheckedOut => self.not_checked_out,
            Case::CheckedOut => self.checked_out,
        }
    }
}

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    println!("One `git-audit record` against `git add` + `git commit` of the same entry: whole processes,");
    println!(
        "in turn, median of {} rounds; ratio = median of ours / git, round by round; overall = all",
        options.rounds
    );
    println!("rounds of ours / all of git's.");
    Sandbox::new()?.print_machine()?;
    let mut score = Score::default();
    let mut probes = Vec::new();
    println!("entries  case             ours ms    git ms   ratio  overall  bar      verdict");
    for entries in [1_000, 10_000, LARGE] {
        if entries == LARGE && !options.is_long {
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
    println!("\nThe highest of {PROBES} records each:");
    println!("entries  case             memory MB  bar     verdict  flushes  bar     verdict  calls");
    for line in probes {
        println!("{line}");
    }
    println!("\n{score}");
    Ok(())
}

fn build_arena(entries: u64) -> Result<Arena> {
    let sandbox = Sandbox::new()?;
    let not_checked_out = sandbox.build_ledger("not-checked-out", entries)?;
    let checked_out = sandbox.copy_checked_out(&not_checked_out, "checked-out")?;
    let peer = sandbox.copy_checked_out(&not_checked_out, "peer")?;
    // Ours begins with the packs that we wrote, git with a repository as git likes it.
    output(sandbox.git(&peer).args(["gc", "-q"]))?;
    sandbox.settle()?;
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
    let mut command = arena.sandbox.audit(repository);
    command.arg("record").arg(file);
    command
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
        let pairs = || rounds.iter().map(|round| (round.ours(case), round.peer));
        let ours_ms = median(pairs().map(|(ours, _)| ours));
        let ratio = median(pairs().map(|(ours, peer)| ours / peer));
        let overall = overall(pairs());
        let (bar, verdict) = score.judge(ratio, Some(case.bar(entries)));
        let name = case.name();
        let times = format!("{ours_ms:>7.2}  {git_ms:>8.2}  {ratio:>6.3}  {overall:>7.3}");
        println!("{entries:>7}  {name:<15}  {times}  {bar:<7}  {verdict}");
    }
}

/// More records, under one tool and then under the other; their line of the second table.
fn probe(arena: &Arena, rounds: u64, case: Case, score: &mut Score) -> Result<String> {
    let repository = match case {
        Case::NotCheckedOut => &arena.not_checked_out,
        Case::CheckedOut => &arena.checked_out,
    };
    let first = arena.entries + WARM_UP_ROUNDS + rounds;
    let command =
        |i| Ok::<_, Box<dyn std::error::Error>>(record_command(arena, repository, &write_input(arena, i)?));
    let (mut most, mut peak) = (None::<Syncs>, None::<f64>);
    for i in first..first + PROBES {
        match syncs(&arena.sandbox, &command(i)?)? {
            Probed::Figure(found) => most = most.into_iter().chain([found]).max_by_key(Syncs::flushes),
            Probed::Skipped(reason) => eprintln!("(flushes skipped: {reason})"),
        }
        match peak_megabytes(&arena.sandbox, &command(i + PROBES)?)? {
            Probed::Figure(found) => peak = peak.into_iter().chain([found]).max_by(f64::total_cmp),
            Probed::Skipped(reason) => eprintln!("(memory skipped: {reason})"),
        }
    }
    let skipped = || ("skipped".to_owned(), "none".to_owned(), "");
    let (memory, memory_bar, memory_verdict) = peak.map_or_else(skipped, |peak| {
        let (bar, verdict) = score.judge(peak, (arena.entries == LARGE).then_some(MEMORY_BAR_MB));
        (format!("{peak:.1}"), bar, verdict)
    });
    let (flushes, bar, verdict) = most.as_ref().map_or_else(skipped, |most| {
        let flushes = u32::try_from(most.flushes()).unwrap_or(u32::MAX);
        let (bar, verdict) = score.judge(f64::from(flushes), Some(FLUSHES_BAR));
        (flushes.to_string(), bar, verdict)
    });
    let calls = most.map_or_else(String::new, |most| most.describe());
    let (entries, name) = (arena.entries, case.name());
    let memory = format!("{memory:>9}  {memory_bar:<6}  {memory_verdict:<7}");
    Ok(format!("{entries:>7}  {name:<15}  {memory}  {flushes:>7}  {bar:<6}  {verdict:<7}  {calls}"))
}
