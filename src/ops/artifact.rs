//! `git audit artifact`: what a running task left behind.

use serde_json::{Map, Value};

use super::Context;
use super::running::{self, RepositoryOption};
use crate::entry::TaskId;
use crate::error::{Error, Result};
use crate::journal::Record;

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
}

/// Adds an artifact to a running task. It is durable when this returns.
///
/// # Errors
/// The task is not running, has the artifact already, or the artifact breaks a rule.
pub fn run(context: &Context, options: ArtifactOptions) -> Result<ArtifactOutcome> {
    let ArtifactOptions { task_id, artifact, .. } = options;
    let artifact = running::artifact(artifact, &running::now(context))?;
    let (mut journal, _) = running::open(context, &task_id)?;
    if journal.story()?.is_some_and(|story| story.has_artifact(&artifact)) {
        return Err(Error::DuplicateArtifact { task_id, artifact: in_words(&artifact) });
    }
    journal.append(vec![Record::Artifact { artifact: artifact.clone() }])?;
    journal.commit()?;
    Ok(ArtifactOutcome { task_id, artifact })
}

fn in_words(artifact: &Map<String, Value>) -> String {
    let text = |key: &str| artifact.get(key).and_then(Value::as_str);
    let of = text("repo_id").map(|repo_id| format!(" of {repo_id}")).unwrap_or_default();
    format!("{} {}{of}", text("ref_type").unwrap_or_default(), text("ref_value").unwrap_or_default())
}
