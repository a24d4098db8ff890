//! Events of the file system: names that changed.
//!
//! On Linux the watcher uses the kernel's inotify through rustix. Each folder is watched separately, and before it is
//! listed, so that no file in a new folder is missed; hidden folders and `.brigade` are never watched. (`notify` on
//! Linux also asks for an event for each file that is opened: while many small files were hashed or served, it was
//! busier than this program.) On other systems `notify` watches the whole tree. Both watchers have the same
//! functions.
//!
//! An event may be late, repeated, or about a name that another file has by now. Events may be lost; [`Event::Lost`]
//! reports that.

mod event;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "on Linux only its tests use it"))]
mod portable;

pub(super) use self::event::Event;
pub use self::event::WatchError;
#[cfg(target_os = "linux")]
pub(super) use self::linux::FolderWatcher;
#[cfg(not(target_os = "linux"))]
pub(super) use self::portable::FolderWatcher;
