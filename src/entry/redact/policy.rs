//! The policy's rules: the shape that gitleaks has, and what is ours. A rule that cannot be understood is an error that
//! names it, because one that is passed over in silence protects nobody.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Action;
use super::plausible::Candidate;
use super::rule::{Allowed, Keyword, Pattern, Rule, Target, is_unicode};

const MAX_ID_BYTES: usize = 64;

/// What `.audit/config.toml` says about redaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactionPolicy {
    /// What is done where a rule does not say.
    pub action: Action,
    /// Built-in rules that are not applied.
    pub disabled: Vec<String>,
    /// Rules, each as it was written: so that what is wrong with one can name it.
    pub rules: Vec<Value>,
}

impl RedactionPolicy {
    /// Whether it says anything that the built-in rules do not.
    pub fn is_default(&self) -> bool {
        self.action == Action::Redact && self.disabled.is_empty() && self.rules.is_empty()
    }
}

/// A rule. `path`, `tags` and their kin are about files and reports, which there are none of here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RuleText {
    id: String,
    #[serde(rename = "description")]
    _description: String,
    regex: Option<String>,
    secret_group: usize,
    entropy: f64,
    keywords: Vec<String>,
    allowlist: Option<AllowlistText>,
    allowlists: Vec<AllowlistText>,
    path: Option<String>,
    #[serde(rename = "tags")]
    _tags: Vec<String>,
    #[serde(rename = "skipReport")]
    _skip_report: bool,
    /// Ours.
    pointers: Vec<String>,
    /// Ours.
    action: Option<Action>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct AllowlistText {
    #[serde(rename = "description")]
    _description: String,
    condition: String,
    paths: Vec<String>,
    commits: Vec<String>,
    regexes: Vec<String>,
    regex_target: String,
    stopwords: Vec<String>,
}

/// Puts the policy's rules, in order, between the built-in ones that know a form and those that know a name.
///
/// # Errors
/// The first rule that is wrong, and why.
pub(super) fn apply(
    policy: &RedactionPolicy,
    known: &mut Vec<Rule>,
    named: &mut Vec<Rule>,
) -> Result<(), String> {
    for id in &policy.disabled {
        let before = known.len() + named.len();
        known.retain(|rule| rule.id != *id);
        named.retain(|rule| rule.id != *id);
        if known.len() + named.len() == before {
            return Err(format!("redaction.disabled names `{id}`, which is no built-in rule"));
        }
    }
    for rule in known.iter_mut().chain(named.iter_mut()) {
        rule.action = policy.action;
    }
    for (number, value) in policy.rules.iter().enumerate() {
        let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
        let name = if id.is_empty() { format!("number {}", number + 1) } else { format!("`{id}`") };
        let wrong = |why: String| format!("redaction rule {name}: {why}");
        let text = RuleText::deserialize(value).map_err(|error| wrong(error.to_string()))?;
        check_id(&text.id).map_err(wrong)?;
        let allowed = text.allowed().map_err(wrong)?;
        if text.regex.is_none() && text.pointers.is_empty() {
            let mut found = known.iter_mut().chain(named.iter_mut());
            match found.find(|rule| rule.is_built_in && rule.id == text.id) {
                Some(built_in) => {
                    built_in.action = text.action.unwrap_or(built_in.action);
                    built_in.allowed.extend(allowed);
                }
                // It finds files by their names.
                None if text.path.is_some() => {}
                None => return Err(wrong("has neither a regex nor pointers".into())),
            }
            continue;
        }
        known.push(text.rule(policy.action, allowed).map_err(wrong)?);
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(fits) {
        return Err(format!("an id has 1 to {MAX_ID_BYTES} of the characters A-Z a-z 0-9 . _ -"));
    }
    Ok(())
}

impl RuleText {
    fn rule(self, default: Action, allowed: Vec<Allowed>) -> Result<Rule, String> {
        let mut group = None;
        if let Some(regex) = &self.regex {
            let groups = groups_of(regex).map_err(|why| format!("regex: {why}"))?;
            if self.secret_group > groups {
                return Err(format!(
                    "secretGroup is {}, but the regex has {groups} groups",
                    self.secret_group
                ));
            }
            group = (self.secret_group > 0).then_some(self.secret_group);
        }
        if !(0.0..=8.0).contains(&self.entropy) {
            return Err("entropy is from 0 to 8".into());
        }
        let keywords = self.keywords.iter().filter(|keyword| !keyword.is_empty());
        Ok(Rule {
            action: self.action.unwrap_or(default),
            keywords: keywords.map(|keyword| Keyword::of_policy(keyword)).collect(),
            needs: "",
            patterns: self.regex.into_iter().map(Pattern::new).collect(),
            group,
            entropy: Some(self.entropy).filter(|entropy| *entropy > 0.0),
            accept: |_: &Candidate<'_>| true,
            allowed,
            pointers: self.pointers.iter().map(|pointer| segments(pointer)).collect::<Result<_, _>>()?,
            is_built_in: false,
            id: self.id.into(),
        })
    }

    fn allowed(&self) -> Result<Vec<Allowed>, String> {
        self.allowlist.iter().chain(&self.allowlists).map(AllowlistText::allowed).collect()
    }
}

impl AllowlistText {
    fn allowed(&self) -> Result<Allowed, String> {
        let target = match self.regex_target.as_str() {
            "" | "secret" => Target::Secret,
            "match" => Target::Match,
            "line" => Target::Line,
            other => return Err(format!("regexTarget is secret, match or line, not `{other}`")),
        };
        let needs_all = match self.condition.to_ascii_uppercase().as_str() {
            "" | "OR" | "||" => false,
            "AND" | "&&" => true,
            other => return Err(format!("condition is OR or AND, not `{other}`")),
        };
        for regex in &self.regexes {
            groups_of(regex).map_err(|why| format!("allowlist: {why}"))?;
        }
        Ok(Allowed {
            regexes: self.regexes.iter().cloned().map(Pattern::new).collect(),
            stopwords: self.stopwords.iter().map(|word| word.to_ascii_lowercase()).collect(),
            target,
            needs_all,
            has_others: !(self.paths.is_empty() && self.commits.is_empty()),
        })
    }
}

/// How many groups a regex has. It is only parsed here: that is enough to know that it is one.
fn groups_of(regex: &str) -> Result<usize, String> {
    let mut parser = regex_syntax::ParserBuilder::new();
    let mut parser = parser.unicode(is_unicode(regex)).utf8(false).build();
    let parsed = parser.parse(regex).map_err(|error| {
        // The last line says what is wrong, those before it show where.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        format!("`{regex}`: {}", why.strip_prefix("error: ").unwrap_or(why))
    })?;
    Ok(parsed.properties().explicit_captures_len())
}

/// The segments of a JSON pointer (RFC 6901).
fn segments(pointer: &str) -> Result<Vec<String>, String> {
    let mut parts = pointer.split('/');
    if parts.next() != Some("") || pointer.len() < 2 {
        return Err(format!("`{pointer}` is no JSON pointer: one begins with `/`, as /metadata/email"));
    }
    Ok(parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Redactor;
    use super::*;

    fn redactor(policy: Value) -> Result<Redactor, String> {
        Redactor::with(&serde_json::from_value(policy).map_err(|error| error.to_string())?)
    }

    fn kept(policy: Value, text: &str) -> String {
        redactor(policy).unwrap().text(text).0.into_owned()
    }

    #[test]
    fn a_rule_in_the_shape_of_gitleaks_works_as_it_does_there() {
        let rule = json!({
            "id": "acme-key", "description": "Acme", "regex": "(?i)acme(-| )(key|id)=([a-z0-9]{4,})", "secretGroup": 3, "entropy": 1.5,
            "keywords": ["ACME"], "tags": ["x"], "path": "\\.env$",
            "allowlists": [{"regexTarget": "line", "regexes": ["^#"]}, {"condition": "AND", "stopwords": ["demo"], "regexes": ["^d"]}],
            "allowlist": {"stopwords": ["EXAMPLE"], "paths": ["x"]}
        });
        let policy = json!({"rules": [rule]});
        for (text, expected) in [
            ("x acme-key=a1b2c3 y", "x acme-key=[redacted:acme-key] y"),
            ("acme-key=aaaaaa", "acme-key=aaaaaa"),
            ("# acme-key=a1b2c3", "# acme-key=a1b2c3"),
            ("\n# x\nacme-key=a1b2c3", "\n# x\nacme-key=[redacted:acme-key]"),
            ("acme-key=a1example", "acme-key=a1example"),
            ("acme-key=demo12", "acme-key=demo12"),
            ("acme-key=1demo2", "acme-key=[redacted:acme-key]"),
        ] {
            assert_eq!(kept(policy.clone(), text), expected);
        }
        let first_group = json!({"rules": [{"id": "r", "regex": "k(a+)?(b+)"}]});
        assert_eq!(kept(first_group, "kbb"), "k[redacted:r]");
    }

    #[test]
    fn a_pointer_takes_the_whole_value_wherever_it_leads() {
        let rule = json!({"id": "mail", "pointers": ["/customer/email", "/list/*/a~1b"]});
        let redactor = redactor(json!({"rules": [rule]})).unwrap();
        let mut value =
            json!({"customer": {"email": {"x": 1}}, "list": [{"a/b": 5}, {"a/b": null}], "email": "e"});
        let found = redactor.value(&mut value);
        let mark = "[redacted:mail]";
        let expected =
            json!({"customer": {"email": mark}, "list": [{"a/b": mark}, {"a/b": null}], "email": "e"});
        assert_eq!(value, expected);
        assert_eq!(
            found.iter().map(|found| &found.pointer).collect::<Vec<_>>(),
            ["/customer/email", "/list/0/a~1b"]
        );
        assert_eq!(redactor.value(&mut value), vec![]);
        let broken = r#"{"customer": {"email": "a\"b@x", "n": 1"#;
        assert_eq!(redactor.document(broken).0, r#"{"customer": {"email": "[redacted:mail]", "n": 1"#);
    }

    #[test]
    fn a_hostile_document_without_end_takes_no_longer_for_the_keys_of_pointers() {
        let redactor = redactor(json!({"rules": [{"id": "mail", "pointers": ["/email"]}]})).unwrap();
        for piece in ["\"email\":x", "\"email\":\"", "\"email\": ", "\"email\":\"\\\""] {
            let started = std::time::Instant::now();
            redactor.document(&piece.repeat(100_000));
            assert!(started.elapsed().as_secs() < 5, "{piece}");
        }
    }

    #[test]
    fn actions_are_the_rules_own_else_the_policys() {
        let secret = format!("gh{}{}", "p_", "aB3dE".repeat(8));
        let policy = json!({"action": "block", "rules": [{"id": "github-pat", "action": "warn"}, {"id": "x", "regex": "xyz"}]});
        let redactor = redactor(policy).unwrap();
        let (kept, found) = redactor.text(&secret);
        assert_eq!((kept.as_ref(), found[0].action), (secret.as_str(), Action::Warn));
        assert_eq!(redactor.text("xyz").1[0].action, Action::Block);
        let mut entry = json!({"title": "xyz"});
        let refused = redactor.entry(&mut entry).1.unwrap_err();
        assert_eq!(refused.pointer.as_deref(), Some("/title"));
        assert!(refused.rule.contains("rule x") && entry["title"] == "[redacted:x]");
    }

    #[test]
    fn a_built_in_rule_can_be_disabled_or_given_exceptions() {
        let text = "password=hunter2";
        assert_eq!(kept(json!({"disabled": ["password"]}), text), text);
        assert_eq!(
            kept(json!({"rules": [{"id": "password", "allowlist": {"regexes": ["^hunter"]}}]}), text),
            text
        );
    }

    #[test]
    fn a_rule_that_is_wrong_is_named() {
        for (policy, expected) in [
            (json!({"rules": [{"id": "r", "regex": "a("}]}), "rule `r`: regex: `a(`: unclosed group"),
            (json!({"rules": [{"id": "r", "regex": "a", "secretGroup": 1}]}), "rule `r`: secretGroup is 1"),
            (json!({"rules": [{"id": "r"}]}), "rule `r`: has neither a regex nor pointers"),
            (json!({"rules": [{"regex": "a"}]}), "rule number 1: an id"),
            (
                json!({"rules": [{"id": "r", "regex": "a", "actoin": "warn"}]}),
                "rule `r`: unknown field `actoin`",
            ),
            (json!({"rules": [{"id": "r", "pointers": ["a"]}]}), "rule `r`: `a` is no JSON pointer"),
            (
                json!({"rules": [{"id": "r", "regex": "a", "allowlist": {"regexes": ["["]}}]}),
                "rule `r`: allowlist: `[`",
            ),
            (json!({"disabled": ["jwts"]}), "`jwts`, which is no built-in rule"),
            (json!({"action": "drop"}), "unknown variant `drop`"),
            (json!({"acton": "warn"}), "unknown field `acton`"),
        ] {
            let why = redactor(policy).err().unwrap();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_bounded_and_never_passes_over_what_it_should_find() {
        let huge = json!({"rules": [{"id": "huge", "regex": "((a{1000}){1000}){1000}"}]});
        assert_eq!(kept(huge, "whatever"), "[redacted:huge]");
        let square = redactor(json!({"rules": [{"id": "square", "regex": "a.*z|a"}]})).unwrap();
        assert_eq!(square.text(&"a".repeat(1 << 16)).0.matches("[redacted:square]").count(), 1001);
    }
}
