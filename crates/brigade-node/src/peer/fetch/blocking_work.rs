//! Work of the fetches on threads that may wait for the disk. Each piece of work sends one result.
//!
//! The owner of the fetches never waits for it: it receives the results with its other inputs. It counts on them, so
//! there is a result also if the work panics.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use brigade_core::{id::Content, wire::manager::LookupResult};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    disk_space::measure,
    file_preparation::{FileDecision, LocalFileError, prepare},
    space_needs::SpaceNeeds,
};
use crate::{
    fetch_error::FetchError,
    fetch_request::{
        FetchId, FetchOptions, new_fetch::NewFetches, stored_fetches::StoredFetches, wanted_files::WantedFile,
    },
    store::{
        destination_check::Destinations,
        folder::{FileSystemId, Folder, FreeSpace, PrivateState},
        part_file::PartFile,
        share::Share,
        stored_parts::{KeptPart, kept_parts, remove_part},
    },
};

/// Results that may wait for the owner.
const RESULTS: usize = 256;

/// Starts work and sends its results.
#[derive(Clone)]
pub(crate) struct BlockingWork {
    share: Share,
    stored: Arc<StoredFetches>,
    prepared: mpsc::Sender<PreparedFiles>,
    results: mpsc::Sender<BlockingWorkResult>,
}

/// Files that were prepared.
#[derive(Debug)]
pub(crate) struct PreparedFiles {
    pub(crate) job: FetchId,
    /// The state of the private folder before the first of them was prepared.
    pub(crate) private: PrivateState,
    pub(crate) files: Vec<(WantedFile, Result<FileDecision, LocalFileError>)>,
}

/// The result of other work.
#[derive(Debug)]
pub(crate) enum BlockingWorkResult {
    /// Whether the fetches of an order can land and fit on the disk, and the space that each of them needs.
    Measured {
        order: NewFetches,
        kept: Vec<KeptPart>,
        result: Result<Vec<(FetchId, SpaceNeeds)>, FetchError>,
    },
    /// So much is free on each of these file systems.
    FreeSpace(Vec<(FileSystemId, FreeSpace)>),
    /// These parts are there.
    PartsFound(Vec<KeptPart>),
    /// The parts of these contents were removed, or could not be.
    PartsRemoved(Vec<Content>),
    /// The contents that the name of a content has now, by the answer to the question with this number.
    NameFound { content: Content, number: u64, found: LookupResult },
}

impl BlockingWork {
    /// The receivers get the prepared files and the other results.
    pub(crate) fn new(
        share: Share,
        stored: StoredFetches,
    ) -> (Self, mpsc::Receiver<PreparedFiles>, mpsc::Receiver<BlockingWorkResult>) {
        let (prepared, prepared_files) = mpsc::channel(RESULTS);
        let (results, other_results) = mpsc::channel(RESULTS);
        let stored = Arc::new(stored);
        (Self { share, stored, prepared, results }, prepared_files, other_results)
    }

    /// Prepares files of a fetch.
    pub(crate) fn prepare(&self, job: FetchId, files: Vec<WantedFile>) {
        let share = self.share.clone();
        let preparation = Preparation {
            job,
            private: share.folder().private_state(),
            waiting: files.into(),
            decided: vec![],
            prepared: self.prepared.clone(),
        };
        spawn_blocking(move || {
            let folder = share.folder();
            let mut walk = Destinations::new(folder);
            preparation.run(|wanted| prepare(folder, &share, &mut walk, wanted));
        });
    }

    /// Measures the space that the fetches of an order need, beside the bytes that are `promised` to others, and stores
    /// the fetches if they can begin. Fetches of an earlier run begin in any case: one that does not fit waits for space.
    pub(crate) fn measure(&self, order: NewFetches, promised: BTreeMap<FileSystemId, u64>) {
        let Self { share, stored, results, .. } = self.clone();
        spawn_blocking(move || {
            let kept = find_parts(share.folder());
            let wanted: Vec<_> = order.fetches.iter().map(|fetch| &fetch.files).collect();
            let measured = measure(&share, &wanted, &kept, &promised);
            let needs = match measured {
                Err(_) if order.begun.is_none() => Ok(vec![SpaceNeeds::default(); order.fetches.len()]),
                measured => measured,
            };
            let result = needs.map(|needs| stored.add(&order.fetches).into_iter().zip(needs).collect());
            let _ = results.blocking_send(BlockingWorkResult::Measured { order, kept, result });
        });
    }

    /// Stores the options of a fetch. Of several changes, the last one stays, whichever thread is faster.
    pub(crate) fn store_options(&self, id: FetchId, options: FetchOptions) {
        self.stored.change_options(id, options);
        self.write_stored();
    }

    /// Removes fetches that have ended, or did not begin, from the stored ones.
    pub(crate) fn remove_stored(&self, ids: Vec<FetchId>) {
        self.stored.remove(&ids);
        self.write_stored();
    }

    fn write_stored(&self) {
        let stored = self.stored.clone();
        spawn_blocking(move || stored.write_changes());
    }

    /// Asks how much space is free on these file systems, at a folder on each of them.
    pub(crate) fn check_space(&self, folders: BTreeSet<(FileSystemId, String)>) {
        let folder = self.share.folder().clone();
        let unknown = folders.iter().map(|(on, _)| (*on, FreeSpace::UNKNOWN)).collect();
        let result = CertainResult::new(self.results.clone(), BlockingWorkResult::FreeSpace(unknown));
        spawn_blocking(move || {
            let free =
                |(on, below): (FileSystemId, String)| (on, folder.free(&below).unwrap_or(FreeSpace::UNKNOWN));
            result.send(BlockingWorkResult::FreeSpace(folders.into_iter().map(free).collect()));
        });
    }

    /// Looks which parts are there, when those `in_use` are marked as used: a part that is wanted all the time, and
    /// gets nothing, is not an unused one.
    pub(crate) fn find_parts(&self, in_use: Vec<PartFile>) {
        let folder = self.share.folder().clone();
        let result = CertainResult::new(self.results.clone(), BlockingWorkResult::PartsFound(vec![]));
        spawn_blocking(move || {
            in_use.iter().for_each(|file| drop(file.touch()));
            result.send(BlockingWorkResult::PartsFound(find_parts(&folder)));
        });
    }

    /// Removes the parts of these contents.
    pub(crate) fn remove_parts(&self, contents: Vec<Content>) {
        let folder = self.share.folder().clone();
        let otherwise = BlockingWorkResult::PartsRemoved(contents.clone());
        let result = CertainResult::new(self.results.clone(), otherwise);
        spawn_blocking(move || {
            remove_parts(&folder, &contents);
            result.send(BlockingWorkResult::PartsRemoved(contents));
        });
    }

    /// Waits in a task, and sends the result if there is one.
    pub(crate) fn spawn(&self, work: impl Future<Output = Option<BlockingWorkResult>> + Send + 'static) {
        let results = self.results.clone();
        tokio::spawn(async move {
            if let Some(result) = work.await {
                let _ = results.send(result).await;
            }
        });
    }

    /// At the end: stores the last changes of fetches, makes the part files durable, and removes the parts of `removing` and empty folders.
    pub(crate) fn sync(&self, files: Vec<PartFile>, removing: Vec<Content>) -> JoinHandle<()> {
        let (folder, stored) = (self.share.folder().clone(), self.stored.clone());
        spawn_blocking(move || {
            stored.write_changes();
            files.iter().for_each(|file| drop(file.sync()));
            remove_parts(&folder, &removing);
            if let Err(error) = folder.remove_empty_staging() {
                tracing::debug!(%error, "empty folders of this peer stay on other file systems");
            }
        })
    }
}

/// The parts that are there; none if the folder cannot be read.
fn find_parts(folder: &Folder) -> Vec<KeptPart> {
    kept_parts(folder, SystemTime::now()).unwrap_or_else(|error| {
        tracing::debug!(%error, "the parts of files could not be looked at");
        vec![]
    })
}

fn remove_parts(folder: &Folder, contents: &[Content]) {
    for content in contents {
        match remove_part(folder, *content) {
            Ok(true) => tracing::info!(id = content.id.short(), "an unused part was removed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "an unused part could not be removed"),
        }
    }
}

/// Files that are being prepared. The owner gets a result for all of them in any case: it counts the threads that
/// prepare files, and the contents that they deal with.
struct Preparation {
    job: FetchId,
    private: PrivateState,
    waiting: VecDeque<WantedFile>,
    decided: Vec<(WantedFile, Result<FileDecision, LocalFileError>)>,
    prepared: mpsc::Sender<PreparedFiles>,
}

impl Preparation {
    fn run(mut self, mut decide: impl FnMut(&WantedFile) -> Result<FileDecision, LocalFileError>) {
        while let Some(wanted) = self.waiting.front() {
            let decision = decide(wanted);
            let wanted = self.waiting.pop_front();
            self.decided.extend(wanted.map(|wanted| (wanted, decision)));
        }
    }
}

impl Drop for Preparation {
    /// Files still wait only if the work panicked, or if the runtime was shut down before it began.
    fn drop(&mut self) {
        let waiting = self.waiting.drain(..).map(|wanted| (wanted, Err(LocalFileError::CutOff)));
        let mut files = std::mem::take(&mut self.decided);
        files.extend(waiting);
        // The channel has space: it is longer than the number of threads that prepare files.
        let _ = self.prepared.try_send(PreparedFiles { job: self.job, private: self.private, files });
    }
}

/// A result that is sent in any case: another one if the work for it panics.
struct CertainResult {
    results: mpsc::Sender<BlockingWorkResult>,
    otherwise: Option<BlockingWorkResult>,
}

impl CertainResult {
    /// For work that starts now; `otherwise` is sent if it does not end.
    const fn new(results: mpsc::Sender<BlockingWorkResult>, otherwise: BlockingWorkResult) -> Self {
        Self { results, otherwise: Some(otherwise) }
    }

    /// Sends the result. Only for threads that may wait.
    fn send(mut self, result: BlockingWorkResult) {
        self.otherwise = None;
        let _ = self.results.blocking_send(result);
    }
}

impl Drop for CertainResult {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            let _ = self.results.try_send(otherwise);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::id::ContentId;

    use super::{
        BlockingWorkResult, CertainResult, Content, FetchId, FileDecision, LocalFileError, Preparation,
        PrivateState, WantedFile, mpsc,
    };

    #[tokio::test]
    async fn a_result_is_sent_also_if_the_work_for_it_panics() {
        let (results, mut received) = mpsc::channel(2);
        let result = || CertainResult::new(results.clone(), BlockingWorkResult::PartsFound(vec![]));
        let (broken, whole) = (result(), result());
        let broken = tokio::task::spawn_blocking(move || {
            let _broken = broken;
            panic!("as this test wants it");
        });
        assert!(broken.await.unwrap_err().is_panic());
        assert!(matches!(received.recv().await, Some(BlockingWorkResult::PartsFound(_))));
        tokio::task::spawn_blocking(move || whole.send(BlockingWorkResult::FreeSpace(vec![]))).await.unwrap();
        assert!(matches!(received.recv().await, Some(BlockingWorkResult::FreeSpace(_))));
        assert!(received.try_recv().is_err(), "one result only");
    }

    #[tokio::test]
    async fn a_preparation_that_panics_is_reported_like_any_other() {
        let (prepared, mut received) = mpsc::channel(1);
        let wanted =
            |name: &str| WantedFile::new(name.parse().unwrap(), Content { id: ContentId::EMPTY, size: 0 });
        let waiting = ["good", "bad", "late"].map(wanted).into();
        let private = PrivateState::default();
        let preparation = Preparation { job: FetchId(7), private, waiting, decided: vec![], prepared };
        let run = tokio::task::spawn_blocking(move || {
            preparation.run(|wanted| match wanted.name.as_str() {
                "good" => Ok(FileDecision::Small),
                _ => panic!("as this test wants it"),
            });
        });
        assert!(run.await.unwrap_err().is_panic());
        let prepared = tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap().unwrap();
        assert_eq!(prepared.job, FetchId(7));
        let [
            (_, Ok(FileDecision::Small)),
            (bad, Err(LocalFileError::CutOff)),
            (_, Err(LocalFileError::CutOff)),
        ] = &prepared.files[..]
        else {
            panic!("{prepared:?}");
        };
        assert_eq!(bad.name.as_str(), "bad");
    }
}
