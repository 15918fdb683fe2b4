//! The patch id of a commit: what it changes, whatever it stands on. It survives a rebase and a cherry-pick.
//!
//! The same value as `git diff-tree -p --root --full-index COMMIT | git patch-id --stable` prints: a hash over the
//! patch's text without blanks and line numbers, file by file, and the sum of those. (With `--full-index`, because the
//! id of a binary file's patch holds the blobs' names, and how far they are shortened depends on the repository.)
//!
//! Patterns that git has and that are kept here, because the value has to be the same: a file without hunks (a mode, an
//! empty file) is hashed together with the next one; the first line of the file after a binary one is not hashed; text ends at a NUL byte; the sum ends with whatever is left.

use git2::{
    Commit, Delta, DiffDelta, DiffFile, DiffFormat, DiffLineType, DiffOptions, ObjectFormat, Odb, Repository,
};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::quote::quoted;

/// A commit of more files than this has none.
const MAX_FILES: usize = 300;
/// Nor has one whose files are larger than this together.
const MAX_BYTES: usize = 8 << 20;

/// `None`: a merge, a commit that changes nothing, or one that changes too much.
pub(super) fn of(repository: &Repository, odb: &Odb<'_>, commit: &Commit<'_>) -> Option<String> {
    if commit.parent_count() > 1 {
        return None;
    }
    let before = match commit.parent_count() {
        0 => None,
        _ => Some(commit.parent(0).ok()?.tree().ok()?),
    };
    let mut options = DiffOptions::new();
    options.context_lines(3).interhunk_lines(0).indent_heuristic(true);
    let diff =
        repository.diff_tree_to_tree(before.as_ref(), Some(&commit.tree().ok()?), Some(&mut options)).ok()?;
    if diff.deltas().len() == 0 || diff.deltas().len() > MAX_FILES {
        return None;
    }
    let mut bytes = 0;
    for file in diff.deltas().flat_map(|delta| [delta.old_file(), delta.new_file()]) {
        if file.exists() && file.mode() != git2::FileMode::Commit {
            bytes += odb.read_header(file.id()).ok()?.0;
        }
    }
    if bytes > MAX_BYTES {
        return None;
    }
    let mut sum = Sum::new(repository.object_format());
    let printed = diff.print(DiffFormat::Patch, |delta, _, line| {
        match line.origin_value() {
            DiffLineType::FileHeader => sum.file(&delta),
            DiffLineType::HunkHeader => sum.hunk(&delta),
            DiffLineType::Binary => sum.binary(&delta),
            DiffLineType::Context => sum.line(b' ', line.content()),
            DiffLineType::Addition => sum.line(b'+', line.content()),
            DiffLineType::Deletion => sum.line(b'-', line.content()),
            _ => {}
        }
        true
    });
    printed.ok()?;
    Some(sum.finish())
}

/// The sum of the hashes of the files.
struct Sum {
    hash: Hash,
    sum: Vec<u8>,
    /// The file at hand has hunks.
    has_hunks: bool,
    /// The file before it was binary.
    is_after_binary: bool,
}

impl Sum {
    fn new(format: ObjectFormat) -> Self {
        let (hash, size) = match format {
            ObjectFormat::Sha1 => (Hash::Sha1(Sha1::default()), 20),
            ObjectFormat::Sha256 => (Hash::Sha256(Sha256::default()), 32),
        };
        Self { hash, sum: vec![0; size], has_hunks: false, is_after_binary: false }
    }

    /// What git writes before everything else of a file. (libgit2's own text is not taken: it quotes paths in another
    /// way.)
    fn file(&mut self, delta: &DiffDelta<'_>) {
        if std::mem::take(&mut self.has_hunks) {
            self.flush();
        }
        let (old, new) = (delta.old_file(), delta.new_file());
        if !std::mem::take(&mut self.is_after_binary) {
            self.text(&format!("diff --git {} {}", shown("a/", &old), shown("b/", &new)));
        }
        let mode = |file: &DiffFile<'_>| format!("{:06o}", u32::from(file.mode()));
        match delta.status() {
            Delta::Added => self.text(&format!("new file mode {}", mode(&new))),
            Delta::Deleted => self.text(&format!("deleted file mode {}", mode(&old))),
            _ if old.mode() != new.mode() => {
                self.text(&format!("old mode {}", mode(&old)));
                self.text(&format!("new mode {}", mode(&new)));
            }
            _ => {}
        }
    }

    /// What git writes before the first hunk of a file.
    fn hunk(&mut self, delta: &DiffDelta<'_>) {
        if std::mem::replace(&mut self.has_hunks, true) {
            return;
        }
        let nothing = || "/dev/null".to_owned();
        let is = |status| delta.status() == status;
        let before = if is(Delta::Added) { nothing() } else { shown("a/", &delta.old_file()) };
        let after = if is(Delta::Deleted) { nothing() } else { shown("b/", &delta.new_file()) };
        self.text(&format!("--- {before}"));
        self.text(&format!("+++ {after}"));
    }

    fn binary(&mut self, delta: &DiffDelta<'_>) {
        // Only its mode changed: git says nothing more.
        if delta.old_file().id() == delta.new_file().id() {
            return;
        }
        self.text(&delta.old_file().id().to_string());
        self.text(&delta.new_file().id().to_string());
        self.flush();
        self.is_after_binary = true;
    }

    fn line(&mut self, origin: u8, content: &[u8]) {
        let text = content.split(|byte| *byte == 0).next().unwrap_or_default();
        let kept: Vec<u8> =
            text.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).collect();
        if origin != b' ' {
            self.hash.update(&[origin]);
        }
        self.hash.update(&kept);
    }

    fn text(&mut self, text: &str) {
        self.line(b' ', text.as_bytes());
    }

    /// Adds the hash so far to the sum, byte by byte with carry.
    fn flush(&mut self) {
        let mut carry = 0_u16;
        for (sum, byte) in self.sum.iter_mut().zip(self.hash.take()) {
            carry += u16::from(*sum) + u16::from(byte);
            *sum = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    }

    fn finish(mut self) -> String {
        self.flush();
        self.sum.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn shown(prefix: &str, file: &DiffFile<'_>) -> String {
    quoted(&[prefix.as_bytes(), file.path_bytes().unwrap_or_default()].concat())
}

/// The hash that the repository uses.
enum Hash {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize_reset().to_vec(),
            Self::Sha256(hash) => hash.finalize_reset().to_vec(),
        }
    }
}
