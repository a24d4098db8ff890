//! A holder with a limit on sending: it offers turns.
//!
//! The tests of the core check who is next, and which piece. This test checks that a real process behaves as the core
//! decides. `piece_exchange` tests downloaders of a limited holder.

use brigade_core::{
    geometry::Geometry,
    id::ContentId,
    wire::{
        Reason,
        peer::{Decline, FromHolder, HaveAll, Offer, Open, Request, ToHolder, Turns, Want},
    },
};

use crate::{
    scripted_peer::{ScriptedPeer, frame_of},
    test_network::{Network, bytes, free_port},
    test_process::PATIENCE,
};

/// Sixteen pieces.
const FILM_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 256 << 10;

/// The next offer; keep-alive messages are skipped.
#[track_caller]
fn offer(unknown: &mut ScriptedPeer) -> Offer {
    unknown.receive_until(|message| match message {
        FromHolder::Offer(offer) => Some(offer),
        FromHolder::Turns(Turns { limited: true }) => None,
        other => panic!("{other:?} is no offer"),
    })
}

#[test]
fn a_limited_holder_offers_turns_and_serves_their_requests() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let port = free_port();
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--port", &port.to_string(), "--upload-limit", "20MB"]);
    network.has_file("film.bin", 1, PATIENCE);
    let (_session, membership) = ScriptedPeer::join(network.port(), 1, 1001);
    let mut unknown = ScriptedPeer::greet(port, 1, Some(&membership));
    let id = ContentId(*blake3::hash(&film).as_bytes());
    let says = |unknown: &mut ScriptedPeer, message: ToHolder| unknown.send(&frame_of(&message));
    assert_eq!(unknown.receive(), Some(FromHolder::from(Turns { limited: true })));
    says(&mut unknown, Open { channel: 3, id, size: FILM_BYTES as u64 }.into());
    assert_eq!(unknown.receive(), Some(FromHolder::from(HaveAll { channel: 3 })));

    says(&mut unknown, Want { channel: 3, uplink: None }.into());
    let count = Geometry::new(FILM_BYTES as u64).unwrap().count();
    let mut sent = std::collections::BTreeSet::new();
    for request in 0..count {
        let Offer { offer, channel, pieces } = offer(&mut unknown);
        assert_eq!(channel, 3);
        assert!(request > 0 || pieces[0] == 15, "the last piece proves the size: {pieces:?}");
        // Near the end, remaining pieces may be in an earlier offer.
        let mut left = pieces.into_iter().chain(0..count);
        let piece = left.find(|piece| !sent.contains(piece)).unwrap();
        sent.insert(piece);
        says(&mut unknown, Request { request, channel: 3, piece, offer: Some(offer) }.into());
        let at = piece as usize * PIECE_BYTES;
        assert!(unknown.piece(request, PIECE_BYTES) == film[at..at + PIECE_BYTES], "piece {piece} is wrong");
    }

    // After it declined, it gets no offers; a request without an offer is still served.
    let Offer { offer: declined, .. } = offer(&mut unknown);
    says(&mut unknown, Decline { offer: declined }.into());
    says(&mut unknown, Request { request: 100, channel: 3, piece: 4, offer: None }.into());
    assert_eq!(unknown.piece(100, PIECE_BYTES), &film[4 * PIECE_BYTES..5 * PIECE_BYTES]);
    // So is a request for an offer that was never made.
    says(&mut unknown, Request { request: 101, channel: 3, piece: 5, offer: Some(77_777) }.into());
    assert_eq!(unknown.piece(101, PIECE_BYTES), &film[5 * PIECE_BYTES..6 * PIECE_BYTES]);
    says(&mut unknown, Request { request: 102, channel: 3, piece: 16, offer: None }.into());
    unknown.receives_reason(Reason::Protocol, "piece 16 of a content of 16");
}
