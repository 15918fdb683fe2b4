//! The index: an SQLite database that answers what the walk would, sooner. The only module that names rusqlite.
//!
//! - [`schema`]: tables and views · [`meta`]: what it is of · [`rows`], [`fill`]: entries as rows
//! - [`update`]: catching up with the branch, building anew · [`home`]: where the file is, and swapping it
//! - [`question`]: a filter as SQL · [`answer`]: reading rows back
//!
//! Invariants: it holds nothing that the history does not say, and can be deleted at any time. It answers only for
//! the very commit it is asked about. Whatever is wrong with it, the walk answers: a failure here is a reason, never
//! an error of the command. It gives commits and object ids, by which entries are read from the ledger; only sums and the
//! table for people are its own.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};
use crate::ledger::{CommitId, Ledger, View};

mod answer;
mod fill;
mod home;
mod meta;
mod question;
mod rows;
mod schema;
mod update;

pub use answer::{IndexedEntry, Slice};
pub use question::Question;

use home::Home;
use meta::Meta;
use update::CaughtUp;

/// What the index tells while it works.
#[derive(Clone, Debug)]
pub enum News {
    /// It is built anew, because of this.
    Rebuilding(String),
    /// How far the building is.
    Read {
        /// Entries so far.
        entries: u64,
        /// Entries in the ledger.
        of: u64,
    },
    /// The building has ended, well or not.
    Ended,
}

/// Who is told.
pub type Watch<'w> = dyn FnMut(News) + 'w;

/// Why the index does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database.
    #[error("{}", in_short(.0))]
    Database(#[from] rusqlite::Error),
    /// The file or its directory.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(Error),
    /// Another process has been building it for too long.
    #[error("another process is building it")]
    Busy,
    /// The branch moves on faster than the index follows.
    #[error("the branch keeps moving")]
    Moving,
    /// The thread that writes it.
    #[error("its writer stopped")]
    Stopped,
    /// Some entries cannot be read; an answer has to say so where they matter.
    #[error("some entries cannot be read")]
    Gaps,
    /// It says something that the ledger does not.
    #[error("it does not agree with the ledger")]
    Wrong,
}

/// Without the statement, which can be very long.
fn in_short(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        error => error.to_string(),
    }
}

/// How often the branch may move on while the index is brought to it.
const MAX_MOVES: u32 = 8;

/// An index that is at the commit of a view, and stays there while others write.
pub struct Index {
    connection: Connection,
    meta: Meta,
    /// Entries that were added to it for this query.
    added: u64,
}

/// How an index stands to its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Missing,
    /// It is at the branch's tip.
    Current,
    /// The branch has moved on; the next query will catch up.
    Behind,
    /// It will be built anew, because of this.
    Unusable(String),
}

/// What is known of an index without changing it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub path: std::path::PathBuf,
    /// How it stands to the ledger.
    pub state: State,
    /// The commit that it is at.
    pub head: Option<CommitId>,
    /// Entries in it.
    pub entries: u64,
    /// Bytes of the file and of what is not merged into it yet.
    pub size_bytes: u64,
}

impl Index {
    /// The index at the tip of `ledger`, brought there if need be. The view is renewed where the branch has moved.
    ///
    /// # Errors
    /// Why it cannot answer.
    pub fn current<'l>(
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
    ) -> std::result::Result<Self, Failure> {
        let index = in_the_best_home(ledger, |home| home.current(ledger, view, watch))?;
        if index.has_gaps()? { Err(Failure::Gaps) } else { Ok(index) }
    }

    /// As [`Self::current`], but only where that takes no time: nothing is built, nobody is waited for.
    pub fn at_hand<'l>(ledger: &'l Ledger, view: &mut View<'l>) -> Option<Self> {
        let found = Home::all(ledger).into_iter().find_map(|home| home.at_hand(ledger, view));
        found.filter(|index| index.has_gaps().is_ok_and(|gaps| !gaps))
    }

    /// Builds the index anew, whatever state it is in.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn rebuild<'l>(
        ledger: &'l Ledger,
        view: &mut View<'l>,
        watch: &mut Watch<'_>,
    ) -> std::result::Result<Self, Failure> {
        in_the_best_home(ledger, |home| home.rebuild(ledger, view, watch))
    }

    /// How the index stands to the ledger now.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn report(ledger: &Ledger) -> Result<Report> {
        let view = ledger.view()?;
        let homes = Home::all(ledger);
        let reports: Vec<_> = homes.iter().map(|home| (home, home.report(ledger, &view))).collect();
        // The one that the next query will use.
        let current = reports.iter().position(|(_, report)| report.state == State::Current);
        let used = current.or_else(|| reports.iter().position(|(home, _)| home.is_writable()));
        let used = reports.into_iter().nth(used.unwrap_or(0));
        used.map(|(_, report)| report).ok_or_else(|| Error::Damaged("no place for an index".into()))
    }

    /// Entries that were added to it for this query.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Takes an open database into use: begins to read it as it is now. `None`: it is not at `head`.
    fn at(connection: Connection, head: Option<CommitId>, added: u64) -> rusqlite::Result<Option<Self>> {
        connection.execute_batch("BEGIN")?;
        let meta = Meta::load(&connection)?;
        Ok((meta.head == head).then_some(Self { connection, meta, added }))
    }

    fn has_gaps(&self) -> rusqlite::Result<bool> {
        self.connection.query_row("SELECT EXISTS (SELECT 1 FROM unreadable)", [], |row| row.get(0))
    }
}

/// Tries one place after the other, as long as it is the place that is at fault.
fn in_the_best_home(
    ledger: &Ledger,
    mut attempt: impl FnMut(&Home) -> std::result::Result<Index, Failure>,
) -> std::result::Result<Index, Failure> {
    let mut first = None;
    for home in Home::all(ledger) {
        match attempt(&home) {
            Err(failure) if failure.is_about_the_place() => first = first.or(Some(failure)),
            done => return done,
        }
    }
    Err(first.unwrap_or(Failure::Stopped))
}

/// What became of an attempt to follow the branch.
enum Followed {
    /// The index is at the view's commit; so many entries were added.
    Here(u64),
    /// The branch has moved on since the view was taken.
    Moved,
    /// It must be built anew, because of this.
    Unusable(String),
}

/// Why an index of another version is built anew.
const OTHER_VERSION: &str = "it was made by another version";

/// Brings an open database to the view's commit.
fn follow(
    connection: &mut Connection,
    ledger: &Ledger,
    view: &mut View<'_>,
) -> std::result::Result<Followed, Failure> {
    if !schema::is_ours(connection)? {
        return Ok(Followed::Unusable(OTHER_VERSION.into()));
    }
    let meta = Meta::load(connection)?;
    if let Some(reason) = meta.misfit(ledger, view) {
        return Ok(Followed::Unusable(reason));
    }
    if update::is_readable_now(connection, view)? {
        return Ok(Followed::Unusable("entries are here now that were not".into()));
    }
    if meta.head == view.head() {
        return Ok(Followed::Here(0));
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let mut meta = Meta::load(&transaction)?;
    if meta.head == view.head() {
        return Ok(Followed::Here(0));
    }
    let before = meta.entries;
    let caught_up = update::catch_up(&transaction, view, &mut meta)?;
    if caught_up == CaughtUp::Yes {
        transaction.commit()?;
        return Ok(Followed::Here(meta.entries - before));
    }
    drop(transaction);
    if ledger.view().map_err(Failure::Ledger)?.head() != view.head() {
        return Ok(Followed::Moved);
    }
    if caught_up == CaughtUp::TooMuch {
        return Ok(Followed::Unusable("more is new than it has".into()));
    }
    Ok(Followed::Unusable(
        "the branch does not go on from where it was: it was rewritten, or became part of another".into(),
    ))
}
