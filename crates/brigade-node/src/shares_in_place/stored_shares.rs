//! The shares in place that were added while the peer ran, in `.brigade/shares`: a line `NAME`, tab, `PATH` for each.
//!
//! In a path, each byte that is a control character, a percent sign, or no part of valid UTF-8 is written as `%` and two
//! hex digits. A line that cannot be read is logged and skipped. The file is replaced as a whole, durably.

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

/// Bytes of the file that are read: far more than the longest names and paths need.
const FILE_BYTES: u64 = 1 << 20;

/// The stored shares; none if the file does not exist.
pub(crate) fn read(private: &Path) -> io::Result<Vec<CheckedShare>> {
    let mut text = String::new();
    match File::open(private.join(FILE)) {
        Ok(file) => drop(file.take(FILE_BYTES).read_to_string(&mut text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    }
    let mut shares = vec![];
    for line in text.lines() {
        match parse(line) {
            Some(share) if shares.len() < SHARES => shares.push(share),
            _ => tracing::warn!(?line, "a line in the list of shares in place is not valid: it is skipped"),
        }
    }
    Ok(shares)
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

    use super::{CheckedShare, FILE, read, write};

    #[test]
    fn stored_shares_are_read_and_other_lines_are_skipped() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(read(temp.path()).unwrap(), []);
        let share = |name: &str, path: std::path::PathBuf| CheckedShare { path, name: name.parse().unwrap() };
        let mut shares =
            vec![share("a b", temp.path().join("100% é\n")), share("c", temp.path().join("plain"))];
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            shares.push(share("d", temp.path().join(std::ffi::OsStr::from_bytes(b"\xff%"))));
        }
        write(temp.path(), shares.iter()).unwrap();
        assert_eq!(read(temp.path()).unwrap(), shares);
        fs::write(temp.path().join(FILE), "no tab\nx/\t/y\nz\trelative\nq\t/%zz\nlast\t/right\n").unwrap();
        assert_eq!(read(temp.path()).unwrap().len(), usize::from(cfg!(unix)));
        write(temp.path(), [].into_iter()).unwrap();
        assert_eq!(read(temp.path()).unwrap(), []);
    }
}
