//! `git audit run`: a command that is a task. Whatever becomes of the record, the command's own result stands.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::finish::{self, FinishOptions, FinishOutcome};
use super::input::Origin;
use super::record::Progress;
use super::running::{self, RepositoryOption};
use super::start::{Owner, StartOptions, StartOutcome, begin};
use super::{Context, init, looks};
use crate::entry::parse::Invalid;
use crate::entry::redact::Action;
use crate::entry::text::truncate;
use crate::entry::{Status, TaskId};
use crate::error::{Error, Result};
use crate::journal::run::{self as command, Ended, Launch};
pub use crate::journal::run::{Ending, relay};
use crate::journal::story::merge;
use crate::ledger::Ledger;

/// The most that is kept of what the command said last.
const MAX_LAST_LINES: usize = 20;
const MAX_LAST_BYTES: usize = 4 << 10;
/// A command is its own title, as far as that is one.
const MAX_TITLE_BYTES: usize = 160;
/// The most that is kept of the command itself: six times that in JSON, where it is control characters, still fits into a
/// line of the journal. Each word costs a bit more than its text.
const MAX_COMMAND_BYTES: usize = 32 << 10;
const WORD_BYTES: usize = 8;
const MIN_WORD_BYTES: usize = 64;
/// How often a command can run under one id.
const MAX_RUNS: usize = 999;
/// The command finds its task and its ledger by these variables.
const TASK_VARIABLE: &str = "GIT_AUDIT_TASK";
const LEDGER_VARIABLE: &str = "GIT_AUDIT_LEDGER";

/// A command to run as a task.
pub struct RunOptions<'r> {
    /// The task.
    pub task_id: TaskId,
    /// What is known of its entry already: a part of one.
    pub given: Value,
    /// The repositories that it works in.
    pub repositories: Vec<RepositoryOption>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The program that relays its standard error, with arguments.
    pub relay: Option<(&'r Path, &'r [&'r str])>,
    /// Make the ledger where there is none.
    pub init: bool,
    /// Do not even run what cannot be recorded.
    pub strict: bool,
}

/// A command that was run.
#[derive(Debug)]
pub struct RunOutcome {
    /// The task that it was recorded as: another one, where the one that was asked for is over or runs elsewhere.
    pub task_id: TaskId,
    /// How the command ended.
    pub ending: Ending,
    /// What became of its entry; an error where it could neither be recorded nor wait in the spool.
    pub recorded: Result<FinishOutcome>,
}

/// Runs a command, and records it. `progress` hears what happens to the record.
///
/// # Errors
/// What is given breaks a rule of the entry; with `strict`, whatever else keeps the task from beginning. The command was
/// not run.
pub fn run(
    context: &Context,
    options: RunOptions<'_>,
    progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<RunOutcome> {
    let RunOptions { task_id, mut given, repositories, command, relay, init: make_ledger, strict } = options;
    let opened = init::open_or_make(context, make_ledger, &mut |branch| progress(Progress::Began(branch)));
    let redactor = opened.as_ref().ok().and_then(|ledger| ledger.redactor().ok()).unwrap_or_default();
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (words, mut found) = redactor.arguments(&words);
    if let Some(blocked) = found.iter().find(|found| found.action == Action::Block && strict) {
        let rule = format!("{blocked}: the ledger's policy lets nothing be recorded that holds it");
        return Err(Invalid::whole(rule).into());
    }
    // A secret among its arguments must not let a command escape its record.
    found.iter_mut().for_each(|found| found.action = found.action.min(Action::Redact));
    let words = shortened(&words);
    if !found.is_empty() {
        let origin = Origin { source: Some("the command line".into()), line: None };
        progress(Progress::Redacted(&origin, &found))?;
    }
    if given.get("title").is_none() {
        given["title"] = json!(truncate(&words.join(" "), MAX_TITLE_BYTES));
    }
    let start = StartOptions {
        task_id: task_id.clone(),
        given: given.clone(),
        metadata: Map::from_iter([("command".to_owned(), json!(words))]),
        repositories,
        owner: Owner::This,
        resumes: false,
        lets_in: !strict,
        init: make_ledger,
    };
    let begun = opened.and_then(|ledger| match strict {
        true => begin(context, &ledger, start),
        false => begin_somehow(context, &ledger, start, progress),
    });
    let begun = match begun {
        Ok(started) => {
            if !started.found.is_empty() {
                progress(Progress::Redacted(&Origin { source: None, line: None }, &started.found))?;
            }
            Some(started)
        }
        Err(error) if strict || matches!(error, Error::Invalid(_)) => return Err(error),
        Err(error) => {
            progress(Progress::NoJournal(&error))?;
            None
        }
    };
    let started_at = running::now(context);
    let task_id = begun.as_ref().map_or(task_id, |started| started.task_id.clone());
    let mut variables = vec![(TASK_VARIABLE, OsString::from(task_id.as_str()))];
    // <git directory>/git-audit/journal/<task>.jsonl
    let git_dir = begun.as_ref().and_then(|started| started.journal.ancestors().nth(3)?.canonicalize().ok());
    variables.extend(git_dir.clone().map(|git_dir| (LEDGER_VARIABLE, git_dir.into())));
    // Wherever the command leaves us: the directory may be gone by then.
    let mut context = context.clone();
    context.place.git_dir = git_dir.clone().or(context.place.git_dir);
    let directory = &context.place.directory;
    let ended = command::run(&Launch { command: &command, directory, variables: &variables, relay });
    // Before it is cut: half a secret is not recognised.
    let said = last_lines(&redactor.text(&ended.last_lines).0);
    let end = end_of(&ended, &words, &said);
    let task = task_id.clone();
    let options =
        FinishOptions { task_id: task, given: end.clone(), repositories: Vec::new(), best_effort: true };
    let is_running = || running::is_running(&context, &task_id).unwrap_or(false);
    let finished = (begun.is_some() && is_running()).then(|| finish::run(&context, options, progress));
    let recorded = match finished {
        // The journal is there still: the task can be finished later.
        Some(finished) if finished.is_ok() || is_running() => finished,
        // The command has finished it itself.
        None if begun.is_some() && running::is_recorded(&context, &task_id) => Ok(FinishOutcome::default()),
        // There was none, or its repository is gone.
        _ => finish::without_journal(&context, &task_id, &started_at, given, end, progress),
    };
    Ok(RunOutcome { task_id, ending: ended.ending, recorded })
}

/// Begins the task, whatever is in the way that can be gone around: the command is run in any case, and what it does
/// should be taken down. A task that is over or runs already keeps its id to itself; a repository that cannot be looked
/// at is left out.
fn begin_somehow(
    context: &Context,
    ledger: &Ledger,
    mut start: StartOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<StartOutcome> {
    let mut unreadable = Vec::new();
    for repository in std::mem::take(&mut start.repositories) {
        match looks::named(context, &repository.path, None) {
            Ok(_) => start.repositories.push(repository),
            Err(error) => {
                progress(Progress::Warning(&error))?;
                unreadable.push(repository.path.to_string_lossy().into_owned());
            }
        }
    }
    if !unreadable.is_empty() {
        start.metadata.insert("unreadable_repositories".into(), json!(unreadable));
    }
    let asked = start.task_id.clone();
    for number in 2..=MAX_RUNS {
        match begin(context, ledger, start.clone()) {
            Err(Error::AlreadyRecorded(_) | Error::Running(_) | Error::Finishing(_)) => {}
            begun => return begun,
        }
        start.task_id = TaskId::new(&format!("{asked}.run-{number}")).map_err(Error::Usage)?;
        merge(&mut start.given, json!({ "metadata": { "repeats": asked } }));
    }
    Err(Error::Running(asked))
}

/// As much of the command as a line of the journal has room for.
fn shortened(command: &[String]) -> Vec<String> {
    let mut left = MAX_COMMAND_BYTES;
    let mut words = Vec::new();
    for (index, word) in command.iter().enumerate() {
        if left == 0 {
            words.push(format!("... ({} more arguments)", command.len() - index));
            break;
        }
        words.push(truncate(word, left.max(MIN_WORD_BYTES)));
        left = left.saturating_sub(word.len() + WORD_BYTES);
    }
    words
}

/// What the end of the command says about its entry.
fn end_of(ended: &Ended, words: &[String], said: &str) -> Value {
    let program = words.first().map(String::as_str).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let (status, what) = match &ended.ending {
        Ending::Code(0) => (Status::Completed, None),
        // It was asked to end, and did so in its own way.
        Ending::Code(code) if ended.asked_to_end.is_some() => {
            let signal = ended.asked_to_end.map(signal_name).unwrap_or_default();
            (Status::Cancelled, Some(format!("ended with exit code {code} after {signal}")))
        }
        Ending::Code(code) if last.is_empty() => (Status::Failed, Some(format!("exit code {code}"))),
        Ending::Code(code) => (Status::Failed, Some(format!("exit code {code}: {}", last.trim()))),
        Ending::Signal(signal) => (Status::Cancelled, Some(format!("ended by {}", signal_name(*signal)))),
        Ending::NotFound => (Status::Failed, Some(format!("command not found: {program}"))),
        Ending::NotExecutable(why) => (Status::Failed, Some(format!("cannot run {program}: {why}"))),
    };
    let mut outcome = json!({ "command": words, "exit_code": ended.ending.exit_code() });
    if let Ending::Signal(signal) = ended.ending {
        outcome["signal"] = json!(signal_name(signal));
    }
    if status != Status::Completed && !said.is_empty() {
        outcome["stderr"] = json!(said);
    }
    let usage = ended.usage;
    let seconds = |duration: std::time::Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
    json!({
        "status": status,
        "error_message": what,
        "execution_result": {
            "outcome": outcome,
            "resources_used": {
                "cpu_seconds": seconds(usage.user + usage.system),
                "cpu_user_seconds": seconds(usage.user),
                "cpu_system_seconds": seconds(usage.system),
                "max_rss_bytes": usage.peak_memory_bytes,
                "wall_seconds": seconds(ended.wall),
            },
        },
    })
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let mut kept = lines[lines.len().saturating_sub(MAX_LAST_LINES)..].to_vec();
    while kept.len() > 1 && kept.iter().map(|line| line.len() + 1).sum::<usize>() > MAX_LAST_BYTES {
        kept.remove(0);
    }
    truncate(&kept.join("\n"), MAX_LAST_BYTES)
}

fn signal_name(signal: i32) -> String {
    command::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}
