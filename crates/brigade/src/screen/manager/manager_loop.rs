//! The loop of the screen of a manager: one event after another changes the model, and the model is drawn.
//!
//! It draws after a change, and at most four times a second unless a key was pressed: thousands of peers change all the
//! time. It has a thread of its own: the manager must not wait for a terminal.

use std::{io, time::Duration};

use brigade_api::client::ManagerClient;
use brigade_node::clock;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    data::{ManagerData, ManagerRequest, ManagerUpdate},
    input::{ManagerEffect, handle},
    model::{ManagerDialog, ManagerModel, ManagerTab},
    view::draw,
};
use crate::{
    screen::{screen_thread::ScreenThread, view::Theme},
    terminal::{
        covered_output,
        full_screen::{FullScreen, read_keys},
        has_colours, mode,
        suspension::{JobChange, JobControl, suspend_job},
    },
};

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(250);

/// How often the size of the terminal is checked, and the contents are loaded again while they are shown.
const POLL: Duration = Duration::from_millis(500);

/// The number of [`POLL`]s between two loads of the contents.
const CONTENT_POLLS: u32 = 6;

/// The reason why the screen is not shown any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScreenEnd {
    /// The user pressed `q`.
    Quit,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The program is stopping, or the terminal is closed.
    Stopped,
}

/// Shows the screen of a manager until the user leaves it or `stop`. In the background, it waits until the program is in
/// the foreground.
///
/// # Errors
/// If the terminal cannot be covered, or drawn on.
pub(crate) async fn show_manager(
    client: ManagerClient,
    is_own: bool,
    stop: CancellationToken,
) -> io::Result<ScreenEnd> {
    // The system would stop a program in the background that changes the mode of the terminal.
    while !mode::is_in_foreground() {
        tokio::select! {
            () = sleep(mode::FOREGROUND_POLL) => {}
            () = stop.cancelled() => return Ok(ScreenEnd::Stopped),
        }
    }
    let data = ManagerData::start(client);
    let until = stop.clone();
    let mut thread = ScreenThread::start(async move || run_screen(data, is_own, until).await)?;
    tokio::select! {
        ended = thread.result() => ended?,
        () = stop.cancelled() => thread.result_in_time().await.map_or(Ok(ScreenEnd::Stopped), Result::flatten),
    }
}

async fn run_screen(data: ManagerData, is_own: bool, stop: CancellationToken) -> io::Result<ScreenEnd> {
    let mut screen = FullScreen::open()?;
    let mut manager_loop = ManagerLoop { model: ManagerModel::new(is_own), data, has_changed: true };
    let ended = manager_loop.run(&mut screen, stop).await;
    screen.end()?;
    ended
}

struct ManagerLoop {
    model: ManagerModel,
    data: ManagerData,
    has_changed: bool,
}

impl ManagerLoop {
    async fn run(&mut self, screen: &mut FullScreen, stop: CancellationToken) -> io::Result<ScreenEnd> {
        let theme = Theme { has_colours: has_colours() };
        let mut jobs = JobControl::install();
        let mut keys = read_keys();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut next_frame, mut polls) = (Instant::now(), 0_u32);
        // A key may be waiting already: the screen is shown before it acts.
        screen.draw(|frame| draw(frame, &mut self.model, clock::unix_now(), theme))?;
        self.load_pages();
        loop {
            tokio::select! {
                biased; // first what a person does
                () = stop.cancelled() => return Ok(ScreenEnd::Stopped),
                key = keys.recv() => {
                    let Some(key) = key else {
                        return Err(io::Error::other("the terminal cannot be read"));
                    };
                    match handle(&mut self.model, &key) {
                        Some(ManagerEffect::Quit) => return Ok(ScreenEnd::Quit),
                        Some(ManagerEffect::Interrupt) => return Ok(ScreenEnd::Interrupted),
                        Some(ManagerEffect::Suspend) => suspend_job(),
                        Some(ManagerEffect::Redraw) => screen.erase()?,
                        Some(ManagerEffect::Holders { name, id, size_bytes }) => {
                            self.request(ManagerRequest::Holders { name, id, size_bytes });
                        }
                        None => {} // for example a new size: the table is drawn again
                    }
                    (self.has_changed, next_frame) = (true, Instant::now());
                }
                change = jobs.next() => match change {
                    JobChange::Suspend => screen.suspend()?,
                    JobChange::Continued => {
                        screen.reopen()?;
                        (self.has_changed, next_frame) = (true, Instant::now());
                    }
                },
                () = sleep_until(next_frame), if self.has_changed && screen.is_visible() => {
                    screen.draw(|frame| draw(frame, &mut self.model, clock::unix_now(), theme))?;
                    self.has_changed = false;
                    self.load_pages();
                    next_frame = Instant::now() + FRAME;
                }
                update = self.data.updates.recv() => match update {
                    Some(update) => self.update(update),
                    None => return Ok(ScreenEnd::Stopped),
                },
                () = covered_output::added() => {
                    // The last line is the most important one; all are printed at the end.
                    self.has_changed = true;
                }
                _ = poll.tick() => {
                    polls = polls.wrapping_add(1);
                    if polls.is_multiple_of(CONTENT_POLLS) && self.model.tab == ManagerTab::Contents {
                        self.model.contents.refresh();
                        self.load_pages();
                    }
                    self.has_changed |= screen.is_outdated();
                }
            }
        }
    }

    fn request(&mut self, request: ManagerRequest) {
        if self.data.requests.try_send(request).is_err() {
            self.model.problem = Some("the manager does not answer".to_owned());
        }
    }

    fn update(&mut self, update: ManagerUpdate) {
        self.has_changed = true;
        match update {
            ManagerUpdate::Summary(summary) => {
                self.has_changed = summary != self.model.summary;
                self.model.summary = summary;
            }
            ManagerUpdate::PeersChanged => {
                self.has_changed = self.model.tab == ManagerTab::Peers;
                self.model.peers.refresh();
            }
            ManagerUpdate::EventsReset => self.model.events.clear(),
            ManagerUpdate::Event(event) => self.model.add_event(event),
            ManagerUpdate::Peers(Ok(page)) => {
                self.model.problem = None;
                self.model.peers.load(page);
            }
            ManagerUpdate::Contents(Ok(page)) => {
                self.model.problem = None;
                self.model.contents.load(page);
            }
            ManagerUpdate::Peers(Err(problem)) => {
                self.model.problem = Some(problem);
                self.model.peers.failed();
            }
            ManagerUpdate::Contents(Err(problem)) => {
                self.model.problem = Some(problem);
                self.model.contents.failed();
            }
            ManagerUpdate::Holders(lines) => {
                self.model.dialog = Some(ManagerDialog::Text { title: " Holders ", lines });
            }
            ManagerUpdate::Ended(problem) => self.model.problem = Some(problem),
        }
    }

    /// Asks for the pages around the visible rows.
    fn load_pages(&mut self) {
        if self.model.rows == 0 {
            return;
        }
        match self.model.tab {
            ManagerTab::Peers => {
                if let Some(request) = self.model.peers.wanted(self.model.rows) {
                    let order = self.model.order;
                    self.request(ManagerRequest::Peers { request, order });
                }
            }
            ManagerTab::Contents => {
                if let Some(request) = self.model.contents.wanted(self.model.rows) {
                    let order = self.model.content_order;
                    self.request(ManagerRequest::Contents { request, order });
                }
            }
            ManagerTab::Events => {}
        }
    }
}
