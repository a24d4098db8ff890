//! A process under test: its output is read while it runs, and it ends with its test at the latest.
//!
//! Each wait has a deadline, and a test that misses it panics with the output of the process. Deadlines are long, since
//! the machine may be busy. To distinguish a quick answer from a timeout of the program, a test checks exit codes,
//! messages or the order of events, or asks so often that the timeouts would add up.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

/// The deadline for anything without its own deadline: long, since the machine may be busy, but shorter than the minute
/// after which a peer scans its whole folder and finds changes that it missed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The time that a busy machine may add to a time that the program promises. It is shorter than the rest of a lease
/// that was renewed in time, so that a peer that left is not confused with one whose lease ended.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// How long a process may take to end in good order, as the program promises.
pub(crate) const ENDING: Duration = Duration::from_secs(2);

/// The pauses between two checks of a condition that cannot be waited for: short at first, then longer, since a check
/// may start a process.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A running process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    out: OutputLines,
    err: OutputLines,
    shown: String,
}

/// A process that has ended.
pub(crate) struct ExitedProcess {
    /// Its exit code; `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    /// All of its standard output.
    pub(crate) out: String,
    /// All of its standard error.
    pub(crate) err: String,
}

/// An output of a process, as far as it was read.
struct OutputLines {
    text: Arc<(Mutex<OutputText>, Condvar)>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct OutputText {
    text: String,
    is_over: bool,
}

/// Repeats `look` until it finds something, for at most `limit`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    found_within(limit, look).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// The result of `look` within `limit`; it is called once more at the end.
pub(crate) fn found_within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let is_last = began >= deadline;
        if let Some(found) = look() {
            return Some(found);
        }
        if is_last {
            return None;
        }
        // A check that takes long must not take processor time from the program that is tested.
        thread::sleep(pause.max(began.elapsed()));
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

impl Process {
    /// Starts `command` with its standard input held open.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        let shown = arguments.join(" ");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("starting {shown}: {error}"));
        let (out, err) = (OutputLines::start(child.stdout.take()), OutputLines::start(child.stderr.take()));
        Self { stdin: child.stdin.take(), child, out, err, shown }
    }

    /// Waits until it has written `needle` to standard output.
    #[track_caller]
    pub(crate) fn prints(&self, needle: &str) -> String {
        self.out
            .wait_for(needle)
            .unwrap_or_else(|| panic!("it did not print {needle:?}\n{}", self.transcript()))
    }

    /// Waits until it has written `needle` to standard error.
    #[track_caller]
    pub(crate) fn prints_error(&self, needle: &str) -> String {
        self.err
            .wait_for(needle)
            .unwrap_or_else(|| panic!("it did not print {needle:?}\n{}", self.transcript()))
    }

    /// What it has written to standard output so far.
    pub(crate) fn output(&self) -> String {
        self.out.text().text.clone()
    }

    /// What it has written to standard error so far.
    pub(crate) fn error_output(&self) -> String {
        self.err.text().text.clone()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub(crate) fn types(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        stdin.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.shown));
    }

    /// Closes its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal, which the process may handle. After `STOP` it waits until all threads have stopped: they run on
    /// for a moment, and could still answer on a busy machine.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        if signal == Signal::STOP {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            until("the process has stopped", PATIENCE, || waitid(WaitId::Pid(pid), options).unwrap());
        }
    }

    /// Sets whether it may open more files.
    #[cfg(target_os = "linux")]
    pub(crate) fn may_open_files(&self, may: bool) {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = if may { maximum } else { Some(0) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }

    /// Kills it like `kill -9`, and waits until the system has ended it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends.
    #[track_caller]
    pub(crate) fn end(self) -> ExitedProcess {
        self.end_within(PATIENCE)
    }

    /// Waits until it ends, for at most `limit`.
    #[track_caller]
    pub(crate) fn end_within(mut self, limit: Duration) -> ExitedProcess {
        let status = found_within(limit, || self.child.try_wait().unwrap())
            .unwrap_or_else(|| panic!("it did not end within {limit:?}\n{}", self.transcript()));
        ExitedProcess { code: status.code(), out: self.out.all(), err: self.err.all() }
    }

    /// Sends SIGTERM and waits until it has ended, as fast as the program promises.
    #[track_caller]
    pub(crate) fn terminate(self) -> ExitedProcess {
        self.signal(Signal::TERM);
        self.end_within(ENDING + SLACK)
    }

    fn transcript(&self) -> String {
        let (out, err) = (self.out.text().text.clone(), self.err.text().text.clone());
        format!("of: {}\nstandard output:\n{out}\nstandard error:\n{err}", self.shown)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ExitedProcess {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Checks that standard error contains all of `needles`.
    #[track_caller]
    pub(crate) fn prints_error(self, needles: &[&str]) -> Self {
        for needle in needles {
            assert!(self.err.contains(needle), "{needle:?} is not in standard error:\n{}", self.err);
        }
        self
    }

    /// Standard output as JSON, one object per line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{}", self.err))
        };
        self.out.lines().map(parse).collect()
    }

    /// The `result` events of `fetch --json`, in the order in which the names ended.
    #[track_caller]
    pub(crate) fn results(&self) -> Vec<Value> {
        self.json().into_iter().filter(|line| line["event"] == "result").collect()
    }

    /// The last line of `fetch --json`.
    #[track_caller]
    pub(crate) fn totals(&self) -> Value {
        let last = self.json().pop().unwrap_or_else(|| panic!("no line at all\n{}", self.err));
        assert_eq!(last["totals"], true, "{last}");
        last
    }
}

impl OutputLines {
    fn start(output: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::<(Mutex<OutputText>, Condvar)>::default();
        let (shared, output) = (text.clone(), output.expect("it is a pipe"));
        let listener = thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = vec![];
            loop {
                line.clear();
                let read = output.read_until(b'\n', &mut line).unwrap_or(0);
                let mut text = shared.0.lock().unwrap();
                text.text.push_str(&String::from_utf8_lossy(&line));
                text.is_over = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { text, listener: Some(listener) }
    }

    fn text(&self) -> MutexGuard<'_, OutputText> {
        self.text.0.lock().unwrap()
    }

    /// The output when it contains `needle`; `None` if it does not in time.
    fn wait_for(&self, needle: &str) -> Option<String> {
        let missing = |text: &mut OutputText| !text.text.contains(needle) && !text.is_over;
        let (text, _) = self.text.1.wait_timeout_while(self.text(), PATIENCE, missing).unwrap();
        text.text.contains(needle).then(|| text.text.clone())
    }

    /// The complete output, after the process has ended.
    fn all(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        self.text().text.clone()
    }
}
