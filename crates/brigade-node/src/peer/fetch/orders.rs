//! What the owner of the fetches is told besides news of holders: orders, and answers to what it asked.
//!
//! The owner, [`super::owner`], waits for none of them: what takes time is done elsewhere and comes back so.

use brigade_core::{download::DownloadId, id::Content, wire::manager::Found};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    job::JobId,
    measure::{Needs, NotBegun},
    prepare::{Decision, PrepareError, WantedFile},
    progress::Progress,
};
use crate::store::{
    folder::{FileSystemId, Free},
    parts::KeptPart,
};

/// Fetches that are asked for together: all of them begin, or none.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) fetches: Vec<Ordered>,
    /// Hears that they begin, or why not.
    pub(crate) begun: oneshot::Sender<Result<(), NotBegun>>,
}

/// One fetch that is asked for.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub(crate) name: String,
    pub(crate) files: Vec<WantedFile>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) given_up: CancellationToken,
}

/// Answers to what the owner asked of the disk or of the manager, without waiting for them.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Whether an order can land and fits on the disk, and what each of its fetches will take there.
    Measured { order: Order, kept: Vec<KeptPart>, result: Result<Vec<Needs>, NotBegun> },
    /// So much is free on each of the file systems that were asked.
    Free(Vec<(FileSystemId, Free)>),
    /// These parts are there.
    Kept(Vec<KeptPart>),
    /// The parts of these contents are removed, or could not be.
    Removed(Vec<Content>),
    /// What the name of a content means now.
    Means { download: DownloadId, found: Found },
}

/// An answer that is certain to come: where the work for it panics, another one says so.
pub(crate) struct Certain {
    answers: mpsc::Sender<Answer>,
    otherwise: Option<Answer>,
}

impl Certain {
    /// For work that starts now; `otherwise` is answered where it does not end.
    pub(crate) const fn new(answers: mpsc::Sender<Answer>, otherwise: Answer) -> Self {
        Self { answers, otherwise: Some(otherwise) }
    }

    /// Answers. On a thread that may wait.
    pub(crate) fn answer(mut self, answer: Answer) {
        self.otherwise = None;
        let _ = self.answers.blocking_send(answer);
    }
}

impl Drop for Certain {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            let _ = self.answers.try_send(otherwise);
        }
    }
}

/// What is known of files that were looked through.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) job: JobId,
    pub(crate) files: Vec<(WantedFile, Result<Decision, PrepareError>)>,
}

#[cfg(test)]
mod tests {
    use super::{Answer, Certain, mpsc};

    #[tokio::test]
    async fn an_answer_comes_also_where_the_work_for_it_panics() {
        let (answers, mut told) = mpsc::channel(2);
        let certain = || Certain::new(answers.clone(), Answer::Kept(vec![]));
        let (broken, whole) = (certain(), certain());
        let broken = tokio::task::spawn_blocking(move || {
            let _broken = broken;
            panic!("as this test wants it");
        });
        assert!(broken.await.unwrap_err().is_panic());
        assert!(matches!(told.recv().await, Some(Answer::Kept(_))));
        tokio::task::spawn_blocking(move || whole.answer(Answer::Free(vec![]))).await.unwrap();
        assert!(matches!(told.recv().await, Some(Answer::Free(_))));
        assert!(told.try_recv().is_err(), "one answer only");
    }
}
