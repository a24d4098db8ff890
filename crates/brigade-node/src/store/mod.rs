//! Everything that a peer does with its disk: the folder that it shares, what is in it, and files being received.
//!
//! All access below the folder goes through [`folder::Folder`], a handle that cannot be left and that follows no
//! link. [`keeper::Keeper`] watches the folder, hashes what is new, and is the only writer of [`share::Share`],
//! from which files are served. What is received goes into a [`part_file::PartFile`], or, where it is one piece,
//! into a [`small_files::Batch`]; both get their names as [`landing`] says, without ever replacing anything.
//!
//! Nothing here knows of connections, of the manager, or of who asks. All of it blocks: call it from blocking
//! threads, but for [`keeper::KeeperHandle`].

pub mod destination;
pub mod folder;
pub mod hash;
pub mod ignore;
pub mod index;
pub mod keeper;
pub mod landing;
pub mod part_file;
pub mod parts;
mod private;
pub mod share;
pub mod small_files;
mod staging;
pub mod stamp;
mod system;
mod walk;

pub(crate) use self::system::{read_cached_at, read_exact_at};
