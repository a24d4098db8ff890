//! Suspending the program (Ctrl-Z, SIGTSTP) and continuing it (`fg`, SIGCONT), for parts of the program that change the
//! mode of the terminal.
//!
//! Such a part restores the terminal when it receives [`JobChange::Suspend`], then calls [`stop_process`]; at
//! [`JobChange::Continued`] it sets the mode and draws again. A program that continues in the background (`bg`, or
//! `kill`) receives that only when it is in the foreground again. On Windows nothing is ever received.

#[cfg(unix)]
use super::{mode, signals::Continued};

/// What the shell or the user does with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) enum JobChange {
    /// The program is to be suspended.
    Suspend,
    /// The program continues, and may use the terminal.
    Continued,
}

/// Receives the changes. While it exists, SIGTSTP does not suspend the program by itself.
#[derive(Debug)]
pub(crate) struct JobControl {
    #[cfg(unix)]
    suspend: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    continued: Continued,
    /// Whether the program continues, and this was not returned yet.
    #[cfg(unix)]
    is_continuing: bool,
}

impl JobControl {
    /// Receives changes from now on.
    pub(crate) fn install() -> Self {
        #[cfg(unix)]
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw());
        Self {
            #[cfg(unix)]
            suspend: tokio::signal::unix::signal(kind).ok(),
            #[cfg(unix)]
            continued: Continued::install(),
            #[cfg(unix)]
            is_continuing: false,
        }
    }

    /// Waits for the next change. A program that nothing could continue is never told to suspend. Cancel safe.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> JobChange {
        loop {
            if self.is_continuing && mode::is_in_foreground() {
                self.is_continuing = false;
                return JobChange::Continued;
            }
            tokio::select! {
                Some(()) = received(self.suspend.as_mut()) => if has_job_control() {
                    self.is_continuing = false;
                    return JobChange::Suspend;
                },
                () = self.continued.next() => self.is_continuing = true,
                () = tokio::time::sleep(mode::FOREGROUND_POLL), if self.is_continuing => {}
            }
        }
    }

    /// Waits without end.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> JobChange {
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn received(signal: Option<&mut tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Stops the process until SIGCONT. The caller has restored the terminal. This may return some instructions before the
/// process stops, so the caller waits for [`JobChange::Continued`].
pub(crate) fn stop_process() {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpid, kill_process};
        if let Err(error) = kill_process(getpid(), Signal::STOP) {
            tracing::debug!(%error, "the program cannot be suspended");
        }
    }
}

/// Tells all programs of this job to suspend, as the terminal does at Ctrl-Z.
pub(crate) fn suspend_job() {
    #[cfg(unix)]
    {
        use rustix::process::{Signal, getpgrp, kill_process_group};
        if let Err(error) = kill_process_group(getpgrp(), Signal::TSTP) {
            tracing::debug!(%error, "the job cannot be suspended");
        }
    }
}

/// Whether a shell can continue this process. A shell gives each job its own process group; without a shell, the group
/// is that of the session, or the parent is in another session, and the system ignores SIGTSTP too.
#[cfg(unix)]
fn has_job_control() -> bool {
    use rustix::process::{getpgrp, getppid, getsid};
    let Ok(session) = getsid(None) else { return false };
    let of_parent = getppid().and_then(|parent| getsid(Some(parent)).ok());
    getpgrp() != session && of_parent == Some(session)
}
