//! `git audit completions`
//!
//! Each script is a few lines that hand the command line to `git-audit completions --candidates -- WORDS…` and offer
//! what it prints, so that they need not be written anew when a command gets a flag.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{Done, Session};
use crate::error::ExitStatus;

mod candidates;

/// Print a script that lets a shell complete `git audit`
#[derive(Args)]
#[command(
    override_usage = "git audit completions [OPTIONS] <SHELL>",
    after_help = "The script completes commands, flags, their values and task ids, after `git audit` and `git-audit`.
It asks git-audit itself, so it need not be installed anew with a new version.

Examples:
  git audit completions bash > ~/.local/share/bash-completion/completions/git-audit
  git audit completions zsh > ~/.zfunc/_git-audit      # a directory of your $fpath
  git audit completions fish > ~/.config/fish/conf.d/git-audit.fish
  eval \"$(git audit completions bash)\"                 # in .bashrc, instead"
)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(
        value_name = "SHELL",
        value_enum,
        required_unless_present = "candidates",
        conflicts_with_all = ["format", "json"]
    )]
    shell: Option<Shell>,
    /// Print what may stand in place of the last of WORDS: for the scripts, and theirs to change
    #[arg(long, hide = true, conflicts_with = "shell")]
    candidates: bool,
    /// A command line up to the word that is being typed
    #[arg(last = true, hide = true, requires = "candidates")]
    words: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("git-audit.bash"),
            Self::Zsh => include_str!("_git-audit"),
            Self::Fish => include_str!("git-audit.fish"),
        }
    }
}

impl CompletionsArgs {
    pub fn run(self, session: &mut Session) -> Done {
        match self.shell {
            Some(shell) => session.printer.bytes(shell.script().as_bytes())?,
            None => candidates::lines(self.words).iter().try_for_each(|line| session.printer.line(line))?,
        }
        Ok(ExitStatus::Done)
    }
}
