//! The values that complete a word: names and folders of the catalogue, fetches, usernames and shares.
//!
//! The running peer is asked, or the manager if none runs. A folder is one value, so that a catalogue of any size can be
//! completed step by step. Errors mean that there are no values.

use brigade_api::{client::PeerClient, local::ProgramKind};
use brigade_core::name::FileName;

use super::word_kind::WordKind;
use crate::{
    command_line::args::CatalogueSource,
    commands::{catalogue::reader::CatalogueReader, running::find_program},
    text::format,
};

/// The most values: more are not read by a person.
const VALUES: usize = 500;

/// The most pages of the catalogue that are read.
const PAGES: usize = 64;

/// The last character that a name may have: the names below a folder come before the folder and this character.
const LAST_CHARACTER: char = '\u{10FFFD}';

/// Where values come from.
pub(crate) struct ValueSource {
    source: CatalogueSource,
    names_manager: bool,
    /// The peer of this process.
    own: Option<PeerClient>,
}

impl ValueSource {
    /// The source for a command with these options.
    pub(crate) const fn new(source: CatalogueSource, names_manager: bool) -> Self {
        Self { source, names_manager, own: None }
    }

    /// The source for the prompt of a peer.
    pub(crate) fn of_peer(client: PeerClient) -> Self {
        Self { source: CatalogueSource::default(), names_manager: false, own: Some(client) }
    }

    /// The values of a kind that begin with `typed`, each with a text that explains it.
    pub(crate) async fn values(&self, kind: &WordKind, typed: &str) -> Vec<(String, String)> {
        match kind {
            WordKind::SharedName => self.names(typed).await.unwrap_or_default(),
            WordKind::Username => self.usernames(typed).await.unwrap_or_default(),
            WordKind::Fetch => self.fetches(typed).await.unwrap_or_default(),
            WordKind::ShareName => self.shares(typed).await.unwrap_or_default(),
            WordKind::OneOf(_) | WordKind::File | WordKind::Folder | WordKind::Other => vec![],
        }
    }

    async fn reader(&self) -> Option<CatalogueReader> {
        match &self.own {
            Some(client) => Some(CatalogueReader::Peer(client.clone())),
            None => CatalogueReader::of(&self.source, self.names_manager).await.ok(),
        }
    }

    fn client(&self) -> Option<PeerClient> {
        self.own.clone().or_else(|| {
            let target = find_program(ProgramKind::Peer, self.source.folder.clone()).ok()?;
            Some(PeerClient::new(&target))
        })
    }

    /// Names, and folders with a slash at their end.
    async fn names(&self, typed: &str) -> Option<Vec<(String, String)>> {
        let mut reader = self.reader().await?;
        let (mut values, mut after) = (vec![], None);
        for _ in 0..PAGES {
            let (page, more) = reader.names(typed, after.as_ref()).await.ok()?;
            let last = page.last().cloned();
            for name in page {
                let value = folder_or_name(&name, typed);
                if values.last().is_none_or(|(last, _)| *last != value) {
                    values.push((value, String::new()));
                }
            }
            let folder = values.last().map(|(value, _)| value).filter(|value| value.ends_with('/'));
            // The rest of a folder is skipped.
            let behind =
                folder.and_then(|folder| format!("{folder}{LAST_CHARACTER}").parse::<FileName>().ok());
            after = behind.or(last);
            if !more || after.is_none() || values.len() >= VALUES {
                break;
            }
        }
        values.truncate(VALUES);
        Some(values)
    }

    async fn usernames(&self, typed: &str) -> Option<Vec<(String, String)>> {
        let mut reader = self.reader().await?;
        let (mut values, mut after) = (vec![], None);
        for _ in 0..PAGES {
            let (page, more) = reader.peers(after).await.ok()?;
            after = page.rows.last().map(|last| last.username.clone());
            let begins = page.rows.iter().filter(|row| row.username.starts_with(typed));
            values.extend(begins.map(|row| (row.username.to_string(), format::bytes(row.bytes))));
            if !more || after.is_none() || values.len() >= VALUES {
                break;
            }
        }
        values.truncate(VALUES);
        Some(values)
    }

    /// The numbers of running fetches, and their names if the beginning of a name was typed.
    async fn fetches(&self, typed: &str) -> Option<Vec<(String, String)>> {
        let fetches = self.client()?.fetches().await.ok()?;
        let running = fetches.into_iter().filter(|fetch| !fetch.state.is_over()).take(VALUES);
        let value = |fetch: brigade_api::values::Fetch| {
            let number = fetch.id.to_string();
            if number.starts_with(typed) {
                Some((number, fetch.name))
            } else {
                fetch.name.starts_with(typed).then_some((fetch.name, number))
            }
        };
        Some(running.filter_map(value).collect())
    }

    async fn shares(&self, typed: &str) -> Option<Vec<(String, String)>> {
        let shares = self.client()?.shares().await.ok()?;
        let begins = shares.into_iter().filter(|share| share.name.starts_with(typed));
        Some(begins.map(|share| (share.name, share.path)).collect())
    }
}

/// The name, or the folder below what is typed in which it is.
fn folder_or_name(name: &str, typed: &str) -> String {
    let rest = name.get(typed.len()..).unwrap_or_default();
    match rest.find('/') {
        Some(slash) => name[..=typed.len() + slash].to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{FileName, LAST_CHARACTER, folder_or_name};

    #[test]
    fn a_folder_is_one_value() {
        for (name, typed, value) in [
            ("film.mkv", "", "film.mkv"),
            ("data/a/b", "", "data/"),
            ("data/a/b", "da", "data/"),
            ("data/a/b", "data/", "data/a/"),
            ("data/a/b", "data/a/b", "data/a/b"),
        ] {
            assert_eq!(folder_or_name(name, typed), value, "{name} {typed}");
        }
    }

    #[test]
    fn the_rest_of_a_folder_can_be_skipped() {
        let behind: FileName = format!("data/{LAST_CHARACTER}").parse().unwrap();
        let name = |text: &str| text.parse::<FileName>().unwrap();
        assert!(name("data/zzz") < behind && name("data/日本") < behind && behind < name("data0"));
    }
}
