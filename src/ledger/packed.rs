//! Packed objects, through libgit2.
//!
//! libgit2 lists the packs once. Packs come and go: git repacks, and the ledger puts its own together. Where an object is
//! not to be had and the packs may have changed since, they are listed anew.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository};

use super::{git_error, locate};
use crate::error::{Error, Result};

/// No object of a ledger is nearly as large: an entry has at most 1 MiB, a flat tree of 100,000 entries 5 MB.
pub(super) const MAX_OBJECT_BYTES: usize = 64 << 20;
/// A directory that changed as lately as this may have changed again without another time.
const CLOCK_TICK: Duration = Duration::from_millis(100);

/// Reads packed objects of one repository, and those of its alternates.
pub(super) struct Packs<'r> {
    git_dir: PathBuf,
    first: Odb<'r>,
    /// What is used in place of the first, once packs had changed.
    anew: RefCell<Option<Repository>>,
    /// The time of the directory of packs when they were listed.
    listed: Cell<Option<SystemTime>>,
}

/// Why there is no content.
enum Missing {
    /// The object is not here.
    NotFound,
    /// It is, and cannot be read.
    Unreadable(Error),
}

impl<'r> Packs<'r> {
    pub fn of(repository: &'r Repository) -> Result<Self> {
        let git_dir = repository.commondir().to_owned();
        let listed = Cell::new(changed_at(&git_dir));
        let first = repository.odb().map_err(git_error("open the object database"))?;
        Ok(Self { git_dir, first, anew: RefCell::new(None), listed })
    }

    /// `Ok(None)`: the object is not here.
    pub fn read(&self, id: Oid, kind: ObjectType) -> Result<Option<Vec<u8>>> {
        match self.try_read(id, kind) {
            Err(_) if self.list_anew()? => {}
            tried => return told(tried),
        }
        told(self.try_read(id, kind))
    }

    fn try_read(&self, id: Oid, kind: ObjectType) -> std::result::Result<Vec<u8>, Missing> {
        match self.anew.borrow().as_ref() {
            None => read(&self.first, id, kind),
            Some(repository) => {
                let odb = repository.odb().map_err(git_error("open the object database"));
                read(&odb.map_err(Missing::Unreadable)?, id, kind)
            }
        }
    }

    /// Whether the packs may have changed since they were listed; then they are listed anew.
    fn list_anew(&self) -> Result<bool> {
        let changed = changed_at(&self.git_dir);
        let long_ago = changed.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > CLOCK_TICK);
        if changed == self.listed.get() && long_ago {
            return Ok(false);
        }
        *self.anew.borrow_mut() = Some(locate::open(&self.git_dir)?);
        self.listed.set(changed);
        Ok(true)
    }
}

fn told(tried: std::result::Result<Vec<u8>, Missing>) -> Result<Option<Vec<u8>>> {
    match tried {
        Ok(content) => Ok(Some(content)),
        Err(Missing::NotFound) => Ok(None),
        Err(Missing::Unreadable(error)) => Err(error),
    }
}

fn changed_at(git_dir: &Path) -> Option<SystemTime> {
    fs::metadata(git_dir.join("objects/pack")).and_then(|found| found.modified()).ok()
}

fn read(odb: &Odb<'_>, id: Oid, kind: ObjectType) -> std::result::Result<Vec<u8>, Missing> {
    let failed = |error: git2::Error| match error.code() {
        ErrorCode::NotFound => Missing::NotFound,
        _ => Missing::Unreadable(git_error(format!("read {} {id}", kind.str()))(error)),
    };
    // The header first: it may claim any size.
    let (size, found) = odb.read_header(id).map_err(failed)?;
    if size > MAX_OBJECT_BYTES {
        let claim = format!("object {id} claims {size} bytes; the limit is {MAX_OBJECT_BYTES}");
        return Err(Missing::Unreadable(Error::Damaged(claim)));
    }
    if found != kind {
        return Err(Missing::Unreadable(wrong_kind(id, kind, found.str())));
    }
    Ok(odb.read(id).map_err(failed)?.data().to_vec())
}

pub(super) fn wrong_kind(id: Oid, expected: ObjectType, found: &str) -> Error {
    Error::Damaged(format!("object {id} should be a {}, is a {found}", expected.str()))
}
