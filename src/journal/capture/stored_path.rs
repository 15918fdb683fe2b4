//! A path in JSON, whatever its bytes are: as text, or as an object with the bytes in hex where it is no UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Bytes { hex: String },
}

pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    let stored = match path.to_str() {
        Some(text) => Stored::Text(text.to_owned()),
        None => {
            let bytes = path.as_os_str().as_bytes();
            Stored::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
        }
    };
    stored.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    match Stored::deserialize(deserializer)? {
        Stored::Text(text) => Ok(text.into()),
        Stored::Bytes { hex } => {
            let bytes = bytes_of(&hex).ok_or_else(|| D::Error::custom("a path is not hex"))?;
            Ok(OsString::from_vec(bytes).into())
        }
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    hex.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct At(#[serde(with = "super")] PathBuf);

    #[test]
    fn every_path_comes_back_as_it_was() {
        for path in [b"/r".as_slice(), "/é\n{\"hex\":\"2f\"}".as_bytes(), b"/r\xff\x00\xfe/caf\xe9", b""] {
            let at = At(OsString::from_vec(path.to_vec()).into());
            let text = serde_json::to_string(&at).unwrap();
            assert_eq!(serde_json::from_str::<At>(&text).unwrap(), at, "{text}");
        }
        assert_eq!(serde_json::to_string(&At("/r".into())).unwrap(), "\"/r\"");
        assert!(serde_json::from_str::<At>("{\"hex\":\"zz\"}").is_err());
    }
}
