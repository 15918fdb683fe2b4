//! Which files were changed and not committed when the task began, so that they are not taken for its work.
//!
//! Kept as fingerprints of path, size, time and mode: short, and no path goes into the journal.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The most files that are remembered.
pub(super) const MAX_FILES: usize = 10_000;
/// Enough to tell ten thousand files apart.
const HEX_DIGITS: usize = 12;

/// Fingerprints of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty(HashSet<u64>);

impl Dirty {
    /// Of the files as they are now.
    pub fn of<'p>(root: &Path, paths: impl Iterator<Item = &'p [u8]>) -> Self {
        Self(paths.take(MAX_FILES).map(|path| fingerprint(root, path)).collect())
    }

    /// Whether the file was dirty then and is as it was.
    pub fn has_unchanged(&self, root: &Path, path: &[u8]) -> bool {
        !self.0.is_empty() && self.0.contains(&fingerprint(root, path))
    }
}

fn fingerprint(root: &Path, path: &[u8]) -> u64 {
    let mut hash = Sha256::new_with_prefix(path);
    hash.update([0]);
    if let Ok(found) = fs::symlink_metadata(root.join(std::ffi::OsStr::from_bytes(path))) {
        for number in [
            found.size(),
            u64::from(found.mode()),
            found.mtime().cast_unsigned(),
            found.mtime_nsec().cast_unsigned(),
        ] {
            hash.update(number.to_le_bytes());
        }
    }
    let bytes = hash.finalize();
    bytes.iter().take(HEX_DIGITS / 2).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Serialize for Dirty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut numbers: Vec<_> = self.0.iter().collect();
        numbers.sort_unstable();
        let text: String = numbers.into_iter().map(|number| format!("{number:0HEX_DIGITS$x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Dirty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let words = text.as_bytes().chunks(HEX_DIGITS).filter_map(|word| std::str::from_utf8(word).ok());
        Ok(Self(words.filter_map(|word| u64::from_str_radix(word, 16).ok()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_touched_is_not_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(directory.path().join("a"), text).unwrap();
        write("one");
        let dirty = Dirty::of(directory.path(), [b"a".as_slice(), b"gone"].into_iter());
        let text = serde_json::to_string(&dirty).unwrap();
        let dirty: Dirty = serde_json::from_str(&text).unwrap();
        assert!(dirty.has_unchanged(directory.path(), b"a"));
        assert!(dirty.has_unchanged(directory.path(), b"gone"));
        assert!(!dirty.has_unchanged(directory.path(), b"b"));
        write("three");
        assert!(!dirty.has_unchanged(directory.path(), b"a"));
    }
}
