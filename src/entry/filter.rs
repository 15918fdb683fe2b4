//! The filters that every query shares: a repeated value means any of them, different filters mean all of them.
//!
//! Each filter is asked twice: of the commit message, which is cheap, and of the entry, where the message alone
//! cannot tell. A new filter is a field here, a line in [`Filter::judge`] and a line in [`Filter::admits`].

use chrono::{DateTime, Utc};

use super::message::{Summary, Verdict, trailer};
use super::{Entry, Status, Timestamp};

/// What a query asks for. An empty filter admits everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// How the task ended.
    pub statuses: Vec<Status>,
    /// Services that it touched.
    pub services: Vec<String>,
    /// Its intent.
    pub intents: Vec<String>,
    /// Its plan.
    pub plans: Vec<String>,
    /// The agent that ran it.
    pub agents: Vec<String>,
    /// It ended at this instant or later.
    pub since: Option<DateTime<Utc>>,
    /// It ended before this instant.
    pub before: Option<DateTime<Utc>>,
}

impl Filter {
    /// What the commit message says.
    pub fn judge(&self, summary: &Summary<'_>) -> Verdict {
        if !self.admits_status(summary.status) || !self.admits_time(summary.timestamp) {
            return Verdict::No;
        }
        let named = [
            (trailer::SERVICE, &self.services),
            (trailer::INTENT, &self.intents),
            (trailer::PLAN, &self.plans),
            (trailer::AGENT, &self.agents),
        ];
        let asked = named.into_iter().filter(|(_, wanted)| !wanted.is_empty());
        asked.map(|(name, wanted)| summary.includes(name, wanted)).fold(Verdict::Yes, Verdict::and)
    }

    /// What the entry says. This is the answer that counts.
    pub fn admits(&self, entry: &Entry) -> bool {
        let one_of = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|want| want == value))
        };
        let services = entry.services();
        self.admits_status(entry.status)
            && self.admits_time(entry.timestamp)
            && (self.services.is_empty() || self.services.iter().any(|wanted| services.contains(wanted)))
            && one_of(&self.intents, entry.intent())
            && one_of(&self.plans, entry.plan_id.as_deref())
            && one_of(&self.agents, entry.agent())
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
            wanted in prop::collection::vec(value(), 0..3), which in 0..4_usize,
        ) {
            let entry = validate::entry(json!({
                "task_id": "t", "status": "failed", "plan_id": plan, "dispatch_info": {"agent_id": agent},
                "execution_result": {"outcome": {"action_type": intent}, "services_touched": services},
            }), Timestamp::parse("2026-11-20T12:00:00Z").unwrap()).unwrap();
            let mut filter = Filter::default();
            *[&mut filter.services, &mut filter.intents, &mut filter.plans, &mut filter.agents][which] = wanted;
            let message = message::build(&entry, &Digest::of(b""));
            match filter.judge(&Summary::parse(&message).unwrap()) {
                Verdict::Yes => prop_assert!(filter.admits(&entry)),
                Verdict::No => prop_assert!(!filter.admits(&entry)),
                Verdict::ReadEntry => {}
            }
        }
    }
}
