//! A file of lines that is replaced when it is full: `PATH` becomes `PATH.1`, `PATH.1` becomes `PATH.2`, and so on; the
//! oldest is removed.
//!
//! A line is never cut off: if the disk takes only a part of it, this part is removed again. It blocks.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The most bytes of one file.
const FILE_BYTES: u64 = 10_000_000;

/// Files in all, with the one that is written.
const FILES: usize = 5;

/// The file that is written now, and the older ones beside it.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    most_bytes: u64,
}

impl RotatingFile {
    /// Opens or creates the file, for lines after those that it has.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, most_bytes: FILE_BYTES })
    }

    /// The path of the newest file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, which has its line break.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.most_bytes {
            self.rotate()?;
        }
        let written = self.file.write_all(line);
        if written.is_err() {
            let _ = self.file.set_len(self.bytes);
        }
        written?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..FILES - 1).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    /// The path of the file with this number; 0 is the newest.
    fn numbered(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        if number > 0 {
            path.push(format!(".{number}"));
        }
        path.into()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FILES, RotatingFile};

    #[test]
    fn full_files_are_numbered_and_the_oldest_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("transfers.jsonl");
        let mut log = RotatingFile { most_bytes: 8, ..RotatingFile::open(path.clone()).unwrap() };
        for number in 0..20 {
            log.write(format!("{number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "018\n019\n");
        assert_eq!(fs::read_to_string(temp.path().join("transfers.jsonl.4")).unwrap(), "010\n011\n");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), FILES);
        // A later start goes on with the same file.
        RotatingFile::open(path.clone()).unwrap().write(b"020\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "018\n019\n020\n");
    }
}
