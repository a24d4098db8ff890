//! A file of lines that is replaced when it is full: `PATH` becomes `PATH.1`, `PATH.1` becomes `PATH.2`, and so on; the
//! oldest is removed.
//!
//! The new file is made before anything is renamed. If it cannot be made, the full one is written on, and it is tried
//! again later: no line is removed without a place for the next ones.
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
    /// The file is replaced when it would have more bytes.
    full_at: u64,
    most_bytes: u64,
}

impl RotatingFile {
    /// Opens or creates the file, for lines after those that it has.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, full_at: FILE_BYTES, most_bytes: FILE_BYTES })
    }

    /// The path of the newest file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, which has its line break.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.full_at {
            self.rotate_or_go_on();
        }
        let written = self.file.write_all(line);
        if written.is_err() {
            let _ = self.file.set_len(self.bytes);
        }
        written?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Begins a new file. If that fails, this one gets a tenth more until the next attempt.
    fn rotate_or_go_on(&mut self) {
        self.full_at = match self.rotate() {
            Ok(()) => self.most_bytes,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%error, %path, "the log of transfers is full, and a new file cannot be made; it grows");
                self.bytes.max(self.most_bytes) + self.most_bytes / 10
            }
        };
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut new_path = self.path.clone().into_os_string();
        new_path.push(".new");
        let new_path = PathBuf::from(new_path);
        let _ = fs::remove_file(&new_path); // that of an interrupted attempt
        let file = open(&new_path)?;
        let replaced = self.replace_with(&new_path);
        if replaced.is_err() {
            let _ = fs::remove_file(&new_path);
        }
        replaced?;
        self.bytes = file.metadata()?.len();
        self.file = file;
        Ok(())
    }

    /// Renames the files, so that the one at `new_path` becomes the newest.
    fn replace_with(&self, new_path: &Path) -> io::Result<()> {
        for number in (0..FILES - 1).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let renamed = fs::rename(new_path, &self.path);
        if renamed.is_err() {
            let _ = fs::rename(self.numbered(1), &self.path); // it is written on
        }
        renamed
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
        let mut log = RotatingFile { full_at: 8, most_bytes: 8, ..RotatingFile::open(path.clone()).unwrap() };
        for number in 0..20 {
            log.write(format!("{number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "018\n019\n");
        assert_eq!(fs::read_to_string(temp.path().join("transfers.jsonl.4")).unwrap(), "010\n011\n");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), FILES);
        // Without a new file nothing is removed, and no line is lost.
        fs::create_dir(temp.path().join("transfers.jsonl.new")).unwrap();
        let oldest = fs::read_to_string(temp.path().join("transfers.jsonl.4")).unwrap();
        for number in 0..20 {
            log.write(format!("{number:03}\n").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(temp.path().join("transfers.jsonl.4")).unwrap(), oldest);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 22);
        fs::remove_dir(temp.path().join("transfers.jsonl.new")).unwrap();
        for line in ["018\n", "019\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "018\n019\n");
        // A later start goes on with the same file.
        RotatingFile::open(path.clone()).unwrap().write(b"020\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "018\n019\n020\n");
    }
}
