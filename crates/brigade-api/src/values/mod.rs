//! The values of the API, as JSON and as documented types: what a peer and a manager say and take.
//!
//! Sizes are bytes, rates bytes a second, times seconds since 1970 (names that end with `_s`), ids and keys hexadecimal
//! digits. A client ignores fields that it does not know, and takes a value of an enumeration that it does not know for
//! `unknown`: a later version may add some. Names and texts may come from other machines; a program that shows them
//! escapes them.

mod doctor;
mod event;
mod fetch;
mod fetch_order;
mod fetch_progress;
mod files;
mod limits;
mod log;
mod manager;
mod peer;
mod peers;
mod shares;
mod unshared_files;
mod uploads;

pub use self::{
    doctor::{Check, CheckReport, CheckState},
    event::{Event, EventData, FetchChange, LifeEvent},
    fetch::{
        Fetch, FetchList, FetchState, FileError, HolderTraffic, KeptAside, PieceMap, Priority, Traffic,
        UnreachedHolder,
    },
    fetch_order::{ChosenContent, FetchOrder, FetchUpdate},
    files::{FileEntry, FilePage, FileVersion, LocalCopy, NameHolders},
    limits::{Limit, LimitOrder, LimitOrigin, Limits},
    log::{LogLevel, LogLine, LogLines},
    manager::{
        ContentHolder, ContentHolders, ContentPage, ManagerContent, ManagerPeer, ManagerPeerPage,
        ManagerStatus, Member, MemberPage,
    },
    peer::{ClockDifference, Hashing, KeptParts, ManagerConnection, ManagerLink, PeerStatus, Version},
    peers::{PeerPage, PeerRow},
    shares::{
        DamagedFile, DamagedPart, NewShare, Share, ShareList, Verification, VerificationState, VerifyOrder,
    },
    unshared_files::{IgnoredFiles, UnsharedFile, UnsharedPage},
    uploads::{Upload, UploadList},
};
