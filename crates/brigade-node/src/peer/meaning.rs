//! What a name means by now, where nobody has what it meant: its holders changed the file, or took it away.
//!
//! A fetch that nobody can serve waits for somebody who can. But where the name has another content by now, nobody
//! will: that is said, and ends it. The manager is asked for the name of such a content every few seconds.

use std::time::Duration;

use brigade_core::{download::DownloadId, id::Content, time::Timestamp, wire::manager::Version};
use tokio::sync::oneshot;

use super::{
    fetch::{Answer, Fetches},
    progress::Why,
    questions::{self, Question},
    session::Command,
};

/// How often the manager is asked for the name of a content that nobody has.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// Questions at once: where a holder of thousands of files left, the others wait their turn.
const ASKED_AT_ONCE: usize = 16;

impl Fetches {
    /// Asks what the names mean of contents that nobody has, as far as it is time to.
    pub(super) fn ask_meanings(&mut self, now: Timestamp) {
        let is_due = |asked: Option<Timestamp>| asked.is_none_or(|asked| now.since(asked) >= ASKED_EVERY);
        let mut asked = vec![];
        for (download, fetching) in &mut self.fetching {
            let nobody = fetching.starved && fetching.named == 0 && !fetching.finishing;
            if nobody && is_due(fetching.asked) {
                fetching.asked = Some(now);
                asked.extend(fetching.first_name().map(|name| (*download, name)));
            }
            if asked.len() == ASKED_AT_ONCE {
                break;
            }
        }
        for (download, name) in asked {
            let (reply, answer) = oneshot::channel();
            let question = Question::Lookup { name: name.to_string() };
            self.for_session.push_back(Command::Ask { question, reply });
            let answers = self.answers.clone();
            tokio::spawn(async move {
                // A manager that is away knows nothing now: it is asked again later.
                if let Ok(Ok(questions::Answer::Found(found))) = answer.await {
                    let _ = answers.send(Answer::Means { download, versions: found.versions }).await;
                }
            });
        }
    }

    /// The manager said what the name of a content means, which nobody had a moment ago.
    pub(super) fn means(&mut self, download: DownloadId, versions: &[Version]) {
        let Some(fetching) = self.fetching.get(&download) else { return };
        let content = fetching.content;
        let is_there =
            versions.iter().any(|version| Content { id: version.id, size: version.size } == content);
        let Some(now) = versions.first().filter(|_| !is_there && fetching.starved && fetching.named == 0)
        else {
            return;
        };
        let error = format!(
            "it was changed while it was fetched: nobody has {} any more, it is {} now ({} bytes)",
            content.id.short(),
            now.id.short(),
            now.size
        );
        self.give_up(download, Why::Changed, &error);
    }
}
