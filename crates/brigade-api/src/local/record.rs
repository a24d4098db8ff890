//! The file beside a socket, from which the running programs are listed, and a running program as the target of a client.
//!
//! A record is written by the owner of the socket and removed with it. One that was left behind is ignored: nobody
//! answers there. JSON has only text: a folder whose path is no valid UTF-8 is in the record as text for people, and as
//! its bytes.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::program_kind::{ProgramKind, socket_name};

/// The most bytes of a record: the path of a folder has at most a few thousand.
const RECORD_BYTES: u64 = 64 * 1024;

/// A running program: the file beside its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RecordFile", into = "RecordFile")]
pub struct SocketRecord {
    /// The kind of program.
    pub kind: ProgramKind,
    /// Its folder: the shared one of a peer, or that of the state of a manager.
    pub folder: PathBuf,
    /// The number of its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since_s: u64,
    /// The version of the program.
    pub version: String,
    /// The username of a peer at its start.
    pub username: Option<String>,
}

/// A record as it is in its file.
#[derive(Debug, Serialize, Deserialize)]
struct RecordFile {
    kind: ProgramKind,
    /// The path, for people; exact unless `folder_bytes` is there.
    folder: String,
    /// The bytes of a path that is no valid UTF-8, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder_bytes: Option<String>,
    pid: u32,
    since_s: u64,
    version: String,
    #[serde(default)]
    username: Option<String>,
}

impl From<SocketRecord> for RecordFile {
    fn from(record: SocketRecord) -> Self {
        let SocketRecord { kind, folder, pid, since_s, version, username } = record;
        let hex = || folder.as_os_str().as_encoded_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let folder_bytes = folder.to_str().is_none().then(hex);
        let folder = folder.to_string_lossy().into_owned();
        Self { kind, folder, folder_bytes, pid, since_s, version, username }
    }
}

impl From<RecordFile> for SocketRecord {
    fn from(file: RecordFile) -> Self {
        let RecordFile { kind, folder, folder_bytes, pid, since_s, version, username } = file;
        let exact = folder_bytes.as_deref().and_then(path_of_hex);
        Self { kind, folder: exact.unwrap_or_else(|| folder.into()), pid, since_s, version, username }
    }
}

/// The path with these bytes; `None` if they are not valid.
#[cfg(unix)]
fn path_of_hex(digits: &str) -> Option<PathBuf> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
    Some(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into())
}

/// Elsewhere the bytes of a path that is no valid text cannot be put together again.
#[cfg(not(unix))]
fn path_of_hex(_digits: &str) -> Option<PathBuf> {
    None
}

/// A running program to which a client can connect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The kind of program.
    pub kind: ProgramKind,
    /// Its folder, absolute and without links.
    pub folder: PathBuf,
    /// Its socket, or its named pipe on Windows.
    pub socket: PathBuf,
    /// What it says about itself; `None` if that cannot be read.
    pub record: Option<SocketRecord>,
}

impl Target {
    /// The program of this kind and folder, if its socket is in the runtime folder `runtime`.
    pub(super) fn in_folder(runtime: &Path, kind: ProgramKind, canonical_folder: &Path) -> Self {
        let name = socket_name(kind, canonical_folder);
        let record = SocketRecord::read(&record_path(runtime, &name));
        Self { kind, folder: canonical_folder.to_owned(), socket: socket_path(runtime, &name), record }
    }

    /// The programs that have a record in the runtime folder `runtime`.
    pub(super) fn listed(runtime: &Path) -> Vec<Self> {
        /// More programs than one user runs.
        const LISTED: usize = 1024;
        let entries = fs::read_dir(runtime).into_iter().flatten().flatten();
        let records = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"));
        let targets = records.take(LISTED).filter_map(|path| SocketRecord::read(&path)).map(|record| Self {
            kind: record.kind,
            socket: socket_path(runtime, &socket_name(record.kind, &record.folder)),
            folder: record.folder.clone(),
            record: Some(record),
        });
        let mut targets: Vec<Self> = targets.collect();
        targets.sort_by(|a, b| (a.kind, &a.folder).cmp(&(b.kind, &b.folder)));
        targets.dedup();
        targets
    }
}

/// The socket with this name.
#[cfg(unix)]
pub(super) fn socket_path(runtime: &Path, name: &str) -> PathBuf {
    runtime.join(format!("{name}.socket"))
}

/// The named pipe with this name: the user is in it, so that programs of two users do not meet.
#[cfg(windows)]
pub(super) fn socket_path(_runtime: &Path, name: &str) -> PathBuf {
    let user = std::env::var("USERNAME").unwrap_or_default();
    let user: String = user.chars().filter(|character| character.is_alphanumeric()).take(64).collect();
    PathBuf::from(format!(r"\\.\pipe\brigade-{user}-{name}"))
}

/// The record of the socket with this name.
pub(super) fn record_path(runtime: &Path, name: &str) -> PathBuf {
    runtime.join(format!("{name}.json"))
}

impl SocketRecord {
    fn read(path: &Path) -> Option<Self> {
        let mut text = vec![];
        File::open(path).ok()?.take(RECORD_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it in one step: a reader sees all of it or nothing.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        drop(file);
        fs::rename(&beside, path)
    }
}
