//! What a CI system says about the job that runs, by its environment variables.
//!
//! Only the variables that [`PROVIDERS`] names are ever looked at: no token, no password, no user's own variable. What
//! is found fills what the caller left out; it is no part of what the caller gave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::url::without_credentials;
use super::{Digest, TaskId, task_id};

mod providers;

pub use providers::{FACTS, PROVIDERS, Provider};

/// Tells apart the jobs of a matrix, where the CI system itself gives them one name: part of the default task id.
pub const INDEX: &str = "GIT_AUDIT_CI_INDEX";
/// A value is a name, an id or an address; whatever is longer is somebody's game, and as good as not set.
const MAX_VALUE_BYTES: usize = 1024;

/// A job of a CI system.
#[derive(Clone, Debug, PartialEq)]
pub struct Ci {
    /// The CI system.
    pub provider: &'static str,
    /// The id of the job's entry where the caller gives none; another one for each attempt, where the system says which
    /// attempt it is.
    pub task_id: TaskId,
    /// For the entry's `context`.
    pub context: Map<String, Value>,
    /// For the entry's `metadata.ci`.
    pub metadata: Map<String, Value>,
}

/// The names of all variables that may be looked at.
pub fn variables() -> BTreeSet<&'static str> {
    let named = PROVIDERS.iter().flat_map(Provider::texts).flat_map(names);
    let marks = PROVIDERS.iter().flat_map(|provider| provider.marks.iter().chain(provider.unless));
    let marks = marks.map(|mark| mark.split_once('=').map_or(*mark, |(name, _)| name));
    named.chain(marks).chain(["CI", INDEX]).collect()
}

/// The job that these variables tell of. `None` where that is not sure: no known system, several, or one that does not
/// say which job it is; and where `CI` says that there is none.
pub fn detect(variables: &BTreeMap<String, String>) -> Option<Ci> {
    let variables = Variables(variables);
    if variables.0.get("CI").is_some_and(|value| is_no(value)) {
        return None;
    }
    let mut found = PROVIDERS.iter().filter(|provider| {
        provider.marks.iter().all(|mark| variables.is_marked(mark))
            && !provider.unless.iter().any(|mark| variables.is_marked(mark))
    });
    match (found.next(), found.next()) {
        (Some(provider), None) => variables.job(provider),
        _ => None,
    }
}

impl Ci {
    /// Puts into `entry` what it does not say itself. An entry that has a `metadata.ci` keeps it as it is.
    pub fn fill(&self, entry: &mut Value) {
        if let Some(context) = object_in(entry, "context") {
            for (key, value) in &self.context {
                if context.get(key).is_none_or(Value::is_null) {
                    context.insert(key.clone(), value.clone());
                }
            }
        }
        if let Some(metadata) = object_in(entry, "metadata")
            && metadata.get("ci").is_none_or(Value::is_null)
        {
            metadata.insert("ci".to_owned(), Value::Object(self.metadata.clone()));
        }
    }
}

/// The object at `key`, made where there is nothing; `None` where something else is.
fn object_in<'e>(entry: &'e mut Value, key: &str) -> Option<&'e mut Map<String, Value>> {
    let value = entry.as_object_mut()?.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

struct Variables<'v>(&'v BTreeMap<String, String>);

impl Variables<'_> {
    fn is_marked(&self, mark: &str) -> bool {
        let (name, wanted) = mark.split_once('=').map_or((mark, None), |(name, value)| (name, Some(value)));
        let given = self.0.get(name);
        given.is_some_and(|value| wanted.map_or_else(|| !is_no(value), |wanted| value == wanted))
    }

    fn job(&self, provider: &'static Provider) -> Option<Ci> {
        let mut parts = vec![provider.name.to_owned()];
        for part in provider.task_id {
            parts.push(self.text(part)?);
        }
        parts.extend(self.value(INDEX));
        parts.retain(|part| !part.is_empty());
        let task_id = id_of(&parts.join("-"))?;

        let mut metadata = Map::new();
        metadata.insert("provider".to_owned(), provider.name.into());
        for (key, text) in provider.facts {
            let value = self.text(text);
            let value = if *key == "pull_request" { value.as_deref().and_then(number) } else { value };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                metadata.insert((*key).to_owned(), value.into());
            }
        }

        let fact = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
        let run = fact("run_id").map(|run_id| format!("{}-{run_id}", provider.name));
        let session = run.clone().map(|run| match fact("run_attempt") {
            Some(attempt) => format!("{run}-{attempt}"),
            None => run,
        });
        let context = [
            ("workspace_id", fact("repository")),
            ("worktree_path", self.text(provider.directory).filter(|path| !path.is_empty())),
            ("session_id", session),
            ("correlation_id", run),
            ("worker_id", fact("runner")),
            ("actor", fact("actor")),
        ];
        let context = context.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
        Some(Ci { provider: provider.name, task_id, context: context.collect(), metadata })
    }

    /// The first alternative of `text` whose variables are all set, with their values.
    fn text(&self, text: &str) -> Option<String> {
        text.split('|').find_map(|alternative| {
            let mut made = String::new();
            let mut rest = alternative;
            while let Some((before, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}')?;
                made.push_str(before);
                made.push_str(&self.value(name)?);
                rest = after;
            }
            made.push_str(rest);
            Some(made)
        })
    }

    /// The variable's value, if it says something, without what must not be written down.
    fn value(&self, name: &str) -> Option<String> {
        // Bitbucket writes its ids in braces.
        let value = self.0.get(name)?.trim().trim_matches(['{', '}']);
        let says_something = !value.is_empty() && value != "false" && value.len() <= MAX_VALUE_BYTES;
        says_something.then(|| without_credentials(value).into_owned())
    }
}

/// The variables that a text names.
fn names(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn is_no(value: &str) -> bool {
    ["", "0", "false", "no", "off"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
}

/// The number of a pull request, in whichever form it comes: `12`, `pr/12`, `refs/pull/12/merge`, `https://…/pull/12`.
fn number(text: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = text.split('/').collect();
    let names_request = |part: &str| ["pr", "pull", "pull-requests", "merge_requests"].contains(&part);
    let after = parts.windows(2).find(|pair| names_request(pair[0])).map(|pair| pair[1]);
    after
        .or_else(|| parts.first().copied().filter(|_| parts.len() == 1))
        .filter(|part| is_number(part))
        .map(str::to_owned)
}

/// `text` as a task id. Where the grammar does not allow it as it is, a digest keeps it apart from others that would
/// look the same.
fn id_of(text: &str) -> Option<TaskId> {
    if let Ok(task_id) = TaskId::new(text) {
        return Some(task_id);
    }
    let digest = Digest::of(text.as_bytes()).to_string();
    let digest = &digest["sha256:".len()..][..8];
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    let plain = text.chars().map(|character| if allowed(character) { character } else { '-' });
    let plain: String = plain.take(task_id::MAX_BYTES - digest.len() - 1).collect();
    TaskId::new(&format!("{plain}-{digest}")).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn github() -> BTreeMap<String, String> {
        of(&[
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "ann"),
            ("GITHUB_JOB", "build"),
            ("GITHUB_REF", "refs/pull/12/merge"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_RUN_ID", "4821"),
            ("GITHUB_SERVER_URL", "https://ann:secret@git.example.com"),
            ("GITHUB_WORKSPACE", "/builds/shop"),
            ("RUNNER_NAME", "runner-7"),
            ("GITHUB_TOKEN", "secret"),
        ])
    }

    #[test]
    fn a_job_says_who_where_and_which() {
        let ci = detect(&github()).unwrap();
        assert_eq!((ci.provider, ci.task_id.as_str()), ("github", "github-4821-2-build"));
        let context = json!({
            "workspace_id": "acme/shop", "worktree_path": "/builds/shop", "session_id": "github-4821-2",
            "correlation_id": "github-4821", "worker_id": "runner-7", "actor": "ann"
        });
        assert_eq!(Value::Object(ci.context), context);
        let metadata = json!({
            "provider": "github", "run_id": "4821", "run_attempt": "2", "job": "build",
            "url": "https://git.example.com/acme/shop/actions/runs/4821/attempts/2", "repository": "acme/shop",
            "ref": "refs/pull/12/merge", "actor": "ann", "runner": "runner-7", "pull_request": "12"
        });
        assert_eq!(Value::Object(ci.metadata), metadata);
    }

    #[test]
    fn only_what_the_entry_does_not_say_is_filled_in() {
        let ci = detect(&github()).unwrap();
        let mut entry = json!({"context": {"actor": "bob", "worker_id": null}, "metadata": {"ci": 1}});
        ci.fill(&mut entry);
        assert_eq!(entry["context"]["actor"], "bob");
        assert_eq!(entry["context"]["worker_id"], "runner-7");
        assert_eq!(entry["metadata"], json!({"ci": 1}));
        let mut other = json!({"context": 1, "metadata": null});
        ci.fill(&mut other);
        assert_eq!((&other["context"], &other["metadata"]["ci"]["provider"]), (&json!(1), &json!("github")));
    }

    #[test]
    fn what_is_not_sure_is_not_said() {
        let with = |pairs: &[(&str, &str)]| detect(&github().into_iter().chain(of(pairs)).collect());
        assert_eq!(detect(&of(&[("CI", "true")])), None);
        assert_eq!(with(&[("CI", "false")]), None);
        assert_eq!(with(&[("GITHUB_ACTIONS", "false")]), None);
        assert_eq!(with(&[("GITHUB_RUN_ID", "")]), None);
        assert_eq!(with(&[("GITLAB_CI", "true")]), None);
        assert_eq!(with(&[("GITEA_ACTIONS", "true")]).unwrap().provider, "gitea");
        let both = [("GITEA_ACTIONS", "true"), ("FORGEJO_ACTIONS", "true")];
        assert_eq!(with(&both).unwrap().provider, "forgejo");
        assert_eq!(with(&[("CODEBUILD_BUILD_ID", "p:1")]).unwrap().provider, "github");
    }

    /// What each system's documentation gives as examples, as far as it matters for being recognised.
    #[test]
    fn every_known_system_is_recognised_by_its_own_variables() {
        for provider in PROVIDERS {
            let needed =
                provider.task_id.iter().filter(|text| !text.ends_with('|')).flat_map(|text| names(text));
            let marks = provider.marks.iter().map(|mark| mark.split_once('=').unwrap_or((mark, "True")));
            let variables: Vec<_> = needed.map(|name| (name, "7")).chain(marks).collect();
            let ci = detect(&of(&variables)).unwrap_or_else(|| panic!("{}", provider.name));
            assert_eq!(ci.provider, provider.name);
            assert!(ci.task_id.as_str().starts_with(provider.name), "{}", ci.task_id);
            for (key, _) in provider.facts {
                assert!(FACTS.contains(key), "{}: {key}", provider.name);
            }
        }
    }

    #[test]
    fn no_variable_that_could_hold_a_secret_is_looked_at() {
        for name in variables() {
            for word in ["TOKEN", "SECRET", "PASS", "KEY", "CRED", "AUTH_", "MESSAGE"] {
                assert!(!name.contains(word) || name == "BUILDKITE_STEP_KEY", "{name}");
            }
        }
        let hidden = "secret";
        assert!(!format!("{:?}", detect(&github())).contains(hidden));
    }

    #[test]
    fn addresses_lose_whatever_may_be_a_secret_and_no_value_is_cut() {
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let given =
            [("GITHUB_REPOSITORY", "oauth2:secret@git.example.com:acme/shop"), ("RUNNER_NAME", &long)];
        let ci = detect(&github().into_iter().chain(of(&given)).collect()).unwrap();
        assert_eq!(ci.metadata["repository"], "git.example.com:acme/shop");
        assert!(!ci.metadata.contains_key("runner"));
    }

    #[test]
    fn a_pull_request_is_a_number() {
        for (given, expected) in [
            ("12", Some("12")),
            ("pr/12", Some("12")),
            ("https://git.example.com/a/b/pull/12", Some("12")),
            ("refs/heads/12", None),
            ("12/merge", None),
            ("branch/main", None),
        ] {
            assert_eq!(number(given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn jobs_of_other_names_have_other_ids_also_where_the_grammar_leaves_little_of_them() {
        let jobs = ["a b", "a/b", "a..b", "x.lock", "é", "$(id)", &"j".repeat(300), &"j".repeat(301)];
        let ids = jobs.map(|job| {
            let variables = github().into_iter().chain(of(&[("GITHUB_JOB", job)])).collect();
            detect(&variables).unwrap().task_id.to_string()
        });
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), jobs.len(), "{ids:?}");
        let legs =
            ["0", "1"].map(|index| detect(&github().into_iter().chain(of(&[(INDEX, index)])).collect()));
        assert_eq!(legs[1].as_ref().unwrap().task_id.as_str(), "github-4821-2-build-1");
        assert_ne!(legs[0], legs[1]);
    }
}
