//! What `files` lists: the names that begin with a text, or that a pattern fits, page by page.
//!
//! The manager knows prefixes alone: a page of what begins as the pattern does is asked for, and what fits is kept of
//! it. No more than a page is in memory. As in [`super::resolve`], a text that may be a name or a pattern is taken for
//! a name first.

use brigade_core::{
    name::FileName,
    wire::manager::{Listed, Listing},
};

use super::{
    pattern::{Pattern, is_pattern, may_be_pattern},
    resolve::{ResolveError, next_page},
};

/// A list of files that is being asked for.
#[derive(Debug)]
pub struct Browsing {
    text: String,
    pattern: Option<Pattern>,
    after: Option<FileName>,
    found: bool,
    is_over: bool,
    /// Why the text is no pattern, where nothing begins with it and it can only have been meant as one.
    wrong: Option<String>,
}

impl Browsing {
    /// The names that begin with `text` or, where it is a pattern, those that fit.
    ///
    /// # Errors
    /// [`ResolveError::BadPattern`], where it can only be a pattern and makes no sense.
    pub fn of(text: &str) -> Result<Self, ResolveError> {
        let bad = |why| ResolveError::BadPattern { pattern: text.to_owned(), why };
        let pattern = if is_pattern(text) { Some(Pattern::parse(text).map_err(bad)?) } else { None };
        Ok(Self { text: text.to_owned(), pattern, after: None, found: false, is_over: false, wrong: None })
    }

    /// What the manager is to be asked for next: names that begin so and come after this one; `None` after the last page.
    pub fn question(&self) -> Option<(String, Option<FileName>)> {
        let prefix = self.pattern.as_ref().map_or(self.text.as_str(), Pattern::prefix);
        (!self.is_over).then(|| (prefix.to_owned(), self.after.clone()))
    }

    /// What of a page that was asked for belongs to the list.
    pub fn take(&mut self, page: Listing) -> Vec<Listed> {
        let Listing { mut entries, more, .. } = page;
        let last = entries.last().map(|entry| entry.name.clone());
        let after = next_page(more, last, self.after.take());
        self.is_over = after.is_none();
        self.after = after;
        if let Some(pattern) = &self.pattern {
            entries.retain(|entry| pattern.fits(&entry.name));
        }
        self.found |= !entries.is_empty();
        if self.is_over && !self.found && self.pattern.is_none() && may_be_pattern(&self.text) {
            match Pattern::parse(&self.text) {
                Ok(pattern) => (self.pattern, self.is_over) = (Some(pattern), false),
                Err(why) => self.wrong = Some(why),
            }
        }
        entries
    }

    /// How the list ended.
    ///
    /// # Errors
    /// [`ResolveError::BadPattern`], where no name begins with the text and it makes no sense as a pattern either.
    pub fn ended(self) -> Result<(), ResolveError> {
        let pattern = self.text;
        self.wrong.map_or(Ok(()), |why| Err(ResolveError::BadPattern { pattern, why }))
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{Browsing, Listed, Listing};

    const NAMES: [&str; 6] = ["a.bin", "b.txt", "data/a.bin", "data/b.txt", "data/x/a.bin", "film [1].mkv"];

    /// What is listed for `text`, and how many pages of two entries were asked for.
    fn listed(text: &str) -> (Vec<&'static str>, usize) {
        let mut browsing = Browsing::of(text).unwrap();
        let (mut found, mut pages) = (vec![], 0);
        while let Some((prefix, after)) = browsing.question() {
            pages += 1;
            let fits = |name: &&str| {
                name.starts_with(&prefix) && after.as_ref().is_none_or(|after| **name > **after)
            };
            let names: Vec<&str> = NAMES.into_iter().filter(fits).collect();
            let entry = |name: &&str| Listed {
                name: name.parse().unwrap(),
                id: ContentId::EMPTY,
                size: 0,
                mtime_s: 0,
                executable: false,
                holders: 1,
            };
            let entries = names.iter().take(2).map(entry).collect();
            let taken =
                browsing.take(Listing { question: 1, entries, more: names.len() > 2, incomplete_ms: None });
            found.extend(
                taken.iter().map(|entry| NAMES.into_iter().find(|name| *name == &*entry.name).unwrap()),
            );
        }
        let may_be_wrong = text.contains("[2");
        assert_eq!(browsing.ended().is_err(), may_be_wrong, "{text}");
        (found, pages)
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
        assert!(Browsing::of("film* [1").is_err());
    }

    #[test]
    fn a_manager_that_does_not_get_on_ends_the_list() {
        let mut browsing = Browsing::of("a").unwrap();
        assert_eq!(
            browsing.take(Listing { question: 1, entries: vec![], more: true, incomplete_ms: None }),
            []
        );
        assert_eq!(browsing.question(), None);
    }
}
