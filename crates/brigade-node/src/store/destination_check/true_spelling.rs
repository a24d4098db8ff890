//! The true spelling of a name on a file system that ignores case, from the listings of its folders.
//!
//! Each folder is listed once for a sequence of names: listing it for every file would take a time that grows with the
//! square of the number of files. A name that is not in the listing may be newer, so the folder is listed again for it.

use std::collections::HashMap;

use brigade_core::name::FileName;

use crate::store::{file_stamp::Stamp, folder::Folder};

/// The folders that were listed.
#[derive(Debug, Default)]
pub(super) struct FolderListings(HashMap<String, Listing>);

/// The names in a folder, by their folded form.
#[derive(Debug)]
struct Listing(HashMap<String, Vec<String>>);

impl FolderListings {
    /// The true name of the file `found` under `name`, if the file system ignores case and the file has another
    /// spelling. `None` if it has exactly this name, or if its name cannot be found out.
    pub(super) fn true_name(&mut self, folder: &Folder, name: &FileName, found: &Stamp) -> Option<FileName> {
        // Folders are listed only if a file of the same size is found under another spelling.
        let [upper, lower] = [name.to_uppercase(), name.to_lowercase()];
        let variant: FileName =
            [upper, lower].into_iter().find(|text| text != name.as_str())?.parse().ok()?;
        // The inode is not compared: in user space (FUSE) each spelling may have another one.
        if folder.status(&variant).ok()?.stamp.size != found.size {
            return None;
        }
        let mut true_name = String::new();
        for part in name.components() {
            let spelling = self.spelling(&true_name, part, || {
                let entries = folder.sub(&true_name).ok()?.entries().ok()?;
                Some(entries.into_iter().filter_map(|entry| entry.name.into_string().ok()).collect())
            })?;
            let slash = if true_name.is_empty() { "" } else { "/" };
            true_name = format!("{true_name}{slash}{spelling}");
        }
        (true_name != name.as_str()).then(|| true_name.parse().ok()).flatten()
    }

    /// The spelling of `part` in the folder `below`, whose names `list` returns.
    fn spelling(
        &mut self,
        below: &str,
        part: &str,
        list: impl FnOnce() -> Option<Vec<String>>,
    ) -> Option<String> {
        if let Some(spelling) = self.0.get(below).and_then(|listing| listing.spelling(part)) {
            return Some(spelling);
        }
        let listing = Listing::of(list()?);
        let spelling = listing.spelling(part);
        self.0.insert(below.to_owned(), listing);
        spelling
    }
}

impl Listing {
    fn of(names: Vec<String>) -> Self {
        let mut by_folded: HashMap<String, Vec<String>> = HashMap::new();
        for name in names {
            if let Ok(parsed) = name.parse::<FileName>() {
                by_folded.entry(parsed.folded()).or_default().push(name);
            }
        }
        Self(by_folded)
    }

    /// `part` if the folder has exactly this name, or else a name that differs from it only in case.
    fn spelling(&self, part: &str) -> Option<String> {
        let names = self.0.get(&part.parse::<FileName>().ok()?.folded())?;
        let exact = names.iter().find(|name| *name == part);
        exact.or_else(|| names.last()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{FolderListings, Listing};

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Whole fetches onto a file system that ignores case are in the end-to-end tests.
    #[test]
    fn the_true_spelling_of_a_name_is_found() {
        let check = |part: &str, names: &[&str], expected: Option<&str>| {
            assert_eq!(Listing::of(owned(names)).spelling(part).as_deref(), expected, "{part}");
        };
        check("film", &["Film", "other"], Some("Film"));
        check("film", &["FILM", "film"], Some("film"));
        check("ä", &["Ä"], Some("Ä"));
        check("film", &["films"], None);
    }

    #[test]
    fn a_folder_of_many_files_is_listed_once() {
        let (mut listings, mut listed) = (FolderListings::default(), 0);
        for number in 0..10_000 {
            let spelling = listings.spelling("d", &format!("FILE{number}"), || {
                listed += 1;
                Some((0..10_000).map(|number| format!("File{number}")).collect())
            });
            assert_eq!(spelling, Some(format!("File{number}")));
        }
        assert_eq!(listed, 1);
    }

    #[test]
    fn a_name_that_was_created_since_is_found() {
        let mut listings = FolderListings::default();
        assert_eq!(listings.spelling("", "a", || Some(owned(&["A"]))).as_deref(), Some("A"));
        assert_eq!(listings.spelling("", "b", || Some(owned(&["A", "B"]))).as_deref(), Some("B"));
        assert_eq!(listings.spelling("", "a", || None).as_deref(), Some("A"));
        assert_eq!(listings.spelling("d", "a", || None), None, "the folder cannot be listed");
    }
}
