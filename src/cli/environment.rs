//! Where time, environment and current directory enter. Everything below is handed what it needs.

#![expect(clippy::disallowed_methods, reason = "the one place they enter")]

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{DateTime, Utc};

use crate::entry::hook::Agent;
use crate::entry::{TaskId, ci};
use crate::error::{Error, Result};
use crate::ledger::signing::SigningVariables;
use crate::ledger::{Clock, ConfigVariables, IdentityVariables, Place};

/// Lets the tests fix the time of what they record.
const TEST_CLOCK: &str = "GIT_AUDIT_TEST_NOW";

/// Where the process stands, after `-C`. Of git's variables, `GIT_INDEX_FILE`, `GIT_OBJECT_DIRECTORY` and their kin are
/// left out on purpose: an append must reach the repository's own index and objects. The guard alone asks for
/// [`incoming_objects`].
/// `lenient`: the directory need not be there.
pub(super) fn place(changes: &[PathBuf], lenient: bool) -> Result<Place> {
    let here = match env::current_dir() {
        // It was removed under us.
        Err(_) if lenient => PathBuf::from("/"),
        here => here.map_err(|error| Error::io("find the current directory", error))?,
    };
    let directory = changes.iter().fold(here, |directory, change| directory.join(change));
    if let (Err(error), false) = (directory.read_dir(), lenient) {
        return Err(Error::io(format!("change to {}", directory.display()), error));
    }
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let ceilings = env::var_os("GIT_CEILING_DIRECTORIES").unwrap_or_default();
    Ok(Place {
        directory,
        git_dir: path("GIT_DIR"),
        work_tree: path("GIT_WORK_TREE"),
        ceilings: env::split_paths(&ceilings).filter(|ceiling| ceiling.is_absolute()).collect(),
        config: ConfigVariables {
            overrides: counted_config()
                .chain(quoted_config(&text("GIT_CONFIG_PARAMETERS").unwrap_or_default()))
                .collect(),
            global: path("GIT_CONFIG_GLOBAL"),
            system: path("GIT_CONFIG_SYSTEM"),
            no_system: text("GIT_CONFIG_NOSYSTEM").is_some_and(|value| !is_no(&value)),
        },
        identity: IdentityVariables {
            author_name: text("GIT_AUTHOR_NAME"),
            author_email: text("GIT_AUTHOR_EMAIL"),
            committer_name: text("GIT_COMMITTER_NAME"),
            committer_email: text("GIT_COMMITTER_EMAIL"),
            email: text("EMAIL"),
        },
        durability: None,
        state_home: user_directory("XDG_STATE_HOME", ".local/state"),
        cache_home: user_directory("XDG_CACHE_HOME", ".cache"),
        signing: signing_variables(),
        search_path: absolute_search_path(),
        clock: clock(lenient)?,
    })
}

/// What the environment says about who reads the answer; git's words for it.
pub(super) struct ReaderVariables {
    /// `GIT_PAGER`; empty means none.
    pub git_pager: Option<OsString>,
    /// `PAGER`; empty means none.
    pub pager: Option<OsString>,
    /// `GIT_PAGER_IN_USE`: git has put a pager behind our standard output, which is a pipe then.
    pub is_pager_in_use: bool,
    /// `COLUMNS`
    pub columns: Option<usize>,
    /// `NO_COLOR` is set, and not empty.
    pub no_color: bool,
    /// `TERM` is not set, or `dumb`.
    pub is_dumb: bool,
    /// What a pager gets where the user has not said otherwise: pass colours on, quit if all fits on the screen.
    pub for_pager: Vec<(&'static str, &'static str)>,
}

pub(super) fn reader_variables() -> ReaderVariables {
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let defaults = [("LESS", "FRX"), ("LV", "-c")];
    ReaderVariables {
        git_pager: env::var_os("GIT_PAGER"),
        pager: env::var_os("PAGER"),
        is_pager_in_use: text("GIT_PAGER_IN_USE").is_some_and(|value| !is_no(&value)),
        columns: text("COLUMNS").and_then(|value| value.parse().ok()).filter(|columns| *columns > 0),
        no_color: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        is_dumb: text("TERM").is_none_or(|terminal| terminal == "dumb"),
        for_pager: defaults.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect(),
    }
}

/// What a CI system says, of the variables that may be looked at.
pub(super) fn ci_variables() -> BTreeMap<String, String> {
    let set = |name: &str| Some((name.to_owned(), env::var(name).ok()?));
    ci::variables().into_iter().filter_map(set).collect()
}

/// The directory that an agent says its project is in; its own may change while it works.
pub(super) fn project_directory(agent: Option<Agent>) -> Option<PathBuf> {
    let variable = match agent? {
        Agent::Claude => "CLAUDE_PROJECT_DIR",
        Agent::Cursor => "CURSOR_PROJECT_DIR",
        Agent::Codex => return None,
    };
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir())
}

/// Where an agent has the user's settings.
pub(super) fn settings_directory(agent: Agent) -> Option<PathBuf> {
    match agent {
        Agent::Claude => user_directory("CLAUDE_CONFIG_DIR", ".claude"),
        Agent::Codex => user_directory("CODEX_HOME", ".codex"),
        Agent::Cursor => user_directory("", ".cursor"),
    }
}

/// The task that runs around us, and the git directory of its ledger, as `git audit run` hands them to its child.
pub(super) fn surrounding_task() -> Option<(String, PathBuf)> {
    let ledger = env::var_os("GIT_AUDIT_LEDGER").map(PathBuf::from).filter(|path| path.is_absolute());
    Some((env::var("GIT_AUDIT_TASK").ok()?, ledger?))
}

/// Where the ssh-agent listens.
pub(super) fn agent_socket() -> Option<PathBuf> {
    env::var_os("SSH_AUTH_SOCK").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Directories of objects that came with a push and are not the repository's yet, as git tells the hook that judges it.
pub(super) fn incoming_objects() -> Vec<PathBuf> {
    let named = ["GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY"].into_iter().filter_map(env::var_os);
    let borrowed = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
    let mut found: Vec<_> = named.map(PathBuf::from).chain(env::split_paths(&borrowed)).collect();
    found.retain(|path| path.is_absolute());
    found.dedup();
    found
}

fn is_no(value: &str) -> bool {
    matches!(value, "0" | "false" | "no" | "off")
}

/// What the process was called with.
pub(super) fn arguments() -> Vec<String> {
    env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Starts putting packs together, for nobody to wait for. What does not start now does after a later record.
pub(super) fn pack_later(directory: &Path) {
    let Some(program) = program() else { return };
    let mut command = Command::new(program);
    command.arg("-C").arg(directory).args(["flush", "--only-due-packs"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not stopped by what stops the caller's group.
    _ = command.process_group(0).spawn();
}

/// This program, to start it again.
pub(super) fn program() -> Option<PathBuf> {
    env::current_exe().ok()
}

/// An id for a task that was given none: a version 7 UUID, which sorts by time.
pub(super) fn new_task_id(now: DateTime<Utc>) -> Result<TaskId> {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos());
    TaskId::new(&uuid::Uuid::new_v7(time).to_string()).map_err(Error::Usage)
}

fn signing_variables() -> SigningVariables {
    let set = |name| Some((name, env::var_os(name).filter(|value| !value.is_empty())?));
    SigningVariables(SigningVariables::NAMES.into_iter().filter_map(set).collect())
}

/// Both must be absolute, the specification of the variables says.
fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

/// `PATH` without relative entries: git is started from a working tree, whose content must not be run.
fn absolute_search_path() -> Option<OsString> {
    let path = env::var_os("PATH")?;
    env::join_paths(env::split_paths(&path).filter(|entry| entry.is_absolute())).ok()
}

fn clock(lenient: bool) -> Result<Clock> {
    let Some(fixed) = env::var_os(TEST_CLOCK) else { return Ok(Clock::Live(Utc::now)) };
    let parsed = fixed.to_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    if lenient && parsed.is_none() {
        return Ok(Clock::Live(Utc::now));
    }
    parsed.map(Clock::Fixed).ok_or_else(|| Error::Usage(format!("{TEST_CLOCK} is no RFC 3339 time")))
}

/// `GIT_CONFIG_COUNT`, `GIT_CONFIG_KEY_<n>`, `GIT_CONFIG_VALUE_<n>`.
fn counted_config() -> impl Iterator<Item = (String, String)> {
    let count = env::var("GIT_CONFIG_COUNT").ok().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    (0..count.min(1000)).filter_map(|number| {
        let key = env::var(format!("GIT_CONFIG_KEY_{number}")).ok()?;
        Some((key.to_ascii_lowercase(), env::var(format!("GIT_CONFIG_VALUE_{number}")).ok()?))
    })
}

/// `GIT_CONFIG_PARAMETERS`, as `git -c key=value` hands it over: `'key'='value'` or, before git 2.31, `'key=value'`,
/// shell-quoted, separated by blanks.
fn quoted_config(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = unquote(rest) {
        let (key, value, after) = match after.strip_prefix('=') {
            Some(after) => match unquote(after) {
                Some((value, after)) => (key, value, after),
                None => (key, String::new(), after),
            },
            None => match key.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned(), after),
                None => (key, "true".to_owned(), after),
            },
        };
        found.push((key.to_ascii_lowercase(), value));
        rest = after.trim_start();
    }
    found
}

/// One single-quoted shell word at the start of `text`, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut word = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        word.push_str(part);
        // git writes a quote inside as '\'' and an exclamation mark as '\!'.
        match after
            .strip_prefix("\\''")
            .map(|after| ('\'', after))
            .or_else(|| after.strip_prefix("\\!'").map(|after| ('!', after)))
        {
            Some((character, after)) => {
                word.push(character);
                rest = after;
            }
            None => return Some((word, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted_config;

    #[test]
    fn reads_what_git_hands_over_for_dash_c() {
        let pairs = |text: &str| {
            quoted_config(text).into_iter().map(|(key, value)| format!("{key}→{value}")).collect::<Vec<_>>()
        };
        assert_eq!(pairs("'User.Name'='A B' 'audit.branch'='x'"), ["user.name→A B", "audit.branch→x"]);
        assert_eq!(pairs("'user.name=O'\\''Hara'"), ["user.name→O'Hara"]);
        assert_eq!(pairs("'a.b'='hey'\\!''"), ["a.b→hey!"]);
        assert_eq!(pairs("'core.bare'"), ["core.bare→true"]);
        assert_eq!(pairs("'broken"), Vec::<String>::new());
    }
}
