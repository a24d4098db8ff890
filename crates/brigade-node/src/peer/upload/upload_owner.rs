//! The task that owns the core's `Upload`: it gives downloaders turns and slots while sending has a limit.
//!
//! Wants of downloaders arrive here, and offers go to their connections; a connection waits here for the right to send
//! a piece, a [`Slot`]. Without a limit this task is not used: every connection sends as fast as its downloader reads.

use std::collections::{BTreeMap, VecDeque};

use brigade_core::{
    geometry::PieceIndex,
    id::{Content, PeerKey},
    rate::Cap,
    upload::{DownloaderId, Grant, OfferId, Upload, WantedContent},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Messages that wait for the owner: far more than honest downloaders send. A connection that sends more is closed.
const QUEUE: usize = 8192;

/// Sends messages to the owner of the slots.
#[derive(Debug, Clone)]
pub(crate) struct Uploads(pub(crate) mpsc::Sender<ToUploadOwner>);

impl Uploads {
    /// Waits for the right to send a piece, which may have been offered; `None` if the owner has ended.
    pub(crate) async fn slot(&self, downloader: PeerKey, offer: Option<OfferId>) -> Option<Slot> {
        let (granted, slot) = oneshot::channel();
        self.0.send(ToUploadOwner::Slot { downloader, offer, granted }).await.ok()?;
        slot.await.ok()
    }

    /// Sends a message that must not be lost, without waiting; if the queue is full, a little later.
    pub(crate) fn send_later(&self, message: ToUploadOwner) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.0.try_send(message) {
            let owner = self.0.clone();
            tokio::spawn(async move { owner.send(message).await });
        }
    }
}

/// The right to send one piece; it is free for others when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) owner: Uploads,
    pub(crate) downloader: PeerKey,
    pub(crate) offer: Option<OfferId>,
    /// The bytes that were sent with it.
    pub(crate) bytes: u64,
    /// Whether the rest of the piece is sent without it, because it was given up for others.
    pub(crate) continues_without_slot: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Self { downloader, offer, bytes, continues_without_slot, .. } = *self;
        self.owner.send_later(ToUploadOwner::Done { downloader, offer, bytes, continues_without_slot });
    }
}

/// An offer for which the downloader requested a piece. It is given back when it is dropped before its piece has a
/// slot.
#[derive(Debug)]
pub(crate) struct AcceptedOffer {
    owner: Uploads,
    downloader: PeerKey,
    offer: OfferId,
    is_open: bool,
}

impl AcceptedOffer {
    /// An offer that was accepted just now.
    pub(crate) fn new(owner: Uploads, downloader: PeerKey, offer: OfferId) -> Self {
        Self { owner, downloader, offer, is_open: true }
    }

    /// The number of the offer.
    pub(crate) fn offer(&self) -> OfferId {
        self.offer
    }

    /// Its piece has a slot, which from now on reports to the owner.
    pub(crate) fn set_has_slot(&mut self) {
        self.is_open = false;
    }
}

impl Drop for AcceptedOffer {
    fn drop(&mut self) {
        if self.is_open {
            self.owner.send_later(ToUploadOwner::GiveBack(self.downloader, self.offer));
        }
    }
}

/// A message to the owner of the slots.
#[derive(Debug)]
pub(crate) enum ToUploadOwner {
    /// A downloader connected, perhaps for the second time.
    Connected(PeerKey),
    /// A connection of a downloader ended.
    Disconnected(PeerKey, OfferSender),
    /// A downloader wants any piece of a content.
    Want { downloader: PeerKey, want: WantedContent, offers: OfferSender },
    /// A downloader wants nothing more of a content.
    Unwant(PeerKey, Content, OfferSender),
    /// A downloader requested a piece for an offer.
    Accept(PeerKey, OfferId, PieceIndex),
    /// A request for an offer cannot be answered.
    GiveBack(PeerKey, OfferId),
    /// A piece is the next one on its connection.
    Slot { downloader: PeerKey, offer: Option<OfferId>, granted: oneshot::Sender<Slot> },
    /// A slot is free again.
    Done { downloader: PeerKey, offer: Option<OfferId>, bytes: u64, continues_without_slot: bool },
}

/// The sender of a connection's offers; it also identifies the connection.
pub(crate) type OfferSender = mpsc::Sender<Offered>;

/// An offer of a turn to a downloader.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) offer: OfferId,
    pub(crate) content: Content,
    pub(crate) pieces: Vec<PieceIndex>,
}

/// Starts the owner of the slots, for the limit in `cap`; it runs until `stop`.
pub(crate) fn start(cap: watch::Receiver<Cap>, stop: CancellationToken) -> Uploads {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let uploads = Uploads(sender);
    let owner = UploadOwner::new(uploads.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = owner.run(receiver, cap) => {}
            () = stop.cancelled() => {}
        }
    });
    uploads
}

/// The task that owns the core's `Upload`.
struct UploadOwner {
    /// For the slots that it grants, which report to it.
    uploads: Uploads,
    upload: Upload,
    ids: DownloaderIds,
    downloaders: BTreeMap<DownloaderId, ConnectedDownloader>,
    /// The requests for accepted offers, which wait for their slot.
    accepted: BTreeMap<OfferId, (DownloaderId, oneshot::Sender<Slot>)>,
}

/// A downloader with at least one connection.
#[derive(Default)]
struct ConnectedDownloader {
    connections: usize,
    key: Option<PeerKey>,
    /// The wanted contents and the connections that want them, the latest last.
    wants: Vec<(WantedContent, OfferSender)>,
    /// Pieces without an offer, which wait for a slot.
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl ConnectedDownloader {
    /// The connection that wanted a content last: an earlier one may be dead already.
    fn last_want(&self, content: &Content) -> Option<&(WantedContent, OfferSender)> {
        self.wants.iter().rev().find(|(want, _)| want.content == *content)
    }
}

impl UploadOwner {
    fn new(uploads: Uploads) -> Self {
        let upload = Upload::new(None, clock::now().as_micros());
        let ids = DownloaderIds::default();
        Self { uploads, upload, ids, downloaders: BTreeMap::new(), accepted: BTreeMap::new() }
    }

    async fn run(mut self, mut messages: mpsc::Receiver<ToUploadOwner>, mut cap: watch::Receiver<Cap>) {
        let mut limit_may_change = true;
        loop {
            self.upload.set_limit(cap.borrow_and_update().bytes_per_second());
            self.upload.handle_timeout(clock::now()); // so that offers are made at the right time
            self.carry_out();
            tokio::select! {
                biased;
                changed = cap.changed(), if limit_may_change => limit_may_change = changed.is_ok(),
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    self.handle(message);
                }
                () = clock::reach(self.upload.deadline()) => {}
            }
        }
    }

    /// Handles a message. A late message about a downloader that was forgotten has no effect.
    fn handle(&mut self, message: ToUploadOwner) {
        let now = clock::now();
        match message {
            ToUploadOwner::Connected(key) => {
                let downloader = self.downloaders.entry(self.ids.get_or_insert(key)).or_default();
                downloader.connections += 1;
                downloader.key = Some(key);
            }
            ToUploadOwner::Disconnected(key, offers) => self.disconnected(key, &offers),
            ToUploadOwner::Want { downloader, want, offers } => self.want(downloader, want, offers),
            ToUploadOwner::Unwant(key, content, offers) => {
                let Some(id) = self.ids.get(key) else { return };
                self.unwant(id, &content, &offers);
            }
            ToUploadOwner::Accept(key, offer, piece) => {
                let id = self.ids.get(key).filter(|id| self.downloaders.contains_key(id));
                let Some(id) = id else { return };
                self.upload.accept(now, id, offer, piece);
            }
            ToUploadOwner::GiveBack(key, offer) => {
                self.accepted.remove(&offer);
                let Some(id) = self.ids.get(key) else { return };
                self.upload.give_back(id, offer);
            }
            ToUploadOwner::Slot { downloader, offer, granted } => {
                self.wait_for_slot(downloader, offer, granted);
            }
            ToUploadOwner::Done { downloader, offer, bytes, continues_without_slot } => {
                let Some(id) = self.ids.get(downloader) else { return };
                if let Some(offer) = offer.filter(|_| continues_without_slot) {
                    self.upload.goes_on(offer);
                }
                self.upload.done(now, id, offer, bytes);
            }
        }
    }

    /// A connection ended.
    fn disconnected(&mut self, key: PeerKey, offers: &OfferSender) {
        let Some(id) = self.ids.get(key) else { return };
        let Some(downloader) = self.downloaders.get_mut(&id) else { return };
        downloader.connections = downloader.connections.saturating_sub(1);
        if downloader.connections == 0 {
            self.downloaders.remove(&id);
            if let Some(forgotten) = self.upload.disconnected(id) {
                self.ids.remove(forgotten);
            }
            return self.accepted.retain(|_, (of, granted)| *of != id && !granted.is_closed());
        }
        let wants = downloader.wants.iter().filter(|(_, other)| other.same_channel(offers));
        let contents: Vec<Content> = wants.map(|(want, _)| want.content).collect();
        contents.iter().for_each(|content| self.unwant(id, content, offers));
    }

    /// A connection wants any piece of a content. So this connection is alive, and another one of the downloader may be
    /// dead: its offers take no turns any more, and its wants wait until the downloader repeats them.
    fn want(&mut self, key: PeerKey, want: WantedContent, offers: OfferSender) {
        let Some(id) = self.ids.get(key) else { return };
        let Some(downloader) = self.downloaders.get_mut(&id) else { return };
        downloader.wants.retain(|(old, of)| old.content != want.content || !of.same_channel(&offers));
        for (other, _) in downloader.wants.iter().filter(|(_, of)| !of.same_channel(&offers)) {
            self.upload.unwant(id, &other.content);
        }
        downloader.wants.push((want, offers.clone()));
        for (own, _) in downloader.wants.iter().filter(|(_, of)| of.same_channel(&offers)) {
            self.upload.want(clock::now(), id, *own);
        }
    }

    /// A connection wants nothing more of a content. Its offers end; if another connection of the downloader wants the
    /// content, the next offer goes there.
    fn unwant(&mut self, id: DownloaderId, content: &Content, offers: &OfferSender) {
        let Some(downloader) = self.downloaders.get_mut(&id) else { return };
        downloader.wants.retain(|(want, of)| want.content != *content || !of.same_channel(offers));
        self.upload.unwant(id, content);
        if let Some((want, _)) = downloader.last_want(content) {
            self.upload.want(clock::now(), id, *want);
        }
    }

    /// A piece is the next one on a connection. If the connection has ended, there is no answer.
    fn wait_for_slot(&mut self, key: PeerKey, offer: Option<OfferId>, granted: oneshot::Sender<Slot>) {
        let Some(id) = self.ids.get(key) else { return };
        let Some(downloader) = self.downloaders.get_mut(&id) else { return };
        if let Some(offer) = offer
            && self.upload.ready(id, offer)
        {
            self.accepted.insert(offer, (id, granted));
            return;
        }
        let before = downloader.waiting.len();
        downloader.waiting.retain(|granted| !granted.is_closed());
        let taken_back = before - downloader.waiting.len();
        downloader.waiting.push_back(granted);
        (0..taken_back).for_each(|_| self.upload.cancel(id));
        self.upload.request(clock::now(), id);
    }

    /// Carries out all grants of the core.
    fn carry_out(&mut self) {
        while let Some(grant) = self.upload.next_grant() {
            match grant {
                Grant::Offer { downloader: id, offer, content, pieces } => {
                    let downloader = self.downloaders.get(&id);
                    let want = downloader.and_then(|downloader| downloader.last_want(&content));
                    // If the connection has ended, its message follows; if it does not answer, the offer expires.
                    let sent = want.map(|(_, offers)| offers.try_send(Offered { offer, content, pieces }));
                    drop(sent);
                }
                Grant::Serve { downloader: id, offer } => {
                    let downloader = self.downloaders.get_mut(&id);
                    let key = downloader.as_ref().and_then(|downloader| downloader.key);
                    let granted = match offer {
                        Some(offer) => self.accepted.remove(&offer).map(|(_, granted)| granted),
                        None => downloader.and_then(|downloader| downloader.waiting.pop_front()),
                    };
                    let (Some(downloader), Some(granted)) = (key, granted) else {
                        self.upload.done(clock::now(), id, offer, 0);
                        continue;
                    };
                    let owner = self.uploads.clone();
                    let slot = Slot { owner, downloader, offer, bytes: 0, continues_without_slot: false };
                    // If the receiver is dropped, dropping the slot frees it.
                    drop(granted.send(slot));
                }
            }
        }
    }
}

/// The core's ids of downloaders, by key. An id lasts while its downloader is connected, or remembered by the core.
#[derive(Debug, Default)]
struct DownloaderIds {
    by_key: BTreeMap<PeerKey, DownloaderId>,
    keys: BTreeMap<DownloaderId, PeerKey>,
    last: u32,
}

impl DownloaderIds {
    /// The id of a key that has one.
    fn get(&self, key: PeerKey) -> Option<DownloaderId> {
        self.by_key.get(&key).copied()
    }

    /// The id of a key; a new one if it has none.
    fn get_or_insert(&mut self, key: PeerKey) -> DownloaderId {
        if let Some(id) = self.get(key) {
            return id;
        }
        // After four thousand million ids they start again at 0: those that are in use are skipped.
        let next = loop {
            self.last = self.last.wrapping_add(1);
            if !self.keys.contains_key(&DownloaderId(self.last)) {
                break DownloaderId(self.last);
            }
        };
        self.by_key.insert(key, next);
        self.keys.insert(next, key);
        next
    }

    /// The core has forgotten the downloader with this id.
    fn remove(&mut self, id: DownloaderId) {
        if let Some(key) = self.keys.remove(&id) {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
