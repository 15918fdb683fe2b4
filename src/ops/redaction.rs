//! By which rules what is handed in is redacted: those of the ledger's policy, else the built-in ones.

use super::Context;
use crate::entry::Redactor;
use crate::error::{Error, Result};
use crate::ledger::{Ledger, Place};

/// The rules of the ledger at `place`; the built-in ones where there is none, or where it cannot be read.
pub fn redactor_at(place: &Place) -> Redactor {
    Ledger::open(place).and_then(|ledger| ledger.redactor()).unwrap_or_default()
}

/// The ledger and its rules, before anything is read. Where there is no ledger, what comes of that is found when
/// something is to be recorded.
///
/// # Errors
/// The policy cannot be followed. With `best_effort` the built-in rules stand in for it, and what they leave goes to the
/// spool.
pub(super) fn begin(context: &Context, best_effort: bool) -> Result<(Option<Ledger>, Redactor)> {
    let opened = Ledger::open(&context.place).and_then(|ledger| Ok((ledger.redactor()?, ledger)));
    match opened {
        Ok((redactor, ledger)) => Ok((Some(ledger), redactor)),
        Err(error @ Error::Policy(_)) if !best_effort => Err(error),
        Err(_) => Ok((None, Redactor::standard())),
    }
}
