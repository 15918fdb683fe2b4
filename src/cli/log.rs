//! `git audit log`, and `failures`, which is a log of its own name.

use clap::Args;

use super::filters::{FilterArgs, StatusArg};
use super::listing::PageArgs;
use super::{Done, Session};
use crate::entry::Status;
use crate::output::List;

/// List recorded tasks, the last recorded first
#[derive(Args)]
#[command(after_help = "Examples:
  git audit log --status failed --days 7
  git audit log --service billing --service ledger --since monday
  git audit log --grep '\"connection refused\" payments'
  git audit log --artifact pr:42
  git audit log --where /metadata/ticket=OPS-7 --fields task_id,status,/metadata/ticket
  git audit log --status failed --count
  git audit log --limit all --format csv > tasks.csv")]
pub(super) struct LogArgs {
    #[command(flatten)]
    status: StatusArg,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    page: PageArgs,
}

impl LogArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let filter = self.filters.resolve(&self.status, session.context.place.clock.now())?;
        self.page.list(session, List::Entries, filter, None, None)
    }
}

/// How many days `failures` looks back.
const DAYS: u32 = 7;

/// List tasks that failed, by default in the last 7 days
#[derive(Args)]
#[command(
    after_help = "The same as `git audit log --status failed --days 7`; --since, --until or --days say otherwise.

Examples:
  git audit failures
  git audit failures --service billing --days 30
  git audit failures --since 2026-11-01 --until 2026-11-07 --json"
)]
pub(super) struct FailuresArgs {
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    page: PageArgs,
}

impl FailuresArgs {
    pub fn run(mut self, session: &mut Session) -> Done {
        self.filters.within_days_unless_asked(DAYS);
        let now = session.context.place.clock.now();
        let filter = self.filters.resolve(&StatusArg::only(Status::Failed), now)?;
        self.page.list(session, List::Entries, filter, None, None)
    }
}
