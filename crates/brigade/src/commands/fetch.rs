//! `brigade fetch`: files and folders into a folder, without a prompt; a peer while it runs.
//!
//! Standard output has the data: a line for each name, or with `--json` the objects of [`super::report`], the one with the
//! totals at the end, however it ends. Standard error has the progress, and whether the manager is there. The folder's
//! other files are nobody's business: only what was fetched is served.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use brigade_core::schedule::LimitPlan;
use brigade_node::{
    durable::{make_folders, remove_folders},
    peer::{
        Fetch, FetchRequest, FetchState, ManagerState, Peer, PeerConfig, Progress, ResolveError, Resolved,
        ShareMode,
    },
};
use serde_json::Value;

use super::{
    choosing::{Chosen, menu, no_answer, question, take_answer},
    connect::{join, manager_address},
    done_file::{check_done_file, make_done_file},
    report,
};
use crate::{
    command_line::args::FetchArgs,
    exit::{DISK, FAILED, Failure, NOT_FOUND, REFUSED},
    notices::{catalogue::Waiting, folder::News},
    terminal::{
        input::{Input, Lines},
        output::say,
        progress_bar::{follow, summary},
        signals::{Signal, Signals},
    },
};

/// Fetches all names at once, and stays where it is told to.
pub(crate) async fn run(args: FetchArgs, limits: LimitPlan) -> Result<ExitCode, Failure> {
    let mut signals = Signals::hear();
    let (peer, made) = match begin(&args, limits, &mut signals).await {
        Ok(begun) => begun,
        Err(ended) => {
            if args.json {
                let ended = Going::default().end(&args).with_reason(&ended, &signals);
                say(&report::totals(&[], false, &[], ended.reason).to_string());
            }
            return ended;
        }
    };
    let mut news = News::of(&peer);
    let mut going = Going::default();
    let result = tokio::select! {
        result = fetch_all(&peer, &args, &mut going, &mut news) => result,
        signal = signals.first() => Ok(signal.exit_code()),
    };
    let ended = going.end(&args).with_reason(&result, &signals);
    let is_done = ended.done;
    let result = match result {
        Ok(_) if ended.done && args.stay => Ok(stay(&mut signals, &mut news).await),
        result => result,
    };
    if args.json {
        let Ended { done, fetched, reason } = ended;
        say(&report::totals(&fetched, done, &peer.status().sent, reason).to_string());
    }
    if is_done {
        peer.stop().await;
    } else {
        peer.take_back().await;
        remove_folders(&made); // those in which nothing is
    }
    result
}

/// Joins the network, with the folders that were made to that end; an error is how it ended before that.
async fn begin(
    args: &FetchArgs,
    limits: LimitPlan,
    signals: &mut Signals,
) -> Result<(Peer, Vec<PathBuf>), Result<ExitCode, Failure>> {
    check_done_file(args.done_file.as_deref(), &args.into).map_err(Err)?;
    let manager = manager_address(&args.peer.manager);
    let mut config = PeerConfig::new(manager, &args.into)
        .sharing(ShareMode::Fetched)
        .max_connections(args.peer.max)
        .limits(limits)
        .keep_parts(args.peer.keep_parts.time());
    config.username = args.peer.username.clone();
    let made = make_parents(&args.into).map_err(Err)?;
    let joined = tokio::select! {
        joined = join(&config, args.peer.host.as_deref(), args.peer.port) => joined.map_err(Err),
        signal = signals.first() => Err(Ok(signal.exit_code())),
    };
    match joined {
        Ok(peer) => Ok((peer, made)),
        Err(ended) => {
            remove_folders(&made); // as if it had never been tried
            Err(ended)
        }
    }
}

/// Makes the folders that lead to `folder`; those that were not there, innermost first.
fn make_parents(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Some(parent) = folder.parent() else { return Ok(vec![]) };
    make_folders(parent, false).map_err(|error| {
        let message = format!("making the folder {}: {error}", parent.display());
        Failure::new(DISK, message).hint("--into names another folder")
    })
}

/// What was begun, and the first of it that have ended, in the same order.
#[derive(Default)]
struct Going {
    fetches: Vec<Fetch>,
    ended: Vec<Progress>,
    /// Why nothing was begun, in the form of [`Failure::json`].
    reason: Option<Value>,
}

/// How it ended.
struct Ended {
    /// Whether everything that was asked for is here.
    done: bool,
    fetched: Vec<Progress>,
    /// Why it is not done, in the form of [`Failure::json`].
    reason: Option<Value>,
}

async fn fetch_all(
    peer: &Peer,
    args: &FetchArgs,
    going: &mut Going,
    news: &mut News,
) -> Result<ExitCode, Failure> {
    let wanted = match resolve_all(peer, args, &mut going.reason).await? {
        Ok(wanted) => wanted,
        Err(code) => return Ok(code),
    };
    going.fetches = peer.fetch_all(wanted).await?;
    let told = if args.json { going.fetches.clone() } else { vec![] };
    let told = report::tell_progress(told);
    tokio::pin!(told);
    for fetch in &going.fetches {
        let progress = tokio::select! {
            progress = follow(fetch, news) => progress,
            failure = stranded(peer, &going.fetches) => return Err(failure),
            () = &mut told => continue, // which never ends
        };
        say_ended(args, &progress);
        going.ended.push(progress);
    }
    let done = going.ended.iter().all(|progress| progress.state == FetchState::Done);
    if let Some(path) = args.done_file.as_deref().filter(|_| done) {
        make_done_file(path)?;
    }
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(code_of(&going.ended)) })
}

/// What all names mean. Whatever is wrong with any of them is said before anything is fetched; the exit code then is
/// that of the first.
async fn resolve_all(
    peer: &Peer,
    args: &FetchArgs,
    reason: &mut Option<Value>,
) -> Result<Result<Vec<Resolved>, ExitCode>, Failure> {
    let mut wanted = vec![];
    let mut first = None;
    let mut waiting = Waiting::default();
    for name in &args.names {
        let mut wish = FetchRequest::new(name).replace(args.replace);
        wish.from = args.from.clone();
        let failure = match resolve(peer, wish, args.json, &mut waiting).await {
            Ok(Chosen::Files(files)) => {
                wanted.push(files);
                continue;
            }
            Ok(Chosen::Interrupted) => return Ok(Err(Signal::Interrupt.exit_code())),
            Ok(Chosen::Nothing) => Failure::new(NOT_FOUND, format!("nothing was chosen of {name:?}")),
            Err(failure) => failure,
        };
        if args.json {
            say(&report::failure(name, &failure).to_string());
        }
        reason.get_or_insert_with(|| failure.json());
        match first {
            // One alone is said where all errors are.
            None if args.names.len() == 1 => return Err(failure),
            _ => failure.print(),
        }
        first = first.or(Some(failure.code));
    }
    Ok(first.map_or(Ok(wanted), |code| Err(ExitCode::from(code))))
}

/// What a name means; where it has several contents, a person at a terminal is asked which.
#[allow(clippy::print_stderr)]
async fn resolve(
    peer: &Peer,
    mut wish: FetchRequest,
    json: bool,
    waiting: &mut Waiting,
) -> Result<Chosen, Failure> {
    let mut say_wait = |left| waiting.text(left).into_iter().for_each(|text| eprintln!("{text}"));
    let mut lines = None;
    loop {
        let (choices, rest) = match peer.resolve(&wish, &mut say_wait).await {
            Ok(files) => return Ok(Chosen::Files(files)),
            Err(ResolveError::Ambiguous { choices, rest }) => (choices, rest),
            Err(error) => return Err(error.into()),
        };
        if lines.is_none() && !json {
            lines = Some(Lines::open(None).map_err(|error| Failure::other("opening the terminal", &error))?);
        }
        let Some(lines) = lines.as_mut().filter(|lines| lines.is_terminal()) else {
            return Err(ResolveError::Ambiguous { choices, rest }.into());
        };
        for choice in &choices {
            lines.voice().say(&menu(choice));
            let taken = loop {
                match lines.ask(&question(choice)).await {
                    Ok(Input::Line(answer)) => {
                        if let Some(taken) = take_answer(&mut wish, choice, &answer) {
                            break taken;
                        }
                        lines.voice().say(&no_answer(choice, &answer));
                    }
                    Ok(Input::Interrupted) => return Ok(Chosen::Interrupted),
                    _ => break false,
                }
            };
            if !taken {
                return Ok(Chosen::Nothing);
            }
        }
    }
}

/// Waits until the manager refuses for good and everything that is not over waits: nobody will say who else has it.
async fn stranded(peer: &Peer, fetches: &[Fetch]) -> Failure {
    let mut state = peer.state();
    let refused = state.wait_for(|state| matches!(state, ManagerState::Refused { .. })).await;
    let cause = refused.ok().and_then(|state| match &*state {
        ManagerState::Refused { cause } => Some(cause.clone()),
        _ => None,
    });
    let Some(cause) = cause else { return std::future::pending().await }; // the peer stops
    let moves = |progress: &Progress| !progress.is_over() && progress.state != FetchState::Waiting;
    while let Some(mut moving) = fetches.iter().map(Fetch::progress).find(|one| moves(&one.borrow())) {
        if moving.wait_for(|progress| !moves(progress)).await.is_err() {
            return std::future::pending().await;
        }
    }
    if fetches.iter().all(|fetch| fetch.progress().borrow().is_over()) {
        return std::future::pending().await; // who follows them sees it
    }
    let message =
        format!("the manager refuses this peer, and nobody who is here has what is missing: {cause}");
    Failure::new(REFUSED, message).hint("what is verified is kept, and the same fetch goes on from there")
}

impl Going {
    /// How far everything came, and says so of what nothing was said of yet.
    fn end(self, args: &FetchArgs) -> Ended {
        let Self { fetches, ended: mut fetched, reason } = self;
        for fetch in &fetches[fetched.len()..] {
            let progress = fetch.progress().borrow().clone().or_stopped();
            say_ended(args, &progress);
            fetched.push(progress);
        }
        let all = fetched.len() == args.names.len();
        let done = all && fetched.iter().all(|progress| progress.state == FetchState::Done);
        Ended { done, fetched, reason }
    }
}

impl Ended {
    /// With the reason why it is not done, or failed all the same.
    fn with_reason(mut self, result: &Result<ExitCode, Failure>, signals: &Signals) -> Self {
        let reason = self.reason.take();
        self.reason = match result {
            Err(failure) => Some(failure.json()),
            Ok(_) if self.done => None,
            Ok(_) => reason.or_else(|| {
                let code = signals.heard().map_or_else(|| code_of(&self.fetched), Signal::code);
                Some(report::reason(code, &self.fetched))
            }),
        };
        self
    }
}

/// Errors of files are about the disk or about what there is; where there is none, it was stopped.
pub(super) fn code_of(fetched: &[Progress]) -> u8 {
    match fetched {
        _ if fetched.iter().any(|progress| progress.failed > progress.changed) => DISK,
        _ if fetched.iter().any(|progress| progress.changed > 0) => NOT_FOUND,
        _ => FAILED,
    }
}

#[allow(clippy::print_stderr)]
async fn stay(signals: &mut Signals, news: &mut News) -> ExitCode {
    loop {
        tokio::select! {
            signal = signals.first() => return signal.exit_code(),
            news = news.next() => eprintln!("{news}"),
        }
    }
}

/// One fetch is over.
fn say_ended(args: &FetchArgs, progress: &Progress) {
    say(&if args.json { report::result(progress).to_string() } else { summary(progress) });
}
