//! The thread of a screen. A terminal may stop reading for any time (Ctrl-S, a connection that hangs), and a thread that
//! draws on it then waits: nothing else of the program may wait for that thread without a limit.
//!
//! If the program ends without it, the terminal is restored by `terminal::restoring_process`.

use std::{io, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// How long the end of a screen that is to end is waited for.
const END_TIME: Duration = Duration::from_secs(1);

/// A thread that runs a screen, with the result to come.
#[derive(Debug)]
pub(super) struct ScreenThread<T>(oneshot::Receiver<T>);

impl<T: Send + 'static> ScreenThread<T> {
    /// Starts the thread. Must be called in a runtime, which the screen uses.
    pub(super) fn start<F: Future<Output = T>>(run: impl FnOnce() -> F + Send + 'static) -> io::Result<Self> {
        let (send, result) = oneshot::channel();
        let runtime = Handle::current();
        std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let _ = send.send(runtime.block_on(run())); // nobody waits for it any more
        })?;
        Ok(Self(result))
    }

    /// Waits for the result. Cancel safe.
    ///
    /// # Errors
    /// If the thread has panicked.
    pub(super) async fn result(&mut self) -> io::Result<T> {
        let result = (&mut self.0).await;
        result.map_err(|_| io::Error::other("the screen ended by an error in Brigade itself"))
    }

    /// Like [`Self::result`] for a screen that was told to end; `None` if the terminal holds it up.
    pub(super) async fn result_in_time(&mut self) -> Option<io::Result<T>> {
        timeout(END_TIME, self.result()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::ScreenThread;

    #[tokio::test]
    async fn a_thread_that_a_terminal_holds_up_is_not_waited_for() {
        let (go_on, stopped) = mpsc::channel::<()>();
        let mut held_up = ScreenThread::start(move || async move { stopped.recv().is_ok() }).unwrap();
        assert!(held_up.result_in_time().await.is_none());
        go_on.send(()).unwrap();
        assert!(held_up.result().await.unwrap());
    }
}
