//! The watch on Linux: inotify(7), a watch for each folder, known by the kernel's number for it.
//!
//! A folder that is renamed keeps its watch, and its number; it gets its new name when it is come upon under it. Until
//! then its news bears the old name, where nothing is found: that does no harm, since whoever finds the folder looks
//! at all that is in it. The kernel keeps the news until it is asked for, and says when it had to drop some.

use std::{collections::BTreeMap, ffi::CStr, io, mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf};

use brigade_core::name::FileName;
use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use super::{EVENTS, Event, NoWatch, place};
use crate::store::{folder::Folder, keeper::settle::Sign};

/// Bytes that are read at once: a few hundred events.
const BUFFER_BYTES: usize = 32 << 10;

/// The watch over the folder; none where it could not be set up.
#[derive(Debug)]
pub(in crate::store::keeper) struct Watch {
    inotify: Option<AsyncFd<OwnedFd>>,
    root: PathBuf,
    hidden: bool,
    folders: BTreeMap<i32, Watched>,
    walk: u64,
}

/// A folder that is watched.
#[derive(Debug)]
struct Watched {
    /// Where it was come upon last; none for the shared folder itself.
    name: Option<FileName>,
    /// In which walk over everything that was.
    walk: u64,
}

impl Watch {
    /// Begins to watch; why not, where that fails. To be called within a tokio runtime.
    pub(in crate::store::keeper) fn start(folder: &Folder, hidden: bool) -> Result<Self, NoWatch> {
        let mut watch = Self::none(folder);
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(explain)?;
        #[allow(
            deprecated,
            reason = "an owned descriptor stays what it is: all that the unsafe `register` asks"
        )]
        let inotify = AsyncFd::new(inotify).map_err(|error| NoWatch::Other(error.to_string()))?;
        let root = add(&inotify, &watch.root).map_err(explain)?;
        watch.folders.insert(root, Watched { name: None, walk: u64::MAX });
        Ok(Self { inotify: Some(inotify), hidden, ..watch })
    }

    /// Whether there is one.
    pub(in crate::store::keeper) fn is_on(&self) -> bool {
        self.inotify.is_some()
    }

    /// No watch at all.
    pub(in crate::store::keeper) fn none(folder: &Folder) -> Self {
        let root = folder.path().to_owned();
        Self { inotify: None, root, hidden: false, folders: BTreeMap::new(), walk: 0 }
    }

    /// Waits until there is news, and puts it into `events`. Nothing is lost where this is not waited for to the end.
    pub(in crate::store::keeper) async fn news(&mut self, events: &mut Vec<Event>) {
        loop {
            let Some(inotify) = &self.inotify else { return std::future::pending().await };
            let Ok(mut ready) = inotify.readable().await else { return std::future::pending().await };
            let more = read(inotify.get_ref(), &mut self.folders, self.hidden, events);
            if !more {
                ready.clear_ready();
            }
            if matches!(events.last(), Some(Event::Broken(_))) {
                self.inotify = None;
                self.folders.clear();
            }
            if !events.is_empty() {
                return;
            }
        }
    }

    /// Watches a folder below, too, and has its news under this name from now on. Why not, where that fails; a folder
    /// that is gone, or that may not be listed either, is no failure.
    pub(in crate::store::keeper) fn folder(&mut self, name: &FileName) -> Result<(), NoWatch> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        match add(inotify, &self.root.join(name.as_str())) {
            Ok(number) => {
                self.folders.insert(number, Watched { name: Some(name.clone()), walk: self.walk });
                Ok(())
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => Ok(()),
            Err(error) => Err(explain(error)),
        }
    }

    /// A walk over everything begins.
    pub(in crate::store::keeper) fn begin_walk(&mut self) {
        self.walk += 1;
    }

    /// The walk has come upon every folder that there is: those that have left are watched no more.
    pub(in crate::store::keeper) fn end_walk(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        self.folders.retain(|number, watched| {
            let stays = watched.walk >= self.walk;
            if !stays {
                // It ended by itself where the folder was deleted.
                let _ = inotify::remove_watch(inotify.get_ref(), *number);
            }
            stays
        });
    }
}

fn add(inotify: &AsyncFd<OwnedFd>, path: &std::path::Path) -> Result<i32, Errno> {
    // Not of files that are opened, read or closed after reading: those are no changes, and most are our doing.
    let changes = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF;
    let how = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW | WatchFlags::EXCL_UNLINK;
    inotify::add_watch(inotify.get_ref(), path, changes | how)
}

/// Takes news from the kernel until there is none, or enough; whether there may be more.
fn read(
    inotify: &OwnedFd,
    folders: &mut BTreeMap<i32, Watched>,
    hidden: bool,
    events: &mut Vec<Event>,
) -> bool {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(inotify, &mut buffer);
    while events.len() < EVENTS || !reader.is_buffer_empty() {
        match reader.next() {
            Ok(event) => {
                let (number, what) = (event.wd(), event.events());
                events.extend(meaning(number, what, event.file_name(), folders, hidden));
                if what.contains(ReadFlags::IGNORED) {
                    folders.remove(&number);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(error) => {
                events.push(Event::Broken(explain(error)));
                return false;
            }
        }
    }
    true
}

fn meaning(
    number: i32,
    what: ReadFlags,
    file: Option<&CStr>,
    folders: &BTreeMap<i32, Watched>,
    hidden: bool,
) -> Option<Event> {
    if what.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Event::Lost);
    }
    let folder = folders.get(&number)?;
    let Some(file) = file else {
        // About the folder itself: of all but the shared one there is news from the folder that it is in.
        let of_interest = folder.name.is_none() && !what.contains(ReadFlags::IGNORED);
        return of_interest.then_some(Event::Odd);
    };
    let parents = folder.name.iter().flat_map(|name| name.components()).map(Some);
    place(parents.chain([file.to_str().ok()]), hidden, sign(what))
}

fn sign(what: ReadFlags) -> Sign {
    if what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO) {
        Sign::Closed
    } else if what.contains(ReadFlags::ATTRIB) {
        Sign::Touched
    } else {
        Sign::Written
    }
}

fn explain(error: Errno) -> NoWatch {
    match error {
        Errno::NOSPC => NoWatch::Folders,
        Errno::MFILE => NoWatch::Watches,
        other => NoWatch::Other(io::Error::from(other).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tokio::time::timeout;

    use super::{Event, Folder, Sign, Watch};

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn hear_of(watch: &mut Watch, name: &str) {
        let name = name.parse().unwrap();
        let hear = async {
            let mut events = Vec::new();
            while !events.iter().any(|event| matches!(event, Event::To(of, _) if *of == name)) {
                watch.news(&mut events).await;
            }
        };
        timeout(DEADLINE, hear).await.unwrap_or_else(|_| panic!("no news of {name}"));
    }

    #[tokio::test]
    async fn a_folder_that_was_renamed_twice_is_heard_of_under_its_last_name() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::create_dir_all(path("a/sub")).unwrap();
        let mut watch = Watch::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        for name in ["a", "a/sub"] {
            watch.folder(&name.parse().unwrap()).unwrap();
        }
        fs::rename(path("a"), path("b")).unwrap();
        fs::create_dir_all(path("a/sub")).unwrap();
        for name in ["a", "a/sub", "b", "b/sub"] {
            watch.folder(&name.parse().unwrap()).unwrap();
        }
        fs::remove_dir_all(path("a")).unwrap();
        hear_of(&mut watch, "a").await;
        fs::write(path("b/sub/file"), "").unwrap();
        hear_of(&mut watch, "b/sub/file").await;
    }

    #[tokio::test]
    async fn opening_and_reading_make_no_news_and_the_end_of_writing_does() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "1").unwrap();
        let mut watch = Watch::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        fs::read(temp.path().join("file")).unwrap();
        fs::read_dir(temp.path()).unwrap().count();
        fs::write(temp.path().join("end"), "1").unwrap();
        let to = |name: &str, sign| Event::To(name.parse().unwrap(), sign);
        let mut events = Vec::new();
        let hear = async {
            while !events.contains(&to("end", Sign::Closed)) {
                watch.news(&mut events).await;
            }
        };
        timeout(DEADLINE, hear).await.unwrap();
        // A process that another test starts has the files that are open here, too, until it runs its program: the end of
        // what was written before may be news only now.
        events.retain(|event| *event != to("file", Sign::Closed));
        assert_eq!(events, [to("end", Sign::Written), to("end", Sign::Written), to("end", Sign::Closed)]);
    }

    #[tokio::test]
    async fn it_is_said_when_the_kernel_had_to_drop_news() {
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let queue: usize = queue.trim().parse().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        // Each makes two events at least; the same one twice in a row would count once.
        for _ in 0..=queue / 2 {
            fs::write(temp.path().join("a"), "").unwrap();
            fs::remove_file(temp.path().join("a")).unwrap();
        }
        let mut events = Vec::new();
        let hear = async {
            while !events.contains(&Event::Lost) {
                events.clear();
                watch.news(&mut events).await;
            }
        };
        timeout(DEADLINE, hear).await.unwrap();
        fs::write(temp.path().join("later"), "").unwrap();
        hear_of(&mut watch, "later").await;
    }

    #[tokio::test]
    async fn folders_that_have_left_are_watched_no_more() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["stays", "leaves"] {
            fs::create_dir(temp.path().join(name)).unwrap();
        }
        let mut watch = Watch::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        for name in ["stays", "leaves"] {
            watch.folder(&name.parse().unwrap()).unwrap();
        }
        fs::rename(temp.path().join("leaves"), elsewhere.path().join("left")).unwrap();
        watch.begin_walk();
        watch.folder(&"stays".parse().unwrap()).unwrap();
        watch.folder(&"leaves".parse().unwrap()).unwrap();
        watch.end_walk();
        assert_eq!(watch.folders.len(), 2, "the shared one and the one that stays");
    }
}
