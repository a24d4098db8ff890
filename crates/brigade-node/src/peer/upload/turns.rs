//! Turns, as one connection sees them: what the newcomer wants goes to [`super::slots`], and what comes of it is told.
//!
//! Only while what is sent has a limit. Whose turn it is, the core's `Upload` decides.

use brigade_core::{
    rate::Cap,
    upload::{self, OfferId},
    wire::{
        hello::Goodbye,
        peer::{Offer, Turns, Want},
    },
};

use super::{
    connection::{Serving, busy},
    slots::Offered,
};

/// Offers without an answer that are remembered: more than there are turns.
const KEPT_OFFERS: usize = 128;

impl Serving {
    /// The newcomer wants any piece of a content. Without a limit that is nothing to wait for: it hears so.
    pub(crate) fn want(&mut self, want: &Want) -> Result<(), Goodbye> {
        let Some(channel) = self.channels.get_mut(&want.channel) else { return Ok(()) };
        if !self.limited || std::mem::replace(&mut channel.wanted, true) {
            return Ok(());
        }
        let complete = channel.told.is_none().then(|| channel.geometry.count());
        let want = upload::Want { content: channel.content, complete, uplink: want.uplink };
        self.guest.wants(want).map_err(busy)
    }

    /// The newcomer needs nothing of what it was offered.
    pub(crate) fn decline(&mut self, offer: OfferId) -> Result<(), Goodbye> {
        let Some(channel) = self.offered.remove(&offer) else { return Ok(()) };
        match self.channels.get_mut(&channel).filter(|channel| channel.wanted) {
            Some(channel) => {
                channel.wanted = false;
                self.guest.wants_no_more(channel.content).map_err(busy)
            }
            None => Ok(()), // that it wants no more was said
        }
    }

    /// It is the newcomer's turn.
    pub(crate) fn offer(&mut self, offered: Offered) -> Result<(), Goodbye> {
        let Offered { offer, content, pieces } = offered;
        let open = self.channels.iter().find(|(_, channel)| channel.wanted && channel.content == content);
        let Some((channel, _)) = open else {
            return Ok(()); // it wants no more meanwhile, and that was said
        };
        let channel = *channel;
        if self.offered.len() >= KEPT_OFFERS {
            self.offered.pop_first(); // long over
        }
        self.offered.insert(offer, channel);
        let pieces = pieces.into_iter().map(|piece| piece.0).collect();
        self.say(Offer { offer: offer.0, channel, pieces })
    }

    /// Says so when the limit on sending comes or goes.
    pub(crate) fn limit(&mut self, cap: Cap) -> Result<(), Goodbye> {
        let limited = cap != Cap::Off;
        if limited == self.limited {
            return Ok(());
        }
        self.limited = limited;
        for channel in self.channels.values_mut().filter(|channel| channel.wanted) {
            channel.wanted = false; // it says anew what it wants
            self.guest.wants_no_more(channel.content).map_err(busy)?;
        }
        self.say(Turns { limited })
    }

    /// Whether it waits for a turn, or may soon.
    pub(crate) fn makes_wait(&self) -> bool {
        self.channels.values().any(|channel| channel.wanted)
    }

    /// Whoever waits for its turn is to know that this holder lives.
    pub(crate) fn sign(&self) -> Result<(), Goodbye> {
        self.say(Turns { limited: self.limited })
    }
}
