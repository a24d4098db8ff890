//! What belongs to the shell of the user: the scripts that complete command lines, and the manual.
//!
//! A script calls `brigade complete`, which knows the command line ([`word_kind`]) and asks the network for names. No
//! command here changes anything.

pub(super) mod completion;
pub(super) mod manual;
pub(super) mod scripts;
mod shell_words;
pub(super) mod value_source;
pub(super) mod word_kind;
