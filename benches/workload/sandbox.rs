//! Temporary repositories, and the one environment in which both sides of a comparison run.
//!
//! Everything lies in one temporary directory that goes with the [`Sandbox`]. No configuration of the user's or of
//! the machine's is read.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::{BRANCH, fast_import};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

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

    /// A repository with a ledger of `n` entries, pinned, and `main` with a little code checked out beside it.
    pub(crate) fn build_ledger(&self, name: &str, n: u64) -> Result<PathBuf> {
        let repository = self.path(name);
        let init = ["init", "-q", "-b", "main"];
        output(self.command("git").args(init).arg(&repository))?;
        fs::write(repository.join("main.c"), "int main(void) { return 0; }\n")?;
        output(self.git(&repository).args(["add", "main.c"]))?;
        output(self.git(&repository).args(["commit", "-q", "-m", "code"]))?;
        output(self.git(&repository).args(["config", "audit.branch", BRANCH]))?;
        self.import(&repository, n)?;
        // As `git gc` leaves a repository: fast-import's own pack has long delta chains that no ledger gets.
        output(self.git(&repository).args(["repack", "-a", "-d", "-f", "-q"]))?;
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
        let mut count = self.git(repository);
        let counted = output(count.args(["rev-list", "--count", BRANCH, "--"]))?;
        Ok(String::from_utf8(counted.stdout)?.trim().parse()?)
    }

    fn import(&self, repository: &Path, n: u64) -> Result<()> {
        let mut git = self.git(repository);
        git.args(["fast-import", "--quiet"]);
        let mut child = git.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let written = feed(&mut child, n);
        // First what git says: when it gives up, our own error is no more than a broken pipe.
        check("git fast-import", &child.wait_with_output()?)?;
        Ok(written?)
    }
}

/// Runs a command to its end; an error, with what it said, unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let result = command.output().map_err(|error| format!("{}: {error}", name(command)))?;
    check(&name(command), &result)?;
    Ok(result)
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

/// Writes the stream and closes the pipe, which is how fast-import learns that it is over.
fn feed(child: &mut Child, n: u64) -> io::Result<()> {
    let mut stream = BufWriter::new(child.stdin.take().expect("stdin is piped"));
    fast_import(n, &mut stream)?;
    stream.flush()
}
