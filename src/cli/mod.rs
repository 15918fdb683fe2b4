//! The command line: arguments in, exit code out. One file per command: it parses, calls `ops`, and hands the outcome
//! to `output`. Here is what all commands share.

use std::io::{self, BufWriter, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Local, Utc};
use clap::builder::TypedValueParser;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::entry::Redactor;
use crate::entry::TaskId;
use crate::error::{Error, ExitStatus, Result};
use crate::ledger::Durability;
use crate::ops::{Context, Coverage};
use crate::output::{Format, Messages, Printer};

mod artifact;
mod best_effort;
mod checkpoint;
mod ci;
mod completions;
mod environment;
mod event;
mod fields;
mod filters;
mod finish;
mod flush;
mod hook;
mod import;
mod index;
mod init;
mod items;
mod listing;
mod log;
mod man;
mod pager;
mod path;
mod prove;
mod reader;
mod record;
mod report;
mod repositories;
mod run;
mod show;
mod start;
mod stats;
mod tasks;
mod verify;

use reader::ColorWhen;

/// An append-only, tamper-evident ledger of finished tasks, kept in a git branch.
#[derive(Parser)]
#[command(
    name = "git-audit",
    bin_name = "git audit",
    version,
    max_term_width = 100,
    disable_help_flag = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  git audit init
  git audit record --task-id deploy-42 --status completed --service web
  git audit run --repo . -- make test
  git audit log --status failed --days 7
  git audit show deploy-42

Exit codes:
  0 done · 1 failed · 2 wrong usage or invalid input · 3 verify: not valid · 4 verify: inconclusive
  5 --strict: the entry has other content · 6 recorded, but the answer could not be printed
  7 busy, safe to retry
  125 run --strict: not recorded · 126 run: the command cannot be run · 127 run: no such command")]
struct Cli {
    /// Run as if started in PATH; may be repeated, as in git
    #[arg(short = 'C', value_name = "PATH", global = true, display_order = 900)]
    directory: Vec<PathBuf>,
    /// How the answer is written
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "human",
        global = true,
        display_order = 901
    )]
    format: Format,
    /// Short for --format json
    #[arg(long, global = true, conflicts_with = "format", display_order = 902)]
    json: bool,
    /// When the answer for people is coloured [default: auto, or git config color.audit, or color.ui]
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        hide_default_value = true,
        global = true,
        display_order = 903
    )]
    color: ColorWhen,
    // One text for both forms: `git audit --help` never reaches us, git takes it for a manual page.
    /// Print help
    #[arg(short = 'h', long, global = true, action = clap::ArgAction::HelpShort, display_order = 904)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(OnDemand<init::InitArgs>),
    Record(OnDemand<record::RecordArgs>),
    Import(OnDemand<import::ImportArgs>),
    Run(OnDemand<run::RunArgs>),
    RunRelay(OnDemand<run::RelayArgs>),
    Start(OnDemand<start::StartArgs>),
    Event(OnDemand<event::EventArgs>),
    Artifact(OnDemand<artifact::ArtifactArgs>),
    Finish(OnDemand<finish::FinishArgs>),
    Tasks(OnDemand<tasks::TasksArgs>),
    Flush(OnDemand<flush::FlushArgs>),
    Show(OnDemand<show::ShowArgs>),
    Path(OnDemand<path::PathArgs>),
    Log(OnDemand<log::LogArgs>),
    Failures(OnDemand<log::FailuresArgs>),
    Artifacts(OnDemand<items::ArtifactsArgs>),
    Events(OnDemand<items::EventsArgs>),
    Steps(OnDemand<items::StepsArgs>),
    Stats(OnDemand<stats::StatsArgs>),
    Verify(OnDemand<verify::VerifyArgs>),
    Checkpoint(OnDemand<checkpoint::CheckpointArgs>),
    Prove(OnDemand<prove::ProveArgs>),
    Hook(OnDemand<hook::HookArgs>),
    Index(OnDemand<index::IndexArgs>),
    Completions(OnDemand<completions::CompletionsArgs>),
    Man(OnDemand<man::ManArgs>),
}

/// The arguments of a command, defined only when it is called: to define those of all commands takes longer than many a
/// command. On the heap, as some are many.
struct OnDemand<A>(Box<A>);

impl<A: Args> Args for OnDemand<A> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(A::augment_args)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(A::augment_args_for_update)
    }
}

impl<A: FromArgMatches> FromArgMatches for OnDemand<A> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        A::from_arg_matches(matches).map(|arguments| Self(Box::new(arguments)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Command {
    /// Whether it must go on where there is no directory to stand in.
    fn is_lenient(&self) -> bool {
        match self {
            Self::Record(args) => args.0.is_best_effort(),
            Self::Hook(args) => args.0.is_called(),
            Self::Completions(_) | Self::RunRelay(_) => true,
            _ => false,
        }
    }
}

/// How long a writing command waits.
#[derive(clap::Args)]
struct WaitArgs {
    /// Wait at most this many seconds for other writers; then exit 7: what was not acknowledged is not recorded
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    timeout: Duration,
}

/// How a command that records writes.
#[derive(clap::Args)]
struct WriteArgs {
    #[command(flatten)]
    wait: WaitArgs,
    /// Whether what is acknowledged survives a power cut: `auto` makes sure as cheaply as the file system allows,
    /// `strict` flushes every file and directory, `off` does nothing [default: git config audit.durability, or auto]
    #[arg(long, value_name = "MODE", value_parser = clap::builder::PossibleValuesParser::new(Durability::WORDS).try_map(|word| word.parse::<Durability>()))]
    durability: Option<Durability>,
}

impl WriteArgs {
    fn apply(&self, context: &mut Context) {
        context.timeout = self.wait.timeout;
        context.place.durability = self.durability;
    }
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "expected a number of seconds, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What a command works with.
struct Session {
    context: Context,
    printer: Printer,
    messages: Messages,
    /// `--color`
    color: ColorWhen,
}

impl Session {
    /// Inside a command of `run`, the journal of its task is beside the ledger of that, wherever we stand.
    fn stand_by(&mut self, task_id: &TaskId) {
        let surrounding = environment::surrounding_task().filter(|(task, _)| task == task_id.as_str());
        if let Some((_, ledger)) = surrounding {
            self.context.place.git_dir = Some(ledger);
            self.context.place.work_tree = None;
        }
    }

    /// Says why an answer may lack something.
    fn say_what_is_missing(&mut self, coverage: &Coverage) {
        if let Some(reason) = &coverage.incomplete {
            self.messages.warning(&format!("the answer may be incomplete: {reason}"));
            if reason.starts_with("shallow") {
                self.messages.hint("run `git fetch --unshallow`, or ask in a full clone");
            }
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let mut messages = Messages::new(Box::new(io::stderr()), reader::early_color());
    // Help and suggestions know all commands.
    let parsed = parse(Cli::command()).or_else(|_| parse(whole_command()));
    let cli = match parsed {
        Ok(cli) => cli,
        // Agents and git call it: they may change what they hand over.
        Err(error) if error.use_stderr() && hook::is_called() => return ExitStatus::Done.into(),
        Err(error) if error.use_stderr() => {
            // `git audit --help` would look for a manual page.
            let text = error.render().to_string().replace("try '--help'", "try `-h`");
            // It quotes the arguments.
            messages.lines(&Redactor::standard().text(&text).0);
            return best_effort::keep_arguments(&mut messages).unwrap_or(ExitStatus::Invalid).into();
        }
        Err(help) => {
            // A pipe that was closed early ends help quietly, as it does any answer.
            _ = help.print();
            return ExitStatus::Done.into();
        }
    };
    match run(cli, messages) {
        Ok(status) => status.into(),
        Err((error, mut messages)) => fail(&error, &mut messages).into(),
    }
}

/// The command line with the arguments of all commands.
fn whole_command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

fn parse(command: clap::Command) -> std::result::Result<Cli, clap::Error> {
    command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches))
}

fn run(cli: Cli, mut messages: Messages) -> std::result::Result<ExitStatus, (Error, Messages)> {
    let place = match environment::place(&cli.directory, cli.command.is_lenient()) {
        Ok(place) => place,
        Err(error) => return Err((error, messages)),
    };
    let variables = environment::reader_variables();
    messages.set_color(reader::message_color(cli.color, &variables, &place));
    let format = if cli.json { Format::Json } else { cli.format };
    let reader = reader::reader(&variables);
    let printer = Printer::new(Box::new(BufWriter::new(io::stdout())), format, reader);
    let context = Context { place, timeout: Duration::from_secs(30), look_limit: Duration::from_secs(10) };
    let mut session = Session { context, printer, messages, color: cli.color };
    let done = match cli.command {
        Command::Init(args) => args.0.run(&mut session),
        Command::Record(args) => args.0.run(&mut session),
        Command::Import(args) => args.0.run(&mut session),
        Command::Start(args) => args.0.run(&mut session),
        Command::Event(args) => args.0.run(&mut session),
        Command::Artifact(args) => args.0.run(&mut session),
        Command::Finish(args) => args.0.run(&mut session),
        Command::Tasks(args) => args.0.run(&mut session),
        Command::Run(args) => args.0.run(&mut session),
        Command::RunRelay(args) => args.0.run(),
        Command::Flush(args) => args.0.run(&mut session),
        Command::Show(args) => args.0.run(&mut session),
        Command::Path(args) => args.0.run(&mut session),
        Command::Log(args) => args.0.run(&mut session),
        Command::Failures(args) => args.0.run(&mut session),
        Command::Artifacts(args) => args.0.run(&mut session),
        Command::Events(args) => args.0.run(&mut session),
        Command::Steps(args) => args.0.run(&mut session),
        Command::Stats(args) => args.0.run(&mut session),
        Command::Verify(args) => args.0.run(&mut session),
        Command::Checkpoint(args) => args.0.run(&mut session),
        Command::Prove(args) => args.0.run(&mut session),
        Command::Hook(args) => args.0.run(&mut session, !cli.directory.is_empty()),
        Command::Index(args) => args.0.run(&mut session),
        Command::Completions(args) => args.0.run(&mut session),
        Command::Man(args) => args.0.run(&mut session),
    };
    // Until the pager has ended, the screen is its own.
    let finished = session.printer.finish();
    session.messages.release();
    let done = done.and_then(|status| finished.map(|()| status));
    done.map_err(|error| (error, session.messages))
}

/// Says what went wrong. A reader that has seen enough (`| head`) is not an error, unless it was owed a receipt.
fn fail(error: &Error, messages: &mut Messages) -> ExitStatus {
    match error {
        Error::Output { recorded: false, source } if source.kind() == ErrorKind::BrokenPipe => {
            ExitStatus::Done
        }
        error => {
            messages.error(error);
            error.exit_status()
        }
    }
}

fn local_time(time: DateTime<Utc>) -> DateTime<FixedOffset> {
    time.with_timezone(&Local).fixed_offset()
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// A task id on the command line. Where it must be one that is in the ledger, the shells offer those:
/// `#[arg(value_parser = task_id, add = KnownTask)]`.
fn task_id(text: &str) -> std::result::Result<TaskId, String> {
    TaskId::new(text)
}

/// Marks an argument whose value is the id of a running task.
#[derive(Clone, Debug)]
struct RunningTask;

impl clap::builder::ArgExt for RunningTask {}

/// Marks an argument whose value is the id of a recorded task.
#[derive(Clone, Debug)]
struct KnownTask;

impl clap::builder::ArgExt for KnownTask {}

/// What every command's `run` gives.
type Done = Result<ExitStatus>;
