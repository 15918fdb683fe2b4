//! The rules of the history: a commit adds one entry and changes nothing else; a merge has what its parents have.

use super::changes::Change;
use super::findings::Findings;
use super::object::{Item, MODE_FILE};
use super::report::{Code, Finding};
use super::timeline::Step;
use crate::entry::TaskId;
use crate::entry::message;
use crate::ledger::ObjectId;
use crate::ledger::layout::{ROOT, SHARDS, TASKS, task_id_of};

/// An entry that a commit adds.
#[derive(Clone, Debug)]
pub struct Addition {
    /// The task that its path names.
    pub task_id: TaskId,
    /// Where it is.
    pub path: String,
    /// The object that holds it.
    pub blob: ObjectId,
    /// Its commit is about it alone, so that the message must be, too.
    pub is_alone: bool,
}

/// Where entries may be in the tree that a commit follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// There are shards: the flat directory is full for good.
    pub has_shards: bool,
    /// Whether the flat directory has as many entries as the policy allows; `None`: it does not matter, or is not known.
    pub is_flat_full: Option<bool>,
}

/// A commit and what it changed.
pub struct Visit<'v> {
    /// The commit.
    pub step: &'v Step,
    /// Its message, read when it matters.
    pub message: &'v dyn Fn() -> Vec<u8>,
    /// What it changed.
    pub changes: Vec<Change>,
    /// The tree before had no ledger.
    pub begins: bool,
    /// Where entries may be.
    pub room: Room,
}

impl Visit<'_> {
    /// Judges the commit; gives the entries that it adds.
    pub fn judge(self, findings: &mut Findings) -> Vec<Addition> {
        let mut collected = Collected { commit: self.step.id, findings, found: 0 };
        let message = self.message;
        let added = if self.step.parents.len() > 1 {
            merge(&self.changes, &mut collected)
        } else {
            self.line(&mut collected)
        };
        if added.is_empty() && collected.found == 0 {
            let message = message();
            // A byte that is none of UTF-8 does not keep git from showing the rest.
            if let Some(line) = message::claim(&String::from_utf8_lossy(&message)) {
                let message = "the message is that of an entry, and the commit adds none";
                let finding = Finding::new(Code::MessageWithoutEntry, message);
                collected.add(finding.evidence(serde_json::Value::Null, line));
            }
        }
        added
    }

    /// A commit on a line.
    fn line(self, collected: &mut Collected<'_>) -> Vec<Addition> {
        let (mut added, mut removed, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for change in &self.changes {
            let before = change.before.first().copied();
            match (before, change.after) {
                _ if !is_entry_place(&change.path) => others.push(change),
                (None, Some(after)) => {
                    if collected.admits(&change.path, after, Some(self.room)) {
                        added.push((change, after));
                    }
                }
                (Some(before), None) => removed.push((change, before)),
                (Some(before), Some(after)) => collected.changed(&change.path, before, after),
                (None, None) => {}
            }
        }
        for (change, before) in removed {
            let moved = added.iter().position(|(_, after)| after.id == before.id);
            match moved {
                Some(moved) => {
                    let (to, _) = added.remove(moved);
                    let message = format!("the entry at {} was moved", change.path);
                    let finding = Finding::new(Code::EntryRenamed, message).path(&to.path);
                    collected.add(finding.evidence(&*change.path, &*to.path));
                }
                None => collected.removed(&change.path, before),
            }
        }
        collected.others(&others, added.len(), self.begins);
        if added.len() > 1 {
            let paths: Vec<_> = added.iter().map(|(change, _)| change.path.clone()).collect();
            let message = format!("the commit adds {} entries", paths.len());
            collected.add(Finding::new(Code::SeveralEntries, message).evidence(1, paths));
        }
        let is_alone = added.len() == 1;
        let additions = added.into_iter().filter_map(|(change, after)| {
            let task_id = task_id_of(&change.path)?;
            Some(Addition { task_id, path: change.path.clone(), blob: after.id, is_alone })
        });
        additions.collect()
    }
}

/// A merge: the union of what its parents have, and nothing besides.
fn merge(changes: &[Change], collected: &mut Collected<'_>) -> Vec<Addition> {
    let mut added = Vec::new();
    for change in changes {
        let one_of_them = change.after.is_some_and(|after| change.before.contains(&after));
        match (&change.before[..], change.after) {
            // Whose configuration goes on is for people to choose.
            _ if !is_entry_place(&change.path) && one_of_them => {}
            _ if !is_entry_place(&change.path) => collected.others(&[change], 0, false),
            ([], None) => {}
            ([], Some(after)) => {
                if collected.admits(&change.path, after, None) {
                    let message = "the merge has an entry that none of its parents has";
                    collected.add(Finding::new(Code::MergeAddition, message).path(&change.path));
                    added.extend(task_id_of(&change.path).map(|task_id| Addition {
                        task_id,
                        path: change.path.clone(),
                        blob: after.id,
                        is_alone: false,
                    }));
                }
            }
            ([before], None) => collected.removed(&change.path, *before),
            ([before], Some(after)) => collected.changed(&change.path, *before, after),
            (several, after) => {
                let ids: Vec<_> = several.iter().map(|item| item.id.to_string()).collect();
                let message =
                    "the parents of the merge hold different entries under one name, and only one can stay";
                let finding = Finding::new(Code::MergeConflict, message).path(&change.path);
                collected.add(finding.evidence(ids, after.map(|item| item.id.to_string())));
            }
        }
    }
    added
}

/// Findings about one commit.
struct Collected<'f> {
    commit: ObjectId,
    findings: &'f mut Findings,
    found: usize,
}

impl Collected<'_> {
    fn add(&mut self, finding: Finding) {
        self.found += usize::from(finding.code != Code::ConfigChanged);
        let task_id = finding.path.as_deref().and_then(task_id_of);
        self.findings.add(Finding { task_id, ..finding }.commit(self.commit));
    }

    fn removed(&mut self, path: &str, before: Item) {
        let finding = if task_id_of(path).is_some() {
            let message = "the entry was removed; the commit before still has it";
            Finding::new(Code::EntryRemoved, message)
        } else {
            Finding::new(Code::ConfigChanged, "a file that is no entry was removed")
        };
        self.add(finding.path(path).evidence(before.id.to_string(), serde_json::Value::Null));
    }

    fn changed(&mut self, path: &str, before: Item, after: Item) {
        let finding = if before.is_directory() || after.is_directory() {
            Finding::new(
                Code::DirectoryReplaced,
                "a directory of the ledger became something else, or a file one",
            )
        } else if before.mode != after.mode {
            Finding::new(Code::EntryMode, format!("the entry became {}", kind_of(after)))
        } else {
            Finding::new(Code::EntryChanged, "the entry was edited")
        };
        let shown = |item: Item| format!("{:06o} {}", item.mode, item.id);
        self.add(finding.path(path).evidence(shown(before), shown(after)));
    }

    /// Whether what was added is an entry where it may be. `room`: in the tree that the commit follows.
    fn admits(&mut self, path: &str, item: Item, room: Option<Room>) -> bool {
        if task_id_of(path).is_none() {
            let message =
                "this is no path of an entry: its name is no task id, or another directory is that id's";
            let finding = Finding::new(Code::PathMisplaced, message).path(path);
            self.add(finding.evidence(serde_json::Value::Null, kind_of(item)));
            return false;
        }
        if item.mode != MODE_FILE {
            let finding = Finding::new(Code::EntryMode, format!("the entry is {}", kind_of(item))).path(path);
            self.add(finding.evidence("100644", format!("{:06o}", item.mode)));
            return false;
        }
        let is_flat = path.strip_prefix(TASKS).is_some_and(|rest| rest.starts_with('/'));
        let message = match room {
            Some(Room { has_shards: true, .. }) if is_flat => {
                "there are shards, so the flat directory is never written again"
            }
            Some(Room { is_flat_full: Some(false), .. }) if !is_flat => {
                "it is in a shard, and the flat directory had room"
            }
            Some(Room { is_flat_full: Some(true), .. }) if is_flat => {
                "the flat directory was full, and later entries belong in their shards"
            }
            _ => return true,
        };
        self.add(Finding::new(Code::PathMisplaced, message).path(path));
        true
    }

    /// What else the commit changes.
    fn others(&mut self, others: &[&Change], added: usize, begins: bool) {
        for change in others {
            let is_directory = |item: &Item| item.is_directory();
            let was_directory = change.before.iter().any(is_directory);
            let replaced = was_directory != change.after.as_ref().is_some_and(is_directory);
            if is_directory_of_ledger(&change.path) && (replaced || change.after.is_some()) {
                let what = change.after.map_or_else(|| "nothing".to_owned(), kind_of);
                let message = format!("a directory of the ledger became {what}");
                self.add(Finding::new(Code::DirectoryReplaced, message).path(&change.path));
            } else if added > 0 && !(begins && change.is_inside()) {
                let message = "the commit adds an entry, and changes this as well";
                self.add(Finding::new(Code::ForeignChange, message).path(&change.path));
            } else if change.is_inside() && !begins {
                let what = match (change.before.is_empty(), change.after.is_none()) {
                    (true, _) => "added",
                    (_, true) => "removed",
                    _ => "changed",
                };
                let message = format!("{what} under .audit/, which is no entry");
                self.add(Finding::new(Code::ConfigChanged, message).path(&change.path));
            }
        }
    }
}

/// Where nothing but entries may be.
fn is_entry_place(path: &str) -> bool {
    [TASKS, SHARDS].iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/')))
}

fn is_directory_of_ledger(path: &str) -> bool {
    [ROOT, TASKS, SHARDS].contains(&path)
}

fn kind_of(item: Item) -> String {
    match item.mode {
        0o040_000 => "a directory".to_owned(),
        0o120_000 => "a symbolic link".to_owned(),
        0o160_000 => "a submodule".to_owned(),
        0o100_755 => "an executable file".to_owned(),
        MODE_FILE => "a file".to_owned(),
        mode => format!("something of mode {mode:o}"),
    }
}
