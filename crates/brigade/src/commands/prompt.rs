//! The prompt of a peer: commands in, answers out, while fetches go on and things happen.
//!
//! At a terminal a fetch is followed until it ends, unless it is sent to the background with `&`; from a pipe all
//! fetches are in the background, and the end of the input waits for them. How they fare is said meanwhile, and so is
//! whether the manager is there.

use std::process::ExitCode;

use brigade_node::{
    peer::{Browsing, Fetch, LinkState, Peer, Progress, ResolveError, State, Wish},
    store::keeper::Backlog,
};
use tokio::task::JoinSet;

use super::{
    choosing::{Chosen, meaning, menu, no_answer, question, take_answer},
    fetch::code_of,
    files, limit, peers,
    typed::parse_fetch,
};
use crate::{
    clock_news,
    escape::escape,
    exit::{Failure, USAGE},
    folder_news::{self, News},
    format, hints,
    incomplete::{Waiting, remark},
    input::{Input, Lines, Voice},
    progress_bar::{follow, follow_in_background, line, summary, unreached},
    signals::Signals,
};

/// Rows of a listing that are shown; `brigade files` shows all.
const ROWS: usize = 1000;

const HELP: &str = "\
files [PREFIX|PATTERN]            what there is in the network, or what of it begins so or fits
peers                             who is there
fetch NAME [--from USERNAME] [&]  get a file, all files of a folder, or what a pattern like data/**/*.bin fits;
                                  with & in the background, Ctrl-C gives up
                                  (NAME@ID-PREFIX chooses one of several contents; --replace keeps a file
                                  that is in the way aside as NAME.~1~)
limit [up|down RATE|off|auto]     the limits that hold and why, or another one from now on (10MB, off;
                                  auto takes back what was typed)
status                            what is shared, sent and fetched, and what is not shared and why
help                              this
q, Q                              leave";

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
        match command {
            "" => {}
            "q" | "Q" | "quit" | "exit" => return Ok(Next::Quit),
            "files" | "ls" => self.files(rest).await?,
            "peers" => self.peers().await?,
            "fetch" | "get" => self.fetch(rest, lines).await?,
            "limit" => self.voice.say(&limit::run(&self.peer, rest).await?),
            "status" => self.status(),
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
        let mut browsing = Browsing::of(text)?;
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
    async fn resolve(&mut self, mut wish: Wish, lines: &mut Lines) -> Result<Chosen, Failure> {
        let (mut waiting, voice) = (Waiting::default(), self.voice.clone());
        let signals = self.terminal.then(|| self.signals.clone());
        loop {
            let mut say = |left| waiting.text(left).into_iter().for_each(|text| voice.say(&text));
            let choices = match meaning(&self.peer, &wish, &mut say, signals.as_ref()).await {
                Ok(files) => return Ok(Chosen::Files(files)),
                Err(None) => return Ok(Chosen::Nothing),
                Err(Some(ResolveError::Ambiguous { choices, .. })) if self.terminal => choices,
                Err(Some(error)) => return Err(error.into()),
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
        if progress.state != State::Done {
            let code = code_of(std::slice::from_ref(progress));
            self.failed = self.failed.or((!self.terminal).then_some(code));
        }
    }

    fn status(&self) {
        let status = self.peer.status();
        let is_behind = status.backlog.files + status.backlog.settling > 0;
        let manager = match &status.manager {
            LinkState::Here { announced: true } if is_behind => {
                "here, what is hashed is announced".to_owned()
            }
            LinkState::Here { announced: true } => "here, everything is announced".to_owned(),
            LinkState::Here { announced: false } => "here, announcing".to_owned(),
            LinkState::Away { cause } => format!("away ({})", escape(cause)),
            LinkState::Refused { cause } => format!("refuses this peer ({})", escape(cause)),
        };
        let mut rows = vec![
            format!("{} at {}, key {}", status.username, status.address, status.key.short()),
            format!("manager: {manager}"),
            format!("shared: {}, {}", format::count(status.files, "file"), format::bytes(status.bytes)),
        ];
        rows.extend(status.unreached.map(|unreached| unreached.to_string()));
        rows.extend(behind(&status.backlog));
        rows.push(format!(
            "now: sending {}, receiving {}",
            format::rate(status.sending),
            format::rate(status.receiving)
        ));
        let of = |given: &brigade_node::peer::Given| {
            format!("sent to {}: {} ({} pieces)", given.username, format::bytes(given.bytes), given.pieces)
        };
        rows.extend(status.sent.iter().map(of));
        let going_on = |fetch: &Fetch| {
            let progress = fetch.progress().borrow().clone();
            (!progress.is_over()).then(|| format!("fetching: {}{}", line(&progress), unreached(&progress)))
        };
        rows.extend(self.fetches.iter().filter_map(going_on));
        rows.extend(status.clock.as_ref().map(clock_news::text));
        if status.kept.parts > 0 {
            rows.push(format!(
                "unfinished: {} of files that are not being fetched, {} on the disk",
                format::count(status.kept.parts, "part"),
                format::bytes(status.kept.bytes)
            ));
        }
        rows.extend(status.problems.troubles.iter().map(folder_news::text));
        let ignoring = status.problems.ignoring;
        if ignoring.files > 0 {
            rows.push(format!(
                "ignored: {} files and folders, by {} patterns in {} ignore files",
                ignoring.entries, ignoring.patterns, ignoring.files
            ));
        }
        let problem =
            |(what, why): &(String, String)| format!("not shared: {} ({})", escape(what), escape(why));
        rows.extend(status.problems.listed.iter().map(problem));
        if status.problems.rest > 0 {
            rows.push(format!("not shared: {} more", status.problems.rest));
        }
        self.voice.say(&rows.join("\n"));
    }

    /// With fetches going on, a person is asked and a pipe waits for them. An error is the exit code of a signal.
    async fn quit(&mut self, lines: &mut Lines) -> Result<Next, ExitCode> {
        if self.terminal && !self.followed.is_empty() {
            let count = self.followed.len();
            let question = format!(
                "{} would stop, and go on from there next time. Leave? [y/N] ",
                format::count(count, "fetch")
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

/// What is not shared yet because it is not hashed: how far that is, and how long it takes.
fn behind(backlog: &Backlog) -> Vec<String> {
    let mut rows = vec![];
    if backlog.files > 0 {
        let left =
            backlog.time_left().map(|left| format!(", {} left", format::duration(left))).unwrap_or_default();
        let current =
            backlog.current.as_ref().map(|name| format!(", now {}", escape(name))).unwrap_or_default();
        rows.push(format!(
            "hashing: {} of {}, {} to go{left}{current}",
            format::bytes(backlog.bytes_done),
            format::bytes(backlog.bytes),
            format::count(backlog.files, "file"),
        ));
    }
    if backlog.settling > 0 {
        let files = format::count(backlog.settling, "file");
        rows.push(format!("being written, or written a moment ago: {files}, to be hashed once at rest"));
    }
    rows
}
