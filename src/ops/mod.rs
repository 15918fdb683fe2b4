//! One file per use case, named as the commands are: options in, outcome out. Nothing here prints.
//!
//! Whatever grows with the input or the ledger is handed over piece by piece, through a callback, so that memory
//! stays bounded and each receipt reaches the caller as soon as it is durable.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::entry::Entry;
use crate::ledger::{CommitId, Deadline, Place, Recorded, Stored};

pub mod artifact;
pub mod checkpoint;
pub mod completions;
pub mod documents;
pub mod event;
pub mod finish;
pub mod flush;
pub mod guard;
pub mod hook;
pub mod import;
pub mod index;
pub mod init;
pub mod input;
mod looks;
pub mod man;
mod parts;
pub mod path;
pub mod prove;
pub mod query;
pub mod record;
pub mod redaction;
pub mod run;
pub mod running;
mod scribe;
pub mod show;
pub mod start;
pub mod superseded;
pub mod tasks;
pub mod verify;
pub mod verify_proof;

/// Entries that share one pass are held in memory until it is done.
const MAX_PASS_ENTRIES: usize = 256;

/// What every operation needs from its caller's world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it stands, and when.
    pub place: Place,
    /// How long it may wait for other writers.
    pub timeout: Duration,
    /// How long it may look at each repository that a task works in.
    pub look_limit: Duration,
}

impl Context {
    /// The deadline of an operation that starts now.
    pub fn deadline(&self) -> Deadline {
        Deadline::within(self.timeout)
    }
}

/// Processors that a verification may use.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// An entry together with where and when it was recorded.
#[derive(Clone, Debug)]
pub struct LoggedEntry {
    /// The entry.
    pub entry: Entry,
    /// Where and when it was recorded; `None` where a shallow clone does not hold that commit.
    pub recorded: Option<RecordedIn>,
    /// The file.
    pub stored: Stored,
}

/// Where and when an entry was recorded.
#[derive(Clone, Copy, Debug)]
pub struct RecordedIn {
    /// The commit that added it.
    pub commit: CommitId,
    /// That commit's time.
    pub recorded_at: DateTime<Utc>,
}

impl From<&Recorded> for RecordedIn {
    fn from(recorded: &Recorded) -> Self {
        Self { commit: recorded.commit, recorded_at: recorded.recorded_at }
    }
}

/// How much of the history an answer rests on.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The commit that the answer is of.
    pub head: Option<CommitId>,
    /// The number of entries known there.
    pub entries: u64,
    /// Why the answer may lack something; `None` when it lacks nothing.
    pub incomplete: Option<String>,
}
