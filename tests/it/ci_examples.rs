//! The examples under `docs/ci/`: their scripts run here as they stand, as a CI system runs them, in clones of a local
//! remote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use crate::ci::{GITHUB, GITLAB};
use crate::sandbox::{Run, Sandbox, run};

/// A project with a bare remote that any number of runners clone, shallow and with a detached HEAD.
struct Project {
    sandbox: Sandbox,
}

impl Project {
    fn new() -> Self {
        let sandbox = Sandbox::with_code();
        sandbox.git(&["clone", "--quiet", "--bare", ".", "../remote.git"]);
        Self { sandbox }
    }

    fn remote(&self) -> PathBuf {
        self.sandbox.root().join("remote.git")
    }

    /// What actions/checkout and GitLab's runner leave.
    fn checkout(&self, name: &str) -> PathBuf {
        let directory = self.sandbox.root().join(name);
        let url = format!("file://{}", self.remote().display());
        let path = directory.to_str().unwrap();
        self.sandbox.git(&["clone", "--quiet", "--depth=1", "--no-tags", &url, path]);
        self.sandbox.git(&["-C", path, "checkout", "--quiet", "--detach"]);
        directory
    }

    fn remote_git(&self, arguments: &[&str]) -> String {
        let remote = self.remote();
        self.sandbox.git(&[&["-C", remote.to_str().unwrap()], arguments].concat())
    }

    /// The subjects on the remote's ledger, oldest first; that it is one line of commits, each with one entry.
    #[track_caller]
    fn ledger(&self) -> Vec<String> {
        let log = self.remote_git(&["log", "--reverse", "--format=%s", "audit"]);
        assert_eq!(self.remote_git(&["log", "--merges", "--format=%h", "audit"]), "");
        let mut subjects: Vec<_> = log.lines().map(str::to_owned).collect();
        assert_eq!(subjects.remove(0), "audit: init ledger");
        let files = self.remote_git(&["ls-tree", "-r", "--name-only", "audit", ".audit/tasks/"]);
        assert_eq!(files.lines().count(), subjects.len());
        subjects
            .iter()
            .map(|subject| subject.strip_prefix("audit: task ").unwrap().replace(" at ", "@"))
            .collect()
    }

    fn ids(&self) -> Vec<String> {
        self.ledger().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    fn entry(&self, task_id: &str) -> Value {
        let text = self.remote_git(&["show", &format!("audit:.audit/tasks/{task_id}.json")]);
        serde_json::from_str(&text).unwrap()
    }

    /// Fails the test unless the ledger only grew since `tip`.
    #[track_caller]
    fn grew_from(&self, tip: &str) {
        self.remote_git(&["merge-base", "--is-ancestor", tip, "audit"]);
    }

    fn tip(&self) -> String {
        self.remote_git(&["rev-parse", "audit"]).trim().to_owned()
    }

    /// A pre-receive hook of the remote.
    fn hook(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.remote().join("hooks/pre-receive");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// How a CI system runs a script: by which shell, with which variables.
struct Job {
    directory: PathBuf,
    shell: Vec<&'static str>,
    variables: BTreeMap<String, String>,
    script: String,
}

impl Job {
    fn command(&self, project: &Project) -> Command {
        let mut command = project.sandbox.command(self.shell[0]);
        command.args(&self.shell[1..]).arg("-c").arg(&self.script);
        command.envs(&self.variables).current_dir(&self.directory);
        command
    }

    #[track_caller]
    fn run(&self, project: &Project) -> Run {
        run(&mut self.command(project)).exits(0)
    }

    fn start(&self, project: &Project) -> Child {
        self.command(project).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

fn yaml(path: &str) -> Yaml {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

fn owned<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The step of the action that records, with these inputs, in a job that went so.
fn github(directory: &Path, status: &str, key: &str, inputs: &[(&str, &str)]) -> Job {
    let action = yaml("docs/ci/github/action.yml");
    let input = |name: &str| {
        let given = inputs.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        given.unwrap_or_else(|| match action["inputs"][name]["default"].as_str().unwrap() {
            "${{ job.status }}" => status.to_owned(),
            "${{ job.check_run_id || strategy.job-index }}" => key.to_owned(),
            plain => {
                assert!(!plain.contains("${{"), "{plain}");
                plain.to_owned()
            }
        })
    };
    let step = &action["runs"]["steps"][1];
    let mut variables = owned(GITHUB);
    for (name, value) in step["env"].as_hash().unwrap() {
        let value = value.as_str().unwrap();
        let name_of_input = value.strip_prefix("${{ inputs.").unwrap().strip_suffix(" }}").unwrap();
        variables.insert(name.as_str().unwrap().to_owned(), input(name_of_input));
    }
    let shell = vec!["bash", "--noprofile", "--norc", "-eo", "pipefail"];
    let script = step["run"].as_str().unwrap().to_owned();
    Job { directory: directory.to_owned(), shell, variables, script }
}

/// The `after_script` of a job that extends the example.
fn gitlab(directory: &Path, status: &str, job_id: &str) -> Job {
    let template = yaml("docs/ci/gitlab/git-audit.gitlab-ci.yml");
    let job = &template[".git-audit"];
    let mut variables = owned(GITLAB);
    for (name, value) in job["variables"].as_hash().unwrap() {
        variables.insert(name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned());
    }
    variables.extend(owned([("CI_JOB_STATUS", status), ("CI_JOB_ID", job_id)]));
    let script = job["after_script"][0].as_str().unwrap().to_owned();
    Job { directory: directory.to_owned(), shell: vec!["sh"], variables, script }
}

#[test]
fn the_action_records_each_job_of_each_clone_once_on_top_of_the_one_before() {
    let project = Project::new();
    let inputs = [("title", "a build"), ("service", "web\nshop"), ("intent", "build"), ("plan", "p1")];
    github(&project.checkout("one"), "success", "0", &inputs).run(&project);
    assert_eq!(project.ids(), ["github-4821-1-build-0"]);
    let tip = project.tip();
    github(&project.checkout("two"), "failure", "1", &[("error", "3 tests failed")]).run(&project);
    assert_eq!(project.ids(), ["github-4821-1-build-0", "github-4821-1-build-1"]);
    project.grew_from(&tip);

    let first = project.entry("github-4821-1-build-0");
    assert_eq!(first["status"], "completed");
    assert_eq!(first["execution_result"]["services_touched"], json!(["web", "shop"]));
    assert_eq!(first["metadata"]["ci"]["provider"], "github");
    assert_eq!(first["context"]["actor"], "ann");
    let second = project.entry("github-4821-1-build-1");
    assert_eq!((&second["status"], &second["error_message"]), (&json!("failed"), &json!("3 tests failed")));
    assert_eq!(project.remote_git(&["rev-list", "--count", "main"]).trim(), "1");
    assert_eq!(project.remote_git(&["fsck", "--strict"]), "");
}

#[test]
fn the_gitlab_example_records_each_job_also_in_a_clone_that_is_used_again() {
    let project = Project::new();
    let kept = project.checkout("kept");
    gitlab(&kept, "success", "1").run(&project);
    gitlab(&project.checkout("other"), "failed", "2").run(&project);
    let tip = project.tip();
    gitlab(&kept, "canceled", "3").with("AUDIT_SERVICE", "shop").run(&project);
    assert_eq!(project.ids(), ["gitlab-12-1", "gitlab-12-2", "gitlab-12-3"]);
    project.grew_from(&tip);
    assert_eq!(project.entry("gitlab-12-3")["status"], "cancelled");
    assert!(!project.entry("gitlab-12-3").to_string().contains("not-for-the-ledger"));
}

#[test]
fn a_second_run_of_the_same_job_changes_nothing() {
    let project = Project::new();
    let directory = project.checkout("one");
    github(&directory, "success", "0", &[]).run(&project);
    let tip = project.tip();
    let again = github(&directory, "success", "0", &[]).run(&project);
    assert!(again.stdout.contains("skipped"), "{}", again.stdout);
    assert_eq!(project.tip(), tip);
}

#[test]
fn jobs_that_race_all_arrive_each_with_one_commit() {
    let project = Project::new();
    let jobs: Vec<_> = (0..4)
        .map(|number| {
            let directory = project.checkout(&format!("runner-{number}"));
            match number % 2 {
                0 => github(&directory, "success", &number.to_string(), &[]),
                _ => gitlab(&directory, "success", &number.to_string()),
            }
        })
        .collect();
    let running: Vec<_> = jobs.iter().map(|job| job.start(&project)).collect();
    for job in running {
        let output = job.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !text.contains("warning: git-audit"), "{text}");
    }
    let mut ids = project.ids();
    ids.sort();
    assert_eq!(ids, ["github-4821-1-build-0", "github-4821-1-build-2", "gitlab-12-1", "gitlab-12-3"]);
}

#[test]
fn a_push_that_comes_too_late_goes_on_top_of_the_other_one_with_the_same_bytes() {
    let project = Project::new();
    github(&project.checkout("one"), "success", "0", &[]).run(&project);
    let late = project.checkout("late");
    let path = late.to_str().unwrap();
    // What an earlier step of the job recorded, before somebody else pushed.
    project.sandbox.git(&["-C", path, "fetch", "--quiet", "--depth=1", "origin", "audit:audit"]);
    let arguments = ["-C", path, "record", "--task-id", "step-1", "--status", "completed"];
    project.sandbox.audit(&arguments).exits(0);
    let entry = project.sandbox.git(&["-C", path, "show", "audit:.audit/tasks/step-1.json"]);
    github(&project.checkout("two"), "success", "1", &[]).run(&project);
    let tip = project.tip();

    github(&late, "success", "2", &[]).run(&project);
    let expected = ["github-4821-1-build-0", "github-4821-1-build-1", "step-1", "github-4821-1-build-2"];
    assert_eq!(project.ids(), expected);
    project.grew_from(&tip);
    assert_eq!(project.remote_git(&["show", "audit:.audit/tasks/step-1.json"]), entry);
    // The clone has what the remote has, and nothing of the way there.
    assert_eq!(project.sandbox.git(&["-C", path, "rev-parse", "audit"]).trim(), project.tip());
    assert_eq!(
        project.sandbox.git(&["-C", path, "for-each-ref", "--format=%(refname)", "refs/heads/git-audit-*"]),
        ""
    );
}

#[test]
fn without_a_status_only_what_earlier_steps_recorded_is_pushed() {
    let project = Project::new();
    let directory = project.checkout("one");
    let path = directory.to_str().unwrap();
    project.sandbox.audit(&["-C", path, "init"]).exits(0);
    project.sandbox.audit(&["-C", path, "record", "--task-id", "step-1", "--status", "failed"]).exits(0);
    github(&directory, "success", "0", &[("status", "")]).run(&project);
    gitlab(&directory, "success", "1").with("AUDIT_STATUS", "").run(&project);
    assert_eq!(project.ids(), ["step-1"]);
}

#[test]
fn a_push_that_is_not_allowed_warns_shows_the_entry_and_keeps_it() {
    let project = Project::new();
    github(&project.checkout("one"), "success", "0", &[]).run(&project);
    let tip = project.tip();
    project.hook("exit 1");
    let directory = project.checkout("two");
    let refused = github(&directory, "success", "1", &[]).run(&project);
    assert!(
        refused.stdout.contains("::warning title=git-audit::the ledger could not be pushed"),
        "{refused:?}"
    );
    assert!(refused.stdout.contains("\"task_id\": \"github-4821-1-build-1\""), "{refused:?}");
    assert!(!refused.stdout.contains("\"task_id\": \"github-4821-1-build-0\""), "{refused:?}");
    assert_eq!(project.tip(), tip);

    // Allowed again: what was left behind goes along.
    project.hook("exit 0");
    github(&directory, "success", "2", &[]).run(&project);
    assert_eq!(project.ids(), ["github-4821-1-build-0", "github-4821-1-build-1", "github-4821-1-build-2"]);
}

#[test]
fn inputs_are_values_whatever_they_look_like() {
    let project = Project::new();
    let hostile =
        "$(touch pwned) `touch pwned` \"; touch pwned; ' \\ --force ${{ x }}\n::set-output name=a::b\nEND";
    let inputs = [
        ("title", hostile),
        ("error", hostile),
        ("service", "--init\n$(touch pwned)\nEND\n*"),
        ("plan", "-x"),
        ("intent", hostile),
    ];
    let directory = project.checkout("one");
    github(&directory, "success", hostile, &inputs).run(&project);
    let ids = project.ids();
    assert_eq!(ids.len(), 1);
    let entry = project.entry(&ids[0]);
    assert_eq!((&entry["title"], &entry["error_message"]), (&json!(hostile), &json!(hostile)));
    assert_eq!(entry["plan_id"], "-x");
    assert_eq!(
        entry["execution_result"]["services_touched"],
        json!(["--init", "$(touch pwned)", "END", "*"])
    );
    assert!(!directory.join("pwned").exists());
    let tip = project.tip();
    // An id that is none: nothing is recorded, and the job goes on.
    let refused = github(&directory, "success", "0", &[("task-id", hostile)]).run(&project);
    assert!(refused.stdout.contains("the job is not recorded"), "{refused:?}");
    assert_eq!(project.tip(), tip);
    assert!(!directory.join("pwned").exists());
}

#[test]
fn the_examples_put_no_input_into_a_script_and_have_one_script() {
    let action = yaml("docs/ci/github/action.yml");
    for step in action["runs"]["steps"].as_vec().unwrap() {
        assert!(!step["run"].as_str().unwrap().contains("${{"));
        assert_eq!(step["shell"].as_str(), Some("bash"));
    }
    for (_, input) in action["inputs"].as_hash().unwrap() {
        assert!(!input["description"].as_str().unwrap().contains("${{"));
    }
    let after_the_beginning = |script: &str| script.split_once("ledger=refs/").unwrap().1.to_owned();
    let gitlab = yaml("docs/ci/gitlab/git-audit.gitlab-ci.yml");
    let gitlab = gitlab[".git-audit"]["after_script"][0].as_str().unwrap().to_owned();
    let github = action["runs"]["steps"][1]["run"].as_str().unwrap();
    assert_eq!(after_the_beginning(github), after_the_beginning(&gitlab));
    for forced in ["push --force", "push -f", "+refs/", "\"+$"] {
        assert!(!github.contains(forced), "{forced}");
    }
    assert!(yaml("docs/ci/github/example-workflow.yml")["jobs"]["build"]["steps"].is_array());
}

#[test]
fn the_action_finds_the_program_that_it_is_told_of() {
    let project = Project::new();
    let action = yaml("docs/ci/github/action.yml");
    let script = action["runs"]["steps"][0]["run"].as_str().unwrap().to_owned();
    let path = project.sandbox.input("github_path", "");
    let mut command = project.sandbox.command("bash");
    command.args(["-eo", "pipefail", "-c", &script]).env("GITHUB_PATH", &path);
    run(command.env("AUDIT_BIN", "/opt/audit $(id)\n/elsewhere")).exits(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "/opt/audit $(id)\n");
    run(command.env("AUDIT_BIN", "")).exits(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "/opt/audit $(id)\n");
}
