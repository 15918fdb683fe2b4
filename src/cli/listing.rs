//! What the commands that list have in common: which page, which fields, and how the answer is said to rest on what.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Done, Session, local_time};
use crate::entry::{Filter, Items};
use crate::error::{Error, ExitStatus, Result};
use crate::ops::Coverage;
use crate::ops::query::{self, Answered, Cursor, News, Page, Query, Way};
use crate::output::{Field, Format, List, ListPrinter, Messages, single};

/// A bar is only shown for what takes longer.
const BAR_AFTER: Duration = Duration::from_secs(1);

/// Which part of the answer, and what of it.
#[derive(Args)]
#[command(next_help_heading = ANSWER)]
pub(super) struct PageArgs {
    /// At most this many rows; `all` for every one
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: Limit,
    /// Leave out the first N rows
    #[arg(long, value_name = "N", default_value = "0")]
    offset: usize,
    /// Only what comes after the row that `cursor` of an earlier JSON answer names
    #[arg(long, value_name = "CURSOR", value_parser = after)]
    after: Option<After>,
    /// Print only how many rows there are
    #[arg(long)]
    count: bool,
    /// Oldest first; limit, offset and cursor count in that order
    #[arg(long)]
    reverse: bool,
    /// Show these fields, separated by commas: names as in the CSV header, or JSON pointers such as /metadata/ticket
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', conflicts_with = "count")]
    fields: Vec<String>,
    #[command(flatten)]
    way: WayArgs,
}

/// The heading of what does not choose tasks, but what is printed of the answer.
pub(super) const ANSWER: &str = "The answer";

/// How the answer is found.
#[derive(Args)]
#[command(next_help_heading = ANSWER)]
pub(super) struct WayArgs {
    /// Answer by walking the history; the index is neither read nor made
    #[arg(long)]
    pub no_index: bool,
    /// Say which times were meant, and how the answer was found
    #[arg(short, long)]
    pub verbose: bool,
}

/// The place after which the page begins; `None`: the beginning, which a program has before its first answer.
#[derive(Clone)]
struct After(Option<Cursor>);

fn after(text: &str) -> std::result::Result<After, String> {
    if text.is_empty() { Ok(After(None)) } else { Cursor::parse(text).map(|cursor| After(Some(cursor))) }
}

/// How many rows at most; `None`: all.
#[derive(Clone, Copy)]
pub(super) struct Limit(pub Option<usize>);

pub(super) fn limit(text: &str) -> std::result::Result<Limit, String> {
    match text {
        "all" => Ok(Limit(None)),
        number => number
            .parse()
            .map(|number| Limit(Some(number)))
            .map_err(|_| "expected a number or `all`".to_owned()),
    }
}

impl PageArgs {
    /// Answers with the entries that fit, or with their items. `hint`: what may help where there are none.
    pub fn list(
        self,
        session: &mut Session,
        list: List,
        filter: Filter,
        items: Option<Items>,
        hint: Option<String>,
    ) -> Done {
        let fields = self
            .fields
            .iter()
            .map(|field| Field::parse(list, field.trim()))
            .collect::<std::result::Result<Vec<_>, _>>();
        let fields = fields.map_err(Error::Usage)?;
        let twice = fields.iter().enumerate().find(|(at, field)| fields[..*at].contains(field));
        if let Some((_, field)) = twice {
            return Err(Error::Usage(format!("the field `{}` is named twice", field.name)));
        }
        self.way.say_times(session, &filter);
        let page = Page {
            limit: self.limit.0,
            offset: self.offset,
            after: self.after.and_then(|after| after.0),
            reverse: self.reverse,
        };
        let page = if self.count { Page { limit: Some(0), ..Page::default() } } else { page };
        let count_all = self.count || session.printer.format == Format::Json;
        // A table is filled from what the index knows; whole entries are read from the ledger.
        let headlines = list == List::Entries && session.printer.format == Format::Human && fields.is_empty();
        let query = Query { filter, items, page, count_all, headlines, no_index: self.way.no_index };
        if !self.count {
            session.present();
        }
        let Session { context, printer, messages, .. } = session;
        let mut progress = Progress::new(messages);
        let mut printer = ListPrinter::new(printer, list, Some(fields).filter(|fields| !fields.is_empty()));
        let answered =
            query::run(context, &query, &mut |news| progress.tell(news), &mut |found| printer.add(found))?;
        if !self.count {
            printer.end(&query.page, &answered)?;
        }
        drop(printer);
        if self.count {
            single::count(&mut session.printer, answered.total, &answered.coverage)?;
        }
        session.say_what_it_rests_on(&answered.warnings, &answered.coverage);
        self.way.say_way(session, &answered.way);
        if session.printer.format != Format::Json && !self.count {
            say_what_is_not_shown(session, list, &query, &answered)?;
            if let Some(hint) = hint.filter(|_| answered.total == 0) {
                session.messages.hint(&hint);
            }
        }
        Ok(ExitStatus::Done)
    }
}

impl WayArgs {
    /// With `-v`: the instants that the words for time stand for.
    pub fn say_times(&self, session: &mut Session, filter: &Filter) {
        let both = |time: DateTime<Utc>| {
            let data = crate::entry::Timestamp::from(time);
            format!("{data} ({})", local_time(time).format("%Y-%m-%d %H:%M:%S %:z"))
        };
        for (word, time) in [("from", filter.since), ("before", filter.before)] {
            if let Some(time) = time.filter(|_| self.verbose) {
                session.messages.note(&format!("tasks that ended {word} {}", both(time)));
            }
        }
    }

    /// With `-v`: how the answer was found. Without: only that the index could not be used.
    pub fn say_way(&self, session: &mut Session, way: &Way) {
        let text = match way {
            Way::WalkInstead(why) => {
                return session.messages.warning(&format!("answered without the index: {why}"));
            }
            Way::WalkOverGaps => "answered by walking the history: some entries cannot be read".to_owned(),
            Way::Walk => "answered by walking the history".to_owned(),
            Way::Index(0) => "answered by the index".to_owned(),
            Way::Index(added) => {
                let entries = usize::try_from(*added)
                    .map_or_else(|_| "many entries".into(), |added| counted(added, "entry"));
                format!("answered by the index, after adding {entries} to it")
            }
        };
        if self.verbose {
            session.messages.note(&text);
        }
    }
}

impl Session {
    /// Says what was passed over, and why the answer may lack something.
    pub fn say_what_it_rests_on(&mut self, warnings: &[String], coverage: &Coverage) {
        for warning in warnings {
            self.messages.warning(warning);
        }
        self.say_what_is_missing(coverage);
    }
}

/// A number of things, in words.
pub(super) fn counted(number: usize, one: &str) -> String {
    let many = one.strip_suffix('y').map_or_else(|| format!("{one}s"), |stem| format!("{stem}ies"));
    format!("{number} {}", if number == 1 { one } else { &many })
}

fn say_what_is_not_shown(
    session: &mut Session,
    list: List,
    query: &Query,
    answered: &Answered,
) -> Result<()> {
    let (total, rows, page) = (answered.total, list.plural(), &query.page);
    session.printer.flush()?;
    if total == 0 {
        session.say_nothing_fits(rows, &query.filter, answered.coverage.entries);
    } else if answered.cursor.is_none() && page.after.is_none() && page.limit != Some(0) {
        session.messages.note(&format!("only {total} {rows} match, all before --offset {}", page.offset));
    } else if let (true, Some(cursor)) = (answered.more, &answered.cursor) {
        let end = page.offset.saturating_add(page.limit.unwrap_or(0));
        let next = if page.after.is_some() { format!("--after {cursor}") } else { format!("--offset {end}") };
        session
            .messages
            .note(&format!("there are more: continue with `{next}`, or see all with `--limit all`"));
    }
    Ok(())
}

impl Session {
    /// Why an answer is empty, as far as that can be told.
    pub fn say_nothing_fits(&mut self, rows: &str, filter: &Filter, entries: u64) {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        if entries == 0 {
            return self.messages.note("the ledger has no entries yet");
        }
        let exactly = if filter.facets.is_empty() { "" } else { "; names are compared exactly" };
        let of = counted(entries, "entry");
        self.messages.note(&match rows {
            "entries" | "tasks" => format!("none of {of} match{exactly}"),
            rows => format!("no {rows} of {of} match{exactly}"),
        });
        if filter.tasks.len() == 1 {
            self.messages.hint(&format!(
                "run `git audit show {}` to see whether there is such a task",
                filter.tasks[0]
            ));
        }
    }
}

/// The index's news, on standard error.
pub(super) struct Progress<'m> {
    messages: &'m mut Messages,
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl<'m> Progress<'m> {
    pub fn new(messages: &'m mut Messages) -> Self {
        Self { messages, bar: None, begun: Instant::now() }
    }

    pub fn tell(&mut self, news: News) {
        match news {
            News::Rebuilding(reason) => self.messages.note(&format!("building the index anew: {reason}")),
            News::Read { entries, of } => {
                if self.bar.is_none() && self.begun.elapsed() > BAR_AFTER && io::stderr().is_terminal() {
                    self.bar = Some(bar(of));
                }
                if let Some(bar) = &self.bar {
                    bar.set_position(entries);
                }
            }
            News::Ended => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn bar(entries: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(entries), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template(
        "building the index {wide_bar} {human_pos} of {human_len} entries, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
