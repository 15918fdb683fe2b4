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
}

impl Settings {
    pub fn new(overrides: &[(String, String)], files: Config) -> Self {
        Self { overrides: overrides.to_vec(), files: Some(files) }
    }

    #[cfg(test)]
    pub fn fixed(values: &[(&str, &str)]) -> Self {
        let overrides = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { overrides, files: None }
    }

    /// The value of `key` (in lower case); `None` where it is not set or not readable as text.
    pub fn text(&self, key: &str) -> Option<String> {
        let given = self.overrides.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        given.or_else(|| self.files.as_ref()?.get_string(key).ok())
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
