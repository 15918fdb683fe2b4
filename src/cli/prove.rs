//! `git audit prove`

use std::path::PathBuf;

use clap::Args;

use super::{Done, KnownTask, Session, task_id};
use crate::entry::TaskId;
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::prove::ProveOptions;
use crate::output::checkpoint as print;

/// Prove to somebody without the ledger that a task's entry is in it
#[derive(Args)]
#[command(
    after_help = "The proof is one text file: the entry as it is stored, its place in the ledger, and the path from
there to the hash in a checkpoint. `git audit verify --proof FILE --key K` checks it without a
repository and without a network. It proves as much as the signatures of its checkpoint are worth.
Without `--checkpoint` it rests on a kept one: the one with the most signatures, of these the newest.

Examples:
  git audit prove deploy-42 --output deploy-42.proof
  git audit prove deploy-42 --checkpoint witnessed.txt > deploy-42.proof
  git audit verify --proof deploy-42.proof --key log.pub"
)]
pub(super) struct ProveArgs {
    /// The task
    #[arg(value_name = "TASK_ID", value_parser = task_id, add = KnownTask)]
    task_id: TaskId,
    /// Rest the proof on this checkpoint
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Write the proof to this file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ProveArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let Self { task_id, checkpoint, output } = self;
        let options = ProveOptions { task_id, checkpoint, output };
        let outcome = ops::prove::run(&session.context, options)?;
        print::proof(&mut session.printer, &outcome)?;
        if outcome.proof.checkpoint.signatures().is_empty() {
            session
                .messages
                .warning("nobody has signed the checkpoint of this proof, so it proves nothing to others");
            session.messages.hint("run `git audit checkpoint --sign KEY`, then prove it again");
        }
        Ok(ExitStatus::Done)
    }
}
