//! The walk: from the tip through the commits, newest first. It is the truth for every query.
//!
//! The subject and trailers of a commit are enough for most questions. A commit that is not one of ours (someone's
//! `git commit` may have taken a staged entry along, a merge may bring another clone's) is compared with its parents.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::rc::Rc;

use chrono::{DateTime, Utc};
use git2::{ObjectType, Oid};

use super::commit::{Commit, CommitId};
use super::layout::{ROOT, task_id_of};
use super::objects::Objects;
use super::view::read_entry;
use crate::entry::message::{self, Summary};
use crate::entry::{Digest, TaskId};
use crate::error::{Error, Result};

/// One entry of the history: the commit that added it, and what that commit's message says.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The commit that added the entry.
    pub commit: CommitId,
    /// When it did.
    pub recorded_at: DateTime<Utc>,
    pub(super) tree: Oid,
    message: String,
    /// The commit's own message says so; else it was found by comparing the commit with its parents.
    by_us: bool,
}

impl Recorded {
    /// What the message says.
    ///
    /// # Errors
    /// Never for what the walk yields: it yields only messages that can be read.
    pub fn summary(&self) -> Result<Summary<'_>> {
        Summary::parse(&self.message)
            .ok_or_else(|| Error::Damaged(format!("commit {} has no entry", self.commit)))
    }
}

/// An iterator over the entries, newest first.
pub struct History<'r> {
    objects: Rc<Objects<'r>>,
    /// Commits that git says are cut off from their parents (`.git/shallow`).
    shallow: HashSet<Oid>,
    waiting: BinaryHeap<Waiting>,
    discovered: u64,
    /// Only kept from the first merge on: before it, no commit can be met twice.
    met: Option<HashSet<Oid>>,
    /// Tasks yielded since the first merge: two sides may have recorded the same one.
    yielded: HashSet<String>,
    /// The `.audit` tree of recently compared root trees.
    ledger_trees: HashMap<Oid, Option<Oid>>,
    /// Entries of the commit at hand that are still to be yielded.
    ready: Vec<Recorded>,
    entries: u64,
    incomplete: Option<String>,
    warnings: Vec<String>,
}

/// A commit whose turn comes later: by commit time, then in the order of discovery. On a linear history (every ledger
/// that was never merged) one commit waits at a time, and clocks do not matter.
struct Waiting {
    order: (i64, Reverse<u64>),
    id: Oid,
    commit: Commit,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl<'r> History<'r> {
    pub(super) fn new(objects: Rc<Objects<'r>>, tip: Option<Oid>, shallow: HashSet<Oid>) -> Result<Self> {
        let mut history = Self {
            objects,
            shallow,
            waiting: BinaryHeap::new(),
            discovered: 0,
            met: None,
            yielded: HashSet::new(),
            ledger_trees: HashMap::new(),
            ready: Vec::new(),
            entries: 0,
            incomplete: None,
            warnings: Vec::new(),
        };
        if let Some(tip) = tip {
            let commit = history.objects.commit(tip)?;
            history.enqueue(tip, commit);
        }
        Ok(history)
    }

    /// Where the entry of `task_id` was recorded, walking only as far as needed.
    ///
    /// # Errors
    /// The history cannot be read.
    pub fn find_task(self, task_id: &TaskId) -> Result<Option<Recorded>> {
        Ok(self.find_tasks(HashSet::from([task_id]))?.remove(task_id))
    }

    /// Where the entries of `wanted` were recorded, in one walk that goes only as far as needed. A commit that is not
    /// one of ours counts only where none of ours is found further back: it may have put an entry back, changed.
    pub(super) fn find_tasks(self, mut wanted: HashSet<&TaskId>) -> Result<HashMap<TaskId, Recorded>> {
        let mut found = HashMap::new();
        for recorded in self {
            let recorded = recorded?;
            let Ok(task_id) = TaskId::new(recorded.summary()?.task_id) else { continue };
            if !wanted.contains(&task_id) {
                continue;
            }
            if recorded.by_us {
                wanted.remove(&task_id);
                found.insert(task_id, recorded);
            } else {
                found.entry(task_id).or_insert(recorded);
            }
            if wanted.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Entries yielded so far: all of the ledger's, once the walk has ended.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Why the history is not all there, as far as the walk has met it.
    pub fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }

    /// What the walk passed over, for the reader to know; each a sentence.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn enqueue(&mut self, id: Oid, commit: Commit) {
        self.discovered += 1;
        self.waiting.push(Waiting { order: (commit.committed_at, Reverse(self.discovered)), id, commit });
    }

    fn enqueue_parents(&mut self, id: Oid, commit: &Commit) -> Result<()> {
        if commit.parents.len() > 1 && self.met.is_none() {
            self.met = Some(self.waiting.iter().map(|waiting| waiting.id).collect());
        }
        for parent in &commit.parents {
            if self.met.as_mut().is_some_and(|met| !met.insert(*parent)) {
                continue;
            }
            match self.objects.try_read(*parent, ObjectType::Commit)? {
                Some(bytes) => {
                    let parent_commit = Commit::parse(*parent, &bytes)?;
                    self.enqueue(*parent, parent_commit);
                }
                None if self.shallow.contains(&id) => {
                    self.incomplete =
                        Some(format!("shallow clone: the history before commit {id} is not here"));
                }
                None => {
                    return Err(Error::Damaged(format!("commit {parent}, the parent of {id}, is missing")));
                }
            }
        }
        Ok(())
    }

    fn visit(&mut self, id: Oid, commit: Commit) -> Result<()> {
        self.enqueue_parents(id, &commit)?;
        if Summary::parse(&commit.message).is_some() {
            self.ready.push(recorded(id, &commit, commit.message.clone(), true));
        } else {
            self.compare_with_parents(id, &commit)?;
        }
        if self.met.is_some() {
            let yielded = &mut self.yielded;
            self.ready
                .retain(|one| one.summary().is_ok_and(|summary| yielded.insert(summary.task_id.to_owned())));
        }
        self.entries += self.ready.len() as u64;
        Ok(())
    }

    /// Finds the entries that a commit adds which is not one of ours.
    fn compare_with_parents(&mut self, id: Oid, commit: &Commit) -> Result<()> {
        let Some(ledger) = self.ledger_tree(commit.tree)? else { return Ok(()) };
        let mut before = Vec::new();
        for parent in &commit.parents {
            // A parent that is not here (shallow) makes everything in this commit look new; that is the best answer.
            if let Some(bytes) = self.objects.try_read(*parent, ObjectType::Commit)? {
                before.extend(self.ledger_tree(Commit::parse(*parent, &bytes)?.tree)?);
            }
        }
        let mut added = Vec::new();
        collect_added(&self.objects, ROOT, ledger, &before, &mut added)?;
        for (path, blob) in added {
            let Some(bytes) = self.objects.try_read(blob, ObjectType::Blob)? else { continue };
            match read_entry(&bytes, None) {
                Ok(entry) => {
                    let message = message::build(&entry, &Digest::of(&bytes));
                    self.ready.push(recorded(id, commit, message, false));
                }
                Err(invalid) => {
                    let short = CommitId(id).short();
                    self.warnings
                        .push(format!("{path}, added by commit {short}, is not a valid entry: {invalid}"));
                }
            }
        }
        Ok(())
    }

    fn ledger_tree(&mut self, root: Oid) -> Result<Option<Oid>> {
        if let Some(known) = self.ledger_trees.get(&root) {
            return Ok(*known);
        }
        if self.ledger_trees.len() >= 4096 {
            self.ledger_trees.clear();
        }
        let tree = self.objects.tree(root)?;
        let ledger = tree.find(ROOT).filter(super::tree::TreeEntry::is_directory).map(|entry| entry.oid());
        self.ledger_trees.insert(root, ledger);
        Ok(ledger)
    }
}

impl Iterator for History<'_> {
    type Item = Result<Recorded>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(recorded) = self.ready.pop() {
                return Some(Ok(recorded));
            }
            let Waiting { id, commit, .. } = self.waiting.pop()?;
            if let Err(error) = self.visit(id, commit) {
                self.waiting.clear();
                return Some(Err(error));
            }
        }
    }
}

fn recorded(id: Oid, commit: &Commit, message: String, by_us: bool) -> Recorded {
    // A time that is none (somebody's own commit) must not end the walk.
    let recorded_at = DateTime::from_timestamp(commit.committed_at, 0).unwrap_or(DateTime::UNIX_EPOCH);
    Recorded { commit: CommitId(id), recorded_at, tree: commit.tree, message, by_us }
}

/// Entry files below `tree` whose name is in none of the trees `before`.
fn collect_added(
    objects: &Objects<'_>,
    path: &str,
    tree: Oid,
    before: &[Oid],
    added: &mut Vec<(String, Oid)>,
) -> Result<()> {
    if before.contains(&tree) {
        return Ok(());
    }
    let before = before.iter().map(|id| objects.tree(*id)).collect::<Result<Vec<_>>>()?;
    for entry in objects.tree(tree)?.iter() {
        let Ok(name) = std::str::from_utf8(entry.name) else { continue };
        let path = format!("{path}/{name}");
        let earlier: Vec<_> = before.iter().filter_map(|tree| tree.find(name)).collect();
        if entry.is_directory() {
            let earlier: Vec<_> = earlier
                .iter()
                .filter(|earlier| earlier.is_directory())
                .map(|earlier| earlier.oid())
                .collect();
            collect_added(objects, &path, entry.oid(), &earlier, added)?;
        } else if earlier.is_empty() && entry.is_regular_file() && task_id_of(&path).is_some() {
            added.push((path, entry.oid()));
        }
    }
    Ok(())
}
