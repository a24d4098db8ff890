//! Refusals of a message, or of an entry in it, with the reason.
//!
//! A refusal never ends a session. Each is answered by one message, however many names of the refused one are wrong.

use super::{catalogue, output::Event, watches};
use crate::{
    limits,
    wire::{Checked, Reason, manager::Join},
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

/// The items whose names keep the rule, and what is to be said of the others: that of the first, and how many more
/// there are. An error where there are more of both than a message may have.
pub(super) fn split_valid<T>(claimed: Vec<Checked<T>>) -> Result<(Vec<T>, Result<(), Refusal>), Refusal> {
    if claimed.len() > limits::ANNOUNCE_ENTRIES {
        return Err(catalogue::AnnounceError::Entries.into());
    }
    let mut items = Vec::with_capacity(claimed.len());
    let (mut first, mut more) = (None, 0_usize);
    for item in claimed {
        match item {
            Ok(item) => items.push(item),
            Err(wrong) if first.is_none() => first = Some(wrong),
            Err(_) => more += 1,
        }
    }
    let wrong = first.map_or(Ok(()), |wrong| {
        let more = match more {
            0 => String::new(),
            1 => "; 1 more beside it does".to_owned(),
            _ => format!("; {more} more beside it do"),
        };
        Err(Refusal { reason: Reason::BadName, text: format!("{wrong}{more}") })
    });
    Ok((items, wrong))
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
