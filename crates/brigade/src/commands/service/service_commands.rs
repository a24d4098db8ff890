//! Runs the commands of the service manager, or prints them for later where there is none.
//!
//! `installation` says which commands these are.

use std::{
    io,
    process::{Command, ExitCode},
};

use crate::{
    failure::{FAILED, Failure},
    terminal::standard_output::print_line,
    text::escape::escape,
};

/// Runs the commands. Where there is no service manager, they are printed for later.
///
/// # Errors
/// If the service manager refuses one.
pub(super) fn run_all(commands: &[Vec<String>]) -> Result<ExitCode, Failure> {
    for (at, command) in commands.iter().enumerate() {
        let absent = match Command::new(&command[0]).args(&command[1..]).output() {
            Ok(out) if out.status.success() => {
                print_line(&format!("done: {}", command.join(" ")));
                continue;
            }
            Ok(out) if is_not_loaded(command, out.status.code()) => {
                print_line(&format!("not loaded: {}", command.join(" ")));
                continue;
            }
            Ok(out) => {
                let text = String::from_utf8_lossy(&out.stderr).trim().to_owned();
                if !is_absence(&text) {
                    let message = format!("`{}` failed: {text}", command.join(" "));
                    return Err(
                        Failure::new(FAILED, message).hint("`journalctl -e` has the log of the service")
                    );
                }
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{} is not installed", command[0])
            }
            Err(error) => return Err(Failure::other(&format!("running {}", command[0]), &error)),
        };
        let reason = escape(absent.lines().next().unwrap_or_default()).into_owned();
        print_line(&format!(
            "the service manager does not run here ({reason}); run these commands where it does:"
        ));
        commands[at..].iter().for_each(|command| print_line(&format!("  {}", command.join(" "))));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether `systemctl` says that there is no systemd to talk to.
fn is_absence(text: &str) -> bool {
    ["not been booted with systemd", "Failed to connect to", "Host is down"]
        .iter()
        .any(|part| text.contains(part))
}

/// Whether launchd could not unload a service because it is not loaded: no such process, an error of input or output
/// (it has no other word for a file that it does not know), or no such service.
fn is_not_loaded(command: &[String], code: Option<i32>) -> bool {
    let is_unloading = command.len() > 1 && command[0] == "launchctl" && command[1] == "bootout";
    is_unloading && matches!(code, Some(3 | 5 | 113))
}

#[cfg(test)]
mod tests {
    use super::{is_absence, is_not_loaded};

    #[test]
    fn a_service_that_is_not_loaded_needs_no_unloading() {
        let command = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_not_loaded(&command("launchctl bootout system /a.plist"), Some(3)));
        assert!(!is_not_loaded(&command("launchctl bootout system /a.plist"), Some(1)));
        assert!(!is_not_loaded(&command("launchctl bootstrap system /a.plist"), Some(5)));
    }

    #[test]
    fn a_refusal_is_not_taken_for_an_absent_service_manager() {
        for text in [
            "System has not been booted with systemd as init system (PID 1). Can't operate.",
            "Failed to connect to bus: No medium found",
        ] {
            assert!(is_absence(text), "{text}");
        }
        assert!(!is_absence("Failed to enable unit: Unit file brigade-peer.service does not exist."));
    }
}
