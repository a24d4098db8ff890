//! The established connection to one holder: requests are sent and pieces are received here.
//!
//! One task owns the connection. Decrypted data is copied once, into the buffer of its piece, and hashed there while it
//! is in the processor's cache; a verified piece goes to [`super::writing_and_landing`]. Under a download limit data is
//! read in slices, commands are still carried out, and the core knows that the holder does not cause the delay.

use std::{error::Error, sync::Arc, time::Duration};

use brigade_core::{
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::PeerKey,
    limits,
    wire::{FrameError, Reason, frame::PieceHeader, peer::FromHolder},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    pending_requests::{ConnectionCommand, PieceProgress, ReceivedPiece, Requests},
    writing_and_landing::PieceWriter,
};
use crate::{
    identity::key::SecretKey,
    peer::bandwidth::{Traffic, beside},
    transport::{
        breach_log::BreachLog,
        connection::{ConnectionError, Incoming, Reader, Writer},
        greeting::close_and_drain,
    },
};

/// The length of the queue of connection events; a connection waits while it is full.
const EVENT_QUEUE: usize = 4096;

/// The length of a connection's command queue: every request of a full window, its cancellation, and every channel.
const COMMANDS: usize = 2 * limits::REQUESTS_IN_FLIGHT + 2 * limits::OPEN_CHANNELS;

/// How long the goodbye of a connection may take.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The time between two progress events of a piece that arrives slowly.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// After this time without data, a throttled connection waits for the holder, and no longer for the limit.
const QUIET: Duration = Duration::from_millis(50);

/// A connection that has not waited for the limit for this time is not throttled any more.
const UNTHROTTLED_AFTER: Duration = Duration::from_millis(200);

/// What a peer needs to connect to others.
#[derive(Clone)]
pub(crate) struct ConnectionConfig {
    pub(crate) key: SecretKey,
    /// The manager's key: a holder must be a member of its network.
    pub(crate) network: PeerKey,
    pub(crate) membership: watch::Receiver<String>,
    pub(crate) connection_slots: Arc<Semaphore>,
    pub(crate) traffic: Arc<Traffic>,
}

/// An event of the connection to a holder.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    /// An event for the core.
    Core(Event),
    /// The second connection to a holder is established.
    SecondConnected { holder: HolderId, serial: u64 },
    /// A download limit keeps the connection from reading, or no longer does.
    Throttled { holder: HolderId, serial: u64, throttled: bool },
    /// The connection has ended; `greeted` says whether it was ever established. It is the last event.
    Ended { holder: HolderId, serial: u64, greeted: bool, error: Option<Box<dyn Error + Send + Sync>> },
}

/// How the task of a connection ended.
pub(crate) type TaskResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Why an established connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionEndError {
    #[error("the holder said goodbye: {0} ({1})")]
    Goodbye(Reason, String),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl From<FrameError> for ConnectionEndError {
    fn from(error: FrameError) -> Self {
        Self::Connection(error.into())
    }
}

/// The values that all connections to holders share.
#[derive(Clone)]
pub(crate) struct ConnectionContext {
    pub(crate) config: ConnectionConfig,
    pub(crate) events: mpsc::Sender<ConnectionEvent>,
    pub(crate) breaches: Arc<BreachLog>,
    writer: PieceWriter,
}

impl ConnectionContext {
    /// Creates the context, and the receiver of the events of all connections.
    pub(crate) fn new(
        config: ConnectionConfig,
        writer: PieceWriter,
    ) -> (Self, mpsc::Receiver<ConnectionEvent>) {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        (Self { config, events, breaches: Arc::default(), writer }, receiver)
    }
}

/// A connection that is dialled or established, for those that send commands to it. It is closed when this is dropped.
pub(crate) struct ConnectionHandle {
    /// Its own number.
    pub(crate) serial: u64,
    /// Whether a download limit keeps it from reading.
    pub(crate) throttled: bool,
    commands: mpsc::Sender<ConnectionCommand>,
    stop: CancellationToken,
}

impl ConnectionHandle {
    /// Creates the handle of a connection, and the inputs of its task.
    pub(crate) fn new(serial: u64) -> (Self, CommandInputs) {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        let inputs = CommandInputs { commands: queue, stop: stop.clone() };
        (Self { serial, throttled: false, commands, stop }, inputs)
    }

    pub(crate) fn send(&self, command: ConnectionCommand) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            // The queue is long enough for everything that may be in flight: a connection that lets it fill up is
            // stuck.
            tracing::warn!(serial = self.serial, "a connection to a holder does not take commands any more");
            self.stop.cancel();
        }
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The inputs of a connection from this peer.
pub(crate) struct CommandInputs {
    commands: mpsc::Receiver<ConnectionCommand>,
    pub(crate) stop: CancellationToken,
}

/// An established connection to a holder.
pub(crate) struct HolderConnection<'a> {
    context: &'a ConnectionContext,
    holder: HolderId,
    serial: u64,
    writer: Writer,
    requests: Requests,
    /// The request whose data was read last.
    reading: u32,
    /// Whether the holder sent anything but a goodbye.
    pub(crate) has_answered: bool,
    /// When the last progress event was sent. One is sent for the first data, from which the core learns the round
    /// trip.
    last_progress: Option<Instant>,
    /// When a download limit last kept this connection from reading; `None` where it does not.
    throttled: Option<Instant>,
}

impl<'a> HolderConnection<'a> {
    /// A connection whose greeting is over.
    pub(crate) fn new(context: &'a ConnectionContext, holder: HolderId, serial: u64, writer: Writer) -> Self {
        Self {
            context,
            holder,
            serial,
            writer,
            requests: Requests::new(context.writer.buffers()),
            reading: 0,
            has_answered: false,
            last_progress: None,
            throttled: None,
        }
    }

    /// Says goodbye to a holder that broke the protocol, or whose connection is not needed any more.
    pub(crate) async fn close(self, reader: Reader, error: Option<&ConnectionEndError>) {
        match error {
            None => self.writer.close(Reason::Stopping, "").await,
            Some(ConnectionEndError::Connection(error)) => {
                if let Some(goodbye) = error.goodbye() {
                    let goodbye = close_and_drain(reader, self.writer, goodbye);
                    // The missing pieces are requested from others after this.
                    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
                }
            }
            Some(ConnectionEndError::Goodbye(..)) => {}
        }
    }

    /// Carries out commands and handles messages until they are stopped, or the end of the commands or of the
    /// connection.
    pub(crate) async fn run(
        &mut self,
        reader: &mut Reader,
        inputs: &mut CommandInputs,
    ) -> Result<(), ConnectionEndError> {
        loop {
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => return Ok(()),
                command = inputs.commands.recv() => {
                    let Some(command) = command else { return Ok(()) };
                    self.command(command).await?;
                    while let Ok(command) = inputs.commands.try_recv() {
                        self.command(command).await?;
                    }
                    self.writer.flush().await?;
                }
                frame = reader.next_frame::<FromHolder>() => match frame? {
                    Some(Incoming::Message(message)) => self.message(message).await?,
                    Some(Incoming::Piece { header, bytes }) => {
                        if !self.data(reader, header, bytes, inputs).await? {
                            return Ok(());
                        }
                    }
                    None => return Ok(()),
                },
                () = async { sleep(QUIET).await }, if self.throttled.is_some() => self.throttle(false).await,
            }
        }
    }

    async fn command(&mut self, command: ConnectionCommand) -> Result<(), ConnectionError> {
        match self.requests.message(command, || self.context.config.traffic.up_limit()) {
            Some(message) => self.writer.send(&message).await,
            None => Ok(()),
        }
    }

    async fn message(&mut self, message: FromHolder) -> Result<(), ConnectionEndError> {
        if let FromHolder::Goodbye(bye) = message {
            return Err(ConnectionEndError::Goodbye(bye.reason, bye.text));
        }
        self.has_answered = true;
        if let Some(event) = self.requests.event(self.holder, message)? {
            self.send(event).await;
        }
        Ok(())
    }

    /// Reads the data of a frame; false where the connection is to end.
    async fn data(
        &mut self,
        reader: &mut Reader,
        mut header: PieceHeader,
        mut left: usize,
        inputs: &mut CommandInputs,
    ) -> Result<bool, ConnectionEndError> {
        self.reading = header.request;
        while left > 0 {
            let Some(mut slice) = self.wait_for_limit(left, inputs).await? else { return Ok(false) };
            left -= slice;
            while slice > 0 {
                let Some(count) = self.read(reader, header, slice).await? else { continue };
                slice -= count;
                header.offset = header.offset.wrapping_add(u32::try_from(count).unwrap_or(0)); // at most a frame
            }
        }
        Ok(true)
    }

    /// Waits until the limit allows some of `left` bytes, and carries out commands meanwhile. The number of bytes, or
    /// `None` where the connection is to end.
    async fn wait_for_limit(
        &mut self,
        left: usize,
        inputs: &mut CommandInputs,
    ) -> Result<Option<usize>, ConnectionEndError> {
        let context = self.context;
        let traffic = &context.config.traffic;
        let slice = traffic.receive_slice(left);
        if traffic.may_receive_now(slice) {
            if self.throttled.is_some_and(|waited| waited.elapsed() >= UNTHROTTLED_AFTER) {
                self.throttle(false).await;
            }
            return Ok(Some(slice));
        }
        self.throttle(true).await;
        let admitted = traffic.may_receive(slice);
        tokio::pin!(admitted);
        loop {
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => return Ok(None),
                command = inputs.commands.recv() => {
                    let Some(command) = command else { return Ok(None) };
                    let send = async {
                        self.command(command).await?;
                        self.writer.flush().await
                    };
                    // The holder may read nothing for a while: other connections must not wait for that.
                    if beside(admitted.as_mut(), send).await?.is_some() {
                        break;
                    }
                }
                () = &mut admitted => break,
            }
        }
        self.throttled = Some(Instant::now());
        Ok(Some(slice))
    }

    /// Reads at most `most` bytes; `None` if none arrived for so long that the limit does not cause the delay.
    async fn read(
        &mut self,
        reader: &mut Reader,
        header: PieceHeader,
        most: usize,
    ) -> Result<Option<usize>, ConnectionEndError> {
        let is_throttled = self.throttled.is_some();
        let read = async {
            match self.requests.space(header, most)? {
                Some(space) => Ok::<_, ConnectionEndError>(reader.data(space).await?),
                None => Ok(reader.skip_data(most).await?),
            }
        };
        let count = if is_throttled {
            match timeout(QUIET, read).await {
                Ok(count) => count?,
                Err(_) => {
                    self.throttle(false).await;
                    return Ok(None);
                }
            }
        } else {
            read.await?
        };
        self.add_data(header, count).await;
        Ok(Some(count))
    }

    /// Notes whether the limit keeps this connection from reading. Where that changes, the core is told, and before
    /// that how much of the piece has arrived.
    async fn throttle(&mut self, throttled: bool) {
        if self.throttled.is_some() == throttled {
            return;
        }
        self.throttled = throttled.then(Instant::now);
        if let Some((download, piece, bytes)) = self.requests.progress(self.reading) {
            self.send_progress(download, piece, bytes).await;
        }
        let event = ConnectionEvent::Throttled { holder: self.holder, serial: self.serial, throttled };
        let _ = self.context.events.send(event).await;
    }

    /// Counts data, and sends a complete piece to the writer.
    async fn add_data(&mut self, header: PieceHeader, bytes: usize) {
        self.has_answered = true;
        self.context.config.traffic.count_received(bytes as u64);
        let holder = self.holder;
        match self.requests.add_data(header, bytes) {
            PieceProgress::Nothing => {}
            PieceProgress::Part { download, piece, bytes } => {
                if self.last_progress.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
                    self.send_progress(download, piece, bytes).await;
                }
            }
            PieceProgress::Whole { wanted, buffer, is_right } => {
                let (download, piece) = (wanted.download, wanted.piece);
                self.send(Event::Arrived { holder, download, piece }).await;
                if is_right {
                    self.context.writer.write(ReceivedPiece { holder, wanted, buffer }).await;
                } else {
                    self.send(Event::Wrong { holder, download, piece }).await;
                }
            }
        }
    }

    async fn send_progress(&mut self, download: DownloadId, piece: PieceIndex, bytes: u32) {
        self.last_progress = Some(Instant::now());
        self.send(Event::Progress { holder: self.holder, download, piece, bytes }).await;
    }

    async fn send(&self, event: Event) {
        // The driver never waits for a connection, so this ends.
        let _ = self.context.events.send(ConnectionEvent::Core(event)).await;
    }
}
