//! Who reads the answer: a person at a terminal, or a program. Colour, width and pager follow from that, by git's rules.

use std::io::{self, BufWriter, IsTerminal};

use super::environment::{self, ReaderVariables};
use super::{Session, pager};
use crate::ledger::{Place, Preferences};
use crate::output::{Format, Reader};

/// The width of a terminal that does not tell it, as in git.
const COLUMNS: usize = 80;

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Also elsewhere.
    Always,
    /// Nowhere.
    Never,
}

impl ColorWhen {
    /// `--color`, else what is configured. What is written there is git's: `always`, `never`, `auto`, or a boolean.
    fn or_configured(self, configured: Option<&str>) -> Self {
        match configured.filter(|_| self == Self::Auto).map(str::to_ascii_lowercase).as_deref() {
            Some("always") => Self::Always,
            Some("never") => Self::Never,
            Some(word) if is_false(word) => Self::Never,
            _ => self,
        }
    }

    /// Whether to use it on a stream. What is said on purpose outweighs `NO_COLOR`.
    fn is_on(self, is_watched: bool, variables: &ReaderVariables) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_watched && !variables.no_color && !variables.is_dumb,
        }
    }
}

fn is_false(word: &str) -> bool {
    matches!(word, "false" | "no" | "off" | "0" | "")
}

/// What standard error is written with before the command line has been read.
pub(super) fn early_color() -> bool {
    ColorWhen::Auto.is_on(io::stderr().is_terminal(), &environment::reader_variables())
}

/// What is known of the reader of standard output. Colour is for those that list and show: [`Session::present`].
pub(super) fn reader(variables: &ReaderVariables) -> Reader {
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let columns = match io::stdout().is_terminal() {
        true => Some(terminal().or(variables.columns).unwrap_or(COLUMNS)),
        // Its `-p` has measured the terminal before it put the pager between.
        false => variables.columns.filter(|_| variables.is_pager_in_use),
    };
    Reader { columns, color: false, local_time: super::local_time }
}

/// How standard error is coloured.
pub(super) fn message_color(when: ColorWhen, variables: &ReaderVariables, place: &Place) -> bool {
    let is_terminal = io::stderr().is_terminal();
    let asks = is_terminal && when == ColorWhen::Auto;
    let configured = asks.then(|| Preferences::of(place).color).flatten();
    when.or_configured(configured.as_deref()).is_on(is_terminal, variables)
}

impl Session {
    /// For every command that lists or shows, before it prints: colour, and the pager, where a person reads.
    pub fn present(&mut self) {
        if self.printer.format != Format::Human {
            return;
        }
        let variables = environment::reader_variables();
        let preferences = Preferences::of(&self.context.place);
        let is_terminal = io::stdout().is_terminal();
        let pager = is_terminal.then(|| pager::command(&variables, preferences.pager)).flatten();
        let is_paged = pager.is_some() || variables.is_pager_in_use;
        let pager_takes_color =
            !preferences.color_in_pager.is_some_and(|word| is_false(&word.to_ascii_lowercase()));
        let is_watched = (is_terminal || variables.is_pager_in_use) && (pager_takes_color || !is_paged);
        let when = self.color.or_configured(preferences.color.as_deref());
        self.printer.reader.color = when.is_on(is_watched, &variables);
        let Some(command) = pager else { return };
        let search_path = self.context.place.search_path.clone();
        let pager = pager::Pager::new(command, search_path, &variables);
        self.printer.redirect(Box::new(BufWriter::new(pager)));
        if io::stderr().is_terminal() {
            self.messages.hold();
        }
    }
}
