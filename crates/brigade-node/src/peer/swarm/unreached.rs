//! Holders that could not be used, and why: what a fetch that waits for them can say to people.
//!
//! Only the last cause of each is kept, until a piece of the holder is stored. Nothing is decided by it.

use std::{collections::BTreeMap, error::Error, net::SocketAddr};

use brigade_core::{download::HolderId, limits, name::Username};

use super::fetching::Fetching;

/// A holder that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Its name.
    pub username: Username,
    /// Where it was dialled.
    pub address: SocketAddr,
    /// What went wrong the last time.
    pub cause: String,
}

/// The last cause of each holder that could not be used.
#[derive(Debug, Default)]
pub(crate) struct Causes(BTreeMap<HolderId, Unreached>);

impl Causes {
    /// A connection to a holder ended so, or did not come about.
    pub(crate) fn note(
        &mut self,
        holder: HolderId,
        (username, address): (Username, SocketAddr),
        error: &dyn Error,
    ) {
        if self.0.len() >= limits::UNREACHED_KEPT && !self.0.contains_key(&holder) {
            self.0.pop_first(); // the one that has been known for longest
        }
        self.0.insert(holder, Unreached { username, address, cause: chain(error) });
    }

    /// A piece of the holder is stored: whatever there was is over.
    pub(crate) fn forget(&mut self, holder: HolderId) {
        if !self.0.is_empty() {
            self.0.remove(&holder);
        }
    }

    /// Those among the holders that are known now of these contents.
    pub(crate) fn of<'a>(&self, waiting: impl Iterator<Item = &'a Fetching>) -> Vec<Unreached> {
        let mut found = BTreeMap::new();
        for fetching in waiting.take_while(|_| !self.0.is_empty()) {
            for holder in fetching.known.ids() {
                if found.len() == limits::UNREACHED_SHOWN {
                    return found.into_values().collect();
                }
                if let Some(unreached) = self.0.get(&holder) {
                    found.entry(holder).or_insert_with(|| unreached.clone());
                }
            }
        }
        found.into_values().collect()
    }
}

/// An error and its causes, within the bound of a text for people.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        next = cause.source();
    }
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Causes, HolderId, chain, limits};
    use crate::transport::dial::DialError;

    #[test]
    fn causes_are_bounded_and_forgotten() {
        let mut causes = Causes::default();
        let at = |name: u32| (format!("user{name}").parse().unwrap(), ([127, 0, 0, 1], 7001).into());
        for number in 0..1000 {
            causes.note(HolderId(number), at(number), &io::Error::other("no"));
        }
        assert_eq!(causes.0.len(), limits::UNREACHED_KEPT);
        causes.note(HolderId(999), at(999), &io::Error::other("another"));
        assert_eq!(causes.0[&HolderId(999)].cause, "another");
        causes.forget(HolderId(999));
        assert!(!causes.0.contains_key(&HolderId(999)));
    }

    #[test]
    fn a_cause_says_what_is_behind_it() {
        let source = io::Error::other("refused by the firewall");
        let error = DialError::Connect { address: "10.0.0.1:7001".into(), source };
        assert_eq!(chain(&error), "connecting to 10.0.0.1:7001: refused by the firewall");
        assert_eq!(chain(&io::Error::other("é".repeat(1000))).len(), limits::TEXT_BYTES);
    }
}
