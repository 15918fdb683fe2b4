//! What it costs to verify a ledger, to prove an entry of it, and to guard it against a push: against `git fsck --full`.
//!
//! Both read the same repository, every object of it. It is no test: a missed bar is printed, not failed.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a bench talks to whoever runs it")]

mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use workload::clock::wall_ms;
use workload::options::{Options, Spec};
use workload::probe::{Probed, peak_megabytes};
use workload::sandbox::{BINARY, Result, Sandbox, feed, output};
use workload::score::{Bar, Score, median, overall};
use workload::{BRANCH, json_lines, sealed};

const ENTRIES: u64 = 100_000;
const MORE: u64 = 100;
/// The place, in time, of the task that is proven.
const PROVEN: u64 = 61_803;

const FSCK_BAR: Bar = Bar::AtMost(0.5);
const SINCE_BAR: Bar = Bar::AtMost(0.02);
const SECOND_BAR: Bar = Bar::AtMost(1.0);
const MEMORY_BAR_MB: Bar = Bar::Below(300.0);
const PROOF_BAR_BYTES: Bar = Bar::Below(4096.0);

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench verify -- [--rounds N]

  --rounds N  timed rounds (default 5)
  --help      this text",
    rounds: 5,
    long: None,
};

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    let rounds = options.rounds;
    println!("Verifying a ledger of {ENTRIES} entries: whole processes, in turn, median of {rounds} rounds;");
    println!("ratio = median of ours / theirs, round by round; overall = all rounds together.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let mut bench = Bench::new(sandbox)?;
    println!(
        "{:36} {:>9}  {:24} {:>9} {:>7} {:>8}  {:8} verdict",
        "work", "ours ms", "against", "ms", "ratio", "overall", "bar"
    );
    bench.full(rounds)?;
    bench.since_pin(rounds)?;
    bench.prove(rounds)?;
    bench.push(rounds)?;
    println!("\n{}", bench.score);
    Ok(())
}

struct Bench {
    sandbox: Sandbox,
    /// The ledger beside code, not checked out.
    ledger: PathBuf,
    score: Score,
}

impl Bench {
    fn new(sandbox: Sandbox) -> Result<Self> {
        eprintln!("({ENTRIES} entries: building the ledger)");
        let ledger = sandbox.build_ledger("ledger", ENTRIES)?;
        sandbox.settle()?;
        Ok(Self { sandbox, ledger, score: Score::default() })
    }

    /// Everything, against everything.
    fn full(&mut self, rounds: u64) -> Result<()> {
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            self.forget()?;
            let ours = wall_ms(&mut [self.verify(&[])])?;
            let mut fsck = self.sandbox.git(&self.ledger);
            fsck.args(["fsck", "--full", "--no-progress"]);
            pairs.push((ours, wall_ms(&mut [fsck])?));
        }
        self.row("verify", "git fsck --full", Some(FSCK_BAR), &pairs);
        self.forget()?;
        match peak_megabytes(&self.sandbox, &self.verify(&[]))? {
            Probed::Figure(megabytes) => self.figure("its memory, MB", megabytes, MEMORY_BAR_MB),
            Probed::Skipped(why) => println!("its memory: skipped, {why}"),
        }
        Ok(())
    }

    /// What came since, against everything.
    fn since_pin(&mut self, rounds: u64) -> Result<()> {
        output(&mut self.verify(&[]))?;
        let pinned = self.sandbox.path("pinned");
        copy_all(&self.memory(), &pinned)?;
        self.import(&self.ledger.clone(), ENTRIES..ENTRIES + MORE)?;
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            self.forget()?;
            let full = wall_ms(&mut [self.verify(&[])])?;
            self.forget()?;
            copy_all(&pinned, &self.memory())?;
            pairs.push((wall_ms(&mut [self.verify(&["--since", "pin"])])?, full));
        }
        self.row(&format!("verify --since pin, {MORE} entries"), "verify", Some(SINCE_BAR), &pairs);
        Ok(())
    }

    /// With what was verified here before, and without.
    fn prove(&mut self, rounds: u64) -> Result<()> {
        let Ok(key) = self.key() else {
            println!("prove: skipped, no ssh-keygen");
            return Ok(());
        };
        output(self.sandbox.audit(&self.ledger).args(["checkpoint", "--sign"]).arg(&key))?;
        let task = sealed(PROVEN);
        let task_id = Path::new(&task.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = self.sandbox.path("task.proof");
        let mut prove = self.sandbox.audit(&self.ledger);
        prove.args(["prove", &task_id, "--output"]).arg(&file);
        let mut seconds = Vec::new();
        for _ in 0..rounds {
            seconds.push(wall_ms(std::slice::from_mut(&mut prove))? / 1000.0);
        }
        self.figure("prove, s", median(seconds.into_iter()), SECOND_BAR);
        let overhead = fs::metadata(&file)?.len().saturating_sub(task.bytes.len() as u64);
        self.figure("the proof without the entry, bytes", overhead as f64, PROOF_BAR_BYTES);
        let mut seconds = Vec::new();
        for _ in 0..rounds {
            self.forget()?;
            seconds.push(wall_ms(std::slice::from_mut(&mut prove))? / 1000.0);
        }
        let seconds = median(seconds.into_iter());
        println!("{:36} {seconds:>9.2}  (it verifies the ledger first)", "prove, nothing verified before, s");
        Ok(())
    }

    /// A push of entries to a server that guards its ledger.
    fn push(&mut self, rounds: u64) -> Result<()> {
        let server = self.sandbox.path("server.git");
        output(self.sandbox.command("git").args(["clone", "-q", "--bare"]).args([&self.ledger, &server]))?;
        let name = format!("refs/heads/{BRANCH}");
        let old = text(output(self.sandbox.git(&server).args(["rev-parse", &name]))?.stdout)?;
        self.import(&self.ledger.clone(), ENTRIES + MORE..ENTRIES + 2 * MORE)?;
        let back = |sandbox: &Sandbox| {
            output(sandbox.git(&server).args(["update-ref", &name, old.trim()])).map(drop)
        };
        let push = |sandbox: &Sandbox| {
            let mut push = sandbox.git(&self.ledger);
            push.args(["push", "-q"]).arg(format!("file://{}", server.display())).arg(BRANCH);
            push
        };
        let mut plain = Vec::new();
        for _ in 0..rounds {
            plain.push(wall_ms(&mut [push(&self.sandbox)])?);
            back(&self.sandbox)?;
        }
        output(self.sandbox.audit(&server).args(["hook", "install", "pre-receive"]))?;
        // The hook looks for the program in PATH, where the one under test need not be.
        let hook = server.join("hooks/pre-receive");
        fs::write(&hook, format!("#!/bin/sh\nexec '{BINARY}' hook pre-receive\n"))?;
        let mut pairs = Vec::new();
        for plain in plain {
            pairs.push((wall_ms(&mut [push(&self.sandbox)])?, plain));
            back(&self.sandbox)?;
        }
        self.row(&format!("git push of {MORE}, guarded"), "the same, not guarded", None, &pairs);
        let guard = median(pairs.iter().map(|(guarded, plain)| (guarded - plain) / 1000.0));
        self.figure("the guard, s", guard, SECOND_BAR);
        Ok(())
    }

    fn verify(&self, arguments: &[&str]) -> Command {
        let mut verify = self.sandbox.audit(&self.ledger);
        verify.arg("verify").args(arguments);
        verify
    }

    fn import(&self, ledger: &Path, tasks: std::ops::Range<u64>) -> Result<()> {
        feed(self.sandbox.audit(ledger).args(["import", "-"]), |out| json_lines(tasks, out)).map(drop)
    }

    fn key(&self) -> Result<PathBuf> {
        let key = self.sandbox.path("key");
        let mut keygen = self.sandbox.command("ssh-keygen");
        output(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        Ok(key)
    }

    /// What the clone has verified.
    fn memory(&self) -> PathBuf {
        self.ledger.join(".git/git-audit/verified")
    }

    fn forget(&self) -> Result<()> {
        let memory = self.memory();
        if memory.exists() {
            fs::remove_dir_all(memory)?;
        }
        Ok(())
    }

    fn row(&mut self, work: &str, against: &str, bar: Option<Bar>, pairs: &[(f64, f64)]) {
        let (ours, theirs) =
            (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)));
        let ratio = median(pairs.iter().map(|(ours, theirs)| ours / theirs));
        let overall = overall(pairs.iter().copied());
        let (bar, verdict) = self.score.judge(ratio, bar);
        println!(
            "{work:36} {ours:>9.0}  {against:24} {theirs:>9.0} {ratio:>7.3} {overall:>8.3}  {bar:8} {verdict}"
        );
    }

    fn figure(&mut self, what: &str, value: f64, bar: Bar) {
        let (bar, verdict) = self.score.judge(value, Some(bar));
        println!("{what:36} {value:>9.2}  {:62}  {bar:8} {verdict}", "");
    }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    Ok(String::from_utf8(bytes)?)
}

/// The files of a directory that has no others in it.
fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
