//! One file for each command: its way from the arguments to the exit code.
//!
//! Errors travel up as a [`Failure`] and are printed once, in `main`; here is what several commands need.

pub(crate) mod choosing;
mod demo;
mod done_file;
mod fetch;
mod files;
mod limit;
mod manager;
mod peer;
mod peers;
mod prompt;
mod report;
mod status;
mod typed;

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
};

use brigade_core::wire::Reason;
use brigade_node::{
    peer::{JoinError, ManagerAddress, ManagerContact, Peer, PeerConfig, PeerError, TakenPort},
    transport::{accept::ListenError, dial::resolve},
};
use clap::CommandFactory;

use crate::{
    args::{AtManager, Brigade, Command},
    command_line::Start,
    exit::{Failure, USAGE},
    home::home,
    output::note,
    signals::outlive_size_limit,
};

/// Runs the command that was read.
pub(crate) async fn run(start: Start) -> Result<ExitCode, Failure> {
    let Start { args, limits } = start;
    outlive_size_limit();
    match args.command {
        Command::Manager(args) => manager::run(args).await,
        Command::Peer(args) => peer::run(args, limits).await,
        Command::Fetch(args) => fetch::run(args, limits).await,
        Command::Files(args) => files::run(args).await,
        Command::Peers(args) => peers::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Brigade::command(), "brigade", &mut script);
            let _ = std::io::stdout().write_all(&script); // a reader that went away has seen enough
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            note(manual(&mut std::io::stdout()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The manual: a page of the program, and one of each command.
fn manual(out: &mut impl std::io::Write) -> std::io::Result<()> {
    let program = Brigade::command();
    clap_mangen::Man::new(program.clone()).render(out)?;
    for command in program.get_subcommands() {
        let title = format!("brigade-{}", command.get_name());
        let shown = command.clone().name(&title).bin_name(title.replacen('-', " ", 1));
        clap_mangen::Man::new(shown).title(title).render(out)?;
    }
    Ok(())
}

/// Where the manager is that the arguments name.
fn manager_address(args: &AtManager) -> ManagerAddress {
    ManagerAddress {
        host: args.manager_host.clone(),
        port: args.manager_port,
        key: args.manager_key,
        home: home(),
    }
}

/// Where a peer is to listen, before its port is known.
pub(crate) struct Ground {
    contact: ManagerContact,
    host: Option<IpAddr>,
}

impl Ground {
    /// Finds the address of the host that is named, and asks the manager where to listen.
    async fn find(manager: &ManagerAddress, host: Option<&str>) -> Result<Self, Failure> {
        let host = match host {
            Some(host) => Some(own_address(host).await?),
            None => None,
        };
        Ok(Self { contact: ManagerContact::with(manager).await?, host })
    }

    /// Takes `port`, or a free one where it is 0.
    fn take_port(&self, port: u16) -> Result<TakenPort, ListenError> {
        self.contact.take_port(self.host, port)
    }
}

/// The address that `--host` means. Only the first one: where another program has the port there, nobody would look for
/// the next one.
async fn own_address(host: &str) -> Result<IpAddr, Failure> {
    let addresses = resolve(host, 0).await.map_err(|error| {
        Failure::of(USAGE, &error).hint("--host must be a name or an address of this machine")
    })?;
    addresses.first().map(SocketAddr::ip).ok_or_else(|| Failure::new(USAGE, "no address to listen on"))
}

/// How often another free port is taken where the system's choice is another peer's in the network: machines
/// behind one address choose from the same ports, and seldom the same one.
const PORT_CHOICES: usize = 8;

/// Joins the network at the port that is named, or at one that is free here and in the network.
async fn join(config: &PeerConfig, host: Option<&str>, port: Option<u16>) -> Result<Peer, Failure> {
    let ground = Ground::find(&config.manager, host).await?;
    let port = port.unwrap_or(0);
    let mut choices = if port == 0 { PORT_CHOICES } else { 1 };
    loop {
        let taken = ground.take_port(port)?;
        choices -= 1;
        match Peer::join(config.clone(), taken).await {
            Ok(peer) => return Ok(peer),
            Err(not_joined) if choices > 0 && is_about_the_port(&not_joined.error) => {}
            Err(not_joined) => return Err(not_joined.error.into()),
        }
    }
}

/// Whether another port would do.
fn is_about_the_port(error: &PeerError) -> bool {
    matches!(error, PeerError::Join(JoinError::Refused { reason: Reason::PortTaken | Reason::BadPort, .. }))
}
