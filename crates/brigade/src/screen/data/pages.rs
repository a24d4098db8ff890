//! Pages of the files and the peers, as the lists of the model ask for them.
//!
//! A page of the files may need several questions, since a folded folder is one row: the next question begins behind it.

use std::time::{Duration, Instant};

use brigade_api::{
    client::{ClientError, PeerClient},
    values::{FileEntry, LocalCopy, PeerRow},
};

use crate::screen::model::{
    CatalogueFile, FileRow, FileRowEntry, FolderFolds, Keyed, ListedPeer, LoadedPage, OwnCopy, PageRequest,
};

/// The rows after which a page is complete: more than a large terminal shows.
const PAGE_ROWS: usize = 300;

/// The most questions for one page.
const QUESTIONS: usize = 40;

/// The time after which the rows that exist are shown, and the others are a page of their own.
const PAGE_TIME: Duration = Duration::from_millis(80);

/// The most names of one question: a folder of many files is left after so many.
const NAMES: usize = 500;

/// The most names of a question after a folder that had more than [`NAMES`]: the next row is probably such a folder too,
/// and its number of files is not known exactly anyway.
const FEW_NAMES: usize = 32;

/// The digits of an id that choose one of several contents.
const ID_DIGITS: usize = 10;

/// Loads a page of the files.
pub(super) async fn files(
    client: &PeerClient,
    request: PageRequest,
    folds: &FolderFolds,
) -> Result<LoadedPage<FileRow>, ClientError> {
    let mut all = LoadedPage { request: request.clone(), rows: vec![], next: None };
    let mut part = request;
    let mut names = NAMES;
    let begun = Instant::now();
    for _ in 0..QUESTIONS {
        // A folder was opened: its own files.
        let is_inside = part.after.ends_with('/');
        let prefix = if is_inside { part.after.as_str() } else { folds.filter() };
        let after = (!is_inside && !part.after.is_empty()).then_some(part.after.as_str());
        let page = if folds.is_flat() {
            client.matching_files(folds.filter(), after, Some(names)).await?
        } else {
            client.files(prefix, after, Some(names)).await?
        };
        let listed = page.files.into_iter().map(listed_file).collect();
        let more = page.next.is_some();
        let folded = folds.fold(part.clone(), listed, more, page.next);
        names = names_after(&folded.rows, more);
        all.rows.extend(folded.rows);
        all.next = folded.next;
        match &all.next {
            Some(_) if !all.rows.is_empty() && begun.elapsed() > PAGE_TIME => break,
            Some(next) if all.rows.len() < PAGE_ROWS && *next > part.after => part.after.clone_from(next),
            _ => break,
        }
    }
    Ok(all)
}

/// The most names of the question after one that was answered by these rows, and by `more` names behind them.
fn names_after(rows: &[FileRow], more: bool) -> usize {
    let is_one_folder = matches!(rows, [FileRow { entry: FileRowEntry::Folder { is_open: false, .. }, .. }]);
    if is_one_folder && more { FEW_NAMES } else { NAMES }
}

fn listed_file(file: FileEntry) -> CatalogueFile {
    let own_copy = match file.local_copy {
        LocalCopy::Whole => OwnCopy::Whole,
        LocalCopy::Partly => OwnCopy::Partly,
        LocalCopy::No | LocalCopy::Unknown => OwnCopy::Nothing,
    };
    let short_id = file.id.chars().take(ID_DIGITS).collect();
    CatalogueFile { name: file.name, size_bytes: file.size, holders: file.holders, own_copy, short_id }
}

/// Loads a page of the peers.
pub(super) async fn peers(
    client: &PeerClient,
    request: PageRequest,
) -> Result<LoadedPage<ListedPeer>, ClientError> {
    let after = Some(request.after.as_str()).filter(|after| !after.is_empty());
    let page = client.peers(after).await?;
    let mut rows: Vec<ListedPeer> = page.peers.into_iter().map(listed_peer).collect();
    let mut next = page.next;
    if let Some(until) = &request.until {
        let before = rows.len();
        rows.retain(|row| row.key() <= until.as_str());
        if rows.len() < before {
            next = None;
        }
    }
    Ok(LoadedPage { request, rows, next })
}

fn listed_peer(peer: PeerRow) -> ListedPeer {
    let PeerRow { username, address, files, bytes, sending, receiving, .. } = peer;
    ListedPeer { username, address, files, size_bytes: bytes, sending, receiving }
}

#[cfg(test)]
mod tests {
    use super::{FEW_NAMES, FolderFolds, NAMES, PageRequest, names_after};
    use crate::screen::model::file;

    #[test]
    fn large_folders_are_passed_with_few_names_each() {
        let names = |names: &[&str], more| {
            let request = PageRequest { after: String::new(), until: None, generation: 0 };
            let files = names.iter().map(|name| file(name)).collect();
            let last = names.last().map(|name| (*name).to_owned());
            names_after(&FolderFolds::default().fold(request, files, more, last).rows, more)
        };
        assert_eq!(names(&["a/1", "a/2"], true), FEW_NAMES);
        assert_eq!(names(&["a/1", "a/2"], false), NAMES);
        assert_eq!(names(&["a/1", "b"], true), NAMES);
        assert_eq!(names(&["a", "b"], true), NAMES);
    }
}
