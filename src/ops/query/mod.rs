//! The questions that people ask: which entries, events, artifacts or steps fit, page by page, and how many.
//!
//! There are two ways to the same answer: [`walk`] goes through the history, which is the truth; [`indexed`] asks the
//! index, and is taken where it can be had. Entries that are handed over whole come from the ledger either way.

use std::fmt;

use super::{Context, Coverage, LoggedEntry};
use crate::entry::{Filter, Headline, Items, TaskId};
use crate::error::{Error, Result};
use crate::index::{Failure, Index};
use crate::ledger::{CommitId, Ledger, View};

mod indexed;
mod pager;
mod stats;
mod walk;

pub use crate::index::News;
pub use stats::{StatsOutcome, stats};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which entries.
    pub filter: Filter,
    /// Which of their items; `None`: the entries themselves.
    pub items: Option<Items>,
    /// Which part of the answer.
    pub page: Page,
    /// Say how many there are in all.
    pub count_all: bool,
    /// Hand over what a list shows of the entries, not the entries themselves.
    pub headlines: bool,
    /// Answer by the walk alone.
    pub no_index: bool,
}

/// A part of an answer.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// How many at most; `None`: all.
    pub limit: Option<usize>,
    /// How many to leave out first.
    pub offset: usize,
    /// Only what comes after this place.
    pub after: Option<Cursor>,
    /// Oldest first. Offset, limit and cursor count in that order.
    pub reverse: bool,
}

/// A place in an answer that stays where it is when entries arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The commit that added the entry.
    pub commit: CommitId,
    /// Its task: a commit that is not ours may have added several.
    pub task_id: TaskId,
    /// The item's position in the entry; 0 for the entry itself.
    pub position: u32,
}

const NO_CURSOR: &str = "not a cursor of an earlier answer";

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.commit, self.task_id, self.position)
    }
}

impl Cursor {
    /// Reads what [`Cursor`] displays.
    ///
    /// # Errors
    /// It is none; a sentence.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let parts: Vec<_> = text.split(':').collect();
        let [commit, task_id, position] = parts[..] else { return Err(NO_CURSOR.into()) };
        Ok(Self {
            commit: CommitId::parse(commit).ok_or(NO_CURSOR)?,
            task_id: TaskId::new(task_id)?,
            position: position.parse().map_err(|_| NO_CURSOR)?,
        })
    }
}

/// What was found, after the entries themselves were handed over.
#[derive(Debug)]
pub struct Answered {
    /// Items that fit; only up to the first one after the page when not all were counted.
    pub total: usize,
    /// The place after the last item of the page; `None` for an empty page.
    pub cursor: Option<Cursor>,
    /// There are items after the page.
    pub more: bool,
    /// What the answer rests on.
    pub coverage: Coverage,
    /// What the reader should know; each a sentence.
    pub warnings: Vec<String>,
    /// How it was found.
    pub way: Way,
}

/// How an answer was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the walk, as was asked.
    Walk,
    /// By the walk, because something is wrong with the index.
    WalkInstead(String),
    /// By the walk, because the ledger has gaps: what cannot be read cannot be indexed.
    WalkOverGaps,
    /// By the index, after so many entries were added to it.
    Index(u64),
}

/// An entry of the page.
#[derive(Debug)]
pub enum Found {
    /// The entry, and the positions of its items.
    Entry(Box<LoggedEntry>, Vec<u32>),
    /// What a list shows of it.
    Headline(Headline),
}

/// Takes an entry of the page.
pub type Each<'e> = dyn FnMut(Found) -> Result<()> + 'e;

/// Hands each entry of the page to `each`, in order.
///
/// # Errors
/// No ledger; the history cannot be read; the cursor is of another ledger; `each` failed.
pub fn run(
    context: &Context,
    query: &Query,
    watch: &mut dyn FnMut(News),
    each: &mut Each<'_>,
) -> Result<Answered> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let mut shown = Shown::default();
    let answered = answer(&ledger, &mut view, query.no_index, watch, |index, view, handed_over| {
        indexed::run(index, view, query, &mut shown, &mut |found| {
            *handed_over = true;
            each(found)
        })
    });
    let way = match answered {
        Ok(answered) => return answered,
        Err(way) => way,
    };
    if shown.last.is_none() {
        return walk::run(&mut view, query, each).map(|answered| Answered { way, ..answered });
    }
    // The walk goes on where the index had to be given up. The next query is to have a better one.
    let mut rest = query.clone();
    rest.page.limit = query.page.limit.map(|limit| limit.saturating_sub(shown.rows));
    rest.page.offset = 0;
    rest.page.after = shown.last.clone();
    let answered = walk::run(&mut view, &rest, each).map_err(|error| match (error, &way) {
        // The place is not of the reader's choice.
        (Error::Usage(_), Way::WalkInstead(why)) => Error::Index(why.clone()),
        (error, _) => error,
    })?;
    // Where that fails, the walk will answer again.
    if let Ok(mut view) = ledger.view() {
        drop(Index::rebuild(&ledger, &mut view, watch));
    }
    Ok(Answered {
        cursor: answered.cursor.or(shown.last),
        warnings: [shown.warnings, answered.warnings].concat(),
        way,
        ..answered
    })
}

/// What the reader has seen of an answer that did not come to its end.
#[derive(Default)]
struct Shown {
    rows: usize,
    last: Option<Cursor>,
    warnings: Vec<String>,
}

/// Asks the index, where that can be done. `Err`: the walk has to answer, or to go on.
fn answer<'l, A>(
    ledger: &'l Ledger,
    view: &mut View<'l>,
    no_index: bool,
    watch: &mut dyn FnMut(News),
    mut ask: impl FnMut(&Index, &mut View<'l>, &mut bool) -> std::result::Result<Result<A>, Failure>,
) -> std::result::Result<Result<A>, Way> {
    if no_index {
        return Err(Way::Walk);
    }
    let mut index = Index::current(ledger, view, watch);
    let mut is_rebuilt = false;
    loop {
        let open = index.map_err(|failure| match failure {
            Failure::Gaps => Way::WalkOverGaps,
            failure => Way::WalkInstead(failure.to_string()),
        })?;
        let mut handed_over = false;
        let failure = match ask(&open, view, &mut handed_over) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        // What does not agree with the ledger, or cannot be read, is built anew once.
        if handed_over || is_rebuilt || !failure.is_damage() {
            return Err(Way::WalkInstead(failure.to_string()));
        }
        watch(News::Rebuilding(format!("it is damaged ({failure})")));
        index = Index::rebuild(ledger, view, watch);
        is_rebuilt = true;
    }
}

/// What an answer rests on. A commit that was amended or squashed can hold entries that its message does not name.
fn coverage(
    view: &View<'_>,
    named: u64,
    held: Option<u64>,
    incomplete: Option<String>,
    unreadable: usize,
) -> Coverage {
    let unreadable = (unreadable > 0).then(|| format!("{unreadable} of the entries could not be read"));
    let unnamed = held.filter(|held| *held > named).map(|held| {
        format!("the ledger holds {held} entries, its commits name {named}: some commit was rewritten")
    });
    Coverage { head: view.head(), entries: named, incomplete: incomplete.or(unreadable).or(unnamed) }
}
