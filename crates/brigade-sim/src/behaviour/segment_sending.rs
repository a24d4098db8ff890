//! Sends the bytes of a holder: one segment at a time, within its limit, its link and the window of each connection.
//!
//! `holder` decides which piece is sent; here the connections with something to send take turns.

use brigade_core::upload::DownloaderId;

use crate::{
    identifiers::{ConnectionNumber, PeerNumber},
    network::connection::Segment,
    network::link::{largest_burst_bytes, transfer_time},
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

impl Simulation {
    /// Sends the next segment, if the link is free.
    pub(crate) fn send_next(&mut self, by: PeerNumber) {
        let peer = &mut self.peers[by.at()];
        if peer.sending || peer.stalled {
            return;
        }
        while let Some(on) = peer.turns.pop_front() {
            let connection = &mut self.connections[on.at()];
            connection.queued = false;
            let downloader = DownloaderId(connection.downloader.0);
            // A connection with a full window gets its turn after an acknowledgement.
            connection.blocked = connection.in_flight_bytes >= connection.window_bytes;
            let full = connection.blocked;
            let Some(sending) = connection.sending.front_mut().filter(|_| !full) else { continue };
            if sending.cancelled {
                let (sent, offer) = (u64::from(sending.sent), sending.offer);
                connection.sending.pop_front();
                if !connection.sending.is_empty() {
                    connection.queued = true;
                    peer.turns.push_front(on);
                }
                peer.upload.done(self.now, downloader, offer, sent);
                self.mark_ready(on);
                return self.grant(by); // a slot is free; it calls this again
            }
            let most = peer.limiter.bytes_per_second().map_or(u32::MAX, largest_burst_bytes);
            let bytes = (sending.bytes - sending.sent).min(self.segment_bytes).min(most);
            sending.sent += bytes;
            connection.in_flight_bytes += u64::from(bytes);
            let last = sending.sent == sending.bytes;
            let segment = Segment { request: sending.request, bytes, last };
            let wait = peer.limiter.take(self.now, u64::from(bytes)) + transfer_time(bytes, peer.link.up);
            peer.sending = true;
            return self.schedule_in(wait, ScheduledEvent::Sent { by, on, segment });
        }
    }

    /// A segment has left the link.
    pub(crate) fn sent(&mut self, by: PeerNumber, on: ConnectionNumber, segment: Segment) {
        let peer = &mut self.peers[by.at()];
        peer.sending = false;
        peer.sent_bytes += u64::from(segment.bytes);
        self.checks.left(by, self.now, segment.bytes);
        let delay = peer.link.delay;
        if self.connections[on.at()].alive {
            self.schedule_in(delay, ScheduledEvent::AtLink { on, segment });
            let connection = &mut self.connections[on.at()];
            if segment.last
                && let Some(sending) = connection.sending.pop_front()
            {
                let downloader = DownloaderId(connection.downloader.0);
                let bytes =
                    self.contents[segment.request.content.at()].geometry.length(segment.request.piece);
                self.peers[by.at()].upload.done(self.now, downloader, sending.offer, u64::from(bytes));
                self.mark_ready(on);
            }
            self.queue_turn(by, on);
        }
        if segment.last {
            self.grant(by);
        } else {
            self.send_next(by);
        }
    }

    /// The downloader acknowledged some segments.
    pub(crate) fn acknowledged(&mut self, by: PeerNumber, on: ConnectionNumber) {
        self.queue_turn(by, on);
        self.send_next(by);
    }

    /// A connection queues for the link, if it has something to send.
    pub(crate) fn queue_turn(&mut self, by: PeerNumber, on: ConnectionNumber) {
        let connection = &mut self.connections[on.at()];
        if !connection.sending.is_empty() && !std::mem::replace(&mut connection.queued, true) {
            self.peers[by.at()].turns.push_back(on);
        }
    }
}
