//! Who is served next while the uplink is capped: the core's `Upload`, owned by one task.
//!
//! Without a cap nobody asks here: every connection sends as fast as it is read.

use std::collections::{BTreeMap, VecDeque};

use brigade_core::{
    id::PeerKey,
    upload::{LIMITED_SLOTS, NewcomerId, Upload},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Questions that wait for the owner; whoever asks waits where there are more.
const WAITING: usize = 1024;

/// Asks for slots.
#[derive(Debug, Clone)]
pub(super) struct Uploads(mpsc::Sender<Ask>);

/// The right to send one piece.
#[derive(Debug)]
pub(super) struct Slot {
    owner: mpsc::Sender<Ask>,
    newcomer: PeerKey,
    /// What was sent under it.
    pub(super) bytes: u64,
}

#[derive(Debug)]
enum Ask {
    Want { newcomer: PeerKey, granted: oneshot::Sender<Slot> },
    Done { newcomer: PeerKey, bytes: u64 },
}

impl Uploads {
    /// Starts the owner; it ends when it is stopped.
    pub(super) fn start(stop: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let owner = sender.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = run(owner, receiver) => {}
                () = stop.cancelled() => {}
            }
        });
        Self(sender)
    }

    /// Waits for a slot; `None` when the owner has ended.
    pub(super) async fn slot(&self, newcomer: PeerKey) -> Option<Slot> {
        let (granted, slot) = oneshot::channel();
        self.0.send(Ask::Want { newcomer, granted }).await.ok()?;
        slot.await.ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let done = Ask::Done { newcomer: self.newcomer, bytes: self.bytes };
        if let Err(mpsc::error::TrySendError::Full(done)) = self.owner.try_send(done) {
            // So many wait that the slot is given back a little later.
            let owner = self.owner.clone();
            tokio::spawn(async move { owner.send(done).await });
        }
    }
}

async fn run(owner: mpsc::Sender<Ask>, mut asks: mpsc::Receiver<Ask>) {
    let mut upload = Upload::new(Some(LIMITED_SLOTS));
    let mut numbers: BTreeMap<PeerKey, NewcomerId> = BTreeMap::new();
    let mut waiting: BTreeMap<NewcomerId, VecDeque<(PeerKey, oneshot::Sender<Slot>)>> = BTreeMap::new();
    while let Some(ask) = asks.recv().await {
        let next = NewcomerId(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
        match ask {
            Ask::Want { newcomer, granted } => {
                let number = *numbers.entry(newcomer).or_insert(next);
                waiting.entry(number).or_default().push_back((newcomer, granted));
                upload.want(clock::now(), number);
            }
            Ask::Done { newcomer, bytes } => {
                if let Some(number) = numbers.get(&newcomer) {
                    upload.done(clock::now(), *number, bytes);
                }
            }
        }
        while let Some(number) = upload.next_grant() {
            let queue = waiting.get_mut(&number);
            let next = queue.and_then(VecDeque::pop_front);
            waiting.retain(|_, queue| !queue.is_empty());
            match next {
                // Where nobody waits any more, dropping the slot gives it back.
                Some((newcomer, granted)) => {
                    drop(granted.send(Slot { owner: owner.clone(), newcomer, bytes: 0 }))
                }
                None => upload.done(clock::now(), number, 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{CancellationToken, LIMITED_SLOTS, PeerKey, Slot, Uploads};

    async fn all_slots(uploads: &Uploads) -> Vec<Slot> {
        let mut slots = vec![];
        for number in 0..LIMITED_SLOTS {
            let slot = uploads.slot(PeerKey([u8::try_from(number).unwrap(); 32]));
            slots.push(timeout(Duration::from_secs(20), slot).await.unwrap().unwrap());
        }
        slots
    }

    /// As where a cap is lifted: whoever waited goes on without a slot.
    #[tokio::test]
    async fn who_stops_waiting_takes_no_slot_with_it() {
        let stop = CancellationToken::new();
        let uploads = Uploads::start(stop.clone());
        for _ in 0..10 {
            let held = all_slots(&uploads).await;
            let mut waiting = vec![];
            for number in 0..20 {
                let mut wants = Box::pin(uploads.slot(PeerKey([number; 32])));
                assert!(timeout(Duration::ZERO, &mut wants).await.is_err(), "there are only so many slots");
                waiting.push(wants);
            }
            // Some leave while nobody has a slot for them, some when they may have just got one.
            waiting.truncate(10);
            drop(held);
            tokio::task::yield_now().await;
            drop(waiting);
        }
        drop(all_slots(&uploads).await);
        stop.cancel();
    }
}
