//! How the entries in two trees differ. Directories that are the same object are not looked into, so the price is that
//! of the difference.

use std::collections::HashMap;

use git2::Oid;

use super::commit::BlobId;
use super::layout::{ROOT, task_id_of};
use super::objects::Objects;
use super::tree::RawTree;
use crate::entry::TaskId;
use crate::error::Result;

/// An entry's file that is not the same in both trees.
#[derive(Clone, Debug)]
pub struct EntryChange {
    /// The task.
    pub task_id: TaskId,
    /// Its blob before; `None`: it was added.
    pub before: Option<BlobId>,
    /// Its blob after; `None`: it was removed.
    pub after: Option<BlobId>,
}

/// Hands over each difference between the root trees `before` and `after`.
pub(super) fn between(
    objects: &Objects<'_>,
    before: Option<Oid>,
    after: Option<Oid>,
    each: &mut dyn FnMut(EntryChange),
) -> Result<()> {
    let ledger = |root: Option<Oid>| {
        let tree = read(objects, root)?;
        Ok::<_, crate::Error>(tree.find(ROOT).filter(|entry| entry.is_directory()).map(|entry| entry.oid()))
    };
    compare(objects, ROOT, ledger(before)?, ledger(after)?, each)
}

fn read(objects: &Objects<'_>, tree: Option<Oid>) -> Result<RawTree> {
    tree.map_or_else(|| Ok(RawTree::empty(objects.oid_size())), |id| objects.tree(id))
}

fn compare(
    objects: &Objects<'_>,
    path: &str,
    before: Option<Oid>,
    after: Option<Oid>,
    each: &mut dyn FnMut(EntryChange),
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let (before, after) = (read(objects, before)?, read(objects, after)?);
    let mut names: HashMap<&[u8], _> = before.iter().map(|entry| (entry.name, (Some(entry), None))).collect();
    for entry in after.iter() {
        names.entry(entry.name).or_default().1 = Some(entry);
    }
    for (name, (before, after)) in names {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let path = format!("{path}/{name}");
        let directory = |entry: Option<super::tree::TreeEntry<'_>>| {
            entry.filter(|entry| entry.is_directory()).map(|entry| entry.oid())
        };
        compare(objects, &path, directory(before), directory(after), each)?;
        let file = |entry: Option<super::tree::TreeEntry<'_>>| {
            entry.filter(|entry| entry.is_regular_file()).map(|entry| BlobId(entry.oid()))
        };
        let (before, after) = (file(before), file(after));
        if before != after
            && let Some(task_id) = task_id_of(&path)
        {
            each(EntryChange { task_id, before, after });
        }
    }
    Ok(())
}
