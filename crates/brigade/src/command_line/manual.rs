//! What the help and the manual say beyond the options of a command: examples, files and exit codes.
//!
//! The examples are at the end of each help text, and in the manual. Tests parse every example. `args` has the options,
//! `commands/shell` prints the manual.

use clap::{Command as Grammar, CommandFactory};

use super::args::Brigade;

/// What the manual says about one command.
pub(crate) struct CommandManual {
    pub(crate) command: &'static str,
    /// Command lines, and what each does.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// Paths, and what is there.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// The exit codes that the command has beside 0, 1 and 2.
    pub(crate) exit_codes: &'static [u8],
}

/// The meaning of each exit code.
pub(crate) const EXIT_CODES: &[(u8, &str)] = &[
    (0, "everything was done"),
    (1, "it failed for a reason that has no code of its own; or a fetch was stopped"),
    (2, "the command line, an environment variable or the settings file is wrong"),
    (3, "the manager cannot be reached, or no running peer or manager was found"),
    (4, "the manager or another peer refused"),
    (5, "the name does not exist, cannot be a name, or has several contents"),
    (6, "the disk: no space, no permission, another file is in the way, or the folder is in use"),
    (7, "no byte arrived for the time of --timeout"),
    (129, "ended by SIGHUP"),
    (130, "ended by Ctrl-C (SIGINT)"),
    (143, "ended by SIGTERM"),
];

const HOME_FILES: &[(&str, &str)] = &[
    ("BRIGADE_HOME/brigade.toml", "the settings"),
    ("BRIGADE_HOME/known_managers", "the key of every manager that was seen"),
];

const PEER_FILES: &[(&str, &str)] = &[
    ("FOLDER/.brigade/", "the key of the peer, its index, and the parts of files that are not complete"),
    ("FOLDER/**/.brigadeignore", "patterns of files that are not shared"),
    ("BRIGADE_HOME/brigade.toml", "the settings"),
    ("BRIGADE_HOME/known_managers", "the key of every manager that was seen"),
    ("BRIGADE_HOME/history", "the commands that were typed at a prompt"),
];

const SOCKET_FILES: &[(&str, &str)] = &[(
    "$XDG_RUNTIME_DIR/brigade/",
    "the socket of each running peer and manager, which only its user can open",
)];

const MANAGER_FILES: &[(&str, &str)] = &[
    ("STATE/manager.key", "the secret key of the manager"),
    ("STATE/members.sqlite*", "usernames and keys"),
    ("BRIGADE_HOME/managers/PORT/", "the state folder of a manager without --state"),
];

const SERVICE_FILES: &[(&str, &str)] = &[
    ("/etc/systemd/system/brigade-*.service", "the units of services of the machine"),
    ("~/.config/systemd/user/brigade-*.service", "the units of services of a user"),
    ("~/Library/LaunchAgents/", "the services of launchd on macOS"),
];

const RUNNING_CODES: &[u8] = &[3];

const fn of_running(
    command: &'static str,
    examples: &'static [(&'static str, &'static str)],
) -> CommandManual {
    CommandManual { command, examples, files: SOCKET_FILES, exit_codes: RUNNING_CODES }
}

/// The manual of each command.
pub(crate) const MANUALS: &[CommandManual] = &[
    CommandManual {
        command: "manager",
        examples: &[
            ("brigade manager", "runs the manager of a network on this machine alone"),
            ("brigade manager --host 0.0.0.0 --open", "runs a manager that other machines can reach"),
        ],
        files: MANAGER_FILES,
        exit_codes: &[6, 130, 143],
    },
    CommandManual {
        command: "peer",
        examples: &[
            ("brigade peer", "asks for the port and the username, and shares the folder with that name"),
            (
                "brigade peer --headless --username fire_user --folder /srv/share --manager-host alpha",
                "runs without a prompt, as a service does",
            ),
        ],
        files: PEER_FILES,
        exit_codes: &[3, 4, 6, 129, 130, 143],
    },
    CommandManual {
        command: "fetch",
        examples: &[
            (
                "brigade fetch film.mkv",
                "fetches a file; in the folder of a running peer, that peer fetches it",
            ),
            ("brigade fetch 'data/**/*.bin' --into data --from fire_user", "fetches what matches a pattern"),
            (
                "brigade fetch film.mkv --wait=2h --timeout 5m",
                "waits for the name, and ends if no byte arrives",
            ),
            ("brigade fetch films/ --detach --priority low", "lets the running peer fetch in the background"),
        ],
        files: PEER_FILES,
        exit_codes: &[3, 4, 5, 6, 7, 129, 130, 143],
    },
    CommandManual {
        command: "files",
        examples: &[
            ("brigade files", "lists everything that is shared"),
            ("brigade files films/ --long", "lists a folder, with the holders of each file"),
            ("brigade files '**/*.bin' --json", "lists what matches a pattern, for a program"),
        ],
        files: HOME_FILES,
        exit_codes: &[3, 4, 5],
    },
    CommandManual {
        command: "peers",
        examples: &[("brigade peers", "lists the peers, with what they share and send now")],
        files: HOME_FILES,
        exit_codes: &[3, 4],
    },
    of_running(
        "transfers",
        &[
            ("brigade transfers", "lists the fetches that have not ended, and what is sent"),
            ("brigade transfers --watch", "shows them until Ctrl-C"),
            ("brigade transfers --all --json", "lists the fetches that have ended, too, for a program"),
        ],
    ),
    CommandManual {
        command: "pause",
        examples: &[
            ("brigade pause 3 film.mkv", "pauses two fetches, by number and by name"),
            ("brigade pause --all", "pauses all fetches"),
        ],
        files: SOCKET_FILES,
        exit_codes: &[3, 5],
    },
    CommandManual {
        command: "resume",
        examples: &[("brigade resume 3", "resumes a paused fetch")],
        files: SOCKET_FILES,
        exit_codes: &[3, 5],
    },
    CommandManual {
        command: "cancel",
        examples: &[("brigade cancel film.mkv", "ends a fetch; the same fetch resumes")],
        files: SOCKET_FILES,
        exit_codes: &[3, 5],
    },
    CommandManual {
        command: "prioritize",
        examples: &[
            ("brigade prioritize film.mkv high", "fetches a file before the others"),
            ("brigade prioritize --all low", "fetches everything that runs now after later fetches"),
        ],
        files: SOCKET_FILES,
        exit_codes: &[3, 5],
    },
    of_running(
        "limit",
        &[
            ("brigade limit", "shows the limits and their origin"),
            ("brigade limit up 10MB", "sends at most 10⁷ bytes per second from now on"),
            ("brigade limit down auto", "brings back the limit of options, schedule and settings"),
        ],
    ),
    of_running(
        "status",
        &[
            ("brigade status", "shows the state of the running peer"),
            ("brigade status --manager --json", "shows the state of the running manager, for a program"),
        ],
    ),
    CommandManual {
        command: "share",
        examples: &[
            ("brigade share /media/films", "shares a folder under its own name, without writing into it"),
            ("brigade share /iso/linux.iso --as linux-latest.iso", "shares a file under another name"),
        ],
        files: SOCKET_FILES,
        exit_codes: &[3, 4, 6],
    },
    CommandManual {
        command: "unshare",
        examples: &[("brigade unshare films", "ends a share, by its name or its path")],
        files: SOCKET_FILES,
        exit_codes: &[3, 5],
    },
    of_running("shares", &[("brigade shares", "lists what is shared in place")]),
    CommandManual {
        command: "verify",
        examples: &[
            ("brigade verify", "hashes all shared files again"),
            ("brigade verify films --repair", "fetches the damaged files of a folder again"),
        ],
        files: SOCKET_FILES,
        exit_codes: &[3, 4, 5, 6],
    },
    of_running(
        "log",
        &[
            ("brigade log -n 20", "prints the last 20 lines"),
            ("brigade log --follow --manager", "prints the lines of the running manager as they are written"),
        ],
    ),
    of_running(
        "stop",
        &[
            ("brigade stop", "stops the running peer, as SIGTERM does"),
            ("brigade stop --manager", "stops the running manager"),
        ],
    ),
    of_running(
        "ui",
        &[
            ("brigade ui", "shows the screen of the running peer; q leaves it, and the peer goes on"),
            ("brigade ui --folder /srv/share", "shows the screen of the peer of this folder"),
            ("brigade ui --manager", "shows the screen of the running manager"),
        ],
    ),
    of_running("members", &[("brigade members", "lists usernames and keys, and who is connected")]),
    CommandManual {
        command: "backup",
        examples: &[(
            "brigade backup /var/backups/brigade.backup",
            "copies the state while the manager runs",
        )],
        files: MANAGER_FILES,
        exit_codes: &[3, 4, 6],
    },
    CommandManual {
        command: "restore",
        examples: &[(
            "brigade restore brigade.backup --state /srv/brigade/manager",
            "makes a state folder for `brigade manager --state`",
        )],
        files: MANAGER_FILES,
        exit_codes: &[6],
    },
    CommandManual {
        command: "doctor",
        examples: &[
            ("brigade doctor", "checks what a peer in the current folder needs, beside a running peer too"),
            (
                "brigade doctor --folder /srv/share --manager-host alpha --json",
                "checks another folder and manager, for a script",
            ),
        ],
        files: PEER_FILES,
        exit_codes: &[],
    },
    CommandManual {
        command: "service",
        examples: &[
            (
                "brigade service install --system peer --username fire_user --folder /srv/share",
                "runs a peer when the machine starts",
            ),
            (
                "brigade service install --user manager --dry-run",
                "prints the unit of a manager, and installs nothing",
            ),
            ("brigade service status", "lists the installed services, and whether they run"),
            ("brigade service remove --system peer", "stops it and removes the unit; files and keys stay"),
        ],
        files: SERVICE_FILES,
        exit_codes: &[6],
    },
    CommandManual {
        command: "demo",
        examples: &[("brigade demo", "shows a network of four peers on this machine")],
        files: &[],
        exit_codes: &[6, 130, 143],
    },
    CommandManual {
        command: "completions",
        examples: &[(
            "brigade completions bash > ~/.local/share/bash-completion/completions/brigade",
            "installs the completion of bash",
        )],
        files: &[("~/.local/share/bash-completion/completions/brigade", "the script of bash for one user")],
        exit_codes: &[6],
    },
    CommandManual {
        command: "man",
        examples: &[
            ("brigade man fetch | man -l -", "shows the page of a command"),
            ("brigade man --dir /usr/local/share/man/man1", "writes all pages"),
        ],
        files: &[],
        exit_codes: &[6],
    },
];

/// The manual of a command, if it has one.
pub(crate) fn manual(command: &str) -> Option<&'static CommandManual> {
    MANUALS.iter().find(|manual| manual.command == command)
}

/// The grammar of the command line, with the examples in the help of each command.
pub(crate) fn grammar() -> Grammar {
    MANUALS.iter().fold(Brigade::command(), |grammar, manual| {
        if grammar.find_subcommand(manual.command).is_none() {
            return grammar;
        }
        grammar.mut_subcommand(manual.command, |command| {
            let after = command.get_after_help().map(ToString::to_string);
            let text = [examples(manual)].into_iter().chain(after).collect::<Vec<_>>().join("\n\n");
            command.after_help(text)
        })
    })
}

fn examples(manual: &CommandManual) -> String {
    let lines = manual.examples.iter().map(|(line, effect)| format!("\n  {line}\n      {effect}"));
    format!("Examples:{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{super::ParsedLine, Brigade, CommandFactory, EXIT_CODES, MANUALS, grammar, manual};

    /// The words of a line with single quotation marks.
    fn split_words(line: &str) -> Vec<OsString> {
        let parts = line.split('\'').enumerate();
        let words = parts.flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(OsString::from).collect(),
            _ => vec![OsString::from(part)],
        });
        words.collect()
    }

    #[test]
    fn every_command_has_a_manual_and_every_manual_a_command() {
        let grammar = Brigade::command();
        for command in grammar.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(manual(name).is_some_and(|manual| !manual.examples.is_empty()), "{name}");
        }
        for manual in MANUALS {
            assert!(grammar.find_subcommand(manual.command).is_some(), "{}", manual.command);
            for code in manual.exit_codes {
                assert!(EXIT_CODES.iter().any(|(known, _)| known == code), "{code}");
            }
        }
    }

    #[test]
    fn every_example_is_a_right_command_line() {
        for (line, _) in MANUALS.iter().flat_map(|manual| manual.examples) {
            let command = line.split(['|', '>']).next().unwrap();
            let parsed = ParsedLine::of(&grammar(), &split_words(command));
            assert!(parsed.mistakes.is_empty() && parsed.matches.is_some(), "{line}: {:?}", parsed.mistakes);
        }
    }
}
