//! Requests for pieces: which piece is requested from which holder, and what becomes of each request.
//!
//! `request_selection` makes requests, `holder_offers` those at holders that send by turns, and `endgame` second
//! requests for late pieces. `request_results` handles answers, and `request_cancellation` ends requests.

mod endgame;
mod holder_offers;
mod request_cancellation;
mod request_results;
mod request_selection;
