//! Waiting for a catalogue that is not complete, because its manager was started again a moment ago.
//!
//! What is there under a name is believed at once. That something is not there, and that a folder has no more than is
//! seen, is believed when the manager takes its catalogue to be complete.

use std::time::Duration;

use brigade_core::{limits, name::Username};
use tokio::time::{Instant, sleep_until};

use super::{ManagerClient, ResolveError, Resolved, Resolving, WantedFile, Wish, is_not_here};

/// How often a name is asked for again that may come while the catalogue is not complete.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The files that `wish` means, for the peer whose username is now what `me` says: one that is not
/// bound may change when the manager comes back.
///
/// Where the manager's catalogue is not complete yet, a "no" is not believed: a name is asked for again, and a folder or a
/// pattern waits until it is complete. `waits` is told how long that may take, before each wait.
pub(crate) async fn resolve(
    asking: &ManagerClient,
    me: &(dyn Fn() -> Username + Sync),
    wish: &Wish,
    waits: &mut (dyn FnMut(Duration) + Send),
) -> Result<Resolved, ResolveError> {
    let until = Instant::now() + limits::CATALOGUE_WAIT;
    loop {
        let believes = Instant::now() >= until;
        let me = me();
        let mut resolving = Resolving { asking, me: &me, wish, believes, incomplete: None, certain: false };
        let result = resolving.files().await;
        let left = resolving.incomplete.filter(|_| !resolving.certain && may_change(&result));
        let Some(left) = left else {
            return match result {
                Ok(files) => Ok(Resolved {
                    name: wish.name.clone(),
                    files: files.unwrap_or_default(), // there are none only where the catalogue is not complete
                }),
                Err(error) => Err(about_the_member(asking, wish, error).await),
            };
        };
        waits(left);
        let pause = if matches!(result, Ok(None)) { left } else { left.min(ASK_AGAIN) };
        sleep_until(until.min(Instant::now() + pause)).await;
    }
}

/// `error`, or that the member whose content is wanted is not in the network, where that is why.
async fn about_the_member(asking: &ManagerClient, wish: &Wish, error: ResolveError) -> ResolveError {
    let Some(username) = &wish.from else { return error };
    let is_away = match &error {
        ResolveError::Ask(error) => is_not_here(error),
        ResolveError::NoSuchVersion { .. } => {
            let shared = asking.browse(&wish.name, None, Some(username.clone())).await;
            shared.as_ref().is_err_and(is_not_here)
        }
        _ => false,
    };
    if is_away { ResolveError::NotHere { username: username.clone() } } else { error }
}

/// Whether peers that come back may make another answer of this one.
const fn may_change(result: &Result<Option<Vec<WantedFile>>, ResolveError>) -> bool {
    match result {
        Ok(_) | Err(ResolveError::NotFound { .. } | ResolveError::NoSuchVersion { .. }) => true,
        Err(ResolveError::Ask(error)) => is_not_here(error),
        Err(_) => false,
    }
}
