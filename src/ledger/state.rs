//! Where everything local and derived is: `<common git dir>/git-audit`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Place, locate, prepare_libgit2, state_directory};
use crate::error::Result;

/// The state directory of the repository at `place`. It need not be there.
///
/// # Errors
/// There is no repository, or it cannot be opened.
pub fn state_directory_at(place: &Place) -> Result<PathBuf> {
    prepare_libgit2();
    Ok(state_directory(&locate::open_repository(place)?.main))
}

/// The same, found by looking for files only, in a fraction of the time. `None` where it takes more than that. It is a
/// guess: nothing says that this is a repository, or one that the user trusts.
pub fn state_directory_by_sight(place: &Place) -> Option<PathBuf> {
    let git_dir = match &place.git_dir {
        Some(git_dir) => place.directory.join(git_dir),
        None if place.ceilings.is_empty() => place.directory.ancestors().find_map(git_dir_in)?,
        None => return None,
    };
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(path) => git_dir.join(path.trim_end_matches('\n')),
        Err(_) => git_dir,
    };
    Some(common.join("git-audit"))
}

fn git_dir_in(directory: &Path) -> Option<PathBuf> {
    let inside = directory.join(".git");
    match fs::metadata(&inside) {
        Ok(metadata) if metadata.is_dir() => Some(inside),
        Ok(_) => {
            let link = fs::read_to_string(&inside).ok()?;
            Some(directory.join(link.strip_prefix("gitdir: ")?.trim_end_matches('\n')))
        }
        // A bare one, or the git directory itself.
        Err(_) => directory.join("HEAD").is_file().then(|| directory.to_owned()),
    }
}
