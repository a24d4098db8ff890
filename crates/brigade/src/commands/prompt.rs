//! The prompt of a peer: it reads commands and prints answers, while fetches run.
//!
//! At a terminal the prompt waits for a fetch, unless `&` sends it to the background; from a pipe all fetches run in
//! the background, and the end of the input waits for them. Meanwhile their progress and the notices are printed.

use std::process::ExitCode;

use brigade_core::plural::count;
use brigade_node::peer::{Fetch, FetchRequest, FetchState, FileListing, Peer, Progress, ResolveError};
use tokio::task::JoinSet;

use super::{
    choose_content::{Chosen, invalid_answer, left_out_note, menu, question, resolve_request, take_answer},
    fetch::code_of,
    files, peers,
    prompt_arguments::{check_no_arguments, hint_about_spaces, parse_fetch},
    prompt_limit, prompt_status,
};
use crate::{
    command_line::value_parsers::parse_prefix,
    failure::{Failure, USAGE},
    notices::{
        Notices,
        fetch_progress::{follow, follow_in_background, summary},
        incomplete_catalogue::{CatalogueWait, incomplete_note},
    },
    terminal::{
        input::{Input, LineReader, PROMPT, Printer, is_about_line, is_yes},
        signals::Signals,
    },
    text::value_suggestions,
};

/// The most rows of a list; `brigade files` has all.
const ROWS: usize = 1000;

/// Commands without arguments.
const WITHOUT_ARGUMENTS: [&str; 8] = ["q", "Q", "quit", "exit", "peers", "status", "help", "?"];

const HELP: &str = "\
files [PREFIX|PATTERN]         the files in the network: all of them, those that
                               begin with PREFIX, or those that match PATTERN
peers                          the peers in the network
fetch NAME [OPTION]... [&]     fetch a file, all files of a folder, or all that
                               match a pattern such as data/**/*.bin; & runs it
                               in the background, Ctrl-C stops it
      NAME                     may have spaces, and stand in quotation marks;
                               NAME@ID-PREFIX chooses one of several contents
      --from USERNAME          fetch only files that this user shares
      --replace                keep a file that is in the way as NAME.~1~
limit                          the limits in effect and their origin
limit up|down RATE|off|auto    a new limit (10MB, off); auto removes it again
status                         what is shared, sent and fetched, and what is not
                               shared and why
help, ?                        this text
q, Q, quit, exit               quit
`ls` means `files`, and `get` means `fetch`";

/// Runs commands until the user quits. Returns the exit code.
pub(crate) async fn run(peer: Peer, mut lines: LineReader, signals: Signals) -> Result<ExitCode, Failure> {
    let printer = lines.printer();
    let terminal = lines.is_terminal();
    let notices = Notices::of(&peer);
    let mut prompt = Prompt {
        peer,
        printer,
        terminal,
        fetches: vec![],
        followed: JoinSet::new(),
        failed: None,
        notices,
        signals,
    };
    let code = prompt.take_commands(&mut lines).await;
    prompt.peer.stop().await;
    Ok(code)
}

struct Prompt {
    peer: Peer,
    printer: Printer,
    terminal: bool,
    /// Fetches that were started and may still run.
    fetches: Vec<Fetch>,
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
            "files" | "ls" => self.ask_manager(self.files(rest)).await?,
            "peers" => self.ask_manager(self.peers()).await?,
            "fetch" | "get" => self.fetch(rest, lines).await?,
            "limit" => self.printer.print(&prompt_limit::run(&self.peer, rest).await?),
            "status" => self.printer.print(&prompt_status::text(&self.peer, &self.fetches)),
            "help" | "?" => self.printer.print(HELP),
            other => {
                let message = format!("{other:?} is not a command");
                return Err(Failure::new(USAGE, message).hint("`help` lists the commands"));
            }
        }
        Ok(PromptStep::Continue)
    }

    /// Runs a command that asks the manager. At a terminal, Ctrl-C ends the command, as it ends a running fetch.
    async fn ask_manager(&self, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        if !self.terminal {
            return command.await;
        }
        self.signals.until_interrupted(command).await.unwrap_or(Ok(()))
    }

    async fn files(&self, text: &str) -> Result<(), Failure> {
        let text = value_suggestions::unquoted(text);
        let wrong =
            |reason: String| Failure::new(USAGE, format!("the text after `files` is too long: {reason}"));
        let mut browsing = FileListing::of(&parse_prefix(text).map_err(wrong)?)?;
        let mut rows = vec![];
        let mut incomplete_ms = None;
        while let Some((prefix, after)) = browsing.question() {
            let page = self.peer.files(&prefix, after).await?;
            incomplete_ms = page.incomplete_ms;
            rows.extend(browsing.take(page).iter().map(files::row));
            if rows.len() > ROWS {
                rows.truncate(ROWS);
                rows.push(format!(
                    "… and more: these are the first {ROWS}; `files PREFIX` shows fewer, `brigade files` all"
                ));
                break;
            }
        }
        browsing.ended()?;
        if rows.is_empty() {
            rows.push(files::no_files(text));
        }
        rows.extend(incomplete_note(incomplete_ms));
        self.printer.print(&rows.join("\n"));
        Ok(())
    }

    async fn peers(&self) -> Result<(), Failure> {
        let columns = peers::Columns::of_output();
        let mut rows = vec![columns.head()];
        let mut after = None;
        let incomplete_ms = loop {
            let page = self.peer.peers(after).await?;
            rows.extend(page.rows.iter().map(|peer| columns.row(peer)));
            after = page.rows.last().map(|last| last.username.clone());
            if !page.more || after.is_none() || rows.len() > ROWS {
                break page.incomplete_ms;
            }
        };
        rows.extend(incomplete_note(incomplete_ms));
        self.printer.print(&rows.join("\n"));
        Ok(())
    }

    async fn fetch(&mut self, rest: &str, lines: &mut LineReader) -> Result<(), Failure> {
        let (request, background) = parse_fetch(rest)?;
        let from = request.from.clone();
        let Chosen::Files(files) = self.resolve(request, lines).await? else { return Ok(()) };
        if let Some(note) = left_out_note(&files, from.as_ref()) {
            self.printer.print(&note);
        }
        let fetch = self.peer.fetch(files).await?;
        self.fetches.retain(|fetch| !fetch.progress().borrow().is_over());
        self.fetches.push(fetch.clone());
        if background || !self.terminal {
            let printer = self.printer.clone();
            self.followed.spawn(async move { follow_in_background(&fetch, printer).await });
            return Ok(());
        }
        let interrupts = self.signals.guard_interrupts();
        let mut signals = self.signals.clone();
        tokio::select! {
            progress = follow(&fetch, &mut self.notices) => self.ended(&progress),
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
                self.printer.print(&menu(choice));
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
                    self.printer.print(&invalid_answer(choice, &answer));
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
        if self.terminal && !self.followed.is_empty() {
            let question = format!(
                "{} will stop, and can be resumed. Quit? [y/N] ",
                count(self.followed.len(), "fetch")
            );
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
