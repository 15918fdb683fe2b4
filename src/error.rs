//! What can go wrong, named by what the caller can do about it; the text, the hint and the exit code of each.
//!
//! A message says what is wrong and where, on one line. The hint is what to run next.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::entry::TaskId;
use crate::entry::parse::Invalid;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way an operation fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository at or above the place.
    #[error("no git repository at {} or above it", .0.display())]
    NoRepository(PathBuf),
    /// git's own guard: the repository belongs to another user.
    #[error("the repository at {} belongs to another user, so git does not trust it", .0.display())]
    ForeignOwner(PathBuf),
    /// A repository format that libgit2 cannot read.
    #[error("the repository uses {format}, which git-audit cannot read")]
    UnsupportedRepository {
        /// The format's name.
        format: String,
        /// What to do about it.
        way_out: String,
    },
    /// The repository has no ledger.
    #[error("no audit ledger in {}", .0.display())]
    NoLedger(PathBuf),
    /// `init --branch` names another branch than the one that holds the ledger.
    #[error("the ledger is already on branch `{found}`, not on `{asked}`; a repository has one ledger")]
    LedgerElsewhere {
        /// The branch that holds it.
        found: String,
        /// The branch that was asked for.
        asked: String,
    },
    /// Several branches could be the ledger's.
    #[error("several branches hold an audit ledger: {}", .0.join(", "))]
    AmbiguousLedger(Vec<String>),
    /// The default branch name is taken by something that is not a ledger.
    #[error("branch `{0}` exists and is not a ledger; name the ledger's branch yourself")]
    BranchTaken(String),
    /// The pinned branch is not there any more: starting anew would hide what was recorded.
    #[error(
        "the ledger's branch `{0}` (git config audit.branch) does not exist; its history may have been removed"
    )]
    BranchMissing(String),
    /// A branch name that git does not allow.
    #[error("`{0}` is not a valid branch name")]
    BranchName(String),
    /// `.audit` was removed from the branch, though its history has entries.
    #[error(
        "`.audit` is missing at the tip of branch `{0}`, though its history has entries: somebody removed it"
    )]
    Removed(String),
    /// Something else stands in the working tree where the ledger's files belong.
    #[error("{} is a symbolic link or a file where the ledger needs a directory; nothing was written through it", .0.display())]
    Blocked(PathBuf),
    /// The ledger's own policy file cannot be followed.
    #[error(".audit/config.toml at the ledger's tip: {0}")]
    Policy(String),
    /// The repository or the ledger is not in a shape that can be read or extended.
    #[error("{0}")]
    Damaged(String),
    /// No entry of that id.
    #[error("no entry for task `{task_id}` in the ledger")]
    NotFound {
        /// The id that was asked for.
        task_id: TaskId,
        /// Ids in the ledger that look like it.
        similar: Vec<String>,
    },
    /// The entry was recorded, and is not in the ledger's tree any more.
    #[error(
        "the entry of task `{task_id}` was removed from the ledger after it was recorded in commit {commit}"
    )]
    EntryRemoved {
        /// The task.
        task_id: TaskId,
        /// The commit that recorded it.
        commit: String,
        /// Where it is in that commit.
        path: String,
    },
    /// The task has no journal.
    #[error("task `{task_id}` is not running here")]
    NotRunning {
        /// The task.
        task_id: TaskId,
        /// Whether the ledger has its entry.
        is_recorded: bool,
        /// Running tasks whose ids look like it.
        similar: Vec<String>,
    },
    /// The task's story was closed, though its entry is not recorded yet.
    #[error("task `{0}` is being finished; nothing can be added to it any more")]
    Finishing(TaskId),
    /// The task has a journal, and is not to be taken over.
    #[error("task `{0}` is running already, or was lost")]
    Running(TaskId),
    /// The task's entry waits in the spool, so the task is over.
    #[error("the entry of task `{0}` waits in the spool, so the task is over")]
    Waiting(TaskId),
    /// A journal that another version wrote.
    #[error("{} has the schema `{schema}`, which this git-audit does not read", .path.display())]
    JournalVersion {
        /// The journal.
        path: PathBuf,
        /// What it says it is.
        schema: String,
    },
    /// There is an entry of that id, so the task is over.
    #[error("task `{0}` is recorded already, so it cannot begin")]
    AlreadyRecorded(TaskId),
    /// The task has that artifact, or the result of that step.
    #[error("task `{task_id}` has {item} already; nothing was added")]
    Duplicate {
        /// The task.
        task_id: TaskId,
        /// What it has, in words.
        item: String,
    },
    /// What was handed in for a running task breaks a rule.
    #[error("{0}")]
    Invalid(Box<Invalid>),
    /// An event or artifact that could not go into an entry.
    #[error("it would take {size_bytes} bytes in the journal; an event or artifact has at most {most_bytes}")]
    TooLong {
        /// What it takes.
        size_bytes: usize,
        /// What it may take.
        most_bytes: usize,
    },
    /// A file of the user's that cannot be extended safely.
    #[error("{problem}; nothing was written")]
    NotExtended {
        /// The file, and why not.
        problem: String,
        /// What to do about it.
        way_out: String,
    },
    /// A key that cannot be used.
    #[error("{problem}")]
    Key {
        /// Which one, and why not.
        problem: String,
        /// What to do about it.
        way_out: Option<String>,
    },
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Somebody else held a lock past the deadline; nothing was changed.
    #[error("busy: {what} was held by another process for {:.1} s; nothing was recorded", .waited.as_secs_f64())]
    Busy {
        /// What was held.
        what: String,
        /// How long we waited.
        waited: Duration,
    },
    /// Something that is not git-audit moved the branch under a long pass; nothing of the pass was recorded.
    #[error(
        "the ledger's branch `{0}` was moved by something else meanwhile; the last part was not recorded"
    )]
    Moved(String),
    /// The index failed after part of the answer was given.
    #[error("the index failed while it answered: {0}")]
    Index(String),
    /// A file or directory could not be read or written.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, with the path.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A commit has to be signed, and could not be.
    #[error("{problem}; nothing was recorded")]
    Signing {
        /// What went wrong.
        problem: String,
        /// What to do about it.
        way_out: String,
    },
    /// git (libgit2 or the command) refused.
    #[error("cannot {doing}: {why}")]
    Git {
        /// What was tried.
        doing: String,
        /// git's answer.
        why: String,
    },
    /// Standard output could not be written. `recorded` tells whether something had been acknowledged by then.
    #[error("{} could not be printed: {source}", if *.recorded { "recorded and durable, but the answer" } else { "the answer" })]
    Output {
        /// Entries were recorded before this.
        recorded: bool,
        /// The system's answer.
        source: io::Error,
    },
}

/// The exit codes of every command. `docs/OUTPUT.md` has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done.
    Done,
    /// Not found, no repository or ledger, I/O, git.
    Failed,
    /// Wrong usage or invalid input.
    Invalid,
    /// `verify`: the ledger is not valid.
    NotValid,
    /// `verify`: it cannot be said whether the ledger is valid.
    Inconclusive,
    /// `--strict`: the entry exists with other content.
    Differs,
    /// Recorded and durable, but the answer could not be printed.
    Unprinted,
    /// A lock was held past the deadline; safe to retry.
    Busy,
    /// `run`: the command's own, or what stands for it.
    Child(u8),
}

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::NotValid => 3,
            Self::Inconclusive => 4,
            Self::Differs => 5,
            Self::Unprinted => 6,
            Self::Busy => 7,
            Self::Child(code) => code,
        }
    }
}

impl Error {
    /// A short stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRepository(_) => "no-repository",
            Self::ForeignOwner(_) => "foreign-owner",
            Self::UnsupportedRepository { .. } => "unsupported-repository",
            Self::NoLedger(_) => "no-ledger",
            Self::LedgerElsewhere { .. } => "ledger-elsewhere",
            Self::AmbiguousLedger(_) => "ambiguous-ledger",
            Self::BranchTaken(_) => "branch-taken",
            Self::BranchMissing(_) => "branch-missing",
            Self::BranchName(_) => "branch-name",
            Self::Removed(_) => "removed",
            Self::Blocked(_) => "blocked",
            Self::Policy(_) => "policy",
            Self::Damaged(_) => "damaged",
            Self::NotFound { .. } => "not-found",
            Self::EntryRemoved { .. } => "entry-removed",
            Self::NotRunning { .. } => "not-running",
            Self::Finishing(_) => "finishing",
            Self::Running(_) => "running",
            Self::Waiting(_) => "waiting",
            Self::JournalVersion { .. } => "journal-version",
            Self::AlreadyRecorded(_) => "already-recorded",
            Self::Duplicate { .. } => "duplicate",
            Self::Invalid(_) => "invalid",
            Self::TooLong { .. } => "too-long",
            Self::NotExtended { .. } => "not-extended",
            Self::Key { .. } => "key",
            Self::Usage(_) => "usage",
            Self::Busy { .. } => "busy",
            Self::Moved(_) => "moved",
            Self::Index(_) => "index",
            Self::Io { .. } => "io",
            Self::Git { .. } => "git",
            Self::Signing { .. } => "signing",
            Self::Output { .. } => "output",
        }
    }

    /// What to run next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoRepository(_) => {
                "run `git init` there first, or name another place, as `git audit -C PATH …`".into()
            }
            Self::ForeignOwner(path) => {
                format!(
                    "if you trust it, run `git config --global --add safe.directory {}`",
                    shell_quoted(&path.to_string_lossy())
                )
            }
            Self::UnsupportedRepository { way_out, .. }
            | Self::NotExtended { way_out, .. }
            | Self::Signing { way_out, .. } => way_out.clone(),
            Self::Key { way_out, .. } => return way_out.clone(),
            Self::NoLedger(_) => "run `git audit init` (or record with `--init`); \
                in a clone that has only one branch, run `git fetch origin audit:audit` first"
                .into(),
            Self::LedgerElsewhere { found, .. } => {
                format!("run `git audit init --branch {found}`, or leave `--branch` out")
            }
            Self::AmbiguousLedger(branches) => {
                format!(
                    "run `git config audit.branch {}` to pin the right one",
                    branches.first().map_or("NAME", String::as_str)
                )
            }
            Self::BranchTaken(_) => "run `git audit init --branch NAME`".into(),
            Self::BranchMissing(branch) => format!(
                "run `git fetch origin {branch}:{branch}` or `git reflog {branch}` to bring it back; \
                 to begin a new ledger on purpose, run `git config --unset audit.branch` first"
            ),
            Self::BranchName(_) => "run `git check-ref-format --branch NAME` to test a name".into(),
            Self::Removed(branch) => {
                format!(
                    "run `git log --diff-filter=D --oneline {branch} -- .audit` to find that commit, and revert it"
                )
            }
            Self::Blocked(_) => "move it away, then run `git checkout -- .audit` in that working tree".into(),
            Self::Policy(_) => "run `git log -p --all -- .audit/config.toml` to see who changed it".into(),
            Self::Damaged(_) => "run `git fsck` to see what else is wrong".into(),
            Self::NotFound { similar, .. } if similar.is_empty() => {
                "run `git audit log` to see what is there".into()
            }
            Self::NotFound { similar, .. } => format!("did you mean {}?", similar.join(" or ")),
            Self::EntryRemoved { commit, path, .. } => {
                format!("run `git show {commit}:{path}` to see it as it was recorded")
            }
            Self::NotRunning { task_id, is_recorded: true, .. } => {
                format!("it is recorded: run `git audit show {task_id}`")
            }
            Self::NotRunning { task_id, similar, .. } if similar.is_empty() => {
                format!("run `git audit start {task_id}` first, or `git audit tasks` to see what is running")
            }
            Self::NotRunning { similar, .. } => format!("did you mean {}?", similar.join(" or ")),
            Self::Finishing(task_id) => {
                format!("run `git audit finish {task_id}` again if its entry is not in the ledger yet")
            }
            Self::Waiting(_) => "run `git audit flush` to record it".into(),
            Self::JournalVersion { .. } => "finish that task with the git-audit that began it".into(),
            Self::Running(task_id) => format!(
                "choose another id; if it was lost, run `git audit finish --lost {task_id}` to record it"
            ),
            Self::AlreadyRecorded(task_id) => {
                format!("choose another id; to correct what was recorded, add `--supersedes {task_id}`")
            }
            Self::Duplicate { task_id, .. } => {
                format!("run `git audit tasks {task_id}` to see what it has")
            }
            Self::TooLong { .. } => {
                "keep the rest in a file, and name that: `git audit artifact TASK file PATH`".into()
            }
            Self::Busy { what, .. } if what.ends_with(".lock") => {
                format!(
                    "run the command again; if no git process is running, a crash left {what} behind: remove it"
                )
            }
            Self::Busy { .. } => "run the command again, or wait longer with `--timeout SECONDS`".into(),
            Self::Moved(_) => "run the command again: what is recorded already is skipped".into(),
            Self::Output { recorded: true, .. } => "running it again is safe: it will say `skipped`".into(),
            Self::Index(_) => "run `git audit index rebuild`, or ask again with `--no-index`".into(),
            Self::Usage(_) | Self::Invalid(_) | Self::Io { .. } | Self::Git { .. } | Self::Output { .. } => {
                return None;
            }
        };
        Some(hint)
    }

    /// The process's exit code.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Usage(_)
            | Self::BranchName(_)
            | Self::Invalid(_)
            | Self::TooLong { .. }
            | Self::Duplicate { .. } => ExitStatus::Invalid,
            Self::Busy { .. } | Self::Moved(_) => ExitStatus::Busy,
            Self::Output { recorded: true, .. } => ExitStatus::Unprinted,
            _ => ExitStatus::Failed,
        }
    }

    /// A file of the user's that cannot be extended, because of `why`; `way_out` is what to do.
    pub fn not_extended(path: &Path, why: impl Display, way_out: impl Into<String>) -> Self {
        Self::NotExtended { problem: format!("{}: {why}", path.display()), way_out: way_out.into() }
    }

    /// A commit that could not be signed, because of `problem`; `way_out` is what to do.
    pub fn signing(problem: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::Signing { problem: problem.into(), way_out: way_out.into() }
    }

    /// An I/O failure while `doing` something, such as "read /path".
    pub fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { doing: doing.into(), source: source.into() }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(Box::new(invalid))
    }
}

/// `text` as one word of a shell command, so that a hint can be copied as it stands.
pub(crate) fn shell_quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-');
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
