//! The repository that a command stands in, whether it has a ledger or not: where its working tree begins, where its
//! hooks are, which commit is checked out.

use std::path::PathBuf;

use git2::Repository;

use super::objects::Objects;
use super::settings::Settings;
use super::{Place, git_error, locate, prepare_libgit2};
use crate::error::{Error, Result};

/// The first line of a commit message is read up to here.
const MAX_SUBJECT_BYTES: usize = 500;

/// The commit that is checked out.
#[derive(Clone, Debug)]
pub struct HeadCommit {
    /// Its id, in hex.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

/// The directory of a repository's hooks.
#[derive(Clone, Debug)]
pub struct HooksDirectory {
    /// Where it is; it need not be there.
    pub path: PathBuf,
    /// Other repositories have it too: the user or the machine says so in `core.hooksPath`.
    pub is_shared: bool,
    /// Where it is unless `core.hooksPath` says otherwise.
    pub by_default: PathBuf,
}

/// The top of the working tree.
///
/// # Errors
/// There is no repository, or it has no working tree.
pub fn work_tree(place: &Place) -> Result<PathBuf> {
    let repository = repository(place)?;
    let given = place.work_tree.as_ref().map(|work_tree| place.directory.join(work_tree));
    given.or_else(|| repository.workdir().map(PathBuf::from)).ok_or_else(|| {
        Error::Usage(format!(
            "the repository at {} is bare: it has no working tree",
            repository.path().display()
        ))
    })
}

/// Where git looks for hooks.
///
/// # Errors
/// There is no repository, or its configuration cannot be read.
pub fn hooks_directory(place: &Place) -> Result<HooksDirectory> {
    let repository = repository(place)?;
    let settings = Settings::of(&repository, &place.config)?;
    let by_default = repository.commondir().join("hooks");
    let Some(configured) = settings.path("core.hookspath") else {
        return Ok(HooksDirectory { path: by_default.clone(), is_shared: false, by_default });
    };
    // A relative one counts from where hooks run: the top of the working tree, or the git directory of a bare one.
    let from = repository.workdir().unwrap_or_else(|| repository.path());
    let is_shared = !settings.is_local("core.hookspath");
    Ok(HooksDirectory { path: from.join(configured), is_shared, by_default })
}

/// What is the repository's own: its git directory, its main working tree, and the one that we stand in.
///
/// # Errors
/// There is no repository.
pub fn own_directories(place: &Place) -> Result<Vec<PathBuf>> {
    let repository = repository(place)?;
    let git_dir = repository.commondir();
    let main = git_dir.parent().filter(|_| git_dir.file_name().is_some_and(|name| name == ".git"));
    let own = [Some(git_dir), main, repository.workdir()].into_iter().flatten().map(PathBuf::from);
    let given = place.work_tree.as_ref().map(|work_tree| place.directory.join(work_tree));
    Ok(own.chain(given).collect())
}

/// The commit that is checked out. `None` where there is none yet.
///
/// # Errors
/// There is no repository, or it cannot be read.
pub fn head_commit(place: &Place) -> Result<Option<HeadCommit>> {
    prepare_libgit2();
    let opened = locate::open_repository(place)?;
    let Some(id) = opened.head_commit else { return Ok(None) };
    let objects = Objects::new(&opened.main, PathBuf::new())?;
    let message = objects.commit(id)?.message;
    let subject = message.trim_start().lines().next().unwrap_or_default();
    let subject = subject[..subject.floor_char_boundary(MAX_SUBJECT_BYTES)].to_owned();
    Ok(Some(HeadCommit { id: id.to_string(), subject }))
}

fn repository(place: &Place) -> Result<Repository> {
    prepare_libgit2();
    match &place.git_dir {
        Some(git_dir) => locate::open(&place.directory.join(git_dir)),
        None => {
            let path = Repository::discover_path(&place.directory, &place.ceilings);
            let path = path.map_err(|error| match error.code() {
                git2::ErrorCode::NotFound => Error::NoRepository(place.directory.clone()),
                _ => git_error("look for the repository")(error),
            })?;
            locate::open(&path)
        }
    }
}
