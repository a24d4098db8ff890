//! A process under test: what it says is heard while it runs, and it never outlives its test.
//!
//! Every wait has a deadline, and a test that misses it panics with the output of the process. Deadlines are long, since
//! the machine may be busy: to tell a quick answer from a timeout of the program, a test looks at exit codes, at messages
//! or at the order of events, or asks so often that the timeouts would add up.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

/// How long anything may take that has no deadline of its own: long, since the machine may be busy, and still shorter
/// than the minute after which a peer looks at its whole folder, and finds what it should have heard of.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a busy machine may add to a time that the program promises. It is less than what is left of a lease that was
/// renewed in time, so that a peer which left is not taken for one whose lease ended.
pub(crate) const SLACK: Duration = Duration::from_secs(10);

/// How long a process may take to end in good order, as the program promises.
pub(crate) const ENDING: Duration = Duration::from_secs(2);

/// The pauses between two looks at something that cannot be waited for: short at first, then longer, since a look may
/// start a process.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A running process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Heard,
    err: Heard,
    shown: String,
}

/// How a process ended.
pub(crate) struct Ended {
    /// Its exit code; `None` where a signal killed it.
    pub(crate) code: Option<i32>,
    /// All of its standard output.
    pub(crate) out: String,
    /// All of its standard error.
    pub(crate) err: String,
}

/// One of a process's outputs, as far as it came.
struct Heard {
    text: Arc<(Mutex<Text>, Condvar)>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Text {
    text: String,
    is_over: bool,
}

/// Looks again and again until `look` finds something, for at most `limit`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    found_within(limit, look).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// What `look` finds within `limit`; it looks once more at the end, however late that is.
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
        // A look that takes long must not take the processor from the program that is waited for.
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
        let (out, err) = (Heard::start(child.stdout.take()), Heard::start(child.stderr.take()));
        Self { stdin: child.stdin.take(), child, out, err, shown }
    }

    /// Waits until it has written `needle` to standard output.
    #[track_caller]
    pub(crate) fn says(&self, needle: &str) -> String {
        self.out
            .wait_for(needle)
            .unwrap_or_else(|| panic!("it did not say {needle:?}\n{}", self.transcript()))
    }

    /// Waits until it has written `needle` to standard error.
    #[track_caller]
    pub(crate) fn complains(&self, needle: &str) -> String {
        self.err
            .wait_for(needle)
            .unwrap_or_else(|| panic!("it did not say {needle:?}\n{}", self.transcript()))
    }

    /// What it has written to standard output so far.
    pub(crate) fn said(&self) -> String {
        self.out.text().text.clone()
    }

    /// What it has written to standard error so far.
    pub(crate) fn complained(&self) -> String {
        self.err.text().text.clone()
    }

    /// Writes to its standard input.
    #[track_caller]
    pub(crate) fn types(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        stdin.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.shown));
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, which it may handle. After `STOP` it waits until all threads have stopped: they go on for a moment,
    /// on a busy machine long enough to answer.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        if signal == Signal::STOP {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            until("the process has stopped", PATIENCE, || waitid(WaitId::Pid(pid), options).unwrap());
        }
    }

    /// Lets it open no more files for now, or as many as before.
    #[cfg(target_os = "linux")]
    pub(crate) fn may_open_files(&self, may: bool) {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = if may { maximum } else { Some(0) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }

    /// Kills it as `kill -9` does, and waits until the system knows that it is dead.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The number by which the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits until it ends by itself, for at most `limit`.
    #[track_caller]
    pub(crate) fn end_within(mut self, limit: Duration) -> Ended {
        let status = found_within(limit, || self.child.try_wait().unwrap())
            .unwrap_or_else(|| panic!("it did not end within {limit:?}\n{}", self.transcript()));
        Ended { code: status.code(), out: self.out.all(), err: self.err.all() }
    }

    /// Sends SIGTERM and waits until it has ended, as the program promises.
    #[track_caller]
    pub(crate) fn terminate(self) -> Ended {
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
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Checks that standard error has all of `needles`.
    #[track_caller]
    pub(crate) fn complains(self, needles: &[&str]) -> Self {
        for needle in needles {
            assert!(self.err.contains(needle), "{needle:?} is not in standard error:\n{}", self.err);
        }
        self
    }

    /// Standard output as JSON, one object a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{}", self.err))
        };
        self.out.lines().map(parse).collect()
    }

    /// What `fetch --json` says of each name, in the order in which they ended.
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

impl Heard {
    fn start(output: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::<(Mutex<Text>, Condvar)>::default();
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

    fn text(&self) -> MutexGuard<'_, Text> {
        self.text.0.lock().unwrap()
    }

    /// What was heard once `needle` was among it; `None` where that does not happen in time.
    fn wait_for(&self, needle: &str) -> Option<String> {
        let missing = |text: &mut Text| !text.text.contains(needle) && !text.is_over;
        let (text, _) = self.text.1.wait_timeout_while(self.text(), PATIENCE, missing).unwrap();
        text.text.contains(needle).then(|| text.text.clone())
    }

    /// Everything, once the process has ended.
    fn all(&mut self) -> String {
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        self.text().text.clone()
    }
}
