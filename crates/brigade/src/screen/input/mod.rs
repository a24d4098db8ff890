//! Keys, mouse and pasted text as changes of the model, and effects for the loop.
//!
//! At the prompt, keys edit the line; in a pane, single keys act. `line_keys` has the keys of a line, `pane_keys` those of
//! the panes, `dialog_keys` those of a box. Nothing here reads a terminal.

mod dialog_keys;
mod line_keys;
mod mouse;
mod pane_keys;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::line_keys::edit_of;
use super::model::{Dialog, Focus, LineEdit, PeerModel, ScreenEffect};
use crate::terminal::input::Input;

/// Changes the model by an event of the terminal. Returns the effects, in order.
pub(super) fn handle(model: &mut PeerModel, event: &TerminalEvent) -> Vec<ScreenEffect> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => handle_key(model, *key),
        TerminalEvent::Mouse(mouse) => mouse::handle_mouse(model, *mouse),
        TerminalEvent::Paste(text) => paste(model, text),
        _ => vec![], // for example a new size: the screen is drawn again
    }
}

fn handle_key(model: &mut PeerModel, mut key: KeyEvent) -> Vec<ScreenEffect> {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    if with_control && matches!(key.code, KeyCode::Char('j' | 'm')) {
        // A line end that was typed before the keys were read one by one.
        key = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    }
    if let (KeyCode::Char(letter), true) = (key.code, with_control) {
        match letter.to_ascii_lowercase() {
            'c' if !model.is_own && model.is_idle() => return vec![ScreenEffect::Leave],
            'c' => return vec![model.interrupt(Input::Interrupted)],
            // While the screen is shown, the terminal sends no signal.
            'z' => return vec![ScreenEffect::Suspend],
            'l' => return vec![ScreenEffect::Redraw],
            _ => {}
        }
    }
    if model.dialog.is_some() {
        return dialog_keys::handle_key(model, key);
    }
    match model.focus {
        Focus::Prompt => prompt_key(model, key),
        Focus::Filter => filter_key(model, key),
        Focus::Pane(pane) => pane_keys::handle_key(model, pane, key),
    }
}

/// A key at the prompt.
fn prompt_key(model: &mut PeerModel, key: KeyEvent) -> Vec<ScreenEffect> {
    let is_empty = model.prompt.text().is_empty();
    match key.code {
        KeyCode::Enter => {
            let line = model.prompt.take();
            return model.run(line).into_iter().collect();
        }
        KeyCode::Char('d') if key.modifiers.contains(KeyModifiers::CONTROL) && is_empty => {
            return if model.is_own { vec![model.interrupt(Input::End)] } else { vec![ScreenEffect::Leave] };
        }
        KeyCode::Esc => model.set_focus(Focus::Pane(model.shown_pane)),
        KeyCode::BackTab => model.set_focus(model.focus.moved(false)),
        KeyCode::Tab if is_empty => model.set_focus(model.focus.moved(true)),
        KeyCode::Tab => {
            let (line, cursor) = (model.prompt.text().to_owned(), model.prompt.cursor());
            return vec![ScreenEffect::Complete { line, cursor }];
        }
        KeyCode::PageUp => model.log.scroll_by(-5),
        KeyCode::PageDown => model.log.scroll_by(5),
        _ => {
            if let Some(edit) = edit_of(key) {
                model.prompt.edit(edit);
            }
        }
    }
    vec![]
}

/// A key in the line that selects files.
fn filter_key(model: &mut PeerModel, key: KeyEvent) -> Vec<ScreenEffect> {
    use super::model::Pane;
    match key.code {
        KeyCode::Enter | KeyCode::Down | KeyCode::Tab => model.set_focus(Focus::Pane(Pane::Files)),
        KeyCode::Esc => {
            model.filter.take();
            model.set_filter(String::new());
            model.set_focus(Focus::Pane(Pane::Files));
        }
        _ => {
            if let Some(edit) = edit_of(key)
                && !matches!(edit, LineEdit::Older | LineEdit::Newer | LineEdit::Search)
            {
                model.filter.edit(edit);
                let text = model.filter.text().to_owned();
                model.set_filter(text);
            }
        }
    }
    vec![]
}

/// Pasted text at the prompt: each complete line is a command, and the rest is in the line. Elsewhere it is one line.
fn paste(model: &mut PeerModel, text: &str) -> Vec<ScreenEffect> {
    match &mut model.dialog {
        Some(Dialog::Question { .. }) => {}
        Some(Dialog::Limit { answer, .. }) => {
            answer.insert(text);
            return vec![];
        }
        Some(_) => return vec![],
        None if model.focus == Focus::Filter => {
            model.filter.insert(text);
            let text = model.filter.text().to_owned();
            model.set_filter(text);
            return vec![];
        }
        None => {}
    }
    // Terminals send a carriage return for each line end.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut effects = vec![];
    let mut parts = text.split('\n').peekable();
    while let Some(part) = parts.next() {
        let line = match &mut model.dialog {
            Some(Dialog::Question { answer, .. }) => answer,
            _ => {
                model.set_focus(Focus::Prompt);
                &mut model.prompt
            }
        };
        line.insert(part);
        if parts.peek().is_some() {
            let line = line.take();
            // A question takes the first line, the commands after it the others.
            let effect = if model.dialog.is_some() { Some(model.answer(line)) } else { model.run(line) };
            effects.extend(effect);
        }
    }
    effects
}

#[cfg(test)]
mod tests {
    use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
    use ratatui::layout::Rect;

    use super::handle;
    use crate::{
        screen::model::{Dialog, Focus, Pane, PeerModel, ScreenEffect, ScreenLayout, file, transfer},
        terminal::input::{Input, PROMPT},
    };

    fn model() -> PeerModel {
        let mut model = PeerModel::new(true, vec!["peers".to_owned()]);
        model.layout = ScreenLayout::of(Rect::new(0, 0, 80, 24), 1, Pane::Log).unwrap();
        assert_eq!(model.ask("", PROMPT), None);
        model
    }

    fn press(model: &mut PeerModel, keys: &[KeyCode]) -> Vec<ScreenEffect> {
        let event = |code| TerminalEvent::Key(KeyEvent::new(code, KeyModifiers::NONE));
        keys.iter().flat_map(|code| handle(model, &event(*code))).collect()
    }

    fn write(model: &mut PeerModel, text: &str) -> Vec<ScreenEffect> {
        let keys: Vec<KeyCode> =
            text.chars().map(|one| if one == '\n' { KeyCode::Enter } else { KeyCode::Char(one) }).collect();
        press(model, &keys)
    }

    fn control(model: &mut PeerModel, letter: char) -> Vec<ScreenEffect> {
        handle(model, &TerminalEvent::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)))
    }

    fn line(text: &str) -> ScreenEffect {
        ScreenEffect::Answer(Input::Line(text.to_owned()))
    }

    fn with_files(model: &mut PeerModel) {
        let request = model.files.wanted(5).unwrap();
        let page = model.folds.fold(request, vec![file("it's here/1"), file("say \"a\"")], false, None);
        assert!(model.files.load(page));
    }

    #[test]
    fn commands_are_typed_at_the_prompt() {
        let mut model = model();
        assert_eq!(write(&mut model, "fetch p?q/l x\n"), [line("fetch p?q/l x")]);
        assert_eq!(model.ask("", PROMPT), None);
        assert_eq!(press(&mut model, &[KeyCode::Up, KeyCode::Up, KeyCode::Enter]), [line("peers")]);
    }

    #[test]
    fn each_complete_line_of_pasted_text_runs() {
        let mut model = model();
        let effects = handle(&mut model, &TerminalEvent::Paste("peers\rfiles\r\nfetch a".to_owned()));
        assert_eq!(effects, [line("peers")]);
        assert_eq!(model.ask("", PROMPT), Some(line("files")));
        assert_eq!(model.prompt.text(), "fetch a");
    }

    #[test]
    fn tab_completes_a_word_and_moves_into_the_panes_from_an_empty_line() {
        let mut model = model();
        let complete = ScreenEffect::Complete { line: "fe".to_owned(), cursor: 2 };
        assert_eq!(write(&mut model, "fe"), []);
        assert_eq!(press(&mut model, &[KeyCode::Tab]), [complete]);
        control(&mut model, 'u');
        let mut order = vec![];
        for _ in 0..5 {
            press(&mut model, &[KeyCode::Tab]);
            order.push(model.focus);
        }
        let panes = Pane::ALL.map(Focus::Pane);
        assert_eq!(order, [panes[0], panes[1], panes[2], panes[3], Focus::Prompt]);
        press(&mut model, &[KeyCode::BackTab]);
        assert_eq!(model.focus, Focus::Pane(Pane::Log));
        press(&mut model, &[KeyCode::Esc]);
        assert_eq!(model.focus, Focus::Prompt);
    }

    #[test]
    fn keys_fetch_the_selected_file_or_folder_by_a_command() {
        let mut model = model();
        with_files(&mut model);
        model.set_focus(Focus::Pane(Pane::Files));
        assert_eq!(write(&mut model, "f"), [line("fetch \"it's here\"")]);
        model.ask("", PROMPT);
        press(&mut model, &[KeyCode::Down]);
        assert_eq!(press(&mut model, &[KeyCode::Enter]), [line("fetch 'say \"a\"'")]);
    }

    #[test]
    fn keys_pause_and_cancel_the_selected_fetch() {
        use brigade_node::peer::FetchState::{Done, Fetching};
        let mut model = model();
        model.transfers.replace(vec![transfer(7, "a", Fetching), transfer(8, "b", Done)]);
        model.set_focus(Focus::Pane(Pane::Transfers));
        assert_eq!(write(&mut model, "p"), [ScreenEffect::SetPaused { id: 7, paused: true }]);
        assert_eq!(write(&mut model, "xn"), []);
        assert_eq!(write(&mut model, "xy"), [ScreenEffect::Cancel { id: 7 }]);
        press(&mut model, &[KeyCode::Down]);
        assert_eq!(write(&mut model, "p"), []);
        assert_eq!(
            write(&mut model, "x"),
            [ScreenEffect::Forget { id: 8 }],
            "an ended one needs no question"
        );
    }

    #[test]
    fn the_filter_selects_files_while_it_is_typed() {
        let mut model = model();
        model.set_focus(Focus::Pane(Pane::Files));
        write(&mut model, "/da");
        assert_eq!((model.folds.filter(), model.focus), ("da", Focus::Filter));
        press(&mut model, &[KeyCode::Enter]);
        assert_eq!(model.focus, Focus::Pane(Pane::Files));
        press(&mut model, &[KeyCode::Esc]);
        assert_eq!(
            (model.folds.filter(), model.focus),
            ("", Focus::Pane(Pane::Files)),
            "first the filter ends"
        );
        press(&mut model, &[KeyCode::Esc]);
        assert_eq!(model.focus, Focus::Prompt);
    }

    #[test]
    fn a_question_is_answered_in_its_dialog() {
        let mut model = model();
        write(&mut model, "x");
        model.ask("a has 2 contents", "Which one? ");
        assert_eq!(write(&mut model, "2\n"), [line("2")]);
        assert_eq!(model.prompt.text(), "x", "the typed command stays");
        model.ask("", "Quit? [y/N] ");
        assert_eq!(press(&mut model, &[KeyCode::Esc]), [line("")]);
        model.ask("", "Quit? [y/N] ");
        assert_eq!(control(&mut model, 'c'), [ScreenEffect::Answer(Input::Interrupted)]);
    }

    #[test]
    fn limits_quitting_and_help_have_keys_in_each_pane() {
        let mut model = model();
        for pane in Pane::ALL {
            model.set_focus(Focus::Pane(pane));
            write(&mut model, "l");
            assert_eq!(write(&mut model, "10MB\n"), [line("limit down 10MB")]);
            model.ask("", PROMPT);
            write(&mut model, "?");
            assert!(matches!(model.dialog, Some(Dialog::Help { .. })));
            press(&mut model, &[KeyCode::Esc]);
            assert!(model.dialog.is_none());
            assert_eq!(write(&mut model, "q"), [line("Q")]);
            model.ask("", PROMPT);
        }
        model.is_own = false;
        assert_eq!(write(&mut model, "q"), [ScreenEffect::Leave]);
    }

    #[test]
    fn ctrl_c_ends_the_wait_for_a_line_or_the_running_command() {
        let mut model = model();
        write(&mut model, "fetch a");
        assert_eq!(control(&mut model, 'c'), [ScreenEffect::Answer(Input::Interrupted)]);
        assert_eq!(control(&mut model, 'c'), [ScreenEffect::Interrupt]);
        assert_eq!(control(&mut model, 'z'), [ScreenEffect::Suspend]);
    }
}
