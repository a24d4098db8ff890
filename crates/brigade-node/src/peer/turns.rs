//! Turns, as one connection sees them: what the newcomer wants goes to [`super::uploads`], and what comes of it is told.
//!
//! Only while what is sent has a limit. Whose turn it is, the core's `Upload` decides.

use brigade_core::{
    rate::Cap,
    upload,
    wire::{
        hello::Goodbye,
        peer::{Offer, Turns, Want},
    },
};

use super::{serve::Serving, uploads::Offered};

impl Serving {
    /// The newcomer wants any piece of a content. Without a limit that is nothing to wait for: it hears so.
    pub(super) fn want(&mut self, want: &Want) {
        let Some(channel) = self.channels.get_mut(&want.channel).filter(|_| self.limited) else { return };
        channel.wanted = true;
        let complete = channel.told.is_none().then(|| channel.geometry.count());
        self.guest.wants(upload::Want { content: channel.content, complete, uplink: want.uplink });
    }

    /// It is the newcomer's turn.
    pub(super) fn offer(&mut self, offered: Offered) -> Result<(), Goodbye> {
        let Offered { offer, content, pieces } = offered;
        let open = self.channels.iter().find(|(_, channel)| channel.content == content);
        let Some((channel, _)) = open else {
            self.guest.declines(offer);
            return Ok(());
        };
        let pieces = pieces.into_iter().map(|piece| piece.0).collect();
        self.say(Offer { offer: offer.0, channel: *channel, pieces })
    }

    /// Says so when the limit on sending comes or goes.
    pub(super) fn limit(&mut self, cap: Cap) -> Result<(), Goodbye> {
        let limited = cap != Cap::Off;
        if limited == self.limited {
            return Ok(());
        }
        self.limited = limited;
        for channel in self.channels.values_mut().filter(|channel| channel.wanted) {
            channel.wanted = false; // it says anew what it wants
            self.guest.wants_no_more(channel.content);
        }
        self.say(Turns { limited })
    }

    /// Whether it waits for a turn, as far as is known here.
    pub(super) fn makes_wait(&self) -> bool {
        self.channels.values().any(|channel| channel.wanted)
    }

    /// Whoever waits for its turn is to know that this holder lives.
    pub(super) fn sign(&self) -> Result<(), Goodbye> {
        self.say(Turns { limited: self.limited })
    }
}
