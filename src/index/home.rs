//! Where the index is, and how one file takes the place of another.
//!
//! The place is the repository's `git-audit` directory; where that cannot be written, the user's cache directory. A new
//! index is built beside the old one and renamed over it, under a lock that everybody takes while opening: SQLite finds
//! the files that belong to a database by name, and must not find those of another.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::meta::Meta;
use super::{
    Failure, Followed, Index, MAX_MOVES, News, OTHER_VERSION, Report, State, Watch, follow, schema, update,
};
use crate::entry::Digest;
use crate::ledger::{Ledger, View};

/// How long to wait for a process that builds the index. After that the walk has the answer in about the same time.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for one that adds to it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A place for an index.
pub struct Home {
    directory: PathBuf,
    /// The index's file.
    file: PathBuf,
    lock: PathBuf,
    /// In the user's own directory, whoever may read the repository.
    is_private: bool,
}

/// Whether the lock is shared by those who open, or held by the one who replaces the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Shared,
    Alone,
}

impl Home {
    /// The places, the best first.
    pub fn all(ledger: &Ledger) -> Vec<Self> {
        let state = ledger.state_directory();
        // Each repository has its own file there.
        let cached = ledger.cache_home().map(|cache| {
            let name = Digest::of(state.as_os_str().as_encoded_bytes()).to_string();
            let name = name.trim_start_matches("sha256:").chars().take(16).collect::<String>();
            Self::new(cache.join("git-audit"), &format!("{name}."))
        });
        [Self::new(state, "")].into_iter().chain(cached).collect()
    }

    fn new(directory: PathBuf, prefix: &str) -> Self {
        let path = |name: &str| directory.join(format!("{prefix}{name}"));
        Self {
            file: path("index.sqlite3"),
            lock: path("index.lock"),
            directory,
            is_private: !prefix.is_empty(),
        }
    }

    /// The index, at the ledger's tip.
    pub fn current<'l>(
        &self,
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
    ) -> Result<Index, Failure> {
        let lock = match self.hold(Hold::Shared) {
            Ok(lock) => lock,
            Err(Failure::File(error)) => return self.as_it_is(view).ok_or(Failure::File(error)),
            Err(failure) => return Err(failure),
        };
        if !self.file.exists() {
            drop(lock);
            return self.renewed(ledger, view, watch, None);
        }
        match self.followed(ledger, view) {
            Ok(Ok(index)) => {
                drop(lock);
                self.sweep();
                Ok(index)
            }
            Ok(Err(reason)) => {
                drop(lock);
                self.renewed(ledger, view, watch, Some(reason))
            }
            Err(failure) if failure.is_damage() => {
                drop(lock);
                self.renewed(ledger, view, watch, Some(format!("it is damaged ({failure})")))
            }
            Err(failure) => Err(failure),
        }
    }

    /// The index, if it is there and goes on to the tip.
    pub fn at_hand<'l>(&self, ledger: &'l Ledger, view: &mut View<'l>) -> Option<Index> {
        if !self.file.exists() {
            return None;
        }
        let lock = self.open_lock().ok()?;
        lock.try_lock_shared().ok()?;
        self.followed(ledger, view).ok()?.ok()
    }

    /// Builds the index, unless another process has just done that.
    fn renewed<'l>(
        &self,
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
        reason: Option<String>,
    ) -> Result<Index, Failure> {
        let _lock = self.hold(Hold::Alone)?;
        if self.file.exists()
            && let Ok(Ok(index)) = self.followed(ledger, view)
        {
            return Ok(index);
        }
        if let Some(reason) = reason {
            watch(News::Rebuilding(reason));
        }
        self.replace(ledger, view, watch)
    }

    /// Builds the index.
    pub fn rebuild<'l>(
        &self,
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
    ) -> Result<Index, Failure> {
        let _lock = self.hold(Hold::Alone)?;
        self.replace(ledger, view, watch)
    }

    /// Builds a new file and puts it in the old one's place. The lock is held.
    fn replace<'l>(
        &self,
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
    ) -> Result<Index, Failure> {
        let new = beside(&self.file, ".new");
        remove(&new)?;
        ledger.share(&self.lock);
        let built = self.build(&new, ledger, view, watch);
        watch(News::Ended);
        if let Err(failure) = built {
            remove(&new)?;
            return Err(failure);
        }
        remove(&self.file)?;
        fs::rename(&new, &self.file)?;
        match self.followed(ledger, view)? {
            Ok(index) => Ok(Index { added: index.entries(), ..index }),
            Err(_) => Err(Failure::Moving),
        }
    }

    /// Removes what a build left that was killed.
    fn sweep(&self) {
        let new = beside(&self.file, ".new");
        if new.exists()
            && let Ok(lock) = self.open_lock()
            && lock.try_lock().is_ok()
        {
            // Whoever builds next removes it, too.
            _ = remove(&new);
        }
    }

    fn build(
        &self,
        new: &Path,
        ledger: &Ledger,
        view: &mut View<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Failure> {
        let mut connection = Connection::open(new)?;
        if self.is_private {
            fs::set_permissions(new, Permissions::from_mode(0o600))?;
        } else {
            ledger.share(new);
        }
        // Nobody sees the file before it is complete, and then it is flushed as a whole.
        connection.execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA cache_size = -65536; PRAGMA temp_store = FILE;",
        )?;
        let meta = Meta::new(ledger.branch(), &view.boundary());
        update::build(&mut connection, view, meta, watch)?;
        connection.execute_batch("PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL;")?;
        connection.close().map_err(|(_, error)| error)?;
        File::open(new)?.sync_all()?;
        Ok(())
    }

    /// Opens the file and brings it to the tip. `Ok(Err(reason))`: it must be built anew.
    fn followed<'l>(
        &self,
        ledger: &'l Ledger,
        view: &mut View<'l>,
    ) -> Result<Result<Index, String>, Failure> {
        for _ in 0..MAX_MOVES {
            let mut connection = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // What is merged into the file at the end of one query costs that query a flush or two.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            match follow(&mut connection, ledger, view)? {
                Followed::Here(added) => {
                    if let Some(index) = Index::at(connection, view.head(), added)? {
                        return Ok(Ok(index));
                    }
                }
                Followed::Moved => {}
                Followed::Unusable(reason) => return Ok(Err(reason)),
            }
            *view = ledger.view().map_err(Failure::Ledger)?;
        }
        Err(Failure::Moving)
    }

    /// The index in a directory that cannot be written, if it happens to be at the tip.
    fn as_it_is(&self, view: &View<'_>) -> Option<Index> {
        let reading = |immutable: &str| {
            let path = self.file.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection =
                Connection::open_with_flags(format!("file:{path}?mode=ro{immutable}"), flags).ok()?;
            if !schema::is_ours(&connection).ok()?
                || Meta::load(&connection).ok()?.boundary != view.boundary().to_string()
            {
                return None;
            }
            Index::at(connection, view.head(), 0).ok()?
        };
        // What is not merged into the file yet is not seen by a reader that takes it for unchanging.
        let merged = fs::metadata(beside(&self.file, "-wal")).map_or(true, |found| found.len() == 0);
        reading("").or_else(|| reading("&immutable=1").filter(|_| merged))
    }

    /// How the index stands to the ledger.
    pub fn report(&self, ledger: &Ledger, view: &View<'_>) -> Report {
        let sizes = ["", COMPANIONS[0]]
            .map(|end| fs::metadata(beside(&self.file, end)).map_or(0, |found| found.len()));
        let missing = Report {
            path: self.file.clone(),
            state: State::Missing,
            head: None,
            entries: 0,
            size_bytes: sizes.iter().sum(),
        };
        if !self.file.exists() {
            return missing;
        }
        let read = || -> rusqlite::Result<Option<Meta>> {
            let connection = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            if schema::is_ours(&connection)? { Meta::load(&connection).map(Some) } else { Ok(None) }
        };
        match read() {
            Err(error) => Report { state: State::Unusable(format!("it is damaged ({error})")), ..missing },
            Ok(None) => Report { state: State::Unusable(OTHER_VERSION.into()), ..missing },
            Ok(Some(meta)) => {
                let state = match meta.misfit(ledger, view) {
                    Some(reason) => State::Unusable(reason),
                    None if meta.head == view.head() => State::Current,
                    None => State::Behind,
                };
                Report { state, head: meta.head, entries: meta.entries, ..missing }
            }
        }
    }

    /// Whether an index can be put here.
    pub fn is_writable(&self) -> bool {
        self.open_lock().is_ok()
    }

    fn open_lock(&self) -> io::Result<File> {
        // A directory that nobody is to write is left alone, also by those whom the system would let.
        let existing = self.directory.ancestors().find_map(|directory| fs::metadata(directory).ok());
        if existing.is_some_and(|existing| existing.permissions().readonly()) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if !self.directory.exists() {
            fs::create_dir_all(&self.directory)?;
            if self.is_private {
                fs::set_permissions(&self.directory, Permissions::from_mode(0o700))?;
            }
        }
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.lock)
    }

    fn hold(&self, hold: Hold) -> Result<File, Failure> {
        let file = self.open_lock()?;
        let begun = Instant::now();
        loop {
            let locked = if hold == Hold::Shared { file.try_lock_shared() } else { file.try_lock() };
            match locked {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => return Err(Failure::Busy),
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
            }
        }
    }
}

impl Failure {
    /// Whether the file itself is at fault, so that another one would do better.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(
                    error.code,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged
                )
            }
            // A column that is not there, or that has something else in it.
            Self::Database(rusqlite::Error::SqlInputError { msg, .. }) => msg.starts_with("no such"),
            Self::Database(error) => matches!(
                error,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::QueryReturnedNoRows
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ),
            Self::Wrong => true,
            _ => false,
        }
    }

    /// Whether another place for the index may do better.
    pub fn is_about_the_place(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Database(rusqlite::Error::SqliteFailure(error, _)) => matches!(
                error.code,
                ErrorCode::ReadOnly
                    | ErrorCode::PermissionDenied
                    | ErrorCode::CannotOpen
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::FileLockingProtocolFailed
            ),
            _ => false,
        }
    }
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Removes a database and what is beside it. The database first: without its companions it must not be taken for one.
fn remove(file: &Path) -> io::Result<()> {
    remove_file(file)?;
    COMPANIONS.iter().try_for_each(|companion| remove_file(&beside(file, companion)))
}

fn remove_file(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
