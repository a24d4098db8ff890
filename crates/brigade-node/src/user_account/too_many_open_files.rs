//! Too many open files: whether a limit on open files is the cause of an error, and how to raise that limit.
//!
//! Files and connections count against the same limits. Such an error is temporary, and it says nothing about the file
//! or the address that was to be opened.

use std::io;

/// A limit on open files that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenFilesLimit {
    /// The limit of this process.
    Process,
    /// The limit of the machine.
    Machine,
}

impl OpenFilesLimit {
    /// The limit that is the cause of an error. Such an error does not mean that a file is missing.
    pub fn of_error(error: &io::Error) -> Option<Self> {
        #[cfg(unix)]
        {
            let error = rustix::io::Errno::from_io_error(error)?;
            match error {
                rustix::io::Errno::MFILE => Some(Self::Process),
                rustix::io::Errno::NFILE => Some(Self::Machine),
                _ => None,
            }
        }
        #[cfg(not(unix))]
        {
            let _ = error;
            None
        }
    }

    /// How to raise the limit.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Process => "raise the limit on open files (`ulimit -n`, or LimitNOFILE= of a service)",
            Self::Machine => "end other programs, or raise `sysctl fs.file-max`",
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::OpenFilesLimit;

    #[test]
    fn only_the_errors_of_a_limit_are_recognized() {
        let limit = |error: Errno| OpenFilesLimit::of_error(&io::Error::from(error));
        assert_eq!(limit(Errno::MFILE), Some(OpenFilesLimit::Process));
        assert_eq!(limit(Errno::NFILE), Some(OpenFilesLimit::Machine));
        assert_eq!(limit(Errno::AFNOSUPPORT), None, "the machine has no IPv4");
        assert_eq!(OpenFilesLimit::of_error(&io::ErrorKind::NotFound.into()), None);
    }
}
