//! A long sorted list of which only the part around the visible rows is in memory.
//!
//! The list is cut into chunks. A chunk has its rows, or is a gap whose rows are loaded when they become visible. A gap
//! knows the key after which it begins, so each page can be asked for again after its rows were dropped. The number of
//! loaded rows is bounded. Nothing here asks anybody: [`PagedList::wanted`] returns the next page to load.

use std::collections::VecDeque;

/// The most rows in memory: a hundred screens of a large terminal.
const LOADED_ROWS: usize = 6000;

/// A row that knows its place in the order.
pub(crate) trait Keyed {
    /// Its key: rows are in the order of their keys, and no two rows have the same one.
    fn key(&self) -> &str;
}

/// A page that is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// Only rows after this key; empty for the beginning.
    pub(crate) after: String,
    /// Only rows up to this key; `None` for all.
    pub(crate) until: Option<String>,
    /// The generation of the list: after it was cleared or folded, the answers to older requests are worthless.
    pub(crate) generation: u64,
}

/// The answer to a [`PageRequest`].
#[derive(Debug, Clone)]
pub(crate) struct LoadedPage<R> {
    /// The question.
    pub(crate) request: PageRequest,
    /// The rows, in order.
    pub(crate) rows: Vec<R>,
    /// The key after which more rows of the question may be; `None` if these are all.
    pub(crate) next: Option<String>,
}

#[derive(Debug)]
struct Chunk<R> {
    /// The key after which it begins.
    after: String,
    rows: ChunkRows<R>,
}

#[derive(Debug)]
enum ChunkRows<R> {
    Loaded {
        rows: Vec<R>,
        /// Whether they are to be loaded again when they are visible.
        is_stale: bool,
    },
    /// So many rows, at least as a guess.
    Gap(usize),
}

impl<R> Chunk<R> {
    fn len(&self) -> usize {
        match &self.rows {
            ChunkRows::Loaded { rows, .. } => rows.len(),
            ChunkRows::Gap(rows) => *rows,
        }
    }
}

/// The list, with the selected row and the row at the top of the pane.
#[derive(Debug)]
pub(crate) struct PagedList<R> {
    chunks: VecDeque<Chunk<R>>,
    selected: usize,
    top: usize,
    /// Whether the selection stays at the end while more rows are loaded.
    follows_end: bool,
    generation: u64,
    /// The page that is being loaded.
    asked: Option<PageRequest>,
}

impl<R> Default for PagedList<R> {
    fn default() -> Self {
        Self {
            chunks: VecDeque::from([Chunk { after: String::new(), rows: ChunkRows::Gap(1) }]),
            selected: 0,
            top: 0,
            follows_end: false,
            generation: 0,
            asked: None,
        }
    }
}

impl<R: Keyed> PagedList<R> {
    /// The rows that are known, and one for each unknown rest.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// Whether all of it was loaded and there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the end of the list is not known yet.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.chunks.back().is_some_and(|last| matches!(last.rows, ChunkRows::Gap(_)))
    }

    /// The row at this index; `None` if it is not loaded.
    pub(crate) fn row(&self, index: usize) -> Option<&R> {
        let mut first = 0;
        for chunk in &self.chunks {
            if index < first + chunk.len() {
                let ChunkRows::Loaded { rows, .. } = &chunk.rows else { return None };
                return rows.get(index - first);
            }
            first += chunk.len();
        }
        None
    }

    /// The index of the selected row.
    pub(crate) fn selected(&self) -> usize {
        self.selected
    }

    /// The selected row, if it is loaded.
    pub(crate) fn selected_row(&self) -> Option<&R> {
        self.row(self.selected)
    }

    /// Moves the selection by so many rows, down if positive.
    pub(crate) fn move_by(&mut self, rows: isize) {
        self.select(self.selected.saturating_add_signed(rows));
    }

    /// Selects the row at this index, or the last one.
    pub(crate) fn select(&mut self, index: usize) {
        self.follows_end = false;
        self.selected = index.min(self.len().saturating_sub(1));
    }

    /// Selects the last row, also when more rows are loaded.
    pub(crate) fn select_end(&mut self) {
        self.select(usize::MAX);
        self.follows_end = self.is_open_ended();
    }

    /// The index of the row at the top of a pane of this height; the selected row is in the pane.
    pub(crate) fn top(&mut self, height: usize) -> usize {
        let least = (self.selected + 1).saturating_sub(height);
        let most = self.len().saturating_sub(height).max(least);
        self.top = self.top.clamp(least, self.selected.max(least)).min(most);
        self.top
    }

    /// Scrolls by so many rows. The selection moves only as far as is needed to stay visible.
    pub(crate) fn scroll_by(&mut self, rows: isize, height: usize) {
        self.follows_end = false;
        let top = self.top.saturating_add_signed(rows).min(self.len().saturating_sub(height));
        self.top = top;
        let last = (top + height.max(1) - 1).min(self.len().saturating_sub(1));
        self.selected = self.selected.clamp(top.min(last), last);
    }

    /// Forgets all rows, for another question.
    pub(crate) fn clear(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// Loads the visible rows again; the old ones are shown until then.
    pub(crate) fn refresh(&mut self) {
        for chunk in &mut self.chunks {
            if let ChunkRows::Loaded { is_stale, .. } = &mut chunk.rows {
                *is_stale = true;
            }
        }
    }

    /// The next page to load for a pane of this height. It counts as asked for until [`Self::load`] or [`Self::failed`].
    pub(crate) fn wanted(&mut self, height: usize) -> Option<PageRequest> {
        if self.asked.is_some() {
            return None;
        }
        let (from, to) = (self.top.saturating_sub(height), self.top + 2 * height.max(1));
        let mut first = 0;
        for (at, chunk) in self.chunks.iter().enumerate() {
            let end = first + chunk.len().max(1);
            let is_missing =
                matches!(chunk.rows, ChunkRows::Gap(_) | ChunkRows::Loaded { is_stale: true, .. });
            if is_missing && first < to && end > from {
                let request = PageRequest {
                    after: chunk.after.clone(),
                    until: self.chunks.get(at + 1).map(|next| next.after.clone()),
                    generation: self.generation,
                };
                self.asked = Some(request.clone());
                return Some(request);
            }
            first += chunk.len();
        }
        None
    }

    /// The page that was asked for cannot be loaded; the next [`Self::wanted`] asks again.
    pub(crate) fn failed(&mut self) {
        self.asked = None;
    }

    /// Adds a page. Returns whether it was asked for.
    pub(crate) fn load(&mut self, page: LoadedPage<R>) -> bool {
        if self.asked.as_ref() != Some(&page.request) {
            return false;
        }
        self.asked = None;
        let until = page.request.until.as_ref();
        let is_asked = |at: usize| {
            self.chunks[at].after == page.request.after
                && self.chunks.get(at + 1).map(|next| &next.after) == until
        };
        let Some(at) = (0..self.chunks.len()).find(|at| is_asked(*at)) else { return false };
        let next = page.next.filter(|next| until.is_none_or(|until| next < until));
        let selected = self.selected_row().map(|row| row.key().to_owned());
        let first_row: usize = self.chunks.iter().take(at).map(Chunk::len).sum();
        let before = self.chunks[at].len();
        let rest = next.map(|after| {
            let rows = ChunkRows::Gap(before.saturating_sub(page.rows.len()).max(1));
            Chunk { after, rows }
        });
        self.chunks[at].rows = ChunkRows::Loaded { rows: page.rows, is_stale: false };
        let mut now = self.chunks[at].len();
        if let Some(rest) = rest {
            now += rest.len();
            self.chunks.insert(at + 1, rest);
        }
        if at > 0 && self.chunks[at].len() == 0 {
            self.chunks.remove(at); // rows that come later are after those of the chunk before
        }
        self.keep_selected(selected.as_deref(), first_row + before, before, now);
        self.drop_distant();
        true
    }

    /// Finds the selected row again after the rows before `end` became `now` instead of `before`.
    fn keep_selected(&mut self, key: Option<&str>, end: usize, before: usize, now: usize) {
        if self.follows_end {
            return self.select_end();
        }
        let found = key.and_then(|key| self.index_of(key));
        let moved = found.or_else(|| (self.selected >= end).then(|| self.selected + now - before));
        if let Some(index) = moved {
            self.top = (self.top + index).saturating_sub(self.selected);
            self.selected = index;
        }
        self.selected = self.selected.min(self.len().saturating_sub(1));
    }

    fn index_of(&self, key: &str) -> Option<usize> {
        let mut first = 0;
        for chunk in &self.chunks {
            if let ChunkRows::Loaded { rows, .. } = &chunk.rows
                && let Some(at) = rows.iter().position(|row| row.key() == key)
            {
                return Some(first + at);
            }
            first += chunk.len();
        }
        None
    }

    /// Makes gaps of the chunks that are farthest from the visible rows while too many rows are in memory.
    fn drop_distant(&mut self) {
        loop {
            let (mut loaded, mut first, mut farthest) = (0, 0, None);
            for (at, chunk) in self.chunks.iter().enumerate() {
                if let ChunkRows::Loaded { rows, .. } = &chunk.rows {
                    loaded += rows.len();
                    let distance = (first + rows.len() / 2).abs_diff(self.top);
                    if farthest.is_none_or(|(_, most)| distance > most) {
                        farthest = Some((at, distance));
                    }
                }
                first += chunk.len();
            }
            match farthest {
                Some((at, _)) if loaded > LOADED_ROWS => {
                    let rows = self.chunks[at].len();
                    self.chunks[at].rows = ChunkRows::Gap(rows);
                }
                _ => return,
            }
        }
    }

    /// Inserts a gap behind the row at `index`, for the rows after the key `inside` and up to the key `behind`.
    pub(crate) fn open_at(&mut self, index: usize, inside: String, behind: String) {
        let Some(at) = self.split_behind(index, behind) else { return };
        self.chunks.insert(at, Chunk { after: inside, rows: ChunkRows::Gap(1) });
        self.changed();
    }

    /// Removes the rows behind the row at `index` whose keys begin with `prefix`; the next one is after the key `behind`.
    pub(crate) fn close_at(&mut self, index: usize, prefix: &str, behind: &str) {
        let Some(at) = self.split_behind(index, behind.to_owned()) else { return };
        while let Some(chunk) = self.chunks.get_mut(at) {
            let is_inside = chunk.after.starts_with(prefix);
            let next_is_inside = self.chunks.get(at + 1).is_some_and(|next| next.after.starts_with(prefix));
            if !is_inside {
                break;
            }
            if next_is_inside {
                self.chunks.remove(at);
                continue;
            }
            let chunk = &mut self.chunks[at];
            behind.clone_into(&mut chunk.after);
            match &mut chunk.rows {
                ChunkRows::Loaded { rows, .. } => rows.retain(|row| !row.key().starts_with(prefix)),
                ChunkRows::Gap(rows) => *rows = 1,
            }
            break;
        }
        self.changed();
    }

    /// Cuts the chunk behind the row at `index`. Returns the position of the second part, which begins after the key
    /// `behind`.
    fn split_behind(&mut self, index: usize, behind: String) -> Option<usize> {
        let mut first = 0;
        for at in 0..self.chunks.len() {
            let chunk = &mut self.chunks[at];
            let len = chunk.len();
            if index < first + len {
                let ChunkRows::Loaded { rows, is_stale } = &mut chunk.rows else { return None };
                let tail = rows.split_off(index - first + 1);
                let (is_empty, is_stale) = (tail.is_empty(), *is_stale);
                if is_empty && self.chunks.get(at + 1).is_some_and(|next| next.after == behind) {
                    return Some(at + 1);
                }
                let rows = ChunkRows::Loaded { rows: tail, is_stale };
                self.chunks.insert(at + 1, Chunk { after: behind, rows });
                return Some(at + 1);
            }
            first += len;
        }
        None
    }

    /// The answer to a question that was asked before does not fit any more.
    fn changed(&mut self) {
        self.generation += 1;
        self.asked = None;
    }

    /// Changes the row with this key, if it is loaded.
    pub(crate) fn change(&mut self, key: &str, change: impl FnOnce(&mut R)) {
        let loaded = self.chunks.iter_mut().filter_map(|chunk| match &mut chunk.rows {
            ChunkRows::Loaded { rows, .. } => Some(rows),
            ChunkRows::Gap(_) => None,
        });
        if let Some(row) = loaded.flatten().find(|row| row.key() == key) {
            change(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Keyed, LOADED_ROWS, LoadedPage, PageRequest, PagedList};

    #[derive(Debug, Clone)]
    struct Numbered(String);

    impl Keyed for Numbered {
        fn key(&self) -> &str {
            &self.0
        }
    }

    /// The page that a source of so many rows answers, with at most `limit` rows.
    fn answer(request: &PageRequest, count: usize, limit: usize) -> LoadedPage<Numbered> {
        let keys = (0..count).map(|number| format!("{number:06}"));
        let mut rows: Vec<Numbered> = keys
            .filter(|key| *key > request.after && request.until.as_ref().is_none_or(|until| key <= until))
            .map(Numbered)
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = more.then(|| rows.last().unwrap().0.clone());
        LoadedPage { request: request.clone(), rows, next }
    }

    /// Loads what a pane of 20 rows wants, until it wants nothing. Returns the number of pages.
    fn settle(list: &mut PagedList<Numbered>, count: usize) -> usize {
        let mut pages = 0;
        loop {
            list.top(20);
            let Some(request) = list.wanted(20) else { return pages };
            assert!(list.load(answer(&request, count, 500)));
            pages += 1;
        }
    }

    fn visible(list: &mut PagedList<Numbered>) -> Vec<String> {
        let top = list.top(20);
        (top..top + 20).filter_map(|index| list.row(index).map(|row| row.0.clone())).collect()
    }

    #[test]
    fn only_pages_around_the_visible_rows_are_loaded() {
        let mut list = PagedList::default();
        assert_eq!(settle(&mut list, 200_000), 1);
        assert_eq!(visible(&mut list)[..2], ["000000", "000001"]);
        list.move_by(490);
        assert_eq!(settle(&mut list, 200_000), 1, "the next page is loaded before its rows are visible");
        assert_eq!(list.selected_row().unwrap().0, "000490");
    }

    #[test]
    fn the_end_is_reached_and_the_rows_in_memory_are_bounded() {
        let mut list = PagedList::default();
        settle(&mut list, 20_000);
        list.select_end();
        settle(&mut list, 20_000);
        assert_eq!((list.len(), list.selected_row().unwrap().0.as_str()), (20_000, "019999"));
        let loaded = (0..list.len()).filter(|index| list.row(*index).is_some()).count();
        assert!(loaded <= LOADED_ROWS, "{loaded}");
        list.select(0);
        settle(&mut list, 20_000);
        assert_eq!(visible(&mut list)[0], "000000");
        assert_eq!(list.len(), 20_000);
    }

    #[test]
    fn the_selected_row_stays_selected_when_rows_before_it_change() {
        let mut list = PagedList::default();
        settle(&mut list, 100);
        list.select(50);
        list.refresh();
        list.top(20);
        let request = list.wanted(20).unwrap();
        let mut page = answer(&request, 100, 500);
        page.rows.drain(10..30);
        assert!(list.load(page));
        assert_eq!((list.selected(), list.selected_row().unwrap().0.as_str()), (30, "000050"));
    }

    #[test]
    fn an_answer_to_an_older_question_is_ignored() {
        let mut list = PagedList::default();
        let request = list.wanted(20).unwrap();
        assert!(list.wanted(20).is_none(), "one page is loaded at a time");
        list.clear();
        assert!(!list.load(answer(&request, 10, 500)));
        assert_eq!(settle(&mut list, 10), 1);
        assert_eq!(list.len(), 10);
    }

    #[test]
    fn an_empty_list_is_loaded_once() {
        let mut list = PagedList::default();
        assert_eq!(settle(&mut list, 0), 1);
        assert!(list.is_empty() && list.selected_row().is_none());
        list.move_by(5);
        list.scroll_by(5, 20);
        assert_eq!(list.top(20), 0);
    }
}
