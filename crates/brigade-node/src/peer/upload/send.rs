//! Sending to one downloader, buffer by buffer. Data in memory is read right before it is encrypted; data on a disk is
//! read ahead on a thread that may wait, while the buffer before it is encrypted and written.
//!
//! Control messages pass between the buffers. Under a limit a piece first waits for a slot, and its bytes for the
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
        hello::Goodbye,
        peer::{FromHolder, Refuse},
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    connection::Shop,
    queue::{Load, Pieces, Queued, Work},
    read::{Chunk, Failed, fill, fill_cached},
    slots::{Slot, Uploads},
};
use crate::{
    peer::bandwidth::traffic::{Sent, Traffic, beside},
    transport::{
        connection::{ConnectionError, Writer},
        tls::records::Records,
    },
};

/// Bytes of piece data that are read and written at once.
const FILL_BYTES: u32 = 2 * 65_523;

/// How long a newcomer may not read while it is sent to, before it is taken for gone.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// How long the right to send is kept while the newcomer does not read.
const SLOT_PATIENCE: Duration = Duration::from_secs(1);

struct Filled {
    frames: Records,
    /// What was to be read into the buffer.
    chunks: Vec<Chunk>,
    /// Of each of them, whether its piece ends in it.
    ends: Vec<bool>,
    failed: Vec<Failed>,
}

impl Filled {
    /// What is in the buffer.
    fn data(&self) -> impl Iterator<Item = (&Chunk, bool)> {
        let chunks = self.chunks.iter().zip(self.ends.iter().copied());
        chunks.filter(|(chunk, _)| self.failed.iter().all(|(failed, _)| *failed != chunk.request))
    }

    /// Bytes of data in the buffer.
    fn data_bytes(&self) -> u64 {
        self.data().map(|(chunk, _)| u64::from(chunk.bytes)).sum()
    }

    /// Where some of it is not to be sent any more, lays out the rest anew: that fails again.
    async fn without_withdrawn(mut self) -> Result<Self, ConnectionError> {
        if self.data().all(|(chunk, _)| chunk.source.check().is_ok()) {
            return Ok(self);
        }
        let again = tokio::task::spawn_blocking(move || {
            self.failed = fill(&mut self.frames, &self.chunks);
            self
        });
        again.await.map_err(|error| ConnectionError::Io(io::Error::other(error)))
    }
}

/// How the next buffer's worth comes.
enum Next {
    Ready(Filled),
    Later(JoinHandle<Filled>),
}

/// Sends until the reading side ends or says so, or the connection breaks.
pub(crate) async fn send(
    writer: Writer,
    works: mpsc::Receiver<Work>,
    newcomer: PeerKey,
    sent: Arc<Sent>,
    load: Arc<Load>,
    shop: Shop,
) -> Result<(), ConnectionError> {
    let sending = Sending {
        writer,
        works,
        newcomer,
        sent,
        load,
        traffic: shop.traffic,
        pieces: Pieces::default(),
        uploads: shop.uploads,
        spare: vec![],
        slot: None,
        closing: None,
    };
    sending.run().await
}

struct Sending {
    writer: Writer,
    works: mpsc::Receiver<Work>,
    newcomer: PeerKey,
    sent: Arc<Sent>,
    load: Arc<Load>,
    traffic: Arc<Traffic>,
    uploads: Uploads,
    pieces: Pieces,
    /// Buffers that are not in use: two while pieces are sent, none while nothing is.
    spare: Vec<Records>,
    slot: Option<Slot>,
    closing: Option<Goodbye>,
}

impl Sending {
    async fn run(mut self) -> Result<(), ConnectionError> {
        let mut filling: Option<JoinHandle<Filled>> = None;
        loop {
            if filling.is_none() && self.pieces.queue.is_empty() {
                // Nothing to do: the buffers are given back, and the next work is waited for.
                self.slot = None;
                self.writer.flush().await?;
                if self.works.is_empty() {
                    self.spare = vec![];
                }
                match self.works.recv().await {
                    Some(work) => self.take(work).await?,
                    None => return Ok(()),
                }
            }
            while let Ok(work) = self.works.try_recv() {
                self.take(work).await?;
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
                Some(Next::Ready(next)) => {
                    if let Some(filled) = ready {
                        self.write(filled).await?;
                    }
                    self.write(next).await?;
                }
                Some(Next::Later(job)) => {
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

    /// Whether the next buffer's worth may be read while the one before it goes out. Under a cap, one that begins a
    /// piece waits for a slot of its own first.
    fn may_read_on(&self) -> bool {
        self.traffic.up_limit().is_none() || self.pieces.queue.front().is_some_and(|piece| piece.done > 0)
    }

    /// Under a cap, waits for the right to send the next piece; what else is to be said goes out meanwhile.
    async fn wait_for_slot(&mut self) -> Result<(), ConnectionError> {
        if self.traffic.up_limit().is_none() || self.slot.is_some() {
            return Ok(());
        }
        let uploads = self.uploads.clone();
        let Some((request, offer)) = self.pieces.front() else { return Ok(()) };
        self.flush().await?; // what was queued while the piece before it went out, as an offer
        let mut wanted = Box::pin(uploads.slot(self.newcomer, offer));
        while self.pieces.front().is_some_and(|(front, _)| front == request) && self.closing.is_none() {
            tokio::select! {
                slot = &mut wanted => {
                    self.slot = slot;
                    self.pieces.front_has_its_slot();
                    return Ok(());
                }
                () = self.traffic.up_is_free() => return Ok(()), // a slot that comes now gives itself back
                Some(work) = self.works.recv() => {
                    self.take_in(work);
                    match timeout(SLOT_PATIENCE, self.writer.flush()).await {
                        Ok(flushed) => flushed?,
                        Err(_) => {
                            // The slot may have come meanwhile: it is another's. It is asked for again once this is read.
                            drop(wanted);
                            self.flush().await?;
                            wanted = Box::pin(uploads.slot(self.newcomer, offer));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Does one work; where much is queued thereafter, it is written.
    async fn take(&mut self, work: Work) -> Result<(), ConnectionError> {
        if self.take_in(work) { self.flush().await } else { Ok(()) }
    }

    /// Queues what one work says, or notes what it wants; whether so much is queued that it is to be flushed.
    fn take_in(&mut self, work: Work) -> bool {
        match work {
            Work::Say(message) => return self.writer.queue(&message),
            Work::List(page) => {
                self.load.list_sent();
                return self.writer.queue(&FromHolder::ListPage(page));
            }
            Work::Piece(piece) => self.pieces.queue.push_back(piece),
            Work::Cancel(request) => self.drop_pieces(|piece| piece.request == request),
            Work::CloseChannel(channel) => self.drop_pieces(|piece| piece.channel == Some(channel)),
            Work::Close(goodbye) => self.closing = Some(goodbye),
        }
        false
    }

    /// Waits until so many bytes may be sent; what else is to be said goes out meanwhile.
    async fn wait_for_line(&mut self, bytes: u64) -> Result<(), ConnectionError> {
        let traffic = self.traffic.clone();
        let may_send = traffic.may_send(usize::try_from(bytes).unwrap_or(usize::MAX));
        tokio::pin!(may_send);
        loop {
            tokio::select! {
                biased;
                () = &mut may_send => return Ok(()),
                Some(work) = self.works.recv() => {
                    self.take_in(work);
                    if beside(may_send.as_mut(), self.flush()).await?.is_some() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Writes what is queued; others shall not wait for one who does not read.
    async fn flush(&mut self) -> Result<(), ConnectionError> {
        if let Ok(flushed) = timeout(SLOT_PATIENCE, self.writer.flush()).await {
            return flushed;
        }
        give_up(&mut self.slot);
        let late = timeout(WRITE_TIME, self.writer.flush()).await;
        late.map_err(|_| ConnectionError::Io(io::ErrorKind::TimedOut.into()))?
    }

    /// Takes pieces back that wait to be sent, or of which a part was.
    fn drop_pieces(&mut self, is_dropped: impl Fn(&Queued) -> bool) {
        let (dropped, begun) = self.pieces.drop_some(is_dropped);
        self.load.answered(dropped);
        if begun {
            self.slot = None; // it was for that piece, and the next one has its own turn
        }
    }

    /// Reads the next buffer's worth, here if it is in memory, else on a thread that may wait.
    async fn next_fill(&mut self) -> Next {
        let limit = self.traffic.up_limit();
        // A tenth of a second's worth under a cap: bursts stay short, and messages pass soon.
        let most =
            limit.map_or(u64::from(FILL_BYTES), |rate| (rate / 10).clamp(4 << 10, u64::from(FILL_BYTES)));
        let chunks = self.next_chunks(u32::try_from(most).unwrap_or(FILL_BYTES), limit.is_some());
        let (chunks, ends): (Vec<Chunk>, Vec<bool>) = chunks.into_iter().unzip();
        let mut frames = self.spare.pop().unwrap_or_default();
        if fill_cached(&mut frames, &chunks).is_some() {
            return Next::Ready(Filled { frames, chunks, ends, failed: vec![] });
        }
        Next::Later(tokio::task::spawn_blocking(move || {
            let failed = fill(&mut frames, &chunks);
            Filled { frames, chunks, ends, failed }
        }))
    }

    /// Takes up to `most` bytes from the queue, whole contents or the next part of a piece; one piece at a time
    /// where the right to send is given for each.
    fn next_chunks(&mut self, most: u32, one_piece: bool) -> Vec<(Chunk, bool)> {
        let mut chunks = vec![];
        let mut left = most;
        while left > 0 {
            let Some(piece) = self.pieces.queue.front_mut() else { break };
            let bytes = (piece.bytes - piece.done).min(left);
            let chunk = Chunk {
                request: piece.request,
                source: piece.source.clone(),
                file_offset: piece.file_offset + u64::from(piece.done),
                piece_offset: piece.done,
                bytes,
            };
            piece.done += bytes;
            left -= bytes;
            let ends = piece.done == piece.bytes;
            chunks.push((chunk, ends));
            if ends {
                self.pieces.queue.pop_front();
            }
            if one_piece {
                break;
            }
        }
        chunks
    }

    async fn write(&mut self, mut filled: Filled) -> Result<(), ConnectionError> {
        if filled.data_bytes() > 0 {
            self.wait_for_line(filled.data_bytes()).await?;
            // It may have waited long, for the limit or behind the buffer before it: what its user has withdrawn since is
            // not sent.
            filled = filled.without_withdrawn().await?;
        }
        let bytes = filled.data_bytes();
        let pieces = filled.data().filter(|(_, ends)| *ends).count() as u64;
        let Filled { mut frames, ends, failed, .. } = filled;
        for (request, reason) in &failed {
            // Of one that was to go on, the rest is dropped; one that was all in the buffer is not counted there.
            self.drop_pieces(|piece| piece.request == *request);
            let text = reason.to_string();
            let refuse = Refuse { request: Some(*request), channel: None, reason: *reason, text };
            if self.writer.queue(&FromHolder::Refuse(refuse)) {
                self.flush().await?;
            }
        }
        let ended = ends.iter().filter(|ends| **ends).count();
        if bytes > 0 {
            let (plain, went) = (frames.plain_bytes() as u64, AtomicU64::new(0));
            let written = self.writer.write_frames(&mut frames, |more| {
                // Of all that goes, headers too, this is the part that is data.
                let before = went.fetch_add(more as u64, Ordering::Relaxed);
                let data = |plain_bytes: u64| bytes * plain_bytes / plain;
                self.traffic.count_sent(&self.sent, data(before + more as u64) - data(before));
            });
            tokio::pin!(written);
            match timeout(SLOT_PATIENCE, &mut written).await {
                Ok(written) => written?,
                Err(_) => {
                    give_up(&mut self.slot);
                    while_it_moves(written, &went).await?;
                }
            }
            self.sent.pieces.fetch_add(pieces, Ordering::Relaxed);
        }
        self.load.answered(ended);
        if let Some(slot) = &mut self.slot {
            slot.bytes += bytes;
        }
        if pieces > 0 || !failed.is_empty() {
            self.slot = None; // the next piece waits for its turn again
        }
        self.spare.push(frames);
        Ok(())
    }
}

/// Waits for a write as long as some of it goes: one who takes little at a time is slow, and not gone.
async fn while_it_moves(
    mut written: Pin<&mut impl Future<Output = Result<(), ConnectionError>>>,
    went: &AtomicU64,
) -> Result<(), ConnectionError> {
    loop {
        let before = went.load(Ordering::Relaxed);
        match timeout(WRITE_TIME, &mut written).await {
            Ok(written) => return written,
            Err(_) if went.load(Ordering::Relaxed) > before => {}
            Err(_) => return Err(ConnectionError::Io(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Others shall not wait for one who does not read. The piece goes on when it does.
fn give_up(slot: &mut Option<Slot>) {
    if let Some(mut slot) = slot.take() {
        slot.goes_on = true;
    }
}

#[cfg(test)]
mod tests;
