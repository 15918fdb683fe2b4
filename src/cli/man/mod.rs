//! `git audit man`

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, ValueHint};

use super::{Cli, Done, Session};
use crate::error::{Error, ExitStatus};
use crate::ops;
use crate::output::{Format, single};

mod page;

/// Write the manual pages, which `git audit --help` opens
#[derive(Args)]
#[command(
    after_help = "Without DIR, prints the page of `git audit` itself. With DIR, writes that page and one for each
command into it; a directory that is not there is made. `man` looks in `man1` of each directory that
`manpath` prints.

Examples:
  git audit man ~/.local/share/man/man1
  git audit man | man -l -"
)]
pub(super) struct ManArgs {
    /// The directory for the pages
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    target: Option<PathBuf>,
}

impl ManArgs {
    pub fn run(self, session: &mut Session) -> Done {
        let pages = page::all(Cli::command());
        let Some(target) = self.target else {
            if session.printer.format != Format::Human {
                return Err(Error::Usage(
                    "a manual page has one format; give a DIR to list what is written".into(),
                ));
            }
            pages.first().map_or(Ok(()), |page| session.printer.bytes(page.source.as_bytes()))?;
            return Ok(ExitStatus::Done);
        };
        let directory = session.context.place.directory.join(target);
        let files = ops::man::run(&directory, &pages)?;
        single::files(&mut session.printer, &files)?;
        session.printer.flush()?;
        session.messages.note(&where_man_looks(&directory));
        Ok(ExitStatus::Done)
    }
}

fn where_man_looks(directory: &Path) -> String {
    match directory.parent().filter(|_| directory.ends_with("man1")) {
        Some(tree) => {
            let tree = tree.display();
            format!("`git audit --help` opens them where `manpath` prints {tree}, or with MANPATH={tree}:")
        }
        None => "`man` looks in directories named `man1`, such as ~/.local/share/man/man1".to_owned(),
    }
}
