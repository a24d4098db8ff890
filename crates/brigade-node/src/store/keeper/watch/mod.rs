//! News from the file system: which names something happened to.
//!
//! On Linux the kernel's inotify is asked itself, through rustix: every folder is watched by itself, hidden ones and
//! `.brigade` never, and each before it is listed, so that nothing that lands in a new folder is missed. (`notify` asks
//! there to hear of every file that is opened, too: hashing or serving many small files, it was busier than we.)
//! Elsewhere `notify` watches the whole tree. Both are one type with the same functions.
//!
//! News may be late, doubled, about a name that is another's by now, or lost; then it is said that it is lost.

use brigade_core::name::FileName;

use super::settle::Sign;
use crate::store::{folder::PRIVATE, ignore::IGNORE_FILE};

#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "on Linux only its tests use it"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::Watch;
#[cfg(target_os = "linux")]
pub(super) use linux::Watch;

/// Events that are handed over at once, and that may wait where we are the ones who keep them.
const EVENTS: usize = 8192;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// To what has this name, be it a file or a folder.
    To(FileName, Sign),
    /// To something whose name cannot be shared, or to the folder itself: look at everything, there is no hurry.
    Odd,
    /// To a file that says what is to be ignored.
    Rules,
    /// News was lost, or may have been: look at everything.
    Lost,
    /// No more news can be had of some folders, for this reason.
    Broken(NoWatch),
}

/// Why news of changes cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NoWatch {
    /// As many folders as the system allows are watched (on Linux: `fs.inotify.max_user_watches`).
    #[error("the system allows no more watched folders")]
    Folders,
    /// As many programs as the system allows watch folders (on Linux: `fs.inotify.max_user_instances`).
    #[error("the system allows no more programs that watch folders")]
    Watches,
    /// Anything else that the system said.
    #[error("the folders cannot be watched ({0})")]
    Other(String),
}

/// What an event means that happened to the last of these components below the folder; nothing where it is about
/// what is never shared. A component that is no text is `None`.
fn place<'a>(components: impl Iterator<Item = Option<&'a str>>, hidden: bool, sign: Sign) -> Option<Event> {
    let mut name = String::new();
    for part in components {
        let Some(part) = part else { return Some(Event::Odd) };
        if part == IGNORE_FILE {
            return Some(Event::Rules);
        }
        if part.eq_ignore_ascii_case(PRIVATE) || (!hidden && part.starts_with('.')) {
            return None;
        }
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(part);
    }
    Some(name.parse().map_or(Event::Odd, |name| Event::To(name, sign)))
}

#[cfg(test)]
mod tests {
    use super::{Event, Sign, place};

    #[test]
    fn private_and_hidden_files_make_no_news() {
        let at = |path: &str, hidden| place(path.split('/').map(Some), hidden, Sign::Closed);
        let name = |text: &str| Some(Event::To(text.parse().unwrap(), Sign::Closed));
        assert_eq!(at("a/b", false), name("a/b"));
        for path in [".brigade/parts/x", ".Brigade"] {
            assert_eq!((at(path, false), at(path, true)), (None, None), "{path}");
        }
        for path in [".git/x", "a/.x"] {
            assert_eq!((at(path, false), at(path, true)), (None, name(path)), "{path}");
        }
        assert_eq!((at(".brigadeignore", false), at(".x/.brigadeignore", false)), (Some(Event::Rules), None));
        assert_eq!(at("a:b", false), Some(Event::Odd));
        assert_eq!(place([Some("a"), None].into_iter(), false, Sign::Closed), Some(Event::Odd));
    }
}
