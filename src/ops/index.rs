//! `git audit index`: the state of the index, and building it anew.

use super::Context;
use crate::error::{Error, Result};
use crate::index::{Failure, Index, News};
use crate::ledger::Ledger;

pub use crate::index::{Report, State};

/// How the index stands to the ledger.
///
/// # Errors
/// No ledger.
pub fn status(context: &Context) -> Result<Report> {
    Index::report(&Ledger::open(&context.place)?)
}

/// Builds the index anew, and says how it stands then.
///
/// # Errors
/// No ledger; the history cannot be read; the index cannot be written.
pub fn rebuild(context: &Context, watch: &mut dyn FnMut(News)) -> Result<Report> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    match Index::rebuild(&ledger, &mut view, watch) {
        Ok(index) => drop(index),
        Err(Failure::Ledger(error)) => return Err(error),
        Err(failure) => {
            let why = std::io::Error::other(failure.to_string());
            return Err(Error::io("build the index", why));
        }
    }
    Index::report(&ledger)
}
