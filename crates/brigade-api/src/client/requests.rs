//! A request and its answer as JSON: over a local socket, or to a router in the same process.
//!
//! Answers are bounded in size and time, because a program that hangs must not hang its clients.

use std::{path::PathBuf, time::Duration};

use axum::{Router, body::Body};
use futures_util::TryFutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{Method, Request, Response, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tower_service::Service;

use super::client_error::ClientError;
use crate::{local::connect, problem::Problem};

/// How long a program may take to answer a request that waits for nobody else.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The most bytes of an answer: a page of 5,000 names of the greatest length has a tenth of it.
const ANSWER_BYTES: usize = 64 << 20;

/// The version of the API: the first part of each path.
const API: &str = "/v1";

/// A way to send requests.
#[derive(Debug, Clone)]
pub(super) enum Requests {
    /// To the program that has this socket.
    Socket(PathBuf),
    /// To a router in this process.
    InProcess(Router),
}

/// A path with the values of a query.
#[derive(Debug, Clone)]
pub(super) struct RequestPath {
    text: String,
    has_query: bool,
}

impl RequestPath {
    /// The path below the version of the API.
    pub(super) fn new(path: &str) -> Self {
        Self { text: format!("{API}/{path}"), has_query: false }
    }

    /// Adds a value to the query.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text += name;
        self.text.push('=');
        push_encoded(&mut self.text, value);
        self
    }

    /// Adds a value to the query, if there is one.
    pub(super) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a part to the path.
    pub(super) fn part(mut self, part: &str) -> Self {
        self.text.push('/');
        push_encoded(&mut self.text, part);
        self
    }
}

/// Appends `value`; every byte that is not a letter, a digit or one of `-._~` is written as `%` and two digits.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            *text += &format!("%{byte:02X}");
        }
    }
}

impl Requests {
    /// Sends a request without a body.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: RequestPath,
    ) -> Result<T, ClientError> {
        self.answer(request(method, &path, Body::empty()), DEFAULT_TIMEOUT).await
    }

    /// Sends a request with a JSON body.
    pub(super) async fn order<T: DeserializeOwned>(
        &self,
        method: Method,
        path: RequestPath,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        // Values of the API have string keys and no numbers that JSON lacks, so this cannot fail.
        let body =
            serde_json::to_vec(body).map_err(|source| ClientError::Unreadable { status: 0, source })?;
        let mut request = request(method, &path, Body::from(body));
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        self.answer(request, patience).await
    }

    /// Sends a request, whose answer is read as it comes.
    pub(super) async fn open(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        self.open_within(request, DEFAULT_TIMEOUT).await
    }

    /// Like [`Self::open`], with the time until the answer begins.
    pub(super) async fn open_within(
        &self,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<Response<Body>, ClientError> {
        let response = self.in_time(self.send(request), patience).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = self.in_time(bytes_of(response), DEFAULT_TIMEOUT).await?;
        Err(refusal(status, &bytes))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: Request<Body>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let exchange = async {
            let response = self.send(request).await?;
            let status = response.status();
            Ok((status, bytes_of(response).await?))
        };
        let (status, bytes) = self.in_time(exchange, patience).await?;
        if !status.is_success() {
            return Err(refusal(status, &bytes));
        }
        // An answer without content is `null`.
        let text = if bytes.is_empty() { &b"null"[..] } else { &bytes };
        serde_json::from_slice(text)
            .map_err(|source| ClientError::Unreadable { status: status.as_u16(), source })
    }

    async fn in_time<T>(
        &self,
        action: impl Future<Output = Result<T, ClientError>>,
        patience: Duration,
    ) -> Result<T, ClientError> {
        timeout(patience, action).await.unwrap_or(Err(ClientError::Silent { seconds: patience.as_secs() }))
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        match self {
            Self::InProcess(router) => {
                let Ok(response) = router.clone().call(request).await;
                Ok(response)
            }
            Self::Socket(socket) => {
                let stream = connect(socket)
                    .await
                    .map_err(|source| ClientError::NotRunning { socket: socket.clone(), source })?;
                let (mut sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
                // It ends when the answer was read, or its reader was dropped.
                tokio::spawn(connection.map_err(|error| tracing::debug!(%error, "a local connection broke")));
                Ok(sender.send_request(request).await.map_err(broken)?.map(Body::new))
            }
        }
    }
}

/// A request to the program itself: the host does not matter, but HTTP wants one.
pub(super) fn request(method: Method, path: &RequestPath, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.text.parse().unwrap_or_default();
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    request
}

async fn bytes_of(response: Response<Body>) -> Result<Vec<u8>, ClientError> {
    match Limited::new(response.into_body(), ANSWER_BYTES).collect().await {
        Ok(bytes) => Ok(bytes.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLong { bytes: ANSWER_BYTES }),
        Err(error) => Err(ClientError::Broken(error)),
    }
}

fn refusal(status: StatusCode, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(source) => ClientError::Unreadable { status: status.as_u16(), source },
    }
}

/// A connection that broke.
pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    use super::{Body, Method, RequestPath, request};

    #[test]
    fn every_text_can_be_a_value_of_a_query() {
        let path = RequestPath::new("files").part("a/b").with("prefix", "ä &=?#%\0").with_some("after", None);
        let request = request(Method::GET, &path.with_some("x", Some("~")), Body::empty());
        assert_eq!(request.uri(), "/v1/files/a%2Fb?prefix=%C3%A4%20%26%3D%3F%23%25%00&x=~");
    }
}
