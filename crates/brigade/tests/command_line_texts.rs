//! The texts of the command line, word for word: some errors; `help` has the help of each command.
//!
//! A changed text here changes the program for users: check `docs/operating.md` too. `end_to_end` has errors that need
//! a network, `mistakes` has mistakes in the command line and in the settings.

#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

#[path = "command_line_texts/help.rs"]
mod help;
#[path = "command_line_texts/help_of_running_programs.rs"]
mod help_of_running_programs;
#[path = "command_line_texts/mistakes.rs"]
mod mistakes;

use std::time::Duration;

use assert_cmd::Command;

/// The standard output of a command, or its standard error if it fails with `code`.
#[track_caller]
fn printed(arguments: &[&str], code: i32) -> String {
    printed_with("", &[], arguments, code)
}

/// The same with a settings file and environment variables; the path of the home folder is replaced by `HOME`.
#[track_caller]
fn printed_with(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> String {
    let [out, err] = output(settings, variables, arguments, code);
    let (printed, silent) = if code == 0 { (out, err) } else { (err, out) };
    assert_eq!(silent, "", "{arguments:?}");
    printed
}

/// Standard output and standard error of a command, as in [`printed_with`].
#[track_caller]
fn output(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> [String; 2] {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brigade"));
    let of_the_user = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("BRIGADE_"));
    for name in of_the_user {
        command.env_remove(name);
    }
    command.args(arguments).env_remove("COLUMNS").timeout(Duration::from_secs(30));
    command.envs(variables.iter().copied());
    let home = tempfile::tempdir().unwrap();
    if !settings.is_empty() {
        std::fs::write(home.path().join("brigade.toml"), settings).unwrap();
    }
    let output = command.env("BRIGADE_HOME", home.path()).current_dir(home.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    [out, err].map(|text| text.replace(home.path().to_str().unwrap(), "HOME"))
}

#[test]
fn without_a_manager_there_is_a_hint() {
    insta::assert_snapshot!(printed(&["files", "--manager-port", "1"], 3), @r#"
    error: no manager answers at localhost:1
    hint: start one with `brigade manager`, or name its address with --manager-host and --manager-port
    "#);
}

#[test]
fn help_shows_the_defaults_that_the_settings_make() {
    let settings = "[peer]\nmax = 7\nfolder = \"/a\"\n[network]\nport = 13000\n";
    let help = printed_with(settings, &[("BRIGADE_MANAGER_HOST", "there")], &["peer", "--help"], 0);
    for shown in ["[default: 7]", "[default: /a]", "[default: 13000]", "[default: there]"] {
        assert!(help.contains(shown), "{shown} is not in\n{help}");
    }
    assert!(!help.contains("[default: the username"), "{help}");
}

#[test]
fn options_take_precedence_over_variables_and_the_file() {
    let settings = "[network]\nhost = \"localhost\"\nport = 1\n";
    let manager = |variables: &[(&str, &str)], arguments: &[&str]| {
        let printed = printed_with(settings, variables, &[&["files"], arguments].concat(), 3);
        printed.lines().next().unwrap().to_owned()
    };
    let variable = [("BRIGADE_MANAGER_PORT", "2")];
    assert_eq!(manager(&[], &[]), "error: no manager answers at localhost:1");
    assert_eq!(manager(&variable, &[]), "error: no manager answers at localhost:2");
    assert_eq!(manager(&variable, &["--manager-port", "3"]), "error: no manager answers at localhost:3");
    assert_eq!(manager(&[("BRIGADE_MANAGER_PORT", "")], &[]), "error: no manager answers at localhost:1");
}

#[test]
fn a_manager_for_other_machines_needs_the_option_open() {
    insta::assert_snapshot!(printed(&["manager", "--host", "0.0.0.0"], 2), @r#"
    error: 0.0.0.0:12000 can be reached from other machines: there, anyone who can reach the port may join, read all shared files and announce files (connections are encrypted, but there are no invites yet); only --open starts a manager there
    hint: with --host localhost, only this machine can reach it
    "#);
}
