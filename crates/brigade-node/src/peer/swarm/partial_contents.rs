//! Contents that this peer receives: the bytes that arrive, and the parts that other peers are served from meanwhile.
//!
//! Only the swarm writes a part; it has the [`PartOwner`]. Connections that serve only read, and check the state of the
//! part after each read. When the download ends, the owner is dropped, and the part is not read any more. A part that
//! has landed is served further, as long as it is shared and still the file that landed.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use brigade_core::{
    bitfield::Bitfield, geometry::PieceIndex, id::Content, piece_list::PieceList, wire::Reason,
};
use tokio::sync::watch;

use crate::{
    peer::bandwidth::RateCounter,
    store::{
        file_stamp::{Stamp, stamp_of},
        part_file::PartFile,
        share::Share,
    },
};

/// One content that is being received, and served meanwhile.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) content: Content,
    pub(crate) list: Arc<PieceList>,
    pub(crate) file: PartFile,
    have: watch::Sender<Bitfield>,
    state: watch::Sender<PartState>,
    /// Shared by all parts: changes whenever one of them gets a piece.
    updates: Arc<watch::Sender<u64>>,
}

/// What may be read of a part. It only moves forward in this order.
#[derive(Debug, Clone, Copy)]
enum PartState {
    /// Its pieces are being written. Those that are verified may be read.
    Receiving,
    /// It is complete, and has its name or gets it at this moment: read while the file is what it was before that.
    Named(Stamp),
    /// It is a file of the folder: read while the file is that, and its content is shared.
    Landed(Stamp),
    /// Nothing of it may be read.
    Closed,
}

/// The right to write a part. When it is dropped, a part that has not landed is closed.
#[derive(Debug)]
pub(crate) struct PartOwner {
    part: Arc<Part>,
    parts: PartTable,
}

/// All parts.
#[derive(Debug, Clone)]
pub(crate) struct PartTable {
    table: Arc<watch::Sender<BTreeMap<Content, Arc<Part>>>>,
    /// Changes whenever any part gets a piece.
    updates: Arc<watch::Sender<u64>>,
}

impl Part {
    pub(crate) fn new(content: Content, list: Arc<PieceList>, file: PartFile, have: Bitfield) -> Self {
        let (have, state) = (watch::Sender::new(have), watch::Sender::new(PartState::Receiving));
        Self { content, list, file, have, state, updates: Arc::default() }
    }

    /// Notes that `piece` is verified and written.
    pub(crate) fn stored(&self, piece: PieceIndex) {
        self.have.send_if_modified(|have| have.set(piece));
        self.updates.send_modify(|updates| *updates = updates.wrapping_add(1));
    }

    /// Which pieces are verified and written, at this moment.
    pub(crate) fn have(&self) -> watch::Ref<'_, Bitfield> {
        // A reference into the sender needs no receiver.
        self.have.borrow()
    }

    /// Whether the part may be read. The bytes of a read may be sent only if this also holds after the read: a write to
    /// the file changes its time before it changes its bytes.
    pub(crate) fn check(&self, share: &Share) -> Result<(), Reason> {
        let state = *self.state.borrow();
        let (stamp, is_shared) = match state {
            PartState::Receiving => return Ok(()),
            PartState::Named(stamp) => (stamp, true), // the share is about to be told of it
            PartState::Landed(stamp) => (stamp, share.has(&self.content)),
            PartState::Closed => return Err(Reason::NotFound),
        };
        let found = stamp_of(self.file.file()).map_err(|_| Reason::Unreadable)?;
        if is_shared && found.same_bytes(&stamp) { Ok(()) } else { Err(Reason::NotFound) }
    }

    /// The file gets its name at this moment, and its owner may write to it from then on.
    pub(crate) fn named(&self, stamp: Stamp) {
        self.change_state(|state| matches!(state, PartState::Receiving).then_some(PartState::Named(stamp)));
    }

    fn change_state(&self, next: impl FnOnce(PartState) -> Option<PartState>) {
        self.state.send_if_modified(|state| next(*state).map(|next| *state = next).is_some());
    }
}

impl PartOwner {
    /// The file has its name, and the share knows it.
    pub(crate) fn landed(&self, stamp: Stamp) {
        self.part
            .change_state(|state| (!matches!(state, PartState::Closed)).then_some(PartState::Landed(stamp)));
    }

    /// The part, to read it or to write verified pieces.
    pub(crate) fn part(&self) -> &Arc<Part> {
        &self.part
    }
}

impl Deref for PartOwner {
    type Target = Part;

    fn deref(&self) -> &Part {
        &self.part
    }
}

impl Drop for PartOwner {
    fn drop(&mut self) {
        self.parts.table.send_if_modified(|table| {
            let is_this = table.get(&self.part.content).is_some_and(|part| Arc::ptr_eq(part, &self.part));
            is_this && table.remove(&self.part.content).is_some()
        });
        self.part.change_state(|state| (!matches!(state, PartState::Landed(_))).then_some(PartState::Closed));
        // Nothing is written either: from now on, another fetch or the user may use the same file.
        self.part.file.close();
    }
}

impl PartTable {
    pub(crate) fn new() -> Self {
        Self { table: Arc::new(watch::Sender::default()), updates: Arc::default() }
    }

    /// The part of `content`, where there is one.
    pub(crate) fn find(&self, content: &Content) -> Option<Arc<Part>> {
        self.table.borrow().get(content).cloned()
    }

    /// Serves `part` as long as its owner exists.
    pub(crate) fn begin(&self, part: Part) -> PartOwner {
        let part = Arc::new(Part { updates: self.updates.clone(), ..part });
        self.table.send_modify(|table| drop(table.insert(part.content, part.clone())));
        PartOwner { part, parts: self.clone() }
    }

    /// Follows the parts: the value changes whenever any of them gets a piece.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }
}

/// An open part file, its piece list if that is known, and the verified pieces in it.
#[derive(Debug)]
pub(crate) struct OpenPart {
    pub(crate) file: PartFile,
    pub(crate) list: Option<Arc<PieceList>>,
    pub(crate) have: Bitfield,
}

/// The bytes that arrive for one fetch. Connections add to it, and the progress of the fetch reads it.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCounter {
    /// All bytes that arrived, used or not.
    all: RateCounter,
    unstored_bytes: AtomicU64,
}

/// The bytes of one piece that have arrived. They count as not stored until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBytes {
    counter: Arc<ReceiveCounter>,
    bytes: u64,
}

impl ReceiveCounter {
    /// Bytes a second that arrive now.
    pub(crate) fn rate(&self) -> u64 {
        self.all.rate()
    }

    /// Bytes a second over a longer time; `None` while it is not known.
    pub(crate) fn steady_rate(&self) -> Option<u64> {
        self.all.steady_rate()
    }

    /// Bytes of pieces that have arrived and are not stored.
    pub(crate) fn unstored_bytes(&self) -> u64 {
        self.unstored_bytes.load(Ordering::Relaxed)
    }
}

impl ReceivedBytes {
    /// A piece of which no bytes have arrived.
    pub(crate) const fn new(counter: Arc<ReceiveCounter>) -> Self {
        Self { counter, bytes: 0 }
    }

    /// Counts bytes that have arrived.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.counter.unstored_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counter.all.add(bytes);
    }
}

impl Drop for ReceivedBytes {
    fn drop(&mut self) {
        self.counter.unstored_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
