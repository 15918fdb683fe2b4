//! A proof that an entry is in the ledger: one file that needs nothing else but a key. It has the entry as it is stored,
//! its place, the path to the root, and the checkpoint with that root.
//!
//! ```text
//! git-audit/proof/v1
//! task deploy-42
//! commit 8d1f…                      as stated: no hash of the proof covers this line
//! proof 310 bytes
//! entry 812 bytes
//!
//! c2sp.org/tlog-proof@v1            these 310 bytes are a file for other tools
//! index 5
//! …
//!
//! {                                 and these 812 bytes the entry
//! ```
//!
//! The last bytes are the entry (`tail -c 812`), those before an empty line before it the proof
//! (`tail -c 1123 | head -c 310`), as <https://c2sp.org/tlog-proof> has it.

use super::checkpoint::Checkpoint;
use super::merkle::{Hash, from_base64, includes, leaf_hash, to_base64};
use super::note::MAX_NOTE_BYTES;
use super::number;
use crate::entry::{MAX_ENTRY_BYTES, TaskId, parse};

const FIRST_LINE: &str = "git-audit/proof/v1";
const TLOG_PROOF: &str = "c2sp.org/tlog-proof@v1";
/// A tree has at most 2^64 leaves.
const MAX_PATH: usize = 64;
/// The most bytes of a proof without its entry.
const MAX_HEAD_BYTES: usize = MAX_NOTE_BYTES + (4 << 10);
/// The most bytes of a proof.
pub const MAX_PROOF_BYTES: usize = MAX_ENTRY_BYTES + MAX_HEAD_BYTES;

/// An entry, and that it is in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The task, which is also in the entry.
    pub task_id: TaskId,
    /// The commit that added the entry, in hexadecimal: where to look, and not proven.
    pub commit: String,
    /// The place of the entry in the ledger, from 0.
    pub index: u64,
    /// The audit path, from the leaf up.
    pub path: Vec<Hash>,
    /// What the path leads to.
    pub checkpoint: Checkpoint,
    /// The entry's bytes.
    pub entry: Vec<u8>,
}

impl Proof {
    /// Reads a proof. That it can be read says nothing of whether it holds.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(format!("is longer than {MAX_PROOF_BYTES} bytes"));
        }
        let mut rest = bytes;
        if line(&mut rest) != Some(FIRST_LINE) {
            return Err(format!("does not begin with the line `{FIRST_LINE}`"));
        }
        let task =
            line(&mut rest).and_then(|line| line.strip_prefix("task ")).ok_or("has no line `task ID`")?;
        let task_id = TaskId::new(task).map_err(|_| "has no task id in its line `task ID`")?;
        let commit = line(&mut rest).and_then(|line| line.strip_prefix("commit "));
        let commit = commit.filter(|id| is_object_id(id)).ok_or("has no line `commit ID`")?;
        let mut length = |what: &str| {
            let number_of = |line: &str| number(line.strip_prefix(what)?.strip_suffix(" bytes")?);
            let length = line(&mut rest).and_then(number_of).and_then(|length| usize::try_from(length).ok());
            length.ok_or_else(|| format!("has no line `{what}N bytes`"))
        };
        let (proof, entry) = (length("proof ")?, length("entry ")?);
        let parts = rest.strip_prefix(b"\n").and_then(|rest| rest.split_at_checked(proof));
        let (proof, rest) = parts.ok_or("is cut off, or has other lengths than it says")?;
        let bytes = rest.strip_prefix(b"\n").filter(|rest| rest.len() == entry);
        let entry = bytes.ok_or("is cut off, or has other lengths than it says")?.to_vec();
        let (index, path, checkpoint) = tlog_proof(proof)?;
        Ok(Self { task_id, commit: commit.to_owned(), index, path, checkpoint, entry })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut proof = format!("{TLOG_PROOF}\nindex {}\n", self.index);
        for hash in &self.path {
            proof += &to_base64(hash);
            proof.push('\n');
        }
        proof += &format!("\n{}", self.checkpoint);
        let Self { task_id, commit, entry, .. } = self;
        let (length, entry_length) = (proof.len(), entry.len());
        let head = format!(
            "{FIRST_LINE}\ntask {task_id}\ncommit {commit}\nproof {length} bytes\nentry {entry_length} bytes\n"
        );
        [head.as_bytes(), b"\n", proof.as_bytes(), b"\n", entry].concat()
    }

    /// Whether the entry's bytes are in the tree of the checkpoint, at the place that is stated.
    pub fn is_included(&self) -> bool {
        let Checkpoint { root, size, .. } = &self.checkpoint;
        includes(root, *size, self.index, &leaf_hash(&self.entry), &self.path)
    }

    /// The task that the entry itself states.
    pub fn stated_task(&self) -> Option<String> {
        let entry = parse::parse(&self.entry).ok()?;
        Some(entry.get("task_id")?.as_str()?.to_owned())
    }
}

/// Takes the next line off.
fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let end = rest.iter().take(256).position(|byte| *byte == b'\n')?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 1..];
    Some(text)
}

fn is_object_id(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(text.len(), 40 | 64) && text.bytes().all(is_hex)
}

fn tlog_proof(bytes: &[u8]) -> Result<(u64, Vec<Hash>, Checkpoint), String> {
    let mut rest = bytes;
    if line(&mut rest) != Some(TLOG_PROOF) {
        return Err(format!("has no `{TLOG_PROOF}` where it says"));
    }
    let index = line(&mut rest).and_then(|line| number(line.strip_prefix("index ")?));
    let index = index.ok_or("has no line `index N`")?;
    let mut path = Vec::new();
    loop {
        match line(&mut rest) {
            Some("") => break,
            _ if path.len() == MAX_PATH => return Err(format!("has a path of more than {MAX_PATH} hashes")),
            Some(hash) => path.push(from_base64(hash).ok_or("has a line in its path that is no hash")?),
            None => return Err("ends before its checkpoint".into()),
        }
    }
    let checkpoint = Checkpoint::parse(rest).map_err(|problem| format!("has a checkpoint that {problem}"))?;
    Ok((index, path, checkpoint))
}

#[cfg(test)]
mod tests {
    use super::super::merkle::{inclusion_proof, root};
    use super::super::{SigningKey, VerifyingKey};
    use super::*;
    use proptest::prelude::*;

    const ENTRY: &str = "{\n  \"task_id\": \"t5\",\n  \"status\": \"completed\"\n}\n";

    fn key() -> SigningKey {
        SigningKey::of_seed(&[1; 32])
    }

    fn proof(entry: &[u8]) -> Proof {
        let mut leaves: Vec<_> = (0_u8..100).map(|index| leaf_hash(&[index])).collect();
        leaves[5] = leaf_hash(entry);
        let mut checkpoint = Checkpoint::new("git-audit/0123", 100, &root(&leaves));
        checkpoint.sign(&key()).unwrap();
        Proof {
            task_id: TaskId::new("t5").unwrap(),
            commit: "01".repeat(20),
            index: 5,
            path: inclusion_proof(&leaves, 5).unwrap(),
            checkpoint,
            entry: entry.to_vec(),
        }
    }

    /// Whether all that the file says holds, but for the commit.
    fn holds(bytes: &[u8]) -> bool {
        let Ok(proof) = Proof::parse(bytes) else { return false };
        let public = VerifyingKey::named("git-audit/0123", key().public()).unwrap();
        let is_signed = proof.checkpoint.verify(&[public]).is_ok_and(|signed| signed.len() == 1);
        is_signed && proof.is_included() && proof.stated_task().as_deref() == Some(proof.task_id.as_str())
    }

    #[test]
    fn a_proof_is_written_read_back_and_cut_apart_by_its_numbers() {
        let proof = proof(ENTRY.as_bytes());
        let bytes = proof.to_bytes();
        assert_eq!(Proof::parse(&bytes), Ok(proof.clone()));
        assert!(holds(&bytes));
        assert!(bytes.len() < 4096 + ENTRY.len());
        let text = String::from_utf8(bytes).unwrap();
        let number_of = |what| {
            let line = text.lines().find_map(|line: &str| line.strip_prefix(what)).unwrap();
            line.strip_suffix(" bytes").unwrap().parse::<usize>().unwrap()
        };
        let (entry, whole) = (number_of("entry "), number_of("proof "));
        assert_eq!(&text[text.len() - entry..], ENTRY);
        let inner = &text[text.len() - entry - 1 - whole..text.len() - entry - 1];
        assert!(inner.starts_with("c2sp.org/tlog-proof@v1\nindex 5\n"));
        assert!(inner.ends_with(&format!("\n\n{}", proof.checkpoint)));
    }

    #[test]
    fn an_entry_may_be_anything_that_is_not_too_long() {
        for entry in [&b""[..], b"\n\n", b"\0\xff", &[b'x'; MAX_ENTRY_BYTES]] {
            let proof = proof(entry);
            let bytes = proof.to_bytes();
            assert!(Proof::parse(&bytes).unwrap().is_included());
            assert!(bytes.len() < 4096 + entry.len());
        }
        let long = proof(&vec![b'x'; MAX_PROOF_BYTES]).to_bytes();
        assert!(Proof::parse(&long).unwrap_err().contains("longer than"));
    }

    #[test]
    fn every_changed_byte_is_found_but_in_the_commit_that_is_only_stated() {
        let bytes = proof(ENTRY.as_bytes()).to_bytes();
        let commit = String::from_utf8_lossy(&bytes).find("commit ").unwrap() + 7;
        for at in (0..bytes.len()).filter(|at| !(commit..commit + 40).contains(at)) {
            for change in [1_u8, 0x20, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                assert!(!holds(&changed), "byte {at}");
            }
        }
        for length in 0..bytes.len() {
            assert!(!holds(&bytes[..length]), "{length} bytes");
        }
        assert!(!holds(&[&bytes[..], b"\n"].concat()));
    }

    #[test]
    fn lengths_that_lie_cost_nothing() {
        let text = String::from_utf8(proof(ENTRY.as_bytes()).to_bytes()).unwrap();
        let line = text.lines().find(|line| line.starts_with("proof ")).unwrap();
        for number in ["0", "00", "01", "-1", "18446744073709551615", "18446744073709551616", "9e9", ""] {
            let changed = text.replacen(line, &format!("proof {number} bytes"), 1);
            assert!(Proof::parse(changed.as_bytes()).is_err(), "{number}");
        }
        let mut long = proof(ENTRY.as_bytes());
        long.path = vec![[0; 32]; 65];
        assert!(Proof::parse(&long.to_bytes()).unwrap_err().contains("more than 64 hashes"));
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_there_is_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Proof::parse(&bytes).is_err());
            _ = Checkpoint::parse(&bytes);
        }

        #[test]
        fn a_file_with_lines_changed_places_does_not_hold(from in 0_usize..14, to in 0_usize..14) {
            let whole = proof(ENTRY.as_bytes()).to_bytes();
            let text = String::from_utf8(whole.clone()).unwrap();
            let mut lines: Vec<_> = text.split_inclusive('\n').collect();
            lines.swap(from, to);
            prop_assert!(lines.concat().as_bytes() == whole || !holds(lines.concat().as_bytes()));
        }
    }
}
