//! Which username belongs to which key: bound at the first join, for good.
//!
//! A name that belongs to another key is refused, and so is a name that differs from it only in case: it looks the
//! same, and is the same folder on many systems. The caller makes each binding durable before the peer learns that it
//! joined.

use std::collections::BTreeMap;

use crate::{id::PeerKey, limits, name::Username};

/// A username and the key that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name.
    pub username: Username,
    /// Who it belongs to.
    pub key: PeerKey,
}

/// All bindings.
#[derive(Debug, Default)]
pub(super) struct UsernameBindings {
    /// By username.
    keys: BTreeMap<Username, PeerKey>,
    /// By what usernames have in common that differ only in case: whose it is, and how many such names they have.
    folded: BTreeMap<String, (PeerKey, usize)>,
    /// How many names a key has.
    names: BTreeMap<PeerKey, usize>,
}

/// Whether a key may bear a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    /// It does already.
    Bound,
    /// Nobody does, and it may.
    Free,
    /// Another key does, or bears one that differs only in case.
    Taken,
    /// The key has as many names as one may have.
    TooMany,
    /// There are as many members as there may be.
    Full,
}

impl UsernameBindings {
    /// The bindings that were made before, in the order of their making.
    pub(super) fn new(bindings: impl IntoIterator<Item = Binding>) -> Self {
        let mut members = Self::default();
        bindings.into_iter().for_each(|binding| members.bind(&binding.username, binding.key));
        members
    }

    /// Whether `key` may bear `username`.
    pub(super) fn availability(&self, username: &Username, key: PeerKey) -> Availability {
        match self.keys.get(username) {
            Some(owner) if *owner == key => return Availability::Bound,
            Some(_) => return Availability::Taken,
            None => {}
        }
        if self.folded.get(&fold(username)).is_some_and(|(owner, _)| *owner != key) {
            Availability::Taken
        } else if self.names.get(&key).is_some_and(|names| *names >= limits::NAMES_OF_A_KEY) {
            Availability::TooMany
        } else if self.keys.len() >= limits::MEMBERS {
            Availability::Full
        } else {
            Availability::Free
        }
    }

    /// Whether a key bears `username`, or a name that differs from it only in case.
    pub(super) fn is_bound(&self, username: &Username) -> bool {
        self.folded.contains_key(&fold(username))
    }

    /// Whether `key` bears any username.
    pub(super) fn is_member(&self, key: PeerKey) -> bool {
        self.names.contains_key(&key)
    }

    /// How many names are bound.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Binds `username` to `key`; nothing changes where it is bound already.
    pub(super) fn bind(&mut self, username: &Username, key: PeerKey) {
        if self.keys.contains_key(username) {
            return;
        }
        self.keys.insert(username.clone(), key);
        self.folded.entry(fold(username)).or_insert((key, 0)).1 += 1;
        *self.names.entry(key).or_default() += 1;
    }

    /// Takes back a binding that could not be made durable.
    pub(super) fn unbind(&mut self, username: &Username) {
        let Some(key) = self.keys.remove(username) else { return };
        let folded = fold(username);
        if let Some((_, count)) = self.folded.get_mut(&folded) {
            *count -= 1;
            if *count == 0 {
                self.folded.remove(&folded);
            }
        }
        if let Some(count) = self.names.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(&key);
            }
        }
    }
}

fn fold(username: &Username) -> String {
    username.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::{Availability, Binding, PeerKey, Username, UsernameBindings};
    use crate::limits;

    fn name(text: &str) -> Username {
        text.parse().unwrap()
    }

    const ANNA: PeerKey = PeerKey([1; 32]);
    const BERT: PeerKey = PeerKey([2; 32]);

    #[test]
    fn a_name_belongs_to_the_key_that_first_bore_it() {
        let mut members = UsernameBindings::new([Binding { username: name("anna"), key: ANNA }]);
        assert_eq!(members.availability(&name("anna"), ANNA), Availability::Bound);
        assert_eq!(members.availability(&name("anna"), BERT), Availability::Taken);
        assert_eq!(members.availability(&name("Anna"), BERT), Availability::Taken);
        assert_eq!(members.availability(&name("Anna"), ANNA), Availability::Free);
        assert_eq!(members.availability(&name("bert"), BERT), Availability::Free);
        members.bind(&name("Anna"), ANNA);
        members.unbind(&name("anna"));
        assert_eq!(members.availability(&name("anna"), BERT), Availability::Taken); // Anna is still there
        members.unbind(&name("Anna"));
        assert_eq!(members.availability(&name("anna"), BERT), Availability::Free);
    }

    #[test]
    fn a_key_has_a_bounded_number_of_names() {
        let mut members = UsernameBindings::default();
        for i in 0..limits::NAMES_OF_A_KEY {
            members.bind(&name(&format!("anna {i}")), ANNA);
        }
        assert_eq!(members.availability(&name("anna"), ANNA), Availability::TooMany);
        assert_eq!(members.availability(&name("anna 0"), ANNA), Availability::Bound);
        assert_eq!(members.availability(&name("bert"), BERT), Availability::Free);
    }

    #[test]
    fn members_are_bounded() {
        let bindings = (0..limits::MEMBERS).map(|i| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(i as u64).to_be_bytes());
            Binding { username: name(&format!("user {i}")), key: PeerKey(key) }
        });
        let members = UsernameBindings::new(bindings);
        assert_eq!(members.availability(&name("anna"), ANNA), Availability::Full);
    }
}
