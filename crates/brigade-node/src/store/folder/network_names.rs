//! The names in the network of the files in a folder, and their paths below it.
//!
//! In the peer's own folder both are equal. The files of a share in place are below its name in the network, and a
//! single file has the name of its share. Nothing here looks at a file system.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

use brigade_core::name::{FileName, NameError};

use crate::store::name_ranges::bounds_below;

/// How names in the network and paths below a folder correspond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkNames {
    /// They are equal.
    Own,
    /// The names have this component before the path.
    Below(FileName),
    /// Only one entry of the folder is shared.
    Single {
        /// Its name in the network.
        name: FileName,
        /// Its name in the folder.
        entry: String,
    },
}

impl NetworkNames {
    /// The path of `name` below the folder, "" for the folder itself; `None` if the name is not one of this folder.
    pub(crate) fn local<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        match self {
            Self::Own => Some(name),
            Self::Below(base) => match name.strip_prefix(base.as_str())? {
                "" => Some(""),
                rest => rest.strip_prefix('/'),
            },
            Self::Single { name: single, entry } => (name == single.as_str()).then_some(entry.as_str()),
        }
    }

    /// The name of the file at `local`, a path below the folder; `None` if it is not shared from here.
    pub(crate) fn network(&self, local: &str) -> Option<Result<FileName, NameError>> {
        match self {
            Self::Single { name, entry } => (local == entry).then(|| Ok(name.clone())),
            _ => Some(self.text(local).parse()),
        }
    }

    /// The name of the entry at `local` as text, which may be no valid name.
    pub(crate) fn text<'a>(&self, local: &'a str) -> Cow<'a, str> {
        match self {
            Self::Below(base) if local.is_empty() => base.to_string().into(),
            Self::Below(base) => format!("{base}/{local}").into(),
            Self::Own | Self::Single { .. } => local.into(),
        }
    }

    /// The name of the folder itself; "" for the peer's own and for that of a single file.
    pub(crate) fn base(&self) -> &str {
        match self {
            Self::Below(base) => base,
            Self::Own | Self::Single { .. } => "",
        }
    }

    /// The name of the share in place; `None` for the peer's own folder.
    pub(crate) const fn share(&self) -> Option<&FileName> {
        match self {
            Self::Own => None,
            Self::Below(name) | Self::Single { name, .. } => Some(name),
        }
    }

    /// The bounds, both excluded, of all names of this folder: "" and `None` if there are none.
    pub(crate) fn bounds(&self) -> (String, Option<String>) {
        match self {
            Self::Own => (String::new(), None),
            Self::Below(base) => {
                let (from, to) = bounds_below(base);
                (from, Some(to))
            }
            Self::Single { name, .. } => {
                let mut before = name.to_string();
                before.pop();
                (before, Some(format!("{name}\0")))
            }
        }
    }
}

/// The names at the top of the peer's own folder that belong to shares in place. The lock is held for a comparison: the
/// keeper and the checks of destinations read the list, and the owner of the shares in place replaces it.
#[derive(Debug, Default)]
pub(super) struct WithheldNames(RwLock<Vec<(FileName, String)>>);

impl WithheldNames {
    /// Replaces the list.
    pub(super) fn set(&self, names: Vec<FileName>) {
        let folded = names.into_iter().map(|name| (name.clone(), name.folded())).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = folded;
    }

    /// The share in place whose name is the first component of `name`; upper and lower case count as equal.
    pub(super) fn find(&self, name: &str) -> Option<FileName> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if names.is_empty() {
            return None;
        }
        let first = name.split('/').next()?.parse::<FileName>().ok()?.folded();
        names.iter().find(|(_, folded)| *folded == first).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{FileName, NetworkNames, WithheldNames};

    fn name(text: &str) -> FileName {
        text.parse().unwrap()
    }

    #[test]
    fn names_and_paths_correspond() {
        let below = NetworkNames::Below(name("photos"));
        let single = NetworkNames::Single { name: name("film"), entry: "a:b.mkv".to_owned() };
        for (names, network, local) in
            [(&NetworkNames::Own, "a/b", "a/b"), (&below, "photos/a/b", "a/b"), (&single, "film", "a:b.mkv")]
        {
            assert_eq!(names.local(network), Some(local));
            assert_eq!(names.network(local), Some(Ok(name(network))));
            let (from, to) = names.bounds();
            assert!(from.as_str() < network && to.is_none_or(|to| network < to.as_str()));
        }
        assert_eq!(
            (below.local("photos"), below.local("photosx/a"), below.local("a")),
            (Some(""), None, None)
        );
        assert_eq!((single.local("a:b.mkv"), single.network("other")), (None, None));
        assert!(below.network("a:b").unwrap().is_err());
    }

    #[test]
    fn withheld_names_are_found_without_case() {
        let withheld = WithheldNames::default();
        assert_eq!(withheld.find("photos/a"), None);
        withheld.set(vec![name("Photos"), name("film")]);
        assert_eq!(withheld.find("photos/a"), Some(name("Photos")));
        assert_eq!((withheld.find("FILM"), withheld.find("a/film")), (Some(name("film")), None));
    }
}
