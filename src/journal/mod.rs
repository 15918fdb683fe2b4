//! The journal: the story of each task that is still running, and how it is taken down.
//!
//! - [`record`]: the lines of a journal · [`mod@file`]: one append-only file per task, written by many processes
//! - [`story`]: what a journal says, and the entry that it becomes · [`process`]: whose task it is, and whether that lives
//! - [`run`]: a command that is a task · [`capture`]: what a task changes in repositories
//!
//! Invariants: a line is acknowledged only when it is durable; a torn last line never costs one before it; no two
//! events of a task have the same number; a journal ends only when its entry is in the ledger or waits in the spool.
//! What a line says was redacted before it came here.

pub mod capture;
pub mod file;
pub mod process;
pub mod record;
pub mod run;
pub mod story;

pub use file::{Journals, OpenJournal};
pub use process::{Liveness, Process};
pub use record::{Finish, Record, Start};
pub use story::Story;
