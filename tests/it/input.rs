//! Bad input: refused with its place and its rule, and never at the price of good input.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::sandbox::{Sandbox, entry, fixture};

#[derive(Deserialize)]
struct Case {
    pointer: Option<String>,
    line: Option<usize>,
    rule: String,
}

#[test]
fn every_invalid_fixture_is_refused_by_name_place_and_rule_and_nothing_is_written() {
    let sandbox = Sandbox::beside_code();
    let cases: BTreeMap<String, Case> =
        serde_json::from_slice(&fs::read(fixture("invalid/cases.json")).unwrap()).unwrap();
    let tip = sandbox.git(&["rev-parse", "audit"]);
    let objects = sandbox.git(&["count-objects"]);
    let files = fs::read_dir(fixture("invalid")).unwrap().count() - 1;
    assert_eq!(cases.len(), files, "cases.json names every file");
    for (name, case) in cases {
        let done = sandbox.audit(&["record", &fixture(&format!("invalid/{name}"))]).exits(2);
        let message = done.stderr.lines().next().unwrap();
        assert!(message.starts_with("error: ") && message.contains(&name), "{name}: {message}");
        assert!(
            message.to_lowercase().contains(&case.rule.to_lowercase()),
            "{name}: no `{}` in {message}",
            case.rule
        );
        if let Some(pointer) = case.pointer {
            assert!(message.contains(&format!("{pointer}: ")), "{name}: no {pointer} in {message}");
        }
        if let Some(line) = case.line {
            assert!(message.contains(&format!("{name}:{line}:")), "{name}: no line {line} in {message}");
        }
        assert!(!done.stderr.contains('\u{1b}'), "{name}");
        assert_eq!(done.stdout, "");
    }
    assert_eq!((sandbox.git(&["rev-parse", "audit"]), sandbox.git(&["count-objects"])), (tip, objects));
}

#[test]
fn bad_lines_are_named_and_the_good_ones_recorded() {
    let sandbox = Sandbox::beside_code();
    let done = sandbox.audit(&["record", "--json", &fixture("mixed.jsonl")]).exits(2);
    assert_eq!(done.stdout.lines().count(), 6);
    for line in [2, 4, 7, 9] {
        assert!(done.stderr.contains(&format!("mixed.jsonl:{line}:")), "{}", done.stderr);
    }
    assert_eq!(done.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 4);
    assert_eq!(sandbox.logged(&[]).len(), 6);
    // Running it again is harmless.
    sandbox.audit(&["record", &fixture("mixed.jsonl")]).exits(2);
    assert_eq!(sandbox.logged(&[]).len(), 6);
}

#[test]
fn a_bad_file_does_not_lose_the_good_ones() {
    let sandbox = Sandbox::beside_code();
    let good = sandbox.input("good.json", entry("a").to_string());
    let missing = sandbox.root().join("missing.json").to_str().unwrap().to_owned();
    let folder = sandbox.path("src").to_str().unwrap().to_owned();
    let done =
        sandbox.audit(&["record", &missing, &folder, &fixture("invalid/truncated.json"), &good]).exits(2);
    assert!(done.stdout.starts_with("recorded a "));
    for text in ["missing.json: cannot be read", "is a directory", "truncated.json"] {
        assert!(done.stderr.contains(text), "{}", done.stderr);
    }
}

#[test]
fn input_that_is_huge_or_deep_is_refused() {
    let sandbox = Sandbox::beside_code();
    let big = serde_json::json!({"task_id": "big", "status": "failed", "title": "x".repeat((1 << 20) + 1)})
        .to_string();
    sandbox.audit_with_input(&["record"], big).exits(2).says("at most 1 MiB");
    sandbox
        .audit_with_input(&["record"], "[".repeat(1_000_000))
        .exits(2)
        .says("nested deeper than 100 levels");
    sandbox.audit_with_input(&["record"], "{\"a\":".repeat(1_000_000)).exits(2).says("4 MiB");
    let nested = |depth| {
        format!(
            "{{\"task_id\":\"d\",\"status\":\"failed\",\"metadata\":{}1{}}}",
            "{\"a\":".repeat(depth),
            "}".repeat(depth)
        )
    };
    sandbox.audit_with_input(&["record"], nested(98)).exits(0);
    sandbox.audit_with_input(&["record"], nested(100)).exits(2).says("nested deeper");
    assert_eq!(sandbox.logged(&[]), ["d"]);
    sandbox.audit(&["show", "d"]).exits(0);
    sandbox.audit(&["show", "d", "--json"]).exits(0);
}

#[test]
fn an_entry_of_exactly_one_mebibyte_fits() {
    let sandbox = Sandbox::beside_code();
    let size = |title: usize| {
        let value = serde_json::json!({"task_id": "t", "status": "failed", "timestamp": "2026-11-19T08:00:00Z", "title": "x".repeat(title)});
        value.to_string()
    };
    let frame = {
        sandbox.audit_with_input(&["record", "--task-id", "probe", "-"], size(0)).exits(0);
        sandbox.audit(&["show", "--raw", "probe"]).exits(0).stdout.len() - "prob".len()
    };
    sandbox.audit_with_input(&["record"], size((1 << 20) - frame + 1)).exits(2);
    sandbox.audit_with_input(&["record"], size((1 << 20) - frame)).exits(0);
    assert_eq!(sandbox.audit(&["show", "--raw", "t"]).exits(0).stdout.len(), 1 << 20);
}

#[test]
fn hostile_ids_are_refused_everywhere_they_can_be_given() {
    let sandbox = Sandbox::beside_code();
    let long = "x".repeat(5000);
    for id in ["../../x", ".git", "con", "a/b", "a\nb", "a\u{1b}[2Jb", "", &long, "a..b", "é"] {
        sandbox.audit(&["record", &format!("--task-id={id}"), "--status", "failed"]).exits(2);
        for command in ["show", "path"] {
            let done = sandbox.audit(&[command, "--", id]).exits(2);
            assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
        }
    }
    sandbox.audit(&["record", "--task-id=-rf", "--status", "failed"]).exits(2);
    sandbox
        .audit(&["record", "--task-id", "x", "--status", "done"])
        .exits(2)
        .says("completed, failed, rejected, cancelled");
    sandbox.audit(&["record", "--task-id", "x"]).exits(2).says("--status: status is missing");
    sandbox.audit(&["record", "--status", "failed"]).exits(2).says("--task-id: task_id is missing");
    assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "1\n");
}

#[test]
fn what_could_not_be_read_again_is_not_recorded() {
    let sandbox = Sandbox::beside_code();
    let deep = format!("{}1{}", "[".repeat(99), "]".repeat(99));
    for more in [
        ["--timestamp", "0000-01-01T00:30:00+01:00"],
        ["--timestamp", "9999-12-31T23:30:00-01:00"],
        ["--outcome", &deep],
        ["--metadata", &format!("{{\"a\":{deep}}}")],
    ] {
        sandbox.audit(&[&["record", "--task-id", "x", "--status", "failed"][..], &more].concat()).exits(2);
    }
    assert_eq!(sandbox.logged(&[]), Vec::<String>::new());
}

#[test]
fn flags_are_checked_too() {
    let sandbox = Sandbox::beside_code();
    let id = ["record", "--task-id", "x", "--status", "failed"];
    for more in [
        &["--start", "noon"][..],
        &["--outcome", "{"],
        &["--outcome", "[1]", "--intent", "x"],
        &["--metadata", "[]"],
        &["--project", "-1"],
        &["--timeout", "-1"],
        &["--timeout", "soon"],
        &["--supersedes", "x"],
        &["--format", "xml"],
        &["--format", "csv", "--json"],
        &["--nonsense"],
    ] {
        sandbox.audit(&[&id[..], more].concat()).exits(2);
    }
    assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "1\n");
}

#[test]
fn an_input_that_cannot_be_read_or_does_not_end_is_named_and_the_rest_recorded() {
    let sandbox = Sandbox::beside_code();
    let [first, last] = ["a", "b"].map(|id| sandbox.input(&format!("{id}.json"), entry(id).to_string()));
    let done = sandbox.audit(&["record", &first, "/proc/self/mem", "/dev/zero", &last]).exits(2);
    assert!(
        done.stderr.contains("/proc/self/mem: cannot be read") && done.stderr.contains("/dev/zero:1: "),
        "{}",
        done.stderr
    );
    assert_eq!(sandbox.logged(&[]), ["b", "a"]);
}
