//! Reading packs: whoever wrote them, as long as their index is of version 2.
//!
//! The walk reads one commit after the other, and libgit2 looks each of them up twice and unpacks its base anew each
//! time. This reader never fails: what it does not find, or cannot make sense of, is for libgit2, which has the last word.
//! What it gives has the hash that it was asked for: an index can point to the wrong object.

use std::cell::{Cell, OnceCell, RefCell};
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::{ObjectFormat, ObjectType, Oid};

use super::delta;
use crate::ledger::zlib::Zlib;

const INDEX_HEADER_BYTES: u64 = 8;
const FAN_OUT_BYTES: u64 = 4 * 256;
/// Ids that are read at a time where there are many.
const IDS_AT_ONCE: u64 = 128;
/// Reads of an index after which it is read as a whole, unless it is larger than this.
const QUESTIONS_BEFORE_WHOLE: u32 = 1024;
const MAX_WHOLE_BYTES: usize = 32 << 20;
/// What is read of a pack at a time, and a little of what follows: most objects begin in it and end in the same read.
/// Each directory's versions are side by side, so that a walk goes on in as many places as there are directories.
const PAGE_BYTES: u64 = 16 * 1024;
const BEYOND_BYTES: usize = 4 * 1024;
/// What is kept of packs, in all.
const PAGES_BYTES: usize = 4 << 20;
/// Packs that are kept open, each with its index: libgit2 opens files, too.
const MAX_PACKS: usize = 32;
/// What is kept of bases, in all.
const BASES_BYTES: usize = 8 << 20;
/// Deltas of deltas that are followed; git makes 50, and 4,095 at most.
const MAX_DEPTH: usize = 4096;

/// An object's kind and content.
type Object = (ObjectType, Rc<Vec<u8>>);

/// Reads the packs of one directory.
pub(in crate::ledger) struct PackReader {
    directory: PathBuf,
    format: ObjectFormat,
    /// No object is larger.
    limit: usize,
    /// No more are opened.
    most_packs: usize,
    packs: OnceCell<Vec<Pack>>,
    /// The pack that had the last object: it is likely to have the next.
    last: Cell<usize>,
    pages: RefCell<Pages>,
    bases: RefCell<Bases>,
    zlib: RefCell<Zlib>,
}

struct Pack {
    path: PathBuf,
    file: File,
    index: Index,
}

/// Pages of packs that were read lately, by pack and number.
struct Pages {
    pages: HashMap<(usize, u64), Rc<Vec<u8>>>,
    /// The same, the oldest first.
    order: VecDeque<(usize, u64)>,
    most: usize,
}

/// Objects that others are deltas of, by pack and offset.
struct Bases {
    objects: HashMap<(usize, u64), Object>,
    /// The same, the oldest first.
    order: VecDeque<(usize, u64)>,
    bytes: usize,
    most_bytes: usize,
}

/// What the packs have of an object.
pub(in crate::ledger) enum Held {
    /// It is in none.
    Nowhere,
    /// It is in one, and cannot be read there, or is another.
    Damaged(PathBuf),
    /// Its kind and content.
    Object(ObjectType, Rc<Vec<u8>>),
}

/// An entry of a pack.
enum Entry {
    Whole(ObjectType, Vec<u8>),
    Delta { base: u64, delta: Vec<u8> },
}

impl PackReader {
    /// Nothing is read before the first object is asked for.
    pub fn new(directory: PathBuf, format: ObjectFormat, limit: usize) -> Self {
        Self {
            directory,
            format,
            limit,
            most_packs: MAX_PACKS,
            packs: OnceCell::new(),
            last: Cell::new(0),
            pages: RefCell::new(Pages::up_to(PAGES_BYTES)),
            bases: RefCell::new(Bases::up_to(BASES_BYTES)),
            zlib: RefCell::default(),
        }
    }

    /// For reading all that a repository has: every pack is opened, and so many bytes are kept of them, and of bases.
    pub fn thorough(self, kept_bytes: usize) -> Self {
        let pages = RefCell::new(Pages::up_to(kept_bytes));
        Self { most_packs: usize::MAX, pages, bases: RefCell::new(Bases::up_to(kept_bytes)), ..self }
    }

    /// The object, if it is in a pack that can be read.
    pub fn read(&self, oid: Oid) -> Option<(ObjectType, Vec<u8>)> {
        match self.find(oid) {
            Held::Object(kind, content) => Some((kind, Rc::unwrap_or_clone(content))),
            Held::Nowhere | Held::Damaged(_) => None,
        }
    }

    /// The object as the first pack has it that names it.
    pub fn find(&self, oid: Oid) -> Held {
        let packs = self.packs.get_or_init(|| open_all(&self.directory, self.most_packs));
        let last = self.last.get();
        let order = std::iter::once(last).chain((0..packs.len()).filter(|number| *number != last));
        let mut places =
            order.filter_map(|number| Some((number, packs.get(number)?.index.find(oid.as_bytes())?)));
        let Some((number, offset)) = places.next() else { return Held::Nowhere };
        self.last.set(number);
        let found = self.object_at(packs, number, offset).filter(|(kind, content)| {
            let header = format!("{} {}\0", kind.str(), content.len());
            super::checksum(self.format, &[header.as_bytes(), content]) == oid.as_bytes()
        });
        match found {
            Some((kind, content)) => Held::Object(kind, content),
            None => Held::Damaged(packs[number].path.clone()),
        }
    }

    fn object_at(&self, packs: &[Pack], number: usize, offset: u64) -> Option<Object> {
        let mut deltas = Vec::new();
        let mut at = offset;
        let (kind, mut content) = loop {
            if let Some(known) = self.bases.borrow().objects.get(&(number, at)) {
                break known.clone();
            }
            match self.entry_at(packs, number, at)? {
                Entry::Whole(kind, content) => {
                    let object = (kind, Rc::new(content));
                    if !deltas.is_empty() {
                        self.bases.borrow_mut().keep((number, at), &object);
                    }
                    break object;
                }
                Entry::Delta { base, delta } => {
                    deltas.push((at, delta));
                    at = base;
                }
            }
            let held: usize = deltas.iter().map(|(_, delta)| delta.len()).sum();
            if deltas.len() > MAX_DEPTH || held > self.limit {
                return None;
            }
        };
        while let Some((at, delta)) = deltas.pop() {
            content = Rc::new(delta::apply(&content, &delta)?);
            // A directory is the base of how it was before.
            if !deltas.is_empty() || kind == ObjectType::Tree {
                self.bases.borrow_mut().keep((number, at), &(kind, Rc::clone(&content)));
            }
        }
        Some((kind, content))
    }

    fn entry_at(&self, packs: &[Pack], number: usize, offset: u64) -> Option<Entry> {
        let pack = packs.get(number)?;
        let page = self.page(pack, number, offset / PAGE_BYTES)?;
        let in_page = page.get(usize::try_from(offset % PAGE_BYTES).ok()?..)?;
        if let Some(entry) = self.parse(pack, offset, in_page) {
            return Some(entry);
        }
        // A stream that is cut is read again, with more of the pack.
        let mut bytes = in_page.to_vec();
        while bytes.len() <= self.limit {
            let known = bytes.len();
            bytes.resize(known.max(BEYOND_BYTES) * 4, 0);
            let read = read_up_to(&pack.file, &mut bytes[known..], offset.checked_add(known as u64)?)?;
            let is_whole = known + read < bytes.len();
            bytes.truncate(known + read);
            let entry = self.parse(pack, offset, &bytes);
            if entry.is_some() || is_whole {
                return entry;
            }
        }
        None
    }

    /// A page of a pack, and a little of what follows.
    fn page(&self, pack: &Pack, number: usize, page: u64) -> Option<Rc<Vec<u8>>> {
        if let Some(known) = self.pages.borrow().pages.get(&(number, page)) {
            return Some(Rc::clone(known));
        }
        let mut bytes = vec![0; PAGE_BYTES as usize + BEYOND_BYTES];
        let read = read_up_to(&pack.file, &mut bytes, page * PAGE_BYTES)?;
        bytes.truncate(read);
        let bytes = Rc::new(bytes);
        self.pages.borrow_mut().keep((number, page), &bytes);
        Some(bytes)
    }

    fn parse(&self, pack: &Pack, offset: u64, bytes: &[u8]) -> Option<Entry> {
        let (&first, mut rest) = bytes.split_first()?;
        let mut size = usize::from(first & 15);
        if first & 0x80 != 0 {
            size |= delta::take_size(&mut rest)?.checked_mul(16)?;
        }
        if size > self.limit {
            return None;
        }
        let base = match first >> 4 & 7 {
            6 => Some(offset.checked_sub(take_distance(&mut rest)?)?),
            7 => {
                let (id, after) = rest.split_at_checked(super::checksum_bytes(self.format))?;
                rest = after;
                Some(pack.index.find(id)?)
            }
            _ => None,
        };
        let (content, _) = self.zlib.borrow_mut().unpack(rest, size).ok()?;
        if content.len() != size {
            return None;
        }
        let kind = match first >> 4 & 7 {
            1 => ObjectType::Commit,
            2 => ObjectType::Tree,
            3 => ObjectType::Blob,
            4 => ObjectType::Tag,
            _ => {
                let mut sizes = &content[..];
                let result = delta::take_size(&mut sizes).and_then(|_| delta::take_size(&mut sizes));
                return Some(Entry::Delta { base: base?, delta: content })
                    .filter(|_| result.is_some_and(|result| result <= self.limit));
            }
        };
        Some(Entry::Whole(kind, content))
    }
}

/// How far back the base of a delta is: seven bits a byte, the highest first, and one more for each byte.
fn take_distance(bytes: &mut &[u8]) -> Option<u64> {
    let mut distance = 0_u64;
    loop {
        let (&byte, after) = bytes.split_first()?;
        *bytes = after;
        distance = distance.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(distance);
        }
        distance = distance.checked_add(1)?;
    }
}

impl Pages {
    fn up_to(bytes: usize) -> Self {
        let most = bytes / (PAGE_BYTES as usize + BEYOND_BYTES);
        Self { pages: HashMap::new(), order: VecDeque::new(), most }
    }

    fn keep(&mut self, place: (usize, u64), page: &Rc<Vec<u8>>) {
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.pages.remove(&oldest);
        }
        self.pages.insert(place, Rc::clone(page));
        self.order.push_back(place);
    }
}

impl Bases {
    fn up_to(most_bytes: usize) -> Self {
        Self { objects: HashMap::new(), order: VecDeque::new(), bytes: 0, most_bytes }
    }

    fn keep(&mut self, place: (usize, u64), object: &Object) {
        while self.bytes > self.most_bytes {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.objects.remove(&oldest).map_or(0, |(_, content)| content.len());
        }
        if self.objects.insert(place, object.clone()).is_none() {
            self.bytes += object.1.len();
            self.order.push_back(place);
        }
    }
}

/// Packs whose index can be read, the largest first, and at most so many.
fn open_all(directory: &Path, most: usize) -> Vec<Pack> {
    let Ok(listing) = fs::read_dir(directory) else { return Vec::new() };
    let paths = listing.filter_map(|item| Some(item.ok()?.path()));
    let indexes = paths.filter(|path| path.extension().is_some_and(|extension| extension == "idx"));
    let sized = indexes.filter_map(|path| Some((fs::metadata(&path).ok()?.len(), path)));
    let mut sized: Vec<_> = sized.collect();
    sized.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    sized.iter().take(most).filter_map(|(_, path)| Pack::open(path)).collect()
}

/// The index of a pack: a file, and in memory once so much is asked of it that this pays.
struct Index {
    file: File,
    /// For each first byte, the number of ids up to it.
    fan_out: Vec<u32>,
    questions: Cell<u32>,
    whole: OnceCell<Option<Vec<u8>>>,
}

impl Index {
    fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = [0; (INDEX_HEADER_BYTES + FAN_OUT_BYTES) as usize];
        file.read_exact_at(&mut header, 0).ok()?;
        let (magic, fan_out) = header.split_at(INDEX_HEADER_BYTES as usize);
        let fan_out = fan_out.chunks_exact(4);
        let fan_out: Vec<_> =
            fan_out.map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect();
        let is_known = magic == super::index::MAGIC && fan_out.is_sorted();
        is_known.then(|| Self { file, fan_out, questions: Cell::new(0), whole: OnceCell::new() })
    }

    fn count(&self) -> u64 {
        self.fan_out.last().copied().unwrap_or(0).into()
    }

    /// The bytes of the file at `offset`.
    fn read(&self, bytes: &mut [u8], offset: u64) -> Option<()> {
        if let Some(whole) = self.whole() {
            let start = usize::try_from(offset).ok()?;
            bytes.copy_from_slice(whole.get(start..start.checked_add(bytes.len())?)?);
            return Some(());
        }
        self.file.read_exact_at(bytes, offset).ok()
    }

    /// The whole file, if that pays.
    fn whole(&self) -> Option<&[u8]> {
        self.questions.set(self.questions.get().saturating_add(1));
        if self.questions.get() <= QUESTIONS_BEFORE_WHOLE {
            return None;
        }
        self.whole.get_or_init(|| self.read_whole()).as_deref()
    }

    fn read_whole(&self) -> Option<Vec<u8>> {
        let length = self.file.metadata().ok()?.len();
        let mut whole = vec![0; usize::try_from(length).ok().filter(|length| *length <= MAX_WHOLE_BYTES)?];
        self.file.read_exact_at(&mut whole, 0).ok()?;
        Some(whole)
    }

    /// Where the object is in the pack.
    fn find(&self, id: &[u8]) -> Option<u64> {
        let first = usize::from(*id.first()?);
        let mut low = if first == 0 { 0 } else { u64::from(self.fan_out[first - 1]) };
        let mut high = u64::from(self.fan_out[first]);
        // Ids are spread evenly: the bytes that follow tell about where in the rest it is.
        let spread = u64::from(u32::from_be_bytes(id.get(1..5)?.try_into().ok()?));
        let guess = low + (((high - low) * spread) >> 32);
        let (size, mut ids) = (id.len() as u64, Vec::new());
        if let Some(whole) = self.whole() {
            // Most are within a few places of the guess.
            let (from, to) = (guess.saturating_sub(IDS_AT_ONCE).max(low), (guess + IDS_AT_ONCE).min(high));
            let place = find_in(whole, from, to, id).or_else(|| find_in(whole, low, high, id))?;
            return self.offset(place, size);
        }
        let mut middle = guess;
        while low < high {
            let start = middle.saturating_sub(IDS_AT_ONCE / 2).clamp(low, high - 1);
            let end = (start + IDS_AT_ONCE).min(high);
            ids.resize(usize::try_from((end - start) * size).ok()?, 0);
            self.read(&mut ids, INDEX_HEADER_BYTES + FAN_OUT_BYTES + start * size)?;
            let mut found = ids.chunks_exact(id.len());
            let at = found.clone().position(|one| one >= id);
            match at {
                Some(at) if found.nth(at)? == id => return self.offset(start + at as u64, size),
                Some(0) => high = start,
                Some(_) => return None,
                None => low = end,
            }
            middle = low + (high - low) / 2;
        }
        None
    }

    /// The offset of the object at this place of the index.
    fn offset(&self, place: u64, id_bytes: u64) -> Option<u64> {
        let mut word = [0; 4];
        let offsets = INDEX_HEADER_BYTES + FAN_OUT_BYTES + self.count() * (id_bytes + 4);
        self.read(&mut word, offsets + place * 4)?;
        let offset = u32::from_be_bytes(word);
        if offset & 0x8000_0000 == 0 {
            return Some(offset.into());
        }
        let mut far = [0; 8];
        let place = u64::from(offset & 0x7fff_ffff);
        self.read(&mut far, offsets + self.count() * 4 + place * 8)?;
        Some(u64::from_be_bytes(far))
    }
}

/// The place, from `low` to before `high`, of an id in an index file.
fn find_in(file: &[u8], mut low: u64, mut high: u64, id: &[u8]) -> Option<u64> {
    let start = usize::try_from(INDEX_HEADER_BYTES + FAN_OUT_BYTES).ok()?;
    while low < high {
        let middle = low + (high - low) / 2;
        let at = start.checked_add(usize::try_from(middle).ok()?.checked_mul(id.len())?)?;
        match file.get(at..at.checked_add(id.len())?)?.cmp(id) {
            Ordering::Equal => return Some(middle),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    None
}

impl Pack {
    fn open(index: &Path) -> Option<Self> {
        let path = index.with_extension("pack");
        // Opening a named pipe would wait for ever.
        if [path.as_path(), index].iter().any(|path| !path.metadata().is_ok_and(|found| found.is_file())) {
            return None;
        }
        let file = File::open(&path).ok()?;
        Some(Self { path, file, index: Index::open(index)? })
    }
}

/// Fills `bytes` from `offset` on, as far as the file goes.
fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> Option<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset.checked_add(filled as u64)?).ok()? {
            0 => break,
            read => filled += read,
        }
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    /// A folder with a pack that libgit2 made of many alike blobs and a few large ones, and what is in it.
    fn packed() -> (tempfile::TempDir, Vec<(Oid, Vec<u8>)>) {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init_bare(folder.path().join("repository")).unwrap();
        let mut builder = repository.packbuilder().unwrap();
        let mut objects = Vec::new();
        for number in 0..700 {
            let length = if number % 100 == 0 { 200_000 } else { 600 };
            let noise = (0..length).map(|at: usize| (at.wrapping_mul(at) ^ (at >> 3)) as u8);
            let content = [noise.collect::<Vec<_>>(), number.to_string().into_bytes()].concat();
            let oid = repository.blob(&content).unwrap();
            builder.insert_object(oid, None).unwrap();
            objects.push((oid, content));
        }
        builder.write(folder.path(), 0o644).unwrap();
        (folder, objects)
    }

    fn reader(folder: &Path) -> PackReader {
        PackReader::new(folder.to_owned(), ObjectFormat::Sha1, LIMIT)
    }

    #[test]
    fn every_object_of_a_pack_reads_as_it_was_written() {
        let (folder, objects) = packed();
        let forwards = reader(folder.path());
        let backwards = reader(folder.path());
        for (oid, content) in &objects {
            assert_eq!(forwards.read(*oid), Some((ObjectType::Blob, content.clone())), "{oid}");
        }
        for (oid, content) in objects.iter().rev() {
            assert_eq!(backwards.read(*oid), Some((ObjectType::Blob, content.clone())), "{oid}");
        }
        assert_eq!(forwards.read(Oid::hash_object(ObjectType::Blob, b"elsewhere").unwrap()), None);
        assert_eq!(
            PackReader::new(folder.path().to_owned(), ObjectFormat::Sha1, 1000).read(objects[0].0),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Nothing of it may loop, panic or take memory without end; what is given is never longer than allowed.
        #[test]
        fn damage_is_for_libgit2_to_judge(which in any::<bool>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let (folder, objects) = packed();
            let end = if which { "pack" } else { "idx" };
            let files = fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().path());
            let file = files.into_iter().find(|path| path.extension().is_some_and(|found| found == end)).unwrap();
            let mut bytes = fs::read(&file).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            fs::remove_file(&file).unwrap();
            fs::write(&file, bytes).unwrap();
            let reader = reader(folder.path());
            for (oid, _) in &objects {
                prop_assert!(reader.read(*oid).is_none_or(|(_, content)| content.len() <= LIMIT));
            }
        }
    }
}
