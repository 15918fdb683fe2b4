//! A directory of our own, for what the programs read from files and write to them. It is gone afterwards.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ledger::queue::unlike_any_other;

/// What a killed process left is removed after this.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A directory that only we can enter.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    /// Makes one, in the first of these places in which that is possible.
    pub(super) fn new(places: &[PathBuf]) -> io::Result<Self> {
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for place in places {
            match Self::within(place) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn within(place: &Path) -> io::Result<Self> {
        let directory = place.join(format!("git-audit-signing-{}", unlike_any_other()));
        // Fails where something of that name is there, so that nobody else can have made it.
        DirBuilder::new().mode(0o700).create(&directory)?;
        let scratch = Self { directory };
        remove_left_overs(place);
        Ok(scratch)
    }

    /// Where a file of that name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file, and says where it is.
    ///
    /// # Errors
    /// The disk is full, say.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        _ = fs::remove_file(self.path(name));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.directory);
    }
}

fn remove_left_overs(place: &Path) {
    for item in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_old = || item.metadata().ok()?.modified().ok()?.elapsed().ok().map(|age| age > KEPT);
        let is_scratch = item.file_name().to_str().is_some_and(|name| name.starts_with("git-audit-signing-"));
        if is_scratch && is_old() == Some(true) {
            _ = fs::remove_dir_all(item.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_where_it_can_be_for_us_alone_and_goes_away() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(&[place.path().join("missing"), place.path().to_owned()]).unwrap();
        let file = scratch.write("a", b"x").unwrap();
        let directory = file.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!directory.exists());
        assert!(Scratch::new(&[place.path().join("missing")]).is_err());
    }
}
