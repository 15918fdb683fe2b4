//! Reading the answer: pages of entries, totals, and the columns that are counted.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Row, params_from_iter};

use super::question::{Question, Sql};
use super::{Failure, Index};
use crate::entry::stats::{Grouping, Stats};
use crate::entry::{Filter, Headline, Status, TaskId, Timestamp};
use crate::ledger::{BlobId, CommitId};

/// Which part of the answer is wanted.
#[derive(Clone, Debug, Default)]
pub struct Slice<'s> {
    /// Only what comes after this item, in the order that is asked for: commit, task, position.
    pub after: Option<(CommitId, &'s str, u32)>,
    /// How many to leave out then.
    pub offset: usize,
    /// How many at most; `None`: all.
    pub limit: Option<usize>,
    /// Oldest entry first. Items of one entry always stand in their own order.
    pub reverse: bool,
    /// With what a list shows of an entry.
    pub headlines: bool,
}

/// An entry as the index knows it.
#[derive(Clone, Debug)]
pub struct IndexedEntry {
    /// The task.
    pub task_id: String,
    /// The commit that added it.
    pub commit: CommitId,
    /// When it did.
    pub recorded_at: DateTime<Utc>,
    /// Its path in the tree.
    pub path: String,
    /// The object that holds its bytes.
    pub blob: BlobId,
    /// Something the reader should know about it: a sentence.
    pub warning: Option<String>,
    /// Its place in the order: the newest entry has the smallest.
    pub place: i64,
    /// Positions of the items that fit; 0 for the entry itself.
    pub positions: Vec<u32>,
    /// What a list shows of it, where that was asked for.
    pub headline: Option<Headline>,
}

const COLUMNS: &str =
    "page.p, page.position, e.task_id, e.commit_id, e.recorded_at, e.path, e.blob_id, e.warning";
const HEADLINE_COLUMNS: &str = ", e.status, e.timestamp, e.agent_id, e.services, e.what";

impl Index {
    /// Entries that the history has, as far as the index could read them.
    pub fn entries(&self) -> u64 {
        self.meta.entries
    }

    /// Entry files in the commit's tree.
    pub fn held(&self) -> u64 {
        self.meta.held
    }

    /// Why the history is not all there.
    pub fn incomplete(&self) -> Option<&str> {
        self.meta.incomplete.as_deref()
    }

    /// What the walk had to say.
    ///
    /// # Errors
    /// The database.
    pub fn notes(&self) -> Result<Vec<String>, Failure> {
        let mut statement = self.connection.prepare("SELECT note FROM notes ORDER BY rowid")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<Vec<String>>>()?)
    }

    /// How many items fit.
    ///
    /// # Errors
    /// The database.
    pub fn total(&self, question: Question<'_>) -> Result<u64, Failure> {
        let Some(places) = question.places(&self.connection)? else { return Ok(0) };
        let text = format!("SELECT count(*) FROM ({})", places.text);
        let total: i64 =
            self.connection.query_row(&text, params_from_iter(places.values), |row| row.get(0))?;
        Ok(u64::try_from(total).unwrap_or(0))
    }

    /// Hands over the entries of the slice, in order, until `each` has enough.
    ///
    /// # Errors
    /// The database. `Ok(false)`: what the slice is to come after is not in the ledger.
    pub fn entries_of(
        &self,
        question: Question<'_>,
        slice: &Slice<'_>,
        each: &mut dyn FnMut(IndexedEntry) -> bool,
    ) -> Result<bool, Failure> {
        let after = match slice.after {
            None => None,
            Some((commit, task_id, position)) => match self.place_of(commit, task_id)? {
                None => return Ok(false),
                Some(place) => Some((place, position)),
            },
        };
        let Some(places) = question.places(&self.connection)? else { return Ok(true) };
        let order = if slice.reverse { "DESC" } else { "ASC" };
        let mut page = Sql::new("SELECT p, position FROM (");
        page.append(places);
        page.push(")", []);
        if let Some((place, position)) = after {
            let beyond = if slice.reverse { "<" } else { ">" };
            page.push(
                &format!(" WHERE (p {beyond} ? OR (p = ? AND position > ?))"),
                [place.into(), place.into(), i64::from(position).into()],
            );
        }
        page.push(&format!(" ORDER BY p {order}, position"), []);
        let limit = slice.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
        page.push(
            " LIMIT ? OFFSET ?",
            [limit.into(), i64::try_from(slice.offset).unwrap_or(i64::MAX).into()],
        );
        let more = if slice.headlines { HEADLINE_COLUMNS } else { "" };
        let text = format!(
            "SELECT {COLUMNS}{more} FROM ({}) page CROSS JOIN entries e ON e.p = page.p ORDER BY page.p {order}, page.position",
            page.text
        );
        let mut statement = self.connection.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(page.values))?;
        let mut pending: Option<IndexedEntry> = None;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let (place, position): (i64, u32) = (row.get(0)?, row.get(1)?);
            // A spoilt page can have rows twice, or out of order.
            let key = (if slice.reverse { place.saturating_neg() } else { place }, position);
            if last.replace(key).is_some_and(|last| last >= key) {
                return Err(Failure::Wrong);
            }
            match &mut pending {
                Some(entry) if entry.place == place => entry.positions.push(position),
                _ => {
                    let next = indexed(row, place, position, slice.headlines)?;
                    if let Some(entry) = pending.replace(next)
                        && !each(entry)
                    {
                        return Ok(true);
                    }
                }
            }
        }
        if let Some(entry) = pending {
            each(entry);
        }
        Ok(true)
    }

    /// Counts the entries that fit into groups. `day_of`: the day of an instant, as the reader counts days. Gives what
    /// the reader should know of them, the newest first.
    ///
    /// # Errors
    /// The database.
    pub fn count_groups(
        &self,
        filter: &Filter,
        grouping: Grouping,
        day_of: &dyn Fn(DateTime<Utc>) -> NaiveDate,
        stats: &mut Stats,
    ) -> Result<Vec<String>, Failure> {
        let Some(places) = (Question { filter, items: None }).places(&self.connection)? else {
            return Ok(Vec::new());
        };
        let key = match grouping {
            Grouping::Status => "path",
            Grouping::Day | Grouping::Week => "timestamp",
            Grouping::Service => "services",
            Grouping::Agent => "agent_id",
            Grouping::Plan => "plan_id",
            Grouping::Intent => "intent",
        };
        let text = format!(
            "SELECT e.status, e.duration, e.{key}, e.warning, e.p FROM ({}) m CROSS JOIN entries e ON e.p = m.p",
            places.text
        );
        let mut statement = self.connection.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(places.values))?;
        let mut warnings: Vec<(i64, String)> = Vec::new();
        while let Some(row) = rows.next()? {
            if let Some(warning) = row.get(3)? {
                warnings.push((row.get(4)?, warning));
            }
            let status = status(row.get(0)?)?;
            let duration: Option<i64> = row.get(1)?;
            let duration_ms = duration.map(|nanoseconds| u64::try_from(nanoseconds / 1_000_000).unwrap_or(0));
            let key = row.get_ref(2)?.as_str_or_null().map_err(|_| Failure::Wrong)?;
            match grouping {
                Grouping::Status => stats.add([status.as_str()], status, duration_ms),
                Grouping::Day | Grouping::Week => {
                    let ended_at = key.and_then(Timestamp::parse).ok_or(Failure::Wrong)?.utc();
                    stats.add([grouping.of_day(day_of(ended_at)).as_str()], status, duration_ms);
                }
                Grouping::Service => {
                    let services = services(key)?;
                    stats.add(distinct(&services), status, duration_ms);
                }
                Grouping::Agent | Grouping::Plan | Grouping::Intent => stats.add(key, status, duration_ms),
            }
        }
        warnings.sort_unstable();
        Ok(warnings.into_iter().map(|(_, warning)| warning).collect())
    }

    /// The commit that recorded the task, the newest where there are several.
    ///
    /// # Errors
    /// The database.
    pub fn commit_of(&self, task_id: &str) -> Result<Option<CommitId>, Failure> {
        let mut statement =
            self.connection.prepare("SELECT commit_id FROM entries WHERE task_id = ?1 ORDER BY p LIMIT 1")?;
        let mut rows = statement.query([task_id])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(CommitId::from_bytes(row.get_ref(0)?.as_blob().map_err(|_| Failure::Wrong)?))
    }

    /// The place of the entry of `task_id` that `commit` added.
    ///
    /// # Errors
    /// The database.
    pub fn place_of(&self, commit: CommitId, task_id: &str) -> Result<Option<i64>, Failure> {
        let mut statement =
            self.connection.prepare("SELECT p FROM entries WHERE task_id = ?1 AND commit_id = ?2")?;
        let mut rows = statement.query(rusqlite::params![task_id, commit.as_bytes()])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }
}

/// A service that is named twice touched the task once.
fn distinct(services: &[String]) -> Vec<&str> {
    let mut distinct: Vec<_> = services.iter().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

fn indexed(row: &Row<'_>, place: i64, position: u32, headlines: bool) -> Result<IndexedEntry, Failure> {
    let id = |column| row.get_ref(column)?.as_blob().map_err(|_| Failure::Wrong);
    Ok(IndexedEntry {
        task_id: row.get(2)?,
        commit: CommitId::from_bytes(id(3)?).ok_or(Failure::Wrong)?,
        recorded_at: DateTime::from_timestamp(row.get(4)?, 0).unwrap_or_default(),
        path: row.get(5)?,
        blob: BlobId::from_bytes(id(6)?).ok_or(Failure::Wrong)?,
        warning: row.get(7)?,
        place,
        positions: vec![position],
        headline: if headlines { Some(headline(row)?) } else { None },
    })
}

fn headline(row: &Row<'_>) -> Result<Headline, Failure> {
    let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(|_| Failure::Wrong);
    Ok(Headline {
        task_id: TaskId::new(text(2)?.unwrap_or_default()).map_err(|_| Failure::Wrong)?,
        status: status(row.get(8)?)?,
        timestamp: text(9)?.and_then(Timestamp::parse).ok_or(Failure::Wrong)?,
        agent: text(10)?.map(str::to_owned),
        services: services(text(11)?)?,
        what: row.get(12)?,
    })
}

fn status(number: i64) -> Result<Status, Failure> {
    let known = usize::try_from(number).ok().and_then(|number| Status::ALL.get(number));
    known.copied().ok_or(Failure::Wrong)
}

fn services(json: Option<&str>) -> Result<Vec<String>, Failure> {
    json.map_or_else(|| Ok(Vec::new()), |json| serde_json::from_str(json).map_err(|_| Failure::Wrong))
}
