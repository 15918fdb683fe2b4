//! An entry as the index's rows: everything that is computed before the database is touched.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Utc};

use crate::entry::{Entry, Facet, Timestamp, grep, headline};
use crate::ledger::{CommitId, Recorded, Stored};

/// The rows of one entry: what is not simply a field of it.
pub struct EntryRows<'e> {
    pub entry: &'e Entry,
    pub stored: &'e Stored,
    /// Nanoseconds since 1970.
    pub ended_at: i64,
    /// Nanoseconds.
    pub duration: Option<i64>,
    /// A JSON array.
    pub services: Option<String>,
    /// As in [`crate::entry::Headline`].
    pub what: String,
    pub commit: CommitId,
    /// Seconds since 1970.
    pub recorded_at: i64,
    pub facets: Vec<(Facet, Cow<'e, str>)>,
    /// The words of its text, as [`grep`] finds them, one blank between two.
    pub words: String,
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

impl<'e> EntryRows<'e> {
    pub fn new(recorded: &Recorded, stored: &'e Stored, entry: &'e Entry) -> Self {
        let mut facets = Vec::new();
        for facet in Facet::ALL {
            facets.extend(facet.values(entry).into_iter().map(|value| (facet, value)));
        }
        // A reference that the task left in two repositories is one value.
        facets.sort_unstable();
        facets.dedup();
        Self {
            entry,
            ended_at: nanoseconds(entry.timestamp.utc()),
            duration: entry.duration().and_then(|duration| duration.num_nanoseconds()),
            services: Some(entry.services())
                .filter(|services| !services.is_empty())
                .and_then(|services| serde_json::to_string(services).ok()),
            what: headline::what(entry),
            commit: recorded.commit,
            recorded_at: recorded.recorded_at.timestamp(),
            stored,
            words: words(entry),
            facets,
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
