//! What an entry has several of and people list by themselves: artifacts, events and steps.

use super::{Artifact, Entry, Event, Facet, Filter, RefType, Step};

/// Which lists are asked for, and which of their items.
#[derive(Clone, Debug)]
pub enum Items {
    /// Artifacts.
    Artifacts {
        /// Of one of these kinds; empty: of any.
        types: Vec<RefType>,
        /// With one of these references; the beginning of a commit id is enough.
        references: Vec<String>,
    },
    /// Events.
    Events {
        /// Of one of these levels; empty: of any.
        levels: Vec<String>,
    },
    /// Steps.
    Steps {
        /// With one of these ids; empty: with any.
        step_ids: Vec<String>,
        /// Only those that did not succeed.
        failed: bool,
        /// That ran at least so long.
        min_duration_ms: Option<u64>,
    },
}

/// The fewest hex digits that stand for a commit.
pub const MIN_COMMIT_PREFIX: usize = 4;
/// The fewest hex digits of an abbreviated commit id in an entry that count for the whole one.
pub const MIN_STORED_PREFIX: usize = 7;

impl Items {
    /// The positions in the entry's list, from 0, of the items that fit. What the filter says of workers, correlations,
    /// repositories, references and kinds of event is then asked of the item.
    pub fn positions(&self, filter: &Filter, entry: &Entry) -> Vec<u32> {
        fn fitting<T>(list: Option<&[T]>, fits: impl Fn(&T) -> bool) -> Vec<u32> {
            let list = list.unwrap_or_default().iter().enumerate();
            list.filter(|(_, item)| fits(item))
                .filter_map(|(position, _)| u32::try_from(position).ok())
                .collect()
        }
        let asked = |facet, value: Option<&str>| filter.asks(facet, value);
        match self {
            Self::Artifacts { types, references } => {
                fitting(entry.artifacts.as_deref(), |artifact: &Artifact| {
                    (types.is_empty() || types.contains(&artifact.ref_type))
                        && (references.is_empty()
                            || references.iter().any(|wanted| artifact.is_named_by(wanted)))
                        && asked(Facet::RepoId, artifact.repo_id.as_deref())
                        && asked(Facet::Artifact, Some(&artifact.reference()))
                })
            }
            Self::Events { levels } => fitting(entry.events.as_deref(), |event: &Event| {
                (levels.is_empty() || event.level.as_ref().is_some_and(|level| levels.contains(level)))
                    && asked(Facet::RepoId, event.repo_id.as_deref())
                    && asked(Facet::EventType, Some(&event.event_type))
            }),
            Self::Steps { step_ids, failed, min_duration_ms } => {
                fitting(entry.steps.as_deref(), |step: &Step| {
                    (step_ids.is_empty() || step_ids.contains(&step.step_id))
                        && (!failed || step.success == Some(false))
                        && min_duration_ms
                            .is_none_or(|least| step.execution_time_ms.is_some_and(|ms| ms >= least))
                        && asked(Facet::Worker, step.worker(entry))
                        && asked(Facet::Correlation, step.correlation(entry))
                })
            }
        }
    }
}

impl Artifact {
    /// `TYPE:VALUE`
    pub fn reference(&self) -> String {
        format!("{}:{}", self.ref_type.as_str(), self.ref_value)
    }

    /// Whether `wanted` is its reference. Of a commit, either may be the beginning of the other.
    pub fn is_named_by(&self, wanted: &str) -> bool {
        if self.ref_value == wanted {
            return true;
        }
        let (stored, wanted) = (self.ref_value.to_ascii_lowercase(), wanted.to_ascii_lowercase());
        self.ref_type == RefType::Commit
            && is_hex(&wanted)
            && is_hex(&stored)
            && ((wanted.len() >= MIN_COMMIT_PREFIX && stored.starts_with(&wanted))
                || (stored.len() >= MIN_STORED_PREFIX && wanted.starts_with(&stored)))
    }
}

/// Whether `text` has nothing but hex digits.
pub fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Step {
    /// The worker that ran it: its own, else the task's.
    pub fn worker<'e>(&'e self, entry: &'e Entry) -> Option<&'e str> {
        self.worker_id.as_deref().or_else(|| entry.context.as_ref()?.worker_id.as_deref())
    }

    /// The request that it belongs to: its own, else the task's.
    pub fn correlation<'e>(&'e self, entry: &'e Entry) -> Option<&'e str> {
        self.correlation_id.as_deref().or_else(|| entry.context.as_ref()?.correlation_id.as_deref())
    }
}
