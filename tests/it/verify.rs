//! `git audit verify`: for each thing that it can find, a ledger in which it finds that and nothing else; so a rule that is
//! taken away turns a test red. And what it says where there is nothing to find, or nothing to check.

use std::fs;
use std::path::Path;

use git_audit::ledger::layout::CONFIG;
use git_audit::verify::report::{Code, Layer, Severity};
use serde_json::json;

use crate::sandbox::Sandbox;
use crate::tamper::{BEGIN, Ledger, POLICY, Task, overwrite, task, task_with};
use crate::verify_masks::{forge_commit_graph, partial_clone};

/// Each code with a ledger, made by plain git, about which `verify` has only that to say.
const CASES: [(Code, fn() -> Ledger); 37] = [
    (Code::ObjectMissing, object_missing),
    (Code::ObjectDamaged, object_damaged),
    (Code::ObjectMalformed, object_malformed),
    (Code::ObjectAbsent, partial_clone),
    (Code::EntryChanged, entry_changed),
    (Code::EntryRemoved, entry_removed),
    (Code::EntryRenamed, entry_renamed),
    (Code::EntryMode, entry_mode),
    (Code::EntryRepeated, entry_repeated),
    (Code::SeveralEntries, several_entries),
    (Code::ForeignChange, foreign_change),
    (Code::PathMisplaced, path_misplaced),
    (Code::DirectoryReplaced, directory_replaced),
    (Code::MergeAddition, merge_addition),
    (Code::MergeConflict, merge_conflict),
    (Code::SecondRoot, second_root),
    (Code::ConfigChanged, config_changed),
    (Code::EntryInvalid, entry_invalid),
    (Code::EntryForm, entry_form),
    (Code::TaskIdDiffers, task_id_differs),
    (Code::DigestDiffers, digest_differs),
    (Code::SubjectDiffers, subject_differs),
    (Code::TrailerForged, trailer_forged),
    (Code::TrailerMissing, trailer_missing),
    (Code::MessageWithoutEntry, message_without_entry),
    (Code::SupersedesUnknown, supersedes_unknown),
    (Code::TimeImplausible, time_implausible),
    (Code::CommitBackdated, commit_backdated),
    (Code::Shallow, shallow),
    (Code::Grafts, grafts),
    (Code::Replaced, replaced),
    (Code::CommitGraph, commit_graph),
    (Code::WorkTreeDiffers, work_tree_differs),
    (Code::IndexDiffers, index_differs),
    (Code::PinLost, pin_lost),
    (Code::PinDiffers, pin_differs),
    (Code::SignatureMissing, signature_missing),
];

/// The codes whose cases are with the tests of their subject, and the file that has them.
const ELSEWHERE: [(&str, &[Code]); 3] = [
    (
        "verify_signed.rs",
        &[
            Code::SignatureMissing,
            Code::SignatureBad,
            Code::SignerUnknown,
            Code::SignerExpired,
            Code::AuthorDiffers,
            Code::SignersInLedger,
            Code::SignatureUnchecked,
        ],
    ),
    (
        "verify_witnessed.rs",
        &[Code::CheckpointDiffers, Code::Fork, Code::CheckpointSignature, Code::CheckpointForeign],
    ),
    ("prove.rs", &[Code::CheckpointUnsigned, Code::ProofMalformed, Code::ProofTask, Code::ProofDiffers]),
];

#[test]
fn each_code_is_found_alone_in_a_ledger_that_was_tampered_with_so() {
    let mut wrong = Vec::new();
    for (code, build) in CASES {
        let mut ledger = build();
        let report = ledger.verify();
        let expected = match code.severity() {
            Severity::Error => 3,
            Severity::Inconclusive => 4,
            _ => 0,
        };
        if report.codes() != [code.as_str()] || report.code != expected {
            wrong.push(format!("{}: exit {}: {:#}", code.as_str(), report.code, report.answer["findings"]));
            continue;
        }
        // What is wrong in the history, and where there is no commit but the last to be blamed, is said of that one.
        let (finding, tip) = (report.finding(code), ledger.id("audit"));
        let in_history = [Layer::History, Layer::Entries].contains(&code.layer());
        if in_history && code != Code::SecondRoot && finding["commit"] != tip.as_str() {
            wrong.push(format!("{}: not of {tip}: {finding:#}", code.as_str()));
        }
        if in_history && code.severity() == Severity::Error {
            assert_eq!(report.answer["first_bad_commit"], finding["commit"], "{}", code.as_str());
            assert_eq!(report.layer(code.layer().as_str()), "failed", "{}", code.as_str());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for code in Code::ALL {
        if CASES.iter().any(|(case, _)| case == code) {
            continue;
        }
        let owner = ELSEWHERE.iter().find(|(_, codes)| codes.contains(code));
        let (file, _) = owner.unwrap_or_else(|| panic!("nobody has a case of {}", code.as_str()));
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let names = [format!("Code::{code:?}"), format!("\"{}\"", code.as_str())];
        assert!(names.iter().any(|name| text.contains(name)), "{file} has no case of {}", code.as_str());
    }
}

const ONE: &str = ".audit/tasks/one.json";

fn object_missing() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    fs::remove_file(ledger.loose(&format!("audit:{ONE}"))).unwrap();
    ledger
}

fn object_damaged() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let [one, two] = ["one", "two"].map(|id| ledger.loose(&format!("audit:.audit/tasks/{id}.json")));
    overwrite(&one, fs::read(two).unwrap());
    ledger
}

/// git sorts the names of a tree.
fn object_malformed() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let (one, two) = (ledger.id(&format!("audit:{ONE}")), task("two"));
    let blob = ledger.object("blob", &two.bytes);
    let tree = ledger.tree(&[("100644", "two.json", &blob), ("100644", "one.json", &one)]);
    ledger.commit(&*two.message).link("040000", ".audit/tasks", &tree).end();
    ledger
}

fn entry_changed() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let better = task_with("one", json!({"title": "it went well"}));
    ledger.commit("a word").put(ONE, better.bytes).end();
    ledger
}

fn entry_removed() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("tidied up").remove(ONE).end();
    ledger
}

fn entry_renamed() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.commit("a better name").rename(ONE, ".audit/tasks/uno.json").end();
    ledger
}

fn entry_mode() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let two = task("two");
    ledger.commit(&*two.message).put_as("100755", &two.path, &two.bytes).end();
    ledger
}

fn entry_repeated() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.record(&task("ONE"));
    ledger
}

fn several_entries() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let [two, three] = ["two", "three"].map(task);
    ledger.commit(&*two.message).put(&two.path, two.bytes).put(&three.path, three.bytes).end();
    ledger
}

fn foreign_change() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let two = task("two");
    ledger.commit(&*two.message).put(&two.path, two.bytes).put("src/main.c", "int main;").end();
    ledger
}

fn path_misplaced() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("notes").put(".audit/tasks/notes.txt", "remember").end();
    ledger
}

fn directory_replaced() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("no shards here").put(".audit/shards", "none").end();
    ledger
}

fn merge_addition() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let [two, three, four] = ["two", "three", "four"].map(task);
    let side = ledger.record(&two);
    ledger.record_after(&base, &three);
    let merge = ledger.commit(&*four.message).merging(&side).put(&two.path, two.bytes);
    merge.put(&four.path, four.bytes).end();
    ledger
}

fn merge_conflict() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let side = ledger.record(&task_with("two", json!({"title": "one of them"})));
    ledger.record_after(&base, &task_with("two", json!({"title": "the other one"})));
    ledger.commit("Merge branch 'side'").merging(&side).end();
    ledger
}

fn second_root() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let (here, two) = (ledger.tip.clone().unwrap(), task("two"));
    ledger.commit("audit: init ledger").rootless().put(CONFIG, POLICY).end();
    let there = ledger.record(&two);
    ledger.commit("Merge another ledger").after(&here).merging(&there).put(&two.path, two.bytes).end();
    ledger
}

fn config_changed() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("a policy").put(CONFIG, format!("{POLICY}\n# as agreed\n")).end();
    ledger
}

fn entry_invalid() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").with("\"title\": \"two\"", "\"title\": 2"));
    ledger
}

fn entry_form() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").with("{\n  ", "{ "));
    ledger
}

fn task_id_differs() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").at(".audit/tasks/three.json"));
    ledger
}

fn digest_differs() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let (two, later) = (task("two"), task_with("two", json!({"title": "it went well"})));
    ledger.record(&Task { bytes: later.bytes, ..two });
    ledger
}

fn subject_differs() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").saying("two completed at", "two failed at"));
    ledger
}

fn trailer_forged() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task("two").saying("Audit-Digest", "Audit-Service: billing\nAudit-Digest"));
    ledger
}

fn trailer_missing() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let two = task_with("two", json!({"execution_result": {"services_touched": ["billing"]}}));
    ledger.record(&two.saying("Audit-Service: billing\n", ""));
    ledger
}

fn message_without_entry() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit(task("two").message).end();
    ledger
}

fn supersedes_unknown() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task_with("two", json!({"supersedes": "zero"})));
    ledger
}

fn time_implausible() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task_with("two", json!({"timestamp": "9999-12-31T23:59:59Z"})));
    ledger
}

fn commit_backdated() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let two = task("two");
    ledger.commit(&*two.message).at(BEGIN - 3600).put(&two.path, two.bytes).end();
    ledger
}

fn shallow() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let id = ledger.id("audit~1");
    ledger.sandbox.write(".git/shallow", format!("{id}\n"));
    ledger
}

fn grafts() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let [tip, root] = ["audit", "audit~2"].map(|name| ledger.id(name));
    ledger.sandbox.write(".git/info/grafts", format!("{tip} {root}\n"));
    ledger
}

fn replaced() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger.sandbox.git(&["replace", "audit~1", "audit~2"]);
    ledger
}

fn commit_graph() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    let tree = ledger.id("audit^{tree}");
    forge_commit_graph(&mut ledger, "audit~1", &tree);
    ledger
}

fn checked_out() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger.sandbox.git(&["checkout", "--quiet", "audit"]);
    ledger
}

fn work_tree_differs() -> Ledger {
    let ledger = checked_out();
    ledger.sandbox.write(ONE, task_with("one", json!({"title": "it went well"})).bytes);
    ledger
}

fn index_differs() -> Ledger {
    let ledger = checked_out();
    let blob = ledger.object("blob", task_with("one", json!({"title": "it went well"})).bytes);
    ledger.sandbox.git(&["update-index", "--cacheinfo", &format!("100644,{blob},{ONE}")]);
    ledger
}

fn pin_lost() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.verify().finds(&[]);
    ledger.move_to("audit~1");
    ledger
}

/// The tip that was verified comes in by another parent than the first: what it has moves behind what was recorded beside it.
fn pin_differs() -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let (base, three) = (ledger.tip.clone().unwrap(), task("three"));
    let pinned = ledger.record(&three);
    ledger.verify().finds(&[]);
    ledger.record_after(&base, &task("two"));
    ledger.commit("Merge what was first").merging(&pinned).put(&three.path, three.bytes).end();
    ledger
}

fn signature_missing() -> Ledger {
    let mut ledger = Ledger::in_repository(Sandbox::new());
    let policy = format!("{POLICY}\n[signing]\npolicy = \"required\"\n");
    ledger.commit("audit: init ledger").put(CONFIG, policy).end();
    ledger.record(&task("one"));
    ledger
}

#[test]
fn an_honest_ledger_is_found_no_fault_with() {
    let report = Ledger::of(&["one", "two", "three"]).verify().finds(&[]);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&3.into(), &4.into()));
    for layer in ["objects", "history", "entries", "view"] {
        assert_eq!(report.layer(layer), "ok", "{layer}");
    }
    assert!(report.answer["first_bad_commit"].is_null());
}

#[test]
fn what_was_recorded_by_the_program_is_found_no_fault_with() {
    for sandbox in [Sandbox::with_ledger(), Sandbox::beside_code()] {
        sandbox.record("one", &["--service", "web", "--title", "the first"]);
        sandbox.record("two", &["--supersedes", "one", "--plan", "nightly"]);
        let report = Ledger::in_repository(sandbox).verify().finds(&[]);
        assert_eq!(report.answer["entries"], 2);
    }
}

#[test]
fn a_ledger_without_entries_is_never_said_to_be_valid() {
    let mut begun = Ledger::of(&[]);
    begun.verify().exits(4);
    let by_the_program = Sandbox::with_ledger();
    for sandbox in [&begun.sandbox, &by_the_program] {
        for format in ["human", "json", "jsonl", "csv"] {
            let done = sandbox.audit(&["verify", "--format", format]).exits(4);
            assert!(!done.stdout.contains("valid"), "{}", done.stdout);
        }
    }
}

#[test]
fn where_there_is_no_ledger_there_is_no_verdict() {
    for sandbox in [Sandbox::empty(), Sandbox::new(), Sandbox::with_code()] {
        let done = sandbox.audit(&["verify"]).exits(1).says("error:");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn commits_of_code_between_entries_are_counted_and_left_alone() {
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("code").put("src/main.c", "int main;").end();
    ledger.commit("nothing at all").end();
    ledger.record(&task("two"));
    ledger.commit("less code").remove("src/main.c").end();
    let report = ledger.verify().finds(&[]);
    assert_eq!((&report.answer["entries"], &report.answer["commits"]), (&2.into(), &6.into()));
}
