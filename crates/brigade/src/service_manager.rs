//! Messages to the service manager that started this program, in systemd's protocol: ready, status, reloading, stopping,
//! and signs of life.
//!
//! They are sent to the Unix socket that `NOTIFY_SOCKET` names; without one, nothing is sent. A message that cannot be
//! sent is lost: the program works without a service manager too.

use std::time::Duration;

/// The service manager, if one waits for messages.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixDatagram>,
    /// How often it expects a sign of life.
    watchdog: Option<Duration>,
}

/// The most characters of a status: `systemctl status` shows it on one line.
const STATUS_CHARACTERS: usize = 200;

impl ServiceManager {
    /// The service manager of the environment.
    pub(crate) fn from_env() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let is_for_this =
            number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog =
            number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_for_this).map(Duration::from_micros);
        Self {
            #[cfg(unix)]
            socket: std::env::var_os("NOTIFY_SOCKET").and_then(|path| connect(&path).ok()),
            watchdog,
        }
    }

    /// The service has started, and the service manager may start what depends on it.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\n{}", status_line(status)));
    }

    /// What the service does now.
    pub(crate) fn status(&self, status: &str) {
        self.send(&status_line(status));
    }

    /// The service reads its settings again; [`Self::ready`] follows.
    pub(crate) fn reloading(&self) {
        self.send(&format!("RELOADING=1\n{}", monotonic_line()));
    }

    /// The service stops.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// Sends a sign of life twice in each interval in which `responds` is true. If it is not, or does not end, the service
    /// manager starts the service again. It runs until it is dropped.
    pub(crate) async fn keep_alive(&self, responds: impl AsyncFn() -> bool) {
        let Some(interval) = self.watchdog else { return std::future::pending().await };
        loop {
            if responds().await {
                self.send("WATCHDOG=1\n");
            } else {
                tracing::warn!("a task does not answer; the service manager gets no sign of life");
            }
            tokio::time::sleep(interval / 2).await;
        }
    }

    #[cfg(unix)]
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::debug!(%error, "the service manager did not get a message");
        }
    }

    /// Other systems have no such protocol.
    #[cfg(not(unix))]
    fn send(&self, _: &str) {}
}

/// A line with the status, without line breaks.
fn status_line(status: &str) -> String {
    let status: String = status.replace(['\n', '\r'], " ").chars().take(STATUS_CHARACTERS).collect();
    format!("STATUS={status}\n")
}

/// A socket that sends to `path`; a path that begins with `@` is in Linux's abstract namespace.
#[cfg(unix)]
fn connect(path: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::UnixDatagram> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    // A service manager that does not read must not stop the service.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = path.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        socket.connect_addr(&address)?;
        return Ok(socket);
    }
    socket.connect(path)?;
    Ok(socket)
}

/// The time of the monotonic clock, by which `Type=notify-reload` knows which reload a message is about.
#[cfg(target_os = "linux")]
fn monotonic_line() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    format!("MONOTONIC_USEC={}\n", now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000))
}

#[cfg(not(target_os = "linux"))]
const fn monotonic_line() -> &'static str {
    ""
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::{Duration, ServiceManager, connect};

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 1000];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn messages_are_lines_with_a_bounded_status() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = ServiceManager { socket: connect(path.as_os_str()).ok(), watchdog: None };
        service.ready("waiting\nfor the manager");
        assert_eq!(received(&manager), "READY=1\nSTATUS=waiting for the manager\n");
        service.status(&"x".repeat(1000));
        assert_eq!(received(&manager).len(), "STATUS=\n".len() + 200);
        service.reloading();
        let reloading = received(&manager);
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
        assert!(!cfg!(target_os = "linux") || reloading.contains("MONOTONIC_USEC="), "{reloading}");
        service.stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[tokio::test]
    async fn only_a_program_that_responds_gives_signs_of_life() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let watchdog = Some(Duration::ZERO);
        let service = ServiceManager { socket: connect(path.as_os_str()).ok(), watchdog };
        let (answers, done) = (std::cell::Cell::new(0), tokio::sync::Notify::new());
        let responds = async || {
            answers.set(answers.get() + 1);
            if answers.get() > 3 {
                done.notify_one();
                std::future::pending::<()>().await;
            }
            answers.get() != 2
        };
        tokio::select! {
            () = service.keep_alive(responds) => {}
            () = done.notified() => {}
        }
        assert_eq!(answers.get(), 4);
        manager.set_nonblocking(true).unwrap();
        let signs = std::iter::from_fn(|| manager.recv(&mut [0; 100]).ok()).count();
        assert_eq!(signs, 2, "not for the answer `false`, and not while the last one is missing");
    }
}
