//! Tree objects as bytes. A tree here is its predecessor plus one entry, so bytes are spliced, not rebuilt: adding to
//! a directory of a thousand entries copies one buffer and allocates nothing per entry.

use std::cmp::Ordering;

use git2::Oid;

pub(super) const MODE_FILE: &str = "100644";
pub(super) const MODE_DIRECTORY: &str = "40000";

/// The content of one tree object.
#[derive(Clone, Debug)]
pub(super) struct RawTree {
    bytes: Vec<u8>,
    oid_size: usize,
}

/// One entry of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeEntry<'t> {
    pub mode: &'t str,
    pub name: &'t [u8],
    oid_bytes: &'t [u8],
}

/// A change of a tree's bytes: `removed` bytes at `at` became `inserted` ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub at: usize,
    pub removed: usize,
    pub inserted: usize,
}

impl Splice {
    /// The one change that makes `before` into `after`: all between what they have in common at both ends.
    pub fn between(before: &[u8], after: &[u8]) -> Self {
        let at = before.iter().zip(after).take_while(|(before, after)| before == after).count();
        let ends = before[at..].iter().rev().zip(after[at..].iter().rev());
        let end = ends.take_while(|(before, after)| before == after).count();
        Self { at, removed: before.len() - at - end, inserted: after.len() - at - end }
    }
}

impl TreeEntry<'_> {
    pub fn oid(&self) -> Oid {
        // The length was checked when the tree was parsed.
        Oid::from_bytes(self.oid_bytes).unwrap_or(Oid::ZERO_SHA1)
    }

    pub fn is_directory(&self) -> bool {
        self.mode == MODE_DIRECTORY
    }

    pub fn is_regular_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

impl RawTree {
    /// `oid_size`: 20 or 32 bytes, as the repository's object format has it.
    pub fn empty(oid_size: usize) -> Self {
        Self { bytes: Vec::new(), oid_size }
    }

    /// `None` when the bytes are not in the shape of a tree.
    pub fn parse(bytes: Vec<u8>, oid_size: usize) -> Option<Self> {
        let tree = Self { bytes, oid_size };
        let mut offset = 0;
        while offset < tree.bytes.len() {
            offset = tree.entry_at(offset)?.1;
        }
        Some(tree)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = TreeEntry<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let (entry, next) = self.entry_at(offset)?;
            offset = next;
            Some(entry)
        })
    }

    pub fn find(&self, name: &str) -> Option<TreeEntry<'_>> {
        self.iter().find(|entry| entry.name == name.as_bytes())
    }

    /// Adds `name`, or gives it another object, at the place git's order wants.
    pub fn set(&mut self, name: &str, mode: &str, oid: Oid) {
        let mut insert_at = self.bytes.len();
        let mut replace_to = insert_at;
        let mut offset = 0;
        while let Some((entry, next)) = self.entry_at(offset) {
            if entry.name == name.as_bytes() {
                (insert_at, replace_to) = (offset, next);
                break;
            }
            if tree_order(name.as_bytes(), mode, entry.name, entry.mode).is_lt() {
                (insert_at, replace_to) = (offset, offset);
                break;
            }
            offset = next;
        }
        let line = [mode.as_bytes(), b" ", name.as_bytes(), b"\0", oid.as_bytes()].concat();
        self.bytes.splice(insert_at..replace_to, line);
    }

    fn entry_at(&self, offset: usize) -> Option<(TreeEntry<'_>, usize)> {
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let space = rest.iter().take(8).position(|byte| *byte == b' ')?;
        let end = space + 1 + rest[space + 1..].iter().position(|byte| *byte == 0)?;
        let oid_bytes = rest.get(end + 1..end + 1 + self.oid_size)?;
        let mode = std::str::from_utf8(&rest[..space]).ok()?;
        Some((TreeEntry { mode, name: &rest[space + 1..end], oid_bytes }, offset + end + 1 + self.oid_size))
    }
}

/// git sorts a directory as if its name ended in `/`.
fn tree_order(left: &[u8], left_mode: &str, right: &[u8], right_mode: &str) -> Ordering {
    let shared = left.len().min(right.len());
    let next = |name: &[u8], mode: &str| match name.get(shared) {
        Some(byte) => *byte,
        None if mode == MODE_DIRECTORY => b'/',
        None => 0,
    };
    left[..shared].cmp(&right[..shared]).then_with(|| next(left, left_mode).cmp(&next(right, right_mode)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oid(fill: u8) -> Oid {
        Oid::from_bytes(&[fill; 20]).unwrap()
    }

    #[test]
    fn a_directory_sorts_as_if_it_ended_in_a_slash() {
        let mut tree = RawTree::empty(20);
        for (name, mode) in [("a0", MODE_FILE), ("a", MODE_DIRECTORY), ("a-", MODE_FILE), ("a.b", MODE_FILE)]
        {
            tree.set(name, mode, oid(1));
        }
        let names: Vec<_> =
            tree.iter().map(|entry| String::from_utf8_lossy(entry.name).into_owned()).collect();
        assert_eq!(names, ["a-", "a.b", "a", "a0"]);
    }

    #[test]
    fn bytes_that_are_no_tree_are_refused() {
        for bytes in [&b"100644"[..], b"100644 a", b"100644 a\0short", b"123456789 a\0aaaaaaaaaaaaaaaaaaaa"] {
            assert!(RawTree::parse(bytes.to_vec(), 20).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_splice_is_the_change(before in "[ab]{0,12}", after in "[ab]{0,12}") {
            let Splice { at, removed, inserted } = Splice::between(before.as_bytes(), after.as_bytes());
            let changed = [&before[..at], &after[at..at + inserted], &before[at + removed..]].concat();
            prop_assert_eq!(changed, after);
        }

        #[test]
        fn any_order_of_insertion_gives_the_bytes_git_would_write(names in prop::collection::btree_set("[a-c.0-]{1,4}", 0..20)) {
            let repository = tempfile::tempdir().unwrap();
            let repository = git2::Repository::init_bare(repository.path()).unwrap();
            let blob = repository.blob(b"x").unwrap();
            let mut builder = repository.treebuilder(None).unwrap();
            let mut ours = RawTree::empty(20);
            for name in names.iter().rev().filter(|name| *name != "." && *name != "..") {
                builder.insert(name, blob, 0o100_644).unwrap();
                ours.set(name, MODE_FILE, oid(9));
                ours.set(name, MODE_FILE, blob);
            }
            let theirs = builder.write().unwrap();
            let hashed = Oid::hash_object_ext(git2::ObjectType::Tree, ours.bytes(), git2::ObjectFormat::Sha1).unwrap();
            prop_assert_eq!(hashed, theirs);
        }
    }
}
