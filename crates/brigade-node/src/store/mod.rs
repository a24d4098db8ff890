//! All work of a peer with its disk: the folder that it shares, the files in it, and files that are being received.
//!
//! All access below the folder is through [`folder::Folder`], a handle that no name leads out of and that follows no
//! link. [`keeper::Keeper`] watches the folder, hashes new files, and is the only writer of [`share::Share`], from
//! which files are served. Received bytes go into a [`part_file::PartFile`], or, for a file of one piece, into a
//! [`small_file_batch::SmallFileBatch`]; [`landing`] gives them their names and never replaces a file.
//!
//! Nothing here knows connections, the manager or other peers. All of it blocks: call it on blocking threads, except
//! [`keeper::KeeperHandle`].

pub(crate) mod destination_check;
pub(crate) mod file_stamp;
pub(crate) mod folder;
pub(crate) mod hash;
pub(crate) mod ignore_patterns;
pub(crate) mod index;
pub(crate) mod keeper;
pub(crate) mod landing;
mod name_ranges;
pub(crate) mod part_file;
pub(crate) mod piece_verification;
pub(crate) mod share;
pub(crate) mod small_file_batch;
mod staged_file_names;
mod staging_directories;
pub(crate) mod stored_parts;
pub(crate) mod system;
