//! One content that is being received: its bytes, a record of the pieces that are there, and its piece list.
//!
//! All three lie where files of its file system are received (`staging`). The record is a hint, written without waiting for the disk: after a restart the
//! pieces that it claims are hashed again before anything is believed. The list is checked by folding it. A file
//! gets its name only when all of it is there and durable, and never replaces another.
//!
//! Two threads that write to one file contend for its inode's lock, so pieces go through a queue that whichever thread
//! comes first empties for all.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Write as _},
    mem,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    geometry::{Geometry, PieceIndex},
    id::Content,
    name::FileName,
};

pub use self::error::PartError;
use super::{
    folder::{Folder, FolderError, Stamp, stamp_of},
    landing::{Landing, Named, Placed, give_name},
    parts::{DATA, LIST, NAME, RECORD, file_name, read_list, read_name},
    staging::Staging,
    system::{self, Dir},
};

mod error;

/// A file being received; cheap to clone, all clones are one file.
#[derive(Debug, Clone)]
pub struct PartFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Held for the lock that comes with it: while a piece may be written, no other session begins.
    _folder: Folder,
    geometry: Geometry,
    content: Content,
    file: File,
    record: File,
    parts: Dir,
    path: PathBuf,
    /// Whether a write is a copy, and waits for no disk.
    in_memory: bool,
    queue: Mutex<Queue>,
    written: Condvar,
}

/// What is there from before.
#[derive(Debug)]
pub struct Resumed {
    /// The piece list, known to fold to the content's id.
    pub list: Option<Arc<PieceList>>,
    /// The pieces that the record claims: to be hashed (`hash::hash_pieces`) before they are believed.
    pub claimed: Bitfield,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// What the record says.
    claimed: Vec<u8>,
    /// Somebody empties the queue.
    drained: bool,
    /// A piece is being written at this moment.
    writing: bool,
    /// The file has its name, or gets it: nothing may be written any more.
    finished: bool,
    /// Nobody receives it any more: nothing may be written ever again.
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

struct Job {
    piece: PieceIndex,
    bytes: Box<dyn AsRef<[u8]> + Send>,
    done: Box<dyn FnOnce(Result<(), PartError>) + Send>,
}

impl PartFile {
    /// Opens what is there of `content`, or begins it, on the file system that `name` is on; the room is not reserved.
    pub fn open(folder: &Folder, name: &FileName, content: Content) -> Result<(Self, Resumed), PartError> {
        let (part, resumed) = Self::open_in(folder, folder.staging_for(name)?, content)?;
        part.0.note_name(name).map_err(|error| part.0.failed("note the name of", error))?;
        Ok((part, resumed))
    }

    fn open_in(folder: &Folder, staging: Staging, content: Content) -> Result<(Self, Resumed), PartError> {
        let geometry = Geometry::new(content.size)?;
        let Staging { dir: parts, path, .. } = staging;
        let path = path.join(file_name(content, DATA));
        let failed = |error| FolderError::new("open", path.clone(), error);
        let open = |ending| parts.open_or_create(&file_name(content, ending)).map_err(failed);
        let (file, record) = (open(DATA)?, open(RECORD)?);
        let length = file.metadata().map_err(failed)?.len();
        let record_bytes = geometry.count().div_ceil(8) as usize;
        let mut claimed = Vec::new();
        if length == content.size {
            (&record).take(record_bytes as u64 + 1).read_to_end(&mut claimed).map_err(failed)?;
        } else {
            // A record without its file, or a file that someone else cut: nothing in it can be placed.
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
        let queue = Mutex::new(Queue { claimed, ..Queue::default() });
        let (in_memory, written) = (system::is_in_memory(&file), Condvar::new());
        let inner = Inner {
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
        Ok((Self(Arc::new(inner)), Resumed { list: list.map(Arc::new), claimed: bits }))
    }

    /// Whether it lies in memory, so that [`store`](Self::store) waits for no disk.
    pub fn is_in_memory(&self) -> bool {
        self.0.in_memory
    }

    /// The content that is being received.
    pub fn content(&self) -> Content {
        self.0.content
    }

    /// The bytes on disk, for reading at an offset and for `hash::hash_pieces`. Only verified pieces mean anything.
    pub fn file(&self) -> &File {
        &self.0.file
    }

    /// Keeps the piece list for the next start.
    pub fn save_list(&self, list: &PieceList) -> Result<(), PartError> {
        let name = file_name(self.0.content, LIST);
        let write = || {
            let mut file = self.0.parts.open_or_create(&name)?;
            file.set_len(0)?;
            file.write_all(list.values().as_flattened())
        };
        write().map_err(|error| self.0.failed("write the piece list of", error).into())
    }

    /// Stores a verified piece and then calls `done`, on this thread or on one that is storing another piece of this
    /// file: it must not block. To be called on a thread that may wait, but for a file in memory.
    ///
    /// What waits in the queue is what the caller has in flight: it is the caller who bounds that, in bytes.
    pub fn store(
        &self,
        piece: PieceIndex,
        bytes: impl AsRef<[u8]> + Send + 'static,
        done: impl FnOnce(Result<(), PartError>) + Send + 'static,
    ) {
        let job = Job { piece, bytes: Box::new(bytes), done: Box::new(done) };
        let mut queue = self.0.queue();
        if queue.finished || queue.closed {
            drop(queue);
            return (job.done)(Err(self.0.out_of_range()));
        }
        queue.jobs.push_back(job);
        if queue.drained {
            return; // whoever is at it takes this one too
        }
        queue.drained = true;
        drop(queue);
        self.0.drain();
    }

    /// Fills `into` from `offset` in the content. Only what lies in verified pieces means anything.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), PartError> {
        if offset.checked_add(into.len() as u64).is_none_or(|end| end > self.0.content.size) {
            return Err(self.0.out_of_range());
        }
        let wanted = into.len();
        match system::read_at(&self.0.file, into, offset) {
            Ok(read) if read == wanted => Ok(()),
            Ok(_) => Err(self.0.failed("read", io::ErrorKind::UnexpectedEof.into()).into()),
            Err(error) => Err(self.0.failed("read", error).into()),
        }
    }

    /// Notes that it is wanted at this moment: what was left alone for long is removed.
    pub fn touch(&self) -> Result<(), PartError> {
        let touched = self.0.record.set_modified(SystemTime::now());
        touched.map_err(|error| self.0.failed("touch the record of", error).into())
    }

    /// Makes what was stored durable, so that a stop loses nothing of it.
    pub fn sync(&self) -> Result<(), PartError> {
        let sync = self.0.file.sync_data().and_then(|()| self.0.record.sync_data());
        sync.map_err(|error| self.0.failed("sync", error).into())
    }

    /// Gives the file its name, once every piece was stored: makes it durable, then moves it, replacing nothing.
    ///
    /// After an error the part file is there as before, and this may be tried again under another name; only where
    /// the folder itself could not be made durable has the file its name already. Bytes that the disk did not take
    /// are thrown away: the next attempt fetches them again.
    pub fn finish(&self, folder: &Folder, landing: &Landing) -> Result<Placed, PartError> {
        self.finish_as(folder, landing, |_| {})
    }

    /// As [`finish`](Self::finish), and calls `named` right before the file gets its name, with what it is then: from
    /// that moment on its user may write to it.
    pub fn finish_as(
        &self,
        folder: &Folder,
        landing: &Landing,
        named: impl FnOnce(Stamp),
    ) -> Result<Placed, PartError> {
        self.0.stop_writing();
        let result = self.0.land(folder, landing, named);
        if result.is_err() {
            self.0.queue().finished = false;
        }
        result
    }

    /// Takes no more pieces; those that wait to be written are refused. A piece that is being written at this moment is
    /// not waited for, and a file that is getting its name gets it.
    pub fn close(&self) {
        let refused = {
            let mut queue = self.0.queue();
            queue.closed = true;
            mem::take(&mut queue.jobs)
        };
        self.0.refuse(refused);
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str, error: io::Error) -> FolderError {
        FolderError::new(action, self.path.clone(), error)
    }

    fn out_of_range(&self) -> PartError {
        PartError::OutOfRange { path: self.path.clone() }
    }

    /// Writes what is in the queue until it is empty.
    fn drain(&self) {
        let _reset = ResetOnPanic(self);
        loop {
            let mut queue = self.queue();
            let Some(job) = queue.jobs.pop_front() else {
                queue.drained = false;
                return;
            };
            queue.writing = true;
            drop(queue);
            let result = self.write(job.piece, (*job.bytes).as_ref());
            self.queue().writing = false;
            self.written.notify_all();
            drop(job.bytes); // the buffer is free before the news of it spreads
            (job.done)(result);
        }
    }

    /// Writes a piece at its place, then its bit: the record never claims what was not written.
    fn write(&self, piece: PieceIndex, bytes: &[u8]) -> Result<(), PartError> {
        if !self.geometry.contains(piece) || bytes.len() != self.geometry.length(piece) as usize {
            return Err(self.out_of_range());
        }
        let write = |file, bytes, offset| {
            system::write_at(file, bytes, offset).map_err(|error| self.failed("write to", error))
        };
        write(&self.file, bytes, self.geometry.offset(piece))?;
        let at = piece.0 as usize / 8;
        let byte = {
            let mut queue = self.queue();
            queue.claimed[at] |= 0x80 >> (piece.0 % 8);
            queue.claimed[at]
        };
        Ok(write(&self.record, &[byte], at as u64)?)
    }

    /// Takes no more pieces, and waits for the one that is being written.
    fn stop_writing(&self) {
        let mut queue = self.queue();
        queue.finished = true;
        let refused = mem::take(&mut queue.jobs);
        while queue.writing {
            queue = self.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.refuse(refused);
    }

    fn refuse(&self, jobs: VecDeque<Job>) {
        for job in jobs {
            (job.done)(Err(self.out_of_range()));
        }
    }

    /// Writes down the name that the content is wanted under, and that it is wanted now.
    fn note_name(&self, name: &FileName) -> io::Result<()> {
        if read_name(&self.parts, self.content).as_ref() != Some(name) {
            let mut file = self.parts.open_or_create(&file_name(self.content, NAME))?;
            file.set_len(0)?;
            file.write_all(name.as_str().as_bytes())?;
        }
        match self.record.set_modified(SystemTime::now()) {
            Err(error) if !system::is_not_kept(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn land(
        &self,
        folder: &Folder,
        landing: &Landing,
        named: impl FnOnce(Stamp),
    ) -> Result<Placed, PartError> {
        let failed = |error| self.failed("finish", error);
        let found = self.file.metadata().map_err(failed)?.len();
        if found != self.content.size {
            return Err(PartError::WrongSize { path: self.path.clone(), found, expected: self.content.size });
        }
        landing.mark(&self.file).map_err(failed)?;
        if let Err(error) = self.file.sync_all() {
            // What could not be written is in memory only, and looks as if it were on the disk: nothing may believe it.
            let _ = self.file.set_len(0);
            return Err(failed(error).into());
        }
        // What is renamed is what stands under the path: it must be the very file that was written here.
        let data = file_name(self.content, DATA);
        let ours = stamp_of(&self.file).map_err(failed)?;
        let there = self.parts.open_file(&data).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FolderError::Removed { path: self.path.clone() },
            _ => failed(error),
        })?;
        let there = stamp_of(&there).map_err(failed)?;
        if (there.device, there.inode) != (ours.device, ours.inode) {
            return Err(self.out_of_range());
        }
        let name = &landing.name;
        let target = folder.make_parent(name, true)?;
        named(ours);
        let Named { aside, copied } = give_name(folder, (&self.parts, &data), &target, landing)?;
        target.sync().map_err(|error| FolderError::new("sync the folder of", folder.path_of(name), error))?;
        for ending in [RECORD, LIST, NAME] {
            // A record that stays is not believed: its file is gone.
            let _ = self.parts.remove(&file_name(self.content, ending));
        }
        // Where it was written to since it got its name, it is not what was received.
        let now = copied.or_else(|| stamp_of(&self.file).ok().filter(|now| now.same_bytes(&ours)));
        Ok(Placed { stamp: now.unwrap_or(ours), aside })
    }
}

/// A `done` that panics must not leave a queue that nobody empties.
struct ResetOnPanic<'a>(&'a Inner);

impl Drop for ResetOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut queue = self.0.queue();
            queue.drained = false;
            queue.writing = false;
            drop(queue);
            self.0.written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
