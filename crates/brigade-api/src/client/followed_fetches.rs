//! The progress of fetches of another process, as if they were our own.
//!
//! One task reads the events, and publishes the progress of each fetch until all have ended.

use brigade_node::peer::Progress;
use tokio::sync::watch;

use super::event_stream::EventStream;
use crate::values::{EventData, Fetch};

/// Follows fetches from their state `first`. If the events end, those that have not ended were stopped. The events must
/// have been opened before `first` was asked for, so that nothing is missed.
pub(super) fn follow(events: EventStream, first: &[Fetch]) -> Vec<watch::Receiver<Progress>> {
    let channel = |fetch: &Fetch| (fetch.id, watch::channel(fetch.to_progress()));
    let channels = first.iter().map(channel);
    let (senders, receivers) =
        channels.map(|(id, (sender, receiver))| ((id, sender), receiver)).unzip::<_, _, Vec<_>, Vec<_>>();
    tokio::spawn(publish(events, senders));
    receivers
}

async fn publish(mut events: EventStream, mut running: Vec<(u64, watch::Sender<Progress>)>) {
    running.retain(|(_, sender)| !sender.borrow().is_over());
    while !running.is_empty() {
        let Ok(event) = events.next().await else { break };
        match event.data {
            EventData::Fetch { fetch, .. } => {
                let followed = running.iter().find(|(id, _)| *id == fetch.id);
                followed.inspect(|(_, sender)| drop(sender.send_replace(fetch.to_progress())));
            }
            EventData::Reset { fetches } => {
                running.iter().filter(|(id, _)| !fetches.contains(id)).for_each(|(_, sender)| stopped(sender))
            }
            EventData::FetchRemoved { id } => {
                running.iter().filter(|(one, _)| *one == id).for_each(|(_, sender)| stopped(sender));
            }
            EventData::Stopping => break,
            _ => {}
        }
        running.retain(|(_, sender)| !sender.borrow().is_over() && !sender.is_closed());
    }
    running.iter().for_each(|(_, sender)| stopped(sender));
}

/// The fetch has not ended, and nothing more is known of it.
fn stopped(sender: &watch::Sender<Progress>) {
    sender.send_modify(|progress| *progress = progress.clone().or_stopped());
}
