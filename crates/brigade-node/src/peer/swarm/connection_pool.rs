//! The connections to holders: they are dialled here, and their events become events for the core.
//!
//! A connection is a task with a queue as long as its window, so that sending a command never waits. One connection
//! uses one processor core at each end: if there is only one holder and the content is long, a second connection to it
//! is opened, and requests alternate between the two. The core does not know about that; when one of the two breaks,
//! the holder counts as lost, and the core requests the missing pieces again.

mod queries;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    panic::AssertUnwindSafe,
};

use brigade_core::{
    download::{Action, DownloadId, Event, HolderId},
    id::Content,
    name::Username,
    wire::manager::Holders,
};
use futures_util::FutureExt;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{
        CLOSE_TIMEOUT, CommandInputs, ConnectionConfig, ConnectionContext, ConnectionEndError,
        ConnectionEvent, ConnectionHandle, HolderConnection, TaskResult,
    },
    holders::{Holder, HolderTable, NamedHolders},
    pending_requests::{ConnectionCommand, WantedPiece},
};
use crate::{
    progress::{HolderTraffic, UnusableHolders},
    transport::{breach_log::RemoteRole, greeting::GreetedConnection},
};

/// The known holders, and the connections to them.
pub(crate) struct ConnectionPool {
    context: ConnectionContext,
    events: mpsc::Receiver<ConnectionEvent>,
    known: HolderTable,
    connected: BTreeMap<HolderId, HolderConnections>,
    last_serial: u64,
}

/// The connections to one holder.
struct HolderConnections {
    first: ConnectionHandle,
    second: SecondConnection,
    /// The contents that are open on it: a second connection has to open them too.
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

/// A content from this many bytes on is worth a second connection, where there is one holder.
const LONG_BYTES: u64 = 64 << 20;

impl ConnectionPool {
    pub(crate) fn new(context: ConnectionContext, events: mpsc::Receiver<ConnectionEvent>) -> Self {
        Self { context, events, known: HolderTable::default(), connected: BTreeMap::new(), last_serial: 0 }
    }

    /// Adds the holders that the manager named: each content, its complete and its partial holders.
    pub(crate) fn add_holders(&mut self, named: &Holders) -> Vec<(Content, Vec<HolderId>, Vec<HolderId>)> {
        self.known.add_all(named)
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

    /// Waits for the next event for the core. It may be dropped at any time.
    pub(crate) async fn receive(&mut self) -> Event {
        loop {
            let Some(event) = self.events.recv().await else { pending().await };
            if let Some(event) = self.handle(event) {
                return event;
            }
        }
    }

    /// The next event for the core, if one has arrived.
    pub(crate) fn try_receive(&mut self) -> Option<Event> {
        while let Ok(event) = self.events.try_recv() {
            if let Some(event) = self.handle(event) {
                return Some(event);
            }
        }
        None
    }

    /// The number of events that have arrived and are not handled.
    pub(crate) fn waiting_events(&self) -> usize {
        self.events.len()
    }

    /// A piece of the holder is stored: its last error does not matter any more.
    pub(crate) fn clear_error(&mut self, holder: HolderId) {
        self.known.clear_error(holder);
    }

    /// Handles an event. Returns the event that follows from it for the core, if any.
    fn handle(&mut self, event: ConnectionEvent) -> Option<Event> {
        match event {
            ConnectionEvent::Core(event) => {
                match event {
                    Event::Connected { holder } => {
                        if let Some(connections) = self.connected.get_mut(&holder) {
                            connections.is_established = true;
                        }
                    }
                    // A channel that is refused on one of two connections must not stay open on the other.
                    Event::Refused { holder, download, piece: None, .. } => self.close(holder, download),
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
                    self.known.set_error(holder, &*error);
                }
                Some(if greeted { Event::Lost { holder } } else { Event::Unreachable { holder } })
            }
        }
    }

    /// Carries out an action of the core that concerns connections only; others are returned.
    pub(crate) fn carry_out(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Connect { holder } => self.connect(holder),
            Action::Disconnect { holder } => {
                tracing::debug!(?holder, "the connection to a holder is given up");
                self.connected.remove(&holder);
            }
            Action::Open { holder, download, content } => {
                if let Some(connections) = self.connected.get_mut(&holder) {
                    connections.open.insert(download, content);
                }
                self.send_all(holder, || ConnectionCommand::Open { download, content });
            }
            Action::Close { holder, download } => self.close(holder, download),
            // Wants, offers and their answers use the first connection.
            Action::AskList { holder, download, first } => {
                self.send_first(holder, ConnectionCommand::AskList { download, first });
            }
            Action::Want { holder, download } => {
                self.send_first(holder, ConnectionCommand::Want { download })
            }
            Action::Decline { holder, offer, .. } => {
                self.send_first(holder, ConnectionCommand::Decline { offer });
            }
            // Only the connection with the request cancels it; the other one does not know it.
            Action::Cancel { holder, download, piece } => {
                self.send_all(holder, || ConnectionCommand::Cancel { download, piece });
            }
            other => return Some(other),
        }
        None
    }

    fn connect(&mut self, id: HolderId) {
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
        let (handle, inputs) = ConnectionHandle::new(self.last_serial);
        let dialled = DialledConnection { holder, serial: self.last_serial, second };
        tokio::spawn(dialled.run(self.context.clone(), inputs));
        Some(handle)
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

    /// Notes whether a download limit keeps a connection from reading. Returns whether it does so for any connection to
    /// the holder; `None` for a connection that was closed before.
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

    /// Removes a connection that ended. Returns whether the holder was connected and is not any more.
    fn remove(&mut self, holder: HolderId, serial: u64) -> bool {
        let Some(connections) = self.connected.get_mut(&holder) else { return false };
        match &connections.second {
            SecondConnection::Dialled(connection) if connection.serial == serial => {
                connections.second = SecondConnection::Refused;
                return false;
            }
            // Nothing here knows which requests were sent on it: those of both connections are sent again.
            SecondConnection::Established(connection) if connection.serial == serial => {}
            _ if connections.first.serial == serial => {}
            _ => return false,
        }
        self.connected.remove(&holder);
        true
    }

    fn close(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(connections) = self.connected.get_mut(&holder) {
            connections.open.remove(&download);
        }
        self.send_all(holder, || ConnectionCommand::Close { download });
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

    fn send_first(&self, holder: HolderId, command: ConnectionCommand) {
        if let Some(connections) = self.connected.get(&holder) {
            connections.first.send(command);
        }
    }

    fn send_all(&self, holder: HolderId, command: impl Fn() -> ConnectionCommand) {
        let Some(connections) = self.connected.get(&holder) else { return };
        connections.first.send(command());
        if let SecondConnection::Established(second) = &connections.second {
            second.send(command());
        }
    }
}

/// Runs the task of a connection. A panic ends this connection alone, with an error. When the connection is stopped and
/// the goodbye cannot be sent, because no data moves any more, the connection is dropped.
async fn run_task(task: impl Future<Output = TaskResult>, stop: &CancellationToken) -> TaskResult {
    tokio::select! {
        result = AssertUnwindSafe(task).catch_unwind() => {
            result.unwrap_or_else(|_| Err("the task of the connection failed".into()))
        }
        () = async { stop.cancelled().await; sleep(CLOSE_TIMEOUT).await } => Ok(()),
    }
}

/// One connection, from dialling it to its end.
struct DialledConnection {
    holder: Holder,
    /// Its own number.
    serial: u64,
    /// Whether it is the second one to its holder.
    second: bool,
}

impl DialledConnection {
    /// Dials the holder and carries out commands until they end or are stopped, or the connection breaks. Its end is
    /// reported in any case.
    async fn run(self, context: ConnectionContext, inputs: CommandInputs) {
        let (stop, mut greeted) = (inputs.stop.clone(), false);
        let result = run_task(self.connect_and_run(&context, inputs, &mut greeted), &stop).await;
        self.report_end(&context, greeted, result).await;
    }

    async fn report_end(&self, context: &ConnectionContext, greeted: bool, result: TaskResult) {
        if let Err(error) = &result {
            let holder = self.holder.username.as_str();
            tracing::debug!(holder, %error, "a connection to a holder ended");
        }
        let (holder, serial, error) = (self.holder.id, self.serial, result.err());
        let _ = context.events.send(ConnectionEvent::Ended { holder, serial, greeted, error }).await;
    }

    async fn connect_and_run(
        &self,
        context: &ConnectionContext,
        mut inputs: CommandInputs,
        greeted: &mut bool,
    ) -> TaskResult {
        let ConnectionConfig { key, network, membership, connection_slots, .. } = &context.config;
        let (session, _permit) = tokio::select! {
            connected = self.holder.connect(key, *network, membership, connection_slots) => connected?,
            () = inputs.stop.cancelled() => return Ok(()),
        };
        *greeted = true;
        let (holder, serial) = (self.holder.id, self.serial);
        let connected = if self.second {
            ConnectionEvent::SecondConnected { holder, serial }
        } else {
            ConnectionEvent::Core(Event::Connected { holder })
        };
        let _ = context.events.send(connected).await;
        let GreetedConnection { mut reader, writer, .. } = session;
        let mut connection = HolderConnection::new(context, holder, serial, writer);
        let ended = connection.run(&mut reader, &mut inputs).await;
        // A holder that refuses this peer may say so only after its hello, when it has seen this peer's hello.
        let is_refused = matches!(ended, Err(ConnectionEndError::Goodbye(..)));
        *greeted = self.second || connection.has_answered || !is_refused;
        if let Err(ConnectionEndError::Connection(error)) = &ended {
            let member = Some(&self.holder.username);
            context.breaches.ended(RemoteRole::Holder, member, self.holder.address, error);
        }
        if ended.is_err() || inputs.stop.is_cancelled() {
            connection.close(reader, ended.as_ref().err()).await;
        }
        Ok(ended?)
    }
}

#[cfg(test)]
mod tests;
