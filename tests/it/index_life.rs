//! What can become of the index's file: it is lost, damaged, of another branch, cannot be written. The answer is always
//! the walk's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::index::both_ways;
use crate::sandbox::{Run, Sandbox, run};

/// A ledger on its own branch with so many tasks, and an index that is just built.
fn indexed(tasks: usize) -> Sandbox {
    let sandbox = Sandbox::beside_code();
    record_many(&sandbox, 0..tasks);
    sandbox.audit(&["index", "rebuild"]).exits(0);
    sandbox
}

fn record_many(sandbox: &Sandbox, numbers: std::ops::Range<usize>) {
    let lines: String = numbers
        .map(|number| {
            let task = json!({
                "task_id": format!("t-{number}"), "status": if number % 3 == 0 { "failed" } else { "completed" },
                "title": format!("task number {number} of many"),
                "execution_result": {"services_touched": [format!("s{}", number % 5)]},
                "events": [{"type": "repo_push", "repo_id": "shop"}, {"type": "note", "message": "x".repeat(60)}],
            });
            format!("{task}\n")
        })
        .collect();
    sandbox.audit_with_input(&["record", "--durability", "off"], lines).exits(0);
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(".git/git-audit/index.sqlite3")
}

const QUESTIONS: [&[&str]; 5] = [
    &["log", "--json", "--limit", "all"],
    &["log", "--json", "--service", "s1", "--status", "failed"],
    &["log", "--json", "--grep", "number 7"],
    &["events", "--format=jsonl", "--limit", "all"],
    &["stats", "--by", "service", "--json"],
];

#[track_caller]
fn agrees(sandbox: &Sandbox) {
    for question in QUESTIONS {
        both_ways(sandbox, question);
    }
}

/// The same question, answered by the walk alone.
#[track_caller]
fn truth(sandbox: &Sandbox, question: &[&str]) -> String {
    sandbox.audit(&[question, &["--no-index"]].concat()).exits(0).stdout
}

#[track_caller]
fn state(sandbox: &Sandbox) -> String {
    let status = sandbox.audit(&["index", "status", "--json"]).exits(0).json();
    status["state"].as_str().unwrap().to_owned()
}

#[test]
fn the_state_is_said_in_every_format_and_asking_changes_nothing() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let path = file(&sandbox).canonicalize().unwrap_or_else(|_| file(&sandbox));
    for action in ["status", "path"] {
        let human = sandbox.audit(&["index", action]).exits(0).stdout;
        assert!(human.contains(path.to_str().unwrap()), "{human}");
        assert!(!path.exists());
    }
    assert_eq!(state(&sandbox), "missing");
    sandbox.audit(&["log"]).exits(0);
    assert_eq!(state(&sandbox), "current");
    sandbox.record("t2", &[]);
    assert_eq!(state(&sandbox), "behind");
    for (format, begin) in [
        ("human", "state    behind the branch"),
        ("json", "{\n  \"schema\": \"git-audit/index/v1\""),
        ("jsonl", "{"),
        ("csv", "state,entries,head,size_bytes,path\nbehind,1,"),
    ] {
        let answer = sandbox.audit(&["index", "status", "--format", format]).exits(0).stdout;
        assert!(answer.starts_with(begin), "{format}: {answer}");
        if format == "jsonl" {
            assert_eq!(answer.lines().count(), 1, "{answer}");
        }
        sandbox.audit(&["index", "path", "--format", format]).exits(0);
    }
    assert_eq!(sandbox.audit(&["index", "path"]).exits(0).stdout.trim(), path.to_str().unwrap());
    let rebuilt = sandbox.audit(&["index", "rebuild", "--json"]).exits(0).json();
    assert_eq!((&rebuilt["state"], &rebuilt["entries"]), (&"current".into(), &2.into()));
    assert_eq!(rebuilt["head"].as_str().unwrap(), sandbox.git(&["rev-parse", "audit"]).trim());
    let nowhere = Sandbox::with_code();
    nowhere.audit(&["index", "status"]).exits(1).says("no audit ledger");
}

#[test]
fn a_file_that_is_gone_or_wrong_is_built_anew_with_one_line() {
    let sandbox = indexed(60);
    let whole = fs::read(file(&sandbox)).unwrap();
    let version = |number: u32| {
        let mut bytes = whole.clone();
        bytes[60..64].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>, Option<&str>); 6] = [
        ("an older version", version(0), Some("it was made by another version")),
        ("a newer version", version(9999), Some("it was made by another version")),
        (
            "garbage",
            b"this is no database, and it is long enough to look at".repeat(300),
            Some("it is damaged"),
        ),
        ("nothing", Vec::new(), Some("it was made by another version")),
        ("its beginning", whole[..50].to_vec(), None),
        ("half of it", whole[..whole.len() / 2].to_vec(), None),
    ];
    for (what, bytes, reason) in cases {
        for question in QUESTIONS {
            for companion in ["-wal", "-shm"] {
                fs::remove_file(sandbox.path(&format!(".git/git-audit/index.sqlite3{companion}"))).ok();
            }
            fs::write(file(&sandbox), &bytes).unwrap();
            let done = sandbox.audit(question).exits(0);
            assert_eq!(done.stdout, truth(&sandbox, question), "{what}: {question:?}");
            if let Some(reason) = reason {
                assert_eq!(
                    done.stderr.matches("note: building the index anew: ").count(),
                    1,
                    "{}",
                    done.stderr
                );
                assert!(done.stderr.contains(reason), "{what}: {}", done.stderr);
            }
            assert_eq!(state(&sandbox), "current", "{what}: {question:?}");
        }
    }
    fs::remove_file(file(&sandbox)).unwrap();
    assert_eq!(sandbox.audit(&["log"]).exits(0).stderr, "", "to make one is nothing to talk about");
    fs::remove_dir_all(sandbox.path(".git/git-audit")).unwrap();
    agrees(&sandbox);
}

#[test]
fn what_is_shown_is_right_whatever_page_of_the_file_is_spoilt() {
    let sandbox = indexed(120);
    let whole = fs::read(file(&sandbox)).unwrap();
    let mut continued = 0;
    let question = ["log", "--limit", "all", "--format", "jsonl"];
    let truth = truth(&sandbox, &question);
    let pages = whole.len() / 8192;
    for page in 1..pages {
        let mut bytes = whole.clone();
        let start = page * 8192;
        match page % 3 {
            0 => bytes[start..start + 8192].fill(0),
            1 => bytes[start..start + 8192].reverse(),
            _ => bytes.copy_within(8192..16384, start),
        }
        for companion in ["-wal", "-shm"] {
            fs::remove_file(sandbox.path(&format!(".git/git-audit/index.sqlite3{companion}"))).ok();
        }
        fs::write(file(&sandbox), &bytes).unwrap();
        let done = sandbox.audit(&question).exits(0);
        for line in done.stdout.lines() {
            assert!(truth.contains(line), "page {page}: {line}");
        }
        continued += usize::from(done.stderr.contains("answered without the index"));
        if done.stderr.contains("index") {
            assert_eq!(done.stdout, truth, "page {page}: {}", done.stderr);
            // It does not go on like that.
            assert_eq!(sandbox.audit(&question).exits(0).stderr, "", "page {page}");
        }
    }
    assert!(continued > 0, "no damage was met within the answer");
}

#[test]
fn another_branch_has_its_own_answers() {
    let sandbox = indexed(5);
    sandbox.git(&["branch", "second", "audit~2"]);
    sandbox.git(&["config", "audit.branch", "second"]);
    let done =
        sandbox.audit(&["log", "--count"]).exits(0).says("building the index anew: it is of branch audit");
    assert_eq!(done.stdout, "3\n");
    agrees(&sandbox);
    sandbox.record("only-here", &[]);
    agrees(&sandbox);
    sandbox.git(&["config", "audit.branch", "audit"]);
    agrees(&sandbox);
    assert_eq!(sandbox.logged(&[]).len(), 5);
}

#[test]
fn a_rewritten_history_is_indexed_anew() {
    let sandbox = Sandbox::with_ledger();
    record_many(&sandbox, 0..6);
    agrees(&sandbox);
    let rewrites: [&[&str]; 4] = [
        &["reset", "--quiet", "--hard", "HEAD~2"],
        &["commit", "--quiet", "--amend", "--allow-empty", "-m", "somebody's own words"],
        &["commit", "--quiet", "--amend", "--no-edit", "--date", "2020-01-01T00:00:00Z"],
        &["reset", "--quiet", "--hard", "HEAD~1"],
    ];
    for rewrite in rewrites {
        sandbox.git_as_user(rewrite);
        let done = both_ways(&sandbox, &["log", "--json", "--limit", "all"]);
        assert_eq!(done.stderr.matches("building the index anew: the branch does not go on").count(), 1);
        agrees(&sandbox);
    }
    sandbox.record("after", &[]);
    agrees(&sandbox);
    // A new history under the same name.
    let tree = sandbox.git(&["rev-parse", "HEAD~2^{tree}"]);
    let orphan = sandbox.git_as_user(&["commit-tree", "-m", "from nothing", tree.trim()]);
    sandbox.git(&["reset", "--quiet", "--hard", orphan.trim()]);
    agrees(&sandbox);
    sandbox.record("after-that", &[]);
    agrees(&sandbox);
}

#[test]
fn a_warning_about_a_changed_entry_comes_and_goes_with_the_change() {
    let sandbox = Sandbox::with_ledger();
    record_many(&sandbox, 0..4);
    agrees(&sandbox);
    let path = ".audit/tasks/t-2.json";
    let stored = fs::read_to_string(sandbox.path(path)).unwrap();
    let changed = "was changed or removed";
    let warned = || {
        agrees(&sandbox);
        let by_items = both_ways(&sandbox, &["events", "--json", "--task", "t-2"]);
        let log = both_ways(&sandbox, &["log", "--json"]);
        assert_eq!(by_items.stderr.contains(changed), log.stderr.contains(changed));
        log.stderr.matches(changed).count()
    };
    assert_eq!(warned(), 0);
    for round in 0..2 {
        sandbox.write(path, stored.replace("many", "few"));
        sandbox.git(&["add", "."]);
        sandbox.commit("changed");
        assert_eq!(warned(), 1, "{round}");
        sandbox.write(path, &stored);
        sandbox.git(&["add", "."]);
        sandbox.commit("put back");
        assert_eq!(warned(), 0, "{round}");
        sandbox.git(&["rm", "--quiet", path]);
        sandbox.commit("removed");
        assert_eq!(warned(), 1, "{round}");
        sandbox.write(path, &stored);
        sandbox.git(&["add", "."]);
        sandbox.commit("there again");
        assert_eq!(warned(), 0, "{round}");
        sandbox.git(&["mv", path, ".audit/elsewhere.json"]);
        sandbox.commit("moved to where no entry is");
        assert_eq!(warned(), 1, "{round}");
        sandbox.git(&["mv", ".audit/elsewhere.json", path]);
        sandbox.commit("moved back");
        assert_eq!(warned(), 0, "{round}");
        sandbox.record(&format!("more-{round}"), &[]);
    }
    sandbox.audit(&["index", "rebuild"]).exits(0);
    assert_eq!(warned(), 0);
}

#[test]
fn where_the_index_cannot_be_written_the_cache_or_the_walk_answers() {
    let sandbox = Sandbox::beside_code();
    record_many(&sandbox, 0..5);
    let directory = sandbox.path(".git/git-audit");
    let home = sandbox.root().join("home");
    let cache = home.join(".cache");
    let question = ["log", "--json"];
    let truth = truth(&sandbox, &question);
    let mode =
        |path: &PathBuf, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&directory, 0o555);
    let done = both_ways(&sandbox, &question);
    assert_eq!(done.stdout, truth);
    assert!(!directory.join("index.sqlite3").exists() && cache.join("git-audit").exists());
    assert_eq!(both_ways(&sandbox, &question).stdout, truth);
    assert_eq!(state(&sandbox), "current");
    // Nor there.
    fs::remove_dir_all(&cache).unwrap();
    fs::write(&cache, "no directory").unwrap();
    for _ in 0..2 {
        let done = sandbox.audit(&question).exits(0).says("warning: answered without the index: ");
        assert_eq!(done.stdout, truth);
    }
    fs::remove_file(&cache).unwrap();
    mode(&home, 0o555);
    let elsewhere = sandbox.root().join("elsewhere");
    let asked = |cache: &PathBuf| run(sandbox.audit_command(&question).env("XDG_CACHE_HOME", cache)).exits(0);
    assert_eq!(asked(&elsewhere).stdout, truth);
    assert!(elsewhere.join("git-audit").exists());
    mode(&elsewhere.join("git-audit"), 0o555);
    record_after_permission(&sandbox, &directory);
    let done = asked(&elsewhere);
    assert!(done.stdout.contains("\"total\": 6"), "{}", done.stdout);
    mode(&elsewhere.join("git-audit"), 0o755);
    mode(&home, 0o755);
    // An index that was made before is read where nothing can be written.
    both_ways(&sandbox, &question);
    mode(&directory, 0o555);
    let done = sandbox.audit(&["log", "--json", "-v"]).exits(0).says("answered by the index");
    assert!(done.stdout.contains("\"total\": 6"));
    mode(&directory, 0o755);
}

/// A writer may write where queries may not.
fn record_after_permission(sandbox: &Sandbox, directory: &PathBuf) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.record("one-more", &[]);
}

#[test]
fn a_plain_file_in_the_place_of_the_directory_costs_a_query_nothing() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let directory = sandbox.path(".git/git-audit");
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    assert_eq!(both_ways(&sandbox, &["log", "--json"]).json()["total"], 1);
    sandbox.audit(&["index", "rebuild"]).exits(0);
    fs::remove_file(&directory).unwrap();
    fs::create_dir_all(directory.join("index.sqlite3")).unwrap();
    assert_eq!(sandbox.audit(&["log", "--json"]).exits(0).json()["total"], 1);
}

#[test]
fn a_full_disk_costs_the_index_and_not_the_answer() {
    let can_mount =
        Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root can mount a small disk");
        return;
    }
    let sandbox = Sandbox::beside_code();
    record_many(&sandbox, 0..150);
    let question = "git-audit log --json --limit all";
    let truth = truth(&sandbox, &["log", "--json", "--limit", "all"]);
    let on_a_disk_of = |room: &str, setup: &str| -> Run {
        let script = format!(
            "set -e; keep=$(mktemp -d); cp -a .git/git-audit/. $keep; mount -t tmpfs -o size=4m none .git/git-audit; \
             cp -a $keep/. .git/git-audit; rm -r $keep; mkdir -p $HOME/.cache; mount -t tmpfs -o size=64k none $HOME/.cache; {setup}; \
             dd if=/dev/zero of=.git/git-audit/ballast bs=1k count=9999 status=none 2>/dev/null || true; \
             truncate -s -{room} .git/git-audit/ballast; {question}"
        );
        run(sandbox.command("unshare").args(["--mount", "--propagation", "private", "sh", "-c", &script]))
            .exits(0)
    };
    for room in ["0", "100k"] {
        let done = on_a_disk_of(room, "true");
        assert_eq!(done.stdout, truth, "{room}");
        assert!(done.stderr.contains("answered without the index"), "{room}: {}", done.stderr);
        // It is full while the index catches up.
        let done =
            on_a_disk_of(room, "git-audit log --count >/dev/null; git update-ref refs/heads/audit audit");
        assert_eq!(done.stdout, truth, "{room}");
    }
    sandbox.audit(&["log", "--count"]).exits(0);
    record_many(&sandbox, 150..300);
    let truth = self::truth(&sandbox, &["log", "--json", "--limit", "all"]);
    for room in ["0", "100k"] {
        assert_eq!(on_a_disk_of(room, "true").stdout, truth, "{room}");
    }
    agrees(&sandbox);
}

#[test]
fn many_queries_at_once_make_one_index() {
    let sandbox = Sandbox::beside_code();
    record_many(&sandbox, 0..200);
    let question = ["log", "--json", "--status", "failed"];
    let truth = truth(&sandbox, &question);
    for round in 0..3 {
        let queries: Vec<_> = (0..6).map(|_| sandbox.start(&question)).collect();
        for query in queries {
            let done = query.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{round}");
            assert_eq!(String::from_utf8_lossy(&done.stdout), truth, "{round}");
        }
        fs::remove_file(file(&sandbox)).unwrap();
    }
}

#[test]
fn queries_beside_writers_never_fail_and_never_lack_what_was_acknowledged() {
    let sandbox = Sandbox::beside_code();
    let acknowledged = std::sync::atomic::AtomicU64::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (sandbox, acknowledged) = (&sandbox, &acknowledged);
            scope.spawn(move || {
                for number in 0..12 {
                    sandbox.record(&format!("w{writer}-{number}"), &["--durability", "off"]);
                    acknowledged.fetch_add(1, order);
                }
            });
        }
        for reader in 0..2 {
            let (sandbox, acknowledged) = (&sandbox, &acknowledged);
            scope.spawn(move || {
                while acknowledged.load(order) < 24 {
                    let before = acknowledged.load(order);
                    if reader == 0 {
                        let answer = sandbox.audit(&["log", "--json", "--limit", "all"]).exits(0);
                        assert!(!answer.stderr.contains("anew"), "{}", answer.stderr);
                        let answer = answer.json();
                        let total = answer["total"].as_u64().unwrap();
                        assert!(total >= before, "{total} of {before}");
                        assert_eq!(answer["coverage"]["entries"], total);
                        assert_eq!(answer["entries"].as_array().unwrap().len() as u64, total);
                    } else {
                        let count =
                            sandbox.audit(&["log", "--count", "--status", "completed"]).exits(0).stdout;
                        assert!(count.trim().parse::<u64>().unwrap() >= before);
                    }
                }
            });
        }
    });
    assert_eq!(both_ways(&sandbox, &["log", "--json"]).json()["total"], 24);
}

#[test]
fn a_query_that_is_killed_leaves_no_wrong_answer_behind() {
    let sandbox = Sandbox::beside_code();
    record_many(&sandbox, 0..300);
    let mut recorded = 300;
    for round in 0..16_u64 {
        if round % 2 == 0 {
            fs::remove_file(file(&sandbox)).ok();
        } else {
            record_many(&sandbox, recorded..recorded + 30);
            recorded += 30;
        }
        let mut query = sandbox.audit_command(&["log", "--json", "--limit", "all"]);
        let mut query = query.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round * 7 % 90));
        query.kill().unwrap();
        query.wait().unwrap();
        if round % 4 > 1 {
            assert_eq!(both_ways(&sandbox, &["log", "--count", "--json"]).json()["total"], recorded);
        }
    }
    agrees(&sandbox);
    let left: Vec<_> = fs::read_dir(sandbox.path(".git/git-audit"))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The answer to `log --json`, and its coverage.
fn log(sandbox: &Sandbox) -> (Run, Value) {
    let done = both_ways(sandbox, &["log", "--json"]);
    let coverage = done.json()["coverage"].clone();
    (done, coverage)
}

#[test]
fn a_shallow_clone_is_labelled_until_it_is_deepened() {
    let origin = Sandbox::beside_code();
    record_many(&origin, 0..6);
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--depth", "2", "--branch", "audit", &url, "."]);
    for _ in 0..2 {
        let (done, coverage) = log(&clone);
        assert_eq!((&coverage["complete"], &coverage["entries"]), (&false.into(), &2.into()));
        assert!(coverage["reason"].as_str().unwrap().contains("shallow"), "{coverage}");
        assert!(done.stderr.contains("incomplete") && done.stderr.contains("shallow"), "{}", done.stderr);
        let stats = both_ways(&clone, &["stats", "--json"]);
        assert_eq!(stats.json()["coverage"]["complete"], false);
        assert!(stats.stderr.contains("shallow"));
    }
    clone.record("here", &[]);
    assert_eq!(log(&clone).1["complete"], false, "also after catching up");
    clone.git(&["fetch", "--quiet", "--deepen", "2"]);
    assert_eq!(log(&clone).1["entries"], 5);
    clone.git(&["fetch", "--quiet", "--unshallow"]);
    let (done, coverage) = log(&clone);
    assert_eq!((&coverage["complete"], &coverage["entries"]), (&true.into(), &7.into()));
    assert!(!done.stderr.contains("incomplete"), "{}", done.stderr);
}

#[test]
fn a_partial_clone_is_walked_until_its_entries_are_there() {
    let origin = Sandbox::beside_code();
    record_many(&origin, 0..3);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "."]);
    for question in QUESTIONS {
        let done = clone.audit(question).exits(0);
        assert_eq!(done.stdout, truth(&clone, question), "{question:?}");
        assert!(!done.stderr.contains("without the index"), "{}", done.stderr);
    }
    // git fetches what it is asked for.
    for line in clone.git(&["ls-tree", "-r", "origin/audit"]).lines() {
        clone.git(&["cat-file", "-p", line.split_whitespace().nth(2).unwrap()]);
    }
    assert_eq!(log(&clone).1["complete"], true);
}

#[test]
fn every_kind_of_repository_has_its_index() {
    let sha256 = Sandbox::empty();
    sha256.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main", "."]);
    sha256.audit(&["init"]).exits(0);
    record_many(&sha256, 0..3);
    agrees(&sha256);
    record_many(&sha256, 3..5);
    agrees(&sha256);
    let cursor = both_ways(&sha256, &["log", "--json", "--limit", "2"]).json()["cursor"].clone();
    assert_eq!(sha256.logged(&["--after", cursor.as_str().unwrap()]), ["t-2", "t-1", "t-0"]);

    let bare = Sandbox::empty();
    bare.git(&["init", "--quiet", "--bare", "."]);
    bare.audit(&["init"]).exits(0);
    record_many(&bare, 0..3);
    agrees(&bare);
    assert!(bare.path("git-audit/index.sqlite3").exists());

    let sandbox = indexed(3);
    sandbox.git(&["worktree", "add", "--quiet", "../linked", "-b", "feature"]);
    let there = |arguments: &[&str]| {
        run(sandbox.audit_command(arguments).current_dir(sandbox.root().join("linked"))).exits(0)
    };
    assert_eq!(there(&["index", "path"]).stdout, sandbox.audit(&["index", "path"]).stdout);
    there(&["record", "--task-id", "from-there", "--status", "failed"]);
    assert_eq!(there(&["log", "--json", "-v"]).says("after adding 1 entry to it").json()["total"], 4);
    sandbox.audit(&["log", "-v"]).exits(0).says("answered by the index\n");
    agrees(&sandbox);
}
