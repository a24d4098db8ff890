//! One connection to the manager, from joining to its end: what is said, heard, asked and renewed over it.
//!
//! Reading never waits for writing: what is to be sent is queued, and while the queue is long no new work is taken,
//! so that two full sockets cannot hold each other up.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use brigade_core::{
    id::Content,
    limits,
    name::FileName,
    wire::{
        Message, Reason,
        hello::Goodbye,
        manager::{FromManager, Hold, Renew, Report, ToManager, Watch},
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    announce::{Announcing, entry, entry_bytes},
    questions::{Answer, AskError, answer_in},
    task::{Command, Ended, LinkState, Session},
};
use crate::{
    store::keeper::Change,
    transport::connection::{ConnectionError, Greeted, Writer},
};

/// Messages queued for the manager beyond which no new work is taken.
const QUEUED_MESSAGES: usize = 64;

/// How long what is queued, and a goodbye, may take to leave at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the manager may be silent, though it is asked to renew every five seconds.
const SILENCE: Duration = limits::LEASE;

/// One connection to the manager.
pub(crate) struct Connected<'a> {
    session: &'a mut Session,
    queue: VecDeque<ToManager>,
    announcing: Announcing,
    questions: BTreeMap<u32, oneshot::Sender<Result<Answer, AskError>>>,
    last_question: u32,
    last_heard: Instant,
    reported: (u64, u64),
    renewed: Instant,
}

impl<'a> Connected<'a> {
    pub(crate) fn new(session: &'a mut Session) -> Self {
        let now = Instant::now();
        let mut this = Self {
            queue: VecDeque::new(),
            announcing: Announcing::new(),
            questions: BTreeMap::new(),
            last_question: 0,
            last_heard: now,
            reported: (0, 0),
            renewed: now,
            session,
        };
        let wanted = &this.session.wanted;
        let contents = |set: &BTreeSet<Content>| set.iter().map(|c| (*c).into()).collect::<Vec<_>>();
        for page in contents(&wanted.held).chunks(limits::WATCH_CONTENTS) {
            this.queue.push_back(Hold { contents: page.to_vec() }.into());
        }
        for page in contents(&wanted.watched).chunks(limits::WATCH_CONTENTS) {
            this.queue.push_back(Watch { contents: page.to_vec(), again: None }.into());
        }
        this.announcing.scanned(wanted.scanned);
        this
    }

    pub(crate) async fn run(mut self, session: Greeted) -> Ended {
        let Greeted { mut reader, writer, .. } = session;
        let (outbox, messages) = mpsc::channel(QUEUED_MESSAGES);
        let mut sending = AbortOnDropHandle::new(tokio::spawn(send_all(writer, messages)));
        self.publish();
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = 0_u64;
        let mut still_sending = true;
        let mut farewell = None;
        let ended = loop {
            self.refill();
            let busy = self.queue.len() >= QUEUED_MESSAGES;
            tokio::select! {
                biased;
                () = self.session.stop.cancelled() => break Ended::Stopped,
                message = reader.next::<FromManager>() => match message {
                    Ok(Some(message)) => {
                        if let Err(ended) = self.heard(message).await {
                            break ended;
                        }
                    }
                    Ok(None) => break Ended::Lost("the manager closed the connection".to_owned()),
                    Err(error) => {
                        farewell = error.goodbye();
                        break Ended::Lost(why_lost(&error));
                    }
                },
                Ok(permit) = outbox.reserve(), if !self.queue.is_empty() => {
                    if let Some(message) = self.queue.pop_front() {
                        permit.send(message);
                    }
                }
                Some(command) = self.session.commands.recv(), if !busy => self.command(command),
                Some(change) = self.session.changes.recv(), if !busy => self.change(change),
                _ = tick.tick() => {
                    beats += 1;
                    if let Err(ended) = self.beat(beats) {
                        break ended;
                    }
                }
                _ = &mut sending => {
                    still_sending = false;
                    break Ended::Lost("the connection to the manager broke".to_owned());
                }
            }
        };
        if matches!(ended, Ended::Stopped) {
            farewell = Some(Goodbye { reason: Reason::Stopping, text: String::new() });
        }
        // Where there is nothing to say any more, nothing is waited for.
        let grace = if farewell.is_some() { FAREWELL } else { Duration::ZERO };
        if let Some(goodbye) = farewell {
            let _ = outbox.try_send(ToManager::Goodbye(goodbye));
        }
        drop(outbox);
        // A task that has ended must not be waited for again, and one that cannot write must not stay.
        if still_sending && timeout(grace, &mut sending).await.is_err() {
            sending.abort();
        }
        for (_, reply) in self.questions {
            let _ = reply.send(Err(AskError::Away));
        }
        ended
    }

    /// Queues what the share still has to say, when nothing else waits.
    fn refill(&mut self) {
        if self.queue.is_empty() {
            let more = self.announcing.next_page(&self.session.share);
            if more.is_none() {
                self.publish(); // with nothing to announce, nobody says that it is noted
            }
            self.queue.extend(more.map(ToManager::from));
        }
    }

    async fn heard(&mut self, message: FromManager) -> Result<(), Ended> {
        self.last_heard = Instant::now();
        match message {
            FromManager::Goodbye(goodbye) => {
                return Err(Ended::Lost(goodbye.reason.with(&goodbye.text)));
            }
            FromManager::Noted(noted) => {
                self.announcing.noted(noted.number);
                self.publish();
            }
            FromManager::Holders(holders) => {
                self.session.wanted.answered(&holders);
                // The fetches never wait for this task, so this ends.
                let _ = self.session.holders.send(holders).await;
            }
            FromManager::Renewed(renewed) => {
                self.session.compare_clock(renewed.now_s);
                if let Some(membership) = renewed.membership {
                    self.session.membership.send_replace(membership);
                }
            }
            other => match answer_in(other) {
                Ok((number, answer)) => {
                    if let Some(reply) = self.questions.remove(&number) {
                        let _ = reply.send(answer);
                    }
                }
                Err(FromManager::Refused(refused)) => {
                    tracing::warn!(kind = refused.kind, reason = %refused.reason, text = refused.text, "refused");
                }
                Err(other) => tracing::debug!(kind = other.kind(), "a message that was not expected"),
            },
        }
        Ok(())
    }

    fn command(&mut self, command: Command) {
        let (told, asked) = self.session.wanted.note(command);
        self.queue.extend(told);
        if let Some((question, reply)) = asked {
            self.questions.retain(|_, reply| !reply.is_closed());
            self.last_question = self.last_question.wrapping_add(1);
            self.questions.insert(self.last_question, reply);
            self.queue.push_back(question.message(self.last_question));
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Shared(files) => {
                let mut page: Vec<_> = vec![];
                let mut bytes = 0;
                for file in &files {
                    let entry = entry(file);
                    bytes += entry_bytes(&entry);
                    page.push(entry);
                    if page.len() == limits::ANNOUNCE_ENTRIES || bytes > limits::PAGE_BYTES - 2048 {
                        self.queue.push_back(self.announcing.announce(std::mem::take(&mut page)).into());
                        bytes = 0;
                    }
                }
                if !page.is_empty() {
                    self.queue.push_back(self.announcing.announce(page).into());
                }
            }
            Change::Gone(names) => {
                for page in pages_of_names(names) {
                    self.queue.push_back(self.announcing.withdraw(page).into());
                }
            }
            Change::Scanned => {
                self.session.wanted.scanned = true;
                self.announcing.scanned(true);
                self.publish();
            }
            Change::Problem { .. } | Change::Solved { .. } => {} // `status` shows them
        }
    }

    /// Once a second: report what moves, renew the lease every fifth time, see that the manager still answers.
    fn beat(&mut self, beats: u64) -> Result<(), Ended> {
        if self.last_heard.elapsed() > SILENCE {
            return Err(Ended::Lost(format!("the manager was silent for {} s", SILENCE.as_secs())));
        }
        let rates = self.session.traffic.rates();
        if rates != self.reported {
            self.reported = rates;
            self.queue.push_back(Report { sending: rates.0, receiving: rates.1 }.into());
        }
        if beats.is_multiple_of(5) {
            let membership = self.renewed.elapsed() >= limits::MEMBERSHIP_RENEWAL;
            if membership {
                self.renewed = Instant::now();
            }
            self.queue.push_back(Renew { membership }.into());
        }
        Ok(())
    }

    fn publish(&self) {
        let state = LinkState::Here { announced: self.announcing.is_done() };
        self.session.state.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }
}

/// What people are told of a connection that ended in an error.
fn why_lost(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

/// Cuts names into withdrawals that fit a frame.
fn pages_of_names(names: Vec<FileName>) -> Vec<Vec<FileName>> {
    let mut pages: Vec<Vec<FileName>> = vec![];
    let mut bytes = limits::PAGE_BYTES;
    for name in names {
        bytes += name.len() + 4;
        match pages.last_mut() {
            Some(page) if bytes <= limits::PAGE_BYTES && page.len() < limits::ANNOUNCE_ENTRIES => {
                page.push(name)
            }
            _ => {
                bytes = name.len() + 4;
                pages.push(vec![name]);
            }
        }
    }
    pages
}

async fn send_all(
    mut writer: Writer,
    mut messages: mpsc::Receiver<ToManager>,
) -> Result<(), ConnectionError> {
    while let Some(message) = messages.recv().await {
        writer.send(&message).await?;
        if messages.is_empty() {
            writer.flush().await?;
        }
    }
    writer.flush().await
}
