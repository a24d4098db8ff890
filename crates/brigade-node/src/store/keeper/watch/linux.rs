//! The watcher on Linux: inotify(7), with one watch for each folder, which the kernel numbers.
//!
//! A folder that is renamed keeps its watch and its number; it gets its new name here when a walk finds it. Until
//! then its events have the old name, where nothing is found. That does no harm, since the walk that finds the folder
//! looks at all of its entries. The kernel keeps events until they are read, and reports when it had to drop some.

use std::{collections::BTreeMap, ffi::CStr, io, mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf};

use brigade_core::name::FileName;
use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use super::event::{EVENTS, Event, WatchError, event_for};
use crate::store::{
    folder::{Folder, NetworkNames},
    keeper::files_being_written::ChangeKind,
};

/// Bytes that are read at once: a few hundred events.
const BUFFER_BYTES: usize = 32 << 10;

/// The watcher of the folder; it may be off.
#[derive(Debug)]
pub(crate) struct FolderWatcher {
    inotify: Option<AsyncFd<OwnedFd>>,
    root: PathBuf,
    names: NetworkNames,
    hidden: bool,
    folders: BTreeMap<i32, WatchedFolder>,
    walk: u64,
}

/// A folder that is watched.
#[derive(Debug)]
struct WatchedFolder {
    /// The name under which a walk last found it; `None` for the shared folder itself.
    name: Option<FileName>,
    /// The walk over the whole folder that last found it.
    walk: u64,
}

impl FolderWatcher {
    /// Starts watching. To be called within a tokio runtime.
    pub(crate) fn start(folder: &Folder, hidden: bool) -> Result<Self, WatchError> {
        let mut watch = Self::none(folder);
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(watch_error)?;
        #[allow(
            deprecated,
            reason = "an owned descriptor stays what it is: all that the unsafe `register` asks"
        )]
        let inotify = AsyncFd::new(inotify).map_err(|error| WatchError::Other(error.to_string()))?;
        let root = add(&inotify, &watch.root).map_err(watch_error)?;
        watch.folders.insert(root, WatchedFolder { name: None, walk: u64::MAX });
        Ok(Self { inotify: Some(inotify), hidden, ..watch })
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.inotify.is_some()
    }

    /// A watcher that is off.
    pub(crate) fn none(folder: &Folder) -> Self {
        let (root, names) = (folder.path().to_owned(), folder.names().clone());
        Self { inotify: None, root, names, hidden: false, folders: BTreeMap::new(), walk: 0 }
    }

    /// Waits for events and adds them to `events`. No event is lost if the future is dropped before.
    pub(crate) async fn next_events(&mut self, events: &mut Vec<Event>) {
        loop {
            let Some(inotify) = &self.inotify else { return std::future::pending().await };
            let Ok(mut ready) = inotify.readable().await else { return std::future::pending().await };
            let more = read(inotify.get_ref(), &mut self.folders, (&self.names, self.hidden), events);
            if !more {
                ready.clear_ready();
            }
            drop(ready);
            self.end_if_broken(events);
            if !events.is_empty() {
                return;
            }
        }
    }

    /// Adds the events that happened until now to `events`, without waiting.
    pub(crate) fn pending_events(&mut self, events: &mut Vec<Event>) {
        let Some(inotify) = &self.inotify else { return };
        read(inotify.get_ref(), &mut self.folders, (&self.names, self.hidden), events);
        self.end_if_broken(events);
    }

    fn end_if_broken(&mut self, events: &[Event]) {
        if matches!(events.last(), Some(Event::Broken(_))) {
            self.inotify = None;
            self.folders.clear();
        }
    }

    /// Watches a folder below too; its events have this name from now on. A folder that is gone, or that may not be
    /// listed, is no error.
    pub(crate) fn folder(&mut self, name: &FileName) -> Result<(), WatchError> {
        let Some(inotify) = &self.inotify else { return Ok(()) };
        match add(inotify, &self.root.join(self.names.local(name).unwrap_or(name))) {
            Ok(number) => {
                self.folders.insert(number, WatchedFolder { name: Some(name.clone()), walk: self.walk });
                Ok(())
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => Ok(()),
            Err(error) => Err(watch_error(error)),
        }
    }

    /// A walk over the whole folder begins.
    pub(crate) fn begin_walk(&mut self) {
        self.walk += 1;
    }

    /// The walk has found all folders: stops watching those that it did not find.
    pub(crate) fn end_walk(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        self.folders.retain(|number, watched| {
            let stays = watched.walk >= self.walk;
            if !stays {
                // The kernel has already ended the watch of a deleted folder.
                let _ = inotify::remove_watch(inotify.get_ref(), *number);
            }
            stays
        });
    }
}

fn add(inotify: &AsyncFd<OwnedFd>, path: &std::path::Path) -> Result<i32, Errno> {
    // Not for files that are opened, read, or closed after reading: those are not changes, and mostly done by this
    // program.
    let changes = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF;
    let options = WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW | WatchFlags::EXCL_UNLINK;
    inotify::add_watch(inotify.get_ref(), path, changes | options)
}

/// Reads events from the kernel until there are none, or enough. Returns whether there may be more.
fn read(
    inotify: &OwnedFd,
    folders: &mut BTreeMap<i32, WatchedFolder>,
    (names, hidden): (&NetworkNames, bool),
    events: &mut Vec<Event>,
) -> bool {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(inotify, &mut buffer);
    while events.len() < EVENTS || !reader.is_buffer_empty() {
        match reader.next() {
            Ok(event) => {
                let (number, flags) = (event.wd(), event.events());
                events.extend(event_of(number, flags, event.file_name(), folders, (names, hidden)));
                if flags.contains(ReadFlags::IGNORED) {
                    folders.remove(&number);
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(error) => {
                events.push(Event::Broken(watch_error(error)));
                return false;
            }
        }
    }
    true
}

fn event_of(
    number: i32,
    flags: ReadFlags,
    file_name: Option<&CStr>,
    folders: &BTreeMap<i32, WatchedFolder>,
    (names, hidden): (&NetworkNames, bool),
) -> Option<Event> {
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Event::Lost);
    }
    let folder = folders.get(&number)?;
    let Some(file_name) = file_name else {
        // An event of the folder itself matters only for the shared folder: the others' parent folders have an event
        // too.
        let of_interest = folder.name.is_none() && !flags.contains(ReadFlags::IGNORED);
        return of_interest.then_some(Event::Other);
    };
    let local = folder.name.as_ref().and_then(|name| names.local(name));
    let parents = local.into_iter().flat_map(|local| local.split('/')).map(Some);
    event_for(parents.chain([file_name.to_str().ok()]), names, hidden, change_kind(flags))
}

fn change_kind(flags: ReadFlags) -> ChangeKind {
    if flags.contains(ReadFlags::CLOSE_WRITE) {
        ChangeKind::Closed
    } else if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO) {
        ChangeKind::Renamed
    } else if flags.intersects(ReadFlags::CREATE | ReadFlags::DELETE) {
        ChangeKind::Created
    } else if flags.contains(ReadFlags::ATTRIB) {
        ChangeKind::Touched
    } else {
        ChangeKind::Written
    }
}

fn watch_error(error: Errno) -> WatchError {
    match error {
        Errno::NOSPC => WatchError::Folders,
        Errno::MFILE => WatchError::Watches,
        other => WatchError::Other(io::Error::from(other).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tokio::time::timeout;

    use super::{ChangeKind, Event, Folder, FolderWatcher};

    const DEADLINE: Duration = Duration::from_secs(30);

    async fn wait_for_event(watch: &mut FolderWatcher, name: &str) {
        let name = name.parse().unwrap();
        let wait = async {
            let mut events = Vec::new();
            while !events.iter().any(|event| matches!(event, Event::To(of, _) if *of == name)) {
                watch.next_events(&mut events).await;
            }
        };
        timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("no event of {name}"));
    }

    #[tokio::test]
    async fn events_of_a_folder_renamed_twice_have_its_last_name() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::create_dir_all(path("a/sub")).unwrap();
        let mut watch = FolderWatcher::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        for name in ["a", "a/sub"] {
            watch.folder(&name.parse().unwrap()).unwrap();
        }
        fs::rename(path("a"), path("b")).unwrap();
        fs::create_dir_all(path("a/sub")).unwrap();
        for name in ["a", "a/sub", "b", "b/sub"] {
            watch.folder(&name.parse().unwrap()).unwrap();
        }
        fs::remove_dir_all(path("a")).unwrap();
        wait_for_event(&mut watch, "a").await;
        fs::write(path("b/sub/file"), "").unwrap();
        wait_for_event(&mut watch, "b/sub/file").await;
    }

    #[tokio::test]
    async fn opening_and_reading_cause_no_events_and_the_end_of_writing_does() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "1").unwrap();
        let mut watch = FolderWatcher::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        fs::read(temp.path().join("file")).unwrap();
        fs::read_dir(temp.path()).unwrap().count();
        fs::write(temp.path().join("end"), "1").unwrap();
        let to = |name: &str, change_kind| Event::To(name.parse().unwrap(), change_kind);
        let mut events = Vec::new();
        let wait = async {
            while !events.contains(&to("end", ChangeKind::Closed)) {
                watch.next_events(&mut events).await;
            }
        };
        timeout(DEADLINE, wait).await.unwrap();
        // A process that another test starts also has this process's open files, until it runs its program: so the
        // close after an earlier write may be reported only now.
        events.retain(|event| *event != to("file", ChangeKind::Closed));
        assert_eq!(
            events,
            [to("end", ChangeKind::Created), to("end", ChangeKind::Written), to("end", ChangeKind::Closed)]
        );
    }

    #[tokio::test]
    async fn an_overflow_of_kernel_events_is_reported() {
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let queue: usize = queue.trim().parse().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let mut watch = FolderWatcher::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
        // Each pair causes at least two events. Two equal events in a row would count as one.
        for _ in 0..=queue / 2 {
            fs::write(temp.path().join("a"), "").unwrap();
            fs::remove_file(temp.path().join("a")).unwrap();
        }
        let mut events = Vec::new();
        let wait = async {
            while !events.contains(&Event::Lost) {
                events.clear();
                watch.next_events(&mut events).await;
            }
        };
        timeout(DEADLINE, wait).await.unwrap();
        fs::write(temp.path().join("later"), "").unwrap();
        wait_for_event(&mut watch, "later").await;
    }

    #[tokio::test]
    async fn moved_folders_are_not_watched_any_more() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["stays", "leaves"] {
            fs::create_dir(temp.path().join(name)).unwrap();
        }
        let mut watch = FolderWatcher::start(&Folder::open(temp.path()).unwrap(), false).unwrap();
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
