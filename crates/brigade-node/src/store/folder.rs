//! The shared folder as a handle that cannot be left: no name leads out of it, and no link is followed, inner ones
//! neither.
//!
//! Names are [`FileName`]s, checked before they come here. What a peer keeps for itself lies in `.brigade/` (mode
//! 0700): its key, the index, part files. The lock on it keeps a second session out, as long as anyone in this one has
//! a handle. The walk over everything is in `walk`; what the kernel is asked for, in `system`.

mod error;
mod lock;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use brigade_core::name::FileName;

pub use self::error::FolderError;
pub(super) use self::error::lacking;
pub use self::lock::{FolderLock, LockHolder};
use super::{
    private::Private,
    staging::Places,
    stamp::stamp,
    system::{Dir, Status},
};
pub use super::{
    private::{Belongings, PrivateState},
    stamp::{Stamp, stamp_of},
    system::{FileSystemId, Free, Kind, OpenFiles, Told},
    walk::{Found, NotShared},
};

/// Where a peer keeps its own things, in its folder.
pub const PRIVATE: &str = ".brigade";

/// Where files are received, in the private folder.
const PARTS: &str = "parts";

/// An open folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder(pub(super) Arc<Open>);

#[derive(Debug)]
pub(super) struct Open {
    path: PathBuf,
    pub(super) root: Dir,
    new: bool,
    file_system: FileSystemId,
    pub(super) places: Places,
    /// Set while another folder, or none, is at the path.
    gone: AtomicBool,
    /// Our own folder in it. Its lock lasts as long as any handle, since who has a handle may write.
    pub(super) private: Private,
}

impl Folder {
    /// The folder at `path`, which must be there. A link at `path` itself is followed: its owner named it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::open_as(path, false)
    }

    /// The folder at `path`, made where it is not there; the folder that it is in must be.
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        match fs::create_dir(path) {
            Ok(()) => Self::open_as(path, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open_as(path, false),
            Err(error) => Err(FolderError::new("make the folder", path.to_owned(), error)),
        }
    }

    fn open_as(path: &Path, new: bool) -> Result<Self, FolderError> {
        let failed = |error| FolderError::new("open the folder", path.to_owned(), error);
        let absolute = path.canonicalize().map_err(failed)?;
        let root = Dir::open_root(&absolute).map_err(failed)?;
        let file_system = root.file_system().map_err(failed)?;
        let (places, gone, private) = (Places::default(), AtomicBool::new(false), Private::default());
        Ok(Self(Arc::new(Open { path: absolute, root, new, file_system, places, gone, private })))
    }

    /// Whether the folder at `path` was Brigade's before: it has a `.brigade/` with something of ours in it.
    pub fn is_brigades(path: &Path) -> bool {
        let private = path.join(PRIVATE);
        let ours = |name| fs::symlink_metadata(private.join(name)).is_ok_and(|found| found.is_file());
        fs::symlink_metadata(&private).is_ok_and(|found| found.is_dir())
            && ["key", "lock", "index.db"].iter().any(ours)
    }

    /// Where the folder is: absolute, without links.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Looks whether this folder is still the one at its path. While it is not, nothing is received into it.
    pub fn is_in_place(&self) -> bool {
        let in_place = self.0.root.is_at(&self.0.path);
        self.0.gone.store(!in_place, Ordering::Relaxed);
        in_place
    }

    /// Whether it was not in its place when somebody last looked.
    pub fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::Relaxed)
    }

    /// The error that it is not in its place, or is another session's now, if it was so when somebody last looked.
    pub fn check_place(&self) -> Result<(), FolderError> {
        match self.is_gone() {
            true => Err(FolderError::Gone { path: self.0.path.clone() }),
            false => self.check_private(),
        }
    }

    /// Whether something could be written into it. Without `trying`, what the system says is believed: it may not know
    /// yet that a disk has failed.
    pub fn check_writable(&self, trying: bool) -> Result<(), FolderError> {
        let failed = |error| FolderError::new("write into", self.0.path.clone(), error);
        if self.0.root.is_read_only().map_err(failed)? {
            return Err(failed(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        self.0.root.may_be_written().map_err(failed)?;
        if trying { self.private_handle()?.touch().map_err(failed) } else { Ok(()) }
    }

    /// When the file under `name` was made, in nanoseconds since 1970, by the file system's clock; `None` where it does not
    /// say.
    pub(super) fn born_ns(&self, name: &FileName) -> Result<Option<i64>, FolderError> {
        let failed = |error| FolderError::new("look at", self.path_of(name), error);
        self.0.root.born_ns(name.as_str().as_ref()).map_err(failed)
    }

    /// Whether [`Folder::create`] made it.
    pub fn is_new(&self) -> bool {
        self.0.new
    }

    /// Opens a shared file for reading. Only a regular file is opened, and only where no link stands on the way.
    pub fn open_file(&self, name: &FileName) -> Result<File, FolderError> {
        self.open_stamped(name).map(|(file, _)| file)
    }

    /// Opens a shared file, and says what it was at that moment.
    pub fn open_stamped(&self, name: &FileName) -> Result<(File, Stamp), FolderError> {
        let failed = |error| FolderError::new("open", self.path_of(name), error);
        let file = self.0.root.open_file(name.as_str()).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_file() {
            Ok((file, stamp(&metadata)))
        } else {
            Err(FolderError::NotAFile { path: self.path_of(name) })
        }
    }

    /// What stands under `name`, without opening it.
    pub fn stamp(&self, name: &FileName) -> Result<Stamp, FolderError> {
        self.regular(name, self.look(name)?)
    }

    /// The stamp of what was found under `name`, if that is a regular file.
    pub(super) fn regular(&self, name: &FileName, found: Status) -> Result<Stamp, FolderError> {
        match found.kind {
            Kind::File => Ok(found.stamp),
            Kind::Link => Err(FolderError::Link { path: self.path_of(name) }),
            _ => Err(FolderError::NotAFile { path: self.path_of(name) }),
        }
    }

    /// What the file system at the folder `below` still takes; that of the whole one for "".
    pub fn free(&self, below: &str) -> Result<Free, FolderError> {
        let failed = |error| FolderError::new("measure", self.0.path.join(below), error);
        if below.is_empty() {
            self.0.root.free()
        } else {
            self.0.root.place(below).and_then(|dir| dir.free())
        }
        .map_err(failed)
    }

    /// The file system that the folder itself is on.
    pub fn file_system(&self) -> FileSystemId {
        self.0.file_system
    }

    /// What stands under `name`, of whatever kind.
    pub(super) fn look(&self, name: &FileName) -> Result<Status, FolderError> {
        let failed = |error| FolderError::new("look at", self.path_of(name), error);
        self.0.root.status(name.as_str().as_ref()).map_err(failed)
    }

    /// The folder at `path` below this one, to look from.
    pub(super) fn place(&self, path: &str) -> Result<Dir, FolderError> {
        self.0.root.place(path).map_err(|error| FolderError::new("look into", self.0.path.join(path), error))
    }

    /// The folder that `name` lies in, made where it is not there (and then made durable, if `durable`).
    pub(super) fn make_parent(&self, name: &FileName, durable: bool) -> Result<Dir, FolderError> {
        self.check_place()?;
        let Some(parent) = split(name).0 else { return self.sub("") };
        match self.0.root.sub(parent) {
            Ok(dir) => Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_dirs(parent, durable),
            Err(error) => Err(FolderError::new("open the folder", self.0.path.join(parent), error)),
        }
    }

    fn make_dirs(&self, path: &str, durable: bool) -> Result<Dir, FolderError> {
        let mut at = self.sub("")?;
        for part in path.split('/') {
            let failed = |error| FolderError::new("make the folder", self.0.path.join(path), error);
            match at.make_dir(part, false) {
                Ok(()) if durable => at.sync().map_err(failed)?,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            at = at.sub(part).map_err(failed)?;
        }
        Ok(at)
    }

    /// The handle of the folder at `below`; of the whole one for "".
    pub(super) fn sub(&self, below: &str) -> Result<Dir, FolderError> {
        let dir = if below.is_empty() { self.0.root.try_clone() } else { self.0.root.sub(below) };
        dir.map_err(|error| FolderError::new("open the folder", self.0.path.join(below), error))
    }

    /// The folder in which files are received, made where it is not there.
    pub(super) fn parts(&self) -> Result<Dir, FolderError> {
        self.check_place()?;
        self.keep_private()?;
        self.make_private_dir(&self.private_handle()?, PARTS, self.parts_path())
    }

    /// The path of that folder, for messages.
    pub(super) fn parts_path(&self) -> PathBuf {
        self.private_dir().join(PARTS)
    }

    /// The path of a shared file, for messages.
    pub(super) fn path_of(&self, name: &FileName) -> PathBuf {
        self.0.path.join(name.as_str())
    }

    /// The path of a folder below this one, or of this one for ""; for messages.
    pub fn path_below(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.0.path.clone() } else { self.0.path.join(below) }
    }
}

/// The folder that a name lies in, if it is not the shared one itself, and its last component.
pub(super) fn split(name: &FileName) -> (Option<&str>, &str) {
    match name.as_str().rsplit_once('/') {
        Some((parent, last)) => (Some(parent), last),
        None => (None, name.as_str()),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, time::Duration};

    use brigade_core::{
        geometry::PieceIndex,
        id::{Content, ContentId},
    };

    use super::{Folder, FolderError, PRIVATE};
    use crate::store::part_file::PartFile;

    fn name(text: &str) -> brigade_core::name::FileName {
        text.parse().unwrap()
    }

    #[test]
    fn a_folder_swapped_for_a_link_leads_nowhere() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("f"), "secret").unwrap();
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("d")).unwrap();
        fs::write(temp.path().join("d/f"), "mine").unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        assert!(folder.open_file(&name("d/f")).is_ok());
        fs::rename(temp.path().join("d"), temp.path().join("moved")).unwrap();
        symlink(outside.path(), temp.path().join("d")).unwrap();
        assert!(matches!(folder.open_file(&name("d/f")), Err(FolderError::Link { .. })));
        assert!(matches!(folder.stamp(&name("d/f")), Err(FolderError::Link { .. })));
        assert!(matches!(folder.make_parent(&name("d/new"), true), Err(FolderError::Link { .. })));
        assert!(matches!(folder.stamp(&name("d")), Err(FolderError::Link { .. })));
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        #[cfg(target_os = "linux")]
        rustix::fs::mknodat(rustix::fs::CWD, temp.path().join("pipe"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let opened = folder.open_file(&name("pipe"));
        assert!(matches!(opened, Err(FolderError::NotAFile { .. })), "{opened:?}");
    }

    #[test]
    fn a_second_session_is_kept_out_until_the_first_ends() {
        let temp = tempfile::tempdir().unwrap();
        let first = Folder::open(temp.path()).unwrap();
        let lock = first.lock().unwrap();
        let second = Folder::open(temp.path()).unwrap();
        assert!(matches!(second.lock(), Err(FolderError::InUse { .. })));
        drop(lock);
        let still = Folder::open(temp.path()).unwrap();
        assert!(matches!(still.lock(), Err(FolderError::InUse { .. })), "who has a handle may write");
        drop(first);
        becomes_free(&second);
    }

    /// As where a stop does not wait for a disk.
    #[tokio::test]
    async fn the_lock_lasts_until_the_last_writer_is_done() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let lock = folder.lock().unwrap();
        let content = Content { id: ContentId([7; 32]), size: 1 << 20 };
        let (part, _) = PartFile::open(&folder, &name("f"), content).unwrap();
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let writer = std::thread::spawn(move || {
            waits.recv().unwrap();
            part.store(PieceIndex(1), vec![7; 256 << 10], |stored| stored.unwrap());
        });
        drop(folder);
        let released = lock.released();
        tokio::pin!(released);
        assert!(tokio::time::timeout(Duration::ZERO, &mut released).await.is_err());
        let locked = Folder::open(temp.path()).unwrap().lock();
        assert!(matches!(locked, Err(FolderError::InUse { .. })), "{locked:?}");
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), released).await.unwrap();
        becomes_free(&Folder::open(temp.path()).unwrap());
        writer.join().unwrap();
    }

    /// A process that another test starts has the file that is locked, too, until it runs its program.
    #[track_caller]
    fn becomes_free(folder: &Folder) {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while let Err(error) = folder.lock() {
            assert!(std::time::Instant::now() < deadline, "{error}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_folder_is_ours_once_it_was_locked() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("folder");
        let folder = Folder::create(&path).unwrap();
        assert!(folder.is_new() && !Folder::is_brigades(&path));
        let _lock = folder.lock().unwrap();
        assert!(Folder::is_brigades(&path));
        assert!(!Folder::create(&path).unwrap().is_new());
        let mode = fs::metadata(path.join(PRIVATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_private_folder_that_is_a_link_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        let temp = tempfile::tempdir().unwrap();
        symlink(outside.path(), temp.path().join(PRIVATE)).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        assert!(matches!(folder.private(), Err(FolderError::Link { .. })));
        assert!(matches!(folder.lock(), Err(FolderError::Link { .. })));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_left_its_place_is_known_to_be_gone_until_it_is_back() {
        let temp = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (temp.path().join("folder"), temp.path().join("elsewhere"));
        let folder = Folder::create(&path).unwrap();
        assert!(folder.is_in_place() && !folder.is_gone());
        fs::rename(&path, &elsewhere).unwrap();
        assert!(!folder.is_in_place());
        fs::create_dir(&path).unwrap();
        assert!(!folder.is_in_place() && folder.is_gone(), "another folder is there");
        assert!(matches!(folder.make_parent(&name("a"), true), Err(FolderError::Gone { .. })));
        fs::remove_dir(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert!(folder.is_in_place() && folder.make_parent(&name("a"), true).is_ok());
    }

    #[test]
    fn what_is_not_there_says_so() {
        let temp = tempfile::tempdir().unwrap();
        assert!(matches!(Folder::open(&temp.path().join("no")), Err(FolderError::Missing { .. })));
        let folder = Folder::open(temp.path()).unwrap();
        assert!(folder.open_file(&name("no/file")).unwrap_err().is_missing());
        fs::write(temp.path().join("file"), "").unwrap();
        assert!(folder.stamp(&name("file/below")).unwrap_err().is_missing());
        assert!(folder.free("").unwrap().bytes > 0);
    }
}
