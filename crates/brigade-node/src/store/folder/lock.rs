//! Who runs in a folder: a note in the file that keeps the second session out, for the person who starts one.
//!
//! The note decides nothing; the system's lock does. What is read of it is somebody's text: it is bounded, and only
//! what is a number, a username, an address or a time is taken over.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use brigade_core::{name::Username, time::UnixTime};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::store::stamp::{Stamp, stamp_of};

/// Bytes of a note that are read: four short lines.
const NOTE_BYTES: u64 = 512;

/// How often it is looked whether others have the lock still, at the end of a session.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The right to be the only session of a folder. Every handle of the folder has it too, and so does all that writes
/// there: it ends with the last of them, or with the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FolderLock(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// What the system's lock is on; it comes first, so that it is dropped first. It is another one where the folder's own
    /// files were made anew, and is held while the note is written.
    file: Mutex<File>,
    noted: Mutex<Option<LockHolder>>,
    released: CancellationToken,
    _guard: DropGuard,
}

/// The session that has a folder's lock, as far as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockHolder {
    /// The number of its process.
    pub process: Option<u32>,
    /// Its name in the network, once it has one.
    pub username: Option<Username>,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// When it began.
    pub since: Option<UnixTime>,
}

impl FolderLock {
    /// Of a file that is locked.
    pub(crate) fn new(file: File) -> Self {
        let released = CancellationToken::new();
        let guard = released.clone().drop_guard();
        Self(Arc::new(Held { file: Mutex::new(file), noted: Mutex::default(), released, _guard: guard }))
    }

    /// Whether the file that is locked is the one of this stamp.
    pub(crate) fn is_on(&self, found: &Stamp) -> bool {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        stamp_of(&file).is_ok_and(|ours| (ours.device, ours.inode) == (found.device, found.inode))
    }

    /// From now on the lock is that of `file`, which is locked, and has the same note.
    pub(crate) fn moves_to(&self, file: File) {
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        let noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Err(error)) = noted.map(|holder| self.write(&holder)) {
            tracing::debug!(%error, "the folder's lock does not say who has it");
        }
    }

    /// Waits until nobody but this one has the lock: all others who could write to the folder have ended.
    pub async fn alone(&self) {
        while Arc::strong_count(&self.0) > 1 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives this one up, and waits until nobody has the lock any more: all who could write to the folder have ended.
    pub async fn released(self) {
        let released = self.0.released.clone();
        drop(self);
        released.cancelled().await;
    }

    /// Writes down who has it, in place of what stood there.
    pub fn note(&mut self, holder: &LockHolder) -> io::Result<()> {
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
    /// What stands in the file of a lock that somebody else has; nothing where that cannot be read, as on Windows,
    /// where a locked file is nobody else's.
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
                _ => {} // of a later version
            }
        }
        holder
    }
}

/// As it stands in a message: `: fire_user at 127.0.0.1:7001 (process 1234)`, or as much as is known.
impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = vec![];
        words.extend(self.username.as_ref().map(ToString::to_string));
        words.extend(self.address.map(|address| format!("at {address}")));
        words.extend(self.process.map(|process| match words.is_empty() {
            true => format!("process {process}"),
            false => format!("(process {process})"),
        }));
        if words.is_empty() { Ok(()) } else { write!(f, ": {}", words.join(" ")) }
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
    fn a_note_is_shown_as_far_as_it_makes_sense() {
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
