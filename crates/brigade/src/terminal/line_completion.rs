//! Tab at the prompt: the editor asks a [`LineCompleter`] for the words that complete the line.
//!
//! Answers to questions are not completed. The completer decides what is completed, and returns soon: the editor waits
//! for it.

use std::sync::{Arc, OnceLock};

use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::Highlighter,
    hint::Hinter,
    validate::Validator,
};

/// Completes the words of commands.
pub(crate) trait LineCompleter: Send + Sync {
    /// The texts that may replace the part of `line` between the returned index and `cursor`.
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<CompletedText>);
}

/// A text that completes a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompletedText {
    /// What the list of completions shows.
    pub(crate) shown: String,
    /// What is put into the line.
    pub(crate) text: String,
}

/// The completer of a prompt; empty until it is known.
pub(crate) type CompletionSlot = Arc<OnceLock<Box<dyn LineCompleter>>>;

/// What the editor asks while a line is typed.
pub(super) struct LineHelper {
    completer: CompletionSlot,
    /// Whether the line is a command.
    pub(super) completes: bool,
}

impl LineHelper {
    pub(super) const fn new(completer: CompletionSlot) -> Self {
        Self { completer, completes: false }
    }
}

impl Completer for LineHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(completer) = self.completer.get().filter(|_| self.completes) else {
            return Ok((cursor, vec![]));
        };
        let (start, texts) = completer.complete(line, cursor);
        let pair = |one: CompletedText| Pair { display: one.shown, replacement: one.text };
        Ok((start, texts.into_iter().map(pair).collect()))
    }
}

impl Hinter for LineHelper {
    type Hint = String;
}

impl Highlighter for LineHelper {}

impl Validator for LineHelper {}

impl Helper for LineHelper {}
