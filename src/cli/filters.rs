//! The filters that queries share.

use std::collections::BTreeMap;

use chrono::{DateTime, Local, TimeDelta, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::entry::{Condition, Facet, Filter, Grep, RefType, Status, Timestamp, when};
use crate::error::{Error, Result};

/// The statuses, as clap offers and checks them.
pub(super) fn status() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str))
}

/// The kinds of artifact, as clap offers and checks them.
pub(super) fn ref_type() -> impl TypedValueParser<Value = RefType> {
    PossibleValuesParser::new(RefType::ALL.map(RefType::as_str))
        .try_map(|word| ref_type_of(&word).ok_or("not a kind of artifact"))
}

pub(super) fn ref_type_of(word: &str) -> Option<RefType> {
    RefType::ALL.into_iter().find(|kind| kind.as_str() == word)
}

/// How the task ended.
#[derive(Args)]
#[command(next_help_heading = FILTERS)]
pub(super) struct StatusArg {
    /// How the task ended
    #[arg(long, value_name = "STATUS", value_parser = status())]
    status: Vec<String>,
}

impl StatusArg {
    /// As if only this one had been asked for.
    pub fn only(status: Status) -> Self {
        Self { status: vec![status.as_str().to_owned()] }
    }
}

/// The heading of what chooses tasks, or items of tasks.
pub(super) const FILTERS: &str = "Filters (repeat one: any of; several: all of)";

/// Which entries. Repeating a filter means any of its values; different filters must all fit.
#[derive(Args)]
#[command(next_help_heading = FILTERS)]
pub(super) struct FilterArgs {
    /// A service that it touched
    #[arg(long, value_name = "NAME", value_parser = name)]
    service: Vec<String>,
    /// Its intent: action_type of its outcome
    #[arg(long, value_name = "NAME", value_parser = name)]
    intent: Vec<String>,
    /// Its plan
    #[arg(long, value_name = "ID", value_parser = name)]
    plan: Vec<String>,
    /// The agent that ran it
    #[arg(long, value_name = "ID", value_parser = name)]
    agent: Vec<String>,
    /// The pool that the agent came from
    #[arg(long, value_name = "NAME", value_parser = name)]
    pool: Vec<String>,
    /// The worker that ran it, or one of its steps
    #[arg(long, value_name = "ID", value_parser = name)]
    worker: Vec<String>,
    /// The request that it, or one of its steps, belongs to
    #[arg(long, value_name = "ID", value_parser = name)]
    correlation: Vec<String>,
    /// A repository of its events or artifacts
    #[arg(long, value_name = "ID", value_parser = name)]
    repo_id: Vec<String>,
    /// Its workspace
    #[arg(long, value_name = "ID", value_parser = name)]
    workspace: Vec<String>,
    /// The path of its working tree, as it was recorded
    #[arg(long, value_name = "PATH", value_parser = name)]
    worktree: Vec<String>,
    /// Its project's number
    #[arg(long, value_name = "N")]
    project: Vec<u64>,
    /// The session it belongs to
    #[arg(long, value_name = "ID", value_parser = name)]
    session: Vec<String>,
    /// Who asked for it
    #[arg(long, value_name = "NAME", value_parser = name)]
    actor: Vec<String>,
    /// It had such an event: repo_commit, phase_started …
    #[arg(long, value_name = "TYPE", value_parser = event_type)]
    event_type: Vec<String>,
    /// It left this reference, written as it was recorded: pr:42, branch:main, commit:FULL_ID
    #[arg(long, value_name = "TYPE:VALUE", value_parser = artifact)]
    artifact: Vec<String>,
    /// It took at least so long: 90s, 5m, 1.5h
    #[arg(long, value_name = "TIME", value_parser = when::duration)]
    min_duration: Option<TimeDelta>,
    /// Its text has all of these words; "in quotes": one after the other; word*: words that begin so. Text is title,
    /// error, outcome and events
    #[arg(long, value_name = "TEXT", value_parser = Grep::parse)]
    grep: Vec<Grep>,
    /// This field of the entry has this value: /metadata/ticket=OPS-7
    #[arg(long = "where", value_name = "/POINTER=VALUE", value_parser = Condition::parse)]
    conditions: Vec<Condition>,
    /// It ended at this time or later: 7d, 12h, monday, 2026-11-03, RFC 3339
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<String>,
    /// It ended at this time or earlier; a day counts whole
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Option<String>,
    /// It ended in the last N days
    #[arg(long, value_name = "N", conflicts_with = "since", allow_negative_numbers = true, value_parser = days)]
    days: Option<u32>,
}

fn days(text: &str) -> std::result::Result<u32, String> {
    text.parse().map_err(|_| {
        "expected a whole number of days, such as 7; for other times there is --since".to_owned()
    })
}

fn name(text: &str) -> std::result::Result<String, String> {
    if text.is_empty() { Err("the value is empty".into()) } else { Ok(text.to_owned()) }
}

pub(super) fn event_type(text: &str) -> std::result::Result<String, String> {
    let mut characters = text.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on =
        |next: char| next.is_ascii_lowercase() || next.is_ascii_digit() || matches!(next, '_' | '.');
    if begins && characters.all(goes_on) {
        return Ok(text.to_owned());
    }
    Err("no event can be of that type: it begins with a-z and has a-z, 0-9, _ and .".into())
}

fn artifact(text: &str) -> std::result::Result<String, String> {
    let kinds =
        || format!("expected TYPE:VALUE, with TYPE one of {}", RefType::ALL.map(RefType::as_str).join(", "));
    let (kind, value) = text.split_once(':').ok_or_else(kinds)?;
    ref_type_of(kind).ok_or_else(kinds)?;
    name(value).map(|_| text.to_owned())
}

impl FilterArgs {
    /// Only those of the last `days` days, where the caller has not said anything about time.
    pub fn within_days_unless_asked(&mut self, days: u32) {
        if self.since.is_none() && self.until.is_none() && self.days.is_none() {
            self.days = Some(days);
        }
    }

    /// Only those that have such an event.
    pub fn require_event_types(&mut self, types: Vec<String>) {
        self.event_type.extend(types);
    }

    /// What was asked of the entry's duration, so that something else can be asked for it.
    pub fn take_min_duration(&mut self) -> Option<TimeDelta> {
        self.min_duration.take()
    }

    /// The filter, with words for time resolved at `now`.
    pub fn resolve(self, status: &StatusArg, now: DateTime<Utc>) -> Result<Filter> {
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
            let [since, before] = [since, before].map(Timestamp::from);
            return Err(Error::Usage(format!(
                "--until is earlier than --since, so nothing can fit: from {since}, before {before}"
            )));
        }
        let facets = [
            (Facet::Service, self.service),
            (Facet::Intent, self.intent),
            (Facet::Plan, self.plan),
            (Facet::Agent, self.agent),
            (Facet::Pool, self.pool),
            (Facet::Worker, self.worker),
            (Facet::Correlation, self.correlation),
            (Facet::RepoId, self.repo_id),
            (Facet::Workspace, self.workspace),
            (Facet::Worktree, self.worktree),
            (Facet::Project, self.project.iter().map(u64::to_string).collect()),
            (Facet::Session, self.session),
            (Facet::Actor, self.actor),
            (Facet::EventType, self.event_type),
            (Facet::Artifact, self.artifact),
        ];
        Ok(Filter {
            statuses: status.status.iter().filter_map(|word| Status::from_word(word)).collect(),
            tasks: Vec::new(),
            facets: facets.into_iter().filter(|(_, wanted)| !wanted.is_empty()).collect::<BTreeMap<_, _>>(),
            since,
            before,
            min_duration: self.min_duration,
            grep: self.grep,
            conditions: self.conditions,
        })
    }
}
