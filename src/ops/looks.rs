//! Looking at the repositories that a task works in, and what goes into its journal of that.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Context;
use super::redaction::redactor_at;
use super::running::RepositoryOption;
use super::scribe::{Item, redacted};
use crate::entry::Redactor;
use crate::entry::text::shorten;
use crate::error::{Error, Result};
use crate::journal::capture::{self, Baseline, Changes, Commit, Limits};
use crate::journal::story::Worked;

/// The most bytes of the paths that changed: an event must fit into a line of the journal.
const MAX_PATHS_BYTES: usize = 100 << 10;
/// Patch ids that an event names; each commit's is in its artifact.
const MAX_PATCH_IDS: usize = 100;
const MAX_SUMMARY_BYTES: usize = 500;

/// What a look found, in the form of the journal.
pub(super) struct Look {
    /// The fields of an event that are about the repository.
    pub event: Item,
    /// The commits that were made, as artifacts.
    pub artifacts: Vec<Item>,
    /// Where the next look begins; `None` where the repository cannot be looked at any more.
    pub baseline: Option<Baseline>,
}

/// A repository as it is when a task begins to work in it.
pub(super) fn begin(context: &Context, repository: &RepositoryOption) -> Result<Baseline> {
    let path = context.place.directory.join(&repository.path);
    let repo_id = repository.repo_id.as_deref();
    let begun = capture::begin(&path, &context.place.ceilings, repo_id, limits(context));
    let redactor = redactor_at(&context.place);
    begun.map(|baseline| redacted(baseline, &redactor)).map_err(|error| cleaned(error, &redactor))
}

/// What changed in a repository since the task last looked at it, or since now, if it never did.
pub(super) fn again(context: &Context, repository: &RepositoryOption, known: &[Worked]) -> Result<Look> {
    let root = named(context, &repository.path, None)?.path;
    let since = match known.iter().find(|worked| worked.last.path == root) {
        Some(worked) => worked.last.clone(),
        None => begin(context, repository)?,
    };
    let (changes, baseline) = capture::look(&since, limits(context))?;
    Ok(Look {
        event: Item::captured(event(&changes)),
        artifacts: artifacts(&changes),
        baseline: Some(baseline),
    })
}

/// What the task did in a repository, from its beginning to its end. One that cannot be looked at any more is an event,
/// too.
pub(super) fn last(context: &Context, worked: &Worked) -> Look {
    let before = &worked.first;
    let (changes, baseline) = match capture::look(before, limits(context)) {
        Ok((changes, baseline)) => (changes, baseline),
        Err(error) => return unreadable(before, &error),
    };
    let operation = if changes.commits_total > 0 {
        "commit"
    } else if (&changes.head_before, &changes.branch_before) != (&changes.head_after, &changes.branch) {
        "checkout"
    } else if changes.files_changed_total > 0 {
        "write"
    } else {
        "read"
    };
    let mut event = event(&changes);
    event.insert("type".into(), json!(format!("repo_{operation}")));
    event.insert("operation".into(), json!(operation));
    event.insert("status".into(), json!("success"));
    Look { event: Item::captured(event), artifacts: artifacts(&changes), baseline: Some(baseline) }
}

/// A repository that is named at the end: how it is. `None`: the task began with it, so there is more to say.
pub(super) fn at_end(
    context: &Context,
    repository: &RepositoryOption,
    known: &[Worked],
) -> Result<Option<Look>> {
    let root = named(context, &repository.path, None)?.path;
    if known.iter().any(|worked| worked.first.path == root) {
        return Ok(None);
    }
    let mut look = again(context, repository, known)?;
    look.event.insert("type", json!("repo_read"));
    look.event.insert("operation", json!("read"));
    Ok(Some(look))
}

/// A repository that a lost task worked in: how it was when the task last looked. What happened since need not be its
/// work.
pub(super) fn unlooked(worked: &Worked) -> Map<String, Value> {
    let last = &worked.last;
    object(json!({
        "type": "repo_read",
        "repo_id": last.repo_id,
        "operation": "read",
        "commit_hash": last.head,
        "metadata": { "branch": last.branch, "head_before": worked.first.head, "looked_at_end": false },
    }))
}

fn unreadable(before: &Baseline, error: &Error) -> Look {
    let event = json!({
        "type": "repo_read_error",
        "level": "error",
        "repo_id": before.repo_id,
        "operation": "read",
        "error_message": error.to_string(),
        "metadata": { "head_before": before.head, "branch_before": before.branch },
    });
    Look { event: Item::captured(object(event)), artifacts: Vec::new(), baseline: None }
}

fn event(changes: &Changes) -> Map<String, Value> {
    let mut paths_bytes = 0;
    let listed: Vec<_> = changes
        .files_changed
        .iter()
        .take_while(|path| {
            paths_bytes += path.len() + 4;
            paths_bytes <= MAX_PATHS_BYTES
        })
        .collect();
    let mut metadata = json!({
        "branch": changes.branch,
        "head_before": changes.head_before,
        "head_after": changes.head_after,
        "commits": changes.commits_total,
        "files_changed_total": changes.files_changed_total,
    });
    // Words of the event, so that `--grep` finds what a rebase has left of a commit.
    let patch_ids = changes.commits.iter().filter_map(|commit| commit.patch_id.as_ref());
    let patch_ids: Vec<_> = patch_ids.take(MAX_PATCH_IDS).collect();
    if !patch_ids.is_empty() {
        metadata["patch_ids"] = json!(patch_ids);
    }
    if changes.branch_before != changes.branch {
        metadata["branch_before"] = json!(changes.branch_before);
    }
    if let Some(why) = &changes.incomplete {
        metadata["incomplete"] = json!(why);
    }
    let summary = |text: &str| (!text.is_empty()).then(|| json!(text));
    object(json!({
        "repo_id": changes.repo_id,
        "files_changed": listed,
        "lines_added": changes.lines_added,
        "lines_deleted": changes.lines_deleted,
        "commit_hash": changes.head_after,
        "git_status_summary": summary(&changes.status),
        "git_diff_summary": summary(&changes.diffstat),
        "metadata": metadata,
    }))
}

fn artifacts(changes: &Changes) -> Vec<Item> {
    changes.commits.iter().map(|commit| commit_artifact(&changes.repo_id, commit)).collect()
}

/// A commit as an artifact. Its patch id is the same after a rebase, its tree id after a change of the message.
pub(super) fn commit_artifact(repo_id: &str, commit: &Commit) -> Item {
    Item::captured(object(json!({
        "repo_id": repo_id,
        "ref_type": "commit",
        "ref_value": commit.id,
        "summary": shorten(&commit.subject, MAX_SUMMARY_BYTES),
        "created_at": commit.committed_at,
        "metadata": {
            "author": commit.author,
            "parents": commit.parents,
            "patch_id": commit.patch_id,
            "tree_id": commit.tree_id,
        },
    })))
}

/// The repository at `path` by name, and the commit that `revision` means in it.
pub(super) fn named(context: &Context, path: &Path, revision: Option<&str>) -> Result<capture::Named> {
    let path = context.place.directory.join(path);
    let named = capture::named(&path, &context.place.ceilings, revision, limits(context));
    named.map_err(|error| cleaned(error, &redactor_at(&context.place)))
}

fn limits(context: &Context) -> Limits {
    Limits { time: context.look_limit, ..Limits::default() }
}

/// The path of a repository is the caller's text, and may be anything.
fn cleaned(error: Error, redactor: &Redactor) -> Error {
    let clean = |text: String| redactor.text(&text).0.into_owned();
    match error {
        Error::NoRepository(path) => {
            let kept = clean(path.to_string_lossy().into_owned());
            Error::NoRepository(if kept == path.to_string_lossy() { path } else { kept.into() })
        }
        Error::Git { doing, why } => Error::Git { doing: clean(doing), why: clean(why) },
        other => other,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
