//! All work of a peer with its disk: the folder that it shares, the files in it, and files that are being received.
//!
//! All access below the folder is through [`folder::Folder`], a handle that no name leads out of and that follows no
//! link. [`keeper::Keeper`] watches the folder, hashes new files, and is the only writer of [`share::Share`], from
//! which files are served. Received bytes go into a [`part_file::PartFile`], or, for a file of one piece, into a
//! [`small_files::Batch`]; [`landing`] gives them their names and never replaces a file.
//!
//! Nothing here knows connections, the manager or other peers. All of it blocks: call it on blocking threads, except
//! [`keeper::KeeperHandle`].

pub mod destination;
pub mod folder;
pub mod hash;
pub mod ignore;
pub mod index;
pub mod keeper;
pub mod landing;
mod name_ranges;
pub mod part_file;
pub mod parts;
pub mod share;
pub mod small_files;
mod staged_files;
mod staging;
pub mod stamp;
pub mod system;
