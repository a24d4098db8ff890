//! Joining a network whose manager may not be there yet: a service starts before its manager, or before the network of
//! its machine.
//!
//! The first failed attempt is reported once; then the manager is dialled again and again, with growing pauses. A
//! refusal that no waiting mends, such as another key or a username that is taken, ends the waiting.

use std::time::Duration;

use brigade_core::{backoff::Backoff, limits};
use brigade_node::peer::{Peer, PeerConfig};
use tokio::time::{Instant, sleep};

use super::settings_reload::LiveSettings;
use crate::{
    command_line::args::PeerOptions,
    commands::listen_and_join::{JoinFailure, try_join},
    failure::Failure,
    service_manager::ServiceManager,
    terminal::{
        signals::Signals,
        standard_error::{log_records::LogLevel, print_error_line, print_record},
    },
};

/// The pauses between two attempts: short at first, for a machine whose services start together, and then such that a
/// manager that comes back is found soon, and a name server is not asked all the time.
const RETRY: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));

/// How long an earlier session of this peer may keep its name: its lease, and some time for the manager to notice.
const EARLIER_SESSION: Duration = limits::LEASE.saturating_add(Duration::from_secs(10));

/// Joins, and waits for the manager as long as that may help. The settings can be read again in the pauses.
/// The caller sends the signs of life.
///
/// # Errors
/// If only a person can help.
pub(super) async fn join_when_possible(
    config: &PeerConfig,
    options: &PeerOptions,
    settings: &mut LiveSettings,
    service: &ServiceManager,
    mut signals: Signals,
) -> Result<Peer, Failure> {
    let (manager, began, mut retry) = (config.manager.shown(), Instant::now(), RETRY);
    let mut is_reported = false;
    loop {
        let config = config.clone().limits(settings.options.limits.clone());
        let failure = match try_join(&config, options.host.as_deref(), options.port).await {
            Ok(peer) => {
                if is_reported {
                    print_error_line(&format!("the manager at {manager} is there"));
                }
                return Ok(peer);
            }
            Err(JoinFailure::MayPass(failure)) => failure,
            Err(JoinFailure::MayPassAfterLease(failure)) if began.elapsed() < EARLIER_SESSION => failure,
            Err(failure) => return Err(failure.into()),
        };
        let status = format!("waiting for the manager at {manager}: {}", failure.summary());
        if is_reported {
            tracing::debug!(cause = failure.summary(), "the manager is still not there");
            service.status(&status);
        } else {
            print_record(LogLevel::Warn, &status, &serde_json::Map::new());
            // A service that waits has started: nothing would be gained if the service manager waited with it.
            service.ready(&status);
            is_reported = true;
        }
        let pause = sleep(retry.next_pause());
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                () = signals.reload() => {
                    service.reloading();
                    settings.reload(None).await;
                    service.ready(&status);
                }
            }
        }
    }
}
