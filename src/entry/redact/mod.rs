//! Secrets out of what is about to be written. What a rule finds becomes `[redacted:<rule>]`; the rest stays.
//!
//! - [`rules`]: what secrets look like, as a table · [`policy`]: what the ledger's policy adds to it
//! - [`rule`]: one rule at work · [`plausible`], [`named`]: whether a value is one, and what its name says
//! - [`scan`]: a text against all rules · [`encoded`]: base64 in it
//! - [`walk`]: JSON values · [`arguments`]: command lines
//!
//! Invariants: nothing is compiled before a keyword of its rule occurs; the time grows with the text, not faster; no
//! message, name or pointer that comes from here holds a secret; redacting again changes nothing.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod arguments;
mod encoded;
mod named;
mod plausible;
mod policy;
mod rule;
mod rules;
#[cfg(test)]
mod samples;
mod scan;
#[cfg(test)]
mod trials;
mod walk;

pub use policy::RedactionPolicy;

use super::parse::Invalid;
use rule::Rule;
use scan::Prefilter;

/// What is done about a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is kept, and said.
    Warn,
    /// It is replaced.
    #[default]
    Redact,
    /// Nothing is written of what holds it. It is replaced all the same, so that nobody writes it by mistake.
    Block,
}

/// A secret that was found. It does not hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The rule's id.
    pub rule: String,
    /// JSON pointer of the string or key that had it; empty for a text.
    pub pointer: String,
    /// What the policy wants.
    pub action: Action,
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, pointer, action } = self;
        let done = match action {
            Action::Warn => "kept what looks like",
            Action::Redact => "redacted",
            Action::Block => "blocked",
        };
        write!(formatter, "{done} {rule}")?;
        if pointer.is_empty() { Ok(()) } else { write!(formatter, " at {pointer}") }
    }
}

/// Finds secrets by the built-in rules and those of a policy, and takes them out.
pub struct Redactor {
    rules: Vec<Rule>,
    prefilter: OnceLock<Prefilter>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::standard()
    }
}

impl Redactor {
    /// By the built-in rules alone.
    pub fn standard() -> Self {
        let rules = rules::KNOWN_FORMS.iter().chain(rules::NAMED).map(Rule::from).collect();
        Self { rules, prefilter: OnceLock::new() }
    }

    /// By the rules of a policy.
    ///
    /// # Errors
    /// A rule of the policy is wrong: which one, and why.
    pub fn with(policy: &RedactionPolicy) -> Result<Self, String> {
        let mut rules = rules::KNOWN_FORMS.iter().map(Rule::from).collect();
        let mut named = rules::NAMED.iter().map(Rule::from).collect();
        policy::apply(policy, &mut rules, &mut named)?;
        rules.append(&mut named);
        Ok(Self { rules, prefilter: OnceLock::new() })
    }

    /// Takes the secrets out of every string of `value`, keys too.
    pub fn value(&self, value: &mut Value) -> Vec<Found> {
        walk::walk(self, value)
    }

    /// As [`Self::value`], for an entry that is to be recorded.
    ///
    /// # Errors
    /// The policy blocks it, or a secret stands in an id, which cannot be another.
    pub fn entry(&self, value: &mut Value) -> (Vec<Found>, Result<(), Invalid>) {
        let found = self.value(value);
        let refused = refusal(&found).map_or(Ok(()), Err);
        (found, refused)
    }

    /// `text` without its secrets.
    pub fn text<'t>(&self, text: &'t str) -> (Cow<'t, str>, Vec<Found>) {
        self.replace(text, self.spans(text))
    }

    /// As [`Self::text`], for what should have been JSON: the values that the policy's pointers name are looked for by
    /// their keys, because nobody knows where they are.
    pub fn document<'t>(&self, text: &'t str) -> (Cow<'t, str>, Vec<Found>) {
        let mut spans = self.spans(text);
        spans.extend(self.keyed_spans(text));
        self.replace(text, spans)
    }

    /// What is wrong with an input, in words without its secrets: they may quote it.
    pub fn refused(&self, invalid: Invalid) -> Invalid {
        let clean = |text: &str| self.text(text).0.into_owned();
        let (pointer, rule) = (invalid.pointer.as_deref().map(clean), clean(&invalid.rule));
        Invalid { pointer, rule, ..invalid }
    }

    /// A command line without its secrets: also the values of flags such as `--password`. The pointers are the numbers
    /// of the arguments.
    pub fn arguments(&self, arguments: &[String]) -> (Vec<String>, Vec<Found>) {
        arguments::redact(self, arguments)
    }
}

/// Why an entry with these cannot be recorded, if that is so: also of a text or a command line that is to be a part of one.
pub fn refusal(found: &[Found]) -> Option<Invalid> {
    let is_id = |pointer: &str| matches!(pointer, "/task_id" | "/supersedes");
    let blocked = found.iter().find(|found| found.action == Action::Block);
    let in_id = found.iter().find(|found| found.action != Action::Warn && is_id(&found.pointer));
    let rule =
        |found: &Found, rest: &str| format!("holds what looks like a secret (rule {}){rest}", found.rule);
    match (blocked, in_id) {
        (Some(found), _) => {
            Some(Invalid::at(&found.pointer, rule(found, ", which the ledger's policy blocks")))
        }
        (None, Some(found)) => Some(Invalid::at(
            &found.pointer,
            rule(found, "; an id cannot be redacted: give the task another one"),
        )),
        (None, None) => None,
    }
}

/// The built-in rules: id, and what it finds.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
    rules::KNOWN_FORMS.iter().chain(rules::NAMED).map(|rule| (rule.id, rule.what))
}
