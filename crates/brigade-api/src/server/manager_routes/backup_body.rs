//! The answer that has a backup: the manager makes it as a file in its own state folder, which is the one place where a
//! confined service can write, and the client gets its bytes.
//!
//! The file is removed before the first byte is sent: it is read through its open handle.

use std::{
    env, fs, io,
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use brigade_node::manager::{BackupError, ManagerHandle};
use futures_util::stream;
use tokio::{fs::File, io::AsyncReadExt, task::spawn_blocking};

use crate::{
    problem::{DISK, Problem},
    server::answer::ErrorAnswer,
};

/// Bytes that are read at once.
const PART_BYTES: usize = 64 << 10;

/// The answer with a new backup of the manager.
pub(super) async fn backup_answer(manager: &ManagerHandle) -> Result<Response, ErrorAnswer> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("backup-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let state_dir = manager.view().borrow().state_dir.clone();
    // The current folder of a process does not change, but a path in an error is clear only if it is absolute.
    let path =
        env::current_dir().map_or_else(|_| state_dir.join(&name), |dir| dir.join(&state_dir).join(&name));
    match manager.backup(&path).await {
        Ok(_) => {}
        Err(BackupError::Stopped) => return Err(ErrorAnswer::stopping("manager")),
        Err(error) => {
            let hint = "make space for a copy on the disk of the manager's state, which the manager must be able to write";
            return Err(Problem::from(error).with_hint(hint).into());
        }
    }
    let opened = spawn_blocking(move || opened_and_removed(&path)).await;
    let (file, bytes) = opened.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
        let problem = Problem::new(DISK, format!("the manager cannot read the copy of its state: {error}"));
        ErrorAnswer::from(problem.with_hint("the log of the manager may have the cause"))
    })?;
    let body = Body::from_stream(stream::try_unfold(File::from_std(file), |mut file| async {
        let mut part = vec![0; PART_BYTES];
        let count = file.read(&mut part).await?;
        part.truncate(count);
        Ok::<_, io::Error>((count > 0).then(|| (Bytes::from(part), file)))
    }));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, body).into_response())
}

fn opened_and_removed(path: &Path) -> io::Result<(fs::File, u64)> {
    let opened = fs::File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    fs::remove_file(path)?;
    opened.map(|(bytes, file)| (file, bytes))
}
