//! Questions to the manager over the session that the peer has with it.
//!
//! Who asks waits for the answer a bounded time; the questions themselves are in [`super::questions`].

use brigade_core::{
    name::{FileName, Username},
    wire::manager::{Found, Listing, PeerList},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    questions::{ANSWER_TIME, Answer, AskError, Question},
    task::Command,
};

/// Asks over the session.
#[derive(Debug, Clone)]
pub(crate) struct Asking(pub(crate) mpsc::Sender<Command>);

impl Asking {
    /// What a name means.
    pub(crate) async fn lookup(&self, name: &str) -> Result<Found, AskError> {
        match self.ask(Question::Lookup { name: name.to_owned() }).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(AskError::Confused),
        }
    }

    /// A page of what there is.
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

    /// A page of who is there.
    pub(crate) async fn peers(&self, after: Option<Username>) -> Result<PeerList, AskError> {
        match self.ask(Question::Peers { after }).await? {
            Answer::Peers(list) => Ok(list),
            _ => Err(AskError::Confused),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, AskError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.0.send(Command::Ask { question, reply }).await.map_err(|_| AskError::Away)?;
            answer.await.map_err(|_| AskError::Away)?
        };
        timeout(ANSWER_TIME, asked).await.unwrap_or(Err(AskError::Silent))
    }
}
