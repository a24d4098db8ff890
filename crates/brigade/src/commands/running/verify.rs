//! `brigade verify`: lets a running peer hash its shared files again, and names the damaged ones.
//!
//! The command waits for the end, and for the fetches that repair damaged files; Ctrl-C cancels the verification. A damaged
//! file that is not whole again is an error of the disk.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use brigade_api::{
    client::{FetchFollower, PeerClient},
    values::{DamagedFile, Verification, VerificationState, VerifyOrder},
};
use brigade_core::plural::count;
use brigade_node::peer::{FetchState, Progress};
use tokio::time::sleep;

use super::{json, peer, print_result};
use crate::{
    command_line::args::running::VerifyArgs,
    commands::json_events::with_failure,
    failure::{DISK, FAILED, Failure, REFUSED},
    terminal::{
        self,
        progress_line::{LineParts, ProgressLine},
        signals::Signals,
        standard_output::print_line,
    },
    text::{escape::escape, format},
};

/// How often the progress is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Verifies the files.
pub(crate) async fn run(args: VerifyArgs) -> Result<ExitCode, Failure> {
    with_failure(verify(&args).await, args.peer.output.json)
}

async fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::install();
    let client = peer(&args.peer)?;
    let name = args.name.as_deref().unwrap_or_default();
    let draws = !args.peer.output.quiet && io::stderr().is_terminal() && terminal::draws();
    let mut line = ProgressLine::default();
    let show = |verification: &Verification| {
        if draws {
            line.draw(&parts(verification));
        }
    };
    let repairs = tokio::select! {
        repairs = repair_follower(&client, args.repair) => repairs?,
        signal = signals.first() => return Ok(signal.exit_code()),
    };
    let verifying = async {
        let began = begin(&client, name, args.repair).await?;
        follow(&client, began, show).await
    };
    let ended = tokio::select! {
        ended = verifying => ended?,
        signal = signals.first() => {
            let _ = client.cancel_verification().await; // it may have ended
            return Ok(signal.exit_code());
        }
    };
    drop(line);
    let repaired = tokio::select! {
        repaired = wait_for_repairs(repairs, &ended) => repaired,
        signal = signals.first() => return Ok(signal.exit_code()), // the repairs go on
    };
    let code = exit_code(&ended, &repaired);
    if args.peer.output.json {
        print_line(&json(&ended).to_string());
    } else if code == 0 {
        print_result(args.peer.output, &text(&ended, &repaired), &ended);
    } else {
        print_line(&text(&ended, &repaired)); // what is damaged was asked for
    }
    Ok(ExitCode::from(code))
}

/// Follows the fetches that a verification will begin, if it repairs.
pub(crate) async fn repair_follower(
    client: &PeerClient,
    repair: bool,
) -> Result<Option<FetchFollower>, Failure> {
    match repair {
        true => Ok(Some(client.fetch_follower().await?)),
        false => Ok(None),
    }
}

/// Begins a verification of the files with this name or below it; of all if it is empty.
pub(crate) async fn begin(client: &PeerClient, name: &str, repair: bool) -> Result<Verification, Failure> {
    let order = VerifyOrder { name: name.trim_end_matches('/').to_owned(), repair };
    Ok(client.begin_verification(&order).await?)
}

/// Waits for the end of a verification; if damaged files are to be repaired, until their fetches have begun.
pub(crate) async fn follow(
    client: &PeerClient,
    mut now: Verification,
    mut show: impl FnMut(&Verification),
) -> Result<Verification, Failure> {
    while !is_settled(&now) {
        show(&now);
        sleep(ASK_EVERY).await;
        let lost = || Failure::new(FAILED, "the peer has no verification any more");
        let last = client.verification().await?.ok_or_else(lost)?;
        if (&last.name, last.begun_s, last.repair) != (&now.name, now.begun_s, now.repair) {
            let message = "another verification has begun, and the result of this one is gone";
            return Err(Failure::new(REFUSED, message).hint("verify again when the other one has ended"));
        }
        now = last;
    }
    Ok(now)
}

fn is_settled(now: &Verification) -> bool {
    let is_answered = |file: &DamagedFile| file.repaired_by.is_some() || file.repair_error.is_some();
    match now.state {
        VerificationState::Running => false,
        VerificationState::Done if now.repair => {
            now.damaged.iter().filter(|file| file.repairable).all(is_answered)
        }
        _ => true,
    }
}

/// Waits until the fetches that repair damaged files have ended. Returns the names of the files that are whole again.
pub(crate) async fn wait_for_repairs(
    follower: Option<FetchFollower>,
    ended: &Verification,
) -> BTreeSet<String> {
    let repairs = ended.damaged.iter().filter_map(|file| Some((file.repaired_by?, &file.name)));
    let (ids, names): (Vec<u64>, Vec<&String>) = repairs.unzip();
    let Some(follower) = follower.filter(|_| !ids.is_empty()) else { return BTreeSet::new() };
    let mut repaired = BTreeSet::new();
    for (mut fetch, name) in follower.follow_ids(&ids).into_iter().zip(names) {
        let is_done =
            fetch.wait_for(Progress::is_over).await.is_ok_and(|last| last.state == FetchState::Done);
        if is_done {
            repaired.insert(name.clone());
        }
    }
    repaired
}

/// The exit code: damaged files that are not whole again, and files that cannot be read, are errors of the disk.
fn exit_code(ended: &Verification, repaired: &BTreeSet<String>) -> u8 {
    let is_damaged = |file: &DamagedFile| !repaired.contains(&file.name);
    match ended.state {
        VerificationState::Done if ended.damaged.iter().any(is_damaged) || ended.rest > 0 => DISK,
        VerificationState::Done if !ended.unreadable.is_empty() => DISK,
        VerificationState::Done => 0,
        _ => FAILED,
    }
}

/// The result for people. `repaired` are the damaged files that are whole again.
pub(crate) fn text(ended: &Verification, repaired: &BTreeSet<String>) -> String {
    let verified = format!("{}, {}", count(ended.files_done, "file"), format::bytes(ended.bytes_done));
    if ended.state != VerificationState::Done {
        return format!("the verification was cancelled after {verified}");
    }
    let findings = (ended.damaged.len() + ended.damaged_parts.len() + ended.unreadable.len()) as u64;
    if findings + ended.rest == 0 {
        return format!("verified: {verified}, no file is damaged");
    }
    let mut text = format!("verified: {verified}; {} damaged", count(ended.damaged.len(), "file"));
    for file in &ended.damaged {
        let effect = match (&file.repair_error, file.repaired_by) {
            _ if repaired.contains(&file.name) => "it was fetched again".to_owned(),
            (Some(error), _) => format!("it cannot be fetched again: {}", escape(error)),
            (None, Some(id)) => format!("fetch {id}, which repairs it, was not completed"),
            (None, None) => "it is no longer shared".to_owned(),
        };
        text += &format!("\n  {}: its bytes changed on the disk; {effect}", escape(&file.name));
    }
    for part in &ended.damaged_parts {
        let name = part.name.as_deref().unwrap_or("a file without a name");
        let pieces = count(part.pieces, "damaged piece");
        text += &format!("\n  a part of {}: {pieces}, fetched again with the file", escape(name));
    }
    for file in &ended.unreadable {
        text += &format!("\n  {}: {}", escape(&file.name), escape(&file.error));
    }
    if ended.rest > 0 {
        text += &format!("\n  and {} more", ended.rest);
    }
    if !ended.repair && ended.damaged.iter().any(|file| file.repairable) {
        text += "\nhint: with --repair, the damaged files are fetched again from other holders";
    }
    text
}

fn parts(now: &Verification) -> LineParts {
    let current = now.current.as_deref().unwrap_or("verifying");
    LineParts {
        name: escape(current).into_owned(),
        files: format!("{}/{}", now.files_done, count(now.files, "file")),
        amounts: format!("{} of {}", format::bytes(now.bytes_done), format::bytes(now.bytes)),
        state: vec![format!("{} damaged", now.damaged.len())],
        done: (now.bytes_done, now.bytes),
        ..LineParts::default()
    }
}
