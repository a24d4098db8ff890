//! What a client asks for about fetches: new ones, and changes of a running one.
//!
//! The server checks every bound before it asks the peer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fetch::Priority;

/// New fetches, one for each name. If one name cannot be fetched, none begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "names": ["film.mkv", "data/**/*.bin"], "replace": true }))]
pub struct FetchOrder {
    /// Files, folders, `NAME@ID-PREFIX` or patterns; at least one.
    #[schema(min_items = 1, max_items = 1000)]
    pub names: Vec<String>,
    /// The member whose files are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether a file with the name and another content is kept aside.
    #[serde(default)]
    pub replace: bool,
    /// The name that the file gets; the only name must then name one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_as: Option<String>,
    /// The priority among the fetches of the peer.
    #[serde(default)]
    pub priority: Priority,
    /// Whether they wait until they are resumed.
    #[serde(default)]
    pub paused: bool,
    /// The chosen content for each name that has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub chosen: Vec<ChosenContent>,
    /// How long to wait for a name that nobody shares yet, in seconds; at most 5. A client that waits longer asks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 5)]
    pub wait_s: Option<u64>,
}

/// The content that was chosen for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChosenContent {
    /// The name.
    pub name: String,
    /// The id of the content, 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// The size of the content in bytes.
    pub size: u64,
}

/// A change of a running fetch. A field that is left out stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "paused": true }))]
pub struct FetchUpdate {
    /// Whether it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whether it is cancelled, which cannot be taken back. It stays in the list, and its verified pieces are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
}

impl FetchOrder {
    /// An order for these names.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}
