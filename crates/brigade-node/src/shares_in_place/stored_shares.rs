//! The shares in place that were added while the peer ran, in `.brigade/shares`: a line `NAME`, tab, `PATH` for each.
//!
//! In a path, each byte that is a control character, a percent sign, or no part of valid UTF-8 is written as `%` and two
//! hex digits. The file is replaced as a whole, durably. A file with a line that cannot be read is kept as
//! `shares.damaged`, which the log says, and the other lines are used.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use brigade_core::name::FileName;

use super::{CheckedShare, SHARES};
use crate::durable_folders::sync_folder;

/// The file in the private folder, and the one that replaces it.
const FILE: &str = "shares";
const NEW_FILE: &str = "shares.new";

/// The last file that could not be read as a whole.
const DAMAGED_FILE: &str = "shares.damaged";

/// Bytes of the file that are read: far more than the longest names and paths need.
const FILE_BYTES: u64 = 1 << 20;

/// The stored shares; none if the file does not exist.
///
/// # Errors
/// If the file cannot be read. It was moved aside then, if possible.
pub(crate) fn read(private: &Path) -> io::Result<Vec<CheckedShare>> {
    let mut bytes = vec![];
    let opened = File::open(private.join(FILE));
    match opened.and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => {
            keep_damaged(private, |from, to| fs::rename(from, to));
            return Err(error);
        }
        Ok(_) => {}
    }
    let mut shares = vec![];
    let mut is_damaged = bytes.len() as u64 > FILE_BYTES;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match str::from_utf8(line).ok().and_then(parse) {
            Some(share) if shares.len() < SHARES => shares.push(share),
            _ => {
                let line = String::from_utf8_lossy(line);
                tracing::warn!(?line, "a line in the list of shares in place is not valid: it is skipped");
                is_damaged = true;
            }
        }
    }
    if is_damaged {
        keep_damaged(private, |from, to| fs::copy(from, to).map(drop));
    }
    Ok(shares)
}

/// Keeps the file beside itself: the next change of the shares replaces it.
fn keep_damaged(private: &Path, keep: impl FnOnce(&Path, &Path) -> io::Result<()>) {
    let kept_as = private.join(DAMAGED_FILE);
    match keep(&private.join(FILE), &kept_as) {
        Ok(()) => {
            let kept_as = kept_as.display();
            tracing::warn!(%kept_as, "the list of shares in place is damaged: it is kept under another name");
        }
        Err(error) => tracing::warn!(%error, "the damaged list of shares in place could not be kept"),
    }
}

/// Stores the shares.
pub(crate) fn write<'a>(private: &Path, shares: impl Iterator<Item = &'a CheckedShare>) -> io::Result<()> {
    let text: String = shares.map(|share| format!("{}\t{}\n", share.name, escaped(&share.path))).collect();
    let new = private.join(NEW_FILE);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, private.join(FILE))?;
    sync_folder(private)
}

fn parse(line: &str) -> Option<CheckedShare> {
    let (name, path) = line.split_once('\t')?;
    let (name, path) = (name.parse::<FileName>().ok()?, unescaped(path)?);
    path.is_absolute().then_some(CheckedShare { path, name })
}

fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '%' {
                let mut bytes = [0; 4];
                escape(character.encode_utf8(&mut bytes).as_bytes(), &mut text);
            } else {
                text.push(character);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    bytes.iter().for_each(|byte| *text += &format!("%{byte:02x}"));
}

fn unescaped(text: &str) -> Option<PathBuf> {
    let (mut bytes, mut rest) = (vec![], text);
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend(before.as_bytes());
        bytes.push(u8::from_str_radix(after.get(..2)?, 16).ok()?);
        rest = &after[2..];
    }
    bytes.extend(rest.as_bytes());
    os_string(bytes).map(PathBuf::from)
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{CheckedShare, DAMAGED_FILE, FILE, read, write};

    #[test]
    fn stored_shares_are_read_and_other_lines_are_skipped() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(read(temp.path()).unwrap(), []);
        let share = |name: &str, path: std::path::PathBuf| CheckedShare { path, name: name.parse().unwrap() };
        let shares = vec![
            share("a b", temp.path().join("100% é\n")),
            share("c", temp.path().join("plain")),
            #[cfg(unix)]
            share(
                "d",
                temp.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff%")),
            ),
        ];
        write(temp.path(), shares.iter()).unwrap();
        assert_eq!(read(temp.path()).unwrap(), shares);
        assert!(!temp.path().join(DAMAGED_FILE).exists());
        let damaged = b"no tab\nx/\t/y\nz\trelative\nq\t/%zz\nb\t/\xff\nlast\t/right\n";
        fs::write(temp.path().join(FILE), damaged).unwrap();
        assert_eq!(read(temp.path()).unwrap().len(), usize::from(cfg!(unix)));
        write(temp.path(), [].into_iter()).unwrap();
        assert_eq!(read(temp.path()).unwrap(), []);
        assert_eq!(fs::read(temp.path().join(DAMAGED_FILE)).unwrap(), damaged, "it is kept");
    }
}
