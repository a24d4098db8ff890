//! Checking whether a file was changed while it is fetched: which content its name has now, if the fetched one has no
//! holder any more.
//!
//! A fetch without holders waits for one. But if a peer that had the content has another one under the name now, it
//! does not come back by itself, and the fetch ends with an error. The contents that other peers have under the name do
//! not matter. The manager is asked now and then, and believed the second time: a peer that has just come back may not
//! have announced all its files. The answer of a manager whose catalogue is not complete does not count.

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{
    id::Content,
    name::Username,
    plural::count,
    time::Timestamp,
    wire::manager::{LookupResult, Version},
};

/// The pause before the second question about a name, and the longest pause.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Questions at the same time, and the time until the next ones: if a holder of thousands of files left, the other
/// names wait.
const ASKED_AT_ONCE: usize = 16;
const NEXT_ASKED_AFTER: Duration = Duration::from_millis(500);

/// The contents without holders whose names the manager was asked about.
#[derive(Debug, Default)]
pub(crate) struct Revalidation {
    checks: BTreeMap<Content, NameCheck>,
    next: Timestamp,
}

/// Questions about one name.
#[derive(Debug, Clone, Copy)]
struct NameCheck {
    /// When the last one was asked.
    at: Timestamp,
    /// The pause before the next one.
    pause: Duration,
    /// Whether the last answer was that a former holder has another content under the name.
    changed: bool,
}

impl NameCheck {
    /// Notes an answer. Whether it is certain now that the file was changed.
    fn answered(&mut self, is_complete: bool, changed: bool) -> bool {
        let certain = self.changed;
        // Of an incomplete catalogue the holders may be missing: they may come back.
        self.changed = is_complete && changed;
        if !is_complete || self.changed && !certain {
            self.pause = PAUSE;
        }
        self.changed && certain
    }
}

impl Revalidation {
    /// Whether there may be questions now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next
    }

    /// The contents among those without holders whose names are to be looked up now, those first that were not asked
    /// about for longest.
    pub(crate) fn due(
        &mut self,
        without_holders: impl Iterator<Item = Content>,
        now: Timestamp,
    ) -> Vec<Content> {
        let asked = |content: &Content| self.checks.get(content);
        let is_due =
            |content: &Content| asked(content).is_none_or(|check| now.since(check.at) >= check.pause);
        let due = without_holders.filter(is_due);
        let mut due: Vec<(Option<Timestamp>, Content)> =
            due.map(|content| (asked(&content).map(|check| check.at), content)).collect();
        due.sort_unstable();
        due.truncate(ASKED_AT_ONCE);
        for (_, content) in &due {
            self.next = now.after(NEXT_ASKED_AFTER);
            let (pause, changed) = match self.checks.get(content) {
                Some(NameCheck { changed: true, .. }) => (PAUSE, true),
                Some(check) => ((check.pause * 2).min(LONGEST_PAUSE), false),
                None => (PAUSE, false),
            };
            self.checks.insert(*content, NameCheck { at: now, pause, changed });
        }
        due.into_iter().map(|(_, content)| content).collect()
    }

    /// The content has a holder again, or is not fetched any more.
    pub(crate) fn forget(&mut self, content: &Content) {
        self.checks.remove(content);
    }

    /// The manager answered. The error, if it is certain that the file was changed: that a former holder has another
    /// content under the name. `lost_holders` had all of the content; `None` if there is a holder again.
    pub(crate) fn answered(
        &mut self,
        content: &Content,
        found: &LookupResult,
        lost_holders: Option<&[Username]>,
    ) -> Option<String> {
        let is_it = |version: &Version| Content { id: version.id, size: version.size } == *content;
        let is_theirs = |version: &&Version| {
            lost_holders.is_some_and(|lost| version.holders.iter().any(|holder| lost.contains(holder)))
        };
        let instead = found.versions.iter().find(is_theirs).filter(|_| !found.versions.iter().any(is_it));
        let check = self.checks.get_mut(content)?;
        let certain = check.answered(found.incomplete_ms.is_none(), instead.is_some());
        let instead = instead.filter(|_| certain)?;
        Some(format!(
            "it was changed while it was fetched: nobody has {} any more, it is {} now ({})",
            content.id.short(),
            instead.id.short(),
            count(instead.size, "byte")
        ))
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{ASKED_AT_ONCE, Content, NEXT_ASKED_AFTER, NameCheck, PAUSE, Revalidation, Timestamp};

    #[test]
    fn a_change_is_believed_at_the_second_answer_of_a_complete_catalogue() {
        let mut check = NameCheck { at: Timestamp::default(), pause: PAUSE * 4, changed: false };
        for _ in 0..3 {
            assert!(!check.answered(false, true), "others that have it may come back");
            assert_eq!((check.changed, check.pause), (false, PAUSE));
        }
        assert!(!check.answered(true, true));
        assert!(check.answered(true, true));
        assert!(!check.answered(false, true), "the manager was started again");
        assert!(!check.answered(true, true));
        assert!(!check.answered(true, false));
        assert!(!check.answered(true, true));
    }

    #[test]
    fn names_are_asked_about_in_turn() {
        let (mut revalidation, now) = (Revalidation::default(), Timestamp::default());
        let content = |byte: u8| Content { id: ContentId([byte; 32]), size: 10 };
        let contents = || (0..20).map(content);
        assert_eq!(revalidation.due(contents(), now).len(), ASKED_AT_ONCE);
        assert!(!revalidation.is_due(now));
        let later = now.after(NEXT_ASKED_AFTER);
        assert!(revalidation.is_due(later));
        assert_eq!(revalidation.due(contents(), later), (16..20).map(content).collect::<Vec<_>>());
        assert_eq!(revalidation.due(contents(), later), [], "all of them were asked about");
        revalidation.forget(&content(3));
        assert_eq!(revalidation.due(contents(), later), [content(3)]);
    }
}
