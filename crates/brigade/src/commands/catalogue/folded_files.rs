//! The files of a list, folded: each folder is one line with its number of files, their bytes and holders.
//!
//! The names come in order, so a folder is complete when the next name is not below it. Several contents of one name
//! count as several files.

use brigade_core::{
    plural::{count, noun},
    wire::manager::CatalogueEntry,
};
use brigade_node::peer::has_wildcard;

use super::file_row::row;
use crate::text::{escape::escape, format};

/// A folder of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FoldedFolder {
    /// With a slash at its end.
    name: String,
    files: u64,
    bytes: u64,
    fewest_holders: u32,
}

/// A list that is being folded.
pub(super) struct FoldedFiles {
    /// The beginning of all names that is not folded, up to a slash.
    base: String,
    lines: Vec<FoldedLine>,
}

/// A line of a folded list.
enum FoldedLine {
    Folder(FoldedFolder),
    File(String),
}

impl FoldedFiles {
    /// An empty list of the names that `text`, a prefix or a pattern, fits. Folders below the last slash before any
    /// wildcard are folded.
    pub(super) fn new(text: &str) -> Self {
        let is_plain = |end: usize| !has_wildcard(&text[..end]);
        let end = (1..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
        let end = end.filter(|end| text[..*end].ends_with('/')).find(|end| is_plain(*end)).unwrap_or(0);
        Self { base: text[..end].to_owned(), lines: vec![] }
    }

    /// Adds a file; the names come in order.
    pub(super) fn add(&mut self, file: &CatalogueEntry) {
        let rest = file.name.strip_prefix(&self.base).unwrap_or(&file.name);
        let Some(slash) = rest.find('/') else {
            self.lines.push(FoldedLine::File(row(file)));
            return;
        };
        let folder = &file.name[..file.name.len() - rest.len() + slash + 1];
        match self.lines.last_mut() {
            Some(FoldedLine::Folder(last)) if last.name == folder => {
                last.files += 1;
                last.bytes = last.bytes.saturating_add(file.size);
                last.fewest_holders = last.fewest_holders.min(file.holders);
            }
            _ => self.lines.push(FoldedLine::Folder(FoldedFolder {
                name: folder.to_owned(),
                files: 1,
                bytes: file.size,
                fewest_holders: file.holders,
            })),
        }
    }

    /// The lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |line: &FoldedLine| match line {
            FoldedLine::File(row) => row.clone(),
            FoldedLine::Folder(folder) => format!(
                "{:>10}  {:>3} {:<7}  {:<10}  {}",
                format::bytes(folder.bytes),
                folder.fewest_holders,
                noun(folder.fewest_holders, "holder"),
                count(folder.files, "file"),
                escape(&folder.name)
            ),
        };
        self.lines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{CatalogueEntry, FoldedFiles};

    fn folded(text: &str, names: &[&str]) -> Vec<String> {
        let mut folded = FoldedFiles::new(text);
        for (name, holders) in names.iter().zip(1..) {
            folded.add(&CatalogueEntry {
                name: name.parse().unwrap(),
                id: ContentId::EMPTY,
                size: 500_000,
                mtime_s: 0,
                executable: false,
                holders,
            });
        }
        let last = |line: String| {
            line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("|")
        };
        folded.lines().into_iter().map(last).collect()
    }

    #[test]
    fn folders_below_the_text_are_one_line_each() {
        let names = ["a.txt", "data/a", "data/b/c", "data/d", "films/x.mkv"];
        let lines = folded("", &names);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "1.5 MB|2 holders|3 files|data/");
        assert_eq!(lines[2], "500.0 kB|5 holders|1 file|films/");
        let lines = folded("data/", &names[1..4]);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "500.0 kB|2 holders|1 file|data/b/");
    }

    #[test]
    fn a_pattern_is_folded_below_its_plain_part() {
        assert_eq!(FoldedFiles::new("data/*/x/").base, "data/");
        assert_eq!(FoldedFiles::new("data/fi").base, "data/");
        assert_eq!(FoldedFiles::new("**/*.bin").base, "");
        assert_eq!(FoldedFiles::new("é/").base, "é/");
    }
}
