//! The Merkle log over the entries.
//!
//! - [`merkle`]: the tree of RFC 6962: roots, inclusion, consistency

pub mod merkle;
