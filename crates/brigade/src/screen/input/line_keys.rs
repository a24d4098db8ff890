//! The keys that edit a line, as in a shell.
//!
//! `model` applies the edits.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::screen::model::LineEdit;

/// The change that a key makes in a line; `None` for other keys.
pub(crate) fn edit_of(key: KeyEvent) -> Option<LineEdit> {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let with_alt = key.modifiers.contains(KeyModifiers::ALT);
    let by_word = with_control || with_alt;
    Some(match key.code {
        // With both, some keyboards type characters (AltGr).
        KeyCode::Char(letter) if with_control && !with_alt => match letter.to_ascii_lowercase() {
            'a' => LineEdit::Start,
            'e' => LineEdit::End,
            'b' => LineEdit::Left,
            'f' => LineEdit::Right,
            'd' => LineEdit::Delete,
            'h' => LineEdit::Backspace,
            'k' => LineEdit::DeleteToEnd,
            'u' => LineEdit::DeleteToStart,
            'w' => LineEdit::DeleteWord,
            'p' => LineEdit::Older,
            'n' => LineEdit::Newer,
            'r' => LineEdit::Search,
            _ => return None,
        },
        KeyCode::Char(letter) if with_alt && !with_control => match letter.to_ascii_lowercase() {
            'b' => LineEdit::WordLeft,
            'f' => LineEdit::WordRight,
            _ => return None,
        },
        KeyCode::Char(letter) => LineEdit::Insert(letter),
        KeyCode::Backspace if by_word => LineEdit::DeleteWord,
        KeyCode::Backspace => LineEdit::Backspace,
        KeyCode::Delete => LineEdit::Delete,
        KeyCode::Left if by_word => LineEdit::WordLeft,
        KeyCode::Right if by_word => LineEdit::WordRight,
        KeyCode::Left => LineEdit::Left,
        KeyCode::Right => LineEdit::Right,
        KeyCode::Home => LineEdit::Start,
        KeyCode::End => LineEdit::End,
        KeyCode::Up => LineEdit::Older,
        KeyCode::Down => LineEdit::Newer,
        _ => return None,
    })
}
