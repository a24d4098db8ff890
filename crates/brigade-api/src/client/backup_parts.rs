//! A backup of a manager as it comes: part by part, and complete or an error.
//!
//! The number of its bytes is known before, so that a connection that breaks is not taken for its end.

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::Response;
use tokio::time::timeout;

use super::{
    client_error::ClientError,
    requests::{DEFAULT_TIMEOUT, broken},
};

/// The parts of a backup.
#[derive(Debug)]
pub struct BackupParts {
    body: Body,
}

impl BackupParts {
    pub(super) fn of(response: Response<Body>) -> Self {
        Self { body: response.into_body() }
    }

    /// The next part; `None` after the last one.
    ///
    /// # Errors
    /// If the connection breaks, or nothing comes for a minute. Then the backup is not complete.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            let frame = timeout(DEFAULT_TIMEOUT, self.body.frame()).await;
            match frame.map_err(|_| ClientError::Silent { seconds: DEFAULT_TIMEOUT.as_secs() })? {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(part) = frame.into_data() {
                        return Ok(Some(part.to_vec()));
                    }
                }
            }
        }
    }
}
