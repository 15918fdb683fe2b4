//! `git audit log`: the history, filtered.

use std::collections::VecDeque;

use super::{Context, Coverage, LoggedEntry};
use crate::entry::message::Verdict;
use crate::entry::{Filter, TaskId};
use crate::error::Result;
use crate::ledger::{Ledger, Recorded, Stored, View};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Which entries.
    pub filter: Filter,
    /// How many of them at most; `None`: all.
    pub limit: Option<usize>,
    /// How many to leave out first.
    pub offset: usize,
    /// Oldest first. Offset and limit count in that order.
    pub reverse: bool,
    /// Walk on after the page is full, to know how many there are in all.
    pub count_all: bool,
}

/// What the walk found, after the entries themselves were handed over.
#[derive(Debug)]
pub struct LogOutcome {
    /// Entries that the filter admits; only up to the first one after the page when not all were counted.
    pub total: usize,
    /// What the answer rests on.
    pub coverage: Coverage,
    /// What the reader should know; each a sentence.
    pub warnings: Vec<String>,
}

/// Hands each entry of the page to `each`, in order.
///
/// # Errors
/// No ledger; the history cannot be read; `each` failed.
pub fn run(
    context: &Context,
    options: &LogOptions,
    each: &mut dyn FnMut(LoggedEntry) -> Result<()>,
) -> Result<LogOutcome> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let mut history = view.history()?;
    let mut page = Page { options, view: &mut view, each, warnings: Vec::new(), unreadable: 0 };
    let mut total = 0;
    let mut walked_all = true;
    let page_end = options.limit.map_or(usize::MAX, |limit| options.offset.saturating_add(limit));
    let mut oldest = VecDeque::new();

    while let Some(recorded) = history.next().transpose()? {
        let Some(recorded) = page.admit(recorded)? else { continue };
        total += 1;
        if options.reverse {
            oldest.push_back(recorded);
            if oldest.len() > page_end {
                oldest.pop_front();
            }
        } else if total > options.offset && total <= page_end {
            page.hand_over(&recorded)?;
        } else if total > page_end && !options.count_all {
            walked_all = false;
            break;
        }
    }
    for recorded in oldest.iter().rev().skip(options.offset) {
        page.hand_over(recorded)?;
    }

    let Page { mut warnings, unreadable, .. } = page;
    warnings.extend(history.warnings().iter().cloned());
    let unreadable = (unreadable > 0).then(|| format!("{unreadable} of the entries could not be read"));
    let incomplete = history.incomplete().map(str::to_owned).or(unreadable);
    let unnamed =
        if walked_all && incomplete.is_none() { unnamed(&mut view, history.entries())? } else { None };
    let incomplete = incomplete.or(unnamed);
    let coverage = Coverage { head: view.head(), entries: history.entries(), incomplete };
    Ok(LogOutcome { total, coverage, warnings })
}

/// A commit that was amended or squashed can hold entries that its message does not name.
fn unnamed(view: &mut View<'_>, named: u64) -> Result<Option<String>> {
    let held = view.count()?;
    let text =
        || format!("the ledger holds {held} entries, its commits name {named}: some commit was rewritten");
    Ok((held > named).then(text))
}

struct Page<'p, 'r> {
    options: &'p LogOptions,
    view: &'p mut View<'r>,
    each: &'p mut dyn FnMut(LoggedEntry) -> Result<()>,
    warnings: Vec<String>,
    unreadable: usize,
}

impl Page<'_, '_> {
    fn admit(&mut self, recorded: Recorded) -> Result<Option<Recorded>> {
        let admitted = match self.options.filter.judge(&recorded.summary()?) {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::ReadEntry => {
                self.load(&recorded)?.is_some_and(|found| self.options.filter.admits(&found.entry))
            }
        };
        Ok(admitted.then_some(recorded))
    }

    fn hand_over(&mut self, recorded: &Recorded) -> Result<()> {
        let Some(found) = self.load(recorded)? else { return Ok(()) };
        self.warnings.extend(found.stored.warning.clone());
        (self.each)(found)
    }

    /// An entry that cannot be read is a warning, not the end: the rest of the answer is still wanted.
    fn load(&mut self, recorded: &Recorded) -> Result<Option<LoggedEntry>> {
        let summary = recorded.summary()?;
        if TaskId::new(summary.task_id).is_err() {
            self.warnings
                .push(format!("commit {} names a task id that cannot be one", recorded.commit.short()));
            self.unreadable += 1;
            return Ok(None);
        }
        let readable = |stored: Stored| match stored.entry(Some(summary.timestamp)) {
            Ok(entry) => Ok(LoggedEntry { entry, recorded: Some(recorded.clone()), stored }),
            Err(invalid) => Err(format!(
                "{} (commit {}) is not a valid entry: {invalid}",
                stored.path,
                recorded.commit.short()
            )),
        };
        match self.view.load(recorded).map_err(|error| error.to_string()).and_then(readable) {
            Ok(found) => Ok(Some(found)),
            Err(warning) => {
                self.warnings.push(warning);
                self.unreadable += 1;
                Ok(None)
            }
        }
    }
}
