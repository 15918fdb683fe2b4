//! Command lines: what a rule finds in an argument, and what only the words before it tell. An argument may be a command
//! line itself, as that of `sh -c` is.

use std::ops::Range;

use serde_json::Value;

use super::named::Named;
use super::scan::Span;
use super::{Found, Redactor};

/// How deep command lines are looked for in command lines.
const MAX_DEPTH: usize = 3;
/// Words after which the name of a setting comes, and then its value.
const SETTERS: [&str; 3] = ["set", "config", "configure"];

/// Flags that take a secret with certain programs, or their commands, only.
const FLAGS: [Flag; 15] = [
    Flag {
        programs: &["curl", "http", "https", "xh"],
        flags: &["-u", "-U", "-a", "--user", "--proxy-user", "--auth"],
        is_pair: true,
    },
    Flag { programs: &["wget"], flags: &["--http-user"], is_pair: true },
    Flag {
        programs: &["mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump"],
        flags: &["-p"],
        is_pair: false,
    },
    Flag { programs: &["sshpass", "twine", "7z", "7za"], flags: &["-p"], is_pair: false },
    Flag {
        programs: &["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami"],
        flags: &["-w"],
        is_pair: false,
    },
    Flag { programs: &["ldappasswd"], flags: &["-w", "-a", "-s"], is_pair: false },
    Flag { programs: &["ssh-keygen"], flags: &["-N", "-P"], is_pair: false },
    // gh secret set
    Flag { programs: &["secret"], flags: &["-b", "--body"], is_pair: false },
    Flag { programs: &["mysqlimport", "mysqlcheck", "mysqlsh"], flags: &["-p"], is_pair: false },
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
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut told = told(redactor, &words);
    let mut found = Vec::new();
    let mut kept = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.iter().enumerate() {
        let (text, more) = one(redactor, argument, std::mem::take(&mut told[index]));
        found.extend(more.into_iter().map(|found| Found { pointer: format!("/{index}"), ..found }));
        kept.push(text);
    }
    (kept, found)
}

/// One argument, in which the words before it tell of these secrets.
fn one(redactor: &Redactor, argument: &str, told: Vec<Span>) -> (String, Vec<Found>) {
    let value =
        if argument.starts_with('-') { argument.split_once('=').map(|(_, value)| value) } else { None };
    let value = value.unwrap_or(argument);
    if let Some((kept, found)) = json(redactor, value) {
        return (format!("{}{kept}", &argument[..argument.len() - value.len()]), found);
    }
    let mut spans = redactor.spans(argument);
    spans.extend(redactor.keyed_spans(argument));
    spans.extend(told);
    spans.extend(within(redactor, argument, MAX_DEPTH));
    let (kept, found) = redactor.replace(argument, spans);
    (kept.into_owned(), found)
}

/// What the words of an argument tell, if it is a command line.
fn within(redactor: &Redactor, argument: &str, depth: usize) -> Vec<Span> {
    let places = words_of(argument);
    if places.len() < 2 || depth == 0 {
        return Vec::new();
    }
    let words: Vec<_> = places.iter().map(|place| &argument[place.clone()]).collect();
    let told = told(redactor, &words);
    let shifted = |span: Span, by: usize| Span { range: span.range.start + by..span.range.end + by, ..span };
    let mut spans = Vec::new();
    for ((place, word), told) in places.iter().zip(words).zip(told) {
        let inside = told.into_iter().chain(within(redactor, word, depth - 1));
        spans.extend(inside.map(|span| shifted(span, place.start)));
    }
    spans
}

/// For each word of a command line, the secrets that the words before it tell.
fn told(redactor: &Redactor, words: &[&str]) -> Vec<Vec<Span>> {
    let mut known: Vec<&Flag> = Vec::new();
    let (mut has_setter, mut has_vault) = (false, false);
    // What the next word is, and the next one that is no flag.
    let (mut next, mut next_plain) = (None, None);
    let mut told = Vec::with_capacity(words.len());
    for word in words {
        let (name, value) = split(word, &known);
        let expected = match name {
            None => next.take().or_else(|| next_plain.take()),
            Some(flag) => {
                let of_program = known.iter().find(|known| known.flags.contains(&flag));
                let expected = match of_program {
                    Some(known) if known.is_pair => Some(Expected::Pair),
                    Some(_) => Some(Expected::Password),
                    None => Named::of_flag(flag).map(Expected::Value),
                };
                next = expected.filter(|_| value.is_empty());
                expected
            }
        };
        told.push(expected.and_then(|expected| expected.span(redactor, word, value)).into_iter().collect());
        if name.is_none() && expected.is_none() {
            let program = program_of(word);
            // In a sentence, the word alone is about passwords.
            let is_name = has_setter && word.contains(['_', '-', '.', ':']) && !word.contains([' ', '=']);
            next_plain = match Named::of(word) {
                Some(named) if is_name => Some(Expected::Value(named)),
                _ if has_vault && program == "login" => Some(Expected::Password),
                _ => next_plain,
            };
            has_vault |= program == "vault";
            has_setter |= SETTERS.contains(&program);
            let new = FLAGS.iter().filter(|flag| flag.programs.contains(&program));
            known.extend(
                new.filter(|new| !known.iter().any(|known| std::ptr::eq(*known, *new))).collect::<Vec<_>>(),
            );
        }
    }
    told
}

impl Expected {
    /// The secret in `word`, which ends in `value`.
    fn span(self, redactor: &Redactor, word: &str, value: &str) -> Option<Span> {
        let mut begin = word.len() - value.len();
        let mut secret = value;
        if let Some(quote) = secret.chars().next().filter(|first| matches!(first, '"' | '\''))
            && let Some(inside) = secret[1..].strip_suffix(quote)
        {
            (begin, secret) = (begin + 1, inside);
        }
        let named = match self {
            Self::Value(named) => named,
            Self::Password => Named::Password,
            Self::Pair => {
                let (user, password) = secret.split_once(':')?;
                // `-u 1000:1000`
                if password.bytes().all(|byte| byte.is_ascii_digit()) && password.len() < 6 {
                    return None;
                }
                (begin, secret) = (begin + user.len() + 1, password);
                Named::Password
            }
        };
        let span = redactor.named_span(secret, named)?;
        Some(Span { range: span.range.start + begin..span.range.end + begin, ..span })
    }
}

fn program_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// An argument's flag, if it is one, and its value: `--flag=value`, `-pvalue`, or the whole argument.
fn split<'w>(argument: &'w str, known: &[&Flag]) -> (Option<&'w str>, &'w str) {
    if !argument.starts_with('-') || argument.len() < 2 {
        return (None, argument);
    }
    let name = argument.split('=').next().unwrap_or(argument);
    if argument.starts_with("--") || name.len() < argument.len() {
        return (Some(name), argument.get(name.len() + 1..).unwrap_or_default());
    }
    let short = argument.get(..2).unwrap_or(argument);
    let is_known = known.iter().any(|flag| flag.flags.contains(&short));
    let length = if is_known { 2 } else { argument.len() };
    (Some(&argument[..length]), &argument[length..])
}

/// Where the words of a command line are, as a shell sees them; without the quotes around a whole word.
fn words_of(line: &str) -> Vec<Range<usize>> {
    let ends_word = |byte: u8| byte.is_ascii_whitespace() || b";|&()<>`".contains(&byte);
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        let start = place;
        let mut quote = None;
        while place < bytes.len() && (quote.is_some() || !ends_word(bytes[place])) {
            match (bytes[place], quote) {
                (b'\\', None | Some(b'"')) => place += 1,
                (byte, Some(open)) if byte == open => quote = None,
                (byte @ (b'"' | b'\''), None) => quote = Some(byte),
                _ => {}
            }
            place += 1;
        }
        let end = place.min(bytes.len());
        if start < end {
            words.push(without_quotes(line, start..end));
        }
        place += 1;
    }
    words
}

/// `range` of `line` without the quotes around all of it.
fn without_quotes(line: &str, range: Range<usize>) -> Range<usize> {
    let word = &line[range.clone()];
    let is_quoted = ['"', '\''].iter().any(|quote| {
        let inside = word.strip_prefix(*quote).and_then(|word| word.strip_suffix(*quote));
        inside.is_some_and(|inside| !inside.contains(*quote))
    });
    if is_quoted { range.start + 1..range.end - 1 } else { range }
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
