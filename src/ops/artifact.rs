//! `git audit artifact`: what a running task left behind.

use serde_json::{Map, Value, json};

use super::redaction::redactor_at;
use super::running::{self, RepositoryOption};
use super::scribe::{Item, Scribe};
use super::{Context, looks};
use crate::entry::redact::Found;
use crate::entry::{RefType, TaskId};
use crate::error::{Error, Result};
use crate::journal::Record;
use crate::journal::story::merged;

/// A reference that a task leaves behind.
#[derive(Debug)]
pub struct ArtifactOptions {
    /// The running task.
    pub task_id: TaskId,
    /// The artifact, as an entry has it; `created_at` is now where it is left out.
    pub artifact: Map<String, Value>,
    /// The repository that it is of: it gives the `repo_id`, and says which commit a name means.
    pub repository: Option<RepositoryOption>,
}

/// An artifact that was taken down.
#[derive(Debug)]
pub struct ArtifactOutcome {
    /// The task.
    pub task_id: TaskId,
    /// The artifact, with what was filled in.
    pub artifact: Map<String, Value>,
    /// The secrets that were found in it.
    pub found: Vec<Found>,
    /// The secrets that were found in its repository.
    pub captured: Vec<Found>,
}

/// Adds an artifact to a running task. It is durable when this returns.
///
/// # Errors
/// The task is not running, has the artifact already, or the artifact breaks a rule.
pub fn run(context: &Context, options: ArtifactOptions) -> Result<ArtifactOutcome> {
    let ArtifactOptions { task_id, mut artifact, repository } = options;
    let about = repository.map(|repository| about(context, &repository, &artifact)).transpose()?;
    let (mut journal, start) = running::open(context, &task_id)?;
    let mut scribe = Scribe::of(&start, running::now(context))?;
    if let Some(About { captured, known }) = about {
        artifact = merged(merged(scribe.part_of_artifact(captured)?, artifact), known);
    }
    let artifact = scribe.artifact(artifact)?;
    if journal.story()?.is_some_and(|story| story.has_artifact(&artifact)) {
        return Err(Error::Duplicate { task_id, item: in_words(&artifact) });
    }
    journal.append(vec![Record::Artifact { artifact: artifact.clone() }])?;
    journal.commit()?;
    let Scribe { found, captured, .. } = scribe;
    Ok(ArtifactOutcome { task_id, artifact, found, captured })
}

/// What its repository says of an artifact.
struct About {
    /// What the caller may know better.
    captured: Item,
    /// What is so.
    known: Map<String, Value>,
}

fn about(context: &Context, repository: &RepositoryOption, artifact: &Map<String, Value>) -> Result<About> {
    let text = |key: &str| artifact.get(key).and_then(Value::as_str);
    let commit = text("ref_value").filter(|_| text("ref_type") == Some(RefType::Commit.as_str()));
    let named = looks::named(context, &repository.path, commit)?;
    let mut known = Map::new();
    if let Some(repo_id) = &repository.repo_id {
        known.insert("repo_id".into(), json!(repo_id));
    }
    let captured = match (commit, named.commit) {
        (Some(revision), None) => {
            let doing = format!("find commit {revision} in {}", repository.path.display());
            let doing = redactor_at(&context.place).text(&doing).0.into_owned();
            return Err(Error::Git { doing, why: "there is none of that name".into() });
        }
        (_, Some(found)) => {
            known.insert("ref_value".into(), json!(found.id));
            looks::commit_artifact(&named.repo_id, &found)
        }
        (None, None) => Item::captured(Map::from_iter([("repo_id".to_owned(), json!(named.repo_id))])),
    };
    Ok(About { captured, known })
}

fn in_words(artifact: &Map<String, Value>) -> String {
    let text = |key: &str| artifact.get(key).and_then(Value::as_str);
    let of = text("repo_id").map(|repo_id| format!(" of {repo_id}")).unwrap_or_default();
    format!(
        "the artifact {} {}{of}",
        text("ref_type").unwrap_or_default(),
        text("ref_value").unwrap_or_default()
    )
}
