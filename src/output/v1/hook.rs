//! The answer to `hook install` and `hook uninstall`.

use serde::Serialize;

use crate::ops::hook::install::Change;

/// `git-audit/hook-install/v1`:
/// - `dry_run`: nothing was written
/// - `files`: each with its `path` and `outcome`: `created`, `changed`, `removed` or `unchanged`
#[derive(Debug, Serialize)]
pub struct HookChangesAnswer {
    schema: &'static str,
    dry_run: bool,
    files: Vec<FileAnswer>,
}

#[derive(Debug, Serialize)]
struct FileAnswer {
    path: String,
    outcome: &'static str,
}

impl HookChangesAnswer {
    /// The answer of these changes.
    pub fn new(changes: &[Change], dry_run: bool) -> Self {
        let file = |change: &Change| FileAnswer {
            path: change.path.display().to_string(),
            outcome: outcome(change),
        };
        Self { schema: "git-audit/hook-install/v1", dry_run, files: changes.iter().map(file).collect() }
    }

    /// `path` and `outcome` of each file.
    pub fn rows(&self) -> impl Iterator<Item = [&str; 2]> {
        self.files.iter().map(|file| [file.path.as_str(), file.outcome])
    }
}

fn outcome(change: &Change) -> &'static str {
    match (&change.before, &change.after) {
        (before, after) if before == after => "unchanged",
        (None, _) => "created",
        (_, None) => "removed",
        _ => "changed",
    }
}
