//! The index answers what the walk answers, byte by byte: random ledgers, random questions.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::sandbox::{Run, Sandbox};

/// What a command says on standard error, without what `-v` adds, in no order.
fn said(run: &Run) -> Vec<String> {
    let notes = ["note: answered by ", "note: tasks that ended", "note: building the index anew"];
    let added = |line: &&str| !notes.iter().any(|note| line.starts_with(note));
    let mut lines: Vec<_> = run.stderr.lines().filter(added).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Asks by the index and by the walk; the answers must be the same. Gives the answer.
#[track_caller]
pub fn both_ways(sandbox: &Sandbox, question: &[&str]) -> Run {
    let indexed = sandbox.audit(&[question, &["-v"]].concat());
    let walked = sandbox.audit(&[question, &["--no-index"]].concat());
    assert_eq!(indexed.code, walked.code, "{question:?}\n{}\n{}", indexed.stderr, walked.stderr);
    if indexed.code == 0 {
        assert!(indexed.stderr.contains("answered by the index"), "{question:?}: {}", indexed.stderr);
    }
    let lines = || indexed.stdout.lines().zip(walked.stdout.lines());
    if let Some((one, other)) = lines().find(|(one, other)| one != other) {
        panic!("{question:?}\nby the index: {one}\nby the walk: {other}");
    }
    assert_eq!(indexed.stdout.len(), walked.stdout.len(), "{question:?}");
    assert_eq!(said(&indexed), said(&walked), "{question:?}");
    indexed
}

/// A few numbers out of one (splitmix64): enough to make a ledger of.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'p, T>(&mut self, all: &'p [T]) -> &'p T {
        &all[self.below(all.len())]
    }

    /// A value that others have too, hides in blanks, or means something to somebody.
    fn text(&mut self) -> String {
        const AWKWARD: [&str; 34] = [
            "",
            " ",
            "A",
            "a ",
            " a",
            "a\n",
            "a\\n",
            "é",
            "É",
            "e\u{301}",
            "ß",
            "SS",
            "İ",
            "\u{130}b",
            "ſ",
            "K",
            "\0",
            "a\0b",
            "\u{1b}[31m",
            "\u{202e}a",
            "\u{9b}2J",
            "=1+1",
            "a,b\";c",
            "' OR 1=1 --",
            "%",
            "a*",
            "日本",
            "👩‍💻",
            "null",
            "true",
            "/a~1b",
            "\u{b6}",
            "a \u{b6} b",
            "\u{fffd}",
        ];
        match self.below(10) {
            0..6 => (*self.pick(&["a", "b", "web", "api", "service-07", "ann"])).to_owned(),
            6..9 => (*self.pick(&AWKWARD)).to_owned(),
            _ => "x".repeat(995 + self.below(10)),
        }
    }

    /// Words of which some make a sentence.
    fn sentence(&mut self) -> String {
        const WORDS: [&str; 14] = [
            "no",
            "space",
            "left",
            "on",
            "device",
            "Timed",
            "OUT",
            "été",
            "ÉTÉ",
            "service-07",
            "x\0y",
            "137",
            "a_b",
            "ſtraße",
        ];
        let count = self.below(6);
        let words: Vec<_> = (0..count)
            .map(|_| if self.once_in(30) { "z".repeat(70) } else { (*self.pick(&WORDS)).to_owned() })
            .collect();
        let between = *self.pick(&[" ", ", ", "\n", "-"]);
        words.join(between)
    }

    fn time(&mut self) -> String {
        const ODD: [&str; 12] = [
            "0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "1677-09-21T00:12:43.145224192Z",
            "1677-09-21T00:12:43.145224193Z",
            "2262-04-11T23:47:16.854775806Z",
            "2262-04-11T23:47:16.854775807Z",
            "2262-04-11T23:47:16.854775808Z",
            "3000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "2026-11-15T00:00:00.000000001Z",
            "2026-11-14T23:59:59.999999999Z",
            "2016-12-31T23:59:60Z",
        ];
        if self.once_in(6) {
            return (*self.pick(&ODD)).to_owned();
        }
        let (day, hour, part) =
            (10 + self.below(12), self.below(24), self.pick(&["", ".5", ".123456789", ".000001"]));
        format!("2026-11-{day}T{hour:02}:00:00{part}{}", self.pick(&["Z", "Z", "+02:00", "-11:30"]))
    }

    /// Puts something under `key`, three times in four.
    fn maybe(&mut self, map: &mut Map<String, Value>, key: &str, value: impl FnOnce(&mut Self) -> Value) {
        if !self.once_in(4) {
            let value = value(self);
            map.insert(key.to_owned(), value);
        }
    }

    /// A length: mostly short, seldom beyond what a commit message repeats.
    fn many(&mut self) -> usize {
        if self.once_in(25) { 101 + self.below(20) } else { self.below(4) }
    }

    fn commit_id(&mut self) -> String {
        let id = *self.pick(&[
            "1f0c9d2e4b5a69788796a5b4c3d2e1f001234567",
            "1f0c9d2e4b5a69788796a5b4c3d2e1f0fedcba98",
            "1F0C9D2E4B5A69788796A5B4C3D2E1F001234567",
            "1f0cffff",
            "no-hex",
            "1f0c9d2\0zz",
        ]);
        let length = if self.once_in(2) { id.len() } else { 1 + self.below(id.len()) };
        id[..length].to_owned()
    }

    fn artifacts(&mut self) -> Value {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for number in 0..self.many() {
            let mut one = Map::new();
            let kind = *self.pick(&["commit", "commit", "branch", "pr", "tag", "patch", "file"]);
            let value = match kind {
                "commit" => self.commit_id(),
                _ if number > 4 => format!("n{number}"),
                _ => self.text(),
            };
            one.insert("ref_type".into(), kind.into());
            one.insert("ref_value".into(), value.clone().into());
            self.maybe(&mut one, "repo_id", |draw| draw.text().into());
            self.maybe(&mut one, "summary", |draw| draw.sentence().into());
            self.maybe(&mut one, "created_at", |draw| draw.time().into());
            if seen.insert((one.get("repo_id").map(ToString::to_string), kind, value)) {
                all.push(Value::Object(one));
            }
        }
        all.into()
    }

    fn event(&mut self) -> Value {
        let mut one = Map::new();
        let kind =
            *self.pick(&["task_start", "repo_commit", "repo_push_error", "x", "phase_started", "a.b_1"]);
        one.insert("type".into(), kind.into());
        self.maybe(&mut one, "level", |draw| (*draw.pick(&["info", "error", "ERROR", "", "w\0"])).into());
        self.maybe(&mut one, "repo_id", |draw| draw.text().into());
        self.maybe(&mut one, "at", |draw| draw.time().into());
        self.maybe(&mut one, "error_message", |draw| draw.sentence().into());
        self.maybe(&mut one, "files_changed", |draw| json!([draw.sentence(), draw.text()]));
        self.maybe(
            &mut one,
            "metadata",
            |draw| json!({"k": draw.sentence(), "n": [draw.below(200), {"d": draw.text()}]}),
        );
        if self.once_in(8) {
            one.insert("message".into(), self.sentence().into());
        }
        one.into()
    }

    fn step(&mut self, number: usize) -> Value {
        let mut one = Map::new();
        one.insert("step_id".into(), if self.once_in(3) { "s".into() } else { self.text().into() });
        one.insert("transition_id".into(), number.to_string().into());
        self.maybe(&mut one, "success", |draw| draw.once_in(2).into());
        self.maybe(&mut one, "execution_time_ms", |draw| {
            (*draw.pick(&[0, 1, 1499, 1500, 1501, u64::MAX])).into()
        });
        self.maybe(&mut one, "worker_id", |draw| draw.text().into());
        self.maybe(&mut one, "correlation_id", |draw| {
            if number > 4 { format!("c{number}").into() } else { draw.text().into() }
        });
        one.into()
    }

    fn entry(&mut self, number: usize) -> Value {
        let mut one = Map::new();
        one.insert("task_id".into(), format!("t-{number}").into());
        one.insert(
            "status".into(),
            (*self.pick(&["completed", "failed", "failed", "rejected", "cancelled"])).into(),
        );
        one.insert("timestamp".into(), self.time().into());
        self.maybe(&mut one, "title", |draw| draw.sentence().into());
        self.maybe(&mut one, "error_message", |draw| draw.sentence().into());
        self.maybe(&mut one, "plan_id", |draw| draw.text().into());
        self.maybe(
            &mut one,
            "dispatch_info",
            |draw| json!({"agent_id": draw.text(), "agent_pool": draw.text()}),
        );
        self.maybe(&mut one, "execution_result", |draw| {
            let mut result = Map::new();
            let services: Vec<_> = (0..draw.many()).map(|number| if number > 4 { format!("s{number}") } else { draw.text() }).collect();
            draw.maybe(&mut result, "services_touched", |_| services.into());
            draw.maybe(&mut result, "outcome", |draw| match draw.below(4) {
                0 => draw.sentence().into(),
                1 => json!({"action_type": draw.below(9)}),
                _ => json!({"action_type": draw.text(), "message": draw.sentence(), "deep": [[draw.sentence()], true, null, 0.5]}),
            });
            draw.maybe(&mut result, "start_time", |draw| draw.time().into());
            draw.maybe(&mut result, "end_time", |draw| draw.time().into());
            result.into()
        });
        self.maybe(&mut one, "context", |draw| {
            let mut context = Map::new();
            for key in ["workspace_id", "worktree_path", "session_id", "correlation_id", "worker_id", "actor"]
            {
                draw.maybe(&mut context, key, |draw| draw.text().into());
            }
            draw.maybe(&mut context, "project_number", |draw| (*draw.pick(&[0, 7, 70, u64::MAX])).into());
            context.into()
        });
        self.maybe(&mut one, "artifacts", Self::artifacts);
        self.maybe(&mut one, "events", |draw| (0..draw.many()).map(|_| draw.event()).collect());
        self.maybe(&mut one, "steps", |draw| (0..draw.many()).map(|number| draw.step(number)).collect());
        self.maybe(
            &mut one,
            "metadata",
            |draw| json!({"ticket": draw.text(), "list": [draw.text(), 7], "a/b": draw.below(3)}),
        );
        if number > 0 && self.once_in(5) {
            one.insert("supersedes".into(), format!("t-{}", self.below(number)).into());
        }
        one.into()
    }

    /// A value that an argument can be: none is empty, and none has a NUL.
    fn argument(&mut self) -> String {
        loop {
            let text = self.text();
            if !text.is_empty() && !text.contains('\0') {
                return text;
            }
        }
    }

    fn filter(&mut self) -> Vec<String> {
        const NAMES: [&str; 12] = [
            "--service",
            "--intent",
            "--plan",
            "--agent",
            "--pool",
            "--worker",
            "--correlation",
            "--repo-id",
            "--workspace",
            "--worktree",
            "--session",
            "--actor",
        ];
        const PHRASES: [&str; 16] = [
            "no",
            "space left",
            "\"no space left\"",
            "ÉTÉ",
            "été timed",
            "service-07",
            "\"out service\"",
            "1*",
            "13*",
            "a_b",
            "x y",
            "\"x y\"",
            "STRASSE",
            "ſtraße",
            "\"left on\" dev*",
            "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        ];
        let (name, value): (&str, String) = match self.below(13) {
            0..4 => (*self.pick(&NAMES), self.argument()),
            4 => ("--status", (*self.pick(&["completed", "failed", "rejected", "cancelled"])).to_owned()),
            5 => ("--project", (*self.pick(&["0", "7", "18446744073709551615"])).to_owned()),
            6 => (
                "--event-type",
                (*self.pick(&["task_start", "repo_commit", "x", "a.b_1", "never"])).to_owned(),
            ),
            7 => {
                let kind = *self.pick(&["commit", "branch", "pr", "file"]);
                let value =
                    if kind == "commit" { self.commit_id().replace('\0', "") } else { self.argument() };
                ("--artifact", format!("{kind}:{value}"))
            }
            8 => ("--min-duration", (*self.pick(&["0s", "1ms", "1.5s", "1h", "1d", "4000000d"])).to_owned()),
            9 => ("--grep", (*self.pick(&PHRASES)).to_owned()),
            10 => {
                let pointer = *self.pick(&[
                    "/metadata/ticket",
                    "/metadata/list",
                    "/metadata/a~1b",
                    "/title",
                    "/supersedes",
                    "/status",
                    "/steps/0/success",
                ]);
                let value = if self.once_in(3) {
                    (*self.pick(&["7", "0", "true", "failed", "t-1"])).to_owned()
                } else {
                    self.argument()
                };
                ("--where", format!("{pointer}={value}"))
            }
            11 => ("--since", self.time().replace(":60Z", ":59Z")),
            _ => ("--until", self.time().replace(":60Z", ":59Z")),
        };
        vec![format!("{name}={value}")]
    }

    /// A question, and whether it lists something, so that a page of it can be asked for.
    fn question(&mut self) -> Vec<String> {
        let command =
            *self.pick(&["log", "log", "log", "failures", "artifacts", "events", "steps", "stats", "stats"]);
        let mut all = vec![command.to_owned()];
        for _ in 0..*self.pick(&[0, 1, 1, 1, 2, 2, 3]) {
            let filter = self.filter();
            // The same filter again, with another value.
            let name = filter[0].split('=').next().unwrap().to_owned();
            all.extend(filter);
            if self.once_in(3)
                && ["--service", "--grep", "--worker", "--artifact", "--status"].contains(&name.as_str())
            {
                all.extend(
                    (0..20)
                        .map(|_| self.filter())
                        .find(|other| other[0].starts_with(&name))
                        .into_iter()
                        .flatten(),
                );
            }
        }
        let times = |name: &str| all.iter().filter(|flag| flag.starts_with(name)).count();
        if times("--since") > 1
            || times("--until") > 1
            || times("--min-duration") > 1
            || (command == "failures" && times("--status") > 0)
        {
            return self.question();
        }
        match command {
            "artifacts" => {
                if self.once_in(2) {
                    let wanted =
                        if self.once_in(2) { self.commit_id().replace('\0', "") } else { self.argument() };
                    all.push(format!("--ref={wanted}"));
                }
                if self.once_in(3) {
                    all.push(format!("--type={}", self.pick(&["branch", "pr", "file", "tag"])));
                }
            }
            "events" => {
                if self.once_in(2) {
                    all.push(format!("--level={}", self.pick(&["info", "error", "Error"])));
                }
                if self.once_in(3) {
                    all.push(format!("--type={}", self.pick(&["x", "repo_commit"])));
                }
            }
            "steps" => {
                if self.once_in(2) {
                    all.push("--failed".into());
                }
                if self.once_in(3) {
                    all.push("--step=s".into());
                }
            }
            "stats" => all.push(format!(
                "--by={}",
                self.pick(&["status", "service", "agent", "plan", "intent", "day", "week"])
            )),
            _ => {}
        }
        if !["log", "failures", "stats"].contains(&command) && self.once_in(3) {
            all.push(format!("--task={}", self.pick(&["t-0", "t-1", "t-2", "T-3", "absent"])));
        }
        all
    }

    /// Which part of the answer, in which form.
    fn page(&mut self, cursor: Option<&str>) -> Vec<String> {
        if self.once_in(8) {
            return vec!["--count".into(), "--json".into()];
        }
        let mut all =
            vec![format!("--format={}", self.pick(&["json", "json", "json", "jsonl", "csv", "human"]))];
        if self.once_in(2) {
            all.push(format!("--limit={}", self.pick(&["0", "1", "2", "7", "all"])));
        }
        if self.once_in(3) {
            all.push(format!("--offset={}", self.pick(&["1", "3", "50", "18446744073709551615"])));
        }
        if self.once_in(2) {
            all.push("--reverse".into());
        }
        if let Some(cursor) = cursor.filter(|_| self.once_in(2)) {
            all.push(format!("--after={cursor}"));
        }
        all
    }
}

/// Records a ledger in batches, and asks questions after each.
fn a_ledger_and_its_questions(seed: u64) {
    let mut draw = Draw(seed);
    let sandbox = Sandbox::new();
    let limit = *draw.pick(&["2", "1000"]);
    sandbox.audit(&["init", "--flat-limit", limit]).exits(0);
    let mut number = 0;
    for _ in 0..3 {
        let count = *draw.pick(&[1, 4, 12]);
        let lines: String =
            (number..number + count).map(|number| format!("{}\n", draw.entry(number))).collect();
        number += count;
        sandbox.audit_with_input(&["record", "--durability", "off"], lines).exits(0);
        let mut cursors: Vec<String> = Vec::new();
        for _ in 0..8 {
            let mut question = draw.question();
            if question[0] == "stats" {
                question.push(format!("--format={}", draw.pick(&["json", "jsonl", "csv", "human"])));
            } else {
                let cursor = if cursors.is_empty() { None } else { Some(draw.pick(&cursors).clone()) };
                question.extend(draw.page(cursor.as_deref()));
            }
            let question: Vec<_> = question.iter().map(String::as_str).collect();
            let answer = both_ways(&sandbox, &question);
            assert!(!answer.stderr.contains("anew"), "{question:?}: {}", answer.stderr);
            if let Ok(answer) = serde_json::from_str::<Value>(&answer.stdout) {
                cursors.extend(answer["cursor"].as_str().map(str::to_owned));
            }
        }
    }
}

/// So many ledgers; `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn any_question_has_the_same_answer_with_and_without_the_index(seed in any::<u64>()) {
        a_ledger_and_its_questions(seed);
    }
}
