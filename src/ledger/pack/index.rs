//! Which object is where in a pack: version 2 of git's pack index, written and read.

use git2::{ObjectFormat, Oid};

use super::{checksum, checksum_bytes};

pub(super) const MAGIC: [u8; 8] = *b"\xfftOc\0\0\0\x02";
const FAN_OUT: usize = 256;

/// One object's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Located {
    pub oid: Oid,
    /// CRC-32 of the object's bytes in the pack, header and all.
    pub crc32: u32,
    /// Bytes from the beginning of the pack.
    pub offset: u64,
}

/// The index file of the pack that ends in `pack_checksum`. `objects` are sorted by id on the way.
pub(super) fn render(format: ObjectFormat, objects: &mut [Located], pack_checksum: &[u8]) -> Vec<u8> {
    objects.sort_unstable_by(|left, right| left.oid.as_bytes().cmp(right.oid.as_bytes()));
    let mut file = Vec::with_capacity(objects.len() * 40 + 2048);
    file.extend(MAGIC);
    let mut counted = 0;
    for first in 0..FAN_OUT {
        counted += objects[counted..]
            .iter()
            .take_while(|object| usize::from(object.oid.as_bytes()[0]) <= first)
            .count();
        file.extend(word(counted as u64));
    }
    objects.iter().for_each(|object| file.extend(object.oid.as_bytes()));
    objects.iter().for_each(|object| file.extend(object.crc32.to_be_bytes()));
    let mut far = Vec::new();
    for object in objects.iter() {
        if object.offset < 1 << 31 {
            file.extend(word(object.offset));
        } else {
            file.extend((0x8000_0000_u32 | u32::try_from(far.len() / 8).unwrap_or(u32::MAX)).to_be_bytes());
            far.extend(object.offset.to_be_bytes());
        }
    }
    file.extend(far);
    file.extend(pack_checksum);
    let own = checksum(format, &[&file]);
    file.extend(own);
    file
}

/// A number that is known to fit.
fn word(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// The objects of an index file, sorted by id; `None` where it is damaged, or not the index of the pack that ends in
/// `pack_checksum`.
pub(super) fn parse(format: ObjectFormat, file: &[u8], pack_checksum: &[u8]) -> Option<Vec<Located>> {
    let (body, own) = file.split_at_checked(file.len().checked_sub(checksum_bytes(format))?)?;
    if checksum(format, &[body]) != own {
        return None;
    }
    let rest = body.strip_prefix(&MAGIC)?.strip_suffix(pack_checksum)?;
    let (fan_out, rest) = rest.split_at_checked(FAN_OUT * 4)?;
    let count = u32::from_be_bytes(*fan_out.last_chunk()?) as usize;
    let (ids, rest) = rest.split_at_checked(count.checked_mul(pack_checksum.len())?)?;
    let (sums, rest) = rest.split_at_checked(count * 4)?;
    let (offsets, far) = rest.split_at_checked(count * 4)?;
    let (sums, offsets) = (sums.as_chunks::<4>().0, offsets.as_chunks::<4>().0);
    let mut objects = Vec::with_capacity(count);
    for (id, (sum, offset)) in ids.chunks(pack_checksum.len()).zip(sums.iter().zip(offsets)) {
        let near = u32::from_be_bytes(*offset);
        let offset = if near < 1 << 31 {
            u64::from(near)
        } else {
            u64::from_be_bytes(*far.get((near & 0x7fff_ffff) as usize * 8..)?.first_chunk()?)
        };
        objects.push(Located { oid: Oid::from_bytes(id).ok()?, crc32: u32::from_be_bytes(*sum), offset });
    }
    Some(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_reads_back_also_past_two_gigabytes() {
        let oid = |fill: u8| Oid::from_bytes(&[fill; 20]).unwrap();
        let mut objects = vec![
            Located { oid: oid(255), crc32: 1, offset: 12 },
            Located { oid: oid(0), crc32: 2, offset: 5 << 31 },
            Located { oid: oid(7), crc32: 3, offset: (1 << 31) - 1 },
            Located { oid: oid(8), crc32: 4, offset: 1 << 31 },
        ];
        let pack_checksum = [9; 20];
        let mut file = render(ObjectFormat::Sha1, &mut objects, &pack_checksum);
        assert_eq!(parse(ObjectFormat::Sha1, &file, &pack_checksum), Some(objects));
        assert_eq!(parse(ObjectFormat::Sha1, &file, &[8; 20]), None, "another pack's");
        file[1100] ^= 1;
        assert_eq!(parse(ObjectFormat::Sha1, &file, &pack_checksum), None, "damaged");
        assert_eq!(parse(ObjectFormat::Sha1, &file[..100], &pack_checksum), None, "truncated");
    }
}
