//! Lines from a person or a script: with editing and history at a terminal, unchanged from a pipe.
//!
//! The caller need not know which. A line that is too long is an error; each line of pasted text is one line. The
//! editor of the terminal blocks, so it has its own thread. A terminal that cannot move its cursor has no editor; there
//! the system reads the line.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc as blocking,
    },
};

use rustyline::{
    CompletionType, Config, Editor, ExternalPrinter, error::ReadlineError, history::DefaultHistory,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader, Stdin},
    sync::mpsc,
};

#[cfg(unix)]
use super::editor_suspension::{EditedLine, handle_suspensions};
pub(crate) use super::typed_lines::{Input, PROMPT};
use super::{
    covered_output,
    input_readiness::wait_for_typed_line,
    line_completion::{CompletionSlot, LineCompleter, LineHelper},
    mode,
    standard_output::{print_line, print_text},
    typed_lines::ScreenQuestions,
};
use crate::{terminal, text::escape::escape};

/// The most bytes of a line: more than any command with the longest name.
const LINE_BYTES: u64 = 16 << 10;

/// The number of lines in the history.
const HISTORY_LINES: usize = 1000;

/// A source of lines.
pub(crate) enum LineReader {
    /// A terminal with an editor.
    Terminal {
        prompts: blocking::Sender<String>,
        lines: mpsc::Receiver<io::Result<Input>>,
        printer: Printer,
        /// Further lines of the same pasted text.
        more: VecDeque<String>,
        /// What completes the words of a command, once it is known.
        completer: CompletionSlot,
    },
    /// A terminal that cannot move its cursor, and the prompt that is not answered yet.
    Typed(BufReader<Stdin>, PendingPrompt),
    /// A pipe or a file.
    Pipe(BufReader<Stdin>),
    /// A screen that covers the terminal.
    Screen(ScreenQuestions),
}

/// Whether an answer to a question means yes.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Whether an error of reading is about one line only, which is too long or not UTF-8.
pub(crate) fn is_about_line(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// The prompt that is not answered yet.
type PendingPrompt = Arc<Mutex<Option<String>>>;

/// Prints lines without disturbing the line that a person is typing; cheap to clone.
#[derive(Clone)]
pub(crate) enum Printer {
    /// Above the line that is being edited.
    Terminal(Arc<Mutex<Box<dyn ExternalPrinter + Send>>>),
    /// Above the prompt, which is printed again.
    Typed(PendingPrompt),
    /// To standard output.
    Plain,
    /// In the log of the screen that covers the terminal.
    Screen,
}

impl LineReader {
    /// Opens standard input. `history` is the file with the typed commands.
    pub(crate) fn open(history: Option<PathBuf>) -> io::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Pipe(BufReader::new(tokio::io::stdin())));
        }
        if !terminal::draws() {
            return Ok(Self::typed());
        }
        // Pasted text is read like typed text: each line of it is one.
        let config = Config::builder().bracketed_paste(false).completion_type(CompletionType::List).build();
        let edited = LineEditor::with_config(config)
            .and_then(|mut editor| editor.create_external_printer().map(|printer| (editor, printer)));
        let Ok((mut editor, printer)) = edited else { return Ok(Self::typed()) };
        let completer = CompletionSlot::default();
        editor.set_helper(Some(LineHelper::new(completer.clone())));
        let (prompts, to_show) = blocking::channel::<String>();
        let (answers, lines) = mpsc::channel(1);
        let printer = Printer::Terminal(Arc::new(Mutex::new(Box::new(printer))));
        let editing = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        handle_suspensions(EditedLine {
            is_edited: editing.clone(),
            print_above: {
                let printer = printer.clone();
                Box::new(move |text: &str| printer.print(text))
            },
        });
        std::thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(move || edit(editor, history, &to_show, &answers, &editing))?;
        Ok(Self::Terminal { prompts, lines, printer, more: VecDeque::new(), completer })
    }

    fn typed() -> Self {
        Self::Typed(BufReader::new(tokio::io::stdin()), PendingPrompt::default())
    }

    /// Sets what completes the words of commands with Tab, once. Only the editor of a terminal completes words.
    pub(crate) fn set_completer(&self, with: Box<dyn LineCompleter>) {
        let completer = match self {
            Self::Terminal { completer, .. } => completer,
            Self::Screen(questions) => &questions.completer,
            Self::Typed(..) | Self::Pipe(_) => return,
        };
        let _ = completer.set(with); // the first one stays
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. } | Self::Typed(..) | Self::Screen(_))
    }

    /// Whether Ctrl-C is a signal instead of [`Input::Interrupted`].
    pub(crate) fn leaves_interrupts(&self) -> bool {
        matches!(self, Self::Typed(..))
    }

    /// Whether it is a terminal with an editor, which a screen can cover.
    pub(crate) fn is_edited(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// Whether it is a screen, on which fetches are shown while the next command is typed.
    pub(crate) fn is_screen(&self) -> bool {
        matches!(self, Self::Screen(_))
    }

    /// Prints what the next question is about; a screen shows both together.
    pub(crate) fn explain(&mut self, text: &str) {
        match self {
            Self::Screen(questions) => questions.explain(text),
            _ => self.printer().print(text),
        }
    }

    /// Prints more about the same question.
    pub(crate) fn explain_further(&mut self, text: &str) {
        match self {
            Self::Screen(questions) => questions.explain_further(text),
            _ => self.printer().print(text),
        }
    }

    /// Ends the editor of the terminal, so that a screen can read the keys.
    pub(crate) async fn end(self) {
        if let Self::Terminal { prompts, mut lines, .. } = self {
            drop(prompts);
            while lines.recv().await.is_some() {}
            #[cfg(unix)]
            super::editor_suspension::release_line();
        }
    }

    /// Prints `prompt` and waits for a line. After an error that [`is_about_line`], the next line can be read.
    pub(crate) async fn ask(&mut self, prompt: &str) -> io::Result<Input> {
        match self {
            Self::Terminal { prompts, lines, printer, more, .. } => {
                if let Some(line) = more.pop_front() {
                    printer.print(&format!("{prompt}{}", escape(&line)));
                    return bounded(line);
                }
                let sent = prompts.send(prompt.to_owned());
                let read = if sent.is_ok() { lines.recv().await } else { None };
                let input = read.unwrap_or(Ok(Input::End))?;
                let Input::Line(text) = input else { return Ok(input) };
                more.extend(text.lines().map(str::to_owned));
                bounded(more.pop_front().unwrap_or_default())
            }
            Self::Typed(reader, pending) => {
                print_text(prompt);
                set_pending(pending, Some(prompt.to_owned()));
                if reader.buffer().is_empty() {
                    wait_for_typed_line(prompt).await;
                }
                let read = read_line(reader).await;
                let input = if read.is_err() && mode::is_closed() { Ok(Input::End) } else { read };
                set_pending(pending, None);
                if matches!(input, Ok(Input::End)) {
                    print_line(""); // without Enter, the cursor is still behind the prompt
                }
                input
            }
            Self::Pipe(reader) => {
                let input = read_line(reader).await?;
                // The line as on a terminal: the output of a script looks like a session.
                match &input {
                    Input::Line(line) => print_line(&format!("{prompt}{}", escape(line))),
                    _ => print_line(prompt),
                }
                Ok(input)
            }
            Self::Screen(questions) => questions.ask(prompt).await,
        }
    }

    /// The printer that does not disturb the line that is being typed.
    pub(crate) fn printer(&self) -> Printer {
        match self {
            Self::Terminal { printer, .. } => printer.clone(),
            Self::Typed(_, pending) => Printer::Typed(pending.clone()),
            Self::Pipe(_) => Printer::Plain,
            Self::Screen(_) => Printer::Screen,
        }
    }
}

impl Printer {
    /// Prints `text` on its own lines. In the background, the prompt is not printed again: the shell has the terminal.
    pub(crate) fn print(&self, text: &str) {
        match self {
            Self::Terminal(_) | Self::Typed(_) if !mode::is_in_foreground() => print_line(text),
            Self::Terminal(printer) => {
                let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
                // An error means that the terminal is closed.
                let _ = printer.print(format!("{text}\n"));
            }
            Self::Typed(pending) => {
                let pending = pending.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (before, after) = pending.as_ref().map_or(("", ""), |prompt| ("\n", prompt.as_str()));
                print_text(&format!("{before}{text}\n{after}"));
            }
            Self::Screen if covered_output::is_covered() => covered_output::keep(text),
            Self::Plain | Self::Screen => print_line(text),
        }
    }
}

fn set_pending(pending: &PendingPrompt, prompt: Option<String>) {
    *pending.lock().unwrap_or_else(PoisonError::into_inner) = prompt;
}

/// The editor of a terminal.
type LineEditor = Editor<LineHelper, DefaultHistory>;

fn edit(
    mut editor: LineEditor,
    history: Option<PathBuf>,
    prompts: &blocking::Receiver<String>,
    answers: &mpsc::Sender<io::Result<Input>>,
    editing: &AtomicBool,
) {
    use rustyline::history::History;
    let _ = editor.history_mut().set_max_len(HISTORY_LINES);
    if let Some(history) = &history {
        let _ = editor.load_history(history); // it does not exist at the first start
    }
    while let Ok(prompt) = prompts.recv() {
        mode::wait_for_foreground();
        mode::remember_terminal();
        if let Some(helper) = editor.helper_mut() {
            helper.completes = prompt == PROMPT;
        }
        editing.store(true, Ordering::SeqCst);
        let read = editor.readline(&prompt);
        editing.store(false, Ordering::SeqCst);
        let input = match read {
            Ok(line) => {
                if prompt == PROMPT && line.len() as u64 <= LINE_BYTES {
                    let _ = editor.add_history_entry(&line);
                }
                Ok(Input::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
            Err(error) if is_about_text(&error) => {
                mode::discard_typed(); // the rest of a pasted line is no line of its own
                Err(not_utf8())
            }
            Err(_) => Ok(Input::End),
        };
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
        if answers.blocking_send(input).is_err() {
            return;
        }
    }
}

/// A line from the editor, which accepts a line of any length.
fn bounded(line: String) -> io::Result<Input> {
    if line.len() as u64 > LINE_BYTES { Err(too_long()) } else { Ok(Input::Line(line)) }
}

/// Whether an error of the editor means that a byte or a code unit of the line is not part of a character.
fn is_about_text(error: &ReadlineError) -> bool {
    match error {
        ReadlineError::Io(error) => is_about_line(error),
        #[cfg(windows)]
        ReadlineError::Decode(_) => true,
        _ => false,
    }
}

fn not_utf8() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8")
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {LINE_BYTES} bytes"))
}

/// Discards the rest of a line, so that it is not read as a line of its own.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf().await?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (skipped, is_over) = end.map_or((bytes.len(), bytes.is_empty()), |at| (at + 1, true));
        reader.consume(skipped);
        if is_over {
            return Ok(());
        }
    }
}

async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Input> {
    let mut line = vec![];
    reader.take(LINE_BYTES + 1).read_until(b'\n', &mut line).await?; // with its end
    if line.is_empty() {
        return Ok(Input::End);
    }
    if line.len() as u64 > LINE_BYTES && line.last() != Some(&b'\n') {
        skip_line(reader).await?;
        return Err(too_long());
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(Input::Line(line.trim_end_matches(['\n', '\r']).to_owned())),
        Err(_) => Err(not_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::{Input, LINE_BYTES, bounded, read_line};

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_as_a_whole() {
        let limit = usize::try_from(LINE_BYTES).unwrap();
        let text = |length: usize| format!("{}\nnext\n", "x".repeat(length));
        for length in [limit + 1, 3 * limit] {
            let text = text(length);
            let mut reader = BufReader::new(text.as_bytes());
            let error = read_line(&mut reader).await.unwrap_err().to_string();
            assert!(error.contains("longer than 16384 bytes"), "{error}");
            assert_eq!(read_line(&mut reader).await.unwrap(), Input::Line("next".to_owned()));
            assert_eq!(read_line(&mut reader).await.unwrap(), Input::End);
        }
        for length in [limit - 1, limit] {
            let text = text(length);
            let mut reader = BufReader::new(text.as_bytes());
            assert!(
                matches!(read_line(&mut reader).await.unwrap(), Input::Line(line) if line.len() == length)
            );
            assert_eq!(read_line(&mut reader).await.unwrap(), Input::Line("next".to_owned()));
        }
    }
    #[test]
    fn a_line_of_the_editor_is_as_long_as_one_of_a_pipe() {
        let line = "x".repeat(usize::try_from(LINE_BYTES).unwrap());
        assert_eq!(bounded(line.clone()).unwrap(), Input::Line(line.clone()));
        let error = bounded(line + "x").unwrap_err().to_string();
        assert!(error.contains("longer than 16384 bytes"), "{error}");
    }
}
