//! Serving one newcomer: what it asks is read here, and what may be answered is queued for [`super::send`].
//!
//! Refusals go from cheap to dear: too many requests, no such channel, no such piece, not there. Reading never
//! waits for sending; a newcomer who asks for more than the protocol allows loses the connection, and is told why.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    limits,
    name::Username,
    upload::{self, Held, OfferId},
    wire::{
        Reason,
        hello::Goodbye,
        peer::{Bits, FromHolder, Have, HaveAll, ListPage, Open, Refuse, Request, RequestWhole, ToHolder},
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    queue::{Load, Queued, Work},
    read::Source,
    send::send,
    slots::{Guest, TooMuch, Uploads},
};
use crate::{
    clock,
    peer::{
        bandwidth::traffic::Traffic,
        swarm::partial::{Part, Parts},
    },
    store::share::Share,
    transport::{
        Complaints, Line,
        connection::{ConnectionError, Greeted},
    },
};

/// How long pieces that arrive here are gathered before the newcomer hears of them.
const HAVE_PAUSE: Duration = Duration::from_millis(10);

/// How often one that waits for its turn is told that this holder lives.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Everything that serving needs.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) share: Share,
    pub(crate) parts: Parts,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) uploads: Uploads,
    pub(crate) complaints: Arc<Complaints>,
}

impl Shop {
    /// With places for uploads of its own, until `stop`.
    pub(crate) fn new(share: Share, parts: Parts, traffic: Arc<Traffic>, stop: CancellationToken) -> Self {
        let uploads = Uploads::start(traffic.up_cap(), stop);
        Self { share, parts, traffic, uploads, complaints: Arc::default() }
    }
}

/// Serves until the newcomer leaves, breaks the protocol, or `stop`.
pub(crate) async fn serve(
    greeted: Greeted,
    newcomer: &Username,
    shop: Shop,
    stop: CancellationToken,
) -> Result<(), ConnectionError> {
    let Greeted { peer, remote, mut reader, writer, .. } = greeted;
    // Room for every request, and for as many answers again.
    let (queue, works) = mpsc::channel(2 * limits::REQUESTS_IN_FLIGHT);
    let sent = shop.traffic.newcomer(peer, newcomer);
    let load = Arc::new(Load::default());
    let sending = send(writer, works, peer, sent, load.clone(), shop.clone());
    let mut sender = AbortOnDropHandle::new(tokio::spawn(sending));
    let mut news = shop.parts.news();
    let (guest, mut offers) = shop.uploads.guest(peer).await;
    let mut cap = shop.traffic.up_cap();
    let mut signs = interval(SIGN_EVERY);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut serving = Serving::new(shop, queue, load, guest);
    let mut next_have = Instant::now();
    let ended = loop {
        if let Err(breach) = serving.limit(*cap.borrow_and_update()) {
            break Ok(breach);
        }
        let haves = async {
            sleep_until(next_have).await;
            news.changed().await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break Ok(stopping()),
            message = reader.next::<ToHolder>() => match message {
                Ok(Some(ToHolder::Goodbye(_)) | None) => break Ok(stopping()),
                Ok(Some(message)) => if let Err(breach) = serving.hear(message) {
                    break Ok(breach);
                },
                Err(error) => break error.goodbye().ok_or(error),
            },
            Ok(()) = haves, if serving.has_parts() => {
                next_have = Instant::now() + HAVE_PAUSE;
                if let Err(breach) = serving.tell_news() {
                    break Ok(breach);
                }
            }
            Some(offered) = offers.recv() => if let Err(breach) = serving.offer(offered) {
                break Ok(breach);
            },
            Ok(()) = cap.changed() => {}
            _ = signs.tick(), if serving.makes_wait() => if let Err(breach) = serving.sign() {
                break Ok(breach);
            },
            ended = &mut sender => return ended.unwrap_or(Ok(())),
        }
    };
    let goodbye = ended.inspect_err(|_| sender.abort())?;
    let broke = goodbye.reason != Reason::Stopping;
    if broke {
        complain(&serving.shop.complaints, newcomer, remote, &goodbye);
    }
    let farewell = async {
        let _ = serving.queue.send(Work::Close(goodbye)).await; // it may be full of what the newcomer sent
        drop(serving);
        let _ = (&mut sender).await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
    sender.abort();
    if broke {
        reader.run_out().await;
    }
    Ok(())
}

/// Somebody should know of a member that breaks the protocol.
fn complain(complaints: &Complaints, newcomer: &Username, remote: SocketAddr, goodbye: &Goodbye) {
    let Goodbye { reason, text } = goodbye;
    match complaints.members.next(clock::now()) {
        Some(Line { passed_over }) => {
            tracing::warn!(%newcomer, %remote, ?reason, text, passed_over, "a newcomer broke the protocol");
        }
        None => tracing::debug!(%newcomer, %remote, ?reason, text, "a newcomer broke the protocol"),
    }
}

fn stopping() -> Goodbye {
    Goodbye { reason: Reason::Stopping, text: Reason::Stopping.to_string() }
}

/// How a connection ends whose newcomer did what may not be.
fn breach(reason: Reason, text: impl Into<String>) -> Goodbye {
    Goodbye { reason, text: text.into() }
}

/// How a connection ends that asks for turns faster than can be dealt with.
pub(crate) fn busy(_: TooMuch) -> Goodbye {
    breach(Reason::TooMuch, "turns were wanted, taken up or declined faster than they can be given")
}

fn too_many_requests() -> Goodbye {
    breach(Reason::TooMuch, format!("more than {} requests were open", limits::REQUESTS_IN_FLIGHT))
}

/// One newcomer that is being served.
pub(crate) struct Serving {
    shop: Shop,
    queue: mpsc::Sender<Work>,
    /// What was asked and is not answered.
    load: Arc<Load>,
    pub(crate) guest: Guest,
    /// Whether the newcomer was told that pieces go by turns.
    pub(crate) limited: bool,
    /// The offers that were made here and not answered, and of which channel.
    pub(crate) offered: BTreeMap<OfferId, u32>,
    pub(crate) channels: BTreeMap<u32, Channel>,
}

/// A content that the newcomer has opened.
pub(crate) struct Channel {
    pub(crate) content: Content,
    pub(crate) geometry: Geometry,
    source: Source,
    /// For a part: what the newcomer was told of it.
    pub(crate) told: Option<(Arc<Part>, Bitfield)>,
    /// Whether the newcomer wants turns of it.
    pub(crate) wanted: bool,
}

impl Channel {
    fn new(
        content: Content,
        geometry: Geometry,
        source: Source,
        told: Option<(Arc<Part>, Bitfield)>,
    ) -> Self {
        Self { content, geometry, source, told, wanted: false }
    }
}

impl Serving {
    fn new(shop: Shop, queue: mpsc::Sender<Work>, load: Arc<Load>, guest: Guest) -> Self {
        let (offered, channels) = (BTreeMap::new(), BTreeMap::new());
        Self { shop, queue, load, guest, limited: false, offered, channels }
    }

    /// Answers one message; an error ends the connection in these words.
    fn hear(&mut self, message: ToHolder) -> Result<(), Goodbye> {
        match message {
            ToHolder::Open(open) => self.open(&open),
            ToHolder::Close(close) => {
                self.forget(close.channel)?;
                self.queue(Work::CloseChannel(close.channel))
            }
            ToHolder::AskList(ask) => self.list(ask.channel, ask.first),
            ToHolder::Request(request) => self.request(&request),
            ToHolder::RequestWhole(request) => self.request_whole(&request),
            ToHolder::Cancel(cancel) => self.queue(Work::Cancel(cancel.request)),
            ToHolder::Want(want) => self.want(&want),
            ToHolder::Decline(decline) => self.decline(OfferId(decline.offer)),
            ToHolder::Goodbye(_) => Ok(()),
        }
    }

    fn open(&mut self, open: &Open) -> Result<(), Goodbye> {
        let channel = open.channel;
        if self.channels.len() >= limits::OPEN_CHANNELS {
            let text = format!("more than {} contents were opened", limits::OPEN_CHANNELS);
            return Err(breach(Reason::TooMuch, text));
        }
        if self.channels.contains_key(&channel) {
            return Err(breach(Reason::Protocol, format!("channel {channel} was opened twice")));
        }
        let content = Content { id: open.id, size: open.size };
        let Ok(geometry) = Geometry::new(content.size) else {
            return self.refuse(None, Some(channel), Reason::NotFound);
        };
        if let Some(shared) = self.shop.share.find(&content) {
            let share = self.shop.share.clone();
            let source = Source::Shared { share, shared, open: Arc::new(OnceLock::new()) };
            self.channels.insert(channel, Channel::new(content, geometry, source, None));
            return self.say(HaveAll { channel });
        }
        if let Some(part) = self.shop.parts.find(&content) {
            let have = part.have().clone();
            for first in (0..geometry.count()).step_by(limits::BITFIELD_PAGE_PIECES as usize) {
                let bits = have.page(first, limits::BITFIELD_PAGE_PIECES).to_vec();
                self.say(Bits { channel, first, bits })?;
            }
            let source = Source::Part(part.clone(), self.shop.share.clone());
            self.channels.insert(channel, Channel::new(content, geometry, source, Some((part, have))));
            return Ok(());
        }
        self.refuse(None, Some(channel), Reason::NotFound)
    }

    /// A channel is closed: nothing is wanted on it any more.
    fn forget(&mut self, channel: u32) -> Result<(), Goodbye> {
        match self.channels.remove(&channel).filter(|channel| channel.wanted) {
            Some(channel) => self.guest.wants_no_more(channel.content).map_err(busy),
            None => Ok(()),
        }
    }

    fn list(&mut self, number: u32, first: u32) -> Result<(), Goodbye> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let Some(list) = channel.source.list() else {
            self.forget(number)?;
            return self.refuse(None, Some(number), Reason::Protocol);
        };
        let values = list.values();
        let from = (first as usize).min(values.len());
        let to = (from + limits::LIST_PAGE_VALUES as usize).min(values.len());
        let values = values[from..to].concat();
        if !self.load.take_list() {
            return Err(breach(Reason::TooMuch, "more pages of piece lists were asked for than may be open"));
        }
        self.queue(Work::List(ListPage { channel: number, first, values }))
    }

    fn request(&mut self, request: &Request) -> Result<(), Goodbye> {
        // A request may cross the refusal of its channel on the way.
        let channel = self.channels.get(&request.channel);
        let piece = PieceIndex(request.piece);
        let made = request.offer.map(OfferId).and_then(|offer| self.offered.remove_entry(&offer));
        if let Some((offer, of)) = made
            && of != request.channel
        {
            self.guest.gives_back(offer).map_err(busy)?; // it was an offer of something else
        }
        let offer = made.filter(|(_, of)| *of == request.channel).map(|(offer, _)| offer);
        let answer = {
            let have = channel.and_then(|channel| channel.told.as_ref()).map(|(part, _)| part.have());
            let held = have.as_deref().map_or(Held::All, Held::Some);
            upload::check(self.load.requests(), channel.map(|channel| (&channel.geometry, held)), piece)
        };
        match (answer, channel) {
            (Ok(()), Some(channel)) => {
                let accepts = |offer| self.guest.accepts(offer, piece).map_err(busy);
                let offer = offer.map(accepts).transpose()?;
                self.load.take_request();
                self.queue(Work::Piece(Queued {
                    request: request.request,
                    channel: Some(request.channel),
                    offer,
                    source: channel.source.clone(),
                    file_offset: channel.geometry.offset(piece),
                    bytes: channel.geometry.length(piece),
                    done: 0,
                }))
            }
            (Err(Reason::TooMuch), _) => Err(too_many_requests()),
            (Err(Reason::Protocol), Some(channel)) => {
                let count = channel.geometry.count();
                let text = format!("piece {} of a content of {count} was asked for", piece.0);
                Err(breach(Reason::Protocol, text))
            }
            (answer, _) => {
                if let Some(offer) = offer {
                    self.guest.gives_back(offer).map_err(busy)?;
                }
                self.refuse(Some(request.request), None, answer.err().unwrap_or(Reason::NotFound))
            }
        }
    }

    fn request_whole(&mut self, request: &RequestWhole) -> Result<(), Goodbye> {
        let content = Content { id: request.id, size: request.size };
        let Some(geometry) = Geometry::new(content.size).ok().filter(|geometry| geometry.count() == 1) else {
            let text = format!("a content of {} bytes was asked for whole", content.size);
            return Err(breach(Reason::Protocol, text));
        };
        if self.load.requests() >= limits::REQUESTS_IN_FLIGHT {
            return Err(too_many_requests());
        }
        let Some(shared) = self.shop.share.find(&content) else {
            return self.refuse(Some(request.request), None, Reason::NotFound);
        };
        let share = self.shop.share.clone();
        let queued = Queued {
            request: request.request,
            channel: None,
            offer: None,
            source: Source::Shared { share, shared, open: Arc::new(OnceLock::new()) },
            file_offset: 0,
            bytes: geometry.length(PieceIndex(0)),
            done: 0,
        };
        self.load.take_request();
        self.queue(Work::Piece(queued))
    }

    fn has_parts(&self) -> bool {
        self.channels.values().any(|channel| channel.told.is_some())
    }

    /// Tells which pieces have come since.
    fn tell_news(&mut self) -> Result<(), Goodbye> {
        let mut news = vec![];
        for (number, channel) in &mut self.channels {
            let Some((part, told)) = &mut channel.told else { continue };
            let new: Vec<u32> =
                part.have().iter().filter(|piece| told.set(*piece)).map(|piece| piece.0).collect();
            for page in new.chunks(limits::HAVE_PIECES) {
                news.push(Have { channel: *number, pieces: page.to_vec() });
            }
            tracing::trace!(size = channel.content.size, pieces = new.len(), "told of new pieces");
        }
        news.into_iter().try_for_each(|have| self.say(have))
    }

    /// Says something to the newcomer, in its order.
    pub(crate) fn say(&self, message: impl Into<FromHolder>) -> Result<(), Goodbye> {
        self.queue(Work::Say(message.into()))
    }

    fn refuse(&self, request: Option<u32>, channel: Option<u32>, reason: Reason) -> Result<(), Goodbye> {
        self.say(Refuse { request, channel, reason, text: reason.to_string() })
    }

    /// Queues work; where there is no room, the newcomer asks faster than it reads.
    fn queue(&self, work: Work) -> Result<(), Goodbye> {
        self.queue
            .try_send(work)
            .map_err(|_| breach(Reason::TooMuch, "messages came faster than their answers were read"))
    }
}
