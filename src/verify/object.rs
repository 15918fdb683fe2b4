//! Commits and trees out of their bytes, strictly: what git would pass over is a fault here. Pure.

use std::cmp::Ordering;

use crate::ledger::ObjectId;

/// What is in a tree under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// As git has it: 0o100644 and its kin.
    pub mode: u32,
    /// The object.
    pub id: ObjectId,
}

/// A regular file that cannot be executed: the only mode of an entry.
pub const MODE_FILE: u32 = 0o100_644;
const MODE_DIRECTORY: u32 = 0o040_000;
/// All modes that git writes.
const MODES: [u32; 5] = [MODE_DIRECTORY, MODE_FILE, 0o100_755, 0o120_000, 0o160_000];

impl Item {
    /// Whether it is a tree.
    pub fn is_directory(&self) -> bool {
        self.mode == MODE_DIRECTORY
    }

    /// Whether it is another repository's commit.
    pub fn is_submodule(&self) -> bool {
        self.mode == 0o160_000
    }
}

/// A line of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The name.
    pub name: &'t [u8],
    mode: u32,
    id: &'t [u8],
}

impl Line<'_> {
    /// What is under the name; `None` where its id is none.
    pub fn item(&self) -> Option<Item> {
        Some(Item { mode: self.mode, id: ObjectId::from_bytes(self.id)? })
    }
}

/// The lines of a tree, in order. Of names other than `strict` (of all, where that is `None`) it is let pass that they
/// have a mode which git wrote long ago.
///
/// # Errors
/// The first thing that is against the format, in words.
pub fn tree<'t>(bytes: &'t [u8], id_bytes: usize, strict: Option<&str>) -> Result<Vec<Line<'t>>, String> {
    let mut lines: Vec<Line<'t>> = Vec::with_capacity(bytes.len() / (id_bytes + 8));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (line, after) = tree_line(rest, id_bytes).ok_or("a line is cut short or has no mode")?;
        let shown = || String::from_utf8_lossy(line.name).into_owned();
        let is_old = || strict.is_some_and(|strict| strict.as_bytes() != line.name);
        if (rest[0] == b'0' || !MODES.contains(&line.mode)) && !is_old() {
            return Err(format!("`{}` has the mode {:o}", shown(), line.mode));
        }
        if line.name.is_empty() || matches!(line.name, b"." | b"..") {
            return Err(format!("`{}` is no name", shown()));
        }
        if let Some(before) = lines.last()
            && order(before, &line) != Ordering::Less
        {
            return Err(format!("`{}` is there twice, or not in order", shown()));
        }
        lines.push(line);
        rest = after;
    }
    Ok(lines)
}

fn tree_line(bytes: &[u8], id_bytes: usize) -> Option<(Line<'_>, &[u8])> {
    let (mode, rest) = if let Some(rest) = bytes.strip_prefix(b"100644 ") {
        (MODE_FILE, rest)
    } else if let Some(rest) = bytes.strip_prefix(b"40000 ") {
        (MODE_DIRECTORY, rest)
    } else {
        let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
        let mode = bytes[..space].iter().try_fold(0_u32, |mode, digit| match digit {
            b'0'..=b'7' => Some(mode * 8 + u32::from(digit - b'0')),
            _ => None,
        })?;
        (mode, &bytes[space + 1..])
    };
    let end = rest.iter().position(|byte| matches!(byte, 0 | b'/'))?;
    if rest[end] != 0 {
        return None;
    }
    let (id, after) = rest[end + 1..].split_at_checked(id_bytes)?;
    Some((Line { name: &rest[..end], mode, id }, after))
}

/// git sorts a directory as if its name ended in `/`. A file and a directory of one name are equal: they exclude each
/// other.
fn order(left: &Line<'_>, right: &Line<'_>) -> Ordering {
    let shared = left.name.len().min(right.name.len());
    let next = |line: &Line<'_>| match line.name.get(shared) {
        Some(byte) => *byte,
        None if line.mode == MODE_DIRECTORY => b'/',
        None => 0,
    };
    match left.name[..shared].cmp(&right.name[..shared]) {
        Ordering::Equal if left.name.len() == right.name.len() => Ordering::Equal,
        Ordering::Equal => next(left).cmp(&next(right)),
        order => order,
    }
}

/// A commit's fields.
#[derive(Debug)]
pub struct Commit<'b> {
    /// Its tree.
    pub tree: ObjectId,
    /// The commits that it follows.
    pub parents: Vec<ObjectId>,
    /// Seconds since 1970, as the committer's line says.
    pub committed_at: i64,
    /// It has a signature, whatever that is worth.
    pub is_signed: bool,
    /// The encoding that git is told to read the message in, where that is not UTF-8.
    pub encoding: Option<&'b [u8]>,
    /// Everything after the header.
    pub message: &'b [u8],
}

/// The fields of a commit.
///
/// # Errors
/// The first thing that is against the format, in words.
pub fn commit(bytes: &[u8]) -> Result<Commit<'_>, String> {
    let mut lines = Lines(bytes);
    let id = |hex: &[u8]| std::str::from_utf8(hex).ok().and_then(ObjectId::parse);
    let tree = lines.next().and_then(|line| id(line.strip_prefix(b"tree ")?)).ok_or("it names no tree")?;
    let mut parents = Vec::new();
    let mut line = lines.next();
    while let Some(parent) = line.and_then(|line| line.strip_prefix(b"parent ")) {
        parents.push(id(parent).ok_or("it names a parent that is no id")?);
        line = lines.next();
    }
    line.filter(|line| line.starts_with(b"author ")).ok_or("it has no author where one belongs")?;
    let committer = lines.next().and_then(|line| line.strip_prefix(b"committer "));
    let committer = committer.ok_or("it has no committer where one belongs")?;
    let committed_at = time_of(committer).ok_or("its committer's line has no time")?;
    let (mut is_signed, mut encoding) = (false, None);
    for line in &mut lines {
        if line.is_empty() {
            return Ok(Commit { tree, parents, committed_at, is_signed, encoding, message: lines.0 });
        }
        is_signed |= line.starts_with(b"gpgsig ") || line.starts_with(b"gpgsig-sha256 ");
        encoding = encoding.or(line.strip_prefix(b"encoding "));
        if line.starts_with(b"parent ") || line.starts_with(b"tree ") {
            return Err("it names a tree or a parent where git does not look for one".to_owned());
        }
    }
    Err("its header does not end".to_owned())
}

/// Lines, each ended by a newline; what remains after those that were taken.
struct Lines<'b>(&'b [u8]);

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line)
    }
}

/// `Name <mail> 1700000000 +0000`
fn time_of(person: &[u8]) -> Option<i64> {
    let mut words = person.rsplit(|byte| *byte == b' ');
    let (_zone, seconds) = (words.next()?, words.next()?);
    std::str::from_utf8(seconds).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn line(mode: &str, name: &str) -> Vec<u8> {
        [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat()
    }

    #[test]
    fn a_tree_reads_as_git_wrote_it() {
        let bytes = [line("100644", "a-"), line("40000", "a"), line("100755", "a0")].concat();
        let names: Vec<_> = tree(&bytes, 20, None).unwrap().into_iter().map(|line| line.name).collect();
        assert_eq!(names, [&b"a-"[..], b"a", b"a0"]);
    }

    #[test]
    fn what_git_would_not_write_is_no_tree() {
        let twice = [line("100644", "a"), line("100644", "a")].concat();
        let both = [line("100644", "a"), line("40000", "a")].concat();
        let unsorted = [line("100644", "b"), line("100644", "a")].concat();
        let cut = line("100644", "a")[..20].to_vec();
        for bytes in
            [twice, both, unsorted, cut, line("100644", ".."), line("100644", ""), line("0100644", "a")]
        {
            assert!(tree(&bytes, 20, None).is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
        for bytes in [line("100600", "a"), line("100644", "a/b"), line("x", "a")] {
            assert!(tree(&bytes, 20, None).is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn what_git_wrote_long_ago_passes_beside_the_ledger_and_not_in_it() {
        let bytes = [line("040000", "doc"), line("100664", "make")].concat();
        assert!(tree(&bytes, 20, Some(".audit")).is_ok());
        assert!(tree(&bytes, 20, None).is_err());
        assert!(tree(&line("100664", ".audit"), 20, Some(".audit")).is_err());
    }

    #[test]
    fn a_commit_reads_as_git_wrote_it() {
        let text = format!(
            "tree {ID}\nparent {ID}\nauthor A <a> 1 +0000\ncommitter C D <c> -5 +0100\ngpgsig x\n y\n\nsubject\n\nbody"
        );
        let commit = commit(text.as_bytes()).unwrap();
        assert_eq!((commit.parents.len(), commit.committed_at, commit.is_signed), (1, -5, true));
        assert_eq!(commit.message, b"subject\n\nbody");
    }

    #[test]
    fn a_mangled_commit_is_none() {
        for text in [
            String::new(),
            format!("tree {ID}\n"),
            format!("tree {ID}\nauthor A <a> 1 +0000\n\nm"),
            format!("tree {ID}\nauthor A <a> 1 +0000\ncommitter C <c>\n\nm"),
            format!("tree {ID}\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\nparent {ID}\n\nm"),
            format!("tree {ID}\nparent x\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\n\nm"),
            format!("tree {ID}\nauthor A <a> 1 +0000\ncommitter C <c> 1 +0000\n"),
        ] {
            assert!(commit(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
