//! `git audit finish`

use clap::Args;

use super::fields::{EndArgs, FieldArgs, naming_flags};
use super::report::Report;
use super::repositories::RepositoryArgs;
use super::{Done, RunningTask, Session, WriteArgs, environment, task_id};
use crate::entry::TaskId;
use crate::error::{Error, ExitStatus, Result};
use crate::ops;
use crate::ops::finish::{FinishOptions, FinishOutcome};
use crate::ops::input::part_of_entry;

/// End a running task: its whole story becomes one entry, in one commit
#[derive(Args)]
#[command(
    after_help = "The entry has what `start` and `finish` were given, and all events, artifacts and steps. What
changed in the repositories that it was started with is taken down first; of one that is named only
here, how it is. If the entry cannot be recorded, the journal is kept: the same command finishes the
task later.

Examples:
  git audit finish deploy-42 --status completed
  git audit finish deploy-42 --status failed --error \"smoke test failed\"
  git audit finish --lost          # every task whose process is gone, as failed"
)]
pub(super) struct FinishArgs {
    /// The running task; with --lost, any number
    #[arg(value_name = "TASK", value_parser = task_id, add = RunningTask, required_unless_present = "lost")]
    task_id: Vec<TaskId>,
    /// The tasks whose process is gone: they are recorded as failed, with what is there
    #[arg(long, conflicts_with_all = ["status", "error", "outcome", "resources", "start", "end", "timestamp", "repo"])]
    lost: bool,
    /// Exit 5 when the task is recorded already with other content
    #[arg(long)]
    strict: bool,
    /// Never fail for the ledger's sake: an entry that cannot be recorded waits in the spool
    #[arg(long)]
    best_effort: bool,
    #[command(flatten)]
    repositories: RepositoryArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    fields: FieldArgs,
}

impl FinishArgs {
    pub fn run(mut self: Box<Self>, session: &mut Session) -> Done {
        self.write.apply(&mut session.context);
        let strict = self.strict;
        if self.lost {
            return self.run_lost(session);
        }
        let (Some(task_id), true) = (self.task_id.pop(), self.task_id.is_empty()) else {
            return Err(Error::Usage("only --lost takes several tasks; finish them one by one".into()));
        };
        let options = FinishOptions {
            task_id,
            given: part_of_entry(&self.fields.with_end(None, self.end)?)?,
            repositories: self.repositories.resolve()?,
            best_effort: self.best_effort,
        };
        let Session { context, printer, messages, .. } = session;
        let mut report = Report::new(printer, messages);
        let outcome = ops::finish::run(context, options, &mut |progress| {
            report.tell(progress);
            Ok(())
        })
        .map_err(naming_flags)?;
        let unprinted = report.unprinted;
        let status = conclude(session, &outcome, strict)?;
        unprinted.map_or(Ok(status), Err)
    }

    fn run_lost(self, session: &mut Session) -> Done {
        let Session { context, printer, messages, .. } = session;
        let mut report = Report::new(printer, messages);
        let done = ops::finish::run_lost(context, &self.task_id, self.best_effort, &mut |progress| {
            report.tell(progress);
            Ok(())
        })?;
        let unprinted = report.unprinted;
        if done.is_empty() && self.task_id.is_empty() {
            session.messages.note("no task is lost");
        } else if done.is_empty() {
            session
                .messages
                .note("none of these tasks is lost: run `git audit tasks` to see what is running");
        }
        let mut status = ExitStatus::Done;
        for (task_id, outcome) in &done {
            let ended = match outcome {
                Ok(outcome) => conclude(session, outcome, self.strict)?,
                Err(error) => {
                    session.messages.problem(&format!("task {task_id} is not recorded: {error}"));
                    error.exit_status()
                }
            };
            match ended {
                ExitStatus::Done => {}
                worse => status = worse,
            }
        }
        unprinted.map_or(Ok(status), Err)
    }
}

/// Says what became of the journal, and how it went in all.
pub(super) fn conclude(session: &mut Session, outcome: &FinishOutcome, strict: bool) -> Result<ExitStatus> {
    if outcome.recorded.packing_due {
        environment::pack_later(&session.context.place.directory);
    }
    if let Some(path) = &outcome.set_aside {
        session.messages.note(&format!("the journal was moved to {}", path.display()));
    }
    if let Some(path) = &outcome.left {
        let text = format!("{} could not be closed, so that the task will be shown as lost", path.display());
        session.messages.warning(&text);
        session.messages.hint("run `git audit finish --lost` later: it moves the journal aside");
    }
    if !outcome.unreadable.is_empty() {
        let lines: Vec<_> = outcome.unreadable.iter().map(usize::to_string).collect();
        let text =
            format!("lines of the journal that cannot be read are not in the entry: {}", lines.join(", "));
        session.messages.warning(&text);
    }
    Ok(match outcome.recorded {
        recorded if recorded.invalid > 0 => ExitStatus::Invalid,
        recorded if strict && recorded.differing > 0 => ExitStatus::Differs,
        _ => ExitStatus::Done,
    })
}
