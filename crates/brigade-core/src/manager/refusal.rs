//! Refusals of a message, or of an entry in it, with the reason.
//!
//! A refusal never ends a session. Each is answered by one message, however many names of the refused one are wrong.

use super::{catalogue, output::Event, watches};
use crate::{
    limits,
    wire::{Checked, Reason, manager::Join, split_valid},
};

/// Why a message, or a part of it, was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) text: String,
}

/// The event of a join that was refused.
pub(super) fn refused_event(join: Join, refusal: &Refusal) -> Event {
    Event::Refused { username: join.username.ok(), reason: refusal.reason, text: refusal.text.clone() }
}

/// The valid items of a message, and the refusal of the others.
///
/// # Errors
/// The message has more items than one may have.
pub(super) fn valid_items<T>(claimed: Vec<Checked<T>>) -> Result<(Vec<T>, Result<(), Refusal>), Refusal> {
    if claimed.len() > limits::ANNOUNCE_ENTRIES {
        return Err(catalogue::AnnounceError::Entries.into());
    }
    let (items, invalid) = split_valid(claimed);
    Ok((items, invalid.map_or(Ok(()), |text| Err(Refusal { reason: Reason::BadName, text }))))
}

impl From<catalogue::AnnounceError> for Refusal {
    fn from(error: catalogue::AnnounceError) -> Self {
        Self { reason: Reason::TooMuch, text: error.to_string() }
    }
}

impl From<watches::TooManyWatches> for Refusal {
    fn from(error: watches::TooManyWatches) -> Self {
        Self { reason: Reason::TooMuch, text: error.to_string() }
    }
}
