//! What lies in `.brigade/parts/`: how it is named, what there is, and how it is thrown away.
//!
//! A content being received has up to three files there, named after its id and size: its bytes, the record of its
//! pieces and its piece list. `part_file` writes them; `small_files` has names of its own.

use std::io;

use brigade_core::id::{Content, ContentId};

use super::{
    folder::{Folder, FolderError},
    part_file::PartError,
};

pub(super) const DATA: &str = "part";
pub(super) const RECORD: &str = "pieces";
pub(super) const LIST: &str = "list";

/// The contents of which there is a part, and how many bytes it takes on the disk.
pub fn parts(folder: &Folder) -> Result<Vec<(Content, u64)>, PartError> {
    let dir = folder.parts()?;
    let entries = dir.entries().map_err(|error| FolderError::new("list", folder.parts_path(), error))?;
    let mut found = Vec::new();
    for entry in entries {
        let content = entry.name.to_str().and_then(|name| parse_file_name(name, DATA));
        let Some(content) = content else { continue };
        let bytes = dir.open_file(&file_name(content, DATA)).and_then(|file| file.metadata());
        found.push((content, bytes.map_or(0, |metadata| bytes_on_disk(&metadata))));
    }
    found.sort_unstable();
    Ok(found)
}

/// Throws away what is there of `content`; false where there was nothing.
///
/// A [`PartFile`](super::part_file::PartFile) that is open goes on without a place on the disk: close it before.
pub fn remove_part(folder: &Folder, content: Content) -> Result<bool, PartError> {
    let dir = folder.parts()?;
    let mut was_there = false;
    for ending in [DATA, RECORD, LIST] {
        let name = file_name(content, ending);
        match dir.remove(&name) {
            Ok(()) => was_there |= ending == DATA,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(FolderError::new("remove", folder.parts_path().join(name), error).into());
            }
        }
    }
    Ok(was_there)
}

pub(super) fn file_name(content: Content, ending: &str) -> String {
    format!("{}-{}.{ending}", content.id, content.size)
}

fn parse_file_name(name: &str, ending: &str) -> Option<Content> {
    let (id, size) = name.strip_suffix(ending)?.strip_suffix('.')?.split_once('-')?;
    let content = Content { id: id.parse::<ContentId>().ok()?, size: size.parse().ok()? };
    // Only the one spelling that is ours.
    (file_name(content, ending) == name).then_some(content)
}

#[cfg(unix)]
fn bytes_on_disk(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn bytes_on_disk(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests {
    use brigade_core::id::{Content, ContentId};

    use super::{DATA, file_name, parse_file_name};

    #[test]
    fn a_name_reads_back_and_no_other_spelling_does() {
        let content = Content { id: ContentId([0xab; 32]), size: 42 };
        let name = file_name(content, DATA);
        assert_eq!(parse_file_name(&name, DATA), Some(content));
        for other in
            [name.to_uppercase(), name.replace("-42", "-042"), name.replace(".part", ".list"), "x".into()]
        {
            assert_eq!(parse_file_name(&other, DATA), None, "{other}");
        }
    }
}
