//! Who an audit commit is by: git's usual identity (config, then the `GIT_*` variables), and never a failure.
//! The `GIT_*_DATE` variables are not read: the time of a record is the clock's.

use super::settings::Settings;

const FALLBACK_NAME: &str = "git-audit";
const FALLBACK_EMAIL: &str = "git-audit@localhost";

/// What the environment says about author and committer. All are optional.
#[derive(Clone, Debug, Default)]
pub struct IdentityVariables {
    /// `GIT_AUTHOR_NAME`
    pub author_name: Option<String>,
    /// `GIT_AUTHOR_EMAIL`
    pub author_email: Option<String>,
    /// `GIT_COMMITTER_NAME`
    pub committer_name: Option<String>,
    /// `GIT_COMMITTER_EMAIL`
    pub committer_email: Option<String>,
    /// `EMAIL`
    pub email: Option<String>,
}

/// `Name <email>` of author and committer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identities {
    pub author: String,
    pub committer: String,
}

impl Identities {
    pub fn resolve(variables: &IdentityVariables, settings: &Settings) -> Self {
        let choose = |variable: &Option<String>, key: &str, shared_key: &str, last: Option<&String>| {
            let candidates = [variable.clone(), settings.text(key), settings.text(shared_key), last.cloned()];
            candidates.into_iter().flatten().map(|text| clean(&text)).find(|text| !text.is_empty())
        };
        let signature = |role: &str, name: &Option<String>, email: &Option<String>| {
            let name = choose(name, &format!("{role}.name"), "user.name", None);
            let email = choose(email, &format!("{role}.email"), "user.email", variables.email.as_ref());
            match (name, email) {
                (None, None) => format!("{FALLBACK_NAME} <{FALLBACK_EMAIL}>"),
                (name, email) => {
                    let name = name.unwrap_or_else(|| FALLBACK_NAME.into());
                    format!("{name} <{}>", email.unwrap_or_else(|| FALLBACK_EMAIL.into()))
                }
            }
        };
        Self {
            author: signature("author", &variables.author_name, &variables.author_email),
            committer: signature("committer", &variables.committer_name, &variables.committer_email),
        }
    }
}

/// Without the characters that would break the header line, and without git's "crud" at the ends.
fn clean(text: &str) -> String {
    let crud = |character: char| {
        character <= ' ' || matches!(character, '.' | ',' | ':' | ';' | '<' | '>' | '"' | '\\' | '\'')
    };
    let kept: String =
        text.chars().filter(|character| !matches!(character, '<' | '>' | '\n' | '\0')).collect();
    kept.trim_matches(crud).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &IdentityVariables, settings: &[(&str, &str)]) -> Identities {
        Identities::resolve(variables, &Settings::fixed(settings))
    }

    #[test]
    fn without_any_identity_there_is_still_one() {
        let both = resolve(&IdentityVariables::default(), &[]);
        assert_eq!(both.author, "git-audit <git-audit@localhost>");
        assert_eq!(both.committer, both.author);
    }

    #[test]
    fn variables_come_before_the_role_and_the_role_before_the_user() {
        let variables = IdentityVariables { author_name: Some("Env".into()), ..IdentityVariables::default() };
        let config =
            [("user.name", "User"), ("user.email", "u@example.com"), ("committer.name", "Committer")];
        let both = resolve(&variables, &config);
        assert_eq!(
            (both.author.as_str(), both.committer.as_str()),
            ("Env <u@example.com>", "Committer <u@example.com>")
        );
    }

    #[test]
    fn an_identity_cannot_break_the_commit() {
        let both = resolve(
            &IdentityVariables::default(),
            &[("user.name", "A\nparent <x>\0."), ("user.email", "<a@x>")],
        );
        assert_eq!(both.author, "Aparent x <a@x>");
        let crud = resolve(&IdentityVariables::default(), &[("user.name", " .,;\n ")]);
        assert_eq!(crud.author, "git-audit <git-audit@localhost>");
    }
}
