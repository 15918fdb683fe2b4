//! Answers about tasks that are still running.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::entry::TaskId;
use crate::ops::artifact::ArtifactOutcome;
use crate::ops::event::EventOutcome;
use crate::ops::start::StartOutcome;
use crate::ops::tasks::RunningTask;

/// `git-audit/start/v1`:
/// - `outcome`: `started`, or `resumed` where the task was running already
/// - `since`: when it began, RFC 3339 · `journal`: its journal's file
#[derive(Debug, Serialize)]
pub struct StartAnswer<'s> {
    schema: &'static str,
    task_id: &'s TaskId,
    outcome: &'static str,
    since: &'s str,
    journal: String,
}

impl StartAnswer<'_> {
    /// The word for what happened.
    pub fn outcome(&self) -> &'static str {
        self.outcome
    }
}

impl<'s> From<&'s StartOutcome> for StartAnswer<'s> {
    fn from(outcome: &'s StartOutcome) -> Self {
        Self {
            schema: "git-audit/start/v1",
            task_id: &outcome.task_id,
            outcome: if outcome.resumed { "resumed" } else { "started" },
            since: &outcome.since,
            journal: outcome.journal.display().to_string(),
        }
    }
}

/// `git-audit/event/v1`, one per write:
/// - `seq`: the number of the last event of the task · `added`: how many were added, with results of steps, which have
///   no number
#[derive(Debug, Serialize)]
pub struct EventAnswer<'e> {
    schema: &'static str,
    task_id: &'e TaskId,
    seq: u64,
    added: usize,
}

impl<'e> From<&'e EventOutcome> for EventAnswer<'e> {
    fn from(outcome: &'e EventOutcome) -> Self {
        let EventOutcome { task_id, last, added, .. } = outcome;
        Self { schema: "git-audit/event/v1", task_id, seq: *last, added: *added }
    }
}

/// `git-audit/artifact/v1`: `artifact`: as the entry will have it
#[derive(Debug, Serialize)]
pub struct ArtifactAnswer<'a> {
    schema: &'static str,
    task_id: &'a TaskId,
    artifact: &'a Map<String, Value>,
}

impl<'a> From<&'a ArtifactOutcome> for ArtifactAnswer<'a> {
    fn from(outcome: &'a ArtifactOutcome) -> Self {
        Self { schema: "git-audit/artifact/v1", task_id: &outcome.task_id, artifact: &outcome.artifact }
    }
}

/// `git-audit/tasks/v1`: `tasks`, those that began first first:
#[derive(Debug, Serialize)]
pub struct TasksAnswer<'t> {
    schema: &'static str,
    tasks: Vec<TaskAnswer<'t>>,
    total: usize,
}

impl<'t> TasksAnswer<'t> {
    /// With `whole`, their stories, too.
    pub fn new(tasks: &'t [RunningTask], whole: bool) -> Self {
        let total = tasks.len();
        let tasks = tasks.iter().map(|task| TaskAnswer::new(task, whole)).collect();
        Self { schema: "git-audit/tasks/v1", tasks, total }
    }
}

/// - `state`: `alive`, `lost`, `elsewhere`, `open` or `finishing`
/// - `since`: when it began · `last`: when something was last heard of it
/// - `pid`: the process that it belongs to, if any · `host`: the machine of that
/// - `fields`: what is known of its entry · `repositories`: those that it works in, by name · `events`, `artifacts`, `steps`: how many it has; where the task was named,
///   themselves
#[derive(Debug, Serialize)]
pub struct TaskAnswer<'t> {
    task_id: &'t TaskId,
    state: &'static str,
    since: &'t str,
    last: &'t str,
    pid: Option<u32>,
    host: Option<&'t str>,
    fields: &'t Value,
    repositories: Vec<&'t str>,
    events: Items<'t>,
    artifacts: Items<'t>,
    steps: Items<'t>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Items<'t> {
    Count(usize),
    All(&'t [Value]),
}

impl<'t> TaskAnswer<'t> {
    /// With `whole`, its story, too.
    pub fn new(task: &'t RunningTask, whole: bool) -> Self {
        let story = &task.story;
        let items = |items: &'t [Value]| if whole { Items::All(items) } else { Items::Count(items.len()) };
        Self {
            task_id: &task.task_id,
            state: task.state.as_str(),
            since: &story.start.at,
            last: story.last_heard_of(),
            pid: story.owner.as_ref().map(|owner| owner.pid),
            host: story.owner.as_ref().map(|owner| owner.host.as_str()),
            fields: &story.start.fields,
            repositories: story.repositories.iter().map(|worked| worked.last.repo_id.as_str()).collect(),
            events: items(&story.events),
            artifacts: items(&story.artifacts),
            steps: items(&story.steps),
        }
    }
}
