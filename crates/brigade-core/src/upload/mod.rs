//! Which downloader is served next, and which requests are refused.
//!
//! Under a limit on sending, one or two whole pieces are sent at a time: a complete piece can be passed on, eight
//! halves cannot. So downloaders say that they want pieces, and get an offer when it is their turn. They name the piece
//! only then, with the knowledge of that moment, and no request grows old in a queue. A complete holder names in its
//! offers the pieces that it has sent least (`offers`). The downloader that got least recently is next; a complete
//! holder gives more to downloaders that can pass on more. Without a limit there are no turns.
//!
//! [`check`] refuses what cannot be served, the cheapest question first; how fast the bytes go is
//! [`rate::Limiter`](crate::rate::Limiter)'s.

mod downloader;
mod inputs_and_outputs;
mod least_sent_pieces;
mod offers;
mod open_offer;
mod request_check;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub use inputs_and_outputs::{DownloaderId, Grant, OfferId, UploadTotal, WantedContent};
pub use request_check::{ServedPieces, check};

use self::{downloader::Downloader, least_sent_pieces::LeastSentPieces, open_offer::OpenOffer};
use crate::{id::Content, limits, random::Random, time::Timestamp};

/// Pieces that are sent at once while there is a limit on sending.
pub const LIMITED_SLOTS: usize = 2;

/// Turns that are given at once, at most: those being sent, and those offered ahead so that the line never waits for an
/// answer.
const TURNS: usize = 64;

/// What an answer to an offer is expected to take before any was seen.
const FIRST_ANSWER: Duration = Duration::from_millis(2);

/// A piece's length, before any was sent.
const FIRST_PIECE_BYTES: u64 = 256 << 10;

/// All downloaders, and whose turn it is.
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
    downloaders: BTreeMap<DownloaderId, Downloader>,
    /// Those who left, the earliest first.
    disconnected: VecDeque<DownloaderId>,
    /// Offers that were not served yet.
    offers: BTreeMap<OfferId, OpenOffer>,
    /// Those that are being served.
    serving: BTreeMap<OfferId, OpenOffer>,
    /// Turns that wait for the line.
    ready: VecDeque<(DownloaderId, Option<OfferId>)>,
    /// Requests that are being served.
    taken: usize,
    last_offer: u32,
    /// Counts turns, so that of two who have had the same the one whose turn was longer ago is next.
    turns: u64,
    least_sent: BTreeMap<Content, LeastSentPieces>,
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
            downloaders: BTreeMap::new(),
            disconnected: VecDeque::new(),
            offers: BTreeMap::new(),
            serving: BTreeMap::new(),
            ready: VecDeque::new(),
            taken: 0,
            last_offer: 0,
            turns: 0,
            least_sent: BTreeMap::new(),
            answer: FIRST_ANSWER,
            piece_bytes: FIRST_PIECE_BYTES,
        }
    }

    /// A downloader has one request more that takes up no offer, and passed [`check`]. The caller bounds how many.
    pub fn request(&mut self, now: Timestamp, downloader: DownloaderId) {
        self.connect(now, downloader).waiting += 1;
    }

    /// A downloader took one request back that took up no offer and was not granted yet.
    pub fn cancel(&mut self, downloader: DownloaderId) {
        let Some(known) = self.downloaders.get_mut(&downloader) else { return };
        if known.waiting > 0 {
            known.waiting -= 1;
        } else if let Some(at) = self.ready.iter().position(|ready| *ready == (downloader, None)) {
            self.ready.remove(at);
            known.turns -= 1;
        }
    }

    /// A downloader wants any piece of a content, until it declines or stops wanting. The caller bounds of how many.
    pub fn want(&mut self, now: Timestamp, downloader: DownloaderId, want: WantedContent) {
        let rate = self.bytes_per_second;
        self.connect(now, downloader).want(want, rate);
        if let Some(pieces) = want.complete {
            self.keep_least_sent_pieces(want.content, pieces);
        }
    }

    /// What is to be done next; `None` while no slot is free or nobody waits.
    pub fn next_grant(&mut self) -> Option<Grant> {
        loop {
            if self.taken < self.slots()
                && let Some((downloader, offer)) = self.ready.pop_front()
            {
                self.taken += 1;
                if let Some(known) = self.downloaders.get_mut(&downloader) {
                    known.served += 1;
                }
                if let Some((offer, offered)) = offer.and_then(|offer| self.offers.remove_entry(&offer)) {
                    self.serving.insert(offer, offered);
                }
                return Some(Grant::Serve { downloader, offer });
            }
            // A request that waits is served where the line is free, whatever was offered: it may stand before that.
            let line_is_free = self.taken < self.slots();
            let full = self.taken + self.given() >= self.most_turns();
            if full && !line_is_free {
                return None;
            }
            let downloader = self.next_downloader(full)?;
            let known = self.downloaders.get_mut(&downloader)?;
            self.turns += 1;
            known.turns += 1;
            known.last_turn = self.turns;
            if known.waiting > 0 {
                known.waiting -= 1;
                self.ready.push_back((downloader, None));
                continue;
            }
            let content = known.next_interest()?;
            return Some(self.offer(downloader, content));
        }
    }

    /// A request that was granted is done with, after `bytes` of piece data: the one that took `offer` up, or one that
    /// took up none.
    pub fn done(&mut self, now: Timestamp, downloader: DownloaderId, offer: Option<OfferId>, bytes: u64) {
        self.now = self.now.max(now);
        if let Some(offer) = offer {
            self.end_serving(offer, bytes);
        }
        let Some(known) = self.downloaders.get_mut(&downloader) else { return };
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

    /// The last connection of a downloader ended: its turns are free, and its requests are forgotten. Its total is
    /// remembered for a while, so that it does not come first when it returns. Returns the downloader whose number is
    /// no longer in use: this one, if it got nothing, or one that left long ago.
    pub fn disconnected(&mut self, downloader: DownloaderId) -> Option<DownloaderId> {
        let Some(known) = self.downloaders.get_mut(&downloader) else { return Some(downloader) };
        if !known.connected {
            return None; // it left before, and is remembered
        }
        self.taken -= known.served;
        let was_sent = known.served > 0 || known.total.bytes > 0;
        known.served = 0;
        known.interests.clear();
        known.connected = false;
        self.disconnected.push_back(downloader);
        self.end_offers(downloader);
        self.ready.retain(|(ready, _)| *ready != downloader);
        if let Some(known) = self.downloaders.get_mut(&downloader) {
            (known.waiting, known.turns) = (0, 0);
        }
        let forgotten = match was_sent {
            false => self.disconnected.pop_back(), // itself
            true if self.disconnected.len() > limits::REMEMBERED_DOWNLOADERS => self.disconnected.pop_front(),
            true => None,
        };
        if let Some(forgotten) = forgotten {
            self.downloaders.remove(&forgotten);
        }
        forgotten
    }

    /// Requests that are being served.
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// What each downloader was sent, those included who left lately.
    pub fn totals(&self) -> impl Iterator<Item = (DownloaderId, UploadTotal)> {
        self.downloaders.iter().map(|(id, known)| (*id, known.total))
    }

    fn connect(&mut self, now: Timestamp, downloader: DownloaderId) -> &mut Downloader {
        self.now = self.now.max(now);
        let known = self.downloaders.entry(downloader).or_default();
        known.silent = false;
        if !known.connected {
            known.connected = true;
            self.disconnected.retain(|disconnected| *disconnected != downloader);
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
        let during_an_answer = u128::from(rate) * self.answer.as_micros() * 2 / 1_000_000;
        let ahead = during_an_answer / u128::from(self.piece_bytes.max(1)) + 1;
        LIMITED_SLOTS.saturating_add(usize::try_from(ahead).unwrap_or(TURNS)).min(TURNS)
    }

    /// Whoever waits and has had least of late. Turns that are not over count before that: nobody has two while another
    /// waits, unless it is to get more. Where all turns are given, only a request that waits already can be next.
    fn next_downloader(&self, full: bool) -> Option<DownloaderId> {
        let (now, most) = (self.now, self.most_turns());
        let offers = self.bytes_per_second.is_some() && !full;
        let open = |known: &Downloader| !known.interests.is_empty() && !known.silent && known.turns < most;
        let wants = |known: &Downloader| known.waiting > 0 || (offers && open(known));
        let waiting = self.downloaders.iter().filter(|(_, known)| wants(known));
        let keyed =
            waiting.map(|(id, known)| (known.turns_had(), known.recent_weighted(now), known.last_turn, *id));
        let next = keyed.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        next.map(|(.., downloader)| downloader)
    }
}
