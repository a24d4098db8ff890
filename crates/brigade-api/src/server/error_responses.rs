//! The errors of each group of routes, for the OpenAPI document.
//!
//! `answer` gives an error its status; a test compares the two with real requests.

use utoipa::IntoResponses;

use crate::problem::ProblemBody;

/// A query that cannot be read.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum QueryErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
}

/// Errors of a request for something that has a number or a name.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum NotFoundErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(ProblemBody),
}

/// The program refuses.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum RefusedErrors {
    /// The state of the thing does not permit it.
    #[response(status = 409)]
    Refused(ProblemBody),
}

/// Errors of a request with a body.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum BodyErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
    /// The body did not arrive in time.
    #[response(status = 408)]
    Slow(ProblemBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ProblemBody),
    /// The body is not JSON.
    #[response(status = 415)]
    NotJson(ProblemBody),
}

/// Errors of a question that the manager answers.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ManagerErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
    /// There is no such name, or the pattern is not valid.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// The manager refused.
    #[response(status = 409)]
    Refused(ProblemBody),
    /// The manager does not answer, or the program is stopping.
    #[response(status = 503)]
    Unreached(ProblemBody),
}

/// Errors of beginning fetches.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum FetchErrors {
    /// A name does not exist, or has several contents: the details have the choices.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// The manager refused, or `save_as` is given for several names.
    #[response(status = 409)]
    Refused(ProblemBody),
    /// The manager does not answer, or the peer is stopping.
    #[response(status = 503)]
    Unreached(ProblemBody),
    /// The files do not fit on the disk, or cannot get their names.
    #[response(status = 507)]
    Disk(ProblemBody),
}

/// The program is stopping.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum StoppingErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
    /// The program is stopping.
    #[response(status = 503)]
    Stopping(ProblemBody),
}

/// Errors of the event stream.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum EventErrors {
    /// Too many clients follow the events.
    #[response(status = 409)]
    Refused(ProblemBody),
}

/// Errors of a backup.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum BackupErrors {
    /// The manager is stopping.
    #[response(status = 503)]
    Stopping(ProblemBody),
    /// The manager cannot make the copy on its disk.
    #[response(status = 507)]
    Disk(ProblemBody),
}

/// Errors of the checks.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum CheckErrors {
    /// The program makes no checks.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// The checks are being made for another client.
    #[response(status = 409)]
    Refused(ProblemBody),
}

/// Errors of shares in place.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum ShareErrors {
    /// A value of the request is not valid.
    #[response(status = 400)]
    Usage(ProblemBody),
    /// There is no such path or share, or the name cannot be that of a share.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// The path or the name is in use, or must not be shared.
    #[response(status = 409)]
    Refused(ProblemBody),
    /// The peer is stopping.
    #[response(status = 503)]
    Stopping(ProblemBody),
    /// The path cannot be read, or the list of shares cannot be stored.
    #[response(status = 507)]
    Disk(ProblemBody),
}

/// Errors of the begin of a verification.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum VerifyErrors {
    /// No file is shared under the name.
    #[response(status = 404)]
    NotFound(ProblemBody),
    /// Another verification runs.
    #[response(status = 409)]
    Refused(ProblemBody),
    /// It cannot be started.
    #[response(status = 500)]
    Failed(ProblemBody),
}
