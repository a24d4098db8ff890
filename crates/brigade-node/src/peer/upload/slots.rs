//! Whose turn it is while the uplink is capped: the core's `Upload`, owned by one task.
//!
//! Newcomers' wants come in here and offers go out to their connections; whoever is to send a piece waits here for the
//! right to. Without a cap nobody asks: every connection sends as fast as it is read.

use std::collections::{BTreeMap, VecDeque};

use brigade_core::{
    geometry::PieceIndex,
    id::{Content, PeerKey},
    rate::Cap,
    upload::{Grant, NewcomerId, OfferId, Upload, Want},
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::numbers::Numbers;
use crate::clock;

mod numbers;

/// Questions that wait for the owner: far more than honest newcomers have; a connection that asks more is ended.
const WAITING: usize = 8192;

/// Offers that wait for one connection to pass them on: far more than one newcomer gets at once.
const OFFERS: usize = 64;

/// Asks for turns.
#[derive(Debug, Clone)]
pub(crate) struct Uploads(mpsc::Sender<Ask>);

/// One newcomer's connection, as long as it lasts.
#[derive(Debug)]
pub(crate) struct Guest {
    owner: mpsc::Sender<Ask>,
    key: PeerKey,
    desk: Desk,
}

/// It is a newcomer's turn.
#[derive(Debug)]
pub(crate) struct Offered {
    pub(crate) offer: OfferId,
    pub(crate) content: Content,
    pub(crate) pieces: Vec<PieceIndex>,
}

/// An offer that a newcomer took up: given back when it is dropped, unless its piece gets its slot.
#[derive(Debug)]
pub(crate) struct Accepted {
    owner: mpsc::Sender<Ask>,
    newcomer: PeerKey,
    offer: OfferId,
    is_open: bool,
}

/// The owner has more to do than it can: whoever asks is to be stopped.
#[derive(Debug)]
pub(crate) struct TooMuch;

/// The right to send one piece.
#[derive(Debug)]
pub(crate) struct Slot {
    owner: mpsc::Sender<Ask>,
    newcomer: PeerKey,
    offer: Option<OfferId>,
    /// What was sent under it.
    pub(crate) bytes: u64,
    /// Whether the piece goes on without it, because it is given up for others.
    pub(crate) goes_on: bool,
}

#[derive(Debug)]
enum Ask {
    /// A connection of a newcomer stands, and another.
    Came(PeerKey),
    Left(PeerKey, Desk),
    Wants {
        newcomer: PeerKey,
        want: Want,
        desk: Desk,
    },
    WantsNoMore(PeerKey, Content, Desk),
    Accept(PeerKey, OfferId, PieceIndex),
    GiveBack(PeerKey, OfferId),
    /// A piece is next on its connection.
    Slot {
        newcomer: PeerKey,
        offer: Option<OfferId>,
        granted: oneshot::Sender<Slot>,
    },
    Done {
        newcomer: PeerKey,
        offer: Option<OfferId>,
        bytes: u64,
        goes_on: bool,
    },
}

/// Where a connection hears of offers; which connection it is, too.
type Desk = mpsc::Sender<Offered>;

impl Uploads {
    /// Starts the owner, for the limit that `cap` tells; it ends when it is stopped.
    pub(crate) fn start(cap: watch::Receiver<Cap>, stop: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let owner = Owner::new(sender.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = owner.run(receiver, cap) => {}
                () = stop.cancelled() => {}
            }
        });
        Self(sender)
    }

    /// A newcomer's connection stands. Its offers come out of the other end.
    pub(crate) async fn guest(&self, key: PeerKey) -> (Guest, mpsc::Receiver<Offered>) {
        let (desk, offers) = mpsc::channel(OFFERS);
        let _ = self.0.send(Ask::Came(key)).await; // where the owner has ended, the peer stops
        (Guest { owner: self.0.clone(), key, desk }, offers)
    }

    /// Waits for the right to send a piece, which may have been offered; `None` when the owner has ended.
    pub(crate) async fn slot(&self, newcomer: PeerKey, offer: Option<OfferId>) -> Option<Slot> {
        let (granted, slot) = oneshot::channel();
        self.0.send(Ask::Slot { newcomer, offer, granted }).await.ok()?;
        slot.await.ok()
    }
}

impl Guest {
    /// It wants any piece of a content.
    pub(crate) fn wants(&self, want: Want) -> Result<(), TooMuch> {
        self.ask(Ask::Wants { newcomer: self.key, want, desk: self.desk.clone() })
    }

    /// It wants nothing more of a content: it declined an offer, or closed its channel.
    pub(crate) fn wants_no_more(&self, content: Content) -> Result<(), TooMuch> {
        self.ask(Ask::WantsNoMore(self.key, content, self.desk.clone()))
    }

    /// It asks for a piece on an offer that was made to it.
    pub(crate) fn accepts(&self, offer: OfferId, piece: PieceIndex) -> Result<Accepted, TooMuch> {
        self.ask(Ask::Accept(self.key, offer, piece))?;
        Ok(Accepted { owner: self.owner.clone(), newcomer: self.key, offer, is_open: true })
    }

    /// What it asked for on an offer cannot be sent: the turn is another's, the want stays.
    pub(crate) fn gives_back(&self, offer: OfferId) -> Result<(), TooMuch> {
        self.ask(Ask::GiveBack(self.key, offer))
    }

    fn ask(&self, ask: Ask) -> Result<(), TooMuch> {
        match self.owner.try_send(ask) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(TooMuch),
            _ => Ok(()), // where the owner has ended, the peer stops
        }
    }
}

impl Accepted {
    /// Which offer it was.
    pub(crate) fn offer(&self) -> OfferId {
        self.offer
    }

    /// Its piece has its slot: whatever becomes of it, the slot says.
    pub(crate) fn has_its_slot(&mut self) {
        self.is_open = false;
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if self.is_open {
            tell(&self.owner, Ask::GiveBack(self.newcomer, self.offer));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        tell(&self.owner, Ask::Left(self.key, self.desk.clone()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Self { newcomer, offer, bytes, goes_on, .. } = *self;
        tell(&self.owner, Ask::Done { newcomer, offer, bytes, goes_on });
    }
}

/// Tells the owner something that must not be lost, without waiting; where so much waits that there is no room, a little
/// later.
fn tell(owner: &mpsc::Sender<Ask>, ask: Ask) {
    if let Err(mpsc::error::TrySendError::Full(ask)) = owner.try_send(ask) {
        let owner = owner.clone();
        tokio::spawn(async move { owner.send(ask).await });
    }
}

struct Owner {
    asks: mpsc::Sender<Ask>,
    upload: Upload,
    numbers: Numbers,
    /// Those who are here.
    guests: BTreeMap<NewcomerId, Seat>,
    /// Those who are to be told when an offer that was taken up has its turn.
    accepted: BTreeMap<OfferId, (NewcomerId, oneshot::Sender<Slot>)>,
}

/// What is known of a newcomer that is here.
#[derive(Default)]
struct Seat {
    connections: usize,
    key: Option<PeerKey>,
    /// What is wanted on which connection, the latest last.
    wants: Vec<(Want, Desk)>,
    /// Pieces that were not offered, and wait.
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

impl Seat {
    /// The connection that wanted a content last: one before it may be dead, which nobody knows yet.
    fn wants_of(&self, content: &Content) -> Option<&(Want, Desk)> {
        self.wants.iter().rev().find(|(want, _)| want.content == *content)
    }
}

impl Owner {
    fn new(asks: mpsc::Sender<Ask>) -> Self {
        let upload = Upload::new(None, clock::now().as_micros());
        let numbers = Numbers::default();
        Self { asks, upload, numbers, guests: BTreeMap::new(), accepted: BTreeMap::new() }
    }

    async fn run(mut self, mut asks: mpsc::Receiver<Ask>, mut cap: watch::Receiver<Cap>) {
        let mut limits = true;
        loop {
            self.upload.set_limit(cap.borrow_and_update().bytes_per_second());
            self.upload.handle_timeout(clock::now()); // so that what is offered now is offered now
            self.grant();
            tokio::select! {
                biased;
                changed = cap.changed(), if limits => limits = changed.is_ok(),
                ask = asks.recv() => {
                    let Some(ask) = ask else { return };
                    self.hear(ask);
                }
                () = clock::reach(self.upload.deadline()) => {}
            }
        }
    }

    /// What is said of a newcomer whose last connection has ended, and that was forgotten, is about nothing any more.
    fn hear(&mut self, ask: Ask) {
        let now = clock::now();
        match ask {
            Ask::Came(key) => {
                let number = self.numbers.number(key);
                let seat = self.guests.entry(number).or_default();
                seat.connections += 1;
                seat.key = Some(key);
            }
            Ask::Left(key, desk) => self.leave(key, &desk),
            Ask::Wants { newcomer, want, desk } => self.want(newcomer, want, desk),
            Ask::WantsNoMore(key, content, desk) => {
                let Some(number) = self.numbers.known(key) else { return };
                self.withdraw(number, &content, &desk);
            }
            Ask::Accept(key, offer, piece) => {
                let Some(number) = self.numbers.known(key).filter(|number| self.guests.contains_key(number))
                else {
                    return;
                };
                self.upload.accept(now, number, offer, piece);
            }
            Ask::GiveBack(key, offer) => {
                self.accepted.remove(&offer);
                let Some(number) = self.numbers.known(key) else { return };
                self.upload.give_back(number, offer);
            }
            Ask::Slot { newcomer, offer, granted } => self.wait_for_slot(newcomer, offer, granted),
            Ask::Done { newcomer, offer, bytes, goes_on } => {
                let Some(number) = self.numbers.known(newcomer) else { return };
                if let Some(offer) = offer.filter(|_| goes_on) {
                    self.upload.goes_on(offer);
                }
                self.upload.done(now, number, offer, bytes);
            }
        }
    }

    /// A connection ended.
    fn leave(&mut self, key: PeerKey, desk: &Desk) {
        let Some(number) = self.numbers.known(key) else { return };
        let Some(seat) = self.guests.get_mut(&number) else { return };
        seat.connections = seat.connections.saturating_sub(1);
        if seat.connections == 0 {
            self.guests.remove(&number);
            if let Some(forgotten) = self.upload.left(number) {
                self.numbers.forget(forgotten);
            }
            return self
                .accepted
                .retain(|_, (newcomer, granted)| *newcomer != number && !granted.is_closed());
        }
        let its = seat.wants.iter().filter(|(_, other)| other.same_channel(desk));
        let contents: Vec<Content> = its.map(|(want, _)| want.content).collect();
        contents.iter().for_each(|content| self.withdraw(number, content, desk));
    }

    /// A connection wants any piece of a content. Whoever says so is here, and another connection of theirs may be dead: what
    /// is on offer there takes no turns any more, and what it wanted waits until it is wanted again.
    fn want(&mut self, newcomer: PeerKey, want: Want, desk: Desk) {
        let Some(number) = self.numbers.known(newcomer) else { return };
        let Some(seat) = self.guests.get_mut(&number) else { return };
        seat.wants.retain(|(other, its)| other.content != want.content || !its.same_channel(&desk));
        for (elsewhere, _) in seat.wants.iter().filter(|(_, its)| !its.same_channel(&desk)) {
            self.upload.unwant(number, &elsewhere.content);
        }
        seat.wants.push((want, desk.clone()));
        for (here, _) in seat.wants.iter().filter(|(_, its)| its.same_channel(&desk)) {
            self.upload.want(clock::now(), number, *here);
        }
    }

    /// A connection wants nothing more of a content. What was on offer is over; where another connection of the newcomer
    /// wants it, the next offer goes there.
    fn withdraw(&mut self, newcomer: NewcomerId, content: &Content, desk: &Desk) {
        let Some(seat) = self.guests.get_mut(&newcomer) else { return };
        seat.wants.retain(|(want, its)| want.content != *content || !its.same_channel(desk));
        self.upload.unwant(newcomer, content);
        if let Some((want, _)) = seat.wants_of(content) {
            self.upload.want(clock::now(), newcomer, *want);
        }
    }

    /// A piece is next on a connection. Of one that has ended, nothing is sent: nobody waits for the answer.
    fn wait_for_slot(&mut self, key: PeerKey, offer: Option<OfferId>, granted: oneshot::Sender<Slot>) {
        let Some(number) = self.numbers.known(key) else { return };
        let Some(seat) = self.guests.get_mut(&number) else { return };
        if let Some(offer) = offer
            && self.upload.ready(number, offer)
        {
            self.accepted.insert(offer, (number, granted));
            return;
        }
        let before = seat.waiting.len();
        seat.waiting.retain(|granted| !granted.is_closed());
        let taken_back = before - seat.waiting.len();
        seat.waiting.push_back(granted);
        (0..taken_back).for_each(|_| self.upload.cancel(number));
        self.upload.request(clock::now(), number);
    }

    /// Does all that the core grants.
    fn grant(&mut self) {
        while let Some(grant) = self.upload.next_grant() {
            match grant {
                Grant::Offer { newcomer, offer, content, pieces } => {
                    let seat = self.guests.get(&newcomer);
                    let desk = seat.and_then(|seat| seat.wants_of(&content));
                    // Where the connection is gone, that it left comes next; where it hears nothing, its turn ends by itself.
                    let told = desk.map(|(_, desk)| desk.try_send(Offered { offer, content, pieces }));
                    drop(told);
                }
                Grant::Serve { newcomer, offer } => {
                    let seat = self.guests.get_mut(&newcomer);
                    let key = seat.as_ref().and_then(|seat| seat.key);
                    let granted = match offer {
                        Some(offer) => self.accepted.remove(&offer).map(|(_, granted)| granted),
                        None => seat.and_then(|seat| seat.waiting.pop_front()),
                    };
                    match (key, granted) {
                        // Where nobody waits any more, dropping the slot gives it back.
                        (Some(newcomer), Some(granted)) => {
                            let owner = self.asks.clone();
                            drop(granted.send(Slot { owner, newcomer, offer, bytes: 0, goes_on: false }));
                        }
                        _ => self.upload.done(clock::now(), newcomer, offer, 0),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
