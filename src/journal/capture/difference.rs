//! What a task left behind: the state of the working tree, and what changed in it since the task began.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git2::{FileMode, Oid, Repository};

use super::amounts::Counter;
use super::capped::Capped;
use super::contents::Contents;
use super::diffstat::{self, Amount};
use super::dirty::{self, Dirty};
use super::quote::readable;
use super::repository::{Head, root_of};
use super::scan::{self, Differences, Found, RepoPath, Scan, Stored};
use super::worker::Until;
use super::{Limits, status, tree_of, untracked};

/// The ledger's own files are no work of a task.
const LEDGER: &[u8] = b".audit/";

/// The state of the working tree.
#[derive(Debug, Default)]
pub(super) struct WorkingTree {
    pub status: String,
    pub status_bytes: u64,
    pub dirty: Dirty,
    /// Why there are more dirty files than are remembered.
    pub dirty_unknown: Option<String>,
    pub incomplete: Option<String>,
}

/// What changed since the task began.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub diffstat: String,
    pub diffstat_bytes: u64,
    pub files: Vec<String>,
    pub files_total: u64,
    pub lines_added: u64,
    pub lines_deleted: u64,
    pub incomplete: Vec<String>,
}

/// A scan, with the files in the directories that are not tracked.
pub(super) struct Scanned {
    scan: Scan,
    untracked: Vec<RepoPath>,
}

/// The state of the working tree, if there is one. `limits`: also as text.
pub(super) fn working_tree(
    repository: &Repository,
    head: &Head,
    limits: Option<Limits>,
    until: Until,
) -> Result<(WorkingTree, Option<Scanned>), git2::Error> {
    let mut found = WorkingTree::default();
    let Some(root) = work_tree_of(repository) else {
        if !repository.is_bare() {
            let why = "status: the working tree is gone".to_owned();
            (found.incomplete, found.dirty_unknown) = (Some(why.clone()), Some(why));
        }
        return Ok((found, None));
    };
    let scan = Scan::of(repository, tree_of(repository, head.commit)?.as_ref(), &root)?;
    if let Some(limits) = limits {
        let mut text = Capped::new(limits.status_bytes);
        status::write(&scan, &Contents::of(repository, &root)?, until.sooner(0.3), &mut text);
        (found.status, found.status_bytes) = text.finish();
    }
    let (untracked, is_complete) =
        untracked::expand(repository, &root, scan.untracked.clone(), until.sooner(0.5));
    let paths = || scan.dirty().chain(&untracked).map(Vec::as_slice);
    found.dirty = Dirty::of(&root, paths());
    if !is_complete {
        let why = "not all files in directories that are not tracked were looked at";
        (found.incomplete, found.dirty_unknown) = (Some(why.to_owned()), Some(why.to_owned()));
    } else if paths().nth(dirty::MAX_FILES).is_some() {
        found.dirty_unknown = Some(format!("more than {} files were changed", dirty::MAX_FILES));
    }
    Ok((found, Some(Scanned { scan, untracked })))
}

/// What changed from the commit `before` to the working tree, or where there is none, to HEAD.
pub(super) fn since(
    repository: &Repository,
    before: Option<Oid>,
    head: &Head,
    scanned: Option<Scanned>,
    was_dirty: &Dirty,
    limits: Limits,
    until: Until,
) -> Result<Difference, git2::Error> {
    let root = root_of(repository);
    let tree = tree_of(repository, before)?;
    let (mut differences, mut inside) = match scanned {
        None => (
            scan::from_tree_to_tree(repository, tree.as_ref(), tree_of(repository, head.commit)?.as_ref())?,
            Vec::new(),
        ),
        Some(Scanned { scan, mut untracked }) => {
            let mut differences = scan::from_tree_to_index(repository, tree.as_ref(), &scan.index)?;
            blend(&mut differences, &scan, tree.as_ref(), &root);
            // One that is tracked no more, and still there, is compared with what it was.
            let is_old = |path: &[u8]| was_dirty.has_unchanged(&root, path);
            untracked.retain(|path| {
                let after = file_at(&root, path);
                if after.is_some() && (differences.contains_key(path) || !is_old(path)) {
                    let found = || scan::Difference { before: None, after };
                    differences.entry(path.clone()).or_insert_with(found).after = after;
                }
                path.ends_with(b"/") && !is_old(path)
            });
            differences.retain(|path, _| !(scan.is_dirty(path) && is_old(path)));
            (differences, untracked)
        }
    };
    differences.retain(|path, _| !path.starts_with(LEDGER));
    inside.retain(|path| !path.starts_with(LEDGER));
    let contents = Contents::of(repository, &root)?;
    let mut counter = Counter::new(&contents, until);
    let files = counter.count(&differences, inside);
    let mut found = Difference { files_total: files.len() as u64, ..Difference::default() };
    for file in &files {
        if let Amount::Lines { added, deleted } = file.amount {
            found.lines_added += added;
            found.lines_deleted += deleted;
        }
    }
    found.files = files.iter().take(limits.files).map(|file| readable(&file.path)).collect();
    if counter.uncounted > 0 {
        found.incomplete.push(format!("the lines of {} files were not counted", counter.uncounted));
    }
    let mut text = Capped::new(limits.diffstat_bytes);
    diffstat::write(&files, &mut text);
    (found.diffstat, found.diffstat_bytes) = text.finish();
    Ok(found)
}

/// Makes differences up to the index into differences up to the working tree.
fn blend(differences: &mut Differences, scan: &Scan, tree: Option<&git2::Tree<'_>>, root: &Path) {
    for path in &scan.announced {
        differences.insert(path.clone(), scan::Difference { before: None, after: file_at(root, path) });
    }
    for (path, unstaged) in &scan.unstaged {
        match differences.get_mut(path) {
            // Added to the index and gone again: nothing.
            Some(known) if known.before.is_none() && unstaged.after.is_none() => _ = differences.remove(path),
            Some(known) => known.after = unstaged.after,
            None => _ = differences.insert(path.clone(), unstaged.clone()),
        }
    }
    for path in scan.conflicts.keys() {
        let entry = tree.and_then(|tree| tree.get_path(Path::new(OsStr::from_bytes(path))).ok());
        let before =
            entry.map(|entry| Stored { id: entry.id(), mode: mode_of(entry.filemode().cast_unsigned()) });
        differences.insert(path.clone(), scan::Difference { before, after: file_at(root, path) });
    }
}

/// The file or link in the working tree, if there is one.
fn file_at(root: &Path, path: &[u8]) -> Option<Found> {
    let found = root.join(OsStr::from_bytes(path)).symlink_metadata().ok()?;
    (found.is_file() || found.is_symlink()).then(|| Found::File(mode_of(found.mode())))
}

/// As git has modes.
fn mode_of(bits: u32) -> FileMode {
    match bits & 0o170_000 {
        0o120_000 => FileMode::Link,
        0o160_000 => FileMode::Commit,
        _ if bits & 0o111 != 0 => FileMode::BlobExecutable,
        _ => FileMode::Blob,
    }
}

/// The root of the working tree, if it is there.
fn work_tree_of(repository: &Repository) -> Option<PathBuf> {
    repository.workdir().filter(|root| root.is_dir()).map(Path::to_owned)
}
