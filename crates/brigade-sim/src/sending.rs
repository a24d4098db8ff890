//! How bytes leave a holder: one segment at a time, as its limiter, its line and each connection's window let them.
//!
//! Which piece may leave is decided before, in `serving`; here the connections that may send take turns.

use brigade_core::upload::NewcomerId;

use crate::{
    network::{ConnectionNumber, Segment, time_on_line},
    queue::Happening,
    world::{PeerNumber, World},
};

impl World {
    /// Sends the next segment, if the line is free.
    pub(crate) fn pump(&mut self, by: PeerNumber) {
        let peer = &mut self.peers[by.at()];
        if peer.sending || peer.stalled {
            return;
        }
        while let Some(on) = peer.turns.pop_front() {
            let connection = &mut self.connections[on.at()];
            connection.queued = false;
            let newcomer = NewcomerId(connection.newcomer.0);
            // One whose line is full gets its turn when some of that has come.
            connection.blocked = connection.on_the_way >= connection.window_bytes;
            let full = connection.blocked;
            let Some(sending) = connection.sending.front_mut().filter(|_| !full) else { continue };
            if sending.cancelled {
                let (sent, offer) = (u64::from(sending.sent), sending.offer);
                connection.sending.pop_front();
                if !connection.sending.is_empty() {
                    connection.queued = true;
                    peer.turns.push_front(on);
                }
                peer.upload.done(self.now, newcomer, offer, sent);
                self.say_ready(on);
                return self.grant(by); // a slot is free; this comes back here
            }
            let most = peer.limiter.bytes_per_second().map_or(u32::MAX, most_at_once);
            let bytes = (sending.bytes - sending.sent).min(self.segment_bytes).min(most);
            sending.sent += bytes;
            connection.on_the_way += u64::from(bytes);
            let last = sending.sent == sending.bytes;
            let segment = Segment { request: sending.request, bytes, last };
            let wait = peer.limiter.take(self.now, u64::from(bytes)) + time_on_line(bytes, peer.link.up);
            peer.sending = true;
            return self.schedule_in(wait, Happening::Sent { by, on, segment });
        }
    }

    /// A segment has left the line.
    pub(crate) fn sent(&mut self, by: PeerNumber, on: ConnectionNumber, segment: Segment) {
        let peer = &mut self.peers[by.at()];
        peer.sending = false;
        peer.sent_bytes += u64::from(segment.bytes);
        self.checks.left(by, self.now, segment.bytes);
        let delay = peer.link.delay;
        if self.connections[on.at()].alive {
            self.schedule_in(delay, Happening::AtLine { on, segment });
            let connection = &mut self.connections[on.at()];
            if segment.last
                && let Some(sending) = connection.sending.pop_front()
            {
                let newcomer = NewcomerId(connection.newcomer.0);
                let bytes =
                    self.contents[segment.request.content.at()].geometry.length(segment.request.piece);
                self.peers[by.at()].upload.done(self.now, newcomer, sending.offer, u64::from(bytes));
                self.say_ready(on);
            }
            self.queue_turn(by, on);
        }
        if segment.last {
            self.grant(by);
        } else {
            self.pump(by);
        }
    }

    /// Some of what was sent has come.
    pub(crate) fn acknowledged(&mut self, by: PeerNumber, on: ConnectionNumber) {
        self.queue_turn(by, on);
        self.pump(by);
    }

    /// A connection takes its turn at the line, if it has something to send.
    pub(crate) fn queue_turn(&mut self, by: PeerNumber, on: ConnectionNumber) {
        let connection = &mut self.connections[on.at()];
        if !connection.sending.is_empty() && !std::mem::replace(&mut connection.queued, true) {
            self.peers[by.at()].turns.push_back(on);
        }
    }
}

/// Under a limit a burst stays short: as a real holder does it.
pub(crate) fn most_at_once(bytes_per_second: u64) -> u32 {
    u32::try_from((bytes_per_second / 10).max(4 << 10)).unwrap_or(u32::MAX)
}
