//! The user's pager, found and started as git does it. It starts with the first thing that is printed, so that an error
//! alone opens none, and is waited for in the end.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::environment::ReaderVariables;

const DEFAULT_PAGER: &str = "less";
/// What a command line may hold that only a shell understands; git's list.
const SHELL_CHARACTERS: &[u8] = b"|&;<>()$`\\\"' \t\n*?[#~=%";
/// What a pipe holds. Whoever was written more has read something.
const PIPE_BYTES: usize = 64 * 1024;
/// What a shell exits with when it cannot start a command.
const NOT_STARTED: [i32; 2] = [126, 127];

/// The command line of the user's pager: `GIT_PAGER`, `core.pager`, `PAGER`, `less`. `None`: they want none.
pub(super) fn command(variables: &ReaderVariables, core_pager: Option<String>) -> Option<OsString> {
    let command = variables.git_pager.clone().or_else(|| core_pager.map(OsString::from));
    let command = command.or_else(|| variables.pager.clone()).unwrap_or_else(|| DEFAULT_PAGER.into());
    (!command.is_empty() && command != "cat").then_some(command)
}

/// Standard output by way of a pager.
pub(super) struct Pager {
    command: Command,
    state: State,
}

enum State {
    NotStarted,
    Running(Running),
    /// It could not be started: standard output as it is.
    Plain(io::Stdout),
    /// The reader has seen enough.
    Gone,
}

struct Running {
    input: ChildStdin,
    ended: JoinHandle<Option<ExitStatus>>,
    /// What it was written, as long as it may not have read any of it.
    unread: Option<Vec<u8>>,
}

impl Pager {
    pub fn new(command: OsString, search_path: Option<OsString>, variables: &ReaderVariables) -> Self {
        let mut command = shell_command(&command);
        command.envs(search_path.map(|path| ("PATH", path)));
        command.envs(variables.for_pager.iter().copied()).env_remove("GIT_PAGER_IN_USE");
        command.stdin(Stdio::piped());
        Self { command, state: State::NotStarted }
    }

    /// Ends its input and waits for it. What a pager that never ran was to show goes to standard output.
    fn end(&mut self) -> io::Result<()> {
        let State::Running(running) = std::mem::replace(&mut self.state, State::Gone) else { return Ok(()) };
        drop(running.input);
        let status = running.ended.join().ok().flatten();
        let never_ran =
            status.and_then(|status| status.code()).is_some_and(|code| NOT_STARTED.contains(&code));
        if let Some(unread) = running.unread.filter(|_| never_ran) {
            let mut out = io::stdout();
            out.write_all(&unread)?;
            self.state = State::Plain(out);
        }
        Ok(())
    }
}

/// As git has it: through a shell, but for a plain name. So a name that is not there is noticed at once.
fn shell_command(line: &OsStr) -> Command {
    if !line.as_encoded_bytes().iter().any(|byte| SHELL_CHARACTERS.contains(byte)) {
        return Command::new(line);
    }
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    command
}

impl Running {
    fn start(command: &mut Command) -> io::Result<Self> {
        let has_ended = Arc::new(AtomicBool::new(false));
        // Ctrl-C is the pager's while it runs: without us to wait for it, it would share the terminal with the shell.
        let _ = signal_hook::flag::register_conditional_default(
            signal_hook::consts::SIGINT,
            Arc::clone(&has_ended),
        );
        let started = command.spawn().and_then(|mut child| {
            let input = child.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
            Ok((input, child))
        });
        match started {
            Ok((input, child)) => {
                let ended = thread::spawn(move || wait(child, &has_ended));
                Ok(Self { input, ended, unread: Some(Vec::new()) })
            }
            Err(error) => {
                has_ended.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.input.write(bytes)?;
        if let Some(unread) = &mut self.unread {
            unread.extend_from_slice(&bytes[..written]);
        }
        self.unread.take_if(|unread| unread.len() > PIPE_BYTES);
        Ok(written)
    }
}

fn wait(mut child: Child, has_ended: &AtomicBool) -> Option<ExitStatus> {
    let status = child.wait().ok();
    has_ended.store(true, Ordering::Release);
    status
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self.state, State::NotStarted) {
            self.state = match Running::start(&mut self.command) {
                Ok(running) => State::Running(running),
                Err(_) => State::Plain(io::stdout()),
            };
        }
        match &mut self.state {
            State::Running(running) => match running.write(bytes) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.end()?;
                    self.write(bytes)
                }
                written => written,
            },
            State::Plain(out) => out.write(bytes),
            State::NotStarted | State::Gone => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::NotStarted | State::Gone => Ok(()),
            State::Running(running) => running.input.flush(),
            State::Plain(out) => out.flush(),
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        _ = self.end();
    }
}
