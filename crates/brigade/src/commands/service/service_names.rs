//! The names of services: of a peer or a manager, of an instance, of a user or of the machine.
//!
//! The name of a service is that of its file.

use super::account::is_root;
use crate::{
    command_line::args::{ServiceProgram, ServiceScope},
    failure::{Failure, USAGE},
};

/// The most characters of the name of an instance: the name of a unit has at most 255.
const INSTANCE_CHARACTERS: usize = 64;

/// For whom a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// For this user.
    User,
    /// For the machine.
    System,
}

impl Scope {
    /// The chosen scope; without a choice, root installs services of the machine.
    pub(super) fn of(scope: &ServiceScope) -> Self {
        if scope.system || !scope.user && is_root() { Self::System } else { Self::User }
    }

    /// The name for people and programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// `brigade-peer`, or `brigade-peer-INSTANCE`.
pub(super) fn service_name(program: ServiceProgram, instance: Option<&str>) -> String {
    let program = program_name(program);
    instance.map_or_else(|| format!("brigade-{program}"), |instance| format!("brigade-{program}-{instance}"))
}

pub(super) const fn program_name(program: ServiceProgram) -> &'static str {
    match program {
        ServiceProgram::Peer => "peer",
        ServiceProgram::Manager => "manager",
    }
}

/// Checks the name of an instance, which is a part of a file's name.
pub(super) fn check_instance(instance: Option<&str>) -> Result<(), Failure> {
    let Some(instance) = instance else { return Ok(()) };
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if !instance.is_empty() && instance.len() <= INSTANCE_CHARACTERS && instance.chars().all(is_allowed) {
        return Ok(());
    }
    let message = format!("{instance:?} cannot be the name of an instance");
    Err(Failure::new(USAGE, message).hint("use 1 to 64 letters, digits, `-` and `_`"))
}

#[cfg(test)]
mod tests {
    use super::check_instance;

    #[test]
    fn an_instance_is_a_part_of_a_file_name() {
        for name in ["a", "second-2", "A_b"] {
            assert!(check_instance(Some(name)).is_ok(), "{name}");
        }
        for name in ["", "a/b", "a.b", "a b", "é", &"x".repeat(65)] {
            assert!(check_instance(Some(name)).is_err(), "{name}");
        }
    }
}
