//! The questions that `brigade peer` asks at its start, for its port and its username: wrong and missing answers.
//!
//! The answers come through a pipe. `prompt_commands` tests the commands after them, `failed_starts` tests starts that
//! end before or after the questions.

use crate::test_network::Network;

#[test]
fn a_wrong_answer_is_explained_and_the_question_repeated() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &["--folder", "elsewhere"]);
    let mut water = network.run("peer", &["--host", "localhost"]);
    let taken = network.port();
    water.types(&format!("x\n99999\n{taken}\n\na/b\nfire_user\nwater_user\nq\n"));
    let ended = water.end().with_code(0).prints_error(&[
        "\"x\" is not a port",
        "\"99999\" is not a port",
        &format!("another program listens on port {taken} already"),
        "\"a/b\" cannot be a username",
        "the username belongs to another key",
    ]);
    assert!(ended.out.contains("using port "), "{}", ended.out);
    assert!(network.path("water_user").is_dir());
    assert!(!network.path("fire_user").exists(), "a name that is refused leaves no folder");
}

#[test]
fn a_script_without_all_answers_is_a_usage_error() {
    let network = Network::start();
    let mut peer = network.run("peer", &[]);
    peer.types("0\n");
    peer.end_input();
    peer.end().with_code(2).prints_error(&["standard input ended before all questions were answered"]);
}

#[test]
fn a_script_whose_last_answer_is_refused_ends_with_the_refusal() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &["--folder", "elsewhere"]);
    let mut peer = network.run("peer", &[]);
    peer.types("0\nfire_user\n");
    peer.end_input();
    peer.end().with_code(4).prints_error(&["the username belongs to another key"]);

    let taken = network.port();
    for (answers, code) in [(format!("{taken}\n"), 1), (format!("{taken}\n0\n"), 2)] {
        let mut peer = network.run("peer", &["--host", "localhost"]);
        peer.types(&answers);
        peer.end_input();
        let ended = peer.end().with_code(code);
        ended.prints_error(&[
            &format!("another program listens on port {taken} already"),
            "standard input ended",
        ]);
    }
}
