//! The prompt of a peer: commands in, answers out, while fetches go on and things happen.
//!
//! At a terminal a fetch is followed until it ends, unless it is sent to the background with `&`; from a pipe all
//! fetches are in the background, and the end of the input waits for them. How they fare is said meanwhile, and so is
//! whether the manager is there.

use std::process::ExitCode;

use brigade_core::plural::count;
use brigade_node::peer::{Fetch, FetchRequest, FetchState, FileListing, Peer, Progress, ResolveError};
use tokio::task::JoinSet;

use super::{
    choosing::{Chosen, meaning, menu, no_answer, question, take_answer},
    fetch::code_of,
    files, limit, peers, status,
    typed::{about_blanks, parse_fetch, takes_nothing},
};
use crate::{
    command_line::hints,
    exit::{Failure, USAGE},
    notices::{
        catalogue::{Waiting, remark},
        folder::News,
    },
    terminal::{
        input::{Input, Lines, Voice},
        progress_bar::{follow, follow_in_background, summary},
        signals::Signals,
    },
};

/// Rows of a listing that are shown; `brigade files` shows all.
const ROWS: usize = 1000;

/// Commands that stand alone.
const TAKE_NOTHING: [&str; 8] = ["q", "Q", "quit", "exit", "peers", "status", "help", "?"];

const HELP: &str = "\
files [PREFIX|PATTERN]            what there is in the network, or what of it begins so or fits
peers                             who is there
fetch NAME [--from USERNAME] [&]  get a file, all files of a folder, or what a pattern like data/**/*.bin fits;
                                  with & in the background, Ctrl-C gives up
                                  one name at a time; it may hold blanks, and stand in quotation marks
                                  (NAME@ID-PREFIX chooses one of several contents; --replace keeps a file
                                  that is in the way aside as NAME.~1~)
limit [up|down RATE|off|auto]     the limits that hold and why, or another one from now on (10MB, off;
                                  auto takes back what was typed)
status                            what is shared, sent and fetched, and what is not shared and why
help, ?                           this
q, Q, quit, exit                  leave
`ls` is `files`, and `get` is `fetch`";

/// Takes commands until told to quit; the exit code.
pub(crate) async fn run(peer: Peer, mut lines: Lines, signals: Signals) -> Result<ExitCode, Failure> {
    let voice = lines.voice();
    let terminal = lines.is_terminal();
    let news = News::of(&peer);
    let mut prompt = Prompt {
        peer,
        voice,
        terminal,
        fetches: vec![],
        followed: JoinSet::new(),
        failed: None,
        news,
        signals,
    };
    let code = prompt.take_commands(&mut lines).await;
    prompt.peer.stop().await;
    Ok(code)
}

struct Prompt {
    peer: Peer,
    voice: Voice,
    terminal: bool,
    /// Fetches that were begun and may still go on.
    fetches: Vec<Fetch>,
    /// Those in the background, until they end.
    followed: JoinSet<Progress>,
    /// The exit code of the first command from a pipe that failed.
    failed: Option<u8>,
    news: News,
    signals: Signals,
}

/// What a command leads to.
enum Next {
    Go,
    Quit,
}

impl Prompt {
    async fn take_commands(&mut self, lines: &mut Lines) -> ExitCode {
        loop {
            let input = match self.next_input(lines, "> ").await {
                Ok(input) => input,
                Err(signal) => return signal,
            };
            let next = match input {
                Ok(Input::Line(line)) => {
                    let mut signals = self.signals.clone();
                    tokio::select! {
                        next = self.command(line.trim(), lines) => next,
                        // A manager that does not answer is not waited for.
                        signal = signals.first() => return signal.exit_code(),
                    }
                }
                Ok(Input::Interrupted | Input::End) => Ok(Next::Quit),
                Err(error) => Err(Failure::other("reading standard input", &error)),
            };
            match next {
                Ok(Next::Go) => {}
                Ok(Next::Quit) => match self.quit(lines).await {
                    Ok(Next::Quit) => return self.failed.map_or(ExitCode::SUCCESS, ExitCode::from),
                    Ok(Next::Go) => {}
                    Err(signal) => return signal,
                },
                Err(failure) => self.complain(&failure),
            }
            if let Some(signal) = self.signals.heard() {
                return signal.exit_code();
            }
        }
    }

    /// Waits for a line; meanwhile says what happens. An error is the exit code of a signal.
    async fn next_input(
        &mut self,
        lines: &mut Lines,
        question: &str,
    ) -> Result<std::io::Result<Input>, ExitCode> {
        let mut signals = self.signals.clone();
        let interrupts = lines.leaves_interrupts().then(|| self.signals.take_interrupts());
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
                news = self.news.next() => self.voice.say(&news),
                signal = signals.first() => return Err(signal.exit_code()),
            }
        }
    }

    async fn command(&mut self, line: &str, lines: &mut Lines) -> Result<Next, Failure> {
        // As it is typed in a shell.
        let line = line.strip_prefix("brigade ").map_or(line, str::trim_start);
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if TAKE_NOTHING.contains(&command) {
            takes_nothing(command, rest)?;
        }
        match command {
            "" => {}
            "q" | "Q" | "quit" | "exit" => return Ok(Next::Quit),
            "files" | "ls" => self.files(rest).await?,
            "peers" => self.peers().await?,
            "fetch" | "get" => self.fetch(rest, lines).await?,
            "limit" => self.voice.say(&limit::run(&self.peer, rest).await?),
            "status" => self.voice.say(&status::text(&self.peer, &self.fetches)),
            "help" | "?" => self.voice.say(HELP),
            other => {
                let message = format!("{other:?} is not a command");
                return Err(Failure::new(USAGE, message).hint("`help` lists the commands"));
            }
        }
        Ok(Next::Go)
    }

    async fn files(&mut self, text: &str) -> Result<(), Failure> {
        let text = hints::unquoted(text);
        let mut browsing = FileListing::of(text)?;
        let mut rows = vec![];
        let mut incomplete_ms = None;
        while let Some((prefix, after)) = browsing.question() {
            let page = self.peer.files(&prefix, after).await?;
            incomplete_ms = page.incomplete_ms;
            rows.extend(browsing.take(page).iter().map(files::row));
            if rows.len() > ROWS {
                rows.truncate(ROWS);
                rows.push(format!(
                    "… and more: `files PREFIX` shows less, `brigade files` all (the first {ROWS} are here)"
                ));
                break;
            }
        }
        browsing.ended()?;
        if rows.is_empty() {
            rows.push(files::nothing(text));
        }
        rows.extend(remark(incomplete_ms));
        self.voice.say(&rows.join("\n"));
        Ok(())
    }

    async fn peers(&mut self) -> Result<(), Failure> {
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
        rows.extend(remark(incomplete_ms));
        self.voice.say(&rows.join("\n"));
        Ok(())
    }

    async fn fetch(&mut self, rest: &str, lines: &mut Lines) -> Result<(), Failure> {
        let (wish, background) = parse_fetch(rest)?;
        let Chosen::Files(files) = self.resolve(wish, lines).await? else { return Ok(()) };
        let fetch = self.peer.fetch(files).await?;
        self.fetches.retain(|fetch| !fetch.progress().borrow().is_over());
        self.fetches.push(fetch.clone());
        if background || !self.terminal {
            let voice = self.voice.clone();
            self.followed.spawn(async move { follow_in_background(&fetch, voice).await });
            return Ok(());
        }
        let interrupts = self.signals.take_interrupts();
        let mut signals = self.signals.clone();
        tokio::select! {
            progress = follow(&fetch, &mut self.news) => self.ended(&progress),
            _ = signals.first() => {} // the caller sees it
            () = interrupts.interrupt() => {
                fetch.give_up();
                let mut fetch = fetch;
                let progress = fetch.finished().await;
                self.ended(&progress);
            }
        }
        Ok(())
    }

    /// What a wish means; where a name has several contents, a person is asked which.
    async fn resolve(&mut self, mut wish: FetchRequest, lines: &mut Lines) -> Result<Chosen, Failure> {
        let (mut waiting, voice) = (Waiting::default(), self.voice.clone());
        let signals = self.terminal.then(|| self.signals.clone());
        loop {
            let mut say = |left| waiting.text(left).into_iter().for_each(|text| voice.say(&text));
            let choices = match meaning(&self.peer, &wish, &mut say, signals.as_ref()).await {
                Ok(files) => return Ok(Chosen::Files(files)),
                Err(None) => return Ok(Chosen::Nothing),
                Err(Some(ResolveError::Ambiguous { choices, .. })) if self.terminal => choices,
                Err(Some(error)) => {
                    let blanks = about_blanks(&wish.name);
                    let blanks = blanks.filter(|_| matches!(error, ResolveError::NotFound { .. }));
                    let failure = Failure::from(error);
                    return Err(match blanks {
                        Some(blanks) => failure.hint_too(&blanks),
                        None => failure,
                    });
                }
            };
            for choice in &choices {
                self.voice.say(&menu(choice));
                let taken = loop {
                    // A signal is seen by the caller; Ctrl-C and Ctrl-D choose nothing.
                    let Ok(Ok(Input::Line(answer))) = self.next_input(lines, &question(choice)).await else {
                        break false;
                    };
                    if let Some(taken) = take_answer(&mut wish, choice, &answer) {
                        break taken;
                    }
                    self.voice.say(&no_answer(choice, &answer));
                };
                if !taken {
                    return Ok(Chosen::Nothing);
                }
            }
        }
    }

    fn ended(&mut self, progress: &Progress) {
        self.voice.say(&summary(progress));
        if progress.state != FetchState::Done {
            let code = code_of(std::slice::from_ref(progress));
            self.failed = self.failed.or((!self.terminal).then_some(code));
        }
    }

    /// With fetches going on, a person is asked and a pipe waits for them. An error is the exit code of a signal.
    async fn quit(&mut self, lines: &mut Lines) -> Result<Next, ExitCode> {
        if self.terminal && !self.followed.is_empty() {
            let question = format!(
                "{} would stop, and go on from there next time. Leave? [y/N] ",
                count(self.followed.len(), "fetch")
            );
            let answer = self.next_input(lines, &question).await?;
            let yes = match answer {
                Ok(Input::Line(line)) => matches!(line.trim().to_lowercase().as_str(), "y" | "yes" | "q"),
                _ => true, // Ctrl-C or Ctrl-D, or the terminal is gone
            };
            return Ok(if yes { Next::Quit } else { Next::Go });
        }
        let mut signals = self.signals.clone();
        while !self.followed.is_empty() {
            tokio::select! {
                Some(Ok(progress)) = self.followed.join_next() => self.ended(&progress),
                news = self.news.next() => self.voice.say(&news),
                signal = signals.first() => return Err(signal.exit_code()),
            }
        }
        Ok(Next::Quit)
    }

    fn complain(&mut self, failure: &Failure) {
        if self.terminal {
            self.voice.say(&failure.text());
        } else {
            failure.print();
            self.failed = self.failed.or(Some(failure.code));
        }
    }
}
