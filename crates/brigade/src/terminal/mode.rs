//! The mode of the terminal: how the system treats typed text. The editor of lines needs another mode than the shell.
//!
//! `input` changes it while a line is typed, `suspension` while the program is suspended, and `main` at the end. On
//! Windows the console needs no help.

/// The settings of the terminal before the editor changed them.
#[cfg(unix)]
static BEFORE: std::sync::OnceLock<rustix::termios::Termios> = std::sync::OnceLock::new();

/// Remembers the settings of the terminal, for [`restore_terminal`].
pub(crate) fn remember_terminal() {
    #[cfg(unix)]
    if let Ok(now) = rustix::termios::tcgetattr(std::io::stdin()) {
        let _ = BEFORE.set(now); // keeps the first value
    }
}

/// Restores the settings of the terminal: the thread that reads lines may still wait for one when the program ends.
pub(crate) fn restore_terminal() {
    #[cfg(unix)]
    if let Some(before) = BEFORE.get() {
        set(before);
    }
}

/// Whether the terminal of standard input was closed.
#[cfg(unix)]
pub(crate) fn is_closed() -> bool {
    rustix::termios::tcgetattr(std::io::stdin()).err() == Some(rustix::io::Errno::IO)
}

#[cfg(not(unix))]
pub(crate) fn is_closed() -> bool {
    false
}

/// Sets the mode of the editor again, after the program was suspended: each key is read at once and not echoed.
#[cfg(unix)]
pub(crate) fn set_editor_mode() {
    use rustix::termios::{ControlModes, InputModes, LocalModes, SpecialCodeIndex};
    let Some(before) = BEFORE.get() else { return };
    let mut editing = before.clone();
    editing.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    editing.control_modes |= ControlModes::CS8;
    editing.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    editing.special_codes[SpecialCodeIndex::VMIN] = 1;
    editing.special_codes[SpecialCodeIndex::VTIME] = 0;
    set(&editing);
}

/// Whether the terminal has the mode of the editor.
#[cfg(unix)]
pub(crate) fn has_editor_mode() -> bool {
    let now = rustix::termios::tcgetattr(std::io::stdin());
    now.is_ok_and(|now| !now.local_modes.contains(rustix::termios::LocalModes::ICANON))
}

#[cfg(unix)]
fn set(settings: &rustix::termios::Termios) {
    let now = rustix::termios::OptionalActions::Now;
    let _ = rustix::termios::tcsetattr(std::io::stdin(), now, settings); // an error means that it is closed
}
