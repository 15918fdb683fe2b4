//! The rules that keep the map of the sources true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom. `error` is everybody's.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("main", &["cli"]),
    ("cli", &["ops", "output", "verify", "ledger", "entry"]),
    ("output", &["ops", "verify", "ledger", "entry"]),
    ("ops", &["ledger", "index", "verify", "journal", "entry"]),
    ("journal", &["ledger", "entry"]),
    ("index", &["ledger", "entry"]),
    ("verify", &["ledger", "entry"]),
    ("ledger", &["entry"]),
    ("entry", &[]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The source without its unit tests, which may reach further.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn modules_use_only_those_below_them() {
    let rules: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let modules = ["cli", "output", "ops", "index", "verify", "journal", "ledger", "entry"];
    for (path, text) in sources() {
        let module = module_of(&path);
        let Some(allowed) = rules.get(module.as_str()) else {
            assert!(["lib", "error"].contains(&module.as_str()), "{} has no rule in MAY_USE", path.display());
            continue;
        };
        for used in modules.iter().filter(|used| **used != module && !allowed.contains(used)) {
            let named = [format!("crate::{used}"), format!("git_audit::{used}")];
            let named = named.iter().any(|name| without_tests(&text).contains(&format!("{name}::")));
            assert!(!named, "{} uses {used}, which {module} must not", path.display());
        }
    }
}

#[test]
fn each_foreign_thing_is_named_in_one_place_only() {
    let places: [(&str, &[&str]); 17] = [
        ("git2::", &["ledger", "journal/capture"]),
        ("rusqlite::", &["index"]),
        ("rustix::", &["ledger", "journal", "ops"]),
        // Patterns of others: only where their time and size are bounded.
        ("regex::", &["entry/redact"]),
        ("regex_syntax::", &["entry/redact"]),
        ("clap::", &["cli", "output"]),
        ("signal_hook::", &["cli", "journal"]),
        ("terminal_size::", &["cli"]),
        ("use nix::", &["journal"]),
        // Settings of others are edited where they are read and written.
        ("jsonc_parser::", &["ops"]),
        ("similar::", &["ops"]),
        // Secret keys, and signatures by others than git's programs.
        ("ed25519_dalek::", &["verify/log"]),
        ("base64ct::", &["verify/log"]),
        ("zeroize::", &["verify/log"]),
        ("std::env", &["cli"]),
        ("std::fs", &["ledger", "index", "verify", "journal", "ops"]),
        ("std::process", &["main", "cli", "ledger", "verify", "journal"]),
    ];
    for (path, text) in sources() {
        let module = module_of(&path);
        for (name, allowed) in places {
            let code = without_tests(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
            let named = code.filter(|line| line.contains(name)).count();
            assert!(
                named == 0
                    || allowed.contains(&module.as_str())
                    || allowed.iter().any(|part| path.parent().is_some_and(|parent| parent.ends_with(part)))
                    || path.ends_with("schema.rs"),
                "{} names {name}",
                path.display()
            );
        }
    }
}

#[test]
fn files_stay_comfortable_and_say_what_they_are_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not open with its purpose", path.display());
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: split it along the domain", path.display());
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for item in fs::read_dir(folder).unwrap() {
        let name = item.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name} is not in main.rs");
    }
}
