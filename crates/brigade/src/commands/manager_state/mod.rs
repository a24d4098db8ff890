//! The commands for the state of a manager: its members, and backups of its key and members.
//!
//! `members` and `backup` ask the running manager, so that nothing else opens its database; `restore` needs none.

pub(super) mod backup;
pub(super) mod members;
