//! Who may sign by SSH: the file that says so, and the one that says whose keys do not count any more.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::ledger::signing::{Scratch, SigningTools};

/// Where a ledger itself says who may sign.
pub const ALLOWED_SIGNERS: &str = ".audit/allowed_signers";

/// A larger file is no list of signers.
const MAX_BYTES: u64 = 16 << 20;

/// The names of the files for the program.
pub(super) const ALLOWED: &str = "allowed";
pub(super) const ALLOWED_AT_ANY_TIME: &str = "allowed-at-any-time";
pub(super) const REVOKED: &str = "revoked";

/// Who may sign.
#[derive(Clone, Debug)]
pub struct Signers {
    allowed: Option<Vec<u8>>,
    revoked: Option<Vec<u8>>,
    /// Where that stands, in words.
    origin: String,
    /// Why nobody can be judged by it.
    trouble: Option<String>,
}

impl Signers {
    /// Those of `gpg.ssh.allowedSignersFile`, else those of the ledger: the content of [`ALLOWED_SIGNERS`] at the commit
    /// that is trusted to say so, if it is there.
    pub fn of(tools: &SigningTools, in_ledger: Option<Vec<u8>>) -> Self {
        let mut signers =
            Self { allowed: in_ledger, revoked: None, origin: ALLOWED_SIGNERS.to_owned(), trouble: None };
        if let Some(path) = tools.allowed_signers() {
            signers.origin = path.display().to_string();
            signers.allowed = signers.read(path);
        }
        signers.revoked = tools.revocation().and_then(|path| signers.read(path));
        signers
    }

    /// It is said somewhere who may sign.
    pub fn are_named(&self) -> bool {
        self.allowed.is_some() || self.trouble.is_some()
    }

    /// It is the ledger that says who may sign.
    pub fn are_of_ledger(&self) -> bool {
        self.allowed.is_some() && self.origin == ALLOWED_SIGNERS
    }

    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        let trouble = match read {
            Ok(_) if bytes.len() as u64 <= MAX_BYTES => return Some(bytes),
            Ok(_) => format!("{} is too large", path.display()),
            Err(error) => format!("cannot read {}: {error}", path.display()),
        };
        self.trouble.get_or_insert(trouble);
        None
    }

    pub(super) fn allowed(&self) -> Option<&[u8]> {
        self.allowed.as_deref()
    }

    pub(super) fn revoked(&self) -> Option<&[u8]> {
        self.revoked.as_deref()
    }

    /// Where it stands who may sign.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Why nobody can be judged by it, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        let nobody =
            "nothing says who may sign: neither gpg.ssh.allowedSignersFile nor .audit/allowed_signers";
        let nobody = self.allowed.is_none().then(|| nobody.to_owned());
        self.trouble.clone().or(nobody)
    }

    /// Writes the files that the program reads. What is judged by is what was read once, whatever becomes of the files.
    pub(super) fn write_to(&self, scratch: &Scratch) -> io::Result<()> {
        let allowed = self.allowed.as_deref().unwrap_or_default();
        scratch.write(ALLOWED, allowed)?;
        scratch.write(ALLOWED_AT_ANY_TIME, &at_any_time(allowed))?;
        self.revoked.as_ref().map_or(Ok(()), |revoked| scratch.write(REVOKED, revoked).map(drop))
    }
}

/// The same signers without the times of their keys. It only tells a key that is not valid any more from one that never
/// was; nobody is let in by it.
fn at_any_time(allowed: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(allowed.len());
    for line in String::from_utf8_lossy(allowed).lines() {
        let words = split(line, |character| character.is_whitespace());
        let options = words.get(1).filter(|word| word.contains('=') && !words[0].starts_with('#'));
        let options = options.map(|options| {
            let is_time = |option: &&str| {
                let option = option.to_ascii_lowercase();
                option.starts_with("valid-after=") || option.starts_with("valid-before=")
            };
            let options = split(options, |character| character == ',').into_iter();
            options.filter(|option| !is_time(option)).collect::<Vec<_>>().join(",")
        });
        match options {
            Some(options) => {
                let line = [&words[..1], &[options.as_str()], &words[2..]].concat().join(" ");
                kept.extend_from_slice(line.as_bytes());
            }
            None => kept.extend_from_slice(line.as_bytes()),
        }
        kept.push(b'\n');
    }
    kept
}

/// The parts of a line, but for what stands in quotes.
fn split(line: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = line.split(move |character| {
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        !is_quoted && separates(character)
    });
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_left_out_and_everything_else_is_kept() {
        let without = |line: &str| String::from_utf8(at_any_time(line.as_bytes())).unwrap();
        let key = "ssh-ed25519 AAAA comment";
        let same = [format!("a@x,*@y {key}\n"), "# valid-before=\"1\"\n".into(), "\n".into()];
        for line in same {
            assert_eq!(without(&line), line);
        }
        let line = format!(
            "a@x namespaces=\"git,a b\",Valid-After=\"2,0 25\",cert-authority,valid-before=\"2\" {key}"
        );
        assert_eq!(without(&line), format!("a@x namespaces=\"git,a b\",cert-authority {key}\n"));
        assert_eq!(without(&format!("a@x  valid-before=\"2025\" {key}\r\n")), format!("a@x  {key}\n"));
        assert_eq!(without("\"a b\" valid-after=\"1"), "\"a b\" \n");
    }
}
