//! The frozen JSON answers, version 1. Field names and order are a contract with other people's programs: they are
//! only added to. `docs/OUTPUT.md` describes them field by field.

mod answers;
mod entry;
mod writing;

pub use answers::{CountAnswer, CoverageAnswer, InitAnswer, LogTail, PathAnswer, RecordAnswer};
pub use entry::{EntryAnswer, ShowAnswer};
pub use writing::{FlushAnswer, ImportAnswer, RefusedAnswer};
