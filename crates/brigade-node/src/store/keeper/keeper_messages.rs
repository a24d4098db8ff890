//! The messages of the keeper: changes of the folder, which it sends; files that landed, and commands, which it
//! receives.
//!
//! `event_loop` makes the changes and takes the files; the channels are made in the parent module.

use std::sync::Arc;

use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
    piece_list::PieceList,
};
use tokio::sync::oneshot;

use crate::store::{file_stamp::Stamp, share::SharedFile};

/// A change of the folder. Changes are in the order in which they are to be announced.
#[derive(Debug)]
pub(crate) enum Change {
    /// These files are served from now on. They replace the files that had their names.
    Shared(Vec<Arc<SharedFile>>),
    /// The files with these names are not served any more.
    Gone(Vec<FileName>),
    /// The first scan is complete: each file that was in the folder at the start is announced, or reported as a
    /// problem, or is being written.
    Scanned,
    /// A file or folder is not shared. People see the list of problems; only tests read this.
    #[cfg_attr(not(test), allow(dead_code))]
    Problem {
        /// Its path below the folder. It comes from the file system: escape it before it is shown.
        what: String,
        /// The reason.
        reason: String,
    },
    /// A problem is solved.
    #[cfg_attr(not(test), allow(dead_code))]
    Solved {
        /// The path of the problem.
        what: String,
    },
}

/// A file that was received and has its name. Its hash is known.
#[derive(Debug, Clone)]
pub(crate) struct LandedFile {
    /// Its name.
    pub name: FileName,
    /// Its verified content.
    pub content: Content,
    /// Its piece list, if it has more than one piece.
    pub list: Option<Arc<PieceList>>,
    /// The stamp that `PartFile::finish` or `SmallFileBatch::commit` returned.
    pub stamp: Stamp,
}

/// A command to the keeper of a folder.
#[derive(Debug)]
pub(crate) enum KeeperCommand {
    /// The names that its folder may share have changed: it scans the folder.
    Rescan,
    /// A verification found that a file has the bytes of another id.
    Damaged {
        /// The file, as it was announced.
        file: Arc<SharedFile>,
        /// The id of its bytes.
        found: ContentId,
        /// Its stamp before and after it was read.
        stamp: Stamp,
    },
    /// A verification found that the bytes of a damaged file are right again.
    Undamaged(FileName),
    /// Nothing of the folder is to be shared any more: the keeper withdraws all files and ends.
    Unshare,
}

/// Files that landed, and the sender that answers when they are shared.
pub(super) type LandedNotice = (Vec<LandedFile>, oneshot::Sender<()>);
