//! `git audit artifact`

use clap::Args;
use serde_json::{Map, Value, json};

use super::fields::json_value;
use super::filters::ref_type;
use super::repositories::OneRepositoryArgs;
use super::{Done, RunningTask, Session, WaitArgs, task_id};
use crate::entry::{RefType, TaskId};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::artifact::ArtifactOptions;
use crate::output::running as print;

/// Add to a running task what it left behind: a commit, branch, pull request, file
#[derive(Args)]
#[command(
    after_help = "A task has an artifact once: the same repository, type and value again is refused, and changes
nothing. With --repo, a commit may be any name that git knows there, such as HEAD, and its subject
becomes the summary. Commits that are made in a repository that the task was started with become
artifacts by themselves.

Examples:
  git audit artifact deploy-42 pr 17 --repo-id shop --summary \"raise the limit\"
  git audit artifact deploy-42 commit HEAD --repo ../shop
  git audit artifact deploy-42 file build/report.html --data '{\"size_bytes\":1200}'"
)]
pub(super) struct ArtifactArgs {
    /// The running task
    #[arg(value_name = "TASK", value_parser = task_id, add = RunningTask)]
    task_id: TaskId,
    /// What kind of reference it is
    #[arg(value_name = "TYPE", value_parser = ref_type())]
    kind: RefType,
    /// The reference: a commit, a branch's name, a number, a path
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    repository: OneRepositoryArgs,
    /// What it is, in a line
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Anything else, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    data: Option<Value>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl ArtifactArgs {
    pub fn run(self, session: &mut Session) -> Done {
        session.context.timeout = self.wait.timeout;
        session.stand_by(&self.task_id);
        let artifact = json!({
            "repo_id": self.repository.repo_id,
            "ref_type": self.kind,
            "ref_value": self.value,
            "summary": self.summary,
            "metadata": self.data,
        });
        let artifact = match artifact {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let repository = self.repository.resolve();
        let options = ArtifactOptions { task_id: self.task_id, artifact, repository };
        let outcome = ops::artifact::run(&session.context, options)?;
        session.messages.redacted(&"the flags", &outcome.found);
        session.messages.redacted(&"the repository", &outcome.captured);
        print::artifact(&mut session.printer, &outcome)?;
        Ok(ExitStatus::Done)
    }
}
