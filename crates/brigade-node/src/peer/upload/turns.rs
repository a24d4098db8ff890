//! Turns of one connection: the downloader's wants go to the owner of the slots, its offers to the downloader.
//!
//! They are used only while sending has a limit. [`ConnectionTurns`] is the state of one connection; [`Slot`] is the right
//! to send one piece. [`super::slots`] receives the messages from here, and the core's `Upload` decides the order.

use std::collections::BTreeMap;

use brigade_core::{
    geometry::PieceIndex,
    id::{Content, PeerKey},
    rate::Cap,
    upload::{self, OfferId},
    wire::peer::{Offer, Turns, Want},
};
use tokio::sync::{mpsc, oneshot};

/// Offers of one connection that wait to be sent: far more than one downloader gets at once.
const OFFERS: usize = 64;

/// Unanswered offers that a connection remembers: more than there are turns.
const REMEMBERED_OFFERS: usize = 128;

/// A message to the owner of the slots.
#[derive(Debug)]
pub(crate) enum ToUploadOwner {
    /// A downloader connected, perhaps for the second time.
    Connected(PeerKey),
    /// A connection of a downloader ended.
    Disconnected(PeerKey, OfferSender),
    /// A downloader wants any piece of a content.
    Want { downloader: PeerKey, want: upload::WantedContent, offers: OfferSender },
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

/// The error for a connection that sends messages faster than the owner handles them: it is to be closed.
#[derive(Debug)]
pub(crate) struct OwnerBusy;

/// Sends messages to the owner of the slots.
#[derive(Debug, Clone)]
pub(crate) struct Uploads(pub(crate) mpsc::Sender<ToUploadOwner>);

impl Uploads {
    /// Registers a connection of a downloader. The receiver gets its offers.
    pub(crate) async fn connect(&self, key: PeerKey) -> (UploadClient, mpsc::Receiver<Offered>) {
        let (offers, offers_out) = mpsc::channel(OFFERS);
        let _ = self.0.send(ToUploadOwner::Connected(key)).await; // if the owner has ended, the peer stops
        (UploadClient { owner: self.clone(), key, offers }, offers_out)
    }

    /// Waits for the right to send a piece, which may have been offered; `None` if the owner has ended.
    pub(crate) async fn slot(&self, downloader: PeerKey, offer: Option<OfferId>) -> Option<Slot> {
        let (granted, slot) = oneshot::channel();
        self.0.send(ToUploadOwner::Slot { downloader, offer, granted }).await.ok()?;
        slot.await.ok()
    }

    /// Sends a message that must not be lost, without waiting; if the queue is full, a little later.
    fn send_later(&self, message: ToUploadOwner) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.0.try_send(message) {
            let owner = self.0.clone();
            tokio::spawn(async move { owner.send(message).await });
        }
    }
}

/// One connection of a downloader, for the owner of the slots; when it is dropped, the owner learns of its end.
#[derive(Debug)]
pub(crate) struct UploadClient {
    owner: Uploads,
    key: PeerKey,
    offers: OfferSender,
}

impl UploadClient {
    /// The downloader wants any piece of a content.
    pub(crate) fn want(&self, want: upload::WantedContent) -> Result<(), OwnerBusy> {
        self.send(ToUploadOwner::Want { downloader: self.key, want, offers: self.offers.clone() })
    }

    /// The downloader wants nothing more of a content: it declined an offer, or closed its channel.
    pub(crate) fn unwant(&self, content: Content) -> Result<(), OwnerBusy> {
        self.send(ToUploadOwner::Unwant(self.key, content, self.offers.clone()))
    }

    /// The downloader requests a piece for an offer.
    pub(crate) fn accept(&self, offer: OfferId, piece: PieceIndex) -> Result<AcceptedOffer, OwnerBusy> {
        self.send(ToUploadOwner::Accept(self.key, offer, piece))?;
        Ok(AcceptedOffer { owner: self.owner.clone(), downloader: self.key, offer, is_open: true })
    }

    /// A request for an offer cannot be answered: another downloader gets the turn, the want stays.
    pub(crate) fn give_back(&self, offer: OfferId) -> Result<(), OwnerBusy> {
        self.send(ToUploadOwner::GiveBack(self.key, offer))
    }

    fn send(&self, message: ToUploadOwner) -> Result<(), OwnerBusy> {
        match self.owner.0.try_send(message) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(OwnerBusy),
            _ => Ok(()), // if the owner has ended, the peer stops
        }
    }
}

impl Drop for UploadClient {
    fn drop(&mut self) {
        self.owner.send_later(ToUploadOwner::Disconnected(self.key, self.offers.clone()));
    }
}

/// An offer for which the downloader requested a piece. It is given back when it is dropped before its piece has a slot.
#[derive(Debug)]
pub(crate) struct AcceptedOffer {
    owner: Uploads,
    downloader: PeerKey,
    offer: OfferId,
    is_open: bool,
}

impl AcceptedOffer {
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

/// The turns of one connection: the contents that the downloader wants, and the offers that it got.
pub(crate) struct ConnectionTurns {
    client: UploadClient,
    /// Whether sending is limited, so that pieces are sent in turns.
    limited: bool,
    /// The contents of which the downloader wants turns, by channel.
    wanted: BTreeMap<u32, Content>,
    /// The offers that are not answered yet, and their channels.
    offered: BTreeMap<OfferId, u32>,
}

impl ConnectionTurns {
    /// The turns of a new connection, and the receiver of its offers.
    pub(crate) async fn connect(uploads: &Uploads, downloader: PeerKey) -> (Self, mpsc::Receiver<Offered>) {
        let (client, offers) = uploads.connect(downloader).await;
        (Self { client, limited: false, wanted: BTreeMap::new(), offered: BTreeMap::new() }, offers)
    }

    /// The downloader wants any piece of the channel's content, of which this peer has `complete` pieces if it has all.
    /// Without a limit this has no effect: the downloader knows that it need not wait.
    pub(crate) fn want(
        &mut self,
        want: &Want,
        content: Content,
        complete: Option<u32>,
    ) -> Result<(), OwnerBusy> {
        if !self.limited || self.wanted.insert(want.channel, content).is_some() {
            return Ok(());
        }
        self.client.want(upload::WantedContent { content, complete, uplink: want.uplink })
    }

    /// The downloader wants nothing more of the channel.
    pub(crate) fn unwant(&mut self, channel: u32) -> Result<(), OwnerBusy> {
        self.wanted.remove(&channel).map_or(Ok(()), |content| self.client.unwant(content))
    }

    /// The downloader needs no piece of an offer.
    pub(crate) fn decline(&mut self, offer: OfferId) -> Result<(), OwnerBusy> {
        self.offered.remove(&offer).map_or(Ok(()), |channel| self.unwant(channel))
    }

    /// The offer that a request on `channel` answers. An offer of another channel is given back.
    pub(crate) fn take_offer(
        &mut self,
        offer: Option<u32>,
        channel: u32,
    ) -> Result<Option<OfferId>, OwnerBusy> {
        match offer.map(OfferId).and_then(|offer| self.offered.remove_entry(&offer)) {
            Some((offer, of)) if of == channel => Ok(Some(offer)),
            Some((offer, _)) => self.client.give_back(offer).map(|()| None),
            None => Ok(None),
        }
    }

    /// A request for a piece answers an offer.
    pub(crate) fn accept(&self, offer: OfferId, piece: PieceIndex) -> Result<AcceptedOffer, OwnerBusy> {
        self.client.accept(offer, piece)
    }

    /// A request that is refused answers an offer.
    pub(crate) fn give_back(&self, offer: OfferId) -> Result<(), OwnerBusy> {
        self.client.give_back(offer)
    }

    /// The message that offers a turn; `None` if the downloader wants nothing more of the content.
    pub(crate) fn offer(&mut self, offered: Offered) -> Option<Offer> {
        let Offered { offer, content, pieces } = offered;
        let channel = *self.wanted.iter().find(|(_, wanted)| **wanted == content)?.0;
        if self.offered.len() >= REMEMBERED_OFFERS {
            self.offered.pop_first(); // it has expired long ago
        }
        self.offered.insert(offer, channel);
        Some(Offer { offer: offer.0, channel, pieces: pieces.into_iter().map(|piece| piece.0).collect() })
    }

    /// Applies the limit on sending. Returns the message for the downloader if there is a limit for the first time, or none
    /// any more; it then repeats its wants.
    pub(crate) fn set_limit(&mut self, cap: Cap) -> Result<Option<Turns>, OwnerBusy> {
        let limited = cap != Cap::Off;
        if limited == self.limited {
            return Ok(None);
        }
        self.limited = limited;
        for content in std::mem::take(&mut self.wanted).into_values() {
            self.client.unwant(content)?;
        }
        Ok(Some(self.keepalive()))
    }

    /// Whether the downloader waits for a turn.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The message that tells a waiting downloader that this holder is alive.
    pub(crate) const fn keepalive(&self) -> Turns {
        Turns { limited: self.limited }
    }
}
