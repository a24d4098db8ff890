//! Random sessions against a model: what is in the catalogue, in the table and in the watchers' minds is exactly
//! what the sessions that are there said.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    Announce, BTreeMap, Config, Content, Duration, FromManager, Hold, Join, LeaveReason, Manager, Output,
    PeerKey, Reason, Renew, SessionId, Timestamp, ToManager, Unhold, UnixTime, Unwatch, Username, Watch,
    Withdraw, content, entry, file, join, names_in,
};

/// Sessions that have not joined, beside the places that are left: so few that they often give way.
const FEW_OBSERVERS: usize = 2;

#[derive(Debug, Clone)]
enum ModelStep {
    Connect { key: u8 },
    Message { session: u8, what: ModelMessage },
    Disconnect { session: u8 },
    Wait { millis: u16 },
    Record { durable: bool },
    Grant { signed: bool },
    UpdatesSent { session: u8 },
}

#[derive(Debug, Clone)]
enum ModelMessage {
    Join(u8),
    JoinUnbound(u8),
    Announce(Vec<(u8, u8)>),
    Withdraw(Vec<u8>),
    Hold(Vec<u8>),
    Unhold(Vec<u8>),
    Watch(Vec<u8>),
    Unwatch(Vec<u8>),
    Renew(bool),
}

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let few = || prop::collection::vec(0u8..6, 0..4);
    let send = prop_oneof![
        3 => (0u8..6).prop_map(ModelMessage::Join),
        2 => (0u8..2).prop_map(ModelMessage::JoinUnbound),
        4 => prop::collection::vec((0u8..6, 0u8..6), 0..5).prop_map(ModelMessage::Announce),
        2 => few().prop_map(ModelMessage::Withdraw),
        2 => few().prop_map(ModelMessage::Hold),
        2 => few().prop_map(ModelMessage::Unhold),
        2 => few().prop_map(ModelMessage::Watch),
        1 => few().prop_map(ModelMessage::Unwatch),
        1 => any::<bool>().prop_map(ModelMessage::Renew),
    ];
    let step = prop_oneof![
        2 => (0u8..8).prop_map(|key| ModelStep::Connect { key }),
        10 => (any::<u8>(), send).prop_map(|(session, what)| ModelStep::Message { session, what }),
        1 => any::<u8>().prop_map(|session| ModelStep::Disconnect { session }),
        2 => prop_oneof![0u16..100, 0u16..20_000].prop_map(|millis| ModelStep::Wait { millis }),
        4 => prop::bool::weighted(0.9).prop_map(|durable| ModelStep::Record { durable }),
        4 => prop::bool::weighted(0.9).prop_map(|signed| ModelStep::Grant { signed }),
        2 => any::<u8>().prop_map(|session| ModelStep::UpdatesSent { session }),
    ];
    prop::collection::vec(prop_oneof![step, Just(ModelStep::Grant { signed: true })], 0..120)
}

/// Usernames of complete and partial holders.
type NamedHolders = (Vec<String>, Vec<String>);

/// What one session said, and was told.
#[derive(Debug, Default)]
struct ModelSession {
    joined: Option<Username>,
    files: BTreeMap<u8, u8>,
    parts: BTreeSet<u8>,
    /// By content: complete and partial holders, as it was last told.
    watched: BTreeMap<u8, Option<NamedHolders>>,
}

struct ManagerModel {
    manager: Manager,
    now: Timestamp,
    next_session: u64,
    sessions: BTreeMap<SessionId, ModelSession>,
    to_record: Vec<Username>,
    to_grant: Vec<SessionId>,
    updates_in_flight: BTreeSet<SessionId>,
}

impl ManagerModel {
    fn new() -> Self {
        Self {
            manager: Manager::new(
                Config { max_peers: 4, max_observers: FEW_OBSERVERS, seed: 5, ..Config::default() },
                [],
            ),
            now: Timestamp::from_micros(0),
            next_session: 0,
            sessions: BTreeMap::new(),
            to_record: vec![],
            to_grant: vec![],
            updates_in_flight: BTreeSet::new(),
        }
    }

    fn session(&self, number: u8) -> Option<SessionId> {
        let at = usize::from(number).checked_rem(self.sessions.len())?;
        self.sessions.keys().nth(at).copied()
    }

    fn step(&mut self, step: ModelStep) {
        match step {
            ModelStep::Connect { key } => {
                let session = SessionId(self.next_session);
                self.next_session += 1;
                self.sessions.insert(session, ModelSession::default());
                let address = ([10, 0, 0, key % 3], 1).into();
                let strangers = self.manager.observing.strangers();
                let is_member = self.manager.members.is_member(PeerKey([key; 32]));
                self.manager.connected(self.now, session, PeerKey([key; 32]), address, address);
                self.carry_out();
                let is_here = self.sessions.contains_key(&session);
                assert!(is_here || !is_member || strangers == 0, "a member is kept out by strangers");
            }
            ModelStep::Message { session, what } => {
                if let Some(session) = self.session(session) {
                    self.send(session, what);
                }
            }
            ModelStep::Disconnect { session } => {
                if let Some(session) = self.session(session) {
                    self.sessions.remove(&session);
                    self.manager.disconnected(self.now, session, LeaveReason::Lost);
                }
            }
            ModelStep::Wait { millis } => {
                self.now = self.now.after(Duration::from_millis(millis.into()));
                self.manager.handle_timeout(self.now);
            }
            ModelStep::Record { durable } => {
                if !self.to_record.is_empty() {
                    self.manager.binding_stored(&self.to_record.remove(0), durable);
                }
            }
            ModelStep::Grant { signed } => {
                if !self.to_grant.is_empty() {
                    let session = self.to_grant.remove(0);
                    let token = signed.then(|| "token".to_owned());
                    self.manager.membership_signed(self.now, UnixTime(1), session, token);
                }
            }
            ModelStep::UpdatesSent { session } => {
                if let Some(session) =
                    self.session(session).filter(|session| self.updates_in_flight.remove(session))
                {
                    self.manager.updates_sent(self.now, session);
                }
            }
        }
        self.carry_out();
    }

    fn send(&mut self, session: SessionId, what: ModelMessage) {
        let contents = |numbers: &[u8]| numbers.iter().map(|number| content(*number)).collect();
        let expected = self.sessions.get_mut(&session).unwrap();
        let is_peer = expected.joined.is_some();
        let message: ToManager = match what {
            ModelMessage::Join(name) => {
                Join { port: 1 + u16::from(name), ..join(&format!("user{name}")) }.into()
            }
            ModelMessage::JoinUnbound(name) => {
                let port = 100 + u16::from(name);
                Join { port, unbound: Some(true), ..join(&format!("user@host{name}")) }.into()
            }
            ModelMessage::Announce(files) => {
                let entries =
                    files.iter().map(|(name, number)| Ok(entry(&format!("f{name}"), *number))).collect();
                if is_peer {
                    for (name, number) in files {
                        expected.files.insert(name, number);
                        expected.parts.remove(&number); // a part is superseded for good, even by what is replaced
                    }
                }
                Announce { number: 1, entries }.into()
            }
            ModelMessage::Withdraw(names) => {
                expected.files.retain(|name, _| !names.contains(name));
                let names = names.iter().map(|name| Ok(file(&format!("f{name}")))).collect();
                Withdraw { number: 1, names }.into()
            }
            ModelMessage::Hold(parts) => {
                let new = parts
                    .iter()
                    .filter(|part| is_peer && !expected.files.values().any(|number| number == *part));
                expected.parts.extend(new);
                Hold { contents: contents(&parts) }.into()
            }
            ModelMessage::Unhold(parts) => {
                expected.parts.retain(|part| !parts.contains(part));
                Unhold { contents: contents(&parts) }.into()
            }
            ModelMessage::Watch(numbers) => {
                expected.watched.extend(numbers.iter().map(|number| (*number, None)));
                Watch { contents: contents(&numbers), again: None }.into()
            }
            ModelMessage::Unwatch(numbers) => {
                expected.watched.retain(|number, _| !numbers.contains(number));
                Unwatch { contents: contents(&numbers) }.into()
            }
            ModelMessage::Renew(membership) => Renew { membership }.into(),
        };
        let asks_bound = matches!(&message, ToManager::Join(join) if join.unbound.is_none());
        let is_member = self.manager.members.is_member(self.manager.sessions[&session].key);
        let bound_before: Vec<_> = self.bound().collect();
        self.manager.handle(self.now, session, message);
        let bound: BTreeSet<_> = self.bound().collect();
        assert!(bound_before.iter().all(|peer| bound.contains(peer)), "one that is bound was displaced");
        if asks_bound && is_member && self.manager.outputs.iter().any(is_refused_as_full) {
            assert_eq!(bound.len(), 4, "a member is kept out by those that are not bound");
        }
    }

    /// Peers, and sessions that are about to be, whose usernames are bound.
    fn bound(&self) -> impl Iterator<Item = SessionId> {
        let sessions = &self.manager.sessions;
        self.manager.present.values().copied().filter(|session| !sessions[session].is_unbound())
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.manager.next_output() {
            match output {
                Output::Send { session, message } => self.receive(session, message),
                Output::HolderUpdates { session, messages } => {
                    assert!(self.updates_in_flight.insert(session), "news while news is on its way");
                    messages.into_iter().for_each(|page| self.receive(session, page.into()));
                }
                Output::StoreBinding { binding } => {
                    assert!(!binding.username.contains('@'), "it is not bound");
                    self.to_record.push(binding.username);
                }
                Output::SignMembership { session, .. } => self.to_grant.push(session),
                Output::Close { session, .. } => drop(self.sessions.remove(&session)),
                Output::Event(_) | Output::TableChanged => {}
            }
        }
        self.updates_in_flight.retain(|session| self.sessions.contains_key(session));
    }

    fn receive(&mut self, session: SessionId, message: FromManager) {
        // What is sent to one that just left is lost.
        let Some(expected) = self.sessions.get_mut(&session) else { return };
        match message {
            FromManager::Joined(joined) => {
                assert_eq!(joined.lease_ms, 15_000);
                let row = self.manager.sessions[&session].peer().unwrap();
                assert_eq!(joined.username, row.username.contains('@').then(|| row.username.clone()));
                expected.joined = Some(row.username.clone());
            }
            FromManager::Holders(page) => {
                for of in &page.contents {
                    let number = (0..6).find(|number| content(*number).id == of.id).unwrap();
                    let named = (names_in(&page, &of.complete), names_in(&page, &of.partial));
                    *expected.watched.get_mut(&number).expect("only what is watched is told") = Some(named);
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        // The table is the sessions that joined.
        let rows: BTreeMap<_, _> =
            self.manager.rows().map(|row| (row.username.clone(), (row.files, row.bytes))).collect();
        let expected = self.sessions.values().filter_map(|expected| {
            let bytes = expected.files.values().map(|number| u64::from(*number)).sum();
            Some((expected.joined.clone()?, (expected.files.len() as u64, bytes)))
        });
        assert_eq!(rows, expected.collect());
        let totals = self.manager.totals();
        assert_eq!(totals.peers, rows.len());
        let rates = self.manager.rows().map(|row| (row.sending, row.receiving));
        let sum = rates.fold((0, 0), |sum, rate| (sum.0 + rate.0, sum.1 + rate.1));
        assert_eq!((totals.sending, totals.receiving), sum);
        // Holders are those who said so, and nobody is left of those who are gone.
        for number in 0..6 {
            let holders = self.manager.catalogue.holders(Content::from(content(number)));
            let (complete, partial) = self.holders(number);
            assert!(holders.into_iter().flat_map(super::super::catalogue::HolderSet::complete).eq(complete));
            assert!(holders.into_iter().flat_map(super::super::catalogue::HolderSet::partial).eq(partial));
        }
        let sessions: BTreeSet<_> = self.sessions.keys().copied().collect();
        let manager = &self.manager;
        assert_eq!(manager.sessions.keys().copied().collect::<BTreeSet<_>>(), sessions);
        assert_eq!(manager.leases.sessions().collect::<BTreeSet<_>>(), sessions);
        assert!(manager.catalogue.check().is_subset(&sessions));
        assert!(manager.watches.sessions().is_subset(&sessions));
        assert!(
            manager.present.values().chain(manager.keys.values()).all(|session| sessions.contains(session))
        );
        assert!(manager.endpoints.values().all(|session| sessions.contains(session)));
        assert_eq!(
            (manager.present.len(), manager.present.len()),
            (manager.keys.len(), manager.endpoints.len())
        );
        assert!(manager.present.len() <= 4);
        let observers = self
            .sessions
            .iter()
            .filter(|(_, expected)| expected.joined.is_none())
            .map(|(session, _)| *session);
        let observers: BTreeSet<_> = observers.collect();
        assert_eq!(manager.observers, observers.len());
        assert_eq!(manager.observing.check(), observers);
        assert!(manager.sessions.len() <= FEW_OBSERVERS + 4);
    }

    fn holders(&self, number: u8) -> (Vec<SessionId>, Vec<SessionId>) {
        let those = |has: &dyn Fn(&ModelSession) -> bool| {
            self.sessions.iter().filter(|(_, expected)| has(expected)).map(|(session, _)| *session).collect()
        };
        let complete = |expected: &ModelSession| expected.files.values().any(|content| *content == number);
        (those(&complete), those(&|expected| expected.parts.contains(&number)))
    }

    /// Everybody reads, time passes: what watchers were told is what is.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.updates_in_flight.clear();
            let all: Vec<_> = self.sessions.keys().copied().collect();
            for session in all {
                self.manager.handle(self.now, session, Renew { membership: false }.into());
                self.manager.updates_sent(self.now, session);
                self.carry_out();
            }
            self.step(ModelStep::Wait { millis: 1000 });
        }
        for (session, expected) in &self.sessions {
            for (number, named) in &expected.watched {
                let (complete, partial) = self.holders(*number);
                let names = |holders: Vec<SessionId>| -> Vec<String> {
                    let others = holders.into_iter().filter(|holder| holder != session);
                    let mut names: Vec<_> = others
                        .map(|holder| self.sessions[&holder].joined.clone().unwrap().to_string())
                        .collect();
                    names.sort();
                    names
                };
                assert_eq!(named.clone(), Some((names(complete), names(partial))));
            }
        }
    }
}

fn is_refused_as_full(output: &Output) -> bool {
    matches!(output, Output::Send { message: FromManager::Refused(refused), .. } if refused.reason == Reason::Full)
}

proptest! {
    #[test]
    fn the_manager_is_what_its_sessions_said(steps in steps()) {
        let mut model = ManagerModel::new();
        for step in steps {
            model.step(step);
            model.check();
        }
        model.settle();
        model.check();
    }
}
