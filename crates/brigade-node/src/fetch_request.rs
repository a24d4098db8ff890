//! The request for a fetch, and the number of a fetch.
//!
//! Most of these are values only. [`PeerHandle::resolve`](crate::peer::PeerHandle::resolve) finds the files of a request (`wanted_files`)
//! or says why there are none (`resolve_error`), and [`PeerHandle::fetch`](crate::peer::PeerHandle::fetch) begins to fetch them
//! (`new_fetch`). A `running_fetch` is the program's handle of a fetch; `fetch_list` publishes
//! the handles. `stored_fetches` keeps fetches on the disk, so that they go on after a restart.

pub(crate) mod fetch_list;
pub(crate) mod new_fetch;
pub(crate) mod resolve_error;
pub(crate) mod running_fetch;
pub(crate) mod stored_fetches;
pub(crate) mod wanted_files;

use std::{collections::BTreeMap, fmt, num::ParseIntError, str::FromStr};

use brigade_core::{
    download::Priority,
    id::{Content, ContentId},
    name::{FileName, Username},
};

/// A request for a file, for the files of a folder, or for all files that a pattern fits.
///
/// ```
/// use brigade_node::peer::FetchRequest;
///
/// let request = FetchRequest::new("data/*.bin").replace(true);
/// let by_id = FetchRequest::by_id("f4".repeat(32).parse()?).save_as("film.mkv".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FetchRequest {
    /// The name that the person typed: a file, a folder, `NAME@ID-PREFIX` or a pattern. It is also the name of the
    /// fetch.
    pub name: String,
    /// The content to fetch, whatever its name; then `name` only names the fetch.
    pub id: Option<ContentId>,
    /// The member whose files are fetched: those of a folder or a pattern that it shares, and if a name has several
    /// contents, the one that it shares.
    pub from: Option<Username>,
    /// If a name has several contents: the chosen one.
    pub chosen: BTreeMap<FileName, Content>,
    /// Whether a file with the name and another content is kept aside.
    pub replace: bool,
    /// The name that the file gets in the folder of this peer; `None` for its name in the catalogue.
    pub save_as: Option<FileName>,
}

impl FetchRequest {
    /// A request for a file, for the files of a folder, for `NAME@ID-PREFIX`, or for all files that a pattern fits.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A request for the content with this id. If it has several names in the catalogue, it gets the first of them. If
    /// members announce the id with several sizes, the size with most holders is taken.
    ///
    /// The manager finds contents by their names. So the peer reads the whole catalogue, page by page.
    pub fn by_id(id: ContentId) -> Self {
        Self { name: id.to_string(), id: Some(id), ..Self::default() }
    }

    /// Takes only files and contents that this member shares.
    pub fn shared_by(self, username: Username) -> Self {
        Self { from: Some(username), ..self }
    }

    /// Sets whether a file with the name and another content is kept aside.
    pub fn replace(self, replace: bool) -> Self {
        Self { replace, ..self }
    }

    /// Gives the file another name in the folder of this peer. The request must name one file only.
    pub fn save_as(self, name: FileName) -> Self {
        Self { save_as: Some(name), ..self }
    }
}

/// The number of a fetch of one peer.
///
/// Numbers count from 1. If the peer keeps its fetches ([`PeerConfig::keep_fetches`](crate::peer::PeerConfig)), no number
/// is used again in its folder, also after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

impl fmt::Display for FetchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for FetchId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The options of a fetch that may be changed while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchOptions {
    /// How urgent it is.
    pub priority: Priority,
    /// Whether it is paused: then nothing of it is requested, and its verified pieces are kept and served.
    pub paused: bool,
}

impl FetchOptions {
    /// Sets how urgent the fetch is.
    pub const fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Sets whether the fetch is paused.
    pub const fn paused(self, paused: bool) -> Self {
        Self { paused, ..self }
    }
}
