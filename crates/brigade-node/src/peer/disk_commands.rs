//! The functions of a peer for its files on the disk: shares in place, which are folders and files that it serves where
//! they are; verifying all files; and fetching damaged ones again.
//!
//! They send commands to `share_keepers` and `verifier`, or read what these publish. A repair is an ordinary fetch.

use std::path::Path;

use brigade_core::name::FileName;

use super::{
    CannotRepair, CannotShare, CannotVerify, Damage, Fetch, PeerHandle, ShareStatus, SharedPath, Verification,
};
use crate::fetch_request::wanted_files::{Resolved, WantedFile};

impl PeerHandle {
    /// Shares the folder or file at `path` in place from now on, under `name` or else the last component of the path.
    /// Nothing is written there. The share lasts over a restart. Returns when its keeper starts; its files are shared
    /// when they are hashed.
    ///
    /// # Errors
    /// If the path or the name cannot be shared, each with its reason; nothing has changed then.
    pub async fn share(&self, path: &Path, name: Option<FileName>) -> Result<ShareStatus, CannotShare> {
        let mut wanted = SharedPath::new(path);
        wanted.name = name;
        self.0.shares_in_place.share(wanted).await
    }

    /// Removes the share in place with this name or path: its files are withdrawn, and stay as they are. A share of the
    /// configuration is back at the next start. Returns its last status.
    ///
    /// # Errors
    /// If there is no such share, or if the list of shares cannot be stored.
    pub async fn unshare(&self, named: &str) -> Result<ShareStatus, CannotShare> {
        self.0.shares_in_place.unshare(named).await
    }

    /// The shares in place, those of the configuration first. The peer's own folder is not among them.
    pub fn shares(&self) -> Vec<ShareStatus> {
        self.0.shares_in_place.statuses()
    }

    /// Begins to hash again what is on the disk: the shared file `name` or the files below it, and the kept parts of
    /// them; everything for "". It reads at most half of the time, one file after the other.
    ///
    /// A file whose bytes are not those that were announced, although its length and times are the same, is not shared
    /// from then on: until it is written, touched or [repaired](Self::repair).
    ///
    /// # Errors
    /// If another verification runs, or if no file is shared under the name.
    pub async fn verify(&self, name: &str) -> Result<Verification, CannotVerify> {
        self.0.verifier.verify(name).await
    }

    /// The files that are known to be damaged: `name`, and those below it; all of them for "". At most a thousand.
    pub fn damaged(&self, name: &str) -> Vec<Damage> {
        self.0.verifier.damaged(name)
    }

    /// Fetches a damaged file again, from other holders or from another file here that has its content. The damaged file
    /// keeps its name until the good one has landed; then it has the name `NAME.~1~`, or the next free number.
    ///
    /// # Errors
    /// If the file is not known to be damaged, if it is in a share in place, or as [`fetch`](Self::fetch).
    pub async fn repair(&self, name: &FileName) -> Result<Fetch, CannotRepair> {
        let not_damaged = || CannotRepair::NotDamaged(name.clone());
        let damaged = self.0.share.damaged_file(name).ok_or_else(not_damaged)?;
        let first = name.components().next().unwrap_or_default();
        if let Some(share) = self.shares().into_iter().find(|share| share.name.as_str() == first) {
            return Err(CannotRepair::InPlace { name: name.clone(), path: share.path });
        }
        let mut wanted = WantedFile::new(name.clone(), damaged.expected);
        wanted.mtime_s = damaged.stamp.mtime_s();
        wanted.executable = damaged.stamp.executable;
        wanted.replace = true;
        let (name, files) = (name.to_string(), vec![wanted]);
        let files = Resolved { name, files, left_out: 0, from: None, replace: true };
        Ok(self.fetch(files).await?)
    }
}
