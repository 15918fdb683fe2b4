//! `git audit verify`: what the ledger says of itself, and whether that can be relied upon.

use super::Context;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::verify::log::VerifyingKey;
use crate::verify::{self, Options, checkpoints};

pub use crate::verify::report::{Layer, Report};
pub use crate::verify::{Progress, Since};

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Where to begin: nothing, `pin`, the file of a checkpoint, or a commit.
    pub since: Option<String>,
    /// Layers that must have been checked, and found in order.
    pub required: Vec<Layer>,
    /// Whose signatures on checkpoints count: keys, or files of keys.
    pub keys: Vec<String>,
}

/// Verifies the ledger. `watch` is told how far it is.
///
/// # Errors
/// There is no ledger, no such commit, or no such key.
pub fn run(context: &Context, options: VerifyOptions, watch: &mut dyn FnMut(Progress)) -> Result<Report> {
    let VerifyOptions { since, required, keys } = options;
    let directory = &context.place.directory;
    let keys =
        keys.iter().map(|key| VerifyingKey::read(key, directory)).collect::<Result<Vec<_>>>()?.concat();
    let ledger = Ledger::open_unread(&context.place)?;
    let since = match since {
        None => Since::Beginning,
        Some(word) if word == "pin" => Since::Pin,
        Some(name) => match checkpoints::read(&directory.join(&name)) {
            Ok(Ok(checkpoint)) => Since::Checkpoint(name, checkpoint),
            Ok(Err(problem)) if ledger.commit_named(&name).is_err() => {
                let message = format!("{name} is neither a commit nor a checkpoint: it {problem}");
                return Err(Error::Usage(message));
            }
            _ => Since::Commit(name),
        },
    };
    verify::verify(&ledger, &Options { since, required, keys, threads: super::threads() }, watch)
}
