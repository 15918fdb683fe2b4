//! Which SSH key signs: a file, or a literal key that an agent holds. As git finds it.

use std::path::PathBuf;
use std::time::Duration;

use super::program::run;
use super::scratch::Scratch;
use super::tools::SigningTools;
use super::{not_run, refused};
use crate::error::{Error, Result};

const NO_KEY: &str = "no key is configured to sign with (git config user.signingkey)";
const CHOOSE_ONE: &str =
    "run `git config user.signingkey ~/.ssh/id_ed25519.pub`, or whichever key you sign with";

/// The key that `ssh-keygen` is told to sign with.
pub(super) struct SshKey {
    pub file: PathBuf,
    /// The file has the public half only, as it stood in the configuration: the agent signs.
    pub is_literal: bool,
}

impl SshKey {
    /// `user.signingkey`, else what `gpg.ssh.defaultKeyCommand` prints.
    pub fn find(tools: &SigningTools, scratch: &Scratch, limit: Duration) -> Result<Self> {
        let by_command = match tools.signing_key() {
            Some(_) => None,
            None => Some(ask(tools, limit)?),
        };
        match by_command.as_deref().or(tools.signing_key()).map(|key| (key, literal(key))) {
            Some((_, Some(key))) => {
                let written = scratch.write("key", format!("{key}\n").as_bytes());
                let file = written.map_err(|error| Error::io("write the key to sign with", error))?;
                Ok(Self { file, is_literal: true })
            }
            Some((path, None)) => Ok(Self { file: tools.resolve(path), is_literal: false }),
            None => Err(Error::signing(NO_KEY, CHOOSE_ONE)),
        }
    }
}

/// The key that a configured value is, if it is no path.
fn literal(value: &str) -> Option<&str> {
    value.strip_prefix("key::").or_else(|| value.starts_with("ssh-").then_some(value))
}

/// The first key that `gpg.ssh.defaultKeyCommand` prints.
fn ask(tools: &SigningTools, limit: Duration) -> Result<String> {
    let Some(line) = tools.default_key_command() else { return Err(Error::signing(NO_KEY, CHOOSE_ONE)) };
    let way_out = "run `git config gpg.ssh.defaultKeyCommand` to see it, or set user.signingkey instead";
    let words = split(line).filter(|words| !words.is_empty());
    let words = words
        .ok_or_else(|| Error::signing("gpg.ssh.defaultKeyCommand cannot be split into words", way_out))?;
    let mut command = tools.command(&words[0]);
    command.args(&words[1..]);
    let ran = run(&mut command, b"", limit).map_err(|failure| not_run(&words[0], &failure, way_out))?;
    let printed = String::from_utf8_lossy(&ran.stdout);
    let first = printed.lines().next().map(str::trim).filter(|line| ran.succeeded && literal(line).is_some());
    first.map(str::to_owned).ok_or_else(|| refused(&words[0], &ran, way_out))
}

/// The words of a command line, with quotes and backslashes as git takes them. No shell is asked.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(character),
            (_, '\\') => word.get_or_insert_default().push(characters.next()?),
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_git_does() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        assert_eq!(words(" ssh-add  -L ").as_deref(), Some("ssh-add|-L"));
        assert_eq!(words(r#"a 'b c' "d \"e" f\ g '' "#).as_deref(), Some(r#"a|b c|d "e|f g|"#));
        assert_eq!(words("a 'b"), None);
        assert_eq!(words(r"a \"), None);
    }

    #[test]
    fn a_literal_key_is_told_from_a_path() {
        assert_eq!(literal("key::ecdsa-sha2-nistp256 AAAA"), Some("ecdsa-sha2-nistp256 AAAA"));
        assert_eq!(literal("ssh-ed25519 AAAA me"), Some("ssh-ed25519 AAAA me"));
        assert_eq!(literal("~/.ssh/id_ed25519.pub"), None);
    }
}
