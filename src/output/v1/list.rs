//! Rows of lists, and what follows them.

use serde::Serialize;
use serde_json::Value;

use super::CoverageAnswer;
use crate::entry::{Status, TaskId, Timestamp};
use crate::ops::LoggedEntry;
use crate::ops::query::{Answered, Page};
use crate::output::list::List;

/// An artifact, event or step, and the task that it belongs to. The item stands under its kind's name, as it is stored.
#[derive(Debug, Serialize)]
pub struct ItemAnswer {
    task_id: TaskId,
    task_status: Status,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Value>,
    /// Of a step: its worker, else the task's.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
    /// Of a step: its correlation, else the task's.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    commit: Option<String>,
    path: String,
    recorded_at: Option<Timestamp>,
}

impl ItemAnswer {
    /// The item of `list` at `position`.
    pub fn new(list: List, found: &LoggedEntry, position: u32) -> Self {
        let LoggedEntry { entry, recorded, stored } = found;
        let at = position as usize;
        let value = |item: Option<serde_json::Result<Value>>| item.and_then(Result::ok);
        let step = entry.steps.iter().flatten().nth(at).filter(|_| list == List::Steps);
        let mut answer = Self {
            task_id: entry.task_id.clone(),
            task_status: entry.status,
            timestamp: entry.timestamp,
            artifact: None,
            event: None,
            step: value(step.map(serde_json::to_value)),
            worker_id: step.and_then(|step| step.worker(entry)).map(str::to_owned),
            correlation_id: step.and_then(|step| step.correlation(entry)).map(str::to_owned),
            commit: recorded.map(|recorded| recorded.commit.to_string()),
            path: stored.path.clone(),
            recorded_at: recorded.map(|recorded| recorded.recorded_at.into()),
        };
        match list {
            List::Artifacts => {
                answer.artifact = value(entry.artifacts.iter().flatten().nth(at).map(serde_json::to_value));
            }
            List::Events => {
                answer.event = value(entry.events.iter().flatten().nth(at).map(serde_json::to_value))
            }
            List::Entries | List::Steps => {}
        }
        answer
    }
}

/// What follows the rows of a list; `limit` is `null` when there was none.
#[derive(Debug, Serialize)]
pub struct ListTail {
    total: usize,
    limit: Option<usize>,
    offset: usize,
    /// The place after the last row, for `--after`; `null` for an empty page that did not come after anything.
    cursor: Option<String>,
    more: bool,
    coverage: CoverageAnswer,
}

impl ListTail {
    /// The numbers of the page.
    pub fn new(page: &Page, answered: &Answered) -> Self {
        Self {
            total: answered.total,
            limit: page.limit,
            offset: page.offset,
            cursor: answered.cursor.as_ref().or(page.after.as_ref()).map(ToString::to_string),
            more: answered.more,
            coverage: (&answered.coverage).into(),
        }
    }
}
