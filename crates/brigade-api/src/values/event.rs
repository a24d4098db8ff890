//! The events of a peer or a manager.
//!
//! Each event has an id, `EPOCH.NUMBER`: the epoch is the start of the process, and the number counts its events. A
//! client that gives the id of the last event that it has gets the following ones, or a `reset` and the present state.

use brigade_core::{
    manager::{Event as NetworkEvent, LeaveReason},
    wire::Reason,
};
use brigade_node::manager;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    fetch::Fetch,
    limits::Limits,
    log::LogLine,
    peer::{ClockDifference, Hashing, ManagerLink},
    shares::{Share, Verification},
};

/// An event, and its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The id, for the request that resumes after it.
    pub id: String,
    /// What changed.
    pub data: EventData,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventData {
    /// Events are missing: the present state follows, and replaces everything that is known.
    Reset {
        /// The numbers of the fetches that exist; all others are gone.
        fetches: Vec<u64>,
    },
    /// A fetch began, changed or ended.
    Fetch {
        /// What happened to it.
        change: FetchChange,
        /// The fetch now.
        fetch: Box<Fetch>,
    },
    /// A fetch was removed from the list.
    FetchRemoved {
        /// Its number.
        id: u64,
    },
    /// The session with the manager changed.
    ManagerState {
        /// The session now.
        manager: ManagerLink,
    },
    /// The difference between the clocks changed.
    Clock {
        /// The difference; null if it is small enough.
        clock: Option<ClockDifference>,
    },
    /// The list of files that are not shared changed.
    Problems {
        /// The number of entries of the list now.
        problems: u64,
    },
    /// Hashing went on.
    Hashing {
        /// The progress.
        hashing: Hashing,
    },
    /// The limits changed.
    Limits {
        /// The limits that are in effect now.
        limits: Limits,
    },
    /// The rates changed.
    Rates {
        /// Bytes of piece data that are sent a second.
        sending: u64,
        /// Bytes of piece data that are received a second.
        receiving: u64,
    },
    /// A share was added, removed or changed.
    Shares {
        /// All shares now.
        shares: Vec<Share>,
    },
    /// A verification went on.
    Verification {
        /// Its progress.
        verification: Verification,
    },
    /// A line of the log at the level `warn` or `error`.
    Log {
        /// The line.
        line: LogLine,
    },
    /// A peer joined or left the network of a manager, or was refused.
    Life {
        /// What happened.
        life: LifeEvent,
    },
    /// The table of peers of a manager changed.
    PeersChanged {
        /// The number of connected peers.
        peers: u64,
    },
    /// The program ends.
    Stopping,
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// What happened to a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FetchChange {
    /// It exists: a part of the present state.
    Present,
    /// It began.
    Begun,
    /// It went on.
    Progress,
    /// It ended.
    Ended,
    /// A change of a later version.
    #[serde(other)]
    Unknown,
}

/// An event in the life of the network of a manager. The last thousand have numbers to ask for later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LifeEvent {
    /// Counts the events since the start of the manager, from 1.
    pub number: u64,
    /// When it happened, in seconds since 1970.
    pub at_s: u64,
    /// `joined`, `left` or `refused`.
    pub kind: String,
    /// The username, if it is known.
    pub username: Option<String>,
    /// The address of the peer, if it joined.
    pub address: Option<String>,
    /// Why it left or was refused: `quit`, `lost`, `silent`, `slow`, `protocol_error` or `replaced`, or the text of the
    /// refusal.
    pub reason: Option<String>,
}

impl From<&manager::LifeEvent> for LifeEvent {
    fn from(event: &manager::LifeEvent) -> Self {
        let (kind, username, address, reason) = match &event.event {
            NetworkEvent::Joined { username, address } => {
                ("joined", Some(username), Some(address.to_string()), None)
            }
            NetworkEvent::Left { username, reason } => {
                ("left", Some(username), None, Some(leave_reason(*reason).to_owned()))
            }
            NetworkEvent::Refused { username, text, .. } => {
                ("refused", username.as_ref(), None, Some(text.clone()))
            }
        };
        Self {
            number: event.number,
            at_s: event.at.0,
            kind: kind.to_owned(),
            username: username.map(ToString::to_string),
            address,
            reason,
        }
    }
}

/// Why a peer left, for programs.
const fn leave_reason(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Quit => "quit",
        LeaveReason::Lost => "lost",
        LeaveReason::Silent => "silent",
        LeaveReason::Slow => "slow",
        LeaveReason::ProtocolError => "protocol_error",
        LeaveReason::Replaced => "replaced",
    }
}

impl LifeEvent {
    /// The event as the core has it; `None` if it is of a later version or a name is not valid. The reason of a refusal
    /// for programs is not kept.
    pub fn to_core(&self) -> Option<NetworkEvent> {
        let username = || self.username.as_ref()?.parse().ok();
        Some(match &*self.kind {
            "joined" => {
                NetworkEvent::Joined { username: username()?, address: self.address.as_ref()?.parse().ok()? }
            }
            "left" => NetworkEvent::Left { username: username()?, reason: self.leave_reason()? },
            "refused" => NetworkEvent::Refused {
                username: username(),
                reason: Reason::Failed,
                text: self.reason.clone().unwrap_or_default(),
            },
            _ => return None,
        })
    }

    fn leave_reason(&self) -> Option<LeaveReason> {
        use LeaveReason::{Lost, ProtocolError, Quit, Replaced, Silent, Slow};
        let reason = self.reason.as_deref()?;
        [Quit, Lost, Silent, Slow, ProtocolError, Replaced]
            .into_iter()
            .find(|one| leave_reason(*one) == reason)
    }
}
