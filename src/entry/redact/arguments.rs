//! Command lines: what a rule finds in an argument, and what only the flag before it tells.

use serde_json::Value;

use super::named::Named;
use super::{Found, Redactor};

/// Flags that take a secret with certain programs, or their commands, only.
const FLAGS: [Flag; 10] = [
    Flag {
        programs: &["curl", "http", "https", "xh"],
        flags: &["-u", "-a", "--user", "--proxy-user", "--auth"],
        is_pair: true,
    },
    Flag { programs: &["wget"], flags: &["--http-user"], is_pair: true },
    Flag {
        programs: &["mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump"],
        flags: &["-p"],
        is_pair: false,
    },
    Flag { programs: &["sshpass"], flags: &["-p"], is_pair: false },
    Flag { programs: &["redis-cli"], flags: &["-a"], is_pair: false },
    // docker, podman, helm registry
    Flag { programs: &["login"], flags: &["-p"], is_pair: false },
    Flag { programs: &["buildah", "skopeo", "podman"], flags: &["--creds"], is_pair: true },
    Flag { programs: &["mongo", "mongosh", "mongodump", "mongorestore"], flags: &["-p"], is_pair: false },
    Flag { programs: &["unzip", "zip", "sqlcmd", "sqlpackage"], flags: &["-P"], is_pair: false },
    Flag { programs: &["openssl"], flags: &["-passin", "-passout", "-pass", "-k"], is_pair: false },
];

struct Flag {
    programs: &'static [&'static str],
    flags: &'static [&'static str],
    /// `user:password`, of which only the password is taken.
    is_pair: bool,
}

/// What the argument before says of one.
#[derive(Clone, Copy)]
enum Expected {
    Value(Named),
    Password,
    Pair,
}

/// The arguments without their secrets.
pub(super) fn redact(redactor: &Redactor, arguments: &[String]) -> (Vec<String>, Vec<Found>) {
    let mut expected = None;
    let mut kept = Vec::with_capacity(arguments.len());
    let mut found = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let known = FLAGS.iter().filter(|flag| arguments[..index].iter().any(|before| flag.is_of(before)));
        let (name, value) = split(argument, known.clone());
        let (text, more) = match (name, expected.take()) {
            (None, Some(what)) => one(redactor, argument, value, Some(what)),
            (None, None) => one(redactor, argument, value, None),
            (Some(flag), _) => {
                let of_program = known.clone().find(|known| known.flags.contains(&flag));
                let what = match of_program {
                    Some(known) if known.is_pair => Some(Expected::Pair),
                    Some(_) => Some(Expected::Password),
                    None => Named::of_flag(flag).map(Expected::Value),
                };
                if value.is_empty() {
                    expected = what;
                }
                one(redactor, argument, value, what)
            }
        };
        found.extend(more.into_iter().map(|found| Found { pointer: format!("/{index}"), ..found }));
        kept.push(text);
    }
    (kept, found)
}

impl Flag {
    fn is_of(&self, argument: &str) -> bool {
        let name = argument.rsplit('/').next().unwrap_or(argument);
        self.programs.contains(&name)
    }
}

/// An argument's flag, if it is one, and its value: `--flag=value`, `-pvalue`, or the whole argument.
fn split(argument: &str, known: impl Iterator<Item = &'static Flag>) -> (Option<&str>, &str) {
    if !argument.starts_with('-') || argument.len() < 2 {
        return (None, argument);
    }
    let name = argument.split('=').next().unwrap_or(argument);
    if argument.starts_with("--") || name.len() < argument.len() {
        return (Some(name), argument.get(name.len() + 1..).unwrap_or_default());
    }
    let short = argument.get(..2).unwrap_or(argument);
    let is_known = known.into_iter().any(|flag| flag.flags.contains(&short));
    let length = if is_known { 2 } else { argument.len() };
    (Some(&argument[..length]), &argument[length..])
}

/// One argument, whose last part is `value`.
fn one(redactor: &Redactor, argument: &str, value: &str, expected: Option<Expected>) -> (String, Vec<Found>) {
    let before = argument.len() - value.len();
    if let Some((kept, found)) = json(redactor, value) {
        return (format!("{}{kept}", &argument[..before]), found);
    }
    let mut spans = redactor.spans(argument);
    spans.extend(redactor.keyed_spans(argument));
    let named = match expected {
        None => None,
        Some(Expected::Value(named)) => redactor.named_span(value, named),
        Some(Expected::Password) => redactor.named_span(value, Named::Password),
        Some(Expected::Pair) => value.split_once(':').and_then(|(user, password)| {
            let mut span = redactor.named_span(password, Named::Password)?;
            // `-u 1000:1000`
            let is_number = password.bytes().all(|byte| byte.is_ascii_digit()) && password.len() < 6;
            let shift = user.len() + 1;
            span.range = span.range.start + shift..span.range.end + shift;
            (!is_number).then_some(span)
        }),
    };
    spans.extend(named.map(|mut span| {
        span.range = span.range.start + before..span.range.end + before;
        span
    }));
    let (kept, found) = redactor.replace(argument, spans);
    (kept.into_owned(), found)
}

/// An argument that is JSON, such as that of `--metadata`.
fn json(redactor: &Redactor, value: &str) -> Option<(String, Vec<Found>)> {
    if !value.starts_with(['{', '[']) {
        return None;
    }
    let mut parsed: Value = serde_json::from_str(value).ok()?;
    let found = redactor.value(&mut parsed);
    // Where nothing was found it stays as it was written; pointers may still name something in it.
    let is_whole = redactor.rules().iter().all(|rule| rule.pointers.is_empty());
    (!found.is_empty() && is_whole).then(|| (parsed.to_string(), found))
}
