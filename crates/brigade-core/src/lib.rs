//! Brigade's decisions: which piece to fetch from which holder, which downloader to serve next, and how the manager
//! answers.
//!
//! This crate does no I/O and has no clock, no threads and no source of randomness: `now` and seeds are arguments. It
//! never sees the bytes of files, only piece numbers, sizes and chaining values. Input from the network cannot make it
//! panic: a failed assertion is a bug in Brigade.
//!
//! Start at [`download::Downloads`], [`upload::Upload`] and [`manager::Manager`]; the crate `brigade-node` connects
//! them to sockets and disks.
//!
//! # The event loop of a download
//!
//! Events go in with the time. Actions are taken out until there is none. The deadline says when to call again.
//!
//! ```
//! use std::time::Duration;
//!
//! use brigade_core::{
//!     bitfield::Bitfield,
//!     download::{Action, Config, DownloadId, Downloads, Event, HolderId, Priority},
//!     geometry::Geometry,
//!     id::{Content, ContentId},
//!     time::Timestamp,
//! };
//!
//! let (download, holder, seed) = (DownloadId(1), HolderId(1), 7);
//! let content = Content { id: ContentId([3; 32]), size: 1000 }; // one piece: it needs no piece list
//! let pieces = Geometry::new(content.size).unwrap().count();
//!
//! let mut downloads = Downloads::new(Config::default(), seed);
//! let mut now = Timestamp::default();
//! let mut events = vec![
//!     Event::Start { download, content, list: None, have: Bitfield::none(pieces), priority: Priority::Normal },
//!     Event::Holders { download, complete: vec![holder], partial: vec![] },
//! ];
//! let mut finished = false;
//! while !finished {
//!     match events.is_empty() {
//!         // A real caller waits for the next event or the deadline, whichever is first.
//!         true => {
//!             now = downloads.deadline().unwrap_or(now).max(now);
//!             downloads.handle_timeout(now);
//!         }
//!         false => downloads.handle(now, events.remove(0)),
//!     }
//!     while let Some(action) = downloads.next_action() {
//!         now = now.after(Duration::from_millis(1));
//!         match action {
//!             Action::Connect { holder } => events.push(Event::Connected { holder }),
//!             Action::Request { holder, download, piece, .. } => {
//!                 // The bytes arrive, their hash is right, and they are on the disk.
//!                 events.push(Event::Arrived { holder, download, piece });
//!                 events.push(Event::Stored { holder, download, piece });
//!             }
//!             Action::Finished { download: ended } => finished = ended == download,
//!             _ => {}
//!         }
//!     }
//! }
//! assert!(finished);
//! ```

#![forbid(unsafe_code)]

pub mod backoff;
pub mod bitfield;
pub mod download;
pub mod geometry;
pub mod id;
pub mod limit_plan;
pub mod limits;
pub mod manager;
pub mod name;
pub mod piece_list;
pub mod plural;
pub mod random;
pub mod rate;
pub mod time;
pub mod upload;
pub mod wire;
