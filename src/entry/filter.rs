//! The filters that every query shares: a repeated value means any of them, different filters mean all of them.
//!
//! Each filter is asked twice: of the commit message, which is cheap, and of the entry, where the message alone
//! cannot tell.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::condition::Condition;
use super::grep::Grep;
use super::message::{Summary, Verdict};
use super::{Entry, Facet, Status, TaskId, Timestamp};

/// What a query asks for. An empty filter admits everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The task itself.
    pub tasks: Vec<TaskId>,
    /// How the task ended.
    pub statuses: Vec<Status>,
    /// The named things it is about; each with at least one value.
    pub facets: BTreeMap<Facet, Vec<String>>,
    /// It ended at this instant or later.
    pub since: Option<DateTime<Utc>>,
    /// It ended before this instant.
    pub before: Option<DateTime<Utc>>,
    /// It took at least so long. A task that does not say how long it took does not fit.
    pub min_duration: Option<TimeDelta>,
    /// Its text has all of these words.
    pub grep: Vec<Grep>,
    /// A field has this value.
    pub conditions: Vec<Condition>,
}

impl Filter {
    /// What the commit message says.
    pub fn judge(&self, summary: &Summary<'_>) -> Verdict {
        let is_wanted = |task: &TaskId| task.as_str() == summary.task_id;
        if !self.tasks.is_empty() && !self.tasks.iter().any(is_wanted) {
            return Verdict::No;
        }
        if !self.admits_status(summary.status) || !self.admits_time(summary.timestamp) {
            return Verdict::No;
        }
        let open = self.min_duration.is_some() || !self.grep.is_empty() || !self.conditions.is_empty();
        let open = if open { Verdict::ReadEntry } else { Verdict::Yes };
        self.facets.iter().map(|(facet, wanted)| summary.includes(*facet, wanted)).fold(open, Verdict::and)
    }

    /// What the entry says. This is the answer that counts.
    pub fn admits(&self, entry: &Entry) -> bool {
        (self.tasks.is_empty() || self.tasks.contains(&entry.task_id))
            && self.admits_status(entry.status)
            && self.admits_time(entry.timestamp)
            && self.facets.iter().all(|(facet, wanted)| {
                facet.values(entry).iter().any(|value| wanted.iter().any(|want| want == value))
            })
            && self
                .min_duration
                .is_none_or(|least| entry.duration().is_some_and(|duration| duration >= least))
            && (self.grep.is_empty() || self.grep.iter().any(|grep| grep.admits(entry)))
            && self.admits_conditions(entry)
    }

    /// Whether the conditions on fields are met: the part that no commit message and no index knows.
    pub fn admits_conditions(&self, entry: &Entry) -> bool {
        self.conditions.is_empty()
            || serde_json::to_value(entry)
                .is_ok_and(|value| self.conditions.iter().any(|condition| condition.admits(&value)))
    }

    /// Whether `value` is one that is asked for; any is where nothing is.
    pub fn asks(&self, facet: Facet, value: Option<&str>) -> bool {
        self.facets
            .get(&facet)
            .is_none_or(|wanted| value.is_some_and(|value| wanted.iter().any(|want| want == value)))
    }

    fn admits_status(&self, status: Status) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }

    fn admits_time(&self, timestamp: Timestamp) -> bool {
        self.since.is_none_or(|since| timestamp.utc() >= since)
            && self.before.is_none_or(|before| timestamp.utc() < before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::entry::{Digest, message, validate};

    /// Values that collide, hide in blanks, or look like the escape of another one.
    fn value() -> impl Strategy<Value = String> {
        let awkward = ["a", "b", " a", "a ", "a\n", "a\\n", "A", "", "é", "\u{202e}a", "\\u202ea", "\u{1b}"];
        prop_oneof![
            prop::sample::select(awkward.to_vec()).prop_map(str::to_owned),
            "[ab]{1,2}",
            "x{990,1010}"
        ]
    }

    proptest! {
        /// The message may leave the question open, but never answers it otherwise than the entry does.
        #[test]
        fn the_message_never_contradicts_the_entry(
            services in prop::collection::vec(value(), 0..4), intent in value(), plan in value(), agent in value(),
            wanted in prop::collection::vec(value(), 0..3), which in 0..5_usize, many in prop::bool::ANY,
        ) {
            let entry = validate::entry(json!({
                "task_id": "t", "status": "failed", "plan_id": plan, "dispatch_info": {"agent_id": agent},
                "execution_result": {"outcome": {"action_type": intent}, "services_touched": services},
                "steps": (0..if many { 120 } else { 0 })
                    .map(|number| json!({"step_id": number.to_string(), "correlation_id": format!("a{number}")}))
                    .chain([json!({"step_id": "last", "correlation_id": "b"})])
                    .collect::<Vec<_>>(),
            }), Timestamp::parse("2026-11-20T12:00:00Z").unwrap()).unwrap();
            let facet = [Facet::Service, Facet::Intent, Facet::Plan, Facet::Agent, Facet::Correlation][which];
            let facets = if wanted.is_empty() { BTreeMap::new() } else { BTreeMap::from([(facet, wanted)]) };
            let filter = Filter { facets, ..Filter::default() };
            let message = message::build(&entry, &Digest::of(b""));
            match filter.judge(&Summary::parse(&message).unwrap()) {
                Verdict::Yes => prop_assert!(filter.admits(&entry)),
                Verdict::No => prop_assert!(!filter.admits(&entry)),
                Verdict::ReadEntry => {}
            }
        }
    }
}
