//! `brigade peer`: shares a folder, with a prompt.
//!
//! Values that are not given are asked for; an answer that cannot be used is explained, and the question is repeated.
//! The manager is contacted first: its answer decides where to listen. The port is bound before the username is asked
//! for. A peer without a prompt is in `headless`.

use std::{io, path::PathBuf, process::ExitCode};

use brigade_api::client::PeerClient;
use brigade_core::{limit_plan::LimitPlan, name::Username, wire::Reason};
use brigade_node::peer::{JoinError, Peer, PeerConfig, PeerError, TakenPort, check_shares, is_peer_folder};

use super::{
    doctor::checks_of,
    listen_and_join::{ListenChoice, is_about_the_port},
    local_api::LocalApi,
    prompt,
};
use crate::{
    checked_home::{home, home_file},
    command_line::{args::PeerArgs, value_parsers::parse_port},
    failure::{FAILED, Failure, USAGE},
    folder_argument_checks::check_shared,
    screen::{PeerScreen, ScreenOptions},
    terminal::{
        dim,
        input::{Input, LineReader, is_about_line, is_yes},
        signals::{Signal, Signals},
    },
    transfer_log::{TransferLog, TransferLogFile},
};

/// Joins the network, then runs commands until the user quits.
pub(crate) async fn run(args: PeerArgs, limits: LimitPlan) -> Result<ExitCode, Failure> {
    if let Some(folder) = named_folder(&args) {
        check_shared(&folder)?;
    }
    // Before any question: with an answer nothing of this would be different.
    check_shares(&args.share, named_folder(&args).as_deref(), home().as_deref(), false)?;
    let mut signals = Signals::install();
    let transfer_log = TransferLogFile::open(args.transfer_log.transfer_log.as_deref())?;
    let mut lines = LineReader::open(home_file("history"))
        .map_err(|error| Failure::other("opening standard input", &error))?;
    let joined = tokio::select! {
        joined = ask_and_join(&args, &limits, &mut lines) => joined?,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let Some(peer) = joined else {
        // The user pressed Ctrl-C or Ctrl-D, or the terminal was closed.
        return Ok(signals.at_end_of_terminal().await.unwrap_or(Signal::Interrupt).exit_code());
    };
    let transfer_log = transfer_log.map(|file| TransferLog::start(file, peer.handle()));
    let username = peer.username();
    let checks = checks_of(&config(&args, limits.clone(), username), peer.address().port());
    let (client, api) = LocalApi::of_peer(&peer, checks);
    let mut screen = None;
    if !args.plain && lines.is_edited() {
        let of_screen = signals.clone();
        let opened = tokio::select! {
            opened = open_screen(client.clone(), lines, &of_screen) => opened?,
            signal = signals.first() => {
                peer.stop().await;
                api.stop().await;
                return Ok(signal.exit_code());
            }
        };
        (screen, lines) = opened;
    }
    let welcome = format!(
        "{} shares {} with the network of {}, at {}. `help` lists the commands.",
        peer.username(),
        folder_of(&args, &peer.username()).display(),
        args.peer.manager.address().shown(),
        peer.address()
    );
    lines.printer().print(&welcome);
    if let Some(unreached) = peer.unreached() {
        lines.printer().print(&unreached.to_string());
    }

    api.note().into_iter().for_each(|note| lines.printer().print(note));
    let ended = prompt::run(peer, client, lines, signals.clone()).await;
    api.stop().await;
    if let Some(log) = transfer_log {
        log.finish().await;
    }
    let code = ended?;
    match screen {
        None => Ok(code),
        Some(screen) => match screen.end().await {
            // A terminal that is closed causes an error, and the signal.
            Err(error) if signals.received().is_none() => Err(Failure::other("showing the screen", &error)),
            _ => Ok(code),
        },
    }
}

/// Covers the terminal with the screen. If that is not possible, the prompt stays as it was.
async fn open_screen(
    client: PeerClient,
    lines: LineReader,
    signals: &Signals,
) -> Result<(Option<PeerScreen>, LineReader), Failure> {
    lines.end().await;
    let history = home_file("history");
    let options = ScreenOptions { is_own: true, history: history.clone() };
    match PeerScreen::open(client, options, signals).await {
        Ok((screen, lines)) => Ok((Some(screen), lines)),
        Err(error) => {
            tracing::warn!(%error, "the terminal cannot show the screen");
            let lines = LineReader::open(history)
                .map_err(|error| Failure::other("opening standard input", &error))?;
            Ok((None, lines))
        }
    }
}

/// Asks for values that are not given until the manager accepts them; `None` if the user stopped.
async fn ask_and_join(
    args: &PeerArgs,
    limits: &LimitPlan,
    lines: &mut LineReader,
) -> Result<Option<Peer>, Failure> {
    let listen = ListenChoice::find(&args.peer.manager.address(), args.peer.host.as_deref()).await?;
    let (mut named, mut refused) = (None, None);
    let Some(mut port) = ask_port(args, &listen, lines, &mut refused).await? else { return Ok(None) };
    loop {
        let username = match named.take() {
            Some(username) => username,
            None => {
                let Some(username) = ask_username(args, lines, refused).await? else { return Ok(None) };
                if let Err(failure) = check_shared(&folder_of(args, &username)) {
                    if args.peer.username.is_some() {
                        return Err(failure);
                    }
                    refused = Some(failure.code);
                    failure.print();
                    continue;
                }
                let Some(may_share) = may_share(args, &username, lines).await? else { return Ok(None) };
                if !may_share {
                    if args.peer.username.is_some() {
                        let failure = Failure::new(FAILED, "the files in the folder are not shared");
                        return Err(failure.hint("choose another folder with --folder"));
                    }
                    continue;
                }
                username
            }
        };
        let not_joined = match Peer::join(config(args, limits.clone(), username.clone()), port).await {
            Ok(peer) => return Ok(Some(peer)),
            Err(not_joined) => *not_joined,
        };
        // Only another name or port may help, if this one was refused; other errors end the command.
        let another_port = args.peer.port.is_none() && is_about_the_port(&not_joined.error);
        let another_name = args.peer.username.is_none() && is_about_the_name(args, &not_joined.error);
        let failure = Failure::from(not_joined.error);
        refused = Some(failure.code);
        port = match not_joined.port {
            Some(same) if another_name => {
                failure.print();
                same
            }
            Some(taken) if another_port => {
                failure.print();
                drop(taken); // only now another program may bind it
                named = Some(username);
                let answer = ask_port(args, &listen, lines, &mut refused).await?;
                let Some(port) = answer else { return Ok(None) };
                port
            }
            _ => return Err(failure),
        };
    }
}

/// Whether another username would help; if a folder is named, it would not.
fn is_about_the_name(args: &PeerArgs, error: &PeerError) -> bool {
    match error {
        PeerError::Join(JoinError::Refused { reason, .. }) => {
            matches!(reason, Reason::NameTaken | Reason::BadName)
                || *reason == Reason::AlreadyHere && args.folder.is_none()
        }
        PeerError::Folder(_) => args.folder.is_none(),
        _ => false,
    }
}

/// Asks for a port until it can be used. `refused` is the exit code of the last refusal.
async fn ask_port(
    args: &PeerArgs,
    listen: &ListenChoice,
    lines: &mut LineReader,
    refused: &mut Option<u8>,
) -> Result<Option<TakenPort>, Failure> {
    if let Some(port) = args.peer.port {
        return Ok(Some(listen.take_port(port)?));
    }
    if lines.is_terminal() {
        lines
            .printer()
            .print(&dim("The TCP port on which other peers reach this peer; Enter alone takes a free one."));
    }
    loop {
        let Some(answer) = ask(lines, "Port: ", *refused).await? else { return Ok(None) };
        let port = match answer.trim() {
            "" => Ok(0),
            text => parse_port(text),
        };
        let failure = match port.map(|port| listen.take_port(port)) {
            Ok(Ok(port)) => {
                *refused = None;
                if answer.trim().is_empty() || answer.trim() == "0" {
                    lines.printer().print(&format!("using port {}", port.address().port()));
                }
                return Ok(Some(port));
            }
            // Another port does not help if the address belongs to another machine.
            Ok(Err(error)) if error.source.kind() == io::ErrorKind::AddrNotAvailable => {
                return Err(error.into());
            }
            Ok(Err(error)) => Failure::from(error),
            Err(expected) => Failure::new(USAGE, format!("{answer:?} is not a port: {expected}"))
                .hint("Enter alone takes a free one"),
        };
        *refused = Some(failure.code);
        failure.print();
    }
}

/// Asks for a username until it is valid. `refused` is the exit code of the last refusal.
async fn ask_username(
    args: &PeerArgs,
    lines: &mut LineReader,
    mut refused: Option<u8>,
) -> Result<Option<Username>, Failure> {
    if let Some(username) = &args.peer.username {
        return Ok(Some(username.clone()));
    }
    loop {
        let Some(answer) = ask(lines, "Username: ", refused).await? else { return Ok(None) };
        match answer.trim().parse() {
            Ok(username) => return Ok(Some(username)),
            Err(error) => {
                refused = Some(USAGE);
                Failure::new(USAGE, format!("{answer:?} cannot be a username: {error}"))
                    .hint("the folder gets this name; use letters and digits, as in fire_user")
                    .print();
            }
        }
    }
}

/// Whether to share the folder: an existing folder that was never Brigade's needs a yes at the terminal. `None` if the
/// user stopped.
async fn may_share(
    args: &PeerArgs,
    username: &Username,
    lines: &mut LineReader,
) -> Result<Option<bool>, Failure> {
    let folder = folder_of(args, username);
    if !lines.is_terminal() || !folder.is_dir() || is_peer_folder(&folder) {
        return Ok(Some(true));
    }
    let question = format!("{} exists already. Share all files in it? [y/N] ", folder.display());
    let answer = ask(lines, &question, None).await?;
    Ok(answer.map(|answer| is_yes(&answer)))
}

/// An answer; `None` if the user stopped. If the input ends although the last answer was `refused`, the exit code is that
/// of the refusal. At a terminal, the question is repeated after a line that cannot be an answer.
async fn ask(lines: &mut LineReader, question: &str, refused: Option<u8>) -> Result<Option<String>, Failure> {
    loop {
        match lines.ask(question).await {
            Ok(Input::Line(line)) => return Ok(Some(line)),
            Ok(Input::Interrupted) => return Ok(None),
            Ok(Input::End) if lines.is_terminal() => return Ok(None),
            Ok(Input::End) => {
                let code = refused.unwrap_or(USAGE);
                return Err(Failure::new(code, "standard input ended before all questions were answered")
                    .hint(
                        "give --port and --username, or write the answers to standard input, one per line",
                    ));
            }
            Err(error) if lines.is_terminal() && is_about_line(&error) => Failure::of_input(&error).print(),
            Err(error) => return Err(Failure::of_input(&error)),
        }
    }
}

pub(super) fn folder_of(args: &PeerArgs, username: &Username) -> PathBuf {
    args.folder.clone().unwrap_or_else(|| PathBuf::from(username.as_str()))
}

/// The folder, if it is known before any question.
pub(super) fn named_folder(args: &PeerArgs) -> Option<PathBuf> {
    let named = || args.peer.username.as_ref().map(|username| folder_of(args, username));
    args.folder.clone().or_else(named)
}

pub(super) fn config(args: &PeerArgs, limits: LimitPlan, username: Username) -> PeerConfig {
    PeerConfig::new(args.peer.manager.address(), folder_of(args, &username))
        .username(username)
        .max_connections(args.peer.max)
        .limits(limits)
        .keep_parts(args.peer.keep_parts.time())
        .shares(args.share.clone())
        .keep_fetches(true)
}
