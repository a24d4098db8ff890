//! Events of the file system, and the error when there are none.
//!
//! [`event_for`] decides which paths cause an event: the private folder and hidden folders do not.

use brigade_core::name::FileName;

use crate::store::{
    folder::{NetworkNames, PRIVATE},
    ignore_patterns::{IGNORE_FILE, manager_state::may_be_manager_key},
    keeper::files_being_written::ChangeKind,
};

/// Events that are taken at once, and the length of the queue if the watcher has one.
pub(super) const EVENTS: usize = 8192;

/// An event of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The file or folder with this name has changed.
    To(FileName, ChangeKind),
    /// The entry with this name was written. It is hidden, but a shared name may belong to the same file.
    Hidden(FileName, ChangeKind),
    /// An entry with a name that cannot be shared has changed, or the folder itself: a scan is needed, but not at
    /// once.
    Other,
    /// A file has changed that decides whether others are shared: one with ignore patterns, or the key of a manager.
    Rules,
    /// Events were lost, or may have been: a scan is needed.
    Lost,
    /// Some folders cannot be watched any more.
    Broken(WatchError),
}

/// The error when changes cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The system allows no more watched folders (on Linux: `fs.inotify.max_user_watches`).
    #[error("the system allows no more watched folders")]
    Folders,
    /// The system allows no more programs that watch folders (on Linux: `fs.inotify.max_user_instances`).
    #[error("the system allows no more programs that watch folders")]
    Watches,
    /// Another error of the system.
    #[error("the folders cannot be watched ({0})")]
    Other(String),
}

/// The event for a change of the path with these components below the folder; `None` for paths in folders that are never
/// shared. A component that is not UTF-8 is `None`. `names` are those of the folder in the network.
pub(super) fn event_for<'a>(
    components: impl Iterator<Item = Option<&'a str>>,
    names: &'a NetworkNames,
    hidden: bool,
    kind: ChangeKind,
) -> Option<Event> {
    if let NetworkNames::Single { entry, .. } = names {
        let is_entry = components.eq([Some(entry.as_str())]);
        return names.network(entry).filter(|_| is_entry)?.ok().map(|name| Event::To(name, kind));
    }
    let mut name = String::new();
    let mut components = components.peekable();
    while let Some(part) = components.next() {
        let Some(part) = part else { return Some(Event::Other) };
        if part == IGNORE_FILE || components.peek().is_none() && may_be_manager_key(part) {
            return Some(Event::Rules);
        }
        if part.eq_ignore_ascii_case(PRIVATE) {
            return None;
        }
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(part);
        if !hidden && part.starts_with('.') {
            let is_written_file = components.peek().is_none() && kind.is_write();
            let name = names.network(&name)?.ok().filter(|_| is_written_file);
            return name.map(|name| Event::Hidden(name, kind));
        }
    }
    names.network(&name).map(|name| name.map_or(Event::Other, |name| Event::To(name, kind)))
}

#[cfg(test)]
mod tests {
    use super::{ChangeKind, Event, NetworkNames, event_for};

    #[test]
    fn private_and_hidden_files_cause_no_events() {
        let own = NetworkNames::Own;
        let at = |path: &str, hidden| event_for(path.split('/').map(Some), &own, hidden, ChangeKind::Closed);
        let name = |text: &str| Some(Event::To(text.parse().unwrap(), ChangeKind::Closed));
        assert_eq!(at("a/b", false), name("a/b"));
        for path in [".brigade/parts/x", ".Brigade"] {
            assert_eq!((at(path, false), at(path, true)), (None, None), "{path}");
        }
        for path in [".git/x", "a/.x"] {
            let hidden = (path == "a/.x").then(|| Event::Hidden(path.parse().unwrap(), ChangeKind::Closed));
            assert_eq!((at(path, false), at(path, true)), (hidden, name(path)), "{path}");
        }
        let created = event_for([Some(".x")].into_iter(), &own, false, ChangeKind::Created);
        assert_eq!(created, None, "no bytes were written");
        assert_eq!((at(".brigadeignore", false), at(".x/.brigadeignore", false)), (Some(Event::Rules), None));
        assert_eq!(at("state/Manager.key", false), Some(Event::Rules));
        assert_eq!(at("manager.key/file", false), name("manager.key/file"));
        assert_eq!(at("a:b", false), Some(Event::Other));
        let not_text = event_for([Some("a"), None].into_iter(), &own, false, ChangeKind::Closed);
        assert_eq!(not_text, Some(Event::Other));
    }

    #[test]
    fn events_in_shares_in_place_have_the_names_of_the_network() {
        let at = |path: &str, names: &NetworkNames| {
            event_for(path.split('/').map(Some), names, false, ChangeKind::Closed)
        };
        let name = |text: &str| Some(Event::To(text.parse().unwrap(), ChangeKind::Closed));
        let below = NetworkNames::Below("photos".parse().unwrap());
        assert_eq!(at("a/b", &below), name("photos/a/b"));
        assert_eq!((at(".brigade/x", &below), at(".brigadeignore", &below)), (None, Some(Event::Rules)));
        let single = NetworkNames::Single { name: "film".parse().unwrap(), entry: ".film.mkv".to_owned() };
        assert_eq!((at(".film.mkv", &single), at("other", &single)), (name("film"), None));
    }
}
