//! An entry as the index's rows: everything that is computed before the database is touched.

use chrono::{DateTime, Datelike, Utc};

use crate::entry::{Artifact, Entry, Event, Facet, Status, Step, Timestamp, grep, headline};
use crate::ledger::{BlobId, CommitId, Recorded, Stored};

/// The rows of one entry.
pub struct EntryRows {
    pub task_id: String,
    pub status: Status,
    /// Nanoseconds since 1970.
    pub ended_at: i64,
    /// Nanoseconds.
    pub duration: Option<i64>,
    pub timestamp: String,
    pub title: Option<String>,
    pub error_message: Option<String>,
    pub plan_id: Option<String>,
    pub agent_id: Option<String>,
    pub agent_pool: Option<String>,
    pub intent: Option<String>,
    /// A JSON array.
    pub services: Option<String>,
    /// As in [`crate::entry::Headline`].
    pub what: String,
    pub commit: CommitId,
    /// Seconds since 1970.
    pub recorded_at: i64,
    pub path: String,
    pub blob: BlobId,
    pub warning: Option<String>,
    pub facets: Vec<(Facet, String)>,
    /// The words of its text, as [`grep`] finds them, one blank between two.
    pub words: String,
    pub artifacts: Vec<Artifact>,
    pub events: Vec<Event>,
    pub steps: Vec<StepRow>,
}

/// What is kept of a step: its worker and correlation are the task's where it has none of its own.
pub struct StepRow {
    pub step: Step,
    pub worker_id: Option<String>,
    pub correlation_id: Option<String>,
}

/// Between two texts, so that no phrase reaches from one to the next: no word has this character, and the tokenizer
/// takes all beyond ASCII for letters.
const BETWEEN_TEXTS: &str = "\u{b6}";

/// Nanoseconds since 1970. Later times never have smaller numbers, but the same where they are before 1677 or after
/// 2262, or within a leap second.
pub fn nanoseconds(time: DateTime<Utc>) -> i64 {
    let within = i64::from(time.timestamp_subsec_nanos().min(999_999_999));
    time.timestamp().saturating_mul(1_000_000_000).saturating_add(within)
}

/// A time as text that sorts as times do, without the `Z`: a shorter fraction is the beginning of a longer one.
pub fn sortable(time: DateTime<Utc>) -> String {
    match time.year() {
        ..0 => String::new(),
        0..10_000 => Timestamp::from(time).to_string().trim_end_matches('Z').to_owned(),
        10_000.. => "~".to_owned(),
    }
}

impl EntryRows {
    pub fn new(recorded: &Recorded, stored: Stored, entry: Entry) -> Self {
        let mut facets = Vec::new();
        for facet in Facet::ALL {
            facets.extend(facet.values(&entry).into_iter().map(|value| (facet, value.into_owned())));
        }
        // A reference that the task left in two repositories is one value.
        facets.sort_unstable();
        facets.dedup();
        let steps = entry.steps.iter().flatten().map(|step| StepRow {
            worker_id: step.worker(&entry).map(str::to_owned),
            correlation_id: step.correlation(&entry).map(str::to_owned),
            step: step.clone(),
        });
        let duration = entry.duration().and_then(|duration| duration.num_nanoseconds());
        Self {
            steps: steps.collect(),
            words: words(&entry),
            status: entry.status,
            ended_at: nanoseconds(entry.timestamp.utc()),
            duration,
            timestamp: entry.timestamp.to_string(),
            agent_id: entry.agent().map(str::to_owned),
            agent_pool: entry.pool().map(str::to_owned),
            intent: entry.intent().map(str::to_owned),
            services: Some(entry.services())
                .filter(|services| !services.is_empty())
                .and_then(|services| serde_json::to_string(services).ok()),
            commit: recorded.commit,
            recorded_at: recorded.recorded_at.timestamp(),
            path: stored.path,
            blob: stored.blob,
            warning: stored.warning,
            what: headline::what(&entry),
            facets,
            task_id: entry.task_id.to_string(),
            title: entry.title,
            error_message: entry.error_message,
            plan_id: entry.plan_id,
            artifacts: entry.artifacts.unwrap_or_default(),
            events: entry.events.unwrap_or_default(),
        }
    }
}

fn words(entry: &Entry) -> String {
    let mut all = String::new();
    grep::for_each_text(entry, &mut |text| {
        for word in grep::words(text) {
            all.push_str(&word);
            all.push(' ');
        }
        all.push_str(BETWEEN_TEXTS);
        all.push(' ');
    });
    all
}

/// A time as the views show it.
pub fn text(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}
