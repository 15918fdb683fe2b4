//! The signatures of commits: whether each fits, by whom it is, and whether that one might sign then.
//!
//! - [`signed`]: a commit as its signature and what is signed, as git takes it apart · [`allowed`]: who may sign
//! - [`ssh`], [`openpgp`]: one kind each, by the user's own program · [`cache`]: what was found good before
//!
//! Whether a commit has to be signed is not known here. Nothing is good by default: what could not be checked is a finding
//! of its own, and only good signatures are remembered.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::report::{Code, Finding};
use crate::ledger::signing::{Failure, Scratch, SigningTools};

mod allowed;
mod cache;
mod openpgp;
mod signed;
mod ssh;

pub use allowed::{ALLOWED_SIGNERS, Signers};

use cache::Cache;
use signed::{Kind, Signed};

/// How long one signature may take to be checked.
const LIMIT: Duration = Duration::from_secs(30);
/// Times that programs can be told: years of four digits, and not 0, which means "now" to `ssh-keygen`.
const TIMES: (i64, i64) = (1, 253_402_300_799);

/// A commit whose signature is to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'c> {
    /// Its id, in hexadecimal: that of the findings, and its length says which object format it is. That the bytes have
    /// this hash is for the caller to know.
    pub commit: &'c str,
    /// The bytes of the object.
    pub bytes: &'c [u8],
    /// The time at which the key must have been valid: the latest commit time among the commit and its ancestors, in
    /// seconds since 1970. By its own time alone, a backdated commit would bring an expired key back.
    pub verify_at: i64,
}

impl Question<'_> {
    /// What a result is noted under: not the id alone, so that nothing rests on who gives it.
    fn digest(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.commit);
        hash.update(b"\n");
        hash.update(self.bytes);
        cache::hex(&hash.finalize())
    }
}

/// What is known of a commit's signature.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It has none.
    Unsigned,
    /// It is good, and by its author.
    Good {
        /// The author's address, under which the key may sign.
        principal: String,
    },
    /// What is against it.
    Findings(Vec<Finding>),
}

/// What one program says of a signature.
enum Judgement {
    Good { principal: String },
    Against { code: Code, why: String, signer: Option<String> },
}

impl Judgement {
    fn against(code: Code, why: impl Into<String>) -> Self {
        Self::Against { code, why: why.into(), signer: None }
    }

    /// It could not be checked, because the program could not be run.
    fn not_run(program: &str, failure: &Failure) -> Self {
        let why = match failure {
            Failure::NotStarted(error) => format!("`{program}` cannot be run: {error}"),
            Failure::TimedOut(limit) => format!("`{program}` took more than {} s", limit.as_secs()),
        };
        Self::against(Code::SignatureUnchecked, why)
    }
}

/// Checks signatures.
pub struct Signatures {
    tools: SigningTools,
    signers: Signers,
    cache: Cache,
    /// Of what a good signature is good by: it is asked again where that has changed.
    contexts: [[u8; 32]; 2],
    files: OnceLock<Result<Files, String>>,
    openpgp_keys: openpgp::Keys,
}

/// The files that the programs read.
struct Files {
    scratch: Scratch,
    next: AtomicU64,
}

impl Files {
    /// Writes a file of a name of its own, for as long as `act` takes.
    fn with<T>(&self, bytes: &[u8], act: impl FnOnce(&Path) -> T) -> Result<T, Judgement> {
        let name = format!("signature-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let written = self.scratch.write(&name, bytes);
        let done = written.as_deref().map(act);
        self.scratch.remove(&name);
        done.map_err(|error| {
            Judgement::against(Code::SignatureUnchecked, format!("cannot write a file for it: {error}"))
        })
    }
}

impl Signatures {
    /// Checks by these programs, against these signers. `cache` is a directory in which good results are noted, for the
    /// next time.
    pub fn new(tools: SigningTools, signers: Signers, cache: Option<&Path>) -> Self {
        let context = |kind: &str, parts: &[&[u8]]| {
            let mut hash = Sha256::new();
            for part in [&[kind.as_bytes()][..], parts].concat() {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            <[u8; 32]>::from(hash.finalize())
        };
        let contexts = [
            context("ssh 1", &[signers.allowed().unwrap_or_default(), signers.revoked().unwrap_or_default()]),
            context("openpgp 1", &[openpgp::state_of_keyring(&tools).as_bytes()]),
        ];
        let cache = Cache::load(cache, &contexts);
        let (files, openpgp_keys) = (OnceLock::new(), openpgp::Keys::default());
        Self { tools, signers, cache, contexts, files, openpgp_keys }
    }

    /// Checks one commit.
    pub fn check(&mut self, commit: &str, bytes: &[u8], verify_at: i64) -> Outcome {
        let found = self.check_all(&[Question { commit, bytes, verify_at }]);
        found.into_iter().next().unwrap_or(Outcome::Unsigned)
    }

    /// Checks several commits, as many at once as there are processors: most of the time goes into starting programs.
    /// The answers are in the order of the questions.
    pub fn check_all(&mut self, questions: &[Question<'_>]) -> Vec<Outcome> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(questions.len()).max(1);
        let share = questions.len().div_ceil(workers).max(1);
        let outcomes: Vec<Outcome> = match questions {
            [] => Vec::new(),
            [only] => vec![self.answer(only)],
            _ => {
                let this = &*self;
                let answer_all =
                    |part: &[Question<'_>]| -> Vec<_> { part.iter().map(|one| this.answer(one)).collect() };
                std::thread::scope(|scope| {
                    let begun: Vec<_> = questions
                        .chunks(share)
                        .map(|part| {
                            (part, std::thread::Builder::new().spawn_scoped(scope, move || answer_all(part)))
                        })
                        .collect();
                    let ended = begun.into_iter().map(|(part, worker)| {
                        // A thread that cannot be had, or that failed, costs time only.
                        worker.ok().and_then(|worker| worker.join().ok()).unwrap_or_else(|| answer_all(part))
                    });
                    ended.flatten().collect()
                })
            }
        };
        for (question, outcome) in questions.iter().zip(&outcomes) {
            if let (Outcome::Good { principal }, Some(context)) = (outcome, self.context_of(question)) {
                self.cache.note(context, &question.digest(), verify_time(question), principal);
            }
        }
        self.cache.save();
        outcomes
    }

    fn context_of(&self, question: &Question<'_>) -> Option<[u8; 32]> {
        match Signed::of(question.commit, question.bytes).ok()??.kind()? {
            Kind::Ssh => Some(self.contexts[0]),
            Kind::OpenPgp => Some(self.contexts[1]),
            Kind::X509 => None,
        }
    }

    fn answer(&self, question: &Question<'_>) -> Outcome {
        let judgement = match Signed::of(question.commit, question.bytes) {
            Ok(None) => return Outcome::Unsigned,
            Ok(Some(signed)) => self.judge(question, &signed),
            Err(why) => Judgement::against(Code::SignatureBad, why),
        };
        let (code, why, signer) = match judgement {
            Judgement::Good { principal } => return Outcome::Good { principal },
            Judgement::Against { code, why, signer } => (code, why, signer),
        };
        let finding = Finding::new(code, why).commit(question.commit);
        let author = signed::author_email(question.bytes);
        Outcome::Findings(vec![match signer {
            Some(signer) => finding.evidence(author.unwrap_or_default(), signer),
            None => finding,
        }])
    }

    fn judge(&self, question: &Question<'_>, signed: &Signed) -> Judgement {
        let verify_at = verify_time(question);
        let Some(kind) = signed.kind() else {
            return Judgement::against(
                Code::SignatureBad,
                "what stands in the place of the signature is none",
            );
        };
        let known = self
            .context_of(question)
            .and_then(|context| self.cache.find(context, &question.digest(), verify_at));
        if let Some(principal) = known {
            return Judgement::Good { principal: principal.to_owned() };
        }
        let prepare = || {
            let scratch = self
                .tools
                .scratch()
                .map_err(|error| format!("cannot make a directory to check in: {error}"))?;
            self.signers.write_to(&scratch).map_err(|error| format!("cannot write who may sign: {error}"))?;
            Ok(Files { scratch, next: AtomicU64::new(0) })
        };
        let files = match self.files.get_or_init(prepare) {
            Ok(files) => files,
            Err(why) => return Judgement::against(Code::SignatureUnchecked, why.as_str()),
        };
        match kind {
            Kind::Ssh => ssh::judge(&self.tools, &self.signers, files, signed, verify_at),
            Kind::OpenPgp => openpgp::judge(&self.tools, &self.openpgp_keys, files, signed, verify_at),
            Kind::X509 => Judgement::against(Code::SignatureUnchecked, "signatures by X.509 are not checked"),
        }
    }
}

/// The time to check at, as far as it can be told to a program.
fn verify_time(question: &Question<'_>) -> i64 {
    question.verify_at.clamp(TIMES.0, TIMES.1)
}

/// A time for people.
fn shown(seconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp(seconds, 0);
    time.map_or_else(|| seconds.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
