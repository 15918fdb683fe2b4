//! Verification: the checks, over raw objects. It returns a report, never prints, and never uses the index.
//!
//! - [`report`]: findings, layers, the verdict · [`findings`]: where they are collected
//! - [`object`]: commits and trees out of their bytes · [`timeline`]: the commits in the ledger's order
//! - [`changes`]: what a commit changed · [`history`], [`entries`]: the rules, of a commit and of an entry
//! - [`engine`]: all commits, on all processors
//! - [`run`]: layer by layer, to the report · [`signed`], [`witnessed`]: the layers of signatures and checkpoints
//! - [`pin`]: what this clone has verified before · [`log`]: the Merkle tree, checkpoints, proofs · [`checkpoints`]: those that
//!   this clone keeps
//! - [`view`]: what git is told to see on this machine · [`checkout`]: working trees and indexes
//! - [`signatures`]: whether a commit's signature is good · [`policies`]: whether it must have one
//! - [`guard`]: what a push may do to a ledger
//!
//! What is read here may have been made by somebody who wants it to be believed. So nothing is taken from a place that
//! can say otherwise than the objects do: no revwalk, no index, no commit-graph.

use crate::error::Result;
use crate::ledger::Ledger;
use log::{Checkpoint, VerifyingKey};
use report::{Layer, Report};
use run::Run;

pub mod changes;
pub mod checkout;
pub mod checkpoints;
pub mod engine;
pub mod entries;
pub mod findings;
pub mod guard;
pub mod history;
pub mod leaves;
pub mod log;
pub mod object;
pub mod pin;
pub mod policies;
pub mod report;
mod run;
pub mod signatures;
mod signed;
pub mod timeline;
pub mod view;
mod witnessed;

/// Where a verification begins.
#[derive(Clone, Debug, Default)]
pub enum Since {
    /// At the first commit.
    #[default]
    Beginning,
    /// After what this clone has verified before; at the first commit where that is nothing.
    Pin,
    /// After this commit: an id, or what git takes for one.
    Commit(String),
    /// After what somebody holds against the ledger; a name for it, and the checkpoint. It must hold, too.
    Checkpoint(String, Checkpoint),
}

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to begin.
    pub since: Since,
    /// Layers that must have been checked.
    pub required: Vec<Layer>,
    /// Whose signatures on checkpoints count.
    pub keys: Vec<VerifyingKey>,
    /// Processors to be used.
    pub threads: usize,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Commits that were checked.
    pub done: usize,
    /// Commits that are to be.
    pub total: usize,
}

/// Verifies the ledger, and remembers it if nothing is against it. `watch` is told how far it is.
///
/// # Errors
/// There is nothing to look at: the ref, or the commit to begin after, cannot be read. What is wrong with the ledger is
/// in the report.
pub fn verify(ledger: &Ledger, options: &Options, watch: &mut dyn FnMut(Progress)) -> Result<Report> {
    let mut run = Run::begin(ledger, options)?;
    run.check(options, watch);
    run.judge_pin();
    run.judge_signatures(options);
    run.judge_checkpoints(options);
    run.judge_surroundings();
    Ok(run.report(options))
}
