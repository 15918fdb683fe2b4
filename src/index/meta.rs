//! What the index knows of itself: which branch and commit it is of, and how much of the history that is.

use rusqlite::{Connection, OptionalExtension, params};

use crate::entry::{Digest, Facet};
use crate::ledger::{CommitId, Ledger, View};

/// The index's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The ledger's branch.
    pub branch: String,
    /// The commit up to which the history is in the index.
    pub head: Option<CommitId>,
    /// What the clone said was cut off (`.git/shallow`).
    pub boundary: String,
    /// Entries that the walk met.
    pub entries: u64,
    /// Entry files in the commit's tree.
    pub held: u64,
    /// Why the history is not all there.
    pub incomplete: Option<String>,
}

impl Meta {
    /// Before the first walk.
    pub fn new(branch: &str, boundary: &Digest) -> Self {
        let (branch, boundary) = (branch.to_owned(), boundary.to_string());
        Self { branch, head: None, boundary, entries: 0, held: 0, incomplete: None }
    }

    /// Why an index of this is none of the ledger as the view shows it, if that can be told from here.
    pub fn misfit(&self, ledger: &Ledger, view: &View<'_>) -> Option<String> {
        if self.branch != ledger.branch() {
            return Some(format!("it is of branch {}", self.branch));
        }
        let is_same = self.boundary == view.boundary().to_string();
        (!is_same).then(|| "the clone was deepened or cut since".to_owned())
    }

    /// What is stored.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT value FROM meta WHERE key = ?1")?;
        let mut text = |key: &str| {
            let value = statement.query_row([key], |row| row.get::<_, Option<String>>(0)).optional();
            value.map(Option::flatten)
        };
        let number = |value: Option<String>| value.and_then(|value| value.parse().ok()).unwrap_or(0);
        Ok(Self {
            branch: text("branch")?.unwrap_or_default(),
            head: text("head")?.and_then(|hex| CommitId::parse(&hex)),
            boundary: text("boundary")?.unwrap_or_default(),
            entries: number(text("entries")?),
            held: number(text("held")?),
            incomplete: text("incomplete")?,
        })
    }

    /// Stores it.
    pub fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?;
        let head = self.head.map(|head| head.to_string());
        let (entries, held) = (self.entries.to_string(), self.held.to_string());
        for (key, value) in [
            ("branch", Some(&self.branch)),
            ("head", head.as_ref()),
            ("boundary", Some(&self.boundary)),
            ("entries", Some(&entries)),
            ("held", Some(&held)),
            ("incomplete", self.incomplete.as_ref()),
        ] {
            statement.execute(params![key, value])?;
        }
        Ok(())
    }

    /// Stores what the numbers of the facets mean, for the views.
    pub fn save_names(connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?;
        for facet in Facet::ALL {
            statement.execute(params![format!("facet:{}", facet as u8), facet.name()])?;
        }
        Ok(())
    }
}
