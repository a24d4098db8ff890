//! One content that is being received: its bytes, a record of its stored pieces, and its piece list.
//!
//! All three are in the directory for received files of the file system (`staging_directories`). The record is a hint
//! and is not synced: after a restart its pieces are hashed again before they are used. The list is checked by folding
//! it. A file gets its name only when all of it is stored and durable, and never replaces another.
//!
//! Two threads that write to one file wait for the lock of its inode. So pieces go through a queue, and the first
//! thread writes those of all threads.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    mem,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    name::FileName,
    piece_list::PieceList,
};

pub(crate) use self::error::PartError;
use self::{
    metadata_files::{read_list, read_name, write_list, write_name},
    write_queue::{PieceWrite, WriteQueue},
};
use super::{
    file_stamp::{Stamp, set_modified, stamp_of},
    folder::{Folder, FolderError},
    landing::{Landing, Placed, RenameResult, give_name},
    staged_file_names::{DATA, LIST, NAME, RECORD, part_name},
    staging_directories::Staging,
    system::{self, Dir},
};

mod error;
pub(super) mod metadata_files;
mod write_queue;

/// A file that is being received; cheap to clone, all clones are one file.
#[derive(Debug, Clone)]
pub(crate) struct PartFile(Arc<PartFileInner>);

#[derive(Debug)]
struct PartFileInner {
    /// Keeps the lock of the folder: while a piece may be written, no other session starts.
    _folder: Folder,
    geometry: Geometry,
    content: Content,
    file: File,
    record: File,
    parts: Dir,
    path: PathBuf,
    /// Whether a write is a copy in memory and waits for no disk.
    in_memory: bool,
    queue: Mutex<WriteQueue>,
    written: Condvar,
}

/// The stored state of an earlier session.
#[derive(Debug)]
pub(crate) struct ResumedPart {
    /// The piece list, checked by folding it to the content's id.
    pub list: Option<Arc<PieceList>>,
    /// The pieces of the record: to be hashed (`piece_verification::hash_pieces`) before they are used.
    pub claimed: Bitfield,
}

impl PartFile {
    /// Opens the stored part of `content`, or creates one, on the file system of `name`. No space is reserved.
    pub(crate) fn open(
        folder: &Folder,
        name: &FileName,
        content: Content,
    ) -> Result<(Self, ResumedPart), PartError> {
        let (part, resumed) = Self::open_in(folder, folder.staging_for(name)?, content)?;
        part.0.note_name(name)?;
        Ok((part, resumed))
    }

    fn open_in(
        folder: &Folder,
        staging: Staging,
        content: Content,
    ) -> Result<(Self, ResumedPart), PartError> {
        let geometry = Geometry::new(content.size)?;
        let Staging { dir: parts, path, .. } = staging;
        let open = |ending| {
            let file = part_name(content, ending);
            let failed = |error| FolderError::of_own("open", path.join(&file), error);
            parts.open_or_create(&file).map_err(failed)
        };
        let (file, record) = (open(DATA)?, open(RECORD)?);
        let path = path.join(part_name(content, DATA));
        let failed = |error| FolderError::of_own("open", path.clone(), error);
        let length = file.metadata().map_err(failed)?.len();
        let record_bytes = geometry.count().div_ceil(8) as usize;
        let mut claimed = Vec::new();
        if length == content.size {
            (&record).take(record_bytes as u64 + 1).read_to_end(&mut claimed).map_err(failed)?;
        } else {
            // There is a record without its file, or the file was shortened: no piece of it is usable.
            file.set_len(content.size).map_err(failed)?;
        }
        let mut bits = Bitfield::none(geometry.count());
        if claimed.len() != record_bytes || bits.add_page(0, &claimed).is_err() {
            bits = Bitfield::none(geometry.count());
            claimed = vec![0; record_bytes];
            system::write_at(&record, &claimed, 0).map_err(failed)?;
            record.set_len(record_bytes as u64).map_err(failed)?;
        }
        let list = read_list(&parts, content, &geometry).map_err(failed)?;
        let left = Some(stamp_of(&file).map_err(failed)?);
        let queue = Mutex::new(WriteQueue { claimed, left, ..WriteQueue::default() });
        let (in_memory, written) = (system::is_in_memory(&file), Condvar::new());
        let inner = PartFileInner {
            _folder: folder.clone(),
            geometry,
            content,
            file,
            record,
            parts,
            path,
            in_memory,
            queue,
            written,
        };
        Ok((Self(Arc::new(inner)), ResumedPart { list: list.map(Arc::new), claimed: bits }))
    }

    /// Whether the file is in memory, so that [`store`](Self::store) waits for no disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.0.in_memory
    }

    /// The file with the bytes, for reading at an offset and for `piece_verification::hash_pieces`. Only verified
    /// pieces have valid bytes.
    pub(crate) fn file(&self) -> &File {
        &self.0.file
    }

    /// Stores the piece list for the next start.
    pub(crate) fn save_list(&self, list: &PieceList) -> Result<(), PartError> {
        let written = write_list(&self.0.parts, self.0.content, list);
        written.map_err(|error| self.0.failed("write the piece list of", error).into())
    }

    /// Stores a verified piece and then calls `done`, on this thread or on one that stores another piece of this
    /// file: `done` must not block. To be called on a thread that may wait, except for a file in memory.
    ///
    /// The caller limits the bytes in the queue: it has them in flight.
    pub(crate) fn store(
        &self,
        piece: PieceIndex,
        bytes: impl AsRef<[u8]> + Send + 'static,
        done: impl FnOnce(Result<(), PartError>) + Send + 'static,
    ) {
        let write = PieceWrite { piece, bytes: Box::new(bytes), done: Box::new(done) };
        let mut queue = self.0.queue();
        if queue.finished || queue.closed {
            drop(queue);
            return (write.done)(Err(self.0.out_of_range()));
        }
        queue.writes.push_back(write);
        if queue.is_draining {
            return; // that thread writes this piece too
        }
        queue.is_draining = true;
        drop(queue);
        self.0.drain();
    }

    /// Records that the content is wanted now: a part that is not used for long is removed.
    pub(crate) fn touch(&self) -> Result<(), PartError> {
        let touched = set_modified(&self.0.record, SystemTime::now());
        touched.map_err(|error| self.0.failed("touch the record of", error).into())
    }

    /// Makes the stored pieces durable, so that a stop loses none of them.
    pub(crate) fn sync(&self) -> Result<(), PartError> {
        let sync = self.0.file.sync_data().and_then(|()| self.0.record.sync_data());
        sync.map_err(|error| self.0.failed("sync", error).into())
    }

    /// Gives the file its name when all pieces are stored: makes it durable, then renames it without replacing a
    /// file.
    ///
    /// After an error the part file is unchanged, and the call may be repeated with another name. But if only the
    /// folder could not be made durable, the file has its name already. If the disk did not take the bytes, they are
    /// discarded: the next attempt fetches them again. If another program has changed the file, its pieces are to be
    /// hashed again: only a new [`PartFile`] can get the name.
    pub(crate) fn finish(&self, folder: &Folder, landing: &Landing) -> Result<Placed, PartError> {
        self.finish_as(folder, landing, |_| {})
    }

    /// Like [`finish`](Self::finish). Calls `named` just before the file gets its name, with its stamp at that time:
    /// afterwards its user may write to it.
    pub(crate) fn finish_as(
        &self,
        folder: &Folder,
        landing: &Landing,
        named: impl FnOnce(Stamp),
    ) -> Result<Placed, PartError> {
        self.0.stop_writing();
        let result = self.0.land(folder, landing, File::sync_all, named);
        if result.is_err() {
            self.0.queue().finished = false;
        }
        result
    }

    /// Refuses all further pieces, and those in the queue. It does not wait for a piece that is being written, nor
    /// for a file that is getting its name.
    pub(crate) fn close(&self) {
        let refused = {
            let mut queue = self.0.queue();
            queue.closed = true;
            mem::take(&mut queue.writes)
        };
        self.0.refuse(refused);
    }
}

impl PartFileInner {
    fn queue(&self) -> MutexGuard<'_, WriteQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str, error: io::Error) -> FolderError {
        FolderError::new(action, self.path.clone(), error)
    }

    fn out_of_range(&self) -> PartError {
        PartError::OutOfRange { path: self.path.clone() }
    }

    /// Writes the pieces in the queue until it is empty.
    fn drain(&self) {
        let _reset = ResetOnPanic(self);
        loop {
            let mut queue = self.queue();
            let Some(write) = queue.writes.pop_front() else {
                queue.is_draining = false;
                return;
            };
            queue.is_writing = true;
            drop(queue);
            let result = self.write(write.piece, (*write.bytes).as_ref());
            self.queue().is_writing = false;
            self.written.notify_all();
            drop(write.bytes); // the buffer is free before the caller knows
            (write.done)(result);
        }
    }

    /// Writes a piece at its offset, then its bit: the record never has a piece that was not written.
    fn write(&self, piece: PieceIndex, bytes: &[u8]) -> Result<(), PartError> {
        if !self.geometry.contains(piece) || bytes.len() != self.geometry.length(piece) as usize {
            return Err(self.out_of_range());
        }
        let write = |file, bytes, offset| {
            system::write_at(file, bytes, offset).map_err(|error| self.failed("write to", error))
        };
        let now = stamp_of(&self.file).map_err(|error| self.failed("write to", error))?;
        let is_changed = self.queue().is_changed_since_write(&now);
        if is_changed || now.has_coarse_times() {
            self.check_path("write to")?; // the bytes of a file without its path would be lost
        }
        let written = write(&self.file, bytes, self.geometry.offset(piece));
        let left = stamp_of(&self.file).ok();
        let at = piece.0 as usize / 8;
        let byte = {
            let mut queue = self.queue();
            (queue.is_changed, queue.left) = (queue.is_changed || is_changed, left);
            written?;
            queue.claimed[at] |= 0x80 >> (piece.0 % 8);
            queue.claimed[at]
        };
        Ok(write(&self.record, &[byte], at as u64)?)
    }

    /// Whether another program has changed the file since it was opened.
    fn is_changed(&self) -> io::Result<bool> {
        let now = stamp_of(&self.file)?;
        Ok(self.queue().is_changed_since_open(&now))
    }

    /// Checks that no other program has changed the file. A file that was removed has changed, too.
    fn check_unchanged(&self) -> Result<(), PartError> {
        if self.is_changed().map_err(|error| self.failed("finish", error))? {
            self.check_path("finish")?;
            return Err(PartError::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    /// Checks that the path still has the file that was written here.
    fn check_path(&self, action: &'static str) -> Result<(), PartError> {
        let failed = |error| self.failed(action, error);
        let removed = || FolderError::PartRemoved { path: self.path.clone() };
        let at_path = self.parts.status(part_name(self.content, DATA).as_ref());
        let at_path = at_path.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => removed(),
            _ => failed(error),
        })?;
        let ours = stamp_of(&self.file).map_err(failed)?;
        if at_path.stamp.file_id() == ours.file_id() { Ok(()) } else { Err(removed().into()) }
    }

    /// Refuses further pieces, and waits for the one that is being written.
    fn stop_writing(&self) {
        let mut queue = self.queue();
        queue.finished = true;
        let refused = mem::take(&mut queue.writes);
        while queue.is_writing {
            queue = self.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.refuse(refused);
    }

    fn refuse(&self, writes: VecDeque<PieceWrite>) {
        for write in writes {
            (write.done)(Err(self.out_of_range()));
        }
    }

    /// Stores the name that the content is wanted under, and that it is wanted now.
    fn note_name(&self, name: &FileName) -> Result<(), FolderError> {
        let failed = |ending, error| {
            let path = self.path.with_file_name(part_name(self.content, ending));
            FolderError::of_own("write to", path, error)
        };
        if read_name(&self.parts, self.content).as_ref() != Some(name) {
            write_name(&self.parts, self.content, name).map_err(|error| failed(NAME, error))?;
        }
        match set_modified(&self.record, SystemTime::now()) {
            Err(error) if !system::is_not_kept(&error) => Err(failed(RECORD, error)),
            _ => Ok(()),
        }
    }

    fn land(
        &self,
        folder: &Folder,
        landing: &Landing,
        sync: impl FnOnce(&File) -> io::Result<()>,
        named: impl FnOnce(Stamp),
    ) -> Result<Placed, PartError> {
        let failed = |error| self.failed("finish", error);
        self.check_unchanged()?;
        landing.mark(&self.file).map_err(failed)?;
        let ours = stamp_of(&self.file).map_err(failed)?;
        self.queue().left = Some(ours);
        if let Err(error) = sync(&self.file) {
            // The bytes that could not be written are only in memory and look like stored ones: discard them.
            let _ = self.file.set_len(0);
            return Err(failed(error).into());
        }
        let (data, name) = (part_name(self.content, DATA), &landing.name);
        let target = folder.make_parent(name, true)?;
        self.check_path("finish")?; // the rename uses the path
        self.check_unchanged()?; // the sync may have taken long
        named(ours);
        let renamed = give_name(folder, (&self.parts, &data, &ours), &target, landing)?;
        let Some(RenameResult { aside, copied }) = renamed else {
            return Err(PartError::Changed { path: self.path.clone() });
        };
        target.sync().map_err(|error| FolderError::new("sync the folder of", folder.path_of(name), error))?;
        for ending in [RECORD, LIST, NAME] {
            // A record that stays is harmless: it has no file.
            let _ = self.parts.remove(&part_name(self.content, ending));
        }
        // A file that was written to after its rename is not the received one any more.
        let now = copied.or_else(|| stamp_of(&self.file).ok().filter(|now| now.same_bytes(&ours)));
        Ok(Placed { stamp: now.unwrap_or(ours), aside })
    }
}

/// After a panic in `done` the next thread must empty the queue.
struct ResetOnPanic<'a>(&'a PartFileInner);

impl Drop for ResetOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.is_draining = false;
            queue.is_writing = false;
            drop(queue);
            self.0.written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
