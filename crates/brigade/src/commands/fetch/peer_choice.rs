//! Which peer fetches: one that runs in the folder, or one of the command's own.
//!
//! `--folder` and `--into` decide. Without both, the running peer of `BRIGADE_FOLDER` or of the current directory
//! fetches into its own folder; a peer that runs elsewhere does so only with `--detach`.

use std::{
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use brigade_api::local::{Choice, ProgramKind, Target, find};

use crate::{
    command_line::{args::FetchArgs, given_options::GivenOptions},
    commands::running::find_program,
    failure::{Failure, USAGE},
    terminal::standard_error::print_error_line,
    text::escape::escape,
};

/// The peer that fetches.
pub(super) enum FetchingPeer {
    /// One that runs.
    Running(Target),
    /// One of the command's own, into this folder.
    Own(PathBuf),
}

/// Options of a peer of the command's own.
const OWN_OPTIONS: [&str; 7] =
    ["host", "port", "username", "max", "upload-limit", "download-limit", "keep-parts"];

/// Chooses the peer.
pub(super) fn choose_peer(args: &FetchArgs, given: &GivenOptions) -> Result<FetchingPeer, Failure> {
    let Some(target) = running(args)? else {
        return Ok(FetchingPeer::Own(args.into.clone().unwrap_or_else(|| PathBuf::from("."))));
    };
    if let Some(option) = given.first_of(&OWN_OPTIONS) {
        let message = format!(
            "--{option} has no effect on the peer that runs in {}, and that peer would fetch",
            target.folder.display()
        );
        let hint = "leave the option out, or fetch into another folder with --into; `brigade limit` changes the \
                    limits of the running peer";
        return Err(Failure::new(USAGE, message).hint(hint));
    }
    let is_named = args.folder.is_some() || args.into.is_some();
    if !is_named && !args.quiet && io::stderr().is_terminal() {
        let folder = target.folder.display().to_string();
        print_error_line(&format!("the running peer fetches into {}", escape(&folder)));
    }
    Ok(FetchingPeer::Running(target))
}

/// The running peer that fetches; `None` if the command itself does.
fn running(args: &FetchArgs) -> Result<Option<Target>, Failure> {
    if let Some(folder) = &args.folder {
        return find_program(ProgramKind::Peer, Some(folder.clone())).map(Some);
    }
    if let Some(into) = &args.into {
        let choice =
            Choice { kind: Some(ProgramKind::Peer), folder: Some(into.clone()), ..Choice::default() };
        let target = find(&choice).ok();
        if args.detach && target.is_none() {
            return find_program(ProgramKind::Peer, Some(into.clone())).map(Some);
        }
        return Ok(target);
    }
    if args.detach {
        return find_program(ProgramKind::Peer, None).map(Some);
    }
    let choice = Choice::of(Some(ProgramKind::Peer), None);
    let is_chosen = |target: &Target| choice.variable.is_some() || contains_current(&target.folder);
    Ok(find(&choice).ok().filter(is_chosen))
}

/// Whether the current directory is the folder or below it.
fn contains_current(folder: &Path) -> bool {
    env::current_dir()
        .and_then(|current| current.canonicalize())
        .is_ok_and(|current| current.starts_with(folder))
}
