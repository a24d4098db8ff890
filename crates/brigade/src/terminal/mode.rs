//! The mode of the terminal: how the system treats typed text. The editor of lines needs another mode than the shell.
//!
//! `input` remembers it before a line is typed, `editor_suspension` changes it while the program is suspended, and `main`
//! restores it at the end. In the background, nothing changes it: the system would stop the program. On Windows the
//! console needs no help.

use std::time::Duration;
#[cfg(unix)]
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::OnceLock,
};

#[cfg(unix)]
use rustix::{
    process::getpgrp,
    termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr},
};

/// How often a program in the background checks whether it is in the foreground: not all shells send SIGCONT then.
pub(crate) const FOREGROUND_POLL: Duration = Duration::from_millis(100);

/// The terminal before the editor changed its settings.
#[cfg(unix)]
struct RememberedTerminal {
    /// The terminal itself, also while standard input is something else.
    file: OwnedFd,
    settings: Termios,
}

#[cfg(unix)]
static BEFORE: OnceLock<RememberedTerminal> = OnceLock::new();

/// Remembers the terminal of standard input and its settings, for [`restore_terminal`].
pub(crate) fn remember_terminal() {
    #[cfg(unix)]
    if let (Ok(file), Ok(settings)) = (io::stdin().as_fd().try_clone_to_owned(), tcgetattr(io::stdin())) {
        let _ = BEFORE.set(RememberedTerminal { file, settings }); // keeps the first value
    }
}

/// The terminal that was remembered, or standard input.
#[cfg(unix)]
fn with_terminal<T>(look: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    match BEFORE.get() {
        Some(before) => look(before.file.as_fd()),
        None => look(io::stdin().as_fd()),
    }
}

/// Restores the settings of the terminal: the thread that reads lines may still wait for one when the program ends.
pub(crate) fn restore_terminal() {
    #[cfg(unix)]
    if let Some(before) = BEFORE.get() {
        set(&before.settings);
    }
}

/// Makes standard input a pipe without data until [`attach_input`]: the system stops a program in the background when
/// its editor reads the terminal. The pipe is empty, and not at its end, while the result exists.
#[cfg(unix)]
pub(crate) fn detach_input() -> io::Result<io::PipeWriter> {
    let (empty, writer) = io::pipe()?;
    rustix::stdio::dup2_stdin(&empty)?;
    Ok(writer)
}

/// Makes standard input the terminal again.
#[cfg(unix)]
pub(crate) fn attach_input() {
    if let Some(before) = BEFORE.get()
        && let Err(error) = rustix::stdio::dup2_stdin(&before.file)
    {
        tracing::debug!(%error, "the terminal cannot be read any more");
    }
}

/// Discards what was typed and not read yet.
pub(crate) fn discard_typed() {
    #[cfg(unix)]
    if is_in_foreground() {
        // An error means that it is closed.
        let _ = with_terminal(|terminal| tcflush(terminal, QueueSelector::IFlush));
    }
}

/// Whether the terminal was closed.
#[cfg(unix)]
pub(crate) fn is_closed() -> bool {
    with_terminal(|terminal| tcgetattr(terminal).err() == Some(rustix::io::Errno::IO))
}

#[cfg(not(unix))]
pub(crate) fn is_closed() -> bool {
    false
}

/// Whether this program may use the terminal. The system stops a program in the background that changes the settings,
/// or reads.
#[cfg(unix)]
pub(crate) fn is_in_foreground() -> bool {
    with_terminal(is_in_foreground_of)
}

/// Whether this program may draw on the terminal of standard error. While the program is in the background, the shell
/// writes there.
#[cfg(unix)]
pub(crate) fn may_draw() -> bool {
    is_in_foreground_of(io::stderr().as_fd())
}

#[cfg(unix)]
fn is_in_foreground_of(terminal: BorrowedFd<'_>) -> bool {
    // An error means that the terminal belongs to no job, or is closed; then nothing stops the program.
    tcgetpgrp(terminal).map_or(true, |group| group == getpgrp())
}

#[cfg(not(unix))]
pub(crate) fn is_in_foreground() -> bool {
    true
}

#[cfg(not(unix))]
pub(crate) fn may_draw() -> bool {
    true
}

/// Blocks until this program may use the terminal.
pub(crate) fn wait_for_foreground() {
    while !is_in_foreground() {
        std::thread::sleep(FOREGROUND_POLL);
    }
}

/// Sets the mode of the editor again, after the program was suspended: each key is read at once and not echoed.
#[cfg(unix)]
pub(crate) fn set_editor_mode() {
    use rustix::termios::{ControlModes, InputModes, LocalModes, SpecialCodeIndex};
    let Some(before) = BEFORE.get() else { return };
    let mut editing = before.settings.clone();
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
    let is_of_editor = |now: Termios| !now.local_modes.contains(rustix::termios::LocalModes::ICANON);
    with_terminal(|terminal| tcgetattr(terminal).is_ok_and(is_of_editor))
}

#[cfg(unix)]
fn set(settings: &Termios) {
    if is_in_foreground() {
        // An error means that it is closed.
        let _ = with_terminal(|terminal| tcsetattr(terminal, OptionalActions::Now, settings));
    }
}
