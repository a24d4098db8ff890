//! Text for people: numbers and times, escaped text of other machines, hints that several messages share, and
//! suggestions for text that was probably meant.
//!
//! Nothing here prints; `terminal::standard_output` does.

pub(crate) mod escape;
pub(crate) mod format;
pub(crate) mod hints;
pub(crate) mod shortening;
pub(crate) mod value_suggestions;
