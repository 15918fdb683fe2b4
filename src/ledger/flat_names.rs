//! Which tasks may be in the flat directory.
//!
//! That directory is by far the largest tree an append meets, and once it is full it never changes. So what is in it is
//! noted beside the repository, by hash: a task that is not noted is not there, for any other the tree is read. The note
//! says which tree it is of and carries a checksum; one that does not fit is made anew.

use std::fs;
use std::path::Path;

use git2::Oid;
use sha2::{Digest as _, Sha256};

use super::tree::RawTree;

/// The hashes of the lower-cased names, sorted.
pub(super) struct FlatNames(Vec<u64>);

const CHECKSUM_BYTES: usize = 32;

impl FlatNames {
    /// Those of the directory's tree.
    pub fn of(tree: Option<&RawTree>) -> Self {
        let mut hashes: Vec<_> =
            tree.iter().flat_map(|tree| tree.iter()).map(|entry| hash(entry.name)).collect();
        hashes.sort_unstable();
        Self(hashes)
    }

    /// Whether `name`, in whatever case, may be there.
    pub fn may_have(&self, name: &str) -> bool {
        self.0.binary_search(&hash(name.as_bytes())).is_ok()
    }

    pub fn insert(&mut self, name: &str) {
        let hash = hash(name.as_bytes());
        if let Err(place) = self.0.binary_search(&hash) {
            self.0.insert(place, hash);
        }
    }

    /// Those that were noted of this tree.
    pub fn load(note: &Path, tree: Oid) -> Option<Self> {
        let bytes = fs::read(note).ok()?;
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        let hashes = body.strip_prefix(tree.to_string().as_bytes())?;
        let (hashes, rest) = hashes.as_chunks::<8>();
        (rest.is_empty() && Sha256::digest(body).as_slice() == checksum)
            .then(|| Self(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect()))
    }

    /// Notes them. A help only: what cannot be noted is read from the tree the next time.
    pub fn save(&self, note: &Path, tree: Oid) {
        let mut bytes = tree.to_string().into_bytes();
        self.0.iter().for_each(|hash| bytes.extend(hash.to_le_bytes()));
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        let draft = note.with_extension(std::process::id().to_string());
        if fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, note)).is_err() {
            _ = fs::remove_file(&draft);
        }
    }
}

/// Not one that somebody could make two names share.
fn hash(name: &[u8]) -> u64 {
    let digest = Sha256::digest(name.to_ascii_lowercase());
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_believed_only_about_its_own_tree_and_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("flat-names");
        let oid = |fill: u8| Oid::from_bytes(&[fill; 20]).unwrap();
        let mut names = FlatNames::of(None);
        for name in ["b.json", "a.json", "Task-7.json", "a.json"] {
            names.insert(name);
        }
        names.save(&note, oid(1));
        let loaded = FlatNames::load(&note, oid(1)).unwrap();
        assert!(loaded.may_have("task-7.JSON") && loaded.may_have("a.json") && !loaded.may_have("c.json"));
        assert!(FlatNames::load(&note, oid(2)).is_none(), "another tree's");
        let whole = fs::read(&note).unwrap();
        for (at, length) in [(45, whole.len()), (whole.len() - 1, whole.len()), (0, whole.len() - 8)] {
            let mut bytes = whole[..length].to_vec();
            bytes[at.min(length - 1)] ^= 1;
            fs::write(&note, bytes).unwrap();
            assert!(FlatNames::load(&note, oid(1)).is_none(), "damaged at {at}");
        }
        fs::write(&note, "").unwrap();
        assert!(FlatNames::load(&note, oid(1)).is_none());
    }
}
