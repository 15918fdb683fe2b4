//! Moving the branch by git's own protocol: `<ref>.lock`, compare, write, rename.
//!
//! libgit2 does it without a sync before the rename, so that a power cut can leave an empty file where the branch was;
//! and it neither waits for a lock nor recovers one that a killed process left.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, Oid};

use super::durability::Draft;
use super::identity::Identities;
use super::objects::move_aside;
use super::{Ledger, git_error};
use crate::error::{Error, Result};

/// A lock that nobody holds open is left over when it is older than this.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// What became of a move.
pub(super) enum Move {
    /// The branch is where it should go. Its name in the directory may not be durable yet.
    Done,
    /// The branch is not where it was expected.
    Elsewhere,
    /// Somebody holds this lock.
    Held(PathBuf),
}

/// `<ref>.lock`, ours until it is dropped or renamed.
struct Lock(Option<PathBuf>);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            _ = fs::remove_file(path);
        }
    }
}

impl Ledger {
    /// Moves the branch from `expected` (zero: it must not exist) to `new`. Only under the writers' lock.
    pub(super) fn move_ref(&self, expected: Oid, new: Oid, log: &str) -> Result<Move> {
        let moved = if expected == self.zero() {
            self.create_ref(new, log)?
        } else {
            self.replace_ref(expected, new, log)?
        };
        match moved {
            Move::Held(lock) if self.set_stale_aside(&lock)? => self.move_ref(expected, new, log),
            moved => Ok(moved),
        }
    }

    /// Whether the branch is at `commit`; zero: whether it does not exist.
    pub(super) fn is_at_commit(&self, commit: Oid) -> Result<bool> {
        Ok(self.branch.local_tip(&self.repository)?.unwrap_or_else(|| self.zero()) == commit)
    }

    /// Makes the branch's name durable, after a move: every directory up to `refs/heads`.
    pub(super) fn sync_ref_names(&self) -> Result<()> {
        let (file, root) = (self.branch_file(), self.repository.commondir().join("refs/heads"));
        self.syncing().sync_names(&file, &root)
    }

    /// Makes the branch durable as it is: somebody may have moved it who was killed before it was.
    pub(super) fn sync_ref(&self) -> Result<()> {
        let (file, root) = (self.branch_file(), self.repository.commondir().join("refs/heads"));
        self.syncing().sync_named(&file, &root)
    }

    fn branch_file(&self) -> PathBuf {
        self.repository.commondir().join(&self.branch.reference)
    }

    /// A new branch can be in the way of others (`a` and `a/b`), which libgit2 knows about. There is nothing yet that a
    /// power cut could lose.
    fn create_ref(&self, new: Oid, log: &str) -> Result<Move> {
        let name = &self.branch.reference;
        match self.repository.reference_matching(name, new, true, self.zero(), log) {
            Ok(_) => self.sync_ref().map(|()| Move::Done),
            Err(error) => match error.code() {
                ErrorCode::Modified | ErrorCode::NotFound => Ok(Move::Elsewhere),
                ErrorCode::Locked => Ok(Move::Held(lock_of(&self.branch_file()))),
                // It can fail after the ref has moved, at the reflog.
                _ if self.branch.local_tip(&self.repository)? == Some(new) => {
                    self.sync_ref().map(|()| Move::Done)
                }
                _ => Err(git_error(format!("make {name}"))(error)),
            },
        }
    }

    fn replace_ref(&self, expected: Oid, new: Oid, log: &str) -> Result<Move> {
        let file = self.branch_file();
        let path = lock_of(&file);
        let failed = |error| Error::io(format!("write {}", path.display()), error);
        let open = || OpenOptions::new().write(true).create_new(true).open(&path);
        let opened =
            open().or_else(|error| match file.parent().filter(|_| error.kind() == ErrorKind::NotFound) {
                // git packed the branch and removed its directory.
                Some(directory) => fs::create_dir_all(directory).and_then(|()| open()),
                None => Err(error),
            });
        let mut handle = match opened {
            Ok(handle) => handle,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Move::Held(path)),
            Err(error) => return Err(failed(error)),
        };
        let mut lock = Lock(Some(path.clone()));
        if self.branch.local_tip(&self.repository)? != Some(expected) {
            return Ok(Move::Elsewhere);
        }
        handle.write_all(format!("{new}\n").as_bytes()).map_err(failed)?;
        self.sharing().apply_to_file(&path);
        self.syncing().replace(&Draft { file: handle, temporary: path.clone(), path: file })?;
        // Renamed, it is not there any more; and another's lock of that name is not ours to remove.
        lock.0 = None;
        self.write_reflogs(expected, new, log);
        Ok(Move::Done)
    }

    /// Notes the move in the reflogs that git would note it in. They are a help to people: what cannot be written is no
    /// failure of the move.
    fn write_reflogs(&self, old: Oid, new: Oid, log: &str) {
        let Identities { committer, .. } = self.identities();
        let line = format!("{old} {new} {committer} {} +0000\t{log}\n", self.place.clock.now().timestamp());
        let common = self.repository.commondir().to_owned();
        let heads = self.checkouts().into_iter().map(|checkout| checkout.git_dir.join("logs/HEAD"));
        let files = std::iter::once(common.join("logs").join(&self.branch.reference)).chain(heads);
        let is_wanted = match self.settings.text("core.logallrefupdates").as_deref() {
            None => !self.repository.is_bare(),
            Some(value) => !matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | ""),
        };
        for file in files.filter(|file| is_wanted || file.exists()) {
            _ = append(&file, &line);
        }
    }

    /// Moves a lock out of the way that a killed process left: old, and held open by no process. Returns whether it is
    /// gone. Only under the writers' lock, so that two of us never take each other's.
    fn set_stale_aside(&self, lock: &Path) -> Result<bool> {
        let Some(found) = stale(lock) else { return Ok(false) };
        // It may have been released and taken anew meanwhile.
        if fs::metadata(lock).is_ok_and(|now| identity(&now) == identity(&found)) {
            let aside = move_aside(lock, &self.state_directory().join("set-aside/locks"))?;
            self.stale_lock.replace(Some(aside));
            return Ok(true);
        }
        Ok(false)
    }
}

fn lock_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn append(file: &Path, line: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}

fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// The lock file's metadata, where it is left over for sure.
fn stale(lock: &Path) -> Option<Metadata> {
    let found = fs::symlink_metadata(lock).ok()?;
    let age = found.modified().ok()?.elapsed().ok()?;
    (found.is_file() && age > STALE_AFTER && !may_be_open(lock, &found)).then_some(found)
}

/// Whether a process may hold the file open. Where the system does not tell which files a process of the file's owner
/// has open, the answer is yes.
fn may_be_open(path: &Path, file: &Metadata) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let name = path.file_name();
    let mut seen_any = false;
    for process in processes.filter_map(io::Result::ok) {
        let is_process =
            process.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_process {
            continue;
        }
        seen_any = true;
        match fs::read_dir(process.path().join("fd")) {
            Ok(mut open) => {
                let holds = |link: &Path| {
                    fs::read_link(link).is_ok_and(|target| target.file_name() == name)
                        && fs::metadata(link)
                            .is_ok_and(|held| (held.dev(), held.ino()) == (file.dev(), file.ino()))
                };
                if open.any(|link| link.is_ok_and(|link| holds(&link.path()))) {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                // Another user's process, unless it hides from its own.
                if fs::metadata(process.path()).is_ok_and(|process| process.uid() == file.uid()) {
                    return true;
                }
            }
            // It has ended.
            Err(_) => {}
        }
    }
    !seen_any
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "files have the system's time")]
    fn a_lock_is_stale_when_it_is_old_and_nobody_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.lock");
        let file = File::create(&path).unwrap();
        assert!(stale(&path).is_none(), "new");
        let old = SystemTime::now() - Duration::from_secs(60);
        file.set_modified(old).unwrap();
        assert!(stale(&path).is_none(), "held open by this process");
        drop(file);
        assert!(stale(&path).is_some());
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        File::options().write(true).open(&path).unwrap().set_modified(ahead).unwrap();
        assert!(stale(&path).is_none(), "a clock that is ahead proves nothing");
    }
}
