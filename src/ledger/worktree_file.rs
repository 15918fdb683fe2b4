//! One file into a working tree: never through a symbolic link, never half written, and so that it can be taken back.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::durability::write_out;
use super::objects::move_aside;
use crate::error::{Error, Result};

/// What placing a file did, to be undone if the branch does not move after all.
#[derive(Debug)]
pub(super) struct Placed {
    root: PathBuf,
    file: PathBuf,
    /// Where a file that was in its place went.
    replaced: Option<PathBuf>,
}

impl Placed {
    /// Puts back what was there. A file that somebody changed meanwhile is left.
    pub fn undo(&self, bytes: &[u8]) {
        if fs::read(&self.file).is_ok_and(|found| found == bytes) {
            _ = match &self.replaced {
                Some(replaced) => fs::rename(replaced, &self.file),
                None => fs::remove_file(&self.file),
            };
            // Directories that are empty now were made for it; one that is not empty stays by itself.
            let inside = self.file.ancestors().skip(1).take_while(|directory| *directory != self.root);
            inside.map(fs::remove_dir).take_while(std::result::Result::is_ok).for_each(drop);
        }
    }
}

/// Writes one file below `root`. `None`: it was there already, with these bytes. A file of other content in its place
/// is not ours to judge (a draft of the user's, or what a killed process left): it is kept in `state`.
pub(super) fn place(root: &Path, path: &str, bytes: &[u8], state: &Path) -> Result<Option<Placed>> {
    let shown = root.join(path);
    let failed = |errno: Errno| Error::io(format!("write {}", shown.display()), errno);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = open_directory(root, directory, true)?;
    let replaced = match open_regular(&directory, name, &shown)? {
        None => None,
        Some(existing) => {
            let mut content = Vec::new();
            let read = existing.take(bytes.len() as u64 + 1).read_to_end(&mut content);
            read.map_err(|error| Error::io(format!("read {}", shown.display()), error))?;
            if content == bytes {
                return Ok(None);
            }
            Some(move_aside(&shown, &state.join("set-aside"))?)
        }
    };
    let placed = Placed { root: root.to_owned(), file: shown.clone(), replaced };
    let draft = write_draft(state, name, bytes)?;
    let renamed = match renameat(rustix::fs::CWD, &draft, &directory, name) {
        // The working tree is on another file system than the repository.
        Err(Errno::XDEV) => copy_into(&directory, name, bytes),
        renamed => renamed,
    };
    _ = fs::remove_file(&draft);
    renamed.map_err(failed)?;
    Ok(Some(placed))
}

/// The bytes of a file below `root`; `None` where there is none, or something that is no regular file.
pub(super) fn read(root: &Path, path: &str) -> Option<Vec<u8>> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = open_directory(root, directory, false).ok()?;
    let mut bytes = Vec::new();
    let limit = crate::entry::MAX_ENTRY_BYTES as u64 + 1;
    open_regular(&directory, name, Path::new(path)).ok()??.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Opens a regular file for reading. Anything else in its place is in the way: a link may lead out, a pipe would make
/// us wait.
fn open_regular(directory: &OwnedFd, name: &str, shown: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Error::Blocked(shown.to_owned())),
        Err(errno) => return Err(Error::io(format!("open {}", shown.display()), errno)),
    };
    let kind = fstat(&file).map(|found| FileType::from_raw_mode(found.st_mode));
    if kind == Ok(FileType::RegularFile) {
        Ok(Some(File::from(file)))
    } else {
        Err(Error::Blocked(shown.to_owned()))
    }
}

/// Writes the file where a kill leaves nothing in the user's working tree. On its way to the disk before it gets its
/// name, because after a power cut an empty file there would look like a change to `git commit -a`.
fn write_draft(state: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let directory = state.join("drafts");
    let path = directory.join(name);
    let written = fs::create_dir_all(&directory).and_then(|()| {
        let mut draft = File::create(&path)?;
        draft.write_all(bytes).map(|()| draft)
    });
    let draft = written.map_err(|error| Error::io(format!("write {}", path.display()), error))?;
    write_out(&draft, &path)?;
    Ok(path)
}

fn copy_into(directory: &OwnedFd, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let temporary = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut target = File::from(openat(directory, temporary.as_str(), flags, Mode::from_raw_mode(0o666))?);
    let written = target.write_all(bytes).and_then(|()| target.sync_all());
    let written = written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    written.and_then(|()| renameat(directory, temporary.as_str(), directory, name)).inspect_err(|_| {
        _ = unlinkat(directory, temporary.as_str(), AtFlags::empty());
    })
}

/// Opens a directory below `root`; with `make`, what is missing is made. A symbolic link on the way is an error: it may lead out.
fn open_directory(root: &Path, path: &str, make: bool) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut shown = root.to_owned();
    let mut current = rustix::fs::open(root, flags, Mode::empty())
        .map_err(|errno| Error::io(format!("open {}", root.display()), errno))?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        shown.push(name);
        let inner = |current: &OwnedFd| openat(current, name, flags | OFlags::NOFOLLOW, Mode::empty());
        current = match inner(&current) {
            Err(Errno::NOENT) if make => match mkdirat(&current, name, Mode::from_raw_mode(0o777)) {
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
