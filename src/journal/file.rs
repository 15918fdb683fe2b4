//! One append-only file per task, that many processes may write. A lock orders them; it is held for the write only, and
//! each makes its own lines durable afterwards.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::record::{Line, MAX_LINE_BYTES, Record, SCHEMA, Start};
use super::story::Story;
use crate::entry::TaskId;
use crate::entry::text::visible;
use crate::error::{Error, Result};
use crate::ledger::{Deadline, Durability, Syncing};

const EXTENSION: &str = "jsonl";
/// Enough for most last lines.
const TAIL_BYTES: u64 = 8 << 10;
/// Enough for most first lines.
const FIRST_LINE_BYTES: usize = 4 << 10;

/// The journals of one repository.
#[derive(Clone, Debug)]
pub struct Journals {
    directory: PathBuf,
    /// What an acknowledgement promises.
    durability: Durability,
}

/// A journal that nobody else writes at the moment.
pub struct OpenJournal {
    file: File,
    path: PathBuf,
    durability: Durability,
    /// Up to here the lines are sound.
    end: u64,
    /// What follows was not written to its end.
    is_torn: bool,
    /// The number of the last event.
    seq: u64,
    /// Its last line says how the task ended.
    is_closed: bool,
    /// The directory has to be made durable, too.
    is_new: bool,
}

impl Journals {
    /// Those in `state_directory`, the ledger's directory beside the repository.
    pub fn of(state_directory: &Path, durability: Durability) -> Self {
        Self { directory: state_directory.join("journal"), durability }
    }

    /// The file of a task's journal. It need not be there.
    pub fn path(&self, task_id: &TaskId) -> PathBuf {
        self.directory.join(format!("{task_id}.{EXTENSION}"))
    }

    /// The tasks that have a journal, in the order of their ids.
    pub fn tasks(&self) -> Vec<TaskId> {
        let names = fs::read_dir(&self.directory).into_iter().flatten().filter_map(io::Result::ok);
        // What is no regular file is no journal, and must not keep the others from being read.
        let files = names.filter(|item| item.file_type().is_ok_and(|kind| kind.is_file()));
        let ids = files.filter_map(|item| {
            let name = item.file_name().into_string().ok()?;
            TaskId::new(name.strip_suffix(EXTENSION)?.strip_suffix('.')?).ok()
        });
        let mut ids: Vec<_> = ids.collect();
        ids.sort();
        ids
    }

    /// The task's journal, locked; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or others hold it past the deadline.
    pub fn open(&self, task_id: &TaskId, deadline: Deadline) -> Result<Option<OpenJournal>> {
        self.lock(task_id, false, deadline)
    }

    /// The task's journal, locked. Made, empty, where there is none. The directory must be there.
    ///
    /// # Errors
    /// It cannot be made or read, or others hold it past the deadline.
    pub fn open_or_make(&self, task_id: &TaskId, deadline: Deadline) -> Result<OpenJournal> {
        match self.lock(task_id, true, deadline)? {
            Some(journal) => Ok(journal),
            None => Err(failed("create", &self.path(task_id), ErrorKind::NotFound.into())),
        }
    }

    /// What the task's journal says now; `None` where there is none. Does not wait for writers.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, task_id: &TaskId) -> Result<Option<Story>> {
        let path = self.path(task_id);
        match open_file(&path, Access::Read) {
            Ok(mut file) => read_story(&mut file, &path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open", &path, error)),
        }
    }

    /// Whether what is acknowledged survives a power cut.
    pub fn is_durable(&self) -> bool {
        self.durability != Durability::Off
    }

    /// Where journals are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn lock(&self, task_id: &TaskId, make: bool, deadline: Deadline) -> Result<Option<OpenJournal>> {
        let path = self.path(task_id);
        let access = if make { Access::Make } else { Access::Write };
        for attempt in 0.. {
            let file = match open_file(&path, access) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed("open", &path, error)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    deadline.pause(attempt, &format!("the journal of task {task_id}"))?;
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
            }
            let metadata = file.metadata().map_err(|error| failed("read", &path, error))?;
            if metadata.nlink() == 0 {
                // It was finished while we waited.
                continue;
            }
            let mut journal = OpenJournal {
                file,
                path,
                durability: self.durability,
                end: metadata.len(),
                is_torn: false,
                seq: 0,
                is_closed: false,
                is_new: metadata.len() == 0,
            };
            journal.find_end()?;
            return Ok(Some(journal));
        }
        Ok(None)
    }
}

impl OpenJournal {
    /// Finds the last sound line, and its number. What follows it was never acknowledged: its writer was stopped.
    fn find_end(&mut self) -> Result<()> {
        let length = self.end;
        let mut window = TAIL_BYTES;
        loop {
            let start = length.saturating_sub(window);
            let mut tail = vec![0; usize::try_from(length - start).unwrap_or(usize::MAX)];
            self.file.read_exact_at(&mut tail, start).map_err(|error| failed("read", &self.path, error))?;
            // The first line of the window may be a part of one.
            let from = if start == 0 { 0 } else { newline(&tail).map_or(tail.len(), |at| at + 1) };
            let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(from, |at| (at + 1).max(from));
            let last = tail[from..whole].split_inclusive(|byte| *byte == b'\n').rev().find_map(seq_of);
            match last {
                Some((seq, is_closed)) => {
                    (self.seq, self.is_closed, self.end) = (seq, is_closed, start + whole as u64);
                }
                None if start == 0 => (self.seq, self.end) = (0, whole as u64),
                None => {
                    window = window.saturating_mul(8);
                    continue;
                }
            }
            self.is_torn = self.end < length;
            return Ok(());
        }
    }

    /// Whether nothing was ever acknowledged in it.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether it was said how the task ended, so that nothing may be added.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How the task began. `None`: nothing says so.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn start(&mut self) -> Result<Option<Start>> {
        let start = match self.first_line()? {
            Some(Record::Start(start)) => Some(start),
            // Damaged. The task may have been started again since.
            _ => self.story()?.map(|story| story.start),
        };
        if let Some(start) = &start {
            check_schema(start, &self.path)?;
        }
        if start.as_ref().is_some_and(|start| !start.is_durable) {
            self.durability = Durability::Off;
        }
        Ok(start)
    }

    fn first_line(&mut self) -> Result<Option<Record>> {
        let length = usize::try_from(self.end).unwrap_or(usize::MAX).min(MAX_LINE_BYTES + 1);
        let mut head = vec![0; length.min(FIRST_LINE_BYTES)];
        loop {
            self.file.read_exact_at(&mut head, 0).map_err(|error| failed("read", &self.path, error))?;
            match newline(&head) {
                Some(end) => {
                    let line = serde_json::from_slice::<Line>(&head[..end]).ok();
                    return Ok(line.map(|line| line.record));
                }
                None if head.len() == length => return Ok(None),
                None => head.resize(length, 0),
            }
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// It cannot be read, or does not say how the task began.
    pub fn story(&mut self) -> Result<Option<Story>> {
        read_story(&mut self.file, &self.path)
    }

    /// Adds lines, in one write: all of them, or none. Returns the number of the last event. They are acknowledged by
    /// [`Self::commit`].
    ///
    /// # Errors
    /// One is too long, or they cannot be written; nothing is added then.
    pub fn append(&mut self, records: Vec<Record>) -> Result<u64> {
        let mut bytes = Vec::new();
        let mut seq = self.seq;
        for record in records {
            // Only a damaged journal has such numbers, and two events must not have the same one.
            seq = seq
                .checked_add(u64::from(matches!(record, Record::Event { .. })))
                .ok_or_else(|| failed("number the events in", &self.path, ErrorKind::InvalidData.into()))?;
            let most_bytes = record.most_bytes();
            let line = serde_json::to_vec(&Line { seq, record })
                .map_err(|error| failed("write", &self.path, io::Error::from(error)))?;
            if line.len() > most_bytes {
                return Err(Error::TooLong { size_bytes: line.len(), most_bytes });
            }
            bytes.extend(line);
            bytes.push(b'\n');
        }
        let repaired = if self.is_torn { self.file.set_len(self.end) } else { Ok(()) };
        let written = repaired.and_then(|()| self.file.write_all_at(&bytes, self.end));
        if let Err(error) = written {
            // A full disk takes a part; the next writer would take that away as well.
            _ = self.file.set_len(self.end);
            return Err(failed("write", &self.path, error));
        }
        self.end += bytes.len() as u64;
        self.seq = seq;
        Ok(seq)
    }

    /// Lets others write, and returns when what was added survives a power cut.
    ///
    /// # Errors
    /// It cannot be made durable.
    pub fn commit(self) -> Result<()> {
        self.file.unlock().map_err(|error| failed("unlock", &self.path, error))?;
        match self.durability {
            Durability::Off => Ok(()),
            // With its name, and those of the directories that may be as new.
            durability if self.is_new => {
                let git_directory = self.path.ancestors().nth(3).unwrap_or(Path::new(""));
                Syncing::on(git_directory, durability).sync_named(&self.path, git_directory)
            }
            _ => self.file.sync_data().map_err(|error| failed("sync", &self.path, error)),
        }
    }

    /// Ends it: its entry is durable elsewhere.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| failed("remove", &self.path, error))
    }

    /// Ends it, but keeps the file, where nothing reads it but people. Returns where.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside(self) -> Result<PathBuf> {
        let directory = self.path.ancestors().nth(2).unwrap_or(Path::new("")).join("set-aside/journal");
        fs::create_dir_all(&directory).map_err(|error| failed("create", &directory, error))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let free = (1..).map(|number| directory.join(format!("{name}.{number}"))).find(|path| !path.exists());
        let to = free.unwrap_or_else(|| directory.join(name));
        fs::rename(&self.path, &to).map_err(|error| failed("set aside", &self.path, error))?;
        Ok(to)
    }
}

/// What a journal is opened for. Who may not write to the repository may read it.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
    /// The same, and there need not be one.
    Make,
}

/// Never through a symbolic link: whoever may write to the repository could lead us to any file of the caller's.
fn open_file(path: &Path, access: Access) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .write(access != Access::Read)
        .create(access == Access::Make)
        .truncate(false)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn read_story(file: &mut File, path: &Path) -> Result<Option<Story>> {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
    read.map_err(|error| failed("read", path, error))?;
    let story = Story::read(&bytes);
    if let Some(story) = &story {
        check_schema(&story.start, path)?;
    }
    Ok(story)
}

/// What another version wrote may mean something else.
fn check_schema(start: &Start, path: &Path) -> Result<()> {
    if start.schema == SCHEMA {
        return Ok(());
    }
    Err(Error::JournalVersion { path: path.to_owned(), schema: visible(&start.schema) })
}

fn newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// The number that a sound line begins with, and whether it is the last one of a story.
fn seq_of(line: &[u8]) -> Option<(u64, bool)> {
    if !line.ends_with(b"}\n") {
        return None;
    }
    let number = line.strip_prefix(b"{\"seq\":")?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let seq = std::str::from_utf8(&number[..digits]).ok()?.parse().ok()?;
    Some((seq, number[digits..].starts_with(b",\"record\":\"finish\"")))
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()), error)
}
