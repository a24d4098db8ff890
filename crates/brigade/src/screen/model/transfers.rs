//! The transfers: the fetches that run or ended a short time ago, and what is sent to others.
//!
//! They are in the order of their numbers. The list is short: a peer keeps at most a hundred ended fetches.

use brigade_node::peer::Progress;

/// A holder of a running fetch, and what it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HolderShare {
    pub(crate) username: String,
    pub(crate) bytes: u64,
    /// Bytes a second now.
    pub(crate) rate: u64,
}

/// The pieces of the content that a fetch receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceBits {
    pub(crate) count: u32,
    /// A bit for each piece that is here, the first one in the highest bit.
    pub(crate) bits: Vec<u8>,
}

impl PieceBits {
    /// The eighths of the pieces that are here, for each of so many cells.
    pub(crate) fn eighths(&self, cells: usize) -> Vec<u8> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX).min(self.bits.len() * 8);
        let has = |piece: usize| self.bits[piece / 8] & (0x80 >> (piece % 8)) != 0;
        (0..cells)
            .map(|cell| {
                let first = cell * count / cells;
                // Each cell shows at least one piece, although fewer pieces than cells exist.
                let end = ((cell + 1) * count / cells).max(first + 1).min(count);
                let present = (first..end).filter(|piece| has(*piece)).count();
                u8::try_from((present * 8).div_euclid((end - first).max(1))).unwrap_or(8)
            })
            .collect()
    }
}

/// A fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) id: u64,
    pub(crate) progress: Progress,
    pub(crate) is_paused: bool,
    /// The holders, the one that sent most first.
    pub(crate) holders: Vec<HolderShare>,
    /// The pieces, if it receives one content of several pieces.
    pub(crate) pieces: Option<PieceBits>,
}

impl Transfer {
    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.progress.is_over()
    }

    /// Its rows: one that runs has a second one for its holders and pieces.
    fn rows(&self) -> usize {
        if self.is_over() { 1 } else { 2 }
    }
}

/// What is sent to a downloader now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentFile {
    pub(crate) username: String,
    /// The file; `None` if it has no name any more.
    pub(crate) name: Option<String>,
    /// Bytes a second now.
    pub(crate) rate: u64,
}

/// The transfers, with the selected one.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    fetches: Vec<Transfer>,
    pub(crate) uploads: Vec<SentFile>,
    /// The number of the selected fetch.
    selected: Option<u64>,
    /// The first row of each drawn fetch, and its index.
    drawn: Vec<(usize, usize)>,
}

impl Transfers {
    /// The fetches, the running ones first, then the newest.
    pub(crate) fn fetches(&self) -> &[Transfer] {
        &self.fetches
    }

    /// Replaces the fetches. The pieces that were known stay until they are loaded again.
    pub(crate) fn replace(&mut self, mut fetches: Vec<Transfer>) {
        for fetch in fetches.iter_mut().filter(|fetch| !fetch.is_over() && fetch.pieces.is_none()) {
            let known = self.fetches.iter_mut().find(|known| known.id == fetch.id);
            fetch.pieces = known.and_then(|known| known.pieces.take());
        }
        fetches.sort_by_key(|fetch| (fetch.is_over(), std::cmp::Reverse(fetch.id)));
        self.fetches = fetches;
        let is_there = |id: u64| self.fetches.iter().any(|fetch| fetch.id == id);
        if !self.selected.is_some_and(is_there) {
            self.selected = self.fetches.first().map(|fetch| fetch.id);
        }
    }

    /// Sets the pieces of a fetch.
    pub(crate) fn set_pieces(&mut self, id: u64, pieces: Option<PieceBits>) {
        if let Some(fetch) = self.fetches.iter_mut().find(|fetch| fetch.id == id) {
            fetch.pieces = pieces;
        }
    }

    /// The number of fetches that run.
    pub(crate) fn running(&self) -> usize {
        self.fetches.iter().filter(|fetch| !fetch.is_over()).count()
    }

    /// The index of the selected fetch.
    pub(crate) fn selected_index(&self) -> usize {
        self.fetches.iter().position(|fetch| Some(fetch.id) == self.selected).unwrap_or(0)
    }

    /// The selected fetch.
    pub(crate) fn selected(&self) -> Option<&Transfer> {
        self.fetches.get(self.selected_index())
    }

    /// The fetches from the one at the top of a pane of this height, so that the selected one is in it: each with its index,
    /// its first row and its number of rows.
    pub(crate) fn visible(&mut self, height: usize) -> Vec<(usize, usize, usize)> {
        let selected = self.selected_index();
        let (mut first, mut taken) = (0, 0);
        for (at, fetch) in self.fetches.iter().enumerate().take(selected + 1) {
            taken += fetch.rows();
            while taken > height && first < at {
                taken -= self.fetches[first].rows();
                first += 1;
            }
        }
        let mut row = 0;
        let mut visible = vec![];
        for (at, fetch) in self.fetches.iter().enumerate().skip(first) {
            if row >= height {
                break;
            }
            let rows = fetch.rows().min(height - row);
            visible.push((at, row, rows));
            row += rows;
        }
        self.drawn = visible.iter().map(|(at, row, _)| (*row, *at)).collect();
        visible
    }

    /// The rows that all fetches and uploads need.
    pub(crate) fn rows(&self) -> usize {
        self.fetches.iter().map(Transfer::rows).sum::<usize>() + self.uploads.len()
    }

    /// The index of the fetch that was drawn at this row.
    pub(crate) fn at_row(&self, row: usize) -> Option<usize> {
        self.drawn.iter().rev().find(|(first, _)| *first <= row).map(|(_, at)| *at)
    }

    /// Moves the selection by so many fetches.
    pub(crate) fn move_by(&mut self, fetches: isize) {
        self.select(self.selected_index().saturating_add_signed(fetches));
    }

    /// Selects the fetch at this index, or the last one.
    pub(crate) fn select(&mut self, index: usize) {
        let index = index.min(self.fetches.len().saturating_sub(1));
        self.selected = self.fetches.get(index).map(|fetch| fetch.id);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use brigade_node::peer::{FetchState, Progress};

    use super::{HolderShare, PieceBits, Transfer, Transfers};

    pub(crate) fn transfer(id: u64, name: &str, state: FetchState) -> Transfer {
        let mut progress = Progress::new(name);
        progress.state = state;
        (progress.bytes, progress.bytes_done) = (300_000_000, 156_000_000);
        (progress.pieces, progress.pieces_done, progress.holders) = (286, 148, 2);
        (progress.rate, progress.steady_rate, progress.left_bytes) =
            (12_300_000, Some(12_000_000), 144_000_000);
        (progress.files, progress.files_done) = (1, 0);
        let share = |username: &str, bytes, rate| HolderShare { username: username.to_owned(), bytes, rate };
        let holders = vec![share("anna", 95_160_000, 7_500_000), share("ben", 60_840_000, 4_800_000)];
        Transfer { id, progress, is_paused: false, holders, pieces: None }
    }

    #[test]
    fn a_map_shows_the_present_pieces_of_each_cell() {
        let check = |bits: &[u8], count, cells, expected: &[u8]| {
            let pieces = PieceBits { count, bits: bits.to_vec() };
            assert_eq!(pieces.eighths(cells), expected, "{bits:?}");
        };
        check(&[0b1111_0000], 8, 2, &[8, 0]);
        check(&[0b1111_1100], 8, 2, &[8, 4]);
        check(&[0b1010_0000], 3, 6, &[8, 8, 0, 0, 8, 8]);
        check(&[], 0, 3, &[0, 0, 0]);
        check(&[0xff], 1000, 2, &[8, 8]);
    }

    #[test]
    fn running_fetches_are_first_and_the_selection_follows_its_fetch() {
        let mut transfers = Transfers::default();
        transfers
            .replace(vec![transfer(1, "a", FetchState::Fetching), transfer(2, "b", FetchState::Fetching)]);
        assert_eq!(transfers.selected().unwrap().id, 2);
        transfers.move_by(1);
        transfers.replace(vec![
            transfer(1, "a", FetchState::Done),
            transfer(2, "b", FetchState::Fetching),
            transfer(3, "c", FetchState::Fetching),
        ]);
        let order: Vec<u64> = transfers.fetches().iter().map(|fetch| fetch.id).collect();
        assert_eq!((order, transfers.selected().unwrap().id), (vec![3, 2, 1], 1));
        assert_eq!(transfers.running(), 2);
        transfers.replace(vec![]);
        assert!(transfers.selected().is_none());
        transfers.move_by(1);
    }
}
