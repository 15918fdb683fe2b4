//! Objects whose hash is right and whose shape is not: trees and commits that git itself would not write.

use git_audit::verify::report::Code;

use serde_json::json;

use crate::tamper::{Ledger, Report, task, task_with};

/// A ledger whose last commit, which says that it adds `two`, has this tree as `.audit/tasks`, or in another place.
fn with_tree(path: &str, tree: impl FnOnce(&Ledger, [&str; 2]) -> String) -> Ledger {
    let mut ledger = Ledger::of(&["one"]);
    let (one, two) = (ledger.id("audit:.audit/tasks/one.json"), task("two"));
    let blob = ledger.object("blob", &two.bytes);
    let tree = tree(&ledger, [&one, &blob]);
    ledger.commit(&*two.message).link("040000", path, &tree).end();
    ledger
}

#[track_caller]
fn is_malformed(mut ledger: Ledger) -> Report {
    let report = ledger.verify().exits(3);
    assert!(report.codes().contains(&"object-malformed"), "{:#}", report.answer);
    report
}

#[test]
fn a_tree_whose_names_are_not_sorted_or_come_twice_is_malformed() {
    let tasks = ".audit/tasks";
    let report = is_malformed(with_tree(tasks, |ledger, [one, two]| {
        ledger.tree(&[("100644", "two.json", two), ("100644", "one.json", one)])
    }));
    assert_eq!(report.layer("objects"), "failed");
    is_malformed(with_tree(tasks, |ledger, [one, two]| {
        ledger.tree(&[("100644", "one.json", one), ("100644", "two.json", two), ("100644", "two.json", one)])
    }));
    is_malformed(with_tree(tasks, |ledger, [one, two]| {
        let folder = ledger.tree(&[("100644", "b", two)]);
        let names =
            [("100644", "one.json", one), ("40000", "two.json", &folder), ("100644", "two.json", two)];
        ledger.tree(&names)
    }));
}

#[test]
fn a_tree_with_a_name_that_is_none_is_malformed() {
    for name in ["", ".", "..", "a/b"] {
        is_malformed(with_tree(".audit/tasks", |ledger, [one, two]| {
            let mut names =
                vec![("100644", name, two), ("100644", "one.json", one), ("100644", "two.json", two)];
            names.sort_by_key(|(_, name, _)| *name);
            ledger.tree(&names)
        }));
    }
}

#[test]
fn a_tree_that_is_cut_or_has_odd_modes_is_malformed() {
    for mode in ["0100644", "644", "abc", "", "40000 ", "777777777777777777777777"] {
        is_malformed(with_tree(".audit/tasks", |ledger, [one, two]| {
            ledger.tree(&[("100644", "one.json", one), (mode, "two.json", two)])
        }));
    }
    for cut in [1, 19, 20, 21, 25] {
        is_malformed(with_tree(".audit/tasks", |ledger, [one, two]| {
            let whole = ledger.tree(&[("100644", "one.json", one), ("100644", "two.json", two)]);
            let bytes = ledger.sandbox.git_bytes(&["cat-file", "tree", &whole]);
            ledger.object("tree", &bytes[..bytes.len() - cut])
        }));
    }
}

#[test]
fn an_object_of_another_kind_than_the_history_says_is_found() {
    // A blob as a directory, a directory as an entry.
    for in_tasks in [true, false] {
        let mut ledger = Ledger::of(&["one"]);
        let names = ["audit:.audit/tasks/one.json", "audit:.audit/tasks", "audit:.audit/config.toml"];
        let [one, tasks, config] = names.map(|name| ledger.id(name));
        let tasks = match in_tasks {
            true => ledger.tree(&[("100644", "one.json", &one), ("100644", "two.json", &tasks)]),
            false => one,
        };
        let audit = ledger.tree(&[("100644", "config.toml", &config), ("40000", "tasks", &tasks)]);
        let root = ledger.tree(&[("40000", ".audit", &audit)]);
        ledger.record(&task("two"));
        replace_line(&mut ledger, "tree ", &root);
        ledger.verify().exits(3);
    }
    // A blob as a parent and as the tree of a commit, a tree as a parent, a commit as a tree.
    for (header, other) in [
        ("parent ", "audit:.audit/tasks/one.json"),
        ("tree ", "audit:.audit/tasks/one.json"),
        ("parent ", "audit^{tree}"),
        ("tree ", "audit~1"),
    ] {
        let mut ledger = Ledger::of(&["one", "two"]);
        let other = ledger.id(other);
        replace_line(&mut ledger, header, &other);
        let report = ledger.verify().exits(3);
        assert_ne!(report.layer("objects"), "ok", "{:#}", report.answer);
    }
}

/// Puts an id into a header of the tip's commit.
fn replace_line(ledger: &mut Ledger, header: &str, id: &str) {
    ledger.reshape(|bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let line = text.lines().find(|line| line.starts_with(header)).unwrap();
        text.replace(line, &format!("{header}{id}")).into_bytes()
    });
}

#[test]
fn a_long_way_down_is_answered() {
    for top in ["code", ".audit/deep", ".audit/tasks/deep"] {
        let mut ledger = Ledger::of(&["one"]);
        let path = format!("{top}{}/file", "/a".repeat(1500));
        ledger.commit("deep").put(&path, "at the bottom").end();
        // Nothing of the ledger's is that deep, and what is not followed is not taken for sound.
        ledger.verify().exits(if top == "code" { 0 } else { 3 });
    }
}

#[test]
fn commits_with_headers_that_others_write_are_no_matter() {
    let signed_tag = "mergetag object 1234567890123456789012345678901234567890\n type commit\n tag v1\n tagger A <a@b> 0 +0000\n \n text\n";
    for header in [signed_tag, "HG:extra something\n", "x \n"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.reword("+0000\n\n", &format!("+0000\n{header}\n"));
        ledger.verify().finds(&[]);
    }
    for (old, new) in
        [("author Dev <dev@example.com>", "author  <>"), ("author Dev", "author D\u{e9}v \u{202e}")]
    {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.reword(old, new);
        ledger.verify().finds(&[]);
    }
}

/// git would show the message recoded, so that it says something else than its bytes.
#[test]
fn a_message_that_git_is_told_to_read_otherwise_is_found() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.reword("+0000\n\n", "+0000\nencoding UTF-7\n\n");
    ledger.verify().finds(&[Code::SubjectDiffers]);
    // NUL is where git stops to read.
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.reword("audit: task", "a day's work\0audit: task");
    ledger.verify().finds(&[Code::SubjectDiffers]);
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.reword("Audit-Status", "\0Audit-Status");
    ledger.verify().finds(&[Code::TrailerForged]);
}

/// Whatever is odd at the top of the tree, what is in the ledger's directory is not overlooked.
#[test]
fn an_edited_entry_under_an_odd_top_is_not_overlooked() {
    for odd in 0..7 {
        let mut ledger = Ledger::of(&["one", "two"]);
        let [config, two, old] =
            ["config.toml", "tasks/two.json", ""].map(|path| ledger.id(&format!("audit:.audit/{path}")));
        let edited = ledger.object("blob", task_with("one", json!({"title": "it went well"})).bytes);
        let tasks = ledger.tree(&[("100644", "one.json", &edited), ("100644", "two.json", &two)]);
        let audit = ledger.tree(&[("100644", "config.toml", &config), ("40000", "tasks", &tasks)]);
        let (new, old) = (("40000", ".audit", audit.as_str()), ("40000", ".audit", old.as_str()));
        let names = match odd {
            0 => vec![old, new],
            1 => vec![new, old],
            2 => vec![("040000", ".audit", audit.as_str())],
            3 => vec![("100644", ".audit", audit.as_str())],
            4 => vec![("100644", ".audit", two.as_str()), new],
            5 => vec![("100644", "z", two.as_str()), new],
            _ => vec![("40000", "", audit.as_str()), new],
        };
        let top = ledger.tree(&names);
        ledger.commit("a word").end();
        replace_line(&mut ledger, "tree ", &top);
        let tip = ledger.id("refs/heads/audit");
        let report = ledger.verify().exits(3);
        assert_eq!(report.answer["first_bad_commit"], tip.as_str(), "{odd}: {:#}", report.answer);
    }
}

#[test]
fn code_of_old_repositories_has_modes_that_git_no_longer_writes() {
    let mut ledger = Ledger::of(&[]);
    let audit = ledger.id("audit:.audit");
    let file = ledger.object("blob", "int main;");
    let inner = ledger.tree(&[("100664", "main.c", &file)]);
    for names in [
        [("40000", ".audit", &audit), ("100664", "main.c", &file)],
        [("40000", ".audit", &audit), ("040000", "src", &inner)],
    ] {
        let tree = ledger.tree(&names.map(|(mode, name, id)| (mode, name, id.as_str())));
        let tip = ledger.id("audit");
        let person = "Dev <dev@example.com> 1795075380 +0000";
        let old = format!("tree {tree}\nparent {tip}\nauthor {person}\ncommitter {person}\n\nlong ago\n");
        let old = ledger.object("commit", old);
        ledger.move_to(&old);
    }
    ledger.record(&task("one"));
    ledger.verify().finds(&[]);
}

#[test]
fn a_commit_in_another_shape_is_malformed() {
    let person = "Dev <dev@example.com> 1795075380 +0000";
    let (author, committer) = (format!("author {person}\n"), format!("committer {person}\n"));
    let cases = [
        (author.clone(), String::new()),
        (committer.clone(), String::new()),
        (format!("{author}{committer}"), format!("{committer}{author}")),
        (author.clone(), format!("{author}{author}")),
        (committer.clone(), "committer Dev\n".to_owned()),
        (committer.clone(), committer.replace("1795075380", "noon")),
        (committer.clone(), committer.replace("1795075380", "99999999999999999999999")),
        ("tree ".to_owned(), "Tree ".to_owned()),
        ("tree ".to_owned(), "tree 0".to_owned()),
        ("parent ".to_owned(), "parent ABCDEF".to_owned()),
    ];
    for (old, new) in cases {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.reword(&old, &new);
        let report = ledger.verify().exits(3);
        assert!(report.codes().contains(&"object-malformed"), "{old:?} as {new:?}: {:#}", report.answer);
    }
    for bytes in [&b""[..], b"\n", b"tree", b"\0\0\0\0", b"tree \xff\n\n"] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.reshape(|_| bytes.to_vec());
        // A branch may not be at such a thing: git would not say that there is a ledger.
        let done = ledger.sandbox.audit(&["verify"]);
        assert!([1, 3].contains(&done.code), "{done:?}");
    }
}

#[test]
fn a_commit_before_the_epoch_is_dated_so() {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task_with("two", json!({"timestamp": "1969-12-31T12:00:00Z"})));
    ledger.reword("committer Dev <dev@example.com> 1795075380", "committer Dev <dev@example.com> -1");
    ledger.verify().finds(&[Code::CommitBackdated]);
}

#[test]
fn a_garbled_signature_where_none_is_required_is_not_taken_for_one() {
    for header in [
        "gpgsig -----BEGIN SSH SIGNATURE-----\n garbage\n -----END SSH SIGNATURE-----\n",
        "gpgsig \n",
        "gpgsig x\ngpgsig y\n",
    ] {
        let mut ledger = Ledger::of(&["one", "two"]);
        ledger.reword("+0000\n\n", &format!("+0000\n{header}\n"));
        let report = ledger.verify();
        assert_ne!(report.layer("signatures"), "ok", "{:#}", report.answer);
    }
}

#[test]
fn a_commit_of_ten_thousand_parents_is_answered_in_time() {
    let mut ledger = Ledger::of(&["one"]);
    let base = ledger.tip.clone().unwrap();
    let sides: Vec<_> =
        (0..10_000).map(|number| ledger.commit(format!("{number}")).after(&base).end()).collect();
    let mut merge = ledger.commit("Merge all of them").after(&base);
    for side in &sides {
        merge = merge.merging(side);
    }
    merge.end();
    ledger.record(&task("two"));
    assert_eq!(ledger.verify().finds(&[]).answer["commits"], 10_004);
    // The same parent ten thousand times.
    let mut ledger = Ledger::of(&["one", "two"]);
    let parent = format!("parent {}\n", ledger.id("audit~1"));
    ledger.reword(&parent, &parent.repeat(10_000));
    ledger.verify();
}

#[test]
fn a_history_whose_objects_point_at_nothing_is_found_with_the_first_that_lacks() {
    let mut ledger = Ledger::of(&["one", "two"]);
    let parent = format!("parent {}", ledger.id("audit~1"));
    ledger.reword(&parent, "parent 1234567890123456789012345678901234567890");
    let report = ledger.verify().exits(3);
    let finding = report.finding(Code::ObjectMissing);
    assert!(finding.to_string().contains("1234567890123456789012345678901234567890"), "{finding:#}");
}
