//! The working trees in which the ledger's branch is checked out, and their indexes.
//!
//! The index is changed by `git update-index`, because only git itself reads every form of it (split, sparse,
//! checksum-less), keeps all its extensions and locks it as other git commands expect. It runs with a pinned
//! environment and configuration: no hook, no filter, no file-system monitor.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::Oid;

use super::lock::Deadline;
use super::worktree_file::{self, Placed};
use super::{Ledger, Place};
use crate::error::{Error, Result};

/// Symbolic refs may point at symbolic refs; git follows as many.
const MAX_SYMBOLIC_DEPTH: usize = 5;

/// A file that is about to be part of the branch.
#[derive(Clone, Debug)]
pub(super) struct NewFile<'f> {
    pub path: &'f str,
    pub blob: Oid,
    /// `None`: they are in the object database.
    pub bytes: Option<&'f [u8]>,
}

/// One working tree that shows the branch.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// Its own git directory: where its HEAD and index are.
    pub git_dir: PathBuf,
    /// `None` when the directory is gone (a removed disk, a deleted linked worktree): the index still follows.
    pub work_tree: Option<PathBuf>,
}

/// What tells one version of an index file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexVersion {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Ledger {
    /// Every working tree, main or linked, that shows the ledger's branch.
    pub(super) fn checkouts(&self) -> Vec<Checkout> {
        let common = self.repository.commondir();
        let reference = &self.branch.reference;
        let mut found = Vec::new();
        if !self.repository.is_bare() && head_names(common, common, reference) {
            found.push(Checkout {
                git_dir: common.to_owned(),
                work_tree: self.repository.workdir().map(Path::to_owned),
            });
        }
        for git_dir in self.linked_git_dirs().filter(|git_dir| head_names(common, git_dir, reference)) {
            let given = self.linked_work_tree.as_ref().filter(|(of, _)| *of == git_dir);
            let work_tree = given.map_or_else(|| linked_work_tree(&git_dir), |(_, path)| Some(path.clone()));
            found.push(Checkout { work_tree: work_tree.filter(|path| path.is_dir()), git_dir });
        }
        found
    }

    /// The lock of an index, of whatever working tree, that some git command holds right now.
    pub(super) fn held_index_lock(&self) -> Option<PathBuf> {
        let git_dirs = std::iter::once(self.repository.commondir().to_owned()).chain(self.linked_git_dirs());
        git_dirs.map(|git_dir| git_dir.join("index.lock")).find(|lock| lock.exists())
    }

    fn linked_git_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let listing = fs::read_dir(self.repository.commondir().join("worktrees")).into_iter().flatten();
        listing.filter_map(io::Result::ok).map(|item| item.path())
    }
}

fn linked_work_tree(git_dir: &Path) -> Option<PathBuf> {
    let link = fs::read_to_string(git_dir.join("gitdir")).ok()?;
    git_dir.join(link.trim_end()).parent().map(Path::to_owned)
}

/// Whether HEAD of `git_dir` leads to `reference`, by way of any other symbolic refs.
fn head_names(common: &Path, git_dir: &Path, reference: &str) -> bool {
    let mut file = git_dir.join("HEAD");
    for _ in 0..MAX_SYMBOLIC_DEPTH {
        // Very old repositories have a symbolic link here.
        let target = match fs::read_link(&file) {
            Ok(target) => target.to_string_lossy().into_owned(),
            Err(_) => match fs::read_to_string(&file) {
                Ok(text) => match text.strip_prefix("ref:") {
                    Some(name) => name.trim().to_owned(),
                    None => return false,
                },
                Err(_) => return false,
            },
        };
        if target == reference {
            return true;
        }
        file = common.join(target);
    }
    false
}

impl Checkout {
    /// Puts the files into the working tree. `placed` gets what has to be undone, also of a call that fails.
    pub fn place_files(
        &self,
        files: &[NewFile<'_>],
        load: &dyn Fn(Oid) -> Result<Vec<u8>>,
        state: &Path,
        placed: &mut Vec<(Placed, Vec<u8>)>,
    ) -> Result<()> {
        let Some(root) = &self.work_tree else { return Ok(()) };
        for file in files {
            let bytes = file.bytes.map_or_else(|| load(file.blob), |bytes| Ok(bytes.to_vec()))?;
            if let Some(one) = worktree_file::place(root, file.path, &bytes, state)? {
                placed.push((one, bytes));
            }
        }
        Ok(())
    }

    /// The file's bytes in the working tree.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        worktree_file::read(self.work_tree.as_ref()?, path)
    }

    /// Adds paths to the index, waiting for `index.lock`.
    pub fn add_to_index(
        &self,
        entries: &[(&str, Oid)],
        place: &Place,
        deadline: Deadline,
    ) -> Result<IndexVersion> {
        let lines = entries.iter().map(|(path, blob)| format!("100644 {blob}\t{path}\0")).collect::<String>();
        let lock = self.index_lock();
        let mut attempt = 0;
        loop {
            if !lock.exists() {
                match self.run_update_index(&lines, place)? {
                    None => return Ok(self.index_version()),
                    // Only this means that it was held; a full disk fails on the same file.
                    Some(why) if why.contains("File exists") => {}
                    Some(why) => {
                        let why = why.lines().next().unwrap_or("git update-index failed").to_owned();
                        return Err(Error::Git {
                            doing: format!("add to the index in {}", self.git_dir.display()),
                            why,
                        });
                    }
                }
            }
            deadline.pause(attempt, &lock.display().to_string())?;
            attempt += 1;
        }
    }

    /// The file that a git command holds while it changes the index.
    pub fn index_lock(&self) -> PathBuf {
        self.git_dir.join("index.lock")
    }

    /// Takes paths out of the index. Returns whether that could be done.
    pub fn remove_from_index(&self, paths: &[&str], zero: Oid, place: &Place) -> bool {
        let lines = paths.iter().map(|path| format!("0 {zero}\t{path}\0")).collect::<String>();
        matches!(self.run_update_index(&lines, place), Ok(None))
    }

    /// The version that the index has now.
    pub fn index_version(&self) -> IndexVersion {
        let metadata = fs::metadata(self.git_dir.join("index")).ok();
        metadata.map_or(IndexVersion { inode: 0, size: 0, modified: (0, 0) }, |found| IndexVersion {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }

    /// What git said, where it failed.
    fn run_update_index(&self, lines: &str, place: &Place) -> Result<Option<String>> {
        let failed = |source: io::Error| {
            let doing = "run `git`, which is needed where the ledger's branch is checked out".to_owned();
            Error::Io { doing, source }
        };
        let mut command = Command::new("git");
        command.env_clear().envs(place.search_path.as_ref().map(|path| ("PATH", path)));
        command.env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_REPLACE_OBJECTS", "1");
        command.env("GIT_DIR", &self.git_dir).env("GIT_INDEX_FILE", self.git_dir.join("index"));
        let work_tree = self.work_tree.as_deref().unwrap_or(&self.git_dir);
        command.env("GIT_WORK_TREE", work_tree).current_dir(work_tree);
        command.args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]);
        command.args(["update-index", "--add", "-z", "--index-info"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output().map_err(failed)?;
        if !output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        // git takes a shorter list for all there is.
        written.map(|()| None).map_err(failed)
    }
}
