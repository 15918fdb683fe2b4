//! Which file that is gone became which new one, as git decides it (`diff.renames`, at least half of it is the same).
//!
//! In this order: equal content; the same name in another directory, if it is the only one of that name; then the most
//! similar pairs. Bounded: more pairs than [`MAX_PAIRS`] are not compared, and git has such a limit too.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use git2::{FileMode, ObjectFormat, ObjectType, Oid};

use super::scan::Found;
use super::worker::Until;

const MAX_PAIRS: usize = 40_000;
/// Similarity is counted in 60,000ths.
const SAME: u64 = 60_000;
const SIMILAR: u64 = SAME / 2;
/// What is asked of two files because they have the same name: half way from similar to the same.
const SIMILAR_OF_ONE_NAME: u64 = SIMILAR + (SAME - SIMILAR) / 2;
/// A piece of a file ends with its line, or here.
const PIECE_BYTES: usize = 64;
/// Git keeps so many good sources for each new file.
const BEST: usize = 4;

/// One side of a possible rename.
pub(super) struct Candidate<'p> {
    pub path: &'p [u8],
    pub mode: FileMode,
    pub found: Found,
}

impl Candidate<'_> {
    /// `None`: known only when it is read.
    fn id(&self) -> Option<Oid> {
        match self.found {
            Found::Stored(stored) => Some(stored.id),
            Found::File(_) => None,
        }
    }
}

/// Reads a candidate; `None` where it is too large to be compared.
pub(super) type Load<'l> = &'l dyn Fn(&Candidate<'_>) -> Option<Vec<u8>>;

/// Pairs of a place in `gone` and a place in `new`.
pub(super) fn find(
    gone: &[Candidate<'_>],
    new: &[Candidate<'_>],
    load: Load<'_>,
    format: ObjectFormat,
    until: Until,
) -> Vec<(usize, usize)> {
    let mut search =
        Search { gone, new, load, format, until, pairs: BTreeMap::new(), taken: vec![false; gone.len()] };
    if !gone.is_empty() {
        search.equal();
        search.of_one_name();
        search.similar();
    }
    search.pairs.into_iter().map(|(to, from)| (from, to)).collect()
}

struct Search<'s, 'p> {
    gone: &'s [Candidate<'p>],
    new: &'s [Candidate<'p>],
    load: Load<'s>,
    format: ObjectFormat,
    until: Until,
    /// New to gone.
    pairs: BTreeMap<usize, usize>,
    taken: Vec<bool>,
}

impl Search<'_, '_> {
    fn pair(&mut self, from: usize, to: usize) {
        self.pairs.insert(to, from);
        self.taken[from] = true;
    }

    fn open_gone(&self) -> Vec<usize> {
        (0..self.gone.len()).filter(|at| !self.taken[*at] && is_regular(self.gone[*at].mode)).collect()
    }

    fn open_new(&self) -> Vec<usize> {
        (0..self.new.len())
            .filter(|at| !self.pairs.contains_key(at) && is_regular(self.new[*at].mode))
            .collect()
    }

    fn equal(&mut self) {
        let mut by_id: HashMap<Oid, Vec<usize>> = HashMap::new();
        for (at, candidate) in self.gone.iter().enumerate() {
            if let Some(id) = candidate.id() {
                by_id.entry(id).or_default().push(at);
            }
        }
        // Working files have to be read for it.
        let may_read = self.gone.len().saturating_mul(self.new.len()) <= MAX_PAIRS;
        for (to, candidate) in self.new.iter().enumerate() {
            if self.until.is_over() {
                return;
            }
            let hashed = || (self.load)(candidate).and_then(|bytes| hash(&bytes, self.format));
            let id = candidate.id().or_else(|| may_read.then(hashed).flatten());
            let Some(sources) = id.and_then(|id| by_id.get(&id)) else { continue };
            let fits = |from: &usize| {
                let mode = self.gone[*from].mode;
                let one_kind = mode == candidate.mode || (is_regular(mode) && is_regular(candidate.mode));
                !self.taken[*from] && one_kind
            };
            let of_one_name = |from: &usize| name_of(self.gone[*from].path) == name_of(candidate.path);
            let free = || sources.iter().copied().filter(fits).take(100);
            if let Some(from) = free().find(of_one_name).or_else(|| free().next()) {
                self.pair(from, to);
            }
        }
    }

    fn of_one_name(&mut self) {
        let only = |paths: Vec<(usize, &[u8])>| {
            let mut by_name: HashMap<Vec<u8>, Option<usize>> = HashMap::new();
            for (at, path) in paths {
                by_name.entry(name_of(path).to_vec()).and_modify(|only| *only = None).or_insert(Some(at));
            }
            by_name
        };
        let gone = only(self.open_gone().into_iter().map(|at| (at, self.gone[at].path)).collect());
        let new = only(self.open_new().into_iter().map(|at| (at, self.new[at].path)).collect());
        for (name, to) in new {
            let (Some(to), Some(Some(from))) = (to, gone.get(&name)) else { continue };
            if self.until.is_over() {
                return;
            }
            let pieces = |candidate| (self.load)(candidate).map(|bytes| Pieces::of(&bytes));
            let (Some(one), Some(other)) = (pieces(&self.gone[*from]), pieces(&self.new[to])) else {
                continue;
            };
            if one.similarity(&other, SIMILAR_OF_ONE_NAME) >= SIMILAR_OF_ONE_NAME {
                self.pair(*from, to);
            }
        }
    }

    fn similar(&mut self) {
        let (gone, new) = (self.open_gone(), self.open_new());
        if gone.is_empty() || gone.len().saturating_mul(new.len()) > MAX_PAIRS {
            return;
        }
        let pieces = |candidate| (self.load)(candidate).map(|bytes| Pieces::of(&bytes));
        let sources: Vec<_> = gone.iter().map(|from| (*from, pieces(&self.gone[*from]))).collect();
        let mut found = Vec::new();
        for to in new {
            let Some(target) = pieces(&self.new[to]) else { continue };
            let mut best = Vec::new();
            for (from, source) in &sources {
                if self.until.is_over() {
                    return;
                }
                let score = source.as_ref().map_or(0, |source| source.similarity(&target, SIMILAR));
                if score >= SIMILAR {
                    let one_name = name_of(self.gone[*from].path) == name_of(self.new[to].path);
                    best.push((score, one_name, *from, to));
                }
            }
            best.sort_by_key(|found| Reverse((found.0, found.1)));
            found.extend(best.into_iter().take(BEST));
        }
        found.sort_by_key(|found| Reverse((found.0, found.1)));
        for (_, _, from, to) in found {
            if !self.taken[from] && !self.pairs.contains_key(&to) {
                self.pair(from, to);
            }
        }
    }
}

fn is_regular(mode: FileMode) -> bool {
    matches!(mode, FileMode::Blob | FileMode::BlobExecutable | FileMode::BlobGroupWritable)
}

fn hash(bytes: &[u8], format: ObjectFormat) -> Option<Oid> {
    Oid::hash_object_ext(ObjectType::Blob, bytes, format).ok()
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// How many bytes of a file are in pieces of which content.
struct Pieces {
    size: u64,
    bytes_of: HashMap<u64, u64>,
}

impl Pieces {
    fn of(bytes: &[u8]) -> Self {
        let is_text = !bytes[..bytes.len().min(8_000)].contains(&0);
        let mut bytes_of = HashMap::new();
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let mut add = |piece: &mut Vec<u8>| {
            let mut hasher = DefaultHasher::new();
            piece.hash(&mut hasher);
            *bytes_of.entry(hasher.finish()).or_insert(0) += piece.len() as u64;
            piece.clear();
        };
        for (at, byte) in bytes.iter().enumerate() {
            if is_text && *byte == b'\r' && bytes.get(at + 1) == Some(&b'\n') {
                continue;
            }
            piece.push(*byte);
            if piece.len() == PIECE_BYTES || *byte == b'\n' {
                add(&mut piece);
            }
        }
        if !piece.is_empty() {
            add(&mut piece);
        }
        Self { size: bytes.len() as u64, bytes_of }
    }

    /// How much of `self` is still in `other`, relative to the larger; 0 where it cannot be `least`.
    fn similarity(&self, other: &Self, least: u64) -> u64 {
        let (larger, smaller) = (self.size.max(other.size), self.size.min(other.size));
        if other.size == 0 || larger * (SAME - least) < (larger - smaller) * SAME {
            return 0;
        }
        let kept =
            self.bytes_of.iter().filter_map(|(piece, bytes)| Some(*bytes.min(other.bytes_of.get(piece)?)));
        kept.sum::<u64>() * SAME / larger
    }
}
