//! Rows of lists, and what follows them.

use serde::Serialize;

use super::CoverageAnswer;
use crate::entry::{Artifact, Event, Status, Step, TaskId, Timestamp};
use crate::ops::LoggedEntry;
use crate::ops::query::{Answered, Page};
use crate::output::list::List;

/// An artifact, event or step, and the task that it belongs to. The item stands under its kind's name, as it is stored.
#[derive(Debug, Serialize)]
pub struct ItemAnswer<'e> {
    task_id: &'e TaskId,
    task_status: Status,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<&'e Artifact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'e Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'e Step>,
    /// Of a step: its worker, else the task's.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<&'e str>,
    /// Of a step: its correlation, else the task's.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'e str>,
    commit: Option<String>,
    path: &'e str,
    recorded_at: Option<Timestamp>,
}

impl<'e> ItemAnswer<'e> {
    /// The item of `list` at `position`.
    pub fn new(list: List, found: &'e LoggedEntry, position: u32) -> Self {
        fn of<T>(items: Option<&Vec<T>>, position: u32) -> Option<&T> {
            items?.get(usize::try_from(position).ok()?)
        }
        let LoggedEntry { entry, recorded, stored } = found;
        let step = of(entry.steps.as_ref(), position).filter(|_| list == List::Steps);
        Self {
            task_id: &entry.task_id,
            task_status: entry.status,
            timestamp: entry.timestamp,
            artifact: of(entry.artifacts.as_ref(), position).filter(|_| list == List::Artifacts),
            event: of(entry.events.as_ref(), position).filter(|_| list == List::Events),
            step,
            worker_id: step.and_then(|step| step.worker(entry)),
            correlation_id: step.and_then(|step| step.correlation(entry)),
            commit: recorded.map(|recorded| recorded.commit.to_string()),
            path: &stored.path,
            recorded_at: recorded.map(|recorded| recorded.recorded_at.into()),
        }
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
