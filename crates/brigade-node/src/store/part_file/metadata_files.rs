//! The small files beside the bytes of a content that is received: its piece list, and the name under which it is
//! wanted.
//!
//! Both are optional: without them a part is complete after more work.

use std::io::{self, Read, Write as _};

use brigade_core::{geometry::Geometry, id::Content, limits, name::FileName, piece_list::PieceList};

use crate::{
    store::{
        hash::piece_list_from_bytes,
        staged_file_names::{LIST, NAME, part_name},
        system::Dir,
    },
    user_account::too_many_open_files::OpenFilesLimit,
};

/// Writes the name under which a content is wanted.
pub(super) fn write_name(dir: &Dir, content: Content, name: &FileName) -> io::Result<()> {
    write(dir, &part_name(content, NAME), name.as_str().as_bytes())
}

/// The name under which a content was last wanted.
pub(in crate::store) fn read_name(dir: &Dir, content: Content) -> Option<FileName> {
    let mut text = String::new();
    let file = dir.open_file(&part_name(content, NAME)).ok()?;
    file.take(limits::NAME_BYTES as u64 + 1).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Writes the piece list of a content.
pub(super) fn write_list(dir: &Dir, content: Content, list: &PieceList) -> io::Result<()> {
    write(dir, &part_name(content, LIST), list.values().as_flattened())
}

/// The stored piece list, if there is one and it folds to the content's id.
///
/// # Errors
/// If no more files can be opened: without the list, all stored pieces would be discarded.
pub(in crate::store) fn read_list(
    dir: &Dir,
    content: Content,
    geometry: &Geometry,
) -> io::Result<Option<PieceList>> {
    let file = match dir.open_file(&part_name(content, LIST)) {
        Ok(file) => file,
        Err(error) if OpenFilesLimit::of_error(&error).is_some() => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut bytes = Vec::new();
    let read = file.take(u64::from(geometry.count()) * 32 + 1).read_to_end(&mut bytes);
    Ok(read.ok().and_then(|_| piece_list_from_bytes(content, &bytes)))
}

fn write(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = dir.open_or_create(name)?;
    file.set_len(0)?;
    file.write_all(bytes)
}
