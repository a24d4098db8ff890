//! Asking whether a name in the catalogue got another content while the file is fetched, if the fetched content has no
//! holder any more.
//!
//! A fetch without holders waits for one. But if a peer that had the content has another one under the name now, it
//! does not come back by itself, and the fetch ends with an error. The contents that other peers have under the name do
//! not matter. The manager is asked now and then, and believed the second time: a peer that has just come back may not
//! have announced all its files. The answer of a manager whose catalogue is not complete does not count. While a
//! question has no answer, no other one is asked, because only the answer to the last one counts.

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{
    backoff::Backoff,
    id::Content,
    name::Username,
    plural::count,
    time::Timestamp,
    wire::manager::{LookupResult, Version},
};

use crate::peer_error::ANSWER_TIMEOUT;

/// The pauses before the next question about a name.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));

/// Questions at the same time, and the time until the next ones: if a holder of thousands of files left, the other
/// names wait.
const ASKED_AT_ONCE: usize = 16;
const NEXT_ASKED_AFTER: Duration = Duration::from_millis(500);

/// The contents without holders whose names the manager was asked about.
#[derive(Debug, Default)]
pub(crate) struct CatalogueChangeCheck {
    checks: BTreeMap<Content, NameCheck>,
    next: Timestamp,
    /// The number of the last question.
    last: u64,
}

/// Questions about one name.
#[derive(Debug, Clone, Copy)]
struct NameCheck {
    /// The number of the last one: answers to earlier ones do not count.
    number: u64,
    /// When it was asked.
    at: Timestamp,
    /// Whether it was answered.
    is_answered: bool,
    /// The pauses; the last one is that before the next question.
    pauses: Backoff,
    /// Whether the last answer was that a former holder has another content under the name.
    changed: bool,
}

impl NameCheck {
    /// The first question about a name, with this number and at this time.
    fn first(number: u64, at: Timestamp) -> Self {
        let mut check = Self { number, at, is_answered: false, pauses: PAUSES, changed: false };
        check.begin_again();
        check
    }

    /// Another question, with this number and at this time.
    fn again(mut self, number: u64, at: Timestamp) -> Self {
        (self.number, self.at, self.is_answered) = (number, at, false);
        if self.changed {
            self.begin_again();
        } else {
            self.pauses.next_pause();
        }
        self
    }

    /// Whether the next question may be asked now.
    fn is_due(&self, now: Timestamp) -> bool {
        let pause = self.pauses.last_pause();
        let pause = if self.is_answered { pause } else { pause.max(ANSWER_TIMEOUT) };
        now.since(self.at) >= pause
    }

    /// The next pause is the first one.
    fn begin_again(&mut self) {
        self.pauses.reset();
        self.pauses.next_pause();
    }

    /// Notes an answer. Whether it is certain now that the file was changed.
    fn answered(&mut self, is_complete: bool, changed: bool) -> bool {
        let certain = self.changed;
        self.is_answered = true;
        // Of an incomplete catalogue the holders may be missing: they may come back.
        self.changed = is_complete && changed;
        if !is_complete || self.changed && !certain {
            self.begin_again();
        }
        self.changed && certain
    }
}

impl CatalogueChangeCheck {
    /// Whether there may be questions now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next
    }

    /// The contents among those without holders whose names are to be looked up now, those first that were not asked
    /// about for longest; each with the number of the question.
    pub(crate) fn due(
        &mut self,
        without_holders: impl Iterator<Item = Content>,
        now: Timestamp,
    ) -> Vec<(Content, u64)> {
        let asked = |content: &Content| self.checks.get(content);
        let is_due = |content: &Content| asked(content).is_none_or(|check| check.is_due(now));
        let due = without_holders.filter(is_due);
        let mut due: Vec<(Option<Timestamp>, Content)> =
            due.map(|content| (asked(&content).map(|check| check.at), content)).collect();
        due.sort_unstable();
        due.truncate(ASKED_AT_ONCE);
        for (_, content) in &due {
            self.next = now.after(NEXT_ASKED_AFTER);
            self.last += 1;
            let before = self.checks.get(content);
            let check = match before {
                Some(check) => check.again(self.last, now),
                None => NameCheck::first(self.last, now),
            };
            self.checks.insert(*content, check);
        }
        due.iter().filter_map(|(_, content)| Some((*content, self.checks.get(content)?.number))).collect()
    }

    /// The content has a holder again, or is not fetched any more.
    pub(crate) fn forget(&mut self, content: &Content) {
        self.checks.remove(content);
    }

    /// The manager answered the question with this number. Returns an error if it is certain that the file was changed,
    /// because a former holder has another content under the name. `lost_holders` had all of the content; `None` if
    /// there is a holder again.
    pub(crate) fn answered(
        &mut self,
        (content, number): (&Content, u64),
        found: &LookupResult,
        lost_holders: Option<&[Username]>,
    ) -> Option<String> {
        let is_it = |version: &Version| Content { id: version.id, size: version.size } == *content;
        let is_theirs = |version: &&Version| {
            lost_holders.is_some_and(|lost| version.holders.iter().any(|holder| lost.contains(holder)))
        };
        let instead = found.versions.iter().find(is_theirs).filter(|_| !found.versions.iter().any(is_it));
        let check = self.checks.get_mut(content).filter(|check| check.number == number)?;
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

    use super::{
        ANSWER_TIMEOUT, ASKED_AT_ONCE, CatalogueChangeCheck, Content, Duration, LookupResult,
        NEXT_ASKED_AFTER, NameCheck, PAUSES, Timestamp, Username, Version,
    };

    #[test]
    fn a_change_is_believed_at_the_second_answer_of_a_complete_catalogue() {
        let mut check = NameCheck::first(1, Timestamp::default()).again(2, Timestamp::default());
        assert_eq!(check.pauses.last_pause(), PAUSES.nth_pause(1));
        for _ in 0..3 {
            assert!(!check.answered(false, true), "others that have it may come back");
            assert_eq!((check.changed, check.pauses.last_pause()), (false, PAUSES.nth_pause(0)));
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
        let (mut change_check, now) = (CatalogueChangeCheck::default(), Timestamp::default());
        let content = |byte: u8| Content { id: ContentId([byte; 32]), size: 10 };
        let contents = || (0..20).map(content);
        let due = |change_check: &mut CatalogueChangeCheck, now| {
            let due = change_check.due(contents(), now);
            due.into_iter().map(|(content, _)| content).collect::<Vec<_>>()
        };
        assert_eq!(due(&mut change_check, now).len(), ASKED_AT_ONCE);
        assert!(!change_check.is_due(now));
        let later = now.after(NEXT_ASKED_AFTER);
        assert!(change_check.is_due(later));
        assert_eq!(due(&mut change_check, later), (16..20).map(content).collect::<Vec<_>>());
        assert_eq!(due(&mut change_check, later), [], "all of them were asked about");
        change_check.forget(&content(3));
        assert_eq!(due(&mut change_check, later), [content(3)]);
    }

    /// A content, the answer that a former holder has another one under its name, and that holder.
    fn changed() -> (Content, LookupResult, Vec<Username>) {
        let content = Content { id: ContentId([1; 32]), size: 10 };
        let other = Version {
            id: ContentId([2; 32]),
            size: 5,
            mtime_s: 0,
            executable: false,
            holders: vec!["fire_user".parse().unwrap()],
            first_s: 0,
        };
        let lost = other.holders.clone();
        let found = LookupResult {
            question: 0,
            versions: vec![other],
            below: 0,
            closest: vec![],
            incomplete_ms: None,
        };
        (content, found, lost)
    }

    /// Only the answer to the last question counts: if there were another question before each answer, none would.
    #[test]
    fn a_change_is_believed_also_if_each_answer_takes_longer_than_the_pause() {
        let (content, found, lost) = changed();
        let (mut change_check, start) = (CatalogueChangeCheck::default(), Timestamp::default());
        let mut asked: Option<(u64, u64)> = None;
        for second in 0..=14 {
            let answered = asked.take_if(|(_, at)| *at + 7 == second);
            let mut answer = |(number, _)| change_check.answered((&content, number), &found, Some(&lost));
            let error = answered.and_then(&mut answer);
            assert_eq!(error.is_some(), second == 14, "at the second answer");
            for (_, number) in
                change_check.due([content].into_iter(), start.after(Duration::from_secs(second)))
            {
                assert_eq!(asked.replace((number, second)), None, "one question at a time");
            }
        }
    }

    #[test]
    fn an_answer_to_an_earlier_question_does_not_count() {
        let (content, found, lost) = changed();
        let (mut change_check, now) = (CatalogueChangeCheck::default(), Timestamp::default());
        let mut ask = |now| change_check.due([content].into_iter(), now)[0].1;
        let first = ask(now);
        let second = ask(now.after(ANSWER_TIMEOUT));
        let mut answer = |number| change_check.answered((&content, number), &found, Some(&lost)).is_some();
        assert!(!answer(first) && !answer(first), "another question was asked since");
        assert!(!answer(second), "it is not certain yet");
        assert!(answer(second));
    }
}
