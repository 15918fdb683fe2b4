//! `git-audit`: an append-only, tamper-evident ledger of finished tasks, kept in a git branch.
//!
//! The map, from the outside in (`docs/ARCHITECTURE.md` has the same with "to change X, edit Y"):
//!
//! - [`cli`]: arguments in, exit code out; the only place where time, environment and current directory enter
//! - [`ops`]: one file per use case, named as the commands are
//! - [`output`]: the only renderer: human, JSON, JSON Lines, CSV
//! - [`ledger`]: the branch: opening, appending, walking; git2 is named here and in [`journal::capture`] only
//! - [`index`]: what answers questions sooner, made from the history; the only place that names rusqlite
//! - [`journal`]: the stories of running tasks, and what they change in repositories
//! - [`verify`]: the checks, over raw objects; they never use the index
//! - [`entry`]: the domain: what an entry is, its rules, its bytes, its commit message; pure
//! - [`error`]: what can go wrong, with hint and exit code

pub mod cli;
pub mod entry;
pub mod error;
pub mod index;
pub mod journal;
pub mod ledger;
pub mod ops;
pub mod output;
pub mod verify;

pub use error::{Error, Result};
