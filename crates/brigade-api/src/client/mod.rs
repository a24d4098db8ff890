//! Clients of a running peer or manager: a method for each path of the API, and the events.
//!
//! A client connects for each request: over the local socket of a program, or to a router in the same process. It does
//! not find the program (`local::find` does), and tries nothing again except the event stream, which resumes.

mod backup_parts;
mod client_error;
mod event_stream;
mod followed_fetches;
mod manager_client;
mod peer_client;
mod requests;

pub use self::{
    backup_parts::BackupParts, client_error::ClientError, event_stream::EventStream,
    followed_fetches::FetchFollower, manager_client::ManagerClient, peer_client::PeerClient,
    requests::DEFAULT_TIMEOUT,
};
