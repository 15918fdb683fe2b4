//! What this clone has verified before: the pin, and beside it a notebook of every entry in order. Both are outside the
//! history, so that whoever rewrites the history does not rewrite them with it.
//!
//! The pin is written last, and names how much of the notebook counts. A pin that cannot be read is none; the next
//! verification then begins anew, and says so.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::engine::Leaf;
use super::log::merkle::{self, CompactRange, Hash};
use crate::entry::{Digest, TaskId};
use crate::error::{Error, Result};
use crate::ledger::{Ledger, ObjectId};

const SCHEMA: &str = "git-audit/pin/v1";

/// The newest commit that was verified, and what had been recorded by then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pin {
    schema: String,
    /// The commit, in hexadecimal.
    pub commit: String,
    /// The commit that the history begins with.
    pub root_commit: String,
    /// The root of the Merkle tree over all entries, in base64.
    pub merkle_root: String,
    /// What a longer tree goes on from.
    pub leaves: CompactRange,
    /// The latest time that a commit was made at: seconds since 1970.
    pub latest: i64,
    /// Why it could not be said that all of it is signed.
    pub unsigned: Option<String>,
    /// The digest of the checkpoints that were found to hold.
    pub checkpoints: Option<String>,
    /// How much of the notebook counts.
    notebook_bytes: u64,
    /// The digest of that.
    notebook: String,
    /// The digest of all the rest: a byte that went wrong must not become part of a checkpoint.
    digest: String,
}

impl Pin {
    /// The number of entries.
    pub fn entries(&self) -> u64 {
        self.leaves.size()
    }

    fn sum(&self) -> Option<String> {
        let rest = serde_json::to_vec(&Self { digest: String::new(), ..self.clone() }).ok()?;
        Some(Digest::of(&rest).to_string())
    }

    /// The commit.
    pub fn commit_id(&self) -> Option<ObjectId> {
        ObjectId::parse(&self.commit)
    }
}

/// A line of the notebook.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The leaf's hash.
    pub hash: Hash,
    /// The commit that added the entry, in hexadecimal.
    pub commit: String,
    /// The task.
    pub task_id: TaskId,
}

/// Where a clone keeps what it has verified of a branch.
pub struct Memory<'l> {
    ledger: &'l Ledger,
    directory: PathBuf,
    pin: PathBuf,
    notebook: PathBuf,
}

impl<'l> Memory<'l> {
    /// That of the ledger's branch.
    pub fn of(ledger: &'l Ledger) -> Self {
        let directory = ledger.state_directory().join("verified");
        // A branch's name is a path.
        let name = ledger.branch().replace('%', "%25").replace('/', "%2F");
        let (pin, notebook) = (format!("{name}.json"), format!("{name}.leaves"));
        Self { ledger, pin: directory.join(pin), notebook: directory.join(notebook), directory }
    }

    /// The file of the pin.
    pub fn path(&self) -> &Path {
        &self.pin
    }

    /// The pin; `Ok(None)`: there is none.
    ///
    /// # Errors
    /// It is there and cannot be read, in words.
    pub fn pin(&self) -> std::result::Result<Option<Pin>, String> {
        if is_odd(&self.pin) {
            return Err("it is no regular file".to_owned());
        }
        let text = match fs::read_to_string(&self.pin) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let pin: Pin = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let is_whole = pin.schema == SCHEMA && pin.sum().as_ref() == Some(&pin.digest);
        if is_whole { Ok(Some(pin)) } else { Err("it is not as it was written".to_owned()) }
    }

    /// What the notebook says of the pin's entries, in order; `None`: it does not fit the pin.
    pub fn noted(&self, pin: &Pin) -> Option<Vec<Noted>> {
        let mut text = String::new();
        if is_odd(&self.notebook) {
            return None;
        }
        File::open(&self.notebook).ok()?.take(pin.notebook_bytes).read_to_string(&mut text).ok()?;
        if chained(String::new(), &text) != pin.notebook {
            return None;
        }
        text.lines().map(Noted::parse).collect()
    }

    /// Remembers that the history up to `commit` was verified. `before`: the pin that was gone on from, whose entries are
    /// not in `leaves`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, before: Option<&Pin>, now: Verified<'_>) -> Result<()> {
        let io = |error| Error::io(format!("write {}", self.notebook.display()), error);
        self.ledger.make_state_directory(&self.directory)?;
        let draft = self.draft();
        if let Some(odd) = [&self.notebook, &self.pin, &draft].into_iter().find(|path| is_odd(path)) {
            let why = std::io::Error::other("it is no regular file, and nothing is written through it");
            return Err(Error::io(format!("write {}", odd.display()), why));
        }
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut notebook = options.open(&self.notebook).map_err(io)?;
        self.ledger.share(&self.notebook);
        // Somebody else is remembering, and knows no less.
        if notebook.try_lock().is_err() {
            return Ok(());
        }
        let (kept, noted) =
            before.map_or((0, String::new()), |pin| (pin.notebook_bytes, pin.notebook.clone()));
        let mut lines = String::new();
        for Leaf { hash, task_id, commit, .. } in now.leaves {
            for byte in hash {
                lines.extend(
                    [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
                );
            }
            _ = writeln!(lines, " {commit} {task_id}");
        }
        notebook.set_len(kept).map_err(io)?;
        notebook.seek(SeekFrom::Start(kept)).map_err(io)?;
        notebook.write_all(lines.as_bytes()).map_err(io)?;
        notebook.sync_data().map_err(io)?;
        let mut range = before.map(|pin| pin.leaves.clone()).unwrap_or_default();
        range.extend(now.leaves.iter().map(|leaf| leaf.hash));
        let mut pin = Pin {
            schema: SCHEMA.to_owned(),
            commit: now.commit.to_string(),
            root_commit: now.root_commit,
            merkle_root: merkle::to_base64(&range.root()),
            leaves: range,
            latest: now.latest,
            unsigned: now.unsigned,
            checkpoints: now.checkpoints,
            notebook_bytes: kept + lines.len() as u64,
            notebook: chained(noted, &lines),
            digest: String::new(),
        };
        pin.digest = pin.sum().unwrap_or_default();
        self.write(&pin)
    }

    fn draft(&self) -> PathBuf {
        self.pin.with_extension("draft")
    }

    fn write(&self, pin: &Pin) -> Result<()> {
        let io = |error| Error::io(format!("write {}", self.pin.display()), error);
        let text = serde_json::to_string_pretty(pin).map_err(|error| io(error.into()))?;
        let draft = self.draft();
        let mut file = File::create(&draft).map_err(io)?;
        self.ledger.share(&draft);
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&draft, &self.pin).map_err(io)
    }
}

/// Something is there that is no regular file: a link to elsewhere, a pipe that would be waited for.
fn is_odd(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// A history that was verified.
pub struct Verified<'v> {
    /// Its newest commit.
    pub commit: ObjectId,
    /// Its first, in hexadecimal.
    pub root_commit: String,
    /// The entries that are new to the pin.
    pub leaves: &'v [Leaf],
    /// The latest time that a commit was made at.
    pub latest: i64,
    /// Why it cannot be said that all of it is signed.
    pub unsigned: Option<String>,
    /// The digest of the checkpoints that hold.
    pub checkpoints: Option<String>,
}

impl Noted {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (hash, commit, task_id) = (words.next()?, words.next()?, words.next()?);
        Some(Self { hash: hash_of(hash)?, commit: commit.to_owned(), task_id: TaskId::new(task_id).ok()? })
    }
}

/// A digest that goes on with every line, from what it was before them.
fn chained(before: String, lines: &str) -> String {
    let chain = |before: String, line| Digest::of([before.as_bytes(), line].concat().as_slice()).to_string();
    lines.as_bytes().split_inclusive(|byte| *byte == b'\n').fold(before, chain)
}

fn hash_of(hex: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if hex.len() != 2 * hash.len() {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
