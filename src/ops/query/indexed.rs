//! Answering by the index.

use super::pager::Pager;
use super::walk::cursor_missing;
use super::{Answered, Cursor, Each, Found, Query, Shown, Way, coverage};
use crate::entry::Headline;
use crate::error::Result;
use crate::index::{Failure, Index, IndexedEntry, Question, Slice};
use crate::ledger::{Stored, View};
use crate::ops::{Coverage, LoggedEntry, RecordedIn};

/// Hands each entry of the page to `each`, in order. The outer error: the index could not answer.
pub(super) fn run(
    index: &Index,
    view: &mut View<'_>,
    query: &Query,
    shown: &mut Shown,
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
    // The place after which the page begins need not be among what the index finds.
    let begins_after = match page.after.as_ref().filter(|_| asks_entries) {
        None => None,
        Some(cursor) => match index.place_of(cursor.commit, cursor.task_id.as_str())? {
            None => return Ok(Err(cursor_missing())),
            place => place,
        },
    };
    let mut left = page.limit.filter(|_| !asks_entries);
    let mut stop = None;
    let mut more = false;
    let known = index.entries_of(question, &slice, &mut |found| {
        if begins_after.is_some_and(|at| if page.reverse { found.place < at } else { found.place > at }) {
            pager.arrive();
        }
        let taken = take(view, query, found, &mut pager, &mut left, asks_entries);
        match taken {
            Ok(Taken::Page(found, warning)) => {
                shown.warnings.extend(warning);
                shown.last.clone_from(&pager.last);
                shown.rows += if let Found::Entry(_, positions) = &found { positions.len() } else { 1 };
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
        None if !known => return Ok(Err(cursor_missing())),
        None => {}
    }
    let total = match (asks_entries, query.count_all) {
        // An empty page that does not begin at the beginning: was there anything before it?
        (false, false) if pager.last.is_some() || more => {
            page.offset.saturating_add(pager.total).saturating_add(usize::from(more))
        }
        (false, _) => usize::try_from(index.total(question)?).unwrap_or(usize::MAX),
        (true, _) => pager.total,
    };
    let mut warnings = std::mem::take(&mut shown.warnings);
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
    if found.task_id != entry.task_id.as_str() {
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
    run(index, view, query, &mut Shown::default(), &mut |found| match found {
        Found::Entry(entry, _) => each(&entry),
        Found::Headline(_) => Ok(()),
    })
}
