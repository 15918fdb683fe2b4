//! What `git-audit import` costs in time, memory and space, against `git fast-import` of the same commits.
//!
//! Both begin with an empty bare repository and a file, take turns, and must end at the same commit id. It is no test:
//! a missed bar is printed, not failed.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a bench talks to whoever runs it")]

mod workload;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use workload::clock::wall_ms;
use workload::options::{Options, Spec};
use workload::probe::{Probed, peak_megabytes};
use workload::sandbox::{Result, Sandbox, output};
use workload::score::{Bar, Score, median};
use workload::{BRANCH, NOW, entry, fast_import, json_lines};

const ENTRIES: u64 = 20_000;
const LARGE: u64 = 100_000;

/// Recorded one by one, for the last table.
const SINGLE_RECORDS: u64 = 2_000;

const THROUGHPUT_BAR: Bar = Bar::AtLeast(1.0);
/// For 100,000 entries.
const MEMORY_BAR_MB: Bar = Bar::Below(300.0);
/// 1.0 KB is taken as 1,000 bytes, not as 1,024.
const BYTES_PER_ENTRY_BAR: Bar = Bar::AtMost(1000.0);

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench import -- [--rounds N] [--large]

  --rounds N  timed rounds (default 5)
  --large     100,000 entries in place of 20,000 (minutes, about 1 GB in the temporary directory)
  --help      this text",
    rounds: 5,
    long: Some("--large"),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Git,
}

/// The same entries, for either side.
struct Arena {
    sandbox: Sandbox,
    entries: u64,
    json_lines: PathBuf,
    fast_import: PathBuf,
    /// The first of them.
    single_fast_import: PathBuf,
}

/// What an import left.
struct Imported {
    seconds: f64,
    tip: String,
    objects: u64,
    /// In `objects/`: packs and indexes.
    bytes: u64,
}

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    let entries = if options.is_long { LARGE } else { ENTRIES };
    println!(
        "`git-audit import` of {entries} entries into a new bare repository, against `git fast-import` of"
    );
    println!(
        "the same commits: whole processes, in turn, median of {} rounds; throughput = median of",
        options.rounds
    );
    println!("git's time / ours, round by round. Ours is durable in the end, git's is not.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let arena = Arena::new(sandbox, entries)?;
    let rounds = (0..options.rounds).map(|round| arena.play(round)).collect::<Result<Vec<_>>>()?;

    let mut score = Score::default();
    let ours = median(rounds.iter().map(|(ours, _)| ours.seconds));
    let git = median(rounds.iter().map(|(_, git)| git.seconds));
    let throughput = median(rounds.iter().map(|(ours, git)| git.seconds / ours.seconds));
    let (bar, verdict) = score.judge(throughput, Some(THROUGHPUT_BAR));
    println!("entries  ours s   git s  throughput  bar   verdict");
    println!("{entries:>7}  {ours:>6.2}  {git:>6.2}  {throughput:>10.2}  {bar:<4}  {verdict}");
    print_memory(&arena, &mut score)?;
    if let Some((ours, git)) = rounds.last() {
        print_space(ours, git, &arena, &mut score);
    }
    print_single_records(&arena)?;
    println!("\n{score}");
    Ok(())
}

impl Arena {
    fn new(sandbox: Sandbox, entries: u64) -> Result<Self> {
        eprintln!("(writing the input)");
        // The first commit is taken from a ledger, so that both sides can end in the same one.
        let template = sandbox.bare("template.git")?;
        output(sandbox.audit(&template).env("GIT_AUDIT_TEST_NOW", NOW).arg("init"))?;
        let beginning = output(sandbox.git(&template).args(["fast-export", BRANCH]))?.stdout;
        let json_lines = sandbox.write_file("entries.jsonl", |out| json_lines(0..entries, out))?;
        let stream = |count: u64, name: &str| {
            sandbox
                .write_file(name, |out| out.write_all(&beginning).and_then(|()| fast_import(0..count, out)))
        };
        let fast_import = stream(entries, "entries.fast-import")?;
        let single_fast_import = stream(SINGLE_RECORDS, "single.fast-import")?;
        Ok(Self { sandbox, entries, json_lines, fast_import, single_fast_import })
    }

    /// The command of one side, into an empty repository.
    fn command(&self, side: Side, repository: &Path) -> Command {
        match side {
            Side::Ours => {
                let mut import = self.sandbox.audit(repository);
                import.env("GIT_AUDIT_TEST_NOW", NOW);
                import.args(["import", "--init", "--at-recorded-time"]).arg(&self.json_lines);
                import
            }
            Side::Git => self.fast_import(&self.fast_import, repository),
        }
    }

    /// By way of a shell, which opens the file and then is git.
    fn fast_import(&self, stream: &Path, repository: &Path) -> Command {
        let mut import = self.sandbox.command("sh");
        import.args(["-c", r#"exec git -C "$1" fast-import --quiet < "$2""#, "sh"]);
        import.arg(repository).arg(stream);
        import
    }

    /// One round; they change places from round to round.
    fn play(&self, round: u64) -> Result<(Imported, Imported)> {
        let (ours, git) = if round.is_multiple_of(2) {
            let ours = self.import(Side::Ours)?;
            (ours, self.import(Side::Git)?)
        } else {
            let git = self.import(Side::Git)?;
            (self.import(Side::Ours)?, git)
        };
        // The tip says what must be there, the number of objects that it is.
        if (&ours.tip, ours.objects) != (&git.tip, git.objects) {
            let both = [&ours, &git].map(|side| format!("{} with {} objects", side.tip, side.objects));
            return Err(format!("ours ends in {}, git's in {}: not the same work", both[0], both[1]).into());
        }
        Ok((ours, git))
    }

    fn import(&self, side: Side) -> Result<Imported> {
        let repository = self.sandbox.bare("import.git")?;
        self.sandbox.settle()?;
        let ms = wall_ms(&mut [self.command(side, &repository)])?;
        let tip = output(self.sandbox.git(&repository).args(["rev-parse", BRANCH]))?.stdout;
        let tip = String::from_utf8(tip)?.trim().to_owned();
        let objects = self.sandbox.count_objects(&repository)?;
        let bytes = bytes_in(&repository.join("objects"))?;
        fs::remove_dir_all(&repository)?;
        Ok(Imported { seconds: ms / 1000.0, tip, objects, bytes })
    }
}

/// The bytes of all files, at any depth.
fn bytes_in(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for item in fs::read_dir(directory)? {
        let item = item?;
        let is_directory = item.file_type()?.is_dir();
        bytes += if is_directory { bytes_in(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(bytes)
}

fn print_memory(arena: &Arena, score: &mut Score) -> Result<()> {
    println!("\nside  memory MB  bar    verdict");
    for (side, name) in [(Side::Ours, "ours"), (Side::Git, "git")] {
        let repository = arena.sandbox.bare("memory.git")?;
        match peak_megabytes(&arena.sandbox, &arena.command(side, &repository))? {
            Probed::Figure(megabytes) => {
                let is_judged = side == Side::Ours && arena.entries == LARGE;
                let (bar, verdict) = score.judge(megabytes, is_judged.then_some(MEMORY_BAR_MB));
                println!("{}", format!("{name:<4}  {megabytes:>9.1}  {bar:<5}  {verdict}").trim_end());
            }
            Probed::Skipped(reason) => println!("{name:<4}  skipped: {reason}"),
        }
        fs::remove_dir_all(&repository)?;
    }
    Ok(())
}

fn print_space(ours: &Imported, git: &Imported, arena: &Arena, score: &mut Score) {
    println!("\nside       bytes  per entry  bar      verdict");
    for (side, name, imported) in [(Side::Ours, "ours", ours), (Side::Git, "git", git)] {
        let per_entry = per_entry(imported.bytes, arena.entries);
        let is_judged = side == Side::Ours && arena.entries == LARGE;
        let (bar, verdict) = score.judge(per_entry, is_judged.then_some(BYTES_PER_ENTRY_BAR));
        let bytes = imported.bytes;
        println!("{}", format!("{name:<4}  {bytes:>10}  {per_entry:>9.1}  {bar:<7}  {verdict}").trim_end());
    }
}

/// What single records take, before and after they are packed.
fn print_single_records(arena: &Arena) -> Result<()> {
    eprintln!("({SINGLE_RECORDS} single records)");
    let repository = arena.sandbox.bare("single.git")?;
    output(arena.sandbox.audit(&repository).arg("init"))?;
    let file = arena.sandbox.path("entry.json");
    for i in 0..SINGLE_RECORDS {
        fs::write(&file, serde_json::to_vec_pretty(&entry(i))?)?;
        output(arena.sandbox.audit(&repository).arg("record").arg(&file))?;
    }
    let before = bytes_in(&repository.join("objects"))?;
    output(arena.sandbox.audit(&repository).arg("flush"))?;
    let after = bytes_in(&repository.join("objects"))?;
    let objects = arena.sandbox.count_objects(&repository)?;
    let peer = arena.sandbox.bare("single-peer.git")?;
    output(&mut arena.fast_import(&arena.single_fast_import, &peer))?;
    if objects != arena.sandbox.count_objects(&peer)? {
        return Err(
            format!("{objects} objects after {SINGLE_RECORDS} records are not what they should be").into()
        );
    }
    let fast_import = bytes_in(&peer.join("objects"))?;
    println!("\n{SINGLE_RECORDS} single records, bytes per entry");
    for (name, bytes) in
        [("as recorded", before), ("after `git audit flush`", after), ("git fast-import", fast_import)]
    {
        println!("{name:<23}  {:>7.1}", per_entry(bytes, SINGLE_RECORDS));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a table shows one decimal")]
fn per_entry(bytes: u64, entries: u64) -> f64 {
    bytes as f64 / entries as f64
}
