//! What the name of a value says about it: a JSON key, a flag, a variable.

use super::plausible::{Candidate, is_password_value, is_random_value};
use super::rules::{AUTHORIZATION, PASSWORD, SECRET};

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The content of an `Authorization` header.
    Authorization,
    /// A secret, whatever it looks like.
    Password,
    /// The same, if it is no number: tests pass, too.
    Pass,
    /// A secret, if it looks like one.
    Secret,
}

/// The last letters of all names below.
const ENDS: [&str; 14] =
    ["ord", "swd", "pwd", "ase", "ode", "key", "ret", "ken", "ing", "ial", "als", "uth", "ion", "ass"];
/// No name below is longer.
const MAX_NAME: usize = 17;
/// How the names end, without what separates their words.
const PASSWORDS: [&str; 34] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "apikey",
    "apisecret",
    "apitoken",
    "clientsecret",
    "consumersecret",
    "sharedsecret",
    "signingsecret",
    "webhooksecret",
    "appsecret",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "sessiontoken",
    "bearertoken",
    "privatetoken",
    "idtoken",
    "securitytoken",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "accountkey",
    "storagekey",
    "sharedaccesskey",
    "subscriptionkey",
    "connectionstring",
];
/// What comes before the secret in an `Authorization` header.
const SCHEMES: [&str; 7] = ["bearer", "basic", "token", "apikey", "bot", "digest", "negotiate"];
const SECRETS: [&str; 5] = ["secret", "token", "credential", "credentials", "auth"];
/// Ends of names that promise nothing, although the end of theirs would.
const HARMLESS: [&str; 16] = [
    "idempotencytoken",
    "pagetoken",
    "nexttoken",
    "synctoken",
    "continuationtoken",
    "cancellationtoken",
    "bypass",
    "compass",
    "encompass",
    "surpass",
    "trespass",
    "underpass",
    "overpass",
    "multipass",
    "firstpass",
    "secondpass",
];
/// The keys of an object under a name that stand for the value itself, as in `{"password": {"value": …}}`.
pub(super) const VALUES: [&str; 11] =
    ["value", "default", "plain", "plaintext", "text", "secret", "raw", "data", "current", "new", "old"];
/// A number under a name: shorter ones count or measure something.
pub(super) const MIN_DIGITS: usize = 6;

impl Named {
    /// What `name` promises, however its words are written.
    pub fn of(name: &str) -> Option<Self> {
        Self::of_bytes(name.as_bytes())
    }

    fn of_bytes(name: &[u8]) -> Option<Self> {
        // Asked of every key of every entry, and most names end otherwise.
        let end = Letters::<3>::last_of(name);
        if !ENDS.iter().any(|known| end.are(known)) {
            return None;
        }
        let letters = Letters::<MAX_NAME>::last_of(name);
        if letters.are_harmless() {
            return None;
        }
        if letters.end_in("authorization") {
            return Some(Self::Authorization);
        }
        if PASSWORDS.iter().any(|end| letters.end_in(end)) {
            return Some(Self::Password);
        }
        if letters.end_in("pass") {
            return Some(Self::Pass);
        }
        SECRETS.iter().any(|end| letters.end_in(end)).then_some(Self::Secret)
    }

    /// What a flag promises, such as `--token`: its value is the thing itself.
    pub fn of_flag(flag: &str) -> Option<Self> {
        let letters = Letters::<MAX_NAME>::last_of(flag.as_bytes());
        if letters.are_harmless() {
            None
        } else if ["token", "pass", "pat", "bearer"].iter().any(|end| letters.end_in(end)) {
            Some(Self::Password)
        } else {
            Self::of(flag)
        }
    }

    /// The rule that finds it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Authorization => AUTHORIZATION,
            Self::Password | Self::Pass => PASSWORD,
            Self::Secret => SECRET,
        }
    }

    /// Where in `value` the secret begins; `None` if there is none.
    pub fn secret_in(self, value: &str) -> Option<usize> {
        match self {
            Self::Password => is_password_value(value.as_bytes()).then_some(0),
            Self::Pass => is_pass_value(value.as_bytes()).then_some(0),
            Self::Secret => is_secret_value(value.as_bytes()).then_some(0),
            Self::Authorization => {
                let scheme = value.split_once(' ').map(|(scheme, _)| scheme);
                let is_known = |scheme: &&str| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
                let begin = scheme.filter(is_known).map_or(0, |scheme| scheme.len() + 1);
                is_password_value(&value.as_bytes()[begin..]).then_some(begin)
            }
        }
    }
}

/// For a match that begins with the end of a name: what the whole name promises.
fn named_before(candidate: &Candidate<'_>) -> Option<Named> {
    let text = &candidate.text[..candidate.secret.start];
    let start = candidate.matched.start;
    let end = text[start..]
        .iter()
        .position(|byte| !byte.is_ascii_alphabetic())
        .map_or(text.len(), |end| start + end);
    Named::of_bytes(&text[start.saturating_sub(2 * MAX_NAME)..end])
}

/// For matches of an assignment to a password.
pub(super) fn is_password(candidate: &Candidate<'_>) -> bool {
    match named_before(candidate) {
        Some(Named::Password) => is_password_value(candidate.secret()) && !is_amount(candidate),
        Some(Named::Pass) => is_pass_value(candidate.secret()) && !is_verdict(candidate),
        _ => false,
    }
}

/// For matches of an assignment to what may be a secret.
pub(super) fn is_secret(candidate: &Candidate<'_>) -> bool {
    named_before(candidate) == Some(Named::Secret) && is_secret_value(candidate.secret())
}

/// For matches of a command line's flag and its value, and their like.
pub(super) fn is_argument(candidate: &Candidate<'_>) -> bool {
    let (text, start) = (candidate.text, candidate.matched.start);
    let before = &text[start.saturating_sub(2 * MAX_NAME)..candidate.secret.start];
    let flag = before.split(|byte| *byte == b' ').rfind(|word| word.starts_with(b"-")).unwrap_or_default();
    !Letters::<MAX_NAME>::last_of(flag).are_harmless() && is_password_value(candidate.secret())
}

/// `password: 8 characters`
fn is_amount(candidate: &Candidate<'_>) -> bool {
    let value = candidate.secret();
    let after = &candidate.text[candidate.secret.end..];
    let goes_on = after.first() == Some(&b' ') && after.get(1).is_some_and(u8::is_ascii_alphabetic);
    value.len() <= 3 && value.iter().all(u8::is_ascii_digit) && goes_on
}

/// `PASS: test_name`, as tests say it.
fn is_verdict(candidate: &Candidate<'_>) -> bool {
    let (text, start) = (candidate.text, candidate.matched.start);
    let goes_before =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'"' | b'\'');
    let is_bare = !text[..start].last().is_some_and(goes_before);
    is_bare && !text[start..candidate.secret.start].contains(&b'=')
}

fn is_pass_value(value: &[u8]) -> bool {
    is_password_value(value) && !value.iter().all(u8::is_ascii_digit)
}

/// Commit ids are written behind all kinds of words.
fn is_secret_value(value: &[u8]) -> bool {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    is_random_value(value) && !(value.len() == 40 && value.iter().all(is_hex))
}

/// The last letters of a name, in lower case, without what stands between words.
struct Letters<const N: usize> {
    letters: [u8; N],
    length: usize,
}

impl<const N: usize> Letters<N> {
    fn last_of(name: &[u8]) -> Self {
        let mut last = Self { letters: [0; N], length: 0 };
        let letters = name.iter().rev().filter(|byte| !matches!(byte, b'_' | b'-' | b'.' | b' '));
        for letter in letters.take(N) {
            last.length += 1;
            last.letters[N - last.length] = letter.to_ascii_lowercase();
        }
        last
    }

    fn are_harmless(&self) -> bool {
        HARMLESS.iter().any(|end| self.end_in(end))
    }

    fn are(&self, word: &str) -> bool {
        self.letters == word.as_bytes()
    }

    fn end_in(&self, word: &str) -> bool {
        self.letters[N - self.length..].ends_with(word.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_passes_the_first_look() {
        for name in PASSWORDS.iter().chain(&SECRETS).chain(&["authorization", "pass"]) {
            assert!(Named::of(name).is_some() && name.len() <= MAX_NAME, "{name}");
        }
    }

    #[test]
    fn names_are_known_however_they_are_written() {
        for name in ["password", "DB_PASSWORD", "clientSecret", "X-Api-Key", "aws.secret-access key"] {
            assert_eq!(Named::of(name), Some(Named::Password), "{name}");
        }
        for name in [
            "password_policy",
            "passwordHash",
            "max_tokens",
            "key",
            "api_key_id",
            "secretName",
            "title",
            "bypass",
        ] {
            assert_eq!(Named::of(name), None, "{name}");
        }
        for name in ["next_page_token", "Idempotency-Token", "continuationToken"] {
            assert_eq!((Named::of(name), Named::of_flag(name)), (None, None), "{name}");
        }
        assert_eq!(Named::of("smtp_pass"), Some(Named::Pass));
        assert_eq!(Named::of_flag("--token"), Some(Named::Password));
        assert_eq!(Named::of("Proxy-Authorization"), Some(Named::Authorization));
    }
}
