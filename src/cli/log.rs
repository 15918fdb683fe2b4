//! `git audit log`

use clap::Args;

use super::filters::FilterArgs;
use super::{Done, Session};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::log::{LogOptions, LogOutcome};
use crate::output::{Format, LogPrinter, single};

/// List recorded tasks, the last recorded first
#[derive(Args)]
#[command(after_help = "Examples:
  git audit log --status failed --days 7
  git audit log --service billing --service ledger --since monday
  git audit log --agent agent-07 --limit 20 --offset 20
  git audit log --status failed --count
  git audit log --limit all --format csv > tasks.csv")]
pub(super) struct LogArgs {
    #[command(flatten)]
    filters: FilterArgs,
    /// At most this many entries; `all` for every one
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: Limit,
    /// Leave out the first N entries
    #[arg(long, value_name = "N", default_value = "0")]
    offset: usize,
    /// Print only how many entries there are
    #[arg(long)]
    count: bool,
    /// Oldest first; limit and offset count in that order
    #[arg(long)]
    reverse: bool,
}

#[derive(Clone, Copy)]
struct Limit(Option<usize>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "all" => Ok(Limit(None)),
        number => number
            .parse()
            .map(|number| Limit(Some(number)))
            .map_err(|_| "expected a number or `all`".to_owned()),
    }
}

impl LogArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let filter = self.filters.resolve(session.context.place.clock.now())?;
        let (limit, offset) = if self.count { (Some(0), 0) } else { (self.limit.0, self.offset) };
        let count_all = self.count || session.printer.format == Format::Json;
        if !self.count {
            session.present();
        }
        let options = LogOptions { filter, limit, offset, reverse: self.reverse, count_all };
        let mut list = LogPrinter::new(&mut session.printer);
        let outcome = ops::log::run(&session.context, &options, &mut |entry| list.entry(entry))?;
        if !self.count {
            list.end(&options, &outcome)?;
        }
        drop(list);
        if self.count {
            single::count(&mut session.printer, outcome.total, &outcome.coverage)?;
        }
        for warning in &outcome.warnings {
            session.messages.warning(warning);
        }
        session.say_what_is_missing(&outcome.coverage);
        if session.printer.format != Format::Json && !self.count {
            say_what_is_not_shown(session, &options, &outcome)?;
        }
        Ok(ExitStatus::Done)
    }
}

fn say_what_is_not_shown(
    session: &mut Session,
    options: &LogOptions,
    outcome: &LogOutcome,
) -> Result<(), crate::Error> {
    let total = outcome.total;
    session.printer.flush()?;
    let end = options.limit.map(|limit| options.offset.saturating_add(limit));
    if outcome.coverage.entries == 0 {
        session.messages.note("the ledger has no entries yet");
    } else if total == 0 {
        session
            .messages
            .note(&format!("none of {} entries match; names are compared exactly", outcome.coverage.entries));
    } else if total <= options.offset {
        session.messages.note(&format!("only {total} entries match, all before --offset {}", options.offset));
    } else if let Some(end) = end.filter(|end| *end < total && *end > options.offset) {
        session
            .messages
            .note(&format!("there are more: continue with `--offset {end}`, or see all with `--limit all`"));
    }
    Ok(())
}
