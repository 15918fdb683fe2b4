//! `git audit artifact`: what a running task left behind.

use serde_json::{Map, Value, json};

use super::running::{self, RepositoryOption};
use super::scribe::Scribe;
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
}

/// Adds an artifact to a running task. It is durable when this returns.
///
/// # Errors
/// The task is not running, has the artifact already, or the artifact breaks a rule.
pub fn run(context: &Context, options: ArtifactOptions) -> Result<ArtifactOutcome> {
    let ArtifactOptions { task_id, mut artifact, repository } = options;
    if let Some(repository) = repository {
        artifact = about(context, &repository, artifact)?;
    }
    let (mut journal, start) = running::open(context, &task_id)?;
    let mut scribe = Scribe::of(&start, running::now(context))?;
    let artifact = scribe.artifact(artifact)?;
    if journal.story()?.is_some_and(|story| story.has_artifact(&artifact)) {
        return Err(Error::Duplicate { task_id, item: in_words(&artifact) });
    }
    journal.append(vec![Record::Artifact { artifact: artifact.clone() }])?;
    journal.commit()?;
    Ok(ArtifactOutcome { task_id, artifact, found: scribe.found })
}

/// The artifact with what its repository says of it.
fn about(
    context: &Context,
    repository: &RepositoryOption,
    artifact: Map<String, Value>,
) -> Result<Map<String, Value>> {
    let text = |key: &str| artifact.get(key).and_then(Value::as_str);
    let commit = text("ref_value").filter(|_| text("ref_type") == Some(RefType::Commit.as_str()));
    let named = looks::named(context, &repository.path, commit)?;
    let repo_id = repository.repo_id.clone().unwrap_or(named.repo_id);
    let mut whole = match (commit, named.commit) {
        (Some(revision), None) => {
            let doing = format!("find commit {revision} in {}", repository.path.display());
            return Err(Error::Git { doing, why: "there is none of that name".into() });
        }
        (_, Some(found)) => {
            let given = merged(looks::commit_artifact(&repo_id, &found), artifact);
            merged(given, Map::from_iter([("ref_value".to_owned(), json!(found.id))]))
        }
        (None, None) => artifact,
    };
    whole.insert("repo_id".into(), json!(repo_id));
    Ok(whole)
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
