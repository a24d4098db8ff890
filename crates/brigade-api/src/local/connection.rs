//! Connections over a local socket.
//!
//! A client gets one within [`CONNECT_TIMEOUT`], or an error. It refuses a program of another account.

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::{io, path::Path, time::Duration};

use tokio::time::timeout;

/// How long the system may take to connect to a program of the same machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection.
#[cfg(unix)]
pub type LocalStream = tokio::net::UnixStream;

#[cfg(windows)]
pub use self::windows::LocalStream;

/// Connects to the program that has this socket.
///
/// # Errors
/// If no program answers there, or it belongs to another user.
pub async fn connect(socket: &Path) -> io::Result<LocalStream> {
    timeout(CONNECT_TIMEOUT, open(socket)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(unix)]
async fn open(socket: &Path) -> io::Result<LocalStream> {
    let stream = LocalStream::connect(socket).await?;
    let server = stream.peer_cred()?.uid();
    let own = rustix::process::getuid().as_raw();
    // Root uses the programs of other accounts, too: those that their own folders of sockets have.
    let folder = || std::fs::metadata(socket.parent()?).ok().map(|folder| folder.uid());
    if may_be_trusted(server, own, folder) {
        Ok(stream)
    } else {
        let reason = "another account than that of the folder has made this socket";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }
}

/// Whether the program of the account `server` is one that a client of the account `own` means: orders and paths are told
/// to no other.
#[cfg(unix)]
fn may_be_trusted(server: u32, own: u32, folder_owner: impl FnOnce() -> Option<u32>) -> bool {
    /// The number of root.
    const ROOT: u32 = 0;
    server == own || server == ROOT || (own == ROOT && folder_owner() == Some(server))
}

#[cfg(windows)]
use self::windows::open;

/// Whether a program answers at the socket.
#[cfg(unix)]
pub(super) fn is_answering(socket: &Path) -> io::Result<()> {
    std::os::unix::net::UnixStream::connect(socket).map(drop)
}

/// Whether a program has the pipe: opening it would take an instance, so its lock is tried.
#[cfg(windows)]
pub(super) fn is_answering(lock: &Path) -> io::Result<()> {
    let file = std::fs::File::open(lock)?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Ok(()),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
        Ok(()) => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

#[cfg(windows)]
mod windows {
    use std::{
        io,
        path::Path,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use tokio::{
        io::{AsyncRead, AsyncWrite, ReadBuf},
        net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer},
        time::sleep,
    };

    /// The error of Windows for a pipe whose instances are all taken.
    const PIPE_BUSY: i32 = 231;

    /// An end of a named pipe.
    #[derive(Debug)]
    pub enum LocalStream {
        /// That of the program that made it.
        Server(NamedPipeServer),
        /// That of a client.
        Client(NamedPipeClient),
    }

    pub(super) async fn open(pipe: &Path) -> io::Result<LocalStream> {
        loop {
            match ClientOptions::new().open(pipe) {
                Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => {
                    sleep(Duration::from_millis(10)).await
                }
                result => return result.map(LocalStream::Client),
            }
        }
    }

    impl AsyncRead for LocalStream {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Server(pipe) => Pin::new(pipe).poll_read(cx, buf),
                Self::Client(pipe) => Pin::new(pipe).poll_read(cx, buf),
            }
        }
    }

    impl AsyncWrite for LocalStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Server(pipe) => Pin::new(pipe).poll_write(cx, buf),
                Self::Client(pipe) => Pin::new(pipe).poll_write(cx, buf),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Server(pipe) => Pin::new(pipe).poll_flush(cx),
                Self::Client(pipe) => Pin::new(pipe).poll_flush(cx),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Server(pipe) => Pin::new(pipe).poll_shutdown(cx),
                Self::Client(pipe) => Pin::new(pipe).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::may_be_trusted;

    #[test]
    fn a_program_of_another_account_is_refused() {
        let folder_of = |uid: u32| move || Some(uid);
        assert!(may_be_trusted(1000, 1000, folder_of(1000)));
        assert!(may_be_trusted(0, 1000, folder_of(0)), "root may read everything anyway");
        assert!(!may_be_trusted(1001, 1000, folder_of(1001)));
        assert!(may_be_trusted(998, 0, folder_of(998)), "the service of its own account");
        assert!(!may_be_trusted(1000, 0, folder_of(998)));
        assert!(!may_be_trusted(1000, 0, || None));
    }
}
