//! Ledgers that were merged: the index follows, is built anew, or is left out, and the answer is the same; what was
//! listed before a merge keeps its order.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use crate::index::both_ways;
use crate::sandbox::{Sandbox, run};

/// Two clones of a ledger beside code, on `main`: the sandbox's own, and one next to it.
struct Pair {
    sandbox: Sandbox,
    /// Seconds that the clocks have moved, in either direction.
    clock: i64,
}

impl Pair {
    fn new() -> Self {
        let sandbox = Sandbox::on_main();
        sandbox.record("base", &[]);
        sandbox.git(&["clone", "--quiet", ".", "../other"]);
        let pair = Self { sandbox, clock: 0 };
        for other in [false, true] {
            pair.git(other, &["config", "audit.durability", "off"]);
        }
        pair.sandbox.git(&["config", "user.name", "Dev"]);
        pair.sandbox.git(&["config", "user.email", "dev@example.com"]);
        for (key, value) in
            [("user.name", "Else"), ("user.email", "else@example.com"), ("audit.branch", "main")]
        {
            pair.git(true, &["config", key, value]);
        }
        pair
    }

    fn folder(&self, other: bool) -> PathBuf {
        self.sandbox.root().join(if other { "other" } else { "repo" })
    }

    #[track_caller]
    fn git(&self, other: bool, arguments: &[&str]) -> String {
        let done = run(self.sandbox.command("git").args(arguments).current_dir(self.folder(other)));
        done.exits(0).stdout
    }

    /// Records a task in one of the clones, whose clocks are wrong.
    fn record(&mut self, other: bool, task_id: &str, title: &str) {
        self.clock = -(self.clock + if other { 86_400 } else { 17 });
        let seconds = 1_795_000_000 + self.clock;
        let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339();
        let task = json!({"task_id": task_id, "status": "failed", "title": title, "timestamp": "2026-11-19T08:00:00Z"});
        let file = self.sandbox.input("task.json", task.to_string());
        let mut command = self.sandbox.audit_command(&["record", &file]);
        run(command.current_dir(self.folder(other)).env("GIT_AUDIT_TEST_NOW", now)).exits(0);
    }

    fn code(&self, other: bool, name: &str) {
        std::fs::write(self.folder(other).join(name), name).unwrap();
        self.git(other, &["add", name]);
        self.git(other, &["commit", "--quiet", "-m", name]);
    }

    /// Merges the one clone's branch into the other's. Where both have a task, one of the two contents stays.
    fn merge_into(&self, other: bool, keep: &str) {
        let from = self.folder(!other);
        self.git(other, &["fetch", "--quiet", from.to_str().unwrap(), "main"]);
        let mut merge = self.sandbox.command("git");
        merge
            .args(["merge", "--quiet", "--no-ff", "--no-edit", "FETCH_HEAD"])
            .current_dir(self.folder(other));
        if run(&mut merge).code != 0 {
            self.git(other, &["checkout", "--quiet", keep, "--", "."]);
            self.git(other, &["add", "."]);
            self.git(other, &["commit", "--quiet", "--no-edit"]);
        }
    }

    /// Asks by the index as it is, by the walk, and by an index that is built anew. Gives the ids, newest first.
    #[track_caller]
    fn answers(&self) -> Vec<String> {
        let questions: [&[&str]; 3] = [
            &["log", "--json", "--limit", "all"],
            &["log", "--limit", "3", "--reverse", "--grep", "other"],
            &["stats", "--by", "status", "--json"],
        ];
        let followed = questions.map(|question| both_ways(&self.sandbox, question).stdout);
        self.sandbox.audit(&["index", "rebuild"]).exits(0);
        assert_eq!(questions.map(|question| self.sandbox.audit(question).exits(0).stdout), followed);
        self.sandbox.logged(&[])
    }
}

#[test]
fn merged_histories_answer_the_same_by_every_way_and_keep_their_order() {
    // Each letter is something that happens: see below. In every history something comes before, between and after.
    for story in [
        "rRmrR",
        "rcRCRmrRmr",
        "rRMRmrm",
        "RiIrm",
        "rRdmrDmr",
        "RrMcRdmIm",
        "RRfrRm",
        "rrRRqmqRrMmq",
        "iIdDmMrm",
    ] {
        let mut pair = Pair::new();
        let mut shared = BTreeSet::new();
        for (number, letter) in story.char_indices() {
            let other = letter.is_uppercase();
            match letter {
                'r' | 'R' => {
                    pair.record(other, &format!("t{number}"), if other { "in the other" } else { "here" })
                }
                'c' | 'C' => pair.code(other, &format!("code-{number}")),
                // The same task in both clones, with one content or with two.
                'i' | 'I' | 'd' | 'D' => {
                    let id = format!("both{number}");
                    let two = if letter.eq_ignore_ascii_case(&'d') { "in the other" } else { "same" };
                    pair.record(other, &id, "same");
                    pair.record(!other, &id, two);
                    shared.insert(id);
                }
                'm' | 'M' => {
                    let before = if other { Vec::new() } else { pair.answers() };
                    pair.merge_into(other, if number % 2 == 0 { "--ours" } else { "--theirs" });
                    let after = pair.answers();
                    let stays = |id: &&String| before.contains(*id) && !shared.contains(*id);
                    let kept: Vec<_> = after.iter().filter(stays).collect();
                    assert!(
                        kept.iter().copied().eq(before.iter().filter(stays)),
                        "{story}: {before:?} {after:?}"
                    );
                }
                'f' => {
                    let from = pair.folder(true);
                    pair.git(false, &["pull", "--quiet", "--ff-only", from.to_str().unwrap(), "main"]);
                }
                _ => drop(pair.answers()),
            }
        }
        let ids = pair.answers();
        let unique: BTreeSet<_> = ids.iter().filter(|id| !shared.contains(*id)).collect();
        assert_eq!(unique.len(), ids.iter().filter(|id| !shared.contains(*id)).count(), "{story}: {ids:?}");
    }
}

#[test]
fn the_other_clone_that_goes_on_from_the_merge_is_followed_or_indexed_anew() {
    let mut pair = Pair::new();
    pair.record(false, "here-1", "here");
    pair.answers();
    pair.record(true, "there-1", "other");
    // There, our line is the second parent; then our branch is moved there.
    pair.merge_into(true, "--ours");
    pair.record(true, "there-2", "other");
    let from = pair.folder(true);
    pair.git(false, &["pull", "--quiet", "--ff-only", from.to_str().unwrap(), "main"]);
    let ids = pair.answers();
    assert_eq!(ids[0], "there-2");
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_merge_of_many_branches_is_followed_like_the_walk() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t0", &[]);
    for branch in ["b1", "b2", "b3"] {
        sandbox.git(&["branch", branch, "audit"]);
    }
    sandbox.record("t1", &["--title", "on the first"]);
    both_ways(&sandbox, &["log", "--json"]);
    for branch in ["b1", "b2", "b3"] {
        sandbox.git(&["config", "audit.branch", branch]);
        sandbox.record(&format!("of-{branch}"), &[]);
        sandbox.record(&format!("more-{branch}"), &[]);
    }
    sandbox.git(&["config", "audit.branch", "audit"]);
    sandbox.git(&["checkout", "--quiet", "audit"]);
    sandbox.git_as_user(&["merge", "--quiet", "--no-ff", "-m", "octopus", "b1", "b2", "b3"]);
    let answer = both_ways(&sandbox, &["log", "--json"]);
    assert!(!answer.stderr.contains("anew"), "it could be followed: {}", answer.stderr);
    let ids = sandbox.logged(&["--reverse"]);
    assert_eq!(ids, ["t0", "t1", "of-b1", "more-b1", "of-b2", "more-b2", "of-b3", "more-b3"]);
    sandbox.record("t2", &[]);
    both_ways(&sandbox, &["log", "--json"]);
    sandbox.audit(&["index", "rebuild"]).exits(0);
    both_ways(&sandbox, &["log", "--json"]);
}

#[test]
fn ids_that_differ_in_case_stay_two_tasks_when_a_merge_brings_both() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t0", &[]);
    sandbox.git(&["branch", "other", "audit"]);
    sandbox.record("Task", &["--title", "large"]);
    sandbox.git(&["config", "audit.branch", "other"]);
    sandbox.record("task", &["--title", "small"]);
    sandbox.git(&["config", "audit.branch", "audit"]);
    both_ways(&sandbox, &["log", "--json"]);
    sandbox.git(&["checkout", "--quiet", "audit"]);
    sandbox.git_as_user(&["merge", "--quiet", "--no-ff", "-m", "merge", "other"]);
    for _ in 0..2 {
        both_ways(&sandbox, &["log", "--json"]);
        for id in ["Task", "task", "TASK"] {
            both_ways(&sandbox, &["events", "--json", "--task", id]);
        }
        sandbox.audit(&["index", "rebuild"]).exits(0);
    }
}

#[test]
fn a_task_that_a_merge_brings_in_a_second_file_is_shown_as_the_walk_shows_it() {
    for second in ["another title", "the title"] {
        let sandbox = Sandbox::with_code();
        sandbox.audit(&["init", "--branch", "main", "--flat-limit", "2"]).exits(0);
        sandbox.record("base", &[]);
        sandbox.git(&["checkout", "--quiet", "-b", "other"]);
        sandbox.git(&["config", "audit.branch", "other"]);
        sandbox.record("filler", &[]);
        sandbox.record("both", &["--title", second]);
        assert!(sandbox.audit(&["path", "both"]).stdout.contains("shards"));
        sandbox.git(&["checkout", "--quiet", "main"]);
        sandbox.git(&["config", "audit.branch", "main"]);
        sandbox.record("both", &["--title", "the title"]);
        let ask = || {
            for question in
                [&["log", "--json"][..], &["log", "--json", "--grep", "title"], &["stats", "--json"]]
            {
                both_ways(&sandbox, question);
            }
        };
        ask();
        sandbox.git_as_user(&["merge", "--quiet", "--no-ff", "-m", "merge", "other"]);
        ask();
        let shard = sandbox.git(&["ls-files", ".audit/shards"]);
        let files =
            [".audit/tasks/both.json", shard.lines().find(|path| path.ends_with("both.json")).unwrap()];
        for file in files {
            sandbox.git(&["rm", "--quiet", file]);
            sandbox.commit("removed");
            ask();
        }
        for file in files {
            sandbox.git(&["checkout", "--quiet", "HEAD~2", "--", file]).clear();
            sandbox.commit("put back");
            ask();
            sandbox.git(&["commit-graph", "write", "--reachable"]);
        }
        sandbox.audit(&["index", "rebuild"]).exits(0);
        ask();
    }
}

#[test]
fn an_entry_whose_commit_states_no_digest_follows_its_file_by_both_ways() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &[]);
    both_ways(&sandbox, &["log", "--json"]);
    let stored = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout.replace("\"t1\"", "\"t2\"");
    sandbox.write(".audit/tasks/t2.json", &stored);
    sandbox.git(&["add", "."]);
    let message =
        "audit: task t2 completed at 2026-11-20T12:00:00Z\n\nAudit-Task: t2\nAudit-Status: completed\n";
    sandbox.commit(message);
    both_ways(&sandbox, &["log", "--json"]);
    sandbox.write(".audit/tasks/t2.json", stored.replace("completed", "failed"));
    sandbox.git(&["add", "."]);
    sandbox.commit("changed");
    for question in [&["log", "--json"][..], &["log", "--json", "--status", "failed"], &["stats", "--json"]] {
        both_ways(&sandbox, question);
    }
    // The same words again, of an entry that another commit recorded: it is one entry, or two, by both ways.
    let words = sandbox.git(&["log", "-1", "--format=%B", "HEAD~2"]);
    sandbox.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", &words]);
    both_ways(&sandbox, &["log", "--json"]);
    let forged = words.replace("task t1", "task t3").replace("Audit-Task: t1", "Audit-Task: t3");
    sandbox.write(".audit/tasks/t3.json", stored.replace("\"t2\"", "\"t3\""));
    sandbox.git(&["add", "."]);
    sandbox.commit(&forged);
    both_ways(&sandbox, &["log", "--json"]);
    sandbox.audit(&["index", "rebuild"]).exits(0);
    both_ways(&sandbox, &["log", "--json"]);
}
