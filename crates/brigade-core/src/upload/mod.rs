//! Who is served next, and what is refused.
//!
//! Under a limit on sending, whole pieces go out one or two at a time: one that is all there can be passed on, eight
//! halves cannot. So newcomers say that they want something, and are offered a turn: which piece it is they say only
//! then, by what they have and hear at that moment, and a request never grows old in a queue. A complete holder names
//! in its offers what it has sent least (`spread`). Whoever has had least of late is next; of a complete holder those who
//! can pass on more get more. Without a limit nobody waits here.
//!
//! [`check`] refuses what cannot be served, the cheapest question first; how fast the bytes go is
//! [`rate::Limiter`](crate::rate::Limiter)'s.

mod newcomer;
mod offers;
mod spread;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use self::{newcomer::Newcomer, offers::Offered, spread::Spread};
use crate::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    limits,
    random::Random,
    time::Timestamp,
    wire::Reason,
};

/// Pieces that are sent at once while there is a limit on sending.
pub const LIMITED_SLOTS: usize = 2;

/// Turns that are given at once, at most: those being sent, and those offered ahead so that the line never waits for an
/// answer.
const TURNS: usize = 64;

/// What an answer to an offer is expected to take before any was seen.
const FIRST_ANSWER: Duration = Duration::from_millis(2);

/// A piece's length, before any was sent.
const FIRST_PIECE_BYTES: u64 = 256 << 10;

/// The shell's number for a peer that is being served: one for each key, however many connections it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewcomerId(pub u32);

/// An offer's number; it counts up, over all newcomers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub u32);

/// What one newcomer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// Bytes of piece data.
    pub bytes: u64,
    /// Pieces of which anything was sent.
    pub pieces: u64,
}

/// Which pieces of a content are here to be served.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// Every one.
    All,
    /// Those that are verified so far.
    Some(&'a Bitfield),
}

/// What a newcomer wants: any piece of a content that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Of which content.
    pub content: Content,
    /// How many pieces it has, where every one of them is here; `None` where only a part is.
    pub complete: Option<u32>,
    /// Bytes a second that the newcomer says it can pass on.
    pub uplink: Option<u64>,
}

/// What is to be done for a newcomer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// One request is served now: the one that took up the offer, or else the oldest that took up none.
    Serve {
        /// Whose.
        newcomer: NewcomerId,
        /// The offer that it took up.
        offer: Option<OfferId>,
    },
    /// It is told that it is its turn.
    Offer {
        /// Whose.
        newcomer: NewcomerId,
        /// Which offer.
        offer: OfferId,
        /// Of which content.
        content: Content,
        /// What was sent least; none where only a part is here.
        pieces: Vec<PieceIndex>,
    },
}

/// Whether a request can be served at all; from the cheapest question to the dearest.
///
/// `outstanding` counts the requests of this connection that are not answered, without this one; `content` is what
/// the id named, if anything.
///
/// # Errors
///
/// [`Reason::TooMuch`] for more requests than may wait, [`Reason::NotFound`] for a content that is not known,
/// [`Reason::Protocol`] for a piece that the content does not have, [`Reason::NoPiece`] for one that is not here.
pub fn check(
    outstanding: usize,
    content: Option<(&Geometry, Held<'_>)>,
    piece: PieceIndex,
) -> Result<(), Reason> {
    if outstanding >= limits::REQUESTS_IN_FLIGHT {
        return Err(Reason::TooMuch);
    }
    let (geometry, held) = content.ok_or(Reason::NotFound)?;
    if !geometry.contains(piece) {
        return Err(Reason::Protocol);
    }
    match held {
        Held::Some(pieces) if !pieces.has(piece) => Err(Reason::NoPiece),
        Held::All | Held::Some(_) => Ok(()),
    }
}

/// Everyone who is being served, and whose turn it is.
///
/// [`Self::request`] for each request that takes up no offer, [`Self::want`] for each content of which any piece is
/// wanted; then [`Self::next_grant`] until `None`. Who takes an offer up says so twice: [`Self::accept`] at once, and
/// [`Self::ready`] when all that it asked for before is sent. [`Self::done`] when a request that is served was sent,
/// refused or taken back; and again [`Self::next_grant`].
#[derive(Debug)]
pub struct Upload {
    bytes_per_second: Option<u64>,
    now: Timestamp,
    random: Random,
    newcomers: BTreeMap<NewcomerId, Newcomer>,
    /// Those who left, the earliest first.
    gone: VecDeque<NewcomerId>,
    /// Offers that were not served yet.
    offers: BTreeMap<OfferId, Offered>,
    /// Those that are being served.
    serving: BTreeMap<OfferId, Offered>,
    /// Turns that wait for the line.
    ready: VecDeque<(NewcomerId, Option<OfferId>)>,
    /// Requests that are being served.
    taken: usize,
    last_offer: u32,
    /// Counts turns, so that of two who have had the same the one whose turn was longer ago is next.
    turns: u64,
    spreads: BTreeMap<Content, Spread>,
    /// What an answer to an offer takes, and how long a piece is: a moving mean of each.
    answer: Duration,
    piece_bytes: u64,
}

impl Upload {
    /// Serves under a limit in bytes a second, which is kept elsewhere; `None` for none: then all are served at once.
    pub const fn new(bytes_per_second: Option<u64>, seed: u64) -> Self {
        Self {
            bytes_per_second,
            now: Timestamp::from_micros(0),
            random: Random::new(seed),
            newcomers: BTreeMap::new(),
            gone: VecDeque::new(),
            offers: BTreeMap::new(),
            serving: BTreeMap::new(),
            ready: VecDeque::new(),
            taken: 0,
            last_offer: 0,
            turns: 0,
            spreads: BTreeMap::new(),
            answer: FIRST_ANSWER,
            piece_bytes: FIRST_PIECE_BYTES,
        }
    }

    /// A newcomer has one request more that takes up no offer, and passed [`check`]. The caller bounds how many.
    pub fn request(&mut self, now: Timestamp, newcomer: NewcomerId) {
        self.come(now, newcomer).waiting += 1;
    }

    /// A newcomer took one request back that took up no offer and was not granted yet.
    pub fn cancel(&mut self, newcomer: NewcomerId) {
        let Some(known) = self.newcomers.get_mut(&newcomer) else { return };
        if known.waiting > 0 {
            known.waiting -= 1;
        } else if let Some(at) = self.ready.iter().position(|ready| *ready == (newcomer, None)) {
            self.ready.remove(at);
            known.turns -= 1;
        }
    }

    /// A newcomer wants any piece of a content, until it declines or stops wanting. The caller bounds of how many.
    pub fn want(&mut self, now: Timestamp, newcomer: NewcomerId, want: Want) {
        let rate = self.bytes_per_second;
        self.come(now, newcomer).want(want, rate);
        if let Some(pieces) = want.complete {
            self.keep_spread(want.content, pieces);
        }
    }

    /// What is to be done next; `None` while no slot is free or nobody waits.
    pub fn next_grant(&mut self) -> Option<Grant> {
        loop {
            if self.taken < self.slots()
                && let Some((newcomer, offer)) = self.ready.pop_front()
            {
                self.taken += 1;
                if let Some(known) = self.newcomers.get_mut(&newcomer) {
                    known.served += 1;
                }
                if let Some((offer, offered)) = offer.and_then(|offer| self.offers.remove_entry(&offer)) {
                    self.serving.insert(offer, offered);
                }
                return Some(Grant::Serve { newcomer, offer });
            }
            // A request that waits is served where the line is free, whatever was offered: it may stand before that.
            let line_is_free = self.taken < self.slots();
            let full = self.taken + self.given() >= self.most_turns();
            if full && !line_is_free {
                return None;
            }
            let newcomer = self.next_newcomer(full)?;
            let known = self.newcomers.get_mut(&newcomer)?;
            self.turns += 1;
            known.turns += 1;
            known.last_turn = self.turns;
            if known.waiting > 0 {
                known.waiting -= 1;
                self.ready.push_back((newcomer, None));
                continue;
            }
            let content = known.next_interest()?;
            return Some(self.offer(newcomer, content));
        }
    }

    /// A request that was granted is done with, after `bytes` of piece data: the one that took `offer` up, or one that took
    /// up none.
    pub fn done(&mut self, now: Timestamp, newcomer: NewcomerId, offer: Option<OfferId>, bytes: u64) {
        self.now = self.now.max(now);
        if let Some(offer) = offer {
            self.end_serving(offer, bytes);
        }
        let Some(known) = self.newcomers.get_mut(&newcomer) else { return };
        if known.served > 0 {
            known.served -= 1;
            known.turns -= 1;
            self.taken -= 1;
        }
        known.count(self.now, bytes);
        if bytes > 0 {
            self.piece_bytes = (self.piece_bytes * 7 + bytes) / 8;
        }
    }

    /// A newcomer's last connection ended: its turns are free, and what it asked for is forgotten. What it was sent
    /// stays known for a while, so that coming back does not bring it to the front. Whose number means nothing any more,
    /// and may be forgotten by the caller too: this newcomer, where it was sent nothing, or one that left long ago.
    pub fn left(&mut self, newcomer: NewcomerId) -> Option<NewcomerId> {
        let Some(known) = self.newcomers.get_mut(&newcomer) else { return Some(newcomer) };
        if !known.here {
            return None; // it left before, and is remembered
        }
        self.taken -= known.served;
        let was_sent = known.served > 0 || known.total.bytes > 0;
        known.served = 0;
        known.interests.clear();
        known.here = false;
        self.gone.push_back(newcomer);
        self.end_offers(newcomer);
        self.ready.retain(|(ready, _)| *ready != newcomer);
        if let Some(known) = self.newcomers.get_mut(&newcomer) {
            (known.waiting, known.turns) = (0, 0);
        }
        let forgotten = match was_sent {
            false => self.gone.pop_back(), // itself
            true if self.gone.len() > limits::SERVED_REMEMBERED => self.gone.pop_front(),
            true => None,
        };
        if let Some(forgotten) = forgotten {
            self.newcomers.remove(&forgotten);
        }
        forgotten
    }

    /// Requests that are being served.
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// What each newcomer was sent, those included who left lately.
    pub fn totals(&self) -> impl Iterator<Item = (NewcomerId, Total)> {
        self.newcomers.iter().map(|(id, known)| (*id, known.total))
    }

    fn come(&mut self, now: Timestamp, newcomer: NewcomerId) -> &mut Newcomer {
        self.now = self.now.max(now);
        let known = self.newcomers.entry(newcomer).or_default();
        known.silent = false;
        if !known.here {
            known.here = true;
            self.gone.retain(|gone| *gone != newcomer);
        }
        known
    }

    fn slots(&self) -> usize {
        if self.bytes_per_second.is_some() { LIMITED_SLOTS } else { usize::MAX }
    }

    /// Turns that may be given: enough that something is ready to be sent whenever a piece is through, although an
    /// answer takes its time.
    fn most_turns(&self) -> usize {
        let Some(rate) = self.bytes_per_second else { return usize::MAX };
        let meanwhile = u128::from(rate) * self.answer.as_micros() * 2 / 1_000_000;
        let ahead = meanwhile / u128::from(self.piece_bytes.max(1)) + 1;
        LIMITED_SLOTS.saturating_add(usize::try_from(ahead).unwrap_or(TURNS)).min(TURNS)
    }

    /// Whoever waits and has had least of late. Turns that are not over count before that: nobody has two while another
    /// waits, unless it is to get more. Where all turns are given, only a request that waits already can be next.
    fn next_newcomer(&self, full: bool) -> Option<NewcomerId> {
        let (now, most) = (self.now, self.most_turns());
        let offers = self.bytes_per_second.is_some() && !full;
        let open = |known: &Newcomer| !known.interests.is_empty() && !known.silent && known.turns < most;
        let wants = |known: &Newcomer| known.waiting > 0 || (offers && open(known));
        let waiting = self.newcomers.iter().filter(|(_, known)| wants(known));
        let keyed = waiting.map(|(id, known)| (known.turns_had(), known.had(now), known.last_turn, *id));
        let next = keyed.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        next.map(|(.., newcomer)| newcomer)
    }
}
