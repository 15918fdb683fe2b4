//! `git audit path`

use clap::Args;

use super::{Done, KnownTask, Session, task_id};
use crate::entry::TaskId;
use crate::error::ExitStatus;
use crate::ops;
use crate::output::single;

/// Print where in the ledger's tree a task's entry is
#[derive(Args)]
#[command(after_help = "Examples:
  git audit path deploy-42
  git show audit:\"$(git audit path deploy-42)\"")]
pub(super) struct PathArgs {
    /// The task
    #[arg(value_name = "TASK_ID", value_parser = task_id, add = KnownTask)]
    task_id: TaskId,
}

impl PathArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let path = ops::path::run(&session.context, &self.task_id)?;
        single::path(&mut session.printer, &self.task_id, &path)?;
        Ok(ExitStatus::Done)
    }
}
