//! The words for time in `--since` and `--until`. They always mean the past: common date libraries read `7d` and
//! `monday` as the future, and git reads `7d` as the 7th of the month.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc, Weekday};

/// The accepted forms, for error messages and help.
pub const FORMS: &str = "7d, 12h, 30m, 2w, \"3 days ago\", today, yesterday, monday, 2026-11-03, \"2026-11-03 14:05\" (local), or RFC 3339 such as 2026-11-03T14:05:09Z";

/// What a word for time covers: an instant, or a whole day in the reader's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// The instant, or the day's first.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub after: DateTime<Utc>,
}

/// Reads `text` as seen at `now` by someone in `zone`.
///
/// # Errors
/// It is none of the accepted forms; the message names them.
pub fn resolve<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Result<When, String> {
    let words = text.trim().to_ascii_lowercase();
    let unknown = || format!("`{}` is no time; use {FORMS}", super::text::visible(text));
    if let Ok(time) = DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(instant(time.with_timezone(&Utc)));
    }
    let today = now.with_timezone(zone).date_naive();
    if let Some(date) = day(&words, today) {
        return whole_day(date, zone).ok_or_else(unknown);
    }
    if let Some((time, precision)) = local_time(text.trim()) {
        let from = zone.from_local_datetime(&time).earliest().ok_or_else(unknown)?.with_timezone(&Utc);
        return Ok(When { from, after: from + precision });
    }
    // Elsewhere `M` is a month and `m` a minute; neither is guessed from the other.
    if text.trim().ends_with('M') {
        return Err(unknown());
    }
    ago(&words, now).map(instant).ok_or_else(unknown)
}

/// A time as tables show it, in the reader's zone, and how exact it is: `2026-11-03 14:05`, with or without seconds.
fn local_time(text: &str) -> Option<(NaiveDateTime, TimeDelta)> {
    let parse = |form: &str| NaiveDateTime::parse_from_str(&text.replacen('T', " ", 1), form).ok();
    let to_the_second = || Some((parse("%Y-%m-%d %H:%M:%S")?, TimeDelta::seconds(1)));
    parse("%Y-%m-%d %H:%M").map(|time| (time, TimeDelta::minutes(1))).or_else(to_the_second)
}

fn instant(from: DateTime<Utc>) -> When {
    When { from, after: from + TimeDelta::nanoseconds(1) }
}

fn day(words: &str, today: NaiveDate) -> Option<NaiveDate> {
    match words {
        "today" => Some(today),
        "yesterday" => today.pred_opt(),
        _ => {
            let name = words.strip_prefix("last ").unwrap_or(words);
            if let Ok(weekday) = name.parse::<Weekday>() {
                // Today counts as the last one of its name, unless the caller says "last".
                let back = (7 + today.weekday().num_days_from_monday() - weekday.num_days_from_monday()) % 7;
                let back = if back == 0 && words != name { 7 } else { back };
                return today.checked_sub_days(Days::new(u64::from(back)));
            }
            let digits = words.len() == 10 && words.is_ascii();
            NaiveDate::parse_from_str(words, "%Y-%m-%d").ok().filter(|_| digits)
        }
    }
}

fn whole_day<Z: TimeZone>(date: NaiveDate, zone: &Z) -> Option<When> {
    Some(When { from: midnight(date, zone)?, after: midnight(date.succ_opt()?, zone)? })
}

/// A day begins at its first instant: where a clock change skips midnight, that is the first hour that exists.
fn midnight<Z: TimeZone>(date: NaiveDate, zone: &Z) -> Option<DateTime<Utc>> {
    let first = (0..24).find_map(|hour| zone.from_local_datetime(&date.and_hms_opt(hour, 0, 0)?).earliest());
    first.map(|time| time.with_timezone(&Utc))
}

/// `7d`, `7 days`, `7 days ago`.
fn ago(words: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if words == "now" {
        return Some(now);
    }
    let words = words.strip_suffix(" ago").unwrap_or(words).trim_end();
    let unit_at = words.find(|character: char| !character.is_ascii_digit())?;
    let count: u32 = words[..unit_at].parse().ok()?;
    let seconds = |unit: i64| now.checked_sub_signed(TimeDelta::try_seconds(i64::from(count) * unit)?);
    match words[unit_at..].trim_start() {
        "s" | "sec" | "secs" | "second" | "seconds" => seconds(1),
        "m" | "min" | "mins" | "minute" | "minutes" => seconds(60),
        "h" | "hour" | "hours" => seconds(3600),
        "d" | "day" | "days" => seconds(86_400),
        "w" | "week" | "weeks" => seconds(7 * 86_400),
        "month" | "months" => now.checked_sub_months(Months::new(count)),
        "y" | "year" | "years" => now.checked_sub_months(Months::new(count.checked_mul(12)?)),
        _ => None,
    }
}

/// Reads a length of time: `90s`, `1.5h`, `250ms`, `2 minutes`.
///
/// # Errors
/// It is none; a sentence.
pub fn duration(text: &str) -> Result<TimeDelta, String> {
    let words = text.trim().to_ascii_lowercase();
    let refused =
        || format!("`{}` is no length of time; use 250ms, 90s, 5m, 1.5h, 2d", super::text::visible(text));
    let unit_at =
        words.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(refused)?;
    let unit_ms = match words[unit_at..].trim_start() {
        "ms" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return Err(refused()),
    };
    let (whole, part) = words[..unit_at].split_once('.').unwrap_or((&words[..unit_at], ""));
    let whole: u32 = whole.parse().map_err(|_| refused())?;
    // Digits behind the point, to the nanosecond; more would not be told apart.
    let places: String = part.chars().chain("000000".chars()).take(6).collect();
    let millionths: i64 = places.parse().map_err(|_| refused())?;
    Ok(TimeDelta::milliseconds(i64::from(whole) * unit_ms) + TimeDelta::nanoseconds(millionths * unit_ms))
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// A Friday, 23:30 in UTC and already Saturday in the zone.
    const NOW: &str = "2026-11-20T23:30:00Z";

    fn zone() -> FixedOffset {
        FixedOffset::east_opt(3600).unwrap()
    }

    fn from(text: &str) -> DateTime<Utc> {
        resolve(text, at(NOW), &zone()).unwrap().from
    }

    #[test]
    fn amounts_reach_back_from_now() {
        assert_eq!(from("7d"), at("2026-11-13T23:30:00Z"));
        assert_eq!(from("3 days ago"), at("2026-11-17T23:30:00Z"));
        assert_eq!(from("90m"), at("2026-11-20T22:00:00Z"));
        assert_eq!(from("2 weeks"), at("2026-11-06T23:30:00Z"));
        assert_eq!(from("1 month"), at("2026-10-20T23:30:00Z"));
    }

    #[test]
    fn days_are_whole_days_of_the_reader() {
        let today = resolve("today", at(NOW), &zone()).unwrap();
        assert_eq!((today.from, today.after), (at("2026-11-20T23:00:00Z"), at("2026-11-21T23:00:00Z")));
        assert_eq!(from("yesterday"), at("2026-11-19T23:00:00Z"));
        assert_eq!(from("saturday"), at("2026-11-20T23:00:00Z"));
        assert_eq!(from("last saturday"), at("2026-11-13T23:00:00Z"));
        assert_eq!(from("monday"), at("2026-11-15T23:00:00Z"));
        assert_eq!(from("2026-11-03"), at("2026-11-02T23:00:00Z"));
    }

    #[test]
    fn an_instant_is_itself() {
        let when = resolve("2026-11-03T14:05:09+02:00", at(NOW), &zone()).unwrap();
        assert_eq!(when.from, at("2026-11-03T12:05:09Z"));
        assert_eq!(when.after - when.from, TimeDelta::nanoseconds(1));
    }

    #[test]
    fn a_time_without_a_zone_is_the_readers_own() {
        let minute = resolve("2026-11-03 14:05", at(NOW), &zone()).unwrap();
        assert_eq!((minute.from, minute.after), (at("2026-11-03T13:05:00Z"), at("2026-11-03T13:06:00Z")));
        assert_eq!(from("2026-11-03T14:05:09"), at("2026-11-03T13:05:09Z"));
        assert!(resolve("2026-11-03 25:05", at(NOW), &zone()).is_err());
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        assert_eq!(duration("90s").unwrap(), TimeDelta::seconds(90));
        assert_eq!(duration("1.5 hours").unwrap(), TimeDelta::minutes(90));
        assert_eq!(duration("250ms").unwrap(), TimeDelta::milliseconds(250));
        assert_eq!(duration("0.0001s").unwrap(), TimeDelta::microseconds(100));
        for text in ["", "90", "-1s", "s", "1.2.3s", ".5s", "1 parsec", "99999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_words_are_refused_with_the_forms() {
        for text in [
            "",
            "soon",
            "-7d",
            "d",
            "7",
            "7 parsecs",
            "2026-13-01",
            "tomorrow",
            "99999999999d",
            "2026-1-1",
            "1M",
        ] {
            let message = resolve(text, at(NOW), &zone()).unwrap_err();
            assert!(message.contains("RFC 3339"), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn relative_words_never_mean_the_future(
            seconds in 0_i64..4_000_000_000, offset in -12..=14_i32, count in 0..5000_u32,
            form in prop::sample::select(&["{}s", "{}m", "{}h", "{}d", "{}w", "{} days ago", "{} months", "{}y", "now", "today",
                "yesterday", "monday", "tue", "last sunday", "friday"][..]),
        ) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            let zone = FixedOffset::east_opt(offset * 3600).unwrap();
            let when = resolve(&form.replace("{}", &count.to_string()), now, &zone);
            prop_assert!(when.is_ok_and(|when| when.from <= now));
        }
    }
}
