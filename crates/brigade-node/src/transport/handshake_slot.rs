//! The slots for connections that were accepted and have not greeted: their number, and how long one is held.
//!
//! A slow connection keeps its slot as long as no other connection waits for one. Otherwise it is closed after
//! [`SLOT_TIME`], so that connections that send nothing do not block others.

use std::{future::pending, io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};

/// The number of connections between accept and greeting at one time. More wait in the system's queue.
const SLOTS: usize = 64;

/// The time for which a connection may hold its slot while another one waits: a few of the longest round trips.
const SLOT_TIME: Duration = Duration::from_millis(1500);

/// All slots of a listening socket.
#[derive(Debug)]
pub(crate) struct HandshakeSlots {
    free: Arc<Semaphore>,
    /// Whether the accept loop waits for a slot.
    is_waiting: watch::Sender<bool>,
}

/// The slot of one connection; held until its greeting is done.
#[derive(Debug)]
pub(crate) struct HandshakeSlot {
    _permit: OwnedSemaphorePermit,
    ends: Instant,
    is_waiting: watch::Receiver<bool>,
}

/// A slot that is taken before there is a connection for it.
pub(crate) struct FreeSlot(OwnedSemaphorePermit);

impl HandshakeSlots {
    pub(crate) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(SLOTS)), is_waiting: watch::Sender::new(false) }
    }

    /// Waits for a free slot. The future may be dropped and the method called again.
    pub(crate) async fn free(&self) -> io::Result<FreeSlot> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Ok(FreeSlot(permit));
        }
        self.is_waiting.send_replace(true);
        let _reset = ResetOnDrop(&self.is_waiting); // also if the future is dropped while it waits
        self.free.clone().acquire_owned().await.map(FreeSlot).map_err(io::Error::other)
    }

    /// Gives a free slot to a connection that was just accepted.
    pub(crate) fn take(&self, FreeSlot(permit): FreeSlot) -> HandshakeSlot {
        let ends = Instant::now() + SLOT_TIME;
        HandshakeSlot { _permit: permit, ends, is_waiting: self.is_waiting.subscribe() }
    }
}

impl HandshakeSlot {
    /// Waits until the slot was held for [`SLOT_TIME`] and another connection waits for one.
    pub(crate) async fn is_over(&mut self) {
        sleep_until(self.ends).await;
        if self.is_waiting.wait_for(|is_waiting| *is_waiting).await.is_err() {
            pending::<()>().await; // the socket is closed, so no connection waits
        }
    }
}

/// When dropped, sets that no connection waits for a slot.
struct ResetOnDrop<'a>(&'a watch::Sender<bool>);

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
