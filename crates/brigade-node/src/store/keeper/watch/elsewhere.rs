//! The watch where inotify is not: `notify` over the whole tree.
//!
//! Its news comes on a thread of its own that must neither wait nor gather: what does not fit into the channel is
//! dropped, and a flag says that something was lost.

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

use super::{EVENTS, Event, NoWatch, place};
use crate::store::{folder::Folder, keeper::settle::Sign};

/// The watch over the folder; none where it could not be set up.
#[derive(Debug)]
pub(in crate::store::keeper) struct Watch {
    /// It ends when it is dropped.
    _watcher: Option<RecommendedWatcher>,
    events: Option<mpsc::Receiver<Event>>,
    gauge: Arc<Gauge>,
}

/// What both ends of the channel know.
#[derive(Debug, Default)]
struct Gauge {
    /// Set when an event did not fit into the channel.
    lost: AtomicBool,
    /// Counts how often events were taken out: what was sent since the last time is still there.
    taken: AtomicU64,
}

impl Watch {
    /// Begins to watch; why not, where that fails.
    pub(in crate::store::keeper) fn start(folder: &Folder, hidden: bool) -> Result<Self, NoWatch> {
        let (sender, events) = mpsc::channel(EVENTS);
        let gauge = Arc::<Gauge>::default();
        let root = folder.path().to_owned();
        let mut news = News { root: root.clone(), hidden, events: sender, gauge: gauge.clone(), last: None };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(move |event| news.hear(event), config).map_err(explain)?;
        watcher.watch(&root, RecursiveMode::Recursive).map_err(explain)?;
        Ok(Self { _watcher: Some(watcher), events: Some(events), gauge })
    }

    /// Whether there is one.
    pub(in crate::store::keeper) fn is_on(&self) -> bool {
        self.events.is_some()
    }

    /// No watch at all.
    pub(in crate::store::keeper) fn none(_: &Folder) -> Self {
        Self { _watcher: None, events: None, gauge: Arc::default() }
    }

    /// Waits until there is news, and puts it into `events`. Nothing is lost where this is not waited for to the end.
    pub(in crate::store::keeper) async fn news(&mut self, events: &mut Vec<Event>) {
        let Some(receiver) = &mut self.events else { return std::future::pending().await };
        if receiver.recv_many(events, EVENTS).await == 0 {
            return std::future::pending().await;
        }
        // Only now: what is left out from here on as being there already is looked at after this.
        self.gauge.taken.fetch_add(1, Ordering::AcqRel);
        if self.gauge.lost.swap(false, Ordering::AcqRel) {
            events.push(Event::Lost);
        }
    }

    /// The whole tree is watched.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store::keeper) fn folder(&mut self, _: &FileName) -> Result<(), NoWatch> {
        Ok(())
    }

    /// The whole tree is watched.
    #[allow(clippy::unused_self, reason = "its twin keeps count")]
    pub(in crate::store::keeper) fn begin_walk(&mut self) {}

    /// The whole tree is watched.
    #[allow(clippy::unused_self, reason = "its twin keeps count")]
    pub(in crate::store::keeper) fn end_walk(&mut self) {}
}

/// What is called for every event.
struct News {
    root: PathBuf,
    hidden: bool,
    events: mpsc::Sender<Event>,
    gauge: Arc<Gauge>,
    /// What was sent last, and what had been taken by then.
    last: Option<(Event, u64)>,
}

impl News {
    fn hear(&mut self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.send(Event::Lost),
            Ok(event) => {
                let Some(sign) = sign(event.kind) else { return };
                for path in &event.paths {
                    if let Some(event) = self.place(path, sign) {
                        self.send(event);
                    }
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => {
                self.send(Event::Broken(explain(error)));
            }
            Err(_) => self.send(Event::Lost),
        }
    }

    fn place(&self, path: &Path, sign: Sign) -> Option<Event> {
        let Ok(below) = path.strip_prefix(&self.root) else { return Some(Event::Odd) };
        let text = |component| match component {
            Component::Normal(part) => part.to_str(),
            _ => None,
        };
        place(below.components().map(text), self.hidden, sign)
    }

    /// A file that is written fast brings the same news thousands of times a second: what stands last in the channel is
    /// not put there again.
    fn send(&mut self, event: Event) {
        let taken = self.gauge.taken.load(Ordering::Acquire);
        if self.last.as_ref().is_some_and(|(last, then)| *then == taken && *last == event) {
            return;
        }
        match self.events.try_send(event.clone()) {
            Ok(()) => self.last = Some((event, taken)),
            Err(_) => {
                self.last = None;
                self.gauge.lost.store(true, Ordering::Release);
            }
        }
    }
}

/// What an event says of the files that it names; nothing where nobody need know.
fn sign(kind: EventKind) -> Option<Sign> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_)) => {
            Some(Sign::Closed)
        }
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Sign::Touched),
        _ => Some(Sign::Written),
    }
}

fn explain(error: notify::Error) -> NoWatch {
    match error.kind {
        ErrorKind::MaxFilesWatch => NoWatch::Folders,
        ErrorKind::Io(error) => NoWatch::Other(error.to_string()),
        _ => NoWatch::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, time::Duration};

    use tokio::{sync::mpsc, time::timeout};

    use super::{Event, Folder, Gauge, News, Ordering, Sign, Watch};

    #[tokio::test]
    async fn what_happens_anywhere_below_is_heard() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let mut watch = Watch::start(&folder, false).unwrap();
        fs::write(folder.path().join("a/b/file"), "1").unwrap();
        let name = "a/b/file".parse().unwrap();
        let hear = async {
            let mut events = Vec::new();
            while !events.iter().any(|event| matches!(event, Event::To(of, _) if *of == name)) {
                watch.news(&mut events).await;
            }
        };
        timeout(Duration::from_secs(30), hear).await.unwrap();
    }

    #[test]
    fn the_same_news_is_not_repeated_and_what_does_not_fit_is_known_to_be_lost() {
        let (sender, mut events) = mpsc::channel(2);
        let gauge = Arc::new(Gauge::default());
        let mut news =
            News { root: "/r".into(), hidden: false, events: sender, gauge: gauge.clone(), last: None };
        let written = |name: &str| Event::To(name.parse().unwrap(), Sign::Written);
        for _ in 0..1000 {
            news.send(written("a"));
        }
        news.send(written("b"));
        assert!(!gauge.lost.load(Ordering::Acquire));
        for _ in 0..2 {
            news.send(written("c"));
        }
        assert!(gauge.lost.load(Ordering::Acquire));
        assert_eq!(events.try_recv(), Ok(written("a")));
        assert_eq!(events.try_recv(), Ok(written("b")));
        news.send(written("c"));
        assert_eq!(events.try_recv(), Ok(written("c")));
    }
}
