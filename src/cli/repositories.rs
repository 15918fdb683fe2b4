//! `--repo` and `--repo-id`: the repositories that a task works in.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Args;

use crate::entry::url::without_credentials;
use crate::error::{Error, Result};
use crate::ops::running::RepositoryOption;

/// Any number of repositories.
#[derive(Args)]
pub(super) struct RepositoryArgs {
    /// A repository that the task works in, any: what changes in it is taken down; may be repeated
    #[arg(long, value_name = "PATH")]
    repo: Vec<PathBuf>,
    /// What that repository is called [default: by its remote's URL, else its directory]; the first one for the first
    /// --repo, and so on
    #[arg(long, value_name = "ID", value_parser = repo_id)]
    repo_id: Vec<String>,
}

impl RepositoryArgs {
    pub fn resolve(self) -> Result<Vec<RepositoryOption>> {
        if self.repo_id.len() > self.repo.len() {
            return Err(Error::Usage("there are more --repo-id than --repo".into()));
        }
        let ids = self.repo_id.into_iter().map(Some).chain(std::iter::repeat(None));
        Ok(self.repo.into_iter().zip(ids).map(|(path, repo_id)| RepositoryOption { path, repo_id }).collect())
    }
}

/// One repository, or only its name.
#[derive(Args)]
pub(super) struct OneRepositoryArgs {
    /// The repository that it is about; it is looked at
    #[arg(long, value_name = "PATH")]
    pub repo: Option<PathBuf>,
    /// What that repository is called [default: by its remote's URL, else its directory]; without --repo, only this name
    /// is noted
    #[arg(long, value_name = "ID", value_parser = repo_id)]
    pub repo_id: Option<String>,
}

impl OneRepositoryArgs {
    /// The repository to look at.
    pub fn resolve(&self) -> Option<RepositoryOption> {
        let path = self.repo.clone()?;
        Some(RepositoryOption { path, repo_id: self.repo_id.clone() })
    }
}

/// Often a URL, and often with who logs in.
fn repo_id(text: &str) -> std::result::Result<String, Infallible> {
    Ok(without_credentials(text).into_owned())
}
