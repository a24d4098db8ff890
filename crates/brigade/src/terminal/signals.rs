//! Signals to the program. The first Ctrl-C, SIGTERM or SIGHUP stops it in good order, a second Ctrl-C or SIGTERM at once.
//!
//! For a service without a terminal, SIGHUP means that it reads its settings again. Only such a second signal ends the
//! program here: the receiver of a signal decides what is left to do. [`Continued`] receives SIGCONT, by which a
//! suspended program continues; [`handle_size_limit_signal`] disables the default action of SIGXFSZ, which a write to a
//! file that is too large causes.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

#[cfg(target_os = "linux")]
use crate::failure::HUNG_UP;
use crate::failure::{INTERRUPTED, TERMINATED};

/// How long the end of the input from a terminal waits for a signal.
const END_TIME: Duration = Duration::from_millis(50);

/// How long a closed terminal waits for SIGHUP, which may come from the shell.
const HANG_UP_TIME: Duration = Duration::from_secs(1);

/// The time within which a second SIGTERM is the first one again: some programs, such as `timeout`, send it to the process
/// and to its group.
const REPEATED_STOP_TIME: Duration = Duration::from_secs(1);

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM; on Windows Ctrl-Break, a closed console window, a logoff or a shutdown.
    Terminate,
    /// SIGHUP: the terminal is closed. Only Linux tells whether a program must ignore it (`nohup`); on other systems
    /// the signal keeps its default action.
    #[cfg(target_os = "linux")]
    HangUp,
    /// `brigade stop`, which is no signal of the system: the program has done what it was to do.
    Requested,
}

impl Signal {
    /// The exit code as a number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Interrupt => INTERRUPTED,
            Self::Terminate => TERMINATED,
            #[cfg(target_os = "linux")]
            Self::HangUp => HUNG_UP,
            Self::Requested => 0,
        }
    }

    /// The signal that a closed terminal means; `None` if it has no effect on this program.
    #[cfg(target_os = "linux")]
    fn of_closed_terminal() -> Option<Self> {
        (!ignores_hang_up()).then_some(Self::HangUp)
    }

    /// Elsewhere the signal keeps its default action.
    #[cfg(not(target_os = "linux"))]
    const fn of_closed_terminal() -> Option<Self> {
        None
    }

    /// The exit code.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Receives signals.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    first: watch::Receiver<Option<Signal>>,
    sender: watch::Sender<Option<Signal>>,
    /// The number of Ctrl-C while an [`InterruptGuard`] exists; otherwise `None`.
    interrupts: Arc<watch::Sender<Option<u64>>>,
    /// The number of requests to read the settings again.
    reloads: watch::Receiver<u64>,
    /// When the first SIGTERM came.
    terminated: Arc<OnceLock<Instant>>,
}

/// The effect of SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangUpEffect {
    /// The terminal is closed: it stops the program.
    Stop,
    /// A service manager asks a service to read its settings again.
    Reload,
}

/// While it exists, Ctrl-C does not end the program, and [`Self::interrupt`] returns.
#[derive(Debug)]
pub(crate) struct InterruptGuard(Arc<watch::Sender<Option<u64>>>);

/// Makes a write beyond the file size limit of the account fail like a write to a full disk, instead of ending the
/// program (SIGXFSZ). Must be called in a runtime.
pub(crate) fn handle_size_limit_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // No receiver is needed: after it was registered once, the default action of the signal is disabled.
        let number = rustix::process::Signal::XFSZ.as_raw();
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::debug!(%error, "a file that grows too large ends the program");
        }
    }
}

impl Signals {
    /// Receives signals from now on; they do not end the program any more.
    pub(crate) fn install() -> Self {
        Self::install_with(HangUpEffect::Stop)
    }

    /// Like [`Self::install`], for a service: without a terminal that could be closed, SIGHUP does not stop it, and
    /// [`Self::reload`] returns instead. If SIGHUP is ignored (`nohup`), it has no effect.
    pub(crate) fn install_for_service() -> Self {
        let is_at_terminal =
            io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        Self::install_with(if is_at_terminal { HangUpEffect::Stop } else { HangUpEffect::Reload })
    }

    fn install_with(hang_up: HangUpEffect) -> Self {
        let (sender, first) = watch::channel(None);
        let (reload, reloads) = watch::channel(0);
        let interrupts = Arc::new(watch::Sender::new(None));
        let signals = Self { first, interrupts, sender, reloads, terminated: Arc::default() };
        let receiver = signals.clone();
        // Registered here and kept, so that no signal is missed: neither before the task runs, nor between two.
        let mut signals_of_system = SystemSignals::new(hang_up);
        tokio::spawn(async move {
            loop {
                match signals_of_system.next().await {
                    Some(signal) => receiver.receive(signal),
                    None => reload.send_modify(|count| *count += 1),
                }
            }
        });
        signals
    }

    /// Handles a signal: one of the system, or a Ctrl-C that a screen read as a key.
    pub(crate) fn receive(&self, signal: Signal) {
        let count = |interrupts: &mut Option<u64>| interrupts.as_mut().map(|count| *count += 1).is_some();
        if signal == Signal::Interrupt && self.interrupts.send_if_modified(count) {
            return;
        }
        let since = self.terminated.get().map(Instant::elapsed);
        let is_repeated = match signal {
            Signal::Interrupt => self.sender.borrow().is_some(),
            _ => signal == Signal::Terminate && since.is_some_and(|since| since >= REPEATED_STOP_TIME),
        };
        if is_repeated {
            super::covered_output::restore_terminal();
            super::mode::restore_terminal();
            std::process::exit(signal.code().into());
        }
        if signal == Signal::Terminate {
            self.terminated.get_or_init(Instant::now);
        }
        self.sender.send_replace(Some(signal));
    }

    /// Ends the program as a signal does, but with success.
    pub(crate) fn request_stop(&self) {
        self.sender.send_if_modified(|received| {
            let is_first = received.is_none();
            received.get_or_insert(Signal::Requested);
            is_first
        });
    }

    /// Waits for the next request to read the settings again.
    pub(crate) async fn reload(&mut self) {
        if self.reloads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the first signal.
    pub(crate) async fn first(&mut self) -> Signal {
        if self.first.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
        self.received().unwrap_or(Signal::Terminate)
    }

    /// The received signal, if any.
    pub(crate) fn received(&self) -> Option<Signal> {
        *self.first.borrow()
    }

    /// The signal that came together with the end of the input from a terminal, or with an error of the terminal, if
    /// any. A terminal that is closed ends the input first; SIGHUP follows. If it does not, because a shell keeps it, a
    /// closed terminal counts as this signal, unless it is ignored.
    pub(crate) async fn at_end_of_terminal(&mut self) -> Option<Signal> {
        match timeout(END_TIME, self.first()).await {
            Ok(signal) => Some(signal),
            Err(_) if super::mode::is_closed() => {
                timeout(HANG_UP_TIME, self.first()).await.ok().or_else(Signal::of_closed_terminal)
            }
            Err(_) => None,
        }
    }

    /// Cancels `stop` at the first signal.
    pub(crate) fn cancel(&self, stop: CancellationToken) {
        let mut signals = self.clone();
        tokio::spawn(async move {
            signals.first().await;
            stop.cancel();
        });
    }

    /// Makes Ctrl-C end less than the program until the guard is dropped.
    pub(crate) fn guard_interrupts(&self) -> InterruptGuard {
        self.interrupts.send_replace(Some(0));
        InterruptGuard(self.interrupts.clone())
    }

    /// The result of `work`; `None` if Ctrl-C came first, which then ends only `work`.
    pub(crate) async fn until_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let interrupts = self.guard_interrupts();
        tokio::select! {
            result = work => Some(result),
            () = interrupts.interrupt() => None,
        }
    }
}

impl InterruptGuard {
    /// Waits for a Ctrl-C.
    pub(crate) async fn interrupt(&self) {
        let mut interrupts = self.0.subscribe();
        let _ = interrupts.wait_for(|count| count.is_some_and(|count| count > 0)).await;
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// Receives that the program continues after it was suspended (Ctrl-Z, `fg`): the text on the terminal may have
/// changed.
#[derive(Debug)]
pub(crate) struct Continued(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Continued {
    /// Receives the signal from now on.
    pub(crate) fn install() -> Self {
        #[cfg(unix)]
        let kind = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        Self(
            #[cfg(unix)]
            tokio::signal::unix::signal(kind).ok(),
        )
    }

    /// Waits until the program continues the next time.
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

/// The signals of the system; one that cannot be received keeps its default action.
#[cfg(unix)]
struct SystemSignals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    /// On other systems than Linux only for a service, since they do not tell whether the signal is ignored.
    hang_up: Option<tokio::signal::unix::Signal>,
    hang_up_effect: HangUpEffect,
}

#[cfg(unix)]
impl SystemSignals {
    fn new(hang_up_effect: HangUpEffect) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let has_default = cfg!(not(target_os = "linux")) && hang_up_effect == HangUpEffect::Stop;
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
            hang_up: if has_default || ignores_hang_up() { None } else { signal(SignalKind::hangup()).ok() },
            hang_up_effect,
        }
    }

    /// The next signal; `None` for a request to read the settings again.
    async fn next(&mut self) -> Option<Signal> {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            if let Some(signal) = signal
                && signal.recv().await.is_some()
            {
                return;
            }
            std::future::pending().await
        }
        tokio::select! {
            () = one(&mut self.interrupt) => Some(Signal::Interrupt),
            () = one(&mut self.terminate) => Some(Signal::Terminate),
            () = one(&mut self.hang_up) => match self.hang_up_effect {
                HangUpEffect::Reload => None,
                #[cfg(target_os = "linux")]
                HangUpEffect::Stop => Some(Signal::HangUp),
                #[cfg(not(target_os = "linux"))]
                HangUpEffect::Stop => Some(Signal::Terminate), // it is not received then
            },
        }
    }
}

/// Whether SIGHUP has no effect on this program (`nohup`), or may have none.
#[cfg(target_os = "linux")]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.is_none_or(|bits| bits & 1 == 1) // the lowest bit is signal 1, SIGHUP
}

/// Other systems do not tell.
#[cfg(all(unix, not(target_os = "linux")))]
const fn ignores_hang_up() -> bool {
    false
}

/// The events of the console; one that cannot be received keeps its default action. After the window was closed, or at
/// a logoff or shutdown, the system ends the program some seconds later.
#[cfg(windows)]
struct SystemSignals {
    interrupt: Option<tokio::signal::windows::CtrlC>,
    pause: Option<tokio::signal::windows::CtrlBreak>,
    close: Option<tokio::signal::windows::CtrlClose>,
    logoff: Option<tokio::signal::windows::CtrlLogoff>,
    shutdown: Option<tokio::signal::windows::CtrlShutdown>,
}

#[cfg(windows)]
impl SystemSignals {
    fn new(_: HangUpEffect) -> Self {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
        Self {
            interrupt: ctrl_c().ok(),
            pause: ctrl_break().ok(),
            close: ctrl_close().ok(),
            logoff: ctrl_logoff().ok(),
            shutdown: ctrl_shutdown().ok(),
        }
    }

    async fn next(&mut self) -> Option<Signal> {
        /// Waits for the event, or without end if it cannot be received.
        macro_rules! received {
            ($event:ident) => {
                async {
                    if let Some(event) = &mut self.$event
                        && event.recv().await.is_some()
                    {
                        return;
                    }
                    std::future::pending().await
                }
            };
        }
        tokio::select! {
            () = received!(interrupt) => Some(Signal::Interrupt),
            () = received!(pause) => Some(Signal::Terminate),
            () = received!(close) => Some(Signal::Terminate),
            () = received!(logoff) => Some(Signal::Terminate),
            () = received!(shutdown) => Some(Signal::Terminate),
        }
    }
}
