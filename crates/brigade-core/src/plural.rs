//! Numbers with their nouns, as messages for people have them: `1 piece`, `2 pieces`.
//!
//! The nouns are our own and regular; what another machine sends never comes here.

use std::fmt::Display;

/// A number of things: `1 file`, `2 files`, `3 fetches`, `4 entries`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    format!("{number} {}", noun(number, thing))
}

/// The noun alone, as it stands behind `number`: `3/10 files`.
pub fn noun<N: Copy + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if number == N::from(1) => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None if thing.ends_with("ch") => format!("{thing}es"),
        None => format!("{thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, noun};

    #[test]
    fn one_thing_is_not_several() {
        let all = |thing| [0_u64, 1, 2].map(|number| count(number, thing));
        assert_eq!(all("piece"), ["0 pieces", "1 piece", "2 pieces"]);
        assert_eq!(all("fetch"), ["0 fetches", "1 fetch", "2 fetches"]);
        assert_eq!(all("entry"), ["0 entries", "1 entry", "2 entries"]);
        assert_eq!((noun(1_usize, "byte"), noun(7_u32, "byte")), ("byte".to_owned(), "bytes".to_owned()));
    }
}
