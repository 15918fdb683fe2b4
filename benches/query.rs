//! What a query costs with an index, without one, and what the index costs: against `git log` and PostgreSQL.
//!
//! Whoever competes must give the same answer, the same tasks in the same order, which the bench works out itself: that
//! is checked before the clock runs, on the output of the very commands that it times. It is no test: a missed bar is
//! printed, not failed.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench talks to whoever runs it"
)]

mod workload;

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use chrono::TimeDelta;
use serde_json::Value;

use workload::clock::wall_ms;
use workload::options::{Options, Spec};
use workload::postgres::Postgres;
use workload::probe::{Probed, peak_megabytes};
use workload::sandbox::{BINARY, Result, Sandbox, feed, output};
use workload::score::{Bar, Score, median, overall};
use workload::{BRANCH, ended, entry, fast_import_messages, json_lines, rfc3339};

const ENTRIES: u64 = 100_000;
const HUGE: u64 = 1_000_000;

/// Rounds of what takes milliseconds, for each round of what takes a second.
const SHORT_ROUNDS: u64 = 5;

const DAYS: i64 = 7;
const SERVICE: &str = "service-07";
const INTENT: &str = "rollback";
const LIMIT: usize = 50;
const NEWEST_FIRST: &str = "order by created_at desc";
/// What a query shows unless it is told otherwise.
const PAGE: usize = 100;

const GIT_BAR: Bar = Bar::AtMost(0.02);
const POSTGRES_BAR: Bar = Bar::AtMost(0.5);
const WALK_BAR: Bar = Bar::AtMost(1.0);
const REBUILD_BAR: Bar = Bar::AtMost(3.0);
const CATCH_UP_BAR: Bar = Bar::AtMost(1.5);
const HUGE_BAR: Bar = Bar::AtMost(2.0);
const MEMORY_BAR_MB: Bar = Bar::AtMost(50.0);

/// What the table of ours shows, too.
const GIT_FORMAT: &str =
    "--format=%s%x09%(trailers:key=Audit-Agent,key=Audit-Service,valueonly,separator=%x20)";
const SQL_COLUMNS: &str = "task_id, status, created_at, agent_id, services_touched, \
     coalesce(error_message, outcome ->> 'action_type')";

const SPEC: Spec = Spec {
    usage: "usage: cargo bench --bench query -- [--rounds N] [--huge]

  --rounds N  timed rounds of what takes a second, and a fifth of those of the rest (default 7)
  --huge      also a ledger of 1,000,000 entries (minutes, about 2.5 GB in the temporary directory)
  --help      this text",
    rounds: 7,
    long: Some("--huge"),
};

fn main() -> ExitCode {
    workload::options::main(&SPEC, run)
}

fn run(options: &Options) -> Result<()> {
    let (rounds, short_rounds) = (options.rounds, options.rounds * SHORT_ROUNDS);
    println!(
        "Queries over a ledger of {ENTRIES} entries: whole processes, in turn, median of {rounds} rounds,"
    );
    println!(
        "of {short_rounds} where git does not compete; ratio = median of ours / theirs, round by round;"
    );
    println!("overall = all rounds together. Without a bar: for information.");
    let sandbox = Sandbox::new()?;
    sandbox.print_machine()?;
    let mut arena = Arena::new(sandbox, short_rounds)?;
    let mut table = Table::begin();
    arena.failures(&mut table, rounds);
    arena.service(&mut table, rounds);
    arena.words(&mut table, rounds);
    arena.walk(&mut table, rounds);
    arena.rebuild(&mut table, rounds);
    let mut ledgers = Vec::new();
    if options.is_long {
        let huge = Ledger::build(&arena.sandbox, HUGE, 0)?;
        let race = arena.growth(&huge, short_rounds);
        table.row("failures, 1,000,000 entries", "100,000 entries", Some(HUGE_BAR), race);
        ledgers.push(huge);
    }
    let race = arena.catch_up(short_rounds);
    table.row("failures, one record later", "failures, warm", Some(CATCH_UP_BAR), race);
    println!("\nentries  memory MB of a warm query  bar    verdict");
    for ledger in std::iter::once(&arena.ledger).chain(&ledgers) {
        table.memory(&arena.sandbox, ledger);
    }
    table.end()
}

/// What is asked. All times are those of the tasks, not of their commits.
#[derive(Default)]
struct Question<'q> {
    since: Option<&'q str>,
    status: Option<&'q str>,
    service: Option<&'q str>,
    intent: Option<&'q str>,
    limit: Option<usize>,
}

impl Question<'_> {
    /// The ids of those among the tasks that fit, newest first.
    fn answer(&self, tasks: Range<u64>) -> Vec<String> {
        let is = |wanted: Option<&str>, found: &Value| wanted.is_none_or(|wanted| found == wanted);
        let fits = |task: &Value| {
            let result = &task["execution_result"];
            let services = result["services_touched"].as_array().expect("every task has services");
            is(self.status, &task["status"])
                && is(self.intent, &result["outcome"]["action_type"])
                && self.service.is_none_or(|wanted| services.iter().any(|service| service == wanted))
        };
        let newest_first = tasks.rev().map(entry);
        let in_time =
            newest_first.take_while(|task| self.since.is_none_or(|since| text(task, "timestamp") >= since));
        let ids = in_time.filter(fits).map(|task| text(&task, "task_id").to_owned());
        ids.take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// A ledger, and the time at which it is asked.
struct Ledger {
    repository: PathBuf,
    entries: u64,
    now: String,
    /// Seven days before.
    since: String,
}

impl Ledger {
    /// It will be asked when `further` tasks more have ended.
    fn build(sandbox: &Sandbox, entries: u64, further: u64) -> Result<Self> {
        eprintln!("({entries} entries: building the ledger)");
        let repository = sandbox.build_ledger(&format!("ledger-{entries}"), entries)?;
        let now = ended(entries + further) - TimeDelta::seconds(1);
        Ok(Self { repository, entries, now: rfc3339(now), since: rfc3339(now - TimeDelta::days(DAYS)) })
    }

    fn audit(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.audit(&self.repository);
        command.env("GIT_AUDIT_TEST_NOW", &self.now).args(arguments);
        command
    }

    fn failures(&self, sandbox: &Sandbox) -> Command {
        self.audit(sandbox, &["failures", "--days", &DAYS.to_string(), "--limit", "all"])
    }

    fn expected_failures(&self) -> Vec<String> {
        let question = Question { since: Some(&self.since), status: Some("failed"), ..Question::default() };
        question.answer(0..self.entries)
    }

    fn index(&self) -> PathBuf {
        self.repository.join(".git/git-audit/index.sqlite3")
    }
}

/// The same tasks for everybody.
struct Arena {
    sandbox: Sandbox,
    ledger: Ledger,
    /// The same history, as it suits git.
    git: PathBuf,
    /// The same messages, committed when the tasks ended.
    dated: PathBuf,
    postgres: Option<Postgres>,
}

/// Ours and theirs of each round, in milliseconds.
type Race = Result<Vec<(f64, f64)>>;

impl Arena {
    fn new(sandbox: Sandbox, further: u64) -> Result<Self> {
        let ledger = Ledger::build(&sandbox, ENTRIES, further)?;
        eprintln!("(building what it competes with)");
        let git = best_for_git(&sandbox, &ledger.repository)?;
        let dated = sandbox.bare("dated.git")?;
        feed(sandbox.git(&dated).args(["fast-import", "--quiet"]), |out| {
            fast_import_messages(0..ENTRIES, out)
        })?;
        output(sandbox.git(&dated).args(["gc", "-q"]))?;
        let postgres = match Postgres::start(&sandbox) {
            Ok(postgres) => {
                let file = sandbox.write_file("entries.jsonl", |out| json_lines(0..ENTRIES, out))?;
                postgres.load(&sandbox, &file)?;
                Some(postgres)
            }
            Err(error) => {
                eprintln!("(PostgreSQL skipped: {error})");
                None
            }
        };
        sandbox.settle()?;
        Ok(Self { sandbox, ledger, git, dated, postgres })
    }

    fn audit(&self, arguments: &[&str]) -> Command {
        self.ledger.audit(&self.sandbox, arguments)
    }

    fn git_log(&self, repository: &Path, arguments: &[&str]) -> Command {
        let mut log = self.sandbox.git(repository);
        log.args(["log", GIT_FORMAT]).args(arguments).args([BRANCH, "--"]);
        log
    }

    /// What failed in the last days.
    fn failures(&self, table: &mut Table, rounds: u64) {
        let work = "failures --days 7 --limit all";
        let since = &self.ledger.since;
        let expected = self.ledger.expected_failures();
        let mut ours = self.ledger.failures(&self.sandbox);

        let mut git = self.git_log(&self.git, &["-E", "--grep", &self.failed_since()]);
        table.row(work, "git log --grep", Some(GIT_BAR), race(rounds, &mut ours, &mut git, &expected));

        let arguments = ["-F", "--since", since, "--grep", "Audit-Status: failed"];
        let mut git = self.git_log(&self.dated, &arguments);
        table.row(work, "git log --since --grep", None, race(rounds, &mut ours, &mut git, &expected));

        let condition = format!("status = 'failed' and created_at >= '{since}' {NEWEST_FIRST}");
        self.against_postgres(table, work, rounds, &mut ours, &condition, &expected);

        // As it is typed: the newest hundred. git would stop at them, which is another question.
        let newest = &expected[..expected.len().min(PAGE)];
        let mut ours = self.audit(&["failures", "--days", &DAYS.to_string()]);
        let work = "failures --days 7";
        let condition = format!("{condition} limit {PAGE}");
        self.against_postgres(table, work, rounds, &mut ours, &condition, newest);
    }

    /// What failed in one service in the same time, with a limit that is not reached; then all of that, where it is.
    fn service(&self, table: &mut Table, rounds: u64) {
        let work = "log --service --status --since --limit";
        let (since, limit) = (&self.ledger.since, LIMIT.to_string());
        let question = Question {
            since: Some(since),
            status: Some("failed"),
            service: Some(SERVICE),
            limit: Some(LIMIT),
            ..Question::default()
        };
        let expected = question.answer(0..ENTRIES);
        let arguments = ["log", "--service", SERVICE, "--status", "failed", "--limit", &limit];
        let mut ours = self.audit(&arguments);
        ours.args(["--since", since]);

        let trailer = format!("Audit-Service: {SERVICE}");
        let (failed, service) = (self.failed_since(), format!("^{trailer}$"));
        let arguments = ["-E", "--all-match", "--grep", &failed, "--grep", &service, "-n", &limit];
        let mut git = self.git_log(&self.git, &arguments);
        table.row(work, "git log --grep", Some(GIT_BAR), race(rounds, &mut ours, &mut git, &expected));

        let condition = format!(
            "services_touched @> array['{SERVICE}'] and status = 'failed' and created_at >= '{since}' \
             {NEWEST_FIRST} limit {LIMIT}"
        );
        self.against_postgres(table, work, rounds, &mut ours, &condition, &expected);

        let expected = Question { since: None, ..question }.answer(0..ENTRIES);
        let mut ours = self.audit(&["log", "--service", SERVICE, "--status", "failed", "--limit", &limit]);
        let failed = "Audit-Status: failed";
        let arguments = ["-F", "--all-match", "--grep", failed, "--grep", &trailer, "-n", &limit];
        let mut git = self.git_log(&self.git, &arguments);
        let race = race(rounds, &mut ours, &mut git, &expected);
        table.row("log --service --status --limit", "git log --grep -n", None, race);
    }

    /// A text search. git searches the messages, where both words are trailers; ours the text, where they stand in the
    /// outcome's message. So a task whose second service it is fits there and not here: each is checked against its own.
    fn words(&self, table: &mut Table, rounds: u64) {
        let question = Question { service: Some(SERVICE), intent: Some(INTENT), ..Question::default() };
        let named = question.answer(0..ENTRIES);
        let told = (0..ENTRIES).rev().map(entry).filter(|task| {
            let message = task["execution_result"]["outcome"]["message"].as_str();
            message.is_some_and(|message| message.starts_with(&format!("{INTENT} of {SERVICE}:")))
        });
        let told: Vec<_> = told.map(|task| text(&task, "task_id").to_owned()).collect();
        let mut ours = self.audit(&["log", "--grep", &format!("{INTENT} {SERVICE}"), "--limit", "all"]);
        let arguments = ["-i", "-F", "--all-match", "--grep", INTENT, "--grep", SERVICE];
        let mut git = self.git_log(&self.git, &arguments);
        let race = check("theirs", &mut git, &named)
            .and_then(|()| check("ours", &mut ours, &told))
            .and_then(|()| take_turns(rounds, || time(&mut ours), || time(&mut git)));
        table.row("log --grep, two words", "git log -i --grep --grep", Some(GIT_BAR), race);
    }

    /// Both walk the whole history.
    fn walk(&self, table: &mut Table, rounds: u64) {
        let question = Question { status: Some("failed"), ..Question::default() };
        let expected = question.answer(0..ENTRIES);
        let mut ours = self.audit(&["log", "--no-index", "--status", "failed", "--limit", "all"]);
        let mut git = self.git_log(&self.git, &["-F", "--grep", "Audit-Status: failed"]);
        let race = race(rounds, &mut ours, &mut git, &expected);
        table.row("log --no-index --status --limit all", "git log --grep", Some(WALK_BAR), race);

        // Without the entries themselves, which git does not read either.
        let mut ours = self.audit(&["log", "--no-index", "--status", "failed", "--count"]);
        let race = check_count(&mut ours, expected.len())
            .and_then(|()| take_turns(rounds, || time(&mut ours), || time(&mut git)));
        table.row("log --no-index --status --count", "git log --grep", Some(WALK_BAR), race);
    }

    fn rebuild(&self, table: &mut Table, rounds: u64) {
        let race = self.rebuild_race(rounds);
        table.row("index rebuild, from nothing", "git log %(trailers)", Some(REBUILD_BAR), race);
    }

    fn rebuild_race(&self, rounds: u64) -> Race {
        let mut rebuild = self.audit(&["index", "rebuild"]);
        let mut git = self.sandbox.git(&self.git);
        git.args(["log", "--format=%(trailers)", BRANCH, "--"]);
        let mut ours = || {
            remove_index(&self.ledger.index())?;
            time(&mut rebuild)
        };
        check("theirs", &mut git, &Question::default().answer(0..ENTRIES))?;
        ours()?;
        if !self.ledger.index().exists() {
            return Err("no index came of it".into());
        }
        check("ours", &mut self.ledger.failures(&self.sandbox), &self.ledger.expected_failures())?;
        take_turns(rounds, ours, || time(&mut git))
    }

    /// The same question to a ledger of ten times the size, where about as many tasks fit.
    fn growth(&self, huge: &Ledger, rounds: u64) -> Race {
        let (mut large, mut small) = (huge.failures(&self.sandbox), self.ledger.failures(&self.sandbox));
        check("the large one", &mut large, &huge.expected_failures())?;
        check("the small one", &mut small, &self.ledger.expected_failures())?;
        take_turns(rounds, || time(&mut large), || time(&mut small))
    }

    /// Each round records a task that failed, asks, and asks again.
    fn catch_up(&mut self, rounds: u64) -> Race {
        let mut expected = self.ledger.expected_failures();
        let mut query = self.ledger.failures(&self.sandbox);
        check("ours", &mut query, &expected)?;
        let file = self.sandbox.path("entry.json");
        let mut pairs = Vec::new();
        for i in self.ledger.entries..self.ledger.entries + rounds {
            let mut task = entry(i);
            task["status"] = "failed".into();
            fs::write(&file, serde_json::to_vec_pretty(&task)?)?;
            output(self.audit(&["record"]).arg(&file))?;
            pairs.push((time(&mut query)?, time(&mut query)?));
            expected.insert(0, text(&task, "task_id").to_owned());
        }
        check("ours", &mut query, &expected)?;
        Ok(pairs)
    }

    fn against_postgres(
        &self,
        table: &mut Table,
        work: &str,
        rounds: u64,
        ours: &mut Command,
        condition: &str,
        expected: &[String],
    ) {
        let Some(postgres) = &self.postgres else {
            return table.skipped(work, "PostgreSQL");
        };
        let sql = format!("select {SQL_COLUMNS} from tasks where {condition}");
        let mut psql = postgres.query(&self.sandbox, &sql);
        let race = race(rounds * SHORT_ROUNDS, ours, &mut psql, expected);
        table.row(work, "PostgreSQL", Some(POSTGRES_BAR), race);
    }

    /// A pattern of the subjects of tasks that failed in the last days: one pattern of one line is what costs git least.
    fn failed_since(&self) -> String {
        let last = rfc3339(ended(ENTRIES));
        format!("^audit: task [^ ]+ failed at ({})", at_or_after(&self.ledger.since, &last))
    }
}

/// A regular expression for the times from `since` to `last`.
fn at_or_after(since: &str, last: &str) -> String {
    let mut alternatives = vec![since.to_owned()];
    for (at, digit) in since.char_indices().filter(|(_, digit)| ('0'..='8').contains(digit)) {
        let (before, greater) = (&since[..at], char::from_u32(u32::from(digit) + 1).expect("a digit"));
        if format!("{before}{greater}").as_str() <= last {
            alternatives.push(format!("{before}[{greater}-9]"));
        }
    }
    alternatives.join("|")
}

/// Git has the choice: what a user's `git gc` leaves, or the packs that ours wrote. A commit-graph has either.
fn best_for_git(sandbox: &Sandbox, ledger: &Path) -> Result<PathBuf> {
    let copy = |name: &str, command: &[&str]| -> Result<PathBuf> {
        let copy = sandbox.path(name);
        output(sandbox.command("cp").arg("-a").arg(ledger).arg(&copy))?;
        output(sandbox.git(&copy).args(command))?;
        Ok(copy)
    };
    let packs = copy("packs", &["commit-graph", "write", "--reachable"])?;
    let gc = copy("gc", &["gc", "-q"])?;
    let log = |repository: &Path| {
        let mut log = sandbox.git(repository);
        log.args(["log", "-F", "--format=%s", "--grep", "Audit-Status: failed", BRANCH, "--"]);
        log
    };
    let (mut with_packs, mut with_gc) = (log(&packs), log(&gc));
    let pairs = take_turns(5, || time(&mut with_packs), || time(&mut with_gc))?;
    let packs_ms = median(pairs.iter().map(|(packs, _)| *packs));
    let gc_ms = median(pairs.iter().map(|(_, gc)| *gc));
    let (better, name) = if gc_ms <= packs_ms { (gc, "gc") } else { (packs, "the packs") };
    println!(
        "`git log --grep` takes {gc_ms:.0} ms after `git gc`, {packs_ms:.0} ms in the packs of `git audit import` with a"
    );
    println!("commit-graph: git competes with {name}.\n");
    Ok(better)
}

/// Both must give the expected answer; then they take turns.
fn race(rounds: u64, ours: &mut Command, theirs: &mut Command, expected: &[String]) -> Race {
    if expected.is_empty() {
        return Err("nothing fits, so nothing is measured".into());
    }
    // Theirs first: what is wrong with them shows while ours still fails.
    check("theirs", theirs, expected)?;
    check("ours", ours, expected)?;
    take_turns(rounds, || time(ours), || time(theirs))
}

/// They change places from round to round.
fn take_turns(
    rounds: u64,
    mut ours: impl FnMut() -> Result<f64>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Race {
    let round = |round: u64| {
        if round.is_multiple_of(2) {
            let ours = ours()?;
            Ok((ours, theirs()?))
        } else {
            let theirs = theirs()?;
            Ok((ours()?, theirs))
        }
    };
    (0..rounds).map(round).collect()
}

fn time(command: &mut Command) -> Result<f64> {
    wall_ms(std::slice::from_mut(command))
}

/// Runs a command that counts, which warms it too.
fn check_count(command: &mut Command, expected: usize) -> Result<()> {
    let count = String::from_utf8(output(command.stdout(Stdio::piped()))?.stdout)?;
    if count.trim() == expected.to_string() {
        Ok(())
    } else {
        Err(format!("not the same answer: {count}").into())
    }
}

/// Runs a command, which warms it too, and compares the tasks that it names.
fn check(who: &str, command: &mut Command, expected: &[String]) -> Result<()> {
    let answer = String::from_utf8(output(command.stdout(Stdio::piped()))?.stdout)?;
    let found: Vec<&str> = answer.lines().filter_map(task_id).collect();
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.len(), expected.len());
    Err(format!("not the same answer: {who} names {found} tasks, {expected} fit, and not in that order")
        .into())
}

/// The first task id in a line of whatever format.
fn task_id(line: &str) -> Option<&str> {
    let mut words = line.split(|character: char| !(character.is_ascii_hexdigit() || character == '-'));
    words.find(|word| word.len() == 36 && word.match_indices('-').map(|(at, _)| at).eq([8, 13, 18, 23]))
}

fn text<'v>(task: &'v Value, key: &str) -> &'v str {
    task[key].as_str().expect("every task has it")
}

/// The line of a command that failed, which ends with its status, and the first that it said.
fn reason(error: &dyn Error) -> String {
    let text = error.to_string().replace(BINARY, "git-audit");
    text.lines().take(2).collect::<Vec<_>>().join(": ")
}

/// With the files that SQLite keeps beside it.
fn remove_index(index: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = format!("{}{suffix}", index.display());
        if Path::new(&file).exists() {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

struct Table {
    score: Score,
    failed: usize,
}

impl Table {
    fn begin() -> Self {
        println!("{:<38}  {:<24}   ours ms  theirs ms   ratio  overall  bar      verdict", "work", "against");
        Self { score: Score::default(), failed: 0 }
    }

    fn row(&mut self, work: &str, against: &str, bar: Option<Bar>, race: Race) {
        let pairs = match race {
            Ok(pairs) => pairs,
            Err(error) => {
                self.failed += 1;
                println!("{work:<38}  {against:<24}  not measured: {}", reason(&*error));
                return;
            }
        };
        let ours = median(pairs.iter().map(|(ours, _)| *ours));
        let theirs = median(pairs.iter().map(|(_, theirs)| *theirs));
        let ratio = median(pairs.iter().map(|(ours, theirs)| ours / theirs));
        let overall = overall(pairs.iter().copied());
        let (bar, verdict) = self.score.judge(ratio, bar);
        let figures =
            format!("{ours:>8.2}  {theirs:>9.2}  {ratio:>6.3}  {overall:>7.3}  {bar:<7}  {verdict}");
        println!("{}", format!("{work:<38}  {against:<24}  {figures}").trim_end());
    }

    fn skipped(&self, work: &str, against: &str) {
        println!("{work:<38}  {against:<24}  skipped");
    }

    fn memory(&mut self, sandbox: &Sandbox, ledger: &Ledger) {
        let entries = ledger.entries;
        match peak_megabytes(sandbox, &ledger.failures(sandbox)) {
            Ok(Probed::Figure(megabytes)) => {
                let (bar, verdict) = self.score.judge(megabytes, Some(MEMORY_BAR_MB));
                println!("{entries:>7}  {megabytes:>25.1}  {bar:<5}  {verdict}");
            }
            Ok(Probed::Skipped(reason)) => println!("{entries:>7}  skipped: {reason}"),
            Err(error) => {
                self.failed += 1;
                println!("{entries:>7}  not measured: {}", reason(&*error));
            }
        }
    }

    fn end(self) -> Result<()> {
        println!("\n{}", self.score);
        match self.failed {
            0 => Ok(()),
            failed => Err(format!("{failed} rows could not be measured").into()),
        }
    }
}
