//! `git audit tasks`

use clap::Args;

use super::{Done, RunningTask, Session, task_id};
use crate::entry::TaskId;
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::tasks::{TasksOptions, TasksOutcome};
use crate::output::running as print;

/// List the tasks that are running: since when, and whether their process lives
#[derive(Args)]
#[command(
    after_help = "A task is `alive` while its process lives, and `lost` when that is gone; `open` where it belongs to
no process, `elsewhere` where the process is of another machine or container, `finishing` where its
end was said and its entry is not in the ledger yet.

Examples:
  git audit tasks
  git audit tasks --lost
  git audit tasks deploy-42 --json"
)]
pub(super) struct TasksArgs {
    /// Only these, each with its story so far
    #[arg(value_name = "TASK", value_parser = task_id, add = RunningTask)]
    task_id: Vec<TaskId>,
    /// Only those whose process is gone: `git audit finish --lost` records them
    #[arg(long)]
    lost: bool,
}

impl TasksArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let (is_whole, is_lost) = (!self.task_id.is_empty(), self.lost);
        let options = TasksOptions { tasks: self.task_id, lost: self.lost };
        let TasksOutcome { tasks, unreadable } = ops::tasks::run(&session.context, &options)?;
        session.present();
        print::tasks(&mut session.printer, &tasks, is_whole)?;
        session.printer.flush()?;
        for (task_id, error) in &unreadable {
            session.messages.warning(&format!("task {task_id} is not shown: {error}"));
        }
        if tasks.is_empty() && unreadable.is_empty() {
            session.messages.note(if is_lost { "no task is lost" } else { "no task is running here" });
        }
        if tasks.iter().any(|task| task.state == ops::tasks::State::Lost) {
            session.messages.hint("run `git audit finish --lost` to record what is there of the lost ones");
        }
        Ok(if unreadable.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
    }
}
