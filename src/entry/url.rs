//! Addresses of repositories, as people and programs write them: without who logs in.

use std::borrow::Cow;

/// `text` without user, password, query and fragment where it is a URL, and without a password in `user:password@host:path`.
/// `git@host:path` is kept: a user without a password is no secret. Other text stays as it is.
///
/// A password should have its `/`, `@`, `?` and `#` escaped, and often has not. So where there is one, it is taken to
/// reach as far as it can: to the last `@`.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Cow::Borrowed(after_password(text).unwrap_or(text));
    };
    let (authority, _) = split_authority(rest);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let rest = match rest.rfind('@') {
        Some(at) if user.contains(':') || user.is_empty() && !has_port(host) => &rest[at + 1..],
        _ => &rest[authority.len() - host.len()..],
    };
    let (host, path) = split_authority(rest.split(['?', '#']).next().unwrap_or_default());
    // Whatever it is, it is no port.
    let host = if has_port(host) { host } else { host.split(':').next().unwrap_or_default() };
    Cow::Owned(format!("{scheme}://{host}{path}"))
}

/// `host[:port]`, and what follows.
fn split_authority(text: &str) -> (&str, &str) {
    text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()))
}

/// Whether what follows the host's colon, if anything does, can be a port.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']'))
}

/// What follows `user:password@`, in front of `host:path` or `host/path`.
fn after_password(text: &str) -> Option<&str> {
    let (user, rest) = text.split_once(':')?;
    let (_, host) = rest.rsplit_once('@')?;
    let is_address = host.contains([':', '/']) && !text.contains(char::is_whitespace);
    // What has an `@` or a slash before its colon is no user.
    (is_address && !user.contains(['@', '/'])).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_stays_whatever_is_in_it() {
        for (given, kept) in [
            ("https://user:secret@host:8443/a/b?token=1#x", "https://host:8443/a/b"),
            ("https://secret@host/a", "https://host/a"),
            ("https://u:pa@ss@host/x", "https://host/x"),
            ("https://u:a@b/pw@host", "https://host"),
            ("https://u:p/w@example.com/x", "https://example.com/x"),
            ("https://u:p?w@example.com/x", "https://example.com/x"),
            ("https://u:p#w@example.com/x?y", "https://example.com/x"),
            ("https://u:pw", "https://u"),
            ("ssh://a@b@example.com/x@y", "ssh://example.com/x@y"),
            ("hg::https://u:pw@example.com/x", "hg::https://example.com/x"),
            ("oauth2:pw@host:a/b", "host:a/b"),
            ("oauth2:p/w@host:a/b", "host:a/b"),
            ("user:pw@example.com/a", "example.com/a"),
        ] {
            assert_eq!(without_credentials(given), kept, "{given}");
        }
    }

    #[test]
    fn what_is_no_password_stays() {
        for text in [
            "https://host",
            "https://[::1]:8080/x@y",
            "http://localhost:8080/@scope/package",
            "git@host:a/b.git",
            "feature/a?b",
            "refs/heads/a:b@c/d",
            "test:node@18",
            "deploy: by dev@example.com:22",
            "/srv/a:b@c/d",
        ] {
            assert_eq!(without_credentials(text), text);
        }
    }
}
