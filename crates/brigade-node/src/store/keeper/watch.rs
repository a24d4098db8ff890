//! News from the file system, by way of `notify`: which names something happened to.
//!
//! On Linux every folder is watched by itself, `.brigade` and hidden ones never: the watch is set before the folder is
//! listed, so that nothing that lands in a new folder is missed, and files being received cause no news. Elsewhere the
//! whole tree is watched at once. What does not fit into the channel is not waited for: a flag says that something
//! was lost, and the keeper looks at everything.

use std::{
    collections::BTreeMap,
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

use super::settle::Sign;
use crate::store::{folder::Folder, share::at_or_below};

/// Events that may wait for the keeper.
pub(super) const EVENTS: usize = 8192;

/// Whether each folder is watched by itself.
const FOLDER_BY_FOLDER: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// To what has this name, be it a file or a folder.
    To(FileName, Sign),
    /// To something whose name cannot be shared, or to the folder itself: look at everything, there is no hurry.
    Odd,
    /// News was lost, or may have been: look at everything.
    Lost,
    /// No more news can be had of some folders, for this reason.
    Broken(String),
}

/// What the watch and the keeper both know.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Set when an event did not fit into the channel.
    pub(super) lost: AtomicBool,
    /// Counts how often the keeper took events out: what was sent since the last time is still there.
    pub(super) taken: AtomicU64,
}

/// The watch over the folder; none where it could not be set up.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    root: PathBuf,
    /// The folders that are watched, and in which walk each was last come upon.
    folders: BTreeMap<FileName, u64>,
    walk: u64,
}

impl Watch {
    /// Begins to watch; why not, where that fails.
    pub(super) fn start(
        folder: &Folder,
        hidden: bool,
        events: mpsc::Sender<Event>,
        gauge: Arc<Gauge>,
    ) -> Result<Self, String> {
        let root = folder.path().to_owned();
        let mut news = News { root: root.clone(), hidden, events, gauge, last: None };
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(move |event| news.hear(event), config).map_err(explain)?;
        let mode = if FOLDER_BY_FOLDER { RecursiveMode::NonRecursive } else { RecursiveMode::Recursive };
        watcher.watch(&root, mode).map_err(explain)?;
        Ok(Self { watcher: Some(watcher), root, folders: BTreeMap::new(), walk: 0 })
    }

    /// No watch at all.
    pub(super) fn none(folder: &Folder) -> Self {
        Self { watcher: None, root: folder.path().to_owned(), folders: BTreeMap::new(), walk: 0 }
    }

    /// Watches a folder below, too; again where it is watched already, since it may be another by now. Why not, where
    /// that fails; a folder that is gone is no failure.
    pub(super) fn folder(&mut self, name: &FileName) -> Result<(), String> {
        let Some(watcher) = self.watcher.as_mut().filter(|_| FOLDER_BY_FOLDER) else { return Ok(()) };
        match watcher.watch(&self.root.join(name.as_str()), RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.folders.insert(name.clone(), self.walk);
                Ok(())
            }
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => Ok(()),
            // Nor can it be listed; when that changes there is news of it from the folder that it is in.
            Err(notify::Error { kind: ErrorKind::Io(error), .. })
                if error.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Ok(())
            }
            Err(error) => Err(explain(error)),
        }
    }

    /// A walk over everything begins.
    pub(super) fn begin_walk(&mut self) {
        self.walk += 1;
    }

    /// The walk has come upon every folder that there is: the others are not watched any more.
    pub(super) fn end_walk(&mut self) {
        let walk = self.walk;
        let gone: Vec<FileName> =
            self.folders.iter().filter(|(_, seen)| **seen < walk).map(|(name, _)| name.clone()).collect();
        if gone.is_empty() || self.watcher.is_none() {
            return;
        }
        for name in gone {
            self.gone(&name);
        }
        // One that was renamed has a single watch under both names, and the old one has just taken it along.
        for name in self.folders.keys().cloned().collect::<Vec<_>>() {
            let _ = self.folder(&name);
        }
    }

    /// A folder is gone, with everything below it.
    pub(super) fn gone(&mut self, path: &str) {
        for name in at_or_below(&self.folders, path) {
            self.folders.remove(&name);
            if let Some(watcher) = &mut self.watcher {
                // It may have ended by itself.
                let _ = watcher.unwatch(&self.root.join(name.as_str()));
            }
        }
    }
}

/// What is called for every event, on a thread of `notify`'s: it must neither wait nor gather.
struct News {
    root: PathBuf,
    hidden: bool,
    events: mpsc::Sender<Event>,
    gauge: Arc<Gauge>,
    /// What was sent last, and what the keeper had taken by then.
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

    /// What an event at `path` means; nothing where it is about what is never shared.
    fn place(&self, path: &Path, sign: Sign) -> Option<Event> {
        let Ok(below) = path.strip_prefix(&self.root) else { return Some(Event::Odd) };
        let mut name = String::new();
        for component in below.components() {
            let Component::Normal(part) = component else { return Some(Event::Odd) };
            let Some(part) = part.to_str() else { return Some(Event::Odd) };
            if part.eq_ignore_ascii_case(crate::store::folder::PRIVATE)
                || (!self.hidden && part.starts_with('.'))
            {
                return None;
            }
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part);
        }
        Some(name.parse().map_or(Event::Odd, |name| Event::To(name, sign)))
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

fn explain(error: notify::Error) -> String {
    match error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system allows no more watched folders (fs.inotify.max_user_watches)".to_owned()
        }
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use tokio::sync::mpsc;

    use super::{Event, Gauge, News, Ordering, Sign};

    fn news(room: usize) -> (News, mpsc::Receiver<Event>, Arc<Gauge>) {
        let (events, receiver) = mpsc::channel(room);
        let gauge = Arc::new(Gauge::default());
        let news = News { root: "/r".into(), hidden: false, events, gauge: gauge.clone(), last: None };
        (news, receiver, gauge)
    }

    #[test]
    fn private_and_hidden_files_make_no_news() {
        let (news, ..) = news(1);
        let place = |path: &str| news.place(Path::new(path), Sign::Closed);
        assert_eq!(place("/r/a/b"), Some(Event::To("a/b".parse().unwrap(), Sign::Closed)));
        for path in ["/r/.brigade/parts/x", "/r/.Brigade", "/r/.git/x", "/r/a/.x"] {
            assert_eq!(place(path), None, "{path}");
        }
        for path in ["/r/a:b", "/else", "/r"] {
            assert_eq!(place(path), Some(Event::Odd), "{path}");
        }
    }

    #[test]
    fn the_same_news_is_not_repeated_and_what_does_not_fit_is_known_to_be_lost() {
        let (mut news, mut events, gauge) = news(2);
        let written = |name: &str| Event::To(name.parse().unwrap(), Sign::Written);
        for _ in 0..1000 {
            news.send(written("a"));
        }
        news.send(written("b"));
        assert!(!gauge.lost.load(Ordering::Acquire));
        news.send(written("c"));
        assert!(gauge.lost.load(Ordering::Acquire));
        assert_eq!(events.try_recv(), Ok(written("a")));
        assert_eq!(events.try_recv(), Ok(written("b")));
        gauge.taken.fetch_add(1, Ordering::AcqRel);
        news.send(written("c"));
        assert_eq!(events.try_recv(), Ok(written("c")));
    }
}
