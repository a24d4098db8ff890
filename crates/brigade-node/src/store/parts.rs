//! What lies where files are received: how it is named, what there is, and how it is thrown away.
//!
//! A content being received has up to four files there, named after its id and size: its bytes, the record of its
//! pieces, its piece list, and the name that it was last wanted under. `part_file` writes them; `small_files` has
//! names of its own. Whatever is named otherwise is not ours, and stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    time::{Duration, SystemTime},
};

use brigade_core::{
    content::PieceList,
    geometry::Geometry,
    id::{Content, ContentId},
    limits,
    name::FileName,
};

use super::{
    folder::{FileSystemId, Folder, FolderError},
    index,
    part_file::PartError,
    small_files,
    staging::Staging,
    system::{Dir, Kind, OpenFiles},
};

pub(super) const DATA: &str = "part";
pub(super) const RECORD: &str = "pieces";
pub(super) const LIST: &str = "list";
pub(super) const NAME: &str = "name";

/// A content of which a part is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// The content.
    pub content: Content,
    /// The name that it was last wanted under, where that is known.
    pub name: Option<FileName>,
    /// Bytes that it takes on the disk, on each file system.
    pub bytes: Vec<(FileSystemId, u64)>,
    /// How long nothing was written to it.
    pub idle: Duration,
}

impl KeptPart {
    /// Bytes that it takes on all file systems.
    pub fn all_bytes(&self) -> u64 {
        self.bytes.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// All that is known of the parts that are there, in the order of their contents.
pub fn kept_parts(folder: &Folder, now: SystemTime) -> Result<Vec<KeptPart>, PartError> {
    let mut found: BTreeMap<Content, KeptPart> = BTreeMap::new();
    for staging in folder.stagings()? {
        for content in contents(&staging)? {
            let open = |ending| staging.dir.open_file(&file_name(content, ending));
            let Ok(data) = open(DATA).and_then(|file| file.metadata()) else { continue };
            let record = open(RECORD).and_then(|file| file.metadata()).ok();
            // The record is written with every piece; where it is missing, the bytes tell.
            let written = record.as_ref().unwrap_or(&data).modified().unwrap_or(now);
            let idle = now.duration_since(written).unwrap_or_default();
            let (name, bytes) = (read_name(&staging.dir, content), bytes_on_disk(&data));
            let part = found.entry(content).or_insert(KeptPart { content, name: None, bytes: vec![], idle });
            part.name = name.or(part.name.take());
            part.bytes.push((staging.file_system, bytes));
            part.idle = part.idle.min(idle);
        }
    }
    Ok(found.into_values().collect())
}

/// Throws away what is there of `content`; false where there was nothing.
///
/// A [`PartFile`](super::part_file::PartFile) that is open goes on without a place on the disk: close it before.
pub fn remove_part(folder: &Folder, content: Content) -> Result<bool, PartError> {
    let mut was_there = false;
    for staging in folder.stagings()? {
        for ending in [DATA, RECORD, LIST, NAME] {
            let name = file_name(content, ending);
            match staging.dir.remove(&name) {
                Ok(()) => was_there |= ending == DATA,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FolderError::new("remove", staging.path.join(name), error).into()),
            }
        }
    }
    Ok(was_there)
}

/// Clears away what a session left that was cut off: small files, and records and lists without their bytes. Only
/// while the folder is locked: nobody else writes here. What cannot be removed is logged, and hinders nothing.
pub(super) fn clear(folder: &Folder) -> Result<(), FolderError> {
    for staging in folder.stagings()? {
        let failed = |error| FolderError::new("list", staging.path.clone(), error);
        let entries = staging.dir.entries().map_err(failed)?;
        let files = entries.iter().filter(|entry| entry.kind == Kind::File);
        let names: BTreeSet<&str> = files.filter_map(|entry| entry.name.to_str()).collect();
        let is_orphan = |name: &str| {
            let content = [RECORD, LIST, NAME].iter().find_map(|ending| parse_file_name(name, ending));
            content.is_some_and(|content| !names.contains(file_name(content, DATA).as_str()))
        };
        for name in names.iter().filter(|name| small_files::is_ours(name) || is_orphan(name)) {
            if let Err(error) = staging.dir.remove(name) {
                tracing::warn!(name, %error, "what an earlier session left could not be removed");
            }
        }
    }
    Ok(())
}

/// The contents of which there are bytes.
fn contents(staging: &Staging) -> Result<Vec<Content>, FolderError> {
    let failed = |error| FolderError::new("list", staging.path.clone(), error);
    let entries = staging.dir.entries().map_err(failed)?;
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    Ok(files.filter_map(|entry| parse_file_name(entry.name.to_str()?, DATA)).collect())
}

/// The name that a content was last wanted under.
pub(super) fn read_name(dir: &Dir, content: Content) -> Option<FileName> {
    let mut text = String::new();
    let file = dir.open_file(&file_name(content, NAME)).ok()?;
    file.take(limits::NAME_BYTES as u64 + 1).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// The list from before, if it is there and folds to the content's id.
///
/// # Errors
/// Where no more files can be opened: without the list, nothing of what is there would be believed.
pub(super) fn read_list(parts: &Dir, content: Content, geometry: &Geometry) -> io::Result<Option<PieceList>> {
    let file = match parts.open_file(&file_name(content, LIST)) {
        Ok(file) => file,
        Err(error) if OpenFiles::met(&error).is_some() => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut bytes = Vec::new();
    let read = file.take(u64::from(geometry.count()) * 32 + 1).read_to_end(&mut bytes);
    Ok(read.ok().and_then(|_| index::list(content, &bytes)))
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
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use brigade_core::id::{Content, ContentId};

    use super::{DATA, Folder, LIST, NAME, RECORD, file_name, kept_parts, parse_file_name, remove_part};

    const CONTENT: Content = Content { id: ContentId([0xab; 32]), size: 42 };

    #[test]
    fn a_name_reads_back_and_no_other_spelling_does() {
        let name = file_name(CONTENT, DATA);
        assert_eq!(parse_file_name(&name, DATA), Some(CONTENT));
        for other in
            [name.to_uppercase(), name.replace("-42", "-042"), name.replace(".part", ".list"), "x".into()]
        {
            assert_eq!(parse_file_name(&other, DATA), None, "{other}");
        }
    }

    #[test]
    fn a_start_clears_away_what_is_of_no_use_and_leaves_what_is_not_ours() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let parts = folder.own_staging().unwrap().path;
        let other = Content { size: 43, ..CONTENT };
        let whole = [DATA, RECORD, LIST, NAME].map(|ending| file_name(CONTENT, ending));
        let orphans = [RECORD, LIST, NAME].map(|ending| file_name(other, ending));
        let not_ours = ["notes.txt", "mine.small", ".small", "x.part", "AB.small"].map(str::to_owned);
        let small = ["0.small", "1f.small"].map(str::to_owned);
        for file in whole.iter().chain(&orphans).chain(&not_ours).chain(&small) {
            fs::write(parts.join(file), "x").unwrap();
        }
        fs::create_dir(parts.join("2.small")).unwrap();
        let _lock = folder.lock().unwrap();
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
    fn a_part_tells_its_name_and_how_long_it_was_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let parts = folder.own_staging().unwrap().path;
        for (ending, text) in [(DATA, "bytes"), (RECORD, "r"), (NAME, "d/film.bin")] {
            fs::write(parts.join(file_name(CONTENT, ending)), text).unwrap();
        }
        let day = Duration::from_secs(86_400);
        let kept = kept_parts(&folder, SystemTime::now() + 3 * day).unwrap();
        let [part] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((part.content, part.name.as_ref().unwrap().as_str()), (CONTENT, "d/film.bin"));
        assert!(part.idle >= 2 * day && part.idle <= 4 * day && part.all_bytes() > 0, "{part:?}");
        // A clock that was set back makes nothing old.
        assert_eq!(kept_parts(&folder, SystemTime::now() - day).unwrap()[0].idle, Duration::ZERO);
        assert!(remove_part(&folder, CONTENT).unwrap());
        assert_eq!(fs::read_dir(parts).unwrap().count(), 0);
    }
}
