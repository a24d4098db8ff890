//! The request for a fetch, and the number of a fetch.
//!
//! These are values only. [`Peer::resolve`](crate::peer::Peer::resolve) finds the files of a request (`wanted_files`)
//! or says why there are none (`resolve_error`), and [`Peer::fetch`](crate::peer::Peer::fetch) begins to fetch them
//! (`new_fetch`).

pub(crate) mod new_fetch;
pub(crate) mod resolve_error;
pub(crate) mod wanted_files;

use std::collections::BTreeMap;

use brigade_core::{
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

/// The number of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(pub(crate) u32);
