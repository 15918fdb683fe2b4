//! `git audit verify`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Done, Session};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::verify::{Layer, Progress, VerifyOptions};
use crate::ops::verify_proof::{ProofSource, VerifyProofOptions};
use crate::output::{proof, verify};
use crate::verify::report::Verdict;

/// A verification that takes longer shows how far it is.
const BAR_AFTER: Duration = Duration::from_millis(500);

/// Check that nothing in the ledger was changed, removed or left out
#[derive(Args)]
#[command(
    after_help = "It reads the objects themselves, says what it checked and what it could not, and names the first bad commit. \
What each finding means is in docs/VERIFY.md.

Exit codes:
  0 nothing found · 3 not valid · 4 inconclusive: shallow, partial, nothing to check, a required layer missing

Examples:
  git audit verify
  git audit verify --since pin
  git audit verify --proof deploy-42.proof --key log.pub
  git audit verify --require signed,witnessed --json"
)]
pub(super) struct VerifyArgs {
    /// Check only what came after this: a commit, the file of a checkpoint (which must hold), or `pin` for what was verified
    /// here before
    #[arg(long, value_name = "COMMIT|CHECKPOINT|pin")]
    since: Option<String>,
    /// Exit 4 unless these were checked too, and found in order
    #[arg(long, value_name = "LAYERS", value_enum, value_delimiter = ',')]
    require: Vec<Required>,
    /// Check a proof by itself, with no repository; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["since", "require"])]
    proof: Option<PathBuf>,
    /// Whose signature on a checkpoint counts: an OpenSSH public key or a C2SP verifier key, or a file of them, of which one is
    /// enough; may be repeated
    #[arg(long, value_name = "K")]
    key: Vec<String>,
}

/// What can be required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Required {
    /// Every entry's commit has a signature by somebody who is allowed to sign
    Signed,
    /// A checkpoint that a trusted key has signed holds
    Witnessed,
}

impl VerifyArgs {
    pub fn run(self, session: &mut Session) -> Done {
        if let Some(file) = self.proof {
            return verify_proof(session, file, self.key);
        }
        let required = self.require.iter().map(|required| match required {
            Required::Signed => Layer::Signatures,
            Required::Witnessed => Layer::Checkpoints,
        });
        let options = VerifyOptions { since: self.since, required: required.collect(), keys: self.key };
        let mut bar = Bar::default();
        let report = ops::verify::run(&session.context, options, &mut |progress| bar.tell(progress));
        bar.end();
        let report = report?;
        session.present();
        verify::report(&mut session.printer, &report)?;
        if let Some((name, tip)) = &report.other_tip {
            let (branch, tip) = (&report.branch, tip.short());
            session
                .messages
                .note(&format!("{name} is at commit {tip} and was not looked at: this is your `{branch}`"));
        }
        if let Some(why) = &report.unremembered {
            session.messages.warning(&format!("this clone does not remember that it was verified: {why}"));
        }
        Ok(status(report.verdict))
    }
}

fn verify_proof(session: &mut Session, file: PathBuf, keys: Vec<String>) -> Done {
    let source = match file {
        file if file.as_os_str() == "-" => ProofSource::Stream(Box::new(io::stdin())),
        file => ProofSource::File(file),
    };
    let outcome = ops::verify_proof::run(&session.context, VerifyProofOptions { source, keys })?;
    proof::verified(&mut session.printer, &outcome)?;
    Ok(status(outcome.verdict))
}

fn status(verdict: Verdict) -> ExitStatus {
    match verdict {
        Verdict::Valid | Verdict::NothingFound => ExitStatus::Done,
        Verdict::NotValid => ExitStatus::NotValid,
        Verdict::Inconclusive => ExitStatus::Inconclusive,
    }
}

/// How far it is, on standard error, where a person is watching.
struct Bar {
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Default for Bar {
    fn default() -> Self {
        Self { bar: None, begun: Instant::now() }
    }
}

impl Bar {
    fn tell(&mut self, progress: Progress) {
        let Progress { done, total } = progress;
        // Looking at the clock costs more than a hundredth of a commit.
        if self.bar.is_none()
            && done.is_multiple_of(256)
            && self.begun.elapsed() > BAR_AFTER
            && io::stderr().is_terminal()
        {
            let bar =
                ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr_with_hz(5));
            let template = "verifying {wide_bar} {human_pos} of {human_len} commits, {eta} left";
            self.bar = Some(match ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            });
        }
        if let Some(bar) = self.bar.as_ref().filter(|_| done.is_multiple_of(256)) {
            bar.set_position(done as u64);
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
