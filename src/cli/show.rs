//! `git audit show`

use clap::Args;

use super::{Done, KnownTask, Session, task_id};
use crate::entry::TaskId;
use crate::error::ExitStatus;
use crate::ops;
use crate::output::single;

/// Show one task's entry
#[derive(Args)]
#[command(after_help = "Examples:
  git audit show deploy-42
  git audit show deploy-42 --format json
  git audit show deploy-42 --raw | sha256sum    # the Audit-Digest of its commit")]
pub(super) struct ShowArgs {
    /// The task
    #[arg(value_name = "TASK_ID", value_parser = task_id, add = KnownTask)]
    task_id: TaskId,
    /// Print the stored bytes, exactly
    #[arg(long, conflicts_with_all = ["format", "json"])]
    raw: bool,
}

impl ShowArgs {
    pub fn run(self, session: &mut Session) -> Done {
        if self.raw {
            let stored = ops::show::raw(&session.context, &self.task_id)?;
            session.printer.bytes(&stored.bytes)?;
            return Ok(ExitStatus::Done);
        }
        session.present();
        let outcome = ops::show::run(&session.context, &self.task_id)?;
        if let Some(warning) = &outcome.entry.stored.warning {
            session.messages.warning(warning);
        }
        if outcome.entry.recorded.is_none() {
            session.say_what_is_missing(&outcome.coverage);
        }
        single::show(&mut session.printer, outcome)?;
        Ok(ExitStatus::Done)
    }
}
