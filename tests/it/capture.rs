//! What changed in a repository while a task worked in it: the same as git says, and in bounded time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

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

fn limits() -> Limits {
    Limits { time: Duration::from_secs(60), ..Limits::default() }
}

#[track_caller]
fn began(world: &Sandbox) -> Baseline {
    began_at(&world.path(""))
}

#[track_caller]
fn began_at(path: &Path) -> Baseline {
    without_own_configuration();
    begin(path, &[], None, limits()).unwrap()
}

#[track_caller]
fn changes(since: &Baseline) -> Changes {
    let long = Limits { status_bytes: 1 << 20, diffstat_bytes: 1 << 20, ..limits() };
    look(since, long).unwrap().0
}

/// What changed, and nothing was missing.
#[track_caller]
fn all_changes(since: &Baseline) -> Changes {
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
fn is_as_git_says(world: &Sandbox, since: &Baseline) {
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

/// Every way a repository has to run something.
fn make_hostile(world: &Sandbox) {
    let marker = world.root().join("ran");
    let script = world.root().join("script");
    fs::write(&script, format!("#!/bin/sh\ntouch '{}'\ncat\n", marker.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    for hook in ["post-index-change", "pre-commit", "reference-transaction", "fsmonitor-watchman"] {
        fs::create_dir_all(world.path(".git/hooks")).unwrap();
        fs::copy(script, world.path(".git/hooks").join(hook)).unwrap();
    }
    world.write(".gitattributes", "* filter=evil diff=evil\n");
    let config = format!(
        "[core]\n\tfsmonitor = {script}\n\tsshCommand = {script}\n\tpager = {script}\n\thooksPath = {hooks}\n\
         [filter \"evil\"]\n\tclean = {script}\n\tsmudge = {script}\n\tprocess = {script}\n\trequired = true\n\
         [diff]\n\texternal = {script}\n[diff \"evil\"]\n\tcommand = {script}\n\ttextconv = {script}\n\
         [remote \"origin\"]\n\turl = ext::{script}\n\tuploadpack = {script}\n",
        hooks = world.path(".git/hooks").display(),
    );
    let file = world.path(".git/config");
    fs::write(&file, fs::read_to_string(&file).unwrap() + &config).unwrap();
}

/// All files of the git directory, with their times.
fn git_directory(world: &Sandbox) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut folders = vec![world.path(".git")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap().map(|item| item.unwrap()) {
            if item.file_type().unwrap().is_dir() {
                folders.push(item.path());
            }
            found.push((item.path(), item.metadata().unwrap().modified().unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_of_the_repository_runs_and_nothing_is_written() {
    let world = Sandbox::with_code();
    make_hostile(&world);
    let since = began(&world);
    world.write("README", "changed\n");
    world.write("new", "new\n");
    let before = git_directory(&world);
    let changes = all_changes(&since);
    assert_eq!(changes.files_changed, ["README", "new"]);
    assert_eq!(changes.status, " M README\n?? .gitattributes\n?? new\n");
    assert_eq!(git_directory(&world), before);
    assert!(!world.root().join("ran").exists());
    // The trap works.
    _ = world.try_git(&["status"]);
    assert!(world.root().join("ran").exists());
}

#[test]
fn odd_things_in_a_working_tree_neither_hang_nor_fail() {
    let world = Sandbox::with_code();
    world.write("pipe", "was a file\n");
    world.git(&["add", "."]);
    world.commit("more");
    let since = began(&world);
    fs::remove_file(world.path("pipe")).unwrap();
    for pipe in ["pipe", "other-pipe", "d/pipe"] {
        fs::create_dir_all(world.path("d")).unwrap();
        super::sandbox::run(world.command("mkfifo").arg(world.path(pipe))).exits(0);
    }
    std::os::unix::fs::symlink("loop", world.path("loop")).unwrap();
    std::os::unix::fs::symlink("..", world.path("d/up")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", world.path("zero")).unwrap();
    fs::File::create(world.path("huge")).unwrap().set_len(2 << 30).unwrap();
    world.git(&["init", "--quiet", "nested"]);
    world.write("nested/inside", "1\n");
    fs::create_dir_all(world.path("closed")).unwrap();
    world.write("closed/inside", "1\n");
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let started = Instant::now();
    let changes = changes(&since);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let status = world.git(&["status", "--porcelain"]);
    assert_eq!(changes.status, status.replace(" M pipe", " D pipe").replace(" T pipe", " D pipe"));
    for path in ["d/up", "huge", "loop", "nested/", "pipe", "zero"] {
        assert!(
            changes.files_changed.iter().any(|changed| changed == path),
            "{path}: {:?}",
            changes.files_changed
        );
    }
    assert!(changes.diffstat.contains(" huge          | Bin 0 -> 2147483648 bytes"), "{}", changes.diffstat);
}

#[test]
fn a_repository_that_is_gone_or_broken_is_an_error_in_words() {
    let said = |break_it: fn(&Sandbox)| {
        let world = Sandbox::with_code();
        let since = began(&world);
        break_it(&world);
        let short = Limits { time: Duration::from_secs(2), ..limits() };
        look(&since, short).map(|(changes, _)| changes.incomplete)
    };
    let gone = said(|world| fs::remove_dir_all(world.path(".git")).unwrap()).unwrap_err();
    assert!(gone.to_string().starts_with("no git repository"), "{gone}");
    let nowhere = said(|world| {
        fs::remove_dir_all(world.path(".git")).unwrap();
        world.write(".git", "gitdir: /nowhere/at/all\n");
    });
    nowhere.unwrap_err();
    let index = said(|world| _ = world.write(".git/index", "nonsense")).unwrap();
    assert!(index.unwrap().starts_with("status: "));
    let objects = said(|world| {
        world.write("README", "changed\n");
        fs::remove_dir_all(world.path(".git/objects")).unwrap();
        fs::create_dir(world.path(".git/objects")).unwrap();
    });
    assert!(objects.unwrap().is_some());
    let tree = said(|world| fs::remove_dir_all(world.path("src")).unwrap());
    assert_eq!(tree.unwrap(), None);
}

/// libgit2 spins for ever on a truncated object: what is left behind ends with its process.
#[test]
fn a_repository_that_hangs_libgit2_is_left_in_time() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "capture::a_truncated_commit_and_a_pipe_for_a_gitignore"]);
    let started = Instant::now();
    let run = super::sandbox::run(&mut command).exits(0);
    assert!(run.stdout.contains("1 passed"), "{}", run.stdout);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
#[ignore = "leaves threads that hang; the test above runs it in a process of its own"]
fn a_truncated_commit_and_a_pipe_for_a_gitignore() {
    let short = Limits { time: Duration::from_secs(1), ..limits() };
    let world = Sandbox::with_code();
    let since = began(&world);
    world.write("README", "changed\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "to be cut"]);
    let object = world.loose("HEAD");
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    let bytes = fs::read(&object).unwrap();
    fs::write(&object, &bytes[..bytes.len() / 2]).unwrap();
    let (changes, _) = look(&since, short).unwrap();
    assert_eq!(changes.head_after, Some(world.git(&["rev-parse", "HEAD"]).trim().to_owned()));
    assert!(changes.incomplete.unwrap().starts_with("commits"));

    let world = Sandbox::with_code();
    let since = began(&world);
    super::sandbox::run(world.command("mkfifo").arg(world.path(".gitignore"))).exits(0);
    world.write("new", "1\n");
    let (changes, next) = look(&since, short).unwrap();
    assert_eq!(changes.incomplete.unwrap(), "status, diffstat: no answer within 1 s");
    assert!(begin(&world.path(""), &[], None, short).is_ok());
    assert_eq!(next.head, since.head);
}

#[test]
fn an_index_that_cannot_be_read_leaves_the_commits() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.write("README", "changed\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "work"]);
    world.git(&["update-index", "--split-index"]);
    let changes = changes(&since);
    assert_eq!(changes.commits_total, 1);
    assert_eq!(changes.files_changed, ["README"]);
    assert!(changes.incomplete.unwrap().starts_with("status: "));
}

#[test]
fn a_locked_index_is_read_all_the_same() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.write(".git/index.lock", "");
    world.write("README", "changed\n");
    assert_eq!(all_changes(&since).status, " M README\n");
}

#[test]
fn repositories_of_every_shape_are_looked_at() {
    let world = Sandbox::new();
    let unborn = began(&world);
    assert_eq!((unborn.head.as_deref(), unborn.branch.as_deref()), (None, Some("main")));
    world.write("a", "1\n2\n");
    is_as_git_says(&world, &unborn);
    world.git(&["add", "."]);
    world.commit("first");
    is_as_git_says(&world, &unborn);
    assert_eq!(all_changes(&unborn).commits.len(), 1);

    world.git(&["worktree", "add", "--quiet", "../linked", "-b", "linked"]);
    let linked = world.root().join("linked");
    let since = began_at(&linked);
    assert_eq!((since.path.as_path(), since.repo_id.as_str()), (linked.as_path(), "repo"));
    fs::write(linked.join("b"), "1\n").unwrap();
    let changes = self::changes(&since);
    assert_eq!((changes.status.as_str(), changes.branch.as_deref()), ("?? b\n", Some("linked")));

    world.git(&["clone", "--quiet", "--bare", ".", "../bare.git"]);
    let bare = began_at(&world.root().join("bare.git"));
    world.write("a", "1\n2\n3\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "second"]);
    world.git(&["push", "--quiet", "../bare.git", "main"]);
    let changes = self::changes(&bare);
    assert_eq!((changes.commits_total, changes.lines_added, changes.status.as_str()), (1, 1, ""));

    world.git(&["init", "--quiet", "--object-format=sha256", "../sha256"]);
    let since = began_at(&world.root().join("sha256"));
    fs::write(world.root().join("sha256/a"), "1\n").unwrap();
    world.git(&["-C", "../sha256", "add", "."]);
    world.git_as_user(&["-C", "../sha256", "commit", "--quiet", "-m", "first"]);
    let commit = self::changes(&since).commits.remove(0);
    assert_eq!((commit.id.len(), commit.patch_id.unwrap().len()), (64, 64));
}

#[test]
fn a_submodule_is_its_commit_and_is_not_looked_into() {
    let world = Sandbox::with_code();
    world.git(&["clone", "--quiet", ".", "../library"]);
    world.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "lib"]);
    world.commit("with a submodule");
    let since = began(&world);
    world.write("lib/README", "changed inside\n");
    assert_eq!(all_changes(&since).status, "");
    world.git_as_user(&["-C", "lib", "commit", "--quiet", "--all", "-m", "inside"]);
    is_as_git_says(&world, &since);
    assert_eq!(all_changes(&since).files_changed, ["lib"]);
}

#[test]
fn a_conflict_has_the_letters_that_git_gives_it() {
    let world = Sandbox::with_code();
    let since = began(&world);
    world.git(&["switch", "--quiet", "-c", "side"]);
    for (branch, text) in [("side", "side\n"), ("main", "main\n")] {
        world.git(&["switch", "--quiet", branch]);
        world.write("README", text);
        world.write("both", text);
        world.git(&["add", "."]);
        world.commit(branch);
    }
    world.git(&["rm", "--quiet", "src/main.c"]);
    world.commit("gone");
    world.git(&["switch", "--quiet", "side"]);
    world.write("src/main.c", "changed\n");
    world.git_as_user(&["commit", "--quiet", "--all", "-m", "kept"]);
    world.git(&["switch", "--quiet", "main"]);
    _ = world.try_git(&Sandbox::as_user(&["merge", "side"]));
    let changes = all_changes(&since);
    assert_eq!(changes.status, world.git(&["status", "--porcelain"]));
    assert_eq!(changes.status, "UU README\nAA both\nDU src/main.c\n");
}

#[test]
fn a_sparse_checkout_is_not_a_deletion() {
    let world = Sandbox::with_code();
    world.write("d/a", "1\n");
    world.write("e/a", "1\n");
    world.git(&["add", "."]);
    world.commit("more");
    world.git(&["sparse-checkout", "set", "--no-sparse-index", "d"]);
    assert!(!world.path("e").exists());
    let since = began(&world);
    assert_eq!(all_changes(&since).files_changed_total, 0);
    world.write("d/a", "2\n");
    world.git(&["update-index", "--assume-unchanged", "README"]);
    fs::remove_file(world.path("README")).unwrap();
    let changes = all_changes(&since);
    assert_eq!(changes.status, world.git(&["status", "--porcelain"]));
    assert_eq!(changes.files_changed, ["d/a"]);
}

#[test]
fn line_endings_are_compared_as_git_stores_them() {
    let world = Sandbox::with_code();
    world.write(".gitattributes", "* text=auto\n*.id ident\n");
    world.write("text", "1\r\n2\r\n3\r\n");
    world.write("a.id", "$Id$\n");
    world.git(&["add", "."]);
    world.commit("text");
    let since = began(&world);
    world.write("text", "1\r\n2\r\n3\r\n4\r\n");
    world.write("a.id", "$Id: 1234 $\nmore\n");
    is_as_git_says(&world, &since);
}

#[test]
fn long_texts_are_cut_and_say_how_long_they_were() {
    let world = Sandbox::with_code();
    let since = began(&world);
    (0..500).for_each(|number| _ = world.write(&format!("file number {number}"), "1\n"));
    let whole = changes(&since);
    let (cut, _) = look(&since, limits()).unwrap();
    assert_eq!(cut.status.len(), 5 << 10);
    assert!(cut.status.ends_with(&format!("... (truncated, total {} bytes)", whole.status.len())));
    assert!(cut.diffstat.len() <= 10 << 10);
    assert!(cut.diffstat.ends_with(&format!("... (truncated, total {} bytes)", whole.diffstat.len())));
    assert_eq!(cut.diffstat_bytes_total, whole.diffstat.len() as u64);
    assert_eq!((cut.files_changed.len(), cut.lines_added), (500, 500));
}

#[test]
fn very_many_changes_take_bounded_time_and_room() {
    const GONE: usize = 20_000;
    const NEW: usize = 3_000;
    let world = Sandbox::with_code();
    // Files that were never there are gone: the quickest way to many changes.
    let mut stream =
        String::from("commit refs/heads/many\ncommitter A <a@example.com> 1700000000 +0000\ndata 0\n");
    (0..GONE).for_each(|number| {
        stream.push_str(&format!("M 100644 inline many/{}/{number}\ndata 2\n1\n\n", number / 1_000));
    });
    import(&world, &stream);
    world.git(&["symbolic-ref", "HEAD", "refs/heads/many"]);
    world.git(&["read-tree", "HEAD"]);
    let names = world.input("names", world.git(&["ls-files"]));
    let expect_files = |flag: &str| {
        let names = fs::File::open(&names).unwrap();
        let mut command = world.command("git");
        super::sandbox::run(command.args(["update-index", flag, "--stdin"]).stdin(names)).exits(0);
    };
    expect_files("--skip-worktree");
    let since = began(&world);
    expect_files("--no-skip-worktree");
    (0..NEW).for_each(|number| _ = world.write(&format!("new/{number}"), "2\n"));
    let (changes, next) = look(&since, Limits::default()).unwrap();
    assert!(changes.files_changed_total as usize >= GONE, "{:?}", changes.incomplete);
    assert!(changes.files_changed.len() == 1_000 && changes.status.len() <= 5 << 10);
    assert!(serde_json::to_string(&next).unwrap().len() < 200_000);
    let why = changes.incomplete.unwrap();
    assert!(why.contains("were not counted"), "{why}");
    // What is beyond the ten thousand that are remembered may be counted, and that is said.
    let (changes, _) = look(&next, Limits::default()).unwrap();
    assert!(changes.incomplete.unwrap().contains("more than 10000 files were changed"));
}

fn import(world: &Sandbox, stream: &str) {
    let input = fs::File::open(world.input("stream", stream)).unwrap();
    super::sandbox::run(world.command("git").args(["fast-import", "--quiet"]).stdin(input)).exits(0);
}

#[test]
fn very_many_commits_take_bounded_time_and_room() {
    let world = Sandbox::with_code();
    let since = began(&world);
    let mut stream = String::new();
    for number in 0..20_000 {
        stream.push_str(&format!(
            "commit refs/heads/many\ncommitter A <a@example.com> {} +0000\ndata 5\nwork\n\nM 100644 inline f\ndata 6\n{number:05}\n\n",
            1_700_000_000 + number
        ));
    }
    import(&world, &stream);
    let (changes, _) = look(&since, Limits::default()).unwrap();
    assert_eq!((changes.commits_total, changes.commits.len()), (20_000, 1_000));
    assert_eq!(changes.commits.last().unwrap().id, world.git(&["rev-parse", "many"]).trim());
}
