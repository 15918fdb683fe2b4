//! A filter as SQL. All values are parameters; the text is made of fixed pieces.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{nanoseconds, sortable};
use super::schema::EVERY_TASK;
use crate::entry::items::{MIN_COMMIT_PREFIX, MIN_STORED_PREFIX, is_hex};
use crate::entry::{Facet, Filter, Grep, Items, RefType, Status};

/// What is asked of the index: entries, or items of them.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// Which entries. Conditions on fields are left to the caller, who reads the entry.
    pub filter: &'q Filter,
    /// Which of their items; `None`: the entries themselves.
    pub items: Option<&'q Items>,
}

/// A part of a statement, with the values for its `?` in order.
#[derive(Clone, Debug, Default)]
pub struct Sql {
    pub text: String,
    pub values: Vec<Value>,
}

/// Values that are each a parameter of their own; more of them are one list.
const MAX_PLACES: usize = 200;

impl Sql {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    pub fn push(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        self.text.push_str(text);
        self.values.extend(values);
    }

    pub fn append(&mut self, other: Self) {
        self.push(&other.text, other.values);
    }

    /// `column IN (?, ?)`
    fn is_one_of(&mut self, column: &str, values: impl IntoIterator<Item = Value>) {
        let values: Vec<_> = values.into_iter().collect();
        if values.len() > MAX_PLACES {
            let json = |value: &Value| match value {
                Value::Integer(number) => serde_json::Value::from(*number),
                Value::Text(text) => serde_json::Value::from(text.as_str()),
                _ => serde_json::Value::Null,
            };
            let list = serde_json::Value::from(values.iter().map(json).collect::<Vec<_>>()).to_string();
            return self.push(&format!("{column} IN (SELECT value FROM json_each(?))"), [list.into()]);
        }
        let places = vec!["?"; values.len()].join(", ");
        self.push(&format!("{column} IN ({places})"), values);
    }
}

impl Question<'_> {
    /// A query for the places `p` of the entries that fit, and `position` of their items (0 for entries). `None`:
    /// nothing can fit.
    pub fn places(&self, connection: &Connection) -> rusqlite::Result<Option<Sql>> {
        let Some(entries) = entries(connection, self.filter)? else { return Ok(None) };
        let Some(items) = self.items else {
            let mut sql = Sql::new("SELECT p, 0 AS position FROM (");
            sql.append(entries.unwrap_or_else(|| Sql::new("SELECT p FROM entries")));
            sql.push(")", []);
            return Ok(Some(sql));
        };
        let mut sql = item_conditions(items, self.filter);
        if let Some(entries) = entries {
            sql.push(" AND p IN (", []);
            sql.append(entries);
            sql.push(")", []);
        }
        Ok(Some(sql))
    }
}

/// The entries that fit; `Some(None)`: all of them.
fn entries(connection: &Connection, filter: &Filter) -> rusqlite::Result<Option<Option<Sql>>> {
    let mut names = Vec::new();
    for (facet, wanted) in &filter.facets {
        names.push(known_names(connection, *facet, wanted)?);
    }
    // The one with the fewest entries is gone through, the others are looked up.
    names.sort_by_key(|(_, uses)| *uses);
    let mut names = names.into_iter().map(|(ids, _)| ids).collect::<Vec<_>>();
    if names.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let by_text = !filter.grep.is_empty();
    let is_plain = filter.tasks.is_empty()
        && names.is_empty()
        && filter.statuses.is_empty()
        && filter.since.is_none()
        && filter.before.is_none();
    if is_plain && !by_text && filter.min_duration.is_none() {
        return Ok(Some(None));
    }
    let mut sql = if !filter.tasks.is_empty() {
        let mut sql = Sql::new("SELECT f.p FROM entries f WHERE ");
        sql.is_one_of("f.task_id", filter.tasks.iter().map(|task| Value::from(task.to_string())));
        if by_text {
            let expression = match_expression(&filter.grep);
            sql.push(" AND f.p IN (SELECT rowid FROM texts WHERE texts MATCH ?)", [expression.into()]);
        }
        sql.push(" AND ", []);
        sql
    } else if by_text {
        let mut sql =
            Sql::new("SELECT f.p FROM texts JOIN entries f ON f.p = texts.rowid WHERE texts MATCH ? AND ");
        sql.values.push(match_expression(&filter.grep).into());
        sql
    } else {
        let first = if names.is_empty() { vec![EVERY_TASK] } else { names.remove(0) };
        let distinct = if first.len() > 1 { "DISTINCT " } else { "" };
        let mut sql = Sql::new(&format!("SELECT {distinct}f.p FROM facets f WHERE "));
        sql.is_one_of("f.name", first.into_iter().map(Value::from));
        sql.push(" AND ", []);
        sql
    };
    // All of them where none is asked for: the times below are then found within each.
    let statuses = if filter.statuses.is_empty() { &Status::ALL[..] } else { &filter.statuses };
    sql.is_one_of("f.status", statuses.iter().map(|status| Value::from(*status as i64)));
    // Where the numbers are equal, the times need not be.
    for (bound, beyond, word) in [(filter.since, ">", ">="), (filter.before, "<", "<")] {
        let Some(bound) = bound else { continue };
        let number = Value::from(nanoseconds(bound));
        sql.push(
            &format!(
                " AND f.ended_at {beyond}= ? AND (f.ended_at {beyond} ?
                   OR EXISTS (SELECT 1 FROM entries e WHERE e.p = f.p AND rtrim(e.timestamp, 'Z') {word} ?))"
            ),
            [number.clone(), number, sortable(bound).into()],
        );
    }
    for ids in names {
        sql.push(" AND EXISTS (SELECT 1 FROM facets o WHERE ", []);
        sql.is_one_of("o.name", ids.into_iter().map(Value::from));
        sql.push(" AND o.status = f.status AND o.ended_at = f.ended_at AND o.p = f.p)", []);
    }
    if let Some(least) = filter.min_duration {
        let Some(least) = least.num_nanoseconds() else { return Ok(None) };
        sql.push(" AND EXISTS (SELECT 1 FROM entries e WHERE e.p = f.p AND e.duration >= ?)", [least.into()]);
    }
    Ok(Some(Some(sql)))
}

/// The numbers of the values, those that are known, and how many entries they have in all.
fn known_names(
    connection: &Connection,
    facet: Facet,
    wanted: &[String],
) -> rusqlite::Result<(Vec<i64>, i64)> {
    let mut statement = connection.prepare("SELECT id, uses FROM names WHERE facet = ?1 AND value = ?2")?;
    let (mut ids, mut uses) = (Vec::new(), 0);
    for value in wanted {
        let found =
            statement.query_row(params![facet as u8, value], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        if let Some((id, used)) = found.optional()? {
            ids.push(id);
            uses += used;
        }
    }
    ids.dedup();
    Ok((ids, uses))
}

/// The same question in the words of FTS5. Words have no quotes in them.
fn match_expression(grep: &[Grep]) -> String {
    let term = |term: &crate::entry::grep::Term| {
        format!("\"{}\"{}", term.words.join(" "), if term.is_prefix { " *" } else { "" })
    };
    let all = |grep: &Grep| grep.terms.iter().map(term).collect::<Vec<_>>().join(" AND ");
    grep.iter().map(|grep| format!("({})", all(grep))).collect::<Vec<_>>().join(" OR ")
}

/// Items that fit by themselves.
fn item_conditions(items: &Items, filter: &Filter) -> Sql {
    let text = |value: &String| Value::from(value.clone());
    let mut sql;
    let asked = |sql: &mut Sql, facet: Facet, column: &str| {
        if let Some(wanted) = filter.facets.get(&facet) {
            sql.push(" AND ", []);
            sql.is_one_of(column, wanted.iter().map(text));
        }
    };
    match items {
        Items::Artifacts { types, references } => {
            sql = Sql::new("SELECT p, position FROM artifacts WHERE 1");
            if !types.is_empty() {
                sql.push(" AND ", []);
                sql.is_one_of("ref_type", types.iter().map(|kind| Value::from(kind.as_str().to_owned())));
            }
            if !references.is_empty() {
                sql.push(" AND (", []);
                for (number, wanted) in references.iter().enumerate() {
                    sql.push(if number > 0 { " OR " } else { "" }, []);
                    sql.append(reference(wanted));
                }
                sql.push(")", []);
            }
            asked(&mut sql, Facet::RepoId, "repo_id");
            asked(&mut sql, Facet::Artifact, "ref_type || ':' || ref_value");
        }
        Items::Events { levels } => {
            sql = Sql::new("SELECT p, position FROM events WHERE 1");
            if !levels.is_empty() {
                sql.push(" AND ", []);
                sql.is_one_of("level", levels.iter().map(text));
            }
            asked(&mut sql, Facet::RepoId, "repo_id");
            asked(&mut sql, Facet::EventType, "type");
        }
        Items::Steps { step_ids, failed, min_duration_ms } => {
            sql = Sql::new("SELECT p, position FROM steps WHERE 1");
            if !step_ids.is_empty() {
                sql.push(" AND ", []);
                sql.is_one_of("step_id", step_ids.iter().map(text));
            }
            if *failed {
                sql.push(" AND success = 0", []);
            }
            if let Some(least) = min_duration_ms {
                sql.push(" AND execution_time_ms >= ?", [i64::try_from(*least).unwrap_or(i64::MAX).into()]);
            }
            asked(&mut sql, Facet::Worker, "worker_id");
            asked(&mut sql, Facet::Correlation, "correlation_id");
        }
    }
    sql
}

/// Of a SHA-256 commit id; no stored one is longer.
const MAX_HEX_DIGITS: usize = 64;

/// As `Artifact::is_named_by`: the same text, or for commits the beginning of either.
fn reference(wanted: &str) -> Sql {
    let lower = wanted.to_ascii_lowercase();
    let mut sql = Sql::new("(lower(ref_value) = ? AND ref_value = ?)");
    sql.values.extend([lower.clone().into(), wanted.to_owned().into()]);
    if is_hex(wanted) {
        let commit = Value::from(RefType::Commit.as_str().to_owned());
        sql.push(" OR (ref_type = ? AND ", [commit.clone()]);
        let shorter = (MIN_STORED_PREFIX..=lower.len().min(MAX_HEX_DIGITS))
            .map(|end| Value::from(lower[..end].to_owned()));
        sql.is_one_of("lower(ref_value)", shorter);
        sql.push(")", []);
        if lower.len() >= MIN_COMMIT_PREFIX {
            // `g` comes after all hex digits.
            sql.push(
                " OR (ref_type = ? AND lower(ref_value) >= ? AND lower(ref_value) < ? AND lower(ref_value) NOT GLOB '*[^0-9a-f]*'
                   AND instr(ref_value, char(0)) = 0)",
                [commit, lower.clone().into(), format!("{lower}g").into()],
            );
        }
    }
    sql
}
