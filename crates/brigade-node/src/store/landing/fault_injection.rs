//! What a test does just before a rename: returns an error of the system, or writes like another program.
//!
//! It is in effect on the test's own thread.

use std::{cell::RefCell, io};

type BeforeRename = Box<dyn FnMut(&str, &str) -> io::Result<()>>;

thread_local! {
    static BEFORE_RENAME: RefCell<Option<BeforeRename>> = const { RefCell::new(None) };
}

/// The action is in effect until this is dropped.
pub(super) struct Injected;

impl Drop for Injected {
    fn drop(&mut self) {
        BEFORE_RENAME.set(None);
    }
}

/// Sets the action before each rename of one name to another.
pub(super) fn set(before: impl FnMut(&str, &str) -> io::Result<()> + 'static) -> Injected {
    BEFORE_RENAME.set(Some(Box::new(before)));
    Injected
}

/// Runs the action.
pub(super) fn before_rename(from: &str, to: &str) -> io::Result<()> {
    BEFORE_RENAME.with_borrow_mut(|before| before.as_mut().map_or(Ok(()), |before| before(from, to)))
}
