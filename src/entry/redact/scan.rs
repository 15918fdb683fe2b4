//! One text against all rules: keywords first, then the rules whose keywords occur, then what base64 hides; and the
//! secrets replaced.

use std::borrow::Cow;
use std::ops::Range;

use super::encoded;
use super::rule::{Keyword, Rule};
use super::{Action, Found, Redactor};

const MARK: &str = "[redacted:";

/// Which rules are worth trying on a text: those whose keywords are in it. A table of the pairs of letters that keywords
/// begin with. It costs microseconds to make; an automaton for the same would take a tenth of what a short-lived process
/// has.
pub(super) struct Prefilter {
    /// One bit for each pair.
    pairs: Box<[u64; 1024]>,
    /// The keywords and their rules, in the order of their pairs.
    keywords: Vec<(u16, Keyword, usize)>,
    /// Rules without keywords are always worth it.
    always: Vec<usize>,
}

impl Prefilter {
    fn of(rules: &[Rule]) -> Self {
        let mut found = Self { pairs: Box::new([0; 1024]), keywords: Vec::new(), always: Vec::new() };
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.patterns.is_empty()) {
            if rule.keywords.iter().any(|keyword| keyword.text.len() < 2) || rule.keywords.is_empty() {
                found.always.push(index);
                continue;
            }
            for keyword in &rule.keywords {
                let pair = pair_of(keyword.text.as_bytes());
                found.pairs[usize::from(pair >> 6)] |= 1 << (pair & 63);
                found.keywords.push((pair, keyword.clone(), index));
            }
        }
        found.keywords.sort_by_key(|(pair, ..)| *pair);
        found
    }

    /// The rules that are worth trying, in order. Empty without an allocation, as it mostly is.
    fn rules_for(&self, text: &[u8]) -> Vec<usize> {
        let mut found = self.always.clone();
        for (place, bytes) in text.windows(2).enumerate() {
            let pair = pair_of(bytes);
            if self.pairs[usize::from(pair >> 6)] >> (pair & 63) & 1 == 0 {
                continue;
            }
            let first = self.keywords.partition_point(|(other, ..)| *other < pair);
            let these = self.keywords[first..].iter().take_while(|(other, ..)| *other == pair);
            for (_, keyword, rule) in these {
                if !found.contains(rule) && keyword.is_at(text, place) {
                    found.push(*rule);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

/// The first two bytes, in lower case.
fn pair_of(text: &[u8]) -> u16 {
    u16::from_be_bytes([text[0].to_ascii_lowercase(), text[1].to_ascii_lowercase()])
}

/// A secret's place in a text. Rules are numbered from the one that knows best what it is.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub range: Range<usize>,
    pub rule: usize,
    pub action: Action,
}

impl Redactor {
    /// The rule of that id, unless the policy disabled it.
    pub(super) fn rule(&self, id: &str) -> Option<(usize, &Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.is_built_in && rule.id == id)
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn span(&self, range: Range<usize>, rule: usize) -> Span {
        Span { range, rule, action: self.rules[rule].action }
    }

    /// Where secrets are in `text`, in no order; they may overlap.
    pub(super) fn spans(&self, text: &str) -> Vec<Span> {
        let bytes = text.as_bytes();
        let mut spans = self.plain_spans(bytes);
        let mut decoded = Vec::new();
        encoded::for_each_run(bytes, &mut |run, symbols| {
            for shift in 0..4 {
                encoded::decode(symbols, shift, &mut decoded);
                let inside = self.plain_spans(&decoded);
                spans.extend(inside.into_iter().map(|span| Span { range: run.clone(), ..span }));
            }
        });
        spans
    }

    fn plain_spans(&self, text: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        let prefilter = self.prefilter.get_or_init(|| Prefilter::of(&self.rules));
        for index in prefilter.rules_for(text) {
            self.rules[index].find(text, &mut |range| spans.push(self.span(range, index)));
        }
        spans
    }

    /// The values of keys that the policy's pointers end in, in a text that is no JSON.
    pub(super) fn keyed_spans(&self, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let names = rule.pointers.iter().filter_map(|pointer| pointer.iter().rfind(|part| *part != "*"));
            for name in names {
                let key = format!("\"{name}\"");
                let places = text.match_indices(&key).map(|(place, _)| place + key.len());
                spans.extend(places.filter_map(|place| Some(self.span(value_at(text, place)?, index))));
            }
        }
        spans
    }

    /// `text` with the spans replaced.
    pub(super) fn replace<'t>(&self, text: &'t str, spans: Vec<Span>) -> (Cow<'t, str>, Vec<Found>) {
        let spans = self.merged(text, spans);
        let mut found: Vec<Found> = Vec::new();
        let mut kept = String::new();
        let mut place = 0;
        for Span { range, rule, action } in spans {
            let id = &self.rules[rule].id;
            if !found.iter().any(|found| found.rule == *id && found.action == action) {
                found.push(Found { rule: id.clone().into_owned(), pointer: String::new(), action });
            }
            if action != Action::Warn {
                kept.push_str(&text[place..range.start]);
                kept.push_str(&format!("{MARK}{id}]"));
                place = range.end;
            }
        }
        if place == 0 && kept.is_empty() {
            return (Cow::Borrowed(text), found);
        }
        kept.push_str(&text[place..]);
        (Cow::Owned(kept), found)
    }

    /// In order, apart from each other, at boundaries of characters, and without what was redacted before.
    fn merged(&self, text: &str, mut spans: Vec<Span>) -> Vec<Span> {
        if spans.is_empty() {
            return spans;
        }
        let marks = self.marks(text);
        spans.retain(|span| {
            let range = &span.range;
            let before = marks.partition_point(|mark| mark.start <= range.start);
            let mark = before.checked_sub(1).map(|mark| &marks[mark]);
            mark.is_none_or(|mark| range.end > mark.end)
        });
        spans.sort_by_key(|span| (span.range.start, span.rule));
        let mut merged: Vec<Span> = Vec::new();
        for mut span in spans {
            span.range = text.floor_char_boundary(span.range.start)..text.ceil_char_boundary(span.range.end);
            match merged.last_mut().filter(|last| span.range.start < last.range.end) {
                Some(last) => {
                    last.range.end = last.range.end.max(span.range.end);
                    last.rule = last.rule.min(span.rule);
                    last.action = last.action.max(span.action);
                }
                None => merged.push(span),
            }
        }
        merged
    }

    /// Where something was redacted before.
    fn marks(&self, text: &str) -> Vec<Range<usize>> {
        let marks = text.match_indices(MARK).filter_map(|(start, _)| {
            let rest = &text[start + MARK.len()..];
            let known = self.rules.iter().filter_map(|rule| rest.strip_prefix(rule.id.as_ref()));
            // One that was cut off at the end of the text is one, too.
            let after = known
                .filter(|after| after.is_empty() || after.starts_with(']'))
                .min_by_key(|after| after.len())?;
            Some(start..(text.len() - after.len() + 1).min(text.len()))
        });
        marks.collect()
    }
}

/// The value that follows a key at `place`: what is in the quotes, or a bare value.
fn value_at(text: &str, place: usize) -> Option<Range<usize>> {
    let rest = text[place..].trim_start().strip_prefix(':')?.trim_start();
    let start = text.len() - rest.len();
    let Some(inside) = rest.strip_prefix('"') else {
        let length = rest.find([',', '}', ']', '\n', '"']).unwrap_or(rest.len());
        return (length > 0).then(|| start..start + length);
    };
    let mut is_escaped = false;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    let length = end.unwrap_or(inside.len());
    (length > 0).then(|| start + 1..start + 1 + length)
}
