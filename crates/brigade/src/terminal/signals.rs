//! Ctrl-C and SIGTERM: the first one stops in good order, a second Ctrl-C at once.
//!
//! Nothing here ends anything but for that second one: who hears a signal decides what is left to do.

use std::process::ExitCode;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// 128 and the signal's number, as shells have it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Hears signals.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    first: watch::Receiver<Option<Signal>>,
    /// Somebody takes Ctrl-C for something smaller than the end of the program.
    taken: std::sync::Arc<watch::Sender<Option<u64>>>,
}

/// While it lives, Ctrl-C is its own.
#[derive(Debug)]
pub(crate) struct Taken(std::sync::Arc<watch::Sender<Option<u64>>>);

/// From here on a write past the size that this account may give a file fails, as one on a full disk does, and does not
/// end the program (SIGXFSZ). Called within a runtime.
pub(crate) fn outlive_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Whoever hears it does not matter: once it was heard once, the system's own answer to it is gone for good.
        let number = rustix::process::Signal::XFSZ.as_raw();
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::debug!(%error, "a file that grows too large ends the program");
        }
    }
}

impl Signals {
    /// From here on signals are heard here and do not end the program by themselves.
    pub(crate) fn hear() -> Self {
        let (sender, first) = watch::channel(None);
        let taken = std::sync::Arc::new(watch::Sender::new(None));
        let signals = Self { first, taken: taken.clone() };
        // Made here and kept, so that none is missed: not before the task runs, and not between two.
        let mut heard = Heard::new();
        tokio::spawn(async move {
            loop {
                let signal = heard.next().await;
                let count = |taken: &mut Option<u64>| taken.as_mut().map(|count| *count += 1).is_some();
                if signal == Signal::Interrupt && taken.send_if_modified(count) {
                    continue;
                }
                if sender.borrow().is_some() && signal == Signal::Interrupt {
                    super::input::give_back_terminal();
                    std::process::exit(130);
                }
                sender.send_replace(Some(signal));
            }
        });
        signals
    }

    /// The first signal.
    pub(crate) async fn first(&mut self) -> Signal {
        if self.first.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.heard().unwrap_or(Signal::Terminate)
    }

    /// The signal that came, if any.
    pub(crate) fn heard(&self) -> Option<Signal> {
        *self.first.borrow()
    }

    /// Cancels `stop` at the first signal.
    pub(crate) fn cancel(&self, stop: CancellationToken) {
        let mut signals = self.clone();
        tokio::spawn(async move {
            signals.first().await;
            stop.cancel();
        });
    }

    /// Takes Ctrl-C for something smaller, until the value is dropped.
    pub(crate) fn take_interrupts(&self) -> Taken {
        self.taken.send_replace(Some(0));
        Taken(self.taken.clone())
    }
}

impl Taken {
    /// Waits for a Ctrl-C.
    pub(crate) async fn interrupt(&self) {
        let mut taken = self.0.subscribe();
        let _ = taken.wait_for(|count| count.is_some_and(|count| count > 0)).await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// Hears that the program goes on after it was suspended (Ctrl-Z, `fg`): what stood on the terminal may be gone.
#[derive(Debug)]
pub(crate) struct Continued(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Continued {
    /// From here on it is heard.
    pub(crate) fn hear() -> Self {
        #[cfg(unix)]
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Self(
            #[cfg(unix)]
            tokio::signal::unix::signal(kind).ok(),
        )
    }

    /// Waits until the program goes on the next time.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// The system's signals; one that cannot be heard does what it does by itself.
#[cfg(unix)]
struct Heard {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Heard {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) -> Signal {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            if let Some(signal) = signal
                && signal.recv().await.is_some()
            {
                return;
            }
            std::future::pending().await
        }
        tokio::select! {
            () = one(&mut self.interrupt) => Signal::Interrupt,
            () = one(&mut self.terminate) => Signal::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Heard;

#[cfg(not(unix))]
impl Heard {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
