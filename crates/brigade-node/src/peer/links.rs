//! The holders that are known, and the links to those that are connected.
//!
//! A link is a task with a queue as long as its window, so that telling it something never waits.

use std::{collections::BTreeMap, net::SocketAddr};

use brigade_core::{
    download::{DownloadId, HolderId},
    geometry::PieceIndex,
    id::{Content, PeerKey},
    name::Username,
    wire::manager::Whereabouts,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::holder_link::{COMMANDS, Command, Holder, Lines, Wanted, run};

/// Everybody who was ever named as a holder, and the links that stand.
pub(super) struct Links {
    lines: Lines,
    ids: BTreeMap<PeerKey, HolderId>,
    holders: BTreeMap<HolderId, Holder>,
    links: BTreeMap<HolderId, Link>,
    last_holder: u32,
    last_serial: u64,
}

struct Link {
    serial: u64,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Links {
    pub(super) fn new(lines: Lines) -> Self {
        Self {
            lines,
            ids: BTreeMap::new(),
            holders: BTreeMap::new(),
            links: BTreeMap::new(),
            last_holder: 0,
            last_serial: 0,
        }
    }

    /// The number of a peer that the manager named, and where it is now; `None` for an address that is none.
    pub(super) fn know(&mut self, peer: &Whereabouts) -> Option<HolderId> {
        let address: SocketAddr = peer.address.parse().ok()?;
        let last = &mut self.last_holder;
        let id = *self.ids.entry(peer.key).or_insert_with(|| {
            *last += 1;
            HolderId(*last)
        });
        let holder = Holder { id, username: peer.username.clone(), key: peer.key, address };
        self.holders.insert(id, holder);
        Some(id)
    }

    pub(super) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.holders.get(&holder).map(|holder| holder.username.clone())
    }

    /// How many links stand, or are being made.
    pub(super) fn connected(&self) -> usize {
        self.links.len()
    }

    pub(super) fn connect(&mut self, id: HolderId) {
        let Some(holder) = self.holders.get(&id).cloned() else { return };
        self.last_serial += 1;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        tokio::spawn(run(self.lines.clone(), holder, self.last_serial, queue, stop.clone()));
        self.links.insert(id, Link { serial: self.last_serial, commands, stop });
    }

    pub(super) fn disconnect(&mut self, holder: HolderId) {
        self.links.remove(&holder);
    }

    pub(super) fn disconnect_all(&mut self) {
        self.links.clear();
    }

    /// Notes that a link ended; false for one that was given up before.
    pub(super) fn ended(&mut self, holder: HolderId, serial: u64) -> bool {
        let current = self.links.get(&holder).is_some_and(|link| link.serial == serial);
        if current {
            self.links.remove(&holder);
        }
        current
    }

    pub(super) fn open(&mut self, holder: HolderId, download: DownloadId, content: Content) {
        self.tell(holder, Command::Open { download, content });
    }

    pub(super) fn close(&mut self, holder: HolderId, download: DownloadId) {
        self.tell(holder, Command::Close { download });
    }

    pub(super) fn ask_list(&mut self, holder: HolderId, download: DownloadId, first: u32) {
        self.tell(holder, Command::AskList { download, first });
    }

    pub(super) fn request(&mut self, holder: HolderId, wanted: Wanted) {
        self.tell(holder, Command::Request(wanted));
    }

    pub(super) fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.tell(holder, Command::Cancel { download, piece });
    }

    fn tell(&mut self, holder: HolderId, command: Command) {
        let Some(link) = self.links.get(&holder) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.commands.try_send(command) {
            // The queue holds everything that may be in flight: a link that lets it fill up does not work.
            tracing::warn!(?holder, "a connection to a holder does not take commands any more");
            link.stop.cancel();
        }
    }
}
