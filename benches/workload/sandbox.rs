//! Temporary repositories, and the one environment in which both sides of a comparison run.
//!
//! Everything lies in one temporary directory that goes with the [`Sandbox`]. No configuration of the user's or of
//! the machine's is read.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use tempfile::TempDir;

use super::{BRANCH, json_lines, sealed};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_git-audit");

/// Stock settings: `git commit` looks after each commit whether maintenance is due, and that is part of its price. It
/// never is due here: that takes 6,700 loose objects.
const GIT_CONFIG: &str = "[user]\n\tname = Bench\n\temail = bench@example.com\n";

pub(crate) struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("git-audit-bench-").tempdir()?;
        let home = root.path().join("home");
        fs::create_dir(&home)?;
        fs::write(home.join(".gitconfig"), GIT_CONFIG)?;
        Ok(Self { root })
    }

    /// Where `name` lies, or would lie, in the sandbox.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A command in the sandbox's environment: its own HOME, and PATH the only variable taken over.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.path("home"))
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// `git -C <repository>`, arguments to be added.
    pub(crate) fn git(&self, repository: &Path) -> Command {
        let mut command = self.command("git");
        command.arg("-C").arg(repository);
        command
    }

    /// `git-audit -C <repository>`, arguments to be added.
    pub(crate) fn audit(&self, repository: &Path) -> Command {
        let mut command = self.command(BINARY);
        command.arg("-C").arg(repository);
        command
    }

    /// What a reader of the figures must know of where they come from.
    #[allow(clippy::print_stdout, reason = "a bench talks to whoever runs it")]
    pub(crate) fn print_machine(&self) -> Result<()> {
        let version = output(self.command("git").arg("--version"))?.stdout;
        let file_system = output(self.command("stat").args(["-f", "-c", "%T", "."]));
        let file_system = file_system.map_or_else(|_| b"unknown".to_vec(), |known| known.stdout);
        println!(
            "{}, {} cores, file system {}, {}",
            String::from_utf8_lossy(&version).trim(),
            std::thread::available_parallelism()?,
            String::from_utf8_lossy(&file_system).trim(),
            std::env::temp_dir().display()
        );
        if cfg!(debug_assertions) {
            println!("WARNING: a debug build; its ratios mean nothing. Use `cargo bench`.");
        }
        println!();
        Ok(())
    }

    /// An empty bare repository whose branch will be the ledger's.
    pub(crate) fn bare(&self, name: &str) -> Result<PathBuf> {
        let repository = self.path(name);
        let init = ["init", "-q", "--bare", "-b", BRANCH];
        output(self.command("git").args(init).arg(&repository))?;
        Ok(repository)
    }

    /// A repository with `main` and a little code checked out, and beside it a ledger of the first `n` tasks: made by
    /// `git audit import`, and in the packs that it leaves.
    pub(crate) fn build_ledger(&self, name: &str, n: u64) -> Result<PathBuf> {
        let repository = self.path(name);
        let init = ["init", "-q", "-b", "main"];
        output(self.command("git").args(init).arg(&repository))?;
        fs::write(repository.join("main.c"), "int main(void) { return 0; }\n")?;
        output(self.git(&repository).args(["add", "main.c"]))?;
        output(self.git(&repository).args(["commit", "-q", "-m", "code"]))?;
        let mut import = self.audit(&repository);
        feed(import.args(["import", "--init", "-"]), |out| json_lines(0..n, out))?;
        let last = sealed(n - 1);
        let mut show = self.git(&repository);
        let stored = output(show.args(["cat-file", "blob", &format!("{BRANCH}:{}", last.path)]))?.stdout;
        if stored != last.bytes || self.count_commits(&repository)? != n + 1 {
            return Err(format!("{}: not the ledger that it should be", repository.display()).into());
        }
        Ok(repository)
    }

    /// An identical repository, object for object, but with the ledger's branch checked out.
    pub(crate) fn copy_checked_out(&self, from: &Path, name: &str) -> Result<PathBuf> {
        let repository = self.path(name);
        output(self.command("cp").arg("-a").arg(from).arg(&repository))?;
        output(self.git(&repository).args(["checkout", "-q", BRANCH]))?;
        Ok(repository)
    }

    /// The number of commits on the ledger's branch.
    pub(crate) fn count_commits(&self, repository: &Path) -> Result<u64> {
        self.count(repository, &["--count"])
    }

    /// The number of objects that the ledger consists of; an error if one of them is missing.
    pub(crate) fn count_objects(&self, repository: &Path) -> Result<u64> {
        self.count(repository, &["--count", "--objects"])
    }

    fn count(&self, repository: &Path, options: &[&str]) -> Result<u64> {
        let mut count = self.git(repository);
        let counted = output(count.arg("rev-list").args(options).args([BRANCH, "--"]))?;
        Ok(String::from_utf8(counted.stdout)?.trim().parse()?)
    }

    /// A new file in the sandbox.
    pub(crate) fn write_file(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<PathBuf> {
        let path = self.path(name);
        let mut file = BufWriter::new(File::create(&path)?);
        write(&mut file)?;
        file.flush()?;
        Ok(path)
    }

    /// What was written so far must not be written out while the clock runs.
    pub(crate) fn settle(&self) -> Result<()> {
        output(&mut self.command("sync"))?;
        Ok(())
    }
}

/// Runs a command to its end; an error, with what it said, unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let result = command.output().map_err(|error| format!("{}: {error}", name(command)))?;
    check(&name(command), &result)?;
    Ok(result)
}

/// The same, with something to read.
pub(crate) fn feed(
    command: &mut Command,
    write: impl FnOnce(&mut BufWriter<ChildStdin>) -> io::Result<()>,
) -> Result<()> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn()?;
    let written = write_all(&mut child, write);
    // First what the command says: when it gives up, our own error is no more than a broken pipe.
    check(&name(command), &child.wait_with_output()?)?;
    Ok(written?)
}

/// Closes the pipe in the end, which is how the command learns that it is over.
fn write_all(
    child: &mut Child,
    write: impl FnOnce(&mut BufWriter<ChildStdin>) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = BufWriter::new(child.stdin.take().expect("stdin is piped"));
    write(&mut stream)?;
    stream.flush()
}

/// Program and arguments as typed; `Debug` would put the whole environment before them.
fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

fn check(what: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{what}: {}\n{}", output.status, said.trim_end()).into())
}
