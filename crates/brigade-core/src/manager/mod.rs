//! The manager's decisions: which sessions are peers, what each of them shares, and which sessions get updates.
//!
//! Messages of sessions and the time are the input; [`Manager::next_output`] returns replies, bindings to store and
//! events for people. Nothing is kept of a session that ended except the binding of its username. A message that
//! exceeds one of the [`limits`] is refused, and the session continues; only silence, or too many observers, ends a
//! session.
//!
//! This file keeps the state and the `match`; `connection_admission.rs` admits sessions, `joining.rs` makes peers of
//! them, `catalogue.rs` keeps what is shared, `watches.rs` who hears of it, `answers.rs` answers questions, and `listings`
//! has what people see of it at the manager.

mod answers;
mod catalogue;
mod connection_admission;
mod holder_pages;
mod holder_selection;
mod joining;
mod listings;
mod observers;
mod output;
mod refusal;
mod session;
mod session_deadlines;
mod similar_names;
#[cfg(test)]
mod tests;
mod username_bindings;
mod watches;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use listings::{ContentRow, ContentRows, HolderRow, HolderRows, Row, Totals};
pub use output::{Event, LeaveReason, Output};
pub use session::SessionId;
pub use username_bindings::Binding;

use self::{
    catalogue::Catalogue,
    holder_pages::HolderPages,
    holder_selection::HolderSelection,
    listings::RateTotals,
    observers::Observers,
    refusal::{Refusal, refused_event, valid_items},
    session::{Endpoint, Session, SessionState},
    session_deadlines::SessionDeadlines,
    username_bindings::UsernameBindings,
    watches::Watches,
};
use crate::{
    id::{Content, PeerKey},
    limits,
    name::Username,
    time::{Timestamp, UnixTime},
    wire::{
        Message, Reason,
        greeting::Goodbye,
        manager::{Announce, FromManager, Noted, Refused, ToManager, Unwatch, Watch, Withdraw},
    },
};

/// What the manager is told once.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How many peers may be there at once.
    pub max_peers: usize,
    /// How many sessions that have not joined may be there, beside one for each place left for a peer.
    pub max_observers: usize,
    /// Decides which holders are named to whom where there are more than are named.
    pub seed: u64,
    /// Whether other machines reach it: peers learn from that where to listen.
    pub reached_from_elsewhere: bool,
    /// When its catalogue is taken to be complete. A manager that was started before waits for its peers to come back.
    pub complete_at: Timestamp,
}

impl Default for Config {
    /// For one peer, beside which no other machine reaches the manager; its catalogue is complete at once.
    fn default() -> Self {
        let max_observers = limits::OBSERVERS;
        Self {
            max_peers: 1,
            max_observers,
            seed: 0,
            reached_from_elsewhere: false,
            complete_at: Timestamp::default(),
        }
    }
}

/// The state of one network's manager.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    /// What the calendar said last.
    calendar: UnixTime,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that are not in the table.
    observers: usize,
    /// Which of them gives way to others.
    observing: Observers,
    /// Peers, and sessions that are about to be: by username, and by key.
    present: BTreeMap<Username, SessionId>,
    keys: BTreeMap<PeerKey, SessionId>,
    /// And by where they are reached.
    endpoints: BTreeMap<Endpoint, SessionId>,
    members: UsernameBindings,
    /// Bindings that are on their way to the disk.
    recording: BTreeSet<Username>,
    leases: SessionDeadlines,
    catalogue: Catalogue,
    watches: Watches,
    rates: RateTotals,
    /// How often the shared files of a peer have changed.
    share_changes: u64,
    outputs: VecDeque<Output>,
    table_changed: bool,
}

impl Manager {
    /// A manager without sessions, with the bindings that were made durable before, in the order of their making.
    pub fn new(config: Config, bindings: impl IntoIterator<Item = Binding>) -> Self {
        Self {
            config,
            calendar: UnixTime::default(),
            sessions: BTreeMap::new(),
            observers: 0,
            observing: Observers::default(),
            present: BTreeMap::new(),
            keys: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            members: UsernameBindings::new(bindings),
            recording: BTreeSet::new(),
            leases: SessionDeadlines::default(),
            catalogue: Catalogue::default(),
            watches: Watches::default(),
            rates: RateTotals::default(),
            share_changes: 0,
            outputs: VecDeque::new(),
            table_changed: false,
        }
    }

    /// What the calendar says now: first announcements are dated by it.
    pub const fn set_calendar(&mut self, calendar: UnixTime) {
        self.calendar = calendar;
    }

    /// A message of a session; it counts as a sign of life. Nothing happens for a session that is not there (any
    /// more).
    pub fn handle(&mut self, now: Timestamp, session: SessionId, message: ToManager) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        self.renew_lease(now, session);
        let kind = message.kind();
        let question = match &message {
            ToManager::Lookup(lookup) => Some(lookup.question),
            ToManager::Browse(browse) => Some(browse.question),
            ToManager::ListPeers(list) => Some(list.question),
            _ => None,
        };
        let number = match &message {
            ToManager::Announce(Announce { number, .. }) | ToManager::Withdraw(Withdraw { number, .. }) => {
                Some(*number)
            }
            _ => None,
        };
        if let Err(refusal) = self.carry_out(now, session, message) {
            self.refuse(session, kind, question, refusal);
        }
        if let Some(number) = number.filter(|_| self.is_peer(session)) {
            self.send(session, Noted { number });
        }
        self.send_updates(now);
    }

    /// The session's connection ended, or the caller ended it.
    pub fn disconnected(&mut self, now: Timestamp, session: SessionId, reason: LeaveReason) {
        self.forget(now, session, reason);
        self.send_updates(now);
    }

    /// All of an [`Output::HolderUpdates`] has left for the session: it may be told more.
    pub fn updates_sent(&mut self, now: Timestamp, session: SessionId) {
        self.watches.arrived(now, session);
        self.send_updates(now);
    }

    /// The time has come that [`Self::deadline`] gave, or another.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(session) = self.leases.pop_due(now) {
            let goodbye = Goodbye { reason: Reason::Silent, text: "no message for too long".to_owned() };
            self.forget(now, session, LeaveReason::Silent);
            self.outputs.push_back(Output::Close { session, goodbye: Some(goodbye) });
        }
        self.send_updates(now);
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn deadline(&self) -> Option<Timestamp> {
        [self.leases.next(), self.watches.deadline()].into_iter().flatten().min()
    }

    /// The next thing to do; to be asked until there is none, after every call that changes something.
    pub fn next_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        std::mem::take(&mut self.table_changed).then_some(Output::TableChanged)
    }

    fn carry_out(&mut self, now: Timestamp, session: SessionId, message: ToManager) -> Result<(), Refusal> {
        match message {
            ToManager::Goodbye(_) => self.quit(now, session),
            ToManager::Join(join) => {
                if let Err(refusal) = self.join(now, session, &join) {
                    self.outputs.push_back(Output::Event(refused_event(join, &refusal)));
                    return Err(refusal);
                }
            }
            ToManager::Announce(Announce { entries, .. }) => {
                self.peers_only(session)?;
                let (entries, wrong) = valid_items(entries)?;
                let on_change = &mut |content| self.watches.content_changed(now, content);
                self.catalogue.announce(session, entries, self.calendar, on_change)?;
                self.shares_changed();
                wrong?;
            }
            ToManager::Withdraw(Withdraw { names, .. }) => {
                self.peers_only(session)?;
                let (names, wrong) = valid_items(names)?;
                self.catalogue
                    .withdraw(session, &names, &mut |content| self.watches.content_changed(now, content))?;
                self.shares_changed();
                wrong?;
            }
            ToManager::Hold(hold) => {
                self.peers_only(session)?;
                let on_change = &mut |content| self.watches.content_changed(now, content);
                self.catalogue.hold(session, &hold.contents, on_change)?;
                self.table_changed = true;
            }
            ToManager::Unhold(unhold) => {
                self.peers_only(session)?;
                let on_change = &mut |content| self.watches.content_changed(now, content);
                self.catalogue.unhold(session, &unhold.contents, on_change)?;
                self.table_changed = true;
            }
            ToManager::Lookup(lookup) => {
                let incomplete_ms = self.incomplete_ms(now);
                self.send(session, answers::lookup(&self.catalogue, &self.sessions, &lookup, incomplete_ms)?);
            }
            ToManager::Browse(browse) => {
                let incomplete_ms = self.incomplete_ms(now);
                self.send(session, answers::browse(&self.catalogue, &self.present, &browse, incomplete_ms)?);
            }
            ToManager::ListPeers(question) => {
                let Some(asker) = self.sessions.get(&session) else { return Ok(()) };
                let (catalogue, sessions) = (&self.catalogue, &self.sessions);
                let incomplete_ms = self.incomplete_ms(now);
                let list =
                    answers::list_peers(catalogue, sessions, &self.present, asker, &question, incomplete_ms);
                self.send(session, list);
            }
            ToManager::Watch(watch) => self.watch(session, &watch)?,
            ToManager::Unwatch(Unwatch { contents }) => {
                catalogue::check_contents(&contents)?;
                self.watches.unwatch(session, contents.into_iter().map(Content::from));
            }
            ToManager::Report(report) => {
                self.peers_only(session)?;
                self.report(session, &report);
            }
            ToManager::Renew(renew) => self.renew(session, &renew),
            // It needs a connection: the caller answers it.
            ToManager::Probe(_) => {}
        }
        Ok(())
    }

    /// How long until the catalogue is taken to be complete; `None` where it is.
    fn incomplete_ms(&self, now: Timestamp) -> Option<u64> {
        let left = self.config.complete_at.since(now);
        // Rounded up: who waits so long finds it complete.
        (!left.is_zero()).then(|| u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
    }

    fn watch(&mut self, session: SessionId, watch: &Watch) -> Result<(), Refusal> {
        catalogue::check_contents(&watch.contents)?;
        let contents = watch.contents.iter().copied().map(Content::from);
        self.watches.watch(session, contents.clone(), watch.again.unwrap_or(0))?;
        let mut pages = HolderPages::new(&self.sessions, session);
        for content in contents {
            let selection = self.holder_selection(session, content);
            self.watches.is_changed(session, content, selection.fingerprint());
            pages.add(&selection);
        }
        for page in pages.finish() {
            self.send(session, page);
        }
        Ok(())
    }

    /// The holders of a content that a session is told of.
    fn holder_selection(&self, session: SessionId, content: Content) -> HolderSelection {
        let again = self.watches.again(session, &content);
        HolderSelection::new(self.config.seed, again, session, content, self.catalogue.holders(content))
    }

    /// Tells those that watch what has changed for them, as far as it is time to.
    fn send_updates(&mut self, now: Timestamp) {
        while let Some((session, contents)) = self.watches.pop_due(now) {
            let mut pages = HolderPages::new(&self.sessions, session);
            for content in contents {
                let selection = self.holder_selection(session, content);
                if self.watches.is_changed(session, content, selection.fingerprint()) {
                    pages.add(&selection);
                }
            }
            let messages = pages.finish();
            self.watches.sent(now, session, !messages.is_empty());
            if !messages.is_empty() {
                self.outputs.push_back(Output::HolderUpdates { session, messages });
            }
        }
    }

    fn quit(&mut self, now: Timestamp, session: SessionId) {
        self.forget(now, session, LeaveReason::Quit);
        self.outputs.push_back(Output::Close { session, goodbye: None });
    }

    /// Takes everything of the session out, at once.
    fn forget(&mut self, now: Timestamp, session: SessionId, reason: LeaveReason) {
        let Some(this) = self.sessions.remove(&session) else { return };
        self.leases.clear(session);
        self.watches.forget(session);
        self.observing.remove(session);
        match this.state {
            SessionState::Observer => self.observers -= 1,
            SessionState::Joining { ref username, port, .. } => {
                self.observers -= 1;
                self.release_endpoint(username, this.key, this.endpoint(port));
            }
            SessionState::Peer(ref peer) => {
                self.catalogue.forget(session, &mut |content| self.watches.content_changed(now, content));
                self.release_endpoint(&peer.username, this.key, this.endpoint(peer.port));
                let username = peer.username.clone();
                self.outputs.push_back(Output::Event(Event::Left { username, reason }));
                self.rates.change((peer.sending, peer.receiving), (0, 0));
                self.shares_changed();
            }
        }
    }

    fn release_endpoint(&mut self, username: &Username, key: PeerKey, endpoint: Endpoint) {
        self.present.remove(username);
        self.keys.remove(&key);
        self.endpoints.remove(&endpoint);
    }

    /// The table and the catalogue have changed.
    const fn shares_changed(&mut self) {
        self.share_changes += 1;
        self.table_changed = true;
    }

    fn renew_lease(&mut self, now: Timestamp, session: SessionId) {
        let lease = match self.sessions.get_mut(&session).and_then(Session::peer_mut) {
            Some(peer) => {
                peer.last_message = self.calendar;
                limits::LEASE
            }
            None => limits::OBSERVER_TIMEOUT,
        };
        self.leases.set(session, now.after(lease));
        self.observing.received(now, session);
    }

    fn is_peer(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|this| this.peer().is_some())
    }

    fn peers_only(&self, session: SessionId) -> Result<(), Refusal> {
        if self.is_peer(session) {
            return Ok(());
        }
        Err(Refusal {
            reason: Reason::NotAMember,
            text: "only a peer that has joined may do this".to_owned(),
        })
    }

    fn send(&mut self, session: SessionId, message: impl Into<FromManager>) {
        self.outputs.push_back(Output::Send { session, message: message.into() });
    }

    fn refuse(&mut self, session: SessionId, kind: u8, question: Option<u32>, refusal: Refusal) {
        let Refusal { reason, text } = refusal;
        self.send(session, Refused { kind, question, reason, text });
    }
}
