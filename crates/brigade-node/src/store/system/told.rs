//! What the system says of a failure, in words that tell a person what to do.
//!
//! Only errors whose own text leads nowhere are told otherwise: bounds on open files and on the size of a file, which
//! the account, the machine or the file system sets.

use std::{fmt, io};

/// An error of the system, as people should read it.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a>(pub &'a io::Error);

/// A bound on open files that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFiles {
    /// That of this process.
    OfProcess,
    /// That of the machine.
    OfMachine,
}

impl OpenFiles {
    /// The bound that is why something was not opened; it says nothing of what is there.
    pub fn met(error: &io::Error) -> Option<Self> {
        #[cfg(unix)]
        {
            let error = rustix::io::Errno::from_io_error(error)?;
            match error {
                rustix::io::Errno::MFILE => Some(Self::OfProcess),
                rustix::io::Errno::NFILE => Some(Self::OfMachine),
                _ => None,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = error;
            None
        }
    }

    /// What can be done about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::OfProcess => "raise the limit on open files (`ulimit -n`, or LimitNOFILE= of a service)",
            Self::OfMachine => "end other programs, or raise `sysctl fs.file-max`",
        }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        match OpenFiles::met(error) {
            Some(bound @ OpenFiles::OfProcess) => write!(f, "too many open files: {}", bound.advice()),
            Some(bound @ OpenFiles::OfMachine) => {
                write!(f, "too many open files on this machine: {}", bound.advice())
            }
            None if error.kind() == io::ErrorKind::FileTooLarge => f.write_str(match size_is_limited() {
                true => "the file is larger than this account may write (`ulimit -f`)",
                false => "the file is larger than its file system can hold",
            }),
            None => error.fmt(f),
        }
    }
}

/// Whether this process may only write files up to a size.
fn size_is_limited() -> bool {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Fsize).current.is_some()
    }
    #[cfg(not(unix))]
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{OpenFiles, Told};

    #[test]
    fn bounds_are_told_with_what_to_do() {
        let told = |error: Errno| Told(&io::Error::from(error)).to_string();
        assert!(
            told(Errno::MFILE).contains("too many open files") && told(Errno::MFILE).contains("ulimit -n")
        );
        assert!(told(Errno::NFILE).contains("fs.file-max"));
        assert!(told(Errno::FBIG).starts_with("the file is larger than "));
        assert!(told(Errno::ACCESS).starts_with("Permission denied"));
        assert_eq!(OpenFiles::met(&io::ErrorKind::NotFound.into()), None);
    }
}
