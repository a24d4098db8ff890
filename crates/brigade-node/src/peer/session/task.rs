//! The session with the manager over its whole life: join, announce, renew, and again after it was away.
//!
//! One task owns it. Reading never waits for writing: what is to be sent is queued, and while the queue is long
//! no new work is taken, so that two full sockets cannot hold each other up. After a reconnection everything is
//! said anew, from the share itself, which is the truth about what is announced. While the manager is away, and being
//! dialled, those who ask are answered so at once, and nobody waits for it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use brigade_core::{
    id::Content,
    name::Username,
    time::UnixTime,
    wire::{
        Message, Reason,
        manager::{FromManager, Hold, Holders, HoldersOf, Join, Joined, ToManager, Unhold, Unwatch, Watch},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    clock_check::ClockOff,
    connection::Connected,
    dial::{ManagerAddress, ReachError},
    questions::{ANSWER_TIME, Answer, AskError, Question},
};
use crate::{
    clock,
    identity::key::SecretKey,
    peer::{bandwidth::traffic::Traffic, listening::Contact},
    store::{keeper::Change, share::Share},
    transport::connection::{ConnectionError, Greeted},
};

/// How long an attempt to reach a manager may take that is away: the next one may find it.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The longest pause between two attempts to reach a manager that is away: it is found within five seconds of its
/// return, also where its host was gone and the attempt before has to be given up first.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

const _: () =
    assert!(ATTEMPT.as_millis() + RETRY_PAUSE.as_millis() < 5_000, "it is found within five seconds");

/// What others ask of the session.
#[derive(Debug)]
pub(crate) enum Command {
    /// Puts a question.
    Ask { question: Question, reply: oneshot::Sender<Result<Answer, AskError>> },
    /// A part of this content is here now, and served.
    Hold(Content),
    /// It is so no more.
    Unhold(Content),
    /// The holders of these contents are wanted, now and when they change.
    Watch(Vec<Content>),
    /// Others than those named so far are wanted, for the how many-th time.
    WatchOthers(Content, u32),
    /// They are wanted no more.
    Unwatch(Vec<Content>),
}

/// How the session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The manager is there.
    Here {
        /// Whether everything that was in the folder at the start is in the catalogue.
        announced: bool,
    },
    /// The manager is away, and tried again all the while.
    Away {
        /// Why.
        cause: String,
    },
    /// The manager refuses this peer for good; it is not tried again.
    Refused {
        /// Why.
        cause: String,
    },
}

/// Why the manager did not let a peer in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It was not reached.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// It refused.
    #[error("the manager refused: {}", .reason.with(.text))]
    Refused {
        /// The cause, for programs.
        reason: Reason,
        /// The cause, for people.
        text: String,
    },
    /// The connection broke, or it did not answer in time.
    #[error("joining the network")]
    Connection(#[from] ConnectionError),
}

impl JoinError {
    /// Whether it is certain that the manager has bound no username. It is not where the answer is missing, and where
    /// the manager failed or stopped: it may have written the name down before.
    pub(crate) const fn bound_nothing(&self) -> bool {
        use Reason::{AlreadyHere, BadName, BadPort, Full, NameTaken, NotAMember, PortTaken, TooMuch};
        match self {
            Self::Reach(_) => true,
            Self::Refused { reason, .. } => matches!(
                reason,
                AlreadyHere | BadName | BadPort | Full | NameTaken | NotAMember | PortTaken | TooMuch
            ),
            Self::Connection(_) => false,
        }
    }
}

/// The name under which a peer asks to join.
#[derive(Debug, Clone)]
pub(crate) struct AskedName {
    pub(crate) username: Username,
    /// Whether it is not to be bound to the peer's key.
    pub(crate) unbound: bool,
}

impl AskedName {
    /// The name that a peer has that joined.
    pub(crate) fn had(&self, joined: &Joined) -> Username {
        joined.username.as_ref().unwrap_or(&self.username).clone()
    }
}

/// Asks to be let in under `name`, listening on `port`.
pub(crate) async fn join(session: &mut Greeted, name: &AskedName, port: u16) -> Result<Joined, JoinError> {
    let exchange = async {
        let join = Join { username: Ok(name.username.clone()), port, unbound: name.unbound.then_some(true) };
        session.writer.send(&ToManager::from(join)).await?;
        session.writer.flush().await?;
        loop {
            match session.reader.next::<FromManager>().await? {
                Some(FromManager::Joined(joined)) => return Ok(joined),
                Some(FromManager::Refused(refused)) => {
                    return Err(JoinError::Refused { reason: refused.reason, text: refused.text });
                }
                Some(FromManager::Goodbye(bye)) => {
                    return Err(JoinError::Refused { reason: bye.reason, text: bye.text });
                }
                Some(other) => tracing::debug!(kind = other.kind(), "a message before joining"),
                None => return Err(ConnectionError::Io(std::io::ErrorKind::UnexpectedEof.into()).into()),
            }
        }
    };
    let silence = || ConnectionError::Io(std::io::ErrorKind::TimedOut.into());
    timeout(ANSWER_TIME, exchange).await.map_err(|_| silence())?
}

/// What a session is made of, and lasts over reconnections.
pub(crate) struct Session {
    pub(crate) manager: ManagerAddress,
    pub(crate) key: SecretKey,
    pub(crate) asked: AskedName,
    /// The name that it has; where it is not bound, another number may stand behind it after a reconnection.
    pub(crate) username: watch::Sender<Username>,
    pub(crate) port: u16,
    /// What the last join showed of where to listen.
    pub(crate) contact: watch::Sender<Contact>,
    pub(crate) share: Share,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) changes: mpsc::Receiver<Change>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Who holds the contents that are watched, for the fetches.
    pub(crate) holders: mpsc::Sender<Holders>,
    pub(crate) membership: watch::Sender<String>,
    /// That this machine's calendar does not fit to the manager's.
    pub(crate) clock: watch::Sender<Option<ClockOff>>,
    pub(crate) state: watch::Sender<LinkState>,
    pub(crate) stop: CancellationToken,
    /// What is wanted of the manager, whether it is there or not.
    pub(crate) wanted: Wanted,
}

/// What is wanted of the manager, whether it is there or not.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) held: BTreeSet<Content>,
    pub(crate) watched: BTreeSet<Content>,
    /// Those that are watched, and of which the manager never said who has them.
    unanswered: BTreeSet<Content>,
    /// Whether the folder was looked through once.
    pub(crate) scanned: bool,
}

/// How one connection to the manager ended.
pub(crate) enum Ended {
    Stopped,
    Lost(String),
    Refused(String),
}

impl Session {
    /// Runs until it is stopped, beginning with a session that has joined.
    pub(crate) async fn run(mut self, session: Greeted) {
        self.keep(session).await;
        // The keeper was stopped by the same token. What it hashed last is in its index when this channel closes.
        while self.changes.recv().await.is_some() {}
    }

    async fn keep(&mut self, session: Greeted) {
        let mut session = Some(session);
        loop {
            let ended = match session.take() {
                Some(session) => Connected::new(self).run(session).await,
                None => match self.rejoin().await {
                    Ok(again) => {
                        session = Some(again);
                        continue;
                    }
                    Err(ended) => ended,
                },
            };
            match ended {
                Ended::Stopped => return,
                Ended::Lost(cause) => {
                    tracing::info!(cause, "the manager is away");
                    self.state.send_replace(LinkState::Away { cause });
                }
                Ended::Refused(cause) => {
                    tracing::error!(cause, "the manager refuses this peer");
                    self.state.send_replace(LinkState::Refused { cause });
                    self.outlive().await;
                    return;
                }
            }
        }
    }

    /// Goes on without a manager that will not come back, until it is stopped.
    async fn outlive(&mut self) {
        loop {
            // Nobody will ever say who has these. Then nobody has, and their fetches need not wait to hear it.
            if let Some(holders) = self.wanted.give_up_hope() {
                let _ = self.holders.send(holders).await; // the fetches never wait for this task, so this ends
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(command) = self.commands.recv() => self.without_manager(command),
                Some(_) = self.changes.recv() => {}
            }
        }
    }

    /// Tries until the manager lets this peer in again.
    async fn rejoin(&mut self) -> Result<Greeted, Ended> {
        let mut pause = Duration::from_millis(250);
        loop {
            self.meanwhile(sleep(pause)).await.ok_or(Ended::Stopped)?;
            pause = (pause * 2).min(RETRY_PAUSE);
            let (manager, key, asked) = (self.manager.clone(), self.key.clone(), self.asked.clone());
            let attempt = try_rejoin(manager, key, asked, self.port);
            let attempt = self.meanwhile(attempt).await.ok_or(Ended::Stopped)?;
            match attempt {
                Ok((session, joined)) => {
                    self.username.send_replace(self.asked.had(&joined));
                    self.compare_clock(joined.now_s);
                    self.contact.send_replace(Contact::over(&session, joined.reached_from_elsewhere));
                    self.membership.send_replace(joined.membership);
                    return Ok(session);
                }
                // In use is the name by this very peer's old session, until its lease ends: that is waited for.
                Err(JoinError::Refused { reason: Reason::NameTaken | Reason::NotAMember, text }) => {
                    return Err(Ended::Refused(text));
                }
                Err(JoinError::Reach(
                    ReachError::WrongKey { found, expected, .. }
                    | ReachError::NotTheKey { found, given: expected, .. },
                )) => {
                    let cause =
                        format!("another manager answers there, with the key {found} instead of {expected}");
                    return Err(Ended::Refused(cause));
                }
                Err(error) => {
                    tracing::debug!(%error, "the manager is still away");
                    if let JoinError::Refused { .. } = &error {
                        // It is there, and has its reasons: `status` shows them.
                        self.state.send_replace(LinkState::Away { cause: error.to_string() });
                    }
                }
            }
        }
    }

    /// The manager said a moment ago, if it did, what its calendar says.
    pub(crate) fn compare_clock(&self, manager_s: Option<u64>) {
        let Some(manager_s) = manager_s else { return };
        let off = ClockOff::compare(UnixTime(manager_s), clock::unix_now(), ANSWER_TIME);
        self.clock.send_if_modified(|old| {
            // That it is off is news; that it is off by a second more is not.
            let is_news = off.map(|off| off.is_behind) != old.map(|off| off.is_behind);
            *old = off;
            is_news
        });
    }

    /// Goes on without a manager until `end`; what came of that, or `None` where it was stopped before.
    async fn meanwhile<T>(&mut self, end: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                ended = &mut end => return Some(ended),
                Some(command) = self.commands.recv() => self.without_manager(command),
                // The share itself is announced on return; only that the first look is done must be kept.
                Some(change) = self.changes.recv() => self.wanted.scanned |= matches!(change, Change::Scanned),
            }
        }
    }

    /// Notes what is wanted; what is asked, nobody answers.
    fn without_manager(&mut self, command: Command) {
        if let Some((_, reply)) = self.wanted.note(command).1 {
            let error = match &*self.state.borrow() {
                LinkState::Refused { cause } => AskError::RefusedForGood { cause: cause.clone() },
                _ => AskError::Away,
            };
            let _ = reply.send(Err(error));
        }
    }
}

async fn try_rejoin(
    manager: ManagerAddress,
    key: SecretKey,
    asked: AskedName,
    port: u16,
) -> Result<(Greeted, Joined), JoinError> {
    let late = || ConnectionError::Io(std::io::ErrorKind::TimedOut.into());
    let mut session = timeout(ATTEMPT, manager.reach(&key)).await.map_err(|_| late())??;
    let joined = join(&mut session, &asked, port).await?;
    Ok((session, joined))
}

type Asked = (Question, oneshot::Sender<Result<Answer, AskError>>);

impl Wanted {
    /// Notes what a command wants to last; what is to be told to a manager that is there, or asked of it.
    pub(crate) fn note(&mut self, command: Command) -> (Option<ToManager>, Option<Asked>) {
        let told: Option<ToManager> = match command {
            Command::Ask { question, reply } => return (None, Some((question, reply))),
            Command::Hold(content) => {
                self.held.insert(content).then(|| Hold { contents: vec![content.into()] }.into())
            }
            Command::Unhold(content) => {
                self.held.remove(&content).then(|| Unhold { contents: vec![content.into()] }.into())
            }
            Command::Watch(contents) => {
                self.unanswered.extend(contents.iter().filter(|content| !self.watched.contains(content)));
                self.watched.extend(&contents);
                Some(Watch { contents: contents.into_iter().map(Into::into).collect(), again: None }.into())
            }
            Command::WatchOthers(content, again) => self
                .watched
                .contains(&content)
                .then(|| Watch { contents: vec![content.into()], again: Some(again) }.into()),
            Command::Unwatch(contents) => {
                for content in &contents {
                    self.watched.remove(content);
                    self.unanswered.remove(content);
                }
                Some(Unwatch { contents: contents.into_iter().map(Into::into).collect() }.into())
            }
        };
        (told, None)
    }

    /// The manager said who has these.
    pub(crate) fn answered(&mut self, holders: &Holders) {
        for content in &holders.contents {
            self.unanswered.remove(&Content { id: content.id, size: content.size });
        }
    }

    /// What is to be believed of contents of which nothing was ever said, where nothing will be: that nobody has them.
    fn give_up_hope(&mut self) -> Option<Holders> {
        let nobody = |content: Content| HoldersOf {
            id: content.id,
            size: content.size,
            complete: vec![],
            partial: vec![],
        };
        let contents: Vec<_> = std::mem::take(&mut self.unanswered).into_iter().map(nobody).collect();
        (!contents.is_empty()).then(|| Holders { peers: vec![], contents })
    }
}
