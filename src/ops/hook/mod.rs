//! `git audit hook`: what the hooks of agents and of git tell goes into the journal. [`install`] sets them up.
//!
//! Whoever calls is in the middle of something else. So nothing here is made that was not there (no ledger is begun), and
//! what cannot be taken down is an error that the caller keeps to itself.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::event::{self, EventOptions};
use super::finish::{self, FinishOptions};
use super::input::Source;
use super::record::{self, RecordOptions};
use super::running::{self, RepositoryOption};
use super::scribe::{Item, Scribe};
use super::start::{self, Owner, StartOptions, StartOutcome};
use super::{Context, looks, record::Progress};
use crate::entry::hook::git::{self, Head};
use crate::entry::hook::{self, Action, Agent};
use crate::entry::{Status, TaskId};
use crate::error::{Error, Result};
use crate::journal::capture::Commit;
use crate::journal::{Record, Story};
use crate::ledger::{Deadline, Ledger, head_commit};

pub mod install;

/// How often a session can go on after it ended.
const MAX_RUNS: usize = 99;

/// What was taken down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// An event of this task.
    Event(TaskId),
    /// The end of this task.
    Finish(TaskId),
    /// This task as a whole.
    Record(TaskId),
}

/// What an agent's hook was given.
#[derive(Debug)]
pub struct AgentOptions {
    /// The agent; `None`: whichever wrote it.
    pub agent: Option<Agent>,
    /// Its JSON.
    pub input: Vec<u8>,
    /// The ledger is that of the directory which the agent names, not of the one that we stand in.
    pub follows: bool,
}

/// Takes down what an agent's hook tells.
///
/// # Errors
/// It is not JSON, there is no ledger, or the journal cannot be written.
pub fn run(context: &Context, options: AgentOptions) -> Result<Vec<Deed>> {
    let input: Value = serde_json::from_slice(&options.input)
        .map_err(|error| Error::Usage(format!("the hook's input is not JSON: {error}")))?;
    let agent = options.agent.unwrap_or_else(|| hook::detect(&input));
    let mut context = context.clone();
    if let Some(directory) = hook::directory(&input).filter(|_| options.follows) {
        context.place.directory = PathBuf::from(directory);
    }
    apply(&context, hook::actions(agent, &input))
}

/// What a hook of git was given.
#[derive(Debug)]
pub struct GitOptions {
    /// Which hook.
    pub hook: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What git gave it to read.
    pub input: String,
    /// The task that runs around it.
    pub task_id: TaskId,
    /// The git directory of that task's ledger.
    pub ledger: PathBuf,
}

/// Takes down what git tells a hook of a repository that a task works in, and the commits that were made there.
///
/// # Errors
/// The task is not running, or the journal cannot be written.
pub fn run_git(context: &Context, options: GitOptions) -> Result<Vec<Deed>> {
    let GitOptions { hook, arguments, input, task_id, ledger } = options;
    // A repository that cannot be read has its events all the same.
    let head = head_commit(&context.place).ok().flatten();
    let head = head.map(|head| Head { commit: head.id, subject: head.subject });
    let Some(mut event) = git::event(&hook, &arguments, &input, head.as_ref()) else { return Ok(Vec::new()) };
    let mut of_task = context.clone();
    of_task.place.git_dir = Some(ledger);
    of_task.place.work_tree = None;
    let known = running::story(&of_task, &task_id)?;
    let mut artifacts = Vec::new();
    if let Ok((repo_id, commits)) = made_here(context, &known, &git::made(&event)) {
        artifacts = commits.iter().map(|commit| looks::commit_artifact(&repo_id, commit)).collect();
        event.insert("repo_id".into(), repo_id.into());
    }
    let metadata = event.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    metadata["directory"] = context.place.directory.to_string_lossy().into();
    let (mut journal, start) = running::open(&of_task, &task_id)?;
    let mut scribe = Scribe::of(&start, running::now(context))?;
    let mut records = vec![scribe.event(Item::captured(event))?];
    // An artifact that the ledger's policy refuses does not take the event with it; one that the task has is passed over
    // when the journal is read.
    records.extend(scribe.artifacts(artifacts).unwrap_or_default());
    journal.append(records)?;
    journal.commit()?;
    Ok(vec![Deed::Event(task_id)])
}

/// The name of the repository that git runs in, as the task knows it, and as many of `ids` as can be looked at in time.
fn made_here(context: &Context, known: &Story, ids: &[&str]) -> Result<(String, Vec<Commit>)> {
    let path = context.place.git_dir.clone().unwrap_or_default();
    let time = Deadline::within(context.look_limit);
    let mut context = context.clone();
    let mut named = |revision: Option<&str>| {
        context.look_limit = time.left();
        looks::named(&context, &path, revision)
    };
    let first = named(ids.first().copied())?;
    let worked = known.repositories.iter().find(|worked| worked.first.path == first.path);
    let repo_id = worked.map_or(first.repo_id, |worked| worked.first.repo_id.clone());
    let others = ids.iter().skip(1).map_while(|id| named(Some(id)).ok()).map(|named| named.commit);
    Ok((repo_id, [first.commit].into_iter().chain(others).flatten().collect()))
}

/// Does what the actions say, in order.
fn apply(context: &Context, actions: Vec<Action>) -> Result<Vec<Deed>> {
    let mut deeds = Vec::new();
    // The task that stands for the session; there is none where the session is over.
    let mut running = None;
    for action in actions {
        match (action, &running) {
            (Action::Start { task_id, fields, begins }, _) => {
                running = begin(context, task_id, fields, begins)?
            }
            (Action::Event { event, .. }, Some(task_id)) => {
                let options =
                    EventOptions { task_id: task_id.clone(), events: vec![event], repository: None };
                event::run(context, options)?;
                deeds.push(Deed::Event(task_id.clone()));
            }
            (Action::Finish { status, fields, .. }, Some(task_id)) => {
                end(context, task_id.clone(), status, fields)?;
                deeds.push(Deed::Finish(task_id.clone()));
                running = None;
            }
            (Action::Event { .. } | Action::Finish { .. }, None) => {}
            (Action::Record { task_id, mut entry }, session) => {
                let began = session.as_ref().and_then(|session| began_at(context, session, &task_id));
                if let Some(began) = began {
                    entry.insert(
                        "execution_result".into(),
                        json!({ "start_time": began, "end_time": running::now(context) }),
                    );
                }
                let options = RecordOptions {
                    sources: vec![Source::Values(vec![Value::Object(entry)])],
                    fields: Vec::new(),
                    ci: None,
                    lets_in: false,
                    init: false,
                    best_effort: true,
                };
                record::run(context, options, &mut in_silence)?;
                deeds.push(Deed::Record(task_id));
            }
        }
    }
    Ok(deeds)
}

/// When the session's journal says that the subagent began which is this task.
fn began_at(context: &Context, session: &TaskId, task_id: &TaskId) -> Option<String> {
    let story = running::story(context, session).ok()?;
    let is_its_start = |event: &&Value| {
        event["type"] == hook::SUBAGENT_START && event["metadata"]["task_id"] == task_id.as_str()
    };
    story.events.iter().rfind(is_its_start)?["at"].as_str().map(str::to_owned)
}

/// The task that runs for a session, begun if need be. `None`: the session is over, and does not begin here.
fn begin(
    context: &Context,
    task_id: TaskId,
    fields: Map<String, Value>,
    begins: bool,
) -> Result<Option<TaskId>> {
    if !begins && running::is_running(context, &task_id)? {
        return Ok(Some(task_id));
    }
    match start(context, task_id, fields.clone()) {
        Err(Error::AlreadyRecorded(task_id)) => go_on(context, &task_id, fields, begins),
        started => started.map(Some),
    }
}

/// A session that ended, was recorded, and begins once more goes on as `<session>.run-2` and so on: entries are final.
fn go_on(
    context: &Context,
    session: &TaskId,
    mut fields: Map<String, Value>,
    begins: bool,
) -> Result<Option<TaskId>> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    for number in 2..=MAX_RUNS {
        let Ok(task_id) = TaskId::new(&format!("{session}.run-{number}")) else { break };
        if view.has(&task_id)? {
            continue;
        }
        if !begins {
            return Ok(running::is_running(context, &task_id)?.then_some(task_id));
        }
        let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        metadata["continues"] = session.as_str().into();
        return start(context, task_id, fields).map(Some);
    }
    Ok(None)
}

fn start(context: &Context, task_id: TaskId, fields: Map<String, Value>) -> Result<TaskId> {
    let options = StartOptions {
        task_id,
        given: Value::Object(fields),
        metadata: Map::new(),
        repositories: Vec::new(),
        owner: Owner::Caller,
        resumes: true,
        lets_in: true,
        init: false,
    };
    let StartOutcome { task_id, resumed, .. } = start::run(context, options)?;
    if !resumed {
        // A session is taken down also where its repository cannot be looked at.
        _ = look_here(context, &task_id);
    }
    Ok(task_id)
}

/// What the session changes where it stands will be known. Only after the journal has begun, and only once: where this
/// takes too long, or the agent ends it, no later event tries again.
fn look_here(context: &Context, task_id: &TaskId) -> Result<()> {
    let here = RepositoryOption { path: PathBuf::new(), repo_id: None };
    let baseline = looks::begin(context, &here)?;
    let (mut journal, _) = running::open(context, task_id)?;
    journal.append(vec![Record::Repository { baseline }])?;
    journal.commit()
}

fn end(context: &Context, task_id: TaskId, status: Status, mut fields: Map<String, Value>) -> Result<()> {
    fields.insert("status".into(), status.as_str().into());
    // All of its repositories share the time for one.
    let repositories = running::story(context, &task_id)?.repositories.len();
    let mut context = context.clone();
    context.look_limit /= u32::try_from(repositories.max(1)).unwrap_or(u32::MAX);
    let given = Value::Object(fields);
    let options = FinishOptions { task_id, given, repositories: Vec::new(), best_effort: true };
    finish::run(&context, options, &mut in_silence).map(drop)
}

fn in_silence(_: Progress<'_>) -> Result<()> {
    Ok(())
}
