//! When a file survives a power cut. Two ways, by what the file system promises:
//!
//! - A journal (ext4, xfs) commits metadata in order: start each file's write-out, wait for it, and one fsync at the
//!   end commits everything that came before.
//! - Anything else, also ext4 made without a journal: fsync every file, and every directory that has a new name.

use std::cell::OnceCell;
use std::fs::File;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::{fs, os::fd::AsRawFd, os::unix::fs::MetadataExt};

use crate::error::{Error, Result};

/// More files than this are not kept open: the system has a limit.
const MAX_OPEN_FILES: usize = 128;
/// How many flushes wait side by side.
const WORKERS: usize = 4;
#[cfg(target_os = "linux")]
const EXT4_MAGIC: rustix::fs::FsWord = 0xEF53;
#[cfg(target_os = "linux")]
const XFS_MAGIC: rustix::fs::FsWord = 0x5846_5342;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Journal,
    EachFile,
}

/// New files that must be durable before something names them.
#[derive(Debug)]
pub(super) struct Barrier {
    file_system_of: PathBuf,
    /// Found out when the first file comes: a query writes none.
    method: OnceCell<Method>,
    open: Vec<(File, PathBuf)>,
    /// Directories with new names; empty under a journal.
    directories: Vec<PathBuf>,
    last: Option<(File, PathBuf)>,
}

impl Barrier {
    /// For files on the file system of `directory`.
    pub fn on(directory: &Path) -> Self {
        let file_system_of = directory.to_owned();
        Self {
            file_system_of,
            method: OnceCell::new(),
            open: Vec::new(),
            directories: Vec::new(),
            last: None,
        }
    }

    fn method(&self) -> Method {
        let find = || if has_journal(&self.file_system_of) { Method::Journal } else { Method::EachFile };
        *self.method.get_or_init(find)
    }

    /// Adds a complete file. Its write-out begins at once.
    pub fn add(&mut self, file: File, path: PathBuf) -> Result<()> {
        start_writing_out(&file);
        if let Some(directory) = path.parent() {
            self.add_directory(directory);
        }
        self.open.push((file, path));
        if self.open.len() >= MAX_OPEN_FILES { self.write_out() } else { Ok(()) }
    }

    /// Adds a directory that has a new name in it.
    pub fn add_directory(&mut self, directory: &Path) {
        if self.method() == Method::EachFile {
            self.directories.push(directory.to_owned());
        }
    }

    /// Returns when everything added so far is durable.
    pub fn wait(&mut self) -> Result<()> {
        self.directories.sort();
        self.directories.dedup();
        for path in std::mem::take(&mut self.directories) {
            let opened =
                File::open(&path).map_err(|error| Error::io(format!("open {}", path.display()), error))?;
            self.open.push((opened, path));
        }
        self.write_out()?;
        self.last.take().map_or(Ok(()), |(file, path)| sync_open(&file, &path))
    }

    fn write_out(&mut self) -> Result<()> {
        let files = std::mem::take(&mut self.open);
        if self.method() == Method::EachFile {
            return sync_side_by_side(&files);
        }
        for (file, path) in files {
            wait_for_write_out(&file)
                .map_err(|error| Error::io(format!("sync {}", path.display()), error))?;
            self.last = Some((file, path));
        }
        Ok(())
    }
}

/// A disk answers flushes that wait at the same time with one, so a few threads are faster than one, also on one core.
fn sync_side_by_side(files: &[(File, PathBuf)]) -> Result<()> {
    let sync_all =
        |files: &[(File, PathBuf)]| files.iter().try_for_each(|(file, path)| sync_open(file, path));
    let mut parts = files.chunks(files.len().div_ceil(WORKERS).max(1));
    let own_part = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = parts.map(|part| scope.spawn(move || sync_all(part))).collect();
        let own = sync_all(own_part);
        let stopped = |_| Error::io("sync new files", std::io::Error::other("a worker stopped"));
        workers
            .into_iter()
            .try_fold(own, |done, worker| worker.join().map_err(stopped).map(|other| done.and(other)))?
    })
}

fn sync_open(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| Error::io(format!("sync {}", path.display()), error))
}

/// Makes one file's or directory's content durable.
pub(super) fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(format!("sync {}", path.display()), error))
}

/// Makes a file durable that was just renamed into place, with every directory up to `root`. Under a journal the
/// file's own fsync commits the names, too.
pub(super) fn sync_named(file: &Path, root: &Path) -> Result<()> {
    let journal = has_journal(root);
    let paths = file.ancestors().take_while(|path| path.starts_with(root)).filter(|path| path.exists());
    let synced = |path: &Path| match sync(path) {
        // git packed the ref in this moment.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    paths.take(if journal { 1 } else { usize::MAX }).try_for_each(synced)
}

#[cfg(not(target_os = "linux"))]
fn has_journal(_: &Path) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn has_journal(directory: &Path) -> bool {
    let Ok(system) = rustix::fs::statfs(directory) else { return false };
    match system.f_type {
        XFS_MAGIC => true,
        EXT4_MAGIC => ext4_has_journal(directory).unwrap_or(false),
        _ => false,
    }
}

/// ext2, ext3 and ext4 share a magic number, and each of them can lack a journal: the kernel tells which task writes
/// it. Where that cannot be read (in some containers), the slow way is taken.
#[cfg(target_os = "linux")]
fn ext4_has_journal(directory: &Path) -> Option<bool> {
    let device = fs::metadata(directory).ok()?.dev();
    let link = format!("/sys/dev/block/{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let name = fs::read_link(link).ok()?.file_name()?.to_owned();
    let task = fs::read_to_string(Path::new("/sys/fs/ext4").join(name).join("journal_task")).ok()?;
    Some(task.trim().parse::<u32>().is_ok())
}

#[cfg(target_os = "linux")]
fn sync_range(file: &File, flags: libc::c_uint) -> std::io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is handed over.
    #[expect(unsafe_code, reason = "no maintained crate wraps this call")]
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// A hint: what fails here fails again, and is reported, when it is waited for.
#[cfg(target_os = "linux")]
fn start_writing_out(file: &File) {
    _ = sync_range(file, libc::SYNC_FILE_RANGE_WRITE);
}

#[cfg(target_os = "linux")]
fn wait_for_write_out(file: &File) -> std::io::Result<()> {
    let flags =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_range(file, flags)
}

#[cfg(not(target_os = "linux"))]
fn start_writing_out(_: &File) {}

#[cfg(not(target_os = "linux"))]
fn wait_for_write_out(file: &File) -> std::io::Result<()> {
    file.sync_all()
}
