//! The connections to holders.
//!
//! A connection is a task with a queue as long as its window, so that sending a command never waits. One connection
//! uses one core at each end: if there is only one holder and the content is long, a second connection to it is opened,
//! and requests alternate between the two. The core does not know about that; when one of the two breaks, the holder
//! counts as lost, and the core asks again.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::{
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::Content,
    name::Username,
    wire::manager::{ContentHolders, Holders},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{COMMANDS, ConnectionContext, run},
    holders::HolderTable,
    message::{ConnectionCommand, ConnectionEvent, ConnectionSlot, WantedPiece},
};
use crate::progress::UnreachableHolder;

/// The known holders, and the connections to them.
pub(crate) struct ConnectionPool {
    context: ConnectionContext,
    known: HolderTable,
    connected: BTreeMap<HolderId, HolderConnections>,
    last_serial: u64,
}

/// The connections to one holder.
struct HolderConnections {
    first: ConnectionHandle,
    second: SecondConnection,
    /// The contents that are open there: a second connection has to open them too.
    open: BTreeMap<DownloadId, Content>,
    /// Whether the next request goes to the second connection.
    second_is_next: bool,
    /// Whether the holder has greeted.
    is_established: bool,
}

/// The second connection to a holder.
enum SecondConnection {
    /// It was not needed so far.
    None,
    /// It is being dialled.
    Dialled(ConnectionHandle),
    /// It is established.
    Established(ConnectionHandle),
    /// The holder refused it, or it could not be dialled.
    Refused,
}

/// One connection.
struct ConnectionHandle {
    serial: u64,
    commands: mpsc::Sender<ConnectionCommand>,
    stop: CancellationToken,
    /// Whether a download limit keeps it from reading.
    throttled: bool,
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A content from this many bytes on is worth a second connection, where there is one holder.
const LONG_BYTES: u64 = 64 << 20;

impl ConnectionPool {
    pub(crate) fn new(context: ConnectionContext) -> Self {
        Self { context, known: HolderTable::default(), connected: BTreeMap::new(), last_serial: 0 }
    }

    /// Adds the holders that the manager named: each content, its complete and its partial holders.
    pub(crate) fn add_holders(&mut self, named: &Holders) -> Vec<(Content, Vec<HolderId>, Vec<HolderId>)> {
        let ids: Vec<Option<HolderId>> = named.peers.iter().map(|peer| self.known.add(peer)).collect();
        let known = |positions: &[u32]| -> Vec<HolderId> {
            let id = |position: &u32| ids.get(usize::try_from(*position).ok()?).copied().flatten();
            positions.iter().filter_map(id).collect()
        };
        let of_one = |of: &ContentHolders| {
            (Content { id: of.id, size: of.size }, known(&of.complete), known(&of.partial))
        };
        named.contents.iter().map(of_one).collect()
    }

    /// Whether so many holders are remembered that those without a reference are to be forgotten.
    pub(crate) fn has_many_holders(&self) -> bool {
        self.known.is_large()
    }

    /// Forgets all holders but those that are `referred_to` or connected.
    pub(crate) fn forget_all_but(&mut self, mut referred_to: BTreeSet<HolderId>) {
        referred_to.extend(self.connected.keys());
        self.known.forget_all_but(&referred_to);
    }

    pub(crate) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.known.get(holder).map(|holder| holder.username.clone())
    }

    /// Those of `holders` that could not be used.
    pub(crate) fn unreached(&self, holders: impl Iterator<Item = HolderId>) -> Vec<UnreachableHolder> {
        self.known.unreached(holders)
    }

    /// The number of connected holders.
    pub(crate) fn connected(&self) -> usize {
        self.connected.values().filter(|holder| holder.is_established).count()
    }

    /// Handles an event; what it means for the core, if anything.
    pub(crate) fn handle(&mut self, event: ConnectionEvent) -> Option<Event> {
        match event {
            ConnectionEvent::Core(event) => {
                match event {
                    Event::Connected { holder } => {
                        if let Some(connections) = self.connected.get_mut(&holder) {
                            connections.is_established = true;
                        }
                    }
                    // Refused on one of two connections, a channel must not stay open on the other.
                    Event::Refused { holder, download, piece: None, .. } => self.close(holder, download),
                    // The last error of the holder does not matter any more.
                    Event::Stored { holder, .. } => self.known.clear_error(holder),
                    _ => {}
                }
                Some(event)
            }
            ConnectionEvent::SecondConnected { holder, serial } => {
                self.set_second_established(holder, serial);
                None
            }
            ConnectionEvent::Throttled { holder, serial, throttled } => {
                let throttled = self.set_throttled(holder, serial, throttled)?;
                Some(Event::Throttled { holder, throttled })
            }
            ConnectionEvent::Ended { holder, serial, greeted, error } => {
                if !self.remove(holder, serial) {
                    return None;
                }
                if let Some(error) = error {
                    tracing::debug!(?holder, %error, "the connection to a holder ended");
                    self.known.set_error(holder, &error);
                }
                Some(if greeted { Event::Lost { holder } } else { Event::Unreachable { holder } })
            }
        }
    }

    pub(crate) fn connect(&mut self, id: HolderId) {
        if let Some(first) = self.dial(id, false) {
            let connections = HolderConnections {
                first,
                second: SecondConnection::None,
                open: BTreeMap::new(),
                second_is_next: false,
                is_established: false,
            };
            self.connected.insert(id, connections);
        }
    }

    fn dial(&mut self, id: HolderId, second: bool) -> Option<ConnectionHandle> {
        let holder = self.known.get(id).cloned()?;
        self.last_serial += 1;
        let serial = self.last_serial;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        let slot = ConnectionSlot { serial, second };
        tokio::spawn(run(self.context.clone(), holder, slot, queue, stop.clone()));
        Some(ConnectionHandle { serial, commands, stop, throttled: false })
    }

    pub(crate) fn disconnect(&mut self, holder: HolderId) {
        self.connected.remove(&holder);
    }

    pub(crate) fn disconnect_all(&mut self) {
        self.connected.clear();
    }

    /// Notes that the second connection to a holder is established.
    fn set_second_established(&mut self, holder: HolderId, serial: u64) {
        let Some(connections) = self.connected.get_mut(&holder) else { return };
        match std::mem::replace(&mut connections.second, SecondConnection::None) {
            SecondConnection::Dialled(connection) if connection.serial == serial => {
                for (download, content) in &connections.open {
                    connection.send(ConnectionCommand::Open { download: *download, content: *content });
                }
                connections.second = SecondConnection::Established(connection);
            }
            other => connections.second = other,
        }
    }

    /// Notes whether a download limit keeps a connection from reading. Whether it does so for any connection to the
    /// holder; `None` for a connection that was closed before.
    fn set_throttled(&mut self, holder: HolderId, serial: u64, throttled: bool) -> Option<bool> {
        let connections = self.connected.get_mut(&holder)?;
        let second = match &mut connections.second {
            SecondConnection::Dialled(connection) | SecondConnection::Established(connection) => {
                Some(connection)
            }
            SecondConnection::None | SecondConnection::Refused => None,
        };
        let mut both = [Some(&mut connections.first), second];
        both.iter_mut().flatten().find(|connection| connection.serial == serial)?.throttled = throttled;
        Some(both.iter().flatten().any(|connection| connection.throttled))
    }

    /// Removes a connection that ended. Whether the holder was connected and is not any more.
    fn remove(&mut self, holder: HolderId, serial: u64) -> bool {
        let Some(connections) = self.connected.get_mut(&holder) else { return false };
        match &connections.second {
            SecondConnection::Dialled(connection) if connection.serial == serial => {
                connections.second = SecondConnection::Refused;
                return false;
            }
            // Its requests are not told apart from those of the other one: all of them are sent again.
            SecondConnection::Established(connection) if connection.serial == serial => {}
            _ if connections.first.serial == serial => {}
            _ => return false,
        }
        self.connected.remove(&holder);
        true
    }

    pub(crate) fn open(&mut self, holder: HolderId, download: DownloadId, content: Content) {
        if let Some(connections) = self.connected.get_mut(&holder) {
            connections.open.insert(download, content);
        }
        self.send_all(holder, || ConnectionCommand::Open { download, content });
    }

    pub(crate) fn close(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(connections) = self.connected.get_mut(&holder) {
            connections.open.remove(&download);
        }
        self.send_all(holder, || ConnectionCommand::Close { download });
    }

    pub(crate) fn ask_list(&mut self, holder: HolderId, download: DownloadId, first: u32) {
        if let Some(connections) = self.connected.get(&holder) {
            connections.first.send(ConnectionCommand::AskList { download, first });
        }
    }

    pub(crate) fn request(&mut self, holder: HolderId, mut wanted: WantedPiece) {
        let alone = self.connected.len() == 1 && wanted.content.size >= LONG_BYTES && wanted.offer.is_none();
        wanted.alone = alone;
        let Some(connections) = self.connected.get_mut(&holder) else { return };
        connections.second_is_next = !connections.second_is_next;
        let wants_second = alone && matches!(connections.second, SecondConnection::None);
        match &connections.second {
            SecondConnection::Established(second) if connections.second_is_next && alone => {
                second.send(ConnectionCommand::Request(wanted))
            }
            _ => connections.first.send(ConnectionCommand::Request(wanted)),
        }
        if wants_second
            && let Some(connection) = self.dial(holder, true)
            && let Some(connections) = self.connected.get_mut(&holder)
        {
            connections.second = SecondConnection::Dialled(connection);
        }
    }

    /// Wants, offers and their answers use the first connection.
    pub(crate) fn want(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(connections) = self.connected.get(&holder) {
            connections.first.send(ConnectionCommand::Want { download });
        }
    }

    pub(crate) fn decline(&mut self, holder: HolderId, offer: u32) {
        if let Some(connections) = self.connected.get(&holder) {
            connections.first.send(ConnectionCommand::Decline { offer });
        }
    }

    /// Only the connection with the request cancels it; the other one does not know it.
    pub(crate) fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.send_all(holder, || ConnectionCommand::Cancel { download, piece });
    }

    fn send_all(&self, holder: HolderId, command: impl Fn() -> ConnectionCommand) {
        let Some(connections) = self.connected.get(&holder) else { return };
        connections.first.send(command());
        if let SecondConnection::Established(second) = &connections.second {
            second.send(command());
        }
    }
}

impl ConnectionHandle {
    fn send(&self, command: ConnectionCommand) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            // The queue is long enough for everything that may be in flight: a connection that lets it fill up is
            // stuck.
            tracing::warn!(serial = self.serial, "a connection to a holder does not take commands any more");
            self.stop.cancel();
        }
    }
}
