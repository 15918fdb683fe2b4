//! The bytes of a pack, object by object, in memory.
//!
//! Consecutive entries look alike, and a tree is its predecessor with one change that is known: where space matters,
//! objects are written as deltas, without a search for what they may be like. Of a directory the newest tree is written
//! whole, and each older one as the change back from the one after it: the next append reads the newest, hardly anybody
//! an older one, and a change back does not say what was added.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use git2::{ObjectFormat, ObjectType, Oid};

use super::delta::Delta;
use super::index::{self, Located};
use super::stream::{self, Stream};
use super::{HEADER_BYTES, checksum, header};
use crate::error::{Error, Result};
use crate::ledger::git_error;
use crate::ledger::tree::Splice;
use crate::ledger::zlib::Effort;

/// A tree is read through at most as many deltas.
const MAX_CHAIN: usize = 128;
/// Objects are handed to the other thread so many at a time, and as many hand-fuls wait.
const HANDFUL: usize = 64;
const WAITING_HANDFULS: usize = 16;

/// A pack under construction.
pub(in crate::ledger) struct PackBuilder {
    format: ObjectFormat,
    effort: Effort,
    /// All objects, also those that are written in the end.
    known: HashSet<Oid>,
    content_bytes: usize,
    trees: BTreeMap<String, Versions>,
    stream: Packing,
}

/// A complete pack.
pub(in crate::ledger) struct BuiltPack {
    pub bytes: Vec<u8>,
    /// The file of its index.
    pub index: Vec<u8>,
    /// What ends the pack, and names both files.
    pub checksum: Vec<u8>,
    /// The number of its objects.
    pub objects: usize,
    /// What it was written for.
    pub effort: Effort,
}

/// Who packs blobs and commits.
enum Packing {
    /// We do.
    Here(Box<Stream>),
    /// Another thread does: compressing is most of the work.
    Beside { handful: Vec<Alike>, sender: SyncSender<Vec<Alike>>, thread: JoinHandle<Result<Stream>> },
    /// It was taken out to be finished.
    Done,
}

/// A blob or a commit.
type Alike = (Oid, ObjectType, Vec<u8>);

/// The trees that one directory was, oldest first. They are written when all of them are known.
#[derive(Default)]
struct Versions {
    versions: Vec<Version>,
    /// What the changes from one to the next removed, one after the other.
    removed: Vec<u8>,
    /// The newest one.
    newest: Vec<u8>,
}

struct Version {
    oid: Oid,
    older: Older,
}

/// How to get from a tree to the one before it. Trees are far smaller than 4 GiB.
enum Older {
    /// There is none in this pack, or the chain would be too long: it is here.
    Whole(Option<Box<[u8]>>),
    /// Put the next `removed` bytes in the place of `inserted` ones at `at`.
    Change { at: u32, inserted: u32, removed: u32, bytes_before: u32 },
}

impl PackBuilder {
    pub fn new(format: ObjectFormat, effort: Effort) -> Self {
        Self {
            format,
            effort,
            known: HashSet::new(),
            content_bytes: 0,
            trees: BTreeMap::new(),
            stream: Packing::Here(Box::new(Stream::new(effort))),
        }
    }

    /// One for very many objects, which are packed on a thread of their own.
    pub fn beside(format: ObjectFormat) -> Self {
        let (sender, receiver) = sync_channel(WAITING_HANDFULS);
        let pack = |receiver: Receiver<Vec<Alike>>| {
            let mut stream = Stream::new(Effort::Space);
            for (oid, kind, content) in receiver.into_iter().flatten() {
                stream.push_alike(oid, kind, &content)?;
            }
            Ok(stream)
        };
        match std::thread::Builder::new().spawn(move || pack(receiver)) {
            Ok(thread) => {
                let stream = Packing::Beside { handful: Vec::with_capacity(HANDFUL), sender, thread };
                Self { stream, ..Self::new(format, Effort::Space) }
            }
            Err(_) => Self::new(format, Effort::Space),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes held in memory so far, blobs and commits before they are packed.
    pub fn content_bytes(&self) -> usize {
        self.content_bytes
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
        if !self.known.insert(oid) {
            return Ok(oid);
        }
        self.content_bytes += content.len();
        match &mut self.stream {
            Packing::Here(stream) => stream.push_alike(oid, kind, content)?,
            Packing::Beside { handful, sender, .. } => {
                handful.push((oid, kind, content.to_vec()));
                if handful.len() == HANDFUL {
                    let full = std::mem::replace(handful, Vec::with_capacity(HANDFUL));
                    // It has stopped: why, is found out in the end.
                    _ = sender.send(full);
                }
            }
            Packing::Done => {}
        }
        Ok(oid)
    }

    /// Adds what the directory at `path` is now.
    pub fn add_tree(&mut self, path: &str, content: &[u8]) -> Result<Oid> {
        let oid = self.hash(ObjectType::Tree, content)?;
        if !self.known.insert(oid) {
            return Ok(oid);
        }
        if let (Effort::Time, Packing::Here(stream)) = (self.effort, &mut self.stream) {
            stream.push_whole(oid, ObjectType::Tree, content)?;
            return Ok(oid);
        }
        if !self.trees.contains_key(path) {
            self.trees.insert(path.to_owned(), Versions::default());
        }
        if let Some(directory) = self.trees.get_mut(path) {
            self.content_bytes += directory.add(oid, content);
        }
        Ok(oid)
    }

    /// Takes over the objects of a whole pack, as they are. `false`: it cannot be done, and nothing was taken over.
    ///
    /// An append that was killed and came again leaves a pack of objects that another one has, too. A pack without deltas
    /// can be taken over without those.
    pub fn absorb(&mut self, pack: &[u8], objects: &[Located]) -> bool {
        let has_known = objects.iter().any(|object| self.contains(object.oid));
        if (has_known && stream::has_deltas(pack, objects)) || self.gather().is_err() {
            return false;
        }
        let end = pack.len().saturating_sub(super::checksum_bytes(self.format)).max(HEADER_BYTES);
        let Packing::Here(stream) = &mut self.stream else { return false };
        if has_known {
            let new = |object: &Located| self.known.insert(object.oid);
            stream.push_some(&pack[..end], objects, new);
        } else {
            stream.push_pack(&pack[HEADER_BYTES..end], objects);
            self.known.extend(objects.iter().map(|object| object.oid));
        }
        true
    }

    /// The pack and its index.
    pub fn finish(mut self) -> Result<BuiltPack> {
        self.gather()?;
        let Packing::Here(mut stream) = std::mem::replace(&mut self.stream, Packing::Done) else {
            return Err(Error::Damaged("a pack was finished twice".into()));
        };
        drop(self.known);
        for (_, directory) in self.trees {
            directory.write(&mut stream)?;
        }
        let Stream { mut bytes, mut objects, .. } = *stream;
        bytes[..HEADER_BYTES].copy_from_slice(&header(objects.len()));
        let sum = checksum(self.format, &[&bytes]);
        bytes.extend(&sum);
        let index = index::render(self.format, &mut objects, &sum);
        Ok(BuiltPack { bytes, index, checksum: sum, objects: objects.len(), effort: self.effort })
    }

    /// Waits for the other thread, if there is one.
    fn gather(&mut self) -> Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Packing::Done) {
            Packing::Beside { handful, sender, thread } => {
                _ = sender.send(handful);
                drop(sender);
                let stopped = |_| Error::Damaged("the thread that packs has stopped".into());
                Packing::Here(Box::new(thread.join().map_err(stopped)??))
            }
            here => here,
        };
        Ok(())
    }

    /// libgit2's SHA-1 looks for attempts at a collision, which takes as long as everything else here. A tree is names
    /// that we allow and hashes; blobs and commits have text from outside.
    fn hash(&self, kind: ObjectType, content: &[u8]) -> Result<Oid> {
        let hashed = if kind == ObjectType::Tree {
            let header = format!("tree {}\0", content.len());
            Oid::from_bytes(&checksum(self.format, &[header.as_bytes(), content]))
        } else {
            Oid::hash_object_ext(kind, content, self.format)
        };
        hashed.map_err(git_error("hash an object"))
    }
}

impl Versions {
    /// Returns how many bytes more are held for it.
    fn add(&mut self, oid: Oid, content: &[u8]) -> usize {
        let held = self.removed.len();
        let before = std::mem::replace(&mut self.newest, content.to_vec());
        let older = if self.versions.is_empty() {
            Older::Whole(None)
        } else if self.versions.len().is_multiple_of(MAX_CHAIN) {
            Older::Whole(Some(before.into_boxed_slice()))
        } else {
            let Splice { at, removed, inserted } = Splice::between(&before, content);
            self.removed.extend(&before[at..at + removed]);
            let [at, inserted, removed, bytes_before] =
                [at, inserted, removed, before.len()].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
            Older::Change { at, inserted, removed, bytes_before }
        };
        let whole = if let Older::Whole(Some(bytes)) = &older { bytes.len() } else { 0 };
        self.versions.push(Version { oid, older });
        whole + self.removed.len() - held
    }

    /// Writes the trees, the newest first.
    fn write(self, stream: &mut Stream) -> Result<()> {
        let Self { versions, newest, mut removed } = self;
        let mut whole = Some(newest.into_boxed_slice());
        // Where the tree is that the next one is described by.
        let mut base = 0;
        let mut change: Option<(Vec<u8>, usize)> = None;
        for Version { oid, older } in versions.into_iter().rev() {
            let (offset, size) = match (whole.take(), change.take()) {
                (Some(bytes), _) => (stream.push_whole(oid, ObjectType::Tree, &bytes)?, bytes.len()),
                (None, Some((delta, size))) => (stream.push_delta(oid, base, &delta)?, size),
                (None, None) => return Err(Error::Damaged(format!("tree {oid} has no place in its pack"))),
            };
            base = offset;
            match older {
                Older::Whole(bytes) => whole = bytes,
                Older::Change { at, inserted, removed: length, bytes_before } => {
                    let [at, inserted, length, bytes_before] =
                        [at, inserted, length, bytes_before].map(|size| size as usize);
                    let mut delta = Delta::new(size, bytes_before);
                    delta.copy(0, at);
                    delta.insert(&removed.split_off(removed.len() - length));
                    delta.copy(at + inserted, size - at - inserted);
                    change = Some((delta.into_bytes(), bytes_before));
                }
            }
        }
        Ok(())
    }
}
