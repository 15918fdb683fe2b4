//! What many writers record together, as a ratio to what one of them records alone in the same run.
//!
//! A writer is a process that runs one `git-audit record` after the other. It is this same binary: a shell would cost
//! more than the harness may. It is no test: a missed bar is printed, not failed.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench talks to whoever runs it"
)]

mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use workload::options::{Options, Spec};
use workload::sandbox::{BINARY, Result, Sandbox, output};
use workload::score::{Bar, Score, median};
use workload::{BRANCH, entry};

const WRITERS: u64 = 16;
const RECORDS_EACH: u64 = 50;

/// What the ledger holds before.
const ENTRIES: u64 = 1_000;

const WARM_UP_ROUNDS: u64 = 1;

const RATE_BAR: Bar = Bar::AtLeast(2.0);

/// The first argument of a writer.
const WORKER: &str = "--worker";

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench writers -- [--rounds N]

  --rounds N  timed rounds (default 7)
  --help      this text",
    rounds: 7,
    long: None,
};

/// What some writers did in one go.
struct Run {
    records_per_second: f64,
    /// How often the branch moved.
    moves: u64,
}

struct Arena {
    sandbox: Sandbox,
    repository: PathBuf,
    /// One file for each task, named after its number.
    inputs: PathBuf,
    next: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [WORKER, repository, inputs, first, count] => match work(repository, inputs, first, count) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("writer: {error}");
                ExitCode::FAILURE
            }
        },
        _ => workload::options::main(&SPEC, run),
    }
}

/// A writer: waits for the start, which is the end of its standard input; then records, one process each.
fn work(repository: &str, inputs: &str, first: &str, count: &str) -> Result<()> {
    let (first, count): (u64, u64) = (first.parse()?, count.parse()?);
    io::stdin().read_to_end(&mut Vec::new())?;
    for i in first..first + count {
        let mut record = Command::new(BINARY);
        record.arg("-C").arg(repository).arg("record").arg(Path::new(inputs).join(i.to_string()));
        output(&mut record)?;
    }
    Ok(())
}

fn run(options: &Options) -> Result<()> {
    let rounds = options.rounds;
    println!(
        "{WRITERS} writers of {RECORDS_EACH} durable records each, against one of them alone, into one ledger that is"
    );
    println!(
        "not checked out: each record its own process, in turn, median of {rounds} rounds; ratio = of the"
    );
    println!("rates, median round by round; per move = entries for each time that the branch moved.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let repository = sandbox.build_ledger("ledger", ENTRIES)?;
    let inputs = sandbox.path("inputs");
    fs::create_dir(&inputs)?;
    let mut arena = Arena { sandbox, repository, inputs, next: ENTRIES };
    let mut timed = Vec::new();
    for round in 0..WARM_UP_ROUNDS + rounds {
        // Whoever comes second may find what the first left: they change places.
        let pair = if round.is_multiple_of(2) {
            let alone = arena.run(1)?;
            (alone, arena.run(WRITERS)?)
        } else {
            let together = arena.run(WRITERS)?;
            (arena.run(1)?, together)
        };
        if round >= WARM_UP_ROUNDS {
            timed.push(pair);
        }
    }
    check_work(&arena)?;

    let mut score = Score::default();
    let ratio =
        median(timed.iter().map(|(alone, together)| together.records_per_second / alone.records_per_second));
    let (bar, verdict) = score.judge(ratio, Some(RATE_BAR));
    println!("writers  records/s  per move   ratio  bar   verdict");
    print_row(1, timed.iter().map(|(alone, _)| alone), String::new());
    print_row(
        WRITERS,
        timed.iter().map(|(_, together)| together),
        format!("{ratio:>6.2}  {bar:<4}  {verdict}"),
    );
    println!("\n{} tasks were recorded, and each is there exactly once.", arena.next - ENTRIES);
    println!("\n{score}");
    Ok(())
}

fn print_row<'r>(writers: u64, runs: impl Iterator<Item = &'r Run> + Clone, rest: String) {
    let rate = median(runs.clone().map(|run| run.records_per_second));
    let records = writers * RECORDS_EACH;
    #[allow(clippy::cast_precision_loss, reason = "a table shows one decimal")]
    let per_move = median(runs.map(|run| records as f64 / run.moves.max(1) as f64));
    let line = format!("{writers:>7}  {rate:>9.1}  {per_move:>8.1}  {rest}");
    println!("{}", line.trim_end());
}

impl Arena {
    /// The wall time from the start signal until the last writer has ended.
    fn run(&mut self, writers: u64) -> Result<Run> {
        let tasks = self.next..self.next + writers * RECORDS_EACH;
        self.next = tasks.end;
        for i in tasks.clone() {
            fs::write(self.inputs.join(i.to_string()), serde_json::to_vec_pretty(&entry(i))?)?;
        }
        // Both begin with a ledger in order, and nothing to be written out.
        output(self.sandbox.audit(&self.repository).arg("flush"))?;
        self.sandbox.settle()?;
        let moves_before = self.count_moves()?;
        let mut children = self.spawn(tasks)?;
        let start = Instant::now();
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        let statuses: Vec<_> = children.iter_mut().map(Child::wait).collect::<io::Result<_>>()?;
        let seconds = start.elapsed().as_secs_f64();
        if !statuses.iter().all(std::process::ExitStatus::success) {
            return Err("a writer failed".into());
        }
        let records = u32::try_from(writers * RECORDS_EACH)?;
        Ok(Run {
            records_per_second: f64::from(records) / seconds,
            moves: self.count_moves()? - moves_before,
        })
    }

    fn spawn(&self, tasks: Range<u64>) -> Result<Vec<Child>> {
        let me = std::env::current_exe()?;
        let firsts = tasks.step_by(usize::try_from(RECORDS_EACH)?);
        let children = firsts.map(|first| {
            let mut worker = self.sandbox.command(&me);
            worker.arg(WORKER).arg(&self.repository).arg(&self.inputs);
            worker.args([first.to_string(), RECORDS_EACH.to_string()]);
            worker.stdin(Stdio::piped()).spawn()
        });
        Ok(children.collect::<io::Result<_>>()?)
    }

    /// How often the branch has moved, by git's own log of that.
    fn count_moves(&self) -> Result<u64> {
        let mut log = self.sandbox.git(&self.repository);
        let moves = output(log.args(["rev-list", "--count", "--walk-reflogs", BRANCH, "--"]))?.stdout;
        Ok(String::from_utf8(moves)?.trim().parse()?)
    }
}

/// Every task is in the history by one commit, and in the tree by one file; nothing else is.
fn check_work(arena: &Arena) -> Result<()> {
    let tasks = (0..arena.next).map(entry);
    let expected: BTreeSet<String> =
        tasks.map(|task| task["task_id"].as_str().expect("every task has an id").to_owned()).collect();
    let lines = |arguments: &[&str]| -> Result<String> {
        Ok(String::from_utf8(output(arena.sandbox.git(&arena.repository).args(arguments))?.stdout)?)
    };
    let subjects = lines(&["log", "--format=%s", BRANCH])?;
    let committed = subjects.lines().filter_map(|line| line.strip_prefix("audit: task ")?.split(' ').next());
    let files = lines(&["ls-tree", "-r", "--name-only", BRANCH, ".audit/tasks", ".audit/shards"])?;
    let stored = files.lines().filter_map(|path| path.rsplit('/').next()?.strip_suffix(".json"));
    once_each("commit", committed, &expected)?;
    once_each("file", stored, &expected)
}

fn once_each<'i>(what: &str, ids: impl Iterator<Item = &'i str>, expected: &BTreeSet<String>) -> Result<()> {
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    ids.for_each(|id| *counted.entry(id).or_default() += 1);
    if let Some((id, count)) = counted.iter().find(|(id, count)| **count != 1 || !expected.contains(**id)) {
        return Err(format!("{id}: {count} times by a {what}, which is not what was recorded").into());
    }
    match expected.iter().find(|id| !counted.contains_key(id.as_str())) {
        Some(id) => Err(format!("{id} was recorded, and there is no {what} of it").into()),
        None => Ok(()),
    }
}
