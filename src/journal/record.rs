//! The lines of a journal. One JSON object each, beginning with the number of the last event so far, so that the next
//! number is known from the last line alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::capture::Baseline;
use super::process::Process;
use crate::entry::redact::RedactionPolicy;

/// The `schema` of a journal, in its first line.
pub const SCHEMA: &str = "git-audit/journal/v1";
/// The most bytes of an item's line. An entry has at most 1 MiB, and each of its items must fit into one.
const MAX_ITEM_BYTES: usize = 256 << 10;
/// The most bytes of any line: a whole entry, or how a repository was, with the tips of its branches.
pub(super) const MAX_LINE_BYTES: usize = 4 << 20;

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// The number of the last event up to and including this line.
    pub seq: u64,
    #[serde(flatten)]
    pub record: Record,
}

/// What a line says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The task began. The first line, and only that.
    Start(Start),
    /// The task was begun again: this process has it now, and these fields win over those from before.
    Resume {
        /// Whose it is.
        owner: Option<Process>,
        /// A part of an entry.
        fields: Value,
    },
    /// Something happened. An event of an entry, without its number.
    Event {
        /// The event.
        event: Map<String, Value>,
    },
    /// An artifact of an entry.
    Artifact {
        /// The artifact.
        artifact: Map<String, Value>,
    },
    /// A step of an entry.
    Step {
        /// The step.
        step: Map<String, Value>,
    },
    /// A repository as it was when it was looked at.
    Repository {
        /// How it was.
        baseline: Baseline,
    },
    /// The task ended so. Nothing is added any more; the entry is being made.
    Finish(Finish),
}

impl Record {
    /// The most bytes that its line may have.
    pub(super) fn most_bytes(&self) -> usize {
        match self {
            Self::Event { .. } | Self::Artifact { .. } | Self::Step { .. } => MAX_ITEM_BYTES,
            Self::Start(_) | Self::Resume { .. } | Self::Repository { .. } | Self::Finish(_) => {
                MAX_LINE_BYTES
            }
        }
    }
}

/// How a task began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// [`SCHEMA`]
    pub schema: String,
    /// The task.
    pub task_id: String,
    /// When it began, RFC 3339 in UTC.
    pub at: String,
    /// A part of an entry.
    pub fields: Value,
    /// Whose task it is; `None`: nobody's in particular, and it is never lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Process>,
    /// Whether what is acknowledged survives a power cut: `audit.durability` at that time.
    pub is_durable: bool,
    /// The ledger's rules of redaction at that time, so that events need not read the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redaction: Option<RedactionPolicy>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// A part of an entry, with its `status`.
    pub fields: Value,
}
