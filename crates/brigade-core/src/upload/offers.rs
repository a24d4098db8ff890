//! Offers that were made and not served yet, and how they end.
//!
//! Whose turn it is, is decided in [`super`]; what a complete holder names in its offers, in [`super::least_sent_pieces`].

use std::{collections::BTreeMap, time::Duration};

use super::{
    Upload,
    downloader::Interest,
    inputs_and_outputs::{DownloaderId, Grant, OfferId},
    least_sent_pieces::LeastSentPieces,
    open_offer::OpenOffer,
};
use crate::{
    geometry::{Geometry, PieceIndex},
    id::Content,
    limits,
    time::Timestamp,
};

/// Pieces of contents of which it is kept what was sent of them: 8 bytes each.
const MAX_PIECES: usize = 2 * limits::PIECES as usize;

/// How long an offer waits for its answer before the turn goes to another.
const OFFER_TIME: Duration = Duration::from_secs(2);

impl Upload {
    /// A downloader wants nothing more of a content, until it wants it again: it declined an offer, which may be over
    /// by now, or its channel is closed, or refused.
    pub fn unwant(&mut self, downloader: DownloaderId, content: &Content) {
        if let Some(known) = self.downloaders.get_mut(&downloader) {
            known.silent = false; // something was heard of it
            known.unwant(content, self.bytes_per_second);
        }
        let of_it = |(_, offered): &(&OfferId, &OpenOffer)| {
            offered.downloader == downloader && offered.content == *content && offered.accepted.is_none()
        };
        let open: Vec<OfferId> = self.offers.iter().filter(of_it).map(|(offer, _)| *offer).collect();
        open.into_iter().for_each(|offer| self.end_offer(offer));
    }

    /// An offer is taken up. False where it is none of this downloader's, or not any more: the request waits like one
    /// that takes up none, and [`Self::request`] is to be called for it.
    pub fn accept(
        &mut self,
        now: Timestamp,
        downloader: DownloaderId,
        offer: OfferId,
        piece: PieceIndex,
    ) -> bool {
        self.connect(now, downloader);
        let Some(offered) = self.offers.get_mut(&offer) else { return false };
        if offered.downloader != downloader || offered.accepted.is_some() {
            return false;
        }
        offered.accepted = Some(piece);
        let took = self.now.since(offered.at).min(OFFER_TIME);
        offered.at = self.now;
        self.answer = (self.answer * 7 + took) / 8;
        if let Some(least_sent) = self.least_sent.get_mut(&offered.content) {
            least_sent.sent(piece);
        }
        true
    }

    /// All that the downloader asked for before an offer that it took up is sent: it waits for the line. False where
    /// that is no offer that was taken up and not served: then it waits like one that takes up none, and
    /// [`Self::request`] is to be called for it.
    pub fn ready(&mut self, downloader: DownloaderId, offer: OfferId) -> bool {
        let offered = self.offers.get(&offer);
        let waits =
            offered.is_some_and(|offered| offered.downloader == downloader && offered.accepted.is_some());
        let is_new = waits && self.ready.iter().all(|(_, ready)| *ready != Some(offer));
        if is_new {
            self.ready.push_back((downloader, Some(offer)));
        }
        is_new
    }

    /// A request that took an offer up was taken back, or cannot be served, before it was granted.
    pub fn give_back(&mut self, downloader: DownloaderId, offer: OfferId) {
        if let Some(known) = self.downloaders.get_mut(&downloader) {
            known.silent = false; // something was heard of it
        }
        let Some(offered) = self.offers.get(&offer).filter(|offered| offered.downloader == downloader) else {
            return;
        };
        if let (content, Some(piece)) = (offered.content, offered.accepted) {
            self.unsent(&content, piece);
        }
        self.ready.retain(|(_, ready)| *ready != Some(offer));
        self.end_offer(offer);
    }

    /// The piece that took an offer up goes on without its slot, of which [`Self::done`] tells next: it counts as sent.
    pub fn goes_on(&mut self, offer: OfferId) {
        self.serving.remove(&offer);
    }

    /// When [`Self::handle_timeout`] is to be called: an offer was not answered, or what was asked for on it is held up
    /// by its downloader.
    pub fn deadline(&self) -> Option<Timestamp> {
        let ends = self.offers.values().map(|offered| offered.at.after(OFFER_TIME));
        ends.filter(|end| *end > self.now).min()
    }

    /// Takes turns back that were offered too long ago. Whoever did not answer is offered nothing more until it answers
    /// after all, or asks for something: what it wants is not forgotten.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((offer, downloader)) = self.overdue() {
            self.end_offer(offer);
            if let Some(known) = self.downloaders.get_mut(&downloader) {
                known.silent = true;
            }
        }
    }

    /// Another limit. What is being served goes on; without a limit there are no turns, and those that were given and
    /// do not wait for the line are over.
    pub fn set_limit(&mut self, bytes_per_second: Option<u64>) {
        if self.bytes_per_second == bytes_per_second {
            return;
        }
        self.bytes_per_second = bytes_per_second;
        self.downloaders.values_mut().for_each(|known| known.update_weight(bytes_per_second));
        if bytes_per_second.is_none() {
            let waits = |offer: &OfferId| self.ready.iter().any(|(_, ready)| *ready == Some(*offer));
            let over: Vec<OfferId> = self.offers.keys().filter(|offer| !waits(offer)).copied().collect();
            over.into_iter().for_each(|offer| self.end_offer(offer));
        }
    }

    /// Turns that were given and are not being served. Whoever takes an offer up and then holds up the line to itself,
    /// as by not reading, does not hold up others: after a while its turn counts no more.
    pub(super) fn given(&self) -> usize {
        let counts = |(offer, offered): &(&OfferId, &OpenOffer)| {
            offered.at.after(OFFER_TIME) > self.now
                || self.ready.iter().any(|(_, ready)| *ready == Some(**offer))
        };
        let plain = self.ready.iter().filter(|(_, offer)| offer.is_none()).count();
        self.offers.iter().filter(counts).count() + plain
    }

    /// A piece that took up an offer was being sent: it has left, if so many bytes are all of it.
    pub(super) fn end_serving(&mut self, offer: OfferId, bytes: u64) {
        let Some(OpenOffer { content, accepted: Some(piece), .. }) = self.serving.remove(&offer) else {
            return;
        };
        let length = Geometry::new(content.size).map_or(0, |geometry| u64::from(geometry.length(piece)));
        if bytes < length {
            self.unsent(&content, piece);
        }
    }

    /// All that a downloader was offered comes to nothing, or ends in the middle.
    pub(super) fn end_offers(&mut self, downloader: DownloaderId) {
        let serving = self.serving.iter().filter(|(_, offered)| offered.downloader == downloader);
        let serving: Vec<OfferId> = serving.map(|(offer, _)| *offer).collect();
        serving.into_iter().for_each(|offer| self.end_serving(offer, 0));
        let of_it = |(_, offered): &(&OfferId, &OpenOffer)| offered.downloader == downloader;
        let its: Vec<OfferId> = self.offers.iter().filter(of_it).map(|(offer, _)| *offer).collect();
        its.into_iter().for_each(|offer| self.give_back(downloader, offer));
    }

    /// Offers a turn of a content to a downloader.
    pub(super) fn offer(
        &mut self,
        downloader: DownloaderId,
        Interest { content, complete }: Interest,
    ) -> Grant {
        self.last_offer = self.last_offer.wrapping_add(1);
        let offer = OfferId(self.last_offer);
        let offers = &self.offers;
        let on_offer = |piece: PieceIndex| {
            offers.values().any(|other| {
                other.content == content && other.accepted.is_none() && other.pieces.contains(&piece)
            })
        };
        let known = self.least_sent.get_mut(&content).filter(|_| complete);
        let pieces = known.map(|known| known.least_sent(&mut self.random, on_offer)).unwrap_or_default();
        let (at, named) = (self.now, pieces.clone());
        self.offers.insert(offer, OpenOffer { downloader, content, at, pieces: named, accepted: None });
        Grant::Offer { downloader, offer, content, pieces }
    }

    /// An offer comes to nothing: the turn is another's.
    fn end_offer(&mut self, offer: OfferId) {
        if let Some(offered) = self.offers.remove(&offer)
            && let Some(known) = self.downloaders.get_mut(&offered.downloader)
        {
            known.turns = known.turns.saturating_sub(1);
        }
    }

    /// A piece that was to leave did not.
    fn unsent(&mut self, content: &Content, piece: PieceIndex) {
        if let Some(least_sent) = self.least_sent.get_mut(content) {
            least_sent.unsent(piece);
        }
    }

    fn overdue(&self) -> Option<(OfferId, DownloaderId)> {
        let (offer, open) = self.offers.iter().find(|(_, offered)| offered.accepted.is_none())?;
        (open.at.after(OFFER_TIME) <= self.now).then_some((*offer, open.downloader))
    }

    /// Keeps what is sent of a content from now on.
    pub(super) fn keep_least_sent_pieces(&mut self, content: Content, pieces: u32) {
        if self.least_sent.get(&content).is_some_and(|known| known.pieces() == pieces as usize) {
            return;
        }
        let kept = |least_sent: &BTreeMap<Content, LeastSentPieces>| {
            least_sent.values().map(LeastSentPieces::pieces).sum::<usize>()
        };
        while kept(&self.least_sent) + pieces as usize > MAX_PIECES && self.least_sent.pop_first().is_some() {
        }
        self.least_sent.insert(content, LeastSentPieces::new(pieces));
    }
}
