//! The log of breaches of the protocol: a flood of them does not fill it.
//!
//! A breach by a member is a warning. Any stranger can connect to an open port, so a breach by a stranger is only an
//! information. A few lines of each kind are written in a minute, and the next line has the number of those that were
//! left out, which are logged for debugging.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use brigade_core::{id::PeerKey, name::Username, time::Timestamp, wire::Reason};

use super::connection::ConnectionError;
use crate::clock;

/// Lines of one kind in a [`WINDOW`]: enough to find the cause, few enough to read.
const MOST_LINES: u32 = 10;

/// The time for which they are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The log of the connections of one listener, or of those to holders, which share one.
#[derive(Debug, Default)]
pub(crate) struct BreachLog {
    /// Lines about members of the network.
    members: LogLimit,
    /// Lines about all others. Their number has no limit, so they do not use up the lines of members.
    strangers: LogLimit,
}

/// The role of the other side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoteRole {
    /// A peer that is connected to this manager.
    Peer,
    /// A holder, from which this peer fetches.
    Holder,
    /// A downloader, which fetches from this peer.
    Downloader,
    /// Not known: it has not greeted.
    Unknown,
}

impl BreachLog {
    /// The other side of a connection broke the protocol, and the connection ends with this `reason`. `member` is its
    /// username if it has proved its membership.
    pub(crate) fn broke(
        &self,
        role: RemoteRole,
        member: Option<&Username>,
        remote: SocketAddr,
        reason: Reason,
        error: &dyn Display,
    ) {
        match (member, self.line(member.is_some())) {
            (Some(username), Some(LogLine { left_out })) => {
                tracing::warn!(%role, %username, %remote, ?reason, %error, left_out, "a member broke the protocol");
            }
            (None, Some(LogLine { left_out })) => {
                tracing::info!(%role, %remote, ?reason, %error, left_out, "a stranger broke the protocol");
            }
            (username, None) => {
                let username = username.map(Username::as_str);
                tracing::debug!(%role, username, %remote, ?reason, %error, "the other side broke the protocol");
            }
        }
    }

    /// A connection ended with this error. It is logged if the other side broke the protocol.
    pub(crate) fn ended(
        &self,
        role: RemoteRole,
        member: Option<&Username>,
        remote: SocketAddr,
        error: &ConnectionError,
    ) {
        if let Some(goodbye) = error.goodbye() {
            self.broke(role, member, remote, goodbye.reason, error);
        }
    }

    /// A connection was refused because its membership is not valid. `member` is the username in it if only the time
    /// is wrong: then a clock is.
    pub(crate) fn refused(
        &self,
        member: Option<&Username>,
        remote: SocketAddr,
        key: PeerKey,
        error: &dyn Display,
    ) {
        let key = key.short();
        match (member, self.line(member.is_some())) {
            (Some(username), Some(LogLine { left_out })) => {
                tracing::warn!(%username, %remote, key, %error, left_out, "refused a member");
            }
            (None, Some(LogLine { left_out })) => {
                tracing::info!(%remote, key, %error, left_out, "refused a connection");
            }
            (username, None) => {
                let username = username.map(Username::as_str);
                tracing::debug!(username, %remote, key, %error, "refused a connection");
            }
        }
    }

    fn line(&self, is_member: bool) -> Option<LogLine> {
        let limit = if is_member { &self.members } else { &self.strangers };
        limit.next(clock::now())
    }
}

impl Display for RemoteRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "peer",
            Self::Holder => "holder",
            Self::Downloader => "downloader",
            Self::Unknown => "unknown",
        })
    }
}

/// The limit on the lines of one kind. The lock is held to count a line: a message to an owner would cost more than the
/// line.
#[derive(Debug, Default)]
struct LogLimit(Mutex<WrittenLines>);

#[derive(Debug, Default)]
struct WrittenLines {
    since: Timestamp,
    lines: u32,
    left_out: u64,
}

/// A line that may be written.
#[derive(Debug, PartialEq, Eq)]
struct LogLine {
    /// The number of lines that were left out since the last one, if there were any.
    left_out: Option<u64>,
}

impl LogLimit {
    /// Counts another line. Returns it if it may be written now.
    fn next(&self, now: Timestamp) -> Option<LogLine> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(written.since) >= WINDOW {
            (written.since, written.lines) = (now, 0);
        }
        if written.lines == MOST_LINES {
            written.left_out += 1;
            return None;
        }
        written.lines += 1;
        let left_out = std::mem::take(&mut written.left_out);
        Some(LogLine { left_out: (left_out > 0).then_some(left_out) })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Debug,
        sync::{Arc, Mutex},
    };

    use brigade_core::{id::PeerKey, wire::Reason};
    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id, Record},
    };

    use super::{BreachLog, LogLine, MOST_LINES, RemoteRole, Timestamp, WINDOW};

    /// The events of a thread, as their levels and fields.
    #[derive(Debug, Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<String>>>);

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0 += &format!(" {field}={value:?}");
        }
    }

    impl Subscriber for Recorder {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(event.metadata().level().to_string());
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Checks that each of the lines that `log` writes has all of `expected`.
    #[track_caller]
    fn check(level: &str, expected: &[&str], log: impl FnOnce()) {
        let recorder = Recorder::default();
        tracing::subscriber::with_default(recorder.clone(), log);
        let lines = recorder.0.lock().unwrap();
        let line = lines.last().expect("nothing was logged");
        assert!(line.starts_with(level), "{line}");
        for field in expected {
            assert!(line.contains(field), "{field:?} is not in {line}");
        }
    }

    #[test]
    fn a_line_names_the_other_side_its_role_and_the_reason() {
        let (name, remote) = ("fire_user".parse().unwrap(), ([127, 0, 0, 1], 7001).into());
        let log = BreachLog::default();
        let broke = |role, member| log.broke(role, member, remote, Reason::TooMuch, &"too many requests");
        let common = ["remote=127.0.0.1:7001", "reason=TooMuch", "error=too many requests"];
        let of_member = [&common[..], &["username=fire_user", "role=holder"]].concat();
        check("WARN", &of_member, || broke(RemoteRole::Holder, Some(&name)));
        let of_stranger = [&common[..], &["role=downloader"]].concat();
        check("INFO", &of_stranger, || broke(RemoteRole::Downloader, None));
        (1..MOST_LINES).for_each(|_| broke(RemoteRole::Holder, Some(&name)));
        let of_member = [&common[..], &["username=\"fire_user\"", "role=holder"]].concat();
        check("DEBUG", &of_member, || broke(RemoteRole::Holder, Some(&name)));
    }

    #[test]
    fn a_refused_member_is_named_in_each_line() {
        let (name, remote, key) =
            ("fire_user".parse().unwrap(), ([127, 0, 0, 1], 7001).into(), PeerKey([7; 32]));
        let log = BreachLog::default();
        let refused = || log.refused(Some(&name), remote, key, &"the clock is wrong");
        check("WARN", &["username=fire_user", "key=", "error=the clock is wrong"], refused);
        (1..MOST_LINES).for_each(|_| refused());
        check("DEBUG", &["username=\"fire_user\"", "key=", "error=the clock is wrong"], refused);
    }

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let BreachLog { strangers, members } = BreachLog::default();
        let now = Timestamp::from_micros(1_000_000);
        let written = (0..1000).filter(|_| strangers.next(now).is_some()).count();
        assert_eq!(written, MOST_LINES as usize);
        assert_eq!(members.next(now), Some(LogLine { left_out: None }));
        let later = now.after(WINDOW);
        assert_eq!(strangers.next(later), Some(LogLine { left_out: Some(1000 - u64::from(MOST_LINES)) }));
        assert_eq!(strangers.next(later), Some(LogLine { left_out: None }));
    }
}
