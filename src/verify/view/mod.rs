//! What git is told to see on this machine: files beside the history that make git's own commands see another one.
//!
//! The checks read raw bytes and are not fooled; people who ask plain git are. So what is told of the ledger's commits is a
//! finding, and what is told of others is left alone: a shallow checkout of code says nothing about a ledger that is here
//! as a whole. The files are input like any other: each is read up to a limit, and none can make this fail or wait.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::report::{Finding, LayerStatus};
use super::timeline::Step;
use crate::ledger::{Kind, Ledger, ObjectId};

mod commit_graph;
mod graphs;
mod ours;
mod told;

/// The most bytes of a list of ids that are looked at.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Alternates of alternates are followed this deep, as git does.
const MAX_ALTERNATES_DEPTH: usize = 5;
/// The most object directories that are looked at.
const MAX_ALTERNATES: usize = 100;

/// A commit of the ledger, as its own bytes say. Ids are bytes: 20, or 32 in a SHA-256 repository.
#[derive(Clone, Debug)]
pub struct CommitFacts<'t> {
    /// Its id.
    pub id: &'t [u8],
    /// The commits that it follows.
    pub parents: Vec<&'t [u8]>,
    /// Its root tree.
    pub tree: &'t [u8],
    /// Seconds since 1970, as the committer's line says; 0 where that cannot be read.
    pub committed_at: i64,
}

impl<'t> CommitFacts<'t> {
    fn of(step: &'t Step) -> Self {
        Self {
            id: step.id.as_bytes(),
            parents: step.parents.iter().map(ObjectId::as_bytes).collect(),
            tree: step.tree.as_bytes(),
            committed_at: step.committed_at,
        }
    }
}

/// What the objects themselves say, to hold what git is told against.
pub struct Truth<'t> {
    /// The repository's common git directory.
    pub common: &'t Path,
    /// The length of an id: 20 or 32.
    pub id_size: usize,
    /// The ledger's commits, in its order.
    pub commits: &'t [CommitFacts<'t>],
    /// Whether an object, of any kind, is one of the ledger's.
    pub is_ours: &'t dyn Fn(&[u8]) -> bool,
    /// Whether an object is in the repository.
    pub is_here: &'t dyn Fn(&[u8]) -> bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Seen {
    /// What git is told of the ledger.
    pub findings: Vec<Finding>,
    /// How many objects that are not the ledger's have a replacement.
    pub replaced_elsewhere: usize,
    /// Why objects may be missing on purpose: the clone is partial.
    pub partial: Option<String>,
    /// Directories of objects that the repository borrows from.
    pub alternates: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
}

/// The layer: what git is told of these commits, and of what is in them.
pub fn check(ledger: &Ledger, steps: &[Step], findings: &mut Findings) -> LayerStatus {
    let store = ledger.raw_objects();
    let objects = store.open();
    let (common, id_size) = (ledger.common_directory(), store.id_bytes());
    let replaced = replacements(common, id_size).into_iter().map(|(id, _)| id).collect();
    let ours = ours::among(replaced, steps, &objects, id_size);
    let is_here =
        |id: &[u8]| ObjectId::from_bytes(id).is_some_and(|id| objects.read(id, Kind::Commit).is_ok());
    let seen = look(&Truth {
        common,
        id_size,
        commits: &steps.iter().map(CommitFacts::of).collect::<Vec<_>>(),
        is_ours: &|id| ours.contains(id),
        is_here: &is_here,
    });
    seen.findings.into_iter().for_each(|finding| findings.add(finding));
    if seen.unchecked.is_empty() {
        LayerStatus::Ok
    } else {
        LayerStatus::NotChecked(seen.unchecked.join("; "))
    }
}

/// Looks at everything beside the history of which git's view depends.
pub fn look(truth: &Truth<'_>) -> Seen {
    let mut seen = Seen::default();
    let places: HashMap<_, _> =
        truth.commits.iter().enumerate().map(|(place, one)| (one.id, place)).collect();
    told::shallow(truth, &places, &mut seen);
    told::grafts(truth, &places, &mut seen);
    told::replaced(truth, &places, &mut seen);
    let objects = truth.common.join("objects");
    seen.partial = partial(&objects);
    seen.alternates = alternates(&objects, &mut seen.unchecked);
    let directories: Vec<_> = std::iter::once(objects).chain(seen.alternates.iter().cloned()).collect();
    for directory in &directories {
        graphs::compare(truth, directory, &mut seen);
    }
    seen
}

/// The objects that have a replacement: each with the id of what stands for it. They are few, and known before the
/// history is walked.
pub fn replacements(common: &Path, id_size: usize) -> Vec<(Vec<u8>, String)> {
    told::replacements(common, id_size, &mut Vec::new())
}

/// A partial clone marks the packs whose objects may name what is not here.
fn partial(objects: &Path) -> Option<String> {
    let packs = fs::read_dir(objects.join("pack")).ok()?.filter_map(io::Result::ok);
    let mut marks = packs.filter(|file| file.path().extension().is_some_and(|found| found == "promisor"));
    marks.next().map(|_| "this is a partial clone, which may leave objects out".to_owned())
}

/// Every other directory of objects, also those that alternates name in turn.
fn alternates(objects: &Path, unchecked: &mut Vec<String>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut level = vec![objects.to_owned()];
    for _ in 0..MAX_ALTERNATES_DEPTH {
        let mut next = Vec::new();
        for directory in &level {
            let Some(text) = read(&directory.join("info/alternates"), unchecked) else { continue };
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#');
            next.extend(lines.filter_map(|line| Some(directory.join(std::str::from_utf8(line).ok()?))));
        }
        next.retain(|path| path.is_dir() && path != objects && !found.contains(path));
        next.truncate(MAX_ALTERNATES.saturating_sub(found.len()));
        found.extend(next.iter().cloned());
        level = next;
    }
    found
}

/// The bytes of a file. `None`: it is not there, or `unchecked` says why not.
fn read(path: &Path, unchecked: &mut Vec<String>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > MAX_LIST_BYTES => {
            unchecked.push(format!("{} is larger than {} MiB", path.display(), MAX_LIST_BYTES >> 20));
            None
        }
        Ok(_) => Some(bytes),
        Err(error) => {
            note_failure(path, &error, unchecked);
            None
        }
    }
}

/// Opens a regular file; anything else could make us wait.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(path)
}

/// What is not there says nothing.
fn note_failure(path: &Path, error: &io::Error, unchecked: &mut Vec<String>) {
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        unchecked.push(format!("{} cannot be read: {error}", path.display()));
    }
}

fn hex(id: &[u8]) -> String {
    id.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The id that `text` spells in full.
fn id_of(text: &[u8], id_size: usize) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2).map(|pair| Some((digit(*pair.first()?)? << 4) | digit(*pair.get(1)?)?));
    pairs.collect::<Option<Vec<u8>>>().filter(|id| id.len() == id_size)
}
