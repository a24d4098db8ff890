//! A peer: it shares a folder, and fetches what others share.
//!
//! [`Peer::join`] starts it (`start`): the key, the manager, the folder, then the tasks, each of which owns one thing:
//! `session` the connection to the manager, `upload` the connections to downloaders, `fetch` all fetches, and the store's
//! keeper the shared files. [`Peer`] is the handle of a running peer (`handle`); `leaving` ends it.

mod bandwidth;
mod config;
mod error;
mod fetch;
mod handle;
mod leaving;
mod listening;
mod session;
mod start;
mod swarm;
mod upload;

pub use crate::identity::clock_check::ClockDifference;

pub use self::{
    bandwidth::MemberTraffic,
    config::{PeerConfig, Sharing},
    error::{NotJoined, PeerError},
    fetch::{
        Browsing, CannotLand, Choice, KeptTotals, Lacks, NoRoom, Progress, ResolveError, Resolved, State,
        WantedFile, Wish,
    },
    handle::{Fetch, FetchError, Peer, PeerStatus},
    listening::{ReachabilityWatch, TakenPort, UnreachableFrom},
    session::{AskError, JoinError, ManagerAddress, ManagerContact, ManagerState, Observer, ReachError},
    swarm::Unreached,
};

#[cfg(test)]
mod tests;
