//! Whether the working trees that show the branch, and their indexes, hold what its tip has.
//!
//! The writers' lock is not taken: nobody waits for a verification. So what differs is looked at again, and is a finding
//! only if it still differs. Where a writer's mark says that it is putting an entry there, nothing can be said; a mark that
//! stays is a killed writer's, and the layer is not checked to the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::findings::Findings;
use super::report::{Code, Finding, LayerStatus};
use crate::error::Result;
use crate::ledger::layout::{ROOT, SHARDS, TASKS, task_id_of};
use crate::ledger::{Found, Ledger, Shown, Staged};

/// What differs must differ twice.
const MIN_LOOKS: u32 = 1;
/// Looks, at the most: writers that never rest must not keep us for ever.
const MAX_LOOKS: u32 = 5;
/// Between two looks; longer each time.
const PAUSE: Duration = Duration::from_millis(50);
/// The most findings about one working tree, and about one index.
const MAX_FINDINGS: usize = 100;
/// No file of the ledger is nearly as large.
const MAX_FILE_BYTES: u64 = 64 << 20;
const EXECUTABLE: u32 = 0o100_755;

/// What was found.
#[derive(Debug, Default)]
pub struct Compared {
    /// What differs.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
    /// How many working trees show the branch. None: there is nothing to differ.
    pub work_trees: usize,
}

/// A file of the tip.
struct Stored {
    mode: u32,
    id: Vec<u8>,
}

/// What is below `.audit` at the tip.
type Tip = BTreeMap<Vec<u8>, Stored>;

/// What differs: by working tree, whether it is about the index, and path.
type Differences = BTreeMap<(usize, bool, Vec<u8>), Difference>;

/// What should be there, and what is.
struct Difference {
    message: String,
    expected: Option<String>,
    actual: Option<String>,
}

/// The layer. Where no working tree shows the branch, nothing can differ.
pub fn check(ledger: &Ledger, findings: &mut Findings) -> LayerStatus {
    match compare(ledger) {
        Err(error) => LayerStatus::NotChecked(error.to_string()),
        Ok(compared) => {
            compared.findings.into_iter().for_each(|finding| findings.add(finding));
            let unchecked = compared.unchecked;
            if unchecked.is_empty() { LayerStatus::Ok } else { LayerStatus::NotChecked(unchecked.join("; ")) }
        }
    }
}

/// Compares every working tree that shows the branch, and its index, with the tip.
///
/// # Errors
/// The tip's tree, or a working tree, cannot be read.
pub fn compare(ledger: &Ledger) -> Result<Compared> {
    let shown = ledger.shown()?;
    let mut compared = Compared { work_trees: shown.len(), ..Compared::default() };
    if shown.is_empty() {
        return Ok(compared);
    }
    let mut settled = Look::at(ledger, &shown)?;
    for looks in 1..MAX_LOOKS {
        if settled.unfinished.is_empty() && (settled.differences.is_empty() || looks > MIN_LOOKS) {
            break;
        }
        thread::sleep(PAUSE * looks);
        settled = Look::at(ledger, &shown)?.agreeing(&settled);
    }
    let Look { differences, unfinished, unchecked } = settled;
    compared.unchecked = unchecked;
    if !unfinished.is_empty() {
        compared
            .unchecked
            .push("an append is not finished; run `git audit flush`, then verify again".to_owned());
    }
    tell(&shown, differences, &mut compared.findings);
    Ok(compared)
}

fn tip_of(ledger: &Ledger) -> Result<Tip> {
    let mut tip = Tip::new();
    ledger.view()?.files(ROOT, &mut |path, mode, blob| {
        let mode = u32::from_str_radix(mode, 8).unwrap_or(0);
        tip.insert(path.to_owned(), Stored { mode, id: blob.as_bytes().to_vec() });
    })?;
    Ok(tip)
}

/// What was seen at one moment, or at each of several.
struct Look {
    differences: Differences,
    /// Paths that differ, and that a writer is at.
    unfinished: BTreeSet<Vec<u8>>,
    unchecked: Vec<String>,
}

impl Look {
    fn at(ledger: &Ledger, shown: &[Shown]) -> Result<Self> {
        // A writer leaves its mark before it begins, and until the branch has moved.
        let mut marks: HashSet<_> = ledger.unfinished_paths().into_iter().map(String::into_bytes).collect();
        let tip = tip_of(ledger)?;
        let mut unchecked = Vec::new();
        let mut differences = look(shown, &tip, &mut unchecked)?;
        marks.extend(ledger.unfinished_paths().into_iter().map(String::into_bytes));
        let mut unfinished = BTreeSet::new();
        differences.retain(|(_, _, path), _| {
            let is_marked = marks.contains(path);
            unfinished.extend(is_marked.then(|| path.clone()));
            !is_marked
        });
        Ok(Self { differences, unfinished, unchecked })
    }

    /// What was so before already.
    fn agreeing(mut self, before: &Self) -> Self {
        let was_marked = |path: &Vec<u8>| before.unfinished.contains(path);
        self.differences.retain(|place, _| before.differences.contains_key(place) || was_marked(&place.2));
        self.unfinished.retain(|path| before.unfinished.contains(path));
        self
    }
}

fn look(shown: &[Shown], tip: &Tip, unchecked: &mut Vec<String>) -> Result<Differences> {
    let mut differences = Differences::new();
    for (number, one) in shown.iter().enumerate() {
        let staged = one.index(ROOT);
        match &staged {
            Ok(staged) => compare_index(tip, staged, &mut |path, difference| {
                differences.insert((number, true, path.to_owned()), difference);
            }),
            Err(error) => unchecked.push(error.to_string()),
        }
        let Some(directory) = one.work_tree() else {
            unchecked.push(format!("the working tree of {} is gone", one.git_dir().display()));
            continue;
        };
        if staged.is_err() {
            unchecked
                .push(format!("whether files are missing in {}, without its index", directory.display()));
        }
        compare_files(one, tip, staged.ok().as_ref(), &mut |path, difference| {
            differences.insert((number, false, path.to_owned()), difference);
        })?;
    }
    Ok(differences)
}

fn compare_index(tip: &Tip, staged: &BTreeMap<Vec<u8>, Staged>, differs: &mut dyn FnMut(&[u8], Difference)) {
    for (path, stored) in tip {
        let expected = Some(described(stored.mode, &stored.id));
        match staged.get(path) {
            None => differs(
                path,
                Difference::new("the index lacks it: the next commit would remove it", expected, None),
            ),
            Some(found) if found.is_conflict => {
                differs(path, Difference::new("the index has a conflict there", expected, None));
            }
            Some(found) if (found.mode, &found.id) != (stored.mode, &stored.id) => {
                let actual = Some(described(found.mode, &found.id));
                differs(
                    path,
                    Difference::new(
                        "the index has something else: the next commit would change it",
                        expected,
                        actual,
                    ),
                );
            }
            Some(_) => {}
        }
    }
    for (path, found) in staged.iter().filter(|(path, _)| !tip.contains_key(*path)) {
        let actual = Some(described(found.mode, &found.id));
        differs(
            path,
            Difference::new(
                "the index has it, and the tip does not: the next commit would add it",
                None,
                actual,
            ),
        );
    }
}

/// `staged`: what may be left out of the working tree; without that, nothing can be said to be missing.
fn compare_files(
    shown: &Shown,
    tip: &Tip,
    staged: Option<&BTreeMap<Vec<u8>, Staged>>,
    differs: &mut dyn FnMut(&[u8], Difference),
) -> Result<()> {
    let mut met = HashSet::new();
    let mut directories = HashSet::new();
    let mut strangers = HashMap::new();
    shown.walk(ROOT, &mut |path, found| {
        if let Some(stored) = tip.get(path) {
            met.insert(path.to_owned());
            if let Some(difference) = compare_file(stored, found, shown.keeps_mode) {
                differs(path, difference);
            }
        } else if matches!(found, Found::Directory) {
            directories.insert(path.to_owned());
        } else {
            let kind = kind_of(&found);
            strangers.insert(path.to_owned(), kind);
            if is_reserved(path) {
                let message = "the working tree has it, and the tip does not";
                differs(path, Difference::new(message, None, Some(kind.to_owned())));
            }
        }
    })?;
    let Some(staged) = staged else { return Ok(()) };
    let mut missing: BTreeMap<&[u8], usize> = BTreeMap::new();
    let is_left_out = |path: &[u8]| staged.get(path).is_some_and(|staged| staged.is_left_out);
    for path in tip.keys().filter(|path| !met.contains(*path) && !is_left_out(path)) {
        // Of a directory that is not there, the directory is told.
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
        *missing
            .entry(above.clone().find(|above| !directories.contains(*above)).unwrap_or(path))
            .or_default() += 1;
    }
    for (path, count) in missing {
        let stored = tip.get(path).map(|stored| described(stored.mode, &stored.id));
        let stranger = strangers.get(path).map(|kind| (*kind).to_owned());
        let message = match (&stored, &stranger) {
            (Some(_), _) => "the working tree lacks it".to_owned(),
            (None, None) => {
                format!("the working tree lacks the directory, in which the tip has {count} files")
            }
            (None, Some(kind)) => {
                format!(
                    "the working tree has {kind} in the place of the directory, in which the tip has {count} files"
                )
            }
        };
        differs(path, Difference::new(message, stored, stranger));
    }
    Ok(())
}

fn compare_file(stored: &Stored, found: Found, keeps_mode: bool) -> Option<Difference> {
    let expected = Some(described(stored.mode, &stored.id));
    let kind = kind_of(&found);
    let Found::File { file, size_bytes, is_executable } = found else {
        return Some(Difference::new(
            format!("the working tree has {kind} in its place"),
            expected,
            Some(kind.to_owned()),
        ));
    };
    let id = blob_id(file, size_bytes, stored.id.len());
    let mode = match stored.mode {
        mode if !keeps_mode => mode,
        _ if is_executable => EXECUTABLE,
        _ => 0o100_644,
    };
    match id {
        Ok(id) if id == stored.id && mode == stored.mode => None,
        Ok(id) if id == stored.id => {
            Some(Difference::new("the file has another mode", expected, Some(described(mode, &id))))
        }
        Ok(id) => Some(Difference::new("the file has other content", expected, Some(described(mode, &id)))),
        Err(error) => Some(Difference::new(format!("the file cannot be read: {error}"), expected, None)),
    }
}

/// The name that git would give to the file's content; `id_size` tells how it hashes.
fn blob_id(mut file: impl Read, size_bytes: u64, id_size: usize) -> io::Result<Vec<u8>> {
    if size_bytes > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let mut bytes = format!("blob {size_bytes}\0").into_bytes();
    bytes.reserve(usize::try_from(size_bytes).unwrap_or(0));
    file.by_ref().take(size_bytes).read_to_end(&mut bytes)?;
    Ok(if id_size == 20 { Sha1::digest(&bytes).to_vec() } else { Sha256::digest(&bytes).to_vec() })
}

/// Where nothing but entries belongs.
fn is_reserved(path: &[u8]) -> bool {
    let inside =
        |directory: &str| path.strip_prefix(directory.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    inside(TASKS) || inside(SHARDS)
}

fn kind_of(found: &Found) -> &'static str {
    match found {
        Found::File { .. } => "a file",
        Found::Directory => "a directory",
        Found::Link => "a symbolic link",
        Found::Other => "something that is no file",
        Found::Unreadable(_) => "something that cannot be read",
    }
}

fn described(mode: u32, id: &[u8]) -> String {
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{mode:o} {id}")
}

impl Difference {
    fn new(message: impl Into<String>, expected: Option<String>, actual: Option<String>) -> Self {
        Self { message: message.into(), expected, actual }
    }
}

fn tell(shown: &[Shown], differences: Differences, findings: &mut Vec<Finding>) {
    let mut counts: BTreeMap<(usize, bool), usize> = BTreeMap::new();
    for ((number, is_index, path), difference) in differences {
        let code = if is_index { Code::IndexDiffers } else { Code::WorkTreeDiffers };
        let count = counts.entry((number, is_index)).or_default();
        *count += 1;
        if *count > MAX_FINDINGS {
            continue;
        }
        let place = shown.get(number).map(|shown| shown.work_tree().unwrap_or_else(|| shown.git_dir()));
        let place = place.map(|place| format!(" (in {})", place.display())).unwrap_or_default();
        let path = String::from_utf8_lossy(&path).into_owned();
        let message = difference.message + &place;
        let finding = Finding::new(code, message).evidence(difference.expected, difference.actual);
        let finding = match task_id_of(&path) {
            Some(task_id) => finding.task(task_id),
            None => finding,
        };
        findings.push(finding.path(path));
    }
    for ((_, is_index), count) in counts.into_iter().filter(|(_, count)| *count > MAX_FINDINGS) {
        let code = if is_index { Code::IndexDiffers } else { Code::WorkTreeDiffers };
        let more = count - MAX_FINDINGS;
        findings.push(Finding::new(code, format!("{more} more paths differ; run `git status` to see them")));
    }
}
