//! The list of the names that a text or a pattern fits, and the choice between the versions of a name.
//!
//! The manager knows prefixes only: the names with the prefix of the pattern are requested page by page, and those that
//! fit are kept. [`name_pattern`] has the patterns. A text that may be a name or a pattern is taken for a name first.

mod name_pattern;

use std::collections::BTreeMap;

use brigade_core::{
    limits,
    name::{FileName, NameError},
    wire::manager::{CatalogueEntry, Listing},
};

pub use self::name_pattern::has_wildcard;
pub(crate) use self::name_pattern::{Pattern, is_pattern, may_be_pattern};
use crate::fetch_request::resolve_error::ResolveError;

/// The shortest prefix of an id that chooses a version.
const ID_PREFIX_DIGITS: usize = 4;

/// A list of files that is asked for page by page.
#[derive(Debug)]
pub struct FileListing {
    text: String,
    pattern: Option<Pattern>,
    after: Option<FileName>,
    found: bool,
    is_over: bool,
    /// Whether the text is never taken for a pattern.
    is_literal: bool,
    /// Why the text is not a valid pattern, if no name begins with it and it was meant as one.
    wrong: Option<String>,
}

impl FileListing {
    /// The names that begin with `text` or, if it is a pattern, those that fit.
    ///
    /// # Errors
    /// [`ResolveError::BadPattern`], if it can only be a pattern and is not valid. [`ResolveError::BadName`], if it is
    /// longer than a name may be; this bounds the memory of a pattern, too.
    pub fn of(text: &str) -> Result<Self, ResolveError> {
        Self::continued(text, None)
    }

    /// Like [`Self::of`], but only the names after `after`: the last name of an earlier list for the same text.
    ///
    /// # Errors
    /// As in [`Self::of`].
    pub fn continued(text: &str, after: Option<FileName>) -> Result<Self, ResolveError> {
        let bad = |reason| ResolveError::BadPattern { pattern: text.to_owned(), reason };
        // If names begin with the text, it is no pattern: then the earlier list had only such names.
        let was_pattern =
            after.as_ref().is_some_and(|after| may_be_pattern(text) && !after.starts_with(text));
        let mut listing = Self::of_prefix(text, after)?;
        listing.is_literal = false;
        if is_pattern(text) || was_pattern {
            listing.pattern = Some(Pattern::parse(text).map_err(bad)?);
        }
        Ok(listing)
    }

    /// The names that begin with `prefix`, even if it looks like a pattern, and come after `after`.
    ///
    /// # Errors
    /// [`ResolveError::BadName`], if it is longer than a name may be.
    pub fn of_prefix(prefix: &str, after: Option<FileName>) -> Result<Self, ResolveError> {
        if prefix.len() > limits::NAME_BYTES {
            return Err(ResolveError::BadName { name: prefix.to_owned(), reason: NameError::TooLong });
        }
        Ok(Self {
            text: prefix.to_owned(),
            pattern: None,
            found: after.is_some(),
            after,
            is_over: false,
            is_literal: true,
            wrong: None,
        })
    }

    /// The next question to the manager: names with this prefix that come after this one; `None` after the last page.
    pub fn question(&self) -> Option<(String, Option<FileName>)> {
        let prefix = self.pattern.as_ref().map_or(self.text.as_str(), Pattern::prefix);
        (!self.is_over).then(|| (prefix.to_owned(), self.after.clone()))
    }

    /// The entries of a page that belong to the list.
    pub fn take(&mut self, page: Listing) -> Vec<CatalogueEntry> {
        let Listing { mut entries, more, .. } = page;
        let last = entries.last().map(|entry| entry.name.clone());
        let after = next_page(more, last, self.after.take());
        self.is_over = after.is_none();
        self.after = after;
        if let Some(pattern) = &self.pattern {
            entries.retain(|entry| pattern.fits(&entry.name));
        }
        self.found |= !entries.is_empty();
        let is_text = self.pattern.is_none() && !self.is_literal;
        if self.is_over && !self.found && is_text && may_be_pattern(&self.text) {
            match Pattern::parse(&self.text) {
                Ok(pattern) => (self.pattern, self.is_over) = (Some(pattern), false),
                Err(reason) => self.wrong = Some(reason),
            }
        }
        entries
    }

    /// Ends the list.
    ///
    /// # Errors
    /// [`ResolveError::BadPattern`], if no name begins with the text and it is not a valid pattern either.
    pub fn ended(self) -> Result<(), ResolveError> {
        let pattern = self.text;
        self.wrong.map_or(Ok(()), |reason| Err(ResolveError::BadPattern { pattern, reason }))
    }
}

/// The start of the next page; `None` after the last one, and if the manager repeats itself.
pub(crate) fn next_page(more: bool, last: Option<FileName>, after: Option<FileName>) -> Option<FileName> {
    last.filter(|last| more && after.is_none_or(|after| after < *last))
}

/// `NAME@ID-PREFIX`, cut at the last `@`.
pub(crate) fn split_version(name: &str) -> Option<(&str, &str)> {
    let (base, prefix) = name.rsplit_once('@')?;
    let is_prefix =
        (ID_PREFIX_DIGITS..=64).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    (is_prefix && !base.is_empty()).then_some((base, prefix))
}

/// The first of `entries`, which have one content id, with the size that has most holders. The entries are in the order
/// of their names.
///
/// A member may announce the id with a wrong size, under any number of names. So the largest number of holders under
/// one name decides, and the sum over all names only between equal numbers.
pub(crate) fn most_held(entries: impl IntoIterator<Item = CatalogueEntry>) -> Option<CatalogueEntry> {
    let mut sizes: BTreeMap<u64, (u32, u64, CatalogueEntry)> = BTreeMap::new();
    for entry in entries {
        let holders = entry.holders;
        let (most, sum, _) = sizes.entry(entry.size).or_insert_with(|| (0, 0, entry));
        *most = holders.max(*most);
        *sum += u64::from(holders);
    }
    let best = sizes.into_values().max_by(|(most, sum, first), (other_most, other_sum, other_first)| {
        (most, sum, &other_first.name).cmp(&(other_most, other_sum, &first.name))
    });
    best.map(|(_, _, first)| first)
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{CatalogueEntry, FileListing, Listing, ResolveError, limits};

    const NAMES: [&str; 6] = ["a.bin", "b.txt", "data/a.bin", "data/b.txt", "data/x/a.bin", "film [1].mkv"];

    /// What is listed for `text`, and how many pages of two entries were asked for.
    fn listed(text: &str) -> (Vec<&'static str>, usize) {
        let (found, pages, is_wrong) = names_of(FileListing::of(text).unwrap());
        let may_be_wrong = text.contains("[2");
        assert_eq!(is_wrong, may_be_wrong, "{text}");
        (found, pages)
    }

    /// The names of a list, the number of pages, and whether its text is wrong.
    fn names_of(mut listing: FileListing) -> (Vec<&'static str>, usize, bool) {
        let (mut found, mut pages) = (vec![], 0);
        while let Some((prefix, after)) = listing.question() {
            pages += 1;
            let fits = |name: &&str| {
                name.starts_with(&prefix) && after.as_ref().is_none_or(|after| **name > **after)
            };
            let names: Vec<&str> = NAMES.into_iter().filter(fits).collect();
            let entry = |name: &&str| CatalogueEntry {
                name: name.parse().unwrap(),
                id: ContentId::EMPTY,
                size: 0,
                mtime_s: 0,
                executable: false,
                holders: 1,
            };
            let entries = names.iter().take(2).map(entry).collect();
            let taken =
                listing.take(Listing { question: 1, entries, more: names.len() > 2, incomplete_ms: None });
            found.extend(
                taken.iter().map(|entry| NAMES.into_iter().find(|name| *name == &*entry.name).unwrap()),
            );
        }
        (found, pages, listing.ended().is_err())
    }

    #[test]
    fn a_pattern_lists_what_it_fits_and_a_text_what_begins_so() {
        assert_eq!(listed("*.bin"), (vec!["a.bin"], 3));
        assert_eq!(listed("**/*.bin"), (vec!["a.bin", "data/a.bin", "data/x/a.bin"], 3));
        assert_eq!(listed("data/*.txt"), (vec!["data/b.txt"], 2));
        assert_eq!(listed("data/").0, ["data/a.bin", "data/b.txt", "data/x/a.bin"]);
        assert_eq!(listed("").0, NAMES);
        assert_eq!(listed("nothing*").0, [""; 0]);
    }

    #[test]
    fn a_text_that_may_be_a_name_or_a_pattern_is_a_name_first() {
        assert_eq!(listed("film [1]").0, ["film [1].mkv"]);
        assert_eq!(listed("[ab].bin").0, ["a.bin"]);
        assert_eq!(listed("{a,b}.{bin,txt}").0, ["a.bin", "b.txt"]);
        assert_eq!(listed("film [2").0, [""; 0]);
        assert!(FileListing::of("film* [1").is_err());
    }

    #[test]
    fn a_list_goes_on_after_each_of_its_names() {
        for text in ["", "data/", "*.bin", "film [1]", "[ab].bin", "{a,b}.{bin,txt}"] {
            let (all, _) = listed(text);
            for (at, name) in all.iter().enumerate() {
                let listing = FileListing::continued(text, name.parse().ok()).unwrap();
                assert_eq!(names_of(listing).0, all[at + 1..], "{text} after {name}");
            }
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        let listed = |prefix| names_of(FileListing::of_prefix(prefix, None).unwrap()).0;
        assert_eq!(listed("[ab].bin"), [""; 0]);
        assert_eq!(listed("*"), [""; 0]);
        assert_eq!(listed("film ["), ["film [1].mkv"]);
    }

    #[test]
    fn a_text_or_a_pattern_that_is_longer_than_a_name_is_refused() {
        for part in ["x", "?", "*a", "{a,b}", "["] {
            let long = part.repeat(limits::CONTROL_FRAME_BYTES);
            let refused = FileListing::of(&long);
            let reason = refused.err().map(|error| matches!(error, ResolveError::BadName { .. }));
            assert_eq!(reason, Some(true), "{part}");
        }
        assert!(FileListing::of(&"x".repeat(limits::NAME_BYTES)).is_ok());
        assert!(FileListing::of(&"?".repeat(limits::NAME_BYTES)).is_ok());
    }

    #[test]
    fn a_manager_that_does_not_get_on_ends_the_list() {
        let mut listing = FileListing::of("a").unwrap();
        assert_eq!(
            listing.take(Listing { question: 1, entries: vec![], more: true, incomplete_ms: None }),
            []
        );
        assert_eq!(listing.question(), None);
    }
}
