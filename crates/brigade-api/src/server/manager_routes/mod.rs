//! The routes of a manager.
//!
//! `docs/api.md` describes them. The tables are read page by page, so that no answer holds up the sessions of peers.

mod backup_body;
pub(super) mod catalogue;
pub(super) mod program;
pub(super) mod tables;
