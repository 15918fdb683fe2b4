//! Commit objects as bytes: reading the few fields the history walk needs, and writing new ones.
//!
//! Reading the bytes ourselves sees the parents that the commit really names. libgit2's and git's own walks believe
//! `.git/info/grafts`, `.git/shallow` and `refs/replace` first.

use std::fmt;

use git2::Oid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::identity::Identities;
use crate::error::{Error, Result};

/// A commit's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommitId(pub(super) Oid);

impl CommitId {
    /// The first twelve hex digits: enough to be unique in any ledger, short enough for a table.
    pub fn short(&self) -> String {
        self.0.to_string().chars().take(12).collect()
    }

    /// The id that `hex` spells in full.
    pub fn parse(hex: &str) -> Option<Self> {
        parse_oid(hex).map(Self)
    }

    /// The id's bytes: 20, or 32 in a SHA-256 repository.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The id of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Oid::from_bytes(bytes).ok().map(Self)
    }
}

/// The id of the object that holds an entry's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobId(pub(super) Oid);

impl BlobId {
    /// The id's bytes: 20, or 32 in a SHA-256 repository.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The id of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Oid::from_bytes(bytes).ok().map(Self)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for CommitId {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'d> Deserialize<'d> for CommitId {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        parse_oid(&hex).map(Self).ok_or_else(|| D::Error::custom("no commit id"))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The fields of a commit that the history walk needs.
#[derive(Debug)]
pub(super) struct Commit {
    pub tree: Oid,
    pub parents: Vec<Oid>,
    /// Seconds since 1970, as the committer's line says; 0 where it says nothing that can be read.
    pub committed_at: i64,
    pub message: String,
}

impl Commit {
    pub fn parse(id: Oid, bytes: &[u8]) -> Result<Self> {
        Self::fields(bytes)
            .ok_or_else(|| Error::Damaged(format!("commit {id} is not in the shape of a commit")))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        // Lines are skipped one by one, not looked at byte by byte: an empty one ends the header.
        let mut end = 0;
        loop {
            let length = bytes.get(end..)?.iter().position(|byte| *byte == b'\n')?;
            if length == 0 {
                break;
            }
            end += length + 1;
        }
        let message = bytes.get(end + 1..)?.to_vec();
        let message = String::from_utf8(message)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let mut lines = bytes[..end].split(|byte| *byte == b'\n');
        let tree = oid(lines.next()?.strip_prefix(b"tree ")?)?;
        let mut parents = Vec::new();
        let mut committed_at = 0;
        for line in lines {
            if let Some(parent) = line.strip_prefix(b"parent ") {
                parents.push(oid(parent)?);
            } else if let Some(committer) = line.strip_prefix(b"committer ") {
                let mut words = committer.rsplit(|byte| *byte == b' ').skip(1);
                let seconds = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                committed_at = seconds.unwrap_or(0);
                break;
            }
        }
        Some(Self { tree, parents, committed_at, message })
    }
}

fn oid(hex: &[u8]) -> Option<Oid> {
    std::str::from_utf8(hex).ok()?.parse_hex()
}

/// The length of the text decides between SHA-1 and SHA-256.
trait ParseHex {
    fn parse_hex(&self) -> Option<Oid>;
}

impl ParseHex for str {
    fn parse_hex(&self) -> Option<Oid> {
        let format = match self.len() {
            40 => git2::ObjectFormat::Sha1,
            64 => git2::ObjectFormat::Sha256,
            _ => return None,
        };
        Oid::from_str_ext(self, format).ok()
    }
}

/// The object id that `hex` spells in full, in either object format.
pub(super) fn parse_oid(hex: &str) -> Option<Oid> {
    hex.parse_hex()
}

/// The bytes of a commit object. Times are seconds since 1970.
pub(super) fn render(
    tree: Oid,
    parent: Option<Oid>,
    by: &Identities,
    authored: i64,
    committed: i64,
    message: &str,
) -> Vec<u8> {
    let Identities { author, committer } = by;
    let parent = parent.map(|id| format!("parent {id}\n")).unwrap_or_default();
    format!("tree {tree}\n{parent}author {author} {authored} +0000\ncommitter {committer} {committed} +0000\n\n{message}").into_bytes()
}

/// The commit with a signature in its header, as git writes it: each line of it begins with a blank.
pub(super) fn with_signature(commit: &[u8], header: &str, signature: &str) -> Vec<u8> {
    let end = commit.windows(2).position(|two| two == b"\n\n").map_or(commit.len(), |at| at + 1);
    let lines: String = signature.lines().map(|line| format!(" {line}\n")).collect();
    [&commit[..end], header.as_bytes(), lines.as_bytes(), &commit[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_commit_reads_back() {
        let tree = parse_oid(&"a".repeat(40)).unwrap();
        let parent = parse_oid(&"b".repeat(40)).unwrap();
        let by = Identities { author: "A <a@x>".into(), committer: "C <c@x>".into() };
        let bytes = render(tree, Some(parent), &by, 1_600_000_000, 1_700_000_000, "subject\n\nbody\n");
        let commit = Commit::parse(tree, &bytes).unwrap();
        assert_eq!((commit.tree, commit.parents, commit.committed_at), (tree, vec![parent], 1_700_000_000));
        assert_eq!(commit.message, "subject\n\nbody\n");
    }

    #[test]
    fn a_signature_goes_to_the_end_of_the_header() {
        let signed =
            with_signature(b"tree t\ncommitter c\n\nsubject\n\nbody\n", "gpgsig", "BEGIN\n\nA\nEND\n");
        let expected = "tree t\ncommitter c\ngpgsig BEGIN\n \n A\n END\n\nsubject\n\nbody\n";
        assert_eq!(String::from_utf8(signed).unwrap(), expected);
    }

    #[test]
    fn a_mangled_commit_is_an_error_and_no_panic() {
        let id = parse_oid(&"a".repeat(40)).unwrap();
        for bytes in [
            "",
            "tree x\n\nm",
            "tree aaaa",
            "parent\n\n",
            "\n\n",
            "tree aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nparent x\n\nm",
        ] {
            assert!(Commit::parse(id, bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
