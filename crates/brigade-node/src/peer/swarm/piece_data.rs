//! Reading the data of pieces from a holder: as it comes, or, under a download limit, in slices as the limit lets it in.
//!
//! While a link waits for the limit it still takes commands, and the downloads know that it is not the holder that makes
//! them wait. What is put together of it is in [`super::requests`].

use std::time::Duration;

use brigade_core::{
    download::{DownloadId, Event},
    geometry::PieceIndex,
    wire::frame::PieceHeader,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Command, Link},
    news::{LinkError, News},
    requests::Came,
    writer::Arrived,
};
use crate::{peer::bandwidth::beside, transport::connection::Reader};

/// How often the downloads hear of a piece that comes slowly.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How long a throttled link waits for data before it is the holder that keeps it waiting, and not the limit.
const QUIET: Duration = Duration::from_millis(50);

/// A link that the limit has not kept waiting for so long is not throttled any more.
const AT_EASE: Duration = Duration::from_millis(200);

/// What a link is told from outside while it reads.
pub(crate) struct Told<'a> {
    pub(crate) commands: &'a mut mpsc::Receiver<Command>,
    pub(crate) stop: &'a CancellationToken,
}

impl Link<'_> {
    /// Reads the data of a frame; false where the link is to end.
    pub(crate) async fn data(
        &mut self,
        reader: &mut Reader,
        mut header: PieceHeader,
        mut left: usize,
        told: &mut Told<'_>,
    ) -> Result<bool, LinkError> {
        self.reading = header.request;
        while left > 0 {
            let Some(mut slice) = self.admit(left, told).await? else { return Ok(false) };
            left -= slice;
            while slice > 0 {
                let Some(count) = self.read(reader, header, slice).await? else { continue };
                slice -= count;
                header.offset = header.offset.wrapping_add(u32::try_from(count).unwrap_or(0)); // at most a frame
            }
        }
        Ok(true)
    }

    /// Waits until the limit lets some of `left` bytes in, and does what it is told meanwhile; how many, or none where the
    /// link is to end.
    async fn admit(&mut self, left: usize, told: &mut Told<'_>) -> Result<Option<usize>, LinkError> {
        let lines = self.lines;
        let traffic = &lines.traffic;
        let slice = traffic.receive_slice(left);
        if traffic.may_receive_now(slice) {
            if self.throttled.is_some_and(|waited| waited.elapsed() >= AT_EASE) {
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
                () = told.stop.cancelled() => return Ok(None),
                command = told.commands.recv() => {
                    let Some(command) = command else { return Ok(None) };
                    let obey = async {
                        self.command(command).await?;
                        self.writer.flush().await
                    };
                    // The holder may not read: other links shall not wait for that.
                    if beside(admitted.as_mut(), obey).await?.is_some() {
                        break;
                    }
                }
                () = &mut admitted => break,
            }
        }
        self.throttled = Some(Instant::now());
        Ok(Some(slice))
    }

    /// Reads what is there of `most` bytes; none where nothing came for so long that it is not the limit that makes wait.
    async fn read(
        &mut self,
        reader: &mut Reader,
        header: PieceHeader,
        most: usize,
    ) -> Result<Option<usize>, LinkError> {
        let is_throttled = self.throttled.is_some();
        let read = async {
            match self.requests.space(header, most)? {
                Some(space) => Ok::<_, LinkError>(reader.data(space).await?),
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
        self.took(header, count).await;
        Ok(Some(count))
    }

    /// Ends when nothing has come for so long that a throttled link is throttled no more.
    pub(crate) async fn is_quiet(throttled: Option<Instant>) {
        match throttled {
            Some(_) => tokio::time::sleep(QUIET).await,
            None => std::future::pending().await,
        }
    }

    /// Notes whether the limit keeps this link from reading; the downloads hear where that changes, and before it how much
    /// is here.
    pub(crate) async fn throttle(&mut self, throttled: bool) {
        if self.throttled.is_some() == throttled {
            return;
        }
        self.throttled = throttled.then(Instant::now);
        if let Some((download, piece, bytes)) = self.requests.progress(self.reading) {
            self.progress(download, piece, bytes).await;
        }
        let news = News::Throttled { holder: self.holder, serial: self.serial, throttled };
        let _ = self.lines.news.send(news).await;
    }

    /// Notes that data was read; sends a whole piece on.
    async fn took(&mut self, header: PieceHeader, bytes: usize) {
        self.heard = true;
        self.lines.traffic.count_received(bytes as u64);
        let holder = self.holder;
        match self.requests.took(header, bytes) {
            Came::Nothing => {}
            Came::Some { download, piece, bytes } => {
                if self.last_progress.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
                    self.progress(download, piece, bytes).await;
                }
            }
            Came::Whole { wanted, buffer, is_right } => {
                let (download, piece) = (wanted.download, wanted.piece);
                self.tell(Event::Arrived { holder, download, piece }).await;
                if is_right {
                    self.lines.receiving.take(Arrived { holder, wanted, buffer }).await;
                } else {
                    self.tell(Event::Wrong { holder, download, piece }).await;
                }
            }
        }
    }

    async fn progress(&mut self, download: DownloadId, piece: PieceIndex, bytes: u32) {
        self.last_progress = Some(Instant::now());
        self.tell(Event::Progress { holder: self.holder, download, piece, bytes }).await;
    }
}
