//! Instants: RFC 3339 in, UTC with `Z` out.

use std::fmt;

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};

/// An instant. Keeps the caller's precision up to the nanosecond; stored in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Reads RFC 3339 text such as `2026-11-03T14:05:09Z` or `2026-11-03T15:05:09.250+01:00`.
    pub fn parse(text: &str) -> Option<Self> {
        // chrono also takes a blank between date and time; RFC 3339's grammar does not.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return None;
        }
        let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        // Near the ends of the calendar another zone can lead out of the four-digit years.
        (0..=9999).contains(&time.year()).then_some(Self(time))
    }

    /// `time` to the millisecond, which is as much as a clock of ours is worth.
    pub fn from_clock(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(3))
    }

    /// The instant as chrono knows it.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "pattern": "Z$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_stored_as_utc_with_its_precision() {
        let stored = |text| Timestamp::parse(text).map(|time| time.to_string());
        assert_eq!(stored("2026-11-03T15:05:09+01:00").as_deref(), Some("2026-11-03T14:05:09Z"));
        assert_eq!(stored("2026-11-03T14:05:09.25Z").as_deref(), Some("2026-11-03T14:05:09.250Z"));
        assert_eq!(stored("2026-11-03t14:05:09z").as_deref(), Some("2026-11-03T14:05:09Z"));
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for text in [
            "yesterday",
            "2026-11-03",
            "2026-11-03 14:05:09Z",
            "2026-11-03T14:05:09",
            "2026-13-03T14:05:09Z",
            "",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
