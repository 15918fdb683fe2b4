//! Signatures that were found good, noted for the next time: starting a program for each costs seconds.
//!
//! One file, only ever appended to: a line per commit, with a checksum. A line that is damaged, or that was noted under
//! other signers, does not count; the worst that its loss costs is time. Nothing but good signatures is noted. The file is
//! in the repository, so whoever can write there can forge it, as they can forge git's own configuration.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// A longer file is begun anew.
const MAX_FILE_BYTES: u64 = 64 << 20;
const CHECKSUM_DIGITS: usize = 16;

/// What was good, and may be so still.
pub(super) struct Cache {
    file: Option<PathBuf>,
    known: HashMap<String, String>,
    /// What is not in the file yet.
    new: String,
    /// The file does not end in a whole line.
    is_torn: bool,
}

impl Cache {
    /// What is noted in `directory` under one of these contexts.
    pub fn load(directory: Option<&Path>, contexts: &[[u8; 32]]) -> Self {
        let file = directory.map(|directory| directory.join("signatures"));
        let text = file.as_deref().map(read).unwrap_or_default();
        let contexts: Vec<_> = contexts.iter().map(|context| hex(context)).collect();
        let known = text.lines().filter_map(read_line);
        let known = known.filter(|(key, _)| contexts.iter().any(|context| key.starts_with(context.as_str())));
        Self {
            known: known.map(|(key, principal)| (key.to_owned(), principal)).collect(),
            is_torn: !text.is_empty() && !text.ends_with('\n'),
            new: String::new(),
            file,
        }
    }

    /// Under which address the commit's signature was good.
    pub fn find(&self, context: [u8; 32], commit: &str, verify_at: i64) -> Option<&str> {
        self.known.get(&key(context, commit, verify_at)).map(String::as_str)
    }

    /// Notes a good signature. It is in the file after [`Self::save`].
    pub fn note(&mut self, context: [u8; 32], commit: &str, verify_at: i64, principal: &str) {
        let key = key(context, commit, verify_at);
        if self.known.contains_key(&key) {
            return;
        }
        // As JSON it is one line, whatever it is.
        let line = format!("{key} {}", serde_json::Value::from(principal));
        self.new.push_str(&format!("{} {line}\n", checksum(&line)));
        self.known.insert(key, principal.to_owned());
    }

    /// Writes what is new. That it cannot be written costs time later, and nothing now.
    pub fn save(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| !self.new.is_empty()) else { return };
        let lines = format!("{}{}", if self.is_torn { "\n" } else { "" }, self.new);
        let append = |file: &Path| {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            // One write: two processes that append do not mix their lines.
            OpenOptions::new().append(true).create(true).open(file)?.write_all(lines.as_bytes())
        };
        _ = append(file);
        (self.is_torn, self.new) = (false, String::new());
    }
}

fn read(file: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(opened) = File::open(file) else { return String::new() };
    match opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
        Ok(read) if read as u64 <= MAX_FILE_BYTES => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(_) => {
            _ = fs::remove_file(file);
            String::new()
        }
        Err(_) => String::new(),
    }
}

/// The key and the address of a line, if it is as it was written.
fn read_line(line: &str) -> Option<(&str, String)> {
    let (sum, line) = line.split_once(' ')?;
    let (key, principal) = line.match_indices(' ').nth(2).map(|(at, _)| line.split_at(at))?;
    (sum == checksum(line)).then_some(())?;
    Some((key, serde_json::from_str(principal).ok()?))
}

fn key(context: [u8; 32], commit: &str, verify_at: i64) -> String {
    format!("{} {commit} {verify_at}", hex(&context))
}

fn checksum(line: &str) -> String {
    hex(&Sha256::digest(line.as_bytes()))[..CHECKSUM_DIGITS].to_owned()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; 32] = [7; 32];
    const OTHERS: [u8; 32] = [8; 32];

    fn noted() -> (tempfile::TempDir, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let mut cache = Cache::load(Some(directory.path()), &[OURS]);
        cache.note(OURS, "c1", 5, "a\n \"b@x");
        cache.save();
        cache.note(OURS, "c2", 6, "c@x");
        cache.note(OURS, "c2", 6, "c@x");
        cache.save();
        let bytes = fs::read(directory.path().join("signatures")).unwrap();
        (directory, bytes)
    }

    #[test]
    fn what_was_good_is_known_the_next_time_and_only_as_it_was() {
        let (directory, bytes) = noted();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        let cache = Cache::load(Some(directory.path()), &[OTHERS, OURS]);
        assert_eq!(cache.find(OURS, "c1", 5), Some("a\n \"b@x"));
        assert_eq!(cache.find(OURS, "c2", 6), Some("c@x"));
        assert_eq!(cache.find(OURS, "c2", 7), None);
        assert_eq!(cache.find(OURS, "c3", 6), None);
        assert_eq!(cache.find(OTHERS, "c2", 6), None);
        assert!(Cache::load(Some(directory.path()), &[OTHERS]).known.is_empty());
    }

    #[test]
    fn no_changed_byte_makes_something_good_that_was_not_noted() {
        let (directory, bytes) = noted();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(directory.path().join("signatures"), changed).unwrap();
            let cache = Cache::load(Some(directory.path()), &[OURS, OTHERS]);
            for (key, principal) in &cache.known {
                let same = [(key_of("c1", 5), "a\n \"b@x"), (key_of("c2", 6), "c@x")];
                assert!(same.contains(&(key.clone(), principal.as_str())), "byte {at}: {key}");
            }
            // A line end has two lines.
            assert!(!cache.known.is_empty() || bytes[at] == b'\n', "byte {at}");
        }
    }

    fn key_of(commit: &str, verify_at: i64) -> String {
        key(OURS, commit, verify_at)
    }

    #[test]
    fn after_a_torn_line_a_new_one_begins() {
        let (directory, bytes) = noted();
        let file = directory.path().join("signatures");
        fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
        let mut cache = Cache::load(Some(directory.path()), &[OURS]);
        cache.note(OURS, "c3", 7, "d@x");
        cache.save();
        let cache = Cache::load(Some(directory.path()), &[OURS]);
        assert_eq!((cache.find(OURS, "c2", 6), cache.find(OURS, "c3", 7)), (None, Some("d@x")));
    }

    #[test]
    fn without_a_place_to_write_it_is_forgotten() {
        let mut cache = Cache::load(None, &[OURS]);
        cache.note(OURS, "c", 1, "a@x");
        cache.save();
        assert_eq!(cache.find(OURS, "c", 1), Some("a@x"));
        let mut cache = Cache::load(Some(Path::new("/proc/no-such-place")), &[OURS]);
        cache.note(OURS, "c", 1, "a@x");
        cache.save();
    }
}
