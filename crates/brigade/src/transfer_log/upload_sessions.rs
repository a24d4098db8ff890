//! Uploads, from counters of the bytes that were sent to each downloader: an upload begins when a counter grows, and ends
//! when it has not grown for a while.
//!
//! The sending of pieces knows nothing of this. `records` has the line of an upload.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use brigade_core::{name::Username, time::UnixTime};
use brigade_node::peer::MemberTraffic;

/// A downloader that got nothing for this time is a new upload when it gets something again.
const IDLE: Duration = Duration::from_secs(30);

/// The uploads that run, by downloader, and the last value of each counter.
#[derive(Debug, Default)]
pub(super) struct UploadSessions {
    running: BTreeMap<Username, RunningUpload>,
    /// Bytes and pieces when the counter was read last. A row is removed with its counter.
    known: BTreeMap<Username, (u64, u64)>,
}

#[derive(Debug)]
struct RunningUpload {
    began: UnixTime,
    last: UnixTime,
    grew_at: Instant,
    bytes: u64,
    pieces: u64,
}

/// An upload that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EndedUpload {
    pub(super) downloader: Username,
    pub(super) began: UnixTime,
    /// The time of the last growth that was seen.
    pub(super) ended: UnixTime,
    pub(super) bytes: u64,
    pub(super) pieces: u64,
    /// Whether the downloader got nothing for a while; otherwise this peer stopped.
    pub(super) is_idle: bool,
}

impl UploadSessions {
    /// The uploads that have ended by the time of these counters.
    pub(super) fn sample(&mut self, now: Instant, at: UnixTime, sent: &[MemberTraffic]) -> Vec<EndedUpload> {
        let mut known = BTreeMap::new();
        for member in sent {
            let before = self.known.get(&member.username).copied().unwrap_or_default();
            // A counter that was removed and made again begins at 0.
            let before = if before.0 > member.bytes { (0, 0) } else { before };
            let more = (member.bytes - before.0, member.pieces.saturating_sub(before.1));
            if more.0 > 0 {
                let upload = self.running.entry(member.username.clone());
                let upload = upload.or_insert(RunningUpload {
                    began: at,
                    last: at,
                    grew_at: now,
                    bytes: 0,
                    pieces: 0,
                });
                (upload.last, upload.grew_at) = (at, now);
                upload.bytes += more.0;
                upload.pieces += more.1;
            }
            known.insert(member.username.clone(), (member.bytes, member.pieces));
        }
        self.known = known;
        let is_idle =
            |_: &Username, upload: &mut RunningUpload| now.saturating_duration_since(upload.grew_at) >= IDLE;
        self.running
            .extract_if(.., is_idle)
            .map(|(downloader, upload)| upload.ended(downloader, true))
            .collect()
    }

    /// Ends all uploads, because this peer stops.
    pub(super) fn end_all(&mut self) -> Vec<EndedUpload> {
        let running = std::mem::take(&mut self.running);
        running.into_iter().map(|(downloader, upload)| upload.ended(downloader, false)).collect()
    }
}

impl RunningUpload {
    fn ended(self, downloader: Username, is_idle: bool) -> EndedUpload {
        let Self { began, last, bytes, pieces, .. } = self;
        EndedUpload { downloader, began, ended: last, bytes, pieces, is_idle }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, IDLE, Instant, MemberTraffic, UnixTime, UploadSessions};

    #[test]
    fn an_upload_ends_when_its_counter_does_not_grow() {
        let start = Instant::now();
        let mut sessions = UploadSessions::default();
        let mut sample = |seconds: u64, counters: &[(&str, u64, u64)]| {
            let sent: Vec<MemberTraffic> = counters
                .iter()
                .map(|(name, bytes, pieces)| MemberTraffic::new(name.parse().unwrap(), *bytes, *pieces))
                .collect();
            let ended = sessions.sample(start + Duration::from_secs(seconds), UnixTime(seconds), &sent);
            ended
                .into_iter()
                .map(|one| (one.downloader.to_string(), one.bytes, one.ended.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(sample(0, &[]), []);
        assert_eq!(sample(5, &[("earth", 10, 1)]), []);
        assert_eq!(sample(10, &[("earth", 30, 2), ("water", 5, 1)]), []);
        let idle = 10 + IDLE.as_secs();
        let ended = sample(idle, &[("earth", 30, 2), ("water", 6, 1)]);
        assert_eq!(ended, [("earth".to_owned(), 30, 10)]);
        // Its next upload begins at the value of the counter.
        assert_eq!(sample(idle + 5, &[("earth", 37, 3), ("water", 6, 1)]), []);
        let all = sessions.end_all();
        assert_eq!(all.iter().map(|one| (one.bytes, one.pieces)).collect::<Vec<_>>(), [(7, 1), (6, 1)]);
        assert!(all.iter().all(|one| !one.is_idle));
    }
}
