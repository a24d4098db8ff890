//! A local socket that accepts connections: a Unix socket of this user.
//!
//! The folder, the mode of the socket and the credentials of each client keep other users out. See `lock_file` for what
//! happens with a socket that was left behind.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use super::{
    connection::LocalStream,
    lock_file::{BindError, LockFile},
    program_kind::socket_name,
    record::{SocketRecord, record_path, socket_path},
    runtime_folder::server_folder,
};

/// A local socket that accepts connections. It is removed when this is dropped.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    socket: PathBuf,
    record: PathBuf,
    /// Released after the socket was removed: fields are dropped in their order, after `drop`.
    _lock: LockFile,
}

impl LocalListener {
    /// Makes the socket of a program in the runtime folder. The folder in `record` may have any path to it; the record
    /// gets the canonical one.
    ///
    /// # Errors
    /// If no folder can have it, or another process has it.
    pub fn bind(record: SocketRecord) -> Result<Self, BindError> {
        Self::bind_in(&server_folder()?, record)
    }

    /// Makes it in this runtime folder, which must be open to this user only.
    ///
    /// # Errors
    /// As in [`Self::bind`].
    pub fn bind_in(runtime: &Path, mut record: SocketRecord) -> Result<Self, BindError> {
        let canonical = fs::canonicalize(&record.folder);
        record.folder =
            canonical.map_err(|source| BindError::Missing { folder: record.folder.clone(), source })?;
        let name = socket_name(record.kind, &record.folder);
        let socket = socket_path(runtime, &name);
        let lock = LockFile::acquire(&runtime.join(format!("{name}.lock")), &socket)?;
        let failed = |source| BindError::Io { path: socket.clone(), source };
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let bound =
            Self { listener, record: record_path(runtime, &name), socket: socket.clone(), _lock: lock };
        fs::set_permissions(&bound.socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        record.write(&bound.record).map_err(failed)?;
        Ok(bound)
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.socket
    }

    /// Waits for the next client that may use the socket: one of this user, or root. Others are disconnected. The future
    /// may be dropped.
    ///
    /// # Errors
    /// If the system cannot accept one now, for example because too many files are open.
    pub async fn accept(&mut self) -> io::Result<LocalStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match stream.peer_cred() {
                Ok(client) if is_allowed(client.uid()) => return Ok(stream),
                Ok(client) => {
                    tracing::warn!(uid = client.uid(), "another user opened the local socket and was refused")
                }
                Err(error) => tracing::debug!(%error, "the user of a local client is not known"),
            }
        }
    }
}

/// Whether a client of this user may use the socket.
fn is_allowed(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::getuid().as_raw()
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.record));
        drop(fs::remove_file(&self.socket));
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
