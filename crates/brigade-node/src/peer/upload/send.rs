//! Sending to one downloader, buffer by buffer. Data in memory is read right before it is encrypted; data on a disk is
//! read ahead on a thread that may wait, while the buffer before it is encrypted and written.
//!
//! Other messages are sent between the buffers. Under a limit, a piece first waits for a slot, and its bytes for the
//! limiter; buffers are then small, so that a burst stays short.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use brigade_core::{
    id::PeerKey,
    wire::{
        greeting::Goodbye,
        peer::{FromHolder, Refuse},
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    piece_queue_and_reading::{
        FilledBuffer, OpenRequests, PieceQueue, PieceRange, QueuedPiece, SendTask, fill, fill_cached,
    },
    upload_owner::{self, Slot, Uploads},
};
use crate::{
    peer::bandwidth::{SentCounter, Traffic, beside},
    transport::{
        connection::{ConnectionError, Writer},
        tls::record_buffer::RecordBuffer,
    },
};

/// Bytes of piece data that are read and written at once.
const FILL_BYTES: u32 = 2 * 65_523;

/// If no more than this is left of a piece, it is sent with the bytes before it: the rest would need a buffer, a check
/// and a write of its own. The lengths of most pieces are powers of two, and a buffer holds a little less than one.
const REST_BYTES: u32 = 512;

/// How long a downloader may read nothing before its connection counts as broken.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// How long a slot is kept while the downloader does not read.
const SLOT_TIMEOUT: Duration = Duration::from_secs(1);

/// The limit on sending and the slots, which all connections share.
#[derive(Clone)]
pub(crate) struct SendContext {
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) uploads: Uploads,
}

impl SendContext {
    /// Starts the owner of the slots, which runs until `stop`.
    pub(crate) fn start(traffic: Arc<Traffic>, stop: CancellationToken) -> Self {
        let uploads = upload_owner::start(traffic.up_cap(), stop);
        Self { traffic, uploads }
    }
}

/// The next buffer: filled, or being filled.
enum NextBuffer {
    Ready(FilledBuffer),
    Later(JoinHandle<FilledBuffer>),
}

/// Sends until the reading side ends or closes the connection, or the connection breaks.
pub(crate) async fn send(
    writer: Writer,
    tasks: mpsc::Receiver<SendTask>,
    downloader: PeerKey,
    sent: Arc<SentCounter>,
    open_requests: Arc<OpenRequests>,
    context: SendContext,
) -> Result<(), ConnectionError> {
    let sending = SendLoop {
        writer,
        tasks,
        downloader,
        sent,
        open_requests,
        traffic: context.traffic,
        pieces: PieceQueue::default(),
        uploads: context.uploads,
        spare: vec![],
        slot: None,
        closing: None,
    };
    sending.run().await
}

struct SendLoop {
    writer: Writer,
    tasks: mpsc::Receiver<SendTask>,
    downloader: PeerKey,
    sent: Arc<SentCounter>,
    open_requests: Arc<OpenRequests>,
    traffic: Arc<Traffic>,
    uploads: Uploads,
    pieces: PieceQueue,
    /// Buffers that are not in use: two while pieces are sent, none while nothing is.
    spare: Vec<RecordBuffer>,
    slot: Option<Slot>,
    closing: Option<Goodbye>,
}

impl SendLoop {
    async fn run(mut self) -> Result<(), ConnectionError> {
        let mut filling: Option<JoinHandle<FilledBuffer>> = None;
        loop {
            if filling.is_none() && self.pieces.queue.is_empty() {
                // Nothing to do: free the buffers, and wait for the next task.
                self.slot = None;
                self.writer.flush().await?;
                if self.tasks.is_empty() {
                    self.spare = vec![];
                }
                match self.tasks.recv().await {
                    Some(task) => self.apply_and_flush(task).await?,
                    None => return Ok(()),
                }
            }
            while let Ok(task) = self.tasks.try_recv() {
                self.apply_and_flush(task).await?;
            }
            if filling.is_none() {
                self.wait_for_slot().await?;
            }
            if let Some(goodbye) = self.closing {
                self.writer.close(goodbye.reason, goodbye.text).await;
                return Ok(());
            }
            let ready = match filling.take() {
                Some(filling) => filling.await.ok(),
                None => None,
            };
            let reads_on = !self.pieces.queue.is_empty() && (ready.is_none() || self.may_read_on());
            let next = if reads_on { Some(self.next_fill().await) } else { None };
            match next {
                Some(NextBuffer::Ready(next)) => {
                    if let Some(filled) = ready {
                        self.write(filled).await?;
                    }
                    self.write(next).await?;
                }
                Some(NextBuffer::Later(job)) => {
                    filling = Some(job);
                    if let Some(filled) = ready {
                        self.write(filled).await?;
                    }
                }
                None => {
                    if let Some(filled) = ready {
                        self.write(filled).await?;
                    }
                }
            }
        }
    }

    /// Whether the next buffer may be filled while the one before it is written. Under a limit, a buffer that begins a
    /// piece first needs a slot.
    fn may_read_on(&self) -> bool {
        self.traffic.up_limit().is_none() || self.pieces.queue.front().is_some_and(|piece| piece.done > 0)
    }

    /// Under a limit, waits for a slot for the next piece, and sends other messages in the meantime.
    async fn wait_for_slot(&mut self) -> Result<(), ConnectionError> {
        if self.traffic.up_limit().is_none() || self.slot.is_some() {
            return Ok(());
        }
        let uploads = self.uploads.clone();
        let Some((request, offer)) = self.pieces.front() else { return Ok(()) };
        self.flush().await?; // messages that were queued during the piece before, such as an offer
        let mut wanted = Box::pin(uploads.slot(self.downloader, offer));
        while self.pieces.front().is_some_and(|(front, _)| front == request) && self.closing.is_none() {
            tokio::select! {
                slot = &mut wanted => {
                    self.slot = slot;
                    self.pieces.set_front_has_slot();
                    return Ok(());
                }
                () = self.traffic.up_is_free() => return Ok(()), // a slot that is granted now is dropped
                Some(task) = self.tasks.recv() => {
                    self.apply(task);
                    match timeout(SLOT_TIMEOUT, self.writer.flush()).await {
                        Ok(flushed) => flushed?,
                        Err(_) => {
                            // A slot that was granted in the meantime goes to another. A new one is requested once the
                            // downloader reads again.
                            drop(wanted);
                            self.flush().await?;
                            wanted = Box::pin(uploads.slot(self.downloader, offer));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies a task, and writes the queued messages if there are many.
    async fn apply_and_flush(&mut self, task: SendTask) -> Result<(), ConnectionError> {
        if self.apply(task) { self.flush().await } else { Ok(()) }
    }

    /// Applies a task; true if so many bytes are queued that they should be flushed.
    fn apply(&mut self, task: SendTask) -> bool {
        match task {
            SendTask::Message(message) => return self.writer.queue(&message),
            SendTask::List(page) => {
                self.open_requests.list_sent();
                return self.writer.queue(&FromHolder::ListPage(page));
            }
            SendTask::Piece(piece) => self.pieces.queue.push_back(piece),
            SendTask::Cancel(request) => self.drop_pieces(|piece| piece.request == request),
            SendTask::CloseChannel(channel) => self.drop_pieces(|piece| piece.channel == Some(channel)),
            SendTask::Close(goodbye) => self.closing = Some(goodbye),
        }
        false
    }

    /// Waits until so many bytes may be sent, and sends other messages in the meantime.
    async fn wait_for_limit(&mut self, bytes: u64) -> Result<(), ConnectionError> {
        let traffic = self.traffic.clone();
        let may_send = traffic.may_send(usize::try_from(bytes).unwrap_or(usize::MAX));
        tokio::pin!(may_send);
        loop {
            tokio::select! {
                biased;
                () = &mut may_send => return Ok(()),
                Some(task) = self.tasks.recv() => {
                    self.apply(task);
                    if beside(may_send.as_mut(), self.flush()).await?.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Writes the queued messages. If the downloader does not read, its slot is given up for others.
    async fn flush(&mut self) -> Result<(), ConnectionError> {
        if let Ok(flushed) = timeout(SLOT_TIMEOUT, self.writer.flush()).await {
            return flushed;
        }
        give_up(&mut self.slot);
        let late = timeout(WRITE_TIME, self.writer.flush()).await;
        late.map_err(|_| ConnectionError::Io(io::ErrorKind::TimedOut.into()))?
    }

    /// Drops pieces that wait to be sent, or of which a part was sent.
    fn drop_pieces(&mut self, is_dropped: impl Fn(&QueuedPiece) -> bool) {
        let (dropped, begun) = self.pieces.drop_some(is_dropped);
        self.open_requests.pieces_answered(dropped);
        if begun {
            self.slot = None; // it was for that piece; the next one needs its own
        }
    }

    /// Fills the next buffer: at once if the bytes are in memory, else on a thread that may wait.
    async fn next_fill(&mut self) -> NextBuffer {
        let limit = self.traffic.up_limit();
        // Under a limit, the bytes of a tenth of a second: bursts stay short, and other messages are sent soon.
        let most =
            limit.map_or(u64::from(FILL_BYTES), |rate| (rate / 10).clamp(4 << 10, u64::from(FILL_BYTES)));
        let ranges = self.next_ranges(u32::try_from(most).unwrap_or(FILL_BYTES), limit.is_some());
        let (ranges, ends): (Vec<PieceRange>, Vec<bool>) = ranges.into_iter().unzip();
        let mut frames = self.spare.pop().unwrap_or_default();
        if fill_cached(&mut frames, &ranges).is_some() {
            return NextBuffer::Ready(FilledBuffer { frames, ranges, ends, failed: vec![] });
        }
        NextBuffer::Later(tokio::task::spawn_blocking(move || {
            let failed = fill(&mut frames, &ranges, false); // `write` checks the files
            FilledBuffer { frames, ranges, ends, failed }
        }))
    }

    /// Takes up to `most` bytes from the queue, or [`REST_BYTES`] more: whole contents or the next part of a piece. If
    /// each needs a slot, it takes only one piece, and no more than `most`.
    fn next_ranges(&mut self, most: u32, one_piece: bool) -> Vec<(PieceRange, bool)> {
        let mut ranges = vec![];
        let mut left = most;
        while left > 0 {
            let Some(mut piece) = self.pieces.queue.pop_front() else { break };
            let (request, piece_offset, rest) = (piece.request, piece.done, piece.bytes - piece.done);
            let file_offset = piece.file_offset + u64::from(piece.done);
            let bytes = if !one_piece && rest <= left + REST_BYTES { rest } else { rest.min(left) };
            left = left.saturating_sub(bytes);
            let ends = bytes == rest;
            let source = if ends {
                piece.source
            } else {
                piece.done += bytes;
                let source = piece.source.clone();
                self.pieces.queue.push_front(piece);
                source
            };
            ranges.push((PieceRange { request, source, file_offset, piece_offset, bytes }, ends));
            if one_piece {
                break;
            }
        }
        ranges
    }

    async fn write(&mut self, mut filled: FilledBuffer) -> Result<(), ConnectionError> {
        if filled.data_bytes() > 0 {
            self.wait_for_limit(filled.data_bytes()).await?;
            // The buffer may have waited long, for the limit or for the buffer before it. Contents that were withdrawn
            // or changed during the read, or since, are not sent.
            filled = filled.without_withdrawn().await.map_err(ConnectionError::Io)?;
        }
        let bytes = filled.data_bytes();
        let pieces = filled.data().filter(|(_, ends)| *ends).count() as u64;
        let FilledBuffer { mut frames, ends, failed, .. } = filled;
        for (request, reason) in &failed {
            // The rest of the piece is dropped; a piece that was completely in the buffer is counted below.
            self.drop_pieces(|piece| piece.request == *request);
            let text = reason.to_string();
            let refuse = Refuse { request: Some(*request), channel: None, reason: *reason, text };
            if self.writer.queue(&FromHolder::Refuse(refuse)) {
                self.flush().await?;
            }
        }
        // Counted before the write: the downloader may read the end of a piece and send its next request before the
        // write returns.
        self.open_requests.pieces_answered(ends.iter().filter(|ends| **ends).count());
        if bytes > 0 {
            let (plain, written_bytes) = (frames.plain_bytes() as u64, AtomicU64::new(0));
            let written = self.writer.write_frames(&mut frames, |more| {
                // The part of the written bytes that is piece data, without headers.
                let before = written_bytes.fetch_add(more as u64, Ordering::Relaxed);
                let data = |plain_bytes: u64| bytes * plain_bytes / plain;
                self.traffic.count_sent(&self.sent, data(before + more as u64) - data(before));
            });
            tokio::pin!(written);
            match timeout(SLOT_TIMEOUT, &mut written).await {
                Ok(written) => written?,
                Err(_) => {
                    give_up(&mut self.slot);
                    wait_while_progressing(written, &written_bytes).await?;
                }
            }
            self.sent.pieces.fetch_add(pieces, Ordering::Relaxed);
        }
        if let Some(slot) = &mut self.slot {
            slot.bytes += bytes;
        }
        if pieces > 0 || !failed.is_empty() {
            self.slot = None; // the next piece needs its own slot
        }
        self.spare.push(frames);
        Ok(())
    }
}

/// Waits for a write as long as it makes progress: a downloader that reads little at a time is slow, not disconnected.
async fn wait_while_progressing(
    mut written: Pin<&mut impl Future<Output = Result<(), ConnectionError>>>,
    written_bytes: &AtomicU64,
) -> Result<(), ConnectionError> {
    loop {
        let before = written_bytes.load(Ordering::Relaxed);
        match timeout(WRITE_TIME, &mut written).await {
            Ok(written) => return written,
            Err(_) if written_bytes.load(Ordering::Relaxed) > before => {}
            Err(_) => return Err(ConnectionError::Io(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Others must not wait for a downloader that does not read. The piece continues when it does.
fn give_up(slot: &mut Option<Slot>) {
    if let Some(mut slot) = slot.take() {
        slot.continues_without_slot = true;
    }
}

#[cfg(test)]
mod tests;
