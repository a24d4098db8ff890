//! Reads the catalogue page by page: from the running peer that a command is for, or from the manager.
//!
//! Without a running peer the command asks the manager without joining, with a new key that is not kept: it needs no
//! username and does not count for `--max` of the manager.

use brigade_api::{
    client::PeerClient,
    local::ProgramKind,
    values::{LocalCopy, NameHolders},
};
use brigade_core::{
    name::{FileName, Username},
    wire::manager::{CatalogueEntry, PeerRow},
};
use brigade_node::peer::{FileListing, Observer};

use crate::{
    command_line::args::CatalogueSource,
    commands::running::{find_program, find_program_if_any},
    failure::Failure,
};

/// A reader of the catalogue.
pub(crate) enum CatalogueReader {
    /// A peer that runs, in this process or another one.
    Peer(PeerClient),
    /// The manager.
    Manager(Box<Observer>),
}

/// A file of the catalogue.
#[derive(Debug, Clone)]
pub(crate) struct ListedFile {
    pub(crate) entry: CatalogueEntry,
    /// Whether the peer has it; `None` if the manager was asked.
    pub(crate) local_copy: Option<LocalCopy>,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct CataloguePage<T> {
    pub(crate) rows: Vec<T>,
    /// The time after which the catalogue is complete, if it is not.
    pub(crate) incomplete_ms: Option<u64>,
}

/// The files that a text or a pattern fits, page by page.
pub(crate) enum FilePages {
    Peer { text: String, after: Option<String>, is_over: bool },
    Manager(FileListing),
}

impl CatalogueReader {
    /// The reader for a command. `names_manager` says whether the command line, the environment or the settings name a
    /// manager.
    pub(crate) async fn of(source: &CatalogueSource, names_manager: bool) -> Result<Self, Failure> {
        if source.folder.is_some() {
            let target = find_program(ProgramKind::Peer, source.folder.clone())?;
            return Ok(Self::Peer(PeerClient::new(&target)));
        }
        // The user who names a manager means its network.
        if !names_manager && let Some(target) = find_program_if_any(ProgramKind::Peer)? {
            return Ok(Self::Peer(PeerClient::new(&target)));
        }
        Ok(Self::Manager(Box::new(Observer::reach(&source.manager.address()).await?)))
    }

    /// The pages of the files that `text` fits.
    pub(crate) fn files(&self, text: &str) -> Result<FilePages, Failure> {
        let listing = FileListing::of(text)?; // the text is checked for both
        Ok(match self {
            Self::Peer(_) => FilePages::Peer { text: text.to_owned(), after: None, is_over: false },
            Self::Manager(_) => FilePages::Manager(listing),
        })
    }

    /// The next page; `None` after the last one.
    pub(crate) async fn next_files(
        &mut self,
        pages: &mut FilePages,
    ) -> Result<Option<CataloguePage<ListedFile>>, Failure> {
        match (self, pages) {
            (Self::Peer(client), FilePages::Peer { text, after, is_over }) if !*is_over => {
                let page = client.matching_files(text, after.as_deref(), None).await?;
                *after = page.next;
                *is_over = after.is_none();
                let file = |file: &brigade_api::values::FileEntry| {
                    Some(ListedFile { entry: file.to_core()?, local_copy: Some(file.local_copy) })
                };
                let rows = page.files.iter().filter_map(file).collect();
                Ok(Some(CataloguePage { rows, incomplete_ms: page.incomplete_ms }))
            }
            (Self::Manager(observer), FilePages::Manager(listing)) => {
                let Some((prefix, after)) = listing.question() else { return Ok(None) };
                let page = observer.files(&prefix, after).await?;
                let incomplete_ms = page.incomplete_ms;
                let rows = listing.take(page).into_iter().map(|entry| ListedFile { entry, local_copy: None });
                Ok(Some(CataloguePage { rows: rows.collect(), incomplete_ms }))
            }
            _ => Ok(None),
        }
    }

    /// The names that begin with `prefix` and follow `after`, at most a page of them, and whether there are more.
    pub(crate) async fn names(
        &mut self,
        prefix: &str,
        after: Option<&FileName>,
    ) -> Result<(Vec<FileName>, bool), Failure> {
        match self {
            Self::Peer(client) => {
                let page = client.files(prefix, after.map(|name| name.as_str()), None).await?;
                let names = page.files.iter().filter_map(|file| file.name.parse().ok()).collect();
                Ok((names, page.next.is_some()))
            }
            Self::Manager(observer) => {
                let page = observer.files(prefix, after.cloned()).await?;
                Ok((page.entries.into_iter().map(|entry| entry.name).collect(), page.more))
            }
        }
    }

    /// A page of the peers that follow `after`, and whether there are more.
    pub(crate) async fn peers(
        &mut self,
        after: Option<Username>,
    ) -> Result<(CataloguePage<PeerRow>, bool), Failure> {
        match self {
            Self::Peer(client) => {
                let page = client.peers(after.as_ref().map(|name| name.as_str())).await?;
                let rows = page.peers.iter().filter_map(brigade_api::values::PeerRow::to_core).collect();
                Ok((CataloguePage { rows, incomplete_ms: page.incomplete_ms }, page.next.is_some()))
            }
            Self::Manager(observer) => {
                let page = observer.peers(after).await?;
                Ok((CataloguePage { rows: page.rows, incomplete_ms: page.incomplete_ms }, page.more))
            }
        }
    }

    /// The contents of a name, with their holders.
    pub(crate) async fn holders(&mut self, name: &FileName) -> Result<NameHolders, Failure> {
        match self {
            Self::Peer(client) => Ok(client.name_holders(name.as_str()).await?),
            Self::Manager(observer) => {
                let found = observer.lookup(name).await?;
                Ok(NameHolders::new(name.to_string(), &found))
            }
        }
    }
}

impl FilePages {
    /// Ends the list.
    ///
    /// # Errors
    /// If no name begins with the text, and it is not a valid pattern either.
    pub(crate) fn ended(self) -> Result<(), Failure> {
        match self {
            Self::Manager(listing) => Ok(listing.ended()?),
            Self::Peer { .. } => Ok(()),
        }
    }
}
