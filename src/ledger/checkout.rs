//! The working trees in which the ledger's branch is checked out. Such a branch never moves without its index, or the
//! user's next `git commit` would delete the new entry: first the file, then the index, then (in `append`) the ref.
//!
//! The file is written by us, never through git's filters, and never through a symbolic link. The index is changed by
//! `git update-index`, because only git itself reads every form of it (split, sparse, checksum-less), keeps all its
//! extensions and locks it as other git commands expect. It runs with a pinned environment and configuration:
//! no hook, no filter, no file-system monitor.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::{Oid, Repository};
use rustix::fs::{Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::Place;
use super::lock::Deadline;
use crate::error::{Error, Result};

/// A file that is about to be part of the branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewFile<'f> {
    pub path: &'f str,
    pub blob: Oid,
    pub bytes: &'f [u8],
}

/// One working tree that shows the branch.
#[derive(Debug)]
pub(super) struct Checkout {
    /// Its own git directory: where its HEAD and index are.
    git_dir: PathBuf,
    /// `None` when the directory is gone (a removed disk, a deleted linked worktree): the index still follows.
    work_tree: Option<PathBuf>,
}

/// Every working tree, main or linked, whose HEAD is `reference`.
pub(super) fn checkouts_of(repository: &Repository, reference: &str) -> Vec<Checkout> {
    let common = repository.commondir();
    let mut found = Vec::new();
    if !repository.is_bare() && head_names(common, reference) {
        found.push(Checkout {
            git_dir: common.to_owned(),
            work_tree: repository.workdir().map(Path::to_owned),
        });
    }
    let linked = fs::read_dir(common.join("worktrees")).into_iter().flatten().filter_map(io::Result::ok);
    for git_dir in linked.map(|item| item.path()).filter(|git_dir| head_names(git_dir, reference)) {
        let link = fs::read_to_string(git_dir.join("gitdir")).unwrap_or_default();
        let work_tree = git_dir.join(link.trim_end()).parent().map(Path::to_owned);
        found.push(Checkout { work_tree: work_tree.filter(|path| path.is_dir()), git_dir });
    }
    found
}

fn head_names(git_dir: &Path, reference: &str) -> bool {
    let head = git_dir.join("HEAD");
    // Very old repositories have a symbolic link here.
    if let Ok(target) = fs::read_link(&head) {
        return target == Path::new(reference);
    }
    fs::read_to_string(head)
        .is_ok_and(|text| text.strip_prefix("ref: ").is_some_and(|name| name.trim_end() == reference))
}

impl Checkout {
    /// Puts the files into the working tree and the index. On an error the working tree is as before.
    pub fn stage(
        &self,
        files: &[NewFile<'_>],
        state: &Path,
        place: &Place,
        deadline: Deadline,
    ) -> Result<()> {
        let mut made = Vec::new();
        let staged = self
            .place_files(files, state, &mut made)
            .and_then(|()| self.update_index(files, place, deadline));
        if staged.is_err() {
            made.iter().for_each(|path| _ = fs::remove_file(path));
        }
        staged
    }

    /// Takes back what [`Self::stage`] did.
    pub fn unstage(&self, files: &[NewFile<'_>], place: &Place) {
        let zero = |file: &NewFile<'_>| "0".repeat(file.blob.to_string().len());
        let lines: String = files.iter().map(|file| format!("0 {}\t{}\0", zero(file), file.path)).collect();
        if !self.run_update_index(&lines, place).is_ok_and(|(done, _)| done) {
            return;
        }
        for file in files.iter().filter(|file| self.read(file.path).is_some_and(|found| found == file.bytes))
        {
            _ = self.work_tree.as_ref().map(|root| fs::remove_file(root.join(file.path)));
        }
    }

    /// The file's bytes in the working tree.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.work_tree.as_ref()?.join(path)).ok()
    }

    fn place_files(&self, files: &[NewFile<'_>], state: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
        let Some(root) = &self.work_tree else { return Ok(()) };
        for file in files {
            if place_file(root, file, state)? {
                made.push(root.join(file.path));
            }
        }
        Ok(())
    }

    /// Adds the files to the index, waiting for `index.lock`.
    fn update_index(&self, files: &[NewFile<'_>], place: &Place, deadline: Deadline) -> Result<()> {
        let lock = self.git_dir.join("index.lock");
        let lines: String =
            files.iter().map(|file| format!("100644 {}\t{}\0", file.blob, file.path)).collect();
        for attempt in 0.. {
            if lock.exists() {
                deadline.pause(attempt, &lock.display().to_string())?;
                continue;
            }
            let (done, stderr) = self.run_update_index(&lines, place)?;
            if done {
                return Ok(());
            }
            if !stderr.contains("index.lock") {
                let why = stderr.lines().next().unwrap_or("git update-index failed").to_owned();
                return Err(Error::Git {
                    doing: format!("add to the index in {}", self.git_dir.display()),
                    why,
                });
            }
            deadline.pause(attempt, &lock.display().to_string())?;
        }
        Ok(())
    }

    fn run_update_index(&self, lines: &str, place: &Place) -> Result<(bool, String)> {
        let failed = |error: io::Error| {
            let doing = "run `git`, which is needed where the ledger's branch is checked out".to_owned();
            Error::Io { doing, source: error }
        };
        let mut command = Command::new("git");
        command.env_clear().envs(place.search_path.as_ref().map(|path| ("PATH", path)));
        command.env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_REPLACE_OBJECTS", "1");
        command.env("GIT_DIR", &self.git_dir).env("GIT_INDEX_FILE", self.git_dir.join("index"));
        let work_tree = self.work_tree.as_deref().unwrap_or(&self.git_dir);
        command.env("GIT_WORK_TREE", work_tree).current_dir(work_tree);
        command.args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "update-index",
            "--add",
            "-z",
            "--index-info",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // git may stop reading early; its exit status then tells why.
            _ = stdin.write_all(lines.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

/// Writes one file below `root`, following no symbolic link. Returns whether there was none of that name before.
fn place_file(root: &Path, file: &NewFile<'_>, state: &Path) -> Result<bool> {
    let shown = root.join(file.path);
    let failed = |errno: Errno| Error::io(format!("write {}", shown.display()), errno);
    let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", file.path));
    let directory = open_directory(root, directory)?;

    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let existed = match openat(&directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => false,
        Err(errno) => return Err(failed(errno)),
        Ok(existing) => {
            let mut content = Vec::new();
            let read = File::from(existing).take(file.bytes.len() as u64 + 1).read_to_end(&mut content);
            read.map_err(|error| Error::io(format!("read {}", shown.display()), error))?;
            if content == file.bytes {
                return Ok(false);
            }
            // Not ours to judge: a draft of the user's, or what a killed process left. It is kept elsewhere.
            super::objects::move_aside(&shown, &state.join("set-aside"))?;
            true
        }
    };
    let draft = write_draft(state, name, file.bytes)?;
    let renamed = match renameat(rustix::fs::CWD, &draft, &directory, name) {
        // The working tree is on another file system than the repository.
        Err(Errno::XDEV) => copy_into(&directory, name, file.bytes),
        renamed => renamed,
    };
    _ = fs::remove_file(&draft);
    renamed.map_err(failed)?;
    Ok(!existed)
}

/// Writes the file where a kill leaves nothing in the user's working tree. Synced, because after a power cut an empty
/// file there would look like a change to `git commit -a`.
fn write_draft(state: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let directory = state.join("drafts");
    let path = directory.join(name);
    let written = fs::create_dir_all(&directory).and_then(|()| {
        let mut draft = File::create(&path)?;
        draft.write_all(bytes)?;
        draft.sync_all()
    });
    written.map_err(|error| Error::io(format!("write {}", path.display()), error))?;
    Ok(path)
}

fn copy_into(directory: &OwnedFd, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let temporary = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut target = File::from(openat(directory, temporary.as_str(), flags, Mode::from_raw_mode(0o666))?);
    let written = target.write_all(bytes).and_then(|()| target.sync_all());
    let written = written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    written.and_then(|()| renameat(directory, temporary.as_str(), directory, name)).inspect_err(|_| {
        _ = unlinkat(directory, temporary.as_str(), rustix::fs::AtFlags::empty());
    })
}

/// Opens a directory below `root`, making what is missing. A symbolic link on the way is an error: it may lead out.
fn open_directory(root: &Path, path: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut shown = root.to_owned();
    let mut current = rustix::fs::open(root, flags, Mode::empty())
        .map_err(|errno| Error::io(format!("open {}", root.display()), errno))?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        shown.push(name);
        let inner = |current: &OwnedFd| openat(current, name, flags | OFlags::NOFOLLOW, Mode::empty());
        current = match inner(&current) {
            Err(Errno::NOENT) => match mkdirat(&current, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => inner(&current),
                Err(errno) => Err(errno),
            },
            opened => opened,
        }
        .map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => Error::Blocked(shown.clone()),
            _ => Error::io(format!("open {}", shown.display()), errno),
        })?;
    }
    Ok(current)
}
