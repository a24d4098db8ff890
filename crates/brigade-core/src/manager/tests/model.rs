//! Random sessions against a model: what is in the catalogue, in the table and in the watchers' minds is exactly
//! what the sessions that are there said.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    Announce, BTreeMap, Config, Content, Departure, Duration, FromManager, Hold, Join, Manager, Output,
    PeerKey, Reason, Renew, SessionId, Timestamp, ToManager, Unhold, UnixTime, Unwatch, Username, Watch,
    Withdraw, content, entry, file, join, names_in,
};

/// Sessions that have not joined, beside the places that are left: so few that they often give way.
const FEW_OBSERVERS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Connect { key: u8 },
    Say { who: u8, what: Say },
    Disconnect { who: u8 },
    Pass { millis: u16 },
    Record { durable: bool },
    Grant { signed: bool },
    NewsSent { who: u8 },
}

#[derive(Debug, Clone)]
enum Say {
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = || prop::collection::vec(0u8..6, 0..4);
    let say = prop_oneof![
        3 => (0u8..6).prop_map(Say::Join),
        2 => (0u8..2).prop_map(Say::JoinUnbound),
        4 => prop::collection::vec((0u8..6, 0u8..6), 0..5).prop_map(Say::Announce),
        2 => few().prop_map(Say::Withdraw),
        2 => few().prop_map(Say::Hold),
        2 => few().prop_map(Say::Unhold),
        2 => few().prop_map(Say::Watch),
        1 => few().prop_map(Say::Unwatch),
        1 => any::<bool>().prop_map(Say::Renew),
    ];
    let step = prop_oneof![
        2 => (0u8..8).prop_map(|key| Step::Connect { key }),
        10 => (any::<u8>(), say).prop_map(|(who, what)| Step::Say { who, what }),
        1 => any::<u8>().prop_map(|who| Step::Disconnect { who }),
        2 => prop_oneof![0u16..100, 0u16..20_000].prop_map(|millis| Step::Pass { millis }),
        4 => prop::bool::weighted(0.9).prop_map(|durable| Step::Record { durable }),
        4 => prop::bool::weighted(0.9).prop_map(|signed| Step::Grant { signed }),
        2 => any::<u8>().prop_map(|who| Step::NewsSent { who }),
    ];
    prop::collection::vec(prop_oneof![step, Just(Step::Grant { signed: true })], 0..120)
}

/// Usernames of complete and partial holders.
type Told = (Vec<String>, Vec<String>);

/// What one session said, and was told.
#[derive(Debug, Default)]
struct Said {
    joined: Option<Username>,
    files: BTreeMap<u8, u8>,
    parts: BTreeSet<u8>,
    /// By content: complete and partial holders, as it was last told.
    watched: BTreeMap<u8, Option<Told>>,
}

struct Model {
    manager: Manager,
    now: Timestamp,
    next_session: u64,
    there: BTreeMap<SessionId, Said>,
    to_record: Vec<Username>,
    to_grant: Vec<SessionId>,
    news_on_its_way: BTreeSet<SessionId>,
}

impl Model {
    fn new() -> Self {
        Self {
            manager: Manager::new(
                Config { max_peers: 4, max_observers: FEW_OBSERVERS, seed: 5, ..Config::default() },
                [],
            ),
            now: Timestamp::from_micros(0),
            next_session: 0,
            there: BTreeMap::new(),
            to_record: vec![],
            to_grant: vec![],
            news_on_its_way: BTreeSet::new(),
        }
    }

    fn who(&self, number: u8) -> Option<SessionId> {
        let at = usize::from(number).checked_rem(self.there.len())?;
        self.there.keys().nth(at).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect { key } => {
                let session = SessionId(self.next_session);
                self.next_session += 1;
                self.there.insert(session, Said::default());
                let address = ([10, 0, 0, key % 3], 1).into();
                let strangers = self.manager.observing.strangers();
                let is_member = self.manager.members.is_member(PeerKey([key; 32]));
                self.manager.connected(self.now, session, PeerKey([key; 32]), address, address);
                self.carry_out();
                let is_here = self.there.contains_key(&session);
                assert!(is_here || !is_member || strangers == 0, "a member is kept out by strangers");
            }
            Step::Say { who, what } => {
                if let Some(session) = self.who(who) {
                    self.say(session, what);
                }
            }
            Step::Disconnect { who } => {
                if let Some(session) = self.who(who) {
                    self.there.remove(&session);
                    self.manager.disconnected(self.now, session, Departure::Lost);
                }
            }
            Step::Pass { millis } => {
                self.now = self.now.after(Duration::from_millis(millis.into()));
                self.manager.handle_timeout(self.now);
            }
            Step::Record { durable } => {
                if !self.to_record.is_empty() {
                    self.manager.recorded(&self.to_record.remove(0), durable);
                }
            }
            Step::Grant { signed } => {
                if !self.to_grant.is_empty() {
                    let session = self.to_grant.remove(0);
                    let token = signed.then(|| "token".to_owned());
                    self.manager.granted(self.now, UnixTime(1), session, token);
                }
            }
            Step::NewsSent { who } => {
                if let Some(session) = self.who(who).filter(|session| self.news_on_its_way.remove(session)) {
                    self.manager.news_sent(self.now, session);
                }
            }
        }
        self.carry_out();
    }

    fn say(&mut self, session: SessionId, what: Say) {
        let contents = |numbers: &[u8]| numbers.iter().map(|number| content(*number)).collect();
        let said = self.there.get_mut(&session).unwrap();
        let is_peer = said.joined.is_some();
        let message: ToManager = match what {
            Say::Join(name) => Join { port: 1 + u16::from(name), ..join(&format!("user{name}")) }.into(),
            Say::JoinUnbound(name) => {
                let port = 100 + u16::from(name);
                Join { port, unbound: Some(true), ..join(&format!("user@host{name}")) }.into()
            }
            Say::Announce(files) => {
                let entries =
                    files.iter().map(|(name, number)| Ok(entry(&format!("f{name}"), *number))).collect();
                if is_peer {
                    for (name, number) in files {
                        said.files.insert(name, number);
                        said.parts.remove(&number); // a part is superseded for good, even by what is replaced
                    }
                }
                Announce { number: 1, entries }.into()
            }
            Say::Withdraw(names) => {
                said.files.retain(|name, _| !names.contains(name));
                let names = names.iter().map(|name| Ok(file(&format!("f{name}")))).collect();
                Withdraw { number: 1, names }.into()
            }
            Say::Hold(parts) => {
                let new =
                    parts.iter().filter(|part| is_peer && !said.files.values().any(|number| number == *part));
                said.parts.extend(new);
                Hold { contents: contents(&parts) }.into()
            }
            Say::Unhold(parts) => {
                said.parts.retain(|part| !parts.contains(part));
                Unhold { contents: contents(&parts) }.into()
            }
            Say::Watch(numbers) => {
                said.watched.extend(numbers.iter().map(|number| (*number, None)));
                Watch { contents: contents(&numbers), again: None }.into()
            }
            Say::Unwatch(numbers) => {
                said.watched.retain(|number, _| !numbers.contains(number));
                Unwatch { contents: contents(&numbers) }.into()
            }
            Say::Renew(membership) => Renew { membership }.into(),
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
                Output::Send { session, message } => self.hear(session, message),
                Output::News { session, messages } => {
                    assert!(self.news_on_its_way.insert(session), "news while news is on its way");
                    messages.into_iter().for_each(|page| self.hear(session, page.into()));
                }
                Output::Record { binding } => {
                    assert!(!binding.username.contains('@'), "it is not bound");
                    self.to_record.push(binding.username);
                }
                Output::Grant { session, .. } => self.to_grant.push(session),
                Output::Close { session, .. } => drop(self.there.remove(&session)),
                Output::Event(_) | Output::TableChanged => {}
            }
        }
        self.news_on_its_way.retain(|session| self.there.contains_key(session));
    }

    fn hear(&mut self, session: SessionId, message: FromManager) {
        // What is sent to one that just left is lost.
        let Some(said) = self.there.get_mut(&session) else { return };
        match message {
            FromManager::Joined(joined) => {
                assert_eq!(joined.lease_ms, 15_000);
                let row = self.manager.sessions[&session].peer().unwrap();
                assert_eq!(joined.username, row.username.contains('@').then(|| row.username.clone()));
                said.joined = Some(row.username.clone());
            }
            FromManager::Holders(page) => {
                for of in &page.contents {
                    let number = (0..6).find(|number| content(*number).id == of.id).unwrap();
                    let told = (names_in(&page, &of.complete), names_in(&page, &of.partial));
                    *said.watched.get_mut(&number).expect("only what is watched is told") = Some(told);
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        // The table is the sessions that joined.
        let rows: BTreeMap<_, _> =
            self.manager.rows().map(|row| (row.username.clone(), (row.files, row.bytes))).collect();
        let said = self.there.values().filter_map(|said| {
            let bytes = said.files.values().map(|number| u64::from(*number)).sum();
            Some((said.joined.clone()?, (said.files.len() as u64, bytes)))
        });
        assert_eq!(rows, said.collect());
        // Holders are those who said so, and nobody is left of those who are gone.
        for number in 0..6 {
            let holders = self.manager.catalogue.holders(Content::from(content(number)));
            let (complete, partial) = self.holders(number);
            assert!(holders.into_iter().flat_map(super::super::catalogue::Holders::complete).eq(complete));
            assert!(holders.into_iter().flat_map(super::super::catalogue::Holders::partial).eq(partial));
        }
        let there: BTreeSet<_> = self.there.keys().copied().collect();
        let manager = &self.manager;
        assert_eq!(manager.sessions.keys().copied().collect::<BTreeSet<_>>(), there);
        assert_eq!(manager.leases.sessions().collect::<BTreeSet<_>>(), there);
        assert!(manager.catalogue.check().is_subset(&there));
        assert!(manager.watches.sessions().is_subset(&there));
        assert!(manager.present.values().chain(manager.keys.values()).all(|session| there.contains(session)));
        assert!(manager.places.values().all(|session| there.contains(session)));
        assert_eq!(
            (manager.present.len(), manager.present.len()),
            (manager.keys.len(), manager.places.len())
        );
        assert!(manager.present.len() <= 4);
        let observers =
            self.there.iter().filter(|(_, said)| said.joined.is_none()).map(|(session, _)| *session);
        let observers: BTreeSet<_> = observers.collect();
        assert_eq!(manager.observers, observers.len());
        assert_eq!(manager.observing.check(), observers);
        assert!(manager.sessions.len() <= FEW_OBSERVERS + 4);
    }

    fn holders(&self, number: u8) -> (Vec<SessionId>, Vec<SessionId>) {
        let those = |has: &dyn Fn(&Said) -> bool| {
            self.there.iter().filter(|(_, said)| has(said)).map(|(session, _)| *session).collect()
        };
        let complete = |said: &Said| said.files.values().any(|content| *content == number);
        (those(&complete), those(&|said| said.parts.contains(&number)))
    }

    /// Everybody reads, time passes: what watchers were told is what is.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.news_on_its_way.clear();
            let all: Vec<_> = self.there.keys().copied().collect();
            for session in all {
                self.manager.handle(self.now, session, Renew { membership: false }.into());
                self.manager.news_sent(self.now, session);
                self.carry_out();
            }
            self.step(Step::Pass { millis: 1000 });
        }
        for (session, said) in &self.there {
            for (number, told) in &said.watched {
                let (complete, partial) = self.holders(*number);
                let names = |holders: Vec<SessionId>| -> Vec<String> {
                    let others = holders.into_iter().filter(|holder| holder != session);
                    let mut names: Vec<_> = others
                        .map(|holder| self.there[&holder].joined.clone().unwrap().to_string())
                        .collect();
                    names.sort();
                    names
                };
                assert_eq!(told.clone(), Some((names(complete), names(partial))));
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
        let mut model = Model::new();
        for step in steps {
            model.step(step);
            model.check();
        }
        model.settle();
        model.check();
    }
}
