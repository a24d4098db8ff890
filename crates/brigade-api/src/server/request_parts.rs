//! The parts of a request as values: the query, the number in a path, and the body as JSON.
//!
//! A part that cannot be read is answered with an error that says which value is wrong. Bodies and pages are bounded.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::answer::ErrorAnswer;
use crate::{
    log_ring::LINES,
    problem::{Problem, USAGE},
};

/// The most bytes of a body: a thousand names with their chosen contents have less.
pub(super) const BODY_BYTES: usize = 1 << 20;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The most rows of a page, and the number without another one.
pub(super) const PAGE_ROWS: usize = 5000;
const USUAL_ROWS: usize = 500;

/// The lines of a log without another number.
const USUAL_LINES: usize = 100;

/// The values of the query.
#[derive(Debug)]
pub(super) struct Values<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Values<T> {
    type Rejection = ErrorAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorAnswer> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(values)| Self(values))
            .map_err(|error| ErrorAnswer::usage(format!("the query cannot be read: {}", error.body_text())))
    }
}

/// A part of the path.
#[derive(Debug)]
pub(super) struct PathValue<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathValue<T> {
    type Rejection = ErrorAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorAnswer> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value))
            .map_err(|error| ErrorAnswer::usage(format!("the path cannot be read: {}", error.body_text())))
    }
}

/// The body as JSON.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ErrorAnswer;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorAnswer> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let problem = Problem::new(USAGE, "the body is not JSON")
                .with_hint("send `content-type: application/json`");
            return Err(ErrorAnswer::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem));
        }
        let bytes =
            timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await.map_err(|_| slow_body())?;
        let bytes = bytes.map_err(|error| unreadable(&error))?;
        let unread = |error| ErrorAnswer::usage(format!("the body cannot be read: {error}"));
        let mut value: Value = serde_json::from_slice(&bytes).map_err(unread)?;
        if !value.is_object() {
            return Err(ErrorAnswer::usage("the body cannot be read: it is not an object"));
        }
        make_integers(&mut value);
        serde_json::from_value(value).map(Self).map_err(unread)
    }
}

/// Turns numbers like `365.0` into integers, which they are in JSON.
fn make_integers(value: &mut Value) {
    /// Above this, not every integer is a number of this form.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Array(values) => values.iter_mut().for_each(make_integers),
        Value::Object(values) => values.values_mut().for_each(make_integers),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= MOST);
            // The text of a whole float is that of the integer.
            if let Some(integer) = whole.and_then(|float| format!("{float}").parse::<i64>().ok()) {
                *number = integer.into();
            }
        }
        _ => {}
    }
}

fn slow_body() -> ErrorAnswer {
    let problem = Problem::new(USAGE, format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()));
    ErrorAnswer::new(StatusCode::REQUEST_TIMEOUT, problem)
}

fn unreadable(error: &BytesRejection) -> ErrorAnswer {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let problem = Problem::new(USAGE, format!("the body has more than {BODY_BYTES} bytes"));
            ErrorAnswer::new(StatusCode::PAYLOAD_TOO_LARGE, problem.with_hint("send several requests"))
        }
        _ => ErrorAnswer::usage(format!("the body cannot be read: {}", error.body_text())),
    }
}

/// The number of rows of a page.
pub(super) fn page_rows(limit: Option<usize>) -> Result<usize, ErrorAnswer> {
    match limit {
        None => Ok(USUAL_ROWS),
        Some(limit @ 1..=PAGE_ROWS) => Ok(limit),
        Some(limit) => Err(ErrorAnswer::usage(format!("a page has from 1 to {PAGE_ROWS} rows, not {limit}"))),
    }
}

/// How much of the log is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// The most lines; 100 if it is left out.
    #[param(required = false, value_type = usize, minimum = 1, maximum = 1000)]
    lines: Option<usize>,
}

impl LogQuery {
    /// The number of lines.
    pub(super) fn lines(&self) -> Result<usize, ErrorAnswer> {
        match self.lines {
            None => Ok(USUAL_LINES),
            Some(lines @ 1..=LINES) => Ok(lines),
            Some(lines) => {
                Err(ErrorAnswer::usage(format!("the log has from 1 to {LINES} lines, not {lines}")))
            }
        }
    }
}

/// The position after which a page begins, if one was given. A text that cannot be one is found nowhere.
pub(super) fn position<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: Option<&str>,
) -> Result<Option<T>, ErrorAnswer> {
    let parse = |text: &str| {
        text.parse().map_err(|error| ErrorAnswer::not_found(format!("there is no {text:?}: {error}")))
    };
    text.map(parse).transpose()
}
