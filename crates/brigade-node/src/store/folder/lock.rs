//! Which process uses a folder: a note in the lock file, for a person who starts a second one.
//!
//! The system's lock decides, not the note. Other programs can write the note: only a limited number of bytes is
//! read, and only a number, a username, an address and a time are taken from it.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use brigade_core::{name::Username, time::UnixTime};

use crate::store::file_stamp::{Stamp, stamp_of};

/// Bytes of a note that are read: it has four short lines.
const NOTE_BYTES: u64 = 512;

/// The interval of the check whether other holders of the lock remain, at the end of a session.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The right to be the only session of a folder. Each handle of the folder has it, and each object that writes to the
/// folder. It ends when the last of them is dropped, or with the process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FolderLock(Arc<LockState>);

#[derive(Debug)]
struct LockState {
    /// The locked file; the first field, so that it is dropped first. It is replaced if `.brigade` is created again,
    /// and is held while the note is written.
    file: Mutex<File>,
    noted: Mutex<Option<LockHolder>>,
}

/// The session that has a folder's lock, as far as the note names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process number.
    pub process: Option<u32>,
    /// Its username, once it has one.
    pub username: Option<Username>,
    /// The address where it listens.
    pub address: Option<SocketAddr>,
    /// The time of its start.
    pub since: Option<UnixTime>,
}

impl FolderLock {
    /// A lock with a locked file.
    pub(crate) fn new(file: File) -> Self {
        Self(Arc::new(LockState { file: Mutex::new(file), noted: Mutex::default() }))
    }

    /// Whether the locked file has this stamp.
    pub(crate) fn is_on(&self, found: &Stamp) -> bool {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        stamp_of(&file).is_ok_and(|ours| (ours.device, ours.inode) == (found.device, found.inode))
    }

    /// Replaces the locked file by another locked one, with the same note.
    pub(crate) fn move_to(&self, file: File) {
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        let noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Err(error)) = noted.map(|holder| self.write(&holder)) {
            tracing::debug!(%error, "the note in the folder's lock could not be written");
        }
    }

    /// Waits until this is the only clone of the lock: all others that could write to the folder have ended.
    pub(crate) async fn alone(&self) {
        while Arc::strong_count(&self.0) > 1 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Replaces the note.
    pub(crate) fn note(&mut self, holder: &LockHolder) -> io::Result<()> {
        *self.0.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
        self.write(holder)
    }

    fn write(&self, holder: &LockHolder) -> io::Result<()> {
        let line =
            |key: &str, value: Option<String>| value.map_or_else(String::new, |v| format!("{key} {v}\n"));
        let note = [
            line("process", holder.process.map(|process| process.to_string())),
            line("username", holder.username.as_ref().map(ToString::to_string)),
            line("address", holder.address.map(|address| address.to_string())),
            line("since", holder.since.map(|since| since.0.to_string())),
        ];
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(note.concat().as_bytes())
    }
}

impl LockHolder {
    /// The note in the file of a lock that another session has; empty if it cannot be read, as on Windows, where only
    /// the owner can read a locked file.
    pub(crate) fn read(file: &File) -> Self {
        let mut bytes = vec![];
        if file.take(NOTE_BYTES).read_to_end(&mut bytes).is_err() {
            return Self::default();
        }
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(note: &str) -> Self {
        let mut holder = Self::default();
        for (key, value) in note.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "process" => holder.process = value.parse().ok(),
                "username" => holder.username = value.parse().ok(),
                "address" => holder.address = value.parse().ok(),
                "since" => holder.since = value.parse().ok().map(UnixTime),
                _ => {} // a field of a later version
            }
        }
        holder
    }
}

/// As a part of a message: `: fire_user at 127.0.0.1:7001 (process 1234)`, or the known part of it.
impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = vec![];
        fields.extend(self.username.as_ref().map(ToString::to_string));
        fields.extend(self.address.map(|address| format!("at {address}")));
        fields.extend(self.process.map(|process| match fields.is_empty() {
            true => format!("process {process}"),
            false => format!("(process {process})"),
        }));
        if fields.is_empty() { Ok(()) } else { write!(f, ": {}", fields.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{LockHolder, UnixTime};

    #[track_caller]
    fn check(note: &str, shown: &str) {
        assert_eq!(LockHolder::parse(note).to_string(), shown, "{note:?}");
    }

    #[test]
    fn the_valid_part_of_a_note_is_shown() {
        let whole = "process 12\nusername fire_user\naddress 127.0.0.1:7001\nsince 1790000000\n";
        check(whole, ": fire_user at 127.0.0.1:7001 (process 12)");
        assert_eq!(LockHolder::parse(whole).since, Some(UnixTime(1_790_000_000)));
        check("process 12\n", ": process 12");
        check("address [::1]:7001\nprocess x\n", ": at [::1]:7001");
        for nonsense in
            ["", "\0\0\0", "username \u{1b}[2J\n", "username a/b\nprocess -1", "address localhost:1"]
        {
            check(nonsense, "");
        }
    }

    #[test]
    fn a_note_replaces_the_one_before_and_is_read_up_to_its_bound() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        std::fs::write(&path, "x".repeat(2000) + "\nprocess 3\n").unwrap();
        let open = || std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(LockHolder::read(&open()), LockHolder::default());
        let holder = LockHolder {
            process: Some(7),
            username: Some("Zoë".parse().unwrap()),
            address: Some(([127, 0, 0, 1], 7001).into()),
            since: Some(UnixTime(5)),
        };
        let mut lock = super::FolderLock::new(open());
        lock.note(&LockHolder { process: Some(7), ..LockHolder::default() }).unwrap();
        lock.note(&holder).unwrap();
        assert_eq!(LockHolder::read(&open()), holder);
    }
}
