//! One connection to the manager, from joining to its end, and the state of a session that lasts over connections.
//!
//! Reading never waits for writing: messages to send are queued, and while the queue is long no new work is taken. So
//! two full sockets cannot block each other.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{SocketAddr, SocketAddrV6},
    time::Duration,
};

use brigade_core::{
    limits,
    time::UnixTime,
    wire::{
        Message, Reason,
        greeting::Goodbye,
        manager::{FromManager, Holders, Renew, Report, ToManager},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    announce::AnnounceState,
    questions_and_subscriptions::{SessionCommand, Subscriptions},
};
use crate::{
    clock,
    identity::clock_check::ClockDifference,
    manager_questions::{Answer, answer_in},
    peer_error::{ANSWER_TIMEOUT, AskError, text_with_causes},
    peer_status::ManagerState,
    store::{keeper::Change, share::Share},
    transport::{
        connection::{ConnectionError, Writer},
        greeting::GreetedConnection,
        socket_addresses::with_zone_of,
    },
};

/// Messages queued for the manager beyond which no new work is taken.
const QUEUED_MESSAGES: usize = 64;

/// How long the queued messages and the goodbye may take to be written at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the manager may be silent, although this peer renews every five seconds.
const SILENCE: Duration = limits::LEASE;

/// The inputs and outputs of a session, which all its connections use.
pub(crate) struct SessionState {
    pub(crate) share: Share,
    /// The bytes of piece data that are sent and received per second now.
    pub(crate) rates: Box<dyn Fn() -> (u64, u64) + Send>,
    /// Changes of the share.
    pub(crate) changes: mpsc::Receiver<Change>,
    /// Whether the folder was scanned completely.
    pub(crate) scanned: bool,
    pub(crate) commands: mpsc::Receiver<SessionCommand>,
    pub(crate) subscriptions: Subscriptions,
    /// The holders of the watched contents.
    pub(crate) holders: mpsc::Sender<Holders>,
    pub(crate) membership: watch::Sender<String>,
    /// The difference between this machine's clock and the manager's, if it is too large.
    pub(crate) clock: watch::Sender<Option<ClockDifference>>,
    pub(crate) manager: watch::Sender<ManagerState>,
    pub(crate) stop: CancellationToken,
}

impl SessionState {
    /// Compares this machine's clock with the manager's, which showed `manager_s` a moment ago.
    pub(crate) fn compare_clock(&self, manager_s: Option<u64>) {
        let Some(manager_s) = manager_s else { return };
        let difference = ClockDifference::compare(UnixTime(manager_s), clock::unix_now(), ANSWER_TIMEOUT);
        self.clock.send_if_modified(|old| {
            // A change of some seconds is not reported.
            let is_new = difference.map(|new| new.is_behind) != old.map(|old| old.is_behind);
            *old = difference;
            is_new
        });
    }

    /// Applies a command while the manager is not connected: a question gets an error at once.
    pub(crate) fn apply_disconnected(&mut self, command: SessionCommand) {
        if let Some((_, reply)) = self.subscriptions.apply(command).1 {
            let error = match &*self.manager.borrow() {
                ManagerState::Refused { cause } => AskError::RefusedForGood { cause: cause.clone() },
                _ => AskError::Away,
            };
            let _ = reply.send(Err(error));
        }
    }
}

/// How a connection to the manager ended.
pub(crate) enum ConnectionEnd {
    /// The peer stops.
    Stopped,
    /// The connection was lost, for this cause.
    Lost(String),
}

/// One connection to the manager.
pub(crate) struct ManagerConnection<'a> {
    session: &'a mut SessionState,
    queue: VecDeque<ToManager>,
    announcing: AnnounceState,
    questions: BTreeMap<u32, oneshot::Sender<Result<Answer, AskError>>>,
    last_question: u32,
    last_received: Instant,
    reported: (u64, u64),
    renewed: Instant,
}

impl<'a> ManagerConnection<'a> {
    pub(crate) fn new(session: &'a mut SessionState) -> Self {
        let now = Instant::now();
        Self {
            queue: session.subscriptions.messages().into(),
            announcing: AnnounceState::new(session.scanned),
            questions: BTreeMap::new(),
            last_question: 0,
            last_received: now,
            reported: (0, 0),
            renewed: now,
            session,
        }
    }

    /// Runs until the connection ends, or the peer stops.
    pub(crate) async fn run(mut self, session: GreetedConnection) -> ConnectionEnd {
        let GreetedConnection { remote, mut reader, writer, .. } = session;
        let (outbox, messages) = mpsc::channel(QUEUED_MESSAGES);
        let mut sending = AbortOnDropHandle::new(tokio::spawn(send_all(writer, messages)));
        self.publish();
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        let mut still_sending = true;
        let mut goodbye = None;
        let ended = loop {
            self.refill();
            let busy = self.queue.len() >= QUEUED_MESSAGES;
            tokio::select! {
                biased;
                () = self.session.stop.cancelled() => break ConnectionEnd::Stopped,
                message = reader.next::<FromManager>() => match message {
                    Ok(Some(message)) => {
                        if let Err(lost) = self.handle(message, remote).await {
                            break ConnectionEnd::Lost(lost);
                        }
                    }
                    Ok(None) => break ConnectionEnd::Lost("the manager closed the connection".to_owned()),
                    Err(error) => {
                        goodbye = error.goodbye();
                        break ConnectionEnd::Lost(text_with_causes(&error));
                    }
                },
                Ok(permit) = outbox.reserve(), if !self.queue.is_empty() => {
                    if let Some(message) = self.queue.pop_front() {
                        permit.send(message);
                    }
                }
                Some(command) = self.session.commands.recv(), if !busy => self.apply(command),
                Some(change) = self.session.changes.recv(), if !busy => self.announce(change),
                _ = tick.tick() => {
                    ticks += 1;
                    if let Err(lost) = self.tick(ticks) {
                        break ConnectionEnd::Lost(lost);
                    }
                }
                _ = &mut sending => {
                    still_sending = false;
                    break ConnectionEnd::Lost("the connection to the manager broke".to_owned());
                }
            }
        };
        if matches!(ended, ConnectionEnd::Stopped) {
            goodbye = Some(Goodbye { reason: Reason::Stopping, text: String::new() });
        }
        // Without a goodbye there is no need to wait.
        let grace = if goodbye.is_some() { CLOSE_TIMEOUT } else { Duration::ZERO };
        if let Some(goodbye) = goodbye {
            let _ = outbox.try_send(ToManager::Goodbye(goodbye));
        }
        drop(outbox);
        // A task that has ended must not be awaited again, and one that cannot write must not go on.
        if still_sending && timeout(grace, &mut sending).await.is_err() {
            sending.abort();
        }
        for (_, reply) in self.questions {
            let _ = reply.send(Err(AskError::Away));
        }
        ended
    }

    /// Queues the next page of the share when the queue is empty.
    fn refill(&mut self) {
        if self.queue.is_empty() {
            let more = self.announcing.next_page(&self.session.share);
            if more.is_none() {
                self.publish(); // with nothing to announce, no confirmation will arrive
            }
            self.queue.extend(more.map(ToManager::from));
        }
    }

    /// Handles a message of the manager, which is at `remote`; the error is the cause for which the connection ends.
    async fn handle(&mut self, message: FromManager, remote: SocketAddr) -> Result<(), String> {
        self.last_received = Instant::now();
        match message {
            FromManager::Goodbye(goodbye) => {
                return Err(goodbye.reason.with(&goodbye.text));
            }
            FromManager::Noted(noted) => {
                self.announcing.confirm(noted.number);
                self.publish();
            }
            FromManager::Holders(mut holders) => {
                set_zones(&mut holders, remote);
                self.session.subscriptions.answered(&holders);
                // The fetches never wait for this task, so this ends.
                let _ = self.session.holders.send(holders).await;
            }
            FromManager::Renewed(renewed) => {
                self.session.compare_clock(renewed.now_s);
                if let Some(membership) = renewed.membership {
                    self.session.membership.send_replace(membership);
                }
            }
            other => match answer_in(other) {
                Ok((number, answer)) => {
                    if let Some(reply) = self.questions.remove(&number) {
                        let _ = reply.send(answer);
                    }
                }
                Err(FromManager::Refused(refused)) => {
                    tracing::warn!(kind = refused.kind, reason = %refused.reason, text = refused.text, "refused");
                }
                Err(other) => tracing::debug!(kind = other.kind(), "an unexpected message"),
            },
        }
        Ok(())
    }

    fn apply(&mut self, command: SessionCommand) {
        let (message, question) = self.session.subscriptions.apply(command);
        self.queue.extend(message);
        if let Some((question, reply)) = question {
            self.questions.retain(|_, reply| !reply.is_closed());
            self.last_question = self.last_question.wrapping_add(1);
            match question.message(self.last_question) {
                Ok(message) => {
                    self.questions.insert(self.last_question, reply);
                    self.queue.push_back(message);
                }
                Err(error) => {
                    let _ = reply.send(Err(error)); // the other part may have stopped waiting
                }
            }
        }
    }

    fn announce(&mut self, change: Change) {
        match change {
            Change::Shared(files) => {
                let announcements = self.announcing.announce_files(files.iter().map(AsRef::as_ref));
                self.queue.extend(announcements.into_iter().map(ToManager::from));
            }
            Change::Gone(names) => {
                let withdrawals = self.announcing.withdraw_files(names);
                self.queue.extend(withdrawals.into_iter().map(ToManager::from));
            }
            Change::Scanned => {
                self.session.scanned = true;
                self.announcing.set_scanned();
                self.publish();
            }
            Change::Problem { .. } | Change::Solved { .. } => {} // `status` shows them
        }
    }

    /// Once a second: reports the rates, renews the lease every fifth time, checks that the manager still answers.
    fn tick(&mut self, ticks: u64) -> Result<(), String> {
        if self.last_received.elapsed() > SILENCE {
            return Err(format!("the manager was silent for {} s", SILENCE.as_secs()));
        }
        let rates = (self.session.rates)();
        if rates != self.reported {
            self.reported = rates;
            self.queue.push_back(Report { sending: rates.0, receiving: rates.1 }.into());
        }
        if ticks.is_multiple_of(5) {
            let membership = self.renewed.elapsed() >= limits::MEMBERSHIP_RENEWAL;
            if membership {
                self.renewed = Instant::now();
            }
            self.queue.push_back(Renew { membership }.into());
        }
        Ok(())
    }

    fn publish(&self) {
        let state = ManagerState::Here { announced: self.announcing.is_done() };
        self.session.manager.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }
}

/// Gives the link-local addresses of holders the zone in which this peer reaches the manager at `manager`.
fn set_zones(holders: &mut Holders, manager: SocketAddr) {
    for peer in &mut holders.peers {
        if let Ok(named) = peer.address.parse::<SocketAddrV6>() {
            peer.address = with_zone_of(manager, named).to_string();
        }
    }
}

async fn send_all(
    mut writer: Writer,
    mut messages: mpsc::Receiver<ToManager>,
) -> Result<(), ConnectionError> {
    while let Some(message) = messages.recv().await {
        writer.send(&message).await?;
        if messages.is_empty() {
            writer.flush().await?;
        }
    }
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use brigade_core::{id::PeerKey, wire::manager::PeerAddress};

    use super::{Holders, set_zones};

    #[test]
    fn holders_with_link_local_addresses_are_dialled_over_the_link_to_the_manager() {
        let addresses = ["10.0.0.7:1", "[2001:db8::7]:1", "[fe80::7]:1", "no address"];
        let peer = |address: &str| PeerAddress {
            username: "water_user".parse().unwrap(),
            key: PeerKey([7; 32]),
            address: address.to_owned(),
        };
        let mut holders = Holders { peers: addresses.map(peer).into(), contents: vec![] };
        set_zones(&mut holders, "[fe80::1%2]:12000".parse().unwrap());
        let found: Vec<&str> = holders.peers.iter().map(|peer| peer.address.as_str()).collect();
        assert_eq!(found, ["10.0.0.7:1", "[2001:db8::7]:1", "[fe80::7%2]:1", "no address"]);
    }
}
