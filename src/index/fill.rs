//! Adding entries to the index: one by one to an index that exists, or all of them to one that is being built.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::rows::{EntryRows, text};
use super::schema::EVERY_TASK;
use crate::entry::{Entry, Facet};

/// Values whose number is remembered; beyond that the database is asked.
const MAX_REMEMBERED: usize = 100_000;

/// Rows of `facets` that are gathered and sorted before they are written: in the order of the table, or of a few runs
/// through it, they are written much faster.
const ROWS_AT_ONCE: usize = 2_000_000;

/// Adds entries. The caller begins and commits.
pub struct Filler<'c> {
    connection: &'c Connection,
    /// All entries are added, oldest last; else a few.
    is_bulk: bool,
    names: HashMap<(Facet, String), i64>,
    /// Rows of `facets` that wait: name, status, end, place.
    facets: Vec<(i64, i64, i64, i64)>,
    statements: Statements<'c>,
}

struct Statements<'c> {
    entry: Statement<'c>,
    words: Statement<'c>,
    facet: Statement<'c>,
    find_name: Statement<'c>,
    add_name: Statement<'c>,
    use_name: Statement<'c>,
    artifact: Statement<'c>,
    event: Statement<'c>,
    step: Statement<'c>,
}

impl<'c> Filler<'c> {
    pub fn new(connection: &'c Connection, is_bulk: bool) -> rusqlite::Result<Self> {
        // Nothing is merged on the way but at the end, and what is gathered before it is written is as large as memory allows.
        if is_bulk {
            connection.execute_batch(
                "INSERT INTO texts(texts, rank) VALUES ('hashsize', 16777216), ('automerge', 0), ('crisismerge', 1999)",
            )?;
        }
        let insert = |table: &str, count: usize| {
            let places: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
            connection.prepare(&format!("INSERT INTO {table} VALUES ({})", places.join(", ")))
        };
        let statements = Statements {
            entry: insert("entries", 19)?,
            words: insert("texts(rowid, text)", 2)?,
            facet: insert("facets", 4)?,
            // Three simple statements and no upsert: that would begin a savepoint, at which the full text is flushed.
            find_name: connection.prepare("SELECT id FROM names WHERE facet = ?1 AND value = ?2")?,
            add_name: connection.prepare("INSERT INTO names(facet, value, uses) VALUES (?1, ?2, 1)")?,
            use_name: connection.prepare("UPDATE names SET uses = uses + 1 WHERE id = ?1")?,
            artifact: insert("artifacts", 7)?,
            event: insert("events", 10)?,
            step: insert("steps", 8)?,
        };
        Ok(Self { connection, is_bulk, names: HashMap::new(), facets: Vec::new(), statements })
    }

    /// Adds an entry at place `p`.
    pub fn add(&mut self, p: i64, rows: &EntryRows<'_>) -> rusqlite::Result<()> {
        let EntryRows { entry, stored, ended_at, .. } = rows;
        let status = entry.status as i64;
        let statements = &mut self.statements;
        statements.entry.execute(params![
            p,
            entry.task_id.as_str(),
            status,
            ended_at,
            rows.duration,
            entry.timestamp.to_string(),
            entry.title,
            entry.error_message,
            entry.plan_id,
            entry.agent(),
            entry.pool(),
            entry.intent(),
            rows.services,
            rows.what,
            rows.commit.as_bytes(),
            rows.recorded_at,
            stored.path,
            stored.blob.as_bytes(),
            stored.warning,
        ])?;
        statements.words.execute(params![p, rows.words])?;
        self.facets.push((EVERY_TASK, status, *ended_at, p));
        for (facet, value) in &rows.facets {
            let name = self.name(*facet, value)?;
            self.facets.push((name, status, *ended_at, p));
        }
        if !self.is_bulk || self.facets.len() >= ROWS_AT_ONCE {
            self.write_facets()?;
        }
        self.add_items(p, entry)
    }

    fn add_items(&mut self, p: i64, entry: &Entry) -> rusqlite::Result<()> {
        let Statements { artifact, event, step, .. } = &mut self.statements;
        for (position, one) in (0_i64..).zip(entry.artifacts.iter().flatten()) {
            let (kind, created_at) = (one.ref_type.as_str(), text(one.created_at));
            artifact.execute(params![
                p,
                position,
                one.repo_id,
                kind,
                one.ref_value,
                one.summary,
                created_at
            ])?;
        }
        for (position, one) in (0_i64..).zip(entry.events.iter().flatten()) {
            let seq = i64::try_from(one.seq).unwrap_or(i64::MAX);
            event.execute(params![
                p,
                position,
                seq,
                one.event_type,
                text(one.at),
                one.level,
                one.repo_id,
                one.status,
                one.commit_hash,
                one.error_message,
            ])?;
        }
        for (position, one) in (0_i64..).zip(entry.steps.iter().flatten()) {
            let milliseconds = one.execution_time_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
            step.execute(params![
                p,
                position,
                one.step_id,
                one.name,
                one.success,
                milliseconds,
                one.worker(entry),
                one.correlation(entry),
            ])?;
        }
        Ok(())
    }

    /// The number of a value. In a build it is remembered, and how often it is used is counted at the end.
    fn name(&mut self, facet: Facet, value: &str) -> rusqlite::Result<i64> {
        let Statements { find_name, add_name, use_name, .. } = &mut self.statements;
        let mut find = || find_name.query_row(params![facet as u8, value], |row| row.get(0)).optional();
        if !self.is_bulk {
            return match find()? {
                Some(id) => use_name.execute([id]).map(|_| id),
                None => add_name.insert(params![facet as u8, value]),
            };
        }
        let key = (facet, value.to_owned());
        if let Some(known) = self.names.get(&key) {
            return Ok(*known);
        }
        let id = find()?.map_or_else(|| add_name.insert(params![facet as u8, value]), Ok)?;
        if self.names.len() >= MAX_REMEMBERED {
            self.names.clear();
        }
        self.names.insert(key, id);
        Ok(id)
    }

    fn write_facets(&mut self) -> rusqlite::Result<()> {
        self.facets.sort_unstable();
        for row in self.facets.drain(..) {
            self.statements.facet.execute(row)?;
        }
        Ok(())
    }

    /// Writes what waits.
    pub fn finish(mut self) -> rusqlite::Result<()> {
        self.write_facets()?;
        if !self.is_bulk {
            return Ok(());
        }
        // Later additions are small: they are merged with each other, sixteen at a time, not bit by bit with this.
        self.connection.execute_batch(
            "INSERT INTO texts(texts, rank) VALUES ('hashsize', 1048576), ('crisismerge', 16);
             INSERT INTO texts(texts) VALUES ('optimize');
             UPDATE names SET uses = counted.uses
               FROM (SELECT name, count(*) AS uses FROM facets GROUP BY name) AS counted WHERE counted.name = names.id;",
        )
    }
}
