//! The task of one share in place: it runs a keeper while the path can be opened, and looks at the path again and again
//! while it cannot.
//!
//! A medium that is unmounted or removed ends the keeper, which gives its handles back. Whatever is at the path later is
//! shared: the path was named by a person, and it is still without links.

use std::{sync::Arc, time::Duration};

use brigade_core::name::FileName;
use tokio::{
    sync::{oneshot, watch},
    task::spawn_blocking,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    listed_share::{ListedShare, ShareTaskState},
    share_context::ShareContext,
};
use crate::{
    shares_in_place::{
        CheckedShare,
        path_checks::{SharedFolders, check_again},
    },
    store::{
        folder::{Folder, FolderError},
        keeper::{FirstScan, Keeper, KeeperCommand, KeeperGroup, KeeperOptions, KeeperProblem, ProblemList},
    },
};

/// The pause before the next attempt to open the path.
const RETRY: Duration = Duration::from_secs(1);

/// The task of a share.
pub(super) struct ShareTask {
    pub(super) context: ShareContext,
    pub(super) checked: CheckedShare,
    /// All shares, in their order.
    pub(super) list: watch::Receiver<Vec<ListedShare>>,
    /// Why it is not shared, whatever is at the path.
    pub(super) fault: Option<String>,
    pub(super) first_scan: Arc<FirstScan>,
    pub(super) state: watch::Sender<ShareTaskState>,
    pub(super) removed: CancellationToken,
    /// Dropped at the end.
    pub(super) ended: oneshot::Sender<()>,
}

impl ShareTask {
    /// Runs until the share is removed or the peer stops.
    pub(super) async fn run(self) {
        let group = self.context.keeper.group().clone();
        let mut reported = None;
        loop {
            let (reason, has_run) = match &self.fault {
                Some(fault) => (fault.clone(), false),
                None => self.keep(&group).await,
            };
            if self.is_over() {
                break;
            }
            group.finish(&self.first_scan).await;
            // A keeper that has run since has replaced the report.
            if has_run || reported.as_ref() != Some(&reason) {
                report(&group, &self.checked.name, &reason);
                self.state.send_replace(ShareTaskState { keeper: None, problem: Some(reason.clone()) });
                reported = Some(reason);
            }
            tokio::select! {
                () = self.removed.cancelled() => break,
                () = self.context.stop.cancelled() => break,
                () = sleep(RETRY) => {}
            }
        }
        group.problems.remove(&self.checked.name);
        drop(self.ended);
    }

    fn is_over(&self) -> bool {
        self.removed.is_cancelled() || self.context.stop.is_cancelled()
    }

    /// The shares that this one must not overlap with: those before it, and those that have a keeper now. So, of two
    /// that find the same files at the same time, the first one shares them.
    fn others(&self) -> Vec<CheckedShare> {
        let list = self.list.borrow();
        let own = list.iter().position(|share| share.checked == self.checked);
        let others = list.iter().enumerate().filter(|(at, share)| {
            let (is_before, is_own) = (own.is_none_or(|own| *at < own), own == Some(*at));
            share.has_names && !is_own && (is_before || share.state.borrow().keeper.is_some())
        });
        others.map(|(_, share)| share.checked.clone()).collect()
    }

    /// Runs a keeper until the folder is gone or the share ends. Returns the reason why nothing is shared then,
    /// and whether a keeper has run.
    async fn keep(&self, group: &KeeperGroup) -> (String, bool) {
        let CheckedShare { path, name } = self.checked.clone();
        let (others, context) = (self.others(), self.context.clone());
        let opening = spawn_blocking(move || {
            let folder = Folder::open_in_place(&path, name).map_err(|error| error.to_string())?;
            let (own, home) = (Some(context.folder.path()), context.home.as_deref());
            let checked = check_again(&path, SharedFolders { own, home, others: &others });
            checked.map(|()| folder).map_err(|error| error.to_string())
        });
        let folder = match opening.await {
            Ok(Ok(folder)) => folder,
            Ok(Err(reason)) => return (reason, false),
            Err(_) => {
                return (
                    "opening it was cut off by an error of this program (see the log)".to_owned(),
                    false,
                );
            }
        };
        let disappeared = FolderError::Gone { path: folder.path().to_owned() }.to_string();
        let share = self.context.share.add_in_place(folder);
        let options = KeeperOptions {
            index: self.context.index_of(&self.checked),
            first_scan: self.first_scan.clone(),
            ..KeeperOptions::default()
        };
        let started = Keeper::start_in_place(share, options, group.clone(), &self.context.stop);
        let (keeper, mut end) = match started {
            Ok(started) => started,
            Err(error) => {
                self.context.share.remove_in_place(&self.checked.name);
                return (format!("its keeper could not be started: {error}"), false);
            }
        };
        self.state.send_replace(ShareTaskState { keeper: Some(keeper.clone()), problem: None });
        tokio::select! {
            _ = &mut end => {}
            () = self.removed.cancelled() => {
                keeper.command(KeeperCommand::Unshare).await;
                let _ = end.await;
            }
        }
        self.context.share.remove_in_place(&self.checked.name);
        (disappeared, true)
    }
}

fn report(group: &KeeperGroup, name: &FileName, reason: &str) {
    let problem = KeeperProblem::ShareAway { name: name.clone(), reason: reason.to_owned() };
    group
        .problems
        .publish(Some(name), ProblemList { keeper_problems: vec![problem], ..ProblemList::default() });
}
