//! Answers of commands that write many entries.

use serde::Serialize;

use crate::entry::TaskId;
use crate::ops::flush::FlushOutcome;
use crate::ops::import::ImportOutcome;
use crate::output::import::Refused;

/// An input that is not an entry: its `line`, a JSON `pointer` into it, the `rule` it breaks. Absent where not known.
#[derive(Debug, Serialize)]
pub struct RefusedAnswer<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'r str>,
    rule: &'r str,
}

impl<'r> From<&'r Refused> for RefusedAnswer<'r> {
    fn from(refused: &'r Refused) -> Self {
        Self { line: refused.line, pointer: refused.pointer.as_deref(), rule: &refused.rule }
    }
}

/// `git-audit/import/v1`:
/// - `recorded`, `skipped`, `invalid`: how many · `differing`: how many of the skipped have other content
/// - `durability`: what was done so that they survive a power cut: `auto`, `strict` or `off`
/// - `refused`: the first thousand of the invalid ones
#[derive(Debug, Serialize)]
pub struct ImportAnswer<'r> {
    schema: &'static str,
    recorded: usize,
    skipped: usize,
    differing: usize,
    invalid: usize,
    durability: String,
    refused: Vec<RefusedAnswer<'r>>,
}

impl<'r> ImportAnswer<'r> {
    /// The answer for `outcome`.
    pub fn new(outcome: &ImportOutcome, refused: Vec<RefusedAnswer<'r>>) -> Self {
        let ImportOutcome { recorded, skipped, differing, invalid, durability, .. } = *outcome;
        let durability = durability.to_string();
        Self { schema: "git-audit/import/v1", recorded, skipped, differing, invalid, durability, refused }
    }
}

/// `git-audit/flush/v1`:
/// - `recorded`, `skipped`: task ids · `differing`: task ids, and where what waited was moved
/// - `invalid`: files in the spool that hold no entry that could be recorded
/// - `durability`: what was done so that they survive a power cut: `auto`, `strict` or `off`
/// - `packed`: how many packs became how many, and the number of their objects
#[derive(Debug, Serialize)]
pub struct FlushAnswer<'f> {
    schema: &'static str,
    recorded: &'f [TaskId],
    skipped: &'f [TaskId],
    differing: Vec<DifferingAnswer<'f>>,
    invalid: Vec<String>,
    durability: String,
    packed: PackedAnswer,
}

#[derive(Debug, Serialize)]
struct DifferingAnswer<'f> {
    task_id: &'f TaskId,
    fields: &'f [String],
    moved_to: String,
}

#[derive(Debug, Serialize)]
struct PackedAnswer {
    before: usize,
    after: usize,
    objects: usize,
}

impl<'f> From<&'f FlushOutcome> for FlushAnswer<'f> {
    fn from(outcome: &'f FlushOutcome) -> Self {
        let differing = outcome.differing.iter().map(|(task_id, fields, path)| DifferingAnswer {
            task_id,
            fields,
            moved_to: path.display().to_string(),
        });
        Self {
            schema: "git-audit/flush/v1",
            recorded: &outcome.recorded,
            skipped: &outcome.skipped,
            differing: differing.collect(),
            invalid: outcome.invalid.iter().map(|file| file.display().to_string()).collect(),
            durability: outcome.durability.to_string(),
            packed: PackedAnswer {
                before: outcome.packed.before,
                after: outcome.packed.after,
                objects: outcome.packed.objects,
            },
        }
    }
}
