//! `brigade man`: the manual as roff, one page for the program and one for each command.
//!
//! The options come from the command line itself; `command_line::manual` has the examples, files and exit codes.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Command as Grammar, CommandFactory};

use crate::{
    command_line::{
        args::Brigade,
        manual::{CommandManual, EXIT_CODES, manual},
    },
    failure::{DISK, Failure, USAGE},
    settings::Settings,
    terminal::standard_output::record_write,
};

/// The variables of every command, beside those of the settings.
const VARIABLES: [(&str, &str); 4] = [
    ("BRIGADE_HOME", "the folder of the user: settings, known managers, history"),
    ("BRIGADE_LOG", "the log lines that go to standard error: info, debug, …; default warn"),
    ("NO_COLOR", "with any value: no colours"),
    ("TERM", "a terminal that cannot move its cursor (dumb) gets lines"),
];

/// The variable of the commands for a running peer.
const FOLDER_VARIABLE: (&str, &str) =
    ("BRIGADE_FOLDER", "the folder of the running peer, if --folder does not name one");

/// Prints all pages, or only that of `page`; or writes each to a file in `dir`.
pub(crate) fn run(page: Option<&str>, dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let program = Brigade::command();
    if let Some(dir) = dir {
        return write_all(&program, dir);
    }
    let mut text = vec![];
    match page {
        Some(page) => {
            let command = program.find_subcommand(page).filter(|command| !command.is_hide_set());
            let command = command.ok_or_else(|| unknown(&program, page))?;
            render_command(&program, command, &mut text).map_err(|error| failure(&error))?;
        }
        None => {
            render_program(&program, &mut text).map_err(|error| failure(&error))?;
            for command in commands(&program) {
                render_command(&program, command, &mut text).map_err(|error| failure(&error))?;
            }
        }
    }
    let mut out = io::stdout();
    record_write(out.write_all(&text).and_then(|()| out.flush()));
    Ok(ExitCode::SUCCESS)
}

fn commands(program: &Grammar) -> impl Iterator<Item = &Grammar> {
    program.get_subcommands().filter(|command| !command.is_hide_set())
}

fn failure(error: &io::Error) -> Failure {
    Failure::other("writing the manual", error)
}

fn unknown(program: &Grammar, page: &str) -> Failure {
    let names: Vec<&str> = commands(program).map(Grammar::get_name).collect();
    let similar = names.iter().map(|name| (strsim::jaro_winkler(page, name), name));
    let similar = similar.filter(|(similarity, _)| *similarity > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = similar.map_or_else(|| names.join(", "), |(_, name)| format!("did you mean {name}?"));
    Failure::new(USAGE, format!("{page:?} is not a command")).hint(hint)
}

fn write_all(program: &Grammar, dir: &Path) -> Result<ExitCode, Failure> {
    let wrong = |error: io::Error| {
        Failure::new(DISK, format!("writing the manual to {}: {error}", dir.display()))
            .hint("name a folder that is writable with --dir")
    };
    fs::create_dir_all(dir).map_err(wrong)?;
    let mut text = vec![];
    render_program(program, &mut text).map_err(wrong)?;
    fs::write(dir.join("brigade.1"), &text).map_err(wrong)?;
    for command in commands(program) {
        text.clear();
        render_command(program, command, &mut text).map_err(wrong)?;
        fs::write(dir.join(format!("brigade-{}.1", command.get_name())), &text).map_err(wrong)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render_program(program: &Grammar, out: &mut Vec<u8>) -> io::Result<()> {
    let page = clap_mangen::Man::new(program.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    page.render_subcommands_section(out)?;
    exit_status(&EXIT_CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>(), out)?;
    pairs(
        "ENVIRONMENT",
        VARIABLES.into_iter().map(|(name, explanation)| (name.to_owned(), explanation.to_owned())),
        out,
    )?;
    let examples = commands(program).filter_map(|command| manual(command.get_name())?.examples.first());
    example_section(examples, out)?;
    let pages: Vec<String> =
        commands(program).map(|command| format!("brigade-{}(1)", command.get_name())).collect();
    see_also(&pages.join(", "), out)
}

fn render_command(program: &Grammar, command: &Grammar, out: &mut Vec<u8>) -> io::Result<()> {
    let name = command.get_name();
    let title = format!("brigade-{name}");
    let shown = command.clone().name(&title).bin_name(format!("brigade {name}")).after_help("");
    let version = program.get_version().unwrap_or_default().to_owned();
    let page = clap_mangen::Man::new(shown.version(version)).title(title);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let empty = CommandManual { command: "", examples: &[], files: &[], exit_codes: &[] };
    let manual = manual(name).unwrap_or(&empty);
    exit_status(&[&[0, 1, 2], manual.exit_codes].concat(), out)?;
    let files = manual.files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
    pairs("FILES", files, out)?;
    let of_settings = Settings::variables_of(name);
    let of_settings = of_settings.into_iter().map(|(variable, option)| {
        (variable.to_owned(), format!("the value of {option}, if the command line does not have it"))
    });
    let takes_folder =
        name != "peer" && command.get_arguments().any(|argument| argument.get_id() == "folder");
    let shared = takes_folder.then_some(FOLDER_VARIABLE).into_iter().chain(VARIABLES);
    let shared = shared.map(|(name, explanation)| (name.to_owned(), explanation.to_owned()));
    pairs("ENVIRONMENT", of_settings.chain(shared), out)?;
    example_section(manual.examples.iter(), out)?;
    see_also("brigade(1)", out)
}

fn exit_status(codes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let listed = EXIT_CODES.iter().filter(|(code, _)| codes.contains(code));
    pairs("EXIT STATUS", listed.map(|(code, explanation)| (code.to_string(), (*explanation).to_owned())), out)
}

/// A section of terms and what they mean; nothing if there are none.
fn pairs(heading: &str, pairs: impl Iterator<Item = (String, String)>, out: &mut Vec<u8>) -> io::Result<()> {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_none() {
        return Ok(());
    }
    writeln!(out, ".SH \"{heading}\"")?;
    for (term, explanation) in pairs {
        writeln!(out, ".TP\n\\fB{}\\fR\n{}", escaped(&term), escaped(&explanation))?;
    }
    Ok(())
}

fn example_section<'a>(
    examples: impl Iterator<Item = &'a (&'static str, &'static str)>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let examples = examples.map(|(line, effect)| ((*line).to_owned(), (*effect).to_owned()));
    pairs("EXAMPLES", examples, out)
}

fn see_also(pages: &str, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, ".SH \"SEE ALSO\"\n{}", escaped(pages))
}

/// Text that roff prints as it is: no escapes, no requests, and hyphens that can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Brigade, CommandFactory, commands, escaped, render_command, render_program};

    #[test]
    fn every_page_has_its_sections() {
        let program = Brigade::command();
        for command in commands(&program) {
            let name = command.get_name();
            let mut page = vec![];
            render_command(&program, command, &mut page).unwrap();
            let page = String::from_utf8(page).unwrap();
            for section in ["EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"] {
                assert!(page.contains(&format!(".SH \"{section}\"")), "{name}: {section}\n{page}");
            }
            assert!(page.contains(".TH brigade-") || page.contains(".TH \"brigade"), "{name}\n{page}");
        }
        let mut page = vec![];
        render_program(&program, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("brigade\\-fetch(1)") && !page.contains("complete(1)"), "{page}");
    }

    #[test]
    fn text_of_a_page_is_no_request() {
        assert_eq!(escaped(".brigade"), "\\&.brigade");
        assert_eq!(escaped("a\\b --all"), "a\\eb \\-\\-all");
    }
}
