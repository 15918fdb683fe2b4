//! An entry in an answer.

use serde::Serialize;

use super::CoverageAnswer;
use crate::entry::{Entry, Timestamp};
use crate::ops::{Coverage, LoggedEntry};

/// The stored entry, its keys in stored order, then:
/// - `commit`: the full id of the commit that added it; `null` where a shallow clone does not hold it
/// - `path`: its path in the ledger's tree
/// - `recorded_at`: that commit's time
#[derive(Debug, Serialize)]
pub struct EntryAnswer {
    #[serde(flatten)]
    entry: Entry,
    commit: Option<String>,
    path: String,
    recorded_at: Option<Timestamp>,
}

impl EntryAnswer {
    /// Keys that version 1 of the entry does not name give way to the answer's own.
    pub fn new(found: LoggedEntry, own_keys: &[&str]) -> Self {
        let LoggedEntry { mut entry, recorded, stored } = found;
        entry.extra.retain(|key, _| {
            !["commit", "path", "recorded_at"].contains(&key.as_str()) && !own_keys.contains(&key.as_str())
        });
        Self {
            entry,
            commit: recorded.as_ref().map(|recorded| recorded.commit.to_string()),
            path: stored.path,
            recorded_at: recorded.map(|recorded| recorded.recorded_at.into()),
        }
    }
}

/// One entry as `show` answers it: the entry as above, and `coverage`.
#[derive(Debug, Serialize)]
pub struct ShowAnswer {
    #[serde(flatten)]
    entry: EntryAnswer,
    coverage: CoverageAnswer,
}

impl ShowAnswer {
    /// The answer for `found`.
    pub fn new(found: LoggedEntry, coverage: &Coverage) -> Self {
        Self { entry: EntryAnswer::new(found, &["coverage"]), coverage: coverage.into() }
    }
}
