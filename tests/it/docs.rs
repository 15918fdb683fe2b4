//! Documents that cannot rot: what they show is run, and compared.
//!
//! Run with `UPDATE_DOCS=1` to put the real output into the documents.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sandbox::{Sandbox, run};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A command of a document, and the output it shows.
struct Example {
    command: String,
    shown: String,
    /// Where the output stands: the numbers of its lines.
    lines: std::ops::Range<usize>,
}

/// The examples of a document in order: each `$ ` line of a `console` block with what follows it, and each `sh` block
/// as one command that shows nothing.
fn examples(text: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut block = "";
    for (number, line) in text.lines().enumerate() {
        if let Some(kind) = line.strip_prefix("```") {
            block = if block.is_empty() { kind } else { "" };
            if block == "sh" {
                found.push(Example { command: String::new(), shown: String::new(), lines: number..number });
            }
            continue;
        }
        match (block, line.strip_prefix("$ ")) {
            ("console", Some(command)) => {
                let lines = number + 1..number + 1;
                found.push(Example { command: command.to_owned(), shown: String::new(), lines });
            }
            ("console", None) => {
                let example = found.last_mut().unwrap();
                example.shown.push_str(&format!("{line}\n"));
                example.lines.end = number + 1;
            }
            ("sh", _) => found.last_mut().unwrap().command.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    found
}

/// Runs the commands one after the other in one shell; what each printed, both streams together.
fn outputs(examples: &[Example]) -> Vec<String> {
    let sandbox = Sandbox::empty();
    let config = "[user]\n\tname = Dev\n\temail = dev@example.com\n[init]\n\tdefaultBranch = main\n";
    fs::write(sandbox.root().join("home/.gitconfig"), config).unwrap();
    let mut script = "exec 2>&1\nexport GIT_AUTHOR_DATE=$GIT_AUDIT_TEST_NOW GIT_COMMITTER_DATE=$GIT_AUDIT_TEST_NOW GIT_PAGER=cat\n".to_owned();
    for example in examples {
        // The mark must not change what the next command sees as `$?`.
        script
            .push_str(&format!("{}\n__code=$?; printf '\\1'; (exit $__code)\n", example.command.trim_end()));
    }
    let script = sandbox.input("script", script);
    let printed = run(sandbox.command("bash").arg(script)).stdout;
    // The folder has another name each time.
    let printed = printed.replace(&*sandbox.root().to_string_lossy(), "/home/dev");
    let mut outputs: Vec<_> = printed.split('\u{1}').map(str::to_owned).collect();
    assert_eq!(outputs.pop().as_deref(), Some(""), "the shell stopped early: {printed}");
    outputs
}

/// Without what differs from run to run or by layout: ids, times, blanks and line breaks.
fn comparable(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let mut kept = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let hex =
            rest.find(|character: char| !matches!(character, '0'..='9' | 'a'..='f')).unwrap_or(rest.len());
        let time = rest
            .find(|character: char| !matches!(character, '0'..='9' | ':' | '.' | '-' | 'T' | 'Z' | '+'))
            .unwrap_or(rest.len());
        // A commit's id may follow that begins with digits.
        let time = rest[..time].find('Z').map_or(time, |end| end + 1);
        // First: an id can be all digits, and a colon can follow it. The digits of a time are four at most.
        if hex >= 7 {
            kept.push('#');
            rest = &rest[hex..];
        } else if time >= 10 && rest[..time].contains(':') {
            kept.push('@');
            rest = &rest[time..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

fn check(path: &str) {
    let path = project(path);
    let text = fs::read_to_string(&path).unwrap();
    let examples = examples(&text);
    assert!(examples.len() > 4);
    let outputs = outputs(&examples);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for (example, output) in examples.iter().zip(&outputs).rev() {
            let wrapped = output.lines().flat_map(wrap);
            lines.splice(example.lines.clone(), wrapped);
        }
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        return;
    }
    for (example, output) in examples.iter().zip(&outputs) {
        let place = format!("{}:{}: $ {}", path.display(), example.lines.start, example.command);
        assert_eq!(
            comparable(&example.shown),
            comparable(output),
            "{place}\n{output}\nrun with UPDATE_DOCS=1 to mend it"
        );
    }
}

fn wrap(line: &str) -> Vec<String> {
    let characters: Vec<_> = line.chars().collect();
    if characters.len() <= 120 {
        return vec![line.to_owned()];
    }
    characters.chunks(112).map(|part| part.iter().collect()).collect()
}

#[test]
fn the_readme_shows_what_the_commands_print() {
    // It makes a key.
    if std::process::Command::new("ssh-keygen").arg("-?").output().is_ok() {
        check("README.md");
    }
}

#[test]
fn the_output_document_shows_what_the_commands_print() {
    check("docs/OUTPUT.md");
}

#[test]
fn the_journal_document_shows_what_the_commands_print() {
    check("docs/JOURNAL.md");
}

#[test]
fn the_document_on_verifying_shows_what_the_commands_print() {
    check("docs/VERIFY.md");
}

#[test]
fn the_document_on_verifying_lists_the_findings_that_there_are() {
    let text = fs::read_to_string(project("docs/VERIFY.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("The findings")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<_> = rows.map(|row| row.split(" | ").take(4).collect::<Vec<_>>().join(" | ")).collect();
    let codes = git_audit::verify::report::Code::ALL.iter().map(|code| {
        let (layer, severity) = (code.layer().as_str(), code.severity().as_str());
        format!("| `{}` | {layer} | {severity} | {}", code.as_str(), code.meaning())
    });
    assert_eq!(listed, codes.collect::<Vec<_>>());
}

#[test]
fn the_index_document_shows_what_sqlite_prints() {
    // The program is for whoever wants it; the product does not need it.
    if std::process::Command::new("sqlite3").arg("-version").output().is_ok() {
        check("docs/INDEX.md");
    }
}

#[test]
fn the_index_document_names_the_columns_that_the_views_have() {
    let sandbox = Sandbox::with_ledger();
    sandbox.audit(&["log"]).exits(0);
    let file = sandbox.audit(&["index", "path"]).exits(0).stdout;
    let index = rusqlite::Connection::open(file.trim_end()).unwrap();
    let names = |text: &str| {
        let mut statement = index.prepare(text).unwrap();
        let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        names.map(Result::unwrap).collect::<Vec<_>>()
    };
    let text = fs::read_to_string(project("docs/INDEX.md")).unwrap();
    let mut documented: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.split("\n## The views\n").nth(1).unwrap().lines() {
        let named = |begin: &str| line.strip_prefix(begin)?.split_once('`').map(|(name, _)| name.to_owned());
        match (named("### `"), named("| `")) {
            (Some(view), _) => documented.push((view, Vec::new())),
            (_, Some(column)) => documented.last_mut().unwrap().1.push(column),
            _ => {}
        }
    }
    let views = names("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY rowid");
    assert_eq!(documented.iter().map(|(view, _)| view.clone()).collect::<Vec<_>>(), views);
    for (view, columns) in documented {
        assert_eq!(columns, names(&format!("SELECT name FROM pragma_table_info('{view}')")), "{view}");
    }
    let facets = git_audit::entry::Facet::ALL.map(|facet| format!("`{}`", facet.name()));
    assert!(facets.iter().all(|facet| text.contains(facet)));
}

/// Blocks of a document that are indented by four blanks, without the indent.
fn indented_blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(inner) => blocks.last_mut().unwrap().push_str(&format!("{inner}\n")),
            None if line.is_empty() && !blocks.last().unwrap().is_empty() => {
                blocks.last_mut().unwrap().push('\n')
            }
            None => blocks.push(String::new()),
        }
    }
    blocks.iter().map(|block| format!("{}\n", block.trim_end())).filter(|block| block.len() > 1).collect()
}

#[test]
fn the_worked_vector_of_the_format_is_what_is_recorded() {
    let text = fs::read_to_string(project("docs/FORMAT.md")).unwrap();
    let blocks = indented_blocks(&text);
    let starting = |with: &str| {
        blocks.iter().find(|block| block.starts_with(with)).unwrap_or_else(|| panic!("no block {with}"))
    };
    let input = starting("{\"status\": \"failed\", \"task_id\": \"task-1\"");
    let stored = starting("{\n  \"schema\"");
    let commit = starting("tree ");

    let sandbox = Sandbox::with_ledger();
    let mut command = sandbox.audit_command(&["record", &sandbox.input("vector.json", input)]);
    run(command.env("GIT_AUDIT_TEST_NOW", "2026-11-20T12:31:00Z")).exits(0);
    assert_eq!(&sandbox.audit(&["show", "task-1", "--raw"]).exits(0).stdout, stored);
    let body = |commit: &str| commit.split_once("\nauthor ").unwrap().1.to_owned();
    assert_eq!(body(&sandbox.git(&["cat-file", "commit", "main"])), body(commit));
    let blob = sandbox.git(&["rev-parse", "main:.audit/tasks/task-1.json"]);
    assert!(text.contains(blob.trim()));
    let hashes = run(sandbox.command("sh").args(["-c", "git show main:.audit/tasks/task-1.json | sha256sum; git log -1 --format=%B main | head -c -1 | sha256sum"]));
    for hash in hashes.stdout.lines() {
        assert!(text.contains(hash.split(' ').next().unwrap()), "{hash}");
    }
}

#[test]
fn exit_codes_are_the_same_in_every_text() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let output = fs::read_to_string(project("docs/OUTPUT.md")).unwrap();
    let help = Sandbox::empty().audit(&["-h"]).exits(0).stdout;
    for code in [0, 1, 2, 3, 4, 5, 6, 7] {
        for text in [&readme, &output] {
            assert!(text.contains(&format!("\n| {code} | ")), "{code}");
        }
        assert!(help.contains(&format!("{code} ")), "{help}");
    }
}

#[test]
fn every_flag_that_callers_rely_on_is_in_the_help_of_record() {
    let help = Sandbox::empty().audit(&["record", "-h"]).exits(0).stdout;
    for flag in [
        "--task-id",
        "--status",
        "--title",
        "--plan",
        "--step",
        "--service",
        "--intent",
        "--agent",
        "--pool",
        "--start",
        "--end",
        "--outcome",
        "--error",
        "--init",
        "--strict",
        "--timeout",
        "--format",
        "--json",
        "--timestamp",
        "--supersedes",
        "--metadata",
    ] {
        assert!(help.contains(&format!(" {flag}")), "{flag}");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut documents = vec![
        project("README.md"),
        project("CHANGELOG.md"),
        project("benches/README.md"),
        project("fixtures/README.md"),
    ];
    for folder in ["docs", "docs/design"] {
        let inside = fs::read_dir(project(folder)).unwrap().map(|item| item.unwrap().path());
        documents.extend(inside.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, _) = link.split_once('#').unwrap_or((link, ""));
            if !file.is_empty() && !file.contains("://") {
                assert!(document.parent().unwrap().join(file).exists(), "{}: {link}", document.display());
            }
        }
    }
}

#[test]
fn the_template_of_init_is_what_a_ledger_gets() {
    let sandbox = Sandbox::with_ledger();
    for file in ["README.md", "config.toml", ".gitattributes", "schema/entry-v1.schema.json"] {
        let template = fs::read_to_string(project(".audit-template").join(file)).unwrap();
        assert_eq!(sandbox.git(&["show", &format!("main:.audit/{file}")]), template);
    }
    let schema: Value =
        serde_json::from_str(&sandbox.git(&["show", "main:.audit/schema/entry-v1.schema.json"])).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], "git-audit/entry/v1");
}
