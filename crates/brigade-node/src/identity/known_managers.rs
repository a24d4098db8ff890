//! The keys of the managers at known addresses: a file with lines `HOST:PORT KEY`. The last line for an address
//! counts.
//!
//! As with ssh's `known_hosts`, the first key is accepted and a changed key is refused: a manager with another key is
//! another manager, at any address. Lines are only appended, each with one write, so that several peers of one user
//! can start at the same time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use brigade_core::id::PeerKey;

use crate::durable_folders::{make_folders, sync_folder};

/// Bytes of the file that are read: enough for ten thousand managers.
const FILE_BYTES: u64 = 1 << 20;

/// The file of known managers.
#[derive(Debug, Clone)]
pub(crate) struct KnownManagers {
    path: PathBuf,
}

/// The error when the file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("using the list of known managers {path}")]
#[non_exhaustive]
pub struct KnownManagersError {
    path: PathBuf,
    source: io::Error,
}

impl KnownManagersError {
    /// Whether the file can be read, but its content is damaged: a line has no valid key, it is not text, or it is too
    /// long.
    pub fn is_damaged(&self) -> bool {
        self.source.kind() == io::ErrorKind::InvalidData
    }
}

impl KnownManagers {
    /// The file below the user's own folder `home`; it may not exist yet.
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { path: home.join("known_managers") }
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The known key of the manager at `host`:`port`; `None` if the folder does not exist or cannot be entered.
    pub(crate) fn find(&self, host: &str, port: u16) -> Result<Option<PeerKey>, KnownManagersError> {
        let size = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.len(),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        if size > FILE_BYTES {
            let text = format!("it has {size} bytes, more than {FILE_BYTES}");
            return Err(self.failed(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let text = fs::read_to_string(&self.path).map_err(|error| self.failed(error))?;
        let address = address(host, port);
        let of_address = |(number, line): (usize, &str)| {
            let mut fields = line.split_whitespace();
            (fields.next() == Some(&address)).then(|| (number + 1, only_key(fields)))
        };
        let Some((number, key)) = text.lines().enumerate().filter_map(of_address).last() else {
            return Ok(None);
        };
        // If a damaged line were skipped, any key would be accepted.
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("line {number} has no valid key"));
        key.map(Some).ok_or_else(|| self.failed(damaged()))
    }

    /// Stores `key` as that of the manager at `host`:`port`.
    pub(crate) fn remember(&self, host: &str, port: u16, key: PeerKey) -> Result<(), KnownManagersError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = make_folders(folder, false).and_then(|_| {
            let mut file = OpenOptions::new().create(true).append(true).read(true).open(&self.path)?;
            let before = file.metadata()?.len();
            // A line that was cut off, or typed without an end, must not become one with the new line.
            let start = if ends_in_line(&mut file, before)? { "\n" } else { "" };
            let line = format!("{start}{} {key}\n", address(host, port));
            write_at_once(&mut file, before, line.as_bytes())?;
            file.sync_all()?; // if a key were lost, the next key would be accepted unchecked
            sync_folder(folder)
        });
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> KnownManagersError {
        KnownManagersError { path: self.path.clone(), source }
    }
}

/// The key in the fields of a line after the address; `None` if it is not valid, or not the only field.
fn only_key<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<PeerKey> {
    let key: PeerKey = fields.next()?.parse().ok()?;
    if fields.next().is_none() { Some(key) } else { None }
}

/// Whether a file of so many bytes ends within a line.
fn ends_in_line(file: &mut File, bytes: u64) -> io::Result<bool> {
    let Some(last) = bytes.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.seek(SeekFrom::Start(last))?;
    file.read_exact(&mut byte)?;
    Ok(byte != *b"\n")
}

/// Appends a line to a file of `before` bytes with one write. If the disk takes only a part of the line, this part is
/// removed again.
fn write_at_once(file: &mut File, before: u64, line: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {} // nothing was written
            written => break written?,
        }
    };
    if written == line.len() {
        return Ok(());
    }
    remove_part_of_line(file, before, written as u64);
    let text = format!("only {written} of the {} bytes of a line could be written", line.len());
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

/// Removes the part of a line, `written` bytes, that was appended to a file of `before` bytes. If the file has another
/// length, another program has written to it too, and the file stays as it is.
fn remove_part_of_line(file: &File, before: u64, written: u64) {
    if file.metadata().is_ok_and(|metadata| metadata.len() == before + written) {
        let _ = file.set_len(before);
    }
}

/// Whether there is no file that this user could have written: the folder does not exist, is no folder, or cannot be
/// entered.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

/// One spelling for each address: case does not matter in a host name, and a space would end the field.
fn address(host: &str, port: u16) -> String {
    format!("{}:{port}", host.to_lowercase().replace(char::is_whitespace, ""))
}

#[cfg(test)]
mod tests {
    use super::{KnownManagers, PeerKey, remove_part_of_line};
    #[cfg(unix)]
    use crate::test_helpers::run_with_few_open_files::run_with_few_open_files;

    #[test]
    fn the_last_key_that_was_accepted_counts() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownManagers::in_home(&home.path().join("not/yet"));
        assert_eq!(known.find("localhost", 12000).unwrap(), None);
        known.remember("localhost", 12000, PeerKey([1; 32])).unwrap();
        known.remember("localhost", 12001, PeerKey([2; 32])).unwrap();
        assert_eq!(known.find("LocalHost", 12000).unwrap(), Some(PeerKey([1; 32])));
        known.remember("localhost", 12000, PeerKey([3; 32])).unwrap();
        assert_eq!(known.find("localhost", 12000).unwrap(), Some(PeerKey([3; 32])));
        assert_eq!(known.find("elsewhere", 12000).unwrap(), None);
    }

    #[test]
    fn a_line_without_its_end_stays_a_line_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownManagers::in_home(home.path());
        std::fs::write(known.path(), format!("localhost:12000 {}", PeerKey([1; 32]))).unwrap();
        known.remember("elsewhere", 12000, PeerKey([2; 32])).unwrap();
        assert_eq!(known.find("localhost", 12000).unwrap(), Some(PeerKey([1; 32])));
        assert_eq!(known.find("elsewhere", 12000).unwrap(), Some(PeerKey([2; 32])));
    }

    #[test]
    fn a_line_with_a_damaged_key_is_an_error_and_not_an_unknown_manager() {
        let home = tempfile::tempdir().unwrap();
        let known = KnownManagers::in_home(home.path());
        known.remember("localhost", 12000, PeerKey([1; 32])).unwrap();
        let key = PeerKey([1; 32]).to_string();
        let with_space = format!("localhost:12000 {} {}", &key[..7], &key[7..]);
        let with_more = format!("localhost:12000 {key} {key}");
        for damaged in ["localhost:12000 74c0b7a2", "localhost:12000", &*with_space, &*with_more] {
            std::fs::write(known.path(), format!("a:1 {}\n{damaged}\n", PeerKey([1; 32]))).unwrap();
            let error = known.find("localhost", 12000).unwrap_err();
            assert!(error.source.to_string().contains("line 2 has no valid key"), "{error}");
            assert!(error.is_damaged(), "{error}");
            assert!(known.find("a", 1).unwrap().is_some());
        }
        std::fs::write(known.path(), b"localhost:12000 \xff\n").unwrap();
        assert!(known.find("localhost", 12000).unwrap_err().is_damaged(), "it is not text");
        std::fs::remove_file(known.path()).unwrap();
        std::fs::create_dir(known.path()).unwrap();
        assert!(!known.find("localhost", 12000).unwrap_err().is_damaged(), "it is a folder");
    }

    #[test]
    fn only_the_own_part_of_a_line_is_removed() {
        let whole = "localhost:12000 0101\n";
        for (text, left) in [
            ("localhost:12000 0101\nelse", whole),
            ("localhost:12000 0101\nelseother:1 02\n", "localhost:12000 0101\nelseother:1 02\n"),
            ("localhost:12000 0101\nel", "localhost:12000 0101\nel"),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            remove_part_of_line(file.as_file(), whole.len() as u64, "else".len() as u64);
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), left, "{text:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_key_is_lost_or_taken_for_unknown_when_too_few_files_can_be_opened() {
        use rustix::io::Errno;
        let home = tempfile::tempdir().unwrap();
        let known = KnownManagers::in_home(home.path());
        let first = PeerKey([1; 32]);
        known.remember("localhost", 12000, first).unwrap();
        let test = "identity::known_managers::tests::\
                    no_key_is_lost_or_taken_for_unknown_when_too_few_files_can_be_opened";
        run_with_few_open_files(test, || {
            let remembered = known.remember("elsewhere", 12000, PeerKey([2; 32]));
            let found = known.find("localhost", 12000);
            for error in [remembered.as_ref().err(), found.as_ref().err()].into_iter().flatten() {
                assert_eq!(Errno::from_io_error(&error.source), Some(Errno::MFILE), "{error}");
            }
            assert!(found.is_err() || found.as_ref().is_ok_and(|key| *key == Some(first)), "{found:?}");
            remembered.is_ok()
        });
        assert_eq!(known.find("localhost", 12000).unwrap(), Some(first));
    }

    #[test]
    fn a_home_that_is_no_folder_remembers_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let known = KnownManagers::in_home(&file.path().join("home"));
        assert_eq!(known.find("localhost", 12000).unwrap(), None);
        assert!(known.remember("localhost", 12000, PeerKey([1; 32])).is_err());
    }
}
