//! The bytes of a pack as they grow: entry after entry, each whole or as a delta of an earlier one.

use git2::{ObjectType, Oid};

use super::delta::{self, Base};
use super::index::Located;
use super::{HEADER_BYTES, header};
use crate::error::{Error, Result};
use crate::ledger::zlib::{Effort, Zlib};

/// The type of an entry that is a delta, its base given by distance.
const OFFSET_DELTA: u8 = 6;

/// The entries of a pack, without its checksum.
pub(super) struct Stream {
    effort: Effort,
    zlib: Zlib,
    pub bytes: Vec<u8>,
    pub objects: Vec<Located>,
    blobs: Alike,
    commits: Alike,
}

impl Stream {
    pub fn new(effort: Effort) -> Self {
        Self {
            effort,
            zlib: Zlib::default(),
            bytes: header(0).to_vec(),
            objects: Vec::new(),
            blobs: Alike::default(),
            commits: Alike::default(),
        }
    }

    /// Adds a blob or a commit: where space matters, as a delta of one like it.
    pub fn push_alike(&mut self, oid: Oid, kind: ObjectType, content: &[u8]) -> Result<()> {
        if self.effort == Effort::Time {
            return self.push_whole(oid, kind, content).map(drop);
        }
        let described = self.alike(kind).describe(content);
        let offset = match &described {
            Some((base, delta)) => self.push_delta(oid, *base, delta)?,
            None => self.push_whole(oid, kind, content)?,
        };
        self.alike(kind).written(content, offset, described.is_none());
        Ok(())
    }

    fn alike(&mut self, kind: ObjectType) -> &mut Alike {
        if kind == ObjectType::Commit { &mut self.commits } else { &mut self.blobs }
    }

    /// Adds an object as it is. Returns where.
    pub fn push_whole(&mut self, oid: Oid, kind: ObjectType, content: &[u8]) -> Result<u64> {
        let kind = match kind {
            ObjectType::Commit => 1,
            ObjectType::Tree => 2,
            _ => 3,
        };
        self.push(oid, kind, None, content)
    }

    /// Adds an object as a change of the one at `base`. Returns where.
    pub fn push_delta(&mut self, oid: Oid, base: u64, delta: &[u8]) -> Result<u64> {
        self.push(oid, OFFSET_DELTA, Some(base), delta)
    }

    /// Adds the entries of a whole pack, as they are.
    pub fn push_pack(&mut self, entries: &[u8], objects: &[Located]) {
        // Deltas name their bases by distance, which does not change.
        let shift = self.position() - HEADER_BYTES as u64;
        self.bytes.extend(entries);
        self.objects
            .extend(objects.iter().map(|object| Located { offset: object.offset + shift, ..*object }));
    }

    /// Adds those entries of a pack that `wanted` admits. There must be no deltas among them.
    pub fn push_some(&mut self, pack: &[u8], objects: &[Located], mut wanted: impl FnMut(&Located) -> bool) {
        let mut objects = objects.to_vec();
        objects.sort_unstable_by_key(|object| object.offset);
        let ends = objects.iter().skip(1).map(|next| next.offset).chain([pack.len() as u64]);
        let ranges: Vec<_> = objects.iter().zip(ends).map(|(object, end)| (*object, end)).collect();
        for (object, end) in ranges {
            let range = usize::try_from(object.offset).ok().zip(usize::try_from(end).ok());
            let entry = range.and_then(|(from, to)| pack.get(from..to));
            if let Some(entry) = entry.filter(|_| wanted(&object)) {
                let offset = self.position();
                self.bytes.extend(entry);
                self.objects.push(Located { offset, ..object });
            }
        }
    }

    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn push(&mut self, oid: Oid, kind: u8, base: Option<u64>, content: &[u8]) -> Result<u64> {
        let begin = self.bytes.len();
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
        sum.update(&self.bytes[begin..]);
        self.objects.push(Located { oid, crc32: sum.sum(), offset });
        Ok(offset)
    }
}

/// Whether any of the pack's entries is a delta, or is not there.
pub(super) fn has_deltas(pack: &[u8], objects: &[Located]) -> bool {
    let kind = |object: &Located| Some((pack.get(usize::try_from(object.offset).ok()?)? >> 4) & 7);
    objects.iter().any(|object| kind(object).is_none_or(|kind| kind >= OFFSET_DELTA))
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

/// What objects of a kind are described by: the nearer in time, the more alike they are. So each is a change of one that
/// is a few before it, and that one a change of one that is further away: it is read through two deltas at most.
#[derive(Default)]
struct Alike {
    far: Option<Model>,
    near: Option<Model>,
}

struct Model {
    base: Base,
    offset: u64,
    uses_left: u16,
}

impl Alike {
    const FAR_USES: u16 = 64;
    const NEAR_USES: u16 = 15;

    /// The place of the base that the next object is described by, and its delta. `None`: it is like neither.
    fn describe(&mut self, content: &[u8]) -> Option<(u64, Vec<u8>)> {
        for model in [&mut self.near, &mut self.far] {
            if let Some(found) = model.as_mut().filter(|model| model.uses_left > 0) {
                found.uses_left -= 1;
                let delta = found.base.delta_to(content);
                return (delta.len() < content.len() / 4 * 3).then_some((found.offset, delta));
            }
            // Used up: the next object is described by what is further away, and takes its place.
            *model = None;
        }
        None
    }

    /// The object was written: it becomes a model, where there is a place for it.
    fn written(&mut self, content: &[u8], offset: u64, is_whole: bool) {
        let model = |uses_left| Some(Model { base: Base::new(content.to_vec()), offset, uses_left });
        if is_whole {
            (self.far, self.near) = (model(Self::FAR_USES), model(Self::NEAR_USES));
        } else if self.near.is_none() {
            self.near = model(Self::NEAR_USES);
        }
    }
}
