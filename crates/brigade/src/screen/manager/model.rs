//! The state of the screen of a manager: which table is shown, its order, its visible rows, and the last events.
//!
//! The rows are loaded page by page around the visible ones; `data` says how.

use std::collections::VecDeque;

use brigade_api::values::ManagerPeer;
use brigade_core::time::UnixTime;

use crate::screen::model::{Keyed, PagedList};

/// The events that are kept.
const EVENTS: usize = 1000;

/// A table of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ManagerTab {
    #[default]
    Peers,
    Contents,
    Events,
}

/// The order of the peers: a column, and whether the largest are first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PeerOrder {
    /// The index of the column; 0 is the username.
    pub(super) column: usize,
    pub(super) is_reversed: bool,
}

impl PeerOrder {
    /// Whether it is the order in which the manager has its peers.
    pub(super) fn is_by_name(self) -> bool {
        self == Self::default()
    }
}

/// The order of the contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ContentOrder {
    #[default]
    ByName,
    /// Those with the fewest holders first.
    FewestHolders,
    /// Those with the most holders first.
    MostHolders,
}

impl ContentOrder {
    /// The next one.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::ByName => Self::FewestHolders,
            Self::FewestHolders => Self::MostHolders,
            Self::MostHolders => Self::ByName,
        }
    }
}

/// A peer in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedManagerPeer(pub(super) ManagerPeer);

impl Keyed for ListedManagerPeer {
    fn key(&self) -> &str {
        let Self(peer) = self;
        peer.username.as_str()
    }
}

/// A content in the catalogue, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedContent {
    /// The name, and for a further content of the same name a mark behind it.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) size_bytes: u64,
    pub(super) holders: u64,
}

impl Keyed for ListedContent {
    fn key(&self) -> &str {
        &self.key
    }
}

/// What the first row says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ManagerSummary {
    pub(super) address: String,
    pub(super) key: String,
    pub(super) peers: u64,
    pub(super) max_peers: u64,
    pub(super) names: u64,
    pub(super) size_bytes: u64,
}

/// An event of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedEvent {
    pub(super) at: UnixTime,
    /// A sentence, escaped.
    pub(super) text: String,
}

/// The box in front of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManagerDialog {
    /// Lines to read, with a title; any key closes it.
    Text { title: &'static str, lines: Vec<String> },
}

/// The state of the screen.
#[derive(Debug)]
pub(crate) struct ManagerModel {
    /// Whether this process runs the manager: then `q` ends it.
    pub(super) is_own: bool,
    pub(super) summary: ManagerSummary,
    pub(super) tab: ManagerTab,
    pub(super) order: PeerOrder,
    pub(super) peers: PagedList<ListedManagerPeer>,
    pub(super) content_order: ContentOrder,
    pub(super) contents: PagedList<ListedContent>,
    /// The last events, the newest first.
    pub(super) events: VecDeque<ListedEvent>,
    /// The number of newer events above the first shown one.
    pub(super) event_top: usize,
    pub(super) dialog: Option<ManagerDialog>,
    /// A problem of the manager or of asking it.
    pub(super) problem: Option<String>,
    /// The widest text of each column so far: a column does not become narrower while rows scroll.
    pub(super) widths: [usize; 7],
    /// The rows of the table at the last drawing, and the position of its first one on the screen.
    pub(super) rows: usize,
    pub(super) first_row: u16,
    /// Whether a row was selected: before that, none is marked.
    pub(super) has_selection: bool,
}

impl ManagerModel {
    /// The screen before anything was loaded.
    pub(super) fn new(is_own: bool) -> Self {
        Self {
            is_own,
            summary: ManagerSummary::default(),
            tab: ManagerTab::default(),
            order: PeerOrder::default(),
            peers: PagedList::default(),
            content_order: ContentOrder::default(),
            contents: PagedList::default(),
            events: VecDeque::new(),
            event_top: 0,
            dialog: None,
            problem: None,
            widths: [0; 7],
            rows: 0,
            first_row: 0,
            has_selection: false,
        }
    }

    /// Adds an event.
    pub(super) fn add_event(&mut self, event: ListedEvent) {
        self.events.truncate(EVENTS - 1);
        self.events.push_front(event);
        if self.event_top > 0 {
            self.event_top += 1; // the shown ones stay
        }
    }

    /// Sorts the peers by a column; the same column again reverses the order.
    pub(super) fn sort_by(&mut self, column: usize) {
        // Numbers are interesting if they are large.
        let is_number = (2..=5).contains(&column);
        self.order = if self.order.column == column {
            PeerOrder { column, is_reversed: !self.order.is_reversed }
        } else {
            PeerOrder { column, is_reversed: is_number }
        };
        self.peers.clear();
    }

    /// Shows another table.
    pub(super) fn show(&mut self, tab: ManagerTab) {
        self.tab = tab;
        self.has_selection = false;
    }

    /// Moves the selection or scrolls; the extreme steps go to the first and the last row.
    pub(super) fn move_by(&mut self, step: isize) {
        match self.tab {
            ManagerTab::Peers => move_in(&mut self.peers, step, self.has_selection),
            ManagerTab::Contents => move_in(&mut self.contents, step, self.has_selection),
            ManagerTab::Events => {
                let most = self.events.len().saturating_sub(self.rows);
                self.event_top = self.event_top.saturating_add_signed(step).min(most);
            }
        }
        self.has_selection = true;
    }

    /// Scrolls by so many rows, as the wheel does.
    pub(super) fn scroll_by(&mut self, rows: isize) {
        match self.tab {
            ManagerTab::Peers => self.peers.scroll_by(rows, self.rows),
            ManagerTab::Contents => self.contents.scroll_by(rows, self.rows),
            ManagerTab::Events => self.move_by(rows),
        }
    }

    /// Selects the row at this position of the screen.
    pub(super) fn select_at(&mut self, row: u16) {
        let Some(row) = row.checked_sub(self.first_row).map(usize::from).filter(|row| *row < self.rows)
        else {
            return;
        };
        self.has_selection = true;
        match self.tab {
            ManagerTab::Peers => {
                let index = self.peers.top(self.rows) + row;
                self.peers.select(index);
            }
            ManagerTab::Contents => {
                let index = self.contents.top(self.rows) + row;
                self.contents.select(index);
            }
            ManagerTab::Events => {}
        }
    }
}

fn move_in<R: Keyed>(list: &mut PagedList<R>, step: isize, has_selection: bool) {
    match step {
        isize::MIN => list.select(0),
        isize::MAX => list.select_end(),
        1 if !has_selection => list.move_by(0), // the first row is selected
        step => list.move_by(step),
    }
}
