//! The commit message of an entry: a subject and trailers, so that plain git answers the common questions.
//!
//! The message repeats what the entry says; the entry is what counts. Values are made one line and at most
//! [`MAX_TRAILER_BYTES`] long, so nothing inside a value can look like a trailer of its own.

use super::text::{truncate, visible};
use super::{Digest, Entry, Facet, Status, TaskId, Timestamp};

/// The most bytes of one trailer's value; a longer one is cut and ends in a note.
pub const MAX_TRAILER_BYTES: usize = 1000;
/// The most trailers of one of the kinds that a task can have any number of (repositories, artifacts, workers,
/// correlations). Services are not capped.
pub const MAX_REPEATS: usize = 100;

/// The trailers' names.
pub mod trailer {
    #![expect(missing_docs, reason = "the names say it; docs/FORMAT.md has the table")]
    pub const TASK: &str = "Audit-Task";
    pub const STATUS: &str = "Audit-Status";
    pub const PLAN: &str = "Audit-Plan";
    pub const AGENT: &str = "Audit-Agent";
    pub const POOL: &str = "Audit-Pool";
    pub const INTENT: &str = "Audit-Intent";
    pub const SERVICE: &str = "Audit-Service";
    pub const REPO: &str = "Audit-Repo";
    pub const ARTIFACT: &str = "Audit-Artifact";
    pub const WORKER: &str = "Audit-Worker";
    pub const CORRELATION: &str = "Audit-Correlation";
    pub const WORKSPACE: &str = "Audit-Workspace";
    pub const PROJECT: &str = "Audit-Project";
    pub const SESSION: &str = "Audit-Session";
    pub const SUPERSEDES: &str = "Audit-Supersedes";
    pub const DIGEST: &str = "Audit-Digest";
}

/// The message of the commit that adds `entry`, whose stored bytes have `digest`.
pub fn build(entry: &Entry, digest: &Digest) -> String {
    let mut message = Message(subject(&entry.task_id, entry.status, entry.timestamp));
    message.0.push_str("\n\n");
    message.add(trailer::TASK, entry.task_id.as_str());
    message.add(trailer::STATUS, entry.status.as_str());
    for (facet, name) in Facet::ALL.into_iter().filter_map(|facet| Some((facet, facet.trailer()?))) {
        let most = if facet.is_capped() { MAX_REPEATS } else { usize::MAX };
        let values = facet.values(entry);
        message.add_all(name, values.iter().take(most).map(AsRef::as_ref));
    }
    message.add_all(trailer::SUPERSEDES, entry.supersedes.as_ref().map(TaskId::as_str));
    message.add(trailer::DIGEST, &digest.to_string());
    message.0
}

/// The line of a commit message that makes plain git take the commit for an entry's: its subject, or a trailer of ours.
/// [`Summary::parse`] asks for more.
pub fn claim(message: &str) -> Option<&str> {
    let is_subject = |line: &&str| {
        let mut words = line.strip_prefix("audit: task ").unwrap_or_default().split(' ').skip(1);
        words.next().is_some_and(|word| Status::from_word(word).is_some()) && words.next() == Some("at")
    };
    let is_trailer = |line: &&str| line.starts_with("Audit-") && line.contains(": ");
    // git skips what is empty before it.
    let first = message.lines().find(|line| !line.trim().is_empty());
    first.filter(is_subject).or_else(|| message.lines().find(is_trailer))
}

/// The subject: `audit: task <task_id> <status> at <timestamp>`.
pub fn subject(task_id: &TaskId, status: Status, timestamp: Timestamp) -> String {
    format!("audit: task {task_id} {} at {timestamp}", status.as_str())
}

struct Message(String);

impl Message {
    /// An empty value has nothing to say, and git would not read it as a trailer everywhere.
    fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.push_str(&format!("{name}: {}\n", encode(value)));
        }
    }

    fn add_all<'v>(&mut self, name: &str, values: impl IntoIterator<Item = &'v str>) {
        values.into_iter().for_each(|value| self.add(name, value));
    }
}

/// A value as a trailer has it: one line, no active characters, no blanks at its ends (git strips those), not long.
fn encode(value: &str) -> String {
    let mut line = visible(value);
    if line.starts_with(' ') {
        line.replace_range(..1, "\\u0020");
    }
    if line.len() > 1 && line.ends_with(' ') {
        line.replace_range(line.len() - 1.., "\\u0020");
    }
    truncate(&line, MAX_TRAILER_BYTES)
}

/// What a commit message alone can say about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Yes,
    /// It does not fit.
    No,
    /// Only the entry itself can tell.
    ReadEntry,
}

impl Verdict {
    /// Both must fit.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::ReadEntry,
        }
    }
}

/// [`trailer::TASK`] as it begins the trailers, and as it stands further down.
const TASK_TRAILER: &str = "Audit-Task: ";
const NEXT_TASK_TRAILER: &str = "\nAudit-Task: ";

/// What a commit message says about the entry that the commit adds.
#[derive(Clone, Debug)]
pub struct Summary<'m> {
    /// The task's id, as the subject has it.
    pub task_id: &'m str,
    /// How it ended.
    pub status: Status,
    /// When it ended.
    pub timestamp: Timestamp,
    trailers: &'m str,
}

impl<'m> Summary<'m> {
    /// Reads a message that [`build`] made; `None` for any other.
    pub fn parse(message: &'m str) -> Option<Self> {
        let (subject, rest) = message.split_once('\n')?;
        let mut words = subject.strip_prefix("audit: task ")?.split(' ');
        let task_id = words.next()?;
        let status = Status::from_word(words.next()?)?;
        let timestamp =
            words.next().filter(|word| *word == "at").and_then(|_| Timestamp::parse(words.next()?))?;
        if words.next().is_some() {
            return None;
        }
        let summary = Self { task_id, status, timestamp, trailers: rest };
        // Somebody's own commit with such a subject, or several of ours in one, has not this shape.
        let named = rest.strip_prefix('\n').and_then(|rest| rest.strip_prefix(TASK_TRAILER));
        let names_one_task = named.and_then(|rest| rest.split_once('\n')).is_some_and(|(first, others)| {
            first == task_id && !others.starts_with(TASK_TRAILER) && !others.contains(NEXT_TASK_TRAILER)
        });
        let ends_in_digest =
            rest.trim_end().rsplit('\n').next().is_some_and(|line| line.starts_with(trailer::DIGEST));
        (names_one_task && ends_in_digest).then_some(summary)
    }

    /// The values of the trailers named `name`, in order, as they stand in the message.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'m str> {
        let named = move |line: &'m str| line.strip_prefix(name)?.strip_prefix(": ");
        self.trailers.lines().filter_map(named)
    }

    /// Whether the entry's values of `facet` include one of `wanted`. No trailer of that name, one that was shortened or
    /// escaped on its way here, or as many as there can be, leaves the question to the entry.
    pub fn includes(&self, facet: Facet, wanted: &[String]) -> Verdict {
        let Some(name) = facet.trailer() else { return Verdict::ReadEntry };
        let values: Vec<_> = self.values(name).collect();
        // An empty value has no trailer.
        if values.is_empty() || wanted.iter().any(String::is_empty) {
            return Verdict::ReadEntry;
        }
        let mut verdict =
            if facet.is_capped() && values.len() >= MAX_REPEATS { Verdict::ReadEntry } else { Verdict::No };
        for value in values {
            for want in wanted.iter().filter(|want| encode(want) == value) {
                if want == value && !want.contains('\\') {
                    return Verdict::Yes;
                }
                verdict = Verdict::ReadEntry;
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::entry::validate;

    fn message_of(value: Value) -> String {
        let entry = validate::entry(value, Timestamp::parse("2026-11-20T12:00:00Z").unwrap()).unwrap();
        build(&entry, &Digest::of(b""))
    }

    #[test]
    fn the_message_has_the_contract_subject_and_trailers_in_order() {
        let message = message_of(json!({
            "task_id": "t-1", "status": "failed", "plan_id": "p-9", "supersedes": "t-0",
            "dispatch_info": {"agent_pool": "infra", "agent_id": "agent-7"},
            "execution_result": {"outcome": {"action_type": "deploy"}, "services_touched": ["web", "api", "web", ""]},
            "context": {"worker_id": "w1", "correlation_id": "c1", "workspace_id": "ws", "project_number": 4, "session_id": "s"},
            "steps": [{"step_id": "a", "worker_id": "w2", "correlation_id": "c1"}],
            "events": [{"type": "repo_commit", "repo_id": "shop"}],
            "artifacts": [{"ref_type": "pr", "ref_value": "42", "repo_id": "shop"}, {"ref_type": "tag", "ref_value": "v1", "repo_id": "lib"}],
        }));
        let expected = "audit: task t-1 failed at 2026-11-20T12:00:00Z\n\nAudit-Task: t-1\nAudit-Status: failed\nAudit-Plan: p-9\n\
            Audit-Agent: agent-7\nAudit-Pool: infra\nAudit-Intent: deploy\nAudit-Service: web\nAudit-Service: api\nAudit-Repo: shop\n\
            Audit-Repo: lib\nAudit-Artifact: pr:42\nAudit-Artifact: tag:v1\nAudit-Worker: w1\nAudit-Worker: w2\nAudit-Correlation: c1\n\
            Audit-Workspace: ws\nAudit-Project: 4\nAudit-Session: s\nAudit-Supersedes: t-0\n\
            Audit-Digest: sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
        assert_eq!(message, expected);
    }

    #[test]
    fn no_value_can_forge_a_trailer_or_hide_in_blanks() {
        let services = ["a\nAudit-Status: completed", " b ", "c\u{1b}[2J", "d\u{2028}e"];
        let message = message_of(
            json!({"task_id": "t", "status": "failed", "execution_result": {"services_touched": services}}),
        );
        let summary = Summary::parse(&message).unwrap();
        assert_eq!(summary.values(trailer::STATUS).collect::<Vec<_>>(), ["failed"]);
        let values: Vec<_> = summary.values(trailer::SERVICE).collect();
        assert_eq!(values, [r"a\nAudit-Status: completed", r"\u0020b\u0020", r"c\u001b[2J", r"d\u2028e"]);
    }

    #[test]
    fn a_value_that_was_escaped_or_shortened_is_left_to_the_entry() {
        let long = "x".repeat(3000);
        let services = ["plain", "a\nb", r"back\slash", &long];
        let message = message_of(
            json!({"task_id": "t", "status": "failed", "execution_result": {"services_touched": services}}),
        );
        let summary = Summary::parse(&message).unwrap();
        let ask = |service: &str| summary.includes(Facet::Service, &[service.to_owned()]);
        assert_eq!(ask("plain"), Verdict::Yes);
        assert_eq!(ask("other"), Verdict::No);
        assert_eq!(ask("a\nb"), Verdict::ReadEntry);
        assert_eq!(ask(r"a\nb"), Verdict::ReadEntry);
        assert_eq!(ask(r"back\slash"), Verdict::ReadEntry);
        assert_eq!(ask(&long), Verdict::ReadEntry);
        assert_eq!(summary.includes(Facet::Plan, &["p".to_owned()]), Verdict::ReadEntry);
    }

    #[test]
    fn other_messages_are_not_taken_for_ours() {
        for message in [
            "fix: a bug\n",
            "audit: task t done at 2026-11-20T12:00:00Z\n",
            "audit: task t failed at noon\n",
            "audit: task",
        ] {
            assert!(Summary::parse(message).is_none(), "{message}");
        }
    }
}
