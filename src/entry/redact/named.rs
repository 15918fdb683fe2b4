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
    /// A secret, if it looks like one.
    Secret,
}

/// The last letters of all names below.
const ENDS: [&str; 13] =
    ["ord", "swd", "pwd", "ase", "ode", "key", "ret", "ken", "ing", "ial", "als", "uth", "ion"];
/// No name below is longer.
const MAX_NAME: usize = 16;
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
        if letters.end_in("authorization") {
            return Some(Self::Authorization);
        }
        if PASSWORDS.iter().any(|end| letters.end_in(end)) {
            return Some(Self::Password);
        }
        SECRETS.iter().any(|end| letters.end_in(end)).then_some(Self::Secret)
    }

    /// What a flag promises, such as `--token`: its value is the thing itself.
    pub fn of_flag(flag: &str) -> Option<Self> {
        let letters = Letters::<5>::last_of(flag.as_bytes());
        if ["token", "pass", "pat"].iter().any(|end| letters.end_in(end)) {
            Some(Self::Password)
        } else {
            Self::of(flag)
        }
    }

    /// The rule that finds it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Authorization => AUTHORIZATION,
            Self::Password => PASSWORD,
            Self::Secret => SECRET,
        }
    }

    /// Where in `value` the secret begins; `None` if there is none.
    pub fn secret_in(self, value: &str) -> Option<usize> {
        match self {
            Self::Password => is_password_value(value.as_bytes()).then_some(0),
            Self::Secret => is_random_value(value.as_bytes()).then_some(0),
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
    named_before(candidate) == Some(Named::Password) && is_password_value(candidate.secret())
}

/// For matches of an assignment to what may be a secret.
pub(super) fn is_secret(candidate: &Candidate<'_>) -> bool {
    named_before(candidate) == Some(Named::Secret) && is_random_value(candidate.secret())
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
        for name in PASSWORDS.iter().chain(&SECRETS).chain(&["authorization"]) {
            assert!(Named::of(name).is_some() && name.len() <= MAX_NAME, "{name}");
        }
    }

    #[test]
    fn names_are_known_however_they_are_written() {
        for name in ["password", "DB_PASSWORD", "clientSecret", "X-Api-Key", "aws.secret-access key"] {
            assert_eq!(Named::of(name), Some(Named::Password), "{name}");
        }
        for name in
            ["password_policy", "passwordHash", "max_tokens", "key", "api_key_id", "secretName", "title"]
        {
            assert_eq!(Named::of(name), None, "{name}");
        }
        assert_eq!(Named::of("next_page_token"), Some(Named::Secret));
        assert_eq!(Named::of_flag("--token"), Some(Named::Password));
        assert_eq!(Named::of("Proxy-Authorization"), Some(Named::Authorization));
    }
}
