//! The unit of systemd for a peer or a manager: what it may do, and when it is started again.
//!
//! The service can write only to its folder and to its home, has no rights to gain, and is watched (`service_manager`).
//! The units of the package in `packaging/systemd` have the same lines; a test compares them.

use std::path::Path;

use super::own_files::MARK;

/// What a unit is made of.
#[derive(Debug)]
pub(super) struct UnitValues<'a> {
    /// What `systemctl` shows.
    pub(super) description: &'a str,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// Variables of the environment, with their values.
    pub(super) environment: Vec<(String, String)>,
    /// The account, for a service of the machine.
    pub(super) account: Option<&'a str>,
    /// Folders that the service writes to. They exist when it starts.
    pub(super) writable: Vec<&'a Path>,
    /// Whether the service is one of the machine.
    pub(super) is_system: bool,
    /// Whether the service can have a view of the file system of its own.
    pub(super) is_confined: bool,
}

/// The lines about start and stop that all units have. A mistake in the command line (2) and a refusal (4) need a person.
pub(super) const LIFE: &str = "\
Type=notify
NotifyAccess=main
ExecReload=/bin/kill -HUP $MAINPID
SuccessExitStatus=143
Restart=on-failure
RestartPreventExitStatus=2 4
RestartSec=5
TimeoutStopSec=15
WatchdogSec=60
LimitNOFILE=65536
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
UMask=0022
";

/// The limits on system calls that every service can have.
pub(super) const CALL_LIMITS: &str = "\
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
";

/// The limits on the file system; in a service of a user they need user namespaces.
pub(super) const FILE_LIMITS: &str = "\
ProtectSystem=strict
PrivateTmp=yes
";

/// The limits that only a service of the machine can have: the service manager of a user may not drop capabilities.
pub(super) const SYSTEM_LIMITS: &str = "\
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
";

/// The text of the unit.
pub(super) fn unit(values: &UnitValues<'_>) -> String {
    let UnitValues { description, command, environment, account, writable, is_system, is_confined } = values;
    let mut text = format!("# {MARK}\n[Unit]\nDescription={}\n", specifiers_escaped(description));
    text += "Documentation=man:brigade(1)\n";
    if *is_system {
        text += "Wants=network-online.target\nAfter=network-online.target\n";
    }
    text += "StartLimitIntervalSec=0\n\n[Service]\n";
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    text += &format!("ExecStart={}\n", words.join(" "));
    text += LIFE;
    // Services of one account have their sockets in one folder, and those of other accounts in others: systemd gives the
    // folder to the account, and leaves `/run/brigade` itself to root.
    let runtime_folder = account.map_or_else(|| "brigade".to_owned(), |account| format!("brigade/{account}"));
    text += &format!("RuntimeDirectory={runtime_folder}\n");
    if let Some(account) = account {
        text += &format!("User={account}\nGroup={account}\n");
    }
    for (name, value) in environment {
        text += &format!("Environment={}\n", quoted(&format!("{name}={value}")));
    }
    text += CALL_LIMITS;
    if *is_confined {
        text += FILE_LIMITS;
        for folder in writable {
            text += &format!("ReadWritePaths={}\n", quoted(&folder.display().to_string()));
        }
    }
    if *is_system {
        text += SYSTEM_LIMITS;
    }
    let target = if *is_system { "multi-user.target" } else { "default.target" };
    text + &format!("\n[Install]\nWantedBy={target}\n")
}

/// A word of a line: `%` begins a specifier, `$` a variable, and a space ends a word.
fn quoted(word: &str) -> String {
    let escaped = specifiers_escaped(word).replace('$', "$$").replace('\\', r"\\").replace('"', r#"\""#);
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+$".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

fn specifiers_escaped(text: &str) -> String {
    text.replace('%', "%%").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CALL_LIMITS, FILE_LIMITS, LIFE, SYSTEM_LIMITS, UnitValues, quoted, unit};

    #[test]
    fn words_are_quoted_for_systemd() {
        for (word, expected) in [
            ("--port=1", "--port=1"),
            ("/srv/a b", "\"/srv/a b\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("it\"s", "\"it\\\"s\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(word), expected, "{word}");
        }
    }

    #[test]
    fn the_service_writes_only_to_its_folders() {
        let values = UnitValues {
            description: "a peer",
            command: vec!["/usr/bin/brigade".to_owned(), "peer".to_owned()],
            environment: vec![("BRIGADE_HOME".to_owned(), "/var/lib/brigade".to_owned())],
            account: Some("brigade"),
            writable: vec![Path::new("/srv/a b"), Path::new("/var/lib/brigade")],
            is_system: true,
            is_confined: true,
        };
        let text = unit(&values);
        for line in [
            "ExecStart=/usr/bin/brigade peer",
            "ReadWritePaths=\"/srv/a b\"",
            "Environment=BRIGADE_HOME=/var/lib/brigade",
            "User=brigade",
            "RuntimeDirectory=brigade/brigade",
            "Type=notify",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let user = unit(&UnitValues { account: None, is_system: false, is_confined: false, ..values });
        assert!(
            !user.contains("User=") && !user.contains("ReadWritePaths") && user.contains("default.target")
        );
        assert!(user.contains("\nRuntimeDirectory=brigade\n"));
        assert!(user.contains(CALL_LIMITS) && !user.contains(SYSTEM_LIMITS));
    }

    #[test]
    fn the_units_of_the_package_have_the_same_limits() {
        for unit in [
            include_str!("../../../../../packaging/systemd/brigade-manager.service"),
            include_str!("../../../../../packaging/systemd/brigade-peer@.service"),
        ] {
            for lines in [LIFE, CALL_LIMITS, FILE_LIMITS, SYSTEM_LIMITS] {
                assert!(unit.contains(lines), "{unit}\nlacks\n{lines}");
            }
            assert!(unit.contains("\nRuntimeDirectory=brigade/brigade\n"), "{unit}");
        }
    }
}
