//! Limits of an account (`ulimit`): open files, and the size of a file. An error names the limit, and no existing file
//! is reported as missing. A fetch of many files needs few open ones.

use std::{fs, process::Command};

use crate::{
    sharing::SEEN,
    test_network::{Network, bytes},
    test_process::{ExitedProcess, Process, until},
};

/// Fetches under a limit that a shell sets.
fn fetch_limited(network: &Network, limit: &str, arguments: &[&str]) -> ExitedProcess {
    start_limited(network, limit, arguments).end()
}

fn start_limited(network: &Network, limit: &str, arguments: &[&str]) -> Process {
    let inner = network.brigade("fetch");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(inner.get_program());
    command.args(inner.get_args()).args(arguments);
    command.args(["--manager-port", &network.port().to_string(), "--manager-key", network.key()]);
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    if let Some(folder) = inner.get_current_dir() {
        command.current_dir(folder);
    }
    Process::start(command)
}

#[test]
fn a_file_beyond_the_size_limit_of_the_account_is_a_disk_error() {
    let network = Network::start();
    let small = bytes("small", 1000);
    network.write("fire_user/d/small.bin", &small);
    let _fire = network.holder("fire_user", "d/film.bin", &bytes("film", 3 << 20));
    let ended = fetch_limited(&network, "ulimit -f 2000", &["d", "--into", "earth"]).with_code(6);
    let ended = ended.prints_error(&[]);
    let text = format!("{}{}", ended.out, ended.err);
    assert!(text.contains("the file is larger than this account may write (`ulimit -f`)"), "{text}");
    network.has("earth/d/small.bin", &small);
}

#[test]
fn a_limit_on_open_files_is_reported_and_no_file_is_called_missing() {
    let network = Network::start();
    network.write("fire_user/d/e/small.bin", b"small");
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let mut failures = 0;
    for files in 8..40 {
        let names = ["d", "film.bin", "--into", &format!("earth{files}")];
        let mut fetch = start_limited(&network, &format!("ulimit -n {files}"), &names);
        // A fetch that cannot open a connection waits for its holder: it may be able to open one later.
        let mut over = || !fetch.is_running() || fetch.error_output().contains("waiting: ");
        until("it has ended or waits", SEEN, || over().then_some(()));
        let waits = fetch.is_running();
        let ended = if waits { fetch.terminate() } else { fetch.end() };
        let text = format!("{}{}", ended.out, ended.err);
        assert!(!text.contains("is not there") && !text.contains("panicked"), "{files}: {text}");
        if ended.err.contains("error while loading") {
            continue; // the system could not start the program
        }
        match ended.code {
            Some(143) if waits => {}
            Some(0) => {
                assert!(
                    fs::read(network.path(&format!("earth{files}/film.bin"))).unwrap() == film,
                    "{files}"
                );
            }
            Some(6) => {
                failures += 1;
                assert!(text.contains("ulimit -n"), "{files}: {text}");
                assert!(!text.contains("move what is in the way"), "{files}: {text}");
            }
            other => panic!("{files}: it ended with {other:?}\n{text}"),
        }
    }
    assert!(failures > 0, "none of these limits was too small");
    let all = fetch_limited(&network, "ulimit -n 256", &["d", "film.bin", "--into", "earth"]).with_code(0);
    assert!(fs::read(network.path("earth/film.bin")).unwrap() == film, "{}", all.err);
}

/// Shells allow a process a thousand open files; a fetch of more long files must end too.
#[test]
fn a_folder_of_many_long_files_needs_few_open_ones() {
    let network = Network::start();
    for number in 0..400 {
        network.write(&format!("fire/many/{number}.bin"), &bytes(&number.to_string(), 263_000));
    }
    let _fire = network.peer("fire_user", &["--folder", "fire"]);
    fetch_limited(&network, "ulimit -n 512", &["many", "--into", "earth"]).with_code(0);
    for number in [0, 399] {
        network.has(&format!("earth/many/{number}.bin"), &bytes(&number.to_string(), 263_000));
    }
}
