//! Reading the settings again while a service runs (SIGHUP): limits, schedule and the filter of the log change at once,
//! and of the rest the log says that a restart is needed.
//!
//! If anything in the settings is wrong, nothing changes. `command_line` finds the differences.

use std::env;

use brigade_core::rate::Cap;
use brigade_node::peer::Peer;
use serde_json::{Map, Value};

use crate::{
    command_line::{effective_options::EffectiveOptions, settings_rereading::changed_options},
    log::replace_filter,
    terminal::standard_error::{log_records::LogLevel, print_error_line, print_record},
    text::{escape::escape, format},
};

/// The options in effect.
pub(crate) struct LiveSettings {
    pub(crate) options: EffectiveOptions,
}

impl LiveSettings {
    /// The options at the start.
    pub(crate) const fn new(options: EffectiveOptions) -> Self {
        Self { options }
    }

    /// Reads the settings again, changes the limits of `peer` and the filter, and logs the result.
    pub(crate) async fn reload(&mut self, peer: Option<&Peer>) {
        let line: Vec<_> = env::args_os().collect();
        let changed = match changed_options(&line, &self.options) {
            Ok(changed) => changed,
            Err(mistakes) => {
                let mistakes: Vec<Value> = mistakes.into_iter().map(Value::from).collect();
                let fields = Map::from_iter([("mistakes".to_owned(), mistakes.into())]);
                let text = "the settings have mistakes, and nothing was changed";
                return print_record(LogLevel::Error, text, &fields);
            }
        };
        let mut texts = vec![];
        if changed.filter {
            replace_filter(changed.now.log_filter());
            texts
                .push(format!("the filter of the log is {} now", changed.now.log_filter().unwrap_or("warn")));
        }
        if changed.limits {
            texts.push(match peer {
                None => "the limits are others now".to_owned(),
                Some(peer) => match peer.replace_limit_plan(changed.now.limits.clone()).await {
                    Some(limits) => format!(
                        "the limits are now: up {}, down {}",
                        shown(limits.up.cap),
                        shown(limits.down.cap)
                    ),
                    None => return, // the peer stops
                },
            });
        }
        if !changed.restart.is_empty() {
            texts.push(format!("a restart is needed for {}", changed.restart.join(", ")));
        }
        if texts.is_empty() {
            texts.push("nothing changed".to_owned());
        }
        print_error_line(&format!("the settings were read again: {}", escape(&texts.join("; "))));
        // What needs a restart is reported again the next time: its value here stays that of the start.
        self.options.take_live(&changed.now);
    }
}

fn shown(cap: Cap) -> String {
    match cap {
        Cap::Off => "off".to_owned(),
        Cap::At(rate) => format::rate(rate),
    }
}
