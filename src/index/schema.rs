//! The index's tables, and the views that other programs may read. `docs/INDEX.md` describes the views.
//!
//! An entry's place is `p`: the newest entry has the smallest. What one walk adds gets numbers that ascend as it goes
//! back in time, and lie below all earlier ones, so that entries are added in the order of the table.

use rusqlite::Connection;

/// Another version is thrown away and built anew. Raised with every change of a table or of what is put into it.
pub const VERSION: i64 = 1;
/// Marks the file as ours (`PRAGMA application_id`): "gitA" in ASCII.
pub const APPLICATION_ID: i64 = 0x6769_7441;
/// The name under which every task is found: the one that has no facet.
pub const EVERY_TASK: i64 = 0;
/// How far apart the numbers of two walks begin. No walk adds so many entries.
pub const PLACES_PER_WALK: i64 = 1 << 40;

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entries(
  p INTEGER PRIMARY KEY, task_id TEXT NOT NULL, status INTEGER NOT NULL, ended_at INTEGER NOT NULL, duration INTEGER,
  timestamp TEXT NOT NULL, title TEXT, error_message TEXT, plan_id TEXT, agent_id TEXT, agent_pool TEXT, intent TEXT,
  services TEXT, what TEXT NOT NULL, commit_id BLOB NOT NULL, recorded_at INTEGER NOT NULL, path TEXT NOT NULL,
  blob_id BLOB NOT NULL, warning TEXT);
CREATE TABLE names(id INTEGER PRIMARY KEY, facet INTEGER NOT NULL, value TEXT NOT NULL, uses INTEGER NOT NULL, UNIQUE(facet, value));
CREATE TABLE facets(
  name INTEGER NOT NULL, status INTEGER NOT NULL, ended_at INTEGER NOT NULL, p INTEGER NOT NULL,
  PRIMARY KEY(name, status, ended_at, p)) WITHOUT ROWID;
CREATE VIRTUAL TABLE texts USING fts5(text, content='', columnsize=0, tokenize='ascii');
CREATE TABLE artifacts(
  p INTEGER NOT NULL, position INTEGER NOT NULL, repo_id TEXT, ref_type TEXT NOT NULL, ref_value TEXT NOT NULL,
  summary TEXT, created_at TEXT, PRIMARY KEY(p, position)) WITHOUT ROWID;
CREATE TABLE events(
  p INTEGER NOT NULL, position INTEGER NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, at TEXT, level TEXT,
  repo_id TEXT, status TEXT, commit_hash TEXT, error_message TEXT, PRIMARY KEY(p, position)) WITHOUT ROWID;
CREATE TABLE steps(
  p INTEGER NOT NULL, position INTEGER NOT NULL, step_id TEXT NOT NULL, name TEXT, success INTEGER,
  execution_time_ms INTEGER, worker_id TEXT, correlation_id TEXT, PRIMARY KEY(p, position)) WITHOUT ROWID;
CREATE TABLE unreadable(commit_id BLOB NOT NULL, why TEXT NOT NULL);
CREATE TABLE notes(note TEXT NOT NULL);
";

/// Made last: an index over a table that is full is built in one sweep.
const INDEXES: &str = "
CREATE INDEX entries_task ON entries(task_id);
CREATE INDEX artifacts_reference ON artifacts(lower(ref_value));
CREATE INDEX steps_id ON steps(step_id);
";

const VIEWS: &str = "
CREATE VIEW tasks AS SELECT
  task_id, CASE status WHEN 0 THEN 'completed' WHEN 1 THEN 'failed' WHEN 2 THEN 'rejected' ELSE 'cancelled' END AS status,
  timestamp, duration / 1e9 AS duration_seconds, title, error_message, plan_id, agent_id, agent_pool, intent, services,
  lower(hex(commit_id)) AS commit_id, strftime('%Y-%m-%dT%H:%M:%SZ', recorded_at, 'unixepoch') AS recorded_at, path, p AS entry
  FROM entries ORDER BY p;
CREATE VIEW task_values AS SELECT entries.task_id, entries.p AS entry, meta.value AS name, names.value
  FROM facets JOIN names ON names.id = facets.name JOIN meta ON meta.key = 'facet:' || names.facet JOIN entries ON entries.p = facets.p;
CREATE VIEW task_artifacts AS SELECT entries.task_id, entries.p AS entry, repo_id, ref_type, ref_value, summary, created_at
  FROM artifacts JOIN entries ON entries.p = artifacts.p;
CREATE VIEW task_events AS SELECT entries.task_id, entries.p AS entry, seq, type, at, level, repo_id, events.status, commit_hash, events.error_message
  FROM events JOIN entries ON entries.p = events.p;
CREATE VIEW task_steps AS SELECT entries.task_id, entries.p AS entry, step_id, name, success, execution_time_ms, worker_id, correlation_id
  FROM steps JOIN entries ON entries.p = steps.p;
CREATE VIEW ledger AS SELECT key, value FROM meta WHERE key IN ('branch', 'head', 'entries', 'incomplete');
";

/// Makes the tables.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)
}

/// Makes what a full index has beside its tables, and declares it ours.
pub fn complete(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(INDEXES)?;
    connection.execute_batch(VIEWS)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// Whether the file is an index of this version.
pub fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(number("application_id")? == APPLICATION_ID && number("user_version")? == VERSION)
}
