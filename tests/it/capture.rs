//! What changed in a repository while a task worked in it: the same as git says, and in bounded time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use git_audit::journal::capture::{Baseline, Changes, Limits, begin, look};

use super::sandbox::Sandbox;

/// Nothing but the repository decides: the machine's and the user's own configuration of git are not read.
fn without_own_configuration() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [git2::ConfigLevel::System, git2::ConfigLevel::Global, git2::ConfigLevel::XDG] {
            // SAFETY: `Once`, and before any of these tests opens a repository.
            #[expect(unsafe_code, reason = "git2 has no safe form of it")]
            unsafe { git2::opts::set_search_path(level, "/nonexistent") }.unwrap();
        }
    });
}

pub fn limits() -> Limits {
    Limits { time: Duration::from_secs(60), ..Limits::default() }
}

#[track_caller]
pub fn began(world: &Sandbox) -> Baseline {
    began_at(&world.path(""))
}

#[track_caller]
pub fn began_at(path: &Path) -> Baseline {
    without_own_configuration();
    begin(path, &[], None, limits()).unwrap()
}

#[track_caller]
pub fn changes(since: &Baseline) -> Changes {
    let long = Limits { status_bytes: 1 << 20, diffstat_bytes: 1 << 20, ..limits() };
    look(since, long).unwrap().0
}

/// What changed, and nothing was missing.
#[track_caller]
pub fn all_changes(since: &Baseline) -> Changes {
    let changes = changes(since);
    assert_eq!(changes.incomplete, None);
    changes
}

/// What git says of the working tree, files that are not tracked included.
fn git_diff(world: &Sandbox, base: &str, form: &str) -> String {
    let index = world.root().join("index");
    let index = index.to_str().unwrap();
    _ = fs::copy(world.path(".git/index"), index);
    let git = |arguments: &[&str]| {
        let mut command = world.command("git");
        command.args(arguments).env("GIT_INDEX_FILE", index);
        super::sandbox::run(&mut command).exits(0).stdout
    };
    git(&["add", "--all"]);
    git(&["diff", form, base])
}

/// Fails the test unless git says the same.
#[track_caller]
pub fn is_as_git_says(world: &Sandbox, since: &Baseline) {
    let base = since.head.clone().unwrap_or_else(|| world.git(&["hash-object", "-t", "tree", "/dev/null"]));
    let changes = all_changes(since);
    assert_eq!(changes.status, world.git(&["status", "--porcelain"]));
    assert_eq!(changes.diffstat, git_diff(world, base.trim(), "--stat=80"));
    let numbers = git_diff(world, base.trim(), "--numstat");
    let sum = |column: usize| -> u64 {
        numbers.lines().filter_map(|line| line.split('\t').nth(column)?.parse::<u64>().ok()).sum()
    };
    assert_eq!((changes.lines_added, changes.lines_deleted), (sum(0), sum(1)), "{numbers}");
    assert_eq!(changes.files_changed_total, numbers.lines().count() as u64);
}

/// A generator of numbers, the same ones at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn text(&mut self) -> String {
        let words = ["fn a() {", "    x = 1;", "}", "", "\tvalue", "fn b() {", "    y += 2; // é", "end"];
        let lines = self.below(40);
        let mut text: String = (0..lines).map(|_| format!("{}\n", self.pick(&words))).collect();
        if self.below(5) == 0 {
            text.push_str("no newline at the end");
        }
        text
    }
}

const PATHS: [&str; 14] = [
    "a",
    "b.txt",
    "d/c",
    "d/e/f",
    "d.x",
    "d-y/z",
    "with blank",
    "d/quo\"te",
    "é/ü",
    "tab\there",
    "new\nline",
    "long/er/path/to/some/file/with/quite/a/long/name/in/it.rs",
    "x/one",
    "x/two",
];

fn edit(world: &Sandbox, dice: &mut Dice) {
    let path = dice.pick(&PATHS);
    let whole = world.path(path);
    // What was written through a link would be another file.
    if whole.is_symlink() {
        _ = fs::remove_file(&whole);
    }
    if whole.is_dir() || fs::create_dir_all(whole.parent().unwrap()).is_err() {
        return;
    }
    match dice.below(12) {
        0..=3 => {
            world.write(path, dice.text());
        }
        4 => {
            let old = fs::read_to_string(&whole).unwrap_or_default();
            world.write(path, format!("{}{old}{}", dice.text(), dice.text()));
        }
        5 => _ = fs::remove_file(&whole),
        6 => {
            let to = world.path(dice.pick(&["moved", "d/moved", "y/a", "x/three"]));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if fs::rename(&whole, &to).is_ok() {
                world.git(&["add", "--all"]);
            }
        }
        7 => _ = world.try_git(&["add", "--", path]),
        8 => _ = world.try_git(&["rm", "--quiet", "--cached", "--", path]),
        9 => {
            world.write(path, [b"\0binary".as_slice(), dice.text().as_bytes()].concat());
        }
        10 if whole.is_file() => {
            let mode = if dice.below(2) == 0 { 0o755 } else { 0o644 };
            fs::set_permissions(&whole, fs::Permissions::from_mode(mode)).unwrap();
        }
        _ => {
            _ = fs::remove_file(&whole);
            fs::create_dir_all(whole.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(dice.pick(&["a", "nowhere", "d"]), &whole).unwrap();
        }
    }
}

#[test]
fn random_edits_are_what_git_says_they_are() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let world = Sandbox::with_code();
        (0..12).for_each(|_| edit(&world, &mut dice));
        world.git(&["add", "--all"]);
        world.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", "begin"]);
        let since = began(&world);
        for round in 0..4 {
            eprintln!("seed {seed}, round {round}");
            (0..6).for_each(|_| edit(&world, &mut dice));
            is_as_git_says(&world, &since);
        }
        world.git(&["add", "--all"]);
        world.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", "work"]);
        (0..3).for_each(|_| edit(&world, &mut dice));
        is_as_git_says(&world, &since);
    }
}

#[test]
fn commits_are_those_of_git_log_with_their_patch_ids() {
    let world = Sandbox::with_code();
    let since = began(&world);
    let mut dice = Dice(7);
    for number in 0..40 {
        (0..3).for_each(|_| edit(&world, &mut dice));
        world.git(&["add", "--all"]);
        world.git_as_user(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            &format!("step {number}\nand more\n\nbody"),
        ]);
    }
    let changes = all_changes(&since);
    let log = world.git(&[
        "log",
        "--reverse",
        "--format=%H%x09%T%x09%P%x09%an <%ae>%x09%s",
        &format!("{}..", since.head.unwrap()),
    ]);
    let ours: String = changes
        .commits
        .iter()
        .map(|commit| {
            format!(
                "{}\t{}\t{}\t{}\t{}\n",
                commit.id,
                commit.tree_id,
                commit.parents.join(" "),
                commit.author,
                commit.subject
            )
        })
        .collect();
    assert_eq!(ours, log);
    assert_eq!((changes.commits_total, changes.commits.len()), (40, 40));
    for commit in &changes.commits {
        assert_eq!(
            commit.patch_id,
            patch_id_by_git(&world, &commit.id),
            "{}",
            world.git(&["show", &commit.id])
        );
    }
}

fn patch_id_by_git(world: &Sandbox, commit: &str) -> Option<String> {
    let patch = world.input("patch", world.git_bytes(&["diff-tree", "-p", "--root", "--full-index", commit]));
    let mut command = world.command("git");
    let file = fs::File::open(patch).unwrap();
    let said = super::sandbox::run(command.args(["patch-id", "--stable"]).stdin(file)).exits(0).stdout;
    said.split(' ').next().filter(|id| !id.is_empty()).map(str::to_owned)
}

#[test]
fn commits_on_other_branches_count_and_rewritten_history_is_no_trouble() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.git(&["switch", "--quiet", "-c", "aside"]);
    world.write("aside", "1\n");
    world.git(&["add", "."]);
    world.commit("on the side");
    world.git(&["switch", "--quiet", "main"]);
    world.write("README", "changed\n");
    world.git_as_user(&["commit", "--quiet", "--amend", "--all", "-m", "amended"]);
    let changes = all_changes(&since);
    let mut subjects: Vec<_> = changes.commits.iter().map(|commit| commit.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["amended", "on the side"]);
    assert_eq!((changes.branch.as_deref(), changes.branch_before.as_deref()), (Some("main"), Some("main")));
    assert_ne!(changes.head_before, changes.head_after);
    assert_eq!(changes.files_changed, ["README"]);
    world.git(&["switch", "--quiet", "--detach"]);
    assert_eq!(self::changes(&since).branch, None);
}

#[test]
fn a_patch_id_survives_a_rebase() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.git(&["switch", "--quiet", "-c", "work"]);
    world.write("work", "1\n");
    world.git(&["add", "."]);
    world.commit("work");
    let before = all_changes(&since).commits.remove(0);
    world.git(&["switch", "--quiet", "main"]);
    world.write("README", "other\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "other"]);
    world.git_as_user(&["rebase", "--quiet", "main", "work"]);
    let commits = all_changes(&since).commits;
    let after = commits.iter().find(|commit| commit.subject == "work").unwrap();
    assert_ne!(before.id, after.id);
    assert_eq!(before.patch_id, after.patch_id);
}

/// A repository with a remote, and a second clone of that by somebody else.
fn with_remote() -> Sandbox {
    let world = Sandbox::with_code();
    world.git(&["clone", "--quiet", "--bare", ".", "../remote"]);
    world.git(&["remote", "add", "origin", "../remote"]);
    world.git(&["fetch", "--quiet"]);
    world.git(&["branch", "--quiet", "--set-upstream-to=origin/main"]);
    world.git(&["clone", "--quiet", "../remote", "../other"]);
    world
}

fn somebody_pushes(world: &Sandbox, name: &str) {
    fs::write(world.root().join("other").join(name), "theirs\n").unwrap();
    world.git(&["-C", "../other", "add", "."]);
    world.git_as_user(&["-C", "../other", "commit", "--quiet", "-m", name]);
    world.git_as_user(&["-C", "../other", "pull", "--quiet", "--rebase"]);
    world.git(&["-C", "../other", "push", "--quiet"]);
}

#[test]
fn commits_that_only_arrived_are_not_claimed() {
    let world = with_remote();
    let since = began(&world);
    somebody_pushes(&world, "theirs 1");
    world.git(&["pull", "--quiet"]);
    world.write("mine", "1\n");
    world.git(&["add", "."]);
    world.commit("mine 1");
    world.git(&["push", "--quiet"]);
    somebody_pushes(&world, "theirs 2");
    world.git(&["pull", "--quiet"]);
    world.write("mine", "2\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "mine 2"]);
    let changes = all_changes(&since);
    let subjects: Vec<_> = changes.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["mine 1", "mine 2"]);
    assert_eq!(changes.repo_id, world.root().join("remote").to_str().unwrap());
}

#[test]
fn a_branch_that_moved_without_a_reflog_is_said_and_none_is_made() {
    let world = with_remote();
    let since = began(&world);
    world.git(&["config", "core.logAllRefUpdates", "false"]);
    fs::remove_dir_all(world.path(".git/logs/refs/remotes")).unwrap();
    somebody_pushes(&world, "theirs");
    world.git(&["pull", "--quiet"]);
    let changes = changes(&since);
    assert_eq!(changes.commits, []);
    assert!(changes.incomplete.unwrap().contains("has no reflog"));
    assert!(!world.path(".git/logs/refs/remotes").exists());
}

#[test]
fn what_was_changed_before_the_task_is_told_apart() {
    let world = Sandbox::with_code();
    world.write("README", "changed before\n");
    world.write("notes/old", "one\n");
    world.write("notes/touched", "one\n");
    world.write("committed", "before\n");
    let since = began(&world);
    let since: Baseline = serde_json::from_str(&serde_json::to_string(&since).unwrap()).unwrap();
    assert_eq!(all_changes(&since).files_changed_total, 0);
    world.write("notes/touched", "one\ntwo\n");
    world.write("notes/new", "one\n");
    world.git(&["add", "committed"]);
    world.commit("committed now");
    let changes = all_changes(&since);
    assert_eq!(changes.files_changed, ["committed", "notes/new", "notes/touched"]);
    assert_eq!(changes.lines_added, 4);
    assert_eq!(changes.status, " M README\n?? notes/\n");
}

#[test]
fn each_look_begins_where_the_last_one_ended() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.write("a", "1\n");
    let (first, next) = look(&since, limits()).unwrap();
    assert_eq!(first.files_changed, ["a"]);
    world.git(&["add", "."]);
    world.commit("a");
    world.write("b", "1\n");
    let (second, next) = look(&next, limits()).unwrap();
    assert_eq!(
        (second.files_changed.as_slice(), second.commits_total),
        (["a".to_owned(), "b".into()].as_slice(), 1)
    );
    let (third, _) = look(&next, limits()).unwrap();
    assert_eq!((third.files_changed_total, third.commits_total), (0, 0));
}

#[test]
fn the_ledger_in_the_repository_is_no_work_of_the_task() {
    let world = Sandbox::on_main();
    let since = began(&world);
    world.record("t-1", &[]);
    world.write("mine", "1\n");
    world.git(&["add", "."]);
    world.commit("mine");
    world.record("t-2", &[]);
    let changes = all_changes(&since);
    let subjects: Vec<_> = changes.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(subjects, ["mine"]);
    assert_eq!(changes.files_changed, ["mine"]);
}

#[test]
fn a_commit_with_the_message_of_the_ledger_counts_where_it_changes_more_than_that() {
    let world = Sandbox::on_main();
    world.record("t-1", &[]);
    let message = world.git(&["log", "-1", "--format=%B"]);
    let since = began(&world);
    for message in [message.trim(), "audit: init ledger"] {
        world.write("code", message);
        world.write(".audit/README.md", message);
        world.git(&["add", "."]);
        world.commit(message);
        world.git_as_user(&["commit", "--quiet", "--allow-empty", "-m", message]);
        world.git(&["switch", "--quiet", "--orphan", "other"]);
        world.write("code", "2\n");
        world.git(&["add", "."]);
        world.commit(message);
        world.git_as_user(&["commit", "--quiet", "--amend", "--message", message]);
        world.git(&["switch", "--quiet", "main"]);
        world.git_as_user(&[
            "merge",
            "--quiet",
            "--allow-unrelated-histories",
            "-s",
            "ours",
            "-m",
            message,
            "other",
        ]);
        world.git(&["branch", "--quiet", "-D", "other"]);
    }
    // Two with files, two empty, two roots, two merges.
    assert_eq!(all_changes(&since).commits_total, 8);
    // What the ledger does is still its own.
    world.record("t-2", &[]);
    assert_eq!(all_changes(&since).commits_total, 8);
    // Its first commit has no parent.
    let beside = Sandbox::with_code();
    let since = began(&beside);
    beside.audit(&["init"]).exits(0);
    beside.record("t-1", &[]);
    assert_eq!(all_changes(&since).commits_total, 0);
}

#[test]
fn a_repository_is_called_after_where_it_comes_from() {
    let world = Sandbox::with_code();
    let name = || began(&world).repo_id;
    assert_eq!(name(), "repo");
    world.git(&["remote", "add", "only", "https://me:secret@example.com/acme/only.git"]);
    assert_eq!(name(), "example.com/acme/only");
    world.git(&["remote", "add", "second", "example.com:acme/second"]);
    assert_eq!(name(), "repo");
    world.git(&["config", "branch.main.remote", "second"]);
    world.git(&["config", "branch.main.merge", "refs/heads/main"]);
    assert_eq!(name(), "example.com/acme/second");
    world.git(&["remote", "add", "origin", "gh:acme/shop"]);
    world.git(&["config", "url.ssh://git@github.com/.insteadOf", "gh:"]);
    assert_eq!(name(), "github.com/acme/shop");
    let given = begin(&world.path("src"), &[], Some("mine"), limits()).unwrap();
    assert_eq!((given.repo_id.as_str(), given.path.join("")), ("mine", world.path("")));
}
