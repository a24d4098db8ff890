//! x
mod escape;
mod format;
mod tui;

fn main() {}
