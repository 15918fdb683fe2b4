//! `git audit tasks`: what is running.

use super::Context;
use super::running;
use crate::entry::TaskId;
use crate::error::{Error, Result};
use crate::journal::{Liveness, Process, Story};

/// Which tasks are asked for.
#[derive(Clone, Debug, Default)]
pub struct TasksOptions {
    /// These only; all where there is none.
    pub tasks: Vec<TaskId>,
    /// Only those whose process is gone.
    pub lost: bool,
}

/// How a running task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process lives.
    Alive,
    /// Its process is gone.
    Lost,
    /// Its process is of another machine or container.
    Elsewhere,
    /// It belongs to no process.
    Open,
    /// It was said how it ended, and its entry is not in the ledger yet.
    Finishing,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Lost => "lost",
            Self::Elsewhere => "elsewhere",
            Self::Open => "open",
            Self::Finishing => "finishing",
        }
    }
}

/// A running task.
#[derive(Debug)]
pub struct RunningTask {
    /// The task.
    pub task_id: TaskId,
    /// How it is.
    pub state: State,
    /// Its story so far.
    pub story: Story,
}

impl RunningTask {
    /// A text of its entry so far, by JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.story.start.fields.pointer(pointer)?.as_str()
    }

    /// The process that it belongs to.
    pub fn owner(&self) -> Option<&Process> {
        self.story.owner.as_ref()
    }
}

/// What is running here.
#[derive(Debug)]
pub struct TasksOutcome {
    /// The tasks, those that began first first.
    pub tasks: Vec<RunningTask>,
    /// Why a journal could not be read; one for each such task.
    pub unreadable: Vec<(TaskId, Error)>,
}

/// The tasks that are running here.
///
/// # Errors
/// There is no repository, or a task that was asked for is not running.
pub fn run(context: &Context, options: &TasksOptions) -> Result<TasksOutcome> {
    let journals = running::journals_at(context)?;
    let asked = |task_id: &TaskId| options.tasks.is_empty() || options.tasks.contains(task_id);
    let (mut tasks, mut unreadable) = (Vec::new(), Vec::new());
    for task_id in journals.tasks().into_iter().filter(asked) {
        let story = match journals.read(&task_id) {
            Ok(Some(story)) => story,
            // One that says nothing yet was never acknowledged.
            Ok(None) => continue,
            Err(error) => {
                unreadable.push((task_id, error));
                continue;
            }
        };
        let state = state_of(&story);
        if !options.lost || state == State::Lost {
            tasks.push(RunningTask { task_id, state, story });
        }
    }
    let is_missing = |asked: &&TaskId| {
        let mut found = tasks.iter().map(|task: &RunningTask| &task.task_id);
        let mut unreadable = unreadable.iter().map(|(task_id, _)| task_id);
        found.all(|task_id| task_id != *asked) && unreadable.all(|task_id| task_id != *asked)
    };
    if let Some(missing) = options.tasks.iter().find(is_missing)
        && !options.lost
    {
        return Err(running::not_running(context, &journals, missing));
    }
    tasks.sort_by(|one, other| one.story.start.at.cmp(&other.story.start.at));
    Ok(TasksOutcome { tasks, unreadable })
}

/// Whether there is a process of that id, which a task could belong to.
pub fn is_living(pid: u32) -> bool {
    Process::of(pid).liveness() == Liveness::Alive
}

/// How the task of a story is. One whose process is gone is lost, even while it is being finished: nobody may be at it.
pub(super) fn state_of(story: &Story) -> State {
    match story.liveness() {
        Some(Liveness::Lost) => State::Lost,
        _ if story.finish.is_some() => State::Finishing,
        Some(Liveness::Alive) => State::Alive,
        Some(Liveness::Elsewhere) => State::Elsewhere,
        None => State::Open,
    }
}
