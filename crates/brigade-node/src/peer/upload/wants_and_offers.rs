//! Turns of one connection: the downloader's wants go to the owner of the slots, its offers to the downloader.
//!
//! They are used only while sending has a limit. [`ConnectionTurns`] knows which channel a want or an offer belongs to;
//! [`UploadClient`] tells the owner of the slots, which knows only contents.

use std::collections::BTreeMap;

use brigade_core::{
    geometry::PieceIndex,
    id::{Content, PeerKey},
    rate::Cap,
    upload::{OfferId, WantedContent},
    wire::peer::{Offer, Turns, Want},
};
use tokio::sync::mpsc;

use super::upload_owner::{AcceptedOffer, OfferSender, Offered, ToUploadOwner, Uploads};

/// Offers of one connection that wait to be sent: far more than one downloader gets at once.
const OFFERS: usize = 64;

/// Unanswered offers that a connection remembers: more than there are turns.
const REMEMBERED_OFFERS: usize = 128;

/// The error for a connection that sends messages faster than the owner handles them: it is to be closed.
#[derive(Debug)]
pub(crate) struct OwnerBusy;

/// One connection of a downloader, for the owner of the slots; when it is dropped, the owner learns of its end.
#[derive(Debug)]
pub(crate) struct UploadClient {
    owner: Uploads,
    key: PeerKey,
    offers: OfferSender,
}

impl UploadClient {
    /// Registers a connection of a downloader. The receiver gets its offers.
    pub(crate) async fn connect(owner: &Uploads, key: PeerKey) -> (Self, mpsc::Receiver<Offered>) {
        let (offers, offers_out) = mpsc::channel(OFFERS);
        let _ = owner.0.send(ToUploadOwner::Connected(key)).await; // if the owner has ended, the peer stops
        (Self { owner: owner.clone(), key, offers }, offers_out)
    }

    /// The downloader wants any piece of a content.
    pub(crate) fn want(&self, want: WantedContent) -> Result<(), OwnerBusy> {
        self.send(ToUploadOwner::Want { downloader: self.key, want, offers: self.offers.clone() })
    }

    /// The downloader wants nothing more of a content: it declined an offer, or closed its channel.
    pub(crate) fn unwant(&self, content: Content) -> Result<(), OwnerBusy> {
        self.send(ToUploadOwner::Unwant(self.key, content, self.offers.clone()))
    }

    /// The downloader requests a piece for an offer.
    pub(crate) fn accept(&self, offer: OfferId, piece: PieceIndex) -> Result<AcceptedOffer, OwnerBusy> {
        self.send(ToUploadOwner::Accept(self.key, offer, piece))?;
        Ok(AcceptedOffer::new(self.owner.clone(), self.key, offer))
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
        let (client, offers) = UploadClient::connect(uploads, downloader).await;
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
        self.client.want(WantedContent { content, complete, uplink: want.uplink })
    }

    /// The downloader wants nothing more of the channel. If it wants the content on another channel, the want stays,
    /// and only the offers of this channel end.
    pub(crate) fn unwant(&mut self, channel: u32) -> Result<(), OwnerBusy> {
        let Some(content) = self.wanted.remove(&channel) else { return Ok(()) };
        if !self.wanted.values().any(|other| *other == content) {
            return self.client.unwant(content);
        }
        let of_channel = self.offered.extract_if(.., |_, of| *of == channel);
        of_channel.map(|(offer, _)| offer).try_for_each(|offer| self.client.give_back(offer))
    }

    /// The downloader needs no piece of an offer.
    pub(crate) fn decline(&mut self, offer: OfferId) -> Result<(), OwnerBusy> {
        let Some(channel) = self.offered.get(&offer).copied() else { return Ok(()) };
        let result = self.unwant(channel);
        self.offered.remove(&offer);
        result
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

    /// Applies the limit on sending. Returns the message for the downloader if there is a limit for the first time, or
    /// none any more; it then repeats its wants.
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

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{
        Cap, ConnectionTurns, Content, OfferId, Offered, PeerKey, PieceIndex, ToUploadOwner, Uploads, Want,
        mpsc,
    };

    const CONTENT: Content = Content { id: ContentId([3; 32]), size: 10 << 20 };

    fn offered(offer: u32) -> Offered {
        Offered { offer: OfferId(offer), content: CONTENT, pieces: vec![PieceIndex(0)] }
    }

    #[tokio::test]
    async fn a_content_that_is_wanted_on_two_channels_stays_wanted_when_one_is_closed() {
        let (messages, mut owner) = mpsc::channel(8);
        let (mut turns, _offers) = ConnectionTurns::connect(&Uploads(messages), PeerKey([1; 32])).await;
        assert!(turns.set_limit(Cap::At(1)).unwrap().is_some());
        for channel in [1, 2] {
            turns.want(&Want { channel, uplink: None }, CONTENT, None).unwrap();
        }
        assert_eq!(turns.offer(offered(7)).unwrap().channel, 1);
        turns.unwant(1).unwrap();
        assert_eq!(turns.offer(offered(8)).unwrap().channel, 2);
        turns.decline(OfferId(8)).unwrap();
        drop(turns);

        assert!(matches!(owner.recv().await, Some(ToUploadOwner::Connected(_))));
        for _ in [1, 2] {
            assert!(matches!(owner.recv().await, Some(ToUploadOwner::Want { .. })));
        }
        assert!(matches!(owner.recv().await, Some(ToUploadOwner::GiveBack(_, OfferId(7)))));
        assert!(matches!(owner.recv().await, Some(ToUploadOwner::Unwant(_, CONTENT, _))));
        assert!(matches!(owner.recv().await, Some(ToUploadOwner::Disconnected(..))));
    }
}
