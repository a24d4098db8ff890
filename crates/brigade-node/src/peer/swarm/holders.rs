//! The holders: a number for each key, the last address and the last error, and which of them the manager names.
//!
//! The core knows a holder by its number. Once there are many, holders without a reference are forgotten; one that is
//! named again gets another number. An error is kept until a piece of the holder is stored; it changes nothing, but a
//! fetch that waits shows it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    error::Error,
    net::SocketAddr,
    sync::Arc,
};

use brigade_core::{
    download::{HolderFault, HolderId},
    id::{Content, PeerKey},
    limits,
    name::Username,
    wire::manager::{ContentHolders, Holders, PeerAddress},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{
    clock,
    identity::{
        key::SecretKey,
        membership::{self, MembershipError},
    },
    peer_error::text_with_causes,
    progress::{UnreachableHolder, UnusableHolders},
    transport::{
        dial::{DialError, dial},
        greeting::{GreetError, GreetedConnection},
        own_hello::own_hello,
    },
};

/// A peer that may hold a content: its key, and its last known name and address.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: HolderId,
    pub(crate) username: Username,
    pub(crate) key: PeerKey,
    pub(crate) address: SocketAddr,
}

/// The error for a holder to which no connection was established.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachHolderError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Greet(#[from] GreetError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error("the holder at {address} is {found}, not {expected}")]
    Name { address: SocketAddr, expected: Username, found: Username },
    #[error(
        "the manager knows only its link-local address, which peers can use only if they reach the manager at a \
         link-local address too (--manager-host)"
    )]
    LinkLocal,
    #[error("all connection slots are in use (--max)")]
    NoFreeConnection,
    #[error("the peer is stopping")]
    Stopping,
}

impl Holder {
    /// Waits for a connection slot, dials the holder, and greets it as a member of `network`; it must be the expected
    /// member of that network.
    pub(crate) async fn connect(
        &self,
        key: &SecretKey,
        network: PeerKey,
        own_membership: &watch::Receiver<String>,
        slots: &Arc<Semaphore>,
    ) -> Result<(GreetedConnection, OwnedSemaphorePermit), ReachHolderError> {
        // Where all slots are taken for long, the holder counts as one that cannot be reached, and is tried later.
        let slot = timeout(limits::GREETING_TIME, slots.clone().acquire_owned()).await;
        let slot =
            slot.map_err(|_| ReachHolderError::NoFreeConnection)?.map_err(|_| ReachHolderError::Stopping)?;
        let dialled = dial(&[self.address], key, Some(self.key)).await;
        let connection = dialled.map_err(|error| match error {
            DialError::NoZone { .. } => ReachHolderError::LinkLocal,
            error => error.into(),
        })?;
        let hello = own_hello(Some(own_membership.borrow().clone()));
        let session = connection.greet(hello).await?;
        let token = session.hello.membership.as_deref();
        let claims = membership::verify(token, network, self.key, clock::unix_now())?;
        if claims.username != self.username {
            let (address, expected) = (self.address, self.username.clone());
            return Err(ReachHolderError::Name { address, expected, found: claims.username });
        }
        Ok((session, slot))
    }
}

/// Holders by key and by number.
#[derive(Debug)]
pub(crate) struct HolderTable {
    ids: BTreeMap<PeerKey, HolderId>,
    holders: BTreeMap<HolderId, Holder>,
    /// The last error of each holder that could not be used.
    errors: BTreeMap<HolderId, UnreachableHolder>,
    last: u32,
    /// The number of holders from which on those without a reference are forgotten.
    most: usize,
}

impl Default for HolderTable {
    fn default() -> Self {
        let (ids, holders, errors) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { ids, holders, errors, last: 0, most: limits::REMEMBERED_HOLDERS }
    }
}

impl HolderTable {
    /// The number of a peer that the manager named, and its address now; `None` for an address that is not valid.
    fn add(&mut self, peer: &PeerAddress) -> Option<HolderId> {
        let address: SocketAddr = peer.address.parse().ok()?;
        let last = &mut self.last;
        let id = *self.ids.entry(peer.key).or_insert_with(|| {
            *last += 1;
            HolderId(*last)
        });
        let holder = Holder { id, username: peer.username.clone(), key: peer.key, address };
        self.holders.insert(id, holder);
        Some(id)
    }

    /// Adds the holders that the manager named: each content, its complete and its partial holders.
    pub(crate) fn add_all(&mut self, named: &Holders) -> Vec<(Content, Vec<HolderId>, Vec<HolderId>)> {
        let ids: Vec<Option<HolderId>> = named.peers.iter().map(|peer| self.add(peer)).collect();
        let known = |positions: &[u32]| -> Vec<HolderId> {
            let id = |position: &u32| ids.get(usize::try_from(*position).ok()?).copied().flatten();
            positions.iter().filter_map(id).collect()
        };
        let of_one = |of: &ContentHolders| {
            (Content { id: of.id, size: of.size }, known(&of.complete), known(&of.partial))
        };
        named.contents.iter().map(of_one).collect()
    }

    pub(crate) fn get(&self, holder: HolderId) -> Option<&Holder> {
        self.holders.get(&holder)
    }

    /// Whether holders without a reference are to be forgotten.
    pub(crate) fn is_large(&self) -> bool {
        self.ids.len() >= self.most
    }

    /// Forgets all but these. If many stay, the table may grow more before this is done again.
    pub(crate) fn forget_all_but(&mut self, referred_to: &BTreeSet<HolderId>) {
        self.ids.retain(|_, id| referred_to.contains(id));
        self.holders.retain(|id, _| referred_to.contains(id));
        self.most = limits::REMEMBERED_HOLDERS.max(2 * self.ids.len());
    }

    /// Notes why a connection to a holder ended, or was not established.
    pub(crate) fn set_error(&mut self, id: HolderId, error: &dyn Error) {
        let Some(Holder { username, address, .. }) = self.holders.get(&id) else { return };
        let cause = text_with_causes(error);
        let unreached = UnreachableHolder { username: username.clone(), address: *address, cause };
        if self.errors.len() >= limits::UNREACHED_KEPT && !self.errors.contains_key(&id) {
            self.errors.pop_first(); // the holder that has been known for longest
        }
        self.errors.insert(id, unreached);
    }

    /// A piece of the holder is stored: its last error does not matter any more.
    pub(crate) fn clear_error(&mut self, holder: HolderId) {
        if !self.errors.is_empty() {
            self.errors.remove(&holder);
        }
    }

    /// A holder that sent wrong data, for people.
    fn with_fault(&self, id: HolderId, fault: HolderFault) -> Option<UnreachableHolder> {
        let Holder { username, address, .. } = self.holders.get(&id)?;
        let cause = format!("its data is wrong: {fault}");
        Some(UnreachableHolder { username: username.clone(), address: *address, cause })
    }
}

/// What the manager is to be told.
#[derive(Debug)]
pub(crate) enum ManagerUpdate {
    /// The manager is to name the holders of these contents, now and when they change.
    Watch(Vec<Content>),
    /// The manager is to name other holders than before; the number says how often it was asked.
    WatchOthers(Content, u32),
    /// The holders of these contents do not matter any more.
    Unwatch(Vec<Content>),
    /// This peer has a part of a content and serves it.
    Hold(Content),
    /// This peer does not serve the part any more.
    Unhold(Content),
}

/// The contents whose unusable holders are shown, apart from the starved ones: mostly they have the same holders.
const CONTENTS_CHECKED: usize = 64;

/// The holders that the manager names of each content, and what it is to be told.
#[derive(Debug, Default)]
pub(crate) struct NamedHolders {
    by_content: HashMap<Content, NamedOfContent>,
    /// The holders that sent wrong data for a content: they are not used for it any more.
    faults: BTreeMap<Content, BTreeMap<HolderId, HolderFault>>,
    /// Contents of which the manager is to name the holders from now on.
    to_watch: Vec<Content>,
    updates: VecDeque<ManagerUpdate>,
}

/// The holders of one content.
#[derive(Debug, Default)]
struct NamedOfContent {
    /// Complete and partial holders of now; `None` before the manager named any.
    now: Option<(Vec<HolderId>, Vec<HolderId>)>,
    /// The complete holders, when the manager last named some; empty while it names some.
    last_complete: Vec<HolderId>,
    /// How often the manager was asked for other holders.
    asked_for_others: u32,
    /// Whether the manager was asked to name the holders.
    is_watched: bool,
}

impl NamedOfContent {
    fn all_now(&self) -> impl Iterator<Item = HolderId> {
        self.now.iter().flat_map(|(complete, partial)| complete.iter().chain(partial)).copied()
    }
}

impl NamedHolders {
    /// The manager named these holders of a content.
    pub(crate) fn set(&mut self, content: Content, complete: &[HolderId], partial: &[HolderId]) {
        // The manager names no more than this.
        let complete = &complete[..complete.len().min(limits::HOLDERS_NAMED)];
        let partial = &partial[..partial.len().min(limits::HOLDERS_NAMED)];
        let named = self.by_content.entry(content).or_default();
        let before = named.now.replace((complete.to_vec(), partial.to_vec()));
        if !complete.is_empty() {
            named.last_complete = Vec::new();
        } else if let Some((before, _)) = before.filter(|(before, _)| !before.is_empty()) {
            named.last_complete = before;
        }
    }

    /// The manager is to name the holders of a content. Each of them may be used, whatever it sent before.
    pub(crate) fn watch(&mut self, content: Content) {
        self.faults.remove(&content);
        self.to_watch.push(content);
    }

    /// A holder sent wrong data for a content.
    pub(crate) fn set_fault(&mut self, content: Content, holder: HolderId, fault: HolderFault) {
        self.faults.entry(content).or_default().insert(holder, fault);
    }

    /// The manager is to name other holders than before of a content.
    pub(crate) fn watch_others(&mut self, content: Content) {
        let named = self.by_content.entry(content).or_default();
        named.asked_for_others += 1;
        self.updates.push_back(ManagerUpdate::WatchOthers(content, named.asked_for_others));
    }

    /// This peer has a part of a content and serves it.
    pub(crate) fn hold(&mut self, content: Content) {
        self.updates.push_back(ManagerUpdate::Hold(content));
    }

    /// The download of a content has ended: its holders do not matter any more, and its part, if any, is not served.
    pub(crate) fn end(&mut self, content: Content, is_served: bool) {
        self.faults.remove(&content);
        let named = self.by_content.remove(&content);
        if let Some(waiting) = self.to_watch.iter().position(|waiting| *waiting == content) {
            self.to_watch.remove(waiting);
        }
        // A download that goes on after a pause is watched twice: the first watch may have been sent.
        if named.is_some_and(|named| named.is_watched) {
            self.unwatch(content);
        }
        if is_served {
            self.updates.push_back(ManagerUpdate::Unhold(content));
        }
    }

    /// The manager is not to name the holders of a content any more. Many small contents end together: then they are in
    /// one update.
    fn unwatch(&mut self, content: Content) {
        match self.updates.back_mut() {
            Some(ManagerUpdate::Unwatch(contents)) if contents.len() < limits::WATCH_CONTENTS => {
                contents.push(content);
            }
            _ => self.updates.push_back(ManagerUpdate::Unwatch(vec![content])),
        }
    }

    /// What the manager is to be told next. Contents to watch are gathered until there is nothing else.
    pub(crate) fn next_update(&mut self) -> Option<ManagerUpdate> {
        self.updates.pop_front().or_else(|| {
            let page = self.to_watch.len().min(limits::WATCH_CONTENTS);
            let page: Vec<Content> = self.to_watch.drain(..page).collect();
            page.iter().for_each(|content| self.by_content.entry(*content).or_default().is_watched = true);
            (!page.is_empty()).then_some(ManagerUpdate::Watch(page))
        })
    }

    /// The holders of all contents, with those that were the last complete ones.
    pub(crate) fn all(&self) -> impl Iterator<Item = HolderId> {
        self.by_content.values().flat_map(|named| named.all_now().chain(named.last_complete.iter().copied()))
    }

    /// The complete and the partial holders of a content now; `None` before the manager named any.
    pub(crate) fn now(&self, content: &Content) -> Option<(Vec<HolderId>, Vec<HolderId>)> {
        self.by_content.get(content)?.now.clone()
    }

    /// How many of a few `holders` the manager names of these contents now. Mostly the first content has all of them.
    pub(crate) fn count_named(&self, contents: &[Content], mut holders: Vec<HolderId>) -> usize {
        let all = holders.len();
        for named in contents.iter().filter_map(|content| self.by_content.get(content)) {
            if holders.is_empty() {
                break;
            }
            holders.retain(|holder| !named.all_now().any(|named| named == *holder));
        }
        all - holders.len()
    }

    /// The holders of active contents that cannot be used, with the errors in `known`; some of the contents are
    /// `starved`.
    pub(crate) fn unusable(
        &self,
        [contents, starved]: [&[Content]; 2],
        known: &HolderTable,
        is_connected: impl Fn(&HolderId) -> bool,
    ) -> UnusableHolders {
        let mut found = UnusableHolders::default();
        if known.errors.is_empty() && self.faults.is_empty() {
            return found;
        }
        let mut shown = BTreeMap::new();
        let others = contents.iter().take(CONTENTS_CHECKED).map(|content| (content, false));
        for (content, is_starved) in starved.iter().map(|content| (content, true)).chain(others) {
            let Some(named) = self.by_content.get(content) else { continue };
            let fault = |holder: &HolderId| self.faults.get(content)?.get(holder).copied();
            let (mut all, mut wrong, mut failed, mut usable) = (0, 0, 0, 0);
            for holder in named.all_now() {
                all += 1;
                // An error from before the connection matters only if the holder is of no use.
                let error = known.errors.get(&holder).filter(|_| is_starved || !is_connected(&holder));
                let unusable = fault(&holder).and_then(|fault| known.with_fault(holder, fault));
                wrong += usize::from(unusable.is_some());
                failed += usize::from(error.is_some());
                usable += usize::from(is_connected(&holder));
                if let Some(unusable) = unusable.or_else(|| error.cloned())
                    && shown.len() < limits::UNREACHED_SHOWN
                {
                    shown.entry(holder).or_insert(unusable);
                }
            }
            if is_starved {
                found.wrong_data = found.wrong_data.max(wrong);
                let are_out_of_reach = failed == all && wrong == 0 && usable == 0;
                found.out_of_reach = found.out_of_reach.max(if are_out_of_reach { all } else { 0 });
            }
        }
        found.shown = shown.into_values().collect();
        found
    }

    /// The holders that had all of a content, if the manager says that there is none now. Others that fetch it may have
    /// parts.
    pub(crate) fn lost(&self, content: &Content) -> Option<&[HolderId]> {
        let named = self.by_content.get(content)?;
        let has_none = named.now.as_ref().is_some_and(|(complete, _)| complete.is_empty());
        has_none.then_some(&named.last_complete)
    }
}

#[cfg(test)]
mod tests;
