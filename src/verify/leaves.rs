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
#[derive(Debug)]
pub struct Leaves {
    /// The hash of each, in order.
    pub hashes: Vec<Hash>,
    /// The task of each.
    pub tasks: Vec<TaskId>,
    /// The commit that added each, in hexadecimal.
    pub commits: Vec<String>,
    /// The log's name, from the commit that the history begins with.
    pub origin: String,
    /// What is against the ledger.
    pub findings: Vec<Finding>,
}

/// The leaves of a ledger.
///
/// # Errors
/// An entry, or the beginning of the history, cannot be read.
pub fn leaves(ledger: &Ledger, threads: usize) -> Result<Leaves> {
    let from_pin = gather(ledger, Since::Pin, threads)?;
    match from_pin {
        Some(leaves) => Ok(leaves),
        // The notebook is damaged.
        None => gather(ledger, Since::Beginning, threads)?.ok_or_else(|| Error::Damaged(UNREADABLE.into())),
    }
}

const UNREADABLE: &str = "not all of the ledger can be read here, so its entries cannot be stated; `git audit verify` says what is missing";

/// `None`: what was before the start is not known.
fn gather(ledger: &Ledger, since: Since, threads: usize) -> Result<Option<Leaves>> {
    let options = Options { since, threads, ..Options::default() };
    let mut run = Run::begin(ledger, &options)?;
    run.check(&options, &mut |_| {});
    run.judge_pin();
    let mut leaves = Leaves {
        hashes: Vec::new(),
        tasks: Vec::new(),
        commits: Vec::new(),
        origin: String::new(),
        findings: Vec::new(),
    };
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
    let begun = begun.filter(|_| run.checked.unread == 0).ok_or_else(|| Error::Damaged(UNREADABLE.into()))?;
    leaves.origin = format!("git-audit/{begun}");
    if run.is_sound() {
        // What cannot be remembered is verified once more the next time.
        _ = run.remember();
    }
    leaves.findings = run.findings.into_list();
    leaves.findings.retain(|finding| finding.code.severity() == Severity::Error);
    Ok(Some(leaves))
}
