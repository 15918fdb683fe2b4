//! Making packs small: entries that were recorded one by one are packed again, each object as a change of one like it.
//!
//! Which objects are alike needs no search: the commits, oldest first, tell which directory each tree is, and a
//! directory's tree is the one before with a change. Nothing is read but the ledger's own packs, and nothing waits for
//! it: the new pack is built beside the others, and takes their place under the writers' lock.

use std::collections::HashMap;

use git2::{ObjectType, Oid};

use super::builder::PackBuilder;
use super::delta;
use super::index::Located;
use super::shelf::{FAN_IN, ShelvedPack};
use super::store::{Loaded, Store};
use crate::error::Result;
use crate::ledger::commit::Commit;
use crate::ledger::packed::MAX_OBJECT_BYTES;
use crate::ledger::tree::RawTree;
use crate::ledger::zlib::{Effort, Zlib};

/// A pack is built in memory; packs beyond this stay as they are.
const MAX_PACK_BYTES: u64 = 128 << 20;

/// What is to be put together, and why.
pub(in crate::ledger) enum Due {
    /// Plain packs, to be made tight.
    Plain(Vec<ShelvedPack>),
    /// Tight packs of a size, to become one.
    Tight(Vec<ShelvedPack>),
}

impl Due {
    pub fn packs(&self) -> &[ShelvedPack] {
        let (Self::Plain(packs) | Self::Tight(packs)) = self;
        packs
    }
}

impl Store {
    /// What is due. `now`: plain packs of any size; else only when enough large ones have piled up.
    pub fn due(&self, now: bool) -> Option<Due> {
        let all = self.shelf.all();
        let now = now || self.shelf.is_crowded();
        let of = |effort, size: Option<u32>| {
            let same = all
                .iter()
                .filter(|pack| pack.effort == effort && size.is_none_or(|size| pack.size() == size));
            same.cloned().collect::<Vec<_>>()
        };
        let mut plain = of(Effort::Time, None);
        plain.retain(|pack| now || pack.is_large());
        // One small pack alone is not worth it.
        let enough = match plain.as_slice() {
            [one] if now && one.size() > 0 => 1,
            _ if now => 2,
            _ => FAN_IN,
        };
        if plain.len() >= enough {
            plain.retain(|pack| self.shelf.is_free(pack));
            let mut bytes = 0;
            plain.retain(|pack| {
                bytes += self.shelf.size_bytes(pack);
                bytes < MAX_PACK_BYTES / 2
            });
            if plain.len() >= enough {
                return Some(Due::Plain(plain));
            }
        }
        (0..=all.iter().map(ShelvedPack::size).max()?).find_map(|size| {
            let mut same = of(Effort::Space, Some(size));
            if same.len() >= FAN_IN {
                same.retain(|pack| self.stays_small(pack) && self.shelf.is_free(pack));
            }
            (same.len() >= FAN_IN).then_some(Due::Tight(same))
        })
    }

    /// Whether it is still small with as many of its size.
    fn stays_small(&self, pack: &ShelvedPack) -> bool {
        self.shelf.size_bytes(pack) * (FAN_IN as u64) < MAX_PACK_BYTES
    }

    /// The pack that takes the place of what is due, and of which packs it does: not of one that is damaged.
    pub fn build(&self, due: &Due) -> Result<(PackBuilder, Vec<ShelvedPack>)> {
        let mut taken = Vec::new();
        let mut builder = PackBuilder::new(self.format, Effort::Space);
        let mut objects = Unpacked::default();
        for pack in due.packs() {
            let loaded = match self.load(&pack.name) {
                Loaded::Whole { pack: bytes, objects: index } => match due {
                    Due::Tight(_) => builder.absorb(&bytes, &index),
                    Due::Plain(_) => objects.take(&bytes, index),
                },
                Loaded::Gone => true,
                Loaded::Damaged => false,
            };
            if loaded {
                taken.push(pack.clone());
            }
        }
        if matches!(due, Due::Plain(_)) {
            objects.pack(&mut builder, super::checksum_bytes(self.format))?;
        }
        Ok((builder, taken))
    }
}

/// The objects of some packs, in the order they were written in.
#[derive(Default)]
struct Unpacked {
    order: Vec<Oid>,
    objects: HashMap<Oid, (ObjectType, Vec<u8>)>,
    zlib: Zlib,
}

impl Unpacked {
    /// Takes all objects of a pack. `false`: it cannot be read, and nothing was taken.
    fn take(&mut self, pack: &[u8], mut index: Vec<Located>) -> bool {
        index.sort_unstable_by_key(|object| object.offset);
        let mut at_offset: HashMap<u64, Oid> = HashMap::new();
        let mut read: HashMap<Oid, (ObjectType, Vec<u8>)> = HashMap::new();
        for object in &index {
            let Some(found) = self.object(pack, object.offset, &at_offset, &read) else { return false };
            at_offset.insert(object.offset, object.oid);
            read.insert(object.oid, found);
        }
        for object in index {
            if let Some(found) = read.remove(&object.oid).filter(|_| !self.objects.contains_key(&object.oid))
            {
                self.objects.insert(object.oid, found);
                self.order.push(object.oid);
            }
        }
        true
    }

    /// The object at `offset`; `None` where there is none that can be read.
    fn object(
        &mut self,
        pack: &[u8],
        offset: u64,
        at_offset: &HashMap<u64, Oid>,
        read: &HashMap<Oid, (ObjectType, Vec<u8>)>,
    ) -> Option<(ObjectType, Vec<u8>)> {
        let mut rest = pack.get(usize::try_from(offset).ok()?..)?;
        let (&first, after) = rest.split_first()?;
        rest = after;
        if first & 0x80 != 0 {
            delta::take_size(&mut rest)?;
        }
        let base =
            if (first >> 4) & 7 == 6 { Some(offset.checked_sub(take_distance(&mut rest)?)?) } else { None };
        let (content, _) = self.zlib.unpack(rest, MAX_OBJECT_BYTES).ok()?;
        match ((first >> 4) & 7, base) {
            (1, _) => Some((ObjectType::Commit, content)),
            (2, _) => Some((ObjectType::Tree, content)),
            (3, _) => Some((ObjectType::Blob, content)),
            (_, Some(base)) => {
                let (kind, base) = read.get(at_offset.get(&base)?)?;
                Some((*kind, delta::apply(base, &content)?))
            }
            _ => None,
        }
    }

    /// Packs everything: commit by commit in their order, each with what it brought, then what belongs to no commit.
    fn pack(mut self, builder: &mut PackBuilder, oid_size: usize) -> Result<()> {
        for oid in self.commits_in_order() {
            let Some((_, bytes)) = self.objects.remove(&oid) else { continue };
            if let Ok(commit) = Commit::parse(oid, &bytes) {
                self.pack_tree(commit.tree, "", builder, oid_size)?;
            }
            builder.add(ObjectType::Commit, &bytes)?;
        }
        for oid in std::mem::take(&mut self.order) {
            match self.objects.remove(&oid) {
                Some((ObjectType::Tree, bytes)) => _ = builder.add_tree(&format!("{oid}"), &bytes)?,
                Some((kind, bytes)) => _ = builder.add(kind, &bytes)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Parents before children, as far as they are here.
    fn commits_in_order(&self) -> Vec<Oid> {
        let is_commit =
            |oid: &&Oid| self.objects.get(oid).is_some_and(|(kind, _)| *kind == ObjectType::Commit);
        let parent = |oid: &Oid| -> Option<Oid> {
            let commit = Commit::parse(*oid, &self.objects.get(oid)?.1).ok()?;
            commit.parents.first().copied()
        };
        let mut ordered = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for oid in self.order.iter().filter(is_commit) {
            let mut line = Vec::new();
            let mut next = Some(*oid);
            while let Some(oid) = next.filter(|oid| is_commit(&oid) && seen.insert(*oid)) {
                line.push(oid);
                next = parent(&oid);
            }
            ordered.extend(line.into_iter().rev());
        }
        ordered
    }

    fn pack_tree(&mut self, oid: Oid, path: &str, builder: &mut PackBuilder, oid_size: usize) -> Result<()> {
        let Some((kind, bytes)) = self.objects.remove(&oid) else { return Ok(()) };
        let tree = RawTree::parse(bytes.clone(), oid_size).filter(|_| kind == ObjectType::Tree);
        for entry in tree.iter().flat_map(RawTree::iter) {
            let inner = entry.oid();
            if entry.is_directory() {
                let path = format!("{path}/{}", String::from_utf8_lossy(entry.name));
                self.pack_tree(inner, &path, builder, oid_size)?;
            } else if let Some((kind, bytes)) = self.objects.remove(&inner) {
                builder.add(kind, &bytes)?;
            }
        }
        builder.add_tree(path, &bytes).map(drop)
    }
}

/// The distance to a delta's base, off the front.
fn take_distance(bytes: &mut &[u8]) -> Option<u64> {
    let mut distance = 0_u64;
    for further in 0..9 {
        let (&byte, after) = bytes.split_first()?;
        *bytes = after;
        distance = if further == 0 { 0 } else { (distance + 1) << 7 } | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(distance);
        }
    }
    None
}
