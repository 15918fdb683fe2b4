//! The ledger as it is at one commit: looking a task up, reading entries, walking the history from there.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::rc::Rc;

use git2::{ObjectType, Oid};

use super::Ledger;
use super::commit::{BlobId, CommitId, parse_oid};
use super::entries::{EntryTree, Located};
use super::history::{History, Recorded};
use super::objects::Objects;
use super::tree::MODE_DIRECTORY;
use super::tree_changes::{self, EntryChange};
use crate::entry::message::trailer;
use crate::entry::parse::Invalid;
use crate::entry::{Digest, Entry, TaskId, Timestamp, parse, validate};
use crate::error::{Error, Result};

/// The most files and directories that are listed.
const MAX_FILES: usize = 8 << 20;
/// git refuses longer paths in an index.
const MAX_PATH_BYTES: usize = 4096;

/// The ledger at one commit. Everything read through one view is consistent with everything else.
pub struct View<'r> {
    objects: Rc<Objects<'r>>,
    tip: Option<Oid>,
    tree: EntryTree<'r>,
    shallow: HashSet<Oid>,
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its path in the tree.
    pub path: String,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The object that holds them.
    pub blob: BlobId,
    /// Something the reader should know about it: a sentence.
    pub warning: Option<String>,
}

impl Stored {
    /// The entry itself. `timestamp` stands in for a missing one.
    ///
    /// # Errors
    /// The stored bytes are not a valid entry: somebody else's hand was in the ledger.
    pub fn entry(&self, timestamp: Option<Timestamp>) -> std::result::Result<Entry, Invalid> {
        read_entry(&self.bytes, timestamp)
    }
}

/// What to say of a commit whose message is not about the entry that it adds. The entry is what counts, but a walk reads
/// messages first.
pub fn says_otherwise(entry: &Entry, commit: CommitId) -> String {
    let (task_id, short) = (&entry.task_id, commit.short());
    format!(
        "the message of commit {short} says something else of task {task_id} than its entry; run `git show {short}`"
    )
}

/// Reads stored bytes as an entry.
pub(super) fn read_entry(bytes: &[u8], timestamp: Option<Timestamp>) -> std::result::Result<Entry, Invalid> {
    let value = parse::parse(bytes)?;
    if timestamp.is_none() && value.get("timestamp").is_none() {
        return Err(Invalid::at("/timestamp", "timestamp is missing"));
    }
    validate::entry(value, timestamp.unwrap_or_else(|| chrono::DateTime::UNIX_EPOCH.into()))
}

impl Ledger {
    /// The ledger as it is now.
    ///
    /// # Errors
    /// The branch or its tree cannot be read.
    pub fn view(&self) -> Result<View<'_>> {
        self.view_at(self.branch.tip(&self.repository)?)
    }

    /// The ledger as it was at `tip`.
    pub(super) fn view_at(&self, tip: Option<Oid>) -> Result<View<'_>> {
        let objects = Rc::new(self.objects()?);
        let shallow = fs::read_to_string(self.repository.commondir().join("shallow")).unwrap_or_default();
        Ok(View {
            tree: EntryTree::at(&objects, tip)?,
            shallow: shallow.lines().filter_map(parse_oid).collect(),
            objects,
            tip,
        })
    }
}

impl<'r> View<'r> {
    /// The commit.
    pub fn head(&self) -> Option<CommitId> {
        self.tip.map(CommitId)
    }

    /// Whether the tree has `.audit`.
    pub(super) fn has_ledger_directory(&mut self) -> Result<bool> {
        self.tree.has_ledger()
    }

    /// Every file below `directory`: its path, mode and object.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn files(&self, directory: &str, each: &mut dyn FnMut(&[u8], &str, BlobId)) -> Result<()> {
        let Some(tip) = self.tip else { return Ok(()) };
        let root = self.objects.tree(self.objects.commit(tip)?.tree)?;
        let Some(found) = root.find(directory) else { return Ok(()) };
        let mut path = directory.as_bytes().to_vec();
        self.files_of(found.oid(), found.mode, &mut path, &mut 0, each)
    }

    fn files_of(
        &self,
        id: Oid,
        mode: &str,
        path: &mut Vec<u8>,
        count: &mut usize,
        each: &mut dyn FnMut(&[u8], &str, BlobId),
    ) -> Result<()> {
        // A tree of trees that are one and the same has more files than anybody can look at.
        *count += 1;
        if path.len() > MAX_PATH_BYTES || *count > MAX_FILES {
            return Err(Error::Damaged("the ledger's tree has too many files, or too long paths".into()));
        }
        if mode != MODE_DIRECTORY {
            each(path, mode, BlobId(id));
            return Ok(());
        }
        for entry in self.objects.tree(id)?.iter() {
            let length = path.len();
            path.push(b'/');
            path.extend(entry.name);
            self.files_of(entry.oid(), entry.mode, path, count, each)?;
            path.truncate(length);
        }
        Ok(())
    }

    /// Walks the history from this commit.
    ///
    /// # Errors
    /// The commit cannot be read.
    pub fn history(&self) -> Result<History<'r>> {
        History::new(Rc::clone(&self.objects), self.tip, None, self.shallow.clone())
    }

    /// Walks the history from this commit back to `commit`, if it comes by.
    ///
    /// # Errors
    /// The commit of this view cannot be read.
    pub fn history_since(&self, commit: CommitId) -> Result<History<'r>> {
        History::new(Rc::clone(&self.objects), self.tip, Some(commit.0), self.shallow.clone())
    }

    /// How the trees of entries differ between `commit` and this one: each file that was added, changed or removed.
    ///
    /// # Errors
    /// A commit or a tree cannot be read.
    pub fn changes_since(&self, commit: CommitId, each: &mut dyn FnMut(EntryChange)) -> Result<()> {
        let root = |id| self.objects.commit(id).map(|commit| commit.tree);
        tree_changes::between(&self.objects, Some(root(commit.0)?), self.tip.map(root).transpose()?, each)
    }

    /// What the clone says is cut off (`.git/shallow`), as a digest: while it stays, the history behind a commit does.
    pub fn boundary(&self) -> Digest {
        let mut cut: Vec<_> = self.shallow.iter().map(Oid::to_string).collect();
        cut.sort_unstable();
        Digest::of(cut.join("\n").as_bytes())
    }

    /// The content of an entry's blob.
    ///
    /// # Errors
    /// It is not in this repository, or damaged.
    pub fn read_blob(&self, blob: BlobId) -> Result<Vec<u8>> {
        self.objects.read(blob.0, ObjectType::Blob)
    }

    /// The number of entries in the tree.
    ///
    /// # Errors
    /// A directory of the ledger cannot be read.
    pub fn count(&mut self) -> Result<u64> {
        let mut count = 0;
        self.tree.for_each_entry(&mut |_| count += 1)?;
        Ok(count)
    }

    /// The ids in the tree that start with `prefix`, sorted. Where there are more than `most`, the last one and those
    /// that sort first: what these have in common at the start, all of them have, so that a shell which completes
    /// that much of a word goes in no wrong direction.
    ///
    /// # Errors
    /// A directory of the ledger cannot be read.
    pub fn ids_starting_with(&mut self, prefix: &str, most: usize) -> Result<Vec<TaskId>> {
        let mut kept = BTreeSet::new();
        self.tree.for_each_entry_starting_with(prefix, &mut |task_id| {
            kept.insert(task_id.clone());
            if kept.len() > most {
                let last = kept.pop_last();
                kept.pop_last();
                kept.extend(last);
            }
        })?;
        Ok(kept.into_iter().collect())
    }

    /// Why the history may not be all there, as far as it can be known without walking it.
    pub fn incomplete(&self) -> Option<String> {
        (!self.shallow.is_empty()).then(|| "shallow clone: older history is not here".to_owned())
    }

    /// Whether the tree has the task's entry, or one whose id differs only in case.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn has(&mut self, task_id: &TaskId) -> Result<bool> {
        Ok(!matches!(self.tree.locate(task_id)?, Located::Absent))
    }

    /// Whether the tree has no entry of exactly this task.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn lacks(&mut self, task_id: &TaskId) -> Result<bool> {
        Ok(!matches!(self.tree.locate(task_id)?, Located::Here { .. }))
    }

    /// The path of the task's entry in the tree.
    ///
    /// # Errors
    /// There is none: [`Error::NotFound`], with ids that look like it.
    pub fn path_in_tree(&mut self, task_id: &TaskId) -> Result<String> {
        let similar = match self.tree.locate(task_id)? {
            Located::Here { path, .. } => return Ok(path),
            Located::OtherCase(existing) => vec![existing],
            Located::Absent => self.similar_to(task_id)?,
        };
        Err(Error::NotFound { task_id: task_id.clone(), similar })
    }

    /// As [`Self::path_in_tree`], but an entry that was removed is not called unknown.
    ///
    /// # Errors
    /// There is none: [`Error::EntryRemoved`] where the history has one, else [`Error::NotFound`].
    pub fn path_of(&mut self, task_id: &TaskId) -> Result<String> {
        let missing = match self.path_in_tree(task_id) {
            Err(missing @ Error::NotFound { .. }) => missing,
            found => return found,
        };
        let Some(recorded) = self.history()?.find_task(task_id)? else { return Err(missing) };
        let path = self.load(&recorded)?.path;
        Err(Error::EntryRemoved { task_id: task_id.clone(), commit: recorded.commit.to_string(), path })
    }

    /// The blob of the file at `path`, where the tree has one.
    pub(super) fn blob_at(&mut self, path: &str) -> Option<Oid> {
        self.tree.blob_at(path).ok().flatten()
    }

    /// The file at `path`, as the tree has it.
    ///
    /// # Errors
    /// There is no such file, or a partial clone left its content out.
    pub fn read(&mut self, path: &str) -> Result<Stored> {
        let bytes = self.tree.read_file(path)?;
        let (Some(bytes), Some(blob)) = (bytes, self.blob_at(path)) else {
            return Err(Error::Damaged(format!("the content of {path} is not in this repository")));
        };
        Ok(Stored { path: path.to_owned(), bytes, blob: BlobId(blob), warning: None })
    }

    /// The entry that a commit of the history added, as it was then.
    ///
    /// Entries never change, so it is read at the tip, where directories are shared between reads. What the tip shows
    /// is checked against the digest of the commit; where it differs, the commit's own tree is read, and a warning
    /// says that somebody changed the entry afterwards.
    ///
    /// # Errors
    /// The entry is in neither tree.
    pub fn load(&mut self, recorded: &Recorded) -> Result<Stored> {
        let summary = recorded.summary()?;
        let task_id = TaskId::new(summary.task_id).map_err(Error::Damaged)?;
        let digest = summary.values(trailer::DIGEST).last();
        let intact = |bytes: &[u8]| digest.is_none_or(|digest| Digest::of(bytes).to_string() == digest);
        let at_tip = match self.tree.locate(&task_id)? {
            Located::Here { path, blob } => {
                self.objects.try_read(blob, ObjectType::Blob)?.map(|bytes| (path, blob, bytes))
            }
            _ => None,
        };
        if let Some((path, blob, bytes)) = at_tip.filter(|(.., bytes)| intact(bytes)) {
            return Ok(Stored { path, bytes, blob: BlobId(blob), warning: None });
        }
        let short = recorded.commit.short();
        let mut then = EntryTree::open(Rc::clone(&self.objects), Some(recorded.tree))?;
        let Located::Here { path, blob } = then.locate(&task_id)? else {
            return Err(Error::Damaged(format!(
                "commit {short} names task {task_id} but holds no entry of it"
            )));
        };
        let bytes = self.objects.try_read(blob, ObjectType::Blob)?;
        let bytes = bytes.ok_or_else(|| {
            Error::Damaged(format!("the entry of task {task_id} (commit {short}) is not in this repository"))
        })?;
        let problem = if intact(&bytes) {
            "was changed or removed after it was recorded; this is what was recorded"
        } else {
            "does not have the digest that its commit states"
        };
        let warning = format!("the entry of task {task_id} (commit {short}) {problem}");
        Ok(Stored { warning: Some(warning), path, blob: BlobId(blob), bytes })
    }

    /// As [`Self::load`], and the entry itself.
    ///
    /// # Errors
    /// The entry is in neither tree, or what is stored is not one.
    pub fn load_entry(&mut self, recorded: &Recorded) -> Result<(Stored, Entry)> {
        let summary = recorded.summary()?;
        if TaskId::new(summary.task_id).is_err() {
            let short = recorded.commit.short();
            return Err(Error::Damaged(format!("commit {short} names a task id that cannot be one")));
        }
        let mut stored = self.load(recorded)?;
        match stored.entry(Some(summary.timestamp)) {
            Ok(entry) => {
                if entry.status != summary.status || entry.timestamp != summary.timestamp {
                    stored.warning.get_or_insert_with(|| says_otherwise(&entry, recorded.commit));
                }
                Ok((stored, entry))
            }
            Err(invalid) => Err(Error::Damaged(format!(
                "{} (commit {}) is not a valid entry: {invalid}",
                stored.path,
                recorded.commit.short()
            ))),
        }
    }

    /// The entry that the commit added to the ledger: that of `task_id`, or the first. `None`: there is none, or the
    /// commit is not here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn recorded_in(&self, commit: CommitId, task_id: Option<&TaskId>) -> Result<Option<Recorded>> {
        if self.objects.try_read(commit.0, ObjectType::Commit)?.is_none() {
            return Ok(None);
        }
        let history = History::new(Rc::clone(&self.objects), Some(commit.0), None, self.shallow.clone())?;
        for recorded in history.keeping_all() {
            let recorded = recorded?;
            if recorded.commit != commit {
                break;
            }
            let is_wanted = |task_id: &TaskId| {
                recorded.summary().is_ok_and(|summary| summary.task_id == task_id.as_str())
            };
            if task_id.is_none_or(is_wanted) {
                return Ok(Some(recorded));
            }
        }
        Ok(None)
    }

    /// Ids in the ledger that a person may have meant: those it is the beginning of, else those nearly like it.
    fn similar_to(&mut self, task_id: &TaskId) -> Result<Vec<String>> {
        const MOST: usize = 3;
        let wanted = task_id.as_str().to_ascii_lowercase();
        let mut close: Vec<(f64, String)> = Vec::new();
        self.tree.for_each_entry(&mut |found| {
            let candidate = found.as_str().to_ascii_lowercase();
            let likeness = if candidate.starts_with(&wanted) {
                2.0
            } else {
                strsim::normalized_damerau_levenshtein(&wanted, &candidate)
            };
            if likeness > 0.7 {
                close.push((likeness, found.to_string()));
                close.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
                close.truncate(MOST);
            }
        })?;
        Ok(close.into_iter().map(|(_, id)| id).collect())
    }
}
