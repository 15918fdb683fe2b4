//! zlib streams, as object files and packs hold them. Pure, over state that is used again from object to object.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// With its header and frame an object of this size fits into 4 KiB, the usual block.
const BLOCK_BYTES: usize = 4000;
/// Compressing less than this saves nothing: a few bytes, or it is a hash that cannot be made smaller.
const TINY_BYTES: usize = 64;

/// What a stream is to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// The caller's time. What fits into a block of the disk anyway is not compressed at all: that takes longer than
    /// everything else about it, and the object is packed anew before long.
    Time,
    /// Space.
    Space,
}

/// Packs and unpacks streams.
///
/// zlib's state is a quarter of a megabyte, so each half is made when it is first needed.
#[derive(Default)]
pub(super) struct Zlib {
    fast: Option<Compress>,
    small: Option<Compress>,
    inflate: Option<Decompress>,
}

impl Zlib {
    /// Appends the stream of `content` to `file`.
    pub fn pack(&mut self, content: &[u8], effort: Effort, file: &mut Vec<u8>) -> Result<(), String> {
        let (stored_up_to, level, slot) = match effort {
            Effort::Time => (BLOCK_BYTES, Compression::fast(), &mut self.fast),
            Effort::Space => (TINY_BYTES, Compression::default(), &mut self.small),
        };
        if content.len() <= stored_up_to {
            stored(content, file);
            return Ok(());
        }
        let deflate = slot.get_or_insert_with(|| Compress::new(level, true));
        deflate.reset();
        file.reserve(content.len() / 2 + 64);
        loop {
            let taken = usize::try_from(deflate.total_in()).unwrap_or(content.len());
            let rest = &content[taken.min(content.len())..];
            let status = deflate.compress_vec(rest, file, FlushCompress::Finish);
            if status.map_err(|error| error.to_string())? == Status::StreamEnd {
                return Ok(());
            }
            file.reserve(content.len() / 2 + 256);
        }
    }

    /// The content of the stream that `file` begins with, and the stream's length. At most `limit` bytes are unpacked.
    pub fn unpack(&mut self, file: &[u8], limit: usize) -> Result<(Vec<u8>, usize), String> {
        if let Some(found) = unpack_stored(file).filter(|(content, _)| content.len() <= limit) {
            return Ok(found);
        }
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(true));
        inflate.reset(true);
        let mut content = Vec::with_capacity((file.len() * 4).min(limit).min(1 << 16) + 64);
        loop {
            let taken = usize::try_from(inflate.total_in()).unwrap_or(file.len()).min(file.len());
            let before = (taken, content.len());
            let status = inflate.decompress_vec(&file[taken..], &mut content, FlushDecompress::None);
            let taken = usize::try_from(inflate.total_in()).unwrap_or(file.len());
            match status.map_err(|error| error.to_string())? {
                Status::StreamEnd => return Ok((content, taken)),
                _ if content.len() > limit => return Err(format!("it is over {limit} bytes")),
                _ if before == (taken, content.len()) && content.capacity() > content.len() => {
                    return Err("it is truncated".to_owned());
                }
                _ => content.reserve(content.capacity().max(256)),
            }
        }
    }
}

/// Appends a stream (RFC 1950) of one stored block (RFC 1951, 3.2.4).
fn stored(content: &[u8], file: &mut Vec<u8>) {
    // It fits: a block that is stored has at most BLOCK_BYTES.
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    file.extend([0x78, 0x01, 0x01]);
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(content);
    file.extend(adler32(content).to_be_bytes());
}

/// The content of a stream that is one stored block, as [`stored`] makes them: most of what the ledger writes is so small.
/// zlib judges all others, and those that are damaged.
fn unpack_stored(file: &[u8]) -> Option<(Vec<u8>, usize)> {
    let rest = file.strip_prefix(&[0x78, 0x01, 0x01])?;
    let (lengths, rest) = rest.split_first_chunk::<4>()?;
    let length = u16::from_le_bytes([lengths[0], lengths[1]]);
    let is_sound = !length == u16::from_le_bytes([lengths[2], lengths[3]]);
    let length = usize::from(length);
    let (content, rest) = rest.split_at_checked(length).filter(|_| is_sound && length <= BLOCK_BYTES)?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*sum) == adler32(content)).then(|| (content.to_vec(), length + 11))
}

/// RFC 1950, 8.2. `content` is far shorter than what could overflow the sums.
fn adler32(content: &[u8]) -> u32 {
    let (low, high) = content.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = low + u32::from(*byte);
        (low, high + low)
    });
    ((high % 65_521) << 16) | (low % 65_521)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks_and_every_truncation_is_noticed(content in prop::collection::vec(any::<u8>(), 0..3000), repeat in 1..40_usize, quick in any::<bool>()) {
            let content = content.repeat(repeat);
            let effort = if quick { Effort::Time } else { Effort::Space };
            let mut zlib = Zlib::default();
            let mut file = Vec::new();
            zlib.pack(&content, effort, &mut file).unwrap();
            let length = file.len();
            file.extend(b"what follows");
            prop_assert_eq!(zlib.unpack(&file, 1 << 20).unwrap(), (content, length));
            for length in [0, 1, length / 2, length - 1] {
                prop_assert!(zlib.unpack(&file[..length], 1 << 20).is_err());
            }
        }
    }

    #[test]
    fn a_small_file_that_unpacks_to_gigabytes_is_stopped_at_the_limit() {
        let mut zlib = Zlib::default();
        let mut file = Vec::new();
        zlib.pack(&vec![0; 8 << 20], Effort::Space, &mut file).unwrap();
        assert!(file.len() < 100_000);
        assert!(zlib.unpack(&file, 1 << 20).unwrap_err().contains("over"));
    }
}
