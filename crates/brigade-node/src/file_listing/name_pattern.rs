//! Patterns for names.
//!
//! They are those of shells and `.gitignore` files: `data/**/*.bin`. `*` and `?` stand for anything but a slash,
//! `**` for any number of folders, `[a-z]` for one of some letters, `{a,b}` for one of some texts. A pattern that fits
//! a folder fits everything in it. No name has `*` or `?`, so a text with one of them can only be a pattern; a text
//! with one of the other characters is taken for a name first.

use globset::{Glob, GlobBuilder, GlobMatcher};

/// A pattern for names.
#[derive(Debug)]
pub(crate) struct Pattern {
    matcher: GlobMatcher,
    prefix: String,
    /// Whether it has a slash at the end.
    only_folders: bool,
}

/// The special characters of a pattern.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', ESCAPE];

/// The special character that stands for nothing: the next one stands for itself.
const ESCAPE: char = '\\';

/// Whether `text` can only be a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `text` has a character that stands for others in a pattern. It may be a name all the same: only `*` and `?`
/// are in no name.
pub fn has_wildcard(text: &str) -> bool {
    text.contains(|character: char| character != ESCAPE && SPECIAL.contains(&character))
}

/// Whether `text` may be a pattern, if it is not a name.
pub(crate) fn may_be_pattern(text: &str) -> bool {
    text.contains(SPECIAL)
}

impl Pattern {
    /// Parses a pattern; the reason if it is not valid. With a slash at the end, it fits only folders.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (text, length) = (text.trim_end_matches('/'), text.len());
        let built: Result<Glob, globset::Error> = GlobBuilder::new(text).literal_separator(true).build();
        let matcher = built.map_err(|error| error.kind().to_string())?.compile_matcher();
        let prefix = text.split(SPECIAL).next().unwrap_or_default().to_owned();
        Ok(Self { matcher, prefix, only_folders: text.len() < length })
    }

    /// The prefix of all names that fit.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it fits `name`, or a folder that contains it.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        let is_file = !self.only_folders && self.matcher.is_match(name);
        is_file || folders.into_iter().any(|folder| self.matcher.is_match(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, has_wildcard, is_pattern, may_be_pattern};

    /// Which of some names a pattern fits.
    #[track_caller]
    fn check(pattern: &str, prefix: &str, expected: &[&str]) {
        let names =
            ["a.bin", "b.txt", "data/a.bin", "data/b.txt", "data/x/a.bin", "data/x/y/b.bin", "data2/a.bin"];
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.prefix(), prefix);
        assert_eq!(names.into_iter().filter(|name| pattern.fits(name)).collect::<Vec<_>>(), expected);
        assert!(expected.iter().all(|name| name.starts_with(prefix)));
    }

    #[test]
    fn a_pattern_fits_what_shells_would_take() {
        check("*.bin", "", &["a.bin"]);
        check("data/**/*.bin", "data/", &["data/a.bin", "data/x/a.bin", "data/x/y/b.bin"]);
        check("**/b.*", "", &["b.txt", "data/b.txt", "data/x/y/b.bin"]);
        check("data/?.{bin,txt}", "data/", &["data/a.bin", "data/b.txt"]);
        check("data/[ab].bin", "data/", &["data/a.bin"]);
        check("nothing*", "nothing", &[]);
    }

    #[test]
    fn a_folder_that_fits_comes_whole() {
        check("data/x*", "data/x", &["data/x/a.bin", "data/x/y/b.bin"]);
        check("data?", "data", &["data2/a.bin"]);
    }

    #[test]
    fn a_pattern_with_a_slash_at_its_end_fits_only_folders() {
        check("*.bin/", "", &[]);
        check("data/*/", "data/", &["data/x/a.bin", "data/x/y/b.bin"]);
        check("data?//", "data", &["data2/a.bin"]);
    }

    #[test]
    fn a_text_that_can_only_be_a_pattern_is_told_from_one_that_may_be_a_name() {
        assert!(is_pattern("a*") && is_pattern("a?"));
        assert!(!is_pattern("film [1].mkv") && may_be_pattern("film [1].mkv"));
        assert!(!may_be_pattern("film (1).mkv"));
        for text in ["a*", "a?", "film [1].mkv", "{a,b}"] {
            assert!(has_wildcard(text) && may_be_pattern(text), "{text}");
        }
        assert!(!has_wildcard("films\\a.mkv") && may_be_pattern("films\\a.mkv"));
        assert!(Pattern::parse("film [1.mkv").unwrap_err().contains("class"), "a class that is never closed");
    }
}
