//! git configuration as this process sees it: what `git -c key=value audit …` and `GIT_CONFIG_COUNT` hand over comes
//! first (libgit2 knows neither), then the files.

use git2::{Config, ConfigLevel};

use super::git_error;
use crate::error::{Error, Result};

/// Read access to git configuration.
pub(super) struct Settings {
    /// Lower-cased key, value; later ones win.
    overrides: Vec<(String, String)>,
    files: Option<Config>,
    /// The files as they were at the beginning: libgit2 looks at each file again for each value it is asked for.
    snapshot: Option<Config>,
}

impl Settings {
    pub fn new(overrides: &[(String, String)], mut files: Config) -> Result<Self> {
        let snapshot = files.snapshot().map_err(git_error("read the configuration"))?;
        Ok(Self { overrides: overrides.to_vec(), files: Some(files), snapshot: Some(snapshot) })
    }

    #[cfg(test)]
    pub fn fixed(values: &[(&str, &str)]) -> Self {
        let overrides = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { overrides, files: None, snapshot: None }
    }

    /// The value of `key` (in lower case); `None` where it is not set or not readable as text.
    pub fn text(&self, key: &str) -> Option<String> {
        let given = self.overrides.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        given.or_else(|| self.snapshot.as_ref()?.get_string(key).ok())
    }

    /// Writes `key` to the repository's own configuration file.
    pub fn set_local(&self, key: &str, value: &str) -> Result<()> {
        let doing = || format!("set {key} in the repository's configuration");
        let Some(files) = &self.files else { return Ok(()) };
        let written = files.open_level(ConfigLevel::Local).and_then(|mut local| local.set_str(key, value));
        written.map_err(|error| match error.code() {
            git2::ErrorCode::Locked => {
                Error::Git { doing: doing(), why: "its config.lock is held by another process".into() }
            }
            _ => git_error(doing())(error),
        })
    }
}
