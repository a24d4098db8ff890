//! The check of a request before it waits for its turn: the cheapest question comes first.
//!
//! A refused request costs its holder no read from a disk.

use crate::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    limits,
    wire::Reason,
};

/// Which pieces of a content are here to be served.
#[derive(Debug, Clone, Copy)]
pub enum ServedPieces<'a> {
    /// Every one.
    All,
    /// Those that are verified so far.
    Some(&'a Bitfield),
}

/// Whether a request can be served at all; from the cheapest question to the dearest.
///
/// `outstanding` counts the requests of this connection that are not answered, without this one; `content` is what
/// the id named, if anything.
///
/// # Errors
///
/// [`Reason::TooMuch`] for more requests than may wait, [`Reason::NotFound`] for a content that is not known,
/// [`Reason::Protocol`] for a piece that the content does not have, [`Reason::NoPiece`] for one that is not here.
pub fn check(
    outstanding: usize,
    content: Option<(&Geometry, ServedPieces<'_>)>,
    piece: PieceIndex,
) -> Result<(), Reason> {
    if outstanding >= limits::REQUESTS_IN_FLIGHT {
        return Err(Reason::TooMuch);
    }
    let (geometry, held) = content.ok_or(Reason::NotFound)?;
    if !geometry.contains(piece) {
        return Err(Reason::Protocol);
    }
    match held {
        ServedPieces::Some(pieces) if !pieces.has(piece) => Err(Reason::NoPiece),
        ServedPieces::All | ServedPieces::Some(_) => Ok(()),
    }
}
