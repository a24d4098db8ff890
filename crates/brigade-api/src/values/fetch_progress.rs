//! A fetch from the progress that the library publishes, and back.
//!
//! The way back serves programs that show the progress of a fetch of another process as they show one of their own.

use std::time::Duration;

use brigade_node::peer as node;

use super::fetch::{
    Fetch, FetchState, FileError, HolderTraffic, KeptAside, PieceMap, Priority, Traffic, UnreachedHolder,
};
use super::uploads::Upload;

impl Fetch {
    /// A fetch with this number and progress, which began at a time in seconds since 1970.
    pub fn new(id: u64, begun_s: u64, progress: &node::Progress) -> Self {
        let (missing_bytes, free_bytes) = match progress.state {
            node::FetchState::Full { missing_bytes, free_bytes, .. } => {
                (Some(missing_bytes), Some(free_bytes))
            }
            _ => (None, None),
        };
        let ended_s = progress.is_over().then(|| begun_s.saturating_add(progress.took.as_secs()));
        Self {
            id,
            name: progress.name.clone(),
            requested_from: None,
            replace: false,
            priority: Priority::from(progress.priority),
            state: FetchState::from(&progress.state),
            missing_bytes,
            free_bytes,
            begun_s,
            ended_s,
            seconds: progress.took.as_secs_f64(),
            files: progress.files,
            files_done: progress.files_done,
            files_already: progress.files_already,
            left_out: progress.left_out,
            pieces: progress.pieces,
            pieces_done: progress.pieces_done,
            bytes: progress.bytes,
            bytes_done: progress.bytes_done,
            bytes_already: progress.bytes_already,
            bytes_copied: progress.bytes_copied,
            bytes_of_other_fetches: progress.bytes_of_other_fetches,
            bytes_twice: progress.bytes_twice,
            rate: progress.rate,
            left_bytes: progress.left_bytes,
            steady_rate: progress.steady_rate,
            seconds_left: progress.time_left().map(|left| left.as_secs()),
            holders: progress.holders as u64,
            from: progress.from.iter().map(Traffic::from).collect(),
            holder_rates: progress.senders.iter().map(HolderTraffic::from).collect(),
            errors: progress
                .errors
                .iter()
                .map(|(name, error)| FileError { name: name.to_string(), error: error.clone() })
                .collect(),
            failed: progress.failed,
            occupied: progress.occupied,
            changed: progress.changed,
            kept_aside: progress
                .aside
                .iter()
                .map(|(name, aside)| KeptAside { name: name.to_string(), aside: aside.clone() })
                .collect(),
            without_holder: progress.without_holder.iter().map(ToString::to_string).collect(),
            files_without_holder: progress.files_without_holder,
            out_of_reach: progress.out_of_reach as u64,
            wrong_data: progress.wrong_data as u64,
            unreached: progress.unreached.iter().map(UnreachedHolder::from).collect(),
        }
    }

    /// The progress as the library has it. What is not valid (a name, an address) is left out.
    pub fn to_progress(&self) -> node::Progress {
        let mut progress = node::Progress::new(self.name.clone());
        progress.state = self.node_state();
        progress.files = self.files;
        progress.files_done = self.files_done;
        progress.files_already = self.files_already;
        progress.left_out = self.left_out;
        progress.pieces = self.pieces;
        progress.pieces_done = self.pieces_done;
        progress.bytes = self.bytes;
        progress.bytes_done = self.bytes_done;
        progress.bytes_already = self.bytes_already;
        progress.bytes_copied = self.bytes_copied;
        progress.bytes_of_other_fetches = self.bytes_of_other_fetches;
        progress.bytes_twice = self.bytes_twice;
        progress.rate = self.rate;
        progress.left_bytes = self.left_bytes;
        progress.steady_rate = self.steady_rate;
        progress.holders = count(self.holders);
        progress.from = self.from.iter().filter_map(Traffic::to_node).collect();
        progress.senders = self.holder_rates.iter().filter_map(HolderTraffic::to_node).collect();
        progress.priority = self.priority.into();
        progress.took = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        progress.errors =
            self.errors.iter().filter_map(|one| Some((one.name.parse().ok()?, one.error.clone()))).collect();
        progress.failed = self.failed;
        progress.occupied = self.occupied;
        progress.changed = self.changed;
        progress.aside = self
            .kept_aside
            .iter()
            .filter_map(|one| Some((one.name.parse().ok()?, one.aside.clone())))
            .collect();
        progress.without_holder = self.without_holder.iter().filter_map(|name| name.parse().ok()).collect();
        progress.files_without_holder = self.files_without_holder;
        progress.out_of_reach = count(self.out_of_reach);
        progress.wrong_data = count(self.wrong_data);
        progress.unreached = self.unreached.iter().filter_map(UnreachedHolder::to_node).collect();
        progress
    }

    fn node_state(&self) -> node::FetchState {
        let missing_bytes = self.missing_bytes.unwrap_or_default();
        let free_bytes = self.free_bytes.unwrap_or_default();
        let full = |inodes| node::FetchState::Full { missing_bytes, free_bytes, inodes };
        match self.state {
            FetchState::Checking => node::FetchState::Checking,
            FetchState::Fetching => node::FetchState::Fetching,
            FetchState::WaitingForFetch => node::FetchState::WaitingForFetch,
            FetchState::Waiting | FetchState::Unknown => node::FetchState::Waiting,
            FetchState::DiskFull => full(false),
            FetchState::NoInodes => full(true),
            FetchState::Paused => node::FetchState::Paused,
            FetchState::Done => node::FetchState::Done,
            FetchState::Failed => node::FetchState::Failed,
            FetchState::Stopped => node::FetchState::Stopped,
        }
    }
}

impl From<&node::Fetch> for Fetch {
    fn from(fetch: &node::Fetch) -> Self {
        let progress = fetch.progress().borrow().clone();
        Self {
            requested_from: fetch.from().map(ToString::to_string),
            replace: fetch.replace(),
            ..Self::new(fetch.id().0, fetch.begun_at().0, &progress)
        }
    }
}

impl From<node::Priority> for Priority {
    fn from(priority: node::Priority) -> Self {
        match priority {
            node::Priority::High => Self::High,
            node::Priority::Normal => Self::Normal,
            node::Priority::Low => Self::Low,
        }
    }
}

impl From<Priority> for node::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

impl From<&node::HolderTraffic> for HolderTraffic {
    fn from(holder: &node::HolderTraffic) -> Self {
        Self {
            username: holder.username.to_string(),
            address: holder.address.to_string(),
            bytes: holder.bytes,
            pieces: holder.pieces,
            rate: holder.rate,
            connected: holder.connected,
        }
    }
}

impl HolderTraffic {
    fn to_node(&self) -> Option<node::HolderTraffic> {
        let mut holder = node::HolderTraffic::new(self.username.parse().ok()?, self.address.parse().ok()?);
        (holder.bytes, holder.pieces) = (self.bytes, self.pieces);
        (holder.rate, holder.connected) = (self.rate, self.connected);
        Some(holder)
    }
}

impl From<&node::PieceMap> for PieceMap {
    fn from(map: &node::PieceMap) -> Self {
        let have = map.have.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: map.name.to_string(), pieces: map.pieces, have }
    }
}

impl From<&node::Upload> for Upload {
    fn from(upload: &node::Upload) -> Self {
        Self {
            username: upload.username.to_string(),
            id: upload.content.map(|content| content.id.to_string()),
            size: upload.content.map(|content| content.size),
            name: upload.name.as_ref().map(ToString::to_string),
            bytes: upload.bytes,
            pieces: upload.pieces,
            rate: upload.rate,
        }
    }
}

impl From<&node::FetchState> for FetchState {
    fn from(state: &node::FetchState) -> Self {
        match state {
            node::FetchState::Checking => Self::Checking,
            node::FetchState::Fetching => Self::Fetching,
            node::FetchState::WaitingForFetch => Self::WaitingForFetch,
            node::FetchState::Waiting => Self::Waiting,
            node::FetchState::Paused => Self::Paused,
            node::FetchState::Full { inodes: false, .. } => Self::DiskFull,
            node::FetchState::Full { inodes: true, .. } => Self::NoInodes,
            node::FetchState::Done => Self::Done,
            node::FetchState::Failed => Self::Failed,
            node::FetchState::Stopped => Self::Stopped,
            _ => Self::Unknown,
        }
    }
}

impl From<&node::MemberTraffic> for Traffic {
    fn from(traffic: &node::MemberTraffic) -> Self {
        Self { username: traffic.username.to_string(), bytes: traffic.bytes, pieces: traffic.pieces }
    }
}

impl Traffic {
    /// The traffic as the library has it; `None` if the username is not valid.
    pub fn to_node(&self) -> Option<node::MemberTraffic> {
        Some(node::MemberTraffic::new(self.username.parse().ok()?, self.bytes, self.pieces))
    }
}

impl From<&node::UnreachableHolder> for UnreachedHolder {
    fn from(holder: &node::UnreachableHolder) -> Self {
        Self {
            username: holder.username.to_string(),
            address: holder.address.to_string(),
            cause: holder.cause.clone(),
        }
    }
}

impl UnreachedHolder {
    fn to_node(&self) -> Option<node::UnreachableHolder> {
        let (username, address) = (self.username.parse().ok()?, self.address.parse().ok()?);
        Some(node::UnreachableHolder::new(username, address, self.cause.clone()))
    }
}

/// A number of things on this machine.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Fetch, node};

    #[test]
    fn a_progress_is_the_same_after_a_way_over_the_api() {
        let mut progress = node::Progress::new("data/**/*.bin");
        progress.state = node::FetchState::Full { missing_bytes: 5, free_bytes: 3, inodes: true };
        (progress.files, progress.bytes, progress.steady_rate) = (3, u64::MAX, Some(7));
        progress.from = vec![node::MemberTraffic::new("anna".parse().unwrap(), 12, 1)];
        progress.took = Duration::from_millis(12_500);
        progress.errors = vec![("a/b".parse().unwrap(), "no space".to_owned())];
        progress.without_holder = vec!["a/c".parse().unwrap()];
        progress.files_without_holder = 4;
        let holder =
            node::UnreachableHolder::new("ben".parse().unwrap(), ([10, 0, 0, 1], 7).into(), "away".into());
        progress.unreached = vec![holder];
        let mut sender = node::HolderTraffic::new("anna".parse().unwrap(), ([10, 0, 0, 2], 7).into());
        (sender.bytes, sender.rate, sender.connected) = (12, 3, true);
        (progress.senders, progress.priority) = (vec![sender], node::Priority::High);
        let json = serde_json::to_string(&Fetch::new(4, 1000, &progress)).unwrap();
        let fetch: Fetch = serde_json::from_str(&json).unwrap();
        assert_eq!((fetch.id, fetch.begun_s, fetch.ended_s), (4, 1000, None));
        assert_eq!(fetch.to_progress(), progress);
    }
}
