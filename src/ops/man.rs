//! `git audit man`: manual pages into a directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A manual page.
#[derive(Debug)]
pub struct Page {
    /// The file's name, such as `git-audit-log.1`.
    pub name: String,
    /// Its source, in roff.
    pub source: String,
}

/// Writes the pages into `directory`, which is made where it is not there; the files, in the pages' order.
///
/// # Errors
/// The directory or a file cannot be written; the error names it.
pub fn run(directory: &Path, pages: &[Page]) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)
        .map_err(|error| Error::io(format!("make the directory {}", directory.display()), error))?;
    let write = |page: &Page| {
        let path = directory.join(&page.name);
        fs::write(&path, &page.source)
            .map_err(|error| Error::io(format!("write {}", path.display()), error))?;
        Ok(path)
    };
    pages.iter().map(write).collect()
}
