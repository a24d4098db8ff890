//! Serving one downloader: its requests are read here and queued for [`super::send`].
//!
//! Cheap checks come first: number of requests, channel, piece, availability. Reading never waits for sending; a
//! downloader that requests more than the protocol allows is disconnected, with the reason.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    limits,
    name::Username,
    rate::Cap,
    upload::{self, OfferId, ServedPieces},
    wire::{
        Reason,
        greeting::Goodbye,
        peer::{
            Bits, FromHolder, Have, HaveAll, ListPage, Open, Refuse, Request, RequestWhole, ToHolder, Want,
        },
    },
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    piece_queue_and_reading::{OpenRequests, PieceSource, QueuedPiece, SendTask, ServedContents},
    send::{SendContext, send},
    wants_and_offers::ConnectionTurns,
};
use crate::{
    peer::{
        bandwidth::{SentCounter, Traffic},
        swarm::partial_contents::PartTable,
    },
    store::share::Share,
    transport::{
        breach_log::{BreachLog, RemoteRole},
        connection::ConnectionError,
        greeting::GreetedConnection,
    },
};

/// How long new pieces of parts are gathered before they are announced to the downloader.
const HAVE_PAUSE: Duration = Duration::from_millis(10);

/// The interval of messages to a downloader that waits for a turn.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// The values that all connections to downloaders share.
#[derive(Clone)]
pub(crate) struct ServeContext {
    contents: ServedContents,
    sending: SendContext,
    pub(crate) breaches: Arc<BreachLog>,
}

impl ServeContext {
    /// Starts the owner of the slots, which runs until `stop`.
    pub(crate) fn start(
        share: Share,
        parts: PartTable,
        traffic: Arc<Traffic>,
        stop: CancellationToken,
    ) -> Self {
        let contents = ServedContents::new(share, parts);
        Self { contents, sending: SendContext::start(traffic, stop), breaches: Arc::default() }
    }

    /// Logs that a downloader broke the protocol.
    fn broke(&self, downloader: &Username, remote: SocketAddr, goodbye: &Goodbye) {
        self.breaches.broke(RemoteRole::Downloader, Some(downloader), remote, goodbye.reason, &goodbye.text);
    }
}

/// Serves a downloader until it disconnects, breaks the protocol, or `stop`.
pub(crate) async fn serve(
    greeted: GreetedConnection,
    downloader: &Username,
    context: ServeContext,
    stop: CancellationToken,
) -> Result<(), ConnectionError> {
    let GreetedConnection { peer, remote, mut reader, writer, .. } = greeted;
    // Space for every request, and for as many answers.
    let (queue, tasks) = mpsc::channel(2 * limits::REQUESTS_IN_FLIGHT);
    let sent = context.sending.traffic.downloader(peer, downloader);
    let open_requests = Arc::new(OpenRequests::default());
    let sending = send(writer, tasks, peer, sent.clone(), open_requests.clone(), context.sending.clone());
    let mut sender = AbortOnDropHandle::new(tokio::spawn(sending));
    let mut new_pieces = context.contents.new_pieces();
    let (turns, mut offers) = ConnectionTurns::connect(&context.sending.uploads, peer).await;
    let mut cap = context.sending.traffic.up_cap();
    let mut keepalive = interval(KEEPALIVE_INTERVAL);
    keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let channels = BTreeMap::new();
    let mut connection = DownloaderConnection { context, queue, sent, open_requests, turns, channels };
    let mut next_have = Instant::now();
    let ended = loop {
        if let Err(breach) = connection.set_limit(*cap.borrow_and_update()) {
            break Ok(breach);
        }
        let haves = async {
            sleep_until(next_have).await;
            new_pieces.changed().await
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break Ok(stopping()),
            message = reader.next::<ToHolder>() => match message {
                Ok(Some(ToHolder::Goodbye(_)) | None) => break Ok(stopping()),
                Ok(Some(message)) => if let Err(breach) = connection.handle(message) {
                    break Ok(breach);
                },
                Err(error) => break error.goodbye().ok_or(error),
            },
            Ok(()) = haves, if connection.has_parts() => {
                next_have = Instant::now() + HAVE_PAUSE;
                if let Err(breach) = connection.send_new_pieces() {
                    break Ok(breach);
                }
            }
            Some(offered) = offers.recv() => if let Some(offer) = connection.turns.offer(offered)
                && let Err(breach) = connection.send(offer)
            {
                break Ok(breach);
            },
            Ok(()) = cap.changed() => {}
            _ = keepalive.tick(), if connection.turns.is_waiting() => {
                if let Err(breach) = connection.send(connection.turns.keepalive()) {
                    break Ok(breach);
                }
            }
            ended = &mut sender => return ended.unwrap_or(Ok(())),
        }
    };
    let goodbye = ended.inspect_err(|_| sender.abort())?;
    let broke = goodbye.reason != Reason::Stopping;
    if broke {
        connection.context.broke(downloader, remote, &goodbye);
    }
    let close = async {
        let _ = connection.queue.send(SendTask::Close(goodbye)).await; // the queue may be full
        drop(connection);
        let _ = (&mut sender).await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), close).await;
    sender.abort();
    if broke {
        reader.drain().await;
    }
    Ok(())
}

fn stopping() -> Goodbye {
    Goodbye { reason: Reason::Stopping, text: Reason::Stopping.to_string() }
}

/// The goodbye for a downloader that did something forbidden.
fn breach(reason: Reason, text: impl Into<String>) -> Goodbye {
    Goodbye { reason, text: text.into() }
}

/// The goodbye for a downloader that sends messages about turns faster than the owner of the slots handles them.
fn too_many_turns<E>(_: E) -> Goodbye {
    breach(Reason::TooMuch, "too many messages about turns")
}

fn too_many_requests() -> Goodbye {
    breach(Reason::TooMuch, format!("more than {} open requests", limits::REQUESTS_IN_FLIGHT))
}

/// The connection to one downloader.
struct DownloaderConnection {
    context: ServeContext,
    queue: mpsc::Sender<SendTask>,
    sent: Arc<SentCounter>,
    open_requests: Arc<OpenRequests>,
    turns: ConnectionTurns,
    channels: BTreeMap<u32, Channel>,
}

/// A content that the downloader has opened.
struct Channel {
    content: Content,
    geometry: Geometry,
    source: PieceSource,
    /// For a part: the pieces that were announced to the downloader.
    last_bitfield: Option<Bitfield>,
}

impl DownloaderConnection {
    /// Answers one message; an error ends the connection with this goodbye.
    fn handle(&mut self, message: ToHolder) -> Result<(), Goodbye> {
        match message {
            ToHolder::Open(open) => self.open(&open),
            ToHolder::Close(close) => {
                self.close(close.channel)?;
                self.queue(SendTask::CloseChannel(close.channel))
            }
            ToHolder::AskList(ask) => self.list(ask.channel, ask.first),
            ToHolder::Request(request) => self.request(&request),
            ToHolder::RequestWhole(request) => self.request_whole(&request),
            ToHolder::Cancel(cancel) => self.queue(SendTask::Cancel(cancel.request)),
            ToHolder::Want(want) => self.want(&want),
            ToHolder::Decline(decline) => self.turns.decline(OfferId(decline.offer)).map_err(too_many_turns),
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
        let Some(source) = self.context.contents.find(&content) else {
            return self.refuse(None, Some(channel), Reason::NotFound);
        };
        let last_bitfield = source.have().map(|have| have.clone());
        match &last_bitfield {
            None => self.send(HaveAll { channel })?,
            Some(have) => {
                for first in (0..geometry.count()).step_by(limits::BITFIELD_PAGE_PIECES as usize) {
                    let bits = have.page(first, limits::BITFIELD_PAGE_PIECES).to_vec();
                    self.send(Bits { channel, first, bits })?;
                }
            }
        }
        self.channels.insert(channel, Channel { content, geometry, source, last_bitfield });
        Ok(())
    }

    /// Closes a channel: the downloader wants nothing more of it.
    fn close(&mut self, channel: u32) -> Result<(), Goodbye> {
        self.channels.remove(&channel);
        self.turns.unwant(channel).map_err(too_many_turns)
    }

    fn list(&mut self, number: u32, first: u32) -> Result<(), Goodbye> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        let Some(list) = channel.source.list() else {
            self.close(number)?;
            return self.refuse(None, Some(number), Reason::Protocol);
        };
        let values = list.values();
        let from = (first as usize).min(values.len());
        let to = (from + limits::LIST_PAGE_VALUES as usize).min(values.len());
        let values = values[from..to].concat();
        if !self.open_requests.add_list() {
            return Err(breach(Reason::TooMuch, "too many open requests for pages of piece lists"));
        }
        self.queue(SendTask::List(ListPage { channel: number, first, values }))
    }

    fn request(&mut self, request: &Request) -> Result<(), Goodbye> {
        let piece = PieceIndex(request.piece);
        let offer = self.turns.take_offer(request.offer, request.channel).map_err(too_many_turns)?;
        // The channel may be closed: a request may cross the refusal of its channel.
        let channel = self.channels.get(&request.channel);
        let answer = {
            let have = channel.and_then(|channel| channel.source.have());
            let held = have.as_deref().map_or(ServedPieces::All, ServedPieces::Some);
            upload::check(
                self.open_requests.pieces(),
                channel.map(|channel| (&channel.geometry, held)),
                piece,
            )
        };
        match (answer, channel) {
            (Ok(()), Some(channel)) => {
                let accept = |offer| self.turns.accept(offer, piece).map_err(too_many_turns);
                let offer = offer.map(accept).transpose()?;
                self.open_requests.add_piece();
                self.sent.note_request(channel.content);
                self.queue(SendTask::Piece(QueuedPiece {
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
                let text = format!("piece {} of a content of {count} was requested", piece.0);
                Err(breach(Reason::Protocol, text))
            }
            (answer, _) => {
                if let Some(offer) = offer {
                    self.turns.give_back(offer).map_err(too_many_turns)?;
                }
                self.refuse(Some(request.request), None, answer.err().unwrap_or(Reason::NotFound))
            }
        }
    }

    fn request_whole(&mut self, request: &RequestWhole) -> Result<(), Goodbye> {
        let content = Content { id: request.id, size: request.size };
        let Some(geometry) = Geometry::new(content.size).ok().filter(|geometry| geometry.count() == 1) else {
            let text = format!("a content of {} bytes was requested as one piece", content.size);
            return Err(breach(Reason::Protocol, text));
        };
        if self.open_requests.pieces() >= limits::REQUESTS_IN_FLIGHT {
            return Err(too_many_requests());
        }
        let Some(source) = self.context.contents.find_shared(&content) else {
            return self.refuse(Some(request.request), None, Reason::NotFound);
        };
        let queued = QueuedPiece {
            request: request.request,
            channel: None,
            offer: None,
            source,
            file_offset: 0,
            bytes: geometry.length(PieceIndex(0)),
            done: 0,
        };
        self.open_requests.add_piece();
        self.queue(SendTask::Piece(queued))
    }

    fn has_parts(&self) -> bool {
        self.channels.values().any(|channel| channel.last_bitfield.is_some())
    }

    /// Tells the downloader which pieces of parts are new.
    fn send_new_pieces(&mut self) -> Result<(), Goodbye> {
        let mut messages = vec![];
        for (number, channel) in &mut self.channels {
            let (Some(last), Some(have)) = (&mut channel.last_bitfield, channel.source.have()) else {
                continue;
            };
            let new: Vec<u32> = have.iter().filter(|piece| last.set(*piece)).map(|piece| piece.0).collect();
            for page in new.chunks(limits::HAVE_PIECES) {
                messages.push(Have { channel: *number, pieces: page.to_vec() });
            }
            tracing::trace!(size = channel.content.size, pieces = new.len(), "announced new pieces");
        }
        messages.into_iter().try_for_each(|have| self.send(have))
    }

    /// The downloader wants any piece of a content.
    fn want(&mut self, want: &Want) -> Result<(), Goodbye> {
        let Some(channel) = self.channels.get(&want.channel) else { return Ok(()) };
        let complete = channel.last_bitfield.is_none().then(|| channel.geometry.count());
        self.turns.want(want, channel.content, complete).map_err(too_many_turns)
    }

    /// Tells the downloader when a limit on sending begins or ends.
    fn set_limit(&mut self, cap: Cap) -> Result<(), Goodbye> {
        let message = self.turns.set_limit(cap).map_err(too_many_turns)?;
        message.map_or(Ok(()), |turns| self.send(turns))
    }

    /// Sends a message to the downloader, behind those that are queued.
    fn send(&self, message: impl Into<FromHolder>) -> Result<(), Goodbye> {
        self.queue(SendTask::Message(message.into()))
    }

    fn refuse(&self, request: Option<u32>, channel: Option<u32>, reason: Reason) -> Result<(), Goodbye> {
        self.send(Refuse { request, channel, reason, text: reason.to_string() })
    }

    /// Queues a task. If the queue is full, the downloader sends requests faster than it reads the answers.
    fn queue(&self, task: SendTask) -> Result<(), Goodbye> {
        self.queue
            .try_send(task)
            .map_err(|_| breach(Reason::TooMuch, "too many messages: their answers were not read"))
    }
}
