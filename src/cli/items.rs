//! `git audit artifacts`, `events` and `steps`: what entries have several of.

use clap::Args;

use super::filters::{FILTERS, FilterArgs, StatusArg, event_type, ref_type, ref_type_of};
use super::listing::PageArgs;
use super::{Done, KnownTask, Session, task_id};
use crate::entry::items::{MIN_COMMIT_PREFIX, is_hex};
use crate::entry::{Filter, Items, RefType, TaskId};
use crate::error::{Error, Result};
use crate::output::List;

/// The entries whose items are listed.
#[derive(Args)]
#[command(next_help_heading = FILTERS)]
struct OfArgs {
    /// Only of this task
    #[arg(long, value_name = "TASK_ID", value_parser = task_id, add = KnownTask)]
    task: Vec<TaskId>,
    #[command(flatten)]
    status: StatusArg,
    #[command(flatten)]
    filters: FilterArgs,
}

impl OfArgs {
    fn resolve(self, session: &Session) -> Result<Filter> {
        let filter = self.filters.resolve(&self.status, session.context.place.clock.now())?;
        Ok(Filter { tasks: self.task, ..filter })
    }
}

/// List what tasks left behind: commits, branches, pull requests, tags, patches, files
#[derive(Args)]
#[command(next_help_heading = FILTERS)]
#[command(after_help = "Filters are of the task; --repo-id and --artifact also of the artifact itself.

Examples:
  git audit artifacts --task deploy-42
  git audit artifacts --ref 1f0c9d2          # which tasks refer to this commit?
  git audit artifacts --type pr --repo-id shop --days 30")]
pub(super) struct ArtifactsArgs {
    /// Only of this kind
    #[arg(long = "type", value_name = "TYPE", value_parser = ref_type())]
    kind: Vec<RefType>,
    /// Only this reference, without its type; of a commit, four digits or more are enough
    #[arg(long = "ref", value_name = "VALUE", value_parser = reference)]
    reference: Vec<String>,
    #[command(flatten)]
    of: OfArgs,
    #[command(flatten)]
    page: PageArgs,
}

fn reference(text: &str) -> std::result::Result<String, String> {
    if text.is_empty() { Err("the value is empty".into()) } else { Ok(text.to_owned()) }
}

impl ArtifactsArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let filter = self.of.resolve(session)?;
        let is_too_short =
            |wanted: &&String| wanted.len() < MIN_COMMIT_PREFIX && self.kind == [RefType::Commit];
        if let Some(short) = self.reference.iter().find(is_too_short) {
            return Err(Error::Usage(format!(
                "`{short}` is too short for a commit: give at least {MIN_COMMIT_PREFIX} digits"
            )));
        }
        let hint = self.reference.first().and_then(|wanted| reference_hint(wanted));
        let items = Items::Artifacts { types: self.kind, references: self.reference };
        self.page.list(session, List::Artifacts, filter, Some(items), hint)
    }
}

/// What may help where no artifact has this reference.
fn reference_hint(wanted: &str) -> Option<String> {
    if let Some((kind, value)) = wanted.split_once(':')
        && ref_type_of(kind).is_some()
    {
        return Some(format!("the kind is given apart: `--type {kind} --ref {value}`"));
    }
    match wanted.len() {
        _ if !is_hex(wanted) => None,
        0..MIN_COMMIT_PREFIX => Some(format!("of a commit, at least {MIN_COMMIT_PREFIX} digits are needed")),
        _ => {
            Some(format!("a commit that only an event names is found by `git audit log --grep '{wanted}*'`"))
        }
    }
}

/// List what happened while tasks ran
#[derive(Args)]
#[command(
    next_help_heading = FILTERS,
    after_help = "Filters are of the task; --repo-id and --event-type (the same as --type) also of the event itself.
The events of a task stand in the order in which they happened.

Examples:
  git audit events --task deploy-42
  git audit events --type repo_push --days 7
  git audit events --level error --since monday --json"
)]
pub(super) struct EventsArgs {
    /// Only of this type: repo_commit, phase_started …
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    kind: Vec<String>,
    /// Only of this level: info, error …
    #[arg(long, value_name = "LEVEL", value_parser = reference)]
    level: Vec<String>,
    #[command(flatten)]
    of: OfArgs,
    #[command(flatten)]
    page: PageArgs,
}

impl EventsArgs {
    pub fn run(mut self, session: &mut Session) -> Done {
        self.of.filters.require_event_types(self.kind);
        let filter = self.of.resolve(session)?;
        self.page.list(session, List::Events, filter, Some(Items::Events { levels: self.level }), None)
    }
}

/// List the results of tasks' steps
#[derive(Args)]
#[command(
    next_help_heading = FILTERS,
    after_help = "Filters are of the task; --worker, --correlation and --min-duration are of the step itself: its own worker and \
correlation, else the task's.

Examples:
  git audit steps --task deploy-42
  git audit steps --failed --days 7
  git audit steps --worker worker-3 --min-duration 30s"
)]
pub(super) struct StepsArgs {
    /// Only the step of this id
    #[arg(long, value_name = "STEP_ID", value_parser = reference)]
    step: Vec<String>,
    /// Only steps that did not succeed
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    of: OfArgs,
    #[command(flatten)]
    page: PageArgs,
}

impl StepsArgs {
    pub fn run(mut self, session: &mut Session) -> Done {
        let least = self.of.filters.take_min_duration();
        // A step's time is in whole milliseconds: one of 2 ms has not taken 2.5.
        let min_duration_ms = least.map(|least| {
            u64::try_from(least.num_microseconds().unwrap_or(i64::MAX)).unwrap_or(0).div_ceil(1000)
        });
        let filter = self.of.resolve(session)?;
        let items = Items::Steps { step_ids: self.step, failed: self.failed, min_duration_ms };
        self.page.list(session, List::Steps, filter, Some(items), None)
    }
}
