//! The names of the files in a directory for received files.
//!
//! A content that is received has up to four files there, named after its id and size: its bytes, the record of its
//! pieces, its piece list, and the name under which it was last wanted. `part_file` writes them. A small file, which
//! is received in one piece, has the name NUMBER.small. A file with another name is not Brigade's, and stays.

use std::{
    fs::File,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use brigade_core::id::{Content, ContentId};

use super::system::Dir;

/// The ending of the file with the bytes of a content.
pub(super) const DATA: &str = "part";
/// The ending of the record of its pieces.
pub(super) const RECORD: &str = "pieces";
/// The ending of its piece list.
pub(super) const LIST: &str = "list";
/// The ending of the file with the name that it is wanted under.
pub(super) const NAME: &str = "name";

/// The endings of all files of a content.
pub(super) const PART_FILES: [&str; 4] = [DATA, RECORD, LIST, NAME];

/// The ending of a small file.
const SMALL: &str = ".small";

/// The number of the next small file of this process: two batches never use the same name.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The ending, after the name of a part or of a small file, of the file with the name that it is getting.
const TARGET: &str = ".target";

/// The name of a file of a content.
pub(super) fn part_name(content: Content, ending: &str) -> String {
    format!("{}-{}.{ending}", content.id, content.size)
}

/// The content of a file with this name and ending. Only the spelling of [`part_name`] is accepted.
pub(super) fn parse_part_name(name: &str, ending: &str) -> Option<Content> {
    let (id, size) = name.strip_suffix(ending)?.strip_suffix('.')?.split_once('-')?;
    let content = Content { id: id.parse::<ContentId>().ok()?, size: size.parse().ok()? };
    (part_name(content, ending) == name).then_some(content)
}

/// A name for a small file that no other small file of this process has.
pub(super) fn next_small_name() -> String {
    format!("{:x}{SMALL}", NEXT_NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Whether a file has the name of a small file.
pub(super) fn is_small_name(name: &str) -> bool {
    let number = name.strip_suffix(SMALL);
    number.is_some_and(|number| u64::from_str_radix(number, 16).is_ok_and(|n| format!("{n:x}") == number))
}

/// The name of the file that has the name that `part` is getting.
pub(super) fn target_name(part: &str) -> String {
    format!("{part}{TARGET}")
}

/// The name of the part or small file of a name that [`target_name`] has made.
pub(super) fn parse_target_name(name: &str) -> Option<&str> {
    let part = name.strip_suffix(TARGET)?;
    (is_small_name(part) || parse_part_name(part, DATA).is_some()).then_some(part)
}

/// Creates the small file `name`. A file of that name from an interrupted session is replaced.
pub(super) fn create_small(dir: &Dir, name: &str, executable: bool) -> io::Result<File> {
    match dir.create_new(name, executable) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            dir.remove(name).and_then(|()| dir.create_new(name, executable))
        }
        created => created,
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, ContentId, DATA, parse_part_name, part_name};

    const CONTENT: Content = Content { id: ContentId([0xab; 32]), size: 42 };

    #[test]
    fn a_name_is_read_back_and_no_other_spelling_is() {
        let name = part_name(CONTENT, DATA);
        assert_eq!(parse_part_name(&name, DATA), Some(CONTENT));
        for other in
            [name.to_uppercase(), name.replace("-42", "-042"), name.replace(".part", ".list"), "x".into()]
        {
            assert_eq!(parse_part_name(&other, DATA), None, "{other}");
        }
    }
}
