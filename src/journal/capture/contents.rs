//! The content of files, as git would store it, within bounds.
//!
//! Working files are read here and not by libgit2, which maps them into memory: a file that shrinks meanwhile would kill
//! the process. Nothing but a regular file is opened, and no filter runs: line endings and `$Id$` are turned into what
//! git stores, and a file that an external filter (`filter.*.clean`) would change is not compared.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use git2::{AttrCheckFlags, AttrValue, Config, FileMode, ObjectFormat, ObjectType, Odb, Repository};
use rustix::fs::OFlags;

use super::scan::{Found, Stored};

/// A larger file is not read.
pub(super) const MAX_FILE_BYTES: u64 = 8 << 20;
/// Git looks as far for a NUL byte.
const BINARY_PREFIX: usize = 8_000;

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// So many bytes, which were not read.
    Unread(u64),
}

impl Content {
    pub const NOTHING: Self = Self::Bytes(Vec::new());

    /// How much of it is in memory.
    pub fn bytes_read(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Unread(_) => 0,
        }
    }

    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Unread(size) => *size,
        }
    }
}

/// Reads the content of one repository.
pub(super) struct Contents<'r> {
    repository: &'r Repository,
    odb: Odb<'r>,
    config: Option<Config>,
    root: PathBuf,
}

impl<'r> Contents<'r> {
    pub fn of(repository: &'r Repository, root: &Path) -> Result<Self, git2::Error> {
        let config = repository.config().and_then(|mut config| config.snapshot()).ok();
        Ok(Self { repository, odb: repository.odb()?, config, root: root.to_owned() })
    }

    /// How the repository hashes.
    pub fn format(&self) -> ObjectFormat {
        self.repository.object_format()
    }

    pub fn stored(&self, stored: Stored) -> Result<Content, git2::Error> {
        if stored.mode == FileMode::Commit {
            return Ok(Content::Bytes(format!("Subproject commit {}\n", stored.id).into_bytes()));
        }
        let (size, kind) = self.odb.read_header(stored.id)?;
        if kind != ObjectType::Blob || size as u64 > MAX_FILE_BYTES {
            return Ok(Content::Unread(size as u64));
        }
        Ok(Content::Bytes(self.odb.read(stored.id)?.data().to_vec()))
    }

    /// What is there now. `before` is what git has of it, which decides about line endings.
    pub fn found(&self, path: &[u8], found: Found, before: &Content) -> Result<Content, git2::Error> {
        match found {
            Found::Stored(stored) => self.stored(stored),
            Found::File(FileMode::Link) => Ok(self.link(path).unwrap_or(Content::Unread(0))),
            Found::File(_) => Ok(self.as_stored(path, self.file(path), before)),
        }
    }

    /// Where a symbolic link leads; `None` where there is none.
    fn link(&self, path: &[u8]) -> Option<Content> {
        let target = fs::read_link(self.root.join(OsStr::from_bytes(path))).ok()?;
        Some(Content::Bytes(target.into_os_string().into_vec()))
    }

    /// The bytes of a working file.
    fn file(&self, path: &[u8]) -> Content {
        let read = || {
            // Neither a link nor a pipe that took the file's place meanwhile.
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
            let path = self.root.join(OsStr::from_bytes(path));
            let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).ok()?;
            let metadata = file.metadata().ok()?;
            if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
                return Some(Content::Unread(metadata.len()));
            }
            let mut bytes = Vec::new();
            file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
            Some(Content::Bytes(bytes))
        };
        read().unwrap_or(Content::Unread(0))
    }

    fn as_stored(&self, path: &[u8], content: Content, before: &Content) -> Content {
        let Content::Bytes(bytes) = content else { return content };
        if matches!(self.attribute(path, "filter"), Attribute::Word(_)) {
            return Content::Unread(bytes.len() as u64);
        }
        let bytes = if self.has_plain_endings(path, &bytes, before) {
            without_carriage_returns(&bytes)
        } else {
            bytes
        };
        Content::Bytes(if self.attribute(path, "ident") == Attribute::Set {
            without_ids(&bytes)
        } else {
            bytes
        })
    }

    /// Whether git would store the file with LF line endings.
    fn has_plain_endings(&self, path: &[u8], bytes: &[u8], before: &Content) -> bool {
        if !has_crlf(bytes) {
            return false;
        }
        let is_auto = match (self.attribute(path, "text"), self.attribute(path, "eol")) {
            (Attribute::Unset, _) => return false,
            (Attribute::Set, _) => return true,
            (Attribute::Word(word), _) if word == "auto" => true,
            (_, Attribute::Word(_)) => return true,
            _ => self
                .setting("core.autocrlf")
                .is_some_and(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0" | "")),
        };
        let had_crlf = matches!(before, Content::Bytes(before) if has_crlf(before));
        let has_lone =
            bytes.iter().enumerate().any(|(at, byte)| *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        is_auto && !had_crlf && !has_lone && !bytes.contains(&0)
    }

    /// Whether git takes the file for something else than text.
    pub fn is_binary(&self, path: &[u8], sides: [&[u8]; 2]) -> bool {
        let looks_so = || sides.iter().any(|bytes| bytes[..bytes.len().min(BINARY_PREFIX)].contains(&0));
        match self.attribute(path, "diff") {
            Attribute::Set => false,
            Attribute::Unset => true,
            Attribute::Word(driver) => match self.setting(&format!("diff.{driver}.binary")).as_deref() {
                Some("true" | "yes" | "on" | "1") => true,
                Some("false" | "no" | "off" | "0") => false,
                _ => looks_so(),
            },
            Attribute::None => looks_so(),
        }
    }

    fn setting(&self, key: &str) -> Option<String> {
        self.config.as_ref()?.get_string(key).ok()
    }

    fn attribute(&self, path: &[u8], name: &str) -> Attribute {
        let path = Path::new(OsStr::from_bytes(path));
        let value = self.repository.get_attr_bytes(path, name, AttrCheckFlags::FILE_THEN_INDEX);
        match AttrValue::always_bytes(value.ok().flatten()) {
            AttrValue::True => Attribute::Set,
            AttrValue::False => Attribute::Unset,
            AttrValue::Bytes(word) => Attribute::Word(String::from_utf8_lossy(word).into_owned()),
            _ => Attribute::None,
        }
    }
}

/// What `.gitattributes` says about a path.
#[derive(Debug, PartialEq, Eq)]
enum Attribute {
    Set,
    Unset,
    Word(String),
    None,
}

fn has_crlf(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\r\n")
}

fn without_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let kept =
        bytes.iter().enumerate().filter(|(at, byte)| **byte != b'\r' || bytes.get(at + 1) != Some(&b'\n'));
    kept.map(|(_, byte)| *byte).collect()
}

/// `$Id: …$` is stored as `$Id$`.
fn without_ids(bytes: &[u8]) -> Vec<u8> {
    const OPENING: &[u8] = b"$Id:";
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(OPENING.len()).position(|window| window == OPENING) {
        let inside = &rest[at + OPENING.len()..];
        let end = inside.iter().position(|byte| matches!(byte, b'$' | b'\n'));
        kept.extend_from_slice(&rest[..at]);
        match end.filter(|end| inside[*end] == b'$') {
            Some(end) => {
                kept.extend_from_slice(b"$Id$");
                rest = &inside[end + 1..];
            }
            None => {
                kept.extend_from_slice(OPENING);
                rest = inside;
            }
        }
    }
    kept.extend_from_slice(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expanded_ids_are_stored_as_they_were() {
        assert_eq!(without_ids(b"a $Id: 12$ b $Id: \n $Id$"), b"a $Id$ b $Id: \n $Id$");
        assert_eq!(without_carriage_returns(b"a\r\nb\rc\r\n"), b"a\nb\rc\n");
    }
}
