//! Output while a screen covers the terminal: it is kept for the screen, which shows it in its own place.
//!
//! Everything that would write to the terminal asks here first: printed lines, errors, and log lines. Without a screen
//! nothing is kept. The number of kept texts is bounded; the oldest are dropped.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};

use tokio::sync::Notify;

/// The most texts that wait for the screen, which takes them many times a second.
const TEXTS: usize = 10_000;

/// How long a program that exits at once waits for its terminal.
const RESTORING_TIME: Duration = Duration::from_millis(500);

static IS_COVERED: AtomicBool = AtomicBool::new(false);

static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Restores the terminal at once.
static RESTORING: Mutex<Option<fn()>> = Mutex::new(None);

static ADDED: Notify = Notify::const_new();

/// Sets whether a screen covers the terminal.
pub(crate) fn set_covered(is_covered: bool) {
    IS_COVERED.store(is_covered, Ordering::SeqCst);
}

/// Whether a screen covers the terminal.
pub(crate) fn is_covered() -> bool {
    IS_COVERED.load(Ordering::SeqCst)
}

/// Sets how the terminal is restored before the program exits at once.
pub(crate) fn set_restoring(restore: fn()) {
    RESTORING.lock().unwrap_or_else(PoisonError::into_inner).replace(restore);
}

/// Restores the terminal, if a screen covers it. A terminal that is stopped is not waited for.
pub(crate) fn restore_terminal() {
    let restore = *RESTORING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(restore) = restore {
        let (done, restored) = sync_channel(1);
        std::thread::spawn(move || {
            restore();
            let _ = done.send(()); // it took too long
        });
        let _ = restored.recv_timeout(RESTORING_TIME); // an error: the terminal is stopped
    }
}

/// Keeps a text for the screen.
pub(crate) fn keep(text: &str) {
    let mut kept = locked();
    if kept.len() >= TEXTS {
        kept.pop_front();
    }
    kept.push_back(text.trim_end_matches('\n').to_owned());
    drop(kept);
    ADDED.notify_one();
}

/// The kept texts, the oldest first; they are not kept any more.
pub(crate) fn take() -> Vec<String> {
    locked().drain(..).collect()
}

/// Waits until a text was kept since the last call. Cancel safe.
pub(crate) async fn added() {
    ADDED.notified().await;
}

fn locked() -> MutexGuard<'static, VecDeque<String>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
