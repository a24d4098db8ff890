//! The checks of `doctor`, which the program makes: it knows the options and the texts.
//!
//! They run one at a time, because they write to the folder and ask the manager.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::BoxFuture;

use crate::values::CheckReport;

/// Makes all checks of a running program.
#[derive(Clone)]
pub struct Checks {
    make: Arc<dyn Fn() -> BoxFuture<'static, CheckReport> + Send + Sync>,
    is_running: Arc<AtomicBool>,
}

/// Sets that no check runs any more, also if the future is dropped.
struct Running(Arc<AtomicBool>);

impl Checks {
    /// Checks that this function makes. Its future may be dropped before the end.
    pub fn new<F: Future<Output = CheckReport> + Send + 'static>(
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { make: Arc::new(move || Box::pin(make())), is_running: Arc::default() }
    }

    /// Makes the checks; `None` if another client has them made at present.
    pub(super) async fn run(&self) -> Option<CheckReport> {
        if self.is_running.swap(true, Ordering::AcqRel) {
            return None;
        }
        let _running = Running(self.is_running.clone());
        Some((self.make)().await)
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{CheckReport, Checks};

    #[test]
    fn checks_run_one_at_a_time() {
        let checks = Checks::new(std::future::pending::<CheckReport>);
        let first = checks.run();
        let mut first = Box::pin(first);
        assert!(first.as_mut().now_or_never().is_none());
        assert_eq!(checks.run().now_or_never(), Some(None));
        drop(first);
        assert!(checks.run().now_or_never().is_none(), "it runs");
    }
}
