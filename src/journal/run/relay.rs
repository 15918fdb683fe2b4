//! Standard error on its way: a process of its own hands it on and keeps its end. So the command can go on writing
//! whatever becomes of us, and a daemon that it leaves behind, too.
//!
//! Where standard error is a terminal, the command gets another one in its place, of the same size and settings, so that
//! it colours and measures as ever. Where standard output goes to the same file or pipe, both go through the relay, or
//! their lines would change places. A terminal's standard output is never touched.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio;
use rustix::termios::{
    OptionalActions, OutputModes, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};

use super::tail::Tail;

/// How long the relay may take to say what it has: it has nothing else to do then.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is read at once, and how often before the end is told.
const BUFFER_BYTES: usize = 32 << 10;
const MAX_DRAIN: usize = 64;

/// A relay that is at work.
pub(super) struct Relay {
    control: UnixStream,
}

impl Relay {
    /// Begins one, and gives the commands, of which one is started, what it is to write to.
    pub fn begin(program: &Path, arguments: &[&str], commands: &mut [Command]) -> io::Result<Self> {
        let (source, sink) = if isatty(stdio::stderr()) { terminal()? } else { pipe()? };
        let takes_both = !isatty(stdio::stderr()) && is_same_stream();
        let (control, theirs) = UnixStream::pair()?;
        let mut relay = Command::new(program);
        relay.args(arguments).stdin(source).stderr(OwnedFd::from(theirs));
        relay.stdout(stdio::stderr().try_clone_to_owned()?);
        relay.spawn()?;
        for command in commands {
            if takes_both {
                command.stdout(sink.try_clone()?);
            }
            command.stderr(sink.try_clone()?);
        }
        Ok(Self { control })
    }

    /// The end of what was written so far.
    pub fn tail(mut self) -> Vec<u8> {
        let mut tail = Vec::new();
        // A relay that was killed has nothing to tell.
        _ = self.control.write_all(b"?");
        _ = self.control.set_read_timeout(Some(PATIENCE));
        _ = self.control.read_to_end(&mut tail);
        tail
    }
}

fn pipe() -> io::Result<(Stdio, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// Another terminal like the one that standard error is. What is written to it comes out as it is: the real one does
/// with it what it does with everything.
fn terminal() -> io::Result<(Stdio, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut settings = tcgetattr(stdio::stderr())?;
    settings.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    if let Ok(size) = tcgetwinsize(stdio::stderr()) {
        tcsetwinsize(&slave, size)?;
    }
    Ok((master.into(), slave))
}

/// Whether standard output and standard error are one file or pipe. Nobody reads `/dev/null` in order.
fn is_same_stream() -> bool {
    let (Ok(out), Ok(err)) = (fstat(stdio::stdout()), fstat(stdio::stderr())) else { return false };
    let keeps_order = matches!(
        FileType::from_raw_mode(err.st_mode),
        FileType::RegularFile | FileType::Fifo | FileType::Socket
    );
    keeps_order && (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
}

/// The relay itself: from standard input to standard output, until nobody can write any more. Standard error is the way
/// to whoever began it.
pub fn relay() {
    let resized = stay();
    let (source, sink, control) = (stdio::stdin(), stdio::stdout(), stdio::stderr());
    // It may have changed before we could be told.
    fit(source, sink);
    let mut tail = Some(Tail::default());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let listened_to = tail.is_some().then_some(control);
        let [is_readable, is_asked, is_resized] =
            wait([Some(source), listened_to, resized.as_ref().map(AsFd::as_fd)]);
        if is_resized && let Some(mut resized) = resized.as_ref() {
            _ = resized.read(&mut buffer);
            fit(source, sink);
        }
        if is_asked {
            // What is on its way belongs to the end.
            for _ in 0..MAX_DRAIN {
                if !is_ready(source) || !hand_on(source, sink, &mut buffer, tail.as_mut()) {
                    break;
                }
            }
            tell(control, tail.take());
        } else if is_readable && !hand_on(source, sink, &mut buffer, tail.as_mut()) {
            break;
        }
    }
    tell(control, tail.take());
}

/// What ends the command must not end us: it may have last words. Returns what can be read when the terminal's size has
/// changed: a mere flag could be raised just before we wait.
fn stay() -> Option<UnixStream> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        _ = signal_hook::flag::register(signal, Arc::clone(&ended));
    }
    let (ours, theirs) = UnixStream::pair().ok()?;
    ours.set_nonblocking(true).ok()?;
    signal_hook::low_level::pipe::register(SIGWINCH, theirs).ok()?;
    Some(ours)
}

/// Gives the command's terminal the size of the real one. What is none has no size.
fn fit(source: BorrowedFd<'_>, sink: BorrowedFd<'_>) {
    if let Ok(size) = tcgetwinsize(sink) {
        _ = tcsetwinsize(source, size);
    }
}

/// Waits until one of them has something to read, or nobody is at its other end; says which.
fn wait(awaited: [Option<BorrowedFd<'_>>; 3]) -> [bool; 3] {
    let awaited_now = awaited.into_iter().flatten();
    let mut waiting: Vec<_> = awaited_now.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    if poll(&mut waiting, None).is_err() {
        return [false; 3];
    }
    let mut answers = waiting.iter().map(|fd| !fd.revents().is_empty());
    awaited.map(|fd| fd.is_some() && answers.next().unwrap_or(false))
}

fn is_ready(source: BorrowedFd<'_>) -> bool {
    let mut one = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
    poll(&mut one, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Hands on what is there. `false`: nothing will come any more, or nobody will take it.
fn hand_on(source: BorrowedFd<'_>, sink: BorrowedFd<'_>, buffer: &mut [u8], tail: Option<&mut Tail>) -> bool {
    let read = match rustix::io::read(source, &mut *buffer) {
        // Of a terminal: nobody has it open any more.
        Ok(0) | Err(Errno::IO) => return false,
        Ok(read) => read,
        Err(error) => return matches!(error, Errno::INTR | Errno::AGAIN),
    };
    let mut left = &buffer[..read];
    if let Some(tail) = tail {
        tail.push(left);
    }
    while !left.is_empty() {
        match rustix::io::write(sink, left) {
            Ok(written) => left = &left[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut one = [PollFd::new(&sink, PollFlags::OUT)];
                _ = poll(&mut one, None);
            }
            // The command would be told the same: by SIGPIPE, or by its next write to a terminal that is gone.
            Err(Errno::PIPE | Errno::IO) => return false,
            // A full disk, for example: only these words are lost, as they would be without us.
            Err(_) => break,
        }
    }
    true
}

fn tell(control: BorrowedFd<'_>, tail: Option<Tail>) {
    let Some(tail) = tail else { return };
    let Ok(control) = control.as_fd().try_clone_to_owned() else { return };
    let mut control = UnixStream::from(control);
    // Whoever began us may be gone.
    _ = control.write_all(&tail.into_bytes());
    _ = control.shutdown(std::net::Shutdown::Both);
}
