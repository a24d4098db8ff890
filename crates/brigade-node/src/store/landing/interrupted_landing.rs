//! The record of a file that is getting its name. With it, the next start undoes the steps of a session that was killed.
//!
//! It is beside the part. It has the whole name of the file and, if an existing file is kept aside, the last component of
//! the new path of that one. Until the part is renamed, there may be an empty file under each of the two names, or none. The parent module
//! has the steps, and `stored_parts` finds the records. A record without its part is of no use.

use std::io::{self, Read, Write};

use brigade_core::{limits, name::FileName};

use crate::store::{
    folder::{Folder, split},
    staged_file_names::{create_small, target_name},
    staging_directories::Staging,
    system::{Dir, FileKind},
};

/// The longest record: a name, the end of the line, and a component of a path, for which systems have lower limits.
const RECORD_BYTES: u64 = 2 * limits::NAME_BYTES as u64 + 1;

/// The record beside a part.
pub(super) struct LandingRecord<'a> {
    parts: &'a Dir,
    file: String,
    name: &'a FileName,
    /// The text that was written.
    text: Option<String>,
    /// Whether there may be a file with an older text.
    exists: bool,
}

impl<'a> LandingRecord<'a> {
    /// The record of a part that gets this name. Nothing is written yet.
    pub(super) fn new((parts, part): (&'a Dir, &str), name: &'a FileName) -> Self {
        Self { parts, file: target_name(part), name, text: None, exists: false }
    }

    /// Writes the record, unless it has the same text already. `aside` is the last component of the new path of the
    /// file that is kept aside.
    pub(super) fn write(&mut self, aside: Option<&str>) -> io::Result<()> {
        let aside = aside.map(|aside| format!("\n{aside}"));
        let text = format!("{}{}", self.name.as_str(), aside.unwrap_or_default());
        if self.text.as_ref() == Some(&text) {
            return Ok(());
        }
        self.text = None;
        self.exists = true;
        let mut file = create_small(self.parts, &self.file, false)?;
        if let Err(error) = file.write_all(text.as_bytes()) {
            let _ = self.parts.remove(&self.file); // a part of a name is another name
            return Err(error);
        }
        self.text = Some(text);
        Ok(())
    }

    /// Removes the record: the file has its name, or all is as before.
    pub(super) fn remove(self) {
        if self.exists {
            let _ = self.parts.remove(&self.file); // if it cannot be removed, the next session does it
        }
    }
}

/// Undoes what an interrupted session did to give `part` its name: removes the empty file, and gives the file that was
/// kept aside its name back. To be called only if the part exists: otherwise the file has got its name.
pub(in crate::store) fn undo(folder: &Folder, staging: &Staging, part: &str) {
    let Some((name, aside)) = read(&staging.dir, part) else { return };
    let (parent, last) = split(&name);
    let Ok(parent) = folder.sub(parent.unwrap_or_default()) else { return };
    match restore(&parent, last, aside.as_deref()) {
        Ok(true) => {
            tracing::info!(name = name.as_str(), "undid the last steps of an interrupted session for a file");
        }
        Ok(false) => {}
        Err(error) => {
            let name = name.as_str();
            tracing::warn!(name, %error, "the last steps of an interrupted session for a file stay");
        }
    }
}

/// The name in a record, and the last component of the new path of the file that is kept aside. That component may break
/// the rule for shared names: it can be longer.
fn read(parts: &Dir, part: &str) -> Option<(FileName, Option<String>)> {
    let mut text = String::new();
    let file = parts.open_file(&target_name(part)).ok()?;
    file.take(RECORD_BYTES).read_to_string(&mut text).ok()?;
    let Some((name, aside)) = text.split_once('\n') else { return Some((text.parse().ok()?, None)) };
    let is_component = aside.ends_with('~') && !aside.contains(['/', '\\', '\n', '\0']);
    is_component.then_some((name.parse().ok()?, Some(aside.to_owned())))
}

/// Restores the state before the first step. Whether there was anything to do.
fn restore(dir: &Dir, name: &str, aside: Option<&str>) -> io::Result<bool> {
    let Some(aside) = aside else {
        let is_empty = size_of(dir, name)? == Some(0);
        return if is_empty { dir.remove(name).map(|()| true) } else { Ok(false) };
    };
    match (size_of(dir, name)?, size_of(dir, aside)?) {
        (Some(_), Some(0)) => dir.remove(aside)?, // the old file still has its name
        (Some(0), Some(_)) => {
            dir.remove(name)?;
            dir.rename_new(aside, dir, name, || Ok(()))?;
        }
        (None, Some(_)) => dir.rename_new(aside, dir, name, || Ok(()))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The size of a regular file; `None` if there is no entry of that name.
fn size_of(dir: &Dir, name: &str) -> io::Result<Option<u64>> {
    match dir.status(name.as_ref()) {
        Ok(status) if status.kind == FileKind::File => Ok(Some(status.stamp.size)),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
