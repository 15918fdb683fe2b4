//! The one way in: any number of entries, one commit each, one barrier and one move of the ref for all of them.
//!
//! Blobs, trees (from the tip's tree), commits; then everything durable; then, where the branch is checked out, the
//! file and the index; then the ref, by compare-and-swap; then the ref durable; only then the receipts. Whoever finds
//! that the ref moved meanwhile begins again from the new tip.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use git2::{ObjectType, Oid};
use serde_json::Value;

use super::Ledger;
use super::checkout::NewFile;
use super::commit::{self, CommitId};
use super::entries::{EntryTree, Located, Policy};
use super::identity::Identities;
use super::intents::Intents;
use super::lock::{Deadline, WriterLock};
use super::objects::Objects;
use super::publish::{Publication, Published};
use super::sharing::Sharing;
use crate::entry::parse::Invalid;
use crate::entry::{Digest, Entry, TaskId, compare, message, render};
use crate::error::{Error, Result};

/// An entry that is to be recorded, ready to be written.
#[derive(Debug)]
pub struct Request {
    entry: Entry,
    given: Value,
    bytes: Vec<u8>,
    digest: Digest,
    message: String,
}

impl Request {
    /// `given` is what the caller wrote: only that is compared when the entry exists already.
    ///
    /// # Errors
    /// The entry is over 1 MiB.
    pub fn new(entry: Entry, given: Value) -> std::result::Result<Self, Invalid> {
        let bytes = render::stored_bytes(&entry)?;
        // Whatever rule is forgotten elsewhere: nothing is recorded that could not be read again as what it was.
        if super::view::read_entry(&bytes, None)? != entry {
            return Err(Invalid::whole(
                "does not read back as it was given; this is a fault of git-audit, please report it",
            ));
        }
        let digest = Digest::of(&bytes);
        let message = message::build(&entry, &digest);
        Ok(Self { entry, given, bytes, digest, message })
    }

    /// The task that the entry is of.
    pub fn task_id(&self) -> &TaskId {
        &self.entry.task_id
    }

    /// The bytes of the entry as it will be stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The size of the entry as it will be stored.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn differing(&self, stored: &[u8]) -> Vec<String> {
        let stored: Value = serde_json::from_slice(stored).unwrap_or_default();
        let ours: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        compare::differing(&self.given, &ours, &stored)
    }
}

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

/// What one append did.
#[derive(Debug)]
pub struct Appended {
    /// One per request, in order.
    pub receipts: Vec<Receipt>,
    /// Tasks of earlier, interrupted appends that were completed now.
    pub healed: Vec<TaskId>,
    /// Whether the branch was written into the configuration now. That it could not be is no failure of the record.
    pub pinned: Result<bool>,
}

impl Ledger {
    /// Records every request, in order. All or none.
    ///
    /// # Errors
    /// The deadline passed, or the ledger cannot be read or written. Nothing is acknowledged then.
    pub fn append(&self, requests: &[Request], deadline: Deadline) -> Result<Appended> {
        let lock = WriterLock::acquire(&self.state_directory(), Sharing::of(&self.settings), deadline)?;
        let intents = Intents::of(self);
        let unfinished = intents.unfinished(requests);
        let mut publication = Publication::new(self, deadline);
        let mut made_before = HashSet::new();
        let (pass, healed, drafts) = loop {
            let mut pass = Pass::begin(self)?;
            let healed = unfinished.iter().map(|request| pass.add(request)).collect::<Result<Vec<_>>>()?;
            let drafts = requests.iter().map(|request| pass.add(request)).collect::<Result<Vec<_>>>()?;
            let Some(new_tip) = pass.new_tip() else {
                self.sync_ref()?;
                break (pass, healed, drafts);
            };
            pass.objects.make_durable()?;
            intents.begin(&pass.files)?;
            let log = format!("audit: {} entries", pass.files.len());
            let published = publication.publish(&pass.new_files(), pass.expected, new_tip, &log);
            match published {
                Ok(Published::Moved) => break (pass, healed, drafts),
                Ok(Published::Again) => {}
                Err(error) => {
                    if publication.take_back() {
                        intents.end();
                    }
                    return Err(error);
                }
            }
            made_before.extend(pass.made.into_keys());
        };
        intents.end();
        // Looking commits up can take a walk; nobody has to wait for that.
        drop(lock);
        let receipts = pass.name_commits(drafts, requests, &made_before);
        let healed =
            unfinished.iter().zip(healed).filter(|(_, draft)| matches!(draft, Draft::Recorded { .. }));
        let healed = healed.map(|(request, _)| request.entry.task_id.clone()).collect();
        Ok(Appended { receipts, healed, pinned: self.pin() })
    }

    /// Writes a commit object, by the usual identity and at the time of the clock. Nothing refers to it yet.
    pub(super) fn write_commit(
        &self,
        objects: &Objects<'_>,
        root: Oid,
        parent: Option<Oid>,
        message: &str,
    ) -> Result<Oid> {
        let Identities { author, committer } = Identities::resolve(&self.place.identity, &self.settings);
        let seconds = self.place.clock.now().timestamp();
        let bytes = commit::render(root, parent, &author, &committer, seconds, message);
        objects.write(ObjectType::Commit, &bytes)
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

/// The work of one try: from the tip as it is now to a chain of new commits that nothing refers to yet.
struct Pass<'r> {
    objects: Rc<Objects<'r>>,
    ledger: &'r Ledger,
    policy: Policy,
    tree: EntryTree<'r>,
    /// Where the local branch is: what the compare-and-swap expects.
    expected: Oid,
    first_parent: Option<Oid>,
    parent: Option<Oid>,
    made: HashMap<TaskId, CommitId>,
    files: Vec<AddedFile>,
}

pub(super) struct AddedFile {
    pub task_id: TaskId,
    pub path: String,
    blob: Oid,
    bytes: Rc<[u8]>,
}

/// A receipt before the commits of skipped entries are looked up.
enum Draft {
    Recorded { commit: CommitId, path: String, digest: Digest },
    Skipped { path: String, digest: Digest, differing: Vec<String> },
    OtherCase { existing: String },
}

impl<'r> Pass<'r> {
    fn begin(ledger: &'r Ledger) -> Result<Self> {
        let objects = Rc::new(ledger.objects()?);
        let expected = ledger.branch.local_tip(&ledger.repository)?.unwrap_or_else(|| ledger.zero());
        let parent = ledger.branch.tip(&ledger.repository)?;
        let mut tree = EntryTree::at(&objects, parent)?;
        if !tree.has_ledger()? {
            return Err(Error::Removed(ledger.branch().to_owned()));
        }
        Ok(Self {
            ledger,
            policy: tree.policy()?,
            tree,
            expected,
            first_parent: parent,
            parent,
            objects,
            made: HashMap::new(),
            files: Vec::new(),
        })
    }

    fn add(&mut self, request: &Request) -> Result<Draft> {
        let task_id = &request.entry.task_id;
        match self.tree.locate(task_id)? {
            Located::Here { path, blob } => {
                let stored = self.objects.read(blob, ObjectType::Blob)?;
                Ok(Draft::Skipped {
                    path,
                    digest: Digest::of(&stored),
                    differing: request.differing(&stored),
                })
            }
            Located::OtherCase(existing) => Ok(Draft::OtherCase { existing }),
            Located::Absent => {
                let path = self.tree.path_for(task_id, &self.policy)?;
                let blob = self.objects.write(ObjectType::Blob, &request.bytes)?;
                let root = self.tree.add(&[(&path, blob)])?;
                let id = self.ledger.write_commit(&self.objects, root, self.parent, &request.message)?;
                self.parent = Some(id);
                self.made.insert(task_id.clone(), CommitId(id));
                let bytes = Rc::from(request.bytes.as_slice());
                self.files.push(AddedFile { task_id: task_id.clone(), path: path.clone(), blob, bytes });
                Ok(Draft::Recorded { commit: CommitId(id), path, digest: request.digest })
            }
        }
    }

    /// Looks up, in one walk, which commits added the entries that were there already. One of `made_before` was not
    /// there when we began: somebody's `git commit` took it along from the index, so it has been recorded by this.
    fn name_commits(
        &self,
        drafts: Vec<Draft>,
        requests: &[Request],
        made_before: &HashSet<TaskId>,
    ) -> Vec<Receipt> {
        let ids = drafts.iter().zip(requests).filter(|(draft, _)| matches!(draft, Draft::Skipped { .. }));
        let unknown: HashSet<_> =
            ids.map(|(_, request)| request.task_id()).filter(|id| !self.made.contains_key(*id)).collect();
        let mut commits = self.made.clone();
        if !unknown.is_empty() {
            // What is new has been recorded by now: a history that cannot be read costs the name of an older commit, not
            // the receipts.
            let found =
                self.ledger.view_at(self.first_parent).and_then(|view| view.history()?.find_tasks(unknown));
            let found = found.unwrap_or_default().into_iter();
            commits.extend(found.map(|(task_id, recorded)| (task_id, recorded.commit)));
        }
        let named = drafts.into_iter().zip(requests).map(|(draft, request)| match draft {
            Draft::Recorded { commit, path, digest } => Receipt::Recorded { commit, path, digest },
            Draft::OtherCase { existing } => Receipt::OtherCase { existing },
            Draft::Skipped { path, digest, differing } => match commits.get(request.task_id()).copied() {
                Some(commit) if made_before.contains(request.task_id()) && digest == request.digest => {
                    Receipt::Recorded { commit, path, digest }
                }
                commit => Receipt::Skipped { commit, path, digest, differing },
            },
        });
        named.collect()
    }

    fn new_tip(&self) -> Option<Oid> {
        self.parent.filter(|_| !self.files.is_empty())
    }

    fn new_files(&self) -> Vec<NewFile<'_>> {
        self.files
            .iter()
            .map(|file| NewFile { path: &file.path, blob: file.blob, bytes: &file.bytes })
            .collect()
    }
}
