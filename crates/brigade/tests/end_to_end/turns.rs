//! A holder whose sending is limited: it offers turns, and newcomers pass on what it sent once.
//!
//! Who is next, and which piece, is decided in the core and tested there; whole crowds are simulated. Here it is seen that
//! real processes say and do what the core decides.

use brigade_core::{
    geometry::Geometry,
    id::ContentId,
    wire::{
        Reason,
        peer::{Decline, FromHolder, HaveAll, Offer, Open, Request, ToHolder, Turns, Want},
    },
};

use crate::{
    network::{Network, bytes, free_port, given},
    stranger::{Stranger, frame_of},
};

/// Sixteen pieces.
const FILM_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 256 << 10;

/// The next offer; signs of life are passed over.
#[track_caller]
fn offer(stranger: &mut Stranger) -> Offer {
    stranger.hear_until(|message| match message {
        FromHolder::Offer(offer) => Some(offer),
        FromHolder::Turns(Turns { limited: true }) => None,
        other => panic!("{other:?} is no offer"),
    })
}

#[test]
fn a_limited_holder_offers_turns_and_serves_what_is_asked_for_on_them() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let port = free_port();
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--port", &port.to_string(), "--upload-limit", "20MB"]);
    network.has_file("film.bin", 1, crate::process::PATIENCE);
    let (_session, membership) = Stranger::join(network.port(), 1, 1001);
    let mut stranger = Stranger::greet(port, 1, Some(&membership));
    let id = ContentId(*blake3::hash(&film).as_bytes());
    let says = |stranger: &mut Stranger, message: ToHolder| stranger.send(&frame_of(&message));
    assert_eq!(stranger.hear(), Some(FromHolder::from(Turns { limited: true })));
    says(&mut stranger, Open { channel: 3, id, size: FILM_BYTES as u64 }.into());
    assert_eq!(stranger.hear(), Some(FromHolder::from(HaveAll { channel: 3 })));

    says(&mut stranger, Want { channel: 3, uplink: None }.into());
    let count = Geometry::new(FILM_BYTES as u64).unwrap().count();
    let mut sent = std::collections::BTreeSet::new();
    for request in 0..count {
        let Offer { offer, channel, pieces } = offer(&mut stranger);
        assert_eq!(channel, 3);
        assert!(request > 0 || pieces[0] == 15, "the last piece proves the size: {pieces:?}");
        // Towards the end what is left may stand in an earlier offer.
        let mut left = pieces.into_iter().chain(0..count);
        let piece = left.find(|piece| !sent.contains(piece)).unwrap();
        sent.insert(piece);
        says(&mut stranger, Request { request, channel: 3, piece, offer: Some(offer) }.into());
        let at = piece as usize * PIECE_BYTES;
        assert!(stranger.piece(request, PIECE_BYTES) == film[at..at + PIECE_BYTES], "piece {piece} is wrong");
    }

    // After it declined, it is offered nothing; and a request that takes up no offer is served all the same.
    let Offer { offer: declined, .. } = offer(&mut stranger);
    says(&mut stranger, Decline { offer: declined }.into());
    says(&mut stranger, Request { request: 100, channel: 3, piece: 4, offer: None }.into());
    assert_eq!(stranger.piece(100, PIECE_BYTES), &film[4 * PIECE_BYTES..5 * PIECE_BYTES]);
    // As is one that answers an offer which was never made.
    says(&mut stranger, Request { request: 101, channel: 3, piece: 5, offer: Some(77_777) }.into());
    assert_eq!(stranger.piece(101, PIECE_BYTES), &film[5 * PIECE_BYTES..6 * PIECE_BYTES]);
    says(&mut stranger, Request { request: 102, channel: 3, piece: 16, offer: None }.into());
    stranger.hears_why(Reason::Protocol, "piece 16 of a content of 16");
}

#[test]
fn newcomers_pass_on_what_a_limited_source_sends() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--upload-limit", "1MB"]);
    network.has_file("film.bin", 1, crate::process::PATIENCE);
    let into = ["a", "b", "c", "d"];
    let fetches = into.map(|into| network.run("fetch", &["film.bin", "--into", into, "--json"]));
    let from_source = |totals: &serde_json::Value| -> u64 {
        given(totals).iter().filter(|(holder, _)| holder == "fire_user").map(|(_, bytes)| bytes).sum()
    };
    let sent: u64 = fetches.into_iter().map(|fetch| from_source(&fetch.end().with_code(0).totals())).sum();
    into.iter().for_each(|into| network.has(&format!("{into}/film.bin"), &film));
    // It has to send all of it once; without their passing it on it would be four times.
    let copies = sent as f64 / FILM_BYTES as f64;
    assert!((1.0..3.0).contains(&copies), "the source sent {copies} copies");
}
