//! Counting what fits, group by group.

use chrono::{DateTime, NaiveDate, Utc};

use super::{Answered, Query, Way, answer, indexed, walk};
use crate::entry::stats::{Group, Grouping, Stats};
use crate::entry::{Entry, Facet, Filter};
use crate::error::Result;
use crate::index::{Failure, Index, News};
use crate::ledger::{Ledger, View};
use crate::ops::{Context, Coverage};

/// The groups, and what they rest on.
#[derive(Debug)]
pub struct StatsOutcome {
    /// All tasks together.
    pub all: Group,
    /// The groups in their order; `None`: tasks that have none.
    pub groups: Vec<(Option<String>, Group)>,
    /// What the answer rests on.
    pub coverage: Coverage,
    /// What the reader should know; each a sentence.
    pub warnings: Vec<String>,
    /// How it was found.
    pub way: Way,
}

/// Counts the entries that fit. `day_of`: the day of an instant, as the reader counts days.
///
/// # Errors
/// No ledger; the history cannot be read.
pub fn stats(
    context: &Context,
    filter: &Filter,
    grouping: Grouping,
    day_of: &dyn Fn(DateTime<Utc>) -> NaiveDate,
    no_index: bool,
    watch: &mut dyn FnMut(News),
) -> Result<StatsOutcome> {
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let query = Query { filter: filter.clone(), count_all: true, ..Query::default() };
    answer(&ledger, &mut view, no_index, watch, |index, view, _| {
        if !filter.conditions.is_empty() {
            let mut stats = Stats::by(grouping);
            let answered = indexed::for_each(index, view, &query, &mut |found| {
                count(&mut stats, grouping, day_of, &found.entry);
                Ok(())
            })?;
            return Ok(answered.map(|answered| outcome(stats, answered)));
        }
        by_columns(index, view, filter, grouping, day_of).map(Ok)
    })
    .unwrap_or_else(|way| {
        let mut stats = Stats::by(grouping);
        let answered = walk::for_each(&mut view, &query, &mut |found| {
            count(&mut stats, grouping, day_of, &found.entry);
            Ok(())
        })?;
        Ok(StatsOutcome { way, ..outcome(stats, answered) })
    })
}

/// What the index has in columns needs no entry to be read.
fn by_columns(
    index: &Index,
    view: &View<'_>,
    filter: &Filter,
    grouping: Grouping,
    day_of: &dyn Fn(DateTime<Utc>) -> NaiveDate,
) -> std::result::Result<StatsOutcome, Failure> {
    let mut stats = Stats::by(grouping);
    let mut warnings = index.count_groups(filter, grouping, day_of, &mut stats)?;
    warnings.extend(index.notes()?);
    let coverage = indexed::indexed_coverage(index, view);
    let (all, groups) = stats.finish();
    Ok(StatsOutcome { all, groups, coverage, warnings, way: Way::Index(index.added()) })
}

fn outcome(stats: Stats, answered: Answered) -> StatsOutcome {
    let (all, groups) = stats.finish();
    let Answered { coverage, warnings, way, .. } = answered;
    StatsOutcome { all, groups, coverage, warnings, way }
}

fn count(stats: &mut Stats, grouping: Grouping, day_of: &dyn Fn(DateTime<Utc>) -> NaiveDate, entry: &Entry) {
    let facet = match grouping {
        Grouping::Status => return stats.add([entry.status.as_str()], entry.status, entry.duration_ms()),
        Grouping::Day | Grouping::Week => {
            let day = grouping.of_day(day_of(entry.timestamp.utc()));
            return stats.add([day.as_str()], entry.status, entry.duration_ms());
        }
        Grouping::Service => Facet::Service,
        Grouping::Agent => Facet::Agent,
        Grouping::Plan => Facet::Plan,
        Grouping::Intent => Facet::Intent,
    };
    let values = facet.values(entry);
    stats.add(values.iter().map(AsRef::as_ref), entry.status, entry.duration_ms());
}
