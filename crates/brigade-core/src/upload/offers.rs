//! Offers: turns that were given and not served yet, and what becomes of them.
//!
//! Whose turn it is, is decided in [`super`]; what a complete holder names in its offers, in [`super::spread`].

use std::{collections::BTreeMap, time::Duration};

use super::{Grant, NewcomerId, OfferId, Upload, newcomer::Interest, spread::Spread};
use crate::{geometry::PieceIndex, id::Content, limits, time::Timestamp};

/// Pieces of contents of which it is kept what was sent of them: 8 bytes each.
const SPREAD_PIECES: usize = 2 * limits::PIECES as usize;

/// How long an offer waits for its answer before the turn goes to another.
const OFFER_TIME: Duration = Duration::from_secs(2);

/// An offer that was made.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) newcomer: NewcomerId,
    pub(super) content: Content,
    pub(super) at: Timestamp,
    pub(super) pieces: Vec<PieceIndex>,
    /// The piece that it was taken up for.
    pub(super) accepted: Option<PieceIndex>,
}

impl Upload {
    /// A newcomer wants nothing more of a content: its channel is closed, or refused.
    pub fn unwant(&mut self, newcomer: NewcomerId, content: &Content) {
        if let Some(known) = self.newcomers.get_mut(&newcomer) {
            known.interests.retain(|interest| interest.content != *content);
        }
        let of_it = |(_, offered): &(&OfferId, &Offered)| {
            offered.newcomer == newcomer && offered.content == *content && offered.accepted.is_none()
        };
        let open: Vec<OfferId> = self.offers.iter().filter(of_it).map(|(offer, _)| *offer).collect();
        open.into_iter().for_each(|offer| self.end_offer(offer));
    }

    /// An offer is taken up. False where it is none of this newcomer's, or not any more: the request waits like one
    /// that takes up none, and [`Self::request`] is to be called for it.
    pub fn accept(
        &mut self,
        now: Timestamp,
        newcomer: NewcomerId,
        offer: OfferId,
        piece: PieceIndex,
    ) -> bool {
        self.now = self.now.max(now);
        let Some(offered) = self.offers.get_mut(&offer) else { return false };
        if offered.newcomer != newcomer || offered.accepted.is_some() {
            return false;
        }
        offered.accepted = Some(piece);
        let took = self.now.since(offered.at).min(OFFER_TIME);
        self.answer = (self.answer * 7 + took) / 8;
        if let Some(spread) = self.spreads.get_mut(&offered.content) {
            spread.sent(piece);
        }
        true
    }

    /// All that the newcomer asked for before an offer that it took up is sent: it waits for the line. False where that
    /// is no offer that was taken up and not served: then it waits like one that takes up none, and [`Self::request`] is to
    /// be called for it.
    pub fn ready(&mut self, newcomer: NewcomerId, offer: OfferId) -> bool {
        let offered = self.offers.get(&offer);
        let waits = offered.is_some_and(|offered| offered.newcomer == newcomer && offered.accepted.is_some());
        let is_new = waits && self.ready.iter().all(|(_, ready)| *ready != Some(offer));
        if is_new {
            self.ready.push_back((newcomer, Some(offer)));
        }
        is_new
    }

    /// A request that took an offer up was taken back, or cannot be served, before it was granted.
    pub fn give_back(&mut self, newcomer: NewcomerId, offer: OfferId) {
        let Some(offered) = self.offers.get(&offer).filter(|offered| offered.newcomer == newcomer) else {
            return;
        };
        if let Some(piece) = offered.accepted
            && let Some(spread) = self.spreads.get_mut(&offered.content)
        {
            spread.unsent(piece);
        }
        self.ready.retain(|(_, ready)| *ready != Some(offer));
        self.end_offer(offer);
    }

    /// An offer is declined: nothing of that content is wanted for now.
    pub fn decline(&mut self, now: Timestamp, newcomer: NewcomerId, offer: OfferId) {
        self.now = self.now.max(now);
        let Some(offered) = self.offers.get(&offer).filter(|offered| offered.newcomer == newcomer) else {
            return;
        };
        if offered.accepted.is_none() {
            let content = offered.content;
            self.unwant(newcomer, &content);
        }
    }

    /// When [`Self::handle_timeout`] is to be called: an offer was not answered.
    pub fn deadline(&self) -> Option<Timestamp> {
        let open = self.offers.values().find(|offered| offered.accepted.is_none());
        open.map(|offered| offered.at.after(OFFER_TIME))
    }

    /// Takes turns back that were offered too long ago. Whoever did not answer wants nothing, until it says so again or
    /// answers after all.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some((newcomer, content)) = self.overdue() {
            self.unwant(newcomer, &content);
        }
    }

    /// Offers a turn of a content to a newcomer.
    pub(super) fn offer(&mut self, newcomer: NewcomerId, Interest { content, complete }: Interest) -> Grant {
        self.last_offer = self.last_offer.wrapping_add(1);
        let offer = OfferId(self.last_offer);
        let offers = &self.offers;
        let on_offer = |piece: PieceIndex| {
            offers.values().any(|other| {
                other.content == content && other.accepted.is_none() && other.pieces.contains(&piece)
            })
        };
        let spread = self.spreads.get_mut(&content).filter(|_| complete);
        let pieces = spread.map(|spread| spread.least_sent(&mut self.random, on_offer)).unwrap_or_default();
        let (at, named) = (self.now, pieces.clone());
        self.offers.insert(offer, Offered { newcomer, content, at, pieces: named, accepted: None });
        Grant::Offer { newcomer, offer, content, pieces }
    }

    /// An offer comes to nothing: the turn is another's.
    fn end_offer(&mut self, offer: OfferId) {
        if let Some(offered) = self.offers.remove(&offer)
            && let Some(known) = self.newcomers.get_mut(&offered.newcomer)
        {
            known.turns = known.turns.saturating_sub(1);
        }
    }

    fn overdue(&self) -> Option<(NewcomerId, Content)> {
        let open = self.offers.values().find(|offered| offered.accepted.is_none())?;
        (open.at.after(OFFER_TIME) <= self.now).then_some((open.newcomer, open.content))
    }

    /// Keeps what is sent of a content from now on.
    pub(super) fn keep_spread(&mut self, content: Content, pieces: u32) {
        if self.spreads.get(&content).is_some_and(|spread| spread.pieces() == pieces as usize) {
            return;
        }
        let kept = |spreads: &BTreeMap<Content, Spread>| spreads.values().map(Spread::pieces).sum::<usize>();
        while kept(&self.spreads) + pieces as usize > SPREAD_PIECES && self.spreads.pop_first().is_some() {}
        self.spreads.insert(content, Spread::new(pieces));
    }
}
