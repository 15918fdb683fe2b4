//! Objects as bytes, for verification: what is on the disk, and nothing that git or libgit2 makes of it. No replace ref,
//! graft, shallow file or commit-graph is asked.
//!
//! Every copy of an object that is read is judged: one in a pack, and one in a file of its own. Sizes are bounded by
//! what a ledger can hold, whatever a header claims.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::{ObjectFormat, ObjectType, Oid, Repository};

use super::Ledger;
use super::commit::parse_oid;
use super::pack::reader::{Held, PackReader};
use super::zlib::Zlib;
use super::{git_error, loose};
use crate::error::Result;

/// No object of a ledger is larger: an entry has at most 1 MiB, a flat tree of 100,000 entries 5 MB.
const LIMIT_BYTES: usize = 16 << 20;
/// What a reader keeps: of directories, of what others are deltas of, and of packs; each so much. Between two commits to
/// one of 4,096 shards, 12 MB of directories pass.
const KEPT_BYTES: usize = 14 << 20;
/// Files that may be open at a time.
const MOST_FILES: u64 = 8192;
/// Repositories that borrow from each other in a line; git follows five.
const MAX_ALTERNATES: usize = 5;

/// An object's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) Oid);

impl ObjectId {
    /// The id that `hex` spells in full.
    pub fn parse(hex: &str) -> Option<Self> {
        parse_oid(hex).map(Self)
    }

    /// The id of these bytes: 20, or 32 in a SHA-256 repository.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Oid::from_bytes(bytes).ok().map(Self)
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The first twelve hex digits.
    pub fn short(&self) -> String {
        self.0.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file.
    Blob,
}

impl Kind {
    /// As git has it.
    pub fn as_str(self) -> &'static str {
        self.git().str()
    }

    fn git(self) -> ObjectType {
        match self {
            Self::Commit => ObjectType::Commit,
            Self::Tree => ObjectType::Tree,
            Self::Blob => ObjectType::Blob,
        }
    }
}

/// Why an object has no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is nowhere.
    Missing,
    /// It is there, and is not what it should be: why.
    Damaged(String),
}

impl Ledger {
    /// Where its objects are, for reading them as bytes.
    pub fn raw_objects(&self) -> RawStore {
        RawStore::of(&self.repository)
    }

    /// The newest commit of the branch.
    ///
    /// # Errors
    /// The ref cannot be read.
    pub fn tip(&self) -> Result<Option<ObjectId>> {
        Ok(self.branch.tip(&self.repository)?.map(ObjectId))
    }

    /// The branch of `origin`, as far as it was fetched, where the clone has a branch of its own that is at another commit:
    /// its name, and its commit.
    pub fn other_tip(&self) -> Option<(String, ObjectId)> {
        let own = self.branch.local_tip(&self.repository).ok()??;
        let name = self.branch.upstream.trim_start_matches("refs/remotes/").to_owned();
        let other = self.repository.find_reference(&self.branch.upstream).ok()?.target()?;
        (other != own).then_some((name, ObjectId(other)))
    }

    /// The commit that `name` stands for: an id, a part of one, a branch, a tag.
    ///
    /// # Errors
    /// There is none.
    pub fn commit_named(&self, name: &str) -> Result<ObjectId> {
        if let Some(id) = ObjectId::parse(name) {
            return Ok(id);
        }
        let found = self.repository.revparse_single(&format!("{name}^{{commit}}"));
        found.map(|found| ObjectId(found.id())).map_err(git_error(format!("find the commit `{name}`")))
    }

    /// Commits that `.git/shallow` says are cut off from their parents.
    pub fn shallow_commits(&self) -> HashSet<ObjectId> {
        let text = read_at_most(&self.common_directory().join("shallow"), LIMIT_BYTES).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter_map(ObjectId::parse).collect()
    }

    /// Whether this is a partial clone: a missing object may be one that another repository has promised.
    pub fn is_partial(&self) -> bool {
        self.settings.text("extensions.partialclone").is_some()
            || self.settings.has_true(r"^remote\..*\.promisor$")
    }

    /// The directory that all worktrees share.
    pub fn common_directory(&self) -> &Path {
        self.repository.commondir()
    }
}

/// Where a repository has its objects. Readers are opened from it, one for each thread.
#[derive(Clone, Debug)]
pub struct RawStore {
    directories: Vec<PathBuf>,
    format: ObjectFormat,
}

impl RawStore {
    /// That of a repository, with what it borrows from others.
    pub(super) fn of(repository: &Repository) -> Self {
        Self::at(vec![repository.commondir().join("objects")], repository.object_format())
    }

    /// These directories of objects, with what they borrow from others.
    pub(super) fn at(directories: Vec<PathBuf>, format: ObjectFormat) -> Self {
        let mut store = Self { directories: Vec::new(), format };
        directories.into_iter().for_each(|directory| store.add(directory, MAX_ALTERNATES));
        store
    }

    fn add(&mut self, directory: PathBuf, most_alternates: usize) {
        if self.directories.contains(&directory) {
            return;
        }
        let alternates = read_at_most(&directory.join("info/alternates"), LIMIT_BYTES).unwrap_or_default();
        let alternates = String::from_utf8_lossy(&alternates);
        let lines = alternates.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let borrowed: Vec<_> = lines.map(|line| directory.join(line)).collect();
        self.directories.push(directory);
        if most_alternates > 0 {
            borrowed.into_iter().for_each(|directory| self.add(directory, most_alternates - 1));
        }
    }

    /// The length of an id: 20 bytes, or 32.
    pub fn id_bytes(&self) -> usize {
        match self.format {
            ObjectFormat::Sha1 => 20,
            ObjectFormat::Sha256 => 32,
        }
    }

    /// The id of an object with this content.
    pub fn id_of(&self, kind: Kind, content: &[u8]) -> Option<ObjectId> {
        Oid::hash_object_ext(kind.git(), content, self.format).ok().map(ObjectId)
    }

    /// Reads objects. Nothing is opened before the first is asked for.
    pub fn open(&self) -> RawObjects {
        allow_many_files();
        RawObjects {
            places: self.directories.iter().map(|directory| Place::at(directory, self.format)).collect(),
            format: self.format,
            trees: RefCell::default(),
            spoilt: RefCell::default(),
            zlib: RefCell::default(),
        }
    }
}

/// Reads objects.
pub struct RawObjects {
    places: Vec<Place>,
    format: ObjectFormat,
    trees: RefCell<Kept>,
    spoilt: RefCell<Vec<(ObjectId, String)>>,
    zlib: RefCell<Zlib>,
}

/// One directory of objects.
struct Place {
    directory: PathBuf,
    packs: PackReader,
    /// Names of the loose objects.
    loose: OnceCell<HashSet<Oid>>,
}

/// Directories that were read lately, by id.
#[derive(Default)]
struct Kept {
    contents: HashMap<ObjectId, Rc<Vec<u8>>>,
    order: VecDeque<ObjectId>,
    bytes: usize,
}

impl RawObjects {
    /// The content of an object, which has the hash that it is asked for by.
    ///
    /// # Errors
    /// There is no copy of it that is intact.
    pub fn read(&self, id: ObjectId, kind: Kind) -> std::result::Result<Rc<Vec<u8>>, Fault> {
        if kind == Kind::Tree
            && let Some(known) = self.trees.borrow().contents.get(&id)
        {
            return Ok(Rc::clone(known));
        }
        let content = self.read_anew(id, kind)?;
        if kind == Kind::Tree {
            self.trees.borrow_mut().keep(id, &content);
        }
        Ok(content)
    }

    /// Copies that were met and are damaged, though another was intact.
    pub fn take_spoilt(&self) -> Vec<(ObjectId, String)> {
        std::mem::take(&mut self.spoilt.borrow_mut())
    }

    fn read_anew(&self, id: ObjectId, kind: Kind) -> std::result::Result<Rc<Vec<u8>>, Fault> {
        let mut good = None;
        let mut faults = Vec::new();
        for place in &self.places {
            match place.packs.find(id.0) {
                Held::Nowhere => {}
                Held::Damaged(pack) => {
                    faults.push(format!("it cannot be read in {}, or is another there", pack.display()));
                }
                Held::Object(found, content) if found == kind.git() => good = Some(content),
                Held::Object(found, _) => faults.push(format!("it is a {}", found.str())),
            }
            if let Some(read) = place.read_loose(id.0, kind, self.format, &self.zlib) {
                match read {
                    Ok(content) => good = good.or(Some(Rc::new(content))),
                    Err(fault) => faults.push(fault),
                }
            }
            if good.is_some() {
                break;
            }
        }
        match (good, faults.is_empty()) {
            (Some(content), _) => {
                self.spoilt.borrow_mut().extend(faults.into_iter().map(|fault| (id, fault)));
                Ok(content)
            }
            (None, true) => Err(Fault::Missing),
            (None, false) => Err(Fault::Damaged(faults.join("; "))),
        }
    }
}

impl Place {
    fn at(directory: &Path, format: ObjectFormat) -> Self {
        let packs = PackReader::new(directory.join("pack"), format, LIMIT_BYTES).thorough(KEPT_BYTES);
        Self { directory: directory.to_owned(), packs, loose: OnceCell::new() }
    }

    /// The object's own file; `None`: there is none.
    fn read_loose(
        &self,
        id: Oid,
        kind: Kind,
        format: ObjectFormat,
        zlib: &RefCell<Zlib>,
    ) -> Option<std::result::Result<Vec<u8>, String>> {
        if !self.loose.get_or_init(|| list_loose(&self.directory)).contains(&id) {
            return None;
        }
        let hex = id.to_string();
        let path = self.directory.join(&hex[..2]).join(&hex[2..]);
        let fault = |why: &str| format!("{}: {why}", path.display());
        let file = match read_at_most(&path, LIMIT_BYTES) {
            // git packed it meanwhile, and removed the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(fault(&error.to_string()))),
            Ok(file) => file,
        };
        let decoded = loose::decode(&mut zlib.borrow_mut(), &file, LIMIT_BYTES);
        Some(decoded.map_err(|why| fault(&why)).and_then(|(found, content)| {
            if found != kind.as_str() {
                return Err(fault(&format!("it is a {found}, not a {}", kind.as_str())));
            }
            match Oid::hash_object_ext(kind.git(), &content, format) {
                Ok(hash) if hash == id => Ok(content),
                Ok(hash) => Err(fault(&format!("its content has the hash {hash}"))),
                Err(error) => Err(fault(error.message())),
            }
        }))
    }
}

/// Each reader keeps every pack open: enough files, if the system lets this process have them, that a repository of many
/// packs is not taken for one that lacks objects. Not all it would let us have: programs that we start close each.
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    limit.current = limit.current.map(|current| current.max(most));
    _ = setrlimit(Resource::Nofile, limit);
}

/// A regular file, as no other kind is an object: reading a named pipe would wait for ever.
fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn list_loose(directory: &Path) -> HashSet<Oid> {
    let Ok(listing) = fs::read_dir(directory) else { return HashSet::new() };
    let mut found = HashSet::new();
    for item in listing.flatten() {
        let Ok(first) = item.file_name().into_string() else { continue };
        if first.len() != 2 {
            continue;
        }
        let Ok(names) = fs::read_dir(item.path()) else { continue };
        let names = names.filter_map(|item| item.ok()?.file_name().into_string().ok());
        found.extend(names.filter_map(|rest| parse_oid(&format!("{first}{rest}"))));
    }
    found
}

impl Kept {
    fn keep(&mut self, id: ObjectId, content: &Rc<Vec<u8>>) {
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.contents.remove(&oldest).map_or(0, |content| content.len());
        }
        if self.contents.insert(id, Rc::clone(content)).is_none() {
            self.bytes += content.len();
            self.order.push_back(id);
        }
    }
}
