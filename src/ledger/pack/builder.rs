//! The bytes of a pack, object by object, in memory.
//!
//! Consecutive entries look alike, and a tree is its predecessor with one change that is known: where space matters,
//! objects are written as deltas, without a search for what they may be like. Of a directory the newest tree is written
//! whole, and each older one as the change back from the one after it: the next append reads the newest, hardly anybody
//! an older one, and a change back does not say what was added.

use std::collections::{HashMap, HashSet};

use git2::{ObjectFormat, ObjectType, Oid};

use super::delta::{self, Base, Delta};
use super::index::{self, Located};
use super::{HEADER_BYTES, checksum, header};
use crate::error::{Error, Result};
use crate::ledger::git_error;
use crate::ledger::tree::Splice;
use crate::ledger::zlib::{Effort, Zlib};

/// The type of an entry that is a delta, its base given by distance.
const OFFSET_DELTA: u8 = 6;
/// A tree is read through at most as many deltas.
const MAX_CHAIN: usize = 128;
/// As many blobs, or commits, are described by the same base; each is read through one delta.
const LIKE_ONE_BASE: u8 = 255;

/// A pack under construction.
pub(in crate::ledger) struct PackBuilder {
    format: ObjectFormat,
    effort: Effort,
    zlib: Zlib,
    bytes: Vec<u8>,
    objects: Vec<Located>,
    /// All objects, also those that are written in the end.
    known: HashSet<Oid>,
    trees: HashMap<String, Versions>,
    blobs: Option<Like>,
    commits: Option<Like>,
}

/// An object that those after it are described by.
struct Like {
    base: Base,
    offset: u64,
    uses_left: u8,
}

/// The trees that one directory was, oldest first. They are written when all of them are known.
#[derive(Default)]
struct Versions {
    versions: Vec<Version>,
    /// The newest one.
    newest: Vec<u8>,
}

struct Version {
    oid: Oid,
    older: Older,
}

/// How to get from a tree to the one before it.
enum Older {
    /// There is none in this pack, or the chain would be too long: it is here.
    Whole(Option<Vec<u8>>),
    /// Put `removed` in the place of `inserted` bytes at `at`.
    Change { at: usize, inserted: usize, removed: Vec<u8>, bytes_before: usize },
}

impl PackBuilder {
    pub fn new(format: ObjectFormat, effort: Effort) -> Self {
        Self {
            format,
            effort,
            zlib: Zlib::default(),
            bytes: header(0).to_vec(),
            objects: Vec::new(),
            known: HashSet::new(),
            trees: HashMap::new(),
            blobs: None,
            commits: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes so far, without what is written in the end.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn effort(&self) -> Effort {
        self.effort
    }

    pub fn contains(&self, oid: Oid) -> bool {
        self.known.contains(&oid)
    }

    pub fn ids(&self) -> impl Iterator<Item = Oid> {
        self.known.iter().copied()
    }

    /// Adds a blob or a commit.
    pub fn add(&mut self, kind: ObjectType, content: &[u8]) -> Result<Oid> {
        let oid = self.hash(kind, content)?;
        if self.contains(oid) {
            return Ok(oid);
        }
        if self.effort == Effort::Time {
            self.push_whole(oid, kind, content)?;
            return Ok(oid);
        }
        let slot = if kind == ObjectType::Commit { &mut self.commits } else { &mut self.blobs };
        let mut like = slot.take().filter(|like| like.uses_left > 0);
        let delta = like.as_mut().map(|like| {
            like.uses_left -= 1;
            (like.offset, like.base.delta_to(content))
        });
        match delta.filter(|(_, delta)| delta.len() < content.len() / 4 * 3) {
            Some((base, delta)) => _ = self.push_delta(oid, base, &delta)?,
            None => {
                let offset = self.push_whole(oid, kind, content)?;
                like = Some(Like { base: Base::new(content.to_vec()), offset, uses_left: LIKE_ONE_BASE });
            }
        }
        if kind == ObjectType::Commit {
            self.commits = like
        } else {
            self.blobs = like
        }
        Ok(oid)
    }

    /// Adds what the directory at `path` is now.
    pub fn add_tree(&mut self, path: &str, content: &[u8]) -> Result<Oid> {
        let oid = self.hash(ObjectType::Tree, content)?;
        if self.contains(oid) {
            return Ok(oid);
        }
        if self.effort == Effort::Time {
            self.push_whole(oid, ObjectType::Tree, content)?;
            return Ok(oid);
        }
        if !self.trees.contains_key(path) {
            self.trees.insert(path.to_owned(), Versions::default());
        }
        if let Some(directory) = self.trees.get_mut(path) {
            directory.add(oid, content);
        }
        self.known.insert(oid);
        Ok(oid)
    }

    /// Takes over all objects of a whole pack, as they are. `false`: it has some of them already, and nothing was
    /// taken over.
    pub fn absorb(&mut self, pack: &[u8], objects: &[Located]) -> bool {
        if objects.iter().any(|object| self.contains(object.oid)) {
            return false;
        }
        // Deltas name their bases by distance, which does not change.
        let shift = self.position() - HEADER_BYTES as u64;
        let end = pack.len().saturating_sub(super::checksum_bytes(self.format)).max(HEADER_BYTES);
        self.bytes.extend(&pack[HEADER_BYTES..end]);
        for object in objects {
            let moved = Located { offset: object.offset + shift, ..*object };
            self.known.insert(moved.oid);
            self.objects.push(moved);
        }
        true
    }

    /// The pack, its index, and the checksum that names both.
    pub fn finish(mut self) -> Result<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        for (_, directory) in std::mem::take(&mut self.trees) {
            self.push_versions(directory)?;
        }
        self.bytes[..HEADER_BYTES].copy_from_slice(&header(self.objects.len()));
        let sum = checksum(self.format, &[&self.bytes]);
        self.bytes.extend(&sum);
        let index = index::render(self.format, &mut self.objects, &sum);
        Ok((self.bytes, index, sum))
    }

    /// Writes a directory's trees, the newest first.
    fn push_versions(&mut self, directory: Versions) -> Result<()> {
        let Versions { versions, newest } = directory;
        let mut whole = Some(newest);
        // Size and place of the tree that the next one is described by.
        let mut base = (0, 0);
        let mut change: Option<(Vec<u8>, usize)> = None;
        for Version { oid, older } in versions.into_iter().rev() {
            let (offset, size) = match (whole.take(), change.take()) {
                (Some(bytes), _) => (self.push_whole(oid, ObjectType::Tree, &bytes)?, bytes.len()),
                (None, Some((delta, size))) => (self.push_delta(oid, base.0, &delta)?, size),
                (None, None) => return Err(Error::Damaged(format!("tree {oid} has no place in its pack"))),
            };
            base = (offset, size);
            match older {
                Older::Whole(bytes) => whole = bytes,
                Older::Change { at, inserted, removed, bytes_before } => {
                    let mut delta = Delta::new(size, bytes_before);
                    delta.copy(0, at);
                    delta.insert(&removed);
                    delta.copy(at + inserted, size - at - inserted);
                    change = Some((delta.into_bytes(), bytes_before));
                }
            }
        }
        Ok(())
    }

    fn hash(&self, kind: ObjectType, content: &[u8]) -> Result<Oid> {
        Oid::hash_object_ext(kind, content, self.format).map_err(git_error("hash an object"))
    }

    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn push_whole(&mut self, oid: Oid, kind: ObjectType, content: &[u8]) -> Result<u64> {
        let kind = match kind {
            ObjectType::Commit => 1,
            ObjectType::Tree => 2,
            _ => 3,
        };
        self.push(oid, kind, None, content)
    }

    fn push_delta(&mut self, oid: Oid, base: u64, delta: &[u8]) -> Result<u64> {
        self.push(oid, OFFSET_DELTA, Some(base), delta)
    }

    fn push(&mut self, oid: Oid, kind: u8, base: Option<u64>, content: &[u8]) -> Result<u64> {
        let offset = self.position();
        let size = content.len();
        let more = if size >> 4 > 0 { 0x80 } else { 0 };
        self.bytes.push(more | (kind << 4) | (size.to_le_bytes()[0] & 0x0f));
        if size >> 4 > 0 {
            delta::push_size(&mut self.bytes, size >> 4);
        }
        if let Some(base) = base {
            push_distance(&mut self.bytes, offset - base);
        }
        let packed = self.zlib.pack(content, self.effort, &mut self.bytes);
        packed.map_err(|why| Error::Damaged(format!("object {oid} cannot be packed: {why}")))?;
        let mut sum = flate2::Crc::new();
        sum.update(&self.bytes[usize::try_from(offset).unwrap_or(0)..]);
        self.objects.push(Located { oid, crc32: sum.sum(), offset });
        self.known.insert(oid);
        Ok(offset)
    }
}

impl Versions {
    fn add(&mut self, oid: Oid, content: &[u8]) {
        let before = std::mem::replace(&mut self.newest, content.to_vec());
        let older = if self.versions.is_empty() {
            Older::Whole(None)
        } else if self.versions.len() % MAX_CHAIN == 0 {
            Older::Whole(Some(before))
        } else {
            let Splice { at, removed, inserted } = Splice::between(&before, content);
            let removed = before[at..at + removed].to_vec();
            Older::Change { at, inserted, removed, bytes_before: before.len() }
        };
        self.versions.push(Version { oid, older });
    }
}

/// The distance back to a delta's base: seven bits a byte, the highest first, each further byte adding one.
fn push_distance(bytes: &mut Vec<u8>, mut distance: u64) {
    let mut encoded = vec![distance.to_le_bytes()[0] & 0x7f];
    distance >>= 7;
    while distance > 0 {
        distance -= 1;
        encoded.push(0x80 | (distance.to_le_bytes()[0] & 0x7f));
        distance >>= 7;
    }
    bytes.extend(encoded.iter().rev());
}
