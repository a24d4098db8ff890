//! Commands for a manager that runs: its status, its members, a backup while it runs, and its end; and a manager that is
//! restored from the backup.

use std::fs;

use crate::test_network::Network;

#[test]
fn a_manager_shows_its_status_and_members_and_is_stopped() {
    let mut network = Network::start();
    let _fire = network.peer("fire_user", &[]);
    let status = network.order("status", &["--manager", "--json"]).with_code(0).json().pop().unwrap();
    assert_eq!((&status["key"], &status["peers"]), (&network.key().into(), &1.into()), "{status}");
    let text = network.order("status", &["--state", "state"]).with_code(0).out;
    assert!(text.contains("peers: 1 of at most 20"), "{text}");
    let members = network.order("members", &["--json"]).with_code(0).json();
    let [member] = &members[..] else { panic!("{members:?}") };
    assert_eq!((&member["username"], &member["connected"]), (&"fire_user".into(), &true.into()));
    let table = network.order("members", &[]).with_code(0).out;
    assert!(table.starts_with("username") && table.contains("fire_user"), "{table}");
    network.order("log", &["--manager"]).with_code(0);
    network.order("stop", &["--manager"]).with_code(0);
    network.wait_for_manager().with_code(0);
    network.order("members", &[]).with_code(3).prints_error(&["no manager runs"]);
}

#[test]
fn a_backup_of_a_running_manager_is_restored_elsewhere() {
    let mut network = Network::start();
    let key = network.key().to_owned();
    network.peer("fire_user", &[]).terminate().with_code(143);
    let made = network.order("backup", &["saved"]).with_code(0);
    assert!(made.out.contains("keep it secret"), "{}", made.out);
    network.order("backup", &["fire_user/saved"]).with_code(6).prints_error(&["may be shared", "hint: "]);
    assert!(!network.path("fire_user/saved").exists());
    network.order("backup", &["saved"]).with_code(4).prints_error(&["exists already"]);
    network.order("restore", &["saved", "--state", "state"]).with_code(6).prints_error(&["--state"]);
    network.stop_manager().with_code(143);
    let restored = network.order("restore", &["saved", "--state", "new", "--json"]).with_code(0).json();
    assert_eq!(restored[0]["state"], "new");
    network.start_manager("new", &["--port", "0"]);
    assert_eq!(network.key(), key);
    let members = network.order("members", &["--json"]).with_code(0).json();
    assert_eq!(members[0]["username"], "fire_user");
    fs::write(network.path("damaged"), "nothing").unwrap();
    network
        .order("restore", &["damaged", "--state", "third"])
        .with_code(6)
        .prints_error(&["`brigade backup`"]);
    assert!(!network.path("third").exists());
}
