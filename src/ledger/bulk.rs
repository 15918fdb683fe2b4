//! Many entries in one go: one pass that takes them as they come, so that none of them is kept longer than it is needed.
//!
//! The writers' lock is held meanwhile. Whoever drives it ends it when somebody else waits.

use std::collections::HashSet;

use super::append::{Appended, Naming, Receipt};
use super::commit::{CommitId, parse_oid};
use super::identity::Identities;
use super::intents::Intents;
use super::lock::{Deadline, WriterLock};
use super::pack::builder::PackBuilder;
use super::pass::{Draft, Pass};
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
        let Some(draft) = self.pass.add(request, &self.by, &HashSet::new())? else { return Ok(None) };
        Ok(Some(match draft {
            Draft::Recorded { commit, path, digest } => {
                let commit = parse_oid(&commit).map(CommitId);
                let commit = commit.ok_or_else(|| Error::Damaged("a new commit has no id".into()))?;
                Receipt::Recorded { commit, path, digest }
            }
            Draft::Skipped { path, digest, differing, .. } => {
                Receipt::Skipped { commit: None, path, digest, differing }
            }
            Draft::OtherCase { existing } => Receipt::OtherCase { existing },
        }))
    }

    /// Bytes that the pass holds in memory until it ends.
    pub fn size_bytes(&self) -> usize {
        self.pass.size_bytes()
    }

    /// Makes all of it durable, and moves the branch. `receipts` of the answer are empty.
    ///
    /// # Errors
    /// Something else moved the branch meanwhile, the deadline passed, or the pass cannot be written. Nothing of it is
    /// recorded then.
    pub fn end(mut self, deadline: Deadline) -> Result<Appended> {
        let ledger = self.ledger;
        let intents = Intents::of(ledger);
        let mut packing_due = false;
        if let Some((new_tip, stored)) = self.pass.store()? {
            intents.begin(self.pass.files())?;
            let mut publication = Publication::new(ledger, deadline);
            let (log, expected) = (self.pass.log(), self.pass.expected);
            loop {
                match publication.publish(&self.pass.new_files(), expected, new_tip, &log) {
                    Ok(Published::Moved) => break,
                    // Somebody held the branch's lock for a moment; it is where it was.
                    Ok(Published::Again) if ledger.is_at_commit(expected)? => {}
                    Ok(Published::Again) => return Err(Error::Moved(ledger.branch().to_owned())),
                    Err(error) => {
                        if publication.take_back() {
                            intents.end();
                        }
                        return Err(error);
                    }
                }
            }
            stored.release();
            packing_due = ledger.packing_is_due();
        } else {
            ledger.sync_ref()?;
        }
        intents.end();
        self.pass.finish();
        Ok(Appended {
            receipts: Vec::new(),
            durability: ledger.durability.get(),
            healed: Vec::new(),
            stale_lock: ledger.stale_lock.take(),
            packing_due,
            pinned: ledger.pin(),
        })
    }
}
