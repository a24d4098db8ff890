//! The owner of the shares in place: it starts a task for each, adds and removes them while the peer runs, and stores
//! those that were added.
//!
//! A share has a task (`share_task`) that runs its keeper while its path can be opened. Paths and names are checked
//! before anything is changed. The owner does not know the network: the keepers announce the files.

mod listed_share;
mod share_context;
mod share_indexes;
mod share_task;

use std::{path::Path, sync::Arc};

use brigade_core::name::FileName;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinSet, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::share_context::ShareContext;
use self::{
    listed_share::{ListedShare, ShareTaskState},
    share_indexes::remove_index,
    share_task::ShareTask,
};
use crate::{
    shares_in_place::{
        CannotShare, CheckedShare, ShareStatus, SharedPath,
        path_checks::{SharedFolders, check, check_if_there},
        stored_shares,
    },
    store::{
        folder::Folder,
        keeper::{FirstScan, IndexLocation, KeeperCommand, KeeperHandle},
        share::SharedNames,
    },
};

/// Commands that wait for the owner.
const COMMANDS: usize = 16;

/// The shares with which a peer starts.
#[derive(Debug)]
pub(crate) struct InitialShares {
    configured: Vec<CheckedShare>,
    /// Stored ones, with the reason if they cannot be shared beside the others.
    stored: Vec<(CheckedShare, Option<String>)>,
}

/// The owner.
#[derive(Debug)]
pub(crate) struct ShareOwner {
    context: ShareContext,
    shares: Vec<RunningShare>,
    commands: mpsc::Receiver<ShareCommand>,
    list: watch::Sender<Vec<ListedShare>>,
    tasks: JoinSet<()>,
}

/// A share and its task.
#[derive(Debug)]
struct RunningShare {
    listed: ListedShare,
    removed: CancellationToken,
    /// Closed when the task has ended.
    end: oneshot::Receiver<()>,
}

#[derive(Debug)]
enum ShareCommand {
    Add { wanted: SharedPath, answer: oneshot::Sender<Result<FileName, CannotShare>> },
    Remove { named: String, answer: oneshot::Sender<Result<ShareStatus, CannotShare>> },
}

/// A handle of the owner; cheap to clone. It does not keep any folder open.
#[derive(Debug, Clone)]
pub(crate) struct ShareHandle {
    commands: mpsc::Sender<ShareCommand>,
    list: watch::Receiver<Vec<ListedShare>>,
    share: SharedNames,
    keeper: KeeperHandle,
}

impl InitialShares {
    /// The shares of the configuration, which were checked, and the stored ones of the folder. A stored share that the
    /// configuration has too is not one more; one whose path is not there now waits for it, if its name and its path
    /// are free.
    pub(crate) fn load(folder: &Folder, home: Option<&Path>, configured: Vec<CheckedShare>) -> Self {
        let stored = stored_shares::read(&folder.private_dir()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the list of shares in place cannot be read: they are not shared");
            vec![]
        });
        let mut initial = Self { configured, stored: vec![] };
        let mut others = initial.configured.clone();
        for share in stored {
            if initial.configured.iter().any(|other| other.path == share.path) {
                continue;
            }
            let wanted = SharedPath::new(&share.path).named(share.name.clone());
            let folders = SharedFolders { own: Some(folder.path()), home, others: &others };
            let fault = check_if_there(&wanted, folders).err().map(|error| error.to_string());
            if fault.is_none() {
                others.push(share.clone());
            }
            initial.stored.push((share, fault));
        }
        initial
    }

    /// No shares: for a session that shares only the files that it fetches.
    pub(crate) const fn none() -> Self {
        Self { configured: vec![], stored: vec![] }
    }

    /// The number of folders whose first scan the start waits for.
    pub(crate) fn scans(&self) -> usize {
        self.configured.len() + self.stored.iter().filter(|(_, fault)| fault.is_none()).count()
    }

    /// The names that the peer's own folder must not have.
    pub(crate) fn names(&self) -> Vec<FileName> {
        let stored = self.stored.iter().filter(|(_, fault)| fault.is_none()).map(|(share, _)| share);
        self.configured.iter().chain(stored).map(|share| share.name.clone()).collect()
    }
}

impl ShareOwner {
    /// An owner that starts the tasks of `initial`. Must be called within a Tokio runtime.
    pub(crate) fn start(
        context: ShareContext,
        initial: InitialShares,
        mut scans: impl Iterator<Item = Arc<FirstScan>>,
    ) -> (Self, ShareHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (list, listed) = watch::channel(vec![]);
        let handle = ShareHandle {
            commands: sender,
            list: listed,
            share: context.share.names(),
            keeper: context.keeper.clone(),
        };
        let mut owner = Self { context, shares: vec![], commands, list, tasks: JoinSet::new() };
        let configured = initial.configured.into_iter().map(|share| (share, true, None));
        let stored = initial.stored.into_iter().map(|(share, fault)| (share, false, fault));
        for (share, is_configured, fault) in configured.chain(stored) {
            let scan = if fault.is_none() { scans.next() } else { None };
            owner.run_share(share, is_configured, fault, scan.unwrap_or_else(FirstScan::uncounted));
        }
        (owner, handle)
    }

    /// Runs until the peer stops and all keepers have ended.
    pub(crate) async fn run(mut self) {
        let stop = self.context.stop.clone();
        let (context, in_use) = (self.context.clone(), self.all());
        let _ = spawn_blocking(move || context.remove_unused_indexes(&in_use)).await;
        while let Some(Some(command)) = stop.run_until_cancelled(self.commands.recv()).await {
            match command {
                ShareCommand::Add { wanted, answer } => drop(answer.send(self.add(wanted).await)),
                ShareCommand::Remove { named, answer } => drop(answer.send(self.remove(&named).await)),
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    async fn add(&mut self, wanted: SharedPath) -> Result<FileName, CannotShare> {
        if self.context.only_fetched {
            return Err(CannotShare::OnlyFetched);
        }
        let name = self.check(wanted.clone()).await?.name;
        // From here on no fetch begins under the name. One that has landed since is found by the second check; one that
        // is landing just now is not shared.
        let withheld = self.names().into_iter().chain([name]).collect();
        self.context.folder.set_withheld(withheld);
        let added = self.add_withheld(wanted).await;
        self.withhold_names();
        // A file of the own folder that is being hashed just now loses its name.
        self.context.keeper.command(KeeperCommand::Rescan).await;
        added
    }

    /// Adds a share whose name is withheld from the peer's own folder.
    async fn add_withheld(&mut self, wanted: SharedPath) -> Result<FileName, CannotShare> {
        let checked = self.check(wanted).await?;
        let name = checked.name.clone();
        let stored = self.stored().chain([&checked]).cloned().collect();
        self.store(stored).await?;
        self.run_share(checked, false, None, FirstScan::uncounted());
        Ok(name)
    }

    async fn check(&self, wanted: SharedPath) -> Result<CheckedShare, CannotShare> {
        let others = self.all();
        let (own, home) = (self.context.folder.path().to_owned(), self.context.home.clone());
        let checking = spawn_blocking(move || {
            check(&wanted, SharedFolders { own: Some(&own), home: home.as_deref(), others: &others })
        });
        checking.await.map_err(|_| CannotShare::Stopping)?
    }

    async fn remove(&mut self, named: &str) -> Result<ShareStatus, CannotShare> {
        let path = std::path::absolute(named).unwrap_or_else(|_| named.into());
        let is_named = |share: &RunningShare| {
            let CheckedShare { name, path: known } = &share.listed.checked;
            name.as_str() == named || *known == path || path.canonicalize().is_ok_and(|path| path == *known)
        };
        let unknown = || CannotShare::Unknown(named.to_owned());
        let position = self.shares.iter().position(is_named).ok_or_else(unknown)?;
        let kept = self.shares.iter().enumerate().filter(|(at, _)| *at != position).map(|(_, share)| share);
        let stored = kept.filter(|share| !share.listed.is_configured);
        let stored = stored.map(|share| share.listed.checked.clone()).collect();
        self.store(stored).await?;
        let share = self.shares.remove(position);
        let status = share.listed.status(&self.context.share.names(), &self.context.keeper);
        share.removed.cancel();
        let _ = share.end.await; // it has ended, or the peer stops
        if let IndexLocation::Folder(index) = self.context.index_of(&share.listed.checked) {
            remove_index(&index);
        }
        self.withhold_names();
        self.list_shares();
        // Files of the peer's own folder may have the name from now on.
        self.context.keeper.command(KeeperCommand::Rescan).await;
        Ok(status)
    }

    fn all(&self) -> Vec<CheckedShare> {
        self.shares.iter().map(|share| share.listed.checked.clone()).collect()
    }

    /// The shares that are remembered for the next start.
    fn stored(&self) -> impl Iterator<Item = &CheckedShare> {
        let added = self.shares.iter().filter(|share| !share.listed.is_configured);
        added.map(|share| &share.listed.checked)
    }

    async fn store(&self, shares: Vec<CheckedShare>) -> Result<(), CannotShare> {
        let folder = self.context.folder.clone();
        let storing = spawn_blocking(move || {
            let private = folder.private().map_err(|error| error.to_string())?;
            stored_shares::write(&private, shares.iter())
                .map_err(|error| format!("{} cannot be written to: {error}", private.display()))
        });
        let stored = storing.await.map_err(|_| CannotShare::Stopping)?;
        stored.map_err(|reason| CannotShare::NotStored { reason })
    }

    /// Starts the task of a share. A share with a `fault` only waits for its removal.
    fn run_share(
        &mut self,
        checked: CheckedShare,
        is_configured: bool,
        fault: Option<String>,
        first_scan: Arc<FirstScan>,
    ) {
        let (state, states) = watch::channel(ShareTaskState::default());
        let (ended, end) = oneshot::channel();
        let removed = CancellationToken::new();
        let has_names = fault.is_none();
        let listed = ListedShare { checked: checked.clone(), has_names, is_configured, state: states };
        self.shares.push(RunningShare { listed, removed: removed.clone(), end });
        self.list_shares(); // before its keeper starts: the other tasks must not share the same files
        let (context, list) = (self.context.clone(), self.list.subscribe());
        let task = ShareTask { context, checked, list, fault, first_scan, state, removed, ended };
        self.tasks.spawn(task.run());
        while self.tasks.try_join_next().is_some() {} // those of removed shares
    }

    fn names(&self) -> Vec<FileName> {
        let named = self.shares.iter().filter(|share| share.listed.has_names);
        named.map(|share| share.listed.checked.name.clone()).collect()
    }

    /// Withholds the names of the shares from the peer's own folder, and of no others.
    fn withhold_names(&self) {
        self.context.folder.set_withheld(self.names());
    }

    fn list_shares(&self) {
        self.list.send_replace(self.shares.iter().map(|share| share.listed.clone()).collect());
    }
}

impl ShareHandle {
    /// Shares a folder or a file in place from now on, also after a restart. Returns when it is being scanned.
    pub(crate) async fn share(&self, wanted: SharedPath) -> Result<ShareStatus, CannotShare> {
        let (answer, answers) = oneshot::channel();
        self.send(ShareCommand::Add { wanted, answer }).await?;
        let name = answers.await.map_err(|_| CannotShare::Stopping)??;
        self.statuses().into_iter().find(|share| share.name == name).ok_or(CannotShare::Stopping)
    }

    /// Removes the share with this name or path. Returns its last status, when its files are withdrawn.
    pub(crate) async fn unshare(&self, named: &str) -> Result<ShareStatus, CannotShare> {
        let (answer, answers) = oneshot::channel();
        self.send(ShareCommand::Remove { named: named.to_owned(), answer }).await?;
        answers.await.map_err(|_| CannotShare::Stopping)?
    }

    /// All shares in place.
    pub(crate) fn statuses(&self) -> Vec<ShareStatus> {
        let list = self.list.borrow().clone();
        list.iter().map(|listed| listed.status(&self.share, &self.keeper)).collect()
    }

    /// Whether a name belongs to a share in place.
    pub(crate) fn has(&self, name: &FileName) -> bool {
        let first = name.components().next().unwrap_or_default();
        self.list.borrow().iter().any(|listed| listed.has_names && listed.checked.name.as_str() == first)
    }

    /// The keeper of the folder of a name: of a share in place, or else of the peer's own folder. `None` if the share is
    /// not at its path now.
    pub(crate) fn keeper_of(&self, name: &FileName) -> Option<KeeperHandle> {
        let first = name.components().next().unwrap_or_default();
        let list = self.list.borrow();
        match list.iter().find(|listed| listed.has_names && listed.checked.name.as_str() == first) {
            Some(listed) => listed.state.borrow().keeper.clone(),
            None => Some(self.keeper.clone()),
        }
    }

    async fn send(&self, command: ShareCommand) -> Result<(), CannotShare> {
        self.commands.send(command).await.map_err(|_| CannotShare::Stopping)
    }
}
