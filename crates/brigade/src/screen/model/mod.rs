//! The state of the screen of a peer: what is shown, what is selected, what is being typed.
//!
//! [`PeerModel`] changes by events: keys (`input` translates them), loaded data, and the questions and texts of commands.
//! It does no input or output; `view` draws it. The lists are in the modules of this folder.

mod dialog;
mod file_tree;
mod focus;
mod layout;
mod line_editor;
mod log_pane;
mod paged_list;
mod transfers;

use std::{collections::VecDeque, sync::Arc};

pub(crate) use self::{
    dialog::{ConfirmedAction, Dialog},
    file_tree::{CatalogueFile, FileRow, FileRowEntry, FolderFolds, OwnCopy, folder_end},
    focus::{Focus, Pane},
    layout::{LEAST, PaneArea, ScreenLayout},
    line_editor::{LineEdit, TypedLine},
    log_pane::{LogPane, without_controls, wrapped},
    paged_list::{Keyed, LoadedPage, PageRequest, PagedList},
    transfers::{HolderShare, PieceBits, SentFile, Transfer, Transfers},
};
#[cfg(test)]
pub(crate) use self::{file_tree::tests::file, transfers::tests::transfer};
use crate::terminal::{
    input::{Input, PROMPT},
    line_completion::CompletedText,
};

/// The most lines that wait until a command asks for them: more than anybody pastes.
const QUEUED_LINES: usize = 10_000;

/// A peer in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedPeer {
    pub(crate) username: String,
    pub(crate) address: String,
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
    /// Bytes a second.
    pub(crate) sending: u64,
    pub(crate) receiving: u64,
}

impl Keyed for ListedPeer {
    fn key(&self) -> &str {
        &self.username
    }
}

/// What the row at the top says about the peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PeerSummary {
    pub(crate) username: String,
    pub(crate) address: String,
    /// The state of the manager, in a few words; empty while it is connected.
    pub(crate) manager_problem: String,
    /// Shared files, and their bytes.
    pub(crate) files: u64,
    pub(crate) size_bytes: u64,
    /// Bytes a second.
    pub(crate) sending: u64,
    pub(crate) receiving: u64,
    /// Files that are not hashed yet, and their bytes that are left.
    pub(crate) hashing_files: u64,
    pub(crate) hashing_bytes: u64,
    /// Files that are not shared.
    pub(crate) problems: u64,
}

/// What the loop does after an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScreenEffect {
    /// Answers the question of the command.
    Answer(Input),
    /// Ctrl-C while a command runs.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Draws all again, for a terminal that another program has written to.
    Redraw,
    /// Leaves the screen; the peer goes on elsewhere.
    Leave,
    /// Asks for the words that may continue the line before the cursor.
    Complete { line: String, cursor: usize },
    /// Pauses a fetch, or lets it go on.
    SetPaused { id: u64, paused: bool },
    /// Ends a fetch.
    Cancel { id: u64 },
    /// Removes a fetch that ended from the list.
    Forget { id: u64 },
}

/// The state of the screen.
#[derive(Debug)]
pub(crate) struct PeerModel {
    /// Whether this process runs the peer: then the end of the screen is the end of the peer.
    pub(crate) is_own: bool,
    pub(crate) summary: PeerSummary,
    pub(crate) transfers: Transfers,
    pub(crate) files: PagedList<FileRow>,
    pub(crate) folds: Arc<FolderFolds>,
    /// The line that selects files while it is typed.
    pub(crate) filter: TypedLine,
    /// Why the files cannot be listed.
    pub(crate) files_problem: Option<String>,
    pub(crate) peers: PagedList<ListedPeer>,
    pub(crate) log: LogPane,
    pub(crate) prompt: TypedLine,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) focus: Focus,
    /// The pane that is shown if there is space for one only.
    pub(crate) shown_pane: Pane,
    /// The areas at the last drawing.
    pub(crate) layout: ScreenLayout,
    /// Whether a command waits for a line, and for which: the prompt, or the answer to a question.
    asked: Option<AskedFor>,
    /// Lines that were pasted, or typed while a command ran.
    queued: VecDeque<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AskedFor {
    Command,
    Answer,
}

impl PeerModel {
    /// The screen of a peer before anything was loaded.
    pub(crate) fn new(is_own: bool, history: Vec<String>) -> Self {
        Self {
            is_own,
            summary: PeerSummary::default(),
            transfers: Transfers::default(),
            files: PagedList::default(),
            folds: Arc::default(),
            filter: TypedLine::default(),
            files_problem: None,
            peers: PagedList::default(),
            log: LogPane::default(),
            prompt: TypedLine::with_history(history),
            dialog: None,
            focus: Focus::Prompt,
            shown_pane: Pane::Log,
            layout: ScreenLayout::default(),
            asked: None,
            queued: VecDeque::new(),
        }
    }

    /// Shows what a command or the program prints.
    pub(crate) fn print(&mut self, text: &str) {
        self.log.push(text);
    }

    /// A command asks for a line. Returns the answer if a line waits.
    pub(crate) fn ask(&mut self, explanation: &str, question: &str) -> Option<ScreenEffect> {
        let is_command = question == PROMPT;
        self.asked = Some(if is_command { AskedFor::Command } else { AskedFor::Answer });
        if !is_command {
            let explanation = explanation.lines().map(without_controls).collect();
            let question = without_controls(question);
            self.dialog = Some(Dialog::Question { explanation, question, answer: TypedLine::default() });
        }
        let line = self.queued.pop_front()?;
        Some(self.answer(line))
    }

    /// The command does not wait for an answer any more.
    pub(crate) fn withdraw_question(&mut self) {
        self.asked = None;
        if matches!(self.dialog, Some(Dialog::Question { .. })) {
            self.dialog = None;
        }
    }

    /// Whether the prompt waits for a command, and nothing is typed.
    pub(crate) fn is_idle(&self) -> bool {
        self.asked == Some(AskedFor::Command) && self.prompt.text().is_empty()
    }

    /// Whether a command runs, and waits for no line.
    pub(crate) fn is_busy(&self) -> bool {
        self.asked.is_none()
    }

    /// Gives a line to the command that waits for it.
    pub(crate) fn answer(&mut self, line: String) -> ScreenEffect {
        match &self.dialog {
            Some(Dialog::Question { question, .. }) => {
                let echo = format!("{question}{line}");
                self.log.push(&echo);
                self.dialog = None;
            }
            _ => {
                self.log.push(&format!("{PROMPT}{line}"));
                self.prompt.remember(&line);
            }
        }
        self.log.scroll_to(false);
        self.asked = None;
        ScreenEffect::Answer(Input::Line(line))
    }

    /// Runs a line as a command, now or after the running one.
    pub(crate) fn run(&mut self, line: String) -> Option<ScreenEffect> {
        if self.asked == Some(AskedFor::Command) && self.queued.is_empty() {
            return Some(self.answer(line));
        }
        if self.queued.len() < QUEUED_LINES {
            self.queued.push_back(line);
        }
        None
    }

    /// Ctrl-C or Ctrl-D: ends the wait for a line, or the running command.
    pub(crate) fn interrupt(&mut self, input: Input) -> ScreenEffect {
        self.queued.clear();
        if self.asked.is_none() {
            return ScreenEffect::Interrupt;
        }
        self.withdraw_question();
        ScreenEffect::Answer(input)
    }

    /// Shows other files: those whose names begin with `text` or match it.
    pub(crate) fn set_filter(&mut self, text: String) {
        if self.folds.filter() != text {
            self.folds = Arc::new(FolderFolds::filtered(text));
            self.files.clear();
            self.files_problem = None;
        }
    }

    /// Opens or closes the selected folder. Returns whether a folder is selected.
    pub(crate) fn toggle_folder(&mut self) -> bool {
        let index = self.files.selected();
        let Some(row) = self.files.row(index) else { return false };
        let FileRowEntry::Folder { .. } = row.entry else { return false };
        let folder = row.key().to_owned();
        let is_open = Arc::make_mut(&mut self.folds).toggle(&folder);
        self.files.change(&folder, |row| {
            row.entry = FileRowEntry::Folder { is_open, files: 0, size_bytes: 0, is_exact: false };
        });
        let end = folder_end(&folder);
        if is_open {
            self.files.open_at(index, folder, end);
        } else {
            self.files.close_at(index, &folder, &end);
            self.files.refresh();
        }
        true
    }

    /// Completes the typed line, if it is still `line`: with the only word, or with the common beginning of several ones,
    /// which are then listed in the log.
    pub(crate) fn completed(&mut self, line: &str, start: usize, texts: &[CompletedText]) {
        if self.prompt.text() != line {
            return;
        }
        let Some(first) = texts.first() else { return };
        let mut common = first.text.as_str();
        for CompletedText { text, .. } in texts {
            let same = common.char_indices().zip(text.chars()).find(|((_, one), other)| one != other);
            let end = same.map_or(common.len().min(text.len()), |((at, _), _)| at);
            common = &common[..end];
        }
        let typed = line.get(start..self.prompt.cursor()).unwrap_or_default();
        if texts.len() == 1 || common.len() > typed.len() {
            self.prompt.complete(start, common);
            return;
        }
        let shown: Vec<&str> = texts.iter().map(|one| one.shown.as_str()).collect();
        self.log.push(&shown.join("  "));
        self.log.scroll_to(false);
    }

    /// Moves the focus, and shows the pane that has it.
    pub(crate) fn set_focus(&mut self, focus: Focus) {
        self.focus = focus;
        match focus {
            Focus::Pane(pane) => self.shown_pane = pane,
            Focus::Filter => self.shown_pane = Pane::Files,
            Focus::Prompt => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialog, FileRowEntry, Input, PROMPT, PeerModel, ScreenEffect, file};

    fn answered(line: &str) -> Option<ScreenEffect> {
        Some(ScreenEffect::Answer(Input::Line(line.to_owned())))
    }

    #[test]
    fn lines_wait_for_the_command_that_asks_for_them() {
        let mut model = PeerModel::new(true, vec![]);
        assert_eq!(model.run("fetch a".to_owned()), None, "no command asks yet");
        assert_eq!(model.run("fetch b".to_owned()), None);
        assert_eq!(model.ask("", PROMPT), answered("fetch a"));
        assert!(model.is_busy());
        assert_eq!(model.ask("", PROMPT), answered("fetch b"));
        assert_eq!(model.ask("", PROMPT), None);
        assert_eq!(model.run("peers".to_owned()), answered("peers"));
        assert_eq!(model.log.rows(80, 9), ["> fetch a", "> fetch b", "> peers"]);
    }

    #[test]
    fn a_question_of_a_command_is_a_dialog() {
        let mut model = PeerModel::new(true, vec![]);
        assert_eq!(model.ask("a has 2 contents:\n  1  x", "Which one? [1-2] "), None);
        assert!(
            matches!(&model.dialog, Some(Dialog::Question { explanation, .. }) if explanation.len() == 2)
        );
        assert_eq!(Some(model.answer("1".to_owned())), answered("1"));
        assert!(model.dialog.is_none());
        assert_eq!(model.log.rows(80, 9), ["Which one? [1-2] 1"]);
        model.ask("", "Quit? ");
        assert_eq!(model.interrupt(Input::Interrupted), ScreenEffect::Answer(Input::Interrupted));
        assert_eq!(model.interrupt(Input::Interrupted), ScreenEffect::Interrupt, "the command runs");
    }

    #[test]
    fn a_selected_folder_opens_and_a_filter_forgets_the_rows() {
        let mut model = PeerModel::new(true, vec![]);
        let request = model.files.wanted(10).unwrap();
        let page = model.folds.fold(request, vec![file("a/1"), file("b")], false, None);
        assert!(model.files.load(page));
        assert!(model.toggle_folder());
        let request = model.files.wanted(10).unwrap();
        assert_eq!((request.after.as_str(), request.until.as_deref()), ("a/", Some("a/\u{10FFFF}")));
        let page = model.folds.fold(request, vec![file("a/1")], false, None);
        assert!(model.files.load(page));
        assert_eq!(model.files.len(), 3);
        assert!(matches!(model.files.row(0).unwrap().entry, FileRowEntry::Folder { is_open: true, .. }));
        assert!(model.toggle_folder());
        assert_eq!(model.files.len(), 2);
        model.files.move_by(1);
        assert!(!model.toggle_folder(), "a file is selected");
        model.set_filter("b".to_owned());
        assert!(model.files.selected_row().is_none() && model.files.is_open_ended());
    }
}
