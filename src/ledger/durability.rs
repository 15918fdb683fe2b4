//! When a file survives a power cut, and in which order files get their names.
//!
//! A name must never be durable before the content: a power cut in between leaves an empty file where a reader expects
//! a pack or a branch. So: contents first, then names, then what makes the names durable.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;
#[cfg(target_os = "linux")]
use std::{os::fd::AsRawFd, os::unix::fs::MetadataExt};

use crate::error::{Error, Result};

#[cfg(target_os = "linux")]
const EXT4_MAGIC: rustix::fs::FsWord = 0xEF53;
#[cfg(target_os = "linux")]
const XFS_MAGIC: rustix::fs::FsWord = 0x5846_5342;

/// What an acknowledgement promises (`--durability`, `audit.durability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// No flush: a power cut can lose acknowledged entries. What was durable before is not put at risk: files are still
    /// written in order.
    Off,
    /// The entry survives a power cut, with as few flushes as the file system allows.
    #[default]
    Auto,
    /// The same, with every file and every directory flushed, whatever the file system promises.
    Strict,
}

impl Durability {
    /// The words for them.
    pub const WORDS: [&str; 3] = ["auto", "strict", "off"];
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Self, String> {
        let known = [Self::Auto, Self::Strict, Self::Off].into_iter();
        let found = known.into_iter().find(|known| known.to_string() == word);
        found.ok_or_else(|| format!("expected {}", Self::WORDS.join(", ")))
    }
}

/// A complete file that has no name of its own yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub file: File,
    /// Where it is.
    pub temporary: PathBuf,
    /// The name it is to have, in the same directory.
    pub path: PathBuf,
}

/// How files of one file system are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// A journal (ext4, xfs) commits changes of metadata in order, so one fsync commits every name before it.
    Journal,
    /// ext4 made without a journal: the fsync of a file that was just named writes its directory, too.
    NameWithFile,
    /// Nothing is promised: fsync every file and its directory.
    EachFile,
    /// The same, and the directory above.
    Strict,
    /// No flush, but no name before its content is on its way to the disk.
    InOrder,
}

/// Makes the files of one directory durable.
#[derive(Clone, Copy, Debug)]
pub struct Syncing(Method);

impl Syncing {
    /// For files on the file system of `directory`.
    pub fn on(directory: &Path, durability: Durability) -> Self {
        Self(match durability {
            Durability::Off => Method::InOrder,
            Durability::Strict => Method::Strict,
            Durability::Auto => method_of(directory),
        })
    }

    /// Gives new files their names, all in one directory. Returns when all of them survive a power cut. The last one
    /// is the one that makes the others be seen.
    pub(super) fn name(self, drafts: &[Draft]) -> Result<()> {
        let Some((last, others)) = drafts.split_last() else { return Ok(()) };
        for draft in others {
            match self.0 {
                Method::InOrder | Method::Journal => write_out(&draft.file, &draft.temporary)?,
                _ => sync_open(&draft.file, &draft.temporary)?,
            }
        }
        match self.0 {
            // Its content is on its way to the disk, so that its name cannot be there long before.
            Method::InOrder | Method::Journal | Method::NameWithFile => {
                write_out(&last.file, &last.temporary)?
            }
            _ => sync_open(&last.file, &last.temporary)?,
        }
        for draft in drafts {
            rename(&draft.temporary, &draft.path)?;
        }
        match self.0 {
            Method::InOrder => Ok(()),
            Method::Journal | Method::NameWithFile => sync_open(&last.file, &last.path),
            Method::EachFile => sync_directories(&last.path, 1),
            Method::Strict => sync_directories(&last.path, 2),
        }
    }

    /// Puts a file in the place of another, once its content is durable: whatever happens, one of the two is there.
    /// Which one is up to [`Self::sync_names`].
    pub(super) fn replace(self, draft: &Draft) -> Result<()> {
        match self.0 {
            Method::InOrder => write_out(&draft.file, &draft.temporary)?,
            _ => sync_open(&draft.file, &draft.temporary)?,
        }
        rename(&draft.temporary, &draft.path)
    }

    /// Makes the name of a file durable whose content is, with every directory up to `root`.
    pub(super) fn sync_names(self, file: &Path, root: &Path) -> Result<()> {
        if self.0 == Method::InOrder {
            return Ok(());
        }
        file.ancestors().skip(1).take_while(|path| path.starts_with(root)).try_for_each(sync_if_there)
    }

    /// Makes a file durable that already has its name, with every directory up to `root`.
    ///
    /// # Errors
    /// One of them cannot be made durable.
    pub fn sync_named(self, file: &Path, root: &Path) -> Result<()> {
        if self.0 == Method::InOrder {
            return Ok(());
        }
        let paths = file.ancestors().take_while(|path| path.starts_with(root)).filter(|path| path.exists());
        let enough = if self.0 == Method::Journal { 1 } else { usize::MAX };
        paths.take(enough).try_for_each(sync_if_there)
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .map_err(|error| Error::io(format!("rename {} to {}", from.display(), to.display()), error))
}

fn sync_directories(path: &Path, depth: usize) -> Result<()> {
    path.ancestors().skip(1).take(depth).try_for_each(sync)
}

fn sync_open(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| Error::io(format!("sync {}", path.display()), error))
}

/// Makes one file's or directory's content durable.
fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(format!("sync {}", path.display()), error))
}

/// git may have packed the ref in this moment, and removed its directory.
fn sync_if_there(path: &Path) -> Result<()> {
    match sync(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// Has a file's content written, so that no crash leaves it empty for long. Not a promise.
pub(super) fn write_out(file: &File, path: &Path) -> Result<()> {
    wait_for_write_out(file).map_err(|error| Error::io(format!("write out {}", path.display()), error))
}

#[cfg(not(target_os = "linux"))]
fn method_of(_: &Path) -> Method {
    Method::EachFile
}

#[cfg(target_os = "linux")]
fn method_of(directory: &Path) -> Method {
    match rustix::fs::statfs(directory).map(|system| system.f_type) {
        Ok(XFS_MAGIC) => Method::Journal,
        Ok(EXT4_MAGIC) => ext4_method(directory).unwrap_or(Method::EachFile),
        _ => Method::EachFile,
    }
}

/// ext2, ext3 and ext4 share a magic number, and each of them can lack a journal: ext4's driver tells which task writes
/// it. Where that cannot be read (in some containers), `None`.
#[cfg(target_os = "linux")]
fn ext4_method(directory: &Path) -> Option<Method> {
    let device = fs::metadata(directory).ok()?.dev();
    let link = format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let name = fs::read_link(link).ok()?.file_name()?.to_owned();
    let task = fs::read_to_string(Path::new("/sys/fs/ext4").join(name).join("journal_task")).ok()?;
    Some(if task.trim().parse::<u32>().is_ok() { Method::Journal } else { Method::NameWithFile })
}

#[cfg(target_os = "linux")]
fn wait_for_write_out(file: &File) -> std::io::Result<()> {
    let flags =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is handed over.
    #[expect(unsafe_code, reason = "no maintained crate wraps this call")]
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn wait_for_write_out(file: &File) -> std::io::Result<()> {
    file.sync_all()
}
