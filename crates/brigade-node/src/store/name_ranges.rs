//! Ranges of names in an ordered map: a folder, with all names below it.
//!
//! Names are compared as text, so those of a folder are in a row.

use std::{borrow::Borrow, collections::BTreeMap, ops::Bound};

/// The keys of a map of names that are equal to `path` or below it.
pub(super) fn at_or_below<K: Borrow<str> + Ord + Clone, V>(map: &BTreeMap<K, V>, path: &str) -> Vec<K> {
    let itself = map.get_key_value(path).map(|(key, _)| key.clone());
    let (from, to) = bounds_below(path);
    let below = map.range::<str, _>((Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str())));
    itself.into_iter().chain(below.map(|(key, _)| key.clone())).collect()
}

/// The two bounds, both excluded, of all names below the folder `path`: the character `0` follows `/`.
pub(super) fn bounds_below(path: &str) -> (String, String) {
    (format!("{path}/"), format!("{path}0"))
}
