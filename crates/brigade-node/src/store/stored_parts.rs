//! The parts of files in the directories for received files: which there are, and how they and leftovers are removed.
//!
//! `staged_file_names` has the names of the files, `part_file` writes parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    time::{Duration, SystemTime},
};

use brigade_core::{bitfield::Bitfield, geometry::Geometry, id::Content, name::FileName};

use super::{
    folder::{FileSystemId, Folder, FolderError},
    landing::interrupted_landing::undo,
    part_file::{
        PartError,
        metadata_files::{read_list, read_name},
    },
    piece_verification::hash_pieces,
    staged_file_names::{
        DATA, LIST, NAME, PART_FILES, RECORD, is_small_name, parse_part_name, parse_target_name, part_name,
    },
    staging_directories::Staging,
    system::{FileKind, drop_from_cache},
};

/// The files of a content while it is received: its bytes, record, list and name.
pub(crate) const FILES_OF_PART: u64 = PART_FILES.len() as u64;

/// A content that is stored in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptPart {
    /// The content.
    pub content: Content,
    /// The name that it was last wanted under, if it is known.
    pub name: Option<FileName>,
    /// Its files, on each file system that has some.
    pub stored: Vec<StoredFiles>,
    /// The time since the last write to it.
    pub idle: Duration,
}

/// The files of a part on one file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredFiles {
    /// The file system.
    pub file_system: FileSystemId,
    /// The bytes that they use on the disk.
    pub bytes: u64,
    /// Their number.
    pub files: u64,
}

impl KeptPart {
    /// The bytes that it uses on all file systems.
    pub(crate) fn all_bytes(&self) -> u64 {
        self.stored.iter().map(|stored| stored.bytes).sum()
    }
}

/// All stored parts, in the order of their contents.
pub(crate) fn kept_parts(folder: &Folder, now: SystemTime) -> Result<Vec<KeptPart>, PartError> {
    let mut found: BTreeMap<Content, KeptPart> = BTreeMap::new();
    for staging in folder.stagings()? {
        for content in contents(&staging)? {
            let open = |ending| staging.dir.open_file(&part_name(content, ending));
            let Ok(data) = open(DATA).and_then(|file| file.metadata()) else { continue };
            let record = open(RECORD).and_then(|file| file.metadata()).ok();
            // Each piece changes the record; if there is no record, the time of the bytes is used.
            let written = record.as_ref().unwrap_or(&data).modified().unwrap_or(now);
            let idle = now.duration_since(written).unwrap_or_default();
            let has_file = |ending: &&str| staging.dir.status(part_name(content, ending).as_ref()).is_ok();
            let files = PART_FILES.iter().filter(|ending| has_file(ending)).count() as u64;
            let (name, bytes) = (read_name(&staging.dir, content), bytes_on_disk(&data));
            let part = found.entry(content).or_insert(KeptPart { content, name: None, stored: vec![], idle });
            part.name = name.or(part.name.take());
            part.stored.push(StoredFiles { file_system: staging.file_system, bytes, files });
            part.idle = part.idle.min(idle);
        }
    }
    Ok(found.into_values().collect())
}

/// The number of pieces of the stored part of `content` whose bytes are not right, although its record has them. Nothing
/// is changed: they are hashed again, too, when the part is used.
///
/// `is_cancelled` is called with a number of bytes before they are read. Without a stored piece list nothing can be
/// verified.
pub(crate) fn damaged_pieces(
    folder: &Folder,
    content: Content,
    is_cancelled: &dyn Fn(u64) -> bool,
) -> Result<u32, PartError> {
    let geometry = Geometry::new(content.size)?;
    let mut damaged = 0;
    for staging in folder.stagings()? {
        let failed = |error| FolderError::of_own("open", staging.path.join(part_name(content, DATA)), error);
        let open = |ending| staging.dir.open_file(&part_name(content, ending));
        let (Ok(data), Ok(record)) = (open(DATA), open(RECORD)) else { continue };
        drop_from_cache(&data);
        let Some(list) = read_list(&staging.dir, content, &geometry).map_err(failed)? else { continue };
        let mut claimed = Vec::new();
        record.take(u64::from(geometry.count().div_ceil(8))).read_to_end(&mut claimed).map_err(failed)?;
        let mut pieces = Bitfield::none(geometry.count());
        if pieces.add_page(0, &claimed).is_err() {
            continue; // the record is not one of this content: none of its pieces are used
        }
        for piece in pieces.iter() {
            if is_cancelled(u64::from(geometry.length(piece))) {
                return Ok(damaged);
            }
            let mut one = Bitfield::none(geometry.count());
            one.set(piece);
            damaged += u32::from(hash_pieces(&data, content, &list, &one, 1).is_empty());
        }
    }
    Ok(damaged)
}

/// Removes the stored part of `content`; false if there was none.
///
/// Close an open [`PartFile`](super::part_file::PartFile) before: it would go on with files that have no names.
pub(crate) fn remove_part(folder: &Folder, content: Content) -> Result<bool, PartError> {
    let mut was_there = false;
    for staging in folder.stagings()? {
        for ending in PART_FILES {
            let name = part_name(content, ending);
            match staging.dir.remove(&name) {
                Ok(()) => was_there |= ending == DATA,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(FolderError::of_own("remove", staging.path.join(name), error).into());
                }
            }
        }
    }
    Ok(was_there)
}

/// Removes the leftovers of an interrupted session: empty files with the names that its files were getting, small files,
/// records and lists without their bytes, and empty directories on other file systems. A file that was kept aside for
/// one that did not get its name gets its own name back. Only to be called after the folder is locked and before files
/// are received. A file that cannot be removed is logged, and is no error.
pub(crate) fn remove_leftovers(folder: &Folder) -> Result<(), FolderError> {
    for staging in folder.stagings()? {
        let failed = |error| FolderError::new("list", staging.path.clone(), error);
        let entries = staging.dir.entries().map_err(failed)?;
        let files = entries.iter().filter(|entry| entry.kind == FileKind::File);
        let names: BTreeSet<&str> = files.filter_map(|entry| entry.name.to_str()).collect();
        let is_orphan = |name: &str| {
            let content = [RECORD, LIST, NAME].iter().find_map(|ending| parse_part_name(name, ending));
            content.is_some_and(|content| !names.contains(part_name(content, DATA).as_str()))
        };
        for part in names.iter().filter_map(|name| parse_target_name(name)) {
            // Without the part, the file has got its name.
            if names.contains(part) {
                undo(folder, &staging, part);
            }
        }
        let is_leftover =
            |name: &str| is_small_name(name) || parse_target_name(name).is_some() || is_orphan(name);
        for name in names.iter().filter(|name| is_leftover(name)) {
            if let Err(error) = staging.dir.remove(name) {
                tracing::warn!(name, %error, "a file of an earlier session could not be removed");
            }
        }
    }
    folder.remove_empty_staging()
}

/// The contents with stored bytes.
fn contents(staging: &Staging) -> Result<Vec<Content>, FolderError> {
    let failed = |error| FolderError::new("list", staging.path.clone(), error);
    let entries = staging.dir.entries().map_err(failed)?;
    let files = entries.iter().filter(|entry| entry.kind == FileKind::File);
    Ok(files.filter_map(|entry| parse_part_name(entry.name.to_str()?, DATA)).collect())
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
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use brigade_core::id::{Content, ContentId};

    use super::{
        DATA, Folder, LIST, NAME, PART_FILES, RECORD, kept_parts, part_name, remove_leftovers, remove_part,
    };

    const CONTENT: Content = Content { id: ContentId([0xab; 32]), size: 42 };

    #[test]
    fn a_start_removes_leftovers_and_no_other_files() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let parts = folder.own_staging().unwrap().path;
        let other = Content { size: 43, ..CONTENT };
        let whole = PART_FILES.map(|ending| part_name(CONTENT, ending));
        let orphans = [RECORD, LIST, NAME].map(|ending| part_name(other, ending));
        let not_ours = ["notes.txt", "mine.small", ".small", "x.part", "AB.small"].map(str::to_owned);
        let small = ["0.small", "1f.small"].map(str::to_owned);
        for file in whole.iter().chain(&orphans).chain(&not_ours).chain(&small) {
            fs::write(parts.join(file), "x").unwrap();
        }
        fs::create_dir(parts.join("2.small")).unwrap();
        let _lock = folder.lock().unwrap();
        remove_leftovers(&folder).unwrap();
        let mut left: Vec<String> = fs::read_dir(&parts)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = [&whole[..], &not_ours, &["2.small".to_owned()]].concat();
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn the_renames_of_an_interrupted_session_are_undone_and_no_other_file_is_changed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let parts = folder.own_staging().unwrap().path;
        fs::create_dir(temp.path().join("d")).unwrap();
        let data = part_name(CONTENT, DATA);
        for (part, name, bytes) in
            [("0.small", "d/empty", ""), (&*data, "film.bin", ""), ("1.small", "full", "mine")]
        {
            fs::write(parts.join(part), "received").unwrap();
            fs::write(parts.join(format!("{part}.target")), name).unwrap();
            fs::write(temp.path().join(name), bytes).unwrap();
        }
        // With the end `.~1~`, this name would be longer than the longest name of a shared file.
        let long = format!("{}end of a long name", ["x"; 4].map(|one| one.repeat(250) + "/").concat());
        fs::create_dir_all(temp.path().join(&long).parent().unwrap()).unwrap();
        // For these, an existing file was kept aside, or was going to be. It may itself be empty.
        for (part, name, bytes, aside) in [
            ("5.small", "emptied", Some(""), Some("old")),
            ("6.small", "missing", None, Some("old")),
            ("7.small", "d/kept", Some("old"), Some("")),
            ("8.small", "empty_too", Some(""), None),
            ("9.small", "written", Some("mine"), Some("old")),
            ("b.small", &long, None, Some("old")),
        ] {
            let last = name.rsplit('/').next().unwrap();
            fs::write(parts.join(part), "received").unwrap();
            fs::write(parts.join(format!("{part}.target")), format!("{name}\n{last}.~1~")).unwrap();
            for (name, bytes) in [(name.to_owned(), bytes), (format!("{name}.~1~"), aside)] {
                bytes.into_iter().for_each(|bytes| fs::write(temp.path().join(&name), bytes).unwrap());
            }
        }
        fs::write(parts.join("a.small"), "received").unwrap();
        fs::write(parts.join("a.small.target"), "other\n../outside").unwrap();
        // This one has got its name: its content is empty.
        fs::write(parts.join("2.small.target"), "named").unwrap();
        fs::write(parts.join("3.small.target"), "../outside").unwrap();
        for name in ["named", "other"] {
            fs::write(temp.path().join(name), "").unwrap();
        }
        let _lock = folder.lock().unwrap();
        remove_leftovers(&folder).unwrap();
        for (name, stays) in
            [("d/empty", false), ("film.bin", false), ("full", true), ("named", true), ("other", true)]
        {
            assert_eq!(temp.path().join(name).exists(), stays, "{name}");
        }
        for (name, bytes, aside) in [
            ("emptied", "old", None),
            ("missing", "old", None),
            ("d/kept", "old", None),
            ("empty_too", "", None),
            ("written", "mine", Some("old")),
            (&long, "old", None),
        ] {
            let read = |name: &str| fs::read_to_string(temp.path().join(name));
            assert_eq!(read(name).unwrap(), bytes, "{name}");
            assert_eq!(read(&format!("{name}.~1~")).ok().as_deref(), aside, "{name}");
        }
        let left: Vec<_> = fs::read_dir(&parts).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [&*data], "the part is fetched on");
    }

    #[test]
    fn pieces_that_changed_on_the_disk_are_counted() {
        use brigade_core::geometry::Geometry;

        use crate::store::{hash::hash_file, part_file::PartFile};

        let temp = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).take(1_000_000).collect();
        fs::write(temp.path().join("source"), &bytes).unwrap();
        let source = fs::File::open(temp.path().join("source")).unwrap();
        let hashed = hash_file(&source, bytes.len() as u64, 1, &|| false).unwrap();
        let (content, list) = (hashed.content, hashed.list.unwrap());
        let folder = Folder::open(temp.path()).unwrap();
        let (part, _) = PartFile::open(&folder, &"film".parse().unwrap(), content).unwrap();
        let damaged = || super::damaged_pieces(&folder, content, &|_| false).unwrap();
        assert_eq!(damaged(), 0, "without a list nothing can be verified");
        part.save_list(&list).unwrap();
        let geometry = Geometry::new(content.size).unwrap();
        for piece in geometry.pieces().take(3) {
            let at = usize::try_from(geometry.offset(piece)).unwrap();
            part.store(piece, bytes[at..at + geometry.length(piece) as usize].to_vec(), |result| {
                result.unwrap()
            });
        }
        assert_eq!(damaged(), 0, "the other pieces are not stored yet");
        let data = folder.own_staging().unwrap().path.join(part_name(content, DATA));
        let mut stored = fs::read(&data).unwrap();
        for at in [5, 7, 300_000] {
            stored[at] = !stored[at];
        }
        fs::write(&data, stored).unwrap();
        assert_eq!(damaged(), 2);
        assert_eq!(super::damaged_pieces(&folder, content, &|_| true).unwrap(), 0, "it was cancelled");
    }

    #[test]
    fn a_part_has_its_name_and_the_time_since_the_last_write() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let parts = folder.own_staging().unwrap().path;
        for (ending, text) in [(DATA, "bytes"), (RECORD, "r"), (NAME, "d/film.bin")] {
            fs::write(parts.join(part_name(CONTENT, ending)), text).unwrap();
        }
        let day = Duration::from_secs(86_400);
        let kept = kept_parts(&folder, SystemTime::now() + 3 * day).unwrap();
        let [part] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((part.content, part.name.as_ref().unwrap().as_str()), (CONTENT, "d/film.bin"));
        assert!(part.idle >= 2 * day && part.idle <= 4 * day && part.all_bytes() > 0, "{part:?}");
        assert_eq!(part.stored[0].files, 3, "there is no list");
        // If the clock was set back, the time is zero.
        assert_eq!(kept_parts(&folder, SystemTime::now() - day).unwrap()[0].idle, Duration::ZERO);
        assert!(remove_part(&folder, CONTENT).unwrap());
        assert_eq!(fs::read_dir(parts).unwrap().count(), 0);
    }
}
