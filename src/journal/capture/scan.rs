//! What differs between HEAD, the index and the working tree, as libgit2 finds it.
//!
//! Invariants: the index is read and never written or locked; submodules and repositories inside are not looked into
//! (of a submodule, only its HEAD is read); no file that is not tracked is opened.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{
    Delta, Diff, DiffFile, DiffOptions, FileMode, Index, IndexEntry, IndexEntryExtendedFlag, IndexEntryFlag,
    Oid, Repository, Tree,
};

use super::repository::{Head, open_at};

/// More submodules than this are not looked at.
const MAX_SUBMODULES: usize = 1_000;
const GITLINK: u32 = 0o160_000;

/// A path in a repository, as git has it: bytes.
pub(super) type RepoPath = Vec<u8>;

/// Something that is in the object database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub id: Oid,
    pub mode: FileMode,
}

/// What is at a path now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Stored(Stored),
    /// A file or a link in the working tree, of other content than in the index.
    File(FileMode),
}

/// What differs at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub before: Option<Stored>,
    pub after: Option<Found>,
}

pub(super) type Differences = BTreeMap<RepoPath, Difference>;

/// The state of a working tree.
pub(super) struct Scan {
    pub index: Index,
    /// From HEAD to the index.
    pub staged: Differences,
    /// From the index to the working tree.
    pub unstaged: Differences,
    /// Paths in conflict, with the two letters that `git status` has for them.
    pub conflicts: BTreeMap<RepoPath, &'static str>,
    /// Paths that `git add --intent-to-add` announced.
    pub announced: HashSet<RepoPath>,
    /// What is not tracked and not ignored; a directory (which ends in `/`) stands for all that is in it.
    pub untracked: Vec<RepoPath>,
}

/// The index is no read-only affair of the ledger; here it is what the working tree is compared with.
#[expect(clippy::disallowed_methods, reason = "no ledger tree is made from it")]
fn index_of(repository: &Repository) -> Result<Index, git2::Error> {
    repository.index()
}

impl Scan {
    pub fn of(repository: &Repository, head: Option<&Tree<'_>>, root: &Path) -> Result<Self, git2::Error> {
        let index = index_of(repository)?;
        let conflicts = conflicts(&index)?;
        let mut staged = from_tree_to_index(repository, head, &index)?;
        let mut options = DiffOptions::new();
        options.include_untracked(true).include_typechange(true).ignore_submodules(true);
        let diff = repository.diff_index_to_workdir(Some(&index), Some(&mut options))?;
        let mut unstaged = Differences::new();
        let mut untracked = Vec::new();
        for delta in diff.deltas() {
            let (old, new) = (delta.old_file(), delta.new_file());
            let path = new.path_bytes().unwrap_or_default().to_vec();
            match delta.status() {
                Delta::Untracked => untracked.push(path),
                // A sparse checkout leaves files out; libgit2 does not look at the mark where there is no file.
                Delta::Deleted if is_left_out(&index, &path) => {}
                Delta::Modified | Delta::Typechange | Delta::Deleted => {
                    let after = (delta.status() != Delta::Deleted).then(|| Found::File(new.mode()));
                    unstaged.insert(path, Difference { before: stored(&old), after });
                }
                _ => {}
            }
        }
        find_moved_submodules(&index, root, &mut unstaged);
        let is_announced = |path: &RepoPath| {
            entry_of(&index, path)
                .is_some_and(|entry| entry.flags_extended & IndexEntryExtendedFlag::INTENT_TO_ADD.bits() != 0)
        };
        let announced: HashSet<_> = staged
            .iter()
            .filter(|(path, difference)| difference.before.is_none() && is_announced(path))
            .map(|(path, _)| path.clone())
            .collect();
        staged.retain(|path, _| !announced.contains(path) && !conflicts.contains_key(path));
        unstaged.retain(|path, _| !conflicts.contains_key(path));
        Ok(Self { index, staged, unstaged, conflicts, announced, untracked })
    }

    pub fn is_dirty(&self, path: &[u8]) -> bool {
        let differs = self.staged.contains_key(path) || self.unstaged.contains_key(path);
        differs || self.conflicts.contains_key(path) || self.announced.contains(path)
    }

    /// All paths that are tracked and not as HEAD has them.
    pub fn dirty(&self) -> impl Iterator<Item = &RepoPath> {
        self.staged.keys().chain(self.unstaged.keys()).chain(self.conflicts.keys()).chain(&self.announced)
    }
}

/// From a tree (`None`: the empty one) to the index; without what is in conflict.
pub(super) fn from_tree_to_index(
    repository: &Repository,
    tree: Option<&Tree<'_>>,
    index: &Index,
) -> Result<Differences, git2::Error> {
    repository.diff_tree_to_index(tree, Some(index), Some(&mut between_stored())).map(|diff| collected(&diff))
}

/// From a tree to a tree.
pub(super) fn from_tree_to_tree(
    repository: &Repository,
    before: Option<&Tree<'_>>,
    after: Option<&Tree<'_>>,
) -> Result<Differences, git2::Error> {
    repository.diff_tree_to_tree(before, after, Some(&mut between_stored())).map(|diff| collected(&diff))
}

fn between_stored() -> DiffOptions {
    let mut options = DiffOptions::new();
    // Explicitly not: a submodule that was committed counts, whatever `diff.ignoreSubmodules` says.
    options.include_typechange(true).ignore_submodules(false);
    options
}

fn collected(diff: &Diff<'_>) -> Differences {
    let both_stored = |delta: git2::DiffDelta<'_>| {
        let (old, new) = (delta.old_file(), delta.new_file());
        let path = new.path_bytes().or(old.path_bytes())?.to_vec();
        let wanted =
            matches!(delta.status(), Delta::Added | Delta::Deleted | Delta::Modified | Delta::Typechange);
        wanted.then(|| (path, Difference { before: stored(&old), after: stored(&new).map(Found::Stored) }))
    };
    diff.deltas().filter_map(both_stored).collect()
}

fn stored(file: &DiffFile<'_>) -> Option<Stored> {
    file.exists().then(|| Stored { id: file.id(), mode: file.mode() })
}

fn entry_of(index: &Index, path: &[u8]) -> Option<IndexEntry> {
    index.get_path(Path::new(OsStr::from_bytes(path)), 0)
}

/// Whether git does not expect the file in the working tree, or does not look (`git update-index --assume-unchanged`).
fn is_left_out(index: &Index, path: &[u8]) -> bool {
    entry_of(index, path).is_some_and(|entry| {
        let skipped = entry.flags_extended & IndexEntryExtendedFlag::SKIP_WORKTREE.bits() != 0;
        skipped || entry.flags & IndexEntryFlag::VALID.bits() != 0
    })
}

fn conflicts(index: &Index) -> Result<BTreeMap<RepoPath, &'static str>, git2::Error> {
    let mut found = BTreeMap::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let letters = match (&conflict.ancestor, &conflict.our, &conflict.their) {
            (Some(_), None, None) => "DD",
            (None, Some(_), None) => "AU",
            (Some(_), Some(_), None) => "UD",
            (None, None, Some(_)) => "UA",
            (Some(_), None, Some(_)) => "DU",
            (None, Some(_), Some(_)) => "AA",
            _ => "UU",
        };
        let sides = [conflict.our, conflict.their, conflict.ancestor];
        if let Some(path) = sides.into_iter().flatten().map(|side| side.path).next() {
            found.insert(path, letters);
        }
    }
    Ok(found)
}

/// Submodules whose HEAD is not what the index says, or whose directory is gone.
fn find_moved_submodules(index: &Index, root: &Path, unstaged: &mut Differences) {
    for entry in index.iter().filter(|entry| entry.mode == GITLINK).take(MAX_SUBMODULES) {
        let before = Some(Stored { id: entry.id, mode: FileMode::Commit });
        let directory = root.join(OsStr::from_bytes(&entry.path));
        if !directory.is_dir() {
            unstaged.insert(entry.path, Difference { before, after: None });
            continue;
        }
        // One that was never checked out is an empty directory.
        let is_repository = directory.join(".git").symlink_metadata().is_ok();
        let head =
            is_repository.then(|| open_at(&directory).ok().and_then(|inside| Head::of(&inside).commit));
        if let Some(id) = head.flatten().filter(|id| *id != entry.id) {
            let after = Some(Found::Stored(Stored { id, mode: FileMode::Commit }));
            unstaged.insert(entry.path, Difference { before, after });
        }
    }
}
