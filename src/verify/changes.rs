//! What a commit changed: its tree against its parent's, or against those of all parents of a merge.
//!
//! Directories that are the same object are not looked into, so the price is that of the change. Outside `.audit` only
//! the names at the top are compared: what is below them is nothing of the ledger's.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::findings::Findings;
use super::object::{self, Item, Line};
use super::report::{Code, Finding};
use super::timeline::{malformed, of_content};
use crate::ledger::layout::ROOT;
use crate::ledger::{Kind, ObjectId, RawObjects};

/// Directories in each other that are followed. The ledger's own are five deep.
const MOST_NESTED: usize = 16;
/// Directories and changes of one commit, inside the ledger, that are looked at. An honest commit has a handful of both;
/// a merge looks into each shard of its parents, and they are 4,369. A tree that names one directory many times over
/// would take for ever.
const MOST_LOOKED_AT: usize = 20_000;
/// Changes of one commit to what is not the ledger's, that are told.
const MOST_OUTSIDE: usize = 1_000;

/// A path that is not in the commit as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// From the top of the tree.
    pub path: String,
    /// What was there: in each parent that had something, without repetition.
    pub before: Vec<Item>,
    /// What is there now.
    pub after: Option<Item>,
}

impl Change {
    /// It is about the ledger.
    pub fn is_inside(&self) -> bool {
        self.path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Something that is needed to compare could not be read; findings say what.
#[derive(Debug)]
pub struct Unreadable;

/// Compares trees.
pub struct Comparison<'o> {
    objects: &'o RawObjects,
    id_bytes: usize,
    commit: ObjectId,
    findings: &'o mut Findings,
    /// What is missing may have been left out by a partial clone.
    is_partial: bool,
    is_merge: bool,
    changes: Vec<Change>,
    looked_at: usize,
    outside: usize,
}

/// What is under one name.
struct Row<'t> {
    name: &'t [u8],
    /// In each parent.
    before: Vec<Option<Item>>,
    after: Option<Item>,
}

impl<'o> Comparison<'o> {
    /// For a commit of a repository whose ids have so many bytes.
    pub fn new(
        objects: &'o RawObjects,
        id_bytes: usize,
        commit: ObjectId,
        findings: &'o mut Findings,
    ) -> Self {
        Self {
            objects,
            id_bytes,
            commit,
            findings,
            is_partial: false,
            is_merge: false,
            changes: Vec::new(),
            looked_at: 0,
            outside: 0,
        }
    }

    /// As it is, in a partial clone, which may have left out what is missing.
    pub fn partial(self, is_partial: bool) -> Self {
        Self { is_partial, ..self }
    }

    /// What is not in the tree `after` as it was in `before`, the tree of each parent. Of a merge, nothing outside the
    /// ledger is told: merging code is nobody's business here.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn of(mut self, before: &[ObjectId], after: ObjectId) -> Result<Vec<Change>, Unreadable> {
        self.is_merge = before.len() > 1;
        let mut before: Vec<_> = before.iter().copied().map(Some).collect();
        if before.is_empty() {
            before.push(None);
        }
        self.directory("", &before, Some(after))?;
        Ok(self.changes)
    }

    fn directory(
        &mut self,
        path: &str,
        before: &[Option<ObjectId>],
        after: Option<ObjectId>,
    ) -> Result<(), Unreadable> {
        if path.split('/').count() > MOST_NESTED {
            let message = "directories nest deeper here than is followed";
            return Err(self.unreadable(Finding::new(Code::PathMisplaced, message), path));
        }
        self.look(path)?;
        let after_bytes = self.read(path, after)?;
        let before_bytes = before.iter().map(|id| self.read(path, *id)).collect::<Result<Vec<_>, _>>()?;
        let after_lines = self.lines(path, after, &after_bytes)?;
        let mut before_lines = Vec::with_capacity(before.len());
        for (id, bytes) in before.iter().zip(&before_bytes) {
            before_lines.push(self.lines(path, *id, bytes)?);
        }
        let rows = match &before_lines[..] {
            [before] => differing(before, &after_lines),
            several => all_rows(several, &after_lines),
        };
        rows.iter().try_for_each(|row| self.row(path, row))
    }

    /// Counts what is looked at.
    fn look(&mut self, path: &str) -> Result<(), Unreadable> {
        self.looked_at += 1;
        if self.looked_at <= MOST_LOOKED_AT {
            return Ok(());
        }
        let message =
            format!("the commit changes more than {MOST_LOOKED_AT} things; the rest was not looked at");
        Err(self.unreadable(Finding::new(Code::PathMisplaced, message), path))
    }

    fn unreadable(&mut self, finding: Finding, path: &str) -> Unreadable {
        self.findings.add(finding.commit(self.commit).path(path));
        Unreadable
    }

    fn read(&mut self, path: &str, id: Option<ObjectId>) -> Result<Rc<Vec<u8>>, Unreadable> {
        let Some(id) = id else { return Ok(Rc::default()) };
        let read = self.objects.read(id, Kind::Tree);
        read.map_err(|fault| self.unreadable(of_content(Kind::Tree, id, &fault, self.is_partial), path))
    }

    fn lines<'t>(
        &mut self,
        path: &str,
        id: Option<ObjectId>,
        bytes: &'t [u8],
    ) -> Result<Vec<Line<'t>>, Unreadable> {
        let Some(id) = id else { return Ok(Vec::new()) };
        let lines = object::tree(bytes, self.id_bytes, path.is_empty().then_some(ROOT));
        lines.map_err(|why| self.unreadable(malformed(Kind::Tree, id, &why), path))
    }

    fn row(&mut self, directory: &str, row: &Row<'_>) -> Result<(), Unreadable> {
        let mut before: Vec<_> = row.before.iter().flatten().copied().collect();
        before.dedup();
        if before[..] == row.after.as_slice()[..] {
            return Ok(());
        }
        let is_top = directory.is_empty();
        let is_ledger = !is_top || row.name == ROOT.as_bytes();
        if !is_ledger && self.is_merge {
            return Ok(());
        }
        let name = String::from_utf8_lossy(row.name);
        let path = if is_top { name.into_owned() } else { format!("{directory}/{name}") };
        if is_ledger && before.iter().chain(&row.after).all(Item::is_directory) {
            let ids: Vec<_> = row.before.iter().map(|item| item.map(|item| item.id)).collect();
            return self.directory(&path, &ids, row.after.map(|item| item.id));
        }
        if is_ledger {
            self.look(&path)?;
        } else {
            self.outside += 1;
        }
        if is_ledger || self.outside <= MOST_OUTSIDE {
            self.changes.push(Change { path, before, after: row.after });
        }
        Ok(())
    }
}

/// The names that are not the same in both.
fn differing<'t>(mut before: &[Line<'t>], mut after: &[Line<'t>]) -> Vec<Row<'t>> {
    let shared = before.iter().zip(after).take_while(|(before, after)| before == after).count();
    (before, after) = (&before[shared..], &after[shared..]);
    let shared =
        before.iter().rev().zip(after.iter().rev()).take_while(|(before, after)| before == after).count();
    (before, after) = (&before[..before.len() - shared], &after[..after.len() - shared]);
    match (before, after) {
        // Nearly always: a line more, or another object under a name.
        ([], [added]) => vec![Row { name: added.name, before: vec![None], after: added.item() }],
        ([old], [new]) if old.name == new.name => {
            vec![Row { name: new.name, before: vec![old.item()], after: new.item() }]
        }
        _ => all_rows(&[before], after).into_iter().filter(|row| row.before[0] != row.after).collect(),
    }
}

/// Every name of any of them.
fn all_rows<'t>(before: &[impl AsRef<[Line<'t>]>], after: &[Line<'t>]) -> Vec<Row<'t>> {
    let mut rows: BTreeMap<&[u8], Row<'_>> = BTreeMap::new();
    let empty = |name| Row { name, before: vec![None; before.len()], after: None };
    for (parent, lines) in before.iter().enumerate() {
        for line in lines.as_ref() {
            rows.entry(line.name).or_insert_with(|| empty(line.name)).before[parent] = line.item();
        }
    }
    for line in after {
        rows.entry(line.name).or_insert_with(|| empty(line.name)).after = line.item();
    }
    rows.into_values().collect()
}
