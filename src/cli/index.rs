//! `git audit index`

use clap::{Args, Subcommand};

use super::listing::Progress;
use super::{Done, Session};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::index::State;
use crate::output::stats;

/// Look at the query index, or build it anew
#[derive(Args)]
#[command(
    after_help = "The index answers queries sooner. It is made from the history by the first query, follows it by itself, and can be \
deleted at any time. Other programs may read its views: docs/INDEX.md.

Examples:
  git audit index status
  git audit index rebuild
  sqlite3 -readonly \"$(git audit index path)\" 'select * from tasks limit 3'"
)]
pub(super) struct IndexArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say how the index stands to the ledger; changes nothing
    Status,
    /// Build it anew
    Rebuild,
    /// Print where it is
    Path,
}

impl IndexArgs {
    pub fn run(self, session: &mut Session) -> Done {
        match self.action {
            Action::Status => stats::index(&mut session.printer, &ops::index::status(&session.context)?)?,
            Action::Path => {
                let report = ops::index::status(&session.context)?;
                stats::index_path(&mut session.printer, &report)?;
                if report.state == State::Missing {
                    session
                        .messages
                        .note("it is not there yet; any query makes it, or `git audit index rebuild`");
                }
            }
            Action::Rebuild => {
                let Session { context, messages, .. } = session;
                let mut progress = Progress::new(messages);
                let report = ops::index::rebuild(context, &mut |news| progress.tell(news))?;
                stats::index(&mut session.printer, &report)?;
            }
        }
        Ok(ExitStatus::Done)
    }
}
