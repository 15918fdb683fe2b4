//! The one way in: any number of entries, one commit each, one barrier and one move of the ref for all of them.
//!
//! Blobs, trees (from the tip's tree), commits; then everything durable; then, where the branch is checked out, the
//! file and the index; then the ref, by compare-and-swap; then the ref durable; only then the receipts. Whoever finds
//! that the ref moved meanwhile begins again from the new tip.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;

use git2::{ErrorCode, ObjectType, Oid, Repository};
use serde_json::Value;

use super::checkout::{Checkout, NewFile, checkouts_of};
use super::commit::{self, CommitId};
use super::entries::{EntryTree, Located, Policy};
use super::identity::Identities;
use super::lock::{Deadline, WriterLock};
use super::objects::Objects;
use super::sharing::Sharing;
use super::{Ledger, durability, git_error};
use crate::entry::parse::Invalid;
use crate::entry::{Digest, Entry, TaskId, compare, message, parse, render};
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
    /// The branch was written into the configuration now.
    pub pinned: bool,
}

impl Ledger {
    /// Records every request, in order. All or none.
    ///
    /// # Errors
    /// The deadline passed, or the ledger cannot be read or written. Nothing is acknowledged then.
    pub fn append(&self, requests: &[Request], deadline: Deadline) -> Result<Appended> {
        let state = self.state_directory();
        let _lock = WriterLock::acquire(&state, Sharing::of(&self.repository), deadline)?;
        let checkouts = checkouts_of(&self.repository, &self.branch.reference);
        let intents = Intents { directory: state.join("pending") };
        let unfinished = intents.unfinished(&checkouts, requests);

        for attempt in 0.. {
            let mut pass = Pass::begin(self)?;
            let healed = unfinished.iter().map(|request| pass.add(request)).collect::<Result<Vec<_>>>()?;
            let receipts = requests.iter().map(|request| pass.add(request)).collect::<Result<Vec<_>>>()?;
            let receipts = pass.name_commits(receipts, requests)?;
            if let Some(new_tip) = pass.new_tip() {
                pass.objects.make_durable()?;
                intents.begin(&pass.files, &checkouts)?;
                stage(&checkouts, &pass.new_files(), &state, self, deadline)?;
                let log = format!("audit: {} entries", pass.files.len());
                if let Some(held) =
                    move_ref(&self.repository, &self.branch.reference, pass.expected, new_tip, &log)?
                {
                    if let Err(busy) = deadline.pause(attempt, &held) {
                        unstage(&checkouts, &pass.new_files(), self);
                        intents.end();
                        return Err(busy);
                    }
                    continue;
                }
            }
            sync_ref(&self.repository, &self.branch.reference)?;
            intents.end();
            let pinned = self.pin()?;
            let healed =
                unfinished.iter().zip(healed).filter(|(_, draft)| matches!(draft, Draft::Recorded { .. }));
            return Ok(Appended {
                receipts,
                healed: healed.map(|(request, _)| request.entry.task_id.clone()).collect(),
                pinned,
            });
        }
        unreachable!("the loop ends by returning, at the latest when the deadline passes")
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
    identities: Identities,
    policy: Policy,
    tree: EntryTree<'r>,
    /// Where the local branch is: what the compare-and-swap expects.
    expected: Oid,
    first_parent: Option<Oid>,
    parent: Option<Oid>,
    made: HashMap<TaskId, CommitId>,
    files: Vec<AddedFile>,
}

struct AddedFile {
    task_id: TaskId,
    path: String,
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
        let expected = ledger.branch.local_tip(&ledger.repository)?.unwrap_or_else(|| objects.zero());
        let parent = ledger.branch.tip(&ledger.repository)?;
        let root = parent.map(|tip| objects.commit(tip)).transpose()?.map(|commit| commit.tree);
        let mut tree = EntryTree::open(Rc::clone(&objects), root)?;
        if !tree.has_ledger()? {
            return Err(Error::Removed(ledger.branch().to_owned()));
        }
        Ok(Self {
            ledger,
            identities: Identities::resolve(&ledger.place.identity, &ledger.settings),
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
                let id = self.commit(root, &request.message)?;
                self.made.insert(task_id.clone(), CommitId(id));
                let bytes = Rc::from(request.bytes.as_slice());
                self.files.push(AddedFile { task_id: task_id.clone(), path: path.clone(), blob, bytes });
                Ok(Draft::Recorded { commit: CommitId(id), path, digest: request.digest })
            }
        }
    }

    fn commit(&mut self, root: Oid, message: &str) -> Result<Oid> {
        let Identities { author, committer } = &self.identities;
        let seconds = self.ledger.place.clock.now().timestamp();
        let bytes = commit::render(root, self.parent, author, committer, seconds, message);
        let id = self.objects.write(ObjectType::Commit, &bytes)?;
        self.parent = Some(id);
        Ok(id)
    }

    /// Looks up, in one walk, which commits added the entries that were there already.
    fn name_commits(&self, drafts: Vec<Draft>, requests: &[Request]) -> Result<Vec<Receipt>> {
        let ids = drafts.iter().zip(requests).filter(|(draft, _)| matches!(draft, Draft::Skipped { .. }));
        let unknown: HashSet<_> =
            ids.map(|(_, request)| request.task_id()).filter(|id| !self.made.contains_key(*id)).collect();
        let mut commits = self.made.clone();
        if !unknown.is_empty() {
            let found = self.ledger.view_at(self.first_parent)?.history()?.find_tasks(unknown)?;
            commits.extend(found.into_iter().map(|(task_id, recorded)| (task_id, recorded.commit)));
        }
        let named = drafts.into_iter().zip(requests).map(|(draft, request)| match draft {
            Draft::Recorded { commit, path, digest } => Receipt::Recorded { commit, path, digest },
            Draft::OtherCase { existing } => Receipt::OtherCase { existing },
            Draft::Skipped { path, digest, differing } => {
                Receipt::Skipped { commit: commits.get(request.task_id()).copied(), path, digest, differing }
            }
        });
        Ok(named.collect())
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

/// Puts the files into every working tree that shows the branch.
pub(super) fn stage(
    checkouts: &[Checkout],
    files: &[NewFile<'_>],
    state: &Path,
    ledger: &Ledger,
    deadline: Deadline,
) -> Result<()> {
    checkouts.iter().try_for_each(|checkout| checkout.stage(files, state, &ledger.place, deadline))
}

/// Takes the files back out of every working tree: the branch did not move, so they are not part of it. Where that
/// fails, too, they stay staged additions, which harm nothing.
fn unstage(checkouts: &[Checkout], files: &[NewFile<'_>], ledger: &Ledger) {
    checkouts.iter().for_each(|checkout| checkout.unstage(files, &ledger.place));
}

/// Moves the ref from `expected` (zero: it must not exist) to `new`. Returns what was in the way, where trying again
/// from the new tip makes sense.
pub(super) fn move_ref(
    repository: &Repository,
    name: &str,
    expected: Oid,
    new: Oid,
    log: &str,
) -> Result<Option<String>> {
    match repository.reference_matching(name, new, true, expected, log) {
        Ok(_) => Ok(None),
        Err(error) => match error.code() {
            ErrorCode::Modified | ErrorCode::NotFound => Ok(Some(format!("the branch {name}"))),
            ErrorCode::Locked => {
                Ok(Some(repository.commondir().join(format!("{name}.lock")).display().to_string()))
            }
            _ => Err(git_error(format!("move {name}"))(error)),
        },
    }
}

/// Makes the ref durable: its file, and every directory up to `refs/heads`, which git made. One that git has packed is
/// git's to sync.
pub(super) fn sync_ref(repository: &Repository, name: &str) -> Result<()> {
    durability::sync_named(&repository.commondir().join(name), &repository.commondir().join("refs/heads"))
}

/// Marks what is about to be put into working trees, so that a process that is killed between the index and the ref
/// leaves a trace: its entry is staged, and the next append completes it.
struct Intents {
    directory: std::path::PathBuf,
}

impl Intents {
    fn begin(&self, files: &[AddedFile], checkouts: &[Checkout]) -> Result<()> {
        if checkouts.is_empty() {
            return Ok(());
        }
        let failed = |error| Error::io(format!("write to {}", self.directory.display()), error);
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mark = |file: &AddedFile| fs::write(self.directory.join(file.task_id.as_str()), &file.path);
        files.iter().try_for_each(mark).map_err(failed)
    }

    /// Everything marked is either in the history now or was found not to be in any working tree.
    fn end(&self) {
        // What cannot be removed is looked at again next time, and then found recorded.
        _ = fs::remove_dir_all(&self.directory);
    }

    /// Entries that an interrupted append left in a working tree. An id that is asked for anew is left to the request.
    fn unfinished(&self, checkouts: &[Checkout], requests: &[Request]) -> Vec<Request> {
        let asked: HashSet<_> = requests.iter().map(Request::task_id).collect();
        let marks = fs::read_dir(&self.directory).into_iter().flatten().filter_map(std::result::Result::ok);
        let marks: BTreeMap<_, _> = marks
            .filter_map(|mark| Some((mark.file_name(), fs::read_to_string(mark.path()).ok()?)))
            .collect();
        let recover = |path: &String| {
            let bytes = checkouts.iter().find_map(|checkout| checkout.read(path))?;
            let entry = super::view::read_entry(&bytes, None).ok()?;
            let given = parse::parse(&bytes).ok()?;
            let request = Request::new(entry, given).ok()?;
            let ours =
                super::layout::task_id_of(path).as_ref() == Some(request.task_id()) && request.bytes == bytes;
            (ours && !asked.contains(request.task_id())).then_some(request)
        };
        marks.values().filter_map(recover).collect()
    }
}
