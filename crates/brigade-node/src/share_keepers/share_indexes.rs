//! The folders with the hashes of shares in place, in `BRIGADE_HOME/shares/`: their names, and their removal.
//!
//! The name begins with digits of the peer's key, so that a peer finds its own. One that no share uses, since the share
//! is no longer in the configuration, is removed when it has not changed for a long time.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use brigade_core::id::PeerKey;

use crate::shares_in_place::CheckedShare;

/// Hexadecimal digits that name the peer, and those that name the share.
const PEER_DIGITS: usize = 16;
const SHARE_DIGITS: usize = 32;

/// The files of an index, which are removed with a share.
const INDEX_FILES: [&str; 4] = ["index.db", "index.db-wal", "index.db-shm", "index.damaged"];

/// How long an unused index stays: its share may be away from the configuration for a while.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The folder in the user's own folder of Brigade for the indexes of all shares in place.
pub(super) fn folder_of_indexes(home: &Path) -> PathBuf {
    home.join("shares")
}

/// The name of the folder for the hashes of a share. Its length is the same, whatever the length of the path.
pub(super) fn index_name(key: &PeerKey, share: &CheckedShare) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.0).update(share.path.as_os_str().as_encoded_bytes());
    format!("{}{}", prefix(key), &hasher.finalize().to_hex()[..SHARE_DIGITS])
}

/// Removes an index that is not needed any more, and nothing else.
pub(super) fn remove_index(folder: &Path) {
    for file in INDEX_FILES {
        let _ = fs::remove_file(folder.join(file));
    }
    let _ = fs::remove_dir(folder);
}

/// Removes the indexes of this peer below `indexes` that none of the shares `in_use` has, if they have not changed for 30
/// days.
pub(super) fn remove_unused(indexes: &Path, key: &PeerKey, in_use: &[CheckedShare], now: SystemTime) {
    let used: Vec<String> = in_use.iter().map(|share| index_name(key, share)).collect();
    let prefix = prefix(key);
    for entry in fs::read_dir(indexes).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_unused = name
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix) && used.iter().all(|used| used != name));
        if is_unused && is_old(&entry.path(), now) {
            tracing::info!(index = %entry.path().display(), "the hashes of a share that is gone are removed");
            remove_index(&entry.path());
        }
    }
}

/// Whether no file of an index has changed for long. An index whose time cannot be read is not old.
fn is_old(folder: &Path, now: SystemTime) -> bool {
    let changed = INDEX_FILES.iter().filter_map(|file| fs::metadata(folder.join(file)).ok()?.modified().ok());
    let newest = changed.max();
    newest.and_then(|newest| now.duration_since(newest).ok()).is_some_and(|age| age > KEPT)
}

/// The digits with which the names of the indexes of a peer begin.
fn prefix(key: &PeerKey) -> String {
    format!("{}-", &blake3::hash(&key.0).to_hex()[..PEER_DIGITS])
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use brigade_core::id::PeerKey;

    use super::{CheckedShare, KEPT, index_name, remove_unused};

    #[test]
    fn only_old_indexes_of_this_peer_that_no_share_has_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let (own, other) = (PeerKey([1; 32]), PeerKey([2; 32]));
        let share = |name: &str| CheckedShare { path: temp.path().join(name), name: name.parse().unwrap() };
        let (used, unused) = (share("used"), share("unused"));
        let names = [
            index_name(&own, &used),
            index_name(&own, &unused),
            index_name(&other, &unused),
            "another folder".to_owned(),
        ];
        for name in &names {
            fs::create_dir(temp.path().join(name)).unwrap();
            fs::write(temp.path().join(name).join("index.db"), "").unwrap();
        }
        let left = || names.iter().map(|name| temp.path().join(name).exists()).collect::<Vec<_>>();
        remove_unused(temp.path(), &own, std::slice::from_ref(&used), SystemTime::now());
        assert_eq!(left(), [true; 4], "none is old");
        remove_unused(temp.path(), &own, &[used], SystemTime::now() + 2 * KEPT);
        assert_eq!(left(), [true, false, true, true]);
    }
}
