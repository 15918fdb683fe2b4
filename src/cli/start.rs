//! `git audit start`

use clap::Args;
use serde_json::Map;

use super::ci::CiArgs;
use super::fields::{FieldArgs, naming_flags};
use super::repositories::RepositoryArgs;
use super::{Done, Session, WaitArgs, task_id};
use crate::entry::TaskId;
use crate::error::{Error, ExitStatus};
use crate::ops;
use crate::ops::input::part_of_entry;
use crate::ops::start::{Owner, StartOptions};
use crate::output::running as print;

/// Begin a task: its journal takes down what happens until `finish`
#[derive(Args)]
#[command(
    after_help = "Until it is finished, a task has a journal beside the ledger, in .git/git-audit/journal. What is
added to it survives the death of any process, and a power cut. Starting a task that is running
takes it over.

A task is lost when its process is gone: the one that called `start`, git and `sh -c` passed over.
`git audit tasks --lost` lists those. Where each call comes from a process that ends at once, as by
ssh or docker exec, say --pid none, or the --pid of one that lasts.

Examples:
  git audit start deploy-42 --title \"deploy web\" --agent bot-7 --service web --repo .
  git audit event deploy-42 phase_started --message \"building\"
  git audit finish deploy-42 --status completed"
)]
pub(super) struct StartArgs {
    /// The task's id: letters, digits, `.`, `_`, `-` [default: in a CI job that is recognised, the job's]
    #[arg(value_name = "TASK", value_parser = task_id)]
    task_id: Option<TaskId>,
    #[command(flatten)]
    repositories: RepositoryArgs,
    /// The process that the task belongs to; `none`: it is never lost [default: the caller; in a CI job, whose steps are
    /// processes of their own, none]
    #[arg(long, value_name = "PID", value_parser = owner)]
    pid: Option<Owner>,
    /// Make the ledger where there is none
    #[arg(long)]
    init: bool,
    #[command(flatten)]
    ci: CiArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    fields: FieldArgs,
}

fn owner(text: &str) -> Result<Owner, String> {
    match text {
        "none" => Ok(Owner::Nobody),
        pid => {
            let pid = pid.parse().map_err(|_| "expected a process id, or `none`".to_owned())?;
            // The task would be lost from its first moment.
            let living = ops::tasks::is_living(pid).then_some(Owner::Pid(pid));
            living.ok_or_else(|| "there is no such process: give the id of a living one, or `none`".into())
        }
    }
}

impl StartArgs {
    pub fn run(self: Box<Self>, session: &mut Session) -> Done {
        session.context.timeout = self.wait.timeout;
        let ci = self.ci.job(false, &mut session.messages)?;
        let mut given = part_of_entry(&self.fields.into_fields())?;
        if let Some(ci) = &ci {
            ci.fill(&mut given);
        }
        let by_default = if ci.is_some() { Owner::Nobody } else { Owner::Caller };
        let task_id = self.task_id.or_else(|| Some(ci?.task_id));
        let options = StartOptions {
            task_id: task_id
                .ok_or_else(|| Error::Usage("TASK is missing: name the task that begins".into()))?,
            given,
            metadata: Map::new(),
            repositories: self.repositories.resolve()?,
            resumes: true,
            lets_in: false,
            owner: self.pid.unwrap_or(by_default),
            init: self.init,
        };
        let outcome = ops::start::run(&session.context, options).map_err(naming_flags)?;
        let Session { printer, messages, .. } = session;
        if let Some(branch) = &outcome.began {
            messages.note(&format!("began a ledger on branch {branch}"));
        }
        messages.redacted(&"the flags", &outcome.found);
        print::started(printer, &outcome)?;
        Ok(ExitStatus::Done)
    }
}
