//! `brigade peer`: a folder that is shared, and a prompt.
//!
//! What is not given is asked for; an answer that cannot be used is explained and asked again. The manager is greeted
//! before anything is asked: it says where to listen. The port is taken before the username is asked for.

use std::{io, path::PathBuf, process::ExitCode};

use brigade_core::{name::Username, schedule::LimitPlan, wire::Reason};
use brigade_node::peer::{JoinError, Peer, PeerConfig, PeerError, TakenPort, is_peer_folder};

use super::{
    connect::{ListenChoice, is_about_the_port, join, manager_address},
    prompt,
};
use crate::{
    command_line::args::{PeerArgs, parse_port},
    exit::{FAILED, Failure, USAGE},
    home::home_file,
    notices::{folder::News, unshared::UnsharedLog},
    terminal::{
        dim,
        input::{Input, Lines},
        output::say,
        signals::{Signal, Signals},
    },
};

/// Joins the network, then takes commands until told to quit.
pub(crate) async fn run(args: PeerArgs, limits: LimitPlan) -> Result<ExitCode, Failure> {
    let mut signals = Signals::hear();
    if args.headless {
        return headless(args, limits, signals).await;
    }
    let mut lines = Lines::open(home_file("history"))
        .map_err(|error| Failure::other("opening standard input", &error))?;
    let joined = tokio::select! {
        joined = ask_and_join(&args, &limits, &mut lines) => joined?,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let Some(peer) = joined else { return Ok(Signal::Interrupt.exit_code()) };
    let welcome = format!(
        "{} shares {} with the network of {}, at {}. `help` lists the commands.",
        peer.username(),
        folder_of(&args, &peer.username()).display(),
        manager_address(&args.peer.manager).shown(),
        peer.address()
    );
    lines.voice().say(&welcome);
    if let Some(unreached) = peer.unreached() {
        lines.voice().say(&unreached.to_string());
    }
    prompt::run(peer, lines, signals).await
}

/// Runs until it is terminated.
async fn headless(args: PeerArgs, limits: LimitPlan, mut signals: Signals) -> Result<ExitCode, Failure> {
    let Some(username) = args.peer.username.clone() else {
        return Err(Failure::new(USAGE, "--headless needs --username")); // the command line was refused
    };
    let config = config(&args, limits, username);
    let peer = tokio::select! {
        joined = join(&config, args.peer.host.as_deref(), args.peer.port) => joined?,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let ready = async {
        if peer.announced().await {
            say("ready");
        }
        std::future::pending::<()>().await;
    };
    let signal = tokio::select! {
        signal = signals.first() => signal,
        () = ready => Signal::Terminate,
        () = complain(&peer) => Signal::Terminate,
        () = UnsharedLog::of(&peer).run() => Signal::Terminate,
    };
    peer.stop().await;
    Ok(signal.exit_code())
}

/// Says what becomes of the folder and of the manager, for as long as it is waited for.
#[allow(clippy::print_stderr)]
async fn complain(peer: &Peer) {
    if let Some(unreached) = peer.unreached() {
        eprintln!("{unreached}");
    }
    let mut news = News::of(peer);
    loop {
        eprintln!("{}", news.next().await);
    }
}

/// Asks for what is not given until the manager agrees; `None` where the person had enough.
async fn ask_and_join(
    args: &PeerArgs,
    limits: &LimitPlan,
    lines: &mut Lines,
) -> Result<Option<Peer>, Failure> {
    let ground = ListenChoice::find(&manager_address(&args.peer.manager), args.peer.host.as_deref()).await?;
    let Some(mut port) = ask_port(args, &ground, lines).await? else { return Ok(None) };
    let mut named = None;
    loop {
        let username = match named.take() {
            Some(username) => username,
            None => {
                let Some(username) = ask_username(args, lines).await? else { return Ok(None) };
                if !may_share(args, &username, lines).await? {
                    if args.peer.username.is_some() {
                        let failure = Failure::new(FAILED, "its files are not shared");
                        return Err(failure.hint("--folder names another folder"));
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
        // Another name, or port, may do where this one was refused; nothing else gets better by asking.
        let another_port = args.peer.port.is_none() && is_about_the_port(&not_joined.error);
        let another_name = args.peer.username.is_none() && is_about_the_name(args, &not_joined.error);
        let failure = Failure::from(not_joined.error);
        port = match not_joined.port {
            Some(same) if another_name => {
                failure.print();
                same
            }
            Some(taken) if another_port => {
                failure.print();
                drop(taken); // only now somebody else may have it
                named = Some(username);
                let Some(port) = ask_port(args, &ground, lines).await? else { return Ok(None) };
                port
            }
            _ => return Err(failure),
        };
    }
}

/// Whether another username would do; where a folder is named, no name changes what is wrong with it.
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

async fn ask_port(
    args: &PeerArgs,
    ground: &ListenChoice,
    lines: &mut Lines,
) -> Result<Option<TakenPort>, Failure> {
    if let Some(port) = args.peer.port {
        return Ok(Some(ground.take_port(port)?));
    }
    if lines.is_terminal() {
        lines
            .voice()
            .say(&dim("The TCP port on which others reach this peer; Enter alone takes a free one."));
    }
    loop {
        let Some(answer) = ask(lines, "Port: ").await? else { return Ok(None) };
        let port = match answer.trim() {
            "" => Ok(0),
            text => parse_port(text),
        };
        match port.map(|port| ground.take_port(port)) {
            Ok(Ok(port)) => {
                if answer.trim().is_empty() || answer.trim() == "0" {
                    lines.voice().say(&format!("using port {}", port.address().port()));
                }
                return Ok(Some(port));
            }
            // Another port does not help where the address is none of this machine's.
            Ok(Err(error)) if error.source.kind() == io::ErrorKind::AddrNotAvailable => {
                return Err(error.into());
            }
            Ok(Err(error)) => Failure::from(error).print(),
            Err(wanted) => Failure::new(USAGE, format!("{answer:?} is not a port: {wanted}"))
                .hint("Enter alone takes a free one")
                .print(),
        }
    }
}

async fn ask_username(args: &PeerArgs, lines: &mut Lines) -> Result<Option<Username>, Failure> {
    if let Some(username) = &args.peer.username {
        return Ok(Some(username.clone()));
    }
    loop {
        let Some(answer) = ask(lines, "Username: ").await? else { return Ok(None) };
        match answer.trim().parse() {
            Ok(username) => return Ok(Some(username)),
            Err(error) => Failure::new(USAGE, format!("{answer:?} cannot be a username: {error}"))
                .hint("a folder is named after it: letters and digits, as in fire_user")
                .print(),
        }
    }
}

/// A folder that was never Brigade's is shared only if the person at the terminal says so.
async fn may_share(args: &PeerArgs, username: &Username, lines: &mut Lines) -> Result<bool, Failure> {
    let folder = folder_of(args, username);
    if !lines.is_terminal() || !folder.is_dir() || is_peer_folder(&folder) {
        return Ok(true);
    }
    let question = format!("{} is there already. Share all files in it? [y/N] ", folder.display());
    let answer = ask(lines, &question).await?;
    Ok(answer.is_some_and(|answer| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
}

/// An answer; `None` where there will be none.
async fn ask(lines: &mut Lines, question: &str) -> Result<Option<String>, Failure> {
    match lines.ask(question).await {
        Ok(Input::Line(line)) => Ok(Some(line)),
        Ok(Input::Interrupted) => Ok(None),
        Ok(Input::End) if lines.is_terminal() => Ok(None),
        Ok(Input::End) => Err(Failure::new(USAGE, "standard input ended before everything was answered")
            .hint("give --port and --username, or write the answers to standard input, one a line")),
        Err(error) => Err(Failure::other("reading standard input", &error)),
    }
}

fn folder_of(args: &PeerArgs, username: &Username) -> PathBuf {
    args.folder.clone().unwrap_or_else(|| PathBuf::from(username.as_str()))
}

fn config(args: &PeerArgs, limits: LimitPlan, username: Username) -> PeerConfig {
    PeerConfig::new(manager_address(&args.peer.manager), folder_of(args, &username))
        .username(username)
        .max_connections(args.peer.max)
        .limits(limits)
        .keep_parts(args.peer.keep_parts.time())
}
