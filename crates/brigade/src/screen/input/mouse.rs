//! The mouse: a click selects, the wheel scrolls.
//!
//! The areas are those of the last drawing.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use crate::screen::model::{Dialog, Focus, Pane, PeerModel, ScreenEffect};

/// The rows of one step of the wheel.
const WHEEL_ROWS: isize = 3;

/// Changes the model by an event of the mouse.
pub(super) fn handle_mouse(model: &mut PeerModel, mouse: MouseEvent) -> Vec<ScreenEffect> {
    let step = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL_ROWS,
        MouseEventKind::ScrollDown => WHEEL_ROWS,
        MouseEventKind::Down(MouseButton::Left) => {
            click(model, mouse.column, mouse.row);
            return vec![];
        }
        _ => return vec![],
    };
    if let Some(Dialog::Help { top }) = &mut model.dialog {
        *top = top.saturating_add_signed(step);
        return vec![];
    }
    let Some((pane, _)) = model.layout.at(mouse.column, mouse.row) else { return vec![] };
    let height = model.layout.height(pane);
    match pane {
        Pane::Transfers => model.transfers.move_by(step.signum()),
        Pane::Files => model.files.scroll_by(step, height),
        Pane::Peers => model.peers.scroll_by(step, height),
        Pane::Log => model.log.scroll_by(step),
    }
    vec![]
}

fn click(model: &mut PeerModel, column: u16, row: u16) {
    if matches!(model.dialog, Some(Dialog::Help { .. })) {
        model.dialog = None;
        return;
    }
    if model.dialog.is_some() {
        return; // it waits for an answer
    }
    if row == model.layout.prompt.y {
        model.set_focus(Focus::Prompt);
        return;
    }
    let Some((pane, row)) = model.layout.at(column, row) else { return };
    model.set_focus(Focus::Pane(pane));
    let Some(row) = row else { return };
    let height = model.layout.height(pane);
    match pane {
        Pane::Files => {
            let index = model.files.top(height) + row;
            if index == model.files.selected() {
                model.toggle_folder();
            }
            model.files.select(index);
        }
        Pane::Peers => {
            let index = model.peers.top(height) + row;
            model.peers.select(index);
        }
        Pane::Transfers => {
            if let Some(index) = model.transfers.at_row(row) {
                model.transfers.select(index);
            }
        }
        Pane::Log => {}
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{Event as TerminalEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    use ratatui::layout::Rect;

    use crate::screen::{
        input::handle,
        model::{Focus, Pane, PeerModel, ScreenLayout, file},
    };

    #[test]
    fn a_click_selects_and_the_wheel_scrolls() {
        let mut model = PeerModel::new(true, vec![]);
        model.layout = ScreenLayout::of(Rect::new(0, 0, 80, 24), 1, Pane::Log).unwrap();
        let request = model.files.wanted(5).unwrap();
        let files = (0..100).map(|number| file(&format!("f{number:02}"))).collect();
        let page = model.folds.fold(request, files, false, None);
        assert!(model.files.load(page));
        let body = model.layout.pane(Pane::Files).unwrap().body;
        let event = |kind, row| {
            TerminalEvent::Mouse(MouseEvent { kind, column: 2, row, modifiers: KeyModifiers::NONE })
        };
        handle(&mut model, &event(MouseEventKind::Down(MouseButton::Left), body.y + 2));
        assert_eq!((model.focus, model.files.selected()), (Focus::Pane(Pane::Files), 2));
        handle(&mut model, &event(MouseEventKind::ScrollDown, body.y));
        assert_eq!((model.files.top(usize::from(body.height)), model.files.selected()), (3, 3));
        handle(&mut model, &event(MouseEventKind::Down(MouseButton::Left), 22));
        assert_eq!(model.focus, Focus::Prompt);
    }
}
