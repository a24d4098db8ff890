//! Hints that several errors share.
//!
//! A hint tells the user what to do; the other hints are with their errors.

/// For a fetch that was stopped.
pub(crate) const FETCH_AGAIN: &str = "verified pieces are kept, and the same fetch resumes";
/// For files that their holders changed during the fetch.
pub(crate) const FETCH_CURRENT: &str = "run the same fetch again for the current files";
/// For existing files with the name of a fetched one.
pub(crate) const REPLACE: &str = "with --replace, a file that is in the way is kept as NAME.~1~";
/// For a host that this machine does not have.
pub(crate) const OWN_HOST: &str = "--host must be a name or an address of this machine";
/// For a name that does not exist.
pub(crate) const LIST_NAMES: &str = "`files` lists all names";
