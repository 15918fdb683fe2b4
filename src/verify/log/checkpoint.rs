//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): which log, how many entries, and their root, as a signed note. Who
//! has one can hold the ledger to it.

use std::fmt;

use super::key::{SigningKey, VerifyingKey};
use super::merkle::{Hash, from_base64, to_base64};
use super::note::{self, Note, Signature, Verified};
use super::number;
use crate::error::Result;

/// A statement about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: `git-audit/<first commit>` for a ledger.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    note: Note,
}

impl Checkpoint {
    /// A checkpoint that nobody has signed yet.
    pub fn new(origin: &str, size: u64, root: &Hash) -> Self {
        let text = format!("{origin}\n{size}\n{}\n", to_base64(root));
        Self { origin: origin.to_owned(), size, root: *root, note: Note::unsigned(text) }
    }

    /// Reads a checkpoint, with or without signatures. Lines that others added to it are passed over.
    ///
    /// # Errors
    /// The rule that it breaks, in words.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = note::readable(bytes)?;
        let note = if text.contains("\n\n") { Note::parse(bytes)? } else { Note::unsigned(text.to_owned()) };
        let text = note.text().strip_suffix('\n').ok_or("does not end in a newline")?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err("has less than three lines: origin, size and root".into());
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err("has an empty line".into());
        }
        let size = number(size).ok_or("has no size in its second line")?;
        let root = from_base64(root).ok_or("has no root in its third line: SHA-256 in base64")?;
        Ok(Self { origin: origin.to_owned(), size, root, note })
    }

    /// Signs it in the name of the log. An earlier signature by the same key is replaced.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&mut self, key: &SigningKey) -> Result<()> {
        self.note.sign(key, &self.origin)
    }

    /// Its signatures, checked or not.
    pub fn signatures(&self) -> &[Signature] {
        self.note.signatures()
    }

    /// What the signatures are over.
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// Checks every signature by one of these keys, and gives those that fit.
    ///
    /// # Errors
    /// One of them does not fit: it.
    pub fn verify(&self, keys: &[VerifyingKey]) -> std::result::Result<Vec<Verified>, &Signature> {
        self.note.verify(keys)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_written_and_read_back_signed_or_not() {
        let mut checkpoint = Checkpoint::new("git-audit/0123", 3, &[7; 32]);
        assert_eq!(checkpoint.to_string(), format!("git-audit/0123\n3\n{}\n", to_base64(&[7; 32])));
        assert_eq!(Checkpoint::parse(checkpoint.to_string().as_bytes()), Ok(checkpoint.clone()));
        let key = SigningKey::of_seed(&[1; 32]);
        checkpoint.sign(&key).unwrap();
        let read = Checkpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
        assert_eq!(read, checkpoint);
        let public = VerifyingKey::named("git-audit/0123", key.public()).unwrap();
        assert_eq!(read.verify(&[public]).unwrap().len(), 1);
        let other = SigningKey::of_seed(&[2; 32]);
        assert_eq!(
            read.verify(&[VerifyingKey::named("git-audit/0123", other.public()).unwrap()]),
            Ok(vec![])
        );
    }

    #[test]
    fn a_published_checkpoint_with_cosignatures_is_read() {
        let path = format!("{}/fixtures/notes/certificate-log.note", env!("CARGO_MANIFEST_DIR"));
        let checkpoint = Checkpoint::parse(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(checkpoint.origin, "arche2025h1.staging.ct.transparency.dev");
        assert_eq!((checkpoint.size, checkpoint.signatures().len()), (1_432_088_532, 6));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused_and_further_lines_are_not() {
        let root = to_base64(&[7; 32]);
        for text in [
            String::new(),
            "a\n1\n".into(),
            format!("a\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            format!("a\n1 \n{root}\n"),
            format!("a\n1\n{}\n", &root[1..]),
            format!("a\n1\n{root}\n\n"),
            format!("a\n\n1\n{root}\n"),
            format!("a\r\n1\r\n{root}\r\n"),
        ] {
            assert!(Checkpoint::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Checkpoint::parse(format!("a\n0\n{root}\nmore\n").as_bytes()).is_ok());
    }
}
