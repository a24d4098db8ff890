//! The prompt of a peer: it reads commands and prints answers, while fetches run.
//!
//! At a terminal the prompt waits for a fetch, unless `&` sends it to the background; from a pipe all fetches run in
//! the background, and the end of the input waits for them. Meanwhile their progress and the notices are printed.

mod arguments;
mod command_names;
pub(crate) mod completion;
mod limit;
mod lists;
mod other_peer;
mod typed_commands;

use std::process::ExitCode;

use brigade_api::client::PeerClient;
use brigade_core::plural::count;
use brigade_node::peer::{Fetch, FetchRequest, FetchState, Peer, PeerHandle, Progress, ResolveError};
use tokio::task::JoinSet;

pub(super) use self::other_peer::run_commands;
use self::{
    arguments::{check_no_arguments, hint_about_spaces, parse_fetch},
    command_names::{COMMANDS, HELP, WITHOUT_ARGUMENTS, unknown_command},
    completion::PromptCompletion,
};
use super::{
    fetch::{
        choose_content::{
            Chosen, invalid_answer, left_out_note, menu, question, resolve_request, take_answer,
        },
        code_of,
    },
    running::status::{self, PeerReport},
};
use crate::{
    failure::Failure,
    notices::{
        Notices,
        fetch_progress::{ProgressDetail, follow, follow_in_background, summary},
        incomplete_catalogue::CatalogueWait,
    },
    terminal::{
        input::{Input, LineReader, PROMPT, Printer, is_about_line, is_yes},
        signals::Signals,
    },
};

/// Runs commands until the user quits. Returns the exit code.
pub(crate) async fn run(
    peer: Peer,
    client: PeerClient,
    mut lines: LineReader,
    signals: Signals,
) -> Result<ExitCode, Failure> {
    let mut prompt = Prompt {
        peer: peer.handle(),
        client,
        printer: lines.printer(),
        terminal: lines.is_terminal(),
        followed: JoinSet::new(),
        failed: None,
        notices: Notices::of(&peer),
        signals: signals.clone(),
    };
    lines.set_completer(Box::new(PromptCompletion::new(prompt.client.clone())));
    prompt.follow_resumed().await;
    let code = tokio::select! {
        code = prompt.take_commands(&mut lines) => code,
        () = requested(&peer, &signals) => ExitCode::SUCCESS, // it never ends
    };
    drop(prompt);
    peer.stop().await;
    Ok(code)
}

/// Makes a request to stop the peer a signal, which ends whatever the prompt does.
async fn requested(peer: &Peer, signals: &Signals) {
    peer.stop_requested().await;
    signals.request_stop();
    std::future::pending().await
}

struct Prompt {
    peer: PeerHandle,
    /// The same peer, for the commands that other programs use too.
    client: PeerClient,
    printer: Printer,
    terminal: bool,
    /// The fetches in the background, until they end.
    followed: JoinSet<Progress>,
    /// The exit code of the first command from a pipe that failed.
    failed: Option<u8>,
    notices: Notices,
    signals: Signals,
}

/// The next step after a command.
enum PromptStep {
    Continue,
    Quit,
}

impl Prompt {
    async fn take_commands(&mut self, lines: &mut LineReader) -> ExitCode {
        loop {
            let input = match self.next_input(lines, PROMPT).await {
                Ok(input) => input,
                Err(signal) => return signal,
            };
            let next = match input {
                Ok(Input::Line(line)) => {
                    let mut signals = self.signals.clone();
                    tokio::select! {
                        next = self.command(line.trim(), lines) => next,
                        // The prompt does not wait for a manager that does not answer.
                        signal = signals.first() => return signal.exit_code(),
                    }
                }
                Ok(Input::End) if self.terminal => match self.signals.at_end_of_terminal().await {
                    Some(signal) => return signal.exit_code(),
                    None => Ok(PromptStep::Quit),
                },
                Ok(Input::Interrupted | Input::End) => Ok(PromptStep::Quit),
                Err(error) => Err(Failure::of_input(&error)),
            };
            match next {
                Ok(PromptStep::Continue) => {}
                Ok(PromptStep::Quit) => match self.quit(lines).await {
                    Ok(PromptStep::Quit) => return self.failed.map_or(ExitCode::SUCCESS, ExitCode::from),
                    Ok(PromptStep::Continue) => {}
                    Err(signal) => return signal,
                },
                Err(failure) => self.report_failure(&failure),
            }
            if let Some(signal) = self.signals.received() {
                return signal.exit_code();
            }
        }
    }

    /// Waits for a line, and prints notices meanwhile. The error is the exit code of a signal.
    async fn next_input(
        &mut self,
        lines: &mut LineReader,
        question: &str,
    ) -> Result<std::io::Result<Input>, ExitCode> {
        let mut signals = self.signals.clone();
        let interrupts = lines.leaves_interrupts().then(|| self.signals.guard_interrupts());
        let interrupted = async {
            match &interrupts {
                Some(interrupts) => interrupts.interrupt().await,
                None => std::future::pending().await,
            }
        };
        let asked = lines.ask(question);
        tokio::pin!(asked, interrupted);
        loop {
            tokio::select! {
                input = &mut asked => return Ok(input),
                () = &mut interrupted => return Ok(Ok(Input::Interrupted)),
                Some(Ok(progress)) = self.followed.join_next(), if !self.followed.is_empty() => self.ended(&progress),
                notices = self.notices.next() => self.printer.print(&notices),
                signal = signals.first() => return Err(signal.exit_code()),
            }
        }
    }

    async fn command(&mut self, line: &str, lines: &mut LineReader) -> Result<PromptStep, Failure> {
        // The form in which it is typed in a shell.
        let line = line.strip_prefix("brigade ").map_or(line, str::trim_start);
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if WITHOUT_ARGUMENTS.contains(&command) {
            check_no_arguments(command, rest)?;
        }
        match command {
            "" => {}
            "q" | "Q" | "quit" | "exit" => return Ok(PromptStep::Quit),
            "files" | "ls" => self.ask_manager(self.print(lists::files(&self.peer, rest))).await?,
            "peers" => self.ask_manager(self.print(lists::peers(&self.peer))).await?,
            "fetch" | "get" => self.fetch(rest, lines).await?,
            "limit" => self.printer.print(&limit::run(&self.client, rest).await?),
            "status" => self.print_status().await?,
            "help" | "?" => self.printer.print(HELP),
            known if COMMANDS.contains(&known) => {
                let run = typed_commands::run(known, rest, &self.client, &self.printer);
                self.ask_manager(run).await?;
            }
            other => return Err(unknown_command(other)),
        }
        Ok(PromptStep::Continue)
    }

    /// Prints a text when it is there.
    async fn print(&self, text: impl Future<Output = Result<String, Failure>>) -> Result<(), Failure> {
        self.printer.print(&text.await?);
        Ok(())
    }

    async fn print_status(&self) -> Result<(), Failure> {
        self.printer.print(&status::text(&PeerReport::of(&self.client).await?));
        Ok(())
    }

    /// Follows the fetches of the last session, which go on; at a terminal only, since a pipe waits for its own ones.
    async fn follow_resumed(&mut self) {
        if self.peer.resumed().await == 0 {
            return;
        }
        let is_running = |fetch: &&Fetch| !fetch.progress().borrow().is_over();
        let resumed: Vec<Fetch> = self.peer.fetches().borrow().iter().filter(is_running).cloned().collect();
        if resumed.is_empty() {
            return;
        }
        self.printer.print(&format!("resumed: {}", count(resumed.len(), "fetch")));
        for fetch in resumed.into_iter().filter(|_| self.terminal) {
            let printer = self.printer.clone();
            self.followed.spawn(async move { follow_in_background(fetch.progress(), printer).await });
        }
    }

    /// Runs a command that asks the manager. At a terminal, Ctrl-C ends the command, as it ends a running fetch.
    async fn ask_manager(&self, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        if !self.terminal {
            return command.await;
        }
        self.signals.until_interrupted(command).await.unwrap_or(Ok(()))
    }

    async fn fetch(&mut self, rest: &str, lines: &mut LineReader) -> Result<(), Failure> {
        let (request, background) = parse_fetch(rest)?;
        let from = request.from.clone();
        let Chosen::Files(files) = self.resolve(request, lines).await? else { return Ok(()) };
        if let Some(note) = left_out_note(files.name(), files.left_out(), from.as_ref()) {
            self.printer.print(&note);
        }
        let fetch = self.peer.fetch(files).await?;
        // A screen shows it while the next command is typed.
        if background || !self.terminal || lines.is_screen() {
            let printer = self.printer.clone();
            self.followed.spawn(async move { follow_in_background(fetch.progress(), printer).await });
            return Ok(());
        }
        let interrupts = self.signals.guard_interrupts();
        let mut signals = self.signals.clone();
        tokio::select! {
            progress = follow(fetch.progress(), Some(&mut self.notices), ProgressDetail::Tenths) => self.ended(&progress),
            _ = signals.first() => {} // the caller handles it
            () = interrupts.interrupt() => {
                fetch.give_up();
                let mut fetch = fetch;
                let progress = fetch.finished().await;
                self.ended(&progress);
            }
        }
        Ok(())
    }

    /// Resolves a request. If a name has several contents, a person at a terminal chooses.
    async fn resolve(
        &mut self,
        mut request: FetchRequest,
        lines: &mut LineReader,
    ) -> Result<Chosen, Failure> {
        let (mut waiting, printer) = (CatalogueWait::default(), self.printer.clone());
        let signals = self.terminal.then(|| self.signals.clone());
        loop {
            let mut print_line = |left| waiting.text(left).into_iter().for_each(|text| printer.print(&text));
            let choices = match resolve_request(&self.peer, &request, &mut print_line, signals.as_ref()).await
            {
                Ok(files) => return Ok(Chosen::Files(files)),
                Err(None) => return Ok(Chosen::Nothing),
                Err(Some(ResolveError::Ambiguous { choices, .. })) if self.terminal => choices,
                Err(Some(error)) => {
                    let spaces_hint = hint_about_spaces(&request.name);
                    let spaces_hint = spaces_hint.filter(|_| matches!(error, ResolveError::NotFound { .. }));
                    let failure = Failure::from(error);
                    return Err(match spaces_hint {
                        Some(spaces_hint) => failure.add_hint(&spaces_hint),
                        None => failure,
                    });
                }
            };
            for choice in &choices {
                lines.explain(&menu(choice));
                let taken = loop {
                    // The caller handles signals; Ctrl-C and Ctrl-D choose nothing.
                    let answer = match self.next_input(lines, &question(choice)).await {
                        Ok(Ok(Input::Line(answer))) => answer,
                        Ok(Err(error)) if is_about_line(&error) => {
                            self.report_failure(&Failure::of_input(&error));
                            continue;
                        }
                        _ => break false,
                    };
                    if let Some(taken) = take_answer(&mut request, choice, &answer) {
                        break taken;
                    }
                    lines.explain_further(&invalid_answer(choice, &answer));
                };
                if !taken {
                    return Ok(Chosen::Nothing);
                }
            }
        }
    }

    fn ended(&mut self, progress: &Progress) {
        self.printer.print(&summary(progress));
        if progress.state != FetchState::Done {
            let code = code_of(std::slice::from_ref(progress));
            self.failed = self.failed.or((!self.terminal).then_some(code));
        }
    }

    /// Asks a person whether to quit if fetches are running; a pipe waits for them. The error is the exit code of a
    /// signal.
    async fn quit(&mut self, lines: &mut LineReader) -> Result<PromptStep, ExitCode> {
        // Those that other programs ordered, too.
        let fetches = self.peer.fetches().borrow().clone();
        let running = fetches.iter().filter(|fetch| !fetch.progress().borrow().is_over()).count();
        if self.terminal && running > 0 {
            let question = format!("{} will stop, and can be resumed. Quit? [y/N] ", count(running, "fetch"));
            let answer = self.next_input(lines, &question).await?;
            let yes = match answer {
                Ok(Input::Line(line)) => is_yes(&line) || line.trim().eq_ignore_ascii_case("q"),
                Ok(Input::End) => match self.signals.at_end_of_terminal().await {
                    Some(signal) => return Err(signal.exit_code()),
                    None => true,
                },
                Err(error) if is_about_line(&error) => {
                    self.report_failure(&Failure::of_input(&error));
                    false
                }
                _ => true, // Ctrl-C
            };
            return Ok(if yes { PromptStep::Quit } else { PromptStep::Continue });
        }
        let mut signals = self.signals.clone();
        while !self.followed.is_empty() {
            tokio::select! {
                Some(Ok(progress)) = self.followed.join_next() => self.ended(&progress),
                notices = self.notices.next() => self.printer.print(&notices),
                signal = signals.first() => return Err(signal.exit_code()),
            }
        }
        Ok(PromptStep::Quit)
    }

    fn report_failure(&mut self, failure: &Failure) {
        if self.terminal {
            self.printer.print(&failure.text());
        } else {
            failure.print();
            self.failed = self.failed.or(Some(failure.code));
        }
    }
}
