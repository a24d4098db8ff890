//! `brigade ui`: the screen of a peer or a manager that runs in another process on this machine.
//!
//! Leaving the screen does not end the peer or the manager. A terminal that cannot be drawn on has no screen.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use brigade_api::{
    client::{ManagerClient, PeerClient},
    local::{ProgramKind, Target},
};
use tokio_util::sync::CancellationToken;

use super::{prompt::run_commands, running::find_any_program};
use crate::{
    checked_home::home_file,
    command_line::args::running::UiArgs,
    failure::{Failure, USAGE},
    screen::{PeerScreen, ScreenEnd, ScreenOptions, show_manager},
    terminal::{
        self,
        signals::{Signal, Signals},
        standard_output::print_line,
    },
    text::escape::escape,
};

/// Shows the screen until the user leaves it.
pub(crate) async fn run(args: UiArgs) -> Result<ExitCode, Failure> {
    let signals = Signals::install();
    if !can_draw() {
        let failure =
            Failure::new(USAGE, "a screen needs a terminal that can be drawn on, for input and output");
        return Err(failure.hint("`brigade status` and `brigade transfers` print lines"));
    }
    let kind = match (args.manager || args.state.is_some(), args.folder.is_some()) {
        (true, _) => Some(ProgramKind::Manager),
        (_, true) => Some(ProgramKind::Peer),
        _ => None,
    };
    let target = find_any_program(kind, args.folder.or(args.state))?;
    match target.kind {
        ProgramKind::Manager => of_manager(&target, signals).await,
        ProgramKind::Peer => of_peer(&target, signals).await,
    }
}

/// Whether standard input and output are a terminal that can be drawn on.
pub(super) fn can_draw() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal() && terminal::draws()
}

async fn of_peer(target: &Target, mut signals: Signals) -> Result<ExitCode, Failure> {
    let client = PeerClient::new(target);
    client.status().await?; // a peer that does not answer is an error before the terminal is covered
    let options = ScreenOptions { is_own: false, history: home_file("history") };
    let of_screen = signals.clone();
    let opened = tokio::select! {
        opened = PeerScreen::open(client.clone(), options, &of_screen) => opened,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let (screen, lines) = opened.map_err(|error| Failure::other("showing the screen", &error))?;
    let left = screen.left();
    let code = run_commands(client, lines, signals.clone(), left).await;
    let ended = screen.end().await;
    finish(target, code, ended, signals).await
}

async fn of_manager(target: &Target, signals: Signals) -> Result<ExitCode, Failure> {
    let client = ManagerClient::new(target);
    client.status().await?;
    let stop = CancellationToken::new();
    signals.cancel(stop.clone());
    let (code, ended) = match show_manager(client, false, stop).await {
        Ok(ScreenEnd::Interrupted) => (Signal::Interrupt.exit_code(), Ok(())),
        Ok(ScreenEnd::Quit | ScreenEnd::Stopped) => {
            (signals.received().map_or(ExitCode::SUCCESS, Signal::exit_code), Ok(()))
        }
        Err(error) => (ExitCode::SUCCESS, Err(error)),
    };
    finish(target, code, ended, signals).await
}

/// Says that the program goes on. A terminal that is closed causes an error first, and then the signal.
async fn finish(
    target: &Target,
    code: ExitCode,
    ended: io::Result<()>,
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    if let Err(error) = ended {
        return match signals.at_end_of_terminal().await {
            Some(signal) => Ok(signal.exit_code()),
            None => Err(Failure::other("showing the screen", &error)),
        };
    }
    let kind = match target.kind {
        ProgramKind::Manager => "manager",
        ProgramKind::Peer => "peer",
    };
    print_line(&format!("the {kind} in {} goes on", escape(&target.folder.display().to_string())));
    Ok(code)
}
