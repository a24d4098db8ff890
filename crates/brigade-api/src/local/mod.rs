//! The local socket of a running peer or manager: where it is, how it is made, and how it is found from a folder.
//!
//! Only the user of the process and root can open it. `runtime_folder` has the folders where sockets may be, `record`
//! the file beside each socket, `listener` makes and removes a socket, `connection` opens one, and `find` chooses the
//! program that a command talks to. Nothing here knows HTTP.

mod connection;
mod find;
#[cfg_attr(unix, path = "listener_unix.rs")]
#[cfg_attr(windows, path = "listener_windows.rs")]
mod listener;
mod lock_file;
mod program_kind;
mod record;
mod runtime_folder;

pub use self::{
    connection::{LocalStream, connect},
    find::{Choice, FindError, find, running_programs},
    listener::LocalListener,
    lock_file::BindError,
    program_kind::ProgramKind,
    record::{SocketRecord, Target},
    runtime_folder::{FolderError, server_folder},
};
