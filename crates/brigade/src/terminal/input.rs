//! Lines from a person or a script: at a terminal with editing and history, from a pipe as they are.
//!
//! Both look the same from here. A line has a bound; what is longer is refused. Several lines that are pasted at once are
//! several lines. The terminal's editor blocks, so it has a thread of its own; a terminal that cannot move its cursor
//! has no editor, and the system's own way to type a line must do.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc as blocking},
};

use rustyline::{Config, DefaultEditor, ExternalPrinter, error::ReadlineError};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Stdin},
    sync::mpsc,
};

use super::{
    escape::escape,
    output::{say, show},
};
use crate::terminal;

/// Bytes of a line: more than any command with the longest name.
const LINE_BYTES: u64 = 16 << 10;

/// Lines of history that are kept.
const HISTORY_LINES: usize = 1000;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C at the terminal.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// Where lines come from.
pub(crate) enum Lines {
    /// A person.
    Terminal {
        prompts: blocking::Sender<String>,
        lines: mpsc::Receiver<Input>,
        voice: Voice,
        /// Lines that came together with the last one.
        more: VecDeque<String>,
    },
    /// A person at a terminal that cannot move its cursor, and the question that is not answered yet.
    Typed(BufReader<Stdin>, Asked),
    /// A script.
    Pipe(BufReader<Stdin>),
}

/// The question that a person was asked and has not answered yet.
type Asked = Arc<Mutex<Option<String>>>;

/// Writes lines without disturbing what a person is typing; cheap to clone.
#[derive(Clone)]
pub(crate) enum Voice {
    /// Above the line that is being edited.
    Terminal(Arc<Mutex<Box<dyn ExternalPrinter + Send>>>),
    /// Above the question, which is shown again.
    Typed(Asked),
    /// To standard output.
    Plain,
}

impl Lines {
    /// Standard input, whatever it is. `history` is the file where a person's commands are kept.
    pub(crate) fn open(history: Option<PathBuf>) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Pipe(BufReader::new(tokio::io::stdin())));
        }
        if !terminal::draws() {
            return Ok(Self::typed());
        }
        remember_terminal();
        // Pasted text is taken as if it were typed: each line of it is one.
        let config = Config::builder().bracketed_paste(false).build();
        let edited = DefaultEditor::with_config(config)
            .and_then(|mut editor| editor.create_external_printer().map(|printer| (editor, printer)));
        let Ok((editor, printer)) = edited else { return Ok(Self::typed()) };
        let (prompts, to_show) = blocking::channel::<String>();
        let (answers, lines) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(move || edit(editor, history, &to_show, &answers))?;
        let voice = Voice::Terminal(Arc::new(Mutex::new(Box::new(printer))));
        Ok(Self::Terminal { prompts, lines, voice, more: VecDeque::new() })
    }

    fn typed() -> Self {
        Self::Typed(BufReader::new(tokio::io::stdin()), Asked::default())
    }

    /// Whether a person is asked.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. } | Self::Typed(..))
    }

    /// Whether Ctrl-C comes as a signal and not as [`Input::Interrupted`].
    pub(crate) fn leaves_interrupts(&self) -> bool {
        matches!(self, Self::Typed(..))
    }

    /// Shows `prompt` and waits for a line.
    pub(crate) async fn ask(&mut self, prompt: &str) -> io::Result<Input> {
        match self {
            Self::Terminal { prompts, lines, voice, more } => {
                if let Some(line) = more.pop_front() {
                    voice.say(&format!("{prompt}{}", escape(&line)));
                    return Ok(Input::Line(line));
                }
                let asked = prompts.send(prompt.to_owned());
                let input = if asked.is_ok() { lines.recv().await.unwrap_or(Input::End) } else { Input::End };
                let Input::Line(text) = input else { return Ok(input) };
                more.extend(text.lines().map(str::to_owned));
                Ok(Input::Line(more.pop_front().unwrap_or_default()))
            }
            Self::Typed(reader, asked) => {
                show(prompt);
                set(asked, Some(prompt.to_owned()));
                let input = read_line(reader).await;
                set(asked, None);
                if matches!(input, Ok(Input::End)) {
                    say(""); // nothing was typed that ended the line
                }
                input
            }
            Self::Pipe(reader) => {
                let input = read_line(reader).await?;
                // What a terminal would show: the transcript of a script reads like a session.
                match &input {
                    Input::Line(line) => say(&format!("{prompt}{}", escape(line))),
                    _ => say(prompt),
                }
                Ok(input)
            }
        }
    }

    /// A way to say something while a line is being typed.
    pub(crate) fn voice(&self) -> Voice {
        match self {
            Self::Terminal { voice, .. } => voice.clone(),
            Self::Typed(_, asked) => Voice::Typed(asked.clone()),
            Self::Pipe(_) => Voice::Plain,
        }
    }
}

impl Voice {
    /// Writes `text` on lines of its own.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Terminal(printer) => {
                let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
                // Where the terminal is gone, nobody is left to be told.
                let _ = printer.print(format!("{text}\n"));
            }
            Self::Typed(asked) => {
                let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (before, after) = asked.as_ref().map_or(("", ""), |question| ("\n", question.as_str()));
                show(&format!("{before}{text}\n{after}"));
            }
            Self::Plain => {
                say(text);
            }
        }
    }
}

fn set(asked: &Asked, question: Option<String>) {
    *asked.lock().unwrap_or_else(PoisonError::into_inner) = question;
}

/// How the terminal was before it was asked for single keys.
#[cfg(unix)]
static BEFORE: std::sync::OnceLock<rustix::termios::Termios> = std::sync::OnceLock::new();

fn remember_terminal() {
    #[cfg(unix)]
    if let Ok(now) = rustix::termios::tcgetattr(io::stdin()) {
        let _ = BEFORE.set(now); // the first time counts
    }
}

/// Makes the terminal again what it was: the thread that reads lines may still wait for one when the program ends.
pub(crate) fn give_back_terminal() {
    #[cfg(unix)]
    if let Some(before) = BEFORE.get() {
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
    }
}

fn edit(
    mut editor: DefaultEditor,
    history: Option<PathBuf>,
    prompts: &blocking::Receiver<String>,
    answers: &mpsc::Sender<Input>,
) {
    use rustyline::history::History;
    let _ = editor.history_mut().set_max_len(HISTORY_LINES);
    if let Some(history) = &history {
        let _ = editor.load_history(history); // there is none at the first start
    }
    while let Ok(prompt) = prompts.recv() {
        let input = match editor.readline(&prompt) {
            Ok(line) => {
                let _ = editor.add_history_entry(&line);
                Input::Line(line)
            }
            Err(ReadlineError::Interrupted) => Input::Interrupted,
            Err(_) => Input::End,
        };
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        if answers.blocking_send(input).is_err() {
            return;
        }
    }
}

async fn read_line(reader: &mut BufReader<Stdin>) -> io::Result<Input> {
    let mut line = vec![];
    reader.take(LINE_BYTES).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(Input::End);
    }
    if line.len() as u64 == LINE_BYTES && line.last() != Some(&b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line is longer than {LINE_BYTES} bytes"),
        ));
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Input::Line(line.trim_end_matches(['\n', '\r']).to_owned())),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8")),
    }
}
