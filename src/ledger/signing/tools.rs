//! The programs that make and check signatures, and the files that say whose count: as git's configuration names them.
//! They are run with a pinned environment, from nowhere: what lies in a working tree is never run.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scratch::Scratch;
use crate::error::{Error, Result};
use crate::ledger::Place;
use crate::ledger::settings::Settings;

/// What the environment says that the programs may know: where their keys and agents are, and how to ask a person.
#[derive(Clone, Debug, Default)]
pub struct SigningVariables(pub Vec<(&'static str, OsString)>);

impl SigningVariables {
    /// The names of these variables.
    pub const NAMES: [&str; 13] = [
        "HOME",
        "GNUPGHOME",
        "SSH_AUTH_SOCK",
        "GPG_TTY",
        "TERM",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
        "DBUS_SESSION_BUS_ADDRESS",
        "PINENTRY_USER_DATA",
        "SSH_ASKPASS",
        "SSH_ASKPASS_REQUIRE",
    ];

    fn find(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str())
    }
}

/// `gpg.format`, of those that can be made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenPgp,
    Ssh,
}

/// What git's configuration says about signatures.
#[derive(Clone, Debug)]
pub struct SigningTools {
    format: Option<String>,
    signing_key: Option<String>,
    ssh_program: OsString,
    openpgp_program: OsString,
    default_key_command: Option<String>,
    allowed_signers: Option<PathBuf>,
    revocation: Option<PathBuf>,
    min_trust_level: Option<String>,
    variables: SigningVariables,
    search_path: Option<OsString>,
    /// What a relative path is relative to.
    top: PathBuf,
    /// Where files may be left for a moment.
    scratch_places: Vec<PathBuf>,
}

impl SigningTools {
    pub(super) fn of(settings: &Settings, place: &Place, top: &Path, state: &Path) -> Self {
        let program = |keys: &[&str], usual: &str| {
            let named =
                keys.iter().find_map(|key| settings.path(key)).filter(|path| !path.as_os_str().is_empty());
            named.unwrap_or_else(|| usual.into())
        };
        let mut tools = Self {
            format: settings.text("gpg.format"),
            signing_key: settings.text("user.signingkey").filter(|key| !key.is_empty()),
            ssh_program: OsString::new(),
            openpgp_program: OsString::new(),
            default_key_command: settings.text("gpg.ssh.defaultkeycommand"),
            allowed_signers: None,
            revocation: None,
            min_trust_level: settings.text("gpg.mintrustlevel").map(|level| level.to_ascii_lowercase()),
            variables: place.signing.clone(),
            search_path: place.search_path.clone(),
            top: place.directory.join(top),
            scratch_places: std::iter::once(state.to_owned())
                .chain(place.cache_home.clone())
                .chain([PathBuf::from("/tmp")])
                .collect(),
        };
        // A value that came by `git -c` still has its `~/`.
        let home = |path: PathBuf| tools.expanded(&path);
        let ssh = home(program(&["gpg.ssh.program"], "ssh-keygen"));
        let openpgp = home(program(&["gpg.openpgp.program", "gpg.program"], "gpg"));
        let file = |key| settings.path(key).map(|path| tools.resolve(&path));
        let (allowed_signers, revocation) =
            (file("gpg.ssh.allowedsignersfile"), file("gpg.ssh.revocationfile"));
        (tools.ssh_program, tools.openpgp_program) = (ssh.into(), openpgp.into());
        (tools.allowed_signers, tools.revocation) = (allowed_signers, revocation);
        tools
    }

    pub(super) fn format(&self) -> Result<Format> {
        match self.format.as_deref() {
            None | Some("openpgp") => Ok(Format::OpenPgp),
            Some("ssh") => Ok(Format::Ssh),
            Some(other) => Err(Error::signing(
                format!("gpg.format is `{other}`, which git-audit cannot sign with"),
                "run `git config gpg.format ssh` (or openpgp), and choose a key with `git config user.signingkey KEY`",
            )),
        }
    }

    /// `user.signingkey`
    pub(super) fn signing_key(&self) -> Option<&str> {
        self.signing_key.as_deref()
    }

    pub(super) fn default_key_command(&self) -> Option<&str> {
        self.default_key_command.as_deref()
    }

    /// `gpg.ssh.allowedSignersFile`: who may sign by SSH.
    pub fn allowed_signers(&self) -> Option<&Path> {
        self.allowed_signers.as_deref()
    }

    /// `gpg.ssh.revocationFile`: whose keys do not count any more.
    pub fn revocation(&self) -> Option<&Path> {
        self.revocation.as_deref()
    }

    /// `gpg.minTrustLevel`, in lower case: how far gpg has to trust a key.
    pub fn min_trust_level(&self) -> Option<&str> {
        self.min_trust_level.as_deref()
    }

    /// Where gpg has its keys.
    pub fn keyring(&self) -> Option<PathBuf> {
        let named = self.variables.find("GNUPGHOME").map(PathBuf::from);
        named.or_else(|| Some(Path::new(self.variables.find("HOME")?).join(".gnupg")))
    }

    /// The name of the program for SSH signatures.
    pub fn ssh_program(&self) -> String {
        self.ssh_program.to_string_lossy().into_owned()
    }

    /// The name of the program for OpenPGP signatures.
    pub fn openpgp_program(&self) -> String {
        self.openpgp_program.to_string_lossy().into_owned()
    }

    /// The program for SSH signatures, to be given its arguments.
    pub fn ssh(&self) -> Command {
        self.command(&self.ssh_program)
    }

    /// The program for OpenPGP signatures, to be given its arguments.
    pub fn openpgp(&self) -> Command {
        self.command(&self.openpgp_program)
    }

    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.search_path.as_ref().map(|path| ("PATH", path)));
        command.envs(self.variables.0.iter().map(|(name, value)| (name, value)));
        // English messages, and names of people in the letters in which git has them. Times without a zone are UTC.
        command.env("LANG", "C").env("LC_CTYPE", "C.UTF-8").env("TZ", "UTC0");
        // A relative path leads nowhere.
        command.current_dir("/");
        command
    }

    /// A directory for files that the programs read and write.
    ///
    /// # Errors
    /// Nowhere can one be made.
    pub fn scratch(&self) -> io::Result<Scratch> {
        Scratch::new(&self.scratch_places)
    }

    /// A path of the configuration: `~/` is the home, and what is relative is so to the working tree.
    pub(super) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.top.join(self.expanded(path.as_ref()))
    }

    fn expanded(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.variables.find("HOME")) {
            (Ok(inside), Some(home)) => Path::new(home).join(inside),
            _ => path.to_owned(),
        }
    }
}
