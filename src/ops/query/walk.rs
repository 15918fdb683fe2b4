//! Answering by the walk through the history: newest first, reading an entry only where the commit's message cannot
//! tell.

use std::collections::VecDeque;

use super::pager::Pager;
use super::{Answered, Cursor, Each, Found, Query, Way, coverage};
use crate::entry::message::Verdict;
use crate::entry::{Headline, TaskId};
use crate::error::{Error, Result};
use crate::ledger::{Recorded, View, says_otherwise};
use crate::ops::LoggedEntry;

/// Hands each entry of the page to `each`, in order.
pub(super) fn run(view: &mut View<'_>, query: &Query, each: &mut Each<'_>) -> Result<Answered> {
    let mut history = view.history()?;
    let mut reader = Reader { query, view, warnings: Vec::new(), unreadable: 0 };
    let mut pager = Pager::new(&query.page);
    let mut walked_all = true;
    let mut oldest = Oldest::new(query);
    while let Some(recorded) = history.next().transpose()? {
        let judged = reader.judge(recorded)?;
        if query.page.reverse {
            oldest.push(judged);
            continue;
        }
        reader.hand_over(&mut pager, &judged, each)?;
        if pager.is_done() && !query.count_all {
            walked_all = false;
            break;
        }
    }
    for judged in oldest.judged.iter().rev() {
        reader.hand_over(&mut pager, judged, each)?;
    }
    if pager.has_missed() {
        return Err(cursor_missing());
    }

    let Reader { mut warnings, unreadable, .. } = reader;
    warnings.extend(history.warnings().iter().cloned());
    let incomplete = history.incomplete().map(str::to_owned);
    let is_whole = walked_all && incomplete.is_none() && unreadable == 0;
    let held = if is_whole { Some(view.count()?) } else { None };
    Ok(Answered {
        total: pager.total + oldest.dropped,
        cursor: pager.last,
        more: pager.more || oldest.dropped > 0,
        coverage: coverage(view, history.entries(), held, incomplete, unreadable),
        warnings,
        way: Way::Walk,
    })
}

pub(super) fn cursor_missing() -> Error {
    Error::Usage(
        "--after names no entry of this ledger: its history was rewritten, or the cursor is of another one"
            .into(),
    )
}

/// An entry of the history, and which of its items fit.
struct Judged {
    recorded: Recorded,
    positions: Vec<u32>,
}

/// What is needed of the walk to begin at its end.
struct Oldest {
    judged: VecDeque<Judged>,
    items: usize,
    /// Newer items that are on no page, so that they need not be kept.
    dropped: usize,
    /// Items that the page can reach.
    most: Option<usize>,
}

impl Oldest {
    fn new(query: &Query) -> Self {
        let page = &query.page;
        // With a cursor it is not known how far back the page begins.
        let most = page.limit.filter(|_| page.after.is_none()).map(|limit| page.offset.saturating_add(limit));
        Self { judged: VecDeque::new(), items: 0, dropped: 0, most }
    }

    fn push(&mut self, judged: Judged) {
        if judged.positions.is_empty() && self.most.is_some() {
            return;
        }
        self.items += judged.positions.len();
        self.judged.push_back(judged);
        while let (Some(most), Some(newest)) = (self.most, self.judged.front())
            && self.items - newest.positions.len() >= most
        {
            self.items -= newest.positions.len();
            self.dropped += newest.positions.len();
            self.judged.pop_front();
        }
    }
}

struct Reader<'w, 'r> {
    query: &'w Query,
    view: &'w mut View<'r>,
    warnings: Vec<String>,
    unreadable: usize,
}

impl Reader<'_, '_> {
    fn judge(&mut self, recorded: Recorded) -> Result<Judged> {
        let Query { filter, items, .. } = self.query;
        let positions = match (filter.judge(&recorded.summary()?), items) {
            (Verdict::No, _) => Vec::new(),
            (Verdict::Yes, None) => vec![0],
            (_, items) => {
                let found = self.load(&recorded).filter(|found| filter.admits(&found.entry));
                found.map_or_else(Vec::new, |found| match items {
                    None => vec![0],
                    Some(items) => items.positions(filter, &found.entry),
                })
            }
        };
        Ok(Judged { recorded, positions })
    }

    fn hand_over(&mut self, pager: &mut Pager<'_>, judged: &Judged, each: &mut Each<'_>) -> Result<()> {
        let Judged { recorded, positions } = judged;
        if positions.is_empty() && !pager.has_missed() {
            return Ok(());
        }
        let summary = recorded.summary()?;
        let positions = pager.pass(recorded.commit, summary.task_id, positions);
        let Some(last) = positions.last() else { return Ok(()) };
        // The place is known, whether or not the entry can be read.
        if let Ok(task_id) = TaskId::new(summary.task_id) {
            pager.last = Some(Cursor { commit: recorded.commit, task_id, position: *last });
        }
        let Some(found) = self.load(recorded) else { return Ok(()) };
        let fits = self.query.filter.admits(&found.entry);
        let warning = found.stored.warning.clone();
        let lies = (!fits).then(|| says_otherwise(&found.entry, recorded.commit));
        self.warnings.extend(warning.or(lies));
        if !fits {
            return Ok(());
        }
        each(match self.query.headlines {
            true => Found::Headline(Headline::of(&found.entry)),
            false => Found::Entry(Box::new(found), positions.to_vec()),
        })
    }

    /// An entry that cannot be read is a warning, not the end: the rest of the answer is still wanted.
    fn load(&mut self, recorded: &Recorded) -> Option<LoggedEntry> {
        match self.view.load_entry(recorded) {
            Ok((stored, entry)) => Some(LoggedEntry { entry, recorded: Some(recorded.into()), stored }),
            Err(error) => {
                self.warnings.push(error.to_string());
                self.unreadable += 1;
                None
            }
        }
    }
}

/// Hands over every entry that fits, newest first, and says what that rests on.
pub(super) fn for_each(
    view: &mut View<'_>,
    query: &Query,
    each: &mut dyn FnMut(&LoggedEntry) -> Result<()>,
) -> Result<Answered> {
    run(view, query, &mut |found| match found {
        Found::Entry(entry, _) => each(&entry),
        Found::Headline(_) => Ok(()),
    })
}
