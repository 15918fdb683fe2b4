//! Bringing the index to a commit: by walking what is new, or everything.

use std::collections::BTreeSet;
use std::sync::mpsc;

use rusqlite::{Connection, OptionalExtension, params};

use super::fill::Filler;
use super::meta::Meta;
use super::rows::EntryRows;
use super::schema::{self, PLACES_PER_WALK};
use super::{Failure, News, Watch};
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::ledger::{CommitId, History, Recorded, Stored, View};

/// Entries that are handed to the writer at a time, so that neither thread wakes the other for each, and how often that
/// many may wait.
const BATCH_ENTRIES: usize = 256;
const BATCHES_AHEAD: usize = 16;
/// Entries between two words of progress.
const PROGRESS_STEP: u64 = 500;

/// What the walk gives.
enum Step {
    Entry(Box<(Recorded, Stored, Entry)>),
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
        let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
        // What was made by one thread is freed by it: the other would wait for the allocator.
        let (returning, used) = mpsc::channel();
        let database = &mut *connection;
        let writer = scope.spawn(move || write_all(database, &receiver, &returning));
        let mut batch = Vec::new();
        let walked = walk(&mut history, view, |step, count| {
            if count % PROGRESS_STEP == 0 {
                watch(News::Read { entries: count, of: meta.held });
            }
            batch.push(step);
            if batch.len() == BATCH_ENTRIES {
                used.try_iter().for_each(drop);
            }
            // A writer that has stopped says why itself.
            batch.len() < BATCH_ENTRIES || sender.send(std::mem::take(&mut batch)).is_ok()
        });
        _ = sender.send(batch);
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

/// What became of catching up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CaughtUp {
    /// The index is at the view's commit.
    Yes,
    /// More is new than old: building anew takes less time.
    TooMuch,
    /// The history does not lead to what the index has.
    Astray,
}

/// New entries that are added whatever the index has.
const FEW: u64 = 1000;

/// Adds what is new. The caller begins, and commits or, where it did not come to its end, rolls back.
pub fn catch_up(
    connection: &Connection,
    view: &mut View<'_>,
    meta: &mut Meta,
) -> std::result::Result<CaughtUp, Failure> {
    let Some(from) = meta.head else { return Ok(CaughtUp::Astray) };
    let most = meta.entries.max(FEW);
    let first: i64 = connection.query_row("SELECT coalesce(min(p), 0) FROM entries", [], |row| row.get(0))?;
    let mut place = (first.div_euclid(PLACES_PER_WALK) - 1) * PLACES_PER_WALK;
    let mut filler = Filler::new(connection, false)?;
    let mut history = view.history_since(from)?;
    let mut failed = None;
    let mut is_too_much = false;
    walk(&mut history, view, |step, count| {
        is_too_much = count > most;
        let done = match &step {
            Step::Entry(read) => filler.add(place, &rows(read)),
            Step::Unreadable(commit, why) => add_unreadable(connection, *commit, why),
        };
        place += 1;
        failed = done.err();
        failed.is_none() && !is_too_much
    })?;
    filler.finish()?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if is_too_much {
        return Ok(CaughtUp::TooMuch);
    }
    if !history.has_met_end() {
        return Ok(CaughtUp::Astray);
    }
    follow_changes(connection, view, from, first, meta)?;
    meta.entries += history.entries();
    meta.head = view.head();
    meta.incomplete = history.incomplete().map(str::to_owned).or(meta.incomplete.take());
    save_notes(connection, &history)?;
    meta.save(connection)?;
    Ok(CaughtUp::Yes)
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
            Ok((stored, entry)) => Step::Entry(Box::new((recorded, stored, entry))),
            Err(why) => Step::Unreadable(recorded.commit, why.to_string()),
        };
        if !each(step, count) {
            break;
        }
    }
    Ok(())
}

fn write_all(
    connection: &mut Connection,
    batches: &mpsc::Receiver<Vec<Step>>,
    used: &mpsc::Sender<Vec<Step>>,
) -> std::result::Result<(), Failure> {
    let mut filler = Filler::new(connection, true)?;
    let mut place = 0;
    for batch in batches {
        for step in &batch {
            match step {
                Step::Entry(read) => filler.add(place, &rows(read))?,
                Step::Unreadable(commit, why) => add_unreadable(connection, *commit, why)?,
            }
            place += 1;
        }
        // Whoever does not take it any more has ended.
        _ = used.send(batch);
    }
    Ok(filler.finish()?)
}

fn rows((recorded, stored, entry): &(Recorded, Stored, Entry)) -> EntryRows<'_> {
    EntryRows::new(recorded, stored, entry)
}

fn add_unreadable(connection: &Connection, commit: CommitId, why: &str) -> rusqlite::Result<()> {
    let added = connection.execute("INSERT INTO unreadable VALUES (?1, ?2)", params![commit.as_bytes(), why]);
    added.map(drop)
}

fn save_notes(connection: &Connection, history: &History<'_>) -> rusqlite::Result<()> {
    // The newest first, as the walk has them: what is added later goes before.
    let mut add = connection
        .prepare("INSERT INTO notes(rowid, note) SELECT coalesce(min(rowid), 0) - 1, ?1 FROM notes")?;
    history.warnings().iter().rev().try_for_each(|note| add.execute([note]).map(drop))
}

/// Notes which of the earlier entries, from place `first` on, the tip does not show any more as they were recorded, which
/// it shows again, and where.
fn follow_changes(
    connection: &Connection,
    view: &mut View<'_>,
    from: CommitId,
    first: i64,
    meta: &mut Meta,
) -> std::result::Result<(), Failure> {
    let mut changed = BTreeSet::new();
    view.changes_since(from, &mut |change| {
        match (change.before, change.after) {
            (None, Some(_)) => meta.held += 1,
            (Some(_), None) => meta.held = meta.held.saturating_sub(1),
            _ => {}
        }
        changed.insert(change.task_id);
    })?;
    let mut entries =
        connection.prepare("SELECT p, commit_id FROM entries WHERE task_id = ?1 AND p >= ?2")?;
    let mut mark = connection.prepare("UPDATE entries SET warning = ?2, path = ?3 WHERE p = ?1")?;
    for task_id in changed {
        let mut rows = entries.query(params![task_id.as_str(), first])?;
        while let Some(row) = rows.next()? {
            let place: i64 = row.get(0)?;
            let commit = CommitId::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default());
            let recorded = view.recorded_in(commit.ok_or(Failure::Wrong)?, Some(&task_id))?;
            if let Some(recorded) = recorded {
                let (stored, _) = view.load_entry(&recorded)?;
                mark.execute(params![place, stored.warning, stored.path])?;
            }
        }
    }
    Ok(())
}

/// Whether an entry that could not be read can be read now: a partial clone may have fetched it. The first stands for
/// all: meanwhile the walk answers.
pub fn is_readable_now(connection: &Connection, view: &mut View<'_>) -> std::result::Result<bool, Failure> {
    let first =
        connection.query_row("SELECT commit_id FROM unreadable LIMIT 1", [], |row| row.get::<_, Vec<u8>>(0));
    let commit = first.optional()?.and_then(|id| CommitId::from_bytes(&id));
    let recorded = commit.map(|commit| view.recorded_in(commit, None)).transpose()?.flatten();
    Ok(recorded.is_some_and(|recorded| view.load_entry(&recorded).is_ok()))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}
