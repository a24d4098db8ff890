//! `brigade demo`: Brigade at work on this machine, with a real file and a check of the copies.
//!
//! A manager and four peers on loopback, each with its own folder: two hold the file, the third fetches it from both at
//! once, the fourth from all three. The exit code is 0 only if all copies are right.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use brigade_core::name::FileName;
use brigade_node::{
    manager::{ManagerConfig, ManagerServer},
    peer::{FetchRequest, FetchState, ManagerAddress, ManagerContact, Peer, PeerConfig, Progress},
};
use tokio_util::sync::CancellationToken;

use crate::{
    command_line::args::DemoArgs,
    failure::{FAILED, Failure},
    notices::{
        Notices,
        fetch_progress::{ProgressDetail, follow, summary},
    },
    terminal::{signals::Signals, standard_output::print_line},
    text::format,
};

/// The least number of pieces of a content that must come from several holders: fewer pieces may all arrive before the
/// second holder answers.
const SHARED_PIECES: u64 = 16;

const HINT: &str = "name a file that you can read, or none: `brigade demo` then uses this program itself";

/// Runs the demo and removes its files.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::install();
    let source = match args.path {
        Some(path) => path,
        None => {
            env::current_exe().map_err(|error| Failure::other("finding the file of this program", &error))?
        }
    };
    let folder =
        tempfile::tempdir().map_err(|error| Failure::other("creating a temporary folder", &error))?;
    let stop = CancellationToken::new();
    let result = tokio::select! {
        result = run_demo(&source, folder.path(), stop.clone()) => result,
        signal = signals.first() => Ok(Err(signal.exit_code())),
    };
    stop.cancel();
    let folder_path = folder.path().to_owned();
    let cleaned = folder.close();
    match result? {
        Ok(()) => {
            cleaned.map_err(|error| Failure::other("removing the temporary folder", &error))?;
            print_line(&format!("removed {}", folder_path.display()));
            Ok(ExitCode::SUCCESS)
        }
        Err(code) => Ok(code),
    }
}

async fn run_demo(
    source: &Path,
    folder: &Path,
    stop: CancellationToken,
) -> Result<Result<(), ExitCode>, Failure> {
    let name = name_of(source)?;
    let size = fs::metadata(source).map_err(|error| unreadable(source, &error).hint(HINT))?.len();
    print_line(&format!(
        "{} ({}) is held by fire_user and water_user",
        source.display(),
        format::bytes(size)
    ));
    let manager = start_manager(folder, stop.clone()).await?;
    print_line(&format!("manager at {}, key {}", manager.address(), manager.key().short()));
    let setup = DemoSetup { folder, manager: &manager };

    let mut holders = vec![];
    for username in ["fire_user", "water_user"] {
        let home = folder.join(username);
        fs::create_dir(&home)
            .and_then(|()| fs::copy(source, home.join(&*name)).map(drop))
            .map_err(|error| unreadable(source, &error))?;
        holders.push(setup.join(username).await?);
    }
    for holder in &holders {
        if !holder.announced().await {
            return Err(Failure::new(FAILED, format!("{} was refused", holder.username())));
        }
    }

    let expected = plain_hash(source)?;
    let mut right = true;
    for (username, least) in [("earth_user", 2), ("air_user", 2)] {
        let peer = setup.join(username).await?;
        let request = FetchRequest::new(&*name);
        let fetch = peer.fetch(peer.resolve(&request, &mut |_| {}).await?).await?;
        let progress = follow(fetch.progress(), Some(&mut Notices::of(&peer)), ProgressDetail::Tenths).await;
        print_line(&format!("{username}: {}", summary(&progress)));
        right &= check(&progress, &folder.join(username).join(&*name), source, least)?;
        holders.push(peer);
    }
    let listed = holders[0].files(&name, None).await?;
    let id = listed.entries.first().map(|entry| entry.id.to_string()).unwrap_or_default();
    print_line(&format!("content id    {id}\nplain BLAKE3  {expected}"));
    right &= id == expected;
    for peer in holders {
        peer.stop().await;
    }
    // A peer that still writes would disturb the removal of the folder.
    stop.cancel();
    manager.stopped().await;
    if right {
        print_line("all copies are equal to the source");
        Ok(Ok(()))
    } else {
        Err(Failure::new(FAILED, "a copy, an id or the number of holders is wrong"))
    }
}

struct DemoSetup<'a> {
    folder: &'a Path,
    manager: &'a ManagerServer,
}

impl DemoSetup<'_> {
    async fn join(&self, username: &str) -> Result<Peer, Failure> {
        let address = self.manager.address();
        let manager =
            ManagerAddress::new(address.ip().to_string(), address.port()).key(Some(self.manager.key()));
        let config = PeerConfig::new(manager, self.folder.join(username))
            .username(username.parse().map_err(|error| Failure::other("naming a peer", &error))?);
        let port = ManagerContact::with(&config.manager).await?.take_port(None, 0)?;
        Peer::join(config, port).await.map_err(|not_joined| not_joined.error.into())
    }
}

async fn start_manager(folder: &Path, stop: CancellationToken) -> Result<ManagerServer, Failure> {
    Ok(ManagerServer::start_until(ManagerConfig::new(folder.join("manager")), stop).await?)
}

/// Whether a fetch came from at least `least` holders, if the file has enough pieces for that, and the copy is right.
fn check(progress: &Progress, copy: &Path, source: &Path, least: usize) -> Result<bool, Failure> {
    let from_enough = progress.from.len() >= least || progress.pieces < SHARED_PIECES;
    let equal = same_bytes(copy, source).map_err(|error| unreadable(copy, &error))?;
    Ok(progress.state == FetchState::Done && from_enough && equal)
}

fn name_of(source: &Path) -> Result<FileName, Failure> {
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.parse().map_err(|error| {
        Failure::other(&format!("{} cannot be shared under its name", source.display()), &error)
    })
}

fn plain_hash(path: &Path) -> Result<String, Failure> {
    let mut hasher = blake3::Hasher::new();
    fs::File::open(path)
        .and_then(|file| hasher.update_reader(file).map(drop))
        .map_err(|error| unreadable(path, &error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) =
        (io::BufReader::new(fs::File::open(one)?), io::BufReader::new(fs::File::open(other)?));
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = one.read(&mut ours)?;
        if read == 0 {
            return Ok(other.read(&mut theirs)? == 0);
        }
        if other.read_exact(&mut theirs[..read]).is_err() || ours[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::other(&format!("using {}", path.display()), error)
}
