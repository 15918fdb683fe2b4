//! The queue, the modes of durability, and the packs that appends leave.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Sandbox, entry};

fn tickets(sandbox: &Sandbox) -> usize {
    let listing = fs::read_dir(sandbox.path(".git/git-audit/queue")).into_iter().flatten();
    listing
        .filter(|item| item.as_ref().unwrap().path().extension().is_some_and(|found| found == "request"))
        .count()
}

fn wait_for_tickets(sandbox: &Sandbox, count: usize) {
    for _ in 0..2000 {
        if tickets(sandbox) == count {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} tickets instead of {count}", tickets(sandbox));
}

fn packs(sandbox: &Sandbox) -> usize {
    let listing = fs::read_dir(sandbox.path(".git/objects/pack")).unwrap();
    listing
        .filter(|item| item.as_ref().unwrap().path().extension().is_some_and(|found| found == "pack"))
        .count()
}

#[test]
fn whoever_gets_the_lock_commits_all_that_wait_in_one_pass() {
    for sandbox in [Sandbox::beside_code(), Sandbox::with_ledger()] {
        let before = packs(&sandbox);
        let held = sandbox.hold_lock();
        let ids: Vec<_> = (0..5).map(|number| format!("t{number}")).collect();
        let writers: Vec<_> = ids
            .iter()
            .map(|id| {
                let name = format!("Agent {id}");
                let mut record =
                    sandbox.audit_command(&["record", "--json", "--task-id", id, "--status", "failed"]);
                record.env("GIT_AUTHOR_NAME", name).env("GIT_AUTHOR_EMAIL", "agent@example.com");
                record.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        wait_for_tickets(&sandbox, 5);
        drop(held);
        let mut commits = BTreeSet::new();
        for (child, id) in writers.into_iter().zip(&ids) {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&receipt["task_id"], &receipt["outcome"]), (&id.as_str().into(), &"recorded".into()));
            let commit = receipt["commit"].as_str().unwrap().to_owned();
            let author = sandbox.git(&["log", "-1", "--format=%an", &commit]);
            assert_eq!(author.trim(), format!("Agent {id}"), "each commit is by whoever asked for it");
            commits.insert(commit);
        }
        assert_eq!(commits.len(), 5);
        assert_eq!(packs(&sandbox), before + 1, "one barrier for all");
        assert_eq!(sandbox.logged(&[]).len(), 5);
        assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
        let left = fs::read_dir(sandbox.path(".git/git-audit/queue")).unwrap().count();
        assert_eq!(left, 0, "no ticket is left");
    }
}

#[test]
fn the_same_id_in_many_tickets_is_recorded_once_and_the_others_hear_which_commit_it_was() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let writers: Vec<_> = ["failed", "failed", "completed"]
        .map(|status| sandbox.start(&["record", "--json", "--task-id", "same", "--status", status]))
        .into_iter()
        .collect();
    wait_for_tickets(&sandbox, 3);
    drop(held);
    let receipts: Vec<Value> = writers
        .into_iter()
        .map(|child| serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    let recorded = receipts.iter().filter(|receipt| receipt["outcome"] == "recorded").count();
    assert_eq!(recorded, 1);
    let commits: BTreeSet<_> = receipts.iter().map(|receipt| receipt["commit"].as_str().unwrap()).collect();
    assert_eq!(commits.len(), 1);
    assert!(receipts.iter().any(|receipt| receipt["identical"] == false));
}

#[test]
fn a_writer_whose_deadline_passes_has_recorded_nothing() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    sandbox
        .audit(&["record", "--task-id", "late", "--status", "failed", "--timeout", "0.2"])
        .exits(7)
        .says("busy");
    assert_eq!(tickets(&sandbox), 0);
    drop(held);
    sandbox.record("next", &[]);
    assert_eq!(sandbox.logged(&[]), ["next"]);
}

#[test]
fn the_request_of_a_writer_that_was_killed_is_recorded_by_the_next() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let mut killed = sandbox.start(&["record", "--task-id", "killed", "--status", "failed"]);
    wait_for_tickets(&sandbox, 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(held);
    sandbox.record("next", &[]);
    let mut logged = sandbox.logged(&[]);
    logged.sort();
    assert_eq!(logged, ["killed", "next"]);
}

#[test]
fn a_ticket_that_is_not_what_we_would_write_is_left_alone() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("first", &[]);
    for (name, text) in [
        ("1-0.request", "not json".to_owned()),
        ("2-0.request", "{}".to_owned()),
        (
            "3-0.request",
            serde_json::json!({"version": 1, "reference": "refs/heads/audit", "durability": "auto", "author": "a\nb <c>",
                "committer": "x", "requests": [{"given": {}, "stored": "{\"task_id\": \"../../x\"}"}]})
            .to_string(),
        ),
        ("4-0.claimed", "{".to_owned()),
    ] {
        sandbox.write(&format!(".git/git-audit/queue/{name}"), text);
    }
    sandbox.record("second", &[]);
    assert_eq!(sandbox.logged(&[]), ["second", "first"]);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn the_mode_of_durability_is_in_the_acknowledgement() {
    let sandbox = Sandbox::beside_code();
    let mode = |id: &str, more: &[&str]| {
        let run =
            sandbox.audit(&[&["record", "--json", "--task-id", id, "--status", "failed"], more].concat());
        run.exits(0).json()["durability"].as_str().unwrap().to_owned()
    };
    assert_eq!(mode("t1", &[]), "auto");
    assert_eq!(mode("t2", &["--durability", "strict"]), "strict");
    assert_eq!(mode("t3", &["--durability", "off"]), "off");
    sandbox.git(&["config", "audit.durability", "strict"]);
    assert_eq!(mode("t4", &[]), "strict");
    assert_eq!(mode("t5", &["--durability", "off"]), "off");
    sandbox.git(&["config", "audit.durability", "sometimes"]);
    sandbox
        .audit(&["record", "--task-id", "t6", "--status", "failed"])
        .exits(2)
        .says("audit.durability is `sometimes`");
    sandbox.audit(&["record", "--task-id", "t6", "--status", "failed", "--durability", "no"]).exits(2);
    assert_eq!(sandbox.logged(&[]).len(), 5);
}

#[test]
fn a_pass_is_as_durable_as_the_strictest_of_its_writers_asks() {
    let sandbox = Sandbox::beside_code();
    let held = sandbox.hold_lock();
    let writers: Vec<_> = ["off", "strict", "off"]
        .iter()
        .enumerate()
        .map(|(number, mode)| {
            let id = format!("t{number}");
            sandbox.start(&["record", "--json", "--task-id", &id, "--status", "failed", "--durability", mode])
        })
        .collect();
    wait_for_tickets(&sandbox, 3);
    drop(held);
    for child in writers {
        let receipt: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(receipt["durability"], "strict");
    }
}

#[test]
fn packs_stay_few_however_many_records_there_are() {
    let sandbox = Sandbox::beside_code();
    for number in 0..90 {
        sandbox.record(&format!("t{number}"), &[]);
    }
    assert!(packs(&sandbox) <= 16, "{} packs", packs(&sandbox));
    let counted = sandbox.git(&["count-objects", "-v"]);
    assert!(counted.contains("garbage: 0"), "{counted}");
    let loose: u32 = counted.lines().find_map(|line| line.strip_prefix("count: ")).unwrap().parse().unwrap();
    assert!(loose < 10, "only the code's: {counted}");
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    let before = sandbox.git(&["log", "--format=%H", "audit"]);
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(packs(&sandbox), 1);
    assert_eq!(sandbox.git(&["log", "--format=%H", "audit"]), before);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    for number in [0, 1, 45, 89] {
        sandbox.audit(&["show", &format!("t{number}")]).exits(0);
    }
}

#[test]
fn packs_of_others_and_packs_that_somebody_keeps_are_never_touched() {
    let sandbox = Sandbox::beside_code();
    sandbox.git(&["repack", "-adq"]);
    let named = |extension: &str| -> BTreeSet<_> {
        let listing =
            fs::read_dir(sandbox.path(".git/objects/pack")).unwrap().map(|item| item.unwrap().path());
        listing.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    };
    let others = named("pack");
    sandbox.record("kept", &[]);
    let kept = named("pack").difference(&others).next().unwrap().clone();
    fs::write(kept.with_extension("keep"), "mine").unwrap();
    for number in 0..20 {
        sandbox.record(&format!("t{number}"), &[]);
    }
    sandbox.audit(&["flush"]).exits(0);
    assert!(others.iter().all(|pack| pack.exists()) && kept.exists());
    assert_eq!(fs::read_to_string(kept.with_extension("keep")).unwrap(), "mine");
    assert_eq!(named("keep").len(), 1);
    // The list of our packs is only a help.
    fs::remove_file(sandbox.path(".git/git-audit/packs")).unwrap();
    sandbox.record("after", &[]);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn a_damaged_pack_is_not_given_a_new_checksum() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::beside_code();
    for number in 0..6 {
        sandbox.record(&format!("t{number}"), &[]);
    }
    let list = fs::read_to_string(sandbox.path(".git/git-audit/packs")).unwrap();
    let name = list.lines().nth(1).unwrap().split(' ').next().unwrap();
    let file = sandbox.path(&format!(".git/objects/pack/{name}.pack"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, bytes).unwrap();
    for number in 6..20 {
        // Where the damage is in a tree that is needed, a record says so; it never hides it.
        sandbox.audit(&["record", "--task-id", &format!("t{number}"), "--status", "failed"]);
    }
    assert!(file.exists());
    let fsck = sandbox.try_git(&["fsck", "--strict"]);
    assert_ne!(fsck.code, 0, "the damage is still there to be found");
}

#[test]
fn entries_and_lines_in_any_number_share_a_pass() {
    let sandbox = Sandbox::beside_code();
    let before = packs(&sandbox);
    let lines: String = (0..200).map(|number| format!("{}\n", entry(&format!("t{number:03}")))).collect();
    let receipts = sandbox.audit_with_input(&["record", "--json"], &lines).exits(0).stdout;
    assert_eq!(receipts.lines().count(), 200);
    assert_eq!(packs(&sandbox), before + 1);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn flush_ends_and_loses_nothing_however_few_or_many_packs_there_are() {
    for records in [1, 2, 12] {
        let sandbox = Sandbox::with_code();
        for number in 0..records {
            sandbox.record(&format!("t{number}"), &["--init"]);
        }
        for _ in 0..3 {
            sandbox.audit(&["flush"]).exits(0);
            assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
            assert_eq!(sandbox.logged(&[]).len(), records);
        }
        sandbox.record("after", &[]);
        assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    }
}

#[test]
fn what_is_wrong_with_somebody_elses_request_is_no_failure_of_mine() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("first", &[]);
    // A request for an entry whose blob is not here: only its owner can be told.
    sandbox.unpack();
    let blob = sandbox.loose("audit:.audit/tasks/first.json");
    let aside = sandbox.root().join("aside");
    let held = sandbox.hold_lock();
    let mut dead = sandbox.start(&["record", "--task-id", "first", "--status", "failed"]);
    wait_for_tickets(&sandbox, 1);
    dead.kill().unwrap();
    dead.wait().unwrap();
    fs::rename(&blob, &aside).unwrap();
    drop(held);
    sandbox.record("second", &[]);
    sandbox.record("third", &[]);
    fs::rename(&aside, &blob).unwrap();
    assert_eq!(sandbox.logged(&[]).len(), 3);
}

#[test]
fn a_pack_that_an_index_over_several_packs_names_stays() {
    let sandbox = Sandbox::beside_code();
    for number in 0..7 {
        sandbox.record(&format!("t{number}"), &[]);
    }
    sandbox.git(&["multi-pack-index", "write"]);
    // As after a copy of the repository, which makes packs newer than the index.
    for file in fs::read_dir(sandbox.path(".git/objects/pack")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let times =
                fs::FileTimes::new().set_modified(std::time::SystemTime::now() + Duration::from_secs(60));
            fs::File::open(&path).unwrap().set_times(times).unwrap();
        }
    }
    for number in 7..20 {
        sandbox.record(&format!("t{number}"), &[]);
    }
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(sandbox.git(&["multi-pack-index", "verify"]), "");
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    assert_eq!(sandbox.logged(&[]).len(), 20);
}

#[test]
fn a_pack_of_the_same_bytes_gets_a_name_of_its_own() {
    let sandbox = Sandbox::beside_code();
    let file = sandbox.path(".git/refs/heads/audit");
    let before = fs::read(&file).unwrap();
    let names = || -> BTreeSet<_> {
        let listing = fs::read_dir(sandbox.path(".git/objects/pack")).unwrap();
        listing
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".pack"))
            .collect()
    };
    let others = names();
    sandbox.record("t1", &[]);
    let first = names();
    // As if the record had been killed before the branch moved, and came again in the same second.
    fs::write(&file, before).unwrap();
    sandbox.record("t1", &[]);
    assert_eq!(names().difference(&others).count(), 2, "the first is left as it was");
    assert!(first.is_subset(&names()));
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
}

#[test]
fn packs_that_share_objects_are_put_together_without_them() {
    let sandbox = Sandbox::beside_code();
    let branch = sandbox.path(".git/refs/heads/audit");
    for number in 0..30 {
        let before = fs::read(&branch).unwrap();
        sandbox.record(&format!("t{number}"), &[]);
        // As if it had been killed before the branch moved, and came again.
        fs::write(&branch, before).unwrap();
        sandbox.record(&format!("t{number}"), &[]);
    }
    assert!(packs(&sandbox) <= 16, "{} packs", packs(&sandbox));
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    for file in fs::read_dir(sandbox.path(".git/objects/pack")).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "idx") {
            sandbox.git(&["verify-pack", file.to_str().unwrap()]);
        }
    }
    assert_eq!(sandbox.logged(&[]).len(), 30);
}

#[test]
fn packs_with_deltas_are_never_taken_apart_in_passing() {
    let sandbox = Sandbox::beside_code();
    let branch = sandbox.path(".git/refs/heads/audit");
    for round in 0..12 {
        let before = fs::read(&branch).unwrap();
        let lines: String =
            (0..40).map(|number| format!("{}\n", entry(&format!("t{round}-{number}")))).collect();
        for _ in 0..2 {
            fs::write(&branch, &before).unwrap();
            sandbox.audit_with_input(&["record"], &lines).exits(0);
            sandbox.record(&format!("one-{round}"), &[]);
        }
    }
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    assert_eq!(sandbox.logged(&[]).len(), 12 * 41);
}

#[test]
fn a_flush_that_is_killed_loses_nothing() {
    let sandbox = Sandbox::beside_code();
    for round in 0..10_u64 {
        for number in 0..9 {
            sandbox.record(&format!("t{round}-{number}"), &[]);
        }
        let mut flush = sandbox.start(&["flush"]);
        std::thread::sleep(Duration::from_millis(2 + round * 2));
        flush.kill().unwrap();
        flush.wait().unwrap();
        assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "", "round {round}");
    }
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    assert_eq!(sandbox.logged(&[]).len(), 90);
}
