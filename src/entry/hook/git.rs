//! What git tells its hooks, as an event of the task that is running. `githooks(5)` has the arguments and the input.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::input::object;
use crate::entry::text::{shorten, visible};
use crate::entry::url::without_credentials;

/// The hooks that are understood, and whether git gives them something to read.
pub const HOOKS: [(&str, bool); 5] = [
    ("post-commit", false),
    ("post-checkout", false),
    ("post-merge", false),
    ("post-rewrite", true),
    ("pre-push", true),
];

/// More commits or refs than these are counted only.
const MAX_ITEMS: usize = 50;
const MAX_TEXT_BYTES: usize = 200;
/// The length of the longest object id.
const MAX_ID_BYTES: usize = 64;

/// The commit that is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
}

/// The event of the hook called `hook`. `None` where there is nothing to tell.
pub fn event(
    hook: &str,
    arguments: &[String],
    input: &str,
    head: Option<&Head>,
) -> Option<Map<String, Value>> {
    let argument = |index: usize| arguments.get(index).map(String::as_str);
    let commit = head.map(|head| head.commit.as_str());
    let subject = head.map(|head| line(&head.subject));
    let event = match hook {
        "post-commit" => json!({
            "type": "repo_commit", "operation": "commit", "commit_hash": commit, "metadata": { "subject": subject },
        }),
        // With "0", files were checked out, not a commit.
        "post-checkout" if argument(2) != Some("0") => json!({
            "type": "repo_checkout",
            "operation": "checkout",
            "commit_hash": argument(1).and_then(object_id),
            "metadata": { "from": argument(0).and_then(object_id) },
        }),
        "post-merge" => json!({
            "type": "repo_merge",
            "operation": if argument(0) == Some("1") { "squash" } else { "merge" },
            "commit_hash": commit,
            "metadata": { "subject": subject },
        }),
        "post-rewrite" => {
            let pairs = lines(input).filter_map(|words| {
                Some(json!({ "old": object_id(words.first()?)?, "new": object_id(words.get(1)?)? }))
            });
            let (commits, total) = first(pairs);
            json!({
                "type": "repo_rewrite",
                "operation": argument(0).filter(|word| matches!(*word, "amend" | "rebase")),
                "commit_hash": commit,
                "metadata": { "commits": commits, "commit_count": total },
            })
        }
        "pre-push" => {
            let refs = lines(input).filter_map(|words| match words.as_slice() {
                [local_ref, local, remote_ref, remote] => Some(json!({
                    "local_ref": line(local_ref),
                    "local": object_id(local)?,
                    "remote_ref": line(remote_ref),
                    "remote": object_id(remote)?,
                })),
                _ => None,
            });
            let (refs, total) = first(refs);
            json!({
                "type": "repo_push",
                "operation": "push",
                // git has no hook for after it.
                "status": "started",
                "metadata": {
                    "remote": argument(0).map(|remote| line(&without_credentials(remote))),
                    "url": argument(1).map(|url| line(&without_credentials(url))),
                    "refs": refs,
                    "ref_count": total,
                },
            })
        }
        _ => return None,
    };
    Some(object(event))
}

/// The commits that were made by what `event` tells, each once.
pub fn made(event: &Map<String, Value>) -> Vec<&str> {
    let kind = event.get("type").and_then(Value::as_str);
    let rewritten = event.get("metadata").and_then(|metadata| metadata.get("commits")?.as_array());
    let mut commits: Vec<_> = match kind {
        Some("repo_commit") => event.get("commit_hash").into_iter().filter_map(Value::as_str).collect(),
        Some("repo_rewrite") => {
            rewritten.into_iter().flatten().filter_map(|pair| pair.get("new")?.as_str()).collect()
        }
        _ => Vec::new(),
    };
    let mut known = BTreeSet::new();
    commits.retain(|commit| known.insert(*commit));
    commits
}

/// The first items, and how many there are where that is more.
fn first(items: impl Iterator<Item = Value>) -> (Vec<Value>, Option<usize>) {
    let mut items: Vec<_> = items.collect();
    let total = items.len();
    items.truncate(MAX_ITEMS);
    (items, (total > MAX_ITEMS).then_some(total))
}

fn lines(input: &str) -> impl Iterator<Item = Vec<&str>> {
    input.lines().map(|line| line.split(' ').collect())
}

fn object_id(text: &str) -> Option<&str> {
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(text).filter(|text| is_hex && text.len() <= MAX_ID_BYTES)
}

fn line(text: &str) -> String {
    shorten(&visible(text), MAX_TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hook: &str, arguments: &[&str], input: &str) -> Value {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let head = Head { commit: "c0ffee".into(), subject: "Fix\u{1b} it".into() };
        event(hook, &arguments, input, Some(&head)).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn a_commit_is_named_by_its_id_and_subject() {
        let event = json!({"type": "repo_commit", "operation": "commit", "commit_hash": "c0ffee",
            "metadata": {"subject": "Fix\\u001b it"}});
        assert_eq!(told("post-commit", &[], ""), event);
        assert_eq!(told("post-merge", &["0"], "")["type"], "repo_merge");
        assert_eq!(told("post-merge", &["1"], "")["operation"], "squash");
    }

    #[test]
    fn a_checkout_of_files_is_no_event() {
        let event = json!({"type": "repo_checkout", "operation": "checkout", "commit_hash": "bb",
            "metadata": {"from": "aa"}});
        assert_eq!(told("post-checkout", &["aa", "bb", "1"], ""), event);
        assert_eq!(told("post-checkout", &["aa", "aa", "0"], ""), Value::Null);
        assert_eq!(told("pre-commit", &[], ""), Value::Null);
    }

    #[test]
    fn a_rewrite_tells_old_and_new_commits_within_bounds() {
        let event = told("post-rewrite", &["rebase"], "aa bb\ncc dd extra\nnot-hex ee\n\n");
        assert_eq!(
            event["metadata"],
            json!({"commits": [{"old": "aa", "new": "bb"}, {"old": "cc", "new": "dd"}]})
        );
        let many = told("post-rewrite", &["amend"], &"aa bb\n".repeat(1000));
        assert_eq!(many["metadata"]["commits"].as_array().map(Vec::len), Some(MAX_ITEMS));
        assert_eq!(many["metadata"]["commit_count"], 1000);
    }

    #[test]
    fn the_commits_that_were_made_are_those_of_a_commit_and_the_new_ones_of_a_rewrite() {
        let made_by = |hook, arguments: &[&str], input| {
            let event = told(hook, arguments, input);
            made(event.as_object().unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(made_by("post-commit", &[], ""), ["c0ffee"]);
        // Two that were squashed are one.
        assert_eq!(made_by("post-rewrite", &["rebase"], "aa cc\nbb cc\ndd ee\n"), ["cc", "ee"]);
        assert!(made_by("post-checkout", &["aa", "bb", "1"], "").is_empty());
        assert!(made_by("post-merge", &["0"], "").is_empty());
    }

    #[test]
    fn a_push_tells_the_refs_and_never_who_logs_in() {
        let url = "https://dev:s3cret@example.com/shop.git?token=s3cret";
        let event = told(
            "pre-push",
            &["origin", url],
            "refs/heads/main aa refs/heads/main bb\n(delete) 00 refs/heads/x cc\n",
        );
        assert_eq!(event["metadata"]["url"], "https://example.com/shop.git");
        assert_eq!(event["metadata"]["refs"][1]["local_ref"], "(delete)");
        assert_eq!((&event["type"], &event["status"]), (&"repo_push".into(), &"started".into()));
        // An unnamed remote is its URL.
        assert!(!told("pre-push", &[url, url], "").to_string().contains("s3cret"));
    }
}
