//! What git is told to see is found, and an honest repository has nothing of it. The truth is taken before it is bent.

use std::collections::HashSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};

use git_audit::verify::report::Code;
use git_audit::verify::view::{self, CommitFacts, Seen, Truth};

use crate::sandbox::Sandbox;

const ENTRY: &str = ".audit/tasks/a.json";

/// A commit's id, tree, time and parents.
type Commit = (Vec<u8>, Vec<u8>, i64, Vec<Vec<u8>>);

/// What the objects say.
struct Facts {
    commits: Vec<Commit>,
    objects: HashSet<Vec<u8>>,
    id_size: usize,
}

fn id(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|place| u8::from_str_radix(&hex[place * 2..place * 2 + 2], 16).unwrap()).collect()
}

impl Facts {
    fn of(sandbox: &Sandbox, branch: &str) -> Self {
        let listed = sandbox.git(&["log", "--reverse", "--topo-order", "--format=%H %T %ct %P", branch]);
        let commits: Vec<_> = listed
            .lines()
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                let parents =
                    words[3..].iter().filter(|word| !word.is_empty()).map(|word| id(word)).collect();
                (id(words[0]), id(words[1]), words[2].parse().unwrap(), parents)
            })
            .collect();
        let objects = sandbox.git(&["rev-list", "--objects", "--no-object-names", branch]);
        Self { id_size: commits[0].0.len(), commits, objects: objects.lines().map(id).collect() }
    }

    fn look(&self, sandbox: &Sandbox) -> Seen {
        let commits: Vec<_> = self
            .commits
            .iter()
            .map(|(id, tree, committed_at, parents)| CommitFacts {
                id,
                tree,
                committed_at: *committed_at,
                parents: parents.iter().map(Vec::as_slice).collect(),
            })
            .collect();
        let has = |id: &[u8]| self.objects.contains(id);
        let common = sandbox.path(".git");
        view::look(&Truth {
            common: &common,
            id_size: self.id_size,
            commits: &commits,
            is_ours: &has,
            is_here: &has,
        })
    }

    fn hex(&self, place: usize) -> String {
        self.commits[place].0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A ledger of some entries, with a merge of three lines in it.
fn ledger() -> (Sandbox, Facts) {
    let sandbox = Sandbox::with_ledger();
    for task in ["a", "b", "c"] {
        sandbox.record(task, &[]);
    }
    for branch in ["one", "two"] {
        sandbox.git(&["checkout", "--quiet", "-b", branch, "main~1"]);
        sandbox.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", branch]);
    }
    sandbox.git(&["checkout", "--quiet", "main"]);
    sandbox.git_as_user(&["merge", "--quiet", "--no-edit", "one", "two"]);
    sandbox.record("d", &[]);
    let facts = Facts::of(&sandbox, "main");
    (sandbox, facts)
}

#[track_caller]
fn codes(seen: &Seen) -> Vec<Code> {
    seen.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn an_honest_repository_has_nothing_of_it() {
    let (sandbox, facts) = ledger();
    let quiet = |facts: &Facts| {
        let seen = facts.look(&sandbox);
        assert!(seen.findings.is_empty() && seen.unchecked.is_empty(), "{seen:?}");
        seen
    };
    quiet(&facts);
    sandbox.git(&["commit-graph", "write", "--reachable"]);
    quiet(&facts);
    sandbox.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
    quiet(&facts);
    for task in ["e", "f"] {
        sandbox.record(task, &[]);
        sandbox.git(&["commit-graph", "write", "--reachable", "--split=no-merge"]);
        quiet(&Facts::of(&sandbox, "main"));
    }
    assert!(sandbox.path(".git/objects/info/commit-graphs/commit-graph-chain").is_file());
    sandbox.write(".git/info/grafts", "# nothing here\n\n");
    sandbox.git(&[
        "replace",
        "-f",
        sandbox.git(&["hash-object", "-w", "--stdin"]).trim(),
        "main:.audit/config.toml",
    ]);
    assert_eq!(quiet(&facts).replaced_elsewhere, 1);
}

#[test]
fn a_shallow_file_is_found_where_it_names_the_ledgers_commits() {
    let (sandbox, facts) = ledger();
    sandbox.write(".git/shallow", format!("{}\n{}\n", facts.hex(2), facts.hex(1)));
    let seen = facts.look(&sandbox);
    assert_eq!(codes(&seen), [Code::Shallow]);
    assert_eq!(seen.findings[0].commit.as_deref(), Some(facts.hex(1).as_str()));
    assert!(seen.findings[0].message.contains("forged or stale"), "{:?}", seen.findings[0]);
    // A checkout of code that is shallow, beside a ledger that is whole.
    sandbox.write(".git/shallow", format!("{}\n", "1".repeat(40)));
    assert!(codes(&facts.look(&sandbox)).is_empty());
    sandbox.write(".git/shallow", "nonsense\n");
    assert_eq!(codes(&facts.look(&sandbox)), [Code::Shallow]);
}

#[test]
fn a_shallow_clone_says_how_to_get_the_rest() {
    let (sandbox, facts) = ledger();
    let clone = sandbox.root().join("clone");
    let from = format!("file://{}", sandbox.path("").display());
    sandbox.git(&["clone", "--quiet", "--depth", "1", &from, clone.to_str().unwrap()]);
    fs::rename(sandbox.path(".git"), sandbox.root().join("full")).unwrap();
    fs::rename(clone.join(".git"), sandbox.path(".git")).unwrap();
    let here = Facts { objects: HashSet::new(), ..facts };
    let seen = here.look(&sandbox);
    assert_eq!(codes(&seen), [Code::Shallow]);
    assert!(seen.findings[0].message.contains("--unshallow"));
}

#[test]
fn grafts_and_replace_refs_are_found_loose_and_packed() {
    let (sandbox, facts) = ledger();
    sandbox.write(".git/info/grafts", format!("{} {}\n", facts.hex(3), facts.hex(0)));
    let seen = facts.look(&sandbox);
    assert_eq!(codes(&seen), [Code::Grafts]);
    assert_eq!(seen.findings[0].actual, Some(serde_json::json!([facts.hex(0)])));
    fs::remove_file(sandbox.path(".git/info/grafts")).unwrap();
    for object in [facts.hex(2), "main^{tree}".to_owned(), format!("main:{ENTRY}")] {
        let object = sandbox.git(&["rev-parse", &object]).trim().to_owned();
        let other = sandbox.git(&["cat-file", "-t", &object]);
        let other = match other.trim() {
            "commit" => facts.hex(0),
            "tree" => sandbox.git(&["rev-parse", "main~1^{tree}"]),
            _ => sandbox.git(&["rev-parse", "main:.audit/tasks/b.json"]),
        };
        sandbox.git(&["replace", &object, other.trim()]);
        for packed in [false, true] {
            if packed {
                sandbox.git(&["pack-refs", "--all"]);
            }
            let seen = facts.look(&sandbox);
            assert_eq!(codes(&seen), [Code::Replaced], "{object}");
            assert_eq!(seen.findings[0].actual, Some(other.trim().into()));
            assert_eq!(seen.findings[0].commit.is_some(), object == facts.hex(2));
        }
        sandbox.git(&["replace", "-d", &object]);
    }
}

/// Where in the file the part begins, and how many bytes a row of it has.
fn part(graph: &[u8], name: &[u8]) -> usize {
    let line = graph[8..].chunks(12).find(|line| line.starts_with(name)).unwrap();
    usize::try_from(u64::from_be_bytes(line[4..12].try_into().unwrap())).unwrap()
}

#[test]
fn a_commit_graph_that_lies_is_found_in_every_field() {
    let (sandbox, facts) = ledger();
    sandbox.git(&["commit-graph", "write", "--reachable"]);
    let path = sandbox.path(".git/objects/info/commit-graph");
    let honest = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let rows = part(&honest, b"CDAT");
    let merge = sandbox.git(&["rev-parse", "main~1"]);
    let ids = &honest[part(&honest, b"OIDL")..rows];
    let row = rows + 36 * ids.chunks(20).position(|one| one == id(merge.trim())).unwrap();
    let edges = part(&honest, b"EDGE");
    for (field, place) in [
        ("tree", row),
        ("parents", row + 23),
        ("level", row + 31),
        ("committed_at", row + 35),
        ("parents", edges + 3),
    ] {
        let mut forged = honest.clone();
        forged[place] ^= 4;
        sandbox.write(".git/objects/info/commit-graph", &forged);
        let seen = facts.look(&sandbox);
        let about = seen.findings.iter().find(|finding| finding.commit.as_deref() == Some(merge.trim()));
        let about = about.unwrap_or_else(|| panic!("{field}: {seen:?}"));
        assert_eq!(about.code, Code::CommitGraph);
        let differs = about.actual.as_ref().unwrap();
        assert!(differs.get(field).is_some() || differs.is_string(), "{field}: {about:?}");
    }
}

#[test]
fn no_commit_graph_makes_the_look_fail_or_wait() {
    let (sandbox, facts) = ledger();
    sandbox.git(&["commit-graph", "write", "--reachable"]);
    let path = sandbox.path(".git/objects/info/commit-graph");
    let honest = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for length in (0..honest.len()).step_by(7) {
        sandbox.write(".git/objects/info/commit-graph", &honest[..length]);
        assert!(codes(&facts.look(&sandbox)).iter().all(|code| *code == Code::CommitGraph));
    }
    for place in 0..honest.len() {
        let mut forged = honest.clone();
        forged[place] = !forged[place];
        sandbox.write(".git/objects/info/commit-graph", &forged);
        facts.look(&sandbox);
    }
    // A part of 4 GiB that the file really has.
    let mut file = fs::File::create(&path).unwrap();
    file.seek(SeekFrom::Start(1 << 33)).unwrap();
    file.write_all(b"end").unwrap();
    let mut header = [&honest[..8], &[0; 24]].concat();
    header[6] = 1;
    header[8..20].copy_from_slice(&[b"OIDF".as_slice(), &[0, 0, 0, 0, 0, 0, 0, 32]].concat());
    header[24..32].copy_from_slice(&(1_u64 << 32).to_be_bytes());
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&header).unwrap();
    drop(file);
    let seen = facts.look(&sandbox);
    assert!(seen.findings[0].message.contains("larger than"), "{seen:?}");
    fs::remove_file(&path).unwrap();
    assert!(sandbox.command("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(codes(&facts.look(&sandbox)), [Code::CommitGraph]);
    sandbox.write(".git/objects/info/commit-graphs/commit-graph-chain", "../../../../etc/passwd\n");
    assert_eq!(codes(&facts.look(&sandbox)), [Code::CommitGraph; 2]);
}

#[test]
fn a_partial_clone_and_borrowed_objects_are_told() {
    let (sandbox, facts) = ledger();
    let pack = fs::read_dir(sandbox.path(".git/objects/pack")).unwrap().next().unwrap().unwrap().path();
    fs::write(pack.with_extension("promisor"), "").unwrap();
    let other = sandbox.root().join("other");
    fs::create_dir_all(other.join("info")).unwrap();
    fs::write(other.join("info/alternates"), format!("{}\n", sandbox.path(".git/objects").display()))
        .unwrap();
    sandbox.write(".git/objects/info/alternates", format!("# of others\n{}\n", other.display()));
    let seen = facts.look(&sandbox);
    assert!(seen.partial.is_some());
    assert_eq!(seen.alternates, [other]);
    assert!(seen.findings.is_empty());
}

#[test]
fn a_sha_256_repository_is_looked_at_as_well() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--initial-branch=main", "--object-format=sha256"]);
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("a", &[]);
    let facts = Facts::of(&sandbox, "main");
    sandbox.git(&["commit-graph", "write", "--reachable"]);
    assert!(codes(&facts.look(&sandbox)).is_empty());
    sandbox.write(".git/info/grafts", format!("{}\n", facts.hex(1)));
    sandbox.write(".git/shallow", format!("{}\n", facts.hex(1)));
    assert_eq!(codes(&facts.look(&sandbox)), [Code::Shallow, Code::Grafts]);
}

#[test]
fn verify_is_inconclusive_where_git_is_told_to_see_something_else() {
    let (sandbox, facts) = ledger();
    sandbox.git(&["replace", &facts.hex(2), &facts.hex(1)]);
    sandbox.git(&[
        "replace",
        sandbox.git(&["rev-parse", &format!("main:{ENTRY}")]).trim(),
        sandbox.git(&["rev-parse", "main:.audit/config.toml"]).trim(),
    ]);
    let answer = sandbox.audit(&["verify", "--json"]).exits(4).json();
    assert_eq!(answer["finding_counts"]["replaced"], 2);
    assert_eq!(answer["verdict"], "inconclusive");
}
