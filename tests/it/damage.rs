//! Queries over what somebody broke: packs that are not what their index says, messages that are not what their entry
//! says, and what a killed build left.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::sandbox::{Sandbox, entry};

fn tasks(count: usize) -> String {
    (0..count).map(|number| format!("{}\n", entry(&format!("t-{number}")))).collect()
}

/// A ledger in one pack.
fn packed(count: usize) -> Sandbox {
    let sandbox = Sandbox::beside_code();
    sandbox.audit_with_input(&["import", "-"], tasks(count)).exits(0);
    sandbox.git(&["repack", "-q", "-a", "-d"]);
    sandbox
}

#[test]
fn an_index_of_a_pack_that_points_elsewhere_is_an_error_and_never_a_walk_without_end() {
    let sandbox = packed(12);
    let packs = fs::read_dir(sandbox.path(".git/objects/pack")).unwrap().map(|file| file.unwrap().path());
    let index = packs.into_iter().find(|path| path.extension().is_some_and(|end| end == "idx")).unwrap();
    let mut bytes = fs::read(&index).unwrap();
    let count = u32::from_be_bytes(bytes[8 + 255 * 4..8 + 256 * 4].try_into().unwrap()) as usize;
    let offsets = 8 + 1024 + count * 24;
    let parent = sandbox.git(&["rev-parse", "audit~1"]);
    let child = sandbox.git(&["rev-parse", "audit"]);
    let place = |id: &str| {
        let ids = bytes[8 + 1024..].chunks_exact(20).take(count);
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        offsets + 4 * ids.into_iter().position(|found| hex(found) == id.trim()).unwrap()
    };
    let (parent, child) = (place(&parent), place(&child));
    bytes.copy_within(child..child + 4, parent);
    fs::set_permissions(&index, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&index, bytes).unwrap();
    for question in [&["log", "--no-index"][..], &["log", "--count"], &["index", "rebuild"], &["show", "t-3"]]
    {
        let done = sandbox.audit(question).exits(1);
        assert!(done.stderr.contains("error:"), "{}", done.stderr);
    }
}

#[test]
fn a_message_that_says_other_than_its_entry_is_named_by_both_ways() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("honest", &[]);
    sandbox.record("liar", &[]);
    let message = sandbox.git(&["log", "-1", "--format=%B"]).replace("completed", "failed");
    sandbox.git_as_user(&["commit", "--quiet", "--amend", "--no-verify", "-m", message.trim()]);
    for way in [&["log", "--json"][..], &["log", "--json", "--no-index"]] {
        let done = sandbox.audit(way).exits(0).says("says something else of task liar than its entry");
        assert_eq!(done.json()["total"], 2);
    }
    // The walk reads messages first; but it shows nothing that does not fit.
    let failed = sandbox.audit(&["log", "--status", "failed", "--no-index", "--format", "jsonl"]).exits(0);
    assert_eq!(failed.stdout, "");
}

#[test]
fn a_page_over_a_gap_can_be_continued() {
    let origin = Sandbox::beside_code();
    origin.audit_with_input(&["record"], tasks(4)).exits(0);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "."]);
    let first = clone.audit(&["log", "--json", "--limit", "1"]).exits(0).json();
    assert_eq!((&first["entries"], &first["more"]), (&json!([]), &true.into()));
    let next = clone.audit(&["log", "--json", "--limit", "3", "--after", first["cursor"].as_str().unwrap()]);
    assert_eq!(next.exits(0).json()["more"], false);
}

#[test]
fn hundreds_of_values_are_a_question_and_no_damage() {
    let sandbox = packed(3);
    sandbox.audit(&["log", "--count"]).exits(0);
    let ids: Vec<_> = (0..2000).map(|number| format!("{number:040x}")).collect();
    for flag in ["--ref", "--task", "--repo-id"] {
        let flags = ids.iter().flat_map(|id| [flag, id.as_str()]);
        let question: Vec<_> = ["artifacts", "--count"].into_iter().chain(flags).collect();
        let done = sandbox.audit(&question).exits(0);
        assert_eq!(done.stdout, "0\n");
        assert!(!done.stderr.contains("damaged") && done.stderr.len() < 300, "{}", done.stderr);
    }
}

#[test]
fn what_a_killed_build_left_is_removed_by_the_next_query() {
    let sandbox = packed(2);
    sandbox.audit(&["log"]).exits(0);
    let left = sandbox.path(".git/git-audit/index.sqlite3.new");
    fs::write(&left, "half an index").unwrap();
    sandbox.audit(&["log"]).exits(0);
    assert!(!left.exists());
}

#[test]
fn an_index_in_the_users_cache_is_the_users_alone() {
    let sandbox = packed(2);
    let state = sandbox.path(".git/git-audit");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "in the way").unwrap();
    sandbox.audit(&["log", "-v"]).exits(0).says("answered by the index");
    let cache = sandbox.root().join("home/.cache/git-audit");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    for file in fs::read_dir(&cache).unwrap().map(|file| file.unwrap().path()) {
        if !file.to_str().unwrap().ends_with("lock") {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}
