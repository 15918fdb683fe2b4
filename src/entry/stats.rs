//! Counting: how many tasks, how many of them failed, how long they took, by what they have in common.

use std::collections::HashMap;

use chrono::{Datelike, NaiveDate};

use super::Status;

/// What tasks are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// How the task ended.
    Status,
    /// Each service that it touched; a task counts once for each.
    Service,
    /// Its agent.
    Agent,
    /// Its plan.
    Plan,
    /// Its intent.
    Intent,
    /// The day on which it ended.
    Day,
    /// The week in which it ended, from Monday.
    Week,
}

impl Grouping {
    /// Every grouping.
    pub const ALL: [Self; 7] =
        [Self::Status, Self::Service, Self::Agent, Self::Plan, Self::Intent, Self::Day, Self::Week];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Service => "service",
            Self::Agent => "agent",
            Self::Plan => "plan",
            Self::Intent => "intent",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// The grouping of that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grouping| grouping.as_str() == word)
    }

    /// The group of a task that ended on `day`: the day, or its week's Monday.
    pub fn of_day(self, day: NaiveDate) -> String {
        let monday = || day - chrono::Days::new(u64::from(day.weekday().num_days_from_monday()));
        (if self == Self::Week { monday() } else { day }).to_string()
    }
}

/// What is known of the tasks of one group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    by_status: [u64; Status::ALL.len()],
    durations_ms: Vec<u64>,
}

impl Group {
    /// How many tasks there are.
    pub fn total(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// How many of them ended so.
    pub fn ended(&self, status: Status) -> u64 {
        self.by_status[status as usize]
    }

    /// The part of all tasks that failed, from 0 to 1.
    pub fn failure_rate(&self) -> f64 {
        ratio(self.ended(Status::Failed), self.total())
    }

    /// The duration, in milliseconds, that `percent` of the tasks did not exceed (nearest rank); `None` where no task
    /// says how long it took. [`Stats::finish`] has sorted them.
    pub fn percentile_ms(&self, percent: usize) -> Option<u64> {
        let rank = (self.durations_ms.len() * percent).div_ceil(100);
        self.durations_ms.get(rank.saturating_sub(1)).copied()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The groups.
#[derive(Debug)]
pub struct Stats {
    grouping: Grouping,
    groups: HashMap<Option<String>, Group>,
    all: Group,
}

impl Stats {
    /// No task yet.
    pub fn by(grouping: Grouping) -> Self {
        Self { grouping, groups: HashMap::new(), all: Group::default() }
    }

    /// Counts a task. `keys`: its groups; a task without any is in the group `None`.
    pub fn add<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k str>,
        status: Status,
        duration_ms: Option<u64>,
    ) {
        let mut named = false;
        for key in keys {
            named = true;
            count(self.groups.entry(Some(key.to_owned())).or_default(), status, duration_ms);
        }
        if !named {
            count(self.groups.entry(None).or_default(), status, duration_ms);
        }
        count(&mut self.all, status, duration_ms);
    }

    /// All tasks together, and the groups: statuses in their order, days and weeks newest first, others by size.
    pub fn finish(self) -> (Group, Vec<(Option<String>, Group)>) {
        let sorted = |mut group: Group| {
            group.durations_ms.sort_unstable();
            group
        };
        let mut groups: Vec<_> = self.groups.into_iter().map(|(key, group)| (key, sorted(group))).collect();
        groups.sort_by(|(left_key, left), (right_key, right)| match self.grouping {
            Grouping::Day | Grouping::Week => right_key.cmp(left_key),
            Grouping::Status => place_of(left_key.as_deref()).cmp(&place_of(right_key.as_deref())),
            _ => right.total().cmp(&left.total()).then_with(|| left_key.cmp(right_key)),
        });
        (sorted(self.all), groups)
    }
}

fn place_of(status: Option<&str>) -> Option<usize> {
    Status::ALL.iter().position(|known| Some(known.as_str()) == status)
}

fn count(group: &mut Group, status: Status, duration_ms: Option<u64>) {
    group.by_status[status as usize] += 1;
    group.durations_ms.extend(duration_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut stats = Stats::by(Grouping::Agent);
        for ms in (1..=20).rev() {
            stats.add(["ann"], if ms > 15 { Status::Failed } else { Status::Completed }, Some(ms * 10));
        }
        stats.add([], Status::Rejected, None);
        let (all, groups) = stats.finish();
        let (key, ann) = &groups[0];
        assert_eq!((key.as_deref(), ann.total(), ann.failure_rate()), (Some("ann"), 20, 0.25));
        assert_eq!(
            (ann.percentile_ms(50), ann.percentile_ms(95), ann.percentile_ms(100)),
            (Some(100), Some(190), Some(200))
        );
        assert_eq!((groups[1].0.as_ref(), groups[1].1.percentile_ms(50)), (None, None));
        assert_eq!((all.total(), all.ended(Status::Failed)), (21, 5));
    }

    #[test]
    fn weeks_begin_on_monday() {
        let sunday: NaiveDate = "2026-11-22".parse().unwrap();
        assert_eq!(Grouping::Week.of_day(sunday), "2026-11-16");
        assert_eq!(Grouping::Day.of_day(sunday), "2026-11-22");
    }
}
