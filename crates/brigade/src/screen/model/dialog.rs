//! The box in front of the panes: a question of a command, a confirmation, or the help.
//!
//! Only one is shown at a time. The answer to a question goes to the command; a confirmed action goes to the peer.

use super::line_editor::TypedLine;

/// An action that a person confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfirmedAction {
    /// Ends the fetch with this number.
    CancelFetch(u64),
}

/// The box.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// A command waits for an answer.
    Question {
        /// What the question is about; each line is a row.
        explanation: Vec<String>,
        question: String,
        answer: TypedLine,
    },
    /// `y` or Enter carries the action out.
    Confirmation { question: String, action: ConfirmedAction },
    /// A new limit is typed; Enter runs `limit` with it.
    Limit { answer: TypedLine },
    /// The keys and the commands.
    Help {
        /// The row at the top.
        top: usize,
    },
}
