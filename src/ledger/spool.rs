//! The spool: entries that could not be recorded, waiting for the next command that can. One file each, durable.
//!
//! It is in the ledger's directory beside the repository; where that cannot be written, or where there is no repository,
//! in the user's own state directory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::durability::{Draft, Durability, Syncing};
use super::objects::move_aside;
use super::request::Ticket;
use super::settings::Settings;
use super::sharing::Sharing;
use super::{Ledger, Place, Request, locate, prepare_libgit2, state_directory};
use crate::entry::TaskId;
use crate::error::{Error, Result};

const WAITING: &str = "json";
/// What is no entry: kept for a person, and not tried again.
const INVALID: &str = "invalid";

/// Where entries wait.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    sharing: Sharing,
    /// The user's own, where entries of many repositories wait.
    is_own: bool,
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
    /// `GIT_DIR`, if it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    git_dir: Option<PathBuf>,
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
        let beside = locate::open_repository(place).ok().map(|opened| Self {
            directory: state_directory(&opened.main).join("spool"),
            sharing: Settings::of(&opened.main, &place.config)
                .map_or(Sharing::NONE, |found| Sharing::of(&found)),
            is_own: false,
        });
        beside.into_iter().chain(Self::own(place)).collect()
    }

    /// The user's own.
    fn own(place: &Place) -> Option<Self> {
        let directory = place.state_home.as_ref()?.join("git-audit/spool");
        Some(Self { directory, sharing: Sharing::NONE, is_own: true })
    }

    /// Keeps the items in the best place that takes them.
    ///
    /// # Errors
    /// None does.
    pub fn keep_somewhere(items: &[Spooled<'_>], why: &str, place: &Place) -> Result<Vec<PathBuf>> {
        let none = "there is no directory where entries could wait: HOME is not set";
        let mut last = Error::Usage(none.into());
        for spool in Self::places(place) {
            match spool.keep(items, why, place) {
                Ok(files) => return Ok(files),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Keeps all of them, or none. Returns where, durably.
    ///
    /// # Errors
    /// They cannot be written there.
    fn keep(&self, items: &[Spooled<'_>], why: &str, place: &Place) -> Result<Vec<PathBuf>> {
        let failed = |error| Error::io(format!("write to {}", self.directory.display()), error);
        self.sharing.create_directory(&self.directory).map_err(failed)?;
        let mut drafts = Vec::with_capacity(items.len());
        for item in items {
            let (extension, request, text) = match item {
                Spooled::Entry(request) => (WAITING, Some(Ticket::of(request)), None),
                Spooled::Text(text) => (INVALID, None, Some(String::from_utf8_lossy(text).into_owned())),
            };
            let item = Item {
                directory: place.directory.clone(),
                git_dir: place.git_dir.as_ref().map(|git_dir| place.directory.join(git_dir)),
                why: why.to_owned(),
                request,
                text,
            };
            let path = self.free_name(place).with_extension(extension);
            let temporary = path.with_extension("draft");
            let written = serde_json::to_vec_pretty(&item).map_err(std::io::Error::from).and_then(|bytes| {
                let mut file = File::create_new(&temporary)?;
                file.write_all(&bytes)?;
                self.sharing.apply_to_file(&temporary);
                Ok(file)
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

    /// In the order of time, and unlike any other's.
    fn free_name(&self, place: &Place) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (now, number) = (place.clock.now().timestamp_millis(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.directory.join(format!("{now:014}-{number:06}-{}", super::queue::unlike_any_other()))
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
        for spool in self.spools() {
            for file in spool.files(WAITING) {
                if waiting.len() == limit {
                    return waiting;
                }
                // What cannot be read now is tried again the next time.
                let Ok(bytes) = fs::read(&file) else { continue };
                let item = serde_json::from_slice::<Item>(&bytes).ok();
                if spool.is_own && item.as_ref().is_none_or(|item| !self.is_at(item)) {
                    continue;
                }
                match item.and_then(|item| item.request?.request()) {
                    Some(request) => waiting.push((Waiting(file), request)),
                    None => _ = fs::rename(&file, file.with_extension(INVALID)),
                }
            }
        }
        waiting
    }

    /// Whether an entry of the task waits for this ledger.
    pub fn is_waiting(&self, task_id: &TaskId) -> bool {
        self.waiting(usize::MAX).iter().any(|(_, request)| request.task_id() == task_id)
    }

    /// Files of the spool that hold no entry.
    pub fn invalid_in_spool(&self) -> Vec<PathBuf> {
        let spools = self.spools().into_iter();
        let files =
            spools.flat_map(|spool| spool.files(INVALID).into_iter().map(move |file| (spool.is_own, file)));
        let ours = files.filter(|(is_own, file)| !is_own || read(file).is_some_and(|item| self.is_at(&item)));
        ours.map(|(_, file)| file).collect()
    }

    /// Where commands stood whose entries wait in the user's own spool, and not for this ledger.
    pub fn waiting_elsewhere(&self) -> BTreeSet<PathBuf> {
        let files = Spool::own(&self.place).into_iter().flat_map(|spool| spool.files(WAITING));
        let items = files.filter_map(|file| read(&file)).filter(|item| !self.is_at(item));
        items.map(|item| item.git_dir.unwrap_or(item.directory)).collect()
    }

    /// The one beside the repository, then the user's own.
    fn spools(&self) -> Vec<Spool> {
        let directory = self.state_directory().join("spool");
        let beside = Spool { directory, sharing: self.sharing(), is_own: false };
        std::iter::once(beside).chain(Spool::own(&self.place)).collect()
    }

    /// Whether the item was meant for this repository.
    fn is_at(&self, item: &Item) -> bool {
        let place = Place {
            directory: item.directory.clone(),
            git_dir: item.git_dir.clone(),
            work_tree: None,
            ..self.place.clone()
        };
        let same = |path: &Path| path.canonicalize().ok();
        locate::open_repository(&place)
            .is_ok_and(|found| same(found.main.commondir()) == same(self.repository.commondir()))
    }
}

fn read(file: &Path) -> Option<Item> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

impl Waiting {
    /// It is in the ledger, so it need not wait any more.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn done(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            // Another command was at it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| Error::io(format!("remove {}", self.0.display()), error)),
        }
    }

    /// The ledger has something else of that task: this is kept, but not tried again. Returns where.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside(&self) -> Result<PathBuf> {
        let directory = self.0.parent().unwrap_or(Path::new("")).with_file_name("set-aside");
        match move_aside(&self.0, &directory.join("spool")) {
            // Another command was at it.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(self.0.clone()),
            moved => moved,
        }
    }

    /// It cannot be recorded as it is, ever: a person has to look at it.
    pub fn refuse(&self, why: &str) {
        self.change(|item| why.clone_into(&mut item.why));
        _ = fs::rename(&self.0, self.0.with_extension(INVALID));
    }

    /// What waits is this now: something was redacted since.
    pub fn replace(&self, request: &Request) {
        self.change(|item| item.request = Some(Ticket::of(request)));
    }

    /// What waited is no entry any more, but this text.
    pub fn replace_by_text(&self, text: String) {
        self.change(|item| (item.request, item.text) = (None, Some(text)));
    }

    fn change(&self, change: impl FnOnce(&mut Item)) {
        let Some(mut item) = read(&self.0) else { return };
        change(&mut item);
        let draft = self.0.with_extension("draft");
        let written = serde_json::to_vec_pretty(&item).map_err(std::io::Error::from).and_then(|bytes| {
            let mut file = File::create(&draft)?;
            file.write_all(&bytes)?;
            file.sync_all()
        });
        _ = written.and_then(|()| fs::rename(&draft, &self.0));
    }
}
