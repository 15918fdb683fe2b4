//! `git audit stats`

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::filters::{FilterArgs, StatusArg};
use super::listing::{ANSWER, Limit, Progress, WayArgs, limit};
use super::{Done, Session, local_time};
use crate::entry::stats::Grouping;
use crate::error::ExitStatus;
use crate::ops::query;
use crate::output::{Format, stats};

/// Count tasks, failures and how long they took, group by group
#[derive(Args)]
#[command(
    after_help = "A task that touched several services counts once for each. Days and weeks are the reader's own for people, \
and UTC's in json, jsonl and csv.

Examples:
  git audit stats
  git audit stats --by service --days 30
  git audit stats --by plan --plan nightly          # how often does this plan fail?
  git audit stats --by week --status failed --json"
)]
pub(super) struct StatsArgs {
    /// What to group by
    #[arg(long, value_name = "GROUPING", default_value = "status", value_parser = grouping(), help_heading = ANSWER)]
    by: Grouping,
    #[command(flatten)]
    status: StatusArg,
    #[command(flatten)]
    filters: FilterArgs,
    /// At most this many groups; `all` for every one
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit, help_heading = ANSWER)]
    limit: Limit,
    #[command(flatten)]
    way: WayArgs,
}

fn grouping() -> impl TypedValueParser<Value = Grouping> {
    PossibleValuesParser::new(Grouping::ALL.map(Grouping::as_str))
        .try_map(|word| Grouping::from_word(&word).ok_or("not a grouping"))
}

impl StatsArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let filter = self.filters.resolve(&self.status, session.context.place.clock.now())?;
        self.way.say_times(session, &filter);
        session.present();
        let is_human = session.printer.format == Format::Human;
        let day_of = |time: DateTime<Utc>| -> NaiveDate {
            if is_human { local_time(time).date_naive() } else { time.date_naive() }
        };
        let Session { context, messages, .. } = session;
        let mut progress = Progress::new(messages);
        let mut watch = |news| progress.tell(news);
        let outcome = query::stats(context, &filter, self.by, &day_of, self.way.no_index, &mut watch)?;
        stats::stats(&mut session.printer, self.by, &outcome, self.limit.0)?;
        session.printer.flush()?;
        session.say_what_it_rests_on(&outcome.warnings, &outcome.coverage);
        self.way.say_way(session, &outcome.way);
        let more = self.limit.0.map_or(0, |limit| outcome.groups.len().saturating_sub(limit));
        if more > 0 && session.printer.format != Format::Json {
            session.messages.note(&format!(
                "{} more {}; see them with `--limit all`",
                more,
                if more == 1 { "group" } else { "groups" }
            ));
        }
        if outcome.groups.is_empty() && session.printer.format != Format::Json {
            session.say_nothing_fits("tasks", &filter, outcome.coverage.entries);
        }
        Ok(ExitStatus::Done)
    }
}
