//! The bandwidth of piece data: which limits hold now, and how much is sent and received.
//!
//! `limits` decides the limits over the day; `traffic` applies them and counts bytes by member. Nothing here knows a
//! connection or a file.

mod limits;
mod traffic;

pub(crate) use self::{
    limits::LimitsHandle,
    traffic::{RateCounter, SentCounter, Traffic, beside},
};
