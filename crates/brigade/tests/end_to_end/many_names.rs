//! Many names at once: one content under several names, names that differ only in case, more long files than a process
//! may open.

use std::os::unix::process::CommandExt;

use rustix::process::{Resource, Rlimit, getrlimit};

use crate::{
    test_network::{Network, bytes},
    test_process::Process,
};

/// Each of the four fetches would create the same part file; the later ones wait for the first.
#[test]
fn one_long_content_under_several_names_lands_right_under_all() {
    let network = Network::start();
    let content = bytes("same", 20_000_000);
    for name in ["d1/f1", "d2/f2", "d3/f3", "d4/f4"] {
        network.write(&format!("fire/{name}"), &content);
    }
    let _fire = network.peer("fire_user", &["--folder", "fire"]);
    network.fetch(&["d1", "d2", "d3", "d4", "--into", "earth"]).with_code(0);
    for name in ["d1/f1", "d2/f2", "d3/f3", "d4/f4"] {
        network.has(&format!("earth/{name}"), &content);
    }
    // The copies must be complete on the disk too.
    network.fetch(&["d1", "d2", "d3", "d4", "--into", "earth"]).with_code(0);
}

/// Shells allow a process a thousand open files; a fetch of more long files must end too.
#[test]
fn a_folder_of_many_long_files_needs_few_open_ones() {
    let network = Network::start();
    for number in 0..400 {
        network.write(&format!("fire/many/{number}.bin"), &bytes(&number.to_string(), 263_000));
    }
    let _fire = network.peer("fire_user", &["--folder", "fire"]);
    let mut command = network.brigade("fetch");
    command.args(["many", "--into", "earth", "--manager-port", &network.port().to_string()]);
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(512).min(512);
    let limit = Rlimit { current: Some(hard), maximum: Some(hard) };
    // Between fork and exec: only this call, which allocates nothing.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || Ok(rustix::process::setrlimit(Resource::Nofile, limit)?));
    }
    Process::start(command).end().with_code(0);
    for number in [0, 399] {
        network.has(&format!("earth/many/{number}.bin"), &bytes(&number.to_string(), 263_000));
    }
}
