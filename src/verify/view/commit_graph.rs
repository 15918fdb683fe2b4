//! git's commit-graph, read: which commits it has, and what it says of them (git's `gitformat-commit-graph`).
//!
//! Of a file, only what says something about commits is read, up to a limit; every number in it is checked before it is
//! used. Filters of changed paths are not looked at.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::open;

const HEADER_BYTES: usize = 8;
const FAN_OUT: usize = 256;
/// No parent in this place.
const NO_PARENT: u32 = 0x7000_0000;
/// The highest bit: of a second parent, that the list of edges goes on; of an edge or a date, that this is another thing.
const FLAG: u32 = 1 << 31;
/// The most bytes of a chunk that are read: commits for ledgers and code that are far larger than any known.
const MAX_CHUNK_BYTES: u64 = 256 << 20;

/// A file, or the files of a chain, the first at the bottom.
#[derive(Default)]
pub(super) struct Graph {
    layers: Vec<Layer>,
}

/// One file.
struct Layer {
    id_size: usize,
    /// The commits in the files below.
    below: u32,
    ids: Vec<u8>,
    rows: Vec<u8>,
    edges: Vec<u8>,
    /// By how many seconds a commit counts as newer than it says.
    corrections: Option<Vec<u8>>,
    large_corrections: Vec<u8>,
}

/// What the graph says of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'g> {
    pub tree: &'g [u8],
    pub parents: Vec<&'g [u8]>,
    /// The lower 34 bits of the time.
    pub time: u64,
    /// One more than the highest of its parents; 0 where it was not computed.
    pub level: u32,
    /// The time, or one more than the latest of its parents, if it was computed.
    pub corrected: Option<u64>,
}

impl Graph {
    /// Puts a file on top.
    pub fn add(&mut self, path: &Path, id_size: usize) -> Result<(), String> {
        let below = self.layers.last().map_or(Ok(0), Layer::end)?;
        self.layers.push(Layer::read(path, id_size, below)?);
        Ok(())
    }

    /// Everything that is said of a commit; of an honest chain at most one row.
    pub fn rows(&self, id: &[u8]) -> impl Iterator<Item = Result<Row<'_>, String>> {
        let found = self.layers.iter().filter_map(move |layer| Some((layer, layer.find(id)?)));
        found.map(|(layer, number)| self.row(layer, number))
    }

    fn row<'g>(&'g self, layer: &'g Layer, number: usize) -> Result<Row<'g>, String> {
        let size = layer.id_size + 16;
        let row = layer.rows.get(number * size..(number + 1) * size).ok_or("a row is missing")?;
        let (tree, rest) = row.split_at(layer.id_size);
        let [first, second, level, low] = [0, 1, 2, 3].map(|place| word(rest, place).unwrap_or_default());
        let time = (u64::from(level & 3) << 32) | u64::from(low);
        let mut parents = Vec::new();
        if first != NO_PARENT {
            parents.push(self.parent(layer, first)?);
        }
        if second & FLAG != 0 {
            let mut place = (second & !FLAG) as usize;
            loop {
                let edge = word(&layer.edges, place).ok_or("its list of parents does not end")?;
                parents.push(self.parent(layer, edge & !FLAG)?);
                if edge & FLAG != 0 {
                    break;
                }
                place += 1;
            }
        } else if second != NO_PARENT {
            parents.push(self.parent(layer, second)?);
        }
        Ok(Row { tree, parents, time, level: level >> 2, corrected: layer.corrected(number, time)? })
    }

    /// The commit at a position, which is in this layer or below it.
    fn parent(&self, from: &Layer, position: u32) -> Result<&[u8], String> {
        let layers = self.layers.iter().filter(|layer| layer.below <= from.below);
        let found = layers.rev().find(|layer| layer.below <= position);
        let id = found.and_then(|layer| layer.id((position - layer.below) as usize));
        id.ok_or_else(|| "a parent is none of its commits".to_owned())
    }
}

impl Layer {
    fn read(path: &Path, id_size: usize, below: u32) -> Result<Self, String> {
        let file = open(path).map_err(|error| error.to_string())?;
        let chunks = Chunks::of(file, id_size)?;
        let fan_out = chunks.needed(*b"OIDF")?;
        let ids = chunks.needed(*b"OIDL")?;
        let rows = chunks.needed(*b"CDAT")?;
        let count = ids.len() / id_size;
        if fan_out.len() != FAN_OUT * 4
            || ids.len() != count * id_size
            || rows.len() != count * (id_size + 16)
        {
            return Err("its parts do not have the lengths that belong together".to_owned());
        }
        let is_sorted = ids.chunks(id_size).is_sorted_by(|one, next| one < next);
        let mut counted = 0;
        let fits = |first: usize| {
            counted +=
                ids[counted * id_size..].chunks(id_size).take_while(|id| usize::from(id[0]) <= first).count();
            word(&fan_out, first) == u32::try_from(counted).ok()
        };
        if !is_sorted || !(0..FAN_OUT).all(fits) {
            return Err("its commits are not in order".to_owned());
        }
        let edges = chunks.wanted(*b"EDGE")?.unwrap_or_default();
        let corrections = chunks.wanted(*b"GDA2")?;
        let large_corrections = chunks.wanted(*b"GDO2")?.unwrap_or_default();
        Ok(Self { id_size, below, ids, rows, edges, corrections, large_corrections })
    }

    fn end(&self) -> Result<u32, String> {
        let count = u32::try_from(self.ids.len() / self.id_size).ok();
        count
            .and_then(|count| count.checked_add(self.below))
            .ok_or_else(|| "it has too many commits".to_owned())
    }

    fn id(&self, number: usize) -> Option<&[u8]> {
        self.ids.get(number.checked_mul(self.id_size)?..)?.get(..self.id_size)
    }

    fn find(&self, id: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.ids.len() / self.id_size);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.id(middle)?.cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    fn corrected(&self, number: usize, time: u64) -> Result<Option<u64>, String> {
        let Some(corrections) = &self.corrections else { return Ok(None) };
        let short = word(corrections, number).ok_or("a corrected time is missing")?;
        if short & FLAG == 0 {
            return Ok(Some(time + u64::from(short)));
        }
        let place = (short & !FLAG) as usize * 2;
        let halves = word(&self.large_corrections, place).zip(word(&self.large_corrections, place + 1));
        let (high, low) = halves.ok_or("a corrected time is missing")?;
        Ok(Some(time.saturating_add((u64::from(high) << 32) | u64::from(low))))
    }
}

/// The table of contents.
struct Chunks {
    file: File,
    table: Vec<([u8; 4], u64, u64)>,
}

impl Chunks {
    fn of(file: File, id_size: usize) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).map_err(|_| "it is too short")?;
        let [b'C', b'G', b'P', b'H', version, hash, count, _] = header else {
            return Err("it does not begin as one does".to_owned());
        };
        if version != 1 || hash != if id_size == 20 { 1 } else { 2 } {
            return Err("it is of another version or object format".to_owned());
        }
        let mut table = vec![0; (usize::from(count) + 1) * 12];
        file.read_exact_at(&mut table, HEADER_BYTES as u64)
            .map_err(|_| "its table of contents is cut off")?;
        let begins: Vec<_> =
            table.chunks(12).filter_map(|line| Some((line.first_chunk()?, offset(line)?))).collect();
        let mut chunks = Vec::new();
        for pair in begins.windows(2) {
            let ((name, from), (_, to)) = (pair[0], pair[1]);
            if to < from || to > length.saturating_sub(id_size as u64) {
                return Err("a part of it is beyond its end".to_owned());
            }
            chunks.push((*name, from, to - from));
        }
        Ok(Self { file, table: chunks })
    }

    fn wanted(&self, name: [u8; 4]) -> Result<Option<Vec<u8>>, String> {
        let Some((_, offset, length)) = self.table.iter().find(|(found, _, _)| *found == name) else {
            return Ok(None);
        };
        if *length > MAX_CHUNK_BYTES {
            return Err(format!("a part of it is larger than {} MiB", MAX_CHUNK_BYTES >> 20));
        }
        let mut bytes = vec![0; usize::try_from(*length).map_err(|error| error.to_string())?];
        self.file.read_exact_at(&mut bytes, *offset).map_err(|error| error.to_string())?;
        Ok(Some(bytes))
    }

    fn needed(&self, name: [u8; 4]) -> Result<Vec<u8>, String> {
        self.wanted(name)?.ok_or_else(|| format!("it has no part {}", String::from_utf8_lossy(&name)))
    }
}

fn offset(line: &[u8]) -> Option<u64> {
    line.get(4..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// A number of four bytes, the `place`th.
fn word(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place.checked_mul(4)?..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}
