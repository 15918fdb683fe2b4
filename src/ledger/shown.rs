//! What the working trees that show the branch hold, and their indexes, for whoever compares them with the branch. Nothing
//! is followed that leads elsewhere, nothing waits, nothing is changed.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use git2::{Index, ObjectFormat};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::checkout::Checkout;
use super::{Ledger, git_error};
use crate::error::{Error, Result};

/// Directories below each other.
const MAX_DEPTH: usize = 32;
const SKIP_WORKTREE: u16 = 1 << 14;
const INTENT_TO_ADD: u16 = 1 << 13;

/// A working tree that shows the branch.
pub struct Shown {
    checkout: Checkout,
    format: ObjectFormat,
    /// Whether files here can be executable or not (`core.fileMode`).
    pub keeps_mode: bool,
}

/// What stands at a path of a working tree.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File {
        /// Its content.
        file: File,
        /// Its size.
        size_bytes: u64,
        /// Whether its owner may execute it.
        is_executable: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
    /// Something that cannot be opened: why.
    Unreadable(String),
}

/// What an index holds at a path.
#[derive(Clone, Debug)]
pub struct Staged {
    /// As a tree has it.
    pub mode: u32,
    /// The object.
    pub id: Vec<u8>,
    /// Whether it is one side of a conflict.
    pub is_conflict: bool,
    /// Whether it need not be in the working tree.
    pub is_left_out: bool,
}

impl Ledger {
    /// The working trees that show the branch. None do where there is no local branch yet.
    ///
    /// # Errors
    /// The branch cannot be read.
    pub fn shown(&self) -> Result<Vec<Shown>> {
        if self.branch.local_tip(&self.repository)?.is_none() {
            return Ok(Vec::new());
        }
        let format = self.repository.object_format();
        let no = ["false", "no", "off", "0"];
        let keeps_mode =
            self.settings.text("core.filemode").is_none_or(|value| !no.contains(&value.as_str()));
        Ok(self.checkouts().into_iter().map(|checkout| Shown { checkout, format, keeps_mode }).collect())
    }

    /// The paths of entries that an append is putting into working trees, or was when it was killed.
    pub fn unfinished_paths(&self) -> Vec<String> {
        let marks = fs::read_dir(self.state_directory().join("pending")).into_iter().flatten();
        marks.filter_map(|mark| fs::read_to_string(mark.ok()?.path()).ok()).collect()
    }
}

impl Shown {
    /// Its top; `None` where it is gone, and only its index is left.
    pub fn work_tree(&self) -> Option<&Path> {
        self.checkout.work_tree.as_deref()
    }

    /// Its git directory.
    pub fn git_dir(&self) -> &Path {
        &self.checkout.git_dir
    }

    /// What its index holds below `directory`.
    ///
    /// # Errors
    /// It cannot be read: it is damaged, or split, or sparse.
    pub fn index(&self, directory: &str) -> Result<BTreeMap<Vec<u8>, Staged>> {
        let path = self.checkout.git_dir.join("index");
        let index =
            Index::open_ext(&path, self.format).map_err(git_error(format!("read {}", path.display())))?;
        let inside =
            |path: &[u8]| path.strip_prefix(directory.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        let entries = index.iter().filter(|entry| inside(&entry.path) || entry.path == directory.as_bytes());
        let staged = entries.filter(|entry| entry.flags_extended & INTENT_TO_ADD == 0).map(|entry| {
            let staged = Staged {
                mode: entry.mode,
                id: entry.id.as_bytes().to_vec(),
                is_conflict: entry.flags & 0x3000 != 0,
                is_left_out: entry.flags_extended & SKIP_WORKTREE != 0,
            };
            (entry.path, staged)
        });
        Ok(staged.collect())
    }

    /// Hands over everything in the working tree from `directory` on, with its path. Nothing, if it is not there.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn walk(&self, directory: &str, each: &mut dyn FnMut(&[u8], Found)) -> Result<()> {
        let Some(root) = &self.checkout.work_tree else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, root, flags, Mode::empty())
            .map_err(|errno| Error::io(format!("open {}", root.display()), errno))?;
        let mut path = directory.as_bytes().to_vec();
        let name = std::ffi::CString::new(directory).map_err(|_| Error::Usage("a path has a NUL".into()))?;
        visit(&top, &name, FileType::Unknown, &mut path, 0, each)
            .map_err(|errno| Error::io(format!("list {}", root.join(directory).display()), errno))
    }
}

fn visit(
    parent: &OwnedFd,
    name: &CStr,
    kind: FileType,
    path: &mut Vec<u8>,
    depth: usize,
    each: &mut dyn FnMut(&[u8], Found),
) -> rustix::io::Result<()> {
    let is_ordinary = matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Unknown);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match kind {
        FileType::Symlink => Err(Errno::LOOP),
        // To open a device may do something.
        _ if !is_ordinary => Err(Errno::NXIO),
        _ => openat(parent, name, flags, Mode::empty()),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => {
            each(
                path,
                match errno {
                    Errno::LOOP => Found::Link,
                    Errno::NXIO => Found::Other,
                    _ => Found::Unreadable(errno.to_string()),
                },
            );
            return Ok(());
        }
    };
    let found = fstat(&opened)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            let is_executable = found.st_mode & 0o100 != 0;
            let size_bytes = u64::try_from(found.st_size).unwrap_or(0);
            each(path, Found::File { file: File::from(opened), size_bytes, is_executable });
        }
        FileType::Directory if depth < MAX_DEPTH => {
            each(path, Found::Directory);
            for item in Dir::read_from(&opened)? {
                let item = item?;
                let name = item.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                let length = path.len();
                path.push(b'/');
                path.extend(name.to_bytes());
                visit(&opened, name, item.file_type(), path, depth + 1, each)?;
                path.truncate(length);
            }
        }
        FileType::Directory => each(path, Found::Unreadable("it is in too many directories".to_owned())),
        _ => each(path, Found::Other),
    }
    Ok(())
}
