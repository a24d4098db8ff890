//! `brigade members`: the usernames of the network and their keys, at its running manager.
//!
//! Page by page, so that a network of any size can be listed.

use std::process::ExitCode;

use brigade_api::values::Member;
use brigade_core::time::UnixTime;

use crate::{
    command_line::args::running::MembersArgs,
    commands::{
        json_events::with_failure,
        running::{json, manager},
    },
    failure::Failure,
    terminal::{self, standard_output::print_line},
    text::{
        escape::escape,
        format,
        table::{TableColumn, table},
    },
};

const COLUMNS: [TableColumn; 4] = [
    TableColumn::text("username").at_least(12),
    TableColumn::text("here"),
    TableColumn::text("last seen").omitted(1),
    TableColumn::text("key").at_least(12),
];

/// The members of a page.
const PAGE: usize = 500;

/// Lists the members.
pub(crate) async fn run(args: MembersArgs) -> Result<ExitCode, Failure> {
    with_failure(list(&args).await, args.manager.output.json)
}

async fn list(args: &MembersArgs) -> Result<ExitCode, Failure> {
    let client = manager(&args.manager)?;
    let (mut after, mut rows): (Option<String>, Vec<Member>) = (None, vec![]);
    loop {
        let page = client.members(after.as_deref(), Some(PAGE)).await?;
        if args.manager.output.json {
            page.members.iter().for_each(|member| print_line(&json(member).to_string()));
        } else {
            rows.extend(page.members);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !args.manager.output.json {
        print_line(&text(&rows));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(members: &[Member]) -> String {
    if members.is_empty() {
        return "no username is bound to a key yet".to_owned();
    }
    let row = |member: &Member| {
        let seen = member.last_seen_s.map_or_else(|| "–".to_owned(), |at| format::time(UnixTime(at)));
        vec![
            escape(&member.username).into_owned(),
            if member.connected { "yes" } else { "no" }.to_owned(),
            if member.connected { "now".to_owned() } else { seen },
            escape(&member.key).into_owned(),
        ]
    };
    table(&COLUMNS, &members.iter().map(row).collect::<Vec<_>>(), terminal::output_columns())
}
