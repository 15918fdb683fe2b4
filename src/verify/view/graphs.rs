//! What the commit-graphs of a directory of objects say of the ledger's commits, against the commits.

use std::path::Path;

use serde_json::{Value, json};

use super::super::report::{Code, Finding};
use super::commit_graph::{Graph, Row};
use super::{CommitFacts, Seen, Truth, hex, id_of, read};

/// The most findings about one graph; a forged one may contradict every commit.
const MAX_FINDINGS: usize = 100;
/// The most files of a chain. git keeps a few.
const MAX_CHAIN: usize = 1000;
/// A commit's time in the graph has as many bits.
const TIME_MASK: u64 = (1 << 34) - 1;
/// The highest level; those above have it, too.
const MAX_LEVEL: u32 = (1 << 30) - 1;
const WAY_OUT: &str = "remove it, and run `git commit-graph write --reachable`";

/// Compares the file and the chain, if they are there: git takes the one or the other.
pub(super) fn compare(truth: &Truth<'_>, objects: &Path, seen: &mut Seen) {
    let single = objects.join("info/commit-graph");
    if single.symlink_metadata().is_ok() {
        let mut graph = Graph::default();
        let added = graph.add(&single, truth.id_size);
        judge(truth, &single, added.map(|()| graph), seen);
    }
    let chain = objects.join("info/commit-graphs/commit-graph-chain");
    if let Some(text) = read(&chain, &mut seen.unchecked) {
        judge(truth, &chain, chained(&chain, &text, truth.id_size), seen);
    }
}

fn chained(chain: &Path, text: &[u8], id_size: usize) -> Result<Graph, String> {
    let mut graph = Graph::default();
    for (number, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let id = id_of(line, id_size)
            .filter(|_| number < MAX_CHAIN)
            .ok_or("its list of files cannot be followed")?;
        graph.add(&chain.with_file_name(format!("graph-{}.graph", hex(&id))), id_size)?;
    }
    Ok(graph)
}

fn judge(truth: &Truth<'_>, path: &Path, graph: Result<Graph, String>, seen: &mut Seen) {
    let shown = path.display().to_string();
    let graph = match graph {
        Ok(graph) => graph,
        Err(why) => {
            let message = format!("git's commit-graph cannot be read: {why}; {WAY_OUT}");
            return seen.findings.push(Finding::new(Code::CommitGraph, message).path(shown));
        }
    };
    let mut count = 0;
    for commit in truth.commits {
        for row in graph.rows(commit.id) {
            let (expected, actual) = match row.map(|row| difference(commit, &row, &graph)) {
                Ok(None) => continue,
                Ok(Some(difference)) => difference,
                Err(why) => (Value::Null, why.into()),
            };
            count += 1;
            if count <= MAX_FINDINGS {
                let message = format!(
                    "git's commit-graph says something else of this commit than the commit; {WAY_OUT}"
                );
                let finding =
                    Finding::new(Code::CommitGraph, message).commit(hex(commit.id)).path(shown.clone());
                seen.findings.push(finding.evidence(expected, actual));
            }
        }
    }
    if count > MAX_FINDINGS {
        let message = format!(
            "git's commit-graph contradicts {} more of the ledger's commits; {WAY_OUT}",
            count - MAX_FINDINGS
        );
        seen.findings.push(Finding::new(Code::CommitGraph, message).path(shown));
    }
}

/// What should be there, and what is, of the fields that differ.
fn difference(commit: &CommitFacts<'_>, row: &Row<'_>, graph: &Graph) -> Option<(Value, Value)> {
    let (mut expected, mut actual) = (serde_json::Map::new(), serde_json::Map::new());
    let mut differs = |field: &str, own: Value, told: Value| {
        if own != told {
            expected.insert(field.to_owned(), own);
            actual.insert(field.to_owned(), told);
        }
    };
    let ids = |parents: &[&[u8]]| parents.iter().map(|id| hex(id)).collect::<Value>();
    if commit.tree != row.tree {
        differs("tree", hex(commit.tree).into(), hex(row.tree).into());
    }
    if commit.parents != row.parents {
        differs("parents", ids(&commit.parents), ids(&row.parents));
    }
    // Before 1970, some versions of git have 0.
    if commit.committed_at.cast_unsigned() & TIME_MASK != row.time
        && !(commit.committed_at < 0 && row.time == 0)
    {
        differs("committed_at", commit.committed_at.into(), row.time.into());
    }
    let parents: Vec<_> = commit.parents.iter().filter_map(|id| graph.rows(id).next()?.ok()).collect();
    if parents.len() == commit.parents.len() {
        let level =
            parents.iter().map(|parent| parent.level).max().unwrap_or(0).saturating_add(1).min(MAX_LEVEL);
        if row.level != 0 && parents.iter().all(|parent| parent.level != 0) {
            differs("level", level.into(), row.level.into());
        }
        let latest =
            parents.iter().map(|parent| parent.corrected).try_fold(0, |latest, one| Some(latest.max(one?)));
        if let (Some(latest), Some(corrected)) = (latest, row.corrected) {
            differs("corrected", json!(row.time.max(latest.saturating_add(1))), corrected.into());
        }
    }
    (!expected.is_empty()).then(|| (expected.into(), actual.into()))
}
