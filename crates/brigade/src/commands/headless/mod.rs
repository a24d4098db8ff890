//! `brigade peer --headless`: a peer as a service, without a prompt.
//!
//! It waits for a manager that is not there yet (`waiting`), writes everything to the log, reads its settings again at
//! SIGHUP, and reports to the service manager. Nobody can answer a question: a refusal that no waiting mends ends it.

pub(super) mod settings_reload;
mod waiting;

use std::process::ExitCode;

use brigade_node::peer::{AskError, ManagerState, Peer, check_shares};

use self::{settings_reload::LiveSettings, waiting::join_when_possible};
use super::{
    doctor::checks_of,
    local_api::LocalApi,
    peer::{config, folder_of, named_folder},
};
use crate::{
    checked_home::home,
    command_line::{args::PeerArgs, effective_options::EffectiveOptions},
    failure::{Failure, USAGE},
    folder_argument_checks::check_shared,
    notices::{Notices, unshared_files::UnsharedLog},
    service_manager::ServiceManager,
    terminal::{
        signals::{Signal, Signals},
        standard_error::print_error_line,
        standard_output::print_line,
    },
    text::escape::escape,
    transfer_log::{TransferLog, TransferLogFile},
};

/// Runs until terminated, or until the manager refuses the peer for good.
pub(super) async fn run(args: PeerArgs, options: EffectiveOptions) -> Result<ExitCode, Failure> {
    if let Some(folder) = named_folder(&args) {
        check_shared(&folder)?;
    }
    check_shares(&args.share, named_folder(&args).as_deref(), home().as_deref(), true)?; // a disk may be mounted later
    let mut signals = Signals::install_for_service();
    let service = ServiceManager::from_env();
    let Some(username) = args.peer.username.clone() else {
        return Err(Failure::new(USAGE, "--headless needs --username")); // checked with the command line
    };
    let transfer_log = TransferLogFile::open(args.transfer_log.transfer_log.as_deref())?;
    let mut settings = LiveSettings::new(options);
    let config = config(&args, settings.options.limits.clone(), username).wait_for_shares(true);
    let joined = join_when_possible(&config, &args.peer, &mut settings, &service, signals.clone());
    let peer = tokio::select! {
        joined = joined => joined?,
        // Also during an attempt: a name server that is away may take longer than the service manager waits.
        () = service.keep_alive(async || true) => std::future::pending().await,
        signal = signals.first() => {
            service.stopping();
            return Ok(signal.exit_code());
        }
    };
    let transfer_log = transfer_log.map(|file| TransferLog::start(file, peer.handle()));
    let checks = checks_of(&config, peer.address().port());
    let (_, api) = LocalApi::of_peer(&peer, checks);
    api.note().into_iter().for_each(print_error_line);
    let folder = folder_of(&args, &peer.username());
    let sharing = format!(
        "sharing {} with the network of {}, as {}",
        folder.display(),
        args.peer.manager.address().shown(),
        peer.username()
    );
    service.ready(&sharing);
    let ended = until_ended(&peer, &sharing, &mut settings, &service, &mut signals).await;
    service.stopping();
    peer.stop().await;
    api.stop().await;
    if let Some(log) = transfer_log {
        log.finish().await;
    }
    ended.map(Signal::exit_code)
}

/// Serves until a signal or a refusal.
async fn until_ended(
    peer: &Peer,
    sharing: &str,
    settings: &mut LiveSettings,
    service: &ServiceManager,
    signals: &mut Signals,
) -> Result<Signal, Failure> {
    let ready = async {
        if peer.announced().await {
            print_line("ready");
        }
        std::future::pending::<()>().await;
    };
    let reloads = signals.clone();
    tokio::select! {
        biased; // the refusal before its notice
        signal = signals.first() => Ok(signal),
        () = peer.stop_requested() => Ok(Signal::Requested),
        failure = wait_until_refused(peer) => Err(failure),
        () = ready => Ok(Signal::Terminate),
        () = print_notices(peer, service, sharing) => Ok(Signal::Terminate),
        () = UnsharedLog::of(peer).run() => Ok(Signal::Terminate),
        () = service.keep_alive(async || peer.responds().await) => Ok(Signal::Terminate),
        () = reload_settings(peer, settings, service, sharing, reloads) => Ok(Signal::Terminate),
    }
}

/// Waits until the manager refuses this peer for good. Only a person could help then, and nobody is at a prompt.
async fn wait_until_refused(peer: &Peer) -> Failure {
    let mut state = peer.state();
    let refused = state.wait_for(|state| matches!(state, ManagerState::Refused { .. })).await;
    match refused.as_deref() {
        Ok(ManagerState::Refused { cause }) => {
            Failure::from(AskError::RefusedForGood { cause: cause.clone() }).hint(
                "if the manager was set up again, start the peer with its new key (--manager-key); if the username \
                 belongs to another key, choose another --username",
            )
        }
        _ => std::future::pending().await, // the peer stops
    }
}

/// Prints the notices until it is dropped; the service manager gets the state of the manager.
async fn print_notices(peer: &Peer, service: &ServiceManager, sharing: &str) {
    if let Some(unreached) = peer.unreached() {
        print_error_line(&unreached.to_string());
    }
    let mut notices = Notices::of(peer);
    loop {
        print_error_line(&notices.next().await);
        match &*peer.state().borrow() {
            ManagerState::Away { cause } => {
                service.status(&format!("{sharing}; the manager is away: {}", escape(cause)));
            }
            _ => service.status(sharing),
        }
    }
}

/// Reads the settings again at each request, until it is dropped.
async fn reload_settings(
    peer: &Peer,
    settings: &mut LiveSettings,
    service: &ServiceManager,
    sharing: &str,
    mut signals: Signals,
) {
    loop {
        signals.reload().await;
        service.reloading();
        settings.reload(Some(peer)).await;
        service.ready(sharing);
    }
}
