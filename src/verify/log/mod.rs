//! The Merkle log over the entries, as files that can be handed to somebody else: checkpoints and proofs. Pure, but for
//! [`key`], which reads key files and asks the ssh-agent.
//!
//! - [`merkle`]: the tree of RFC 6962: roots, inclusion, consistency
//! - [`note`]: signed notes, the envelope of a checkpoint · [`key`]: who signs, and what is checked against
//! - [`checkpoint`]: origin, size and root · [`proof`]: one entry, and that it is in a checkpoint
//!
//! What is read here comes from strangers: every parser is total, strict, and bounded before it allocates.

pub mod checkpoint;
pub mod key;
pub mod merkle;
pub mod note;
pub mod proof;
mod ssh;

pub use checkpoint::Checkpoint;
pub use key::{SigningKey, VerifyingKey};
pub use merkle::{CompactRange, Hash};
pub use note::Note;
pub use proof::Proof;

/// A number as it is written in these files: decimal, no sign, no leading zero.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}
