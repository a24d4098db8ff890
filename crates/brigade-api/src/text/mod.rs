//! Text for people: numbers and times, escaped text of other machines, hints that several messages share, suggestions
//! for text that was probably meant, and limits as they are typed.
//!
//! Nothing here prints. The program uses it too; what depends on the width of a terminal stands there.

pub mod cap;
pub mod escape;
pub mod format;
pub mod hints;
pub mod value_suggestions;
