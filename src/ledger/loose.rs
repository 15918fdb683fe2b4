//! The format of a loose object's file: a zlib stream of `<kind> <size>\0<content>`. Pure, over buffers that are
//! used again from object to object.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// With its header and frame an object of this size fits into 4 KiB, the usual block.
const MAX_STORED_BYTES: usize = 4000;

/// Packs and unpacks object files.
///
/// zlib's state is a quarter of a megabyte, so each half is made when it is first needed.
#[derive(Default)]
pub(super) struct Codec {
    deflate: Option<Compress>,
    inflate: Option<Decompress>,
}

impl Codec {
    /// The file of an object. One that fits into a block of the disk anyway is not compressed: that takes longer than
    /// everything else about it, and saves nothing until git packs it, which compresses it anew.
    pub fn encode(&mut self, kind: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        if content.len() <= MAX_STORED_BYTES {
            return Ok(stored(kind, content));
        }
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Compression::fast(), true));
        deflate.reset();
        let header = format!("{kind} {}\0", content.len());
        let mut file = Vec::with_capacity(content.len() + 64);
        for (part, flush) in [(header.as_bytes(), FlushCompress::None), (content, FlushCompress::Finish)] {
            let mut rest = part;
            loop {
                let before = deflate.total_in();
                let status =
                    deflate.compress_vec(rest, &mut file, flush).map_err(|error| error.to_string())?;
                let taken = usize::try_from(deflate.total_in() - before).unwrap_or(rest.len());
                rest = &rest[taken.min(rest.len())..];
                let done = if matches!(flush, FlushCompress::Finish) {
                    status == Status::StreamEnd
                } else {
                    rest.is_empty()
                };
                if done {
                    break;
                }
                file.reserve(file.capacity().max(256));
            }
        }
        Ok(file)
    }

    /// Kind and content of an object's file. At most `limit` bytes are unpacked, whatever the header claims.
    pub fn decode(&mut self, file: &[u8], limit: usize) -> Result<(String, Vec<u8>), String> {
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(true));
        inflate.reset(true);
        let mut inflated = Vec::with_capacity((file.len() * 4).min(limit) + 64);
        loop {
            let rest = &file[usize::try_from(inflate.total_in()).unwrap_or(file.len()).min(file.len())..];
            let before = (inflate.total_in(), inflated.len());
            let status = inflate.decompress_vec(rest, &mut inflated, FlushDecompress::None);
            match status.map_err(|error| error.to_string())? {
                Status::StreamEnd => break,
                _ if inflated.len() > limit => return Err(format!("it is over {limit} bytes")),
                _ if before == (inflate.total_in(), inflated.len())
                    && inflated.capacity() > inflated.len() =>
                {
                    return Err("it is truncated".to_owned());
                }
                _ => inflated.reserve(inflated.capacity().max(256)),
            }
        }
        let header_end = inflated.iter().take(64).position(|byte| *byte == 0).ok_or("it has no header")?;
        let content = inflated.split_off(header_end + 1);
        let header = String::from_utf8_lossy(&inflated[..header_end]);
        let (kind, size) = header.split_once(' ').ok_or("it has no header")?;
        if size != content.len().to_string() {
            return Err("its size is not the one in its header".to_owned());
        }
        Ok((kind.to_owned(), content))
    }
}

/// A zlib stream (RFC 1950) of one stored block (RFC 1951, 3.2.4).
fn stored(kind: &str, content: &[u8]) -> Vec<u8> {
    let body = [format!("{kind} {}\0", content.len()).as_bytes(), content].concat();
    // Both fit: a body has at most MAX_STORED_BYTES and a short header.
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut file = vec![0x78, 0x01, 0x01];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(&body);
    file.extend(adler32(&body).to_be_bytes());
    file
}

/// RFC 1950, 8.2. `body` is far shorter than what could overflow the sums.
fn adler32(body: &[u8]) -> u32 {
    let (low, high) = body.iter().fold((1_u32, 0_u32), |(low, high), byte| {
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
        fn what_is_encoded_is_decoded_and_every_truncation_is_noticed(content in prop::collection::vec(any::<u8>(), 0..3000), repeat in 1..40_usize) {
            let content = content.repeat(repeat);
            let mut codec = Codec::default();
            let file = codec.encode("blob", &content).unwrap();
            prop_assert_eq!(codec.decode(&file, 1 << 20).unwrap(), ("blob".to_owned(), content));
            for length in [0, 1, file.len() / 2, file.len() - 1] {
                prop_assert!(codec.decode(&file[..length], 1 << 20).is_err());
            }
        }
    }

    #[test]
    fn a_small_file_that_unpacks_to_gigabytes_is_stopped_at_the_limit() {
        let mut codec = Codec::default();
        let file = codec.encode("blob", &vec![0; 8 << 20]).unwrap();
        assert!(file.len() < 100_000);
        assert!(codec.decode(&file, 1 << 20).unwrap_err().contains("over"));
    }
}
