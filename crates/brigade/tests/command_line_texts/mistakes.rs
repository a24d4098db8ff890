//! The texts for mistakes in the command line, the environment and the settings file, all at once.
//!
//! The code that finds them has tests of its own.

use serde_json::{Value, json};

use crate::{output, printed, printed_with};

#[test]
fn all_mistakes_of_a_line_are_printed_at_once() {
    let line = ["peer", "--max", "0", "--upload-limit", "10XB", "--frobnicate"];
    insta::assert_snapshot!(printed(&line, 2), @r#"
    error: 3 mistakes
      argument 3: invalid value '0' for '--max <COUNT>': expected a number from 1 to 100000
      argument 5: invalid value '10XB' for '--upload-limit <RATE>': expected a rate like 10MB, 500KB or 1.5MB (bytes per second, with the unit), or off
      argument 6: unexpected argument '--frobnicate'
      brigade peer --max 0 --upload-limit 10XB --frobnicate
                         ^                ^^^^ ^^^^^^^^^^^^
    hint: `brigade peer --help`
    "#);
    let line = ["files", "a", "b", "--manager-port", "--json", "--manager-key=12"];
    insta::assert_snapshot!(output("", &[], &line, 2)[1], @r#"
    error: 3 mistakes
      argument 3: unexpected argument 'b'
      argument 4: '--manager-port <PORT>' needs a value
      argument 6: invalid value '12' for '--manager-key <KEY>': "12" is not 64 hexadecimal digits
      brigade files a b --manager-port --json --manager-key=12
                      ^ ^^^^^^^^^^^^^^        ^^^^^^^^^^^^^^^^
    hint: `brigade files --help`
    "#);
}

#[test]
fn one_mistake_is_printed_with_its_location() {
    insta::assert_snapshot!(printed(&["fetch", "film.mkv", "--download-limit", "10XB"], 2), @r#"
    error: argument 4: invalid value '10XB' for '--download-limit <RATE>': expected a rate like 10MB, 500KB or 1.5MB (bytes per second, with the unit), or off
      brigade fetch film.mkv --download-limit 10XB
                                              ^^^^
    hint: `brigade fetch --help`
    "#);
    insta::assert_snapshot!(printed(&["peer", "--upload-limit", "0B"], 2), @r#"
    error: argument 3: invalid value '0B' for '--upload-limit <RATE>': expected a rate of at least one byte per second, or off
      brigade peer --upload-limit 0B
                                  ^^
    hint: `brigade peer --help`
    "#);
    insta::assert_snapshot!(printed(&["manager", "--max", "0"], 2), @r#"
    error: argument 3: invalid value '0' for '--max <COUNT>': expected a number from 1 to 100000
      brigade manager --max 0
                            ^
    hint: `brigade manager --help`
    "#);
}

#[test]
fn a_link_local_address_without_a_zone_is_a_mistake() {
    let expected =
        "a link-local address needs a zone, which names the network interface: for example fe80::1%";
    for line in [
        &["peer", "--manager-host", "fe80::1"][..],
        &["peer", "--host", "fe80::1"],
        &["manager", "--host", "[fe80::1]"],
        &["fetch", "film.mkv", "--host", "fe80::1%"],
        &["files", "--manager-host", "fe80::1"],
    ] {
        assert!(printed(line, 2).contains(expected), "{line:?}");
    }
    let [_, error] = output("[network]\nhost = \"fe80::1\"\n", &[("BRIGADE_HOST", "fe80::1")], &["peer"], 2);
    assert_eq!(error.matches(expected).count(), 2, "{error}");
}

#[test]
fn a_prefix_that_is_longer_than_a_name_is_a_mistake() {
    let long = "x".repeat(100_000);
    let expected = "it has 100000 bytes, and a name or a pattern has at most 1024";
    let text = printed(&["files", &long], 2);
    assert!(text.contains(expected) && !text.contains("panicked"), "{text}");
    let failure = json_failure("", &[], &["files", "--json", &long], 2);
    assert!(failure["error"].as_str().unwrap().ends_with(expected), "{failure}");
}

#[test]
fn without_a_prompt_a_username_is_needed() {
    insta::assert_snapshot!(printed(&["peer", "--headless"], 2), @r#"
    error: --headless needs --username <USERNAME>, or one from the settings: it has no prompt
    hint: `brigade peer --help`
    "#);
}

#[test]
fn an_unknown_command_is_named() {
    insta::assert_snapshot!(printed(&["fecth", "film.mkv"], 2), @r#"
    error: argument 1: unrecognized subcommand 'fecth'; a similar subcommand exists: 'fetch'
      brigade fecth film.mkv
              ^^^^^
    hint: `brigade fetch --help`
    "#);
    insta::assert_snapshot!(printed(&["xyzzy"], 2), @r#"
    error: argument 1: unrecognized subcommand 'xyzzy'
      brigade xyzzy
              ^^^^^
    hint: `brigade --help`
    "#);
}

#[test]
fn missing_arguments_are_named() {
    insta::assert_snapshot!(printed(&["fetch", "--frobnicate"], 2), @r#"
    error: 2 mistakes
      argument 2: unexpected argument '--frobnicate'; to pass '--frobnicate' as a value, use '-- --frobnicate'
      <NAME>... is missing
      brigade fetch --frobnicate
                    ^^^^^^^^^^^^
    hint: `brigade fetch --help`
    "#);
}

#[test]
fn all_impossible_names_are_printed_at_once() {
    insta::assert_snapshot!(printed(&["fetch", "a:b", "film.mkv", "films/*.mkv", "../up", "c d/"], 5), @r#"
    error: 2 mistakes
      argument 2: 'a:b' cannot be the name of a file: it has the character `:`, which some systems do not allow
      argument 5: '../up' cannot be the name of a file: it has a part `.` or `..`
      brigade fetch a:b film.mkv films/*.mkv ../up 'c d/'
                    ^^^                      ^^^^^
    hint: `brigade fetch --help`
    "#);
    insta::assert_snapshot!(printed(&["fetch", "a:b", "--max", "0"], 2), @r#"
    error: 2 mistakes
      argument 2: 'a:b' cannot be the name of a file: it has the character `:`, which some systems do not allow
      argument 4: invalid value '0' for '--max <COUNT>': expected a number from 1 to 100000
      brigade fetch a:b --max 0
                    ^^^       ^
    hint: `brigade fetch --help`
    "#);
}

/// The only object that a command with `--json` prints for mistakes; standard error has them too.
#[track_caller]
fn json_failure(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> Value {
    let [out, err] = output(settings, variables, arguments, code);
    assert!(err.starts_with("error: "), "{arguments:?}: {err}");
    let [line] = out.lines().collect::<Vec<_>>()[..] else { panic!("{arguments:?}: {out:?}") };
    serde_json::from_str(line).unwrap()
}

#[test]
fn with_json_mistakes_are_an_object_too() {
    let one = json_failure("", &[], &["fetch", "../up", "--json"], 5);
    assert_eq!(
        one,
        json!({
            "event": "failure",
            "code": 5,
            "kind": "not_found",
            "error": "argument 2: '../up' cannot be the name of a file: it has a part `.` or `..`",
            "causes": [],
            "hint": "`brigade fetch --help`",
        })
    );
    let several = json_failure("", &[("BRIGADE_MANAGER_PORT", "x")], &["files", "--json", "a", "b"], 2);
    assert_eq!((&several["error"], &several["code"]), (&"2 mistakes".into(), &2.into()));
    assert_eq!(several["causes"][0], "argument 4: unexpected argument 'b'");
    assert!(several["causes"][1].as_str().unwrap().starts_with("BRIGADE_MANAGER_PORT: "), "{several}");
    let of_file = json_failure("[network]\nport = true\n", &[], &["peers", "--json"], 2);
    assert!(of_file["error"].as_str().unwrap().starts_with("HOME/brigade.toml:2:8: "), "{of_file}");
    assert_eq!(of_file["hint"], Value::Null);
    for line in [&["fetch", "--json"][..], &["fecth", "--json", "a"], &["files", "--json", "--max", "3"]] {
        assert_eq!(json_failure("", &[], line, 2)["kind"], "usage", "{line:?}");
    }
    // If `--json` is a name, or the command has no such option, only the text is printed.
    printed(&["fetch", "a:", "--", "--json"], 5);
    printed(&["peer", "--json"], 2);
}

const WRONG: &str = "\
[network]
port = \"x\"
hots = 'somewhere'

[limits]
up = \"10XB\"
[[limits.schedule]]
days = [\"mon\", \"tues\"]
from = \"25:00\"
[maneger]
max = 3
";

#[test]
fn mistakes_of_the_environment_and_the_settings_are_printed_with_those_of_the_line() {
    let variables = [("BRIGADE_MAX", "0"), ("BRIGADE_MANAGER_PORT", "99999"), ("BRIGADE_HOST", "")];
    insta::assert_snapshot!(printed_with(WRONG, &variables, &["peer", "--port", "-1"], 2), @r#"
    error: 10 mistakes
      argument 3: invalid value '-1' for '--port <PORT>': expected a number from 0 to 65535
      BRIGADE_MANAGER_PORT: invalid value '99999': expected a number from 1 to 65535, the port that the manager listens on
      BRIGADE_MAX: invalid value '0': expected a number from 1 to 100000
      HOME/brigade.toml:2:8: this has the type string; expected a number from 1 to 65535, the port that the manager listens on
      HOME/brigade.toml:3:1: `hots` is not a setting of [network]; did you mean `host`?
      HOME/brigade.toml:6:6: invalid value '10XB': expected a rate like 10MB, 500KB or 1.5MB (bytes per second, with the unit), or off
      HOME/brigade.toml:7:1: the rule limits nothing: expected `up`, `down` or both
      HOME/brigade.toml:8:16: `tues` is not a day; did you mean `tue`?
      HOME/brigade.toml:9:8: expected a time from "00:00" to "23:59" in quotation marks
      HOME/brigade.toml:10:2: `maneger` is not a table of settings; did you mean `manager`?
      brigade peer --port -1
                          ^^
    hint: `brigade peer --help`
    "#);
    insta::assert_snapshot!(printed_with("[peer]\nmax = = 3\nport = '4'\n", &[], &["peers"], 2), @r#"
    error: 2 mistakes
      HOME/brigade.toml:2:7: not valid TOML: extra `=`, expected nothing
      HOME/brigade.toml:3:8: this has the type string; expected a number from 0 to 65535
    "#);
    let large = "#".repeat((64 << 10) + 1);
    insta::assert_snapshot!(printed_with(&large, &[], &["fetch", "a"], 2), @"error: HOME/brigade.toml: it cannot be read: it has more than 65536 bytes");
}

#[test]
fn commands_without_settings_ignore_wrong_settings() {
    for arguments in [&["--version"][..], &["peer", "--help"], &["man"], &["completions", "bash"]] {
        printed_with(WRONG, &[("BRIGADE_MAX", "0")], arguments, 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn text_for_a_full_disk_is_a_failure() {
    for arguments in
        [&["--version"][..], &["--help"], &["peer", "--help"], &["man"], &["completions", "bash"]]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brigade"));
        let ended = command.args(arguments).stdout(full).output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(6), "{arguments:?}: {text}");
        assert!(text.starts_with("error: writing to standard output: No space"), "{arguments:?}: {text}");

        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brigade"));
        let ended = command.args(arguments).stdout(closed).output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
    }
}

/// A message that cannot be written is lost, and the exit code stays.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_at_standard_error_changes_no_exit_code() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["frob"][..], 2),
        (&[], 2),
        (&["fetch", "a", "--max", "0"], 2),
        (&["files", "--manager-port", "1"], 3),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_brigade"));
        command.args(arguments).env("BRIGADE_LOG", "trace").env("BRIGADE_HOME", home.path());
        let ended = command.stderr(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(expected), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn suggestions_are_printed() {
    insta::assert_snapshot!(printed(&["files", "--manager-host", "manager.example:13000"], 2), @r#"
    error: argument 3: invalid value 'manager.example:13000' for '--manager-host <HOST>': expected only a name or an address: did you mean manager.example, with --manager-port 13000?
      brigade files --manager-host manager.example:13000
                                   ^^^^^^^^^^^^^^^^^^^^^
    hint: `brigade files --help`
    "#);
    insta::assert_snapshot!(printed(&["peer", "--manager-host=https://me@there", "--host", "[::1]:7001", "--port", "7001/tcp"], 2), @r#"
    error: 3 mistakes
      argument 2: invalid value 'https://me@there' for '--manager-host <HOST>': expected only a name or an address: did you mean there?
      argument 4: invalid value '[::1]:7001' for '--host <HOST>': expected only a name or an address: did you mean [::1], with --port 7001?
      argument 6: invalid value '7001/tcp' for '--port <PORT>': expected a number from 0 to 65535: did you mean 7001?
      brigade peer --manager-host=https://me@there --host [::1]:7001 --port 7001/tcp
                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^        ^^^^^^^^^^        ^^^^^^^^
    hint: `brigade peer --help`
    "#);
    insta::assert_snapshot!(printed(&["fetch", "sub\\inner.txt", "./a", "/srv/film.mkv", "--upload-limit", "20"], 2), @r#"
    error: 4 mistakes
      argument 2: 'sub\\inner.txt' cannot be the name of a file: it has the character `\\`, which some systems do not allow; did you mean "sub/inner.txt"? Names have / between folders, and nothing before the first folder
      argument 3: './a' cannot be the name of a file: it has a part `.` or `..`; did you mean "a"? Names have / between folders, and nothing before the first folder
      argument 4: '/srv/film.mkv' cannot be the name of a file: it begins or ends with a slash, or has two slashes in a row; a name is a path in the shared folder of its holder, not a path on this machine; `files` lists all names
      argument 6: invalid value '20' for '--upload-limit <RATE>': the unit is missing; expected one of 20B, 20KB, 20MB, 20GB (bytes per second), or off
      brigade fetch sub\\inner.txt ./a /srv/film.mkv --upload-limit 20
                    ^^^^^^^^^^^^^^ ^^^ ^^^^^^^^^^^^^                ^^
    hint: `brigade fetch --help`
    "#);
    let home = [("HOME", "/home/me"), ("BRIGADE_INTO", "$HOME/got")];
    insta::assert_snapshot!(printed_with("[manager]\nstate = \"~/state\"\n", &home, &["fetch", "a", "--done-file=~/done"], 2), @r#"
    error: 3 mistakes
      argument 3: invalid value '~/done' for '--done-file <PATH>': `~` is not expanded here; write the whole path: /home/me/done
      BRIGADE_INTO: invalid value '$HOME/got': `$HOME` is not expanded here; write the whole path: /home/me/got
      HOME/brigade.toml:2:9: invalid value '~/state': `~` is not expanded here; write the whole path: /home/me/state
      brigade fetch a --done-file=~/done
                      ^^^^^^^^^^^^^^^^^^
    hint: `brigade fetch --help`
    "#);
}
