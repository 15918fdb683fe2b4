//! The filters that queries share.

use chrono::{DateTime, Local, TimeDelta, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::entry::{Filter, Status, when};
use crate::error::{Error, Result};

/// The statuses, as clap offers and checks them.
pub(super) fn status() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str))
}

/// Which entries. Repeating a filter means any of its values; different filters must all fit.
#[derive(Args)]
#[command(next_help_heading = "Filters (repeat one: any of; several: all of)")]
pub(super) struct FilterArgs {
    /// How the task ended
    #[arg(long, value_name = "STATUS", value_parser = status())]
    status: Vec<String>,
    /// A service that it touched
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Its intent: action_type of its outcome
    #[arg(long, value_name = "NAME")]
    intent: Vec<String>,
    /// Its plan
    #[arg(long, value_name = "ID")]
    plan: Vec<String>,
    /// The agent that ran it
    #[arg(long, value_name = "ID")]
    agent: Vec<String>,
    /// It ended at this time or later: 7d, 12h, monday, 2026-11-03, RFC 3339
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// It ended at this time or earlier; a day counts whole
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// It ended in the last N days
    #[arg(long, value_name = "N", conflicts_with = "since", allow_negative_numbers = true)]
    days: Option<u32>,
}

impl FilterArgs {
    /// The filter, with words for time resolved at `now`.
    pub fn resolve(self, now: DateTime<Utc>) -> Result<Filter> {
        let when = |text: Option<String>| {
            text.map(|text| when::resolve(&text, now, &Local)).transpose().map_err(Error::Usage)
        };
        let since = when(self.since)?.map(|when| when.from);
        let days = self.days.map(|days| {
            let first = now.checked_sub_signed(TimeDelta::days(i64::from(days)));
            first
                .ok_or_else(|| Error::Usage(format!("--days {days} reaches back before the calendar begins")))
        });
        let since = since.or(days.transpose()?);
        let before = when(self.until)?.map(|when| when.after);
        if let (Some(since), Some(before)) = (since, before)
            && since >= before
        {
            return Err(Error::Usage("--until is earlier than --since, so nothing can fit".into()));
        }
        for (flag, values) in [
            ("--service", &self.service),
            ("--intent", &self.intent),
            ("--plan", &self.plan),
            ("--agent", &self.agent),
        ] {
            if values.iter().any(String::is_empty) {
                return Err(Error::Usage(format!("{flag} has an empty value")));
            }
        }
        Ok(Filter {
            statuses: self.status.iter().filter_map(|word| Status::from_word(word)).collect(),
            services: self.service,
            intents: self.intent,
            plans: self.plan,
            agents: self.agent,
            since,
            before,
        })
    }
}
