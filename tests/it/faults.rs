//! Faults: writers that are killed, git packing underneath, damaged objects and refs, stale locks. These are the quick
//! ones; those that need root, strace or minutes are scenarios of `tests/faults/run`.
//!
//! Tested elsewhere: a single writer killed beside the user's commits, and a fresh ref lock (`checkout.rs`); a held
//! writers' lock (`concurrency.rs`); objects that are damaged already, and a truncated tip (`places.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::sandbox::{Run, Sandbox, run};

const RECOVERY: Duration = Duration::from_secs(15);

/// Every acknowledged id is in the history, and every id there is there once; the history is linear, all is readable.
#[track_caller]
fn check_history(sandbox: &Sandbox, branch: &str, acknowledged: &BTreeSet<String>) {
    assert_eq!(sandbox.git(&["fsck", "--strict", "--no-dangling"]), "");
    assert_eq!(sandbox.git(&["rev-list", "--min-parents=2", branch]), "");
    let format = "--format=%(trailers:key=Audit-Task,valueonly,separator=)";
    let history = sandbox.git(&["log", "--grep=^Audit-Task: ", format, branch]);
    let ids: BTreeSet<_> = history.lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), history.lines().count(), "an id is in the history twice: {history}");
    let lost: Vec<_> = acknowledged.difference(&ids).collect();
    assert!(lost.is_empty(), "acknowledged, and not in the history: {lost:?}");
    let listed: BTreeSet<_> = sandbox.logged(&[]).into_iter().collect();
    assert_eq!(listed, ids);
    let checked = sandbox.audit(&["log", "--json", "--limit", "1000"]).exits(0);
    assert_eq!(checked.stderr, "", "an entry differs from its digest");
}

fn set_age(path: &Path, age: Duration) {
    if let Ok(file) = fs::File::open(path) {
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

/// Small, and the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Records until `kills` records were killed, two of three at a random moment. Gives the ids that were acknowledged.
fn killed_writer(sandbox: &Sandbox, writer: u64, kills: u32, life: Duration) -> BTreeSet<String> {
    let mut dice = Dice(4711 + writer);
    let mut acknowledged = BTreeSet::new();
    let (mut killed, mut number, mut again) = (0, 0, false);
    while killed < kills {
        number += u64::from(!again);
        let id = format!("writer-{writer}-{number}");
        let mut command =
            sandbox.audit_command(&["record", "--json", "--task-id", &id, "--status", "failed"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if dice.below(3) > 0 {
            let limit = u64::try_from(life.as_micros()).unwrap();
            thread::sleep(Duration::from_micros(dice.below(limit)));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        again = false;
        match output.status.code() {
            Some(code) => assert_eq!(code, 0, "{id}: {}", String::from_utf8_lossy(&output.stderr)),
            None => {
                killed += 1;
                again = dice.below(2) == 0;
            }
        }
        if let Ok(receipt) = serde_json::from_slice::<Value>(&output.stdout) {
            assert_eq!(receipt["task_id"], id.as_str());
            acknowledged.insert(id);
        }
    }
    acknowledged
}

/// A lock that stays the same for a while was left by a kill. Making it old saves the ten seconds until it is stale.
fn age_left_locks(lock: &Path, done: &AtomicBool) {
    let mut before = None;
    while !done.load(Ordering::Relaxed) {
        let now = fs::metadata(lock).and_then(|metadata| metadata.modified()).ok();
        if now.is_some() && now == before {
            set_age(lock, Duration::from_secs(60));
        }
        before = now;
        thread::sleep(Duration::from_millis(200));
    }
}

fn kill_storm(sandbox: &Sandbox, branch: &str) {
    let started = Instant::now();
    sandbox.record("first", &[]);
    let life = started.elapsed() * 4;
    let lock = sandbox.path(&format!(".git/refs/heads/{branch}.lock"));
    let done = AtomicBool::new(false);
    let mut acknowledged = BTreeSet::from(["first".to_owned()]);
    thread::scope(|scope| {
        scope.spawn(|| age_left_locks(&lock, &done));
        let writers: Vec<_> =
            (0..6).map(|writer| scope.spawn(move || killed_writer(sandbox, writer, 10, life))).collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        for ids in ended {
            acknowledged.append(&mut ids.unwrap());
        }
    });
    set_age(&lock, Duration::from_secs(60));
    wait_for_orphans(sandbox);
    let started = Instant::now();
    sandbox.record("last", &[]);
    assert!(started.elapsed() < RECOVERY);
    acknowledged.insert("last".to_owned());
    check_history(sandbox, branch, &acknowledged);
}

/// The git that a killed record has started ends by itself.
fn wait_for_orphans(sandbox: &Sandbox) {
    let started = Instant::now();
    while sandbox.path(".git/index.lock").exists() {
        assert!(started.elapsed() < RECOVERY, "index.lock was left behind");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    kill_storm(&Sandbox::beside_code(), "audit");
}

#[test]
fn a_killed_writer_of_a_branch_that_is_checked_out_loses_nothing_acknowledged() {
    let sandbox = Sandbox::on_main();
    kill_storm(&sandbox, "main");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn twelve_processes_that_share_ids_record_each_once_while_git_packs() {
    const PROCESSES: usize = 12;
    const ENTRIES: usize = 10;
    let sandbox = Sandbox::beside_code();
    let done = AtomicBool::new(false);
    let repeat = |arguments: &[&str]| {
        while !done.load(Ordering::Relaxed) {
            // One of them often holds the lock of another; whether it succeeds is not the question.
            sandbox.try_git(arguments);
        }
    };
    // Of ten entries three are those of a neighbour.
    let writer = |number: usize| -> Vec<Run> {
        let id = |entry| match entry {
            0..3 => format!("writer-{}-{}", (number + 1) % PROCESSES, entry + 3),
            _ => format!("writer-{number}-{entry}"),
        };
        let record = |id: String| {
            sandbox.audit(&["record", "--json", "--strict", "--task-id", &id, "--status", "completed"])
        };
        (0..ENTRIES).map(|entry| record(id(entry))).collect()
    };
    let mut runs = Vec::new();
    thread::scope(|scope| {
        for arguments in [&["gc", "--quiet"][..], &["repack", "-adq"], &["pack-refs", "--all"]] {
            scope.spawn(move || repeat(arguments));
        }
        let writers: Vec<_> = (0..PROCESSES).map(|number| scope.spawn(move || writer(number))).collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        runs.extend(ended.into_iter().flat_map(Result::unwrap));
    });
    let receipts: Vec<_> = runs.into_iter().map(|run| run.exits(0).json()).collect();
    let recorded = receipts.iter().filter(|receipt| receipt["outcome"] == "recorded").count();
    assert_eq!((receipts.len(), recorded), (PROCESSES * ENTRIES, PROCESSES * ENTRIES * 7 / 10));
    let ids = receipts.iter().map(|receipt| receipt["task_id"].as_str().unwrap().to_owned()).collect();
    check_history(&sandbox, "audit", &ids);
    for receipt in &receipts {
        let [commit, path] = ["commit", "path"].map(|key| receipt[key].as_str().unwrap());
        let id = receipt["task_id"].as_str().unwrap();
        let raw = sandbox.audit(&["show", "--raw", id]).exits(0).stdout;
        assert_eq!(raw, sandbox.git(&["cat-file", "blob", &format!("{commit}:{path}")]));
    }
}

/// The objects of the record of `t1` on top of `before`, and the bytes of each as a loose file.
fn objects_of_a_record() -> Vec<(String, Vec<u8>)> {
    let twin = Sandbox::beside_code();
    twin.record("t1", &[]);
    let loose = Sandbox::new();
    let ids = twin.git(&["rev-list", "--objects", "--no-object-names", "audit", "^audit~1"]);
    let as_loose_file = |id: &str| {
        let kind = twin.git(&["cat-file", "-t", id]);
        let bytes = twin.command("git").args(["cat-file", kind.trim(), id]).output().unwrap().stdout;
        let input = loose.input("object", bytes);
        loose.git(&["hash-object", "-w", "--literally", "-t", kind.trim(), &input]);
        (id.to_owned(), fs::read(loose.path(&object_path(id))).unwrap())
    };
    ids.lines().map(as_loose_file).collect()
}

fn object_path(id: &str) -> String {
    format!(".git/objects/{}/{}", &id[..2], &id[2..])
}

#[test]
fn a_damaged_file_in_the_place_of_a_new_object_is_repaired_or_refused_and_never_acknowledged_unread() {
    let objects = objects_of_a_record();
    assert!(objects.len() >= 5, "entry, trees, commit: {objects:?}");
    let every: Vec<_> = objects.iter().collect();
    let chosen = objects.iter().map(|object| vec![object]).chain([every]);
    for planted in chosen {
        for half in [false, true] {
            let sandbox = Sandbox::beside_code();
            for (id, bytes) in &planted {
                let length = if half { bytes.len() / 2 } else { 0 };
                sandbox.write(&object_path(id), &bytes[..length]);
            }
            let done = sandbox.audit(&["record", "--task-id", "t1", "--status", "completed"]);
            if done.code == 0 {
                check_history(&sandbox, "audit", &BTreeSet::from(["t1".to_owned()]));
                sandbox.audit(&["show", "--raw", "t1"]).exits(0);
                // As without them: else they would have been no obstacle.
                let commit = sandbox.git(&["rev-parse", "audit"]);
                assert!(objects.iter().any(|(id, _)| id == commit.trim()));
            } else {
                assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{}", done.stderr);
            }
        }
    }
}

fn old_lock(sandbox: &Sandbox, name: &str, text: &str) -> PathBuf {
    let lock = sandbox.write(name, text);
    set_age(&lock, Duration::from_secs(3600));
    lock
}

#[test]
fn a_stale_ref_lock_is_set_aside_and_the_record_goes_on() {
    for (sandbox, branch) in [(Sandbox::beside_code(), "audit"), (Sandbox::on_main(), "main")] {
        let lock = sandbox.write(&format!(".git/refs/heads/{branch}.lock"), "left behind");
        set_age(&lock, Duration::from_secs(11));
        let started = Instant::now();
        sandbox.record("t1", &[]);
        assert!(started.elapsed() < RECOVERY);
        assert!(!lock.exists());
        let aside = fs::read_dir(sandbox.path(".git/git-audit/set-aside/locks")).unwrap();
        let kept: Vec<_> = aside.map(|item| fs::read(item.unwrap().path()).unwrap()).collect();
        assert_eq!(kept, [b"left behind"]);
        assert_eq!(sandbox.logged(&[]), ["t1"]);
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn an_old_ref_lock_that_a_process_holds_open_is_respected() {
    let sandbox = Sandbox::beside_code();
    let tip = sandbox.git(&["rev-parse", "audit"]);
    let lock = old_lock(&sandbox, ".git/refs/heads/audit.lock", "held");
    let held = fs::File::open(&lock).unwrap();
    let done =
        sandbox.audit(&["record", "--timeout", "0.5", "--task-id", "t1", "--status", "failed"]).exits(7);
    assert_eq!((done.stdout.as_str(), sandbox.git(&["rev-parse", "audit"])), ("", tip));
    assert_eq!(fs::read(&lock).unwrap(), b"held");
    drop(held);
    sandbox.record("t1", &[]);
    assert!(!lock.exists());
}

#[test]
fn old_locks_of_git_itself_are_never_touched() {
    let sandbox = Sandbox::on_main();
    let packed = old_lock(&sandbox, ".git/packed-refs.lock", "theirs");
    let index = old_lock(&sandbox, ".git/index.lock", "theirs");
    sandbox
        .audit(&["record", "--timeout", "0.5", "--task-id", "t1", "--status", "failed"])
        .exits(7)
        .says("index.lock");
    for lock in [&packed, &index] {
        assert_eq!(fs::read(lock).unwrap(), b"theirs");
    }
}

#[test]
fn a_ref_that_was_emptied_or_garbled_is_an_error_that_names_it_and_never_a_new_root() {
    for (sandbox, branch) in [(Sandbox::beside_code(), "audit"), (Sandbox::on_main(), "main")] {
        sandbox.record("t1", &[]);
        let name = format!("refs/heads/{branch}");
        let path = sandbox.path(&format!(".git/{name}"));
        let whole = fs::read(&path).unwrap();
        for damaged in [&b""[..], b"\n", b"garbage\n", &[0; 41], &whole[..20]] {
            fs::write(&path, damaged).unwrap();
            for arguments in [
                &["record", "--task-id", "t2", "--status", "failed"][..],
                &["record", "--init", "--task-id", "t2", "--status", "failed"],
                &["init", "--branch", branch],
            ] {
                let done = sandbox.audit(arguments).exits(1).says(&name);
                assert_eq!(done.stdout, "");
                assert_eq!(fs::read(&path).unwrap(), damaged);
            }
            assert!(!sandbox.path(&format!(".git/{name}.lock")).exists());
        }
        fs::write(&path, &whole).unwrap();
        sandbox.record("t2", &[]);
        assert_eq!(sandbox.logged(&[]), ["t2", "t1"]);
    }
}

#[test]
fn every_scenario_of_the_fault_tests_is_listed_and_described() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let described = fs::read_to_string(folder.join("README.md")).unwrap();
    let sandbox = Sandbox::empty();
    let listed = run(sandbox.command(folder.join("run")).arg("--list")).exits(0).stdout;
    assert!(listed.lines().count() >= 10, "{listed}");
    for name in listed.lines() {
        assert!(described.contains(&format!("`{name}`")), "{name} is not in tests/faults/README.md");
    }
}
