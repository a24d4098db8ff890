//! The commands of the prompt for a peer of another process, over its API: on the screen of `brigade ui`.
//!
//! Only the screen reads these lines. The end of the screen ends none of the peer's fetches.

use std::process::ExitCode;

use brigade_api::{
    client::{ClientError, PeerClient},
    values::{Fetch, FetchOrder},
};
use brigade_node::peer::{FetchRequest, Progress};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{check_no_arguments, hint_about_spaces, parse_fetch},
    command_names::{COMMANDS, HELP, WITHOUT_ARGUMENTS, unknown_command},
    completion::PromptCompletion,
    limit,
    lists::ROWS,
    typed_commands,
};
use crate::{
    command_line::value_parsers::parse_prefix,
    commands::{
        catalogue::{file_row, files, peer_columns, reader::CatalogueReader},
        fetch::{
            choose_content::{invalid_answer, left_out_note, menu, question, take_answer},
            problem_parts::{choices, chosen, is_missing},
        },
        running::status::{self, PeerReport},
    },
    failure::{Failure, USAGE},
    notices::{
        fetch_progress::{follow_in_background, summary},
        incomplete_catalogue::incomplete_note,
    },
    terminal::{
        input::{Input, LineReader, PROMPT, Printer},
        signals::Signals,
    },
    text::value_suggestions,
};

/// Runs the lines of a screen as commands until the user leaves it (`left`) or quits, or a signal ends the program.
pub(crate) async fn run_commands(
    client: PeerClient,
    mut lines: LineReader,
    mut signals: Signals,
    left: CancellationToken,
) -> ExitCode {
    lines.set_completer(Box::new(PromptCompletion::new(client.clone())));
    let mut prompt = OtherPeer { client, printer: lines.printer(), signals: signals.clone() };
    tokio::select! {
        () = prompt.take_commands(&mut lines) => ExitCode::SUCCESS,
        () = left.cancelled() => ExitCode::SUCCESS,
        signal = signals.first() => signal.exit_code(),
    }
}

struct OtherPeer {
    client: PeerClient,
    printer: Printer,
    signals: Signals,
}

impl OtherPeer {
    /// Takes commands until one quits, or the input ends.
    async fn take_commands(&mut self, lines: &mut LineReader) {
        loop {
            let line = match lines.ask(PROMPT).await {
                Ok(Input::Line(line)) => line,
                Ok(Input::Interrupted | Input::End) | Err(_) => return,
            };
            let line = line.trim();
            let line = line.strip_prefix("brigade ").map_or(line, str::trim_start);
            if matches!(line, "q" | "Q" | "quit" | "exit") {
                return;
            }
            // Ctrl-C ends the command.
            let signals = self.signals.clone();
            if let Some(Err(failure)) = signals.until_interrupted(self.command(line, lines)).await {
                self.printer.print(&failure.text());
            }
        }
    }

    async fn command(&mut self, line: &str, lines: &mut LineReader) -> Result<(), Failure> {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if WITHOUT_ARGUMENTS.contains(&command) {
            check_no_arguments(command, rest)?;
        }
        match command {
            "" => Ok(()),
            "files" | "ls" => self.files(rest).await,
            "peers" => self.peers().await,
            "fetch" | "get" => self.fetch(rest, lines).await,
            "limit" => {
                self.printer.print(&limit::run(&self.client, rest).await?);
                Ok(())
            }
            "status" => {
                self.printer.print(&status::text(&PeerReport::of(&self.client).await?));
                Ok(())
            }
            "help" | "?" => {
                self.printer.print(HELP);
                Ok(())
            }
            known if COMMANDS.contains(&known) => {
                typed_commands::run(known, rest, &self.client, &self.printer).await
            }
            other => Err(unknown_command(other)),
        }
    }

    async fn files(&self, text: &str) -> Result<(), Failure> {
        let text = value_suggestions::unquoted(text);
        let wrong =
            |reason: String| Failure::new(USAGE, format!("the text after `files` is too long: {reason}"));
        let mut reader = CatalogueReader::Peer(self.client.clone());
        let mut pages = reader.files(&parse_prefix(text).map_err(wrong)?)?;
        let (mut rows, mut incomplete_ms) = (vec![], None);
        while let Some(page) = reader.next_files(&mut pages).await? {
            incomplete_ms = page.incomplete_ms;
            rows.extend(page.rows.iter().map(|file| file_row::row(&file.entry)));
            if rows.len() > ROWS {
                rows.truncate(ROWS);
                rows.push(format!("… and more: these are the first {ROWS}; `files PREFIX` shows fewer"));
                break;
            }
        }
        pages.ended()?;
        if rows.is_empty() {
            rows.push(files::no_files(text));
        }
        rows.extend(incomplete_note(incomplete_ms));
        self.printer.print(&rows.join("\n"));
        Ok(())
    }

    async fn peers(&self) -> Result<(), Failure> {
        let columns = peer_columns::Columns::of_output();
        let mut reader = CatalogueReader::Peer(self.client.clone());
        let (mut rows, mut after) = (vec![columns.head()], None);
        let incomplete_ms = loop {
            let (page, more) = reader.peers(after).await?;
            rows.extend(page.rows.iter().map(|peer| columns.row(peer)));
            after = page.rows.last().map(|last| last.username.clone());
            if !more || after.is_none() || rows.len() > ROWS {
                break page.incomplete_ms;
            }
        };
        rows.extend(incomplete_note(incomplete_ms));
        self.printer.print(&rows.join("\n"));
        Ok(())
    }

    /// Orders a fetch. If a name has several contents, the person chooses.
    async fn fetch(&mut self, rest: &str, lines: &mut LineReader) -> Result<(), Failure> {
        let (mut request, _) = parse_fetch(rest)?;
        let mut order = FetchOrder::new([&request.name]);
        order.from = request.from.as_ref().map(ToString::to_string);
        order.replace = request.replace;
        loop {
            let follower = self.client.fetch_follower().await?;
            let problem = match self.client.begin_fetches(&order).await {
                Ok(fetches) => {
                    let followed = follower.follow(&fetches);
                    fetches
                        .iter()
                        .zip(followed)
                        .for_each(|(one, progress)| self.follow(one, progress, &request));
                    return Ok(());
                }
                Err(ClientError::Problem(problem)) => *problem,
                Err(error) => return Err(error.into()),
            };
            let choices = choices(&problem);
            if choices.is_empty() {
                let hint = hint_about_spaces(&request.name).filter(|_| is_missing(&problem));
                let failure = Failure::from(problem);
                return Err(match hint {
                    Some(hint) => failure.add_hint(&hint),
                    None => failure,
                });
            }
            for choice in &choices {
                lines.explain(&menu(choice));
                let is_chosen = loop {
                    let Ok(Input::Line(answer)) = lines.ask(&question(choice)).await else { break false };
                    if let Some(is_chosen) = take_answer(&mut request, choice, &answer) {
                        break is_chosen;
                    }
                    lines.explain_further(&invalid_answer(choice, &answer));
                };
                if !is_chosen {
                    return Ok(());
                }
            }
            order.chosen = chosen(&request);
        }
    }

    /// Prints the result of a fetch when it has ended.
    fn follow(&self, fetch: &Fetch, progress: watch::Receiver<Progress>, request: &FetchRequest) {
        if let Some(note) = left_out_note(&fetch.name, fetch.left_out, request.from.as_ref()) {
            self.printer.print(&note);
        }
        let printer = self.printer.clone();
        tokio::spawn(async move {
            let ended = follow_in_background(progress, printer.clone()).await;
            printer.print(&summary(&ended));
        });
    }
}
