//! Who is served next, and what is refused.
//!
//! Under a limit on sending, whole pieces go out one or two at a time: one that is all there can be passed on, eight
//! halves cannot. Whoever has had least of late is next. [`check`] refuses what cannot be served, the cheapest
//! question first; how fast the bytes go is [`rate::Limiter`](crate::rate::Limiter)'s.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    limits,
    time::Timestamp,
    wire::Reason,
};

/// Pieces that are sent at once while there is a limit on sending.
pub const LIMITED_SLOTS: usize = 2;

/// The time in which what a newcomer has had counts half as much for its turn.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// Newcomers that are gone whose totals are kept.
const GONE_KEPT: usize = 1024;

/// The shell's number for a peer that is being served: one for each key, however many connections it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewcomerId(pub u32);

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
/// [`Self::want`] for each request; then [`Self::next_grant`] until `None`, each of which lets one request of that
/// newcomer be served, its oldest; [`Self::done`] when it was sent, refused or taken back; and again
/// [`Self::next_grant`].
#[derive(Debug)]
pub struct Upload {
    slots: Option<usize>,
    taken: usize,
    now: Timestamp,
    newcomers: BTreeMap<NewcomerId, Newcomer>,
    /// Those who left, the earliest first.
    gone: VecDeque<NewcomerId>,
    /// Counts grants, so that of two who have had the same the one served longer ago is next.
    grants: u64,
}

#[derive(Debug, Default)]
struct Newcomer {
    waiting: usize,
    served: usize,
    here: bool,
    total: Total,
    recent: f64,
    recent_at: Timestamp,
    last_grant: u64,
}

impl Upload {
    /// Serves so many requests at once; `None` for as many as there are, which is right without a limit on sending.
    pub const fn new(slots: Option<usize>) -> Self {
        Self {
            slots,
            taken: 0,
            now: Timestamp::from_micros(0),
            newcomers: BTreeMap::new(),
            gone: VecDeque::new(),
            grants: 0,
        }
    }

    /// Serves so many requests at once from now on. What is being served goes on.
    pub const fn set_slots(&mut self, slots: Option<usize>) {
        self.slots = slots;
    }

    /// A newcomer has one request more, which passed [`check`]. The caller bounds how many.
    pub fn want(&mut self, now: Timestamp, newcomer: NewcomerId) {
        self.now = self.now.max(now);
        let known = self.newcomers.entry(newcomer).or_default();
        if !known.here {
            known.here = true;
            self.gone.retain(|gone| *gone != newcomer);
        }
        known.waiting += 1;
    }

    /// A newcomer took one request back that was not granted yet.
    pub fn cancel(&mut self, newcomer: NewcomerId) {
        if let Some(known) = self.newcomers.get_mut(&newcomer) {
            known.waiting = known.waiting.saturating_sub(1);
        }
    }

    /// The newcomer of whom one request is served now; `None` while no slot is free or nobody waits.
    pub fn next_grant(&mut self) -> Option<NewcomerId> {
        if self.slots.is_some_and(|slots| self.taken >= slots.max(1)) {
            return None;
        }
        let now = self.now;
        let waiting = self.newcomers.iter_mut().filter(|(_, known)| known.waiting > 0);
        // What is being sent counts as a turn: nobody has both slots while another waits.
        let (newcomer, known) = waiting.min_by(|(_, a), (_, b)| {
            let had = a.served.cmp(&b.served).then(a.recent(now).total_cmp(&b.recent(now)));
            had.then(a.last_grant.cmp(&b.last_grant))
        })?;
        self.grants += 1;
        known.waiting -= 1;
        known.served += 1;
        known.last_grant = self.grants;
        self.taken += 1;
        Some(*newcomer)
    }

    /// A request that was granted is done with, after `bytes` of piece data.
    pub fn done(&mut self, now: Timestamp, newcomer: NewcomerId, bytes: u64) {
        self.now = self.now.max(now);
        let Some(known) = self.newcomers.get_mut(&newcomer) else { return };
        if known.served > 0 {
            known.served -= 1;
            self.taken -= 1;
        }
        known.count(self.now, bytes);
    }

    /// A newcomer's last connection ended: its slots are free, and what it asked for is forgotten. What it was sent
    /// stays known, so that coming back does not bring it to the front.
    pub fn left(&mut self, newcomer: NewcomerId) {
        let Some(known) = self.newcomers.get_mut(&newcomer) else { return };
        self.taken -= known.served;
        (known.served, known.waiting) = (0, 0);
        if std::mem::replace(&mut known.here, false) {
            self.gone.push_back(newcomer);
        }
        if self.gone.len() > GONE_KEPT
            && let Some(oldest) = self.gone.pop_front()
        {
            self.newcomers.remove(&oldest);
        }
    }

    /// Requests that are being served.
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// What each newcomer was sent, those included who left lately.
    pub fn totals(&self) -> impl Iterator<Item = (NewcomerId, Total)> {
        self.newcomers.iter().map(|(id, known)| (*id, known.total))
    }
}

impl Newcomer {
    /// Bytes that it has had, the older the less.
    fn recent(&self, now: Timestamp) -> f64 {
        let half_lives = now.since(self.recent_at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.recent / (1.0 + half_lives) // a rational decay: the same bits on every machine
    }

    #[allow(clippy::cast_precision_loss)] // a weight, far below 2^53
    fn count(&mut self, now: Timestamp, bytes: u64) {
        self.recent = self.recent(now) + bytes as f64;
        self.recent_at = now;
        self.total.bytes += bytes;
        self.total.pieces += u64::from(bytes > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Bitfield, Duration, Geometry, Held, LIMITED_SLOTS, NewcomerId, PieceIndex, Reason, Timestamp, Total,
        Upload, check, limits,
    };

    const PIECE: u64 = 256 << 10;

    /// Who is granted, in order, as numbers.
    fn grants(upload: &mut Upload) -> Vec<u32> {
        std::iter::from_fn(|| upload.next_grant()).map(|newcomer| newcomer.0).collect()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn refusals_come_from_cheap_to_dear() {
        let geometry = Geometry::new(3 * PIECE).unwrap();
        let mut pieces = Bitfield::none(3);
        pieces.set(PieceIndex(1));
        let some = Some((&geometry, Held::Some(&pieces)));
        assert_eq!(check(limits::REQUESTS_IN_FLIGHT, None, PieceIndex(9)), Err(Reason::TooMuch));
        assert_eq!(check(0, None, PieceIndex(9)), Err(Reason::NotFound));
        assert_eq!(check(0, some, PieceIndex(3)), Err(Reason::Protocol));
        assert_eq!(check(0, some, PieceIndex(2)), Err(Reason::NoPiece));
        assert_eq!(check(0, some, PieceIndex(1)), Ok(()));
        assert_eq!(
            check(limits::REQUESTS_IN_FLIGHT - 1, Some((&geometry, Held::All)), PieceIndex(2)),
            Ok(())
        );
    }

    #[test]
    fn without_a_limit_everyone_is_served_at_once() {
        let mut upload = Upload::new(None);
        (0..100).for_each(|newcomer| upload.want(at(0), NewcomerId(newcomer)));
        assert_eq!(grants(&mut upload).len(), 100);
    }

    #[test]
    fn slots_go_round_by_who_had_least() {
        let mut upload = Upload::new(Some(LIMITED_SLOTS));
        for newcomer in [1, 1, 1, 2, 2, 2, 3] {
            upload.want(at(0), NewcomerId(newcomer));
        }
        assert_eq!(grants(&mut upload), [1, 2]);
        upload.done(at(1), NewcomerId(1), PIECE);
        assert_eq!(grants(&mut upload), [3]);
        upload.done(at(2), NewcomerId(3), PIECE / 2);
        upload.done(at(2), NewcomerId(2), PIECE / 4);
        assert_eq!(grants(&mut upload), [2, 1]);
        upload.done(at(3), NewcomerId(1), PIECE);
        upload.done(at(3), NewcomerId(2), PIECE);
        assert_eq!(grants(&mut upload), [2, 1]);
    }

    #[test]
    fn shares_are_even_whoever_asks_for_more() {
        let mut upload = Upload::new(Some(LIMITED_SLOTS));
        let mut now = at(0);
        (0..50).for_each(|_| upload.want(now, NewcomerId(1)));
        (0..400).for_each(|_| upload.want(now, NewcomerId(2)));
        let mut serving = grants(&mut upload);
        for _ in 0..80 {
            now = now.after(Duration::from_millis(100));
            upload.done(now, NewcomerId(serving.remove(0)), PIECE);
            serving.extend(grants(&mut upload));
            assert!(serving.len() <= LIMITED_SLOTS);
        }
        let totals: Vec<u64> = upload.totals().map(|(_, total)| total.pieces).collect();
        assert!(totals[0].abs_diff(totals[1]) <= 1, "{totals:?}");
    }

    #[test]
    fn who_leaves_frees_its_slots_and_keeps_its_total() {
        let mut upload = Upload::new(Some(1));
        upload.want(at(0), NewcomerId(1));
        upload.want(at(0), NewcomerId(1));
        upload.want(at(0), NewcomerId(2));
        assert_eq!(grants(&mut upload), [1]);
        upload.done(at(1), NewcomerId(1), 10);
        assert_eq!(grants(&mut upload), [2]);
        upload.left(NewcomerId(2));
        upload.done(at(2), NewcomerId(2), 10);
        assert_eq!(grants(&mut upload), [1]);
        upload.left(NewcomerId(1));
        assert_eq!((upload.taken(), grants(&mut upload)), (0, vec![]));
        let total = Total { bytes: 10, pieces: 1 };
        assert_eq!(upload.totals().collect::<Vec<_>>(), [(NewcomerId(1), total), (NewcomerId(2), total)]);
    }

    #[test]
    fn those_who_left_do_not_fill_the_memory() {
        let mut upload = Upload::new(None);
        for newcomer in 0..5000 {
            upload.want(at(0), NewcomerId(newcomer));
            grants(&mut upload);
            upload.left(NewcomerId(newcomer));
        }
        assert_eq!(upload.totals().count(), super::GONE_KEPT);
    }
}
