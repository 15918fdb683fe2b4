//! Lists that make git see other commits: `shallow`, `info/grafts`, replace refs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::super::report::{Code, Finding};
use super::{Seen, Truth, hex, id_of, note_failure, open, read};

/// Where a commit stands in the ledger's order, by its id.
pub(super) type Places<'t> = HashMap<&'t [u8], usize>;

const REPLACE: &str = "refs/replace/";
/// No ref name is longer.
const MAX_LINE_BYTES: u64 = 8192;
/// Directories below `refs/replace`.
const MAX_DEPTH: usize = 16;
/// The most replace refs that are looked at.
const MAX_REPLACEMENTS: usize = 100_000;

/// `shallow`: at each commit that it names, git takes the history to begin.
pub(super) fn shallow(truth: &Truth<'_>, places: &Places<'_>, seen: &mut Seen) {
    let Some(text) = read(&truth.common.join("shallow"), &mut seen.unchecked) else { return };
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let named: Vec<_> = lines.map(|line| id_of(line, truth.id_size)).collect();
    if named.contains(&None) {
        let message =
            "`shallow` in the git directory has a line that is no commit id, so git fails: remove the line";
        seen.findings.push(Finding::new(Code::Shallow, message).path("shallow"));
    }
    let mut ours: Vec<_> =
        named.iter().flatten().filter_map(|id| places.get(id.as_slice())).copied().collect();
    ours.sort_unstable();
    ours.dedup();
    let Some(first) = ours.first().map(|place| &truth.commits[*place]) else { return };
    let parents = ours.iter().flat_map(|place| &truth.commits[*place].parents);
    let why = if parents.clone().all(|parent| (truth.is_here)(parent)) {
        "what is before is here all the same, so the file is forged or stale: remove it"
    } else {
        "run `git fetch --unshallow`"
    };
    let count = ours.len();
    let message = format!("git is told that the history begins at {count} of the ledger's commits; {why}");
    seen.findings.push(Finding::new(Code::Shallow, message).commit(hex(first.id)).path("shallow"));
}

/// `info/grafts`: commits with other parents than their own.
pub(super) fn grafts(truth: &Truth<'_>, places: &Places<'_>, seen: &mut Seen) {
    let Some(text) = read(&truth.common.join("info/grafts"), &mut seen.unchecked) else { return };
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let grafts: Vec<_> = lines.filter(|line| !line.is_empty() && line[0] != b'#').collect();
    let ids =
        |line: &[u8]| line.split(u8::is_ascii_whitespace).map(|word| id_of(word, truth.id_size)).collect();
    let ours = grafts.iter().find_map(|line| {
        let ids: Vec<Option<Vec<u8>>> = ids(line);
        let place = places.get(ids.first()?.as_deref()?)?;
        Some((&truth.commits[*place], ids))
    });
    let count = grafts.len();
    let message = format!(
        "git is told other parents of {count} commits; remove the file `info/grafts` in the git directory"
    );
    let finding = Finding::new(Code::Grafts, message).path("info/grafts");
    match ours {
        _ if grafts.is_empty() => {}
        None => seen.findings.push(finding),
        Some((commit, ids)) => {
            let told: Vec<_> = ids.iter().skip(1).flatten().map(|id| hex(id)).collect();
            let own: Vec<_> = commit.parents.iter().map(|id| hex(id)).collect();
            seen.findings.push(finding.commit(hex(commit.id)).evidence(own, told));
        }
    }
}

/// Replace refs: objects for which git takes others.
pub(super) fn replaced(truth: &Truth<'_>, places: &Places<'_>, seen: &mut Seen) {
    for (id, replacement) in replacements(truth.common, truth.id_size, &mut seen.unchecked) {
        if !(truth.is_ours)(&id) && !places.contains_key(id.as_slice()) {
            seen.replaced_elsewhere += 1;
            continue;
        }
        let name = hex(&id);
        let message =
            format!("git takes another object for one of the ledger's; run `git replace -d {name}`");
        let finding = Finding::new(Code::Replaced, message).path(format!("{REPLACE}{name}"));
        let finding = if places.contains_key(id.as_slice()) { finding.commit(&name) } else { finding };
        seen.findings.push(finding.evidence(name, replacement));
    }
}

/// Each replaced object, and the text of what stands for it. A loose ref comes before a packed one.
pub(super) fn replacements(
    common: &Path,
    id_size: usize,
    unchecked: &mut Vec<String>,
) -> Vec<(Vec<u8>, String)> {
    let mut found = BTreeMap::new();
    packed(common, unchecked, &mut |name, target| {
        if found.len() < MAX_REPLACEMENTS
            && let Some(id) = id_of(name, id_size)
        {
            found.insert(id, target);
        }
    });
    let mut directories = vec![(common.join(REPLACE), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let listing = match fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) => {
                note_failure(&directory, &error, unchecked);
                continue;
            }
        };
        for item in listing.filter_map(Result::ok) {
            let path = item.path();
            if path.is_dir() {
                directories.extend((depth < MAX_DEPTH).then(|| (path, depth + 1)));
            } else if let Some(id) = id_of(item.file_name().as_encoded_bytes(), id_size)
                && found.len() < MAX_REPLACEMENTS
            {
                found.insert(id, loose_target(&path));
            }
        }
    }
    if found.len() >= MAX_REPLACEMENTS {
        unchecked.push(format!("there are more than {MAX_REPLACEMENTS} replace refs"));
    }
    found.into_iter().collect()
}

fn loose_target(path: &Path) -> String {
    let mut text = Vec::new();
    _ = open(path).map(|file| file.take(MAX_LINE_BYTES).read_to_end(&mut text));
    String::from_utf8_lossy(text.trim_ascii()).into_owned()
}

/// The lines of `packed-refs` that are replace refs: the last part of the name, and the target.
fn packed(common: &Path, unchecked: &mut Vec<String>, each: &mut dyn FnMut(&[u8], String)) {
    let path = common.join("packed-refs");
    let mut reader = match open(&path) {
        Ok(file) => BufReader::new(file),
        Err(error) => return note_failure(&path, &error, unchecked),
    };
    let mut line = Vec::new();
    let mut is_whole = true;
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return note_failure(&path, &error, unchecked),
        }
        // What goes on after a line that was too long is no line.
        let is_start = std::mem::replace(&mut is_whole, line.ends_with(b"\n"));
        let mut words = line.trim_ascii().splitn(2, |byte| *byte == b' ');
        if let (true, Some(target), Some(name)) = (is_start, words.next(), words.next())
            && let Some(name) = name.strip_prefix(REPLACE.as_bytes())
        {
            let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
            each(last, String::from_utf8_lossy(target).into_owned());
        }
    }
}
