//! Questions to the manager and subscriptions, which the other parts of a peer send to the session as commands.
//!
//! A [`Question`] is answered once. [`Subscriptions`] last over reconnections: the contents that this peer holds in
//! part, and those whose holders it watches.

use std::collections::BTreeSet;

use brigade_core::{
    id::Content,
    limits,
    name::{FileName, Username},
    wire::manager::{
        CatalogueEntry, ContentHolders, Hold, Holders, Listing, LookupResult, PeerList, ToManager, Unhold,
        Unwatch, Watch,
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    file_listing::next_page,
    manager_questions::{Answer, Question},
    peer_error::{ANSWER_TIMEOUT, AskError},
};

/// A question, and the sender for its answer.
pub(crate) type PendingQuestion = (Question, oneshot::Sender<Result<Answer, AskError>>);

/// A command of another part of the peer to the session.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Ask a question.
    Ask { question: Question, reply: oneshot::Sender<Result<Answer, AskError>> },
    /// Announce that this peer has a part of the content, and serves it.
    Hold(Content),
    /// Withdraw that announcement.
    Unhold(Content),
    /// Watch the holders of these contents.
    Watch(Vec<Content>),
    /// Ask for other holders of a watched content than those named so far; the number counts these requests.
    WatchOthers(Content, u32),
    /// End the watch of these contents.
    Unwatch(Vec<Content>),
}

/// The subscriptions of a peer, which the session repeats after every reconnection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    held: BTreeSet<Content>,
    watched: BTreeSet<Content>,
    /// Watched contents for which the manager has never named the holders.
    unanswered: BTreeSet<Content>,
}

impl Subscriptions {
    /// The messages with which a new connection begins.
    pub(crate) fn messages(&self) -> Vec<ToManager> {
        let contents = |set: &BTreeSet<Content>| set.iter().map(|c| (*c).into()).collect::<Vec<_>>();
        let (held, watched) = (contents(&self.held), contents(&self.watched));
        let hold = held.chunks(limits::WATCH_CONTENTS).map(|page| Hold { contents: page.to_vec() }.into());
        let watched = watched.chunks(limits::WATCH_CONTENTS);
        let watch = watched.map(|page| Watch { contents: page.to_vec(), again: None }.into());
        hold.chain(watch).collect()
    }

    /// Applies a command. Returns the message for a connected manager, and the question that the command asks.
    pub(crate) fn apply(&mut self, command: SessionCommand) -> (Option<ToManager>, Option<PendingQuestion>) {
        let message: Option<ToManager> = match command {
            SessionCommand::Ask { question, reply } => return (None, Some((question, reply))),
            SessionCommand::Hold(content) => {
                self.held.insert(content).then(|| Hold { contents: vec![content.into()] }.into())
            }
            SessionCommand::Unhold(content) => {
                self.held.remove(&content).then(|| Unhold { contents: vec![content.into()] }.into())
            }
            SessionCommand::Watch(contents) => {
                self.unanswered.extend(contents.iter().filter(|content| !self.watched.contains(content)));
                self.watched.extend(&contents);
                Some(Watch { contents: contents.into_iter().map(Into::into).collect(), again: None }.into())
            }
            SessionCommand::WatchOthers(content, again) => self
                .watched
                .contains(&content)
                .then(|| Watch { contents: vec![content.into()], again: Some(again) }.into()),
            SessionCommand::Unwatch(contents) => {
                for content in &contents {
                    self.watched.remove(content);
                    self.unanswered.remove(content);
                }
                Some(Unwatch { contents: contents.into_iter().map(Into::into).collect() }.into())
            }
        };
        (message, None)
    }

    /// Notes that the manager named the holders of these contents.
    pub(crate) fn answered(&mut self, holders: &Holders) {
        for content in &holders.contents {
            self.unanswered.remove(&Content { id: content.id, size: content.size });
        }
    }

    /// After the manager refused this peer for good: an answer without holders for each content that has no answer yet.
    pub(crate) fn assume_no_holders(&mut self) -> Option<Holders> {
        let without = |content: Content| ContentHolders {
            id: content.id,
            size: content.size,
            complete: vec![],
            partial: vec![],
        };
        let contents: Vec<_> = std::mem::take(&mut self.unanswered).into_iter().map(without).collect();
        (!contents.is_empty()).then(|| Holders { peers: vec![], contents })
    }
}

/// Asks questions over the session of a peer.
#[derive(Debug, Clone)]
pub(crate) struct ManagerClient(pub(crate) mpsc::Sender<SessionCommand>);

impl ManagerClient {
    /// Looks a name up.
    pub(crate) async fn lookup(&self, name: &str) -> Result<LookupResult, AskError> {
        match self.ask(Question::Lookup { name: name.to_owned() }).await? {
            Answer::LookupResult(found) => Ok(found),
            _ => Err(AskError::Confused),
        }
    }

    /// A page of the catalogue.
    pub(crate) async fn browse(
        &self,
        prefix: &str,
        after: Option<FileName>,
        holder: Option<Username>,
    ) -> Result<Listing, AskError> {
        match self.ask(Question::Browse { prefix: prefix.to_owned(), after, holder }).await? {
            Answer::Listing(listing) => Ok(listing),
            _ => Err(AskError::Confused),
        }
    }

    /// Passes the entries whose names begin with `prefix` to `take`, page by page: those of `holder`, or of all members.
    /// After the page with entry number `limit` there are no more.
    pub(crate) async fn browse_all(
        &self,
        prefix: &str,
        holder: Option<&Username>,
        limit: usize,
        mut take: impl FnMut(CatalogueEntry),
    ) -> Result<(), AskError> {
        let (mut after, mut taken) = (None, 0);
        loop {
            let page = self.browse(prefix, after.clone(), holder.cloned()).await?;
            let last = page.entries.last().map(|entry| entry.name.clone());
            taken += page.entries.len();
            page.entries.into_iter().for_each(&mut take);
            match next_page(page.more, last, after) {
                None => return Ok(()),
                _ if taken >= limit => return Ok(()),
                next => after = next,
            }
        }
    }

    /// A page of the table of peers.
    pub(crate) async fn peers(&self, after: Option<Username>) -> Result<PeerList, AskError> {
        match self.ask(Question::Peers { after }).await? {
            Answer::Peers(list) => Ok(list),
            _ => Err(AskError::Confused),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, AskError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let command = SessionCommand::Ask { question, reply };
            self.0.send(command).await.map_err(|_| AskError::Away)?;
            answer.await.map_err(|_| AskError::Away)?
        };
        timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or(Err(AskError::Silent))
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{Content, SessionCommand, Subscriptions, ToManager};

    /// The contents that the messages of a new connection hold and watch.
    fn repeated(subscriptions: &Subscriptions) -> (Vec<u8>, Vec<u8>) {
        let (mut held, mut watched) = (vec![], vec![]);
        for message in subscriptions.messages() {
            match message {
                ToManager::Hold(hold) => held.extend(hold.contents.iter().map(|content| content.id.0[0])),
                ToManager::Watch(watch) => {
                    watched.extend(watch.contents.iter().map(|content| content.id.0[0]))
                }
                other => panic!("{other:?}"),
            }
        }
        (held, watched)
    }

    #[test]
    fn a_subscription_that_was_not_sent_is_sent_by_the_next_connection() {
        let content = |byte: u8| Content { id: ContentId([byte; 32]), size: 10 };
        let mut subscriptions = Subscriptions::default();
        // The messages that follow from these commands are lost with their connection.
        for command in [
            SessionCommand::Watch(vec![content(1), content(2), content(3)]),
            SessionCommand::Hold(content(2)),
            SessionCommand::Hold(content(4)),
            SessionCommand::WatchOthers(content(1), 1),
            SessionCommand::Unwatch(vec![content(3)]),
            SessionCommand::Unhold(content(4)),
        ] {
            assert!(subscriptions.apply(command).0.is_some());
        }
        assert_eq!(repeated(&subscriptions), (vec![2], vec![1, 2]));
        let holders = subscriptions.assume_no_holders().unwrap();
        let unanswered: Vec<u8> = holders.contents.iter().map(|content| content.id.0[0]).collect();
        assert_eq!(unanswered, [1, 2], "if the manager never comes back");
    }
}
