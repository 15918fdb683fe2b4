//! Answers that are not entries.

use std::borrow::Cow;

use serde::Serialize;

use crate::entry::TaskId;
use crate::ledger::{Durability, Initialised, Origin, Receipt};
use crate::ops::Coverage;

/// What an answer rests on:
/// - `head`: the commit it is of; `null` in a ledger without commits
/// - `entries`: the number of entries known there
/// - `complete`: whether nothing can be missing
/// - `reason`: why something may be, only where `complete` is false
#[derive(Debug, Serialize)]
pub struct CoverageAnswer {
    head: Option<String>,
    entries: u64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&Coverage> for CoverageAnswer {
    fn from(coverage: &Coverage) -> Self {
        Self {
            head: coverage.head.map(|head| head.to_string()),
            entries: coverage.entries,
            complete: coverage.incomplete.is_none(),
            reason: coverage.incomplete.clone(),
        }
    }
}

/// `git-audit/record/v1`, one per entry:
/// - `outcome`: `recorded` or `skipped`
/// - `identical`: every field that the caller gave equals the stored one
/// - `differing`: JSON pointers of the fields that do not; only where there are any
/// - `commit`: the commit that added the entry; `null` where this clone does not hold it or cannot read that far
/// - `digest`: of the stored bytes
/// - `durability`: what was done so that this survives a power cut: `auto`, `strict` or `off`
#[derive(Debug, Serialize)]
pub struct RecordAnswer<'r> {
    schema: &'static str,
    task_id: &'r TaskId,
    outcome: &'static str,
    identical: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    differing: &'r [String],
    commit: Option<String>,
    path: &'r str,
    digest: String,
    durability: String,
}

impl<'r> RecordAnswer<'r> {
    /// `None` for a request that was neither recorded nor skipped.
    pub fn new(task_id: &'r TaskId, receipt: &'r Receipt, durability: Durability) -> Option<Self> {
        let durability = durability.to_string();
        let schema = "git-audit/record/v1";
        match receipt {
            Receipt::Recorded { commit, path, digest } => Some(Self {
                schema,
                task_id,
                outcome: "recorded",
                identical: true,
                differing: &[],
                commit: Some(commit.to_string()),
                path,
                digest: digest.to_string(),
                durability,
            }),
            Receipt::Skipped { commit, path, digest, differing } => Some(Self {
                schema,
                task_id,
                outcome: "skipped",
                identical: differing.is_empty(),
                differing,
                commit: commit.map(|commit| commit.to_string()),
                path,
                digest: digest.to_string(),
                durability,
            }),
            Receipt::OtherCase { .. } => None,
        }
    }
}

impl RecordAnswer<'_> {
    /// The columns of the CSV format: `task_id`, `outcome`, `identical`, `commit`, `path`, `digest`.
    pub fn cells(&self) -> [String; 6] {
        let commit = self.commit.clone().unwrap_or_default();
        let [task_id, outcome, path] = [self.task_id.as_str(), self.outcome, self.path].map(str::to_owned);
        [task_id, outcome, self.identical.to_string(), commit, path, self.digest.clone()]
    }
}

/// `git-audit/init/v1`:
/// - `outcome`: `created`, `adopted` or `existing`
/// - `branch`: the ledger's branch · `head`: the commit it is at
/// - `flat_limit`: entries kept in `.audit/tasks/` · `checked_out`: a working tree shows the branch
#[derive(Debug, Serialize)]
pub struct InitAnswer<'i> {
    schema: &'static str,
    outcome: &'static str,
    branch: &'i str,
    head: String,
    flat_limit: u32,
    checked_out: bool,
}

impl<'i> From<&'i Initialised> for InitAnswer<'i> {
    fn from(done: &'i Initialised) -> Self {
        let outcome = match done.origin {
            Origin::Created => "created",
            Origin::Adopted => "adopted",
            Origin::Existing => "existing",
        };
        let Initialised { branch, flat_limit, checked_out, .. } = done;
        let head = done.head.to_string();
        Self {
            schema: "git-audit/init/v1",
            outcome,
            branch,
            head,
            flat_limit: *flat_limit,
            checked_out: *checked_out,
        }
    }
}

impl InitAnswer<'_> {
    /// `created`, `adopted` or `existing`.
    pub fn outcome(&self) -> &'static str {
        self.outcome
    }
}

/// `git-audit/path/v1`: the `path` of the entry of `task_id`.
#[derive(Debug, Serialize)]
pub struct PathAnswer<'p> {
    schema: &'static str,
    task_id: &'p TaskId,
    path: &'p str,
}

impl<'p> PathAnswer<'p> {
    /// The answer for `task_id`.
    pub fn new(task_id: &'p TaskId, path: &'p str) -> Self {
        Self { schema: "git-audit/path/v1", task_id, path }
    }
}

/// `git-audit/count/v1`: how many entries the filters admit.
#[derive(Debug, Serialize)]
pub struct CountAnswer {
    schema: &'static str,
    total: usize,
    coverage: CoverageAnswer,
}

impl CountAnswer {
    /// The answer `total`.
    pub fn new(total: usize, coverage: &Coverage) -> Self {
        Self { schema: "git-audit/count/v1", total, coverage: coverage.into() }
    }
}

/// `git-audit/man/v1`:
/// - `files`: the paths of the manual pages that were written
#[derive(Debug, Serialize)]
pub struct ManAnswer<'r> {
    schema: &'static str,
    files: &'r [Cow<'r, str>],
}

impl<'r> ManAnswer<'r> {
    /// The answer to `man DIR`.
    pub fn new(files: &'r [Cow<'r, str>]) -> Self {
        Self { schema: "git-audit/man/v1", files }
    }
}
