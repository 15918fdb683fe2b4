//! `core.sharedRepository`: who besides the owner may use what is written, as `git init --shared` promises.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::settings::Settings;

/// Permission bits that files get in addition to what the umask leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sharing(u32);

impl Sharing {
    /// What the umask says.
    pub const NONE: Self = Self(0);

    pub fn of(settings: &Settings) -> Self {
        Self::parse(&settings.text("core.sharedrepository").unwrap_or_default())
    }

    fn parse(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "group" | "true" | "1" => Self(0o660),
            "all" | "world" | "everybody" | "2" => Self(0o664),
            octal => Self(
                u32::from_str_radix(octal, 8).ok().filter(|bits| *bits > 2 && *bits < 0o1000).unwrap_or(0),
            ),
        }
    }

    /// Lets the others use a file. One that is read-only stays so. What cannot be changed belongs to somebody who
    /// shares it already.
    pub fn apply_to_file(self, path: &Path) {
        self.apply(path, |mode| if mode & 0o200 == 0 { self.0 & 0o444 } else { self.0 });
    }

    /// Makes a directory that is not there, with those above it, for the others, too.
    pub fn create_directory(self, path: &Path) -> std::io::Result<()> {
        if !path.is_dir() {
            fs::create_dir_all(path)?;
            self.apply_to_directory(path);
        }
        Ok(())
    }

    /// Lets the others list, enter and write a directory, and hands its group on to what is made in it.
    pub fn apply_to_directory(self, path: &Path) {
        self.apply(path, |_| self.0 | (self.0 & 0o444) >> 2 | 0o2000);
    }

    fn apply(self, path: &Path, more: impl Fn(u32) -> u32) {
        if self.0 == 0 {
            return;
        }
        if let Ok(metadata) = fs::metadata(path) {
            let mode = metadata.permissions().mode();
            _ = fs::set_permissions(path, Permissions::from_mode(mode | more(mode)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sharing;

    #[test]
    fn the_words_of_git_are_understood() {
        let bits = |value| Sharing::parse(value).0;
        assert_eq!(
            [bits("group"), bits("1"), bits("true"), bits("all"), bits("0660"), bits("0640")],
            [0o660, 0o660, 0o660, 0o664, 0o660, 0o640]
        );
        assert_eq!([bits(""), bits("umask"), bits("false"), bits("0"), bits("nonsense")], [0; 5]);
    }
}
