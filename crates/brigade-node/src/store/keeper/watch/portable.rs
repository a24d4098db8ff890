//! The watcher on systems without inotify: `notify` over the whole tree.
//!
//! Its events arrive on a thread that must neither wait nor collect. An event that does not fit into the channel is
//! dropped, and a flag records that.

use std::{
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use brigade_core::name::FileName;
use notify::{
    Config, ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc;

use super::event::{EVENTS, Event, WatchError, event_for};
use crate::store::{
    folder::{Folder, NetworkNames},
    keeper::files_being_written::ChangeKind,
};

/// The watcher of the folder; it may be off.
#[derive(Debug)]
pub(crate) struct FolderWatcher {
    /// Dropping it ends it.
    _watcher: Option<RecommendedWatcher>,
    events: Option<mpsc::Receiver<Event>>,
    state: Arc<ChannelState>,
}

/// The state that both ends of the channel share.
#[derive(Debug, Default)]
struct ChannelState {
    /// Set when an event did not fit into the channel.
    lost: AtomicBool,
    /// How often events were taken out. Events that were sent after the last time are still in the channel.
    taken: AtomicU64,
}

impl FolderWatcher {
    /// Starts watching.
    pub(crate) fn start(folder: &Folder, hidden: bool) -> Result<Self, WatchError> {
        let (sender, events) = mpsc::channel(EVENTS);
        let state = Arc::<ChannelState>::default();
        let (root, names) = (folder.path().to_owned(), folder.names().clone());
        let mode = match names {
            NetworkNames::Single { .. } => RecursiveMode::NonRecursive,
            _ => RecursiveMode::Recursive,
        };
        let mut next_events = EventForwarder {
            root: root.clone(),
            names,
            hidden,
            events: sender,
            state: state.clone(),
            last: None,
        };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher =
            RecommendedWatcher::new(move |event| next_events.forward(event), config).map_err(watch_error)?;
        watcher.watch(&root, mode).map_err(watch_error)?;
        Ok(Self { _watcher: Some(watcher), events: Some(events), state })
    }

    /// Whether it is on.
    pub(crate) fn is_on(&self) -> bool {
        self.events.is_some()
    }

    /// A watcher that is off.
    pub(crate) fn none(_: &Folder) -> Self {
        Self { _watcher: None, events: None, state: Arc::default() }
    }

    /// Waits for events and adds them to `events`. No event is lost if the future is dropped before.
    pub(crate) async fn next_events(&mut self, events: &mut Vec<Event>) {
        let Some(receiver) = &mut self.events else { return std::future::pending().await };
        if receiver.recv_many(events, EVENTS).await == 0 {
            return std::future::pending().await;
        }
        self.note_taken(events);
    }

    /// Adds the events that have arrived until now to `events`, without waiting.
    pub(crate) fn pending_events(&mut self, events: &mut Vec<Event>) {
        let Some(receiver) = &mut self.events else { return };
        while events.len() < EVENTS
            && let Ok(event) = receiver.try_recv()
        {
            events.push(event);
        }
        self.note_taken(events);
    }

    /// After events were taken: an equal event from here on is sent again, since this one is being handled.
    fn note_taken(&self, events: &mut Vec<Event>) {
        self.state.taken.fetch_add(1, Ordering::AcqRel);
        if self.state.lost.swap(false, Ordering::AcqRel) {
            events.push(Event::Lost);
        }
    }

    /// The whole tree is watched.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(crate) fn folder(&mut self, _: &FileName) -> Result<(), WatchError> {
        Ok(())
    }

    /// The whole tree is watched.
    #[allow(clippy::unused_self, reason = "its twin keeps count")]
    pub(crate) fn begin_walk(&mut self) {}

    /// The whole tree is watched.
    #[allow(clippy::unused_self, reason = "its twin keeps count")]
    pub(crate) fn end_walk(&mut self) {}
}

/// The callback for each event.
struct EventForwarder {
    root: PathBuf,
    names: NetworkNames,
    hidden: bool,
    events: mpsc::Sender<Event>,
    state: Arc<ChannelState>,
    /// The event that was sent last, and the value of `taken` at that time.
    last: Option<(Event, u64)>,
}

impl EventForwarder {
    fn forward(&mut self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.send(Event::Lost),
            Ok(event) => {
                let Some(change_kind) = change_kind(event.kind) else { return };
                for path in &event.paths {
                    if let Some(event) = self.event_below(path, change_kind) {
                        self.send(event);
                    }
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                self.send(Event::Broken(watch_error(error)));
            }
            Err(_) => self.send(Event::Lost),
        }
    }

    fn event_below(&self, path: &Path, change_kind: ChangeKind) -> Option<Event> {
        let Ok(below) = path.strip_prefix(&self.root) else { return Some(Event::Other) };
        let text = |component| match component {
            Component::Normal(part) => part.to_str(),
            _ => None,
        };
        event_for(below.components().map(text), &self.names, self.hidden, change_kind)
    }

    /// Sends an event, unless it is equal to the last one in the channel: a file that is written fast causes
    /// thousands of equal events a second.
    fn send(&mut self, event: Event) {
        let taken = self.state.taken.load(Ordering::Acquire);
        if self.last.as_ref().is_some_and(|(last, then)| *then == taken && *last == event) {
            return;
        }
        match self.events.try_send(event.clone()) {
            Ok(()) => self.last = Some((event, taken)),
            Err(_) => {
                self.last = None;
                self.state.lost.store(true, Ordering::Release);
            }
        }
    }
}

/// The kind of the change in an event; `None` for an event that does not matter.
fn change_kind(kind: EventKind) -> Option<ChangeKind> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(ChangeKind::Closed),
        EventKind::Modify(ModifyKind::Name(_)) => Some(ChangeKind::Renamed),
        EventKind::Create(_) | EventKind::Remove(_) => Some(ChangeKind::Created),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(ChangeKind::Touched),
        _ => Some(ChangeKind::Written),
    }
}

fn watch_error(error: notify::Error) -> WatchError {
    match error.kind {
        ErrorKind::MaxFilesWatch => WatchError::Folders,
        ErrorKind::Io(error) => WatchError::Other(error.to_string()),
        _ => WatchError::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, time::Duration};

    use tokio::{sync::mpsc, time::timeout};

    use super::{
        ChangeKind, ChannelState, Event, EventForwarder, Folder, FolderWatcher, NetworkNames, Ordering,
    };

    #[tokio::test]
    async fn changes_anywhere_below_are_reported() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let mut watch = FolderWatcher::start(&folder, false).unwrap();
        fs::write(folder.path().join("a/b/file"), "1").unwrap();
        let name = "a/b/file".parse().unwrap();
        let forward = async {
            let mut events = Vec::new();
            while !events.iter().any(|event| matches!(event, Event::To(of, _) if *of == name)) {
                watch.next_events(&mut events).await;
            }
        };
        timeout(Duration::from_secs(30), forward).await.unwrap();
    }

    #[test]
    fn equal_events_are_not_repeated_and_lost_ones_are_reported() {
        let (sender, mut events) = mpsc::channel(2);
        let state = Arc::new(ChannelState::default());
        let mut next_events = EventForwarder {
            root: "/r".into(),
            names: NetworkNames::Own,
            hidden: false,
            events: sender,
            state: state.clone(),
            last: None,
        };
        let written = |name: &str| Event::To(name.parse().unwrap(), ChangeKind::Written);
        for _ in 0..1000 {
            next_events.send(written("a"));
        }
        next_events.send(written("b"));
        assert!(!state.lost.load(Ordering::Acquire));
        for _ in 0..2 {
            next_events.send(written("c"));
        }
        assert!(state.lost.load(Ordering::Acquire));
        assert_eq!(events.try_recv(), Ok(written("a")));
        assert_eq!(events.try_recv(), Ok(written("b")));
        next_events.send(written("c"));
        assert_eq!(events.try_recv(), Ok(written("c")));
    }
}
