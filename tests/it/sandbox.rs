//! A world of its own for each test: its own HOME, a cleared environment, a clock that stands still.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The time of everything, unless a test says otherwise.
pub const NOW: &str = "2026-11-20T12:00:00Z";
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

pub struct Sandbox {
    root: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Fails the test unless the command exited with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// Fails the test unless standard error has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in: {}", self.stderr);
        self
    }
}

impl Sandbox {
    /// A world with an empty folder `repo`, which is no repository yet.
    pub fn empty() -> Self {
        let sandbox = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["home", "repo"] {
            fs::create_dir(sandbox.root.path().join(folder)).unwrap();
        }
        sandbox
    }

    /// A world with an empty git repository, on branch `main`.
    pub fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
        sandbox
    }

    /// A world with a ledger in an otherwise empty repository: its branch, `main`, is checked out.
    pub fn with_ledger() -> Self {
        let sandbox = Self::new();
        sandbox.audit(&["init"]).exits(0);
        sandbox
    }

    /// A world with a repository that holds code on `main`; the ledger is on its own branch, `audit`.
    pub fn beside_code() -> Self {
        let sandbox = Self::with_code();
        sandbox.audit(&["init"]).exits(0);
        sandbox
    }

    /// A world with a ledger beside the code, on `main`, which is checked out.
    pub fn on_main() -> Self {
        let sandbox = Self::with_code();
        sandbox.audit(&["init", "--branch", "main"]).exits(0);
        sandbox
    }

    /// A world with a repository that holds code on `main`, without a ledger.
    pub fn with_code() -> Self {
        let sandbox = Self::new();
        sandbox.write("src/main.c", "int main(void) { return 0; }\n");
        sandbox.write("README", "a program\n");
        sandbox.git(&["add", "."]);
        sandbox.commit("code");
        sandbox
    }

    /// Runs git as a person with a name, which must succeed.
    #[track_caller]
    pub fn git_as_user(&self, arguments: &[&str]) -> String {
        self.git(&Self::as_user(arguments))
    }

    /// The arguments that give git a person's name for one command.
    pub fn as_user<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["-c", "user.name=Dev", "-c", "user.email=dev@example.com"], arguments].concat()
    }

    /// Starts a command, to be waited for or killed.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.audit_command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Holds the writers' lock, as another writer would.
    pub fn hold_lock(&self) -> fs::File {
        let lock = fs::File::options().write(true).open(self.path(".git/git-audit/lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    #[track_caller]
    pub fn commit(&self, message: &str) {
        self.git_as_user(&["commit", "--quiet", "-m", message]);
    }

    /// Takes every pack apart into loose objects, as git keeps what it writes itself.
    pub fn unpack(&self) {
        let packs = self.path(".git/objects/pack");
        let aside = self.root().join("packs");
        fs::rename(&packs, &aside).unwrap();
        fs::create_dir(&packs).unwrap();
        for file in fs::read_dir(&aside).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "pack") {
                let input = fs::File::open(&file).unwrap();
                let mut unpack = self.command("git");
                assert!(unpack.args(["unpack-objects", "-q"]).stdin(input).status().unwrap().success());
            }
        }
    }

    /// The file of a loose object, or where it would be.
    pub fn loose(&self, name: &str) -> PathBuf {
        let id = self.git(&["rev-parse", name]);
        self.path(&format!(".git/objects/{}/{}", &id[..2], id[2..].trim()))
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path inside the repository's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join("repo").join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a file beside the repository, where it is no change in it.
    pub fn input(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.root.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command in this world, standing in the repository's folder.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let bin = Path::new(env!("CARGO_BIN_EXE_git-audit")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path)))
            .unwrap();
        command.env_clear().env("PATH", path).env("HOME", self.root.path().join("home"));
        command
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command.env("GIT_CEILING_DIRECTORIES", self.root.path()).env("GIT_AUDIT_TEST_NOW", NOW);
        command.current_dir(self.path("")).stdin(Stdio::null());
        command
    }

    /// `git-audit` with these arguments, not started yet.
    pub fn audit_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_git-audit"));
        command.args(arguments);
        command
    }

    pub fn audit(&self, arguments: &[&str]) -> Run {
        run(&mut self.audit_command(arguments))
    }

    /// `git-audit`, with `input` on its standard input.
    pub fn audit_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
        let mut command = self.audit_command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            let input = input.as_ref();
            // It may stop reading before the end; that is for the test to judge.
            scope.spawn(move || _ = stdin.write_all(input));
            finished(child.wait_with_output().unwrap())
        })
    }

    /// Records a task by flags.
    #[track_caller]
    pub fn record(&self, task_id: &str, more: &[&str]) -> Run {
        let arguments = [&["record", "--task-id", task_id, "--status", "completed"], more].concat();
        self.audit(&arguments).exits(0)
    }

    /// Starts a task whose process is gone when this returns.
    #[track_caller]
    pub fn start_lost(&self, task_id: &str, more: &[&str]) -> Run {
        let script = "exec git-audit start --pid $$ \"$@\"";
        run(self.command("sh").args(["-c", script, "sh", task_id]).args(more)).exits(0)
    }

    /// Runs git, which must succeed, and gives what it printed.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let done = self.try_git(arguments);
        assert_eq!(done.code, 0, "git {arguments:?}: {}{}", done.stdout, done.stderr);
        done.stdout
    }

    /// What git printed, which need not be text.
    #[track_caller]
    pub fn git_bytes(&self, arguments: &[&str]) -> Vec<u8> {
        self.command("git").args(arguments).output().unwrap().stdout
    }

    pub fn try_git(&self, arguments: &[&str]) -> Run {
        run(self.command("git").args(arguments))
    }

    /// The ids that `git audit log` with these filters lists, newest first.
    #[track_caller]
    pub fn logged(&self, filters: &[&str]) -> Vec<String> {
        let answer = self.audit(&[&["log", "--json", "--limit", "1000"], filters].concat()).exits(0).json();
        let entries = answer["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["task_id"].as_str().unwrap().to_owned()).collect()
    }
}

pub fn run(command: &mut Command) -> Run {
    finished(command.output().unwrap())
}

fn finished(output: Output) -> Run {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    };
    Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A minimal entry as JSON.
pub fn entry(task_id: &str) -> Value {
    json!({ "task_id": task_id, "status": "completed", "timestamp": "2026-11-19T08:00:00Z" })
}

pub fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}")
}

/// The valid fixtures, in the order of their names.
pub fn fixture_entries() -> Vec<String> {
    let folder = fs::read_dir(fixture("entries")).unwrap();
    let mut paths: Vec<_> = folder.map(|item| item.unwrap().path().to_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}
