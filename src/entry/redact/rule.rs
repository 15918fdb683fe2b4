//! One rule at work: its patterns, compiled when they are first needed, and what it finds in a text.
//!
//! A pattern that cannot be compiled within its bounds finds everything: a rule that does not work must not look like
//! one that found nothing.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use super::Action;
use super::plausible::{Candidate, entropy};
use super::rules::BuiltIn;

/// The most bytes of a compiled pattern.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// A policy's pattern can be such that each match costs a look at the whole text. After so many, the rest of the text is
/// taken for one.
const MAX_MATCHES: usize = 1000;
/// How much of a line an allowlist sees, on either side.
const MAX_LINE_BYTES: usize = 512;

/// A rule, built in or of a policy.
pub(super) struct Rule {
    pub id: Cow<'static, str>,
    pub action: Action,
    pub keywords: Vec<Keyword>,
    /// Nothing is found in a text without this.
    pub needs: &'static str,
    pub patterns: Vec<Pattern>,
    /// The group that is the secret; `None` for the first one that took part.
    pub group: Option<usize>,
    /// A secret has more than this.
    pub entropy: Option<f64>,
    pub accept: fn(&Candidate<'_>) -> bool,
    pub allowed: Vec<Allowed>,
    /// JSON pointers whose whole value it is about, as segments.
    pub pointers: Vec<Vec<String>>,
    pub is_built_in: bool,
}

/// Where a rule is worth trying.
#[derive(Clone, Debug)]
pub(super) struct Keyword {
    pub text: Cow<'static, str>,
    /// As it stands, else in every case.
    pub is_exact: bool,
    /// Only where no letter or digit comes before it.
    pub begins_word: bool,
    /// Only where something is assigned to it.
    pub is_assigned: bool,
}

impl Keyword {
    fn built_in(text: &'static str) -> Self {
        let word = text.trim_start_matches('^').trim_end_matches(":=");
        Self {
            text: Cow::Borrowed(word),
            is_exact: word.bytes().any(|byte| byte.is_ascii_uppercase()),
            begins_word: text.starts_with('^'),
            is_assigned: text.ends_with(":="),
        }
    }

    pub fn of_policy(text: &str) -> Self {
        let text = Cow::Owned(text.to_ascii_lowercase());
        Self { text, is_exact: false, begins_word: false, is_assigned: false }
    }

    /// Whether it stands at `place` in `text`.
    pub fn is_at(&self, text: &[u8], place: usize) -> bool {
        let Some(found) = text.get(place..place + self.text.len()) else { return false };
        let is_it = if self.is_exact {
            found == self.text.as_bytes()
        } else {
            found.eq_ignore_ascii_case(self.text.as_bytes())
        };
        is_it
            && !(self.begins_word && place > 0 && text[place - 1].is_ascii_alphanumeric())
            && (!self.is_assigned || is_assigned(&text[place + found.len()..]))
    }
}

/// Whether `rest` of a text goes on as an assignment to the name before it does, at first sight: a quote, blanks, and what
/// assigns.
fn is_assigned(rest: &[u8]) -> bool {
    let after = |skip: fn(&u8) -> bool, most: usize, text: &[u8]| {
        text.iter().take(most).take_while(|byte| skip(byte)).count()
    };
    let rest = &rest[after(|byte| *byte == b'\\', rest.len(), rest)..];
    let rest = &rest[after(|byte| matches!(byte, b'"' | b'\'' | b'`'), 1, rest)..];
    let rest = &rest[after(u8::is_ascii_whitespace, 3, rest)..];
    matches!(rest.first(), Some(b':' | b'=' | b'>' | b','))
}

/// A regular expression that is compiled when it is first needed.
pub(super) struct Pattern {
    text: Cow<'static, str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), compiled: OnceLock::new() }
    }

    /// `None`: it is too large.
    fn regex(&self) -> Option<&Regex> {
        let compile = || {
            let mut builder = RegexBuilder::new(&self.text);
            builder.unicode(is_unicode(&self.text)).size_limit(MAX_COMPILED_BYTES).build().ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }

    #[cfg(test)]
    pub fn is_compiled(&self) -> bool {
        self.compiled.get().is_some()
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }
}

/// Patterns of ASCII alone mean bytes by `\w`, `\s` and `.`, as the tools do from which people bring rules; the tables of
/// Unicode would make them slow to compile.
pub(super) fn is_unicode(pattern: &str) -> bool {
    !pattern.is_ascii()
}

/// What a policy says is no secret although its rule finds it.
pub(super) struct Allowed {
    pub regexes: Vec<Pattern>,
    /// In lower case.
    pub stopwords: Vec<String>,
    pub target: Target,
    /// All of the conditions must hold, else one.
    pub needs_all: bool,
    /// It has conditions that nothing here can meet, such as paths.
    pub has_others: bool,
}

/// What the regexes of an allowlist are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

impl Allowed {
    fn allows(&self, candidate: &Candidate<'_>) -> bool {
        let target = match self.target {
            Target::Secret => candidate.secret(),
            Target::Match => &candidate.text[candidate.matched.clone()],
            Target::Line => line_around(candidate),
        };
        let secret = String::from_utf8_lossy(candidate.secret()).to_ascii_lowercase();
        let by_regex = self.regexes.iter().any(|regex| regex.is_in(target));
        let by_word = self.stopwords.iter().any(|word| secret.contains(word));
        if !self.needs_all {
            return by_regex || by_word;
        }
        let has_any = !(self.regexes.is_empty() && self.stopwords.is_empty());
        let fits = (by_regex || self.regexes.is_empty()) && (by_word || self.stopwords.is_empty());
        has_any && fits && !self.has_others
    }
}

fn line_around<'t>(candidate: &Candidate<'t>) -> &'t [u8] {
    let (text, Range { start, end }) = (candidate.text, candidate.matched.clone());
    let before = &text[start.saturating_sub(MAX_LINE_BYTES)..start];
    let after = &text[end..text.len().min(end + MAX_LINE_BYTES)];
    let is_break = |byte: &u8| *byte == b'\n';
    let begin = before.iter().rposition(is_break).map_or(0, |place| place + 1);
    let length = after.iter().position(is_break).unwrap_or(after.len());
    &text[start - before.len() + begin..end + length]
}

impl From<&'static BuiltIn> for Rule {
    fn from(rule: &'static BuiltIn) -> Self {
        Self {
            id: Cow::Borrowed(rule.id),
            action: Action::default(),
            keywords: rule.keywords.iter().copied().map(Keyword::built_in).collect(),
            needs: rule.needs,
            patterns: rule.patterns.iter().copied().map(Pattern::new).collect(),
            group: None,
            entropy: None,
            accept: rule.accept,
            allowed: Vec::new(),
            pointers: Vec::new(),
            is_built_in: true,
        }
    }
}

impl Rule {
    /// Hands over where secrets are in `text`.
    pub fn find(&self, text: &[u8], take: &mut dyn FnMut(Range<usize>)) {
        let is_there = |needed: &str| text.windows(needed.len()).any(|part| part == needed.as_bytes());
        if !self.needs.is_empty() && !is_there(self.needs) {
            return;
        }
        for pattern in &self.patterns {
            let Some(regex) = pattern.regex() else { return take(0..text.len()) };
            if regex.captures_len() == 1 {
                let matches = regex.find_iter(text).map(|found| (found.range(), Some(found.range())));
                self.take_all(text, matches, take);
            } else {
                let matches = regex.captures_iter(text).map(|groups| {
                    let range = |index: usize| groups.get(index).map(|group| group.range());
                    let whole = range(0).unwrap_or_default();
                    let first =
                        || (1..groups.len()).find_map(|index| range(index).filter(|group| !group.is_empty()));
                    let secret = self.group.map_or_else(|| first().or(Some(whole.clone())), range);
                    (whole, secret)
                });
                self.take_all(text, matches, take);
            }
        }
    }

    fn take_all(
        &self,
        text: &[u8],
        matches: impl Iterator<Item = (Range<usize>, Option<Range<usize>>)>,
        take: &mut dyn FnMut(Range<usize>),
    ) {
        for (number, (matched, secret)) in matches.enumerate() {
            if !self.is_built_in && number >= MAX_MATCHES {
                return take(matched.start..text.len());
            }
            // The group took no part, so the match says nothing of a secret.
            let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { continue };
            if self.is_secret(&Candidate { text, matched, secret: secret.clone() }) {
                take(secret);
            }
        }
    }

    /// The last word on what a pattern, a name or a place has found.
    pub fn is_secret(&self, candidate: &Candidate<'_>) -> bool {
        (self.accept)(candidate) && self.is_not_excepted(candidate)
    }

    /// Whether neither its entropy nor an allowlist speaks for it.
    pub fn is_not_excepted(&self, candidate: &Candidate<'_>) -> bool {
        self.entropy.is_none_or(|least| entropy(candidate.secret()) > least)
            && !self.allowed.iter().any(|allowed| allowed.allows(candidate))
    }
}
