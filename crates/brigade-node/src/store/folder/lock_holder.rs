//! Which process uses a folder: the note in the file of the folder's lock, for a person who starts a second one.
//!
//! The lock decides, not the note. Other programs can write the note: only a limited number of bytes is read, and only
//! a number, a username, an address and a time are taken from it.

use std::{fmt, fs::File, io::Read, net::SocketAddr};

use brigade_core::{name::Username, time::UnixTime};

/// Bytes of a note that are read: it has four short lines.
const NOTE_BYTES: u64 = 512;

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

    /// The note that names it.
    pub(super) fn note(&self) -> String {
        let line =
            |key: &str, value: Option<String>| value.map_or_else(String::new, |v| format!("{key} {v}\n"));
        [
            line("process", self.process.map(|process| process.to_string())),
            line("username", self.username.as_ref().map(ToString::to_string)),
            line("address", self.address.map(|address| address.to_string())),
            line("since", self.since.map(|since| since.0.to_string())),
        ]
        .concat()
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
}
