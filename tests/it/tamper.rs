//! Ledgers that somebody tampered with, made by plain git: a history is told commit by commit and given to
//! `git fast-import`, what that refuses goes through `git hash-object`, and `git audit verify` says what it thinks.
//!
//! Commits are named by what fast-import understands: a mark (`:3`) as they are told, or an id in hexadecimal.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use git_audit::entry::{Digest, TaskId, Timestamp, message, render, validate};
use git_audit::ledger::layout;
use git_audit::verify::report::{Code, Severity};
use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};

/// The policy that a ledger begins with.
pub const POLICY: &str = include_str!("../../.audit-template/config.toml");
/// When the first commit was made, in seconds; each later one is a minute after the one told before.
pub const BEGIN: i64 = 1_795_075_200;
/// No answer may take longer, whatever is in the repository.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a verification may allocate, whatever objects claim to be.
const MEMORY_KIB: u32 = 100_000;

/// A task's file, and the message of the commit that adds it.
#[derive(Clone)]
pub struct Task {
    pub path: String,
    pub bytes: Vec<u8>,
    pub message: String,
}

/// A task as it would be recorded.
pub fn task(id: &str) -> Task {
    task_with(id, json!({}))
}

/// As [`task`], with more fields.
pub fn task_with(id: &str, more: Value) -> Task {
    let mut fields =
        json!({"task_id": id, "status": "completed", "title": id, "timestamp": "2026-11-19T08:00:00Z"});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let entry = validate::entry(fields, Timestamp::parse("2026-11-19T08:00:00Z").unwrap()).unwrap();
    let bytes = render::stored_bytes(&entry).unwrap();
    let message = message::build(&entry, &Digest::of(&bytes));
    Task { path: layout::flat_path(&entry.task_id), bytes, message }
}

/// Where a ledger that is larger keeps a task.
pub fn shard(id: &str) -> String {
    layout::sharded_path(&TaskId::new(id).unwrap())
}

impl Task {
    /// With other bytes, and a message that states their digest.
    pub fn holding(self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let message =
            self.message.replace(&Digest::of(&self.bytes).to_string(), &Digest::of(&bytes).to_string());
        Self { bytes, message, ..self }
    }

    /// With this text in the place of that one, which is there, and a message that states the digest.
    #[track_caller]
    pub fn with(self, old: &str, new: &str) -> Self {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        assert!(text.contains(old), "{text}");
        self.holding(text.replace(old, new))
    }

    /// With this text in the place of that one in the message.
    #[track_caller]
    pub fn saying(self, old: &str, new: &str) -> Self {
        assert!(self.message.contains(old), "{}", self.message);
        Self { message: self.message.replace(old, new), ..self }
    }

    /// In another place.
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }
}

/// A history under construction, on the branch `audit` of a repository that has nothing else.
pub struct Ledger {
    pub sandbox: Sandbox,
    story: Vec<u8>,
    marks: usize,
    ids: HashMap<String, String>,
    /// What the branch will be at.
    pub tip: Option<String>,
    at: i64,
}

impl Ledger {
    /// A ledger that has begun, with these tasks.
    pub fn of(tasks: &[&str]) -> Self {
        Self::on(Sandbox::new(), tasks)
    }

    /// As [`Self::of`], in this repository.
    pub fn on(sandbox: Sandbox, tasks: &[&str]) -> Self {
        let mut ledger = Self::in_repository(sandbox);
        ledger.pin_branch();
        ledger.commit("audit: init ledger").put(layout::CONFIG, POLICY).end();
        for id in tasks {
            ledger.record(&task(id));
        }
        ledger
    }

    /// As `init` does, so that the ledger is found whatever becomes of its tip.
    pub fn pin_branch(&self) {
        let config = self.sandbox.path(".git/config");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, format!("{text}[audit]\n\tbranch = audit\n")).unwrap();
    }

    /// Nothing yet, in this repository.
    pub fn in_repository(sandbox: Sandbox) -> Self {
        Self { sandbox, story: Vec::new(), marks: 0, ids: HashMap::new(), tip: None, at: BEGIN }
    }

    /// A commit after the tip, to be filled and ended.
    pub fn commit(&mut self, message: impl Into<String>) -> Draft<'_> {
        self.at += 60;
        let (parents, at) = (self.tip.iter().cloned().collect(), self.at);
        Draft { ledger: self, message: message.into(), parents, changes: Vec::new(), at }
    }

    /// The commit that adds a task.
    pub fn record(&mut self, task: &Task) -> String {
        self.commit(&*task.message).put(&task.path, &task.bytes).end()
    }

    /// As [`Self::record`], after another commit than the tip.
    pub fn record_after(&mut self, parent: &str, task: &Task) -> String {
        self.commit(&*task.message).after(parent).put(&task.path, &task.bytes).end()
    }

    /// The id of a commit, a path in it, or whatever else git understands; the branch is there by then.
    #[track_caller]
    pub fn id(&mut self, name: &str) -> String {
        self.build();
        if let Some(id) = self.ids.get(name) {
            return id.clone();
        }
        self.sandbox.git(&["rev-parse", "--verify", "--quiet", name]).trim().to_owned()
    }

    /// Lets git make what was told, and moves the branch.
    #[track_caller]
    pub fn build(&mut self) {
        if let Some(tip) = self.tip.as_ref().filter(|_| !self.story.is_empty()) {
            self.story.extend(format!("reset refs/heads/audit\nfrom {tip}\n\n").into_bytes());
            let marks = self.sandbox.root().join("marks");
            let name = marks.to_str().unwrap();
            let flags = [format!("--import-marks-if-exists={name}"), format!("--export-marks={name}")];
            let story = std::mem::take(&mut self.story);
            self.feed(
                &["fast-import", "--quiet", "--force", "--date-format=raw-permissive", &flags[0], &flags[1]],
                &story,
            );
            let lines = fs::read_to_string(&marks).unwrap();
            let pairs = lines.lines().map(|line| line.split_once(' ').unwrap());
            self.ids = pairs.map(|(mark, id)| (mark.to_owned(), id.to_owned())).collect();
        }
    }

    /// Runs git with `input`, which must succeed, and gives what it printed.
    #[track_caller]
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut git = self.sandbox.command("git");
        git.args(["-c", "core.fsync=none", "-c", "fastimport.unpackLimit=1"]).args(arguments);
        let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(input));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Writes an object as it is, in whatever shape.
    pub fn object(&self, kind: &str, bytes: impl AsRef<[u8]>) -> String {
        self.feed(&["hash-object", "-t", kind, "--literally", "-w", "--stdin"], bytes.as_ref())
    }

    /// Writes a tree as it is: mode, name and id of each of its entries.
    pub fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let entry = |(mode, name, id): &(&str, &str, &str)| {
            let bytes = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap());
            format!("{mode} {name}\0").into_bytes().into_iter().chain(bytes).collect::<Vec<_>>()
        };
        self.object("tree", entries.iter().flat_map(entry).collect::<Vec<_>>())
    }

    /// Writes the tip's commit anew, changed as bytes, and moves the branch there.
    #[track_caller]
    pub fn reshape(&mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
        let tip = self.tip.clone().unwrap();
        let tip = self.id(&tip);
        let bytes = self.sandbox.git_bytes(&["cat-file", "commit", &tip]);
        let id = self.object("commit", change(bytes));
        // git itself would not move a branch to just anything.
        self.sandbox.write(".git/refs/heads/audit", format!("{id}\n"));
        self.tip = Some(id.clone());
        id
    }

    /// As [`Self::reshape`], by text in the place of text, which is there once.
    #[track_caller]
    pub fn reword(&mut self, old: &str, new: &str) -> String {
        self.reshape(|bytes| {
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.matches(old).count(), 1, "{text}");
            text.replace(old, new).into_bytes()
        })
    }

    /// Moves the branch to a commit.
    #[track_caller]
    pub fn move_to(&mut self, commit: &str) {
        let id = self.id(commit);
        self.sandbox.git(&["update-ref", "refs/heads/audit", &id]);
        self.tip = Some(id);
    }

    /// The file of an object. All of them are loose from now on.
    pub fn loose(&mut self, name: &str) -> PathBuf {
        let id = self.id(name);
        let path = self.sandbox.path(&format!(".git/objects/{}/{}", &id[..2], &id[2..]));
        if !path.exists() {
            self.sandbox.unpack();
        }
        path
    }

    /// Runs `git audit verify --json` with these flags, within bounds.
    #[track_caller]
    pub fn verify_with(&mut self, flags: &[&str]) -> Report {
        self.build();
        let folder = self.sandbox.path("");
        verify_in(&self.sandbox, &folder, flags)
    }

    /// What `git audit verify` says.
    #[track_caller]
    pub fn verify(&mut self) -> Report {
        self.verify_with(&[])
    }
}

/// A commit that is being told.
pub struct Draft<'l> {
    ledger: &'l mut Ledger,
    message: String,
    parents: Vec<String>,
    changes: Vec<u8>,
    at: i64,
}

impl Draft<'_> {
    /// After this commit, in the place of the tip.
    pub fn after(self, parent: &str) -> Self {
        Self { parents: vec![parent.to_owned()], ..self }
    }

    /// Without a parent.
    pub fn rootless(self) -> Self {
        Self { parents: Vec::new(), ..self }
    }

    /// With one more parent. Its tree stays that of the first one and the changes.
    pub fn merging(mut self, parent: &str) -> Self {
        self.parents.push(parent.to_owned());
        self
    }

    /// Made at this time.
    pub fn at(self, at: i64) -> Self {
        Self { at, ..self }
    }

    /// With a file.
    pub fn put(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.put_as("100644", path, bytes)
    }

    /// With a file of this mode.
    pub fn put_as(mut self, mode: &str, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.changes.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).into_bytes());
        self.changes.extend(bytes);
        self.changes.push(b'\n');
        self
    }

    /// With an object that is there already, or never was: a tree (`040000`), a submodule (`160000`).
    pub fn link(mut self, mode: &str, path: &str, id: &str) -> Self {
        self.changes.extend(format!("M {mode} {id} {path}\n").into_bytes());
        self
    }

    /// Without a path.
    pub fn remove(mut self, path: &str) -> Self {
        self.changes.extend(format!("D {path}\n").into_bytes());
        self
    }

    /// With one path as another.
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        self.changes.extend(format!("R {from} {to}\n").into_bytes());
        self
    }

    /// The commit, which is the new tip.
    pub fn end(self) -> String {
        let Self { ledger, message, parents, changes, at } = self;
        ledger.marks += 1;
        let (mark, at) = (format!(":{}", ledger.marks), at);
        let person = format!("Dev <dev@example.com> {at} +0000");
        // Without this, a commit without parents would follow what the branch is at.
        let begin = if parents.is_empty() { "reset refs/heads/audit\n\n" } else { "" };
        let head =
            format!("{begin}commit refs/heads/audit\nmark {mark}\nauthor {person}\ncommitter {person}\n");
        let links = ["from"].into_iter().chain(std::iter::repeat("merge"));
        let links: String = links.zip(&parents).map(|(word, parent)| format!("{word} {parent}\n")).collect();
        ledger.story.extend(format!("{head}data {}\n{message}\n{links}", message.len()).into_bytes());
        ledger.story.extend(changes);
        ledger.story.push(b'\n');
        ledger.tip = Some(mark.clone());
        mark
    }
}

/// What a verification said.
pub struct Report {
    pub code: i32,
    pub answer: Value,
    pub stderr: String,
}

impl Report {
    /// The codes of its findings, each once, in the order of their names.
    pub fn codes(&self) -> Vec<&str> {
        let findings = self.answer["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| finding["code"].as_str().unwrap())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Fails the test unless these are the codes of its findings, in any order, and the exit status fits them.
    #[track_caller]
    pub fn finds(self, codes: &[Code]) -> Self {
        let expected: BTreeSet<_> = codes.iter().map(|code| code.as_str()).collect();
        assert_eq!(self.codes(), expected.into_iter().collect::<Vec<_>>(), "{}", self.told());
        self.exits(exit_code(codes))
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.told());
        self
    }

    /// The first finding of this code.
    #[track_caller]
    pub fn finding(&self, code: Code) -> &Value {
        let findings = self.answer["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|finding| finding["code"] == code.as_str())
            .unwrap_or_else(|| panic!("{}", self.told()))
    }

    /// How a layer stands.
    pub fn layer(&self, name: &str) -> &str {
        let layers = self.answer["layers"].as_array().unwrap();
        layers.iter().find(|layer| layer["layer"] == name).unwrap()["status"].as_str().unwrap()
    }

    fn told(&self) -> String {
        format!("exit {}: {:#}\n{}", self.code, self.answer, self.stderr)
    }
}

/// The exit status of a report that has these findings, about a ledger that has entries.
pub fn exit_code(codes: &[Code]) -> i32 {
    match codes.iter().map(|code| code.severity()).max() {
        Some(Severity::Error) => 3,
        Some(Severity::Inconclusive) => 4,
        _ => 0,
    }
}

/// Runs `git audit verify --json` in `folder`, and checks what holds for every report.
#[track_caller]
pub fn verify_in(sandbox: &Sandbox, folder: &Path, flags: &[&str]) -> Report {
    let mut shell = sandbox.command("sh");
    let script = format!("ulimit -d {MEMORY_KIB}; exec git-audit verify --json \"$@\"");
    shell.args(["-c", &script, "sh"]).args(flags).current_dir(folder);
    let Run { code, stdout, stderr } = within(&mut shell, PATIENCE);
    let answer: Value = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("exit {code}, {error}: {stdout}\n{stderr}"));
    let report = Report { code, answer, stderr };
    check(&report);
    report
}

#[track_caller]
fn check(report: &Report) {
    let (answer, told) = (&report.answer, report.told());
    assert_eq!(answer["schema"], "git-audit/verify/v1", "{told}");
    let verdict = match report.code {
        0 => ["valid", "nothing-found"].as_slice(),
        3 => &["not-valid"],
        4 => &["inconclusive"],
        _ => panic!("{told}"),
    };
    assert!(verdict.contains(&answer["verdict"].as_str().unwrap()), "{told}");
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for finding in answer["findings"].as_array().unwrap() {
        let known = Code::ALL.iter().find(|code| finding["code"] == code.as_str());
        let code = known.unwrap_or_else(|| panic!("{told}"));
        assert_eq!(finding["layer"], code.layer().as_str(), "{told}");
        assert!(report.code == 3 || code.severity() != Severity::Error, "{told}");
        assert!(report.code != 0 || code.severity() < Severity::Inconclusive, "{told}");
        *counts.entry(code.as_str()).or_default() += 1;
    }
    // Of one kind, so many are listed, and all are counted.
    let counted = answer["finding_counts"].as_object().unwrap();
    let listed = counted.iter().map(|(code, count)| (code.as_str(), count.as_u64().unwrap().min(1000)));
    assert_eq!(listed.collect::<HashMap<_, _>>(), counts, "{told}");
    let layers = answer["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 8, "{told}");
    let not_checked = layers.iter().any(|layer| layer["status"] == "not-checked");
    assert!(answer["verdict"] != "valid" || (!not_checked && answer["entries"] != 0), "{told}");
}

/// Runs a command, which is killed, and the test failed, when it takes longer than `patience`.
#[track_caller]
pub fn within(command: &mut Command, patience: Duration) -> Run {
    let [out, err] = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
    command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("no answer within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    Run { code: status.code().unwrap_or(-1), stdout: text(out.path()), stderr: text(err.path()) }
}

/// Writes a file anew that may be read-only, as git's objects are.
pub fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) {
    _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}
