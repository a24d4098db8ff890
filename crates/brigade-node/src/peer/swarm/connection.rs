//! The connection to one holder: what the downloads want is asked here, and what comes is put together.
//!
//! One task owns the connection. Data is decrypted straight into the buffer of its piece and hashed there while it
//! is in the processor's cache; a piece that is right goes on to [`super::writer`], where it is written on
//! threads that may wait. Data that nobody asked for, or out of order, ends the connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    content::Expected,
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::{Content, PeerKey},
    limits,
    name::Username,
    wire::{
        Reason,
        peer::{
            AskList, Cancel, Close, Decline, FromHolder, Offer, Open, Request, RequestWhole, ToHolder, Want,
        },
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    buffers::Buffers,
    intake::Received,
    news::{Ending, LinkError, News},
    piece_data::Told,
    requests::{Requests, list_page},
    writer::{Receiving, Sink},
};
use crate::{
    clock,
    identity::{key::SecretKey, membership},
    peer::bandwidth::Traffic,
    transport::{
        breach_log::BreachLog,
        connection::{ConnectionError, Incoming, Reader, Writer},
        dial::dial,
        greeting::{Greeted, close_and_drain},
        hello::own_hello,
    },
};

/// Commands that may wait for a link: every request of a full window, its cancellation, and every channel.
pub(crate) const COMMANDS: usize = 2 * limits::REQUESTS_IN_FLIGHT + 2 * limits::OPEN_CHANNELS;

/// How long a link that is given up may take to say so.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the downloads want of a holder.
#[derive(Debug)]
pub(crate) enum Command {
    Open { download: DownloadId, content: Content },
    Close { download: DownloadId },
    AskList { download: DownloadId, first: u32 },
    Request(Wanted),
    Cancel { download: DownloadId, piece: PieceIndex },
    Want { download: DownloadId },
    Decline { offer: u32 },
}

/// A piece that is to be asked for, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) piece: PieceIndex,
    /// The offer that is taken up by asking for it.
    pub(crate) offer: Option<u32>,
    /// Its length in bytes, at least 1.
    pub(crate) bytes: u32,
    pub(crate) expected: Expected,
    pub(crate) sink: Sink,
    /// Whether all of it comes from one holder, over two connections.
    pub(crate) alone: bool,
    /// How much of it is here.
    pub(crate) received: Received,
}

/// Whom to dial, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: HolderId,
    pub(crate) username: Username,
    pub(crate) key: PeerKey,
    pub(crate) address: SocketAddr,
}

/// Which of the connections to a holder a link is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its own number.
    pub(crate) serial: u64,
    /// Whether it is the second one.
    pub(crate) second: bool,
}

/// What all links share.
#[derive(Clone)]
pub(crate) struct Lines {
    pub(crate) key: SecretKey,
    /// The manager's key: whose members are talked to.
    pub(crate) network: PeerKey,
    pub(crate) membership: watch::Receiver<String>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) buffers: Buffers,
    pub(crate) receiving: Receiving,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) breaches: Arc<BreachLog>,
}

/// Dials `holder` and does what `commands` say until they end, `stop`, or the connection breaks.
pub(crate) async fn run(
    lines: Lines,
    holder: Holder,
    place: Place,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let mut ending = Ending::new(lines.news.clone(), holder.id, place.serial);
    let result = tokio::select! {
        result = talk(&lines, &holder, place, commands, &stop, &mut ending.greeted) => result,
        // Where it does not come to say goodbye, because nothing moves any more, it is dropped.
        () = async { stop.cancelled().await; tokio::time::sleep(FAREWELL).await } => Ok(()),
    };
    let error = result.err();
    if let Some(error) = &error {
        tracing::debug!(holder = holder.username.as_str(), %error, "a connection to a holder ended");
    }
    ending.tell(error).await;
}

async fn talk(
    lines: &Lines,
    holder: &Holder,
    place: Place,
    mut commands: mpsc::Receiver<Command>,
    stop: &CancellationToken,
    greeted: &mut bool,
) -> Result<(), LinkError> {
    let (session, _permit) = tokio::select! {
        connected = connect(lines, holder) => connected?,
        () = stop.cancelled() => return Ok(()),
    };
    *greeted = true;
    let Greeted { mut reader, writer, .. } = session;
    let mut link = Link {
        lines,
        holder: holder.id,
        serial: place.serial,
        writer,
        requests: Requests::new(lines.buffers.clone()),
        reading: 0,
        last_progress: None,
        throttled: None,
        heard: false,
    };
    if place.second {
        let _ = lines.news.send(News::SecondUp { holder: holder.id, serial: place.serial }).await;
    } else {
        link.tell(Event::Connected { holder: holder.id }).await;
    }
    let ended = link.converse(&mut reader, &mut commands, stop).await;
    // One that refuses its newcomers says so only after its hello, where it may have to see theirs.
    *greeted = place.second || link.heard || !matches!(ended, Err(LinkError::Goodbye(..)));
    match &ended {
        Ok(()) if stop.is_cancelled() => link.writer.close(Reason::Stopping, "").await,
        Err(LinkError::Connection(error)) => {
            if let Some(goodbye) = error.goodbye() {
                lines.breaches.broke(Some(&holder.username), holder.address, error);
                let farewell = close_and_drain(reader, link.writer, goodbye);
                let _ = timeout(FAREWELL, farewell).await; // others are to be asked for what is missing
            }
        }
        _ => {}
    }
    ended
}

async fn connect(lines: &Lines, holder: &Holder) -> Result<(Greeted, OwnedSemaphorePermit), LinkError> {
    let closed = || ConnectionError::Io(std::io::Error::other("the peer is stopping"));
    // Where all places are taken for long, the holder counts as one that cannot be reached, and is tried later.
    let place = timeout(limits::GREETING_TIME, lines.places.clone().acquire_owned()).await;
    let place = place.map_err(|_| LinkError::NoPlace)?.map_err(|_| closed())?;
    let connection = dial(&[holder.address], &lines.key, Some(holder.key)).await?;
    let membership = Some(lines.membership.borrow().clone());
    let session = connection.greet(own_hello(membership)).await?;
    let token = session.hello.membership.as_deref();
    let claims = membership::verify(token, lines.network, holder.key, clock::unix_now())?;
    if claims.username != holder.username {
        return Err(LinkError::Name {
            address: holder.address.to_string(),
            expected: holder.username.clone(),
            found: claims.username,
        });
    }
    Ok((session, place))
}

/// A connection to a holder that stands. How its data is read is in [`super::piece_data`].
pub(crate) struct Link<'a> {
    pub(crate) lines: &'a Lines,
    pub(crate) holder: HolderId,
    pub(crate) serial: u64,
    pub(crate) writer: Writer,
    pub(crate) requests: Requests,
    /// The request whose data was read last.
    pub(crate) reading: u32,
    /// Whether anything came but a goodbye.
    pub(crate) heard: bool,
    /// When the downloads heard of a part of a piece; they hear of the very first one, which tells the round trip.
    pub(crate) last_progress: Option<Instant>,
    /// When a download limit last kept this link from reading; none where it does not.
    pub(crate) throttled: Option<Instant>,
}

impl Link<'_> {
    /// Does what is wanted, and hears what comes, until `stop`, the end of the wants, or that of the connection.
    async fn converse(
        &mut self,
        reader: &mut Reader,
        commands: &mut mpsc::Receiver<Command>,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        let mut told = Told { commands, stop };
        loop {
            let throttled = self.throttled;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                command = told.commands.recv() => {
                    let Some(command) = command else { return Ok(()) };
                    self.command(command).await?;
                    while let Ok(command) = told.commands.try_recv() {
                        self.command(command).await?;
                    }
                    self.writer.flush().await?;
                }
                frame = reader.next_frame::<FromHolder>() => match frame? {
                    Some(Incoming::Message(message)) => self.hear(message).await?,
                    Some(Incoming::Piece { header, bytes }) => {
                        if !self.data(reader, header, bytes, &mut told).await? {
                            return Ok(());
                        }
                    }
                    None => return Ok(()),
                },
                () = Self::is_quiet(throttled), if throttled.is_some() => self.throttle(false).await,
            }
        }
    }

    pub(crate) async fn command(&mut self, command: Command) -> Result<(), ConnectionError> {
        let message: ToHolder = match command {
            Command::Open { download, content } => {
                Open { channel: download.0, id: content.id, size: content.size }.into()
            }
            Command::Close { download } => {
                self.requests.forget_all(download);
                Close { channel: download.0 }.into()
            }
            Command::AskList { download, first } => AskList { channel: download.0, first }.into(),
            Command::Request(wanted) => self.request(wanted),
            Command::Want { download } => {
                Want { channel: download.0, uplink: self.lines.traffic.up_limit() }.into()
            }
            Command::Decline { offer } => Decline { offer }.into(),
            Command::Cancel { download, piece } => match self.requests.forget(download, piece) {
                Some(request) => Cancel { request }.into(),
                None => return Ok(()),
            },
        };
        self.writer.send(&message).await
    }

    fn request(&mut self, wanted: Wanted) -> ToHolder {
        let (channel, piece, size) = (wanted.download.0, wanted.piece.0, wanted.content.size);
        let (expected, offer) = (wanted.expected, wanted.offer);
        let request = self.requests.add(wanted);
        match expected {
            Expected::Whole(id) => RequestWhole { request, id, size }.into(),
            Expected::Subtree { .. } => Request { request, channel, piece, offer }.into(),
        }
    }

    async fn hear(&mut self, message: FromHolder) -> Result<(), LinkError> {
        let holder = self.holder;
        if let FromHolder::Goodbye(bye) = message {
            return Err(LinkError::Goodbye(bye.reason, bye.text));
        }
        self.heard = true;
        let event = match message {
            FromHolder::Goodbye(_) => return Ok(()), // it was seen above
            FromHolder::HaveAll(all) => Event::HaveAll { holder, download: DownloadId(all.channel) },
            FromHolder::Bits(bits) => {
                Event::Bits { holder, download: DownloadId(bits.channel), first: bits.first, bits: bits.bits }
            }
            FromHolder::Have(have) => {
                Event::Have { holder, download: DownloadId(have.channel), pieces: have.pieces }
            }
            FromHolder::ListPage(page) => list_page(holder, &page)?,
            FromHolder::Turns(turns) => Event::Turns { holder, limited: turns.limited },
            FromHolder::Offer(Offer { offer, channel, pieces }) => {
                Event::Offered { holder, download: DownloadId(channel), offer, pieces }
            }
            FromHolder::Refuse(refuse) => {
                let (download, piece) = match (refuse.request, refuse.channel) {
                    (Some(request), _) => match self.requests.refused(request) {
                        Some((download, piece)) => (download, Some(piece)),
                        None => return Ok(()), // taken back meanwhile
                    },
                    (None, Some(channel)) => (DownloadId(channel), None),
                    (None, None) => return Ok(()),
                };
                Event::Refused { holder, download, piece, reason: refuse.reason }
            }
        };
        self.tell(event).await;
        Ok(())
    }

    pub(crate) async fn tell(&self, event: Event) {
        // The owner never waits for a link, so this ends.
        let _ = self.lines.news.send(News::Core(event)).await;
    }
}
