//! Answering by the index.

use super::pager::Pager;
use super::walk::cursor_missing;
use super::{Answered, Cursor, Each, Found, Query, Way, coverage};
use crate::entry::{Headline, TaskId};
use crate::error::Result;
use crate::index::{Failure, Index, IndexedEntry, Question, Slice};
use crate::ledger::{Stored, View};
use crate::ops::{Coverage, LoggedEntry, RecordedIn};

/// Hands each entry of the page to `each`, in order. The outer error: the index could not answer.
pub(super) fn run(
    index: &Index,
    view: &mut View<'_>,
    query: &Query,
    each: &mut Each<'_>,
) -> std::result::Result<Result<Answered>, Failure> {
    let question = Question { filter: &query.filter, items: query.items.as_ref() };
    let page = &query.page;
    // What the index does not know is asked of each entry that it finds; then the page is cut here, not there.
    let asks_entries = !query.filter.conditions.is_empty();
    let headlines = query.headlines && !asks_entries;
    let mut slice = Slice { reverse: page.reverse, headlines, ..Slice::default() };
    let whole = super::Page::default();
    let mut pager = Pager::new(if asks_entries { page } else { &whole });
    if !asks_entries {
        slice.after =
            page.after.as_ref().map(|cursor| (cursor.commit, cursor.task_id.as_str(), cursor.position));
        slice.offset = page.offset;
        // One more tells whether there is more.
        slice.limit = page.limit.map(|limit| limit.saturating_add(1));
    }
    let mut left = page.limit.filter(|_| !asks_entries);
    let mut warnings = Vec::new();
    let mut stop = None;
    let mut more = false;
    let known = index.entries_of(question, &slice, &mut |found| {
        let taken = take(view, query, found, &mut pager, &mut left, asks_entries);
        match taken {
            Ok(Taken::Page(found, warning)) => {
                warnings.extend(warning);
                if let Err(error) = each(found) {
                    stop = Some(Ok(error));
                }
            }
            Ok(Taken::Beside) => {}
            Ok(Taken::Beyond) => more = true,
            Err(failure) => stop = Some(Err(failure)),
        }
        stop.is_none() && !more && (query.count_all || !pager.is_done())
    })?;
    match stop {
        Some(Ok(error)) => return Ok(Err(error)),
        Some(Err(failure)) => return Err(failure),
        None if !known || pager.has_missed() => return Ok(Err(cursor_missing())),
        None => {}
    }
    let total = match (asks_entries, query.count_all) {
        (false, true) => usize::try_from(index.total(question)?).unwrap_or(usize::MAX),
        (false, false) if pager.total == 0 => usize::try_from(index.total(question)?).unwrap_or(usize::MAX),
        (false, false) => page.offset + pager.total + usize::from(more),
        (true, _) => pager.total,
    };
    warnings.extend(index.notes()?);
    let coverage = indexed_coverage(index, view);
    let way = Way::Index(index.added());
    Ok(Ok(Answered { total, cursor: pager.last, more: more || pager.more, coverage, warnings, way }))
}

/// What an answer of the index rests on.
pub(super) fn indexed_coverage(index: &Index, view: &View<'_>) -> Coverage {
    let incomplete = index.incomplete().map(str::to_owned);
    let held = incomplete.is_none().then(|| index.held());
    coverage(view, index.entries(), held, incomplete, 0)
}

/// What becomes of an entry that the index found.
enum Taken {
    /// It is on the page; something the reader should know about it.
    Page(Found, Option<String>),
    /// It is not.
    Beside,
    /// It comes after the page.
    Beyond,
}

fn take(
    view: &View<'_>,
    query: &Query,
    found: IndexedEntry,
    pager: &mut Pager<'_>,
    left: &mut Option<usize>,
    asks_entries: bool,
) -> std::result::Result<Taken, Failure> {
    let mut positions = found.positions.clone();
    if let Some(left) = left {
        positions.truncate(*left);
        *left -= positions.len();
    }
    if positions.is_empty() {
        return Ok(Taken::Beyond);
    }
    let beyond = positions.len() < found.positions.len();
    if let Some(headline) = found.headline {
        pager.pass(found.commit, headline.task_id.as_str(), &positions);
        pager.last = Some(Cursor { commit: found.commit, task_id: headline.task_id.clone(), position: 0 });
        return Ok(Taken::Page(Found::Headline(headline), found.warning));
    }
    let entry = load(view, &found)?;
    if asks_entries && !query.filter.admits_conditions(&entry.entry) {
        positions.clear();
    } else if !fits(query, &entry, &positions) {
        // The index is not the truth: what it says of an entry that is shown is compared with the entry.
        return Err(Failure::Wrong);
    }
    let task_id = entry.entry.task_id.clone();
    let positions = pager.pass(found.commit, task_id.as_str(), &positions).to_vec();
    pager.more |= beyond;
    let Some(last) = positions.last() else { return Ok(Taken::Beside) };
    pager.last = Some(Cursor { commit: found.commit, task_id, position: *last });
    let taken = if query.headlines {
        Found::Headline(Headline::of(&entry.entry))
    } else {
        Found::Entry(Box::new(entry), positions)
    };
    Ok(Taken::Page(taken, found.warning))
}

fn fits(query: &Query, found: &LoggedEntry, positions: &[u32]) -> bool {
    let Query { filter, items, .. } = query;
    filter.admits(&found.entry)
        && items.as_ref().is_none_or(|items| {
            let fitting = items.positions(filter, &found.entry);
            positions.iter().all(|position| fitting.contains(position))
        })
}

/// The entry itself, from the ledger.
fn load(view: &View<'_>, found: &IndexedEntry) -> std::result::Result<LoggedEntry, Failure> {
    let bytes = view.read_blob(found.blob).map_err(Failure::Ledger)?;
    let stored = Stored { path: found.path.clone(), bytes, blob: found.blob, warning: found.warning.clone() };
    let entry = stored.entry(None).map_err(|_| Failure::Wrong)?;
    if TaskId::new(&found.task_id).as_ref() != Ok(&entry.task_id) {
        return Err(Failure::Wrong);
    }
    let recorded = RecordedIn { commit: found.commit, recorded_at: found.recorded_at };
    Ok(LoggedEntry { entry, recorded: Some(recorded), stored })
}

/// Hands over every entry that fits, newest first. The outer error: the index could not answer.
pub(super) fn for_each(
    index: &Index,
    view: &mut View<'_>,
    query: &Query,
    each: &mut dyn FnMut(&LoggedEntry) -> Result<()>,
) -> std::result::Result<Result<Answered>, Failure> {
    run(index, view, query, &mut |found| match found {
        Found::Entry(entry, _) => each(&entry),
        Found::Headline(_) => Ok(()),
    })
}
