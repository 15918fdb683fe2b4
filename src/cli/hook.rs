//! `git audit hook`
//!
//! What agents and git call must not disturb them: nothing on standard output, exit code 0, whatever the input is and
//! whatever they put on the command line. Standard error is only for `--verbose`. The guard is the other way round: what it
//! cannot do is a reason to refuse the push.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Done, Session, environment};
use crate::entry::TaskId;
use crate::entry::hook::{Agent, git};
use crate::error::{Error, ExitStatus, Result};
use crate::ops::guard::{self, GuardOptions, Refusal};
use crate::ops::hook::install::{self, InstallOptions, Scope, Target};
use crate::ops::hook::{self, AgentOptions, Deed, GitOptions};
use crate::output::guard as print_guard;
use crate::output::hook as print;

/// The most bytes of a hook's input that are looked at; a longer one is none that we understand.
const MAX_INPUT_BYTES: u64 = 8 << 20;
/// What is beyond is taken from whoever writes it, so that the writer does not fail; up to here.
const MAX_IGNORED_BYTES: u64 = 1 << 30;
/// A push of more refs than any repository has.
const MAX_PUSH_BYTES: u64 = 256 << 20;
/// Nobody waits longer for a hook.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nor for a look at a repository that gives no answer: the agent would end the hook, and with it what it takes down.
const LOOK: Duration = Duration::from_secs(1);
/// What calls us on behalf of others, and may never fail them.
const QUIET: [&str; 5] = ["claude", "codex", "cursor", "auto", "git"];

/// Hooks: of coding agents and git, and a server's guard of its ledger
#[derive(Args)]
#[command(after_help = "`install` shows what it changes and writes it; from then on the agent calls
`git audit hook`. A session becomes a task with an event for each tool, and is
recorded when it ends. What people and agents say, file contents, diffs and
output are never taken down; of a command line, the program's name. git's hooks
do something only inside `git audit run`. docs/AGENTS.md has all of it.

Examples:
  git audit hook install claude
  git audit hook install cursor --user --dry-run
  git audit hook install git
  git audit hook uninstall claude
  git -C /srv/git/ledger.git audit hook install pre-receive")]
pub(super) struct HookArgs {
    #[command(subcommand)]
    action: HookAction,
}

#[derive(Subcommand)]
enum HookAction {
    /// Add the hooks of an agent or of git; a second time changes nothing
    Install(InstallArgs),
    /// Take them out again
    Uninstall(InstallArgs),
    /// For Claude Code to call: its JSON on standard input
    Claude(CalledArgs),
    /// For Codex to call: its JSON on standard input, or as the last argument
    Codex(CalledArgs),
    /// For Cursor to call: its JSON on standard input
    Cursor(CalledArgs),
    /// For any of them to call: tells them apart by what they say
    Auto(CalledArgs),
    /// For a hook of git to call: its name and arguments, and its standard input
    Git(CalledArgs),
    /// For git to call in a repository that is pushed to: refuses what breaks the ledger
    PreReceive,
}

#[derive(Args)]
struct CalledArgs {
    /// Say on standard error what was taken down, or why nothing was
    #[arg(long)]
    verbose: bool,
    /// Whatever the caller adds
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

#[derive(Args)]
struct InstallArgs {
    /// Whose hooks
    #[arg(value_name = "WHOSE", value_enum)]
    target: TargetName,
    /// In the user's settings, for all projects
    #[arg(long, conflicts_with = "local")]
    user: bool,
    /// In the settings of this project that are the user's own (Claude Code)
    #[arg(long)]
    local: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The branch that is guarded, where the repository has no ledger yet (pre-receive) [default: audit]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TargetName {
    Claude,
    Codex,
    Cursor,
    Git,
    PreReceive,
}

/// Whether the command line is one that must not fail whoever wrote it, also where it cannot be understood.
pub(super) fn is_called() -> bool {
    let arguments = environment::arguments();
    let mut words = arguments.iter().map(String::as_str);
    let command = loop {
        match words.next() {
            Some("-C" | "--format" | "--color") => _ = words.next(),
            Some(word) if word.starts_with('-') => {}
            other => break other,
        }
    };
    command == Some("hook") && words.next().is_some_and(|word| QUIET.contains(&word))
}

impl HookArgs {
    /// Whether it must go on where there is no directory to stand in.
    pub fn is_called(&self) -> bool {
        !matches!(self.action, HookAction::Install(_) | HookAction::Uninstall(_) | HookAction::PreReceive)
    }

    /// `is_placed`: the caller has said where the ledger is.
    pub fn run(self, session: &mut Session, is_placed: bool) -> Done {
        let (agent, called) = match self.action {
            HookAction::Install(args) => return args.run(session, false),
            HookAction::Uninstall(args) => return args.run(session, true),
            HookAction::PreReceive => return Ok(run_guard(session)),
            HookAction::Claude(called) => (Some(Agent::Claude), called),
            HookAction::Codex(called) => (Some(Agent::Codex), called),
            HookAction::Cursor(called) => (Some(Agent::Cursor), called),
            HookAction::Auto(called) => (None, called),
            HookAction::Git(called) => {
                let verbose = called.verbose;
                return quietly(session, verbose, |session| run_git(session, called.arguments));
            }
        };
        let verbose = called.verbose;
        quietly(session, verbose, |session| run_agent(session, agent, &called.arguments, is_placed))
    }
}

/// Runs it for a caller who must not notice.
fn quietly(
    session: &mut Session,
    verbose: bool,
    run: impl FnOnce(&mut Session) -> Result<Vec<Deed>>,
) -> Done {
    session.context.timeout = PATIENCE;
    session.context.look_limit = LOOK;
    let done = run(session);
    if verbose {
        match done {
            Ok(deeds) => session.messages.note(&in_words(&deeds)),
            Err(error) => session.messages.error(&error),
        }
    }
    Ok(ExitStatus::Done)
}

fn in_words(deeds: &[Deed]) -> String {
    let words = deeds.iter().map(|deed| match deed {
        Deed::Event(task_id) => format!("1 event of {task_id}"),
        Deed::Finish(task_id) => format!("the end of {task_id}"),
        Deed::Record(task_id) => format!("the entry {task_id}"),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "nothing to take down".to_owned() } else { words.join(", ") }
}

fn run_agent(
    session: &mut Session,
    agent: Option<Agent>,
    arguments: &[OsString],
    is_placed: bool,
) -> Result<Vec<Deed>> {
    // The program that Codex notifies has its JSON there, and no standard input.
    let argument = arguments.last().and_then(|last| last.to_str()).filter(|last| last.starts_with('{'));
    let input = argument.map_or_else(standard_input, |text| text.as_bytes().to_vec());
    if let Some(directory) = environment::project_directory(agent).filter(|_| !is_placed) {
        session.context.place.directory = directory;
        return hook::run(&session.context, AgentOptions { agent, input, follows: false });
    }
    hook::run(&session.context, AgentOptions { agent, input, follows: !is_placed })
}

fn run_git(session: &mut Session, arguments: Vec<OsString>) -> Result<Vec<Deed>> {
    let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let hook = arguments.next().unwrap_or_default();
    let Some((task_id, ledger)) = environment::surrounding_task() else { return Ok(Vec::new()) };
    let task_id = TaskId::new(&task_id).map_err(Error::Usage)?;
    let reads = git::HOOKS.iter().any(|(name, reads)| *name == hook && *reads);
    let input = if reads { standard_input() } else { Vec::new() };
    let input = String::from_utf8_lossy(&input).into_owned();
    let options = GitOptions { hook, arguments: arguments.collect(), input, task_id, ledger };
    hook::run_git(&session.context, options)
}

/// Says why a push is refused. A failure is a reason, too.
fn run_guard(session: &mut Session) -> ExitStatus {
    let mut input = Vec::new();
    let read = io::stdin().lock().take(MAX_PUSH_BYTES + 1).read_to_end(&mut input);
    let judged = match read {
        Err(error) => Err(Error::io("read standard input", error)),
        Ok(_) if input.len() as u64 > MAX_PUSH_BYTES => {
            Ok(vec![Refusal::new("malformed", "the push moves more refs than can be looked at")])
        }
        Ok(_) => {
            guard::run(&session.context, &GuardOptions { input, incoming: environment::incoming_objects() })
        }
    };
    let refusals = judged.unwrap_or_else(|error| vec![Refusal::new(error.code(), error.to_string())]);
    if refusals.is_empty() {
        return ExitStatus::Done;
    }
    print_guard::refusals(&mut session.messages, &refusals);
    ExitStatus::Failed
}

/// What the caller wrote; nothing where a person would have to.
fn standard_input() -> Vec<u8> {
    let mut stdin = io::stdin().lock();
    let mut input = Vec::new();
    if stdin.is_terminal() || (&mut stdin).take(MAX_INPUT_BYTES).read_to_end(&mut input).is_err() {
        return Vec::new();
    }
    _ = io::copy(&mut stdin.take(MAX_IGNORED_BYTES), &mut io::sink());
    input
}

impl InstallArgs {
    fn run(self, session: &mut Session, remove: bool) -> Done {
        let target = match self.target {
            TargetName::Claude => Target::Agent(Agent::Claude),
            TargetName::Codex => Target::Agent(Agent::Codex),
            TargetName::Cursor => Target::Agent(Agent::Cursor),
            TargetName::Git => Target::Git,
            TargetName::PreReceive => Target::Guard,
        };
        if self.branch.is_some() && target != Target::Guard {
            return Err(Error::Usage(
                "`--branch` belongs to `hook install pre-receive`; leave it out".into(),
            ));
        }
        let scope = self.scope(target)?;
        let options = InstallOptions { target, scope, remove, dry_run: self.dry_run, branch: self.branch };
        let changes = install::plan(&session.context, &options)?;
        // Shown before anything is written, so that it is known whatever happens then.
        print::diff(&mut session.printer, &changes)?;
        session.printer.flush()?;
        if !options.dry_run {
            install::run(&changes, target)?;
        }
        print::changes(&mut session.printer, &changes, &options)?;
        session.printer.flush()?;
        let is_new = !remove && changes.iter().any(|change| !change.is_nothing());
        if is_new && target == Target::Agent(Agent::Codex) {
            session.messages.hint("Codex runs new hooks when you have trusted them: run `/hooks` in it");
        }
        if is_new && target != Target::Guard && !self.user && !install::has_ledger(&session.context) {
            session.messages.hint("run `git audit init`: without a ledger the hooks do nothing");
        }
        Ok(ExitStatus::Done)
    }

    fn scope(&self, target: Target) -> Result<Scope> {
        let Target::Agent(agent) = target else {
            if self.user || self.local {
                return Err(Error::Usage(
                    "hooks of git are this repository's; leave `--user` and `--local` out".into(),
                ));
            }
            return Ok(Scope::Project);
        };
        if self.local {
            return Ok(Scope::Local);
        }
        if !self.user {
            return Ok(Scope::Project);
        }
        let missing = || Error::Usage("there is no home directory: HOME is not set".into());
        environment::settings_directory(agent).map(Scope::User).ok_or_else(missing)
    }
}
