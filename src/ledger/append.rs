//! The one way in: any number of entries, one commit each, one barrier and one move of the ref for all of them.
//!
//! Blobs, trees (from the tip's tree), commits; then everything durable; then, where the branch is checked out, the
//! file and the index; then the ref, by compare-and-swap; then the ref durable; only then the receipts. Whoever finds
//! that the ref moved meanwhile begins again from the new tip. Whoever holds the writers' lock does it for all that
//! wait for it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::commit::CommitId;
use super::durability::Durability;
use super::identity::Identities;
use super::intents::Intents;
use super::lock::{Deadline, WriterLock};
use super::pass::{Draft, Pass};
use super::publish::{Publication, Published};
use super::queue::{Answer, Queue, Service, Turn};
use super::{Ledger, Request};
use crate::entry::{Digest, TaskId};
use crate::error::Result;

/// What became of a request. A receipt is given only when what it says is durable.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// The entry is in the history now.
    Recorded {
        /// The commit that adds it.
        commit: CommitId,
        /// Its path in the tree.
        path: String,
        /// The digest of its bytes.
        digest: Digest,
    },
    /// The entry was there already.
    Skipped {
        /// The commit that added it; `None` where a shallow clone does not hold it.
        commit: Option<CommitId>,
        /// Its path in the tree.
        path: String,
        /// The digest of the stored bytes.
        digest: Digest,
        /// JSON pointers of the caller's fields that are stored otherwise.
        differing: Vec<String>,
    },
    /// Not recorded: an id that differs only in case is in the ledger.
    OtherCase {
        /// That id.
        existing: String,
    },
}

/// Whether receipts of entries that were there already name the commits that added them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// They do, for which the history is walked.
    Every,
    /// Only those that are known without.
    Known,
}

/// What one append did.
#[derive(Debug)]
pub struct Appended {
    /// One per request, in order.
    pub receipts: Vec<Receipt>,
    /// How durable they are.
    pub durability: Durability,
    /// Tasks of earlier, interrupted appends that were completed now.
    pub healed: Vec<TaskId>,
    /// Where the branch's lock went that a killed process had left.
    pub stale_lock: Option<PathBuf>,
    /// Whether packs have piled up that [`Ledger::pack`] should put together.
    pub packing_due: bool,
    /// Whether the branch was written into the configuration now. That it could not be is no failure of the record.
    pub pinned: Result<bool>,
}

impl Ledger {
    /// Records every request, in order. All or none.
    ///
    /// # Errors
    /// The deadline passed, or the ledger cannot be read or written. Nothing is acknowledged then.
    pub fn append(&self, requests: &[Request], deadline: Deadline, naming: Naming) -> Result<Appended> {
        self.durability.set(self.asked_durability()?);
        self.signing_limit.set(deadline.whole());
        let queue = Queue::of(self);
        // A signature is of who gives it: nobody signs for others, nor leaves it to them.
        let served = if self.is_signing()? { Service::None } else { Service::ByOthers };
        match queue.wait(requests, served, deadline)? {
            Turn::Ours(lock) => self.append_for_all(requests, &queue, lock, deadline, naming),
            Turn::Served(Answer { drafts, durability }) => Ok(Appended {
                receipts: self.name_commits(drafts, requests, &HashMap::new(), naming),
                durability,
                healed: Vec::new(),
                stale_lock: None,
                packing_due: false,
                pinned: self.pin(),
            }),
        }
    }

    /// Records ours, and those of everybody who waits for the lock.
    fn append_for_all(
        &self,
        requests: &[Request],
        queue: &Queue<'_>,
        lock: WriterLock,
        deadline: Deadline,
        naming: Naming,
    ) -> Result<Appended> {
        self.packs().clean_up();
        let by = self.identities();
        let intents = Intents::of(self);
        let unfinished = intents.unfinished(requests);
        let mut waiting = queue.claim();
        let durability = waiting
            .iter()
            .map(|waiting| waiting.durability)
            .chain([self.durability.get()])
            .max()
            .unwrap_or_default();
        self.durability.set(durability);
        let entries = requests.len() + waiting.iter().map(|waiting| waiting.requests.len()).sum::<usize>();

        let mut publication = Publication::new(self, deadline);
        let mut packing_due = false;
        let mut earlier_tries = Vec::new();
        let mut made_before = HashSet::new();
        let (pass, healed, drafts) = loop {
            let mut pass = Pass::begin(self, Pass::pack_for(entries))?;
            let is_signed = pass.is_signed();
            let mut add_all = |requests: &[Request], by: &Identities| {
                requests
                    .iter()
                    .filter_map(|request| pass.add(request, by, &made_before).transpose())
                    .collect::<Result<Vec<_>>>()
            };
            let healed = add_all(&unfinished, &by)?;
            let drafts = add_all(requests, &by)?;
            if is_signed {
                waiting.drain(..).for_each(|other| queue.give_back(&other));
            }
            waiting.retain_mut(|other| match add_all(&other.requests, &other.by) {
                Ok(drafts) => {
                    other.drafts = drafts;
                    true
                }
                // What is wrong with somebody else's request is theirs to find out.
                Err(_) => {
                    queue.give_back(other);
                    false
                }
            });
            let Some((new_tip, stored)) = pass.store()? else {
                self.sync_ref()?;
                break (pass, healed, drafts);
            };
            match pass.publish(new_tip, &mut publication, &intents)? {
                Published::Moved => {
                    let is_large = stored.release().is_large();
                    packing_due = (is_large || self.packs().shelf.is_crowded()) && self.packing_is_due();
                    break (pass, healed, drafts);
                }
                // Kept until the end: what is stored now must not be taken for what nobody keeps.
                Published::Again => earlier_tries.push(stored),
            }
            made_before.extend(pass.files().iter().map(|file| file.task_id.clone()));
        };
        intents.end();
        let made = pass.finish();
        queue.answer(waiting, durability);
        // Looking commits up can take a walk; nobody has to wait for that.
        drop(lock);
        let receipts = self.name_commits(drafts, requests, &made, naming);
        let healed =
            unfinished.iter().zip(healed).filter(|(_, draft)| matches!(draft, Draft::Recorded { .. }));
        let healed = healed.map(|(request, _)| request.task_id().clone()).collect();
        let stale_lock = self.stale_lock.take();
        Ok(Appended { receipts, durability, healed, stale_lock, packing_due, pinned: self.pin() })
    }

    /// Writes the branch into the configuration, so that later records go there whatever is checked out by then. A
    /// branch that continues the one of `origin` is told so, as `git switch` would.
    ///
    /// Returns whether that was needed.
    pub(super) fn pin(&self) -> Result<bool> {
        if self.branch.pinned || self.is_pinned_now.replace(true) {
            return Ok(false);
        }
        let short = self.branch.short();
        let remote = format!("branch.{short}.remote");
        if self.settings.text(&remote).is_none() && self.branch.has_upstream(&self.repository)? {
            self.settings.set_local(&remote, "origin")?;
            self.settings.set_local(&format!("branch.{short}.merge"), &self.branch.reference)?;
        }
        self.settings.set_local("audit.branch", short)?;
        Ok(true)
    }
}
