//! The Merkle tree of RFC 6962, with SHA-256. Leaves and inner nodes are hashed apart, so that no entry can pass for a
//! node.
//!
//! Verification takes nothing but its arguments, whatever they are: a proof has exactly as many hashes as its sizes ask
//! for, or it is refused.

use std::collections::{BTreeMap, BTreeSet};

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, a node, or the whole tree.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}

/// A hash as it stands in checkpoints and proofs.
pub fn to_base64(hash: &Hash) -> String {
    Base64::encode_string(hash)
}

/// The hash that `text` is, if it is one.
pub fn from_base64(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    (text.len() == 44 && Base64::decode(text, &mut hash).ok()?.len() == hash.len()).then_some(hash)
}

/// The roots of the largest whole trees that leaves stand in, left to right: all that is needed of them to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct CompactRange {
    size: u64,
    nodes: Vec<Hash>,
}

/// A range as it is kept in a file.
#[derive(Serialize, Deserialize)]
struct Parts {
    size: u64,
    nodes: Vec<String>,
}

impl CompactRange {
    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut whole = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.nodes.pop() else { break };
            whole = node_hash(&left, &whole);
        }
        self.nodes.push(whole);
        self.size += 1;
    }

    /// The root of the tree of these leaves.
    pub fn root(&self) -> Hash {
        self.nodes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

impl Extend<Hash> for CompactRange {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl From<CompactRange> for Parts {
    fn from(range: CompactRange) -> Self {
        Self { size: range.size, nodes: range.nodes.iter().map(to_base64).collect() }
    }
}

impl TryFrom<Parts> for CompactRange {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let nodes: Option<Vec<_>> = parts.nodes.iter().map(|node| from_base64(node)).collect();
        let nodes = nodes.ok_or("a node is no SHA-256 hash in base64")?;
        let is_whole = nodes.len() == parts.size.count_ones() as usize && parts.size < 1 << 63;
        if is_whole { Ok(Self { size: parts.size, nodes }) } else { Err("the nodes do not fit the size") }
    }
}

/// The root of the tree of these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut range = CompactRange::default();
    range.extend(leaves.iter().copied());
    range.root()
}

/// The roots that the tree of these leaves had at some sizes, each where it has been that large.
pub fn roots_at(leaves: &[Hash], sizes: &BTreeSet<u64>) -> BTreeMap<u64, Hash> {
    let mut range = CompactRange::default();
    let mut leaves = leaves.iter().copied();
    let mut roots = BTreeMap::new();
    for size in sizes {
        let missing = usize::try_from(size - range.size()).unwrap_or(usize::MAX);
        range.extend(leaves.by_ref().take(missing));
        if range.size() == *size {
            roots.insert(*size, range.root());
        }
    }
    roots
}

/// The left part of a tree is the largest whole tree that leaves something for the right one.
fn split(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}

/// The audit path of one of these leaves, from its sibling up. `None` where there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut leaves, mut index, mut path) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = split(leaves);
        if index < left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    Some(path)
}

/// What shows that the first `old_size` of these leaves are the beginning of all. `None` where there are fewer.
pub fn consistency_proof(leaves: &[Hash], old_size: usize) -> Option<Vec<Hash>> {
    if old_size > leaves.len() {
        return None;
    }
    let (mut leaves, mut old, mut path, mut is_known) = (leaves, old_size, Vec::new(), true);
    // Down to the tree that ends where the old one did. Who checks has it only if it is the old one.
    while old > 0 && old < leaves.len() {
        let (left, right) = split(leaves);
        if old <= left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            old -= left.len();
            leaves = right;
            is_known = false;
        }
    }
    if !is_known {
        path.push(root(leaves));
    }
    path.reverse();
    Some(path)
}

/// Whether `path` leads from the leaf at `index` to the `root` of a tree of `size` leaves (RFC 9162, 2.1.3.2).
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // Levels at which it stands alone have no sibling. It is not 0 here, so that one bit is set.
            let alone = node.trailing_zeros();
            (node, last) = (node >> alone, last >> alone);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old_size` leaves is the beginning of the tree of `size` (RFC 9162, 2.1.4.2).
pub fn extends(old_root: &Hash, old_size: u64, root: &Hash, size: u64, proof: &[Hash]) -> bool {
    if old_size > size {
        return false;
    }
    if old_size == size {
        return proof.is_empty() && old_root == root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    // Where the old tree is whole, its root is where it begins, and is not told again.
    let (first, rest) = match proof.split_first() {
        None => return false,
        Some(_) if old_size.is_power_of_two() => (old_root, proof),
        Some(split) => split,
    };
    let whole = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> whole, (size - 1) >> whole);
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            let alone = node.trailing_zeros();
            (node, last) = (node >> alone, last >> alone);
        } else {
            new = node_hash(&new, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old == *old_root && new == *root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn fixture(name: &str) -> Value {
        let path = format!("{}/fixtures/merkle/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn from_hex(text: &Value) -> Vec<u8> {
        let text = text.as_str().unwrap().as_bytes();
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        text.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn hash(text: &Value) -> Hash {
        let text = text.as_str().unwrap();
        from_base64(text).unwrap_or_else(|| from_hex(&Value::from(text)).try_into().unwrap())
    }

    fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
        value.as_array().unwrap().iter().map(of).collect()
    }

    fn number(value: &Value) -> u64 {
        value.as_u64().unwrap()
    }

    fn at(value: &Value) -> usize {
        usize::try_from(number(value)).unwrap()
    }

    /// Leaves that are all different.
    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    #[test]
    fn roots_and_proofs_are_those_of_certificate_transparency() {
        let vectors = fixture("rfc6962.json");
        let leaves = list(&vectors["leaves"], |leaf| leaf_hash(&from_hex(leaf)));
        let roots = list(&vectors["roots"], hash);
        assert_eq!(root(&[]), hash(&vectors["empty_root"]));
        for (size, expected) in (1..).zip(&roots) {
            assert_eq!(root(&leaves[..size]), *expected, "{size} leaves");
        }
        let sizes = [1, 3, 8, 9, u64::MAX].into();
        assert_eq!(roots_at(&leaves, &sizes), [(1, roots[0]), (3, roots[2]), (8, roots[7])].into());
        for case in vectors["inclusion"].as_array().unwrap() {
            let (index, size, path) = (at(&case["index"]), at(&case["size"]), list(&case["path"], hash));
            assert_eq!(inclusion_proof(&leaves[..size], index).unwrap(), path);
            assert!(includes(&roots[size - 1], size as u64, index as u64, &leaves[index], &path));
        }
        for case in vectors["consistency"].as_array().unwrap() {
            let (old, size, path) = (at(&case["old_size"]), at(&case["size"]), list(&case["path"], hash));
            assert_eq!(consistency_proof(&leaves[..size], old).unwrap(), path);
            assert!(extends(&roots[old - 1], old as u64, &roots[size - 1], size as u64, &path));
        }
    }

    #[test]
    fn proofs_of_a_log_of_certificates_hold() {
        let log = fixture("argon2020.json");
        let (root, size, index) = (hash(&log["root"]), number(&log["size"]), number(&log["index"]));
        let leaf = leaf_hash(&Base64::decode_vec(log["leaf"].as_str().unwrap()).unwrap());
        assert!(includes(&root, size, index, &leaf, &list(&log["path"], hash)));
        let (old_root, old_size) = (hash(&log["old_root"]), number(&log["old_size"]));
        assert!(extends(&old_root, old_size, &root, size, &list(&log["consistency"], hash)));
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_proof_and_it_is_no_other_leafs() {
        let leaves = leaves(130);
        for size in 1..=leaves.len() {
            let root = root(&leaves[..size]);
            for (index, leaf) in leaves[..size].iter().enumerate() {
                let path = inclusion_proof(&leaves[..size], index).unwrap();
                let at = |index, size| includes(&root, size, index, leaf, &path);
                let (index, size) = (index as u64, size as u64);
                assert!(at(index, size), "leaf {index} of {size}");
                let others = [index.wrapping_sub(1), index + 1, index ^ 2, size - 1 - index, size];
                assert!(
                    others.iter().all(|other| *other == index || !at(*other, size)),
                    "leaf {index} of {size}"
                );
                assert!(!at(index + (1 << 40), size) && !at(index, 0) && !at(index, u64::MAX));
            }
            assert_eq!(inclusion_proof(&leaves[..size], size), None);
        }
    }

    #[test]
    fn every_tree_extends_every_smaller_one_and_no_other() {
        let leaves = leaves(130);
        let roots: Vec<_> = (0..=leaves.len()).map(|size| root(&leaves[..size])).collect();
        for size in 0..=leaves.len() {
            for old in 0..=size {
                let proof = consistency_proof(&leaves[..size], old).unwrap();
                let holds = |old: usize, size: usize, old_root| {
                    extends(&roots[old_root], old as u64, &roots[size], size as u64, &proof)
                };
                assert!(holds(old, size, old), "{old} to {size}");
                let others = [old.saturating_sub(1), (old + 1).min(size), size - old];
                assert!(
                    others.iter().all(|other| *other == old || !holds(old, size, *other)),
                    "{old} to {size}"
                );
            }
            assert_eq!(consistency_proof(&leaves[..size], size + 1), None);
        }
    }

    #[test]
    fn sizes_at_the_end_of_the_numbers_are_refused_and_not_a_panic() {
        let path = vec![[7; 32]; 64];
        for size in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
            for index in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
                for length in [0, 1, 63, 64] {
                    let path = &path[..length];
                    assert!(!includes(&[7; 32], size, index, &[8; 32], path));
                    assert!(!extends(&[7; 32], index, &[8; 32], size, path));
                }
            }
        }
    }

    #[test]
    fn a_range_goes_on_from_its_file() {
        let leaves = leaves(200);
        for cut in 0..leaves.len() {
            let mut range = CompactRange::default();
            range.extend(leaves[..cut].iter().copied());
            let kept = serde_json::to_string(&range).unwrap();
            let mut range: CompactRange = serde_json::from_str(&kept).unwrap();
            range.extend(leaves[cut..].iter().copied());
            assert_eq!((range.size(), range.root()), (200, root(&leaves)));
        }
        let broken =
            [r#"{"size":1,"nodes":[]}"#, r#"{"size":0,"nodes":["AA=="]}"#, r#"{"size":1,"nodes":["AA=="]}"#];
        assert!(broken.iter().all(|text| serde_json::from_str::<CompactRange>(text).is_err()));
    }

    #[test]
    fn a_hash_has_one_text_only() {
        let text = to_base64(&[255; 32]);
        assert_eq!(from_base64(&text), Some([255; 32]));
        assert_eq!(from_base64(&text.replace("8=", "9=")), None, "bits that mean nothing");
        for wrong in
            ["", "A", &text[..43], &format!("{text}A"), &text.replace('/', "_"), &format!(" {}", &text[1..])]
        {
            assert_eq!(from_base64(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn a_changed_inclusion_proof_is_refused(
            (size, index) in (1_u64..1000).prop_flat_map(|size| (Just(size), 0..size)),
            what in 0_usize..6, place in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let leaves = leaves(size);
            let (root, place_of) = (root(&leaves), usize::try_from(index).unwrap());
            let mut path = inclusion_proof(&leaves, place_of).unwrap();
            prop_assert!(includes(&root, size, index, &leaves[place_of], &path));
            let (mut root, mut leaf) = (root, leaves[place_of]);
            let flip = |hash: &mut Hash| hash[place.index(32)] ^= 1 << bit;
            match what {
                0 => flip(&mut root),
                1 => flip(&mut leaf),
                2 => path.push(root),
                3 => path.insert(0, leaf),
                _ if path.is_empty() => path.push(leaf),
                4 => _ = path.remove(place.index(path.len())),
                _ => { let at = place.index(path.len()); flip(&mut path[at]) }
            }
            prop_assert!(!includes(&root, size, index, &leaf, &path));
        }

        #[test]
        fn a_changed_consistency_proof_is_refused(
            (size, old) in (2_u64..1000).prop_flat_map(|size| (Just(size), 1..size)),
            what in 0_usize..6, place in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let leaves = leaves(size);
            let count = usize::try_from(old).unwrap();
            let (mut old_root, mut new_root) = (root(&leaves[..count]), root(&leaves));
            let mut proof = consistency_proof(&leaves, count).unwrap();
            prop_assert!(extends(&old_root, old, &new_root, size, &proof));
            let flip = |hash: &mut Hash| hash[place.index(32)] ^= 1 << bit;
            let at = place.index(proof.len());
            match what {
                0 => flip(&mut old_root),
                1 => flip(&mut new_root),
                2 => proof.push(new_root),
                3 => proof.insert(0, old_root),
                4 => _ = proof.remove(at),
                _ => flip(&mut proof[at]),
            }
            prop_assert!(!extends(&old_root, old, &new_root, size, &proof));
        }
    }
}
