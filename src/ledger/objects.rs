//! Reading the object database, within bounds.
//!
//! Loose objects are read here and not through libgit2, which spins for ever on a truncated one and believes a header
//! that claims gigabytes. Packed objects are read by [`PackReader`], which is quick; what it does not find, alternates, and
//! whatever is odd come through libgit2 ([`super::packed`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::{ObjectFormat, ObjectType, Oid, Repository};

use super::commit::Commit;
use super::pack::reader::PackReader;
use super::packed::{MAX_OBJECT_BYTES, Packs, wrong_kind};
use super::tree::RawTree;
use super::zlib::Zlib;
use super::{git_error, loose};
use crate::error::{Error, Result};

/// A walk reads thousands of objects, most of them packed: it should not look for a file for each.
const READS_BEFORE_LISTING: u32 = 64;
/// An append reads some twenty objects.
const READS_BEFORE_READER: u32 = 32;

/// Reads objects of one repository.
pub(super) struct Objects<'r> {
    packs: Packs<'r>,
    reader: PackReader,
    directory: PathBuf,
    set_aside: PathBuf,
    format: ObjectFormat,
    /// Reads so far.
    reads: Cell<u32>,
    /// Names of the loose objects, per fan-out directory, listed when that pays.
    loose: Box<[OnceCell<HashSet<Oid>>; 256]>,
    zlib: RefCell<Zlib>,
}

impl<'r> Objects<'r> {
    pub fn new(repository: &'r Repository, set_aside: PathBuf) -> Result<Self> {
        let directory = repository.commondir().join("objects");
        let format = repository.object_format();
        Ok(Self {
            packs: Packs::of(repository)?,
            reader: PackReader::new(directory.join("pack"), format, MAX_OBJECT_BYTES),
            reads: Cell::new(0),
            zlib: RefCell::default(),
            directory,
            set_aside,
            format,
            loose: Box::new([const { OnceCell::new() }; 256]),
        })
    }

    /// How the repository hashes.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// 20 or 32.
    pub fn oid_size(&self) -> usize {
        oid_bytes(self.format)
    }

    /// The content of an object. `Ok(None)`: it is not in this repository (a shallow or partial clone has such gaps).
    pub fn try_read(&self, id: Oid, kind: ObjectType) -> Result<Option<Vec<u8>>> {
        if self.may_be_loose(id)
            && let Some(bytes) = self.read_loose(id, kind)?
        {
            return Ok(Some(bytes));
        }
        // Opening all packs pays for many reads.
        let read = if self.reads.get() > READS_BEFORE_READER { self.reader.read(id) } else { None };
        match read {
            Some((found, content)) if found == kind => Ok(Some(content)),
            _ => self.packs.read(id, kind),
        }
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

    /// Moves loose files of these objects aside that are damaged: git would meet them, whatever the packs hold. An
    /// intact one does no harm.
    pub fn mend_loose(&self, ids: impl Iterator<Item = Oid>) -> Result<()> {
        for id in ids {
            if self.may_be_loose(id) && self.loose_kind(id).is_err() {
                move_aside(&self.loose_path(id), &self.set_aside)?;
            }
        }
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
        names.contains(&id)
    }

    /// A directory that cannot be listed counts as empty: the object is then looked for through libgit2.
    fn list_fan_out(&self, first: u8) -> HashSet<Oid> {
        let prefix = format!("{first:02x}");
        let Ok(listing) = fs::read_dir(self.directory.join(&prefix)) else { return HashSet::new() };
        let names = listing.filter_map(|item| item.ok()?.file_name().into_string().ok());
        names.filter_map(|name| super::commit::parse_oid(&format!("{prefix}{name}"))).collect()
    }

    fn read_loose(&self, id: Oid, kind: ObjectType) -> Result<Option<Vec<u8>>> {
        match self.loose_kind(id)? {
            Some((found, content)) if found == kind => Ok(Some(content)),
            Some((found, _)) => Err(wrong_kind(id, kind, found.str())),
            None => Ok(None),
        }
    }

    /// An object's loose file; `Ok(None)`: there is none.
    fn loose_kind(&self, id: Oid) -> Result<Option<(ObjectType, Vec<u8>)>> {
        let path = self.loose_path(id);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("read {}", path.display()), error)),
        };
        let damaged = |why: &str| Error::Damaged(format!("object file {} is damaged: {why}", path.display()));
        let decoded = loose::decode(&mut self.zlib.borrow_mut(), &file, MAX_OBJECT_BYTES);
        let (kind, content) = decoded.map_err(|why| damaged(&why))?;
        let kind = ObjectType::from_str(&kind).ok_or_else(|| damaged("it is of no known kind"))?;
        let hash = Oid::hash_object_ext(kind, &content, self.format).map_err(git_error("hash an object"))?;
        if hash != id {
            return Err(damaged("its content has another hash"));
        }
        Ok(Some((kind, content)))
    }
}

fn oid_bytes(format: ObjectFormat) -> usize {
    match format {
        ObjectFormat::Sha1 => 20,
        ObjectFormat::Sha256 => 32,
    }
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
