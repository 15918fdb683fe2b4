//! What holds for all ledgers: whatever was changed, dropped, swapped or repeated is found, and what is honest never is.

use std::fs;

use git_audit::verify::report::Code;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::sandbox::{NOW, Sandbox, run};
use crate::tamper::{Ledger, Report, Task, overwrite, task_with};

/// The ledger's tasks, all of them different in what they say.
fn tasks(count: usize) -> Vec<Task> {
    let fields = |number| json!({"title": format!("task number {number}"), "metadata": {"number": number, "note": "\u{e9}\\u"}});
    (0..count).map(|number| task_with(&format!("t-{number}"), fields(number))).collect()
}

/// A ledger with these tasks that was verified, its tip, and the commit that each task follows.
fn verified(tasks: &[Task]) -> (Ledger, String, Vec<String>) {
    let mut ledger = Ledger::of(&[]);
    let mut before = Vec::new();
    for task in tasks {
        before.push(ledger.tip.clone().unwrap());
        ledger.record(task);
    }
    ledger.verify().finds(&[]);
    let before = before.iter().map(|commit| ledger.id(commit)).collect();
    let tip = ledger.id("audit");
    (ledger, tip, before)
}

/// Records a task after a commit, and then those that follow.
fn rebuild(ledger: &mut Ledger, parent: &str, task: &Task, rest: &[Task]) {
    ledger.record_after(parent, task);
    for task in rest {
        ledger.record(task);
    }
}

/// As [`Ledger::verify`], where nothing was ever verified.
#[track_caller]
fn verify_unpinned(ledger: &mut Ledger) -> Report {
    ledger.build();
    _ = fs::remove_dir_all(ledger.sandbox.path(".git/git-audit/verified"));
    ledger.verify()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn a_changed_byte_in_any_entry_is_found(count in 1..5_usize, which: prop::sample::Index, place: prop::sample::Index, bits in 1..=255_u8) {
        let tasks = tasks(count);
        let number = which.index(count);
        let honest = &tasks[number];
        let mut bytes = honest.bytes.clone();
        bytes[place.index(honest.bytes.len())] ^= bits;
        let (mut ledger, tip, before) = verified(&tasks);

        // In its object.
        let file = ledger.loose(&format!("{tip}:{}", honest.path));
        let object = fs::read(&file).unwrap();
        let lie = ledger.object("blob", &bytes);
        overwrite(&file, fs::read(ledger.loose(&lie)).unwrap());
        ledger.verify().finds(&[Code::ObjectDamaged]);
        overwrite(&file, object);

        // By a commit of its own.
        ledger.commit("a word").put(&honest.path, &bytes).end();
        ledger.verify().finds(&[Code::EntryChanged]);

        // In its commit and all that follow, whose messages stay.
        rebuild(&mut ledger, &before[number], &Task { bytes: bytes.clone(), ..honest.clone() }, &tasks[number + 1..]);
        let report = ledger.verify().exits(3);
        prop_assert!(report.codes().len() > 1 && report.codes().contains(&"pin-lost"), "{:#}", report.answer);

        // The same with the digest that fits.
        rebuild(&mut ledger, &before[number], &honest.clone().holding(bytes.clone()), &tasks[number + 1..]);
        let report = ledger.verify().exits(3);
        prop_assert!(report.codes().contains(&"pin-lost"), "{:#}", report.answer);

        // As it was, nothing is left of all that.
        ledger.move_to(&tip);
        ledger.verify().finds(&[]);

        // And without a pin.
        rebuild(&mut ledger, &before[number], &Task { bytes, ..honest.clone() }, &tasks[number + 1..]);
        let report = verify_unpinned(&mut ledger).exits(3);
        let named = ["digest-differs", "task-id-differs"].map(|code| report.codes().contains(&code));
        prop_assert!(named.contains(&true), "{:#}", report.answer);
    }

    #[test]
    fn a_commit_dropped_swapped_or_repeated_is_found(count in 2..6_usize, which: prop::sample::Index, other: prop::sample::Index, way in 0..3_u8) {
        let (which, other) = (which.index(count), other.index(count));
        let mut order: Vec<_> = (0..count).collect();
        match way {
            0 => _ = order.remove(which),
            1 => order.swap(which, if which == other { (which + 1) % count } else { other }),
            _ => order.insert(other, which),
        }
        let tasks = tasks(count);
        let (mut ledger, tip, before) = verified(&tasks);

        // The commits, with the trees that they have, one after the other.
        let mut parent = before[0].clone();
        for number in &order {
            let commit = if number + 1 == count { &tip } else { &before[number + 1] };
            let text = String::from_utf8(ledger.sandbox.git_bytes(&["cat-file", "commit", commit])).unwrap();
            let old = text.lines().find(|line| line.starts_with("parent ")).unwrap().to_owned();
            parent = ledger.object("commit", text.replacen(&old, &format!("parent {parent}"), 1));
        }
        ledger.move_to(&parent);
        let report = ledger.verify().exits(3);
        prop_assert!(way == 2 || report.codes().contains(&"pin-lost"), "{:#}", report.answer);
        // The last one left out leaves a ledger that is honest, and only the pin knows of another.
        if (way, which) != (0, count - 1) {
            verify_unpinned(&mut ledger).exits(3);
        }

        // The tasks recorded anew in that order.
        ledger.move_to(&tip);
        verify_unpinned(&mut ledger).finds(&[]);
        ledger.move_to(&before[0]);
        for number in order {
            ledger.record(&tasks[number]);
        }
        let report = ledger.verify().exits(3);
        prop_assert!(report.codes().contains(&"pin-lost"), "{:#}", report.answer);
    }
}

/// Something that people do with a ledger.
#[derive(Clone, Debug)]
enum Deed {
    Record(u8),
    Import(u8),
    Code,
    Merge { here: u8, there: u8, both: bool },
    Policy(u8),
    Repack,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => any::<u8>().prop_map(Deed::Record),
        1 => (1..5_u8).prop_map(Deed::Import),
        1 => Just(Deed::Code),
        2 => (0..3_u8, 0..3_u8, any::<bool>()).prop_map(|(here, there, both)| Deed::Merge { here, there, both }),
        1 => (0..6_u8).prop_map(Deed::Policy),
        1 => Just(Deed::Repack),
    ]
}

/// A ledger that is used as it is meant to be.
struct Honest {
    sandbox: Sandbox,
    recorded: usize,
}

impl Honest {
    fn new(flat_limit: u8, beside_code: bool) -> Self {
        let honest = Self { sandbox: Sandbox::new(), recorded: 0 };
        if beside_code {
            honest.code();
        }
        let limit = flat_limit.to_string();
        honest.sandbox.audit(&["init", "--branch", "main", "--flat-limit", &limit]).exits(0);
        honest.sandbox.git(&["config", "audit.durability", "off"]);
        honest
    }

    /// git, at the time of everything else.
    #[track_caller]
    fn git(&self, arguments: &[&str]) {
        let mut git = self.sandbox.command("git");
        git.args(Sandbox::as_user(arguments)).env("GIT_COMMITTER_DATE", NOW).env("GIT_AUTHOR_DATE", NOW);
        run(&mut git).exits(0);
    }

    fn code(&self) {
        self.sandbox.write("src/main.c", format!("int number = {};\n", self.recorded));
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "code"]);
    }

    fn fresh(&mut self) -> String {
        self.recorded += 1;
        format!("T-{}", self.recorded)
    }

    fn record(&mut self, kind: u8) {
        let (last, id) = (format!("T-{}", self.recorded), self.fresh());
        let first = last == "T-0";
        let more: &[&str] = match kind % 6 {
            0 => &["--service", "web", "--service", " billing\u{202e}\n", "--plan", ""],
            1 if !first => &["--supersedes", &last],
            2 => &["--title", "password=hunter2hunter2 ghp_0123456789abcdefghijABCDEFGHIJ012345"],
            3 => &["--title", "caf\u{e9} \\ \u{1b}[2J", "--agent", "agent-7", "--session", "s"],
            _ => &[],
        };
        self.sandbox.record(&id, more);
    }

    fn import(&mut self, count: u8) {
        let line = |id: String| {
            json!({"task_id": id, "status": "failed", "timestamp": "2026-11-19T08:00:00.5Z"}).to_string()
        };
        let lines: Vec<_> = (0..count).map(|_| line(self.fresh())).collect();
        self.sandbox.audit_with_input(&["import", "-"], lines.join("\n")).exits(0);
    }

    /// Two clones go on, and one takes the other's; both may have recorded one task alike.
    fn merge(&mut self, here: u8, there: u8, both: bool) {
        let shared = if both { self.fresh() } else { String::new() };
        self.git(&["checkout", "--quiet", "-B", "side"]);
        for (branch, count) in [("side", there), ("main", here)] {
            self.git(&["checkout", "--quiet", branch]);
            self.git(&["config", "audit.branch", branch]);
            (0..count).for_each(|kind| self.record(kind));
            if both {
                self.sandbox.record(&shared, &["--timestamp", "2026-11-19T08:00:00Z"]);
            }
        }
        self.git(&["merge", "--quiet", "--no-ff", "--no-edit", "side"]);
    }

    fn policy(&self, flat_limit: u8) {
        self.sandbox.write(".audit/config.toml", format!("version = 1\nflat_limit = {flat_limit}\n"));
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "a policy"]);
    }
}

proptest! {
    #![proptest_config(config(10))]

    #[test]
    fn an_honest_ledger_is_never_found_fault_with(flat_limit in 0..6_u8, beside_code: bool, deeds in vec(deed(), 1..7)) {
        let mut honest = Honest::new(flat_limit, beside_code);
        for deed in deeds.iter().chain([&Deed::Record(0)]) {
            match *deed {
                Deed::Record(kind) => honest.record(kind),
                Deed::Import(count) => honest.import(count),
                Deed::Code => honest.code(),
                Deed::Merge { here, there, both } => honest.merge(here, there, both),
                Deed::Policy(flat_limit) => honest.policy(flat_limit),
                Deed::Repack => honest.git(&["gc", "--quiet"]),
            }
            // Also from what was verified before.
            if matches!(deed, Deed::Merge { .. } | Deed::Code) && honest.recorded > 0 {
                let _ = honest.sandbox.audit(&["verify"]);
            }
        }
        let listed: Vec<_> = honest.sandbox.logged(&["--reverse"]);
        let mut ledger = Ledger::in_repository(honest.sandbox);
        let since = ledger.verify_with(&["--since", "pin"]).exits(0);
        let report = ledger.verify().exits(0);
        for key in ["entries", "merkle_root", "head"] {
            prop_assert_eq!(&since.answer[key], &report.answer[key], "{}: {:?}", key, &deeds);
        }
        let named = report.codes();
        prop_assert!(named.is_empty() || named == ["config-changed"], "{deeds:?}: {:#}", report.answer);
        prop_assert_eq!(&report.answer["entries"], &json!(listed.len()));
        for layer in ["objects", "history", "entries", "view", "checkout", "pin"] {
            prop_assert_ne!(report.layer(layer), "failed", "{:?}: {:#}", &deeds, report.answer);
        }
        let notebook = fs::read_to_string(ledger.sandbox.path(".git/git-audit/verified/main.leaves")).unwrap();
        let leaves: Vec<_> = notebook.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        prop_assert_eq!(leaves, listed, "{:?}", &deeds);
    }
}
