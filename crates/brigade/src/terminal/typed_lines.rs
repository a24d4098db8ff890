//! What is typed ([`Input`]), and the questions of commands to a screen that covers the terminal, with its answers.
//!
//! `input` asks them instead of reading the terminal; the screen shows each one as its prompt or in a box. A question that
//! nobody waits for any more is withdrawn.

use std::io;

use tokio::sync::{mpsc, oneshot};

use super::line_completion::CompletionSlot;

/// The prompt for commands. Only lines that are typed behind it are kept in the history, and no answers to questions.
pub(crate) const PROMPT: &str = "> ";

/// The next input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C at the terminal.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// A question that a command asks.
#[derive(Debug)]
pub(crate) struct ScreenQuestion {
    /// What it is about, such as the choices; may be empty.
    pub(crate) explanation: String,
    /// The prompt.
    pub(crate) text: String,
    /// Where the answer goes. It is closed if the command does not wait any more.
    pub(crate) answer: oneshot::Sender<Input>,
}

/// The commands' side.
pub(crate) struct ScreenQuestions {
    questions: mpsc::Sender<ScreenQuestion>,
    /// What the questions before the next command are about.
    explanation: String,
    /// What completes the words of a command, once it is known.
    pub(super) completer: CompletionSlot,
}

impl ScreenQuestions {
    /// Both sides: this one, and the questions for the screen.
    pub(crate) fn new(completer: CompletionSlot) -> (Self, mpsc::Receiver<ScreenQuestion>) {
        let (questions, asked) = mpsc::channel(1);
        (Self { questions, explanation: String::new(), completer }, asked)
    }

    /// Sets what the next questions are about.
    pub(super) fn explain(&mut self, text: &str) {
        text.clone_into(&mut self.explanation);
    }

    /// Adds to what the next questions are about.
    pub(super) fn explain_further(&mut self, text: &str) {
        self.explanation += "\n";
        self.explanation += text;
    }

    /// Asks, and waits for the answer. The end of the screen is the end of the input.
    pub(super) async fn ask(&mut self, text: &str) -> io::Result<Input> {
        let (answer, answered) = oneshot::channel();
        if text == PROMPT {
            self.explanation.clear();
        }
        let explanation = self.explanation.clone();
        let question = ScreenQuestion { explanation, text: text.to_owned(), answer };
        if self.questions.send(question).await.is_err() {
            return Ok(Input::End);
        }
        Ok(answered.await.unwrap_or(Input::End))
    }
}
