//! What changed in a repository while a task worked in it. Any repository, not the ledger's; `docs/CAPTURE.md` has what
//! is captured and what is not.
//!
//! - [`repository`]: HEAD and the tips of branches · [`repo_id`], [`mod@named`]: its name · [`commits`], [`patch_id`]: what was committed
//! - [`scan`], [`untracked`]: what differs from HEAD · [`dirty`]: what did already when the task began
//! - [`contents`], [`renames`], [`amounts`]: how much · [`status`], [`diffstat`], [`quote`], [`capped`]: as git writes it
//! - [`worker`]: in bounded time · [`stored_path`]: a path in the journal
//!
//! Invariants: only libgit2 and plain reading look at the repository, so that none of its hooks, filters or commands
//! run; nothing in it is written; whatever is wrong in it, the answer comes in time and says what is missing.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use git2::{Repository, Tree};
use serde::{Deserialize, Serialize};

mod amounts;
mod capped;
mod commits;
mod contents;
mod difference;
mod diffstat;
mod dirty;
mod named;
mod patch_id;
mod quote;
mod renames;
mod repo_id;
mod repository;
mod scan;
mod status;
mod stored_path;
mod untracked;
mod worker;

pub use commits::Commit;
pub use named::{Named, named};

use crate::error::{Error, Result};
use commits::{Commits, Now, Then};
use difference::{Difference, WorkingTree};
use dirty::Dirty;
use repository::{Branches, Head, Tips};
use worker::Until;

/// How much time a look may take, and how much it may say.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After this, what was not found yet is missing.
    pub time: Duration,
    /// The most bytes of [`Changes::status`].
    pub status_bytes: usize,
    /// The most bytes of [`Changes::diffstat`].
    pub diffstat_bytes: usize,
    /// The most paths in [`Changes::files_changed`].
    pub files: usize,
    /// The most commits in [`Changes::commits`].
    pub commits: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            status_bytes: 5 << 10,
            diffstat_bytes: 10 << 10,
            files: 1_000,
            commits: 1_000,
        }
    }
}

/// What a repository was when the task began with it, or when it was last looked at. Kept in the journal; what is in
/// it beyond the public fields is for [`look`] alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The root of the working tree, else the git directory; absolute.
    #[serde(with = "stored_path")]
    pub path: PathBuf,
    /// The repository's name.
    pub repo_id: String,
    /// The commit of HEAD; `None`: there was none yet.
    pub head: Option<String>,
    /// The short name of HEAD's branch; `None`: HEAD was detached.
    pub branch: Option<String>,
    tips: Tips,
    dirty: Dirty,
    /// Why not every dirty file is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dirty_unknown: Option<String>,
}

/// What happened in a repository between two looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The repository's name.
    pub repo_id: String,
    /// HEAD's branch now; `None`: HEAD is detached.
    pub branch: Option<String>,
    /// HEAD's branch then.
    pub branch_before: Option<String>,
    /// HEAD's commit then; `None`: there was none yet.
    pub head_before: Option<String>,
    /// HEAD's commit now.
    pub head_after: Option<String>,
    /// As `git status --porcelain` prints it; cut with git-audit's note.
    pub status: String,
    /// How long `status` is before it is cut.
    pub status_bytes_total: u64,
    /// As `git diff --stat` prints it at 80 columns, from HEAD then to the working tree now; cut likewise.
    pub diffstat: String,
    /// How long `diffstat` is before it is cut.
    pub diffstat_bytes_total: u64,
    /// The paths that changed; one that is no plain text is quoted as git does.
    pub files_changed: Vec<String>,
    /// How many changed.
    pub files_changed_total: u64,
    /// In text files.
    pub lines_added: u64,
    /// In text files.
    pub lines_deleted: u64,
    /// The newest commits that were made, oldest first.
    pub commits: Vec<Commit>,
    /// How many were made.
    pub commits_total: u64,
    /// Why something is missing, in words.
    pub incomplete: Option<String>,
}

/// What a worker found.
enum Part {
    Refused(Error),
    Opened { path: PathBuf, repo_id: String, head: Head, tips: Tips },
    Commits(Commits),
    WorkingTree(WorkingTree),
    Difference(Difference),
    Missing(String),
}

/// Looks at the repository at `path` (absolute) or above it, as far as `ceilings` (`GIT_CEILING_DIRECTORIES`) allow.
/// `repo_id` is its name, if the caller knows better than its remote.
///
/// # Errors
/// No repository, one that cannot be read, or no answer in time. What is dirty may stay unknown; that is no error.
pub fn begin(path: &Path, ceilings: &[PathBuf], repo_id: Option<&str>, limits: Limits) -> Result<Baseline> {
    let (start, ceilings, given) = (path.to_owned(), ceilings.to_vec(), repo_id.map(str::to_owned));
    let work = move |until: Until, sender: Sender<Part>| {
        match repository::discover(&start, &ceilings) {
            Ok(repository) => look_at_beginning(&repository, given, until, &sender),
            Err(error) => _ = sender.send(Part::Refused(error)),
        };
    };
    let mut gathered = Gathered::default();
    let in_time = worker::run(limits.time, work, |part| gathered.take(part))?;
    gathered.baseline(path, in_time, limits, None)
}

/// What happened since, and where the next look begins.
///
/// # Errors
/// The repository is gone, cannot be read, or does not answer in time. What else is missing is said in
/// [`Changes::incomplete`].
pub fn look(since: &Baseline, limits: Limits) -> Result<(Changes, Baseline)> {
    let then = since.clone();
    let work = move |until: Until, sender: Sender<Part>| match repository::open_at(&then.path) {
        Ok(repository) => look_again(&repository, &then, limits, until, &sender),
        Err(error) => _ = sender.send(Part::Refused(error)),
    };
    let mut gathered = Gathered::default();
    let in_time = worker::run(limits.time, work, |part| gathered.take(part))?;
    let next = gathered.baseline(&since.path, in_time, limits, Some(since))?;
    Ok((gathered.changes(since, &next, in_time, limits), next))
}

fn look_at_beginning(repository: &Repository, repo_id: Option<String>, until: Until, sender: &Sender<Part>) {
    let path = repository::root_of(repository);
    let head = Head::of(repository);
    let repo_id = repo_id.unwrap_or_else(|| repo_id::of(repository));
    let tips = Branches::of(repository).tips();
    _ = sender.send(Part::Opened { path, repo_id, head: head.clone(), tips });
    let found = difference::working_tree(repository, &head, None, until);
    _ = sender
        .send(found.map_or_else(|error| missing("status", &error), |(found, _)| Part::WorkingTree(found)));
}

fn look_again(repository: &Repository, then: &Baseline, limits: Limits, until: Until, sender: &Sender<Part>) {
    let head = Head::of(repository);
    let branches = Branches::of(repository);
    let (path, repo_id) = (then.path.clone(), then.repo_id.clone());
    _ = sender.send(Part::Opened { path, repo_id, head: head.clone(), tips: branches.tips() });
    let head_then = then.head.as_deref().and_then(repository::parse_id);
    let (before, now) =
        (Then { head: head_then, tips: &then.tips }, Now { head: &head, branches: &branches });
    let made = commits::since(repository, &before, &now, limits.commits, until.sooner(0.5));
    _ = sender.send(made.map_or_else(|error| missing("commits", &error), Part::Commits));
    let scanned = difference::working_tree(repository, &head, Some(limits), until);
    let scan = match scanned {
        Ok((found, scan)) => {
            _ = sender.send(Part::WorkingTree(found));
            Some(scan).flatten()
        }
        Err(error) => {
            _ = sender.send(missing("status", &error));
            None
        }
    };
    let found = difference::since(repository, head_then, &head, scan, &then.dirty, limits, until);
    _ = sender.send(found.map_or_else(|error| missing("diffstat", &error), Part::Difference));
}

fn missing(what: &str, error: &git2::Error) -> Part {
    Part::Missing(format!("{what}: {}", error.message()))
}

/// The parts, as they come.
#[derive(Default)]
struct Gathered {
    refused: Option<Error>,
    opened: Option<(PathBuf, String, Head, Tips)>,
    commits: Option<Commits>,
    working_tree: Option<WorkingTree>,
    difference: Option<Difference>,
    incomplete: Vec<String>,
}

impl Gathered {
    fn take(&mut self, part: Part) {
        match part {
            Part::Refused(error) => self.refused = Some(error),
            Part::Opened { path, repo_id, head, tips } => self.opened = Some((path, repo_id, head, tips)),
            Part::Commits(commits) => self.commits = Some(commits),
            Part::WorkingTree(found) => self.working_tree = Some(found),
            Part::Difference(difference) => self.difference = Some(difference),
            Part::Missing(why) => self.incomplete.push(why),
        }
    }

    /// Where the next look begins. Dirty files that could not be found now are those of `before`.
    fn baseline(
        &mut self,
        path: &Path,
        in_time: bool,
        limits: Limits,
        before: Option<&Baseline>,
    ) -> Result<Baseline> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        let (path, repo_id, head, tips) = self.opened.take().ok_or_else(|| Error::Git {
            doing: format!("look at the repository at {}", path.display()),
            why: if in_time { "libgit2 gave up".to_owned() } else { late(limits) },
        })?;
        let (dirty, dirty_unknown) = match &self.working_tree {
            Some(found) => (found.dirty.clone(), found.dirty_unknown.clone()),
            None => {
                let why = self.incomplete.first().cloned().unwrap_or_else(|| late(limits));
                (before.map(|before| before.dirty.clone()).unwrap_or_default(), Some(why))
            }
        };
        let head_id = head.commit.map(|commit| commit.to_string());
        Ok(Baseline { path, repo_id, head: head_id, branch: head.branch, tips, dirty, dirty_unknown })
    }

    fn changes(self, since: &Baseline, now: &Baseline, in_time: bool, limits: Limits) -> Changes {
        let mut incomplete = self.incomplete;
        let parts = [
            ("commits", self.commits.is_some()),
            ("status", self.working_tree.is_some()),
            ("diffstat", self.difference.is_some()),
        ];
        let is_explained = |name: &str| incomplete.iter().any(|why| why.starts_with(name));
        let absent: Vec<_> = parts
            .iter()
            .filter(|(name, is_there)| !is_there && !is_explained(name))
            .map(|(name, _)| *name)
            .collect();
        if !absent.is_empty() {
            let why = if in_time { "libgit2 gave up".to_owned() } else { late(limits) };
            incomplete.push(format!("{}: {why}", absent.join(", ")));
        }
        if let Some(why) = &since.dirty_unknown {
            incomplete.push(format!(
                "what was changed before the task is not all known, and may be counted: {why}"
            ));
        }
        let commits = self.commits.unwrap_or_default();
        let tree = self.working_tree.unwrap_or_default();
        let difference = self.difference.unwrap_or_default();
        incomplete.extend(commits.incomplete.into_iter().chain(tree.incomplete).chain(difference.incomplete));
        Changes {
            repo_id: now.repo_id.clone(),
            branch: now.branch.clone(),
            branch_before: since.branch.clone(),
            head_before: since.head.clone(),
            head_after: now.head.clone(),
            status: tree.status,
            status_bytes_total: tree.status_bytes,
            diffstat: difference.diffstat,
            diffstat_bytes_total: difference.diffstat_bytes,
            files_changed: difference.files,
            files_changed_total: difference.files_total,
            lines_added: difference.lines_added,
            lines_deleted: difference.lines_deleted,
            commits: commits.listed,
            commits_total: commits.total,
            incomplete: (!incomplete.is_empty()).then(|| incomplete.join("; ")),
        }
    }
}

fn late(limits: Limits) -> String {
    format!("no answer within {} s", limits.time.as_secs_f64())
}

/// The tree of a commit; `None` for none.
fn tree_of(
    repository: &Repository,
    commit: Option<git2::Oid>,
) -> std::result::Result<Option<Tree<'_>>, git2::Error> {
    commit.map(|commit| repository.find_commit(commit)?.tree()).transpose()
}
