//! The spool: entries that could not be recorded, waiting for the next command that can. One file each, durable.
//!
//! It is in the ledger's directory beside the repository; where that cannot be written, or where there is no repository,
//! in the user's own state directory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::durability::{Draft, Durability, Syncing};
use super::objects::move_aside;
use super::request::Ticket;
use super::{Ledger, Place, Request, locate, prepare_libgit2, state_directory};
use crate::error::{Error, Result};

const WAITING: &str = "json";
/// What is no entry: kept for a person, and not tried again.
const INVALID: &str = "invalid";

/// Where entries wait.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
}

/// What is kept of an entry that could not be recorded.
pub enum Spooled<'r> {
    /// An entry.
    Entry(&'r Request),
    /// What somebody wanted recorded, and is no entry.
    Text(&'r [u8]),
}

/// The file of an entry that waits.
pub struct Waiting(PathBuf);

#[derive(Serialize, Deserialize)]
struct Item {
    /// Where the command stood that kept it.
    directory: PathBuf,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Ticket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Spool {
    /// The places where an entry can wait, the best one first.
    pub fn places(place: &Place) -> Vec<Self> {
        prepare_libgit2();
        let beside =
            locate::open_repository(place).ok().map(|opened| state_directory(&opened.main).join("spool"));
        beside.into_iter().chain(own_directory(place)).map(|directory| Self { directory }).collect()
    }

    /// Keeps all of them, or none. Returns where, durably.
    ///
    /// # Errors
    /// They cannot be written there.
    pub fn keep(&self, items: &[Spooled<'_>], why: &str, place: &Place) -> Result<Vec<PathBuf>> {
        let failed = |error| Error::io(format!("write to {}", self.directory.display()), error);
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mut drafts = Vec::with_capacity(items.len());
        for item in items {
            let (extension, request, text) = match item {
                Spooled::Entry(request) => (WAITING, Some(Ticket::of(request)), None),
                Spooled::Text(text) => (INVALID, None, Some(String::from_utf8_lossy(text).into_owned())),
            };
            let item = Item { directory: place.directory.clone(), why: why.to_owned(), request, text };
            let path = self.free_name(place).with_extension(extension);
            let temporary = path.with_extension("draft");
            let written = serde_json::to_vec_pretty(&item).map_err(std::io::Error::from).and_then(|bytes| {
                let mut file = File::create_new(&temporary)?;
                file.write_all(&bytes).map(|()| file)
            });
            match written {
                Ok(file) => drafts.push(Draft { file, temporary, path }),
                Err(error) => {
                    _ = fs::remove_file(&temporary);
                    drop_drafts(&drafts);
                    return Err(failed(error));
                }
            }
        }
        let named = Syncing::on(&self.directory, Durability::Strict).name(&drafts);
        if named.is_err() {
            drop_drafts(&drafts);
        }
        named.map(|()| drafts.into_iter().map(|draft| draft.path).collect())
    }

    /// In the order of time, and unlike any other process's.
    fn free_name(&self, place: &Place) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = place.clock.now().timestamp_millis();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = self.directory.join(format!("{now:014}-{}-{number:06}", std::process::id()));
            if [WAITING, INVALID].iter().all(|extension| !name.with_extension(extension).exists()) {
                return name;
            }
        }
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let listing = fs::read_dir(&self.directory).into_iter().flatten();
        let paths = listing.filter_map(|item| Some(item.ok()?.path()));
        let mut files: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        files.sort();
        files
    }
}

fn own_directory(place: &Place) -> Option<PathBuf> {
    place.state_home.as_ref().map(|home| home.join("git-audit/spool"))
}

fn drop_drafts(drafts: &[Draft]) {
    for draft in drafts {
        _ = fs::remove_file(&draft.temporary);
        _ = fs::remove_file(&draft.path);
    }
}

impl Ledger {
    /// Entries that wait for this ledger, the oldest first, at most `limit`.
    pub fn waiting(&self, limit: usize) -> Vec<(Waiting, Request)> {
        let mut waiting = Vec::new();
        for (number, spool) in self.spools().into_iter().enumerate() {
            for file in spool.files(WAITING) {
                if waiting.len() == limit {
                    return waiting;
                }
                match read(&file) {
                    Some((directory, _)) if number > 0 && !self.is_at(&directory) => {}
                    Some((_, Some(request))) => waiting.push((Waiting(file), request)),
                    // Two commands may be at it: the other one had it first.
                    _ if !file.exists() => {}
                    _ => _ = fs::rename(&file, file.with_extension(INVALID)),
                }
            }
        }
        waiting
    }

    /// The one beside the repository, then the user's own.
    fn spools(&self) -> Vec<Spool> {
        let beside = std::iter::once(self.state_directory().join("spool"));
        beside.chain(own_directory(&self.place)).map(|directory| Spool { directory }).collect()
    }

    /// Files of the spool that hold no entry.
    pub fn invalid_in_spool(&self) -> Vec<PathBuf> {
        let places = self.spools().into_iter().enumerate();
        let files = places
            .flat_map(|(number, spool)| spool.files(INVALID).into_iter().map(move |file| (number, file)));
        let ours =
            files.filter(|(number, file)| *number == 0 || read(file).is_some_and(|(at, _)| self.is_at(&at)));
        ours.map(|(_, file)| file).collect()
    }

    /// Whether `directory` is in this repository.
    fn is_at(&self, directory: &Path) -> bool {
        let place =
            Place { directory: directory.to_owned(), git_dir: None, work_tree: None, ..self.place.clone() };
        let same = |path: &Path| path.canonicalize().ok();
        locate::open_repository(&place)
            .is_ok_and(|found| same(found.main.commondir()) == same(self.repository.commondir()))
    }
}

fn read(file: &Path) -> Option<(PathBuf, Option<Request>)> {
    let item: Item = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some((item.directory, item.request.as_ref().and_then(Ticket::request)))
}

impl Waiting {
    /// It is in the ledger.
    pub fn done(&self) {
        _ = fs::remove_file(&self.0);
    }

    /// The ledger has something else of that task: this is kept, but not tried again. Returns where.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside(&self) -> Result<PathBuf> {
        let directory = self.0.parent().unwrap_or(Path::new("")).with_file_name("set-aside");
        match move_aside(&self.0, &directory.join("spool")) {
            // Another command was at it.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(self.0.clone())
            }
            moved => moved,
        }
    }

    /// It cannot be recorded as it is, ever: a person has to look at it.
    pub fn refuse(&self, why: &str) {
        let item = fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice::<Item>(&bytes).ok());
        if let Some(mut item) = item {
            why.clone_into(&mut item.why);
            _ = serde_json::to_vec_pretty(&item).map(|bytes| fs::write(&self.0, bytes));
        }
        _ = fs::rename(&self.0, self.0.with_extension(INVALID));
    }
}
