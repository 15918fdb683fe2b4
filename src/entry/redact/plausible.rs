//! Whether what stands where a secret would stand is one. A pattern finds `password: …`; whether that is a password, a
//! variable that holds one, or a sentence about it, is judged here.

use std::ops::Range;

/// A match that may be a secret.
pub(super) struct Candidate<'t> {
    pub text: &'t [u8],
    /// The whole match.
    pub matched: Range<usize>,
    /// The secret in it.
    pub secret: Range<usize>,
}

impl Candidate<'_> {
    pub fn secret(&self) -> &[u8] {
        &self.text[self.secret.clone()]
    }
}

/// Bits for each byte of `bytes`, by Shannon.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = bytes.len() as f64;
    let shares = counts.into_iter().filter(|count| *count > 0).map(|count| f64::from(count) / length);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

/// Words, numbers and names that somebody chose: `deploy-2026-11-03`, `SomeClassName`, `src/main.rs`.
fn is_readable(bytes: &[u8]) -> bool {
    bytes.split(|byte| !byte.is_ascii_alphanumeric()).all(|word| {
        let is_number = word.iter().all(u8::is_ascii_digit);
        is_number || word.len() <= 3 || word.iter().all(u8::is_ascii_uppercase) || is_camel_case(word)
    })
}

/// Letters, of which each capital is followed by small ones.
fn is_camel_case(word: &[u8]) -> bool {
    let pairs_fit = word.windows(2).all(|pair| pair[1].is_ascii_lowercase() || pair[0].is_ascii_lowercase());
    word.iter().all(u8::is_ascii_alphabetic) && pairs_fit && word.last().is_none_or(u8::is_ascii_lowercase)
}

/// For tokens that are known by a short beginning, which words can have, too.
pub(super) fn is_not_readable(candidate: &Candidate<'_>) -> bool {
    !is_readable(candidate.secret())
}

/// For values whose name says little: long, mixed, and no word.
pub(super) fn is_random_value(value: &[u8]) -> bool {
    value.len() >= 12
        && !value.contains(&b' ')
        && !is_placeholder(value)
        && !is_readable(value)
        && entropy(value) >= 2.8
}

/// For what follows `Authorization:`; after a scheme, anything that is no word, else what looks random.
pub(super) fn is_header_value(candidate: &Candidate<'_>) -> bool {
    let value = candidate.secret();
    let before = &candidate.text[candidate.matched.start..candidate.secret.start];
    let has_scheme =
        before.len() > "authorization".len() && before.last().is_some_and(u8::is_ascii_whitespace);
    let has_scheme = has_scheme && !matches!(before.trim_ascii_end().last(), Some(b':' | b'='));
    if has_scheme { !is_placeholder(value) && !is_word(value) } else { is_random_value(value) }
}

/// For what a name such as `password` was given.
pub(super) fn is_password(candidate: &Candidate<'_>) -> bool {
    is_password_value(candidate.secret())
}

pub(super) fn is_password_value(value: &[u8]) -> bool {
    let first_word = value.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_sentence = first_word.len() < value.len() && SENTENCES.contains(&lower(first_word).as_str());
    !(is_sentence || is_placeholder(value) || is_word(value) || is_call(value) || is_path(value))
}

/// For what stands before the `@` of a URL: `user:password`, or a token alone.
pub(super) fn is_url_password(candidate: &Candidate<'_>) -> bool {
    let value = candidate.secret();
    let before = &candidate.text[candidate.matched.start..candidate.secret.start];
    // `docker://image:1.2@sha256:…`, `http://[::1]:8080/@scope`
    let is_digest = candidate.text[candidate.secret.end..].starts_with(b"@sha256:");
    if is_digest || before.contains(&b'[') {
        return false;
    }
    if before.ends_with(b"/") {
        return is_random_value(value) && !value.contains(&b'.');
    }
    // `https://host:8080/path@2`
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_port = (1..=5).contains(&digits) && matches!(value.get(digits), Some(b'/' | b'?' | b'#'));
    !is_port && !is_placeholder(value)
}

/// What stands for a secret that is elsewhere: `${NAME}`, `$NAME`, `%NAME%`, `{{ name }}`, `<name>`, `***`.
fn is_placeholder(value: &[u8]) -> bool {
    let name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let all = |bytes: &[u8], fits: fn(&u8) -> bool| !bytes.is_empty() && bytes.iter().all(fits);
    match value {
        [b'$', b'{' | b'(', ..] | [b'{', b'{', ..] | [b'{', b'}', ..] | [b'<', ..] => true,
        [b'$', rest @ ..] => rest.iter().all(name) || lower(rest).ends_with("password"),
        [b'%', rest @ ..] => {
            rest.strip_suffix(b"%").unwrap_or(rest).iter().all(name) || matches!(rest, b"s" | b"v")
        }
        [b'[', rest @ ..] => {
            let inside = rest.strip_suffix(b"]").unwrap_or(rest);
            all(inside, u8::is_ascii_alphabetic)
        }
        _ => {
            all(value, |byte| matches!(byte, b'*' | b'.' | b'-' | b'x' | b'X' | b'#' | b'?' | b'_'))
                || value.starts_with(b"***")
                || std::str::from_utf8(value).is_ok_and(|text| text.chars().all(|dot| "•…●*".contains(dot)))
        }
    }
}

/// `get_password()`, `os.environ["X"]`, `secrets.DEPLOY_KEY`: code that fetches it.
fn is_call(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let name = value.iter().take_while(|byte| is_name(byte)).count();
    let begins = ["os.environ", "process.env", "secrets.", "vars.", "env."];
    let text = lower(value);
    name > 0 && value.get(name) == Some(&b'(') || begins.iter().any(|begin| text.starts_with(begin))
}

/// `/etc/ssl/key.pem`, and `PWD=/srv/x`: where it is, not what it is.
fn is_path(value: &[u8]) -> bool {
    let begins = [b"/".as_slice(), b"./", b"../", b"~/"].iter().any(|begin| value.starts_with(begin));
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'~');
    begins && value.iter().all(fits) && (value.len() < 12 || is_readable(value))
}

/// Words that follow `password:` or `--token` in sentences and schemas, and are no passwords.
fn is_word(value: &[u8]) -> bool {
    let trimmed = value.trim_ascii_end();
    let word = trimmed.strip_suffix(b".").unwrap_or(trimmed);
    value.is_empty() || word.len() <= 14 && WORDS.binary_search(&lower(word).as_str()).is_ok()
}

const WORDS: [&str; 102] = [
    "a",
    "absent",
    "accepted",
    "already",
    "an",
    "and",
    "are",
    "argument",
    "as",
    "at",
    "authentication",
    "be",
    "boolean",
    "can",
    "cannot",
    "changed",
    "compat",
    "default",
    "denied",
    "disabled",
    "empty",
    "enabled",
    "error",
    "expired",
    "failed",
    "failure",
    "false",
    "field",
    "file",
    "files",
    "flag",
    "for",
    "found",
    "from",
    "has",
    "hidden",
    "if",
    "in",
    "incorrect",
    "invalid",
    "is",
    "issued",
    "key",
    "length",
    "masked",
    "maximum",
    "minimum",
    "missing",
    "must",
    "needed",
    "nil",
    "no",
    "none",
    "not",
    "null",
    "number",
    "of",
    "off",
    "ok",
    "on",
    "optional",
    "or",
    "password",
    "please",
    "present",
    "prompt",
    "provided",
    "redacted",
    "rejected",
    "removed",
    "required",
    "reset",
    "revoked",
    "rotated",
    "secret",
    "set",
    "should",
    "string",
    "succeeded",
    "success",
    "systemd",
    "text",
    "that",
    "the",
    "this",
    "to",
    "token",
    "too",
    "true",
    "try",
    "unchanged",
    "undefined",
    "unknown",
    "unset",
    "updated",
    "valid",
    "value",
    "was",
    "when",
    "with",
    "wrong",
    "yes",
];
/// How a sentence goes on after `password:`. A passphrase of several words may begin with any other.
const SENTENCES: [&str; 13] =
    ["cannot", "did", "does", "has", "is", "may", "must", "needs", "not", "reset", "should", "was", "will"];

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted_because_they_are_searched() {
        assert!(WORDS.is_sorted());
    }

    #[test]
    fn chosen_names_are_readable_and_random_text_is_not() {
        for name in ["deploy-2026-11-03", "SomeClassName", "src/main.rs", "MAX_RETRIES", "v1.2.3", "12345"] {
            assert!(is_readable(name.as_bytes()), "{name}");
        }
        for random in ["a1b2c3d4e5f6", "dXNlcjpwYXNz", "3f2b8c1e-7d4a", "hunter2"] {
            assert!(!is_readable(random.as_bytes()), "{random}");
        }
    }

    #[test]
    fn what_stands_for_a_password_is_none() {
        for value in [
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "%PW%",
            "{{ pw }}",
            "<password>",
            "******",
            "[FILTERED]",
            "••••",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        for value in ["hunter2", "$ecret1", "[x1y2", "swordfish", "%a1!"] {
            assert!(is_password_value(value.as_bytes()), "{value}");
        }
        for value in [
            "expired",
            "Required.",
            "get_password()",
            "os.environ[\"X\"]",
            "/etc/ssl/key.pem",
            "must be longer",
        ] {
            assert!(!is_password_value(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        assert!(entropy(b"aaaa").abs() < f64::EPSILON);
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-9);
    }
}
