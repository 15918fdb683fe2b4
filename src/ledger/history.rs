//! The walk: from the tip through the commits, newest first. It is the truth for every query.
//!
//! Its order is the ledger's order, backwards. Forwards, a commit comes after its first parent and all before that,
//! then what the other parents add, then itself: on a line of commits that is the line, and a merge adds what it brings
//! at the end. So what came before never moves when the branch goes on, whatever the clocks say.
//!
//! The subject and trailers of a commit are enough for most questions. A commit that is not one of ours (someone's
//! `git commit` may have taken a staged entry along, a merge may bring another clone's) is compared with its parents.

use std::collections::{HashMap, HashSet};
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

/// An iterator over the entries, newest first. What was there already with the same content is not yielded again where
/// a merge brings it in, as from a clone that recorded the same task, or somebody's own commit puts it back.
pub struct History<'r> {
    objects: Rc<Objects<'r>>,
    /// Commits that git says are cut off from their parents (`.git/shallow`).
    shallow: HashSet<Oid>,
    ahead: Ahead,
    /// Where the walk ends, if it comes by.
    until: Option<Oid>,
    met_until: bool,
    /// Nothing is left out: one commit is looked at, not a history.
    keeps_all: bool,
    /// Where each entry of ours was added first, once the commits were put in order.
    firsts: HashMap<EntryKey, usize>,
    /// Commits before those that are asked for.
    left_out: usize,
    /// The `.audit` tree of recently compared root trees.
    ledger_trees: HashMap<Oid, Option<Oid>>,
    /// Entries of the commit at hand that are still to be yielded.
    ready: Vec<Recorded>,
    entries: u64,
    incomplete: Option<String>,
    warnings: Vec<String>,
}

/// The commits that the walk will come to.
enum Ahead {
    /// Along a line of commits, each has named the next.
    Line(Option<(Oid, Commit)>),
    /// At the first merge all commits before it are put in order; the next is the last of them.
    Listed(Vec<Oid>),
}

/// A commit whose parents are being put in order before it.
struct OnTheWay {
    id: Oid,
    parents: Vec<Oid>,
    next_parent: usize,
    /// A merge brought it in: it is on the line of another than its first parent.
    is_aside: bool,
    /// The entry that it adds.
    entry: Option<EntryKey>,
}

/// An entry's task and digest. Both, because a message can state the digest of another task's entry, and must not hide
/// that.
type EntryKey = (String, u128);

fn entry_key(message: &str) -> Option<EntryKey> {
    let summary = Summary::parse(message)?;
    Some((summary.task_id.to_owned(), short_digest(message)?))
}

impl OnTheWay {
    fn new(id: Oid, commit: &Commit, is_aside: bool) -> Self {
        let (parents, entry) = (commit.parents.clone(), entry_key(&commit.message));
        Self { id, parents, next_parent: 0, is_aside, entry }
    }
}

/// Half of the digest that a message of ours states, which no two different entries share.
fn short_digest(message: &str) -> Option<u128> {
    let (_, digest) = message.trim_end().rsplit_once(": sha256:")?;
    u128::from_str_radix(digest.get(..32)?, 16).ok()
}

impl<'r> History<'r> {
    /// From `tip` back to `until`, which is not yielded any more.
    pub(super) fn new(
        objects: Rc<Objects<'r>>,
        tip: Option<Oid>,
        until: Option<Oid>,
        shallow: HashSet<Oid>,
    ) -> Result<Self> {
        let first = tip.map(|tip| Ok::<_, Error>((tip, objects.commit(tip)?))).transpose()?;
        Ok(Self {
            objects,
            shallow,
            ahead: Ahead::Line(first),
            until,
            met_until: false,
            keeps_all: false,
            firsts: HashMap::new(),
            left_out: 0,
            ledger_trees: HashMap::new(),
            ready: Vec::new(),
            entries: 0,
            incomplete: None,
            warnings: Vec::new(),
        })
    }

    /// With everything that a commit added, whether or not it was there before.
    pub(super) fn keeping_all(self) -> Self {
        Self { keeps_all: true, ..self }
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

    /// Whether the walk has come to the commit where it was to end, along first parents: what is before it is then just
    /// what it was when that commit was the tip.
    pub fn has_met_end(&self) -> bool {
        self.met_until
    }

    /// The next commit, newest first.
    fn next_commit(&mut self) -> Result<Option<(Oid, Commit)>> {
        let (id, commit) = match &mut self.ahead {
            Ahead::Line(next) => match next.take() {
                None => return Ok(None),
                Some((id, _)) if Some(id) == self.until => {
                    self.met_until = true;
                    return Ok(None);
                }
                Some(found) => found,
            },
            Ahead::Listed(list) => {
                let Some(id) = list.pop() else { return Ok(None) };
                return Ok(Some((id, self.objects.commit(id)?)));
            }
        };
        if commit.parents.len() > 1 {
            self.ahead = Ahead::Listed(self.list_before(id, &commit)?);
        } else if let Some(parent) = commit.parents.first() {
            self.ahead = Ahead::Line(self.parent(id, *parent)?.map(|found| (*parent, found)));
        }
        Ok(Some((id, commit)))
    }

    /// A parent of the commit `id`; `None` where the clone ends.
    fn parent(&mut self, id: Oid, parent: Oid) -> Result<Option<Commit>> {
        match self.objects.try_read(parent, ObjectType::Commit)? {
            Some(bytes) => Ok(Some(Commit::parse(parent, &bytes)?)),
            None if self.shallow.contains(&id) => {
                self.incomplete = Some(format!("shallow clone: the history before commit {id} is not here"));
                Ok(None)
            }
            None => Err(Error::Damaged(format!("commit {parent}, the parent of {id}, is missing"))),
        }
    }

    /// All commits before the merge, in the ledger's order, oldest first; without those that are not asked for, and
    /// without those that another line added once more.
    fn list_before(&mut self, merge: Oid, commit: &Commit) -> Result<Vec<Oid>> {
        let mut list = Vec::new();
        let mut met = HashSet::new();
        let mut way = vec![OnTheWay::new(merge, commit, false)];
        while let Some(here) = way.last_mut() {
            let is_first = here.next_parent == 0;
            let Some(parent) = here.parents.get(here.next_parent).copied() else {
                let is_repeated = here.entry.take().is_some_and(|entry| {
                    let place = list.len();
                    *self.firsts.entry(entry).or_insert(place) != place
                });
                if !(is_repeated && here.is_aside) {
                    list.push(here.id);
                }
                way.pop();
                continue;
            };
            here.next_parent += 1;
            let (id, is_aside) = (here.id, here.is_aside || !is_first);
            if !met.insert(parent) {
                continue;
            }
            self.met_until |= !is_aside && Some(parent) == self.until;
            if let Some(found) = self.parent(id, parent)? {
                way.push(OnTheWay::new(parent, &found, is_aside));
            }
        }
        list.pop();
        if self.met_until {
            let end = list.iter().position(|id| Some(*id) == self.until);
            self.left_out = list.drain(..=end.unwrap_or(0)).len();
        }
        Ok(list)
    }

    fn visit(&mut self, id: Oid, commit: Commit) -> Result<()> {
        if Summary::parse(&commit.message).is_some() {
            let Commit { tree, committed_at, message, .. } = commit;
            self.ready.push(recorded(id, tree, committed_at, message, true));
        } else {
            self.compare_with_parents(id, &commit)?;
            if !self.ready.is_empty() && !self.keeps_all {
                self.leave_out_what_was_there(id, &commit)?;
            }
        }
        self.entries += self.ready.len() as u64;
        Ok(())
    }

    /// Somebody's own commit may put back what was removed, or bring it from elsewhere.
    fn leave_out_what_was_there(&mut self, id: Oid, commit: &Commit) -> Result<()> {
        if let Ahead::Line(_) = self.ahead {
            self.ahead = Ahead::Listed(self.list_before(id, commit)?);
        }
        let Ahead::Listed(before) = &self.ahead else { return Ok(()) };
        let (place, firsts) = (self.left_out + before.len(), &self.firsts);
        let was_there = |one: &Recorded| {
            let first = entry_key(&one.message).and_then(|entry| firsts.get(&entry));
            first.is_some_and(|first| *first < place)
        };
        self.ready.retain(|one| !was_there(one));
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
                    self.ready.push(recorded(id, commit.tree, commit.committed_at, message, false));
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
            let visited = match self.next_commit() {
                Ok(None) => return None,
                Ok(Some((id, commit))) => self.visit(id, commit),
                Err(error) => Err(error),
            };
            if let Err(error) = visited {
                self.ahead = Ahead::Line(None);
                return Some(Err(error));
            }
        }
    }
}

fn recorded(id: Oid, tree: Oid, committed_at: i64, message: String, by_us: bool) -> Recorded {
    // A time that is none (somebody's own commit) must not end the walk.
    let recorded_at = DateTime::from_timestamp(committed_at, 0).unwrap_or(DateTime::UNIX_EPOCH);
    Recorded { commit: CommitId(id), recorded_at, tree, message, by_us }
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
