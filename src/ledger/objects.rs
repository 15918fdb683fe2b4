//! The object database: bounded reads, and writes that can be made durable and are checked.
//!
//! Loose objects are read and written here and not through libgit2, which spins for ever on a truncated one, believes
//! a header that claims gigabytes, takes an empty file for the object it is asked to write, and hides the error of a
//! directory's fsync. Packed objects and alternates come through libgit2.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectFormat, ObjectType, Odb, Oid, Repository};

use super::commit::Commit;
use super::durability::Barrier;
use super::git_error;
use super::loose::Codec;
use super::sharing::Sharing;
use super::tree::RawTree;
use crate::error::{Error, Result};

/// No object of a ledger is nearly as large: an entry has at most 1 MiB, a flat tree of 100,000 entries 5 MB.
const MAX_OBJECT_BYTES: usize = 64 << 20;

/// A walk reads thousands of objects, most of them packed: it should not look for a file for each.
const READS_BEFORE_LISTING: u32 = 64;

/// Reads and writes objects of one repository.
pub(super) struct Objects<'r> {
    odb: Odb<'r>,
    directory: PathBuf,
    set_aside: PathBuf,
    format: ObjectFormat,
    /// Reads so far.
    reads: Cell<u32>,
    /// Names of the loose objects, per fan-out directory, listed when that pays.
    loose: Box<[OnceCell<HashSet<Oid>>; 256]>,
    /// Loose objects that this process wrote after the listing.
    written: RefCell<HashSet<Oid>>,
    sharing: Sharing,
    codec: RefCell<Codec>,
    barrier: RefCell<Barrier>,
}

impl<'r> Objects<'r> {
    pub fn new(repository: &'r Repository, set_aside: PathBuf, sharing: Sharing) -> Result<Self> {
        let odb = repository.odb().map_err(git_error("open the object database"))?;
        let directory = repository.commondir().join("objects");
        Ok(Self {
            odb,
            sharing,
            reads: Cell::new(0),
            codec: RefCell::default(),
            barrier: RefCell::new(Barrier::on(&directory)),
            directory,
            set_aside,
            format: repository.object_format(),
            loose: Box::new([const { OnceCell::new() }; 256]),
            written: RefCell::default(),
        })
    }

    /// 20 or 32.
    pub fn oid_size(&self) -> usize {
        match self.format {
            ObjectFormat::Sha1 => 20,
            ObjectFormat::Sha256 => 32,
        }
    }

    /// The content of an object. `Ok(None)`: it is not in this repository (a shallow or partial clone has such gaps).
    pub fn try_read(&self, id: Oid, kind: ObjectType) -> Result<Option<Vec<u8>>> {
        if self.may_be_loose(id)
            && let Some(bytes) = self.read_loose(id, kind)?
        {
            return Ok(Some(bytes));
        }
        let doing = || format!("read {} {id}", kind.str());
        match self.odb.read_header(id) {
            Ok((size, _)) if size > MAX_OBJECT_BYTES => {
                return Err(Error::Damaged(format!(
                    "object {id} claims {size} bytes; the limit is {MAX_OBJECT_BYTES}"
                )));
            }
            Ok((_, found)) if found != kind => return Err(wrong_kind(id, kind, found.str())),
            Ok(_) => {}
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(git_error(doing())(error)),
        }
        let object = self.odb.read(id).map_err(|error| git_error(doing())(error))?;
        Ok(Some(object.data().to_vec()))
    }

    /// The content of an object that must be there.
    pub fn read(&self, id: Oid, kind: ObjectType) -> Result<Vec<u8>> {
        self.try_read(id, kind)?.ok_or_else(|| Error::Damaged(format!("{} {id} is missing", kind.str())))
    }

    pub fn commit(&self, id: Oid) -> Result<Commit> {
        Commit::parse(id, &self.read(id, ObjectType::Commit)?)
    }

    pub fn tree(&self, id: Oid) -> Result<RawTree> {
        let bytes = self.read(id, ObjectType::Tree)?;
        RawTree::parse(bytes, self.oid_size())
            .ok_or_else(|| Error::Damaged(format!("tree {id} is not in the shape of a tree")))
    }

    /// Stores an object, unless it is there already and intact. A damaged one of the same name is moved aside first.
    pub fn write(&self, kind: ObjectType, content: &[u8]) -> Result<Oid> {
        let id = Oid::hash_object_ext(kind, content, self.format).map_err(git_error("hash an object"))?;
        let path = self.loose_path(id);
        match self.read_loose(id, kind) {
            Ok(None) => {}
            Ok(Some(_)) => {
                // Whoever wrote it may not have synced it.
                let file = File::open(&path)
                    .map_err(|error| Error::io(format!("open {}", path.display()), error))?;
                self.barrier.borrow_mut().add(file, path)?;
                return Ok(id);
            }
            Err(_) => _ = move_aside(&path, &self.set_aside)?,
        }
        let encoded = self.codec.borrow_mut().encode(kind.str(), content);
        let encoded =
            encoded.map_err(|why| Error::Damaged(format!("object {id} cannot be packed: {why}")))?;
        let file = self
            .create(&path, &encoded)
            .map_err(|error| Error::io(format!("write {}", path.display()), error))?;
        self.barrier.borrow_mut().add(file, path)?;
        self.written.borrow_mut().insert(id);
        Ok(id)
    }

    /// Returns when everything written since the last call survives a power cut. Objects come before the ref that
    /// names them; the other order can lose more than the last entry.
    pub fn make_durable(&self) -> Result<()> {
        let durable = self.barrier.borrow_mut().wait();
        if durable.is_err() {
            // The system may have dropped what it could not write, and still call the next sync of the same file done.
            // Nothing refers to these objects yet; the next try writes them anew.
            self.written.borrow_mut().drain().for_each(|id| _ = fs::remove_file(self.loose_path(id)));
        }
        durable
    }

    /// Writes an object's file, reads it back, and gives it its name.
    fn create(&self, path: &Path, encoded: &[u8]) -> io::Result<File> {
        let directory = path.parent().unwrap_or(&self.directory);
        // The name is git's own for unfinished objects: fsck passes over it and gc removes one that a crash left.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!("tmp_obj_{}_{}", std::process::id(), &name[..16]));
        let open = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o444).open(&temporary);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Once more, because `git gc` removes directories that are empty.
                self.create_fan_out(directory)?;
                open().or_else(|_| self.create_fan_out(directory).and_then(|()| open()))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary).and_then(|()| open())
            }
            opened => opened,
        }?;
        let written = file.write_all(encoded).and_then(|()| {
            let mut found = vec![0; encoded.len()];
            file.read_exact_at(&mut found, 0)?;
            if found != encoded {
                return Err(io::Error::other("it reads back otherwise than it was written"));
            }
            self.sharing.apply_to_file(&temporary);
            fs::rename(&temporary, path)
        });
        match written {
            Ok(()) => Ok(file),
            Err(error) => {
                _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    fn create_fan_out(&self, directory: &Path) -> io::Result<()> {
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sharing.apply_to_directory(directory);
        self.barrier.borrow_mut().add_directory(&self.directory);
        Ok(())
    }

    fn loose_path(&self, id: Oid) -> PathBuf {
        let hex = id.to_string();
        self.directory.join(&hex[..2]).join(&hex[2..])
    }

    fn may_be_loose(&self, id: Oid) -> bool {
        // A few objects are found sooner by trying than by listing directories.
        if self.reads.replace(self.reads.get().saturating_add(1)) < READS_BEFORE_LISTING {
            return true;
        }
        let first = id.as_bytes()[0];
        let names = self.loose[usize::from(first)].get_or_init(|| self.list_fan_out(first));
        names.contains(&id) || self.written.borrow().contains(&id)
    }

    /// A directory that cannot be listed counts as empty: the object is then looked for through libgit2.
    fn list_fan_out(&self, first: u8) -> HashSet<Oid> {
        let prefix = format!("{first:02x}");
        let Ok(listing) = fs::read_dir(self.directory.join(&prefix)) else { return HashSet::new() };
        let names = listing.filter_map(|item| item.ok()?.file_name().into_string().ok());
        names.filter_map(|name| super::commit::parse_oid(&format!("{prefix}{name}"))).collect()
    }

    /// `Ok(None)`: there is no such file.
    fn read_loose(&self, id: Oid, kind: ObjectType) -> Result<Option<Vec<u8>>> {
        let path = self.loose_path(id);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("read {}", path.display()), error)),
        };
        let damaged = |why: &str| Error::Damaged(format!("object file {} is damaged: {why}", path.display()));
        let decoded = self.codec.borrow_mut().decode(&file, MAX_OBJECT_BYTES);
        let (found, content) = decoded.map_err(|why| damaged(&why))?;
        if found != kind.str() {
            return Err(wrong_kind(id, kind, &found));
        }
        let hash = Oid::hash_object_ext(kind, &content, self.format).map_err(git_error("hash an object"))?;
        if hash != id {
            return Err(damaged("its content has another hash"));
        }
        Ok(Some(content))
    }
}

fn wrong_kind(id: Oid, expected: ObjectType, found: &str) -> Error {
    Error::Damaged(format!("object {id} should be a {}, is a {found}", expected.str()))
}

/// Moves a file out of the way into `directory`, where a person can look at it; nothing is deleted. Returns where it
/// is now.
pub(super) fn move_aside(path: &Path, directory: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    fs::create_dir_all(directory)
        .map_err(|error| Error::io(format!("create {}", directory.display()), error))?;
    let free =
        (0_u32..).map(|number| directory.join(format!("{name}.{number}"))).find(|target| !target.exists());
    let target = free.unwrap_or_else(|| directory.join(name));
    let moved = fs::rename(path, &target).or_else(|_| {
        // Another file system: copy, then remove.
        fs::copy(path, &target).and_then(|_| fs::remove_file(path))
    });
    moved.map_err(|error| Error::io(format!("move {} aside", path.display()), error))?;
    let _ = fs::set_permissions(&target, fs::Permissions::from_mode(0o600));
    Ok(target)
}
