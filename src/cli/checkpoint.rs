//! `git audit checkpoint`

use std::path::PathBuf;

use clap::Args;

use super::{Done, Session, environment};
use crate::error::{ExitStatus, shell_quoted};
use crate::ops;
use crate::ops::checkpoint::CheckpointOptions;
use crate::output::checkpoint as print;

/// State the ledger as it is now, in three lines to be signed and held against it
#[derive(Args)]
#[command(
    after_help = "A checkpoint has the name of the ledger, the number of its entries, and a hash over all of them in
order. Give it to somebody else: who has one can tell whether anything before it was changed,
removed or put in another place. It is printed, and kept in .git/git-audit/checkpoints. With a
signature it is a C2SP checkpoint, which witnesses can sign too; `--add` takes in what they return.
Nothing is signed where the ledger is not what an earlier checkpoint states.

Exit codes:
  0 made · 3 the ledger is not what an earlier checkpoint states

Examples:
  git audit checkpoint --sign ~/.ssh/id_ed25519
  git audit checkpoint --consistent-with last-year.txt
  git audit checkpoint --add from-the-witness.txt"
)]
pub(super) struct CheckpointArgs {
    /// Sign it by this OpenSSH Ed25519 key: a private key file, or a public one whose other half is in the ssh-agent
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Prove that the ledger goes on from this earlier checkpoint
    #[arg(long, value_name = "FILE")]
    consistent_with: Option<PathBuf>,
    /// Take in a checkpoint of this ledger that came back from somebody else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sign", "consistent_with"])]
    add: Option<PathBuf>,
}

impl CheckpointArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let Self { sign, consistent_with, add } = self;
        let options = match add {
            Some(file) => CheckpointOptions::Add(file),
            None => CheckpointOptions::Make { sign, agent: environment::agent_socket(), consistent_with },
        };
        let outcome = ops::checkpoint::run(&session.context, options)?;
        let Session { printer, messages, .. } = session;
        print::checkpoint(printer, &outcome)?;
        if outcome.is_refused() {
            messages.hint(
                "run `git audit verify` to see what was changed, or `git fetch` if this clone is behind",
            );
            return Ok(ExitStatus::NotValid);
        }
        for finding in &outcome.findings {
            messages.warning(&finding.message);
        }
        if let Some(consistency) = &outcome.consistency {
            let (size, hashes) = (consistency.old.size, consistency.path.len());
            messages.note(&format!(
                "it goes on from the earlier one, of {size} entries; the proof ({hashes} hashes) is in the answer of --json"
            ));
        }
        if let Some(file) = &outcome.file {
            messages.note(&format!("kept in {}", file.display()));
        }
        if let Some(key) = &outcome.verifier {
            messages.note(&format!(
                "its signature is checked by the verifier key {}",
                shell_quoted(&key.to_string())
            ));
        }
        Ok(ExitStatus::Done)
    }
}
