//! Many entries in one go: one pass that takes them as they come, so that none of them is kept longer than it is needed.
//!
//! The writers' lock is held meanwhile. Whoever drives it ends it when somebody else waits.

use std::collections::HashSet;
use std::path::PathBuf;

use super::append::{Naming, Receipt};
use super::durability::Durability;
use super::identity::Identities;
use super::intents::Intents;
use super::lock::{Deadline, WriterLock};
use super::pack::builder::PackBuilder;
use super::pass::Pass;
use super::publish::{Publication, Published};
use super::queue::Queue;
use super::{Ledger, Request};
use crate::error::{Error, Result};

/// A pass under way.
pub struct Bulk<'l> {
    ledger: &'l Ledger,
    pass: Pass<'l>,
    by: Identities,
    _lock: WriterLock,
}

/// How a pass ended.
pub struct Ended {
    /// How durable its entries are.
    pub durability: Durability,
    /// Where the branch's lock went that a killed process had left.
    pub stale_lock: Option<PathBuf>,
    /// Whether the branch was written into the configuration now. That it could not be is no failure of the pass.
    pub pinned: Result<bool>,
}

impl Ledger {
    /// Begins a pass, when the lock is free.
    ///
    /// # Errors
    /// The deadline passed, or the ledger cannot be read.
    pub fn bulk(&self, deadline: Deadline) -> Result<Bulk<'_>> {
        if Intents::of(self).any() {
            // What an interrupted append left comes first.
            self.append(&[], deadline, Naming::Known)?;
        }
        self.durability.set(self.asked_durability()?);
        self.signing_limit.set(deadline.whole());
        let lock = WriterLock::acquire(&self.state_directory(), self.sharing(), deadline)?;
        self.packs().clean_up();
        Ok(Bulk {
            ledger: self,
            pass: Pass::begin(self, PackBuilder::beside)?.lean(),
            by: self.identities(),
            _lock: lock,
        })
    }

    /// Whether somebody waits for the writers' lock.
    pub fn is_waited_for(&self) -> bool {
        Queue::of(self).is_waiting()
    }
}

impl Bulk<'_> {
    /// Adds one entry. What the receipt says is true once the pass has ended. `None`: it can be judged only by a pass
    /// after that.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn add(&mut self, request: &Request) -> Result<Option<Receipt>> {
        let draft = self.pass.add(request, &self.by, &HashSet::new())?;
        Ok(draft.map(|draft| draft.receipt(None)))
    }

    /// Bytes that the pass holds in memory until it ends.
    pub fn size_bytes(&self) -> usize {
        self.pass.size_bytes()
    }

    /// Makes all of it durable, and moves the branch.
    ///
    /// # Errors
    /// Something else moved the branch meanwhile, the deadline passed, or the pass cannot be written. Nothing of it is
    /// recorded then.
    pub fn end(mut self, deadline: Deadline) -> Result<Ended> {
        let ledger = self.ledger;
        let intents = Intents::of(ledger);
        if let Some((new_tip, stored)) = self.pass.store()? {
            let mut publication = Publication::new(ledger, deadline);
            while let Published::Again = self.pass.publish(new_tip, &mut publication, &intents)? {
                // Where it still is where it was, somebody held the branch's lock for a moment.
                if !ledger.is_at_commit(self.pass.expected)? {
                    return Err(Error::Moved(ledger.branch().to_owned()));
                }
            }
            stored.release();
        } else {
            ledger.sync_ref()?;
        }
        intents.end();
        self.pass.finish();
        let (durability, stale_lock) = (ledger.durability.get(), ledger.stale_lock.take());
        Ok(Ended { durability, stale_lock, pinned: ledger.pin() })
    }
}
