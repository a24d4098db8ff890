//! What a name means by now, where nobody has what it meant: its holders changed the file, or went away.
//!
//! A fetch that nobody can serve waits for somebody who can. But where a peer that had the content has another one
//! under the name by now, it will not come back by itself: that is said, and ends it. What others have under the name
//! says nothing. The manager is asked about such a name now and then, and believed the second time: a peer that has
//! just come back may not have announced all that it has. A catalogue that
//! is not complete yet says nothing of what changed.

use std::time::Duration;

use brigade_core::{
    download::DownloadId,
    id::Content,
    plural::count,
    time::Timestamp,
    wire::manager::{Found, Version},
};
use tokio::sync::oneshot;

use super::{orders::Answer, owner::Fetches, progress::Why};
use crate::peer::{
    session::{self, Question, SessionCommand as Command},
    swarm::fetching::{Asked, Fetching},
};

/// How long after the first question about a name the second one is put, and how long at most between two.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Questions at once, and how long until the next ones: where a holder of thousands of files left, the others wait
/// their turn.
const ASKED_AT_ONCE: usize = 16;
const TURN: Duration = Duration::from_millis(500);

impl Fetching {
    /// Whether nobody who is here has it.
    fn is_nobodys(&self) -> bool {
        self.starved && self.known.are_gone() && !self.finishing
    }
}

impl Asked {
    /// Notes whether an answer says that the file was changed; whether that is certain now.
    fn answered(&mut self, is_complete: bool, changed: bool) -> bool {
        let certain = self.changed;
        // Of a catalogue that is not complete those that have it may be missing: they may come back yet.
        self.changed = is_complete && changed;
        if !is_complete || self.changed && !certain {
            self.pause = PAUSE;
        }
        self.changed && certain
    }
}

impl Fetches {
    /// Asks what the names mean of contents that nobody has, those first that were not asked about for longest.
    pub(crate) fn ask_meanings(&mut self, now: Timestamp) {
        if now < self.next_meanings {
            return;
        }
        let is_due = |fetching: &Fetching| {
            fetching.is_nobodys() && fetching.asked.is_none_or(|asked| now.since(asked.at) >= asked.pause)
        };
        let due = self.fetching.iter().filter(|(_, fetching)| is_due(fetching));
        let mut due: Vec<(Option<Timestamp>, DownloadId)> =
            due.map(|(download, fetching)| (fetching.asked.map(|asked| asked.at), *download)).collect();
        due.sort_unstable();
        for (_, download) in due.into_iter().take(ASKED_AT_ONCE) {
            self.next_meanings = now.after(TURN);
            self.ask_meaning(download, now);
        }
    }

    fn ask_meaning(&mut self, download: DownloadId, now: Timestamp) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        let (pause, changed) = match fetching.asked {
            Some(Asked { changed: true, .. }) => (PAUSE, true),
            Some(asked) => ((asked.pause * 2).min(LONGEST_PAUSE), false),
            None => (PAUSE, false),
        };
        fetching.asked = Some(Asked { at: now, pause, changed });
        let Some(name) = fetching.first_name() else { return };
        let (reply, answer) = oneshot::channel();
        let question = Question::Lookup { name: name.to_string() };
        self.for_session.push_back(Command::Ask { question, reply });
        let answers = self.answers.clone();
        tokio::spawn(async move {
            // A manager that is away knows nothing now: it is asked again later.
            if let Ok(Ok(session::Answer::Found(found))) = answer.await {
                let _ = answers.send(Answer::Means { download, found }).await;
            }
        });
    }

    /// The manager said what the name of a content means, which nobody had a moment ago.
    pub(crate) fn means(&mut self, download: DownloadId, found: &Found) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        let versions = &found.versions;
        let content = fetching.content;
        let is_it = |version: &Version| Content { id: version.id, size: version.size } == content;
        let links = &self.links;
        let had_it: Vec<_> =
            fetching.known.had_all().iter().filter_map(|holder| links.name_of(*holder)).collect();
        let by_them = |version: &&Version| version.holders.iter().any(|holder| had_it.contains(holder));
        let instead =
            versions.iter().find(by_them).filter(|_| fetching.is_nobodys() && !versions.iter().any(is_it));
        let Some(asked) = &mut fetching.asked else { return };
        let certain = asked.answered(found.incomplete_ms.is_none(), instead.is_some());
        let Some(instead) = instead.filter(|_| certain) else { return };
        let error = format!(
            "it was changed while it was fetched: nobody has {} any more, it is {} now ({})",
            content.id.short(),
            instead.id.short(),
            count(instead.size, "byte")
        );
        self.give_up(download, Why::Changed, &error);
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, PAUSE, Timestamp};

    #[test]
    fn a_change_is_believed_at_the_second_answer_of_a_complete_catalogue() {
        let mut asked = Asked { at: Timestamp::default(), pause: PAUSE * 4, changed: false };
        for _ in 0..3 {
            assert!(!asked.answered(false, true), "others that have it may come back");
            assert_eq!((asked.changed, asked.pause), (false, PAUSE));
        }
        assert!(!asked.answered(true, true));
        assert!(asked.answered(true, true));
        assert!(!asked.answered(false, true), "the manager was started again");
        assert!(!asked.answered(true, true));
        assert!(!asked.answered(true, false));
        assert!(!asked.answered(true, true));
    }
}
