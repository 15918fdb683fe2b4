//! The rules of an entry: it is valid, its digest and its commit's message are what it says.

use chrono::TimeDelta;
use serde_json::Value;

use super::findings::Findings;
use super::history::Addition;
use super::report::{Code, Finding};
use super::timeline::Step;
use crate::entry::message::{self, Summary, trailer};
use crate::entry::{Digest, Entry, MAX_ENTRY_BYTES, TaskId, parse, render, validate};
use crate::ledger::ObjectId;

/// A task cannot end later than it was recorded; clocks differ, and so much is let pass.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// An entry's commit, as far as the entry must agree with it.
pub struct Told<'c> {
    /// The commit.
    pub step: &'c Step,
    /// The bytes of its message, read where they are not what the entry yields.
    pub message: &'c dyn Fn() -> Vec<u8>,
}

impl Told<'_> {
    /// The message; what is not UTF-8 in it is no character that an entry could yield.
    fn text(&self) -> String {
        String::from_utf8_lossy(&(self.message)()).into_owned()
    }
}

/// Judges the content of an entry. Gives the task that it corrects.
pub fn judge(addition: &Addition, bytes: &[u8], told: &Told<'_>, findings: &mut Findings) -> Option<TaskId> {
    let mut about = About { addition, commit: told.step.id, findings, found: 0 };
    let digest = Digest::of(bytes);
    let entry = match read(bytes) {
        Ok(entry) => entry,
        Err(why) => {
            about.add(Finding::new(Code::EntryInvalid, why));
            if addition.is_alone {
                about.digest(told, &digest);
            }
            return None;
        }
    };
    if entry.task_id != addition.task_id {
        let message = "the entry states another task than its file name";
        let finding = Finding::new(Code::TaskIdDiffers, message);
        about.add(finding.evidence(addition.task_id.as_str(), entry.task_id.as_str()));
        return entry.supersedes;
    }
    if render::stored_bytes(&entry).ok().as_deref() != Some(bytes) {
        let message = "the entry is valid, and written in another form than it is stored in";
        about.add(Finding::new(Code::EntryForm, message));
    }
    about.times(&entry, told.step.committed_at);
    if addition.is_alone {
        about.message(&entry, &digest, told);
    }
    entry.supersedes
}

/// Strictly, and without filling in what is missing.
fn read(bytes: &[u8]) -> Result<Entry, String> {
    if bytes.len() > MAX_ENTRY_BYTES {
        return Err(format!("the entry has {} bytes; the most is {MAX_ENTRY_BYTES}", bytes.len()));
    }
    let value = parse::parse(bytes).map_err(|invalid| invalid.to_string())?;
    if value.get("timestamp").is_none_or(Value::is_null) {
        return Err("/timestamp: timestamp is missing".to_owned());
    }
    validate::entry(value, chrono::DateTime::UNIX_EPOCH.into()).map_err(|invalid| invalid.to_string())
}

/// Findings about one entry.
struct About<'f> {
    addition: &'f Addition,
    commit: ObjectId,
    findings: &'f mut Findings,
    found: usize,
}

impl About<'_> {
    fn add(&mut self, finding: Finding) {
        let Addition { task_id, path, .. } = self.addition;
        self.found += 1;
        self.findings.add(finding.commit(self.commit).path(path).task(task_id.clone()));
    }

    fn times(&mut self, entry: &Entry, committed_at: i64) {
        let ended = entry.timestamp.utc();
        let committed = chrono::DateTime::from_timestamp(committed_at, 0).unwrap_or_default();
        if ended > committed + AHEAD {
            let message = "the task ended more than a day after it was recorded";
            let finding = Finding::new(Code::TimeImplausible, message);
            self.add(finding.evidence(format!("<= {committed}"), entry.timestamp.to_string()));
        }
        let times = entry.execution_result.as_ref().and_then(|result| result.start_time.zip(result.end_time));
        if let Some((start, end)) = times.filter(|(start, end)| start > end) {
            let message = "the task started after it ended";
            let finding = Finding::new(Code::TimeImplausible, message);
            self.add(finding.evidence(format!("<= {end}"), start.to_string()));
        }
    }

    fn message(&mut self, entry: &Entry, digest: &Digest, told: &Told<'_>) {
        let expected = message::build(entry, digest);
        if told.step.is_recoded {
            let message = "git is told to read the message in another encoding than it is written in";
            return self.add(Finding::new(Code::SubjectDiffers, message).evidence("UTF-8", "another"));
        }
        if told.step.message == Digest::of(expected.as_bytes()) {
            return;
        }
        let found_before = self.found;
        let actual = &told.text();
        let subject = |message: &str| message.split('\n').next().unwrap_or_default().to_owned();
        if subject(actual) != subject(&expected) {
            let message = "the subject of the commit is not what the entry says";
            let finding = Finding::new(Code::SubjectDiffers, message);
            self.add(finding.evidence(subject(&expected), subject(actual)));
            // Somebody's own commit has no trailers to be compared.
            if Summary::parse(actual).is_none() {
                return;
            }
        }
        self.digest(told, digest);
        self.trailers(&body(&expected), &body(actual));
        if self.found == found_before {
            let message = "the message has the lines that the entry yields, and not in the form that they are written in";
            self.add(Finding::new(Code::TrailerForged, message).evidence(expected, actual.as_str()));
        }
    }

    /// The digest that the message states: the last line of all.
    fn digest(&mut self, told: &Told<'_>, digest: &Digest) {
        let expected = format!("{}: {digest}", trailer::DIGEST);
        let actual = told.text();
        let is_digest = |line: &&str| line.starts_with(trailer::DIGEST);
        let stated: Vec<_> = actual.lines().filter(is_digest).collect();
        let is_last = actual.lines().next_back() == Some(expected.as_str());
        if stated != [expected.as_str()] || !is_last {
            let message = "the digest in the message is not that of the entry's bytes";
            self.add(Finding::new(Code::DigestDiffers, message).evidence(expected, stated.join("\n")));
        }
    }

    /// Every line between the subject and the digest must be one that the entry yields, in that order.
    fn trailers(&mut self, expected: &[&str], actual: &[&str]) {
        let mut ahead = expected.iter();
        let forged = actual.iter().find(|line| !ahead.any(|expected| expected == *line));
        if let Some(line) = forged {
            let message = "a line of the message is none that the entry yields, or not in its place";
            self.add(Finding::new(Code::TrailerForged, message).evidence(expected.to_vec(), *line));
        } else if actual.len() < expected.len() {
            let mut there = actual.iter().peekable();
            let lacking = expected.iter().filter(|line| there.next_if(|actual| actual == line).is_none());
            let lacking: Vec<_> = lacking.copied().collect();
            let message = "the message lacks trailers for what the entry says";
            self.add(Finding::new(Code::TrailerMissing, message).evidence(lacking, Value::Null));
        }
    }
}

/// The lines between the subject and the digest, without those that are empty around them.
fn body(message: &str) -> Vec<&str> {
    let rest = message.split_once('\n').map_or("", |(_, rest)| rest);
    let rest = rest.strip_prefix('\n').unwrap_or(rest).trim_end_matches('\n');
    rest.split('\n').filter(|line| !line.starts_with(trailer::DIGEST)).collect()
}
