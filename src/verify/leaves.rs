//! The leaves of the Merkle log: every entry's hash, in the ledger's order.
//!
//! What was verified in this clone before is taken from its notebook; what came after is verified now. So whoever states
//! the ledger to others, or proves an entry of it, relies on nothing that was not checked here.

use super::log::merkle::Hash;
use super::pin::Noted;
use super::report::{Finding, Severity};
use super::run::Run;
use super::{Options, Since};
use crate::entry::TaskId;
use crate::error::{Error, Result};
use crate::ledger::Ledger;

/// All entries.
#[derive(Debug, Default)]
pub struct Leaves {
    /// The hash of each, in order.
    pub hashes: Vec<Hash>,
    /// The task of each.
    pub tasks: Vec<TaskId>,
    /// The commit that added each, in hexadecimal.
    pub commits: Vec<String>,
    /// The log's name, from the commit that the history begins with.
    pub origin: String,
    /// Why that is not all of the ledger, if it is not.
    pub gap: Option<Error>,
    /// What is against the ledger: with any of it, nobody should state it to others.
    pub findings: Vec<Finding>,
}

/// The leaves of a ledger.
///
/// # Errors
/// There is nothing to look at: the ref cannot be read.
pub fn leaves(ledger: &Ledger, threads: usize) -> Result<Leaves> {
    let from_pin = gather(ledger, Since::Pin, threads)?;
    // Where the notebook is damaged, nothing that was verified before is of use.
    from_pin.map_or_else(|| gather(ledger, Since::Beginning, threads).map(Option::unwrap_or_default), Ok)
}

const UNREADABLE: &str = "not all of the ledger can be read here, so its entries cannot be stated; `git audit verify` says what is missing";

/// `None`: what was before the start is not known.
fn gather(ledger: &Ledger, since: Since, threads: usize) -> Result<Option<Leaves>> {
    let options = Options { since, threads, ..Options::default() };
    let mut run = Run::begin(ledger, &options)?;
    run.check(&options, &mut |_| {});
    run.judge_pin();
    run.judge_signatures(&options);
    let mut leaves = Leaves::default();
    let pin = run.start.as_ref().and_then(|start| start.pin.as_ref());
    if let Some(pin) = pin {
        let Some(noted) = run.memory.noted(pin) else { return Ok(None) };
        for Noted { hash, task_id, commit } in noted {
            leaves.hashes.push(hash);
            leaves.tasks.push(task_id);
            leaves.commits.push(commit);
        }
    }
    for leaf in &run.checked.leaves {
        leaves.hashes.push(leaf.hash);
        leaves.tasks.push(leaf.task_id.clone());
        leaves.commits.push(leaf.commit.to_string());
    }
    let begun = run.root_commit();
    if begun.is_none() || run.checked.unread > 0 {
        leaves.gap = Some(Error::Damaged(UNREADABLE.into()));
    }
    leaves.origin = format!("git-audit/{}", begun.unwrap_or_default());
    if run.is_sound() {
        // What cannot be remembered is verified once more the next time.
        _ = run.remember();
    }
    leaves.findings = run.findings.into_list();
    leaves.findings.retain(|finding| finding.code.severity() == Severity::Error);
    Ok(Some(leaves))
}
