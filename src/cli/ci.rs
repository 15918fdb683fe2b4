//! `--ci` and `--no-ci`: whether an entry says which CI job it is of. One piece for every command that makes entries.

use clap::Args;

use super::environment;
use crate::entry::ci::{self, Ci, PROVIDERS};
use crate::error::{Error, Result};
use crate::output::Messages;

/// Whether the CI system is asked.
#[derive(Args)]
pub(super) struct CiArgs {
    /// Fill context, metadata.ci and a missing task id from the CI job, or fail where none is recognised [default: in a
    /// CI job that is recognised]
    #[arg(long, overrides_with = "no_ci")]
    ci: bool,
    /// Say nothing of a CI job
    #[arg(long, overrides_with = "ci")]
    no_ci: bool,
}

impl CiArgs {
    /// The job that runs this command, if its entries are to say so.
    ///
    /// # Errors
    /// `--ci`, and no job is recognised; with `lenient` that is a warning.
    pub fn job(&self, lenient: bool, messages: &mut Messages) -> Result<Option<Ci>> {
        if self.no_ci {
            return Ok(None);
        }
        let job = ci::detect(&environment::ci_variables());
        if !self.ci || job.is_some() {
            return Ok(job);
        }
        let known: Vec<_> = PROVIDERS.iter().map(|provider| provider.title).collect();
        let unrecognised = Error::Usage(format!(
            "--ci: the environment is not that of one known CI job; known are {}; leave `--ci` out, or name the task \
             with `--task-id`, `--worker`, `--correlation`",
            known.join(", ")
        ));
        if !lenient {
            return Err(unrecognised);
        }
        messages.warning(&unrecognised.to_string());
        Ok(None)
    }
}
