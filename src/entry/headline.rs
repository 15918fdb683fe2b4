//! What a list shows of an entry, in a line.

use super::{Entry, Status, TaskId, Timestamp, text};

/// The line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// The task.
    pub task_id: TaskId,
    /// How it ended.
    pub status: Status,
    /// When it ended.
    pub timestamp: Timestamp,
    /// The agent that ran it.
    pub agent: Option<String>,
    /// The services that it touched.
    pub services: Vec<String>,
    /// The most telling of what is known of it.
    pub what: String,
}

impl Headline {
    /// That of `entry`.
    pub fn of(entry: &Entry) -> Self {
        Self {
            task_id: entry.task_id.clone(),
            status: entry.status,
            timestamp: entry.timestamp,
            agent: entry.agent().map(str::to_owned),
            services: entry.services().to_vec(),
            what: what(entry),
        }
    }
}

/// The error (of a task that failed, else that of its last event that has one), else the title, else the intent, else
/// the plan, else what it corrects; in one line.
pub fn what(entry: &Entry) -> String {
    let of_event = || entry.events.iter().flatten().rev().find_map(|event| event.error_message.as_deref());
    let of_event = || of_event().filter(|_| entry.status == Status::Failed);
    let told = entry.error_message.as_deref().or_else(of_event).or(entry.title.as_deref());
    let told = told.or(entry.intent()).or(entry.plan_id.as_deref()).unwrap_or_default();
    match &entry.supersedes {
        Some(task_id) if told.is_empty() => format!("corrects {task_id}"),
        _ => text::first_line(told).to_owned(),
    }
}
