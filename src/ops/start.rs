//! `git audit start`: a task gets a journal.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::running::{self, RepositoryOption};
use super::scribe::Scribe;
use super::{Context, init, looks};
use crate::entry::parse::Invalid;
use crate::entry::redact::Found;
use crate::entry::{Redactor, Status, TaskId, Timestamp, validate};
use crate::error::{Error, Result};
use crate::journal::capture::Baseline;
use crate::journal::{Journals, Process, Record, Start, record};
use crate::ledger::Ledger;

/// Whose task it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The process that called us.
    Caller,
    /// This process.
    This,
    /// The process of that id.
    Pid(u32),
    /// No process: the task goes on until somebody finishes it, and is never lost.
    Nobody,
}

/// A task that begins.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The task.
    pub task_id: TaskId,
    /// What is known of its entry already: a part of one.
    pub given: Value,
    /// What is said of its first event.
    pub metadata: Map<String, Value>,
    /// The repositories that it will work in.
    pub repositories: Vec<RepositoryOption>,
    /// Whose it is.
    pub owner: Owner,
    /// Take the task over also where it is the run of a command.
    pub resumes: bool,
    /// What the policy blocks is redacted: what begins is not to be kept from its record.
    pub lets_in: bool,
    /// Make the ledger where there is none.
    pub init: bool,
}

/// A task that has begun.
#[derive(Debug)]
pub struct StartOutcome {
    /// The task.
    pub task_id: TaskId,
    /// It was running already: this process has it now.
    pub resumed: bool,
    /// When it began, RFC 3339.
    pub since: String,
    /// Its journal.
    pub journal: PathBuf,
    /// The branch of the ledger that was begun for it.
    pub began: Option<String>,
    /// The secrets that were found in what is known of it.
    pub found: Vec<Found>,
}

/// Begins a task, or takes over one that is running.
///
/// # Errors
/// The task is recorded already or being finished; no repository or ledger; what is given breaks a rule of the entry.
pub fn run(context: &Context, options: StartOptions) -> Result<StartOutcome> {
    let mut began = None;
    let ledger = init::open_or_make(context, options.init, &mut |branch| {
        began = Some(branch.to_owned());
        Ok(())
    })?;
    let outcome = begin(context, &ledger, options)?;
    Ok(StartOutcome { began, ..outcome })
}

/// As [`run`], in an open ledger.
pub(super) fn begin(context: &Context, ledger: &Ledger, options: StartOptions) -> Result<StartOutcome> {
    let StartOptions { task_id, given, metadata, repositories, owner, resumes, lets_in, .. } = options;
    let at = running::now(context);
    let policy = ledger.redaction_policy()?;
    let redactor = Redactor::with(&policy).map_err(Error::Policy)?;
    let mut scribe = Scribe::new(redactor, at.clone(), lets_in);
    let mut fields = scribe.whole(&task_id, given)?;
    check(&task_id, &at, &fields)?;
    fields.as_object_mut().map(|fields| fields.remove("task_id"));
    let owner = match owner {
        Owner::Caller => Some(Process::caller()),
        Owner::This => Some(Process::this()),
        Owner::Pid(pid) => Some(Process::of(pid)),
        Owner::Nobody => None,
    };
    // Before the journal is locked: this can take a while.
    let baselines = repositories.iter().map(|repository| looks::begin(context, repository));
    let baselines = baselines.collect::<Result<Vec<_>>>()?;
    let journals = running::journals_of(ledger)?;
    refuse_other_case(&task_id, &journals)?;
    let mut journal = journals.open_or_make(&task_id, context.deadline())?;
    // Looked up only now that nobody can finish it meanwhile.
    if ledger.view()?.has(&task_id)? {
        if journal.is_empty() {
            journal.remove()?;
        }
        return Err(Error::AlreadyRecorded(task_id));
    }
    if journal.is_empty() && ledger.is_waiting(&task_id) {
        journal.remove()?;
        return Err(Error::Waiting(task_id));
    }
    let known = if journal.is_empty() { None } else { journal.story()? };
    let (resumed, since) = match known {
        Some(_) if journal.is_closed() => return Err(Error::Finishing(task_id)),
        Some(story) if !resumes && story.is_of_command() => return Err(Error::Running(task_id)),
        Some(story) => {
            let known = |baseline: &Baseline| {
                story.repositories.iter().any(|worked| worked.first.path == baseline.path)
            };
            let new = baselines.into_iter().filter(|baseline| !known(baseline));
            let new = new.map(|baseline| Record::Repository { baseline });
            journal.append(std::iter::once(Record::Resume { owner, fields }).chain(new).collect())?;
            (true, story.start.at)
        }
        None => {
            ledger.share(&journals.path(&task_id));
            let mut event = Map::from_iter([("type".to_owned(), json!("task_start"))]);
            if !metadata.is_empty() {
                event.insert("metadata".into(), Value::Object(metadata));
            }
            let event = scribe.event(event)?;
            let start = Start {
                schema: record::SCHEMA.into(),
                task_id: task_id.to_string(),
                at: at.clone(),
                fields,
                owner,
                is_durable: journals.is_durable(),
                redaction: Some(policy).filter(|policy| !policy.is_default()),
            };
            let baselines = baselines.into_iter().map(|baseline| Record::Repository { baseline });
            journal.append([Record::Start(start), event].into_iter().chain(baselines).collect())?;
            (false, at)
        }
    };
    journal.commit()?;
    let found = scribe.found;
    Ok(StartOutcome { journal: journals.path(&task_id), task_id, resumed, since, began: None, found })
}

/// The ledger has no two ids that differ only in case: the second task to end could not be recorded.
fn refuse_other_case(task_id: &TaskId, journals: &Journals) -> Result<()> {
    let is_other =
        |running: &TaskId| running != task_id && running.as_str().eq_ignore_ascii_case(task_id.as_str());
    // One that says nothing is what a start left that was killed.
    let says = |running: &TaskId| !matches!(journals.read(running), Ok(None));
    let other = journals.tasks().into_iter().find(|running| is_other(running) && says(running));
    let Some(other) = other else { return Ok(()) };
    let rule = format!("task_id `{task_id}` differs only in case from `{other}`, which is running");
    Err(Error::from(Invalid::at("/task_id", rule)))
}

/// What is known already must be able to become an entry.
fn check(task_id: &TaskId, at: &str, given: &Value) -> Result<()> {
    let mut whole = given.clone();
    whole["task_id"] = json!(task_id);
    whole["status"] = json!(Status::Completed);
    let now = Timestamp::parse(at).unwrap_or_else(|| Timestamp::from(chrono::DateTime::UNIX_EPOCH));
    validate::entry(whole, now).map_err(Error::from).map(drop)
}
