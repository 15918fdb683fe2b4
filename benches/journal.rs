//! What a running task costs: an event, against `git rev-parse HEAD` and one `fsync` of a small file; a command under
//! `run`, against a `record`; and how ten thousand events grow.
//!
//! Contestants take turns; the clock sees whole processes. It is no test: a missed bar is printed, not failed.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench talks to whoever runs it"
)]

mod workload;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use workload::clock::wall_ms;
use workload::options::{Options, Spec};
use workload::probe::{Probed, peak_megabytes, syncs};
use workload::sandbox::{Result, Sandbox, output};
use workload::score::{Bar, Score, median, overall};

const ENTRIES: u64 = 1_000;
const WARM_UP_ROUNDS: u64 = 3;

const EVENT_BAR: Bar = Bar::AtMost(1.2);
/// What `run` may cost beside a record.
const RUN_MS: f64 = 10.0;
const RUN_BAR: Bar = Bar::AtMost(1.0);

const FEW: u64 = 1_000;
const MANY: u64 = 10_000;
/// Ten times as many may take ten times as long, and what the machine's moods add.
const GROWTH_BAR: Bar = Bar::AtMost(1.25);
const MEMORY_BAR_MB: Bar = Bar::Below(100.0);

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench journal -- [--rounds N] [--events]

  --rounds N  timed rounds (default 100)
  --events    also tasks of 1,000 and 10,000 events, each by a process of its own (about a minute)
  --help      this text",
    rounds: 100,
    long: Some("--events"),
};

struct Arena {
    sandbox: Sandbox,
    repository: PathBuf,
    /// A repository of git's, of the same size.
    peer: PathBuf,
}

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    println!(
        "Whole processes in turn, median of {} rounds; ratio = median of ours / other, round by",
        options.rounds
    );
    println!("round; overall = all rounds of ours / all of the other's.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let repository = sandbox.build_ledger("ledger", ENTRIES)?;
    let peer = sandbox.copy_checked_out(&repository, "peer")?;
    output(sandbox.git(&peer).args(["gc", "-q"]))?;
    let arena = Arena { sandbox, repository, peer };
    let mut score = Score::default();
    println!(
        "what            against                        ours ms  other ms  ratio  overall  bar     verdict"
    );
    event(&arena, options.rounds, &mut score)?;
    run_true(&arena, options.rounds, &mut score)?;
    if options.is_long {
        grow(&arena, &mut score)?;
    }
    println!("\n{score}");
    Ok(())
}

fn audit(arena: &Arena, arguments: &[&str]) -> Command {
    let mut command = arena.sandbox.audit(&arena.repository);
    command.args(arguments);
    command
}

fn event(arena: &Arena, rounds: u64, score: &mut Score) -> Result<()> {
    output(&mut audit(arena, &["start", "bench-event", "--pid", "none"]))?;
    let add = || audit(arena, &["event", "bench-event", "progress", "--message", "one more step is done"]);
    arena.sandbox.settle()?;
    let mut pairs = Vec::new();
    for round in 0..WARM_UP_ROUNDS + rounds {
        let ours = wall_ms(&mut [add()])?;
        let mut rev_parse = arena.sandbox.git(&arena.peer);
        rev_parse.args(["rev-parse", "HEAD"]);
        let other = wall_ms(&mut [rev_parse])? + small_file_ms(&arena.sandbox.path("small"))?;
        if round >= WARM_UP_ROUNDS {
            pairs.push((ours, other));
        }
    }
    row("event", "rev-parse HEAD, one fsync", &pairs, EVENT_BAR, score);
    if let Probed::Figure(found) = syncs(&arena.sandbox, &add())? {
        println!("{:<15} flushes in one event: {} ({})", "", found.flushes(), found.describe());
    }
    let expected = WARM_UP_ROUNDS + rounds + 2;
    let shown = output(&mut audit(arena, &["tasks", "bench-event", "--format", "jsonl"]))?.stdout;
    let last = format!("\"seq\":{expected}");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    if shown.contains(&last) { Ok(()) } else { Err(format!("the task lacks event {expected}").into()) }
}

/// A small file is written and made durable.
fn small_file_ms(path: &Path) -> Result<f64> {
    let start = Instant::now();
    let mut file = File::create(path)?;
    file.write_all(&[b'x'; 200])?;
    file.sync_all()?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

fn run_true(arena: &Arena, rounds: u64, score: &mut Score) -> Result<()> {
    let mut pairs = Vec::new();
    for round in 0..WARM_UP_ROUNDS + rounds {
        let task = format!("bench-run-{round}");
        let ours = wall_ms(&mut [audit(arena, &["run", "--task-id", &task, "--", "true"])])?;
        let task = format!("bench-record-{round}");
        let record =
            audit(arena, &["record", "--task-id", &task, "--status", "completed", "--title", "true"]);
        let other = wall_ms(&mut [record])? + RUN_MS;
        if round >= WARM_UP_ROUNDS {
            pairs.push((ours, other));
        }
    }
    row("run -- true", "record, 10 ms", &pairs, RUN_BAR, score);
    let expected = 1 + ENTRIES + 2 * (WARM_UP_ROUNDS + rounds);
    let commits = arena.sandbox.count_commits(&arena.repository)?;
    if commits == expected { Ok(()) } else { Err(format!("{commits} commits, not {expected}").into()) }
}

/// Tasks of many events, each added by a process of its own.
fn grow(arena: &Arena, score: &mut Score) -> Result<()> {
    println!("\nevents  ms an event  ms to finish  memory MB  bar    verdict");
    let mut found = Vec::new();
    for events in [FEW, MANY] {
        let task = format!("bench-{events}");
        output(&mut audit(arena, &["start", &task, "--pid", "none"]))?;
        let start = Instant::now();
        for _ in 0..events {
            output(&mut audit(arena, &["event", &task, "progress", "--message", "one more step is done"]))?;
        }
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let each_ms = start.elapsed().as_secs_f64() * 1000.0 / events as f64;
        let finish = audit(arena, &["finish", &task, "--status", "completed"]);
        let start = Instant::now();
        let peak = peak_megabytes(&arena.sandbox, &finish)?;
        let finish_ms = start.elapsed().as_secs_f64() * 1000.0;
        let (memory, bar, verdict) = match peak {
            Probed::Figure(peak) => {
                let (bar, verdict) = score.judge(peak, Some(MEMORY_BAR_MB));
                (format!("{peak:.1}"), bar, verdict)
            }
            Probed::Skipped(reason) => (format!("skipped: {reason}"), String::new(), ""),
        };
        println!("{events:>6}  {each_ms:>11.2}  {finish_ms:>12.1}  {memory:>9}  {bar:<5}  {verdict}");
        found.push((each_ms, finish_ms));
    }
    let [(few, few_finish), (many, many_finish)] = found[..] else { return Ok(()) };
    let growth = [("an event", many / few), ("a finish", many_finish / few_finish / 10.0)];
    println!("\nten times the events     growth  bar      verdict");
    for (what, ratio) in growth {
        let (bar, verdict) = score.judge(ratio, Some(GROWTH_BAR));
        println!("{what:<23}  {ratio:>6.3}  {bar:<7}  {verdict}");
    }
    Ok(())
}

fn row(what: &str, against: &str, pairs: &[(f64, f64)], bar: Bar, score: &mut Score) {
    let ours = median(pairs.iter().map(|(ours, _)| *ours));
    let other = median(pairs.iter().map(|(_, other)| *other));
    let ratio = median(pairs.iter().map(|(ours, other)| ours / other));
    let overall = overall(pairs.iter().copied());
    let (bar, verdict) = score.judge(ratio, Some(bar));
    println!(
        "{what:<15} {against:<30} {ours:>7.2}  {other:>8.2}  {ratio:>5.3}  {overall:>7.3}  {bar:<6}  {verdict}"
    );
}
