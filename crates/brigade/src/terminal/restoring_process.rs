//! A second process that restores the terminal if this one is killed while a screen covers it (SIGKILL, no memory).
//!
//! It is this program with a hidden argument. It reads a pipe whose other end only the first process has: when the pipe
//! ends while the terminal is covered, the first process was killed. It has its own session, so that a signal to the job
//! does not end it too. On Windows there is none.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::fd::AsFd,
    process::{Child, Command, ExitCode, Stdio},
};

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, Termios, tcgetattr, tcsetattr,
};

/// Buttons and the wheel of the mouse are not reported any more.
pub(super) const MOUSE_OFF: &str = "\u{1b}[?1006l\u{1b}[?1000l";

/// The first argument of the process, which no command has as its name.
const ARGUMENT: &str = "_restore-terminal";

/// The byte that says that the terminal is covered now.
const COVERED: u8 = b'c';
/// The byte that says that it is not.
const UNCOVERED: u8 = b'u';

/// The process, until it is dropped.
pub(super) struct RestoringProcess(Child);

impl RestoringProcess {
    /// Starts it, before the mode of the terminal is changed. `None` if that fails: only a killed program needs it.
    pub(super) fn start() -> Option<Self> {
        let settings = tcgetattr(io::stdin()).ok()?;
        let terminal = io::stdout().as_fd().try_clone_to_owned().ok()?;
        // It finds this program also after the file was replaced by another version.
        let program =
            if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().ok()? };
        let started = Command::new(program)
            .args([ARGUMENT.to_owned(), written(&settings)])
            .stdin(Stdio::piped())
            .stdout(terminal)
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(child) => Some(Self(child)),
            Err(error) => {
                tracing::debug!(%error, "nothing restores the terminal if this process is killed");
                None
            }
        }
    }

    /// Tells it whether a screen covers the terminal.
    pub(super) fn set_covered(&mut self, is_covered: bool) {
        if let Some(pipe) = &mut self.0.stdin {
            let _ = pipe.write_all(&[if is_covered { COVERED } else { UNCOVERED }]); // an error: it has ended
        }
    }
}

impl Drop for RestoringProcess {
    fn drop(&mut self) {
        self.set_covered(false);
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Runs as the second process if the command line says so.
pub(crate) fn run_if_asked(line: &[OsString]) -> Option<ExitCode> {
    let [_, argument, settings] = line else { return None };
    if argument != ARGUMENT {
        return None;
    }
    let _ = rustix::process::setsid(); // an error means that it leads a session already
    if let Some(settings) = settings.to_str().and_then(read_settings)
        && is_covered_at_end(io::stdin())
    {
        restore(&settings);
    }
    Some(ExitCode::SUCCESS)
}

/// Whether the last byte before the end says that the terminal is covered.
fn is_covered_at_end(mut pipe: impl Read) -> bool {
    let (mut last, mut byte) = (UNCOVERED, [0]);
    while let Ok(1) = pipe.read(&mut byte) {
        [last] = byte;
    }
    last == COVERED
}

/// Leaves the alternate screen, and sets the mode from before.
fn restore(before: &TerminalModes) {
    let mut out = io::stdout();
    let sequences = format!("{MOUSE_OFF}\u{1b}[?2004l\u{1b}[?1049l\u{1b}[?25h\u{1b}[0m");
    let _ = out.write_all(sequences.as_bytes()).and_then(|()| out.flush());
    let Ok(mut now) = tcgetattr(&out) else { return };
    // Another mode means that the shell has set its own already.
    if !now.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG) {
        now.input_modes = before.input;
        now.output_modes = before.output;
        now.control_modes = before.control;
        now.local_modes = before.local;
        let _ = tcsetattr(&out, OptionalActions::Now, &now);
    }
}

/// The settings of a terminal that a screen changes.
struct TerminalModes {
    input: InputModes,
    output: OutputModes,
    control: ControlModes,
    local: LocalModes,
}

/// The settings as an argument.
fn written(settings: &Termios) -> String {
    format!(
        "{}:{}:{}:{}",
        settings.input_modes.bits(),
        settings.output_modes.bits(),
        settings.control_modes.bits(),
        settings.local_modes.bits()
    )
}

fn read_settings(text: &str) -> Option<TerminalModes> {
    let mut parts = text.split(':');
    let settings = TerminalModes {
        input: InputModes::from_bits_retain(parts.next()?.parse().ok()?),
        output: OutputModes::from_bits_retain(parts.next()?.parse().ok()?),
        control: ControlModes::from_bits_retain(parts.next()?.parse().ok()?),
        local: LocalModes::from_bits_retain(parts.next()?.parse().ok()?),
    };
    parts.next().is_none().then_some(settings)
}

#[cfg(test)]
mod tests {
    use super::{is_covered_at_end, read_settings};

    #[test]
    fn the_terminal_is_restored_only_if_it_is_covered_at_the_end() {
        let check = |bytes: &[u8], expected| assert_eq!(is_covered_at_end(bytes), expected, "{bytes:?}");
        check(b"", false);
        check(b"c", true);
        check(b"cu", false);
        check(b"cuc", true);
    }

    #[test]
    fn settings_have_four_numbers() {
        assert!(read_settings("1:2:3:4").is_some());
        for wrong in ["", "1:2:3", "1:2:3:4:5", "a:2:3:4", "-1:2:3:4"] {
            assert!(read_settings(wrong).is_none(), "{wrong}");
        }
    }
}
