//! Bringing the index to a commit: by walking what is new, or everything.

use std::sync::mpsc;

use rusqlite::{Connection, params};

use super::fill::Filler;
use super::meta::Meta;
use super::rows::EntryRows;
use super::schema::{self, PLACES_PER_WALK};
use super::{Failure, News, Watch};
use crate::error::{Error, Result};
use crate::ledger::{CommitId, History, Recorded, View, changed_since};

/// Rows that wait for the database while the next ones are read.
const ROWS_AHEAD: usize = 512;
/// Entries between two words of progress.
const PROGRESS_STEP: u64 = 500;

/// What the walk gives.
enum Step {
    Entry(Box<EntryRows>),
    /// An entry that cannot be read, and why.
    Unreadable(CommitId, String),
}

/// Fills an empty database with the whole history.
pub fn build(
    connection: &mut Connection,
    view: &mut View<'_>,
    mut meta: Meta,
    watch: &mut Watch<'_>,
) -> std::result::Result<(), Failure> {
    schema::create(connection)?;
    connection.execute_batch("BEGIN")?;
    meta.held = view.count()?;
    let mut history = view.history()?;
    // One thread reads and parses, the other writes.
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(ROWS_AHEAD);
        let database = &mut *connection;
        let writer = scope.spawn(move || write_all(database, &receiver));
        let walked = walk(&mut history, view, |step, count| {
            if count % PROGRESS_STEP == 0 {
                watch(News::Read { entries: count, of: meta.held });
            }
            // A writer that has stopped says why itself.
            sender.send(step).is_ok()
        });
        drop(sender);
        writer.join().unwrap_or(Err(Failure::Stopped))?;
        walked.map_err(Failure::from)
    })?;
    meta.entries = history.entries();
    meta.head = view.head();
    meta.incomplete = history.incomplete().map(str::to_owned);
    save_notes(connection, &history)?;
    meta.save(connection)?;
    Meta::save_names(connection)?;
    schema::complete(connection)?;
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// Adds what is new. `Ok(false)`: the history does not lead to what the index has; nothing can be added then. The
/// caller begins, and commits or rolls back.
pub fn catch_up(
    connection: &Connection,
    view: &mut View<'_>,
    meta: &mut Meta,
) -> std::result::Result<bool, Failure> {
    let Some(from) = meta.head else { return Ok(false) };
    let first: i64 = connection.query_row("SELECT coalesce(min(p), 0) FROM entries", [], |row| row.get(0))?;
    let mut place = (first.div_euclid(PLACES_PER_WALK) - 1) * PLACES_PER_WALK;
    let mut filler = Filler::new(connection, false)?;
    let mut history = view.history_since(from)?;
    let mut failed = None;
    walk(&mut history, view, |step, _| {
        let done = match &step {
            Step::Entry(rows) => filler.add(place, rows),
            Step::Unreadable(commit, why) => add_unreadable(connection, *commit, why),
        };
        place += 1;
        failed = done.err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !history.has_met_end() {
        return Ok(false);
    }
    follow_changes(connection, view, from, meta)?;
    meta.entries += history.entries();
    meta.head = view.head();
    meta.incomplete = history.incomplete().map(str::to_owned).or(meta.incomplete.take());
    save_notes(connection, &history)?;
    meta.save(connection)?;
    Ok(true)
}

/// Hands over every entry of the walk as rows, with the number of entries so far, until `each` has enough.
fn walk(
    history: &mut History<'_>,
    view: &mut View<'_>,
    mut each: impl FnMut(Step, u64) -> bool,
) -> Result<()> {
    let mut count = 0;
    for recorded in history.by_ref() {
        let recorded = recorded?;
        count += 1;
        let step = match view.load_entry(&recorded) {
            Ok((stored, entry)) => Step::Entry(Box::new(EntryRows::new(&recorded, stored, entry))),
            Err(why) => Step::Unreadable(recorded.commit, why.to_string()),
        };
        if !each(step, count) {
            break;
        }
    }
    Ok(())
}

fn write_all(connection: &mut Connection, steps: &mpsc::Receiver<Step>) -> std::result::Result<(), Failure> {
    let mut filler = Filler::new(connection, true)?;
    for (place, step) in (0_i64..).zip(steps) {
        match step {
            Step::Entry(rows) => filler.add(place, &rows)?,
            Step::Unreadable(commit, why) => add_unreadable(connection, commit, &why)?,
        }
    }
    Ok(filler.finish()?)
}

fn add_unreadable(connection: &Connection, commit: CommitId, why: &str) -> rusqlite::Result<()> {
    let added = connection.execute("INSERT INTO unreadable VALUES (?1, ?2)", params![commit.as_bytes(), why]);
    added.map(drop)
}

fn save_notes(connection: &Connection, history: &History<'_>) -> rusqlite::Result<()> {
    history
        .warnings()
        .iter()
        .try_for_each(|note| connection.execute("INSERT INTO notes VALUES (?1)", [note]).map(drop))
}

/// Notes which entries the tip does not show any more as they were recorded, and which it shows again.
fn follow_changes(
    connection: &Connection,
    view: &View<'_>,
    from: CommitId,
    meta: &mut Meta,
) -> std::result::Result<(), Failure> {
    let mut entries = connection
        .prepare("SELECT p, commit_id, blob_id, warning FROM entries WHERE task_id = ?1 COLLATE NOCASE")?;
    let mut mark = connection.prepare("UPDATE entries SET warning = ?2 WHERE p = ?1")?;
    let mut failed = Ok(());
    view.changes_since(from, &mut |change| {
        match (change.before, change.after) {
            (None, Some(_)) => meta.held += 1,
            (Some(_), None) => meta.held = meta.held.saturating_sub(1),
            _ => {}
        }
        let task_id = change.task_id.as_str();
        let mut update = || -> rusqlite::Result<()> {
            let mut rows = entries.query([task_id])?;
            while let Some(row) = rows.next()? {
                let (place, warning): (i64, Option<String>) = (row.get(0)?, row.get(3)?);
                let Some(commit) = CommitId::from_bytes(row.get_ref(1)?.as_blob()?) else { continue };
                let said = changed_since(task_id, commit);
                let is_shown = change.after.is_some_and(|after| {
                    row.get_ref(2).is_ok_and(|blob| blob.as_blob() == Ok(after.as_bytes()))
                });
                match warning {
                    None if !is_shown => mark.execute(params![place, said])?,
                    Some(warning) if is_shown && warning == said => {
                        mark.execute(params![place, None::<String>])?
                    }
                    _ => 0,
                };
            }
            Ok(())
        };
        if failed.is_ok() {
            failed = update();
        }
    })?;
    Ok(failed?)
}

/// Whether an entry that could not be read can be read now: a partial clone may have fetched it.
pub fn is_readable_now(connection: &Connection, view: &mut View<'_>) -> std::result::Result<bool, Failure> {
    let mut statement = connection.prepare("SELECT commit_id FROM unreadable")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(commit) = CommitId::from_bytes(row.get_ref(0)?.as_blob().unwrap_or_default()) else {
            continue;
        };
        let recorded: Option<Recorded> = view.recorded_in(commit)?;
        if recorded.is_some_and(|recorded| view.load_entry(&recorded).is_ok()) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}
