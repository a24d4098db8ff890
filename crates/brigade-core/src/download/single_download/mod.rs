//! One content being fetched: its pieces, its list, and the holders it may come from.
//!
//! It updates the picker when holders announce pieces. It makes no requests: `requests` chooses the holders.

pub(super) mod content_holder;
pub(super) mod picker;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use self::{
    content_holder::{Channel, HolderPieces, Source, SourceState},
    picker::{Picker, PieceState},
};
use super::events_and_actions::HolderId;
use crate::{
    backoff::Backoff,
    bitfield::{Bitfield, BitfieldError},
    geometry::{Geometry, PieceIndex},
    id::Content,
    piece_list::{Expected, PieceList},
};

/// The first and the longest pause between two questions for other holders of a content.
const FIRST_MORE_HOLDERS: Duration = Duration::from_secs(5);
const LAST_MORE_HOLDERS: Duration = Duration::from_secs(80);

/// What is known of the piece list.
#[derive(Debug)]
pub(super) enum ListState {
    /// A content of a single piece has none.
    NotNeeded,
    /// It is known.
    Known(Arc<PieceList>),
    /// It is not known, and nobody is being asked.
    Wanted,
    /// One holder is asked, and has sent these values so far.
    Requested {
        /// Whom. Values of two holders are never mixed: a wrong list has one culprit.
        holder: HolderId,
        /// From the first piece on.
        values: Vec<[u8; 32]>,
    },
}

/// One content being fetched.
#[derive(Debug)]
pub(crate) struct Download {
    pub(super) content: Content,
    /// Lower for those started earlier.
    pub(super) order: u64,
    pub(super) picker: Picker,
    pub(super) list: ListState,
    /// Whether the manager has said yet who holds it.
    pub(super) holders_known: bool,
    pub(super) starved: bool,
    /// Whether a piece was stored or given back since offers were declined.
    pub(super) changed_since_decline: bool,
    /// Whether a holder may have become ready to be asked, or ceased to be.
    pub(super) needs_refresh: bool,
    /// Whether others have a part of it: then some connections are left for them.
    pub(super) has_partial_holders: bool,
    /// Holders that were of no use, the latest first.
    pub(super) useless: VecDeque<HolderId>,
    /// How many holders the manager named last.
    pub(super) named: usize,
    /// The pauses between questions for other holders.
    pub(super) more_holders: Backoff,
    /// Sorted by holder.
    sources: Vec<Source>,
    /// Their holders alone, to be found fast.
    holders: Vec<HolderId>,
    /// Which of them have a channel, or stand in their holder's list of what to ask for. In a crowd most have none.
    in_use: Vec<bool>,
}

impl Download {
    pub(super) fn new(
        content: Content,
        geometry: Geometry,
        list: Option<Arc<PieceList>>,
        have: &Bitfield,
        order: u64,
    ) -> Self {
        let fits = |list: &Arc<PieceList>| list.values().len() == geometry.count() as usize;
        let list = match list {
            _ if geometry.count() == 1 => ListState::NotNeeded,
            Some(list) if fits(&list) => ListState::Known(list),
            _ => ListState::Wanted,
        };
        Self {
            content,
            order,
            picker: Picker::new(geometry, have),
            list,
            holders_known: false,
            starved: false,
            changed_since_decline: false,
            needs_refresh: true,
            has_partial_holders: false,
            useless: VecDeque::new(),
            named: 0,
            more_holders: Backoff::new(FIRST_MORE_HOLDERS, LAST_MORE_HOLDERS),
            sources: Vec::new(),
            holders: Vec::new(),
            in_use: Vec::new(),
        }
    }

    /// Whether it is a single piece, which needs neither list nor channel.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.list, ListState::NotNeeded)
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.picker.stored() == self.picker.geometry().count()
    }

    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(super) fn sources_mut(&mut self) -> &mut [Source] {
        &mut self.sources
    }

    pub(super) fn source(&self, holder: HolderId) -> Option<&Source> {
        self.position(holder).ok().map(|at| &self.sources[at])
    }

    pub(super) fn source_mut(&mut self, holder: HolderId) -> Option<&mut Source> {
        self.position(holder).ok().map(|at| &mut self.sources[at])
    }

    /// Adds a holder that was not there.
    pub(super) fn add_source(&mut self, holder: HolderId) {
        if let Err(at) = self.position(holder) {
            self.sources.insert(at, Source::new(holder));
            self.holders.insert(at, holder);
            self.in_use.insert(at, false);
        }
    }

    /// Takes a holder out.
    pub(super) fn remove_source(&mut self, holder: HolderId) {
        self.clear_pieces(holder);
        if let Ok(at) = self.position(holder) {
            self.sources.remove(at);
            self.holders.remove(at);
            self.in_use.remove(at);
        }
    }

    /// Whether the source whose place is `at` is in use.
    pub(super) fn is_in_use(&self, at: usize) -> bool {
        self.in_use[at]
    }

    /// The sources that are in use.
    pub(super) fn in_use_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.sources.iter_mut().zip(&self.in_use).filter(|(_, in_use)| **in_use).map(|(source, _)| source)
    }

    /// A source is ready to be asked, or is not.
    pub(super) fn set_ready(&mut self, at: usize, ready: bool) {
        let source = &mut self.sources[at];
        source.ready = ready;
        self.in_use[at] = ready || !matches!(source.channel, Channel::Closed);
    }

    /// A channel is being opened to a holder.
    pub(super) fn opening(&mut self, holder: HolderId) {
        if let Ok(at) = self.position(holder) {
            self.set_channel(at, Channel::Opening);
        }
    }

    fn set_channel(&mut self, at: usize, channel: Channel) {
        self.sources[at].channel = channel;
        self.in_use[at] = true;
    }

    /// What `piece` must hash to, once that is known.
    pub(super) fn expected(&self, piece: PieceIndex) -> Option<Expected> {
        match &self.list {
            ListState::NotNeeded if piece.0 == 0 => Some(Expected::Whole(self.content.id)),
            ListState::Known(list) => list.expected(self.picker.geometry(), piece),
            ListState::NotNeeded | ListState::Wanted | ListState::Requested { .. } => None,
        }
    }

    /// Whether `source` has a missing piece that may be asked of it, as far as this content goes.
    pub(super) fn has_work_for(&self, source: &Source) -> bool {
        let known = matches!(self.list, ListState::NotNeeded | ListState::Known(_));
        let useful = match source.has() {
            Some(HolderPieces::All) => !self.picker.missing().is_empty(),
            Some(HolderPieces::Some(_)) => source.useful > 0,
            None => false,
        };
        known && useful && source.state == SourceState::Usable
    }

    /// `holder` has every piece.
    pub(super) fn add_all_pieces(&mut self, holder: HolderId) {
        self.clear_pieces(holder);
        if let Ok(at) = self.position(holder) {
            self.set_channel(at, Channel::Open(HolderPieces::All));
        }
    }

    /// `holder` has the pieces of this page of its bitfield, besides those known.
    pub(super) fn add_piece_page(
        &mut self,
        holder: HolderId,
        first: u32,
        bits: &[u8],
    ) -> Result<(), BitfieldError> {
        let count = self.picker.geometry().count();
        let mut page = Bitfield::none(count);
        page.add_page(first, bits)?;
        let pieces: Vec<PieceIndex> = page.iter().collect();
        self.add_pieces(holder, pieces);
        Ok(())
    }

    /// `holder` has these pieces, besides those known. Those that the content does not have are left out.
    pub(super) fn add_pieces(&mut self, holder: HolderId, pieces: impl IntoIterator<Item = PieceIndex>) {
        if let Ok(at) = self.position(holder) {
            self.add_pieces_at(at, pieces);
        }
    }

    /// The same for the holder whose place is `at`. True where one of the pieces is missing here.
    pub(super) fn add_pieces_at(&mut self, at: usize, pieces: impl IntoIterator<Item = PieceIndex>) -> bool {
        if !matches!(self.sources[at].channel, Channel::Open(_)) {
            let none = Bitfield::none(self.picker.geometry().count());
            self.set_channel(at, Channel::Open(HolderPieces::Some(none)));
            self.sources[at].useful = 0;
        }
        let source = &mut self.sources[at];
        let Channel::Open(HolderPieces::Some(bits)) = &mut source.channel else { return false };
        let before = source.useful;
        for piece in pieces {
            if bits.set(piece) && self.picker.missing().has(piece) {
                self.picker.gain(piece);
                source.useful += 1;
            }
        }
        source.is_declined &= source.useful == before;
        source.useful > before
    }

    /// `holder` does not have `piece` after all.
    pub(super) fn clear_piece(&mut self, holder: HolderId, piece: PieceIndex) {
        let Ok(at) = self.position(holder) else { return };
        if matches!(self.sources[at].has(), Some(HolderPieces::All)) {
            let count = self.picker.geometry().count();
            self.set_channel(at, Channel::Opening);
            self.add_pieces(holder, (0..count).map(PieceIndex));
        }
        let source = &mut self.sources[at];
        if let Channel::Open(HolderPieces::Some(bits)) = &mut source.channel
            && bits.clear(piece)
            && self.picker.missing().has(piece)
        {
            self.picker.lose(piece);
            source.useful -= 1;
        }
    }

    /// The channel to `holder` is closed: what it has is not known any more.
    pub(super) fn clear_pieces(&mut self, holder: HolderId) {
        let Ok(at) = self.position(holder) else { return };
        let source = &mut self.sources[at];
        source.useful = 0;
        (source.wanted, source.is_declined) = (false, false);
        if let Channel::Open(HolderPieces::Some(bits)) =
            std::mem::replace(&mut source.channel, Channel::Closed)
        {
            let missing: Vec<PieceIndex> =
                bits.iter().filter(|piece| self.picker.missing().has(*piece)).collect();
            missing.into_iter().for_each(|piece| self.picker.lose(piece));
        }
    }

    /// `piece` is asked of `holder`; false where that cannot be.
    pub(super) fn ask(&mut self, piece: PieceIndex, holder: HolderId) -> bool {
        let was_missing = self.picker.missing().has(piece);
        let asked = self.picker.ask(piece, holder);
        if asked && was_missing {
            self.piece_no_longer_missing(piece);
        }
        asked
    }

    /// `piece` is not asked of `holder` any more.
    pub(super) fn give_back(&mut self, piece: PieceIndex, holder: HolderId) {
        self.changed_since_decline = true;
        if self.picker.give_back(piece, holder) {
            self.needs_refresh = true;
            let mut partial = 0;
            for source in self.partial_with(piece) {
                source.useful += 1;
                partial += 1;
            }
            self.picker.missing_again(piece, partial);
        }
    }

    /// `piece` is stored. Returns the state that it was in.
    pub(super) fn store(&mut self, piece: PieceIndex) -> Option<PieceState> {
        let before = self.picker.store(piece)?;
        self.changed_since_decline = true;
        if before == PieceState::Missing {
            self.piece_no_longer_missing(piece);
        }
        Some(before)
    }

    /// `piece` is not missing any more.
    fn piece_no_longer_missing(&mut self, piece: PieceIndex) {
        let mut needs_refresh = self.needs_refresh || self.picker.missing().is_empty();
        for source in self.partial_with(piece) {
            source.useful -= 1;
            needs_refresh |= source.useful == 0;
        }
        self.needs_refresh = needs_refresh;
    }

    fn partial_with(&mut self, piece: PieceIndex) -> impl Iterator<Item = &mut Source> {
        let partial = move |source: &&mut Source| matches!(source.has(), Some(HolderPieces::Some(bits)) if bits.has(piece));
        self.in_use_mut().filter(partial)
    }

    /// Where among the sources a holder is.
    pub(super) fn position(&self, holder: HolderId) -> Result<usize, usize> {
        self.holders.binary_search(&holder)
    }
}
