//! The name of a repository that is the same in every clone of it: `host/path` of where it comes from.
//!
//! Invariants: no user, password, query or fragment of a URL gets into it.

use std::path::{Component, Path, PathBuf};

use git2::Repository;

use super::repository::{Head, root_of};
use crate::entry::text::visible;
use crate::entry::url::without_credentials;

/// Far more than a host and a path need. What is longer is not taken: cut, it could end in half a secret.
const MAX_BYTES: usize = 500;

/// From the URL of `origin`, else of the branch's own remote, else of the only remote there is (as git resolves it:
/// `url.*.insteadOf` counts, since short forms mean nothing elsewhere); without a remote, the directory's name.
pub(super) fn of(repository: &Repository) -> String {
    let id = remote_url(repository).and_then(|url| from_url(&url, &root_of(repository)));
    let id = id.filter(|id| id.len() <= MAX_BYTES).unwrap_or_else(|| directory_name(repository));
    visible(&id)
}

fn remote_url(repository: &Repository) -> Option<String> {
    let url = |name: &str| {
        let remote = repository.find_remote(name).ok()?;
        Some(String::from_utf8_lossy(remote.url_bytes()).into_owned()).filter(|url| !url.is_empty())
    };
    let of_branch = || {
        let branch = Head::of(repository).branch?;
        let name = repository.branch_upstream_remote(&format!("refs/heads/{branch}")).ok()?;
        url(name.as_str().ok()?)
    };
    let only = || {
        let names = repository.remotes().ok()?;
        if names.len() == 1 { url(names.get(0).ok()??) } else { None }
    };
    url("origin").or_else(of_branch).or_else(only)
}

/// Linked worktrees of a repository share its name.
fn directory_name(repository: &Repository) -> String {
    let common: PathBuf = repository.commondir().components().collect();
    let is_inside = common.file_name().is_some_and(|name| name == ".git");
    let directory = match common.parent() {
        Some(around) if is_inside => around.to_owned(),
        _ if repository.is_bare() || repository.is_worktree() => common,
        _ => root_of(repository),
    };
    let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".git").unwrap_or(&name);
    if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
}

/// `host/path`, or the path of a local one, which may be relative to `root`. `None`: there is no telling.
fn from_url(url: &str, root: &Path) -> Option<String> {
    let url = without_credentials(url);
    if let Some((scheme, rest)) = url.split_once("://") {
        // A transport helper may stand before the scheme: `hg::https://…`.
        let scheme = scheme.rsplit("::").next().unwrap_or(scheme).to_ascii_lowercase();
        return if scheme == "file" {
            let path = rest.find('/').map_or(rest, |slash| &rest[slash..]);
            local(Path::new(path), root)
        } else {
            remote(&scheme, rest)
        };
    }
    // A helper of which nothing is known: its words could be anything.
    if url.contains("::") && !url.contains('[') {
        return None;
    }
    match url.split_once(':') {
        Some((before, path)) if !before.contains('/') => scp_like(before, path),
        _ => local(Path::new(&*url), root),
    }
}

fn remote(scheme: &str, rest: &str) -> Option<String> {
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let usual = match scheme.rsplit('+').next() {
        Some("ssh") => "22",
        Some("https") => "443",
        Some("http") => "80",
        Some("git") => "9418",
        _ => "",
    };
    let (name, port) = split_port(host);
    let port = port.filter(|port| !port.is_empty() && *port != usual);
    joined(name, port, path)
}

/// `user@host:path`, also `[host:port]:path`.
fn scp_like(before: &str, path: &str) -> Option<String> {
    let host = before.rfind('@').map_or(before, |at| &before[at + 1..]);
    if let Some(inside) = host.strip_prefix('[') {
        // The brackets hold a colon, at which the text was cut.
        let (rest, path) = path.split_once("]:")?;
        let inside = format!("{inside}:{rest}");
        let (name, port) =
            if inside.matches(':').count() > 1 { (inside.as_str(), None) } else { split_port(&inside) };
        return joined(name, port.filter(|port| *port != "22"), path);
    }
    joined(host, None, path)
}

/// `host:port`, where the host may be an address in brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn joined(host: &str, port: Option<&str>, path: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    if host.is_empty() {
        return None;
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = without_ending(path.trim_start_matches('/'));
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{host}{port}{slash}{path}"))
}

fn without_ending(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/')
}

/// Absolute, without `.` and `..`.
fn local(path: &Path, root: &Path) -> Option<String> {
    let mut whole = PathBuf::new();
    for part in root.join(path).components() {
        match part {
            Component::ParentDir => _ = whole.pop(),
            Component::CurDir => {}
            other => whole.push(other),
        }
    }
    Some(without_ending(&whole.to_string_lossy()).to_owned()).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> String {
        from_url(url, Path::new("/srv/shop")).unwrap_or_default()
    }

    #[test]
    fn every_way_to_write_a_remote_gives_the_same_name() {
        for url in [
            "https://github.com/acme/shop.git",
            "https://user:secret@GitHub.com:443/acme/shop/",
            "http://github.com:80/acme/shop.git/",
            "ssh://git@github.com:22/acme/shop.git",
            "ssh://git@github.com/acme/shop",
            "git+ssh://git@github.com/acme/shop",
            "git://github.com:9418/acme/shop.git",
            "git@github.com:acme/shop.git",
            "github.com:/acme/shop",
            "git@[github.com:22]:acme/shop.git",
            "https://github.com/acme/shop.git?token=secret#secret",
            "hg::https://user:secret@github.com/acme/shop",
            "user:secret@github.com:acme/shop",
            "https://user:sec/secret@github.com/acme/shop",
        ] {
            assert_eq!(id(url), "github.com/acme/shop", "{url}");
        }
        assert_eq!(id("ssh://git@example.com:2222/a/b.git"), "example.com:2222/a/b");
        assert_eq!(id("ssh://git@[::1]:22/a/b.git"), "::1/a/b");
        assert_eq!(id("git@[::1]:a/b"), "::1/a/b");
        assert_eq!(id("https://example.com"), "example.com");
    }

    #[test]
    fn a_local_remote_is_its_path() {
        assert_eq!(id("/srv/git/shop.git"), "/srv/git/shop");
        assert_eq!(id("file:///srv/git/shop/.git"), "/srv/git/shop");
        assert_eq!(id("../upstream.git"), "/srv/upstream");
        assert_eq!(id("./a:b"), "/srv/shop/a:b");
    }

    #[test]
    fn what_cannot_be_read_gives_nothing() {
        assert_eq!(id("ext::ssh -o Secret=1 host"), "");
        assert_eq!(id("https:///path"), "");
    }
}
