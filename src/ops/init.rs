//! `git audit init`: a repository gets its ledger, or learns where it is.

use super::Context;
use crate::error::{Error, Result};
use crate::ledger::{self, Initialised, Ledger, Origin};

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

/// The ledger of this place. With `make`, one is begun where there is none, and `began` hears on which branch.
///
/// # Errors
/// No repository, no ledger, or one that cannot be read or made.
pub(super) fn open_or_make(
    context: &Context,
    make: bool,
    began: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Ledger> {
    match Ledger::open(&context.place) {
        Err(Error::NoLedger(_)) if make => {
            let done = run(context, &InitOptions::default())?;
            if done.origin == Origin::Created {
                began(&done.branch)?;
            }
            Ledger::open(&context.place)
        }
        opened => opened,
    }
}
