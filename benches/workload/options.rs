//! What every bench is told: how many rounds, and whether to do the large part.

use std::process::ExitCode;

use super::sandbox::Result;

/// The arguments of one bench.
pub(crate) struct Spec {
    /// What `--help` prints.
    pub(crate) usage: &'static str,
    /// Timed rounds, unless told otherwise.
    pub(crate) rounds: u64,
    /// The flag for what takes long, where there is such a part.
    pub(crate) long: Option<&'static str>,
}

/// What was asked for.
pub(crate) struct Options {
    pub(crate) rounds: u64,
    /// The part that takes long, too.
    pub(crate) is_long: bool,
}

/// The bench as a program: only a run that could not be done fails.
#[allow(clippy::print_stderr, reason = "a bench talks to whoever runs it")]
pub(crate) fn main(spec: &Spec, run: fn(&Options) -> Result<()>) -> ExitCode {
    match parse(spec, std::env::args().skip(1)).and_then(|options| options.as_ref().map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when only the usage was asked for.
#[allow(clippy::print_stdout, reason = "a bench talks to whoever runs it")]
fn parse(spec: &Spec, mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>> {
    let mut options = Options { rounds: spec.rounds, is_long: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => {
                println!("{}", spec.usage);
                return Ok(None);
            }
            "--rounds" => {
                let rounds = arguments.next().and_then(|number| number.parse().ok());
                options.rounds =
                    rounds.filter(|rounds| *rounds > 0).ok_or("--rounds wants a number of at least 1")?;
            }
            // `cargo bench` tells every bench what it is.
            "--bench" => {}
            flag if Some(flag) == spec.long => options.is_long = true,
            other => return Err(format!("unknown argument {other}\n{}", spec.usage).into()),
        }
    }
    Ok(Some(options))
}
