//! The frozen JSON answers, version 1. Field names and order are a contract with other people's programs: they are
//! only added to. `docs/OUTPUT.md` describes them field by field.

mod answers;
mod checkpoint;
mod entry;
mod hook;
mod list;
mod proof;
mod running;
mod stats;
mod verify;
mod writing;

pub use answers::{CountAnswer, CoverageAnswer, InitAnswer, ManAnswer, PathAnswer, RecordAnswer};
pub use checkpoint::{CheckpointAnswer, ProveAnswer};
pub use entry::{EntryAnswer, ShowAnswer};
pub use hook::HookChangesAnswer;
pub use list::{ItemAnswer, ListTail};
pub use proof::{SignatureAnswer, VerifyProofAnswer, seen_at};
pub use running::{ArtifactAnswer, EventAnswer, StartAnswer, TaskAnswer, TasksAnswer};
pub use stats::{GroupAnswer, IndexAnswer, StatsAnswer};
pub use verify::{FindingAnswer, VerifyAnswer};
pub use writing::{FlushAnswer, ImportAnswer, RefusedAnswer};
