//! Colour: few, calm, and never the only thing that says something. What is painted has been made safe before; the
//! only escape sequences that reach a terminal are the ones here.

use crate::entry::Status;

/// What a piece of text is, not how it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Style {
    /// Ordinary text.
    #[default]
    Plain,
    /// The head of a table or of a section.
    Heading,
    /// The name of a value, or what matters less.
    Faint,
    /// A task or a commit, in the colour that git gives to commits.
    Id,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It was stopped before it could go wrong.
    Doubtful,
    /// `error:`
    Error,
    /// `warning:`
    Warning,
    /// `hint:`, `note:`
    Advice,
}

impl Style {
    /// That of a task's status.
    pub fn of_status(status: Status) -> Self {
        match status {
            Status::Completed => Self::Good,
            Status::Failed => Self::Bad,
            Status::Rejected => Self::Doubtful,
            Status::Cancelled => Self::Faint,
        }
    }

    /// `text`, which is safe already, in this style where `color` is wanted.
    pub fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Self::Plain => "",
            Self::Heading => "1",
            Self::Faint => "2",
            Self::Id | Self::Doubtful | Self::Warning => "33",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Error => "1;31",
            Self::Advice => "36",
        };
        if !color || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[m")
    }
}
