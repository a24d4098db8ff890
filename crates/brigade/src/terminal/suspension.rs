//! Suspending the program (Ctrl-Z, SIGTSTP) and continuing it (`fg`, SIGCONT), for parts of the program that change the
//! mode of the terminal.
//!
//! Such a part restores the terminal when it receives [`JobChange::Suspend`], then calls [`stop_process`]; at
//! [`JobChange::Continued`] it sets the mode and draws again. On Windows nothing is ever received.

use super::signals::Continued;

/// What the shell or the user does with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub(crate) enum JobChange {
    /// The program is to be suspended.
    Suspend,
    /// The program continues.
    Continued,
}

/// Receives the changes. While it exists, SIGTSTP does not suspend the program by itself.
#[derive(Debug)]
pub(crate) struct JobControl {
    #[cfg(unix)]
    suspend: Option<tokio::signal::unix::Signal>,
    continued: Continued,
}

impl JobControl {
    /// Receives changes from now on.
    pub(crate) fn install() -> Self {
        #[cfg(unix)]
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw());
        Self {
            #[cfg(unix)]
            suspend: tokio::signal::unix::signal(kind).ok(),
            continued: Continued::install(),
        }
    }

    /// Waits for the next change. A program that nothing could continue is never told to suspend.
    pub(crate) async fn next(&mut self) -> JobChange {
        #[cfg(unix)]
        if let Some(suspend) = &mut self.suspend {
            loop {
                tokio::select! {
                    Some(()) = suspend.recv() => if has_job_control() {
                        return JobChange::Suspend;
                    },
                    () = self.continued.next() => return JobChange::Continued,
                }
            }
        }
        self.continued.next().await;
        JobChange::Continued
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
