//! A file of the user's: read, and replaced as a whole, with its permissions. A symbolic link stays one: what it leads to
//! is replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// No settings and no script are larger.
const MAX_BYTES: u64 = 4 << 20;
/// Drafts that killed processes have left.
const MAX_DRAFTS: usize = 100;

/// What `path` leads to, by all the symbolic links on its way. What is not there yet is at the end of it.
pub(super) fn resolved(path: &Path) -> Result<PathBuf> {
    if path.symlink_metadata().is_ok() {
        return fs::canonicalize(path)
            .map_err(|error| Error::io(format!("follow the symbolic link {}", path.display()), error));
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(resolved(parent)?.join(name)),
        _ => Ok(path.to_owned()),
    }
}

/// Whether anybody may run it.
pub(super) fn is_executable(path: &Path) -> Result<bool> {
    let metadata =
        fs::metadata(path).map_err(|error| Error::io(format!("read {}", path.display()), error))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}

/// What is in it. `None`: it is not there.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let doing = || format!("read {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(doing(), error)),
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_BYTES => {}
        Ok(_) => {
            let why = format!("it is no file, or larger than {} MiB", MAX_BYTES >> 20);
            return Err(Error::not_extended(path, why, "move it away, and run the command again"));
        }
    }
    let bytes = fs::read(path).map_err(|error| Error::io(doing(), error))?;
    let refused =
        |_| Error::not_extended(path, "it is not UTF-8 text", "move it away, and call it from a new one");
    String::from_utf8(bytes).map(Some).map_err(refused)
}

/// Puts `after` in the place of `before`, in one step; the permissions stay, and a new file gets `mode`.
pub(super) fn replace(path: &Path, before: Option<&str>, after: Option<&str>, mode: u32) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let failed = |error| Error::io(doing(), error);
    let directory = path.parent().unwrap_or(Path::new("."));
    let Some(after) = after else { return fs::remove_file(path).map_err(failed) };
    fs::create_dir_all(directory).map_err(failed)?;
    let permissions = match fs::metadata(path) {
        Ok(metadata) => Some(metadata.permissions()),
        Err(_) => None,
    };
    let (draft, mut file) = draft(path, mode).map_err(failed)?;
    let written = permissions
        .map_or(Ok(()), |permissions| file.set_permissions(permissions))
        .and_then(|()| file.write_all(after.as_bytes()))
        .and_then(|()| file.sync_all());
    let done = written.map_err(failed).and_then(|()| {
        if read(path)?.as_deref() != before {
            return Err(Error::Usage(format!(
                "{} was changed meanwhile; run the command again",
                path.display()
            )));
        }
        fs::rename(&draft, path).map_err(failed)
    });
    if done.is_err() {
        _ = fs::remove_file(&draft);
    }
    done
}

fn draft(path: &Path, mode: u32) -> std::io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut last = ErrorKind::AlreadyExists.into();
    for number in 0..MAX_DRAFTS {
        let draft = path.with_file_name(format!(".{name}.git-audit-{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft) {
            Ok(file) => return Ok((draft, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
