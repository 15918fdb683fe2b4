//! What an entry holds, and what its commit says of it.

use git_audit::verify::report::Code;
use serde_json::json;

use crate::tamper::{BEGIN, Ledger, Task, task, task_with};

/// What is found in a ledger that has this task between two honest ones.
#[track_caller]
fn finds(task_of_two: &Task, codes: &[Code]) {
    let mut ledger = Ledger::of(&["one"]);
    let bad = ledger.record(task_of_two);
    ledger.record(&task("three"));
    let bad = ledger.id(&bad);
    let report = ledger.verify();
    for code in codes {
        let finding = report.finding(*code);
        assert_eq!(
            (&finding["commit"], &finding["path"]),
            (&bad.as_str().into(), &task_of_two.path.as_str().into())
        );
    }
    report.finds(codes);
}

#[test]
fn what_is_no_entry_is_invalid_whatever_its_digest_says() {
    let stored = String::from_utf8(task("two").bytes).unwrap();
    let body = stored.trim_end().trim_end_matches('}').trim_end();
    let deep = format!("{body},\n  \"deep\": {}1{}\n}}\n", "[".repeat(5000), "]".repeat(5000));
    let large = format!("{body},\n  \"large\": \"{}\"\n}}\n", "x".repeat(2 << 20));
    let texts = [
        String::new(),
        "\n".into(),
        "{".into(),
        "[]\n".into(),
        "null\n".into(),
        "not JSON\n".into(),
        stored[..stored.len() / 2].into(),
        format!("{stored}{{}}\n"),
        format!("{stored}\0"),
        format!("\u{feff}{stored}"),
        format!("{body},\n  \"status\": \"failed\"\n}}\n"),
        format!("{body},\n  \"\\u0073tatus\": \"failed\"\n}}\n"),
        stored.replace("\"title\": \"two\"", "\"title\": \"t\0wo\""),
        stored.replace("\"title\": \"two\"", "\"title\": \"\\ud800\""),
        stored.replace("\"title\": \"two\"", "\"title\": 1e999"),
        stored.replace("\"title\": \"two\"", "\"count\": 123456789012345678901234567890"),
        stored.replace("\"completed\"", "\"perhaps\""),
        stored.replace("2026-11-19T08:00:00Z", "yesterday"),
        stored.replace("entry/v1", "entry/v2"),
        stored.replace("\"task_id\": \"two\",", ""),
        deep,
        large,
    ];
    for text in texts {
        let mut ledger = Ledger::of(&["one"]);
        ledger.record(&task("two").holding(text.clone()));
        let report = ledger.verify();
        assert_eq!(
            report.codes(),
            ["entry-invalid"],
            "{:?}: {:#}",
            &text[..text.len().min(300)],
            report.answer
        );
        report.exits(3);
    }
    let not_text = task("two").holding(b"{\"task_id\": \"two\", \"status\": \"\xff\"}\n".as_slice());
    finds(&not_text, &[Code::EntryInvalid]);
}

#[test]
fn an_entry_in_another_form_is_odd_and_valid() {
    let two = task("two");
    for (old, new) in [
        ("\n", "\r\n"),
        ("{\n", "{\n\n"),
        ("  \"", "\t\""),
        ("}\n", "}"),
        ("\"title\"", "\"\\u0074itle\""),
        ("2026-11-19T08:00:00Z", "2026-11-19T09:00:00+01:00"),
    ] {
        let odd = two.clone().with(old, new);
        finds(&odd, &[Code::EntryForm]);
    }
}

#[test]
fn an_entry_of_another_task_than_its_file_name_is_found() {
    finds(&task("two").at(".audit/tasks/zwei.json"), &[Code::TaskIdDiffers]);
    // In other letters it is another name.
    finds(&task("two").at(".audit/tasks/Two.json"), &[Code::TaskIdDiffers]);
}

#[test]
fn a_digest_that_is_not_that_of_the_bytes_is_found() {
    let two = task("two");
    let digest = two.message.split_once("sha256:").unwrap().1.trim().to_owned();
    let line = format!("Audit-Digest: sha256:{digest}\n");
    for said in [
        String::new(),
        "Audit-Digest: \n".into(),
        line.replace("sha256:", ""),
        line.replace("sha256:", "sha1:"),
        line.replace(&digest, &digest.to_uppercase()),
        line.replace(&digest, &digest[..63]),
        line.replace(&digest, &"0".repeat(64)),
        format!("{}{line}", line.replace(&digest, &"0".repeat(64))),
        format!("{line}{}", line.replace(&digest, &"0".repeat(64))),
    ] {
        let forged = two.clone().saying(&line, &said);
        let mut ledger = Ledger::of(&["one"]);
        ledger.record(&forged);
        let report = ledger.verify().exits(3);
        assert!(report.codes().contains(&"digest-differs"), "{said:?}: {:#}", report.answer);
    }
}

#[test]
fn a_subject_that_is_not_the_entrys_is_found() {
    for (old, new) in [
        ("audit: task two", "audit: task three"),
        ("two completed", "two failed"),
        ("at 2026-11-19T08:00:00Z", "at 2026-11-19T08:00:01Z"),
        ("at 2026-11-19T08:00:00Z", "at 2026-11-19T09:00:00+01:00"),
        ("at 2026-11-19T08:00:00Z", "at 2026-11-19T08:00:00Z "),
        ("audit: task two", "Audit: task two"),
        ("audit: task two completed at 2026-11-19T08:00:00Z", "the second task"),
    ] {
        finds(&task("two").saying(old, new), &[Code::SubjectDiffers]);
    }
}

#[test]
fn a_trailer_that_the_entry_does_not_yield_is_found() {
    let result = json!({"execution_result": {"services_touched": ["web", "shop"]}, "plan_id": "nightly"});
    let two = task_with("two", result);
    for (old, new) in [
        ("Audit-Task: two", "Audit-Task: three"),
        ("Audit-Status: completed", "Audit-Status: failed"),
        ("Audit-Plan: nightly", "Audit-Plan: weekly"),
        ("Audit-Plan: nightly", "Audit-Plan: nightly\nAudit-Plan: nightly"),
        ("Audit-Plan: nightly", "Audit-Plan: nightly\nAudit-Color: red"),
        ("Audit-Plan: nightly", "Audit-Plan: nightly\nAudit-Agent: somebody"),
        ("Audit-Service: web\nAudit-Service: shop", "Audit-Service: shop\nAudit-Service: web"),
        ("Audit-Service: web", "Audit-Service: web\nAudit-Service: web"),
        ("Audit-Service: web", "Audit-Service: web\nAudit-Supersedes: one"),
        ("Audit-Task: two", "Audit-Task: two\nAudit-Task: two"),
    ] {
        let mut ledger = Ledger::of(&["one"]);
        ledger.record(&two.clone().saying(old, new));
        let report = ledger.verify();
        assert_eq!(report.codes(), ["trailer-forged"], "{new:?}: {:#}", report.answer);
        report.exits(3);
    }
}

#[test]
fn trailers_that_git_reads_and_that_stand_elsewhere_are_found() {
    // git takes names in any letters, and blanks around the colon, as the same trailer.
    for forged in
        ["audit-status: failed", "AUDIT-STATUS: failed", "Audit-Status : failed", "Audit-Status:failed"]
    {
        let two = task("two").saying("Audit-Digest", &format!("{forged}\nAudit-Digest"));
        let mut ledger = Ledger::of(&["one"]);
        ledger.record(&two);
        let report = ledger.verify().exits(3);
        assert!(report.codes().contains(&"trailer-forged"), "{forged}: {:#}", report.answer);
    }
    // git reads the last block alone.
    let two = task("two");
    let message = format!("{}\nAudit-Task: two\nAudit-Status: failed\n", two.message);
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&Task { message, ..two });
    let report = ledger.verify().exits(3);
    assert_eq!(report.layer("entries"), "failed");
}

#[test]
fn trailers_that_are_lacking_are_a_warning() {
    let two = task_with("two", json!({"execution_result": {"services_touched": ["web", "shop"]}}));
    for lacking in [
        "Audit-Service: web\n",
        "Audit-Service: shop\n",
        "Audit-Status: completed\n",
        "Audit-Service: web\nAudit-Service: shop\n",
    ] {
        finds(&two.clone().saying(lacking, ""), &[Code::TrailerMissing]);
    }
}

#[test]
fn what_an_entry_corrects_must_be_in_the_ledger_and_not_be_itself() {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.record(&task_with("three", json!({"supersedes": "one"})));
    ledger.verify().finds(&[]);
    finds(&task_with("two", json!({"supersedes": "nowhere"})), &[Code::SupersedesUnknown]);
    let itself = task_with("two", json!({"supersedes": "one"}))
        .with("\"supersedes\": \"one\"", "\"supersedes\": \"two\"");
    finds(&itself.saying("Audit-Supersedes: one", "Audit-Supersedes: two"), &[Code::EntryInvalid]);
}

/// As after a merge, whose order is not that of the records.
#[test]
fn what_an_entry_corrects_may_come_after_it() {
    let mut ledger = Ledger::of(&["one"]);
    ledger.record(&task_with("two", json!({"supersedes": "three"})));
    ledger.record(&task("three"));
    ledger.verify().finds(&[]);
}

#[test]
fn times_that_cannot_be_are_a_warning_and_the_past_is_none() {
    for fields in [
        json!({"timestamp": "9999-12-31T23:59:59Z"}),
        json!({"timestamp": "2026-11-20T08:10:00Z"}),
        json!({"execution_result": {"start_time": "2026-11-19T08:00:00Z", "end_time": "2026-11-19T07:59:59Z"}}),
    ] {
        finds(&task_with("two", fields), &[Code::TimeImplausible]);
    }
    for timestamp in
        ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-11-20T07:00:00Z"]
    {
        finds(&task_with("two", json!({"timestamp": timestamp})), &[]);
    }
}

#[test]
fn a_commit_that_is_dated_long_before_one_that_it_follows_is_a_warning() {
    for (at, codes) in [
        (BEGIN - 1, [].as_slice()),
        (BEGIN - 3600, &[Code::CommitBackdated]),
        (BEGIN - 86_000, &[Code::CommitBackdated]),
    ] {
        let mut ledger = Ledger::of(&["one"]);
        let two = task("two");
        ledger.commit(&*two.message).at(at).put(&two.path, &two.bytes).end();
        ledger.verify().finds(codes);
    }
    // Also before one that is not its parent.
    let mut ledger = Ledger::of(&["one"]);
    for (id, at) in [("two", BEGIN + 1000), ("three", BEGIN + 800), ("four", BEGIN + 600)] {
        let task = task(id);
        ledger.commit(&*task.message).at(at).put(&task.path, &task.bytes).end();
    }
    let report = ledger.verify().finds(&[Code::CommitBackdated]);
    assert_eq!(report.answer["finding_counts"]["commit-backdated"], 1);
}

#[test]
fn the_message_of_an_entry_that_is_not_added_is_found() {
    for id in ["one", "two"] {
        let mut ledger = Ledger::of(&["one"]);
        ledger.commit(task(id).message).put("src/main.c", "int main;").end();
        ledger.verify().finds(&[Code::MessageWithoutEntry]);
    }
    // Plain git takes the half of it for a task as well.
    for message in ["audit: task two failed at noon\n", "a chat\n\nAudit-Status: failed\n"] {
        let mut ledger = Ledger::of(&["one"]);
        ledger.commit(message).end();
        ledger.verify().finds(&[Code::MessageWithoutEntry]);
    }
    // A commit of code may say what it likes otherwise.
    let mut ledger = Ledger::of(&["one"]);
    ledger.commit("audit: task two is not done yet\n").put("src/main.c", "int main;").end();
    ledger.verify().finds(&[]);
}
