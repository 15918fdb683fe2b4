//! Full text: what `--grep` looks for, and where.
//!
//! Text is a sequence of words: runs of letters and digits, in lower case. The walk compares words, and the index
//! stores the very same ones, so that both find the same entries.

use serde_json::Value;

use super::Entry;

/// The most characters of a word that count; longer ones (encoded files, mostly) are cut.
const MAX_WORD_CHARACTERS: usize = 64;

/// What `--grep` asks for: all of its terms, anywhere in an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grep {
    /// The terms.
    pub terms: Vec<Term>,
}

/// Words that stand one after the other. `service-07` is such a term, and whatever stands in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The words.
    pub words: Vec<String>,
    /// The last word may go on: it was followed by `*`.
    pub is_prefix: bool,
}

impl Grep {
    /// Reads what the caller typed: words, phrases in double quotes, `*` behind the beginning of a word.
    ///
    /// # Errors
    /// There is no word in it, or a quote is not closed; a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for (number, part) in text.split('"').enumerate() {
            if number % 2 == 1 {
                terms.extend(Term::parse(part));
            } else {
                terms.extend(part.split_whitespace().filter_map(Term::parse));
            }
        }
        if text.matches('"').count() % 2 == 1 {
            return Err("a quote is not closed".into());
        }
        if terms.is_empty() {
            return Err("there is no word to look for: words are letters and digits".into());
        }
        Ok(Self { terms })
    }

    /// Whether the entry has all of the terms.
    pub fn admits(&self, entry: &Entry) -> bool {
        let mut missing: Vec<&Term> = self.terms.iter().collect();
        for_each_text(entry, &mut |text| {
            if !missing.is_empty() {
                let words: Vec<_> = words(text).collect();
                missing.retain(|term| !term.is_in(&words));
            }
        });
        missing.is_empty()
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = words(text).collect();
        let is_prefix =
            text.trim_end().strip_suffix('*').is_some_and(|rest| rest.ends_with(char::is_alphanumeric));
        (!words.is_empty()).then_some(Self { words, is_prefix })
    }

    fn is_in(&self, text: &[String]) -> bool {
        let Some((last, first)) = self.words.split_last() else { return false };
        text.windows(self.words.len()).any(|window| {
            let Some((found_last, found_first)) = window.split_last() else { return false };
            first == found_first
                && if self.is_prefix { found_last.starts_with(last.as_str()) } else { found_last == last }
        })
    }
}

/// The words of a text.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let runs = text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(|run| match run.char_indices().nth(MAX_WORD_CHARACTERS) {
        Some((end, _)) => run[..end].to_lowercase(),
        None => run.to_lowercase(),
    })
}

/// Hands over every text that is searched: the title, the error, and all values of the outcome and of the events.
pub fn for_each_text(entry: &Entry, each: &mut dyn FnMut(&str)) {
    entry.title.iter().chain(&entry.error_message).for_each(|text| each(text));
    if let Some(outcome) = entry.execution_result.as_ref().and_then(|result| result.outcome.as_ref()) {
        for_each_scalar(outcome, each);
    }
    for event in entry.events.iter().flatten() {
        let named =
            [Some(&event.event_type), event.level.as_ref(), event.repo_id.as_ref(), event.operation.as_ref()];
        let told = [event.status.as_ref(), event.commit_hash.as_ref(), event.error_message.as_ref()];
        let summaries = [event.git_status_summary.as_ref(), event.git_diff_summary.as_ref()];
        let texts = named.into_iter().chain(told).chain(summaries).flatten();
        texts.chain(event.files_changed.iter().flatten()).for_each(|text| each(text));
        event
            .metadata
            .iter()
            .flat_map(|metadata| metadata.values())
            .for_each(|value| for_each_scalar(value, each));
        event.extra.values().for_each(|value| for_each_scalar(value, each));
    }
}

fn for_each_scalar(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => each(&value.to_string()),
        Value::String(text) => each(text),
        Value::Array(values) => values.iter().for_each(|value| for_each_scalar(value, each)),
        Value::Object(fields) => fields.values().for_each(|value| for_each_scalar(value, each)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entry::{Timestamp, validate};

    fn finds(query: &str) -> bool {
        let entry = validate::entry(
            json!({
                "task_id": "t", "status": "failed", "title": "Roll out Web", "error_message": "Timed out, ÉTÉ",
                "execution_result": {"outcome": {"message": "deploy of service-07: no space left", "exit_code": 137}},
                "events": [{"type": "repo_push", "metadata": {"ref": "refs/heads/main"}}, {"type": "note", "message": "hello"}],
            }),
            Timestamp::parse("2026-11-20T12:00:00Z").unwrap(),
        );
        Grep::parse(query).unwrap().admits(&entry.unwrap())
    }

    #[test]
    fn all_words_count_in_any_order_and_any_case() {
        for query in [
            "roll",
            "WEB roll",
            "timed web 137",
            "été",
            "hello push",
            "service-07",
            "\"no space left\"",
            "dep*",
        ] {
            assert!(finds(query), "{query}");
        }
        for query in ["rol", "roll nothing", "\"space no\"", "\"web timed\"", "ete", "ploy*", "failed"] {
            assert!(!finds(query), "{query}");
        }
    }

    #[test]
    fn a_question_without_words_is_refused() {
        for query in ["", "  ", "!?", "\"\"", "*", "\"open"] {
            assert!(Grep::parse(query).is_err(), "{query}");
        }
    }
}
