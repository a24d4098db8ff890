//! The files of the network as a tree: folders are folded until they are opened.
//!
//! The manager knows names only, in their order. [`FolderFolds::fold`] makes rows of a page of names, and says after which
//! name the next page begins: behind a folded folder, so that its other files need not be asked for.

use std::collections::BTreeSet;

use brigade_core::limits::NAME_BYTES;
use brigade_node::peer::has_wildcard;

use super::paged_list::{Keyed, LoadedPage, PageRequest};

/// Whether this peer has a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OwnCopy {
    /// It shares it.
    Whole,
    /// It has some pieces.
    Partly,
    /// Only others have it.
    #[default]
    Nothing,
}

/// A content under a name, with the number of its holders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CatalogueFile {
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) holders: u32,
    pub(crate) own_copy: OwnCopy,
    /// The first digits of its content id.
    pub(crate) short_id: String,
}

/// A row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// For a file its name and, if several contents have it, their order; for a folder its name with `/` at the end.
    key: String,
    /// The number of folders around it that have rows.
    pub(crate) depth: usize,
    pub(crate) entry: FileRowEntry,
}

/// The content of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileRowEntry {
    File(CatalogueFile),
    Folder {
        is_open: bool,
        /// The files below it that are known, and whether these are all.
        files: u64,
        size_bytes: u64,
        is_exact: bool,
    },
}

impl Keyed for FileRow {
    fn key(&self) -> &str {
        &self.key
    }
}

impl FileRow {
    /// The name of the file, or that of the folder without `/` at its end.
    pub(crate) fn name(&self) -> &str {
        match &self.entry {
            FileRowEntry::File(file) => &file.name,
            FileRowEntry::Folder { .. } => self.key.trim_end_matches('/'),
        }
    }
}

/// Which folders are open, and the text that selects the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FolderFolds {
    /// The open folders, with `/` at their ends.
    open: BTreeSet<String>,
    /// The beginning of the names, or a pattern.
    filter: String,
}

impl FolderFolds {
    /// Only names that begin with `filter` or match it; all other folders than those in it are folded.
    pub(crate) fn filtered(filter: String) -> Self {
        Self { open: BTreeSet::new(), filter }
    }

    /// The text that selects the files.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether there are no folders, but a list of the names that match a pattern.
    pub(crate) fn is_flat(&self) -> bool {
        has_wildcard(&self.filter)
    }

    /// Opens or closes a folder. Returns whether it is open now.
    pub(crate) fn toggle(&mut self, folder: &str) -> bool {
        let was_open = self.open.remove(folder);
        if !was_open {
            self.open.insert(folder.to_owned());
        }
        !was_open
    }

    fn is_open(&self, folder: &str) -> bool {
        self.open.contains(folder) || self.filter.starts_with(folder)
    }

    /// Makes rows of the files that were listed for `request`, in order. `more` says whether there are files behind
    /// them; `after` is the last listed name.
    pub(crate) fn fold(
        &self,
        request: PageRequest,
        files: Vec<CatalogueFile>,
        more: bool,
        after: Option<String>,
    ) -> LoadedPage<FileRow> {
        let mut rows: Vec<FileRow> = vec![];
        let mut is_over = !more;
        for file in files {
            let until = request.until.as_deref().filter(|until| file.name.as_str() > *until);
            if let Some(until) = until {
                // The row of a folder that was opened belongs to the rows before its files.
                if until.ends_with('/') && file.name.starts_with(until) {
                    self.push_folders(&mut rows, &request.after, &file, Some(until));
                }
                is_over = true;
                break;
            }
            if self.push_folders(&mut rows, &request.after, &file, None) {
                self.push_file(&mut rows, file);
            }
        }
        let next = if is_over { None } else { after.map(|after| behind(&rows, after)) };
        let next = next.filter(|next| request.until.as_ref().is_none_or(|until| next < until));
        if next.is_none() {
            mark_last_exact(&mut rows);
        }
        LoadedPage { request, rows, next }
    }

    /// Adds the rows of the folders of `file` that have none yet, down to the first folded one or to `last`. Returns
    /// whether all are open.
    fn push_folders(
        &self,
        rows: &mut Vec<FileRow>,
        after: &str,
        file: &CatalogueFile,
        last: Option<&str>,
    ) -> bool {
        if self.is_flat() {
            return true;
        }
        let slashes = file.name.match_indices('/').map(|(at, _)| at);
        for (depth, slash) in slashes.enumerate() {
            let folder = &file.name[..=slash];
            let has_row = rows.last().map_or(after, |row| &row.key).starts_with(folder);
            let is_open = self.is_open(folder);
            if !has_row {
                mark_last_exact(rows);
                let entry = FileRowEntry::Folder { is_open, files: 0, size_bytes: 0, is_exact: false };
                rows.push(FileRow { key: folder.to_owned(), depth, entry });
            }
            if !is_open {
                if let Some(FileRow { entry: FileRowEntry::Folder { files, size_bytes, .. }, .. }) =
                    rows.last_mut()
                {
                    *files += 1;
                    *size_bytes = size_bytes.saturating_add(file.size_bytes);
                }
                return false;
            }
            if Some(folder) == last {
                return false;
            }
        }
        true
    }

    fn push_file(&self, rows: &mut Vec<FileRow>, file: CatalogueFile) {
        mark_last_exact(rows);
        let depth = if self.is_flat() { 0 } else { file.name.matches('/').count() };
        let is_same =
            |row: &FileRow| matches!(&row.entry, FileRowEntry::File(last) if last.name == file.name);
        let key = match rows.last() {
            // A further content of the same name.
            Some(last) if is_same(last) => format!("{}\0", last.key),
            _ => file.name.clone(),
        };
        rows.push(FileRow { key, depth, entry: FileRowEntry::File(file) });
    }
}

/// The name after which the files behind the last row begin.
fn behind(rows: &[FileRow], after: String) -> String {
    match rows.last() {
        Some(FileRow { key, entry: FileRowEntry::Folder { is_open: false, .. }, .. }) => {
            let end = folder_end(key);
            if end.len() <= NAME_BYTES && after.starts_with(key.as_str()) { end } else { after }
        }
        _ => after,
    }
}

/// The name behind all names in a folder, which ends with `/`.
pub(crate) fn folder_end(folder: &str) -> String {
    format!("{folder}\u{10FFFF}")
}

/// All files of the last row, a folded folder, are known.
fn mark_last_exact(rows: &mut [FileRow]) {
    if let Some(FileRow { entry: FileRowEntry::Folder { is_exact, files: 1.., .. }, .. }) = rows.last_mut() {
        *is_exact = true;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CatalogueFile, FileRow, FileRowEntry, FolderFolds, OwnCopy, PageRequest, folder_end};
    use crate::screen::model::paged_list::{LoadedPage, PagedList};

    pub(crate) fn file(name: &str) -> CatalogueFile {
        CatalogueFile {
            name: name.to_owned(),
            size_bytes: 1000,
            holders: 2,
            own_copy: OwnCopy::Nothing,
            short_id: "0123456789".to_owned(),
        }
    }

    /// The answer of a network with these names, in pages of `limit` names.
    fn answer(
        names: &[&str],
        folds: &FolderFolds,
        request: &PageRequest,
        limit: usize,
    ) -> LoadedPage<FileRow> {
        let (prefix, after) = match request.after.strip_suffix('/') {
            Some(_) => (request.after.as_str(), ""),
            None => (folds.filter(), request.after.as_str()),
        };
        let mut files: Vec<CatalogueFile> = names
            .iter()
            .filter(|name| name.starts_with(prefix) && **name > after)
            .map(|name| file(name))
            .collect();
        let more = files.len() > limit;
        files.truncate(limit);
        let last = files.last().map(|file| file.name.clone());
        folds.fold(request.clone(), files, more, last)
    }

    fn settle(list: &mut PagedList<FileRow>, names: &[&str], folds: &FolderFolds, limit: usize) -> usize {
        let mut pages = 0;
        loop {
            list.top(50);
            let Some(request) = list.wanted(50) else { return pages };
            assert!(list.load(answer(names, folds, &request, limit)));
            pages += 1;
            assert!(pages < 100, "{list:?}");
        }
    }

    fn shown(list: &PagedList<FileRow>) -> Vec<String> {
        let text = |row: &FileRow| {
            let text = match &row.entry {
                FileRowEntry::File(file) => file.name.clone(),
                FileRowEntry::Folder { is_open: true, .. } => format!("v {}", row.name()),
                FileRowEntry::Folder { files, is_exact, .. } => {
                    format!("> {} {files}{}", row.name(), if *is_exact { "" } else { "+" })
                }
            };
            format!("{}{text}", "  ".repeat(row.depth))
        };
        (0..list.len()).filter_map(|index| list.row(index).map(text)).collect()
    }

    const NAMES: [&str; 9] = ["a/1", "a/2", "a/b/1", "a/b/2", "a/c", "b", "c.txt", "c/1", "d"];

    #[test]
    fn folders_are_folded_and_a_page_skips_the_rest_of_a_folder() {
        let folds = FolderFolds::default();
        let mut list = PagedList::default();
        settle(&mut list, &NAMES, &folds, 3);
        assert_eq!(shown(&list), ["> a 3+", "b", "c.txt", "> c 1+", "d"]);
        let mut list = PagedList::default();
        assert_eq!(settle(&mut list, &NAMES, &folds, 100), 1);
        assert_eq!(shown(&list), ["> a 5", "b", "c.txt", "> c 1", "d"]);
    }

    #[test]
    fn a_folder_opens_and_closes_in_its_place() {
        for limit in [1, 2, 3, 100] {
            let mut folds = FolderFolds::default();
            let mut list = PagedList::default();
            settle(&mut list, &NAMES, &folds, limit);
            assert!(folds.toggle("a/"));
            list.change("a/", |row| {
                row.entry = FileRowEntry::Folder { is_open: true, files: 0, size_bytes: 0, is_exact: false };
            });
            list.open_at(0, "a/".to_owned(), folder_end("a/"));
            settle(&mut list, &NAMES, &folds, limit);
            let open = shown(&list);
            assert_eq!(open[0], "v a");
            assert_eq!(open[1..3], ["  a/1", "  a/2"]);
            assert!(open[3].starts_with("  > a/b "), "{open:?}");
            assert_eq!(open[4..7], ["  a/c", "b", "c.txt"]);
            // Everything is loaded again with the same rows.
            list.refresh();
            settle(&mut list, &NAMES, &folds, limit);
            assert_eq!(shown(&list).len(), open.len(), "{:?}", shown(&list));
            assert!(!folds.toggle("a/"));
            list.close_at(0, "a/", &folder_end("a/"));
            list.refresh();
            settle(&mut list, &NAMES, &folds, limit);
            let closed = shown(&list);
            assert!(closed[0].starts_with("> a ") && closed[1] == "b" && closed.len() == 5, "{closed:?}");
        }
    }

    #[test]
    fn the_folders_of_a_filter_are_open_and_a_pattern_has_none() {
        let check = |filter: &str, names: &[&str], expected: &[&str]| {
            let folds = FolderFolds::filtered(filter.to_owned());
            let mut list = PagedList::default();
            let request = list.wanted(50).unwrap();
            let files = names.iter().map(|name| file(name)).collect();
            assert!(list.load(folds.fold(request, files, false, None)));
            assert_eq!(shown(&list), expected);
        };
        check("a/b", &["a/b/1", "a/b/2"], &["v a", "  > a/b 2"]);
        check("a/b/", &["a/b/1"], &["v a", "  v a/b", "    a/b/1"]);
        check("**/1", &["a/1", "a/b/1"], &["a/1", "a/b/1"]);
    }

    #[test]
    fn contents_of_one_name_have_rows_of_their_own() {
        let folds = FolderFolds::default();
        let mut list = PagedList::default();
        let request = list.wanted(50).unwrap();
        assert!(list.load(folds.fold(request, vec![file("x"), file("x"), file("y")], false, None)));
        assert_eq!(shown(&list), ["x", "x", "y"]);
        list.select(1);
        list.refresh();
        let request = list.wanted(50).unwrap();
        assert!(list.load(folds.fold(request, vec![file("x"), file("x"), file("y")], false, None)));
        assert_eq!(list.selected(), 1);
    }
}
