//! The keys of the box in front of the panes.
//!
//! Esc closes it without an action; a question gets an empty answer then, which means no.

use crossterm::event::{KeyCode, KeyEvent};

use super::line_keys::edit_of;
use crate::screen::model::{ConfirmedAction, Dialog, PeerModel, ScreenEffect};

/// A key while a box is shown.
pub(super) fn handle_key(model: &mut PeerModel, key: KeyEvent) -> Vec<ScreenEffect> {
    match &mut model.dialog {
        Some(Dialog::Question { answer, .. }) => match key.code {
            KeyCode::Enter => {
                let line = answer.take();
                return vec![model.answer(line)];
            }
            KeyCode::Esc => return vec![model.answer(String::new())],
            _ => {
                if let Some(edit) = edit_of(key) {
                    answer.edit(edit);
                }
            }
        },
        Some(Dialog::Limit { answer }) => match key.code {
            KeyCode::Enter => {
                let line = format!("limit {}", answer.take().trim());
                model.dialog = None;
                return model.run(line).into_iter().collect();
            }
            KeyCode::Esc => model.dialog = None,
            _ => {
                if let Some(edit) = edit_of(key) {
                    answer.edit(edit);
                }
            }
        },
        Some(Dialog::Confirmation { action, .. }) => {
            let action = action.clone();
            model.dialog = None;
            if matches!(key.code, KeyCode::Enter | KeyCode::Char('y' | 'Y')) {
                return vec![match action {
                    ConfirmedAction::CancelFetch(id) => ScreenEffect::Cancel { id },
                }];
            }
        }
        Some(Dialog::Help { top }) => match key.code {
            KeyCode::Up => *top = top.saturating_sub(1),
            KeyCode::Down => *top = top.saturating_add(1),
            KeyCode::PageUp => *top = top.saturating_sub(10),
            KeyCode::PageDown | KeyCode::Char(' ') => *top = top.saturating_add(10),
            KeyCode::Home => *top = 0,
            KeyCode::End => *top = usize::MAX,
            _ => model.dialog = None,
        },
        None => {}
    }
    vec![]
}
