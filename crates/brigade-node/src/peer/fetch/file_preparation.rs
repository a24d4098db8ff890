//! Checks of a wanted file before the fetch: which pieces are present, and whether the file may land under its name.
//!
//! They run on threads that may wait for the disk, many files at once. A file under the name stays as it is. A file
//! with the same content is copied and verified. The pieces of an earlier fetch are hashed again before they count.

use std::{num::NonZero, sync::Arc};

use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::{Content, ContentId},
    name::FileName,
    piece_list::{Expected, PieceList},
    plural::count,
};

use crate::{
    fetch_error::FileErrorKind,
    fetch_request::wanted_files::WantedFile,
    store::{
        destination_check::{Destination, Destinations, Obstacle},
        file_stamp::Stamp,
        folder::{Folder, FolderError},
        hash::{HashError, hash_file},
        ignore_patterns::{IGNORE_FILE, manager_state::may_be_manager_key},
        keeper::LandedFile,
        landing::Placed,
        part_file::{PartError, PartFile},
        piece_verification::{hash_pieces, verify},
        share::Share,
        small_file_batch::SmallFileBatch,
        system::read_exact_at,
    },
};

/// The decision about a wanted file.
#[derive(Debug)]
pub(crate) enum FileDecision {
    /// It is under its name. The value is for the keeper, if the share does not know the file.
    Here(Option<LandedFile>),
    /// It was copied from another file. The values are for the keeper, and the new name of the file that was kept
    /// aside.
    Made(LandedFile, Option<String>),
    /// It has to be fetched: a content of one piece.
    Small,
    /// It has to be fetched: a content of several pieces. Some of them may be present.
    Large { file: PartFile, list: Option<Arc<PieceList>>, have: Bitfield },
}

/// Why a file cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalFileError {
    #[error("{name} is there already with another content ({}, {}); it was left as it is, and {} ({}) was not fetched", .existing.id.short(), count(.existing.size, "byte"), .wanted.id.short(), count(.wanted.size, "byte"))]
    Occupied { name: FileName, existing: Content, wanted: Content },
    #[error("{name} is there already, and is not a file that can be read: {source}")]
    InTheWay { name: FileName, source: FolderError },
    #[error("{0}")]
    CannotLand(Obstacle),
    #[error("{other} is there already, and differs from {name} only in capital letters or accents")]
    Alike { name: FileName, other: FileName },
    #[error("{0} is not fetched: it would say what this peer is not to share")]
    Patterns(FileName),
    #[error(
        "{0} is not fetched: it has the name of a manager's secret key, and a folder with such a key is not shared"
    )]
    ManagerKey(FileName),
    #[error("{0} is said to be empty, which its id denies")]
    NotEmpty(FileName),
    #[error(
        "looking at what is there already was cut off by an error of this program (see the log); fetch it again"
    )]
    CutOff,
    #[error(transparent)]
    Part(#[from] PartError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    TooLarge(#[from] brigade_core::geometry::TooLarge),
}

impl LocalFileError {
    /// The kind of this error, for the counts that people see.
    pub(crate) const fn kind(&self) -> FileErrorKind {
        match self {
            Self::Occupied { .. } => FileErrorKind::Occupied,
            Self::NotEmpty(_) | Self::TooLarge(_) => FileErrorKind::Changed,
            Self::InTheWay { .. }
            | Self::CannotLand(_)
            | Self::Alike { .. }
            | Self::CutOff
            | Self::Patterns(_)
            | Self::ManagerKey(_)
            | Self::Part(_)
            | Self::Hash(_) => FileErrorKind::Disk,
        }
    }
}

/// Decides about one file, on a walk over many.
pub(crate) fn prepare(
    folder: &Folder,
    share: &Share,
    walk: &mut Destinations<'_>,
    wanted: &WantedFile,
) -> Result<FileDecision, LocalFileError> {
    // Most names are free: if not even their folder exists, no file has to be looked at.
    let destination = walk.check(&wanted.name, wanted.replace);
    let is_free = destination.found.is_none();
    let decision = decide(folder, share, walk, wanted, destination);
    if !is_free || !matches!(decision, Ok(FileDecision::Small)) {
        walk.forget(); // files were read or made meanwhile
    }
    decision
}

fn decide(
    folder: &Folder,
    share: &Share,
    walk: &mut Destinations<'_>,
    wanted: &WantedFile,
    destination: Destination,
) -> Result<FileDecision, LocalFileError> {
    folder.check_at_path().map_err(PartError::from)?;
    let WantedFile { name, content, .. } = wanted;
    let geometry = Geometry::new(content.size)?;
    if name.components().any(|component| component.eq_ignore_ascii_case(IGNORE_FILE)) {
        return Err(LocalFileError::Patterns(name.clone()));
    }
    if name.components().last().is_some_and(may_be_manager_key) {
        return Err(LocalFileError::ManagerKey(name.clone()));
    }
    if content.size == 0 && content.id != ContentId::EMPTY {
        return Err(LocalFileError::NotEmpty(name.clone()));
    }
    let shared = share.by_name(name).filter(|shared| shared.content == *content);
    if shared.is_some() && folder.withheld_by(name).is_some() {
        return Ok(FileDecision::Here(None)); // in a share in place
    }
    if shared.zip(destination.found).is_some_and(|(shared, found)| found.same_bytes(&shared.stamp)) {
        return Ok(FileDecision::Here(None));
    }
    let existing = if destination.found.is_none() { None } else { look_under_name(folder, wanted)? };
    let other_content = match existing {
        Some((existing_content, list, stamp)) if existing_content == *content => {
            let landed = LandedFile { name: name.clone(), content: *content, list, stamp };
            return Ok(FileDecision::Here(Some(landed)));
        }
        other => other.map(|(existing_content, ..)| existing_content),
    };
    // The file that was found may have another name: then it is neither reported as this one, nor kept aside for it.
    if let Some(other) = destination.found.and_then(|found| walk.true_name(name, &found)) {
        return Err(LocalFileError::Alike { name: name.clone(), other });
    }
    if let Some(existing) = other_content.filter(|_| !wanted.replace) {
        return Err(LocalFileError::Occupied { name: name.clone(), existing, wanted: *content });
    }
    if let Some(obstacle) = destination.obstacle {
        return Err(LocalFileError::CannotLand(obstacle));
    }
    if let Some(other) = share.same_folded(name) {
        return Err(LocalFileError::Alike { name: name.clone(), other });
    }
    if let Some(made) = make_from_here(folder, share, wanted, &geometry)? {
        return Ok(made);
    }
    if geometry.count() <= 1 {
        return Ok(FileDecision::Small);
    }
    let (file, resumed) = PartFile::open(folder, name, *content)?;
    let have = match &resumed.list {
        Some(list) if !resumed.claimed.is_empty() => {
            hash_pieces(file.file(), *content, list, &resumed.claimed, threads())
        }
        _ => Bitfield::none(geometry.count()),
    };
    Ok(FileDecision::Large { file, list: resumed.list, have })
}

type LocalFile = (Content, Option<Arc<PieceList>>, Stamp);

/// The file under the name, hashed; `None` if there is none, or one that may be kept aside without a look.
fn look_under_name(folder: &Folder, wanted: &WantedFile) -> Result<Option<LocalFile>, LocalFileError> {
    let WantedFile { name, content, replace, .. } = wanted;
    let in_the_way = |source| LocalFileError::InTheWay { name: name.clone(), source };
    let (file, stamp) = match folder.open_stamped(name) {
        Ok(opened) => opened,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(in_the_way(error)),
    };
    if *replace && stamp.size != content.size {
        return Ok(None);
    }
    let hashed = hash_file(&file, stamp.size, threads(), &|| false)?;
    Ok(Some((hashed.content, hashed.list, stamp)))
}

/// Whether the file under the name has the wanted content.
pub(crate) fn is_under_name(folder: &Folder, wanted: &WantedFile) -> bool {
    matches!(look_under_name(folder, wanted), Ok(Some((content, ..))) if content == wanted.content)
}

/// Copies the file from another one here that has the same content; `None` if there is none.
fn make_from_here(
    folder: &Folder,
    share: &Share,
    wanted: &WantedFile,
    geometry: &Geometry,
) -> Result<Option<FileDecision>, LocalFileError> {
    let WantedFile { name, content, .. } = wanted;
    let made = |list, placed: Placed| {
        let landed = LandedFile { name: name.clone(), content: *content, list, stamp: placed.stamp };
        Ok(Some(FileDecision::Made(landed, placed.aside)))
    };
    if content.size == 0 {
        return made(None, land_small(folder, wanted, &[])?);
    }
    let Ok((shared, source)) = share.open_content(content) else { return Ok(None) };
    if geometry.count() == 1 {
        let mut bytes = vec![0; geometry.length(PieceIndex(0)) as usize];
        let read = read_exact_at(&source, &mut bytes, 0).is_ok();
        if !read || !verify(&Expected::Whole(content.id), &bytes) {
            return Ok(None);
        }
        return made(None, land_small(folder, wanted, &bytes)?);
    }
    let Some(list) = shared.list.clone() else { return Ok(None) };
    let (file, _) = PartFile::open(folder, name, *content)?;
    for piece in geometry.pieces() {
        let mut bytes = vec![0; geometry.length(piece) as usize];
        let read = read_exact_at(&source, &mut bytes, geometry.offset(piece)).is_ok();
        let expected = list.expected(geometry, piece);
        if !read || !expected.is_some_and(|expected| verify(&expected, &bytes)) {
            // The source changes at this moment: the content is fetched. The pieces copied so far are in the record.
            file.save_list(&list)?;
            return Ok(None);
        }
        let (done, written) = std::sync::mpsc::sync_channel(1);
        file.store(piece, bytes, move |result| drop(done.send(result)));
        written.recv().unwrap_or(Ok(()))?;
    }
    made(Some(list), file.finish(folder, &wanted.landing())?)
}

fn land_small(folder: &Folder, wanted: &WantedFile, bytes: &[u8]) -> Result<Placed, PartError> {
    let mut batch = SmallFileBatch::new(folder)?;
    let _ = batch.add(wanted.landing(), wanted.content, bytes);
    let answer = batch.commit().pop();
    answer.map_or_else(|| Err(no_answer(folder)), |(_, placed)| placed)
}

fn no_answer(folder: &Folder) -> PartError {
    PartError::NotEnoughSpace { path: folder.path().to_owned(), inodes: false }
}

/// Threads for hashing one file: every core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
