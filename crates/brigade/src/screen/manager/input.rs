//! Keys and mouse on the screen of a manager, as changes of its model and effects for the loop.
//!
//! `q` and Ctrl-C end the manager that this process runs, and leave the screen of another one.

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};

use super::{
    model::{ManagerDialog, ManagerModel, ManagerTab},
    peer_table::HEADINGS,
    view::key_lines,
};

/// The rows of one step of the wheel.
const WHEEL_ROWS: isize = 3;

/// The keys, for `?`.
const KEYS: &[&str] = &[
    "Tab, Shift-Tab     peers, contents, events",
    "arrows, PageUp, PageDown, Home, End, wheel",
    "                   move in the table",
    "1 to 7             sort the peers by this column;",
    "                   the same key again reverses the order",
    "s                  the next order",
    "Enter              the holders of the selected content",
    "k                  the whole key of the manager",
    "q                  ends the manager; with `brigade ui`,",
    "                   it leaves the screen only",
    "Ctrl-Z suspends, Ctrl-L draws again",
];

/// What the loop does after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManagerEffect {
    Quit,
    Interrupt,
    Suspend,
    Redraw,
    /// Asks for the holders of a content.
    Holders {
        name: String,
        id: String,
        size_bytes: u64,
    },
}

/// Changes the model by an event of the terminal.
pub(super) fn handle(model: &mut ManagerModel, event: &TerminalEvent) -> Option<ManagerEffect> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => handle_key(model, *key),
        TerminalEvent::Mouse(mouse) => {
            match mouse.kind {
                MouseEventKind::ScrollUp => model.scroll_by(-WHEEL_ROWS),
                MouseEventKind::ScrollDown => model.scroll_by(WHEEL_ROWS),
                MouseEventKind::Down(MouseButton::Left) if model.dialog.is_some() => model.dialog = None,
                MouseEventKind::Down(MouseButton::Left) => model.select_at(mouse.row),
                _ => {}
            }
            None
        }
        _ => None, // for example a new size: the screen is drawn again
    }
}

fn handle_key(model: &mut ManagerModel, key: KeyEvent) -> Option<ManagerEffect> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'C') => Some(ManagerEffect::Interrupt),
            // While the screen is shown, the terminal sends no signal.
            KeyCode::Char('z' | 'Z') => Some(ManagerEffect::Suspend),
            KeyCode::Char('l' | 'L') => Some(ManagerEffect::Redraw),
            _ => None,
        };
    }
    if model.dialog.take().is_some() && !matches!(key.code, KeyCode::Char('q' | 'Q')) {
        return None;
    }
    let page = isize::try_from(model.rows.saturating_sub(1).max(1)).unwrap_or(1);
    match key.code {
        KeyCode::Char('q' | 'Q') => return Some(ManagerEffect::Quit),
        KeyCode::Up => model.move_by(-1),
        KeyCode::Down => model.move_by(1),
        KeyCode::PageUp => model.move_by(-page),
        KeyCode::PageDown | KeyCode::Char(' ') => model.move_by(page),
        KeyCode::Home => model.move_by(isize::MIN),
        KeyCode::End => model.move_by(isize::MAX),
        KeyCode::Tab => model.show(following(model.tab)),
        KeyCode::BackTab => model.show(following(following(model.tab))),
        KeyCode::Char('k' | 'K') => {
            model.dialog = Some(ManagerDialog::Text { title: " Key ", lines: key_lines(model) });
        }
        KeyCode::Char('?') => {
            let lines = KEYS.iter().map(|line| (*line).to_owned()).collect();
            model.dialog = Some(ManagerDialog::Text { title: " Keys ", lines });
        }
        KeyCode::Char('s' | 'S') if model.tab == ManagerTab::Contents => {
            model.content_order = model.content_order.next();
            model.contents.clear();
        }
        KeyCode::Char('s' | 'S') if model.tab == ManagerTab::Peers => {
            model.sort_by((model.order.column + 1) % HEADINGS.len());
        }
        KeyCode::Char(digit @ '1'..='9') if model.tab == ManagerTab::Peers => {
            let column = usize::from(u8::try_from(digit).unwrap_or(b'1') - b'1');
            if column < HEADINGS.len() {
                model.sort_by(column);
            }
        }
        KeyCode::Enter if model.tab == ManagerTab::Contents => {
            let content = model.contents.selected_row()?;
            let (name, id) = (content.name.clone(), content.id.clone());
            return Some(ManagerEffect::Holders { name, id, size_bytes: content.size_bytes });
        }
        KeyCode::Esc => model.has_selection = false,
        _ => {}
    }
    None
}

const fn following(tab: ManagerTab) -> ManagerTab {
    match tab {
        ManagerTab::Peers => ManagerTab::Contents,
        ManagerTab::Contents => ManagerTab::Events,
        ManagerTab::Events => ManagerTab::Peers,
    }
}
