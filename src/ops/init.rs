//! `git audit init`: a repository gets its ledger, or learns where it is.

use super::Context;
use crate::error::Result;
use crate::ledger::{self, Initialised};

/// What the caller may decide.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// The branch, when not the default one.
    pub branch: Option<String>,
    /// How many entries stay in the flat directory.
    pub flat_limit: Option<u32>,
}

/// Makes sure that there is a ledger.
///
/// # Errors
/// See [`ledger::initialise`].
pub fn run(context: &Context, options: &InitOptions) -> Result<Initialised> {
    let (_, outcome) = ledger::initialise(
        &context.place,
        options.branch.as_deref(),
        options.flat_limit,
        context.deadline(),
    )?;
    Ok(outcome)
}
