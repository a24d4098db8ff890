//! `brigade manager`: the network's manager, with its table in a terminal and log lines elsewhere.
//!
//! `manager_display` shows it; `brigade_node::manager` is the manager itself.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use brigade_node::{
    manager::{ManagerConfig, ManagerServer},
    user_account::brigade_home,
};
use tokio_util::sync::CancellationToken;

use super::{headless::settings_reload::LiveSettings, local_api::LocalApi, ui::can_draw};
use crate::{
    checked_home::NO_HOME,
    command_line::{args::ManagerArgs, effective_options::EffectiveOptions},
    failure::{DISK, Failure},
    folder_argument_checks::{check_state, state_notes},
    manager_display,
    screen::{ScreenEnd, show_manager},
    service_manager::ServiceManager,
    terminal::{
        mode,
        signals::{Signal, Signals},
        standard_error::print_error_line,
        standard_output::print_line,
    },
};

/// Runs the manager until it is stopped.
pub(crate) async fn run(args: ManagerArgs, options: EffectiveOptions) -> Result<ExitCode, Failure> {
    let has_screen = can_draw() && !args.plain;
    let mut signals = if has_screen { Signals::install() } else { Signals::install_for_service() };
    let service = ServiceManager::from_env();
    let stop = CancellationToken::new();
    let state_dir = args.state.map_or_else(|| default_state(args.port), Ok)?;
    check_state(&state_dir)?;
    state_notes(&state_dir).for_each(|note| print_error_line(&note));
    let config =
        ManagerConfig::new(state_dir).host(args.host).port(args.port).max_peers(args.max).open(args.open);
    let mut server = ManagerServer::start_until(config, stop.clone()).await?;
    signals.cancel(stop.clone());
    // A request ends the manager as a signal does, but with success.
    let requested = CancellationToken::new();
    let (client, api) = LocalApi::of_manager(&server.handle(), requested.clone());
    api.note().into_iter().for_each(print_error_line);
    let stopping = signals.clone();
    tokio::spawn(async move {
        requested.cancelled().await;
        stopping.request_stop();
    });
    let (handle, events) = (server.handle(), server.events());
    let mut shown = if has_screen {
        show_manager(client, true, stop.clone()).await
    } else {
        print_line("ready");
        service.ready(&format!("listening on {}", server.address()));
        tokio::select! {
            () = manager_display::log_table(&handle, events, stop.clone()) => {}
            () = service.keep_alive(async || server.responds().await) => {}
            () = reload_filter(options, signals.clone(), &service, server.address()) => {}
        }
        Ok(ScreenEnd::Stopped)
    };
    // A terminal that is closed causes an error first, and then the signal.
    let mut signal = if shown.is_err() { signals.at_end_of_terminal().await } else { signals.received() };
    if shown.is_err() && signal.is_none() && mode::is_closed() {
        // The signal is ignored (`nohup`): the manager continues without its screen.
        manager_display::log_table(&handle, server.events(), stop.clone()).await;
        shown = Ok(ScreenEnd::Stopped);
        signal = signals.received();
    }
    service.stopping();
    stop.cancel();
    server.stopped().await;
    api.stop().await;
    match shown {
        // While the screen is shown, Ctrl-C is a key like all others.
        Ok(ScreenEnd::Interrupted) => Ok(Signal::Interrupt.exit_code()),
        Err(error) if signal.is_none() => Err(Failure::other("showing the screen", &error)),
        _ => Ok(signal.map_or(ExitCode::SUCCESS, Signal::exit_code)),
    }
}

/// Reads the settings again at each request. Of a running manager, only the filter of the log can change. It runs until
/// it is dropped.
async fn reload_filter(
    options: EffectiveOptions,
    mut signals: Signals,
    service: &ServiceManager,
    address: SocketAddr,
) {
    let mut settings = LiveSettings::new(options);
    loop {
        signals.reload().await;
        service.reloading();
        settings.reload(None).await;
        service.ready(&format!("listening on {address}"));
    }
}

fn default_state(port: u16) -> Result<PathBuf, Failure> {
    let home = brigade_home().ok_or_else(|| {
        Failure::new(DISK, format!("there is no folder for the manager's key and members: {NO_HOME}"))
            .hint("name a folder with --state")
    })?;
    Ok(home.join("managers").join(port.to_string()))
}
