//! git configuration as this process sees it: what `git -c key=value audit …` and `GIT_CONFIG_COUNT` hand over comes
//! first, then the files, those that `GIT_CONFIG_GLOBAL` and its kin name in place of the usual ones. libgit2 knows
//! none of these variables.

use std::path::{Path, PathBuf};

use git2::{Config, ConfigLevel, Repository};

use super::durability::Durability;
use super::git_error;
use crate::error::{Error, Result};

/// What the environment says about configuration.
#[derive(Clone, Debug, Default)]
pub struct ConfigVariables {
    /// From `git -c` and `GIT_CONFIG_COUNT`: lower-cased key, value; later ones win.
    pub overrides: Vec<(String, String)>,
    /// `GIT_CONFIG_GLOBAL`: the file instead of the user's.
    pub global: Option<PathBuf>,
    /// `GIT_CONFIG_SYSTEM`: the file instead of the machine's.
    pub system: Option<PathBuf>,
    /// `GIT_CONFIG_NOSYSTEM`: the machine's file is not read.
    pub no_system: bool,
}

/// Read access to git configuration.
pub(super) struct Settings {
    overrides: Vec<(String, String)>,
    /// The files as they were at the beginning: libgit2 looks at each file again for each value it is asked for.
    snapshot: Option<Config>,
    /// The repository's own file.
    local: PathBuf,
}

impl Settings {
    pub fn of(repository: &Repository, variables: &ConfigVariables) -> Result<Self> {
        let local = repository.commondir().join("config");
        let usual = variables.global.is_none() && variables.system.is_none() && !variables.no_system;
        let files = if usual { repository.config() } else { named_files(&local, variables) };
        let snapshot =
            files.and_then(|mut files| files.snapshot()).map_err(git_error("read the configuration"))?;
        Ok(Self { overrides: variables.overrides.clone(), snapshot: Some(snapshot), local })
    }

    #[cfg(test)]
    pub fn fixed(values: &[(&str, &str)]) -> Self {
        let overrides = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { overrides, snapshot: None, local: PathBuf::new() }
    }

    /// The value of `key` (in lower case); `None` where it is not set or not readable as text.
    pub fn text(&self, key: &str) -> Option<String> {
        let given = self.overrides.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        given.or_else(|| self.snapshot.as_ref()?.get_string(key).ok())
    }

    /// Whether a key that `pattern` (of git's regular expressions) fits is set to true.
    pub fn has_true(&self, pattern: &str) -> bool {
        let Some(Ok(mut entries)) = self.snapshot.as_ref().map(|files| files.entries(Some(pattern))) else {
            return false;
        };
        while let Some(Ok(entry)) = entries.next() {
            if entry.value().is_ok_and(|value| git2::Config::parse_bool(value).unwrap_or(false)) {
                return true;
            }
        }
        false
    }

    /// As [`Self::text`], of a path: `~/` is the user's home.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let given = self.overrides.iter().rev().find(|(name, _)| name == key);
        let given = given.map(|(_, value)| PathBuf::from(value));
        given.or_else(|| self.snapshot.as_ref()?.get_path(key).ok())
    }

    /// Whether `key` is set for this repository alone: not by the user, the machine or the environment.
    pub fn is_local(&self, key: &str) -> bool {
        let of_repository = |level| matches!(level, ConfigLevel::Local | ConfigLevel::Worktree);
        let level = self.snapshot.as_ref().and_then(|files| Some(files.get_entry(key).ok()?.level()));
        level.is_some_and(of_repository) && !self.overrides.iter().any(|(name, _)| name == key)
    }

    /// `audit.durability`
    pub fn durability(&self) -> Result<Durability> {
        let Some(word) = self.text("audit.durability") else { return Ok(Durability::default()) };
        word.parse().map_err(|why| Error::Usage(format!("audit.durability is `{word}`; {why}")))
    }

    /// Writes `key` to the repository's own configuration file.
    pub fn set_local(&self, key: &str, value: &str) -> Result<()> {
        let doing = || format!("set {key} in {}", self.local.display());
        let written = Config::open(&self.local).and_then(|mut local| local.set_str(key, value));
        written.map_err(|error| match error.code() {
            git2::ErrorCode::Locked => {
                Error::Git { doing: doing(), why: "its lock is held by another process".into() }
            }
            _ => git_error(doing())(error),
        })
    }
}

fn named_files(local: &Path, variables: &ConfigVariables) -> std::result::Result<Config, git2::Error> {
    let mut files = Config::new()?;
    let mut add = |file: Option<PathBuf>, level| match file.filter(|file| file.is_file()) {
        Some(file) => files.add_file(&file, level, false),
        None => Ok(()),
    };
    let system = variables.system.clone().or_else(|| Config::find_system().ok());
    add(system.filter(|_| !variables.no_system), ConfigLevel::System)?;
    match &variables.global {
        Some(global) => add(Some(global.clone()), ConfigLevel::Global)?,
        None => {
            add(Config::find_xdg().ok(), ConfigLevel::XDG)?;
            add(Config::find_global().ok(), ConfigLevel::Global)?;
        }
    }
    add(Some(local.to_owned()), ConfigLevel::Local)?;
    Ok(files)
}
