//! A terminal for a test: tmux, with a program in it.
//!
//! The tests in `terminal` and `job_control` use it. Without tmux they are skipped.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    test_network::Network,
    test_process::{PATIENCE, until},
    test_skipping::skip,
};

/// A shell that runs its arguments as a job, and then takes commands.
const JOB: &str = "\"$@\"; while read -r command; do eval \"$command\"; done";

/// The arguments of a peer with a prompt instead of its screen.
fn plain<'a>(subcommand: &str, arguments: &[&'a str]) -> Vec<&'a str> {
    let option: &[&str] = if subcommand == "peer" { &["--plain"] } else { &[] };
    [option, arguments].concat()
}

/// A terminal and the program in it; both end with the test.
pub(crate) struct Terminal {
    /// The folder with the socket of a separate tmux server.
    folder: PathBuf,
    /// The name of that server.
    server: String,
}

impl Terminal {
    /// Runs a command of `network` in a new terminal; `None` without tmux.
    pub(crate) fn run(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        Self::open(network, 120, &[], subcommand, arguments)
    }

    /// Like [`Self::run`], with this width and these arguments of `env`.
    pub(crate) fn open(
        network: &Network,
        columns: u16,
        environment: &[&str],
        subcommand: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        let shell = ["sh", "-c", "trap : INT; \"$@\"; echo \"it ended with $?\"; read end", "sh"];
        Self::start(network, columns, &shell, environment, subcommand, &plain(subcommand, arguments))
    }

    /// Runs a command of `network` as a job of a shell that takes more commands.
    pub(crate) fn job(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        Self::job_with(network, &[], subcommand, arguments)
    }

    /// Like [`Self::job`], with these arguments of `env`.
    pub(crate) fn job_with(
        network: &Network,
        environment: &[&str],
        subcommand: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        Self::start(
            network,
            120,
            &["sh", "-mc", JOB, "sh"],
            environment,
            subcommand,
            &plain(subcommand, arguments),
        )
    }

    /// Runs a command of `network` that shows its screen, as a job of a shell that takes more commands. The terminal has
    /// this width and 24 rows.
    pub(crate) fn screen(
        network: &Network,
        columns: u16,
        environment: &[&str],
        subcommand: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        let terminal =
            Self::start(network, columns, &["sh", "-mc", JOB, "sh"], environment, subcommand, arguments)?;
        terminal.resize_to(columns, 24);
        Some(terminal)
    }

    /// Runs a command of `network` as a job of a shell that takes more commands, in the background.
    pub(crate) fn background_job(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        let commands = "\"$@\" & while read -r command; do eval \"$command\"; done";
        Self::start(
            network,
            120,
            &["sh", "-mc", commands, "sh"],
            &[],
            subcommand,
            &plain(subcommand, arguments),
        )
    }

    /// Runs a command of `network` after the terminal was closed. It gets no SIGHUP, as after `disown` in bash. Its output
    /// is in the file `printed`, and its exit code is then in the file `code`.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_when_closed(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        // A terminal that is closed is none.
        let commands = "exec 3<&0; { while [ -t 3 ]; do sleep 0.1; done; \"$@\" <&3 >printed 2>&1; echo $? >code; } & \
                        echo it is sta''rted; read -r end";
        Self::start(
            network,
            120,
            &["sh", "-mc", commands, "sh"],
            &[],
            subcommand,
            &plain(subcommand, arguments),
        )
    }

    /// Runs a command of `network` that gets SIGHUP when the terminal is closed. Its exit code is then written to the
    /// file `code`.
    #[cfg(target_os = "linux")]
    pub(crate) fn closable(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        // The signal interrupts the first `wait`.
        let commands = "exec 3<&0; trap 'kill -HUP $!' HUP; \"$@\" <&3 & wait $!; wait $!; echo $? >code";
        Self::start(
            network,
            120,
            &["sh", "-c", commands, "sh"],
            &[],
            subcommand,
            &plain(subcommand, arguments),
        )
    }

    /// Closes the terminal, as a person closes a window.
    #[cfg(target_os = "linux")]
    pub(crate) fn close(&self) {
        assert!(self.tmux(&["kill-server"]).status.success());
    }

    /// Runs a command in a new terminal, as the arguments of `shell`.
    fn start(
        network: &Network,
        columns: u16,
        shell: &[&str],
        environment: &[&str],
        subcommand: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { folder: network.path(""), server: number.to_string() };
        let home = format!("BRIGADE_HOME={}", network.path("home").display());
        let runtime = format!("XDG_RUNTIME_DIR={}", network.path("run").display());
        let port = network.port().to_string();
        let folder = network.path("");
        let folder = folder.to_str().unwrap();
        let env = [&["env"], environment].concat();
        let of_network = !matches!(subcommand, "ui");
        let port_option = if subcommand == "manager" { "--port" } else { "--manager-port" };
        let port = if subcommand == "manager" && network.has_manager() { "0" } else { &port };
        let program = [env!("CARGO_BIN_EXE_brigade"), subcommand, port_option, port];
        let program = &program[..if of_network { 4 } else { 2 }];
        let columns = columns.to_string();
        let session = [
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            "50",
            "-c",
            folder,
            "-e",
            &home,
            "-e",
            &runtime,
        ];
        let made = terminal.tmux(&[&session[..], shell, &env, program, arguments].concat());
        assert!(made.status.success(), "{made:?}");
        Some(terminal)
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.env("TMUX_TMPDIR", &self.folder)
            .env_remove("TMUX")
            .args(["-L", &self.server])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Types a line.
    pub(crate) fn types(&self, line: &str) {
        assert!(self.tmux(&["send-keys", "-l", line]).status.success());
        assert!(self.tmux(&["send-keys", "Enter"]).status.success());
    }

    /// Pastes text as terminals do: in brackets if the program enabled that.
    pub(crate) fn pastes(&self, text: &str) {
        assert!(self.tmux(&["set-buffer", text]).status.success());
        assert!(self.tmux(&["paste-buffer", "-p", "-d"]).status.success());
    }

    /// Presses keys, by the names that tmux has for them.
    pub(crate) fn presses(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).status.success());
    }

    /// Changes the width of the terminal.
    pub(crate) fn resize(&self, columns: u16) {
        self.resize_to(columns, 50);
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize_to(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        assert!(self.tmux(&["resize-window", "-x", &columns, "-y", &rows]).status.success());
    }

    /// A property of the terminal that tmux knows, such as `alternate_on`.
    pub(crate) fn property(&self, name: &str) -> String {
        let shown = self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]);
        String::from_utf8(shown.stdout).unwrap().trim().to_owned()
    }

    /// The rows of the screen.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap();
        screen.lines().map(str::to_owned).collect()
    }

    /// The settings of the terminal, as `stty` prints them.
    pub(crate) fn settings(&self) -> String {
        let tty = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        let tty = String::from_utf8(tty.stdout).unwrap();
        let settings = Command::new("stty").args(["-a", "-F", tty.trim()]).output().unwrap();
        String::from_utf8(settings.stdout).unwrap()
    }

    /// Waits until the program reads keys, as the editor of a prompt does.
    #[track_caller]
    pub(crate) fn reads_keys(&self) {
        until("the program reads keys", PATIENCE, || self.settings().contains(" -icanon").then_some(()));
    }

    /// The process of the program.
    pub(crate) fn program(&self) -> rustix::process::Pid {
        let pids = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let shell: u32 = String::from_utf8(pids.stdout).unwrap().trim().parse().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }

    /// Presses Ctrl-Z, and waits until the program is suspended.
    #[track_caller]
    pub(crate) fn suspends(&self) {
        let stat = format!("/proc/{}/stat", self.program());
        assert!(self.tmux(&["send-keys", "C-z"]).status.success());
        until("the program is suspended", PATIENCE, || {
            std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(())
        });
    }

    /// Waits until the program has ended: before that, it may read what is typed. The shell may not know it yet.
    #[track_caller]
    pub(crate) fn has_ended(&self, program: rustix::process::Pid) {
        until("the program has ended", PATIENCE, || {
            let stat = std::fs::read_to_string(format!("/proc/{program}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
        });
    }

    /// Waits until the screen contains `needle`. Returns the screen.
    #[track_caller]
    pub(crate) fn shows(&self, needle: &str) -> String {
        let screen = || String::from_utf8(self.tmux(&["capture-pane", "-p", "-J"]).stdout).unwrap();
        until(&format!("{needle:?} is on the screen:\n{}", screen()), PATIENCE, || {
            Some(screen()).filter(|screen| screen.contains(needle))
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
