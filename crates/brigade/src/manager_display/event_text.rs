//! The events of a manager as sentences: a peer joined, left or was refused.
//!
//! The screen and the plain lines use the same sentences. Usernames are checked names, and the text of a refusal is
//! escaped.

use brigade_core::manager::{Event, LeaveReason};

use crate::text::escape::escape;

/// An event as a sentence.
pub(crate) fn event_text(event: &Event) -> String {
    match event {
        Event::Joined { username, address } => format!("{username} joined from {address}"),
        Event::Left { username, reason } => {
            let reason = match reason {
                LeaveReason::Quit => "it quit",
                LeaveReason::Lost => "its connection broke",
                LeaveReason::Silent => "it sent no message for too long",
                LeaveReason::Slow => "it did not read its messages",
                LeaveReason::ProtocolError => "it broke the protocol",
                LeaveReason::Replaced => "the network is full, and a member replaced it",
            };
            format!("{username} left: {reason}")
        }
        Event::Refused { username: Some(username), text, .. } => {
            format!("{username} was refused: {}", escape(text))
        }
        Event::Refused { username: None, text, .. } => format!("a peer was refused: {}", escape(text)),
    }
}
