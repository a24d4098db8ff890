//! Questions to the manager: what a name means, what there is, who is there.
//!
//! [`Question`] is what is asked over any session; [`Observer`] is a session that never joins, for `files` and
//! `peers`: it takes up neither a username nor a place in the network.

use std::time::Duration;

use brigade_core::{
    name::{FileName, Username},
    wire::{
        Message, Reason,
        manager::{Browse, Found, FromManager, ListPeers, Listing, Lookup, PeerList, ToManager},
    },
};

use tokio::time::timeout;

use super::dial::{ManagerAddress, ReachError};
use crate::{
    identity::key::SecretKey,
    transport::connection::{ConnectionError, Greeted},
};

/// Something that the manager answers once.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// What does this name mean?
    Lookup { name: String },
    /// What is there?
    Browse { prefix: String, after: Option<FileName>, holder: Option<Username> },
    /// Who is there?
    Peers { after: Option<Username> },
}

/// What the manager answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// To [`Question::Lookup`].
    Found(Found),
    /// To [`Question::Browse`].
    Listing(Listing),
    /// To [`Question::Peers`].
    Peers(PeerList),
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The manager is away; it is tried again all the while.
    #[error("the manager is away")]
    Away,
    /// It refused.
    #[error("the manager refused: {}", .reason.with(.text))]
    Refused {
        /// The cause, for programs.
        reason: Reason,
        /// The cause, for people.
        text: String,
    },
    /// It let this peer in no more, and is not asked again.
    #[error("the manager refuses this peer: {cause}")]
    RefusedForGood {
        /// Why.
        cause: String,
    },
    /// It does not answer.
    #[error("the manager did not answer within {} s", ANSWER_TIME.as_secs())]
    Silent,
    /// It answered something else.
    #[error("the manager answered something else than was asked")]
    Confused,
    /// The connection broke.
    #[error("asking the manager")]
    Connection(#[from] ConnectionError),
}

/// How long a question may go unanswered.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10);

impl Question {
    /// The message that asks it under `number`.
    pub(crate) fn message(self, question: u32) -> ToManager {
        match self {
            Self::Lookup { name } => Lookup { question, name }.into(),
            Self::Browse { prefix, after, holder } => Browse { question, prefix, after, holder }.into(),
            Self::Peers { after } => ListPeers { question, after }.into(),
        }
    }
}

/// The number of the question that `message` answers, and the answer; the message itself where it is none.
pub(crate) fn answer_in(message: FromManager) -> Result<(u32, Result<Answer, AskError>), FromManager> {
    match message {
        FromManager::Found(found) => Ok((found.question, Ok(Answer::Found(found)))),
        FromManager::Listing(listing) => Ok((listing.question, Ok(Answer::Listing(listing)))),
        FromManager::PeerList(list) => Ok((list.question, Ok(Answer::Peers(list)))),
        FromManager::Refused(refused) => match refused.question {
            Some(question) => {
                Ok((question, Err(AskError::Refused { reason: refused.reason, text: refused.text })))
            }
            None => Err(FromManager::Refused(refused)),
        },
        other => Err(other),
    }
}

/// A session that only asks.
#[derive(Debug)]
pub struct Observer {
    session: Greeted,
    questions: u32,
}

impl Observer {
    /// Reaches the manager with a key that is forgotten afterwards.
    pub async fn reach(manager: &ManagerAddress) -> Result<Self, ReachError> {
        let session = manager.reach(&SecretKey::generate()).await?;
        Ok(Self { session, questions: 0 })
    }

    /// A page of what there is.
    pub async fn files(&mut self, prefix: &str, after: Option<FileName>) -> Result<Listing, AskError> {
        let question = Question::Browse { prefix: prefix.to_owned(), after, holder: None };
        match self.ask(question).await? {
            Answer::Listing(listing) => Ok(listing),
            _ => Err(AskError::Confused),
        }
    }

    /// A page of who is there.
    pub async fn peers(&mut self, after: Option<Username>) -> Result<PeerList, AskError> {
        match self.ask(Question::Peers { after }).await? {
            Answer::Peers(list) => Ok(list),
            _ => Err(AskError::Confused),
        }
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, AskError> {
        timeout(ANSWER_TIME, self.wait_for(question)).await.unwrap_or(Err(AskError::Silent))
    }

    async fn wait_for(&mut self, question: Question) -> Result<Answer, AskError> {
        self.questions = self.questions.wrapping_add(1);
        self.session.writer.send(&question.message(self.questions)).await?;
        self.session.writer.flush().await?;
        loop {
            let Some(message) = self.session.reader.next::<FromManager>().await? else {
                return Err(ConnectionError::Io(std::io::ErrorKind::UnexpectedEof.into()).into());
            };
            if let FromManager::Goodbye(goodbye) = message {
                return Err(AskError::Refused { reason: goodbye.reason, text: goodbye.text });
            }
            match answer_in(message) {
                Ok((number, answer)) if number == self.questions => return answer,
                Ok(_) => {}
                Err(other) => tracing::debug!(kind = other.kind(), "a message that was not asked for"),
            }
        }
    }
}
