//! `git audit hook install`: the hooks that call `git audit hook`, into the settings of an agent or a repository's hooks.
//!
//! Invariants: all changes are known before the first is made, and a file that cannot be extended safely stops all of
//! them; what is there is kept; doing it twice changes nothing. What a symbolic link leads to outside the repository is
//! not the repository's, and changed only where the user asks for that.

use std::path::{Path, PathBuf};

use super::super::Context;
use crate::entry::Redactor;
use crate::entry::hook::{Agent, git};
use crate::error::{Error, Result, shell_quoted};
use crate::ledger;

mod edit;
mod file;
mod script;
mod settings;

/// Whose hooks are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An agent's.
    Agent(Agent),
    /// git's.
    Git,
    /// The guard, which git asks before it accepts a push.
    Guard,
}

/// Which of an agent's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those in the working tree, for everybody who works on it.
    Project,
    /// Those in the working tree that are the user's own.
    Local,
    /// The user's, for everything; below this directory.
    User(PathBuf),
}

/// What is to be done.
#[derive(Debug)]
pub struct InstallOptions {
    /// Whose hooks.
    pub target: Target,
    /// Where. git's hooks are the repository's, whatever this says.
    pub scope: Scope,
    /// Take the hooks out again.
    pub remove: bool,
    /// Only say what would change.
    pub dry_run: bool,
    /// The branch that is guarded, where the repository has no ledger yet.
    pub branch: Option<String>,
}

/// A file, and what becomes of it.
#[derive(Debug)]
pub struct Change {
    /// The file; where symbolic links are on the way, what they lead to.
    pub path: PathBuf,
    /// What is in it; `None`: it is not there.
    pub before: Option<String>,
    /// What will be in it; `None`: it will not be there.
    pub after: Option<String>,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.before == self.after
    }

    /// The change as a unified diff; empty where there is none. The lines around it are the user's, and may hold
    /// secrets: those are taken out here, and only here.
    pub fn diff(&self) -> String {
        let name = |content: &Option<String>| match content {
            Some(_) => self.path.display().to_string(),
            None => "/dev/null".to_owned(),
        };
        let (before, after) = (self.before.as_deref().unwrap_or(""), self.after.as_deref().unwrap_or(""));
        let diff = similar::TextDiff::from_lines(before, after);
        let diff = diff.unified_diff().header(&name(&self.before), &name(&self.after)).to_string();
        Redactor::standard().text(&diff).0.into_owned()
    }
}

/// What would change where hooks are installed, or taken out.
///
/// # Errors
/// There is no repository where one is needed; a file cannot be read, or cannot be extended.
pub fn plan(context: &Context, options: &InstallOptions) -> Result<Vec<Change>> {
    match options.target {
        Target::Git => git_hooks(context, options.remove),
        Target::Guard => guard(context, options),
        Target::Agent(agent) => {
            let path = settings_path(context, agent, &options.scope)?;
            let path = match options.scope {
                Scope::User(_) => file::resolved(&path)?,
                Scope::Project | Scope::Local => {
                    let verb = if options.remove { "uninstall" } else { "install" };
                    let way_out = format!(
                        "run `git audit hook {verb} {} --user` for the user's settings, \
                            or put a directory and file of the repository's own there",
                        agent.as_str()
                    );
                    resolved_inside(&path, &ledger::own_directories(&context.place)?, &way_out)?
                }
            };
            let before = file::read(&path)?;
            let after = if options.remove {
                match &before {
                    Some(text) => settings::without_hooks(text, agent, &path)?,
                    None => None,
                }
            } else {
                Some(settings::with_hooks(before.as_deref(), agent, &path)?)
            };
            Ok(vec![Change { path, before, after }])
        }
    }
}

/// Makes the changes.
///
/// # Errors
/// A file cannot be written, or was changed by somebody else since it was read. Those before it are written.
pub fn run(changes: &[Change], target: Target) -> Result<()> {
    let mode = if matches!(target, Target::Agent(_)) { 0o644 } else { 0o755 };
    changes.iter().filter(|change| !change.is_nothing()).try_for_each(|change| {
        file::replace(&change.path, change.before.as_deref(), change.after.as_deref(), mode)
    })
}

/// Whether there is a ledger that the hooks could write to.
pub fn has_ledger(context: &Context) -> bool {
    ledger::Ledger::open(&context.place).is_ok()
}

fn settings_path(context: &Context, agent: Agent, scope: &Scope) -> Result<PathBuf> {
    let name = match (agent, scope) {
        (Agent::Claude, Scope::Local) => "settings.local.json",
        (Agent::Claude, _) => "settings.json",
        (_, Scope::Local) => {
            let text = format!("{} has no settings of that kind; leave `--local` out", agent.name());
            return Err(Error::Usage(text));
        }
        _ => "hooks.json",
    };
    let directory = match scope {
        Scope::User(directory) => directory.clone(),
        _ => ledger::work_tree(&context.place)?.join(format!(".{}", agent.as_str())),
    };
    Ok(directory.join(name))
}

fn git_hooks(context: &Context, remove: bool) -> Result<Vec<Change>> {
    let directory = HooksPlace::of(context)?;
    let change = |(hook, reads): &(&str, bool)| {
        let path = directory.path_of(hook)?;
        let reads = *reads && !path.exists();
        change_of_script(path, &script::events(hook, reads), remove)
    };
    git::HOOKS.iter().map(change).collect()
}

/// The hook, and the name of the branch in the repository's configuration: whatever is pushed later cannot make another
/// branch the ledger's. The name stays when the hook is taken out.
fn guard(context: &Context, options: &InstallOptions) -> Result<Vec<Change>> {
    let path = HooksPlace::of(context)?.path_of("pre-receive")?;
    let script = change_of_script(path, &script::guard(), options.remove)?;
    if options.remove {
        return Ok(vec![script]);
    }
    let gate = ledger::Gate::open(&context.place, options.branch.as_deref())?;
    let before = file::read(&gate.config())?;
    let after = if gate.is_pinned() {
        before.clone()
    } else {
        let text = before.clone().unwrap_or_default();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let name = gate.name().replace('"', "\\\"");
        Some(format!("{text}{end}[audit]\n\tbranch = \"{name}\"\n"))
    };
    // Before the hook, which would guard another branch without it.
    Ok(vec![Change { path: gate.config(), before, after }, script])
}

/// The directory of hooks, and what is the repository's own.
struct HooksPlace {
    directory: PathBuf,
    own: Vec<PathBuf>,
}

impl HooksPlace {
    fn of(context: &Context) -> Result<Self> {
        let hooks = ledger::hooks_directory(&context.place)?;
        if hooks.is_shared {
            let why = "core.hooksPath makes it the directory of other repositories' hooks, too";
            // In a linked worktree, `.git/hooks` would be no directory.
            let way_out = format!(
                "run `git config core.hooksPath {}` to give this repository its own; \
                hooks that are wanted from the shared one must be called from there",
                shell_quoted(&hooks.by_default.to_string_lossy())
            );
            return Err(Error::not_extended(&hooks.path, why, way_out));
        }
        let mut own = ledger::own_directories(&context.place)?;
        // One that the repository's configuration names is its own, wherever it is.
        own.extend(Some(hooks.path.clone()).filter(|path| *path != hooks.by_default));
        Ok(Self { directory: hooks.path, own })
    }

    fn path_of(&self, hook: &str) -> Result<PathBuf> {
        let way_out = "put a directory or script of the repository's own in the place of the symbolic link";
        resolved_inside(&self.directory.join(hook), &self.own, way_out)
    }
}

/// What `path` leads to, if that is in one of the directories `own`.
fn resolved_inside(path: &Path, own: &[PathBuf], way_out: &str) -> Result<PathBuf> {
    let real = file::resolved(path)?;
    for directory in own {
        if real.starts_with(file::resolved(directory)?) {
            return Ok(real);
        }
    }
    let why = format!("it leads to {}, outside of the repository", real.display());
    Err(Error::not_extended(path, why, way_out))
}

fn change_of_script(path: PathBuf, block: &script::Block, remove: bool) -> Result<Change> {
    let before = file::read(&path)?;
    let after = match &before {
        Some(text) if remove => script::without_block(text, &path)?,
        None if remove => None,
        Some(text) => {
            let after = script::with_block(text, block, &path)?;
            refuse_disabled(&path)?;
            Some(after)
        }
        None => Some(script::new(block)),
    };
    Ok(Change { path, before, after })
}

/// Somebody has switched the hook off. To make it run is not for us to decide, and without that our lines would not run.
fn refuse_disabled(path: &Path) -> Result<()> {
    if file::is_executable(path)? {
        return Ok(());
    }
    let why = "it is there but not executable, so git does not run it";
    let way_out = format!(
        "run `chmod +x {}` if git is to run it, or remove it; then run the command again",
        shell_quoted(&path.to_string_lossy())
    );
    Err(Error::not_extended(path, why, way_out))
}
