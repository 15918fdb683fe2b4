//! The benchmark workload: finished tasks as an orchestrator would record them, and ledgers made of them.
//!
//! Deterministic: the same number gives the same bytes, on every machine and in every run.
//! This file does not call the crate under test, so a fault in its rendering or layout cannot hide in the input it is
//! measured with; the layout and the commit's shape are written down a second time, from the contract. The import bench
//! holds the two against each other: its two ledgers must end in the same commit.
#![allow(dead_code, reason = "shared by several benches; each uses its part")]
#![allow(clippy::disallowed_methods, reason = "the sandbox takes PATH over from the environment")]
#![allow(clippy::expect_used, reason = "a generator that breaks its own rules is a bug")]

pub(crate) mod clock;
pub(crate) mod options;
pub(crate) mod postgres;
pub(crate) mod probe;
pub(crate) mod sandbox;
pub(crate) mod score;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;

use chrono::{DateTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The ledger's branch in every benchmark repository.
pub(crate) const BRANCH: &str = "audit";

/// Who commits, in every benchmark repository.
const IDENTITY: &str = "Bench <bench@example.com>";

/// The time at which commits are made whose bytes are compared.
pub(crate) const NOW: &str = "2030-01-01T00:00:00Z";
const NOW_SECONDS: i64 = 1_893_456_000;

/// How many entries the flat directory takes before the shards begin.
const FLAT_LIMIT: u64 = 1000;

/// Simulated time from the end of one task to the end of the next.
const SECONDS_APART: u64 = 97;

const INTENTS: [&str; 5] = ["deploy", "migrate", "patch", "scan", "rollback"];
const POOLS: [&str; 3] = ["infra", "code", "data"];

const ENTRY_KEYS: [&str; 8] = [
    "schema",
    "task_id",
    "status",
    "plan_id",
    "plan_steps",
    "dispatch_info",
    "execution_result",
    "timestamp",
];
const DISPATCH_KEYS: [&str; 3] = ["agent_pool", "agent_id", "dispatch_timestamp"];
const RESULT_KEYS: [&str; 5] = ["outcome", "resources_used", "services_touched", "start_time", "end_time"];

/// An entry as the ledger keeps it.
pub(crate) struct Sealed {
    /// Relative to the top of the repository's tree.
    pub(crate) path: String,
    /// The stored file, final newline included.
    pub(crate) bytes: Vec<u8>,
    /// Subject and trailers, final newline included.
    pub(crate) message: String,
    /// When the task ended, in seconds since 1970.
    pub(crate) ended_at: i64,
}

/// `SplitMix64`: a few lines instead of a crate, and its numbers never change under us.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit - 1`.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(choices.len() as u64)).expect("an index fits");
        choices[at]
    }
}

/// The task number `i`, as a caller hands it to `record`: no `schema`, which the tool fills in.
pub(crate) fn entry(i: u64) -> Value {
    let mut random = Random(i);
    let task_id = task_id(&mut random);
    let status = status(&mut random);
    let ended = ended(i);
    let seconds = i64::try_from(5 + random.below(900)).expect("minutes fit");
    let started = rfc3339(ended - TimeDelta::seconds(seconds));
    json!({
        "task_id": task_id,
        "status": status,
        "plan_id": format!("plan-{:06}", i / 20),
        "plan_steps": ["fetch sources", "build image", "deploy to cluster", "run smoke tests"],
        "dispatch_info": {
            "agent_pool": random.pick(&POOLS),
            "agent_id": format!("agent-{:02}", random.below(41)),
            "dispatch_timestamp": started,
        },
        "execution_result": execution_result(&mut random, status, &started, &rfc3339(ended)),
        "timestamp": rfc3339(ended),
    })
}

/// The task number `i` as the file and the commit it becomes, in a ledger to which `0..i` were written before it.
pub(crate) fn sealed(i: u64) -> Sealed {
    let entry = entry(i);
    let bytes = render(&entry).into_bytes();
    Sealed {
        path: path(i, text(&entry, "/task_id")),
        message: message(&entry, &bytes),
        ended_at: ended(i).timestamp(),
        bytes,
    }
}

/// The tasks as JSON Lines, as `import` takes them.
pub(crate) fn json_lines(tasks: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    for i in tasks {
        serde_json::to_writer(&mut *out, &entry(i))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The tasks as a `git fast-import` stream: one commit each, on top of what the stream or the branch has before.
pub(crate) fn fast_import(tasks: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    tasks.into_iter().try_for_each(|i| write_commit(&sealed(i), out))
}

/// The same, but each task is committed when it ended, and without its file.
pub(crate) fn fast_import_messages(tasks: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    tasks.map(sealed).try_for_each(|file| write_commit_head(&file, file.ended_at, out))
}

/// One commit that adds one file; without a `from`, fast-import builds on the branch's previous commit.
fn write_commit(file: &Sealed, out: &mut impl Write) -> io::Result<()> {
    write_commit_head(file, NOW_SECONDS, out)?;
    writeln!(out, "M 100644 inline {}", file.path)?;
    writeln!(out, "data {}", file.bytes.len())?;
    out.write_all(&file.bytes)?;
    out.write_all(b"\n")
}

fn write_commit_head(file: &Sealed, committed_at: i64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "commit refs/heads/{BRANCH}")?;
    writeln!(out, "author {IDENTITY} {} +0000", file.ended_at)?;
    writeln!(out, "committer {IDENTITY} {committed_at} +0000")?;
    writeln!(out, "data {}\n{}", file.message.len(), file.message)
}

fn task_id(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let (clock, node) = (low >> 48 & 0xfff, low & 0xffff_ffff_ffff);
    format!("{:08x}-{:04x}-4{:03x}-a{clock:03x}-{node:012x}", high >> 32, high >> 16 & 0xffff, high & 0xfff)
}

/// Of 21 tasks, on average: 17 completed, 2 failed, 1 rejected, 1 cancelled.
fn status(random: &mut Random) -> &'static str {
    match random.below(21) {
        0..=16 => "completed",
        17..=18 => "failed",
        19 => "rejected",
        _ => "cancelled",
    }
}

fn execution_result(random: &mut Random, status: &str, started: &str, ended: &str) -> Value {
    let intent = random.pick(&INTENTS);
    let service = service(random);
    let exit_code = match status {
        "completed" => 0,
        _ => 1 + random.below(7),
    };
    // Words that do not compress, about as much as a real log line carries: packs must not shrink to nothing.
    let words: Vec<String> = (0..12).map(|_| format!("{:07x}", random.below(1 << 28))).collect();
    let services = BTreeSet::from([service.clone(), self::service(random)]);
    let cpu_hundredths = u32::try_from(random.below(9000)).expect("below 9,000");
    json!({
        "outcome": {
            "action_type": intent,
            "exit_code": exit_code,
            "message": format!("{intent} of {service}: {}", words.join(" ")),
        },
        "resources_used": {
            "cpu_seconds": f64::from(cpu_hundredths) / 100.0,
            "max_rss_bytes": (16 + random.below(512)) * 1_048_576,
        },
        "services_touched": services,
        "start_time": started,
        "end_time": ended,
    })
}

fn service(random: &mut Random) -> String {
    format!("service-{:02}", random.below(53))
}

/// When the task number `i` ended.
pub(crate) fn ended(i: u64) -> DateTime<Utc> {
    let first = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0);
    let seconds = i64::try_from(i * SECONDS_APART).expect("the ledger ends in this era");
    first.single().expect("a valid date") + TimeDelta::seconds(seconds)
}

/// As times are written in entries and messages; they sort as text.
pub(crate) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn path(i: u64, task_id: &str) -> String {
    if i < FLAT_LIMIT {
        return format!(".audit/tasks/{task_id}.json");
    }
    let digest = sha256_hex(task_id.to_lowercase().as_bytes());
    let (a, b, c) = (&digest[0..1], &digest[1..2], &digest[2..3]);
    format!(".audit/shards/{a}/{b}/{c}/{task_id}.json")
}

fn message(entry: &Value, bytes: &[u8]) -> String {
    let (id, status) = (text(entry, "/task_id"), text(entry, "/status"));
    let mut lines =
        vec![format!("audit: task {id} {status} at {}", text(entry, "/timestamp")), String::new()];
    for (trailer, pointer) in [
        ("Audit-Task", "/task_id"),
        ("Audit-Status", "/status"),
        ("Audit-Plan", "/plan_id"),
        ("Audit-Agent", "/dispatch_info/agent_id"),
        ("Audit-Pool", "/dispatch_info/agent_pool"),
        ("Audit-Intent", "/execution_result/outcome/action_type"),
    ] {
        lines.push(format!("{trailer}: {}", text(entry, pointer)));
    }
    let services = entry.pointer("/execution_result/services_touched");
    for service in services.and_then(Value::as_array).into_iter().flatten() {
        let service = service.as_str().expect("services are strings");
        lines.push(format!("Audit-Service: {service}"));
    }
    lines.push(format!("Audit-Digest: sha256:{}", sha256_hex(bytes)));
    lines.join("\n") + "\n"
}

fn text<'a>(entry: &'a Value, pointer: &str) -> &'a str {
    let value = entry.pointer(pointer).and_then(Value::as_str);
    value.expect("every generated entry has this string")
}

fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles.map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)])).collect()
}

/// The stored bytes: `schema` added, keys in the contract's order (`serde_json`'s map would sort them).
fn render(entry: &Value) -> String {
    let mut entry = entry.as_object().expect("an entry is an object").clone();
    entry.insert("schema".to_owned(), json!("git-audit/entry/v1"));
    ordered(&entry, &ENTRY_KEYS) + "\n"
}

fn ordered(object: &Map<String, Value>, keys: &[&str]) -> String {
    assert_eq!(object.len(), keys.len(), "every key has its place");
    let members: Vec<String> = keys
        .iter()
        .map(|key| {
            let value = match (*key, &object[*key]) {
                ("dispatch_info", Value::Object(inner)) => ordered(inner, &DISPATCH_KEYS),
                ("execution_result", Value::Object(inner)) => ordered(inner, &RESULT_KEYS),
                (_, other) => serde_json::to_string_pretty(other).expect("a value renders"),
            };
            // Safe on rendered JSON: a line break inside a string is always escaped.
            format!("  \"{key}\": {}", value.replace('\n', "\n  "))
        })
        .collect();
    format!("{{\n{}\n}}", members.join(",\n"))
}
