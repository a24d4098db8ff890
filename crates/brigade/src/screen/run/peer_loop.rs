//! The loop of the screen of a peer: one event after another changes the model, and the model is drawn.
//!
//! `input` translates keys, `view` draws; the effects of keys are carried out here.

use std::{io, time::Duration};

use crossterm::event::Event as TerminalEvent;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::history::TypedHistory;
use crate::{
    screen::{
        data::{DataRequest, DataUpdate, PeerData},
        input::handle,
        model::{Pane, PeerModel, ScreenEffect},
        view::{Theme, draw},
    },
    terminal::{
        covered_output,
        full_screen::{FullScreen, read_keys},
        has_colours,
        input::{Input, PROMPT},
        line_completion::CompletionSlot,
        signals::{Signal, Signals},
        suspension::{JobChange, JobControl, suspend_job},
        typed_lines::ScreenQuestion,
    },
};

/// The shortest time between two drawings.
const FRAME: Duration = Duration::from_millis(50);

/// How often the size of the terminal is checked: not all terminals report a change.
const SIZE_POLL: Duration = Duration::from_millis(250);

/// How often the visible peers are loaded again.
const PEERS_EVERY: Duration = Duration::from_secs(2);

/// What the loop receives from other parts of the program.
pub(super) struct LoopInputs {
    pub(super) questions: mpsc::Receiver<ScreenQuestion>,
    pub(super) data: PeerData,
    pub(super) completer: CompletionSlot,
    pub(super) signals: Signals,
    /// Cancelled when the user leaves the screen, or when it ends.
    pub(super) left: CancellationToken,
}

/// The state of the loop.
pub(super) struct PeerLoop {
    model: PeerModel,
    history: TypedHistory,
    questions: mpsc::Receiver<ScreenQuestion>,
    /// Where the answer to the shown question goes.
    answer: Option<oneshot::Sender<Input>>,
    /// Whether the shown question is the prompt.
    is_command: bool,
    data: PeerData,
    completer: CompletionSlot,
    signals: Signals,
    left: CancellationToken,
    theme: Theme,
    has_changed: bool,
    /// Whether the last page of the files, or of the peers, could not be loaded. It is asked for again after a change, or
    /// at the next tick: not at once.
    has_files_failure: bool,
    has_peers_failure: bool,
}

impl PeerLoop {
    /// The loop of a screen whose questions and typed commands are those of `from`.
    pub(super) fn new(is_own: bool, history: TypedHistory, from: LoopInputs) -> Self {
        let LoopInputs { questions, data, completer, signals, left } = from;
        Self {
            model: PeerModel::new(is_own, history.lines()),
            history,
            questions,
            answer: None,
            is_command: false,
            data,
            completer,
            signals,
            left,
            theme: Theme { has_colours: has_colours() },
            has_changed: true,
            has_files_failure: false,
            has_peers_failure: false,
        }
    }

    /// Runs until `closing`, or until the terminal is closed.
    pub(super) async fn run(mut self, mut screen: FullScreen, closing: CancellationToken) -> io::Result<()> {
        // The end of the screen is the end of the input, and of a screen of another peer.
        let _left = self.left.clone().drop_guard();
        let mut jobs = JobControl::install();
        let mut keys = read_keys();
        let (mut size, mut peers) = (interval(SIZE_POLL), interval(PEERS_EVERY));
        for tick in [&mut size, &mut peers] {
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut next_frame = Instant::now();
        // A key may be waiting already: the screen is shown before it acts.
        screen.draw(|frame| draw(frame, &mut self.model, self.theme))?;
        self.load_pages();
        loop {
            tokio::select! {
                biased; // first what a person does
                () = closing.cancelled() => break,
                key = keys.recv() => match key {
                    Some(key) => self.take_key(&key, &mut screen)?,
                    None => break, // the terminal is closed
                },
                change = jobs.next() => match change {
                    JobChange::Suspend => screen.suspend()?,
                    JobChange::Continued => {
                        screen.reopen()?;
                        self.has_changed = true;
                    }
                },
                () = sleep_until(next_frame), if self.has_changed && screen.is_visible() => {
                    self.print_kept();
                    screen.draw(|frame| draw(frame, &mut self.model, self.theme))?;
                    self.has_changed = false;
                    self.load_pages();
                    next_frame = Instant::now() + FRAME;
                }
                Some(question) = self.questions.recv() => self.ask(question),
                () = withdrawn(self.answer.as_mut()) => {
                    self.answer = None;
                    self.model.withdraw_question();
                    self.has_changed = true;
                }
                () = covered_output::added() => self.has_changed = true,
                Some(update) = self.data.updates.recv() => self.update(update),
                _ = peers.tick() => {
                    self.refresh_peers();
                    self.load_pages();
                }
                _ = size.tick() => self.has_changed |= screen.is_outdated(),
            }
        }
        if screen.is_visible() {
            self.print_kept();
        }
        screen.end()
    }

    /// Shows the output that was kept.
    fn print_kept(&mut self) {
        covered_output::take().iter().for_each(|text| self.model.print(text));
    }

    fn take_key(&mut self, event: &TerminalEvent, screen: &mut FullScreen) -> io::Result<()> {
        #[cfg(debug_assertions)]
        panic_if_asked(event);
        for effect in handle(&mut self.model, event) {
            match effect {
                ScreenEffect::Suspend => suspend_job(),
                ScreenEffect::Redraw => screen.erase()?,
                effect => self.carry_out(effect),
            }
        }
        self.has_changed = true;
        Ok(())
    }

    fn carry_out(&mut self, effect: ScreenEffect) {
        match effect {
            ScreenEffect::Answer(input) => {
                if let Some(answer) = self.answer.take() {
                    if let Input::Line(line) = &input
                        && self.is_command
                    {
                        self.history.add(line);
                    }
                    let _ = answer.send(input); // the command does not wait any more
                }
            }
            ScreenEffect::Interrupt => self.signals.receive(Signal::Interrupt),
            ScreenEffect::Leave => self.left.cancel(),
            ScreenEffect::SetPaused { id, paused } => self.request(DataRequest::SetPaused { id, paused }),
            ScreenEffect::Cancel { id } | ScreenEffect::Forget { id } => {
                self.request(DataRequest::Remove { id })
            }
            ScreenEffect::Complete { line, cursor } => self.complete(line, cursor),
            ScreenEffect::Suspend | ScreenEffect::Redraw => {} // they need the screen
        }
    }

    fn request(&mut self, request: DataRequest) {
        if self.data.requests.try_send(request).is_err() {
            self.model.print("too many requests at once, or the peer has ended; try again");
        }
    }

    /// Asks for the texts that may continue the line. The completer blocks until it knows them.
    fn complete(&self, line: String, cursor: usize) {
        let (completer, send) = (self.completer.clone(), self.data.send.clone());
        tokio::task::spawn_blocking(move || {
            let Some(completer) = completer.get() else { return };
            let (start, texts) = completer.complete(&line, cursor);
            let _ = send.blocking_send(DataUpdate::Completed { line, start, texts }); // the screen is gone
        });
    }

    fn ask(&mut self, question: ScreenQuestion) {
        let ScreenQuestion { explanation, text, answer } = question;
        self.answer = Some(answer);
        self.is_command = text == PROMPT;
        // What the last command printed is above the next line.
        self.print_kept();
        if let Some(effect) = self.model.ask(&explanation, &text) {
            self.carry_out(effect);
        }
        self.has_changed = true;
    }

    fn update(&mut self, update: DataUpdate) {
        self.has_changed = true;
        match update {
            DataUpdate::Summary(summary) => self.model.summary = summary,
            DataUpdate::Fetches(fetches) => {
                let before = self.model.transfers.running();
                self.model.transfers.replace(fetches);
                if before == 0 && self.model.transfers.running() > 0 && self.model.shown_pane == Pane::Log {
                    self.model.shown_pane = Pane::Transfers;
                }
            }
            DataUpdate::Uploads(uploads) => self.model.transfers.uploads = uploads,
            DataUpdate::Pieces { id, pieces } => self.model.transfers.set_pieces(id, pieces),
            DataUpdate::Files(Ok(page)) => {
                self.model.files_problem = None;
                self.model.files.load(page);
                // On the way to the end of a long list, the next page is asked for at once.
                let height = self.model.layout.height(Pane::Files);
                if height > 0 {
                    self.model.files.top(height);
                    self.load_pages();
                }
            }
            DataUpdate::Files(Err(problem)) => {
                self.model.files_problem = Some(problem);
                self.model.files.failed();
                self.has_files_failure = true;
            }
            DataUpdate::Peers(Ok(page)) => {
                self.model.peers.load(page);
            }
            DataUpdate::Peers(Err(_)) => {
                self.model.peers.failed(); // the files say it
                self.has_peers_failure = true;
            }
            DataUpdate::FilesChanged => {
                self.model.files.refresh();
                self.has_files_failure = false; // the problem is shown until a page is there
            }
            DataUpdate::Completed { line, start, texts } => self.model.completed(&line, start, &texts),
            DataUpdate::Text(text) => self.model.print(&text),
            DataUpdate::Ended(text) => {
                self.model.print(&text);
                if !self.model.is_own {
                    self.model.print("the peer has ended, or does not answer any more; q leaves the screen");
                }
            }
        }
    }

    /// Makes the visible peers load again, also after an error.
    fn refresh_peers(&mut self) {
        self.has_peers_failure = false;
        self.model.peers.refresh();
    }

    /// Asks for the pages around the visible rows.
    fn load_pages(&mut self) {
        let (files, peers) = (self.model.layout.height(Pane::Files), self.model.layout.height(Pane::Peers));
        if files > 0
            && (!self.has_files_failure || self.model.files_problem.is_none())
            && let Some(request) = self.model.files.wanted(files)
        {
            let folds = self.model.folds.clone();
            self.request(DataRequest::Files { request, folds });
        }
        if peers > 0
            && !self.has_peers_failure
            && let Some(request) = self.model.peers.wanted(peers)
        {
            self.request(DataRequest::Peers(request));
        }
    }
}

/// Waits until the command does not wait for the answer any more.
async fn withdrawn(answer: Option<&mut oneshot::Sender<Input>>) {
    match answer {
        Some(answer) => answer.closed().await,
        None => std::future::pending().await,
    }
}

/// Panics if a test asks for it, to show that the terminal is restored.
#[cfg(debug_assertions)]
fn panic_if_asked(event: &TerminalEvent) {
    use crossterm::event::KeyCode;
    let is_key = matches!(event, TerminalEvent::Key(key) if key.code == KeyCode::F(12));
    assert!(!is_key || std::env::var_os("BRIGADE_TEST_PANIC").is_none(), "a panic for a test");
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::{
        CompletionSlot, DataRequest, DataUpdate, LoopInputs, PeerData, PeerLoop, Signals, TypedHistory, draw,
    };
    use crate::screen::model::LoadedPage;

    /// A loop whose panes have been drawn, and the requests that it sends.
    fn drawn_loop() -> (PeerLoop, mpsc::Receiver<DataRequest>) {
        let (_, questions) = mpsc::channel(1);
        let (requests, asked) = mpsc::channel(8);
        let (send, updates) = mpsc::channel(8);
        let inputs = LoopInputs {
            questions,
            data: PeerData { send, requests, updates },
            completer: CompletionSlot::default(),
            signals: Signals::install(),
            left: CancellationToken::new(),
        };
        let mut peer_loop = PeerLoop::new(true, TypedHistory::load(None), inputs);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &mut peer_loop.model, peer_loop.theme)).unwrap();
        (peer_loop, asked)
    }

    #[tokio::test]
    async fn the_lists_are_loaded_again_when_the_manager_is_back() {
        let (mut peer_loop, mut asked) = drawn_loop();
        peer_loop.load_pages();
        let Ok(DataRequest::Files { request: of_files, .. }) = asked.try_recv() else { panic!() };
        let Ok(DataRequest::Peers(of_peers)) = asked.try_recv() else { panic!() };
        let away = || "the manager is away".to_owned();
        peer_loop.update(DataUpdate::Files(Err(away())));
        peer_loop.update(DataUpdate::Peers(Err(away())));
        // Each drawing loads pages.
        peer_loop.load_pages();
        assert!(asked.try_recv().is_err(), "nothing is asked for at once");
        peer_loop.update(DataUpdate::FilesChanged);
        peer_loop.refresh_peers();
        peer_loop.load_pages();
        assert!(matches!(asked.try_recv(), Ok(DataRequest::Files { request, .. }) if request == of_files));
        assert!(matches!(asked.try_recv(), Ok(DataRequest::Peers(request)) if request == of_peers));
        assert!(peer_loop.model.files_problem.is_some(), "the problem is shown until there is an answer");
        peer_loop.update(DataUpdate::Files(Ok(LoadedPage { request: of_files, rows: vec![], next: None })));
        assert!(peer_loop.model.files_problem.is_none());
    }
}
