//! `git audit run`

use std::ffi::OsString;

use clap::Args;

use super::ci::CiArgs;
use super::fields::{FieldArgs, naming_flags};
use super::finish::conclude;
use super::report::Report;
use super::repositories::RepositoryArgs;
use super::{Done, Session, WriteArgs, environment, task_id};
use crate::entry::TaskId;
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::input::part_of_entry;
use crate::ops::record::RecordOutcome;
use crate::ops::run::{Ending, RunOptions, RunOutcome};

/// The name of the hidden command that hands on a command's standard error.
const RELAY: &str = "run-relay";
/// `env(1)` has it for its own failures.
const OWN_FAILURE: u8 = 125;

/// Run a command as a task: what it did becomes an entry, and its exit code stands
#[derive(Args)]
#[command(
    after_help = "The command has its own standard input, output and terminal; signals reach it. Exit code 0 makes the
task completed, another one failed, a signal cancelled. The entry has what changed in the
repositories, the time and memory that it took and, unless it completed, the last lines of standard
error. While it runs, the task has a journal, and the command finds its id in GIT_AUDIT_TASK.

The command's exit code passes through; 127 if there is no such command, 126 if it cannot be run,
128+N for signal N. If the entry cannot be recorded, a warning says where it waits.

Examples:
  git audit run --task-id deploy-42 --service web --repo . -- ./deploy.sh web
  git audit run --repo . --repo ../shop -- make release
  git audit run --strict --plan nightly -- cargo test"
)]
pub(super) struct RunArgs {
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
    /// The task's id [default: in a CI job that is recognised, the job's; else one that is made, and sorts by time]
    #[arg(long, value_name = "ID", value_parser = task_id)]
    task_id: Option<TaskId>,
    #[command(flatten)]
    repositories: RepositoryArgs,
    /// Exit 125 where the task cannot be recorded; if that is clear before, the command is not run
    #[arg(long)]
    strict: bool,
    /// Make the ledger where there is none
    #[arg(long)]
    init: bool,
    /// Say on standard error what was recorded
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    ci: CiArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    fields: FieldArgs,
}

impl RunArgs {
    pub fn run(self: Box<Self>, session: &mut Session) -> Done {
        self.write.apply(&mut session.context);
        let strict = self.strict;
        let ci = self.ci.job(!strict, &mut session.messages)?;
        let mut given = part_of_entry(&self.fields.into_fields())?;
        if let Some(ci) = &ci {
            ci.fill(&mut given);
        }
        let asked = match self.task_id.or_else(|| Some(ci?.task_id)) {
            Some(task_id) => task_id,
            None => environment::new_task_id(session.context.place.clock.now())?,
        };
        let program = environment::program();
        let options = RunOptions {
            task_id: asked.clone(),
            given,
            repositories: self.repositories.resolve()?,
            command: self.command,
            relay: program.as_deref().map(|program| (program, &[RELAY] as &[_])),
            init: self.init,
            strict,
        };
        // Standard output is the command's.
        session.printer.give_up();
        let Session { context, printer, messages, .. } = session;
        let mut report = Report::new(printer, messages);
        let run = ops::run::run(context, options, &mut |progress| {
            report.tell(progress);
            Ok(())
        });
        let RunOutcome { task_id, ending, recorded } = match run {
            Ok(outcome) => outcome,
            Err(error) => {
                session.messages.error(&naming_flags(error));
                session.messages.note("the command was not run");
                return Ok(ExitStatus::Child(OWN_FAILURE));
            }
        };
        if task_id != asked {
            session.messages.warning(&format!("task {asked} is another run's; this one is task {task_id}"));
        }
        match &ending {
            Ending::NotFound => session.messages.problem("command not found"),
            Ending::NotExecutable(why) => session.messages.problem(&format!("cannot run the command: {why}")),
            Ending::Code(_) | Ending::Signal(_) => {}
        }
        let is_recorded = match recorded {
            Ok(outcome) => {
                let is_recorded = outcome.recorded.spooled == 0
                    && outcome.recorded.invalid == 0
                    && outcome.recorded.differing == 0;
                if outcome.recorded == RecordOutcome::default() {
                    let text =
                        format!("task {task_id} was finished by something else while it ran; that stands");
                    session.messages.warning(&text);
                }
                conclude(session, &outcome, false)?;
                if self.verbose {
                    let done = if is_recorded { "recorded" } else { "this was" };
                    session.messages.note(&format!("{done} task {task_id}"));
                }
                is_recorded
            }
            Err(error) => {
                session.messages.warning(&format!("task {task_id} is not recorded yet: {error}"));
                session
                    .messages
                    .hint(&format!("run `git audit finish {task_id}`, or `git audit finish --lost`"));
                false
            }
        };
        Ok(ExitStatus::Child(if strict && !is_recorded { OWN_FAILURE } else { ending.exit_code() }))
    }
}

/// Hand on the standard error of a command of `run`
#[derive(Args)]
#[command(hide = true)]
pub(super) struct RelayArgs {}

impl RelayArgs {
    pub fn run(self) -> Done {
        ops::run::relay();
        Ok(ExitStatus::Done)
    }
}
