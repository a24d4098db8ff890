//! The connection to one holder: requests are sent and pieces are received here.
//!
//! One task owns the connection. Data is decrypted directly into the buffer of its piece and hashed there while it is
//! in the processor's cache; a verified piece goes to [`super::writer`]. Under a download limit data is read in slices,
//! commands are still carried out, and the core knows that the holder does not cause the delay.

use std::{sync::Arc, time::Duration};

use brigade_core::{
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    limits,
    wire::{Reason, frame::PieceHeader, peer::FromHolder},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    message::{
        ConnectionCommand, ConnectionConfig, ConnectionEndError, ConnectionEvent, ConnectionSlot,
        EndReporter, Holder,
    },
    requests::{PieceProgress, ReceivedPiece, Requests},
    writer::PieceWriter,
};
use crate::{
    clock,
    identity::membership,
    peer::bandwidth::beside,
    transport::{
        breach_log::{BreachLog, RemoteRole},
        connection::{ConnectionError, Incoming, Reader, Writer},
        dial::dial,
        greeting::{GreetedConnection, close_and_drain},
        hello::own_hello,
    },
};

/// The length of a connection's command queue: every request of a full window, its cancellation, and every channel.
pub(crate) const COMMANDS: usize = 2 * limits::REQUESTS_IN_FLIGHT + 2 * limits::OPEN_CHANNELS;

/// How long the goodbye of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The time between two progress events of a piece that arrives slowly.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// After so long without data, a throttled connection waits for the holder, and no longer for the limit.
const QUIET: Duration = Duration::from_millis(50);

/// A connection that has not waited for the limit for so long is not throttled any more.
const UNTHROTTLED_AFTER: Duration = Duration::from_millis(200);

/// What all connections to holders share.
#[derive(Clone)]
pub(crate) struct ConnectionContext {
    config: ConnectionConfig,
    writer: PieceWriter,
    events: mpsc::Sender<ConnectionEvent>,
    breaches: Arc<BreachLog>,
}

impl ConnectionContext {
    pub(crate) fn new(
        config: ConnectionConfig,
        writer: PieceWriter,
        events: mpsc::Sender<ConnectionEvent>,
    ) -> Self {
        Self { config, writer, events, breaches: Arc::default() }
    }
}

/// Dials `holder` and carries out `commands` until they end, `stop` is cancelled, or the connection breaks.
pub(crate) async fn run(
    context: ConnectionContext,
    holder: Holder,
    slot: ConnectionSlot,
    commands: mpsc::Receiver<ConnectionCommand>,
    stop: CancellationToken,
) {
    let mut end = EndReporter::new(context.events.clone(), holder.id, slot.serial);
    let result = tokio::select! {
        result = run_connection(&context, &holder, slot, commands, &stop, &mut end.greeted) => result,
        // Where the goodbye cannot be sent, because nothing moves any more, the connection is dropped.
        () = async { stop.cancelled().await; sleep(CLOSE_TIMEOUT).await } => Ok(()),
    };
    let error = result.err();
    if let Some(error) = &error {
        tracing::debug!(holder = holder.username.as_str(), %error, "a connection to a holder ended");
    }
    end.send(error).await;
}

async fn run_connection(
    context: &ConnectionContext,
    holder: &Holder,
    slot: ConnectionSlot,
    commands: mpsc::Receiver<ConnectionCommand>,
    stop: &CancellationToken,
    greeted: &mut bool,
) -> Result<(), ConnectionEndError> {
    let (session, _permit) = tokio::select! {
        connected = connect(context, holder) => connected?,
        () = stop.cancelled() => return Ok(()),
    };
    *greeted = true;
    let GreetedConnection { mut reader, writer, .. } = session;
    let mut connection = HolderConnection {
        context,
        holder: holder.id,
        serial: slot.serial,
        writer,
        requests: Requests::new(context.writer.buffers()),
        reading: 0,
        last_progress: None,
        throttled: None,
        has_answered: false,
    };
    if slot.second {
        let event = ConnectionEvent::SecondConnected { holder: holder.id, serial: slot.serial };
        let _ = context.events.send(event).await;
    } else {
        connection.send(Event::Connected { holder: holder.id }).await;
    }
    let ended = connection.run(&mut reader, CommandInputs { commands, stop }).await;
    // A holder that refuses this peer may say so only after its hello, when it has seen this peer's hello.
    *greeted =
        slot.second || connection.has_answered || !matches!(ended, Err(ConnectionEndError::Goodbye(..)));
    match &ended {
        Ok(()) if stop.is_cancelled() => connection.writer.close(Reason::Stopping, "").await,
        Err(ConnectionEndError::Connection(error)) => {
            if let Some(goodbye) = error.goodbye() {
                let (role, member) = (RemoteRole::Holder, Some(&holder.username));
                context.breaches.broke(role, member, holder.address, goodbye.reason, error);
                let goodbye = close_and_drain(reader, connection.writer, goodbye);
                let _ = timeout(CLOSE_TIMEOUT, goodbye).await; // the missing pieces are requested from others after this
            }
        }
        _ => {}
    }
    ended
}

async fn connect(
    context: &ConnectionContext,
    holder: &Holder,
) -> Result<(GreetedConnection, OwnedSemaphorePermit), ConnectionEndError> {
    // Where all slots are taken for long, the holder counts as one that cannot be reached, and is tried later.
    let permit =
        timeout(limits::GREETING_TIME, context.config.connection_slots.clone().acquire_owned()).await;
    let permit = permit
        .map_err(|_| ConnectionEndError::NoFreeConnection)?
        .map_err(|_| ConnectionError::Io(std::io::Error::other("the peer is stopping")))?;
    let connection = dial(&[holder.address], &context.config.key, Some(holder.key)).await?;
    let membership = Some(context.config.membership.borrow().clone());
    let session = connection.greet(own_hello(membership)).await?;
    let token = session.hello.membership.as_deref();
    let claims = membership::verify(token, context.config.network, holder.key, clock::unix_now())?;
    if claims.username != holder.username {
        return Err(ConnectionEndError::Name {
            address: holder.address.to_string(),
            expected: holder.username.clone(),
            found: claims.username,
        });
    }
    Ok((session, permit))
}

/// The inputs from this peer.
struct CommandInputs<'a> {
    commands: mpsc::Receiver<ConnectionCommand>,
    stop: &'a CancellationToken,
}

/// An established connection to a holder.
struct HolderConnection<'a> {
    context: &'a ConnectionContext,
    holder: HolderId,
    serial: u64,
    writer: Writer,
    requests: Requests,
    /// The request whose data was read last.
    reading: u32,
    /// Whether the holder sent anything but a goodbye.
    has_answered: bool,
    /// When the last progress event was sent; there is one for the very first data, which tells the round trip.
    last_progress: Option<Instant>,
    /// When a download limit last kept this connection from reading; `None` where it does not.
    throttled: Option<Instant>,
}

impl HolderConnection<'_> {
    /// Carries out commands and handles messages until `stop`, or the end of the commands or of the connection.
    async fn run(
        &mut self,
        reader: &mut Reader,
        mut inputs: CommandInputs<'_>,
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
                        if !self.data(reader, header, bytes, &mut inputs).await? {
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
        inputs: &mut CommandInputs<'_>,
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
        inputs: &mut CommandInputs<'_>,
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
                    // The holder may not read: other connections shall not wait for that.
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

    /// Reads at most `most` bytes; `None` where there were none for so long that the limit does not cause the delay.
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
