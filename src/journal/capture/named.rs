//! What a repository and a commit in it are called, without looking at what changed.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use git2::{ObjectType, Repository};

use super::commits::{Commit, described};
use super::worker::{self, Until};
use super::{Limits, late, patch_id, repo_id, repository};
use crate::error::{Error, Result};

/// A repository by name, and a commit in it.
#[derive(Clone, Debug)]
pub struct Named {
    /// The root of its working tree, else its git directory.
    pub path: PathBuf,
    /// Its name.
    pub repo_id: String,
    /// The commit that was asked for; `None` where none was, or it is not there.
    pub commit: Option<Commit>,
}

/// The repository at `path` (absolute) or above it, and the commit that `revision` means there.
///
/// # Errors
/// No repository, one that cannot be read, or no answer in time.
pub fn named(path: &Path, ceilings: &[PathBuf], revision: Option<&str>, limits: Limits) -> Result<Named> {
    let (start, ceilings, revision) = (path.to_owned(), ceilings.to_vec(), revision.map(str::to_owned));
    let work = move |_: Until, sender: Sender<Result<Named>>| {
        let found = repository::discover(&start, &ceilings).map(|repository| Named {
            path: repository::root_of(&repository),
            repo_id: repo_id::of(&repository),
            commit: revision.and_then(|revision| commit(&repository, &revision)),
        });
        _ = sender.send(found);
    };
    let mut answer = None;
    worker::run(limits.time, work, |found| answer = Some(found))?;
    answer.unwrap_or_else(|| {
        let doing = format!("look at the repository at {}", path.display());
        Err(Error::Git { doing, why: late(limits) })
    })
}

fn commit(repository: &Repository, revision: &str) -> Option<Commit> {
    let object = repository.revparse_single(revision).ok()?.peel(ObjectType::Commit).ok()?;
    let commit = object.into_commit().ok()?;
    let odb = repository.odb().ok()?;
    let patch_id = patch_id::of(repository, &odb, &commit);
    Some(described(&commit, patch_id))
}
