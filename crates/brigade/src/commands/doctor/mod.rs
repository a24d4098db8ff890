//! `brigade doctor`: checks everything that a peer needs, and prints one line for each check.
//!
//! `brigade_node::diagnosis` has the checks; `check_texts` says what was found and what to do. It runs beside a running
//! peer, and changes nothing.

mod check_texts;

use std::{path::Path, process::ExitCode};

use brigade_api::{
    server::Checks,
    values::{Check, CheckReport, CheckState},
};
use brigade_node::{
    diagnosis::{self, Finding, Severity},
    peer::PeerConfig,
};
use serde_json::json;

use self::check_texts::{CheckText, check_text};
use crate::{
    command_line::args::DoctorArgs,
    failure::{FAILED, Failure},
    terminal::{signals::Signals, standard_output::print_line},
};

/// Runs all checks. The exit code is 1 if there is a fault.
pub(super) async fn run(args: DoctorArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::install();
    let manager = args.manager.address();
    let checks = diagnosis::run(&manager, &args.folder, args.port, args.max);
    let findings = tokio::select! {
        findings = checks => findings,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let mut worst = Severity::Ok;
    for finding in findings {
        worst = worst.max(finding.severity());
        let check = described(finding, &manager.shown(), &args.folder);
        if args.json {
            print_line(&json!(check).to_string());
            continue;
        }
        print_line(&format!("{:<8} {:<13} {}", name(check.state), check.check, check.text));
        for line in check.remedy.iter().flat_map(|remedy| remedy.lines()) {
            print_line(&format!("{:22} remedy: {line}", ""));
        }
    }
    Ok(if worst == Severity::Fault { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The checks of a peer that runs in this process, for the clients of its API.
pub(super) fn checks_of(config: &PeerConfig, port: u16) -> Checks {
    let (manager, folder) = (config.manager.clone(), config.folder.clone());
    let max_connections = config.max_connections;
    Checks::new(move || {
        let (manager, folder) = (manager.clone(), folder.clone());
        async move {
            let findings = diagnosis::run(&manager, &folder, port, max_connections).await;
            let shown = manager.shown();
            let checks = findings.into_iter().map(|finding| described(finding, &shown, &folder));
            CheckReport { checks: checks.collect() }
        }
    })
}

/// A check with its texts. What is all right needs no remedy.
fn described(finding: Finding, manager: &str, folder: &Path) -> Check {
    let (check, severity) = (finding.check().to_owned(), finding.severity());
    let CheckText { text, remedy } = check_text(finding, manager, folder);
    let (state, remedy) = match severity {
        Severity::Ok => (CheckState::Ok, None),
        Severity::Warning => (CheckState::Warning, remedy),
        Severity::Fault => (CheckState::Fault, remedy),
    };
    Check { check, state, text, remedy }
}

const fn name(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Warning => "warning",
        _ => "fault",
    }
}
