//! `git audit init`

use clap::Args;

use super::{Done, Session, WaitArgs};
use crate::error::ExitStatus;
use crate::ledger::Origin;
use crate::ops;
use crate::ops::init::InitOptions;
use crate::output::single;

/// Begin a ledger in this repository, or adopt the one that is there
#[derive(Args)]
#[command(
    after_help = "In an empty repository the ledger is the current branch. In one that holds other files it is a
branch of its own, `audit`, which shares no history with the code and leaves the working tree
alone.

Examples:
  git audit init
  git audit init --branch main      # beside the code
  git audit init --flat-limit 200"
)]
pub(super) struct InitArgs {
    /// Keep the ledger on this branch
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Entries kept in .audit/tasks/ before later ones are spread over .audit/shards/
    #[arg(long, value_name = "N")]
    flat_limit: Option<u32>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl InitArgs {
    pub fn run(self, session: &mut Session) -> Done {
        session.context.timeout = self.wait.timeout;
        let named = self.branch.is_some();
        let options = InitOptions { branch: self.branch, flat_limit: self.flat_limit };
        let done = ops::init::run(&session.context, &options)?;
        single::init(&mut session.printer, &done)?;
        session.printer.flush()?;
        if let Some(asked) = self.flat_limit.filter(|asked| *asked != done.flat_limit) {
            let kept = done.flat_limit;
            session.messages.warning(&format!(
                "--flat-limit {asked} has no effect: this ledger began with {kept}, in .audit/config.toml"
            ));
        }
        if done.origin == Origin::Created && done.checked_out && !named {
            session.messages.note("this is the branch that is checked out here; commit code to another one");
        }
        if done.origin == Origin::Created {
            session.messages.hint("run `git audit record --task-id ID --status completed` after each task");
        }
        Ok(ExitStatus::Done)
    }
}
