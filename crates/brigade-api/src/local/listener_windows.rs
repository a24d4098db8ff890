//! A local socket that accepts connections: a named pipe of this user.
//!
//! The first instance must be ours, so no other program can have made the pipe before, and clients of other machines are
//! rejected. Windows gives other users of this machine the right to read such a pipe but not to write to it, so they can
//! send no request. A narrower list of rights would need unsafe code.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

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
    /// The instance for the next client.
    next: NamedPipeServer,
    pipe: PathBuf,
    record: PathBuf,
    _lock: LockFile,
}

impl LocalListener {
    /// Makes the pipe of a program. The folder in `record` may have any path to it; the record gets the canonical one.
    ///
    /// # Errors
    /// If no folder can have its record, or another process has it.
    pub fn bind(record: SocketRecord) -> Result<Self, BindError> {
        Self::bind_in(&server_folder()?, record)
    }

    /// Makes it with its record in this folder.
    ///
    /// # Errors
    /// As in [`Self::bind`].
    pub fn bind_in(runtime: &Path, mut record: SocketRecord) -> Result<Self, BindError> {
        let canonical = fs::canonicalize(&record.folder);
        record.folder =
            canonical.map_err(|source| BindError::Missing { folder: record.folder.clone(), source })?;
        let name = socket_name(record.kind, &record.folder);
        let pipe = socket_path(runtime, &name);
        let lock = LockFile::acquire(&runtime.join(format!("{name}.lock")), &pipe)?;
        let failed = |source| BindError::Io { path: pipe.clone(), source };
        let next = options().first_pipe_instance(true).create(&pipe).map_err(failed)?;
        let bound = Self { next, record: record_path(runtime, &name), pipe: pipe.clone(), _lock: lock };
        record.write(&bound.record).map_err(failed)?;
        Ok(bound)
    }

    /// The path of the pipe.
    pub fn path(&self) -> &Path {
        &self.pipe
    }

    /// Waits for the next client. The future may be dropped.
    ///
    /// # Errors
    /// If the system makes no further instance of the pipe.
    pub async fn accept(&mut self) -> io::Result<LocalStream> {
        self.next.connect().await?;
        // The next instance comes first: a client that connects between two instances finds no pipe.
        let next = options().create(&self.pipe)?;
        Ok(LocalStream::Server(std::mem::replace(&mut self.next, next)))
    }
}

/// The options of every instance.
fn options() -> ServerOptions {
    let mut options = ServerOptions::new();
    options.reject_remote_clients(true);
    options
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.record));
    }
}
