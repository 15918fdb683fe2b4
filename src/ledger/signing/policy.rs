//! Whether commits must be signed: by git's configuration here, or by the ledger's own policy everywhere.

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::ledger::settings::Settings;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sign {
    /// They are not signed.
    #[default]
    Off,
    /// Each one is, or nothing is recorded.
    Required,
}

/// `[signing]` in `.audit/config.toml`. A key that is misspelt must not pass for a policy that is not there.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::ledger) struct SigningPolicy {
    policy: Sign,
}

impl SigningPolicy {
    pub fn is_required(self) -> bool {
        self.policy == Sign::Required
    }
}

/// Whether `audit.sign` of git's configuration requires it.
pub(super) fn is_configured(settings: &Settings) -> Result<bool> {
    match settings.text("audit.sign").as_deref() {
        None | Some("off") => Ok(false),
        Some("required") => Ok(true),
        Some(word) => Err(Error::Usage(format!("audit.sign is `{word}`; it is off or required"))),
    }
}

/// Whether a ledger's `.audit/config.toml` requires that commits are signed. The rest of it is not looked at.
///
/// # Errors
/// It is not TOML, or its `[signing]` is not known: why.
pub fn is_required_by(config: &str) -> std::result::Result<bool, String> {
    #[derive(Deserialize)]
    struct Signing {
        #[serde(default)]
        signing: SigningPolicy,
    }
    let found: Signing = toml::from_str(config).map_err(|error| error.message().to_owned())?;
    Ok(found.signing.is_required())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_ledger_is_read_from_its_text() {
        assert_eq!(is_required_by(""), Ok(false));
        assert_eq!(is_required_by("version = 1\nflat_limit = 3\n[signing]\n"), Ok(false));
        assert_eq!(is_required_by("[signing]\npolicy = \"off\""), Ok(false));
        assert_eq!(is_required_by("[signing]\npolicy = \"required\""), Ok(true));
        // What else is wrong with it does not loosen it.
        assert_eq!(is_required_by("flat_limit = \"x\"\n[signing]\npolicy = \"required\""), Ok(true));
        for wrong in
            ["[signing", "[signing]\npolicy = \"yes\"", "[signing]\npolcy = \"required\"", "signing = 1"]
        {
            assert!(is_required_by(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn audit_sign_is_one_of_two_words() {
        let configured = |key: &str, value: &str| is_configured(&Settings::fixed(&[(key, value)]));
        assert!(!configured("audit.sign", "off").unwrap());
        assert!(configured("audit.sign", "required").unwrap());
        assert!(configured("audit.sign", "true").is_err());
        assert!(!configured("commit.gpgsign", "true").unwrap());
    }
}
