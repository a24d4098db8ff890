//! The verification of a peer that runs, or the last one, with the results of its repairs.
//!
//! One runs at a time. The lock is held to copy or set values.

use std::sync::{Mutex, MutexGuard, PoisonError};

use brigade_core::name::FileName;
use brigade_node::peer as node;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::values::Verification;

/// The verification that runs, or the last one.
#[derive(Debug, Default)]
pub(super) struct VerificationSlot(Mutex<Option<StartedVerification>>);

#[derive(Debug)]
struct StartedVerification {
    progress: watch::Receiver<node::VerifyProgress>,
    cancelled: CancellationToken,
    repair: bool,
    begun_s: u64,
    /// Whether damaged files may still be repaired.
    is_repairing: bool,
    /// The result of each repair.
    repairs: Vec<(FileName, Result<u64, String>)>,
}

impl VerificationSlot {
    /// The verification now.
    pub(super) fn shown(&self) -> Option<Verification> {
        self.slot().as_ref().map(|started| {
            let progress = started.progress.borrow().clone();
            let mut shown = Verification::new(&progress, started.begun_s, started.repair);
            for file in &mut shown.damaged {
                let repair = started.repairs.iter().find(|(name, _)| name.as_str() == file.name);
                match repair.map(|(_, result)| result) {
                    Some(Ok(fetch)) => file.repaired_by = Some(*fetch),
                    Some(Err(error)) => file.repair_error = Some(error.clone()),
                    None => {}
                }
            }
            shown
        })
    }

    /// A verification begins; the token is cancelled when it is to end.
    pub(super) fn begin(
        &self,
        progress: watch::Receiver<node::VerifyProgress>,
        repair: bool,
        begun_s: u64,
    ) -> CancellationToken {
        let cancelled = CancellationToken::new();
        let started = StartedVerification {
            progress,
            cancelled: cancelled.clone(),
            repair,
            begun_s,
            is_repairing: repair,
            repairs: vec![],
        };
        *self.slot() = Some(started);
        cancelled
    }

    /// Whether the last verification has ended, and its repairs have not all begun.
    pub(super) fn is_repairing(&self) -> bool {
        let is_repairing = |started: &StartedVerification| {
            started.is_repairing && started.progress.borrow().state != node::VerifyState::Running
        };
        self.slot().as_ref().is_some_and(is_repairing)
    }

    /// All repairs have begun, or there are none.
    pub(super) fn repairs_begun(&self) {
        if let Some(started) = self.slot().as_mut() {
            started.is_repairing = false;
        }
    }

    /// Cancels the verification, if it runs. Returns whether it did.
    pub(super) fn cancel(&self) -> bool {
        let slot = self.slot();
        let is_running =
            |started: &&StartedVerification| started.progress.borrow().state == node::VerifyState::Running;
        slot.as_ref().filter(is_running).inspect(|started| started.cancelled.cancel()).is_some()
    }

    /// A damaged file is fetched again, or cannot be.
    pub(super) fn repaired(&self, name: &FileName, result: Result<u64, String>) {
        if let Some(started) = self.slot().as_mut() {
            started.repairs.push((name.clone(), result));
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<StartedVerification>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
