//! A session of an agent as a task: its id, and the actions on it.

use std::path::Path;

use serde_json::{Value, json};

use super::input::{Input, object};
use super::{Action, Agent};
use crate::entry::text::shorten;
use crate::entry::{Digest, Status, TaskId};

/// The most bytes of an agent's id that become part of a task id as they are: two of them and a dot must fit.
const MAX_PART_BYTES: usize = 63;
/// The most bytes of a path, and of an id in `context`.
const MAX_PATH_BYTES: usize = 1024;

/// A session, and what the hook said of it.
pub(super) struct Session<'i> {
    agent: Agent,
    task_id: TaskId,
    id: &'i str,
    /// Where the agent works; paths inside are given from there.
    roots: Vec<&'i str>,
    input: Input<'i>,
}

/// A task or a subagent that completed within a session.
pub(super) struct Part {
    pub id: TaskId,
    pub status: Status,
    pub title: Option<String>,
    /// Who did it.
    pub worker_id: Option<String>,
    /// More about it, for `metadata`.
    pub metadata: Value,
}

impl<'i> Session<'i> {
    /// The session with the agent's `id`. `None` where that is no id.
    pub fn of(agent: Agent, id: &'i str, input: Input<'i>) -> Option<Self> {
        let roots = input.texts("workspace_roots").chain(input.text("cwd"));
        let roots = roots.filter(|root| root.starts_with('/')).collect();
        Some(Self { agent, task_id: task_id(&part(id))?, id, roots, input })
    }

    /// The id of a task that belongs to this session.
    pub fn id_within(&self, id: &str) -> Option<TaskId> {
        let within = |part: &str| task_id(&format!("{}.{part}", self.task_id));
        within(&part(id)).or_else(|| within(&digest(id)))
    }

    /// `path` from the agent's directory where it is inside, else as it is.
    pub fn relative(&self, path: &str) -> String {
        let inside = |root: &&str| Path::new(path).strip_prefix(root).ok()?.to_str();
        let relative = self.roots.iter().find_map(inside).filter(|relative| !relative.is_empty());
        shorten(relative.unwrap_or(path), MAX_PATH_BYTES)
    }

    /// The session begins, or is taken to have begun.
    fn start(&self, begins: bool) -> Action {
        let about = json!({
            "title": format!("{} session", self.agent.name()),
            "dispatch_info": { "agent_id": self.agent.as_str() },
            "context": self.context(None),
            "metadata": { "agent": {
                "model": self.input.line("model"),
                "version": self.input.word("cursor_version"),
                "permission_mode": self.input.word("permission_mode"),
            } },
        });
        Action::Start { task_id: self.task_id.clone(), fields: object(about), begins }
    }

    fn context(&self, worker_id: Option<&str>) -> Value {
        let directory = self.roots.first().map(|root| shorten(root, MAX_PATH_BYTES));
        json!({
            "session_id": shorten(self.id, MAX_PATH_BYTES),
            "worktree_path": directory,
            "worker_id": worker_id,
        })
    }

    /// The agent says that the session begins; `null`s in the event are left out.
    pub fn begin(&self, event: Value) -> Vec<Action> {
        self.events(true, event)
    }

    /// An event of the session; `null`s in it are left out.
    pub fn event(&self, event: Value) -> Vec<Action> {
        self.events(false, event)
    }

    fn events(&self, begins: bool, event: Value) -> Vec<Action> {
        vec![self.start(begins), Action::Event { task_id: self.task_id.clone(), event: object(event) }]
    }

    /// The session ended.
    pub fn finish(&self, status: Status, metadata: Value) -> Vec<Action> {
        let fields = object(json!({ "metadata": metadata }));
        vec![self.start(false), Action::Finish { task_id: self.task_id.clone(), status, fields }]
    }

    /// An event of the session, and the entry of what completed in it.
    pub fn complete(&self, event: Value, part: Part) -> Vec<Action> {
        let entry = json!({
            "task_id": part.id,
            "status": part.status,
            "title": part.title,
            "dispatch_info": { "agent_id": self.agent.as_str() },
            "context": self.context(part.worker_id.as_deref()),
            "metadata": part.metadata,
        });
        let mut actions = self.event(event);
        actions.push(Action::Record { task_id: part.id, entry: object(entry) });
        actions
    }
}

/// An agent's id as part of a task id: as it is where it is plain and short, else its digest.
fn part(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.len() <= MAX_PART_BYTES && id.bytes().all(plain) && task_id(id).is_some() {
        return id.to_owned();
    }
    digest(id)
}

fn digest(id: &str) -> String {
    Digest::of(id.as_bytes()).as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn task_id(text: &str) -> Option<TaskId> {
    TaskId::new(text).ok()
}
