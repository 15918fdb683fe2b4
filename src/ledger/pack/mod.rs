//! Packs: how the ledger's objects reach the disk. One append writes one pack and its index, whatever number of
//! objects it makes: two files to be made durable in place of one for each object.
//!
//! - [`builder`]: a pack, object by object · [`stream`]: its bytes · [`delta`]: one object as a change of another
//! - [`index`]: which object is where · [`store`]: a built pack onto the disk, durably
//! - [`reader`]: objects out of packs · [`shelf`]: the packs that the ledger wrote, and which of them are due to become one · [`tighten`]: making them small
//!
//! The format is git's (gitformat-pack), version 2 of both files. Invariants: a pack stands by itself, so every base
//! of a delta comes before it in the same pack; only packs that the ledger wrote are ever removed, after all they hold
//! is durable in another.

pub(super) mod builder;
mod delta;
mod index;
pub(super) mod reader;
pub(super) mod shelf;
pub(super) mod store;
mod stream;
pub(super) mod tighten;

use git2::ObjectFormat;
use sha2::Digest as _;

/// Bytes in front of the first object: `PACK`, the version, the number of objects.
const HEADER_BYTES: usize = 12;

fn header(objects: usize) -> [u8; HEADER_BYTES] {
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    // A pack of four billion objects is not built in memory.
    header[8..].copy_from_slice(&u32::try_from(objects).unwrap_or(u32::MAX).to_be_bytes());
    header
}

/// The checksum that ends a pack and an index: the repository's hash over everything before it.
fn checksum(format: ObjectFormat, parts: &[&[u8]]) -> Vec<u8> {
    fn over<H: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(H::new(), |hash, part| hash.chain_update(part)).finalize().to_vec()
    }
    match format {
        ObjectFormat::Sha1 => over::<sha1::Sha1>(parts),
        ObjectFormat::Sha256 => over::<sha2::Sha256>(parts),
    }
}

fn checksum_bytes(format: ObjectFormat) -> usize {
    match format {
        ObjectFormat::Sha1 => sha1::Sha1::output_size(),
        ObjectFormat::Sha256 => sha2::Sha256::output_size(),
    }
}
