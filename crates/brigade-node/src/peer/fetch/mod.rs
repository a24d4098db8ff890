//! The fetches that people ask for: from a name to its files, disk space, and progress.
//!
//! `resolve` and `browse` find the files, `disk_space` and `prepare` check them before they are fetched. `fetches` has
//! all fetches, each of them a `job`, and `owner` is the task that runs them. What is received from whom, the module
//! `swarm` decides.

mod background;
mod browse;
mod disk_space;
mod fetches;
mod job;
mod jobs;
mod kept_parts;
mod owner;
mod prepare;
mod progress;
mod queue;
mod request;
mod resolve;
mod revalidate;

pub use self::{
    browse::Browsing,
    kept_parts::KeptTotals,
    progress::{Progress, State},
    request::{CannotLand, Choice, Lacks, NoRoom, ResolveError, Resolved, WantedFile, Wish},
};
pub(crate) use self::{
    owner::{FetchConfig, FetchOwner},
    request::{FetchOrder, FetchRefusal, OrderedFetch},
    resolve::resolve,
};
