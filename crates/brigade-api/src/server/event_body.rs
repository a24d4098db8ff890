//! The answer that has the events: the present state if it is needed, then each event, with comments while there is none.
//!
//! The body is made when the client reads it, so a slow client costs only its position.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::BoxFuture, stream};
use tokio::time::timeout;

use super::{
    answer::ErrorAnswer,
    event_hub::{EventHub, FollowerPermit, NextEvents, STREAMS},
};
use crate::{
    problem::{Problem, REFUSED},
    values::EventData,
};

/// How often a comment is sent while there is no event, so that both ends notice a connection that broke.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// What a client gets first if events are missing: a `reset`, and the present state.
pub(super) type PresentState = Arc<dyn Fn() -> BoxFuture<'static, Vec<EventData>> + Send + Sync>;

struct EventReader {
    hub: Arc<EventHub>,
    present: PresentState,
    /// The number of the last event that was sent; `None` if the present state is to be sent.
    position: Option<u64>,
    /// The rest of the present state.
    rest: VecDeque<Bytes>,
    _permit: FollowerPermit,
}

/// The answer to a request for events. The header `last-event-id` has the id of the last event that the client has.
pub(super) fn event_answer(
    hub: &Arc<EventHub>,
    present: PresentState,
    headers: &HeaderMap,
) -> Result<Response, ErrorAnswer> {
    let permit = hub.permit().ok_or_else(|| {
        Problem::new(REFUSED, format!("{STREAMS} clients follow the events already"))
            .with_hint("end one of them: a screen or a command that watches")
    })?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let position = last.and_then(|id| hub.position(id));
    let reader = EventReader { hub: hub.clone(), present, position, rest: VecDeque::new(), _permit: permit };
    let body = Body::from_stream(stream::unfold(reader, |mut reader| async {
        let bytes = reader.next().await?;
        Some((Ok::<_, Infallible>(bytes), reader))
    }));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

impl EventReader {
    /// The next bytes: an event, one of the present state, or a comment. `None` at the end of the program.
    async fn next(&mut self) -> Option<Bytes> {
        let mut last = self.hub.follow();
        loop {
            if let Some(event) = self.rest.pop_front() {
                return Some(event);
            }
            let Some(position) = self.position else {
                self.take_present_state().await;
                continue;
            };
            last.borrow_and_update();
            match self.hub.after(position) {
                NextEvents::Event(number, event) => {
                    self.position = Some(number);
                    return Some(event);
                }
                NextEvents::Lost => self.position = None,
                NextEvents::Ended => return None,
                NextEvents::UpToDate => {
                    if timeout(COMMENT_EVERY, last.changed()).await.is_err() {
                        return Some(Bytes::from_static(b":\n\n"));
                    }
                }
            }
        }
    }

    /// Takes the present state as events. Only the last one has a number: a client that has not got all of it gets it again.
    async fn take_present_state(&mut self) {
        let position = self.hub.last();
        let present = (self.present)().boxed().await;
        for (at, data) in present.iter().enumerate() {
            let is_last = at + 1 == present.len();
            let number = if is_last { position.to_string() } else { "reset".to_owned() };
            self.rest.push_back(self.hub.text(&number, data));
        }
        self.position = Some(position);
    }
}
