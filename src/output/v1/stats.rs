//! `git-audit/stats/v1` and `git-audit/index/v1`.

use serde::Serialize;

use super::CoverageAnswer;
use crate::entry::Status;
use crate::entry::stats::{Group, Grouping};
use crate::ops::index::{Report, State};
use crate::ops::query::StatsOutcome;

/// `git-audit/stats/v1`: counts, group by group, and of all tasks together.
#[derive(Debug, Serialize)]
pub struct StatsAnswer<'s> {
    schema: &'static str,
    by: &'static str,
    groups: Vec<GroupAnswer<'s>>,
    /// How many groups there are, also beyond the limit.
    total: usize,
    all: GroupAnswer<'s>,
    coverage: CoverageAnswer,
}

/// One group: how many tasks, how they ended, how long they took. Durations are in milliseconds.
#[derive(Debug, Serialize)]
pub struct GroupAnswer<'s> {
    key: Option<&'s str>,
    total: u64,
    completed: u64,
    failed: u64,
    rejected: u64,
    cancelled: u64,
    /// `failed` to `total`, from 0 to 1.
    failure_rate: f64,
    p50_duration_ms: Option<u64>,
    p95_duration_ms: Option<u64>,
}

impl<'s> StatsAnswer<'s> {
    /// The first `limit` groups of the outcome.
    pub fn new(by: Grouping, outcome: &'s StatsOutcome, limit: usize) -> Self {
        let groups = outcome.groups.iter().take(limit);
        Self {
            schema: "git-audit/stats/v1",
            by: by.as_str(),
            groups: groups.map(|(key, group)| GroupAnswer::new(key.as_deref(), group)).collect(),
            total: outcome.groups.len(),
            all: GroupAnswer::new(None, &outcome.all),
            coverage: (&outcome.coverage).into(),
        }
    }
}

impl<'s> GroupAnswer<'s> {
    /// The group of this key; `None`: tasks that have none.
    pub fn new(key: Option<&'s str>, group: &Group) -> Self {
        Self {
            key,
            total: group.total(),
            completed: group.ended(Status::Completed),
            failed: group.ended(Status::Failed),
            rejected: group.ended(Status::Rejected),
            cancelled: group.ended(Status::Cancelled),
            failure_rate: group.failure_rate(),
            p50_duration_ms: group.percentile_ms(50),
            p95_duration_ms: group.percentile_ms(95),
        }
    }
}

/// `git-audit/index/v1`: the index's file, and how it stands to the ledger.
#[derive(Debug, Serialize)]
pub struct IndexAnswer {
    schema: &'static str,
    path: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    head: Option<String>,
    entries: u64,
    size_bytes: u64,
}

impl From<&Report> for IndexAnswer {
    fn from(report: &Report) -> Self {
        let (state, reason) = match &report.state {
            State::Missing => ("missing", None),
            State::Current => ("current", None),
            State::Behind => ("behind", None),
            State::Unusable(reason) => ("unusable", Some(reason.clone())),
        };
        Self {
            schema: "git-audit/index/v1",
            path: report.path.to_string_lossy().into_owned(),
            state,
            reason,
            head: report.head.map(|head| head.to_string()),
            entries: report.entries,
            size_bytes: report.size_bytes,
        }
    }
}

impl IndexAnswer {
    /// `missing`, `current`, `behind` or `unusable`.
    pub fn state(&self) -> &'static str {
        self.state
    }
}
