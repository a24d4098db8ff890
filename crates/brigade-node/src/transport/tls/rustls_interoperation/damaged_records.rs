//! Tests that a reader returns errors, and never data, for records that are invalid or damaged in transit.
//!
//! One end is rustls alone, or a writer of `in_place` that encrypts invalid records. rustls and `in_place` have
//! different limits; [`BOUNDS`] has those of the back end of this build.

use std::{io, sync::Arc, sync::atomic::Ordering};

use rustls::ContentType;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf},
    time::timeout,
};

use super::{
    ChunkedStream, DEFAULT_SETUP, OurReader, PATIENCE, PIPE_BYTES, RustlsEnd, TestSetup, block_on, configs,
    ends, handshake, name, pattern, receive, unconnected_ends,
};
use crate::{
    identity::key::SecretKey,
    transport::tls::{
        config, in_place,
        in_place::keys::Sealer,
        record_layout::{HEADER_BYTES, PLAIN_BYTES, TRAILER_BYTES},
        record_traits::{RecordReader, RecordWriter},
        selected_backend::{accept, connect},
    },
};

/// The limits of a back end.
struct Bounds {
    /// The longest payload of a record.
    payload_bytes: usize,
    /// Whether a record is refused because of its header or its version as soon as the header is received.
    by_header: bool,
    /// Whether a record of handshake messages may be empty.
    empty_handshake: bool,
    /// Whether the writer still encrypts after an error of the reader.
    writes_after_error: bool,
    /// The limit on ignored alerts in a row.
    alerts: usize,
}

const BOUNDS: Bounds = if cfg!(feature = "plain-tls") {
    Bounds {
        payload_bytes: PLAIN_BYTES + 2048,
        by_header: false,
        empty_handshake: true,
        writes_after_error: false,
        alerts: 4,
    }
} else {
    Bounds {
        payload_bytes: PLAIN_BYTES + 256,
        by_header: true,
        empty_handshake: false,
        writes_after_error: true,
        alerts: 32,
    }
};

const MESSAGES: [usize; 3] = [20, 1, 60];

/// The data that the tested end receives, if it receives all of it, and the number of bytes on the wire.
fn receive_messages(setup: TestSetup) -> (Option<Vec<u8>>, usize) {
    block_on(async {
        let (ours, mut theirs) = unconnected_ends(setup);
        let read = ours.read.clone();
        let sending = async {
            theirs.handshake().await?;
            for bytes in MESSAGES {
                theirs.send(&pattern(bytes, bytes));
            }
            theirs.flush().await;
            let _ = theirs.stream.shutdown().await;
            Ok::<(), rustls::Error>(())
        };
        let receiving = async {
            let (mut input, _output) = handshake(ours, setup).await?;
            receive(&mut input, MESSAGES.iter().sum()).await
        };
        // If the flipped bit makes a length larger, both wait: in the program, the timeouts of the callers end that.
        let received = timeout(PATIENCE, async { tokio::join!(receiving, sending).0 }).await;
        (received.ok().and_then(Result::ok), read.load(Ordering::Relaxed))
    })
}

#[test]
fn a_changed_bit_never_becomes_data() {
    let all = MESSAGES.map(|bytes| pattern(bytes, bytes)).concat();
    for we_dial in [false, true] {
        let setup = TestSetup { we_dial, ..DEFAULT_SETUP };
        let (received, end) = receive_messages(setup);
        assert_eq!(received.as_ref(), Some(&all));
        let start = end - MESSAGES.map(|bytes| bytes + HEADER_BYTES + TRAILER_BYTES).iter().sum::<usize>();
        for at in (0..start).step_by(17).chain(start..end) {
            let flip = Some((at, u8::try_from(at % 8).unwrap()));
            // TLS ignores some bits of the handshake.
            if let Some(received) = receive_messages(TestSetup { flip, ..setup }).0 {
                assert!(received == all && (at < start || !BOUNDS.by_header), "{at}");
            }
        }
    }
}

/// Both ends after the handshake, and three records that rustls has encrypted and not sent.
async fn three_records() -> (OurReader, RustlsEnd, [Vec<u8>; 3]) {
    let (input, output, mut theirs) = ends(DEFAULT_SETUP, b"").await.unwrap();
    drop(output);
    let records = ["one", "two", "three"].map(|word| {
        theirs.send(word.as_bytes());
        theirs.sealed()
    });
    (input, theirs, records)
}

#[test]
fn records_count_once_and_in_order() {
    for (order, received) in [(vec![0, 1, 2], 11), (vec![0, 0], 3), (vec![1, 0], 0), (vec![0, 2], 3)] {
        block_on(async {
            let (mut input, mut theirs, records) = three_records().await;
            for at in &order {
                theirs.stream.write_all(&records[*at]).await.unwrap();
            }
            assert_eq!(receive(&mut input, received).await.unwrap(), b"onetwothree"[..received]);
            if received < 11 {
                for _ in 0..2 {
                    assert!(input.chunk().await.is_err(), "{order:?}");
                }
            }
        });
    }
}

#[test]
fn an_end_without_a_notice_is_an_error() {
    for cut in 0..3 * 25 + 5 {
        block_on(async {
            let (mut input, mut theirs, records) = three_records().await;
            theirs.stream.write_all(&records.concat()[..cut.min(77)]).await.unwrap();
            theirs.stream.shutdown().await.unwrap();
            let error = receive(&mut input, 12).await.unwrap_err();
            assert_eq!(error.to_string(), "the other side closed the connection without a notice");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}

#[test]
fn invalid_records_are_refused_before_they_are_complete() {
    let long = u16::try_from(BOUNDS.payload_bytes + 1).unwrap().to_be_bytes();
    let cases: [&[u8]; 6] = [
        &[23, 3, 3, long[0], long[1]],
        &[23, 3, 3, 0, 0],
        &[23, 3, 3, 0, 15, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        &[21, 3, 3, 0, 2],
        &[20, 3, 3, 0, 1],
        b"GET / ",
    ];
    for bytes in cases {
        block_on(async {
            let (mut input, _output, mut theirs) = ends(DEFAULT_SETUP, b"").await.unwrap();
            theirs.stream.write_all(bytes).await.unwrap();
            if !BOUNDS.by_header {
                theirs.stream.write_all(&[0; 15]).await.unwrap();
            }
            let error = timeout(PATIENCE, input.chunk()).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        });
    }
}

/// An end that can encrypt any record, and a reader of the back end of this build that receives its records.
async fn dishonest_end() -> (WriteHalf<DuplexStream>, Sealer, OurReader) {
    let (client, server) = configs(false);
    let (ours, stream) = tokio::io::duplex(PIPE_BYTES);
    let ours = ChunkedStream { stream: ours, most: usize::MAX, flip: None, read: Arc::default() };
    let ((read, write), (our_read, our_write)) = (tokio::io::split(stream), tokio::io::split(ours));
    let dishonest_end = in_place::handshake::connect(read, write, client, name());
    let (dishonest_end, ours) = tokio::join!(dishonest_end, accept(our_read, our_write, server));
    let (stream, sealer) = dishonest_end.unwrap().writer.into_parts();
    (stream, sealer, ours.unwrap().reader)
}

fn sealed(sealer: &mut Sealer, kind: u8, plain: &[u8]) -> Vec<u8> {
    let mut record = [&[0; HEADER_BYTES], plain, &[0; TRAILER_BYTES]].concat();
    sealer.seal(ContentType::from(kind), &mut record).unwrap();
    record
}

#[test]
fn some_records_without_data_are_accepted() {
    let update: &[u8] = &[24, 0, 0, 1, 0];
    // The type, the content, the number of such records, and whether data after them is received.
    let cases: [(u8, &[u8], usize, bool); 12] = [
        (23, b"", 32, true),
        (23, b"", 33, false),
        (21, &[1, 90], BOUNDS.alerts, true),
        (21, &[1, 90], BOUNDS.alerts + 1, false),
        (21, &[2, 20], 1, false),
        (21, &[1], 1, false),
        (22, b"", 1, BOUNDS.empty_handshake),
        (22, &update[..4], 1, false),
        (22, &[24, 0, 0, 1, 2], 1, false),
        (22, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], 1, false),
        (22, &[4, 0, 0, 0], 1, false), // a client must not send a ticket
        (0, b"", 1, false),
    ];
    for (kind, plain, times, is_accepted) in cases {
        block_on(async {
            let (mut stream, mut sealer, mut input) = dishonest_end().await;
            for _ in 0..times {
                stream.write_all(&sealed(&mut sealer, kind, plain)).await.unwrap();
            }
            stream.write_all(&sealed(&mut sealer, 23, b"data")).await.unwrap();
            let received = timeout(PATIENCE, receive(&mut input, 4)).await.unwrap();
            assert_eq!(received.is_ok(), is_accepted, "{kind} {plain:?} {times}");
        });
    }
}

#[test]
fn endless_key_updates_end_the_connection() {
    block_on(async {
        let (mut stream, mut sealer, mut input) = dishonest_end().await;
        sealer.renew_after(0);
        for _ in 0..33 {
            stream.write_all(&sealer.renew().unwrap().unwrap()).await.unwrap();
        }
        assert!(input.chunk().await.is_err());
    });
}

#[test]
fn a_fatal_alert_says_why() {
    block_on(async {
        let (mut input, mut output, mut theirs) = ends(DEFAULT_SETUP, b"").await.unwrap();
        // rustls receives an invalid record and sends an alert.
        theirs
            .tls
            .read_tls(&mut &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0][..])
            .unwrap();
        theirs.tls.process_new_packets().unwrap_err();
        theirs.flush().await;
        let error = input.chunk().await.unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
        let written = output.put(b"not read");
        assert_eq!(written.is_ok(), BOUNDS.writes_after_error);
        output.flush().await.unwrap();
    });
}

#[test]
fn an_invalid_handshake_ends_at_once() {
    let endless: Vec<u8> = (0..64)
        .flat_map(|at: u32| {
            let start = if at == 0 { vec![1, 0, 0xff, 0xff] } else { vec![0; 4] };
            [&[22, 3, 1, 4, 0][..], &start, &[0; 1020]].concat()
        })
        .collect();
    let empty = [22, 3, 3, 0, 0].repeat(2000);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 9], &[22, 3, 1, 0xff, 0xff, 1], &endless, &empty] {
        block_on(async {
            let (ours, mut stream) = tokio::io::duplex(PIPE_BYTES);
            let ours = ChunkedStream { stream: ours, most: usize::MAX, flip: None, read: Arc::default() };
            stream.write_all(bytes).await.unwrap();
            let (read, write) = tokio::io::split(ours);
            let connected = timeout(PATIENCE, accept(read, write, configs(false).1)).await.unwrap();
            assert_eq!(connected.err().unwrap().kind(), io::ErrorKind::InvalidData, "{:?}", &bytes[..6]);
        });
    }
}

#[test]
fn an_unexpected_key_is_refused_with_an_alert() {
    block_on(async {
        let setup = TestSetup { we_dial: true, ..DEFAULT_SETUP };
        let (ours, mut theirs) = unconnected_ends(setup);
        let other = SecretKey::generate();
        let found = Arc::default();
        let config = config::client(&other, Some(other.public()), Arc::clone(&found)).unwrap();
        let (read, write) = tokio::io::split(ours);
        let (connected, refused) = tokio::join!(connect(read, write, config, name()), theirs.handshake());
        assert_eq!(connected.err().unwrap().kind(), io::ErrorKind::InvalidData);
        assert!(matches!(refused, Err(rustls::Error::AlertReceived(_))), "{refused:?}");
        assert!(found.get().is_some());
    });
}
