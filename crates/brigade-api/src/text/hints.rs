//! Hints that several errors share.
//!
//! A hint tells the user what to do; the other hints are with their errors.

/// For a fetch that was stopped.
pub const FETCH_AGAIN: &str = "verified pieces are kept, and the same fetch resumes";
/// For files that their holders changed during the fetch.
pub const FETCH_CURRENT: &str = "run the same fetch again for the current files";
/// For existing files with the name of a fetched one.
pub const REPLACE: &str = "with --replace, a file that is in the way is kept as NAME.~1~";
/// For a host that this machine does not have.
pub const OWN_HOST: &str = "--host must be a name or an address of this machine";
/// For a name that does not exist.
pub const LIST_NAMES: &str = "`files` lists all names";
/// For a pattern that is not valid.
pub const PATTERNS: &str =
    "* and ? match anything except a slash, ** matches any number of folders, [a-z] matches one letter";
