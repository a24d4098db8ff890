//! The areas of the screen of a peer for each size: all panes on a large terminal, one at a time on a small one.
//!
//! `view` draws into the areas, and `input` finds the pane that the mouse points at.

use ratatui::layout::{Position, Rect};

use super::focus::Pane;

/// The least size for all panes at once.
const ALL_PANES: (u16, u16) = (70, 16);

/// The least size for one pane.
pub(crate) const LEAST: (u16, u16) = (20, 5);

/// The area of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PaneArea {
    pub(crate) pane: Pane,
    /// The row with its name.
    pub(crate) title: Rect,
    /// The rows of its list.
    pub(crate) body: Rect,
}

/// The areas of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScreenLayout {
    /// The row at the top, about this peer.
    pub(crate) head: Rect,
    pub(crate) panes: Vec<PaneArea>,
    /// The row with the prompt.
    pub(crate) prompt: Rect,
    /// The row with the keys; without height if there is no space.
    pub(crate) keys: Rect,
    /// Whether only one pane is shown.
    pub(crate) is_single: bool,
}

impl ScreenLayout {
    /// The areas of a terminal of this size; `None` if it is too small. `transfer_rows` rows would show all transfers,
    /// and `pane` is shown if there is space for one only.
    pub(crate) fn of(area: Rect, transfer_rows: usize, pane: Pane) -> Option<Self> {
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return None;
        }
        let row = |y: u16| Rect { y, height: 1, ..area };
        let has_keys = area.height > LEAST.1 + 1;
        let prompt = row(area.bottom() - if has_keys { 2 } else { 1 });
        let keys = if has_keys { row(area.bottom() - 1) } else { Rect { height: 0, ..prompt } };
        let middle = Rect { y: area.y + 1, height: prompt.y - area.y - 1, ..area };
        let is_single = area.width < ALL_PANES.0 || area.height < ALL_PANES.1;
        let panes = if is_single { vec![titled(pane, middle)] } else { all_panes(middle, transfer_rows) };
        Some(Self { head: row(area.y), panes, prompt, keys, is_single })
    }

    /// The area of a pane, if it is shown.
    pub(crate) fn pane(&self, pane: Pane) -> Option<&PaneArea> {
        self.panes.iter().find(|area| area.pane == pane)
    }

    /// The number of rows of a pane; 0 if it is not shown.
    pub(crate) fn height(&self, pane: Pane) -> usize {
        self.pane(pane).map_or(0, |area| usize::from(area.body.height))
    }

    /// The pane at a position, and the row in its list.
    pub(crate) fn at(&self, column: u16, row: u16) -> Option<(Pane, Option<usize>)> {
        let position = Position { x: column, y: row };
        self.panes.iter().find_map(|area| {
            if area.title.contains(position) {
                return Some((area.pane, None));
            }
            let is_inside = area.body.contains(position);
            is_inside.then(|| (area.pane, Some(usize::from(row - area.body.y))))
        })
    }
}

fn titled(pane: Pane, area: Rect) -> PaneArea {
    let title = Rect { height: area.height.min(1), ..area };
    PaneArea {
        pane,
        title,
        body: Rect { y: area.y + title.height, height: area.height - title.height, ..area },
    }
}

/// Transfers at the top, files and peers side by side, the log at the bottom.
fn all_panes(area: Rect, transfer_rows: usize) -> Vec<PaneArea> {
    let needed = u16::try_from(transfer_rows).unwrap_or(u16::MAX).max(1);
    let transfers = 1 + needed.min(area.height / 3);
    let log = 1 + ((area.height - transfers) / 3).clamp(3, 15);
    let lists = area.height - transfers - log;
    let peers_width = (area.width * 2 / 5).min(56);
    let files_width = area.width - peers_width - 1;
    let part = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    let lists_area = part(transfers, lists);
    let peers_x = area.x + files_width + 1;
    vec![
        titled(Pane::Transfers, part(0, transfers)),
        titled(Pane::Files, Rect { width: files_width, ..lists_area }),
        titled(Pane::Peers, Rect { x: peers_x, width: peers_width, ..lists_area }),
        titled(Pane::Log, part(transfers + lists, log)),
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::{Pane, ScreenLayout};

    #[test]
    fn the_areas_fill_the_terminal_without_overlap() {
        for (width, height) in [(80, 24), (120, 40), (70, 16), (500, 250), (40, 10), (20, 5), (69, 50)] {
            for transfer_rows in [0, 1, 5, 1000] {
                let area = Rect::new(0, 0, width, height);
                let layout = ScreenLayout::of(area, transfer_rows, Pane::Files).unwrap();
                let pane_areas = layout.panes.iter().flat_map(|pane| [pane.title, pane.body]);
                let areas: Vec<Rect> =
                    [layout.head, layout.prompt, layout.keys].into_iter().chain(pane_areas).collect();
                for (at, one) in areas.iter().enumerate() {
                    assert_eq!(area.intersection(*one), *one, "{width}x{height}");
                    assert!(areas[at + 1..].iter().all(|other| !one.intersects(*other)), "{width}x{height}");
                }
                assert!(layout.panes.iter().all(|pane| pane.body.height >= 1), "{layout:?}");
            }
        }
        assert_eq!(ScreenLayout::of(Rect::new(0, 0, 19, 24), 0, Pane::Log), None);
        assert_eq!(ScreenLayout::of(Rect::new(0, 0, 80, 4), 0, Pane::Log), None);
    }

    #[test]
    fn a_position_is_in_the_pane_that_is_drawn_there() {
        let layout = ScreenLayout::of(Rect::new(0, 0, 80, 24), 1, Pane::Files).unwrap();
        let files = layout.pane(Pane::Files).unwrap().body;
        assert_eq!(layout.at(files.x, files.y + 2), Some((Pane::Files, Some(2))));
        assert_eq!(layout.at(79, files.y), Some((Pane::Peers, Some(0))));
        assert_eq!(layout.at(0, 1), Some((Pane::Transfers, None)));
        assert_eq!(layout.at(0, 0), None);
    }
}
