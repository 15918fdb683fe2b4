//! The named things that a task is about and that people ask for: its services, its agent, its plan …
//!
//! One list serves the filters, the commit's trailers and the index. A new one is a variant here, with its trailer, its
//! flag and its values.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::message::trailer;
use super::{Entry, RunContext};

/// A named thing that a task has any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Facet {
    /// `plan_id`
    Plan = 1,
    /// `dispatch_info.agent_id`
    Agent,
    /// `dispatch_info.agent_pool`
    Pool,
    /// `execution_result.outcome.action_type`
    Intent,
    /// `execution_result.services_touched`
    Service,
    /// `repo_id` of events and artifacts
    RepoId,
    /// `TYPE:VALUE` of artifacts
    Artifact,
    /// `worker_id` of the context and of steps
    Worker,
    /// `correlation_id` of the context and of steps
    Correlation,
    /// `context.workspace_id`
    Workspace,
    /// `context.project_number`
    Project,
    /// `context.session_id`
    Session,
    /// `context.worktree_path`
    Worktree,
    /// `context.actor`
    Actor,
    /// `type` of events
    EventType,
}

impl Facet {
    /// Every facet; those that have a trailer first, in the order of the trailers.
    pub const ALL: [Self; 15] = [
        Self::Plan,
        Self::Agent,
        Self::Pool,
        Self::Intent,
        Self::Service,
        Self::RepoId,
        Self::Artifact,
        Self::Worker,
        Self::Correlation,
        Self::Workspace,
        Self::Project,
        Self::Session,
        Self::Worktree,
        Self::Actor,
        Self::EventType,
    ];

    /// The flag that asks for it, and its name in the index.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Agent => "agent",
            Self::Pool => "pool",
            Self::Intent => "intent",
            Self::Service => "service",
            Self::RepoId => "repo-id",
            Self::Artifact => "artifact",
            Self::Worker => "worker",
            Self::Correlation => "correlation",
            Self::Workspace => "workspace",
            Self::Project => "project",
            Self::Session => "session",
            Self::Worktree => "worktree",
            Self::Actor => "actor",
            Self::EventType => "event-type",
        }
    }

    /// The commit's trailer that repeats it; `None`: only the entry has it.
    pub fn trailer(self) -> Option<&'static str> {
        Some(match self {
            Self::Plan => trailer::PLAN,
            Self::Agent => trailer::AGENT,
            Self::Pool => trailer::POOL,
            Self::Intent => trailer::INTENT,
            Self::Service => trailer::SERVICE,
            Self::RepoId => trailer::REPO,
            Self::Artifact => trailer::ARTIFACT,
            Self::Worker => trailer::WORKER,
            Self::Correlation => trailer::CORRELATION,
            Self::Workspace => trailer::WORKSPACE,
            Self::Project => trailer::PROJECT,
            Self::Session => trailer::SESSION,
            Self::Worktree | Self::Actor | Self::EventType => return None,
        })
    }

    /// Whether a commit repeats only the first of a task's values.
    pub fn is_capped(self) -> bool {
        matches!(self, Self::RepoId | Self::Artifact | Self::Worker | Self::Correlation)
    }

    /// The task's values, in the order of the entry. A value stands once, but for a reference that the task left in
    /// several repositories.
    pub fn values(self, entry: &Entry) -> Vec<Cow<'_, str>> {
        let context = |value: fn(&RunContext) -> Option<&str>| entry.context.as_ref().and_then(value);
        let events = || entry.events.iter().flatten();
        let artifacts = || entry.artifacts.iter().flatten();
        let steps = || entry.steps.iter().flatten();
        match self {
            Self::Plan => one(entry.plan_id.as_deref()),
            Self::Agent => one(entry.agent()),
            Self::Pool => one(entry.pool()),
            Self::Intent => one(entry.intent()),
            Self::Service => distinct(entry.services().iter().map(String::as_str)),
            Self::RepoId => {
                let of_events = events().filter_map(|event| event.repo_id.as_deref());
                distinct(of_events.chain(artifacts().filter_map(|artifact| artifact.repo_id.as_deref())))
            }
            Self::Artifact => artifacts().map(|artifact| Cow::Owned(artifact.reference())).collect(),
            Self::Worker => {
                let own = context(|context| context.worker_id.as_deref()).into_iter();
                distinct(own.chain(steps().filter_map(|step| step.worker_id.as_deref())))
            }
            Self::Correlation => {
                let own = context(|context| context.correlation_id.as_deref()).into_iter();
                distinct(own.chain(steps().filter_map(|step| step.correlation_id.as_deref())))
            }
            Self::Workspace => one(context(|context| context.workspace_id.as_deref())),
            Self::Project => {
                let number = entry.context.as_ref().and_then(|context| context.project_number);
                number.map(|number| Cow::Owned(number.to_string())).into_iter().collect()
            }
            Self::Session => one(context(|context| context.session_id.as_deref())),
            Self::Worktree => one(context(|context| context.worktree_path.as_deref())),
            Self::Actor => one(context(|context| context.actor.as_deref())),
            Self::EventType => distinct(events().map(|event| event.event_type.as_str())),
        }
    }
}

fn one(value: Option<&str>) -> Vec<Cow<'_, str>> {
    value.map(Cow::Borrowed).into_iter().collect()
}

fn distinct<'v>(values: impl Iterator<Item = &'v str>) -> Vec<Cow<'v, str>> {
    let mut seen = BTreeSet::new();
    values.filter(|value| seen.insert(*value)).map(Cow::Borrowed).collect()
}
