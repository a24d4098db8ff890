//! Peers that break the protocol, with a manager or a peer, as members or not: they get the reason and are closed, a
//! line is logged, and all other peers continue.
//!
//! The protocol document defines the answers; [`crate::scripted_peer`] is the peer that breaks the protocol.

use std::{
    io::{Read, Write},
    thread,
    time::Instant,
};

use brigade_core::{
    id::ContentId,
    limits::GREETING_TIME,
    wire::{
        Reason,
        frame::PieceHeader,
        greeting::{Greeting, Hello},
        manager::{FromManager, ListPeers, Noted, ToManager},
        peer::{AskList, Close, FromHolder, Open, Request, RequestWhole, ToHolder},
    },
};

use crate::{
    scripted_peer::{ScriptedPeer, connect, frame_of, framed, hello},
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process},
};

/// Bytes that break the protocol on any greeted connection, with the reason and the text of the goodbye.
fn protocol_errors() -> Vec<(Vec<u8>, Reason, &'static str)> {
    let too_long = [&70_000_u32.to_be_bytes()[..], &[0x15], &[0; 70_000]].concat();
    let second_hello = hello(None);
    vec![
        (too_long, Reason::Protocol, "a frame of 70000 bytes is outside the bounds of 1 to 65536"),
        (vec![0, 0, 0, 0, 0x15], Reason::Protocol, "a frame of 0 bytes is outside the bounds"),
        (framed(0x7f, b"?"), Reason::Protocol, "a message of the unknown kind 0x7f"),
        (second_hello, Reason::Protocol, "a message of the unknown kind 0x01"),
        (
            [&PieceHeader { request: 1, offset: 0 }.encode(4)[..], b"data"].concat(),
            Reason::Protocol,
            "unknown kind 0x4f",
        ),
    ]
}

/// A network with a holder of a film of three pieces, and a slow fetch of another file, which must not be disturbed.
struct TestPeers {
    network: Network,
    fire: Process,
    slow: Process,
    film: Vec<u8>,
    tape: Vec<u8>,
}

impl TestPeers {
    fn start() -> Self {
        let network = Network::start();
        let (film, tape) = (bytes("film", 600_000), bytes("tape", 16 << 20));
        network.write("fire_user/tape.bin", &tape);
        let fire = network.holder("fire_user", "film.bin", &film);
        network.has_file("tape.bin", 1, PATIENCE);
        let slow =
            network.run("fetch", &["tape.bin", "--into", "earth", "--download-limit", "6MB", "--json"]);
        Self { network, fire, slow, film, tape }
    }

    /// The port of the holder.
    fn fire_port(&self) -> u16 {
        let rows = self.network.list("peers", &[]);
        let fire = rows.iter().find(|row| row["username"] == "fire_user").unwrap();
        fire["address"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn film_id(&self) -> ContentId {
        ContentId(*blake3::hash(&self.film).as_bytes())
    }

    /// Checks that all peers serve, and that the slow fetch ends well. Returns the standard error of the manager and of
    /// the holder.
    #[track_caller]
    fn finish(mut self) -> (String, String) {
        assert_eq!(self.network.list("files", &["film.bin"])[0]["id"], *hash(&self.film));
        self.network.fetch(&["film.bin", "--into", "water"]).with_code(0);
        self.network.has("water/film.bin", &self.film);
        self.slow.end().with_code(0);
        self.network.has("earth/tape.bin", &self.tape);
        let fire = self.fire.terminate().with_code(143);
        let manager = self.network.stop_manager().with_code(143);
        (manager.err, fire.err)
    }
}

/// Checks that exactly one line of `log` has all of `words`.
#[track_caller]
fn one_line(log: &str, words: &[&str]) {
    let lines: Vec<&str> = log.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect();
    assert_eq!(lines.len(), 1, "lines with {words:?} in:\n{log}");
}

#[test]
fn a_manager_closes_connections_that_break_the_protocol_and_serves_the_others() {
    let peers = TestPeers::start();
    let manager = peers.network.port();

    // Half a frame and then nothing: it gets the reason after some time, during which everything else happens.
    let mut half = ScriptedPeer::greet(manager, 50, None);
    half.send(&[0, 0, 0, 9, 0x1b, 0xa1]);
    let half = thread::spawn(move || half.receives_reason(Reason::Silent, "incomplete frame"));

    let of_another_direction = frame_of(&FromManager::from(Noted { number: 1 }));
    let no_cbor = framed(0x15, b"\xff\xff\xff");
    let own = [
        (of_another_direction, Reason::Protocol, "unknown kind 0x22"),
        (no_cbor, Reason::Protocol, "a message of kind 0x15 cannot be read"),
    ];
    for (at, (bytes, reason, words)) in (0_u8..).zip(protocol_errors().into_iter().chain(own)) {
        // A peer that has not joined gets the same answer as a member.
        let mut observer = ScriptedPeer::greet(manager, 100 + at, None);
        observer.send(&bytes);
        observer.receives_reason(reason, words);
        let (mut member, _) = ScriptedPeer::join(manager, at, 1001 + u16::from(at));
        member.send(&bytes);
        member.receives_reason(reason, words);
    }

    // Unknown messages from 0x80 on are skipped; messages that only a member may send are refused; the session
    // continues.
    let mut observer = ScriptedPeer::greet(manager, 200, None);
    observer.send(&framed(0xf0, &[0; 3000]));
    let report = brigade_core::wire::manager::Report { sending: 1, receiving: 1 };
    observer.send(&frame_of(&ToManager::from(report)));
    let refused = observer.receive();
    assert!(
        matches!(&refused, Some(FromManager::Refused(refused)) if refused.reason == Reason::NotAMember),
        "{refused:?}"
    );
    observer.send(&frame_of(&ToManager::from(ListPeers { question: 9, after: None })));
    assert!(matches!(observer.receive(), Some(FromManager::PeerList(list)) if list.question == 9));

    half.join().unwrap();
    let (log, _) = peers.finish();
    for (at, words) in [
        (0, "a frame of 70000 bytes"),
        (1, "a frame of 0 bytes"),
        (2, "unknown kind 0x7f"),
        (3, "unknown kind 0x01"),
        (4, "unknown kind 0x4f"),
        (5, "unknown kind 0x22"),
        (6, "kind 0x15 cannot be read"),
    ] {
        one_line(&log, &["WARN", &format!("stranger_{at} "), "broke the protocol", words]);
    }
    assert_eq!(
        log.lines().filter(|line| line.contains("WARN")).count(),
        7,
        "peers that have not joined have no line:\n{log}"
    );
}

#[test]
fn a_bad_name_is_refused_and_the_session_continues() {
    let peers = TestPeers::start();
    let mut session = ScriptedPeer::greet(peers.network.port(), 1, None);
    // Join { username: "a/b", port: 1001 }
    session.send(&framed(0x10, b"\xa2\x00\x63a/b\x01\x19\x03\xe9"));
    let refused = session.receive();
    assert!(
        matches!(&refused, Some(FromManager::Refused(refused)) if refused.reason == Reason::BadName
            && refused.kind == 0x10 && refused.text.contains("\"a/b\"")),
        "{refused:?}"
    );
    // Join { username: "foreign", port: 1001 }
    session.send(&framed(0x10, b"\xa2\x00\x67foreign\x01\x19\x03\xe9"));
    assert!(matches!(session.receive(), Some(FromManager::Joined(_))));

    // Announce { number: 1, entries: [ "../up", "fine.txt" ] }, of one byte each.
    let entry = |name: &str| {
        let name = [&[0x60 + u8::try_from(name.len()).unwrap()][..], name.as_bytes()].concat();
        [b"\xa5\x00", &name[..], b"\x01\x58\x20", &[7; 32], b"\x02\x01\x03\x00\x04\xf4"].concat()
    };
    let body = [b"\xa2\x00\x01\x01\x82", &entry("../up")[..], &entry("fine.txt")].concat();
    session.send(&framed(0x11, &body));
    let refused = session.receive();
    assert!(
        matches!(&refused, Some(FromManager::Refused(refused)) if refused.reason == Reason::BadName
            && refused.kind == 0x11 && refused.text.contains("\"../up\"")),
        "{refused:?}"
    );
    assert!(matches!(session.receive(), Some(FromManager::Noted(Noted { number: 1 }))));
    let listed = peers.network.list("files", &["fine"]);
    assert_eq!((listed.len(), &listed[0]["name"]), (1, &"fine.txt".into()));
    let none = peers.network.list("files", &[".."]);
    assert!(none.is_empty(), "{none:?}");

    // Withdraw { number: 2, names: [ "../up", "fine.txt" ] }
    session.send(&framed(0x12, b"\xa2\x00\x02\x01\x82\x65../up\x68fine.txt"));
    assert!(matches!(session.receive(), Some(FromManager::Refused(refused)) if refused.kind == 0x12));
    assert!(matches!(session.receive(), Some(FromManager::Noted(Noted { number: 2 }))));
    assert!(peers.network.list("files", &["fine"]).is_empty());
    let (log, _) = peers.finish();
    assert!(!log.contains("broke the protocol"), "{log}");
}

#[test]
fn a_peer_closes_connections_that_break_the_protocol_and_serves_the_others() {
    let peers = TestPeers::start();
    let (manager, fire, id) = (peers.network.port(), peers.fire_port(), peers.film_id());
    // Each uses a new key: one key may have only two connections, and the last one may not be closed yet.
    let mut seeds = 1_u8..;
    let mut downloader = || {
        let seed = seeds.next().unwrap();
        let (_, membership) = ScriptedPeer::join(manager, seed, 1000 + u16::from(seed));
        ScriptedPeer::greet(fire, seed, Some(&membership))
    };
    let says = |message: ToHolder| frame_of(&message);
    let open = says(Open { channel: 0, id, size: 600_000 }.into());
    let request = |request, channel, piece| says(Request { request, channel, piece, offer: None }.into());

    let mut half = downloader();
    half.send(&[0, 0, 0, 9, 0x43, 0xa1]);
    let half = thread::spawn(move || half.receives_reason(Reason::Silent, "incomplete frame"));

    let many: Vec<u8> = (0..1000).flat_map(|number| request(number, 0, 0)).collect();
    let whole = says(RequestWhole { request: 1, id, size: 600_000 }.into());
    let own = [
        (framed(0x48, b"\xa1\x00\x00"), Reason::Protocol, "unknown kind 0x48"),
        (framed(0x43, b"no map"), Reason::Protocol, "kind 0x43 cannot be read"),
        ([&open[..], &request(1, 0, 3)].concat(), Reason::Protocol, "piece 3 of a content of 3"),
        ([&open[..], &open].concat(), Reason::Protocol, "channel 0 was opened twice"),
        (whole, Reason::Protocol, "a content of 600000 bytes was requested as one piece"),
        ([&open[..], &many].concat(), Reason::TooMuch, "more than 512 open requests"),
    ];
    for (bytes, reason, words) in protocol_errors().into_iter().chain(own) {
        let mut unknown = downloader();
        unknown.send(&bytes);
        unknown.receives_reason(reason, words);
    }

    // A content that the holder does not have is refused, unknown messages from 0x80 on are skipped, and the connection
    // continues.
    let mut unknown = downloader();
    unknown.send(&framed(0xff, b""));
    unknown.send(&says(AskList { channel: 7, first: 0 }.into()));
    unknown.send(&says(Close { channel: 7 }.into()));
    unknown.send(&request(5, 7, 0));
    let refused = unknown.receive();
    assert!(
        matches!(&refused, Some(FromHolder::Refuse(refuse)) if refuse.request == Some(5)
            && refuse.reason == Reason::NotFound),
        "{refused:?}"
    );
    unknown.send(&open);
    assert!(matches!(unknown.receive(), Some(FromHolder::HaveAll(_))));

    half.join().unwrap();
    let (_, log) = peers.finish();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    // Ten lines a minute are logged, and the next line has the number of the others.
    assert_eq!(lines.len(), 10, "{log}");
    for words in ["a frame of 70000 bytes", "piece 3 of a content of 3", "requested as one piece"] {
        one_line(&log, &["a member broke the protocol", "username=stranger_", words]);
    }
}

#[test]
fn a_client_without_a_greeting_is_closed_without_a_log_line() {
    let peers = TestPeers::start();
    let (_session, membership) = ScriptedPeer::join(peers.network.port(), 1, 1001);
    for (port, membership) in [(peers.network.port(), None), (peers.fire_port(), Some(&membership[..]))] {
        // Garbage instead of TLS.
        let mut stream = connect(port);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 100, "{answer:?}");
        // Garbage, and a message that comes too early, instead of a hello.
        for (bytes, words) in [
            (b"\xff\xff\xff\xff\xff\xff".to_vec(), "a frame of 4294967295 bytes"),
            (frame_of(&ToManager::from(ListPeers { question: 1, after: None })), "unknown kind 0x19"),
            (framed(0x01, b"\xa0"), "a message of kind 0x01 cannot be read"),
        ] {
            let mut unknown = ScriptedPeer::dial(port, 1);
            unknown.send(&bytes);
            unknown.receives_reason(Reason::Protocol, words);
        }
        let mut unknown = ScriptedPeer::dial(port, 1);
        let membership = membership.map(str::to_owned);
        let old = Hello { version: 0, agent: String::new(), membership, reached_from_elsewhere: None };
        unknown.send(&frame_of(&Greeting::from(old)));
        unknown.receives_reason(Reason::Version, "version 0 is not spoken here");
    }
    // A peer tells the reason to a peer that is not a member.
    let mut unknown = ScriptedPeer::dial(peers.fire_port(), 2);
    unknown.send(&hello(Some(&membership)));
    unknown.receives_reason(Reason::NotAMember, "");
    let (manager, fire) = peers.finish();
    for log in [manager, fire] {
        assert!(!log.contains("WARN") && !log.contains("broke the protocol"), "{log}");
    }
}

#[test]
fn many_unknown_peers_do_not_fill_the_log() {
    let mut network = Network::start_logging("info");
    let port = network.port();
    for _ in 0..40 {
        let mut unknown = ScriptedPeer::dial(port, 1);
        unknown.send(b"\xff\xff\xff\xff\xff\xff");
        unknown.receives_reason(Reason::Protocol, "");
    }
    let log = network.stop_manager().with_code(143).err;
    assert_eq!(log.matches("a stranger broke the protocol").count(), 10, "{log}");
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let peers = TestPeers::start();
    let listeners = [(peers.network.port(), 200), (peers.fire_port(), 100)];
    let silent: Vec<_> =
        listeners.iter().flat_map(|(port, count)| (0..*count).map(|_| connect(*port))).collect();
    let begun = Instant::now();
    assert_eq!(peers.network.list("files", &["film.bin"]).len(), 1);
    peers.network.fetch(&["film.bin", "--into", "moon"]).with_code(0);
    // Each of them could keep its slot for ten seconds, and there are several times as many as there are slots.
    assert!(begun.elapsed() < 2 * GREETING_TIME, "{:?}", begun.elapsed());
    drop(silent);
    // Peers that only do the TLS handshake block nobody either.
    let secret: Vec<_> =
        listeners.iter().flat_map(|(port, _)| (0..30).map(|_| ScriptedPeer::dial(*port, 1))).collect();
    peers.network.fetch(&["film.bin", "--into", "venus"]).with_code(0);
    drop(secret);
    peers.finish();
}

#[test]
fn a_web_server_at_the_address_of_the_manager_is_a_possible_cause() {
    let network = Network::start();
    let server = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
        // Until the other side has read the answer and closes the connection.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut files = network.brigade("files");
    files.args(["--manager-port", &port]);
    let ended = Process::start(files).end().with_code(3);
    ended.prints_error(&["another program may answer there, such as a web server"]);
    answering.join().unwrap();
}
