//! `git audit verify`: what the ledger says of itself, and whether that can be relied upon.

use std::num::NonZero;

use super::Context;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::verify;

pub use crate::verify::report::{Layer, Report};
pub use crate::verify::{Progress, Since};

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Where to begin.
    pub since: Since,
    /// Layers that must have been checked, and found in order.
    pub required: Vec<Layer>,
}

/// Verifies the ledger. `watch` is told how far it is.
///
/// # Errors
/// There is no ledger, or no such commit.
pub fn run(context: &Context, options: VerifyOptions, watch: &mut dyn FnMut(Progress)) -> Result<Report> {
    let ledger = Ledger::open_unread(&context.place)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let VerifyOptions { since, required } = options;
    verify::verify(&ledger, &verify::Options { since, required, threads }, watch)
}
