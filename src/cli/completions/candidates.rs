//! What may stand in place of a word that is being typed, for the scripts: one candidate a line, then, after a tab,
//! what it means. A line that starts with a colon is a request instead: [`PATHS`].
//!
//! Whatever is wrong, there are fewer candidates; never an error, never a change of the repository.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::ValueHint;
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use super::super::{KnownTask, RunningTask, environment, whole_command};
use crate::entry::TaskId;
use crate::error::Result;
use crate::ledger::Place;
use crate::ops;
use crate::output::sanitize::visible;

/// The shell is to offer files: it knows better than we do how they are quoted, and what `~` is.
const PATHS: &str = ":files";

/// The candidates for the last of `words`. The first one is the program: `git`, with options and `audit` to follow, or
/// whatever `git-audit` was called by.
pub(super) fn lines(words: Vec<OsString>) -> Vec<String> {
    let Some(line) = CommandLine::of(words) else { return Vec::new() };
    let place = line.place().map(Arc::new);
    let mut command = with_candidates(whole_command(), place.as_ref());
    let Some(index) = line.words.len().checked_sub(1).filter(|index| *index > 0) else { return Vec::new() };
    let is_flag = line.words[index].as_encoded_bytes().starts_with(b"-");
    let found = complete(&mut command, line.words, index, None).unwrap_or_default();
    if found.iter().any(|candidate| candidate.get_value() == PATHS) {
        return vec![PATHS.to_owned()];
    }
    let found = found.iter().filter(|candidate| !candidate.is_hide_set()).filter_map(|candidate| {
        let value = candidate.get_value().to_str()?;
        // Flags are offered once a dash says that one is wanted.
        (is_flag || !value.starts_with('-')).then_some((value, candidate))
    });
    // A value that is not its own visible form could act on the terminal.
    let found = found.filter(|(value, _)| visible(value) == *value && !value.starts_with(':'));
    found.map(|(value, candidate)| format!("{value}{}", meaning(candidate))).collect()
}

fn meaning(candidate: &CompletionCandidate) -> String {
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    help.lines().next().map(|line| format!("\t{}", visible(line))).unwrap_or_default()
}

/// The command line that is being typed.
struct CommandLine {
    /// The words of ours: the program, then its arguments.
    words: Vec<OsString>,
    /// Every `-C`, git's and ours.
    changes: Vec<PathBuf>,
    /// `git --git-dir`
    git_dir: Option<PathBuf>,
}

impl CommandLine {
    /// `None`: it is another command of git's.
    fn of(words: Vec<OsString>) -> Option<Self> {
        let mut line = Self { words, changes: Vec::new(), git_dir: None };
        let program = line.words.first()?;
        if Path::new(program).file_name() == Some(OsStr::new("git")) {
            let audit = line.skip_options_of_git()?;
            line.words.drain(..audit);
        }
        let end = line.words.len().saturating_sub(1);
        let mut words = line.words[..end].iter().skip(1).take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            if word == "-C" {
                line.changes.extend(words.next().map(PathBuf::from));
            } else if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("-C")) {
                line.changes.push(path.into());
            }
        }
        Some(line)
    }

    /// Where in the words `audit` is, if that is git's command.
    fn skip_options_of_git(&mut self) -> Option<usize> {
        let mut index = 1;
        while let Some(word) = self.words.get(index) {
            let value = self.words.get(index + 1).map(PathBuf::from);
            match word.to_str()? {
                "audit" => return Some(index),
                "-C" => {
                    self.changes.extend(value);
                    index += 1;
                }
                "--git-dir" => {
                    self.git_dir = value;
                    index += 1;
                }
                "-c" | "--work-tree" | "--namespace" | "--super-prefix" | "--config-env"
                | "--attr-source" => {
                    index += 1;
                }
                option if option.starts_with('-') => {
                    if let Some(path) = option.strip_prefix("--git-dir=") {
                        self.git_dir = Some(path.into());
                    }
                }
                _ => return None,
            }
            index += 1;
        }
        None
    }

    /// Where the command would stand; `None` where it could not stand.
    fn place(&self) -> Option<Place> {
        let place = environment::place(&self.changes, true).ok()?;
        Some(Place { git_dir: self.git_dir.clone().or(place.git_dir), ..place })
    }
}

/// The command, whose arguments know what they can be.
fn with_candidates(command: Command, place: Option<&Arc<Place>>) -> Command {
    command
        .mut_args(|argument| candidates_of(argument, place))
        .mut_subcommands(|command| with_candidates(command, place))
}

fn candidates_of(argument: Arg, place: Option<&Arc<Place>>) -> Arg {
    let lists = [
        (argument.get::<KnownTask>().is_some(), ops::completions::task_ids as Lists),
        (argument.get::<RunningTask>().is_some(), ops::completions::running_tasks as Lists),
    ];
    if let Some((_, list)) = lists.into_iter().find(|(applies, _)| *applies) {
        let place = place.cloned();
        return argument
            .add(ArgValueCompleter::new(move |typed: &OsStr| tasks(place.as_deref(), list, typed)));
    }
    match argument.get_value_hint() {
        ValueHint::Unknown | ValueHint::Other => argument,
        _ => argument.add(ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(PATHS)])),
    }
}

/// What lists the ids that begin so.
type Lists = fn(&Place, &str) -> Result<Vec<TaskId>>;

fn tasks(place: Option<&Place>, list: Lists, typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = place.zip(typed.to_str()).map(|(place, prefix)| list(place, prefix));
    let found = found.and_then(Result::ok).unwrap_or_default();
    found.iter().map(|task_id| CompletionCandidate::new(task_id.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_git_stand_before_audit() {
        let line = |text: &str| CommandLine::of(text.split(' ').map(OsString::from).collect());
        let typed = line("git -c a.b=c -C one --git-dir=x -p audit -C two show de").unwrap();
        assert_eq!(typed.words, ["audit", "-C", "two", "show", "de"]);
        assert_eq!(typed.changes, [Path::new("one"), Path::new("two")]);
        assert_eq!(typed.git_dir.as_deref(), Some(Path::new("x")));
        assert_eq!(line("git-audit -Chere -C").unwrap().changes, [Path::new("here")]);
        assert!(line("git log audit").is_none());
        assert!(line("git -C audit").is_none());
    }
}
