//! Answers: values as JSON, and errors as JSON with the HTTP status of their kind.
//!
//! Every error of the server has this form, also those of the HTTP library.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use brigade_node::manager::HandleError;

use crate::problem::{DISK, NOT_FOUND, Problem, REFUSED, UNREACHED, USAGE};

/// An error as an answer.
#[derive(Debug)]
pub(super) struct ErrorAnswer {
    status: StatusCode,
    problem: Box<Problem>,
}

impl ErrorAnswer {
    /// An error with a status of its own.
    pub(super) fn new(status: StatusCode, problem: Problem) -> Self {
        Self { status, problem: Box::new(problem) }
    }

    /// A request with a mistake.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Problem::new(USAGE, message).into()
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Problem::new(NOT_FOUND, message).into()
    }

    /// A question that the manager did not answer.
    pub(super) fn of_manager(error: HandleError) -> Self {
        match error {
            HandleError::Stopped => Self::stopping("manager"),
            error => Problem::from(error).into(),
        }
    }

    /// The program is ending.
    pub(super) fn stopping(kind: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Problem::new(UNREACHED, format!("the {kind} is stopping")))
    }
}

/// The status of an error: its kind decides.
const fn status_of(code: u8) -> StatusCode {
    match code {
        USAGE => StatusCode::BAD_REQUEST,
        UNREACHED => StatusCode::SERVICE_UNAVAILABLE,
        REFUSED => StatusCode::CONFLICT,
        NOT_FOUND => StatusCode::NOT_FOUND,
        DISK => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl<P: Into<Problem>> From<P> for ErrorAnswer {
    fn from(problem: P) -> Self {
        let problem = problem.into();
        Self::new(status_of(problem.code()), problem)
    }
}

impl IntoResponse for ErrorAnswer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.problem)).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        response
    }
}

/// Every value is that of a moment.
const NO_STORE: header::HeaderValue = header::HeaderValue::from_static("no-store");

/// No route has this path.
pub(super) async fn unknown_path() -> ErrorAnswer {
    Problem::new(NOT_FOUND, "the API has no such path")
        .with_hint("GET /v1/openapi.json has all of them")
        .into()
}

/// The route has other methods.
pub(super) async fn wrong_method() -> ErrorAnswer {
    let problem = Problem::new(USAGE, "this path has no such method");
    ErrorAnswer::new(
        StatusCode::METHOD_NOT_ALLOWED,
        problem.with_hint("the header `allow` has those that it has"),
    )
}
