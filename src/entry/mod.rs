//! The domain: what an entry is, and every rule about its content. Pure: no git, files, environment or clock here.
//!
//! [`parse`] turns outside bytes into JSON without losing anything silently, [`redact`] takes secrets out of it, [`validate`] turns JSON into an
//! [`Entry`], [`render`] turns an entry into the one sequence of bytes that is stored and digested, and
//! [`message`] makes the commit message that lets plain git answer questions. The format is `docs/FORMAT.md`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value};

pub mod ci;
pub mod compare;
pub mod condition;
pub mod digest;
pub mod facet;
pub mod filter;
pub mod grep;
pub mod headline;
pub mod hook;
pub mod items;
pub mod message;
pub mod parse;
pub mod redact;
pub mod render;
#[cfg(test)]
mod schema;
pub mod stats;
pub mod task_id;
pub mod text;
pub mod time;
pub mod url;
pub mod validate;
pub mod when;

pub use ci::Ci;
pub use condition::Condition;
pub use digest::Digest;
pub use facet::Facet;
pub use filter::Filter;
pub use grep::Grep;
pub use headline::Headline;
pub use items::Items;
pub use redact::Redactor;
pub use task_id::TaskId;
pub use time::Timestamp;

/// The `schema` value of an entry, version 1.
pub const SCHEMA: &str = "git-audit/entry/v1";
/// The most bytes a stored entry may have: 1 MiB.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;
/// The most bytes of `git_status_summary`: 5 KiB.
pub const MAX_STATUS_SUMMARY_BYTES: usize = 5 * 1024;
/// The most bytes of `git_diff_summary`: 10 KiB.
pub const MAX_DIFF_SUMMARY_BYTES: usize = 10 * 1024;

/// Keys that version 1 does not name: kept as they came, sorted, after the named ones.
pub type Extra = BTreeMap<String, Value>;

/// The sealed record of one finished task. Field order is the stored key order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(title = "git-audit entry, version 1"))]
pub struct Entry {
    /// Always `git-audit/entry/v1`.
    #[cfg_attr(test, schemars(schema_with = "schema::constant"))]
    pub schema: &'static str,
    /// The task's id; names the file and is never used twice, also not in another case.
    pub task_id: TaskId,
    /// How the task ended.
    pub status: Status,
    /// What the task was, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The plan that the task belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// The plan's steps, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_steps: Option<Vec<String>>,
    /// Who was given the task, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_info: Option<DispatchInfo>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_result: Option<ExecutionResult>,
    /// Where it ran and for whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<RunContext>,
    /// The results of its steps; unique by (`step_id`, `transition_id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// What happened while it ran; `seq` is unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// The references it left behind; unique by (`repo_id`, `ref_type`, `ref_value`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Vec<Artifact>>,
    /// The task whose outcome this entry corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<TaskId>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When the task ended.
    pub timestamp: Timestamp,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did what it was to do.
    Completed,
    /// It tried and did not.
    Failed,
    /// It was refused before it ran.
    Rejected,
    /// It was stopped.
    Cancelled,
}

impl Status {
    /// Every status, in the order of the format document.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Failed, Self::Rejected, Self::Cancelled];

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that exact word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// Who was given the task, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DispatchInfo {
    /// The pool that the agent was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_pool: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When the task was handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_timestamp: Option<Timestamp>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What came of the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExecutionResult {
    /// Any JSON. Its `action_type`, where it has one, is the task's *intent*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// What it cost, for example `cpu_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources_used: Option<Map<String, Value>>,
    /// The services that it touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services_touched: Option<Vec<String>>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where the task ran and for whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunContext {
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// The working tree's path, as the caller names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<String>,
    /// The project's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_number: Option<u64>,
    /// The phase of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_number: Option<u64>,
    /// The session of the agent or orchestrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Ties together what belongs to one request across systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The worker that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One step's result inside the task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// The step's id.
    pub step_id: String,
    /// Its name in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it did what it was to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// How long it ran, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_time_ms: Option<u64>,
    /// The worker that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The request that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The state transition that this result is of; a step that is retried has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition_id: Option<String>,
    /// The state before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_state: Option<String>,
    /// The state after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_state: Option<String>,
    /// The result itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Where the result is kept, when it is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_ref: Option<String>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Something that happened while the task ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// Its place in the task's story; filled in where the caller leaves it out.
    pub seq: u64,
    /// What happened: `[a-z][a-z0-9_.]*`, for example `repo_commit`.
    #[serde(rename = "type")]
    #[cfg_attr(test, schemars(regex(pattern = "^[a-z][a-z0-9_.]*$")))]
    pub event_type: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How grave, for example `info` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The repository it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_id: Option<String>,
    /// The operation, for example `commit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// How the operation ended, for example `success`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The paths it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_changed: Option<Vec<String>>,
    /// Lines added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_added: Option<u64>,
    /// Lines deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines_deleted: Option<u64>,
    /// The commit it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<String>,
    /// `git status --porcelain` of that moment, at most 5 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_status_summary: Option<String>,
    /// `git diff --stat` of that moment, at most 10 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_diff_summary: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A reference that the task left behind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Artifact {
    /// The repository it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_id: Option<String>,
    /// What kind of reference it is.
    pub ref_type: RefType,
    /// The reference: a commit id, a branch's name, a number, a path.
    pub ref_value: String,
    /// What it is, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Keys that version 1 does not name.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The kinds of artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefType {
    /// A commit id.
    Commit,
    /// A branch.
    Branch,
    /// A pull or merge request.
    Pr,
    /// A tag.
    Tag,
    /// A patch.
    Patch,
    /// A file.
    File,
}

impl RefType {
    /// Every kind, in the order of the format document.
    pub const ALL: [Self; 6] = [Self::Commit, Self::Branch, Self::Pr, Self::Tag, Self::Patch, Self::File];

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Branch => "branch",
            Self::Pr => "pr",
            Self::Tag => "tag",
            Self::Patch => "patch",
            Self::File => "file",
        }
    }
}

impl Entry {
    /// The task's intent: `execution_result.outcome.action_type`, where it is a string.
    pub fn intent(&self) -> Option<&str> {
        self.execution_result.as_ref()?.outcome.as_ref()?.get("action_type")?.as_str()
    }

    /// The services that the task touched, as given; empty when it named none.
    pub fn services(&self) -> &[String] {
        let result = self.execution_result.as_ref();
        result.and_then(|result| result.services_touched.as_deref()).unwrap_or_default()
    }

    /// How long it took, from `start_time` to `end_time`; `None` where one of them is not known.
    pub fn duration(&self) -> Option<TimeDelta> {
        let result = self.execution_result.as_ref()?;
        let most = TimeDelta::nanoseconds(i64::MAX);
        Some((result.end_time?.utc() - result.start_time?.utc()).clamp(-most, most))
    }

    /// As [`Self::duration`], in whole milliseconds; 0 for one that ended before it began.
    pub fn duration_ms(&self) -> Option<u64> {
        Some(u64::try_from(self.duration()?.num_milliseconds()).unwrap_or(0))
    }

    /// The agent that ran the task.
    pub fn agent(&self) -> Option<&str> {
        self.dispatch_info.as_ref()?.agent_id.as_deref()
    }

    /// The pool that the agent came from.
    pub fn pool(&self) -> Option<&str> {
        self.dispatch_info.as_ref()?.agent_pool.as_deref()
    }
}
