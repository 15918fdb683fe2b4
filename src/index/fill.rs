//! Adding entries to the index: one by one to an index that exists, or all of them to one that is being built.

use std::collections::HashMap;

use rusqlite::{Connection, Statement, params};

use super::rows::{EntryRows, text};
use super::schema::EVERY_TASK;
use crate::entry::Facet;

/// Values whose number is remembered; beyond that the database is asked.
const MAX_REMEMBERED: usize = 100_000;

/// Adds entries. The caller begins and commits.
pub struct Filler<'c> {
    connection: &'c Connection,
    /// Rows of `facets` are put aside and sorted at the end: in the order of the table they are written much faster.
    is_bulk: bool,
    names: HashMap<(Facet, String), i64>,
    statements: Statements<'c>,
}

struct Statements<'c> {
    entry: Statement<'c>,
    words: Statement<'c>,
    facet: Statement<'c>,
    name: Statement<'c>,
    artifact: Statement<'c>,
    event: Statement<'c>,
    step: Statement<'c>,
}

impl<'c> Filler<'c> {
    pub fn new(connection: &'c Connection, is_bulk: bool) -> rusqlite::Result<Self> {
        if is_bulk {
            connection.execute_batch(
                "CREATE TEMP TABLE unsorted(name INTEGER, status INTEGER, ended_at INTEGER, p INTEGER)",
            )?;
        }
        let facets = if is_bulk { "unsorted" } else { "facets" };
        // Nothing is merged on the way, and what is gathered before it is written is as large as memory allows.
        if is_bulk {
            connection.execute_batch(
                "INSERT INTO texts(texts, rank) VALUES ('hashsize', 33554432), ('automerge', 0), ('crisismerge', 1999)",
            )?;
        }
        let insert = |table: &str, count: usize| {
            let places: Vec<_> = (1..=count).map(|number| format!("?{number}")).collect();
            connection.prepare(&format!("INSERT INTO {table} VALUES ({})", places.join(", ")))
        };
        let statements = Statements {
            entry: insert("entries", 19)?,
            words: insert("texts(rowid, text)", 2)?,
            facet: insert(facets, 4)?,
            name: connection.prepare(
                "INSERT INTO names(facet, value, uses) VALUES (?1, ?2, 1)
                 ON CONFLICT(facet, value) DO UPDATE SET uses = uses + 1 RETURNING id",
            )?,
            artifact: insert("artifacts", 7)?,
            event: insert("events", 10)?,
            step: insert("steps", 8)?,
        };
        Ok(Self { connection, is_bulk, names: HashMap::new(), statements })
    }

    /// Adds an entry at place `p`.
    pub fn add(&mut self, p: i64, entry: &EntryRows) -> rusqlite::Result<()> {
        let status = entry.status as i64;
        let statements = &mut self.statements;
        statements.entry.execute(params![
            p,
            entry.task_id,
            status,
            entry.ended_at,
            entry.duration,
            entry.timestamp,
            entry.title,
            entry.error_message,
            entry.plan_id,
            entry.agent_id,
            entry.agent_pool,
            entry.intent,
            entry.services,
            entry.what,
            entry.commit.as_bytes(),
            entry.recorded_at,
            entry.path,
            entry.blob.as_bytes(),
            entry.warning,
        ])?;
        statements.words.execute(params![p, entry.words])?;
        statements.facet.execute(params![EVERY_TASK, status, entry.ended_at, p])?;
        for (facet, value) in &entry.facets {
            let name = self.name(*facet, value)?;
            self.statements.facet.execute(params![name, status, entry.ended_at, p])?;
        }
        self.add_items(p, entry)
    }

    fn add_items(&mut self, p: i64, entry: &EntryRows) -> rusqlite::Result<()> {
        let Statements { artifact, event, step, .. } = &mut self.statements;
        for (position, one) in (0_i64..).zip(&entry.artifacts) {
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
        for (position, one) in (0_i64..).zip(&entry.events) {
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
        for (position, one) in (0_i64..).zip(&entry.steps) {
            let milliseconds = one.step.execution_time_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
            step.execute(params![
                p,
                position,
                one.step.step_id,
                one.step.name,
                one.step.success,
                milliseconds,
                one.worker_id,
                one.correlation_id,
            ])?;
        }
        Ok(())
    }

    /// The number of a value. How often it is used is counted at the end of a build, else here.
    fn name(&mut self, facet: Facet, value: &str) -> rusqlite::Result<i64> {
        let key = (facet, value.to_owned());
        if let Some(known) = self.names.get(&key).filter(|_| self.is_bulk) {
            return Ok(*known);
        }
        let id = self.statements.name.query_row(params![facet as u8, value], |row| row.get(0))?;
        if self.names.len() >= MAX_REMEMBERED {
            self.names.clear();
        }
        self.names.insert(key, id);
        Ok(id)
    }

    /// Puts what was put aside in its place.
    pub fn finish(self) -> rusqlite::Result<()> {
        if !self.is_bulk {
            return Ok(());
        }
        let connection = self.connection;
        drop(self.statements);
        connection.execute_batch(
            "INSERT INTO texts(texts, rank) VALUES ('hashsize', 1048576), ('automerge', 4), ('crisismerge', 16);
             INSERT INTO facets SELECT name, status, ended_at, p FROM unsorted ORDER BY 1, 2, 3, 4;
             DROP TABLE unsorted;
             UPDATE names SET uses = counted.uses
               FROM (SELECT name, count(*) AS uses FROM facets GROUP BY name) AS counted WHERE counted.name = names.id;",
        )
    }
}
