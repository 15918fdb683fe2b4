//! The packs that the ledger wrote and that are still its own, and which of them are due to become one.
//!
//! A list beside the repository, one line a pack. It decides nothing but which packs may be put together: a pack that is
//! not on it, because the list was lost or the pack is somebody else's, is never touched.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::ledger::sharing::Sharing;
use crate::ledger::zlib::Effort;

/// Packs of about the same size become one when there are this many of them.
pub(super) const FAN_IN: usize = 8;
/// A pack of fewer objects is of the first size; each further size is [`FAN_IN`] times the one before.
const FIRST_SIZE_OBJECTS: usize = 64;
/// The sizes that an append puts together in passing, which costs it a few milliseconds at most.
const SIZES_IN_PASSING: u32 = 3;

/// And no more than this: entries can be large.
const BYTES_IN_PASSING: u64 = 2 << 20;
/// More packs than this are put together whatever their sizes are.
const MANY_PACKS: usize = 40;

/// A pack of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct ShelvedPack {
    /// `pack-<checksum>`, without extension.
    pub name: String,
    /// The number of its objects.
    pub objects: usize,
    /// What it was written for: time, or space.
    pub effort: Effort,
}

impl ShelvedPack {
    /// Its class of size, from 0.
    pub fn size(&self) -> u32 {
        size_of(self.objects)
    }

    /// Whether it is too large to be put together with others in passing.
    pub fn is_large(&self) -> bool {
        self.size() >= SIZES_IN_PASSING
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let name = words.next()?;
        let hex = name.strip_prefix("pack-")?;
        let objects = words.next()?.parse().ok()?;
        let effort = match words.next()? {
            "plain" => Effort::Time,
            "tight" => Effort::Space,
            _ => return None,
        };
        // The name becomes part of a path.
        (matches!(hex.len(), 40 | 64) && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self {
            name: name.to_owned(),
            objects,
            effort,
        })
    }

    fn line(&self) -> String {
        let effort = if self.effort == Effort::Time { "plain" } else { "tight" };
        format!("{} {} {effort}\n", self.name, self.objects)
    }
}

fn size_of(objects: usize) -> u32 {
    (objects / FIRST_SIZE_OBJECTS).checked_ilog(FAN_IN).map_or(0, |size| size + 1)
}

/// The list of them.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Shelf {
    list: PathBuf,
    packs: PathBuf,
    sharing: Sharing,
}

impl Shelf {
    /// `state`: the ledger's directory beside the repository; `packs`: where packs are.
    pub fn new(state: &Path, packs: &Path, sharing: Sharing) -> Self {
        Self { list: state.join("packs"), packs: packs.to_owned(), sharing }
    }

    /// The path of a pack's file with this extension.
    pub fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.packs.join(format!("{name}.{extension}"))
    }

    /// Everything on the list, oldest first, each pack once.
    pub fn all(&self) -> Vec<ShelvedPack> {
        let text = fs::read_to_string(&self.list).unwrap_or_default();
        let mut packs: Vec<ShelvedPack> = Vec::new();
        for pack in text.lines().filter_map(ShelvedPack::parse) {
            packs.retain(|earlier| earlier.name != pack.name);
            packs.push(pack);
        }
        packs
    }

    pub fn add(&self, pack: &ShelvedPack) -> Result<()> {
        let failed = |error| Error::io(format!("write {}", self.list.display()), error);
        let is_new = !self.list.exists();
        let opened = OpenOptions::new().create(true).read(true).append(true).open(&self.list);
        let mut file = opened.map_err(failed)?;
        // A full disk or a power cut may have torn the last line.
        let mut last = [b'\n'];
        if let Some(end) = file.metadata().map_err(failed)?.len().checked_sub(1) {
            file.read_exact_at(&mut last, end).map_err(failed)?;
        }
        let begin = if last == [b'\n'] { "" } else { "\n" };
        file.write_all(format!("{begin}{}", pack.line()).as_bytes()).map_err(failed)?;
        if is_new {
            self.sharing.apply_to_file(&self.list);
        }
        Ok(())
    }

    /// Takes packs off the list, and their files off the disk. What cannot be removed costs space, nothing else.
    pub fn discard(&self, gone: &[ShelvedPack]) {
        if gone.is_empty() {
            return;
        }
        let kept: String =
            self.all().iter().filter(|pack| !gone.contains(pack)).map(ShelvedPack::line).collect();
        let new = self.list.with_extension("new");
        let replaced = fs::write(&new, kept).and_then(|()| {
            self.sharing.apply_to_file(&new);
            fs::rename(&new, &self.list)
        });
        if replaced.is_err() {
            return;
        }
        for pack in gone {
            // The index first: a pack without one is not seen.
            for extension in ["idx", "rev", "bitmap", "pack"] {
                _ = fs::remove_file(self.file(&pack.name, extension));
            }
        }
    }

    /// Packs that are to become one with a new pack of `objects`.
    pub fn due(&self, objects: usize) -> Vec<ShelvedPack> {
        let all = self.all();
        let mut due = Vec::new();
        let (mut total, mut bytes) = (objects, 0);
        while size_of(total) < SIZES_IN_PASSING {
            let size = size_of(total);
            let same: Vec<_> =
                all.iter().filter(|pack| pack.size() == size && self.is_free(pack)).cloned().collect();
            if same.len() + 1 < FAN_IN {
                break;
            }
            bytes += same.iter().map(|pack| self.size_bytes(pack)).sum::<u64>();
            if bytes > BYTES_IN_PASSING {
                break;
            }
            total += same.iter().map(|pack| pack.objects).sum::<usize>();
            due.extend(same);
            if size_of(total) <= size {
                break;
            }
        }
        due
    }

    /// The size of a pack's file.
    pub fn size_bytes(&self, pack: &ShelvedPack) -> u64 {
        fs::metadata(self.file(&pack.name, "pack")).map_or(0, |found| found.len())
    }

    /// Whether so many packs have piled up that all of them should be put together.
    pub fn is_crowded(&self) -> bool {
        self.all().len() > MANY_PACKS
    }

    /// Whether a pack may be put together with others: nobody keeps it, and no index over several packs names it.
    pub fn is_free(&self, pack: &ShelvedPack) -> bool {
        let kept = self.file(&pack.name, "keep").exists();
        !kept && !self.packs.join("multi-pack-index.d").exists() && !self.is_indexed(&pack.name)
    }

    /// Whether `multi-pack-index` names the pack, or may do so.
    fn is_indexed(&self, name: &str) -> bool {
        match File::open(self.packs.join("multi-pack-index")) {
            Ok(index) => pack_names(&index).is_none_or(|names| {
                names.split(|byte| *byte == 0).any(|one| one.strip_suffix(b".idx") == Some(name.as_bytes()))
            }),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }
}

/// The names of the packs in a multi-pack-index (gitformat-pack): its chunk `PNAM`.
fn pack_names(index: &File) -> Option<Vec<u8>> {
    let mut header = [0; 12];
    index.read_exact_at(&mut header, 0).ok()?;
    let chunks = usize::from(*header.strip_prefix(b"MIDX")?.get(2)?);
    let mut table = vec![0; (chunks + 1) * 12];
    index.read_exact_at(&mut table, 12).ok()?;
    let offset = |row: &[u8]| Some(u64::from_be_bytes(*row.get(4..12)?.first_chunk()?));
    let rows: Vec<_> = table.chunks(12).collect();
    let at = rows.iter().position(|row| row.starts_with(b"PNAM"))?;
    let (from, to) = (offset(rows.get(at)?)?, offset(rows.get(at + 1)?)?);
    let mut names = vec![0; usize::try_from(to.checked_sub(from)?).ok().filter(|size| *size < 1 << 26)?];
    index.read_exact_at(&mut names, from).ok()?;
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_a_size_are_due_and_the_rest_waits() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(
            folder.path(),
            folder.path(),
            Sharing::of(&crate::ledger::settings::Settings::fixed(&[])),
        );
        let pack = |number: usize, objects| ShelvedPack {
            name: format!("pack-{number:040}"),
            objects,
            effort: Effort::Time,
        };
        (0..6).for_each(|number| shelf.add(&pack(number, 8)).unwrap());
        shelf.add(&pack(5, 8)).unwrap();
        (0..7).for_each(|number| shelf.add(&pack(100 + number, 64)).unwrap());
        shelf.add(&pack(200, 5000)).unwrap();
        assert_eq!(shelf.due(8).len(), 0);
        shelf.add(&pack(6, 8)).unwrap();
        assert_eq!(shelf.due(8).len(), 14, "seven of one record, and with them seven of eight");
        assert_eq!(shelf.due(5000).len(), 0, "the large ones are not put together in passing");
        fs::write(shelf.file(&pack(3, 8).name, "keep"), "").unwrap();
        assert_eq!(shelf.due(8).len(), 0, "one is kept, so there are six");
        shelf.discard(&[pack(0, 8), pack(200, 5000)]);
        assert_eq!(shelf.all().len(), 13);
    }

    #[test]
    fn a_line_that_is_not_ours_is_passed_over() {
        for line in [
            "",
            "pack-x 3 plain",
            "pack-../../../x 3 plain",
            "pack-0000000000000000000000000000000000000000 x plain",
            "pack-0000000000000000000000000000000000000000 3",
        ] {
            assert_eq!(ShelvedPack::parse(line), None, "{line}");
        }
    }
}
