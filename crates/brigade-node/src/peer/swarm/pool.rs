//! The holders that are known, and the links to those that are connected.
//!
//! A link is a task with a queue as long as its window, so that telling it something never waits. One connection is
//! one core's work at each end: where a single holder is connected and the content is long, a second link leads to
//! it, and requests take turns. The downloads know nothing of that; when one of the two breaks, the holder is lost
//! to them, and asked again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use brigade_core::{
    download::{DownloadId, HolderId},
    geometry::PieceIndex,
    id::Content,
    name::Username,
    wire::manager::Whereabouts,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{COMMANDS, Command, Lines, Place, Wanted, run},
    holder_table::HolderTable,
};

/// The holders that were named, as far as they are remembered, and the links that stand.
pub(crate) struct Links {
    lines: Lines,
    known: HolderTable,
    links: BTreeMap<HolderId, Link>,
    last_serial: u64,
}

/// What leads to one holder.
struct Link {
    first: Line,
    second: Second,
    /// The contents that are open there: a second line has to open them too.
    open: BTreeMap<DownloadId, Content>,
    /// Whether the next request goes to the second line.
    turn: bool,
    /// Whether the holder has greeted.
    up: bool,
}

/// The second connection to a holder.
enum Second {
    /// Nobody needed it so far.
    None,
    /// It is being made.
    Dialled(Line),
    /// It stands.
    Up(Line),
    /// The holder does not want it, or it could not be made.
    Refused,
}

/// One connection.
struct Line {
    serial: u64,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    /// Whether a download limit keeps it from reading.
    throttled: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What the end of a connection means for the downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: it was given up before, or was a second one that never stood.
    Nothing,
    /// The holder is not connected any more.
    Holder,
}

/// A content from this many bytes on is worth a second connection, where there is one holder.
const LONG_BYTES: u64 = 64 << 20;

impl Links {
    pub(crate) fn new(lines: Lines) -> Self {
        Self { lines, known: HolderTable::default(), links: BTreeMap::new(), last_serial: 0 }
    }

    /// The number of a peer that the manager named, and where it is now; `None` for an address that is none.
    pub(crate) fn know(&mut self, peer: &Whereabouts) -> Option<HolderId> {
        self.known.know(peer)
    }

    /// Whether so many holders are remembered that those that nothing refers to are to be forgotten.
    pub(crate) fn are_many(&self) -> bool {
        self.known.are_many()
    }

    /// Forgets all holders but those that are `referred_to` or connected.
    pub(crate) fn forget_all_but(&mut self, mut referred_to: BTreeSet<HolderId>) {
        referred_to.extend(self.links.keys());
        self.known.forget_all_but(&referred_to);
    }

    pub(crate) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.known.get(holder).map(|holder| holder.username.clone())
    }

    /// The name of a holder, and where it is.
    pub(crate) fn whereabouts(&self, holder: HolderId) -> Option<(Username, SocketAddr)> {
        self.known.get(holder).map(|holder| (holder.username.clone(), holder.address))
    }

    /// How many holders are connected.
    pub(crate) fn connected(&self) -> usize {
        self.links.values().filter(|link| link.up).count()
    }

    /// Notes that a holder is connected.
    pub(crate) fn is_up(&mut self, holder: HolderId) {
        if let Some(link) = self.links.get_mut(&holder) {
            link.up = true;
        }
    }

    pub(crate) fn connect(&mut self, id: HolderId) {
        if let Some(first) = self.dial(id, false) {
            let link = Link { first, second: Second::None, open: BTreeMap::new(), turn: false, up: false };
            self.links.insert(id, link);
        }
    }

    fn dial(&mut self, id: HolderId, second: bool) -> Option<Line> {
        let holder = self.known.get(id).cloned()?;
        self.last_serial += 1;
        let serial = self.last_serial;
        let (commands, queue) = mpsc::channel(COMMANDS);
        let stop = CancellationToken::new();
        tokio::spawn(run(self.lines.clone(), holder, Place { serial, second }, queue, stop.clone()));
        Some(Line { serial, commands, stop, throttled: false })
    }

    pub(crate) fn disconnect(&mut self, holder: HolderId) {
        self.links.remove(&holder);
    }

    pub(crate) fn disconnect_all(&mut self) {
        self.links.clear();
    }

    /// Notes that the second connection to a holder stands.
    pub(crate) fn second_is_up(&mut self, holder: HolderId, serial: u64) {
        let Some(link) = self.links.get_mut(&holder) else { return };
        match std::mem::replace(&mut link.second, Second::None) {
            Second::Dialled(line) if line.serial == serial => {
                for (download, content) in &link.open {
                    line.tell(Command::Open { download: *download, content: *content });
                }
                link.second = Second::Up(line);
            }
            other => link.second = other,
        }
    }

    /// Notes whether a download limit keeps a connection from being read; whether it does so for any of the holder's, or
    /// none where the connection is one of before.
    pub(crate) fn throttled(&mut self, holder: HolderId, serial: u64, throttled: bool) -> Option<bool> {
        let link = self.links.get_mut(&holder)?;
        let second = match &mut link.second {
            Second::Dialled(line) | Second::Up(line) => Some(line),
            Second::None | Second::Refused => None,
        };
        let mut lines = [Some(&mut link.first), second];
        lines.iter_mut().flatten().find(|line| line.serial == serial)?.throttled = throttled;
        Some(lines.iter().flatten().any(|line| line.throttled))
    }

    /// Notes that a connection ended, and says what is lost by that.
    pub(crate) fn ended(&mut self, holder: HolderId, serial: u64) -> Loss {
        let Some(link) = self.links.get_mut(&holder) else { return Loss::Nothing };
        match &link.second {
            Second::Dialled(line) if line.serial == serial => {
                link.second = Second::Refused;
                return Loss::Nothing;
            }
            // What was asked over it is not told apart: all of it is asked anew.
            Second::Up(line) if line.serial == serial => {}
            _ if link.first.serial == serial => {}
            _ => return Loss::Nothing,
        }
        self.links.remove(&holder);
        Loss::Holder
    }

    pub(crate) fn open(&mut self, holder: HolderId, download: DownloadId, content: Content) {
        if let Some(link) = self.links.get_mut(&holder) {
            link.open.insert(download, content);
        }
        self.tell_all(holder, || Command::Open { download, content });
    }

    pub(crate) fn close(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(link) = self.links.get_mut(&holder) {
            link.open.remove(&download);
        }
        self.tell_all(holder, || Command::Close { download });
    }

    pub(crate) fn ask_list(&mut self, holder: HolderId, download: DownloadId, first: u32) {
        if let Some(link) = self.links.get(&holder) {
            link.first.tell(Command::AskList { download, first });
        }
    }

    pub(crate) fn request(&mut self, holder: HolderId, mut wanted: Wanted) {
        let lonely = self.links.len() == 1 && wanted.content.size >= LONG_BYTES && wanted.offer.is_none();
        wanted.alone = lonely;
        let Some(link) = self.links.get_mut(&holder) else { return };
        link.turn = !link.turn;
        let wants_second = lonely && matches!(link.second, Second::None);
        match &link.second {
            Second::Up(second) if link.turn && lonely => second.tell(Command::Request(wanted)),
            _ => link.first.tell(Command::Request(wanted)),
        }
        if wants_second
            && let Some(line) = self.dial(holder, true)
            && let Some(link) = self.links.get_mut(&holder)
        {
            link.second = Second::Dialled(line);
        }
    }

    /// Wants are told on the first connection, and offers come and are taken up there.
    pub(crate) fn want(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(link) = self.links.get(&holder) {
            link.first.tell(Command::Want { download });
        }
    }

    pub(crate) fn decline(&mut self, holder: HolderId, offer: u32) {
        if let Some(link) = self.links.get(&holder) {
            link.first.tell(Command::Decline { offer });
        }
    }

    /// Whichever of the connections it was asked over takes it back; the other one does not know it.
    pub(crate) fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.tell_all(holder, || Command::Cancel { download, piece });
    }

    fn tell_all(&self, holder: HolderId, command: impl Fn() -> Command) {
        let Some(link) = self.links.get(&holder) else { return };
        link.first.tell(command());
        if let Second::Up(second) = &link.second {
            second.tell(command());
        }
    }
}

impl Line {
    fn tell(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            // The queue holds everything that may be in flight: a link that lets it fill up does not work.
            tracing::warn!(serial = self.serial, "a connection to a holder does not take commands any more");
            self.stop.cancel();
        }
    }
}
