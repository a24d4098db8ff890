//! The events of a running program, which resume where a connection broke.
//!
//! The program sends them as `text/event-stream`: lines with a field each, and an empty line after each event.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::{Method, body::Frame, header};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    client_error::ClientError,
    requests::{RequestPath, Requests, broken, request},
};
use crate::values::{Event, EventData};

/// The most bytes of one event: a fetch with a hundred errors has a twentieth of it.
const EVENT_BYTES: usize = 4 << 20;

/// How long no bytes may come: a program without events sends a comment each 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// How long the bytes of that time may still take to be read.
const GRACE: Duration = Duration::from_secs(1);

/// The events of a running program.
#[derive(Debug)]
pub struct EventStream {
    requests: Requests,
    body: Body,
    lines: EventLines,
    /// The id of the last event.
    last: Option<String>,
    /// Whether an event came since the connection was made: then a new attempt is worthwhile when it breaks.
    is_alive: bool,
    /// When the last bytes came.
    last_bytes: Instant,
}

impl EventStream {
    pub(super) async fn open(requests: Requests, last: Option<String>) -> Result<Self, ClientError> {
        let body = connect(&requests, last.as_deref()).await?;
        Ok(Self {
            requests,
            body,
            lines: EventLines::default(),
            last,
            is_alive: false,
            last_bytes: Instant::now(),
        })
    }

    /// Waits for the next event. If the connection breaks, it is made again, and the events go on after the last one.
    /// The future may be dropped; then no event is lost.
    ///
    /// # Errors
    /// If the program has ended, is silent for too long, or sends something that is not an event. Then there are no more events.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.lines.event()? {
                self.last = Some(event.id.clone());
                self.is_alive = true;
                return Ok(event);
            }
            match self.frame().await? {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.lines.add(&bytes);
                    }
                }
                Some(Err(error)) if !self.is_alive => return Err(broken(error)),
                None if !self.is_alive => {
                    return Err(broken("the events ended"));
                }
                Some(Err(_)) | None => {
                    self.body = connect(&self.requests, self.last.as_deref()).await?;
                    self.lines = EventLines::default();
                    self.last_bytes = Instant::now();
                    self.is_alive = false;
                }
            }
        }
    }

    /// The next bytes. A program that sends none, not even a comment, hangs.
    async fn frame(&mut self) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, ClientError> {
        let mut next = self.body.frame();
        let frame = match timeout_at(self.last_bytes + SILENCE, &mut next).await {
            Ok(frame) => frame,
            // This process itself may have been stopped for so long: then the bytes are here.
            Err(_) => timeout(GRACE, next)
                .await
                .map_err(|_| ClientError::Silent { seconds: (SILENCE + GRACE).as_secs() })?,
        };
        self.last_bytes = Instant::now();
        Ok(frame)
    }

    /// The id of the last event, for a later stream that resumes after it.
    pub fn last_id(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

async fn connect(requests: &Requests, last: Option<&str>) -> Result<Body, ClientError> {
    let mut request = request(Method::GET, &RequestPath::new("events"), Body::empty());
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
    if let Some(last) = last.and_then(|last| header::HeaderValue::from_str(last).ok()) {
        headers.insert("last-event-id", last);
    }
    Ok(requests.open(request).await?.into_body())
}

/// The bytes of events that have arrived and were not read.
#[derive(Debug, Default)]
struct EventLines {
    bytes: Vec<u8>,
    /// Bytes at the beginning that were read.
    read: usize,
    /// Bytes at the beginning that have no end of an event after those that were read.
    searched: usize,
}

impl EventLines {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole event. Comments, and events without data or id, are skipped.
    fn event(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(end) = self.end() {
            let block = String::from_utf8_lossy(&self.bytes[self.read..end]);
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            let event = match (field("id:"), field("data:")) {
                (Some(id), Some(data)) => {
                    let data = serde_json::from_str::<EventData>(data.trim())
                        .map_err(|source| ClientError::Unreadable { status: 200, source });
                    Some(data.map(|data| Event { id: id.trim().to_owned(), data }))
                }
                _ => None,
            };
            (self.read, self.searched) = (end, end);
            if let Some(event) = event {
                return event.map(Some);
            }
        }
        if self.bytes.len() - self.read > EVENT_BYTES {
            return Err(ClientError::TooLong { bytes: EVENT_BYTES });
        }
        Ok(None)
    }

    /// The end of the first block: after an empty line.
    fn end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(1).max(self.read);
        let at = self.bytes.get(from..)?.windows(2).position(|two| two == b"\n\n");
        self.searched = self.bytes.len();
        at.map(|at| from + at + 2)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::{Body, Bytes, ClientError, EVENT_BYTES, EventData, EventLines, EventStream, Requests};

    #[test]
    fn events_are_read_from_any_parts() {
        let text = ":\n\nid: 1.2\nevent: stopping\ndata: {\"event\":\"stopping\"}\n\nid: 1.3\ndata: {\"event\":\"new\",\"x\":1}\n\n";
        for size in [1, 2, 7, text.len()] {
            let (mut lines, mut events) = (EventLines::default(), vec![]);
            for part in text.as_bytes().chunks(size) {
                lines.add(part);
                while let Some(event) = lines.event().unwrap() {
                    events.push((event.id, event.data));
                }
            }
            let expected = [("1.2".to_owned(), EventData::Stopping), ("1.3".to_owned(), EventData::Unknown)];
            assert_eq!(events, expected, "parts of {size} bytes");
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut lines = EventLines::default();
        lines.add(&vec![b'x'; EVENT_BYTES]);
        assert!(lines.event().unwrap().is_none());
        lines.add(b"x");
        assert!(lines.event().is_err());
    }

    #[test]
    fn many_events_at_once_are_no_long_event() {
        let event = "id: 1.2\ndata: {\"event\":\"stopping\"}\n\n";
        let count = EVENT_BYTES / event.len() + 1000;
        let mut lines = EventLines::default();
        lines.add(event.repeat(count).as_bytes());
        for _ in 0..count {
            assert!(lines.event().unwrap().is_some());
        }
        assert!(lines.event().unwrap().is_none());
    }

    /// A program that hangs: its connection stays, and no byte comes.
    #[tokio::test(start_paused = true)]
    async fn a_silent_program_is_an_error() {
        let router = axum::Router::new().route(
            "/v1/events",
            axum::routing::get(async || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())),
        );
        let mut events = EventStream::open(Requests::InProcess(router), None).await.unwrap();
        assert!(matches!(events.next().await, Err(ClientError::Silent { .. })));
    }
}
