//! Questions to the manager and its answers, and an observer, which only asks.
//!
//! A peer asks over its session. An [`Observer`] asks over a connection of its own: it never joins, and so takes no
//! username and no peer slot.

use brigade_core::{
    id::PeerKey,
    limits,
    name::{FileName, Username},
    time::UnixTime,
    wire::{
        Message,
        manager::{
            Browse, FromManager, ListPeers, Listing, Lookup, LookupResult, PeerList, Probe, Probed, Renew,
            ToManager,
        },
    },
};
use tokio::time::timeout;

use crate::{
    identity::key::SecretKey,
    listen_addresses::ManagerContact,
    peer_config::ManagerAddress,
    peer_error::{ANSWER_TIMEOUT, AskError, ReachError},
    transport::{connection::ConnectionError, greeting::GreetedConnection},
};

/// A question that the manager answers once.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// The contents that have this name.
    Lookup { name: String },
    /// A page of the catalogue.
    Browse { prefix: String, after: Option<FileName>, holder: Option<Username> },
    /// A page of the table of peers.
    Peers { after: Option<Username> },
}

/// The manager's answer to a question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// To [`Question::Lookup`].
    LookupResult(LookupResult),
    /// To [`Question::Browse`].
    Listing(Listing),
    /// To [`Question::Peers`].
    Peers(PeerList),
}

impl Question {
    /// The message that asks it, with the number `question`.
    ///
    /// # Errors
    /// If its text is longer than any name: such a text may not fit into a frame, and no name matches it.
    pub(crate) fn message(self, question: u32) -> Result<ToManager, AskError> {
        let bytes = match &self {
            Self::Lookup { name: text } | Self::Browse { prefix: text, .. } => text.len(),
            Self::Peers { .. } => 0,
        };
        if bytes > limits::NAME_BYTES {
            return Err(AskError::TooLong { bytes });
        }
        Ok(match self {
            Self::Lookup { name } => Lookup { question, name }.into(),
            Self::Browse { prefix, after, holder } => Browse { question, prefix, after, holder }.into(),
            Self::Peers { after } => ListPeers { question, after }.into(),
        })
    }
}

/// The number of the question that `message` answers, and the answer; the message itself if it is no answer.
pub(crate) fn answer_in(message: FromManager) -> Result<(u32, Result<Answer, AskError>), FromManager> {
    match message {
        FromManager::LookupResult(found) => Ok((found.question, Ok(Answer::LookupResult(found)))),
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

/// A connection to the manager that only asks questions.
#[derive(Debug)]
pub struct Observer {
    session: GreetedConnection,
    questions: u32,
}

impl Observer {
    /// Reaches the manager with a temporary key.
    pub async fn reach(manager: &ManagerAddress) -> Result<Self, ReachError> {
        let session = manager.reach(&SecretKey::generate()).await?;
        Ok(Self { session, questions: 0 })
    }

    /// A page of the catalogue.
    pub async fn files(&mut self, prefix: &str, after: Option<FileName>) -> Result<Listing, AskError> {
        let question = Question::Browse { prefix: prefix.to_owned(), after, holder: None };
        match self.ask(question).await? {
            Answer::Listing(listing) => Ok(listing),
            _ => Err(AskError::Confused),
        }
    }

    /// The contents of a name, with their holders, and how many names are below it.
    pub async fn lookup(&mut self, name: &FileName) -> Result<LookupResult, AskError> {
        match self.ask(Question::Lookup { name: name.to_string() }).await? {
            Answer::LookupResult(found) => Ok(found),
            _ => Err(AskError::Confused),
        }
    }

    /// A page of the table of peers.
    pub async fn peers(&mut self, after: Option<Username>) -> Result<PeerList, AskError> {
        match self.ask(Question::Peers { after }).await? {
            Answer::Peers(list) => Ok(list),
            _ => Err(AskError::Confused),
        }
    }

    /// The manager's key.
    pub fn key(&self) -> PeerKey {
        self.session.peer
    }

    /// The manager's program and version, and the highest version of the protocol that it speaks. The text is the other
    /// machine's.
    pub fn program(&self) -> (&str, u32) {
        (&self.session.hello.agent, self.session.hello.version)
    }

    /// The facts that decide where a peer listens.
    pub fn contact(&self) -> ManagerContact {
        ManagerContact::over(&self.session, None)
    }

    /// The time of the manager's clock; `None` if the manager does not tell it.
    pub async fn manager_time(&mut self) -> Result<Option<UnixTime>, AskError> {
        self.send(&Renew { membership: false }.into()).await?;
        loop {
            if let FromManager::Renewed(renewed) = self.next().await? {
                return Ok(renewed.now_s.map(UnixTime));
            }
        }
    }

    /// Asks the manager to connect to a port of this machine. `None` if it is an older one that does not test ports.
    pub async fn probe(&mut self, port: u16) -> Result<Option<Probed>, AskError> {
        self.questions = self.questions.wrapping_add(1);
        let question = self.questions;
        self.send(&Probe { question, port }.into()).await?;
        // Answered by every manager, and after the probe.
        self.send(&Renew { membership: false }.into()).await?;
        let mut probed = None;
        loop {
            match self.next().await? {
                FromManager::Probed(answer) if answer.question == question => probed = Some(answer),
                FromManager::Renewed(_) => return Ok(probed),
                _ => {}
            }
        }
    }

    async fn send(&mut self, message: &ToManager) -> Result<(), AskError> {
        self.session.writer.send(message).await?;
        Ok(self.session.writer.flush().await?)
    }

    /// The next message, within [`ANSWER_TIMEOUT`]; a goodbye is an error.
    async fn next(&mut self) -> Result<FromManager, AskError> {
        let message = timeout(ANSWER_TIMEOUT, self.session.reader.next::<FromManager>()).await;
        match message.map_err(|_| AskError::Silent)?? {
            Some(FromManager::Goodbye(goodbye)) => {
                Err(AskError::Refused { reason: goodbye.reason, text: goodbye.text })
            }
            Some(message) => Ok(message),
            None => Err(ConnectionError::Io(std::io::ErrorKind::UnexpectedEof.into()).into()),
        }
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, AskError> {
        timeout(ANSWER_TIMEOUT, self.exchange(question)).await.unwrap_or(Err(AskError::Silent))
    }

    async fn exchange(&mut self, question: Question) -> Result<Answer, AskError> {
        self.questions = self.questions.wrapping_add(1);
        self.session.writer.send(&question.message(self.questions)?).await?;
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
                Err(other) => tracing::debug!(kind = other.kind(), "an unexpected message"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::wire::frame;

    use super::{AskError, Question, limits};

    /// The bytes of the frame that asks with a text of this length: a lookup, and a page with all other values.
    fn asked(length: usize) -> [Result<usize, AskError>; 2] {
        let text = "x".repeat(length);
        let after = ["a"; 4].map(|part| part.repeat(255)).join("/").parse().unwrap();
        let holder = "u".repeat(limits::USERNAME_BYTES).parse().unwrap();
        let browse = Question::Browse { prefix: text.clone(), after: Some(after), holder: Some(holder) };
        [Question::Lookup { name: text }, browse].map(|question| -> Result<usize, AskError> {
            let message = question.message(u32::MAX)?;
            let mut bytes = vec![];
            frame::encode(&message, &mut bytes);
            Ok(bytes.len())
        })
    }

    #[test]
    fn a_text_that_is_longer_than_any_name_is_an_error_and_no_message() {
        for length in [0, limits::NAME_BYTES] {
            assert!(asked(length).iter().all(|sent| matches!(sent, Ok(bytes) if *bytes > length)));
        }
        for length in [limits::NAME_BYTES + 1, limits::CONTROL_FRAME_BYTES, 2 * limits::CONTROL_FRAME_BYTES] {
            let refused = |sent| matches!(sent, Err(AskError::TooLong { bytes }) if bytes == length);
            assert!(asked(length).into_iter().all(refused), "{length}");
        }
    }
}
