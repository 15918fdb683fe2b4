//! The files in directories of which nothing is tracked.
//!
//! Walked here and not by libgit2, which cannot be stopped: such a directory may hold millions of files. Symbolic links
//! are not followed, repositories inside are not looked into, and what is no regular file or link is no file to git.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use git2::Repository;

use super::scan::RepoPath;
use super::worker::Until;

/// The most files that are listed.
const MAX_FILES: usize = 200_000;

/// Replaces each directory in `untracked` by the files in it. Returns whether all were found.
pub(super) fn expand(
    repository: &Repository,
    root: &Path,
    untracked: Vec<RepoPath>,
    until: Until,
) -> (Vec<RepoPath>, bool) {
    let mut files = Vec::new();
    let mut directories = Vec::new();
    for path in untracked {
        if path.ends_with(b"/") { directories.push(path) } else { files.push(path) }
    }
    directories.reverse();
    while let Some(directory) = directories.pop() {
        if files.len() >= MAX_FILES || until.is_over() {
            return (files, false);
        }
        let inside = root.join(OsStr::from_bytes(&directory));
        if inside.join(".git").symlink_metadata().is_ok() {
            files.push(directory);
            continue;
        }
        let Ok(listing) = fs::read_dir(&inside) else { continue };
        for item in listing.filter_map(Result::ok).take(MAX_FILES) {
            let Ok(kind) = item.file_type() else { continue };
            if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
                continue;
            }
            let mut path = [directory.as_slice(), &item.file_name().into_vec()].concat();
            if kind.is_dir() {
                path.push(b'/');
            }
            if until.is_over() {
                return (files, false);
            }
            if !repository.is_path_ignored(OsStr::from_bytes(&path)).unwrap_or(false) {
                if kind.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
    }
    let is_complete = files.len() < MAX_FILES;
    (files, is_complete)
}
