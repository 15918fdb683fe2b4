//! The format of a loose object's file: a zlib stream of `<kind> <size>\0<content>`. The ledger writes packs; git
//! writes these.

use super::zlib::Zlib;

/// Kind and content of an object's file. At most `limit` bytes are unpacked, whatever the header claims.
pub(super) fn decode(zlib: &mut Zlib, file: &[u8], limit: usize) -> Result<(String, Vec<u8>), String> {
    let (mut inflated, length) = zlib.unpack(file, limit)?;
    if length != file.len() {
        return Err("something follows its end".to_owned());
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

#[cfg(test)]
mod tests {
    use super::super::zlib::Effort;
    use super::*;

    #[test]
    fn only_a_file_whose_header_tells_its_size_is_an_object() {
        let mut zlib = Zlib::default();
        let mut read = |text: &str| {
            let mut file = Vec::new();
            zlib.pack(text.as_bytes(), Effort::Space, &mut file).unwrap();
            decode(&mut zlib, &file, 1 << 20)
        };
        assert_eq!(read("blob 5\0hello"), Ok(("blob".to_owned(), b"hello".to_vec())));
        for text in ["blob 6\0hello", "blob5\0hello", "blob 5 hello", ""] {
            assert!(read(text).is_err(), "{text}");
        }
        let mut file = Vec::new();
        zlib.pack(b"blob 5\0hello", Effort::Space, &mut file).unwrap();
        file.push(0);
        assert!(decode(&mut zlib, &file, 1 << 20).is_err());
    }
}
