//! The keys in the panes: one key moves, fetches, pauses, cancels, limits, filters, helps or quits.
//!
//! A fetch and a limit are run as commands of the prompt: the same words, the same errors, and the same questions.

use crossterm::event::{KeyCode, KeyEvent};

use crate::screen::model::{
    ConfirmedAction, Dialog, FileRow, FileRowEntry, Focus, PagedList, Pane, PeerModel, ScreenEffect,
    TypedLine,
};

/// A key in a pane.
pub(super) fn handle_key(model: &mut PeerModel, pane: Pane, key: KeyEvent) -> Vec<ScreenEffect> {
    match key.code {
        KeyCode::Tab => model.set_focus(model.focus.moved(true)),
        KeyCode::BackTab => model.set_focus(model.focus.moved(false)),
        KeyCode::Esc if pane == Pane::Files && !model.folds.filter().is_empty() => {
            model.filter.take();
            model.set_filter(String::new());
        }
        KeyCode::Esc | KeyCode::Char(':') => model.set_focus(Focus::Prompt),
        KeyCode::Char('q' | 'Q') if !model.is_own => return vec![ScreenEffect::Leave],
        // The command asks while something runs.
        KeyCode::Char('q' | 'Q') => return model.run("Q".to_owned()).into_iter().collect(),
        KeyCode::Char('?') => model.dialog = Some(Dialog::Help { top: 0 }),
        KeyCode::Char('/') => model.set_focus(Focus::Filter),
        KeyCode::Char('l') => model.dialog = Some(Dialog::Limit { answer: TypedLine::with_text("down ") }),
        _ => return act(model, pane, key.code),
    }
    vec![]
}

/// The keys that differ from pane to pane.
fn act(model: &mut PeerModel, pane: Pane, code: KeyCode) -> Vec<ScreenEffect> {
    let page = isize::try_from(model.layout.height(pane).saturating_sub(1).max(1)).unwrap_or(1);
    let step = match code {
        KeyCode::Up | KeyCode::Char('k') => Some(-1),
        KeyCode::Down | KeyCode::Char('j') => Some(1),
        KeyCode::PageUp => Some(-page),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(page),
        KeyCode::Home => Some(isize::MIN),
        KeyCode::End => Some(isize::MAX),
        _ => None,
    };
    if let Some(step) = step {
        move_by(model, pane, step);
        return vec![];
    }
    match (pane, code) {
        (Pane::Files, _) => file_key(model, code),
        (Pane::Transfers, KeyCode::Char('p')) => {
            let running = model.transfers.selected().filter(|fetch| !fetch.is_over());
            running
                .map(|fetch| ScreenEffect::SetPaused { id: fetch.id, paused: !fetch.is_paused })
                .into_iter()
                .collect()
        }
        (Pane::Transfers, KeyCode::Char('x') | KeyCode::Delete) => {
            let Some(fetch) = model.transfers.selected() else { return vec![] };
            if fetch.is_over() {
                return vec![ScreenEffect::Forget { id: fetch.id }];
            }
            let question =
                format!("Cancel the fetch of {}? Verified pieces are kept. [y/N]", fetch.progress.name);
            model.dialog =
                Some(Dialog::Confirmation { question, action: ConfirmedAction::CancelFetch(fetch.id) });
            vec![]
        }
        _ => vec![],
    }
}

/// Moves the selection, or scrolls the log; the extreme steps go to the first and the last row.
fn move_by(model: &mut PeerModel, pane: Pane, step: isize) {
    match (pane, step) {
        (Pane::Transfers, isize::MIN) => model.transfers.select(0),
        (Pane::Transfers, _) => model.transfers.move_by(step),
        (Pane::Files, isize::MIN) => model.files.select(0),
        (Pane::Files, isize::MAX) => model.files.select_end(),
        (Pane::Files, _) => model.files.move_by(step),
        (Pane::Peers, isize::MIN) => model.peers.select(0),
        (Pane::Peers, isize::MAX) => model.peers.select_end(),
        (Pane::Peers, _) => model.peers.move_by(step),
        (Pane::Log, isize::MIN | isize::MAX) => model.log.scroll_to(step < 0),
        (Pane::Log, _) => model.log.scroll_by(step),
    }
}

/// Right and Left open and close a folder; Enter and `f` fetch; space would scroll.
fn file_key(model: &mut PeerModel, code: KeyCode) -> Vec<ScreenEffect> {
    let Some(row) = model.files.selected_row() else { return vec![] };
    let is_open = match row.entry {
        FileRowEntry::Folder { is_open, .. } => Some(is_open),
        FileRowEntry::File(_) => None,
    };
    match code {
        KeyCode::Right | KeyCode::Char('+') if is_open == Some(false) => {
            model.toggle_folder();
        }
        KeyCode::Left | KeyCode::Char('-') if is_open == Some(true) => {
            model.toggle_folder();
        }
        KeyCode::Left => select_parent(model),
        KeyCode::Char('o') => {
            model.toggle_folder();
        }
        KeyCode::Enter | KeyCode::Char('f') => {
            let line = fetched_name(&model.files).map(|name| format!("fetch {}", quoted(&name)));
            return line.and_then(|line| model.run(line)).into_iter().collect();
        }
        _ => {}
    }
    vec![]
}

/// The name to fetch; if other contents have the same name, with the beginning of the id of the selected one.
fn fetched_name(files: &PagedList<FileRow>) -> Option<String> {
    let row = files.selected_row()?;
    let FileRowEntry::File(file) = &row.entry else { return Some(row.name().to_owned()) };
    let at = files.selected();
    let neighbours = [at.checked_sub(1), at.checked_add(1)];
    let is_shared = neighbours
        .into_iter()
        .flatten()
        .filter_map(|at| files.row(at))
        .any(|one| matches!(&one.entry, FileRowEntry::File(other) if other.name == file.name));
    Some(if is_shared { format!("{}@{}", file.name, file.short_id) } else { file.name.clone() })
}

/// Selects the folder around the selected row.
fn select_parent(model: &mut PeerModel) {
    let Some(depth) = model.files.selected_row().map(|row| row.depth) else { return };
    let before = (0..model.files.selected()).rev();
    let is_parent = |index: &usize| model.files.row(*index).is_some_and(|row| row.depth < depth);
    if let Some(index) = before.take(10_000).find(is_parent) {
        model.files.select(index);
    }
}

/// `name` in a quotation mark that it does not contain, if it needs one.
fn quoted(name: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "._-/+=@,%".contains(character);
    if name.chars().all(is_plain) && !name.starts_with('-') {
        return name.to_owned();
    }
    let mark = if name.contains('\'') { '"' } else { '\'' };
    if name.contains(mark) { name.to_owned() } else { format!("{mark}{name}{mark}") }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_that_the_prompt_would_misread_are_quoted() {
        let check = |name: &str, expected: &str| assert_eq!(quoted(name), expected);
        check("data/file-1.bin", "data/file-1.bin");
        check("with space", "'with space'");
        check("it's", "\"it's\"");
        check("--from", "'--from'");
        check("a&", "'a&'");
        check("文.txt", "文.txt");
    }
}
