//! A holder that breaks the protocol, sends wrong data, or stops: the fetch continues with the other holders.
//!
//! The first two are members that announce the file of another peer; the test chooses their answers.

use std::{fs, sync::mpsc, thread};

use brigade_core::{
    id::ContentId,
    limits,
    wire::{
        Reason,
        frame::{PIECE_DATA_BYTES, PieceHeader},
        greeting::{Hello, VERSION},
        manager::{Announce, FileEntry, FromManager, Join, Renew},
        peer::ToHolder,
    },
};
use brigade_node::{
    internals_for_tests::{GreetedConnection, PortListener, Reader, RecordBuffer, SecretKey, Writer, reach},
    peer::ManagerAddress,
};
use rustix::process::Signal;
use tokio::sync::watch;

use crate::{
    scripted_peer::framed,
    test_network::{Network, bytes},
    test_process::{PATIENCE, until},
};

/// The fault of the holder.
#[derive(Clone)]
enum HolderFault {
    /// It sends these bytes after each greeting.
    Sends(Vec<u8>),
    /// It sends as many bytes as requested, but wrong ones.
    SendsWrongPieces,
}

/// A member that claims to hold the film.
struct FaultyHolder {
    /// Receives a message for each wrong piece that was sent.
    wrong_pieces: mpsc::Receiver<()>,
    /// The goodbyes of downloaders.
    goodbyes: mpsc::Receiver<(Reason, String)>,
    stop: watch::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl FaultyHolder {
    fn start(network: &Network, film: &[u8], fault: HolderFault) -> Self {
        let manager = ManagerAddress::new("localhost", network.port());
        let entry = FileEntry {
            name: "film.bin".parse().unwrap(),
            id: ContentId(*blake3::hash(film).as_bytes()),
            size: film.len() as u64,
            mtime_s: 0,
            executable: false,
        };
        let (text, goodbyes) = mpsc::channel();
        let (wrong_piece_sent, wrong_pieces) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let (stop, mut stopped) = watch::channel(());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let key = SecretKey::generate();
                let acceptor = PortListener::bind(&[([127, 0, 0, 1], 0).into()], &key).await.unwrap();
                let mut session = reach(&manager, &key).await.unwrap();
                let membership = join(&mut session, acceptor.address().port(), entry).await;
                ready.send(()).unwrap();
                tokio::select! {
                    () = serve(&acceptor, &membership, &fault, (&text, &wrong_piece_sent)) => {}
                    () = renew(&mut session) => {}
                    _ = stopped.changed() => {}
                }
            });
        });
        is_ready.recv_timeout(PATIENCE).unwrap();
        Self { wrong_pieces, goodbyes, stop, thread }
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

async fn join(session: &mut GreetedConnection, port: u16, entry: FileEntry) -> String {
    let GreetedConnection { reader, writer, .. } = session;
    let join = Join { username: "wrong_user".parse().map_err(|_| unreachable!()), port, unbound: None };
    writer.send(&brigade_core::wire::manager::ToManager::from(join)).await.unwrap();
    let announce = Announce { number: 1, entries: vec![Ok(entry)] };
    writer.flush().await.unwrap();
    let Some(FromManager::Joined(joined)) = reader.next().await.unwrap() else { panic!("it was refused") };
    writer.send(&brigade_core::wire::manager::ToManager::from(announce)).await.unwrap();
    writer.flush().await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Some(FromManager::Noted(_))));
    joined.membership
}

async fn renew(session: &mut GreetedConnection) {
    let mut due = tokio::time::interval(limits::LEASE / 5);
    loop {
        due.tick().await;
        let renew = brigade_core::wire::manager::ToManager::from(Renew { membership: false });
        session.writer.send(&renew).await.unwrap();
        session.writer.flush().await.unwrap();
    }
}

type ReportSenders<'a> = (&'a mpsc::Sender<(Reason, String)>, &'a mpsc::Sender<()>);

async fn serve(
    acceptor: &PortListener,
    membership: &str,
    fault: &HolderFault,
    (text, wrong_piece_sent): ReportSenders<'_>,
) {
    loop {
        // A fetch may get everything from the other holder, and end before this handshake.
        let Ok(connection) = acceptor.accept().await.unwrap().handshake().await else { continue };
        let membership = Some(membership.to_owned());
        let hello =
            Hello { version: VERSION, agent: "wrong".to_owned(), membership, reached_from_elsewhere: None };
        let Ok(GreetedConnection { reader, mut writer, .. }) = connection.greet(hello).await else {
            continue;
        };
        if let HolderFault::Sends(answer) = fault {
            send(&mut writer, answer).await;
        }
        let (text, wrong_piece_sent) = (text.clone(), wrong_piece_sent.clone());
        tokio::spawn(async move { receive(reader, writer, (&text, &wrong_piece_sent)).await });
    }
}

async fn send(writer: &mut Writer, bytes: &[u8]) {
    let mut frames = RecordBuffer::default();
    frames.put(bytes);
    let _ = writer.write_frames(&mut frames, |_| {}).await; // the downloader may have left
}

async fn receive(mut reader: Reader, mut writer: Writer, (text, wrong_piece_sent): ReportSenders<'_>) {
    while let Ok(Some(message)) = reader.next::<ToHolder>().await {
        match message {
            ToHolder::Goodbye(goodbye) => {
                // The test may have ended.
                let _ = text.send((goodbye.reason, goodbye.text));
                return;
            }
            ToHolder::RequestWhole(asked) => {
                let zeros = vec![0; usize::try_from(asked.size).unwrap()];
                for (data, offset) in zeros.chunks(PIECE_DATA_BYTES).zip((0..).step_by(PIECE_DATA_BYTES)) {
                    let header = PieceHeader { request: asked.request, offset };
                    send(&mut writer, &[&header.encode(data.len())[..], data].concat()).await;
                }
                let _ = wrong_piece_sent.send(());
            }
            _ => {}
        }
    }
}

#[test]
fn wrong_data_of_a_holder_is_discarded() {
    let network = Network::start();
    let film = bytes("film", 200 << 10);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fault = FaultyHolder::start(&network, &film, HolderFault::SendsWrongPieces);
    network.has_file("film.bin", 2, PATIENCE);
    // The fetch chooses the first holder at random.
    let mut fetched = 0;
    while fault.wrong_pieces.try_recv().is_err() {
        fetched += 1;
        assert!(fetched < 50, "nobody ever asks it");
        let into = format!("earth{fetched}");
        network.fetch(&["film.bin", "--into", &into]).with_code(0);
        network.has(&format!("{into}/film.bin"), &film);
    }
    fault.stop();
}

#[test]
fn a_fetch_says_that_the_data_of_its_only_holder_is_wrong() {
    let network = Network::start();
    let film = bytes("film", 200 << 10);
    let fault = FaultyHolder::start(&network, &film, HolderFault::SendsWrongPieces);
    network.has_file("film.bin", 1, PATIENCE);
    let fetch = network.run("fetch", &["film.bin", "--into", "earth"]);
    fetch.prints_error(
        "waiting: the data of a holder is wrong, and no other connected peer has the missing pieces",
    );
    fetch.prints_error("cannot be used: its data is wrong: piece 0 has a wrong hash");
    let ended = fetch.terminate().with_code(143);
    assert!(!ended.err.contains("cannot be reached"), "{}", ended.err);
    fault.stop();
}

#[test]
fn a_holder_that_breaks_the_protocol_gets_the_reason_and_the_fetch_continues() {
    for (answer, words) in [
        (vec![0, 1, 0x11, 0x70, 0x48], "a frame of 70000 bytes is outside the bounds"),
        (framed(0x7f, b""), "a message of the unknown kind 0x7f"),
        (framed(0x43, b"\xa3\x00\x01\x01\x00\x02\x00"), "a message of the unknown kind 0x43"),
        (framed(0x48, b"?"), "a message of kind 0x48 cannot be read"),
        (framed(0x4f, &[0xff; 20]), "a message of kind 0x4f cannot be read"),
    ] {
        let network = Network::start();
        let film = bytes("film", 16 << 20);
        let _fire = network.holder("fire_user", "film.bin", &film);
        let fault = FaultyHolder::start(&network, &film, HolderFault::Sends(answer));
        network.has_file("film.bin", 2, PATIENCE);
        let ended = network.fetch(&["film.bin", "--into", "earth", "--download-limit", "20MB"]).with_code(0);
        network.has("earth/film.bin", &film);
        // A second connection may have been closed for another reason.
        let text = loop {
            let (reason, text) = fault
                .goodbyes
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("it is not told {words:?}: {}", ended.err));
            if reason == Reason::Protocol {
                break text;
            }
        };
        assert!(text.contains(words), "{words:?} is not in {text:?}");
        let lines: Vec<&str> =
            ended.err.lines().filter(|line| line.contains("a member broke the protocol")).collect();
        assert!((1..=10).contains(&lines.len()), "{}", ended.err);
        for line in lines {
            assert!(line.contains("WARN") && line.contains("wrong_user") && line.contains(words), "{line}");
        }
        fault.stop();
    }
}

/// Like a machine that was put to sleep: its connections exist, but it sends nothing.
#[test]
fn a_holder_that_is_stopped_during_a_fetch_delays_it_little() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    let fire = network.holder("fire_user", "film.bin", &film);
    let _water = network.holder("water_user", "film.bin", &film);
    network.has_file("film.bin", 2, PATIENCE);
    let fetch = network.run("fetch", &["--json", "film.bin", "--into", "earth", "--download-limit", "4MB"]);
    until("a part is there", PATIENCE, || {
        let mut parts = fs::read_dir(network.path("earth/.brigade/parts")).ok()?;
        parts.next().map(drop)
    });
    fire.signal(Signal::STOP);
    let ended = fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
    let event = &ended.results()[0];
    // Two seconds at its limit, and about one until the requests to the stopped holder are sent to others. After ten
    // seconds the holder would be dropped (tests of the core check both times): the fetch would take longer.
    assert!(event["seconds"].as_f64().unwrap() < 10.0, "{event}");
}
