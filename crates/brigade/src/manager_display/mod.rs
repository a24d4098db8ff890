//! The output of a running manager that has no screen: plain lines ([`log_table`]). The screen has the same sentences
//! about events ([`event_text`](mod@event_text)).

mod event_text;
mod plain_log;

pub(crate) use self::{event_text::event_text, plain_log::log_table};
