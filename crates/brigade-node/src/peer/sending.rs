//! Sending to one newcomer, buffer by buffer. What is in memory is read right before it is encrypted, while it is
//! in the processor's cache; what has to come from a disk is read ahead on a thread that may wait, while the
//! buffer before it is encrypted and written.
//!
//! Control messages pass between the buffers. Under a cap a piece first waits for a slot, and its bytes for the
//! limiter; buffers are then small, so that a burst stays short. The cap may come and go meanwhile: a piece that is
//! being sent goes on, and the next one is sent as it is then.

use std::{
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
    asked::{Load, Pieces, Queued, Work},
    filling::{Chunk, Failed, Source, fill, fill_cached},
    serve::Shop,
    traffic::{Sent, Traffic},
    uploads::{Slot, Uploads},
};
use crate::net::{
    connection::{ConnectionError, Writer},
    records::Records,
};

/// Bytes of piece data that are read and written at once.
const FILL_BYTES: u32 = 2 * 65_523;

/// How long a newcomer may not read while it is sent to, before it is taken for gone.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// How long the right to send is kept while the newcomer does not read.
const SLOT_PATIENCE: Duration = Duration::from_secs(1);

struct Filled {
    frames: Records,
    /// Requests and bytes of data in the buffer, and whether the piece ends in it.
    parts: Vec<(u32, u32, bool)>,
    failed: Vec<Failed>,
    /// Where all of it was read, if that is one file: under a cap, always.
    only: Option<Source>,
}

/// How the next buffer's worth comes.
enum Next {
    Ready(Filled),
    Later(JoinHandle<Filled>),
}

/// Sends until the reading side ends or says so, or the connection breaks.
pub(super) async fn send(
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
                self.writer.flush().await?;
                self.slot = None;
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
        let wanted = uploads.slot(self.newcomer, offer);
        tokio::pin!(wanted);
        while self.pieces.front().is_some_and(|(front, _)| front == request) && self.closing.is_none() {
            tokio::select! {
                slot = &mut wanted => {
                    self.slot = slot;
                    self.pieces.front_has_its_slot();
                    return Ok(());
                }
                () = self.traffic.up_is_free() => return Ok(()), // a slot that comes now gives itself back
                Some(work) = self.works.recv() => {
                    self.take(work).await?;
                    self.writer.flush().await?;
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, work: Work) -> Result<(), ConnectionError> {
        match work {
            Work::Say(message) => self.writer.send(&message).await?,
            Work::List(page) => {
                self.writer.send(&FromHolder::ListPage(page)).await?;
                self.load.list_sent();
            }
            Work::Piece(piece) => self.pieces.queue.push_back(piece),
            Work::Cancel(request) => self.drop_pieces(|piece| piece.request == request),
            Work::CloseChannel(channel) => self.drop_pieces(|piece| piece.channel == Some(channel)),
            Work::Close(goodbye) => self.closing = Some(goodbye),
        }
        Ok(())
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
                    self.take(work).await?;
                    self.flush().await?;
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
        late.map_err(|_| ConnectionError::Io(std::io::ErrorKind::TimedOut.into()))?
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
        let parts: Vec<_> =
            chunks.iter().zip(ends).map(|(chunk, ends)| (chunk.request, chunk.bytes, ends)).collect();
        let only = match &chunks[..] {
            [chunk] => Some(chunk.source.clone()),
            _ => None,
        };
        let mut frames = self.spare.pop().unwrap_or_default();
        if fill_cached(&mut frames, &chunks).is_some() {
            return Next::Ready(Filled { frames, parts, failed: vec![], only });
        }
        Next::Later(tokio::task::spawn_blocking(move || {
            let failed = fill(&mut frames, &chunks);
            Filled { frames, parts, failed, only }
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

    async fn write(&mut self, filled: Filled) -> Result<(), ConnectionError> {
        let Filled { mut frames, parts, mut failed, only } = filled;
        let may_be_sent = |failed: &[Failed], request| failed.iter().all(|(failed, _)| *failed != request);
        let sum = |failed: &[Failed]| -> u64 {
            let sent = parts.iter().filter(|(request, ..)| may_be_sent(failed, *request));
            sent.map(|(_, count, _)| u64::from(*count)).sum()
        };
        let mut bytes = sum(&failed);
        if bytes > 0 {
            self.wait_for_line(bytes).await?;
            // Under a cap that may have taken long: what its user has withdrawn since is not sent. Without one it took no
            // time, and what was read was shared then.
            if let (Some(Err(reason)), [(request, ..)]) = (only.map(|source| source.check()), &parts[..]) {
                failed.push((*request, reason));
                bytes = 0;
            }
        }
        for (request, reason) in &failed {
            // Of one that was to go on, the rest is dropped; one that was all in the buffer is not counted there.
            self.drop_pieces(|piece| piece.request == *request);
            let text = reason.to_string();
            let refuse = Refuse { request: Some(*request), channel: None, reason: *reason, text };
            self.writer.send(&FromHolder::Refuse(refuse)).await?;
        }
        let ended = parts.iter().filter(|(.., ends)| *ends).count();
        let whole = parts.iter().filter(|(request, _, ends)| *ends && may_be_sent(&failed, *request));
        let pieces = whole.count() as u64;
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
            Err(_) => return Err(ConnectionError::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Others shall not wait for one who does not read. The piece goes on when it does.
fn give_up(slot: &mut Option<Slot>) {
    if let Some(mut slot) = slot.take() {
        slot.goes_on = true;
    }
}
