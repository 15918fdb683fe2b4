//! The fields of an entry as flags: one list for every command that makes one.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::KnownTask;
use super::filters::status;
use crate::entry::parse;
use crate::error::{Error, Result};
use crate::ops::input::Field;

/// What is known of a task at its end.
#[derive(Args, Default)]
#[command(next_help_heading = "Fields")]
pub(super) struct EndArgs {
    /// How it ended
    #[arg(long, value_name = "STATUS", value_parser = status())]
    status: Option<String>,
    /// What went wrong
    #[arg(long, value_name = "MESSAGE")]
    error: Option<String>,
    /// The outcome, any JSON
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    outcome: Option<Value>,
    /// What it cost, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    resources: Option<Value>,
    /// When it began, RFC 3339
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// When it ended, RFC 3339
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// The time of the entry, RFC 3339; now when left out
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
}

/// What is known of a task from the beginning.
#[derive(Args)]
#[command(next_help_heading = "Fields")]
pub(super) struct FieldArgs {
    /// What it was, in a line
    #[arg(long)]
    title: Option<String>,
    /// The plan it belongs to
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
    /// A step of the plan, in words; may be repeated
    #[arg(long, value_name = "TEXT")]
    step: Vec<String>,
    /// A service that it touched; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// What it was meant to do: action_type of the outcome
    #[arg(long, value_name = "NAME")]
    intent: Option<String>,
    /// The agent that ran it
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The pool the agent came from
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// When it was handed over, RFC 3339
    #[arg(long, value_name = "TIME")]
    dispatched: Option<String>,
    /// The worker that ran it
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// The request it belongs to
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// The session of the agent or orchestrator
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Who asked for it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// The workspace
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The working tree's path
    #[arg(long, value_name = "PATH")]
    worktree: Option<String>,
    /// The project's number
    #[arg(long, value_name = "N")]
    project: Option<u64>,
    /// The phase of the project
    #[arg(long, value_name = "N")]
    phase: Option<u64>,
    /// The task whose outcome this one corrects
    #[arg(long, value_name = "ID", add = KnownTask)]
    supersedes: Option<String>,
    /// Anything else, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    metadata: Option<Value>,
}

pub(super) fn json_value(text: &str) -> std::result::Result<Value, String> {
    parse::parse(text.as_bytes()).map_err(|invalid| invalid.to_string())
}

/// Values by the flag that gave them.
type Values = BTreeMap<&'static str, Value>;

impl EndArgs {
    fn values(self) -> impl Iterator<Item = (&'static str, Value)> {
        let values = [
            ("--status", text(self.status)),
            ("--error", text(self.error)),
            ("--outcome", self.outcome),
            ("--resources", self.resources),
            ("--start", text(self.start)),
            ("--end", text(self.end)),
            ("--timestamp", text(self.timestamp)),
        ];
        values.into_iter().filter_map(|(flag, value)| Some((flag, value?)))
    }
}

impl FieldArgs {
    fn values(self) -> impl Iterator<Item = (&'static str, Value)> {
        let values = [
            ("--title", text(self.title)),
            ("--plan", text(self.plan)),
            ("--step", list(self.step)),
            ("--pool", text(self.pool)),
            ("--agent", text(self.agent)),
            ("--dispatched", text(self.dispatched)),
            ("--intent", text(self.intent)),
            ("--service", list(self.service)),
            ("--workspace", text(self.workspace)),
            ("--worktree", text(self.worktree)),
            ("--project", self.project.map(Value::from)),
            ("--phase", self.phase.map(Value::from)),
            ("--session", text(self.session)),
            ("--correlation", text(self.correlation)),
            ("--worker", text(self.worker)),
            ("--actor", text(self.actor)),
            ("--supersedes", text(self.supersedes)),
            ("--metadata", self.metadata),
        ];
        values.into_iter().filter_map(|(flag, value)| Some((flag, value?)))
    }

    /// The fields of a task that is beginning.
    pub fn into_fields(self) -> Vec<Field> {
        in_order(self.values().collect())
    }

    /// The fields of a task that is over.
    pub fn with_end(self, task_id: Option<String>, end: EndArgs) -> Result<Vec<Field>> {
        if self.intent.is_some() && end.outcome.as_ref().is_some_and(|outcome| !outcome.is_object()) {
            return Err(Error::Usage(
                "--intent goes into the outcome, so --outcome must be a JSON object beside it".into(),
            ));
        }
        let task_id = text(task_id).map(|task_id| ("--task-id", task_id));
        Ok(in_order(self.values().chain(end.values()).chain(task_id).collect()))
    }
}

/// An unset variable of a script makes an empty value: it says nothing, and is taken for nothing.
fn text(value: Option<String>) -> Option<Value> {
    value.filter(|text| !text.is_empty()).map(Value::String)
}

fn list(items: Vec<String>) -> Option<Value> {
    let items: Vec<_> = items.into_iter().filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then(|| json!(items))
}

fn in_order(mut values: Values) -> Vec<Field> {
    FLAGS.into_iter().filter_map(|(flag, keys)| Some((keys, values.remove(flag)?))).collect()
}

/// The flag that sets the value at `pointer`, or one inside it.
pub(super) fn flag_of(pointer: &str) -> Option<&'static str> {
    let keys: Vec<_> = pointer.split('/').skip(1).collect();
    FLAGS
        .iter()
        .filter(|(_, path)| keys.starts_with(path))
        .max_by_key(|(_, path)| path.len())
        .map(|(flag, _)| *flag)
}

/// A refusal of what flags said names the flag, not the JSON that was made of it.
pub(super) fn naming_flags(error: Error) -> Error {
    let Error::Invalid(invalid) = error else { return error };
    match invalid.pointer.as_deref().and_then(flag_of) {
        Some(flag) => Error::Usage(format!("{flag}: {}", invalid.rule)),
        None => Error::Invalid(invalid),
    }
}

/// Where each flag's value goes.
const FLAGS: [(&str, &[&str]); 26] = [
    ("--task-id", &["task_id"]),
    ("--status", &["status"]),
    ("--title", &["title"]),
    ("--error", &["error_message"]),
    ("--plan", &["plan_id"]),
    ("--step", &["plan_steps"]),
    ("--pool", &["dispatch_info", "agent_pool"]),
    ("--agent", &["dispatch_info", "agent_id"]),
    ("--dispatched", &["dispatch_info", "dispatch_timestamp"]),
    // Before the intent, which goes into it.
    ("--outcome", &["execution_result", "outcome"]),
    ("--intent", &["execution_result", "outcome", "action_type"]),
    ("--resources", &["execution_result", "resources_used"]),
    ("--service", &["execution_result", "services_touched"]),
    ("--start", &["execution_result", "start_time"]),
    ("--end", &["execution_result", "end_time"]),
    ("--workspace", &["context", "workspace_id"]),
    ("--worktree", &["context", "worktree_path"]),
    ("--project", &["context", "project_number"]),
    ("--phase", &["context", "phase_number"]),
    ("--session", &["context", "session_id"]),
    ("--correlation", &["context", "correlation_id"]),
    ("--worker", &["context", "worker_id"]),
    ("--actor", &["context", "actor"]),
    ("--supersedes", &["supersedes"]),
    ("--metadata", &["metadata"]),
    ("--timestamp", &["timestamp"]),
];
