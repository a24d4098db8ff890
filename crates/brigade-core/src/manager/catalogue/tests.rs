//! The catalogue by itself: the order of its names, and a check that all of its parts agree, which the tests of the
//! whole manager use too.

use super::{BTreeMap, BTreeSet, Catalogue, Content, FileEntry, FileName, SessionId, SharedFile, UnixTime};
use crate::id::ContentId;

impl Catalogue {
    /// Checks that every part tells the same, and says which sessions are in it.
    pub(in crate::manager) fn check(&self) -> BTreeSet<SessionId> {
        let mut names = BTreeMap::<SessionId, BTreeSet<FileName>>::new();
        let mut bytes = BTreeMap::<SessionId, u128>::new();
        let mut complete = BTreeMap::<(Content, SessionId), u32>::new();
        for (name, sharings) in &self.names {
            assert!(!sharings.is_empty() && sharings.is_sorted_by(|a, b| a.session < b.session));
            for SharedFile { session, content, .. } in sharings {
                names.entry(*session).or_default().insert(name.clone());
                *bytes.entry(*session).or_default() += u128::from(content.size);
                *complete.entry((*content, *session)).or_default() += 1;
            }
        }
        assert_eq!(self.announced, self.names.values().map(Vec::len).sum::<usize>());
        let sizes = self.contents.keys().map(|content| u128::from(content.size));
        assert_eq!(self.content_bytes, sizes.sum::<u128>());
        let mut partial = BTreeMap::<SessionId, BTreeSet<Content>>::new();
        for (content, holders) in &self.contents {
            assert!(!holders.is_empty());
            for (session, count) in &holders.complete {
                assert_eq!(complete.remove(&(*content, *session)), Some(*count));
                assert!(!holders.partial.contains(session));
            }
            for session in &holders.partial {
                partial.entry(*session).or_default().insert(*content);
            }
        }
        assert!(complete.is_empty());
        for (session, own) in &self.shared {
            assert_eq!(own.names, names.remove(session).unwrap_or_default());
            assert_eq!(own.bytes, bytes.remove(session).unwrap_or_default());
            assert_eq!(own.partial, partial.remove(session).unwrap_or_default());
        }
        assert!(names.is_empty() && partial.is_empty());
        self.shared.keys().copied().collect()
    }
}

#[track_caller]
fn check<'a>(names: impl Iterator<Item = &'a FileName>, expected: &[&str]) {
    assert_eq!(names.map(FileName::as_str).collect::<Vec<_>>(), expected);
}

fn catalogue(names: &[&str]) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let entry = |name: &&str| FileEntry {
        name: name.parse().unwrap(),
        id: ContentId([1; 32]),
        size: 1,
        mtime_s: 0,
        executable: false,
    };
    catalogue.announce(SessionId(1), names.iter().map(entry).collect(), UnixTime(0), &mut |_| {}).unwrap();
    catalogue
}

#[test]
fn names_come_in_order_by_prefix_and_after_a_name() {
    let catalogue = catalogue(&["a", "a-b", "a/x", "a/y", "a0", "b"]);
    let from = |prefix, after| {
        let all: Vec<_> = catalogue.names_from(prefix, after).map(|(name, _)| name).collect();
        let own: Vec<_> = catalogue.names_of(SessionId(1), prefix, after).map(|(name, _)| name).collect();
        assert_eq!(all, own);
        all.into_iter()
    };
    check(from("", None), &["a", "a-b", "a/x", "a/y", "a0", "b"]);
    check(from("a/", None), &["a/x", "a/y"]);
    check(from("a/", Some("a/x")), &["a/y"]);
    check(from("a/", Some("a")), &["a/x", "a/y"]);
    check(from("a/", Some("z")), &[]);
    check(catalogue.names_of(SessionId(2), "", None).map(|(name, _)| name), &[]);
}

#[test]
fn a_folder_is_what_lies_below_it() {
    let catalogue = catalogue(&["a", "a-b", "a/x", "a/y/z", "a0", "b"]);
    assert_eq!(catalogue.count_below("a", 10), 2);
    assert_eq!(catalogue.count_below("a/y", 10), 1);
    assert_eq!(catalogue.count_below("a", 1), 1);
    assert_eq!(catalogue.count_below("b", 10), 0);
}

#[test]
fn names_around_a_name_are_taken_from_both_sides_as_far_as_there_are_any() {
    let catalogue = catalogue(&["a", "b", "c", "d", "e"]);
    check(catalogue.names_around("c", 2), &["b", "c"]);
    check(catalogue.names_around("a", 3), &["a", "b", "c"]);
    check(catalogue.names_around("z", 3), &["e", "d", "c"]);
    check(catalogue.names_around("bb", 100), &["b", "a", "c", "d", "e"]);
}
