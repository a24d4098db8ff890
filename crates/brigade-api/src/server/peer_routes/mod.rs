//! The routes of a peer.
//!
//! `docs/api.md` describes them. Each file has the routes of one theme; `routers` gives them their paths, and `openapi`
//! describes them.

pub(super) mod fetch_orders;
pub(super) mod fetches;
pub(super) mod files;
pub(super) mod limits;
pub(super) mod program;
pub(super) mod shares;
pub(super) mod verification;
