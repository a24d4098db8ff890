//! What a test lets happen in the instant before a rename: an error of the system, or another program's write.
//!
//! It holds for the thread of the test alone.

use std::{cell::RefCell, io};

type Before = Box<dyn FnMut(&str, &str) -> io::Result<()>>;

thread_local! {
    static BEFORE: RefCell<Option<Before>> = const { RefCell::new(None) };
}

/// Until it is dropped, what was set happens.
pub(super) struct Injected;

impl Drop for Injected {
    fn drop(&mut self) {
        BEFORE.set(None);
    }
}

/// Sets what happens before each rename of one name to another.
pub(super) fn set(before: impl FnMut(&str, &str) -> io::Result<()> + 'static) -> Injected {
    BEFORE.set(Some(Box::new(before)));
    Injected
}

/// Lets it happen.
pub(super) fn before_rename(from: &str, to: &str) -> io::Result<()> {
    BEFORE.with_borrow_mut(|before| before.as_mut().map_or(Ok(()), |before| before(from, to)))
}
