//! What a reader returns where records break the rules, or are damaged on their way: errors, and never data.
//!
//! One end is rustls by itself, or a writer of `in_place` that encrypts what no honest end would. Where rustls has other
//! bounds than `in_place`, [`BOUNDS`] has those of the back end of this build.

use std::{io, sync::Arc, sync::atomic::Ordering};

use rustls::ContentType;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf},
    time::timeout,
};

use super::{
    Cut, How, OursIn, PATIENCE, PIPE_BYTES, PLAIN, Theirs, block_on, configs, ends, hear, name, pattern,
    shake, strangers,
};
use crate::{
    identity::key::SecretKey,
    transport::tls::{
        backend::{accept, connect},
        config, in_place,
        in_place::keys::Sealer,
        layout::{HEADER_BYTES, PLAIN_BYTES, TRAILER_BYTES},
        record_io::{RecordReader, RecordWriter},
    },
};

/// What a back end allows.
struct Bounds {
    /// The longest payload of a record.
    payload_bytes: usize,
    /// Whether a record is refused by its header, for its version too, or only once all of it is there.
    by_header: bool,
    /// Whether a record of handshake messages may be empty.
    empty_handshake: bool,
    /// Whether what is sent is still encrypted after an error of the reader.
    writes_after_error: bool,
    /// Alerts without meaning.
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

const SAID: [usize; 3] = [20, 1, 60];

/// What we hear of what they say, where all of it comes; and how many bytes that was on the wire.
fn overhear(how: How) -> (Option<Vec<u8>>, usize) {
    block_on(async {
        let (ours, mut theirs) = strangers(how);
        let read = ours.read.clone();
        let saying = async {
            theirs.shake().await?;
            for bytes in SAID {
                theirs.say(&pattern(bytes, bytes));
            }
            theirs.flush().await;
            let _ = theirs.stream.shutdown().await;
            Ok::<(), rustls::Error>(())
        };
        let hearing = async {
            let (mut input, _output) = shake(ours, how).await?;
            hear(&mut input, SAID.iter().sum()).await
        };
        // Where a length became a larger one both wait, which is for the callers' deadlines to end.
        let heard = timeout(PATIENCE, async { tokio::join!(hearing, saying).0 }).await;
        (heard.ok().and_then(Result::ok), read.load(Ordering::Relaxed))
    })
}

#[test]
fn a_bit_that_turns_over_anywhere_never_becomes_data() {
    let all = SAID.map(|bytes| pattern(bytes, bytes)).concat();
    for we_dial in [false, true] {
        let how = How { we_dial, ..PLAIN };
        let (heard, end) = overhear(how);
        assert_eq!(heard.as_ref(), Some(&all));
        let start = end - SAID.map(|bytes| bytes + HEADER_BYTES + TRAILER_BYTES).iter().sum::<usize>();
        for at in (0..start).step_by(17).chain(start..end) {
            let flip = Some((at, u8::try_from(at % 8).unwrap()));
            // In the handshake there are bits that TLS does not look at.
            if let Some(heard) = overhear(How { flip, ..how }).0 {
                assert!(heard == all && (at < start || !BOUNDS.by_header), "{at}");
            }
        }
    }
}

/// Ends after the handshake, and three records that they have sealed and not sent.
async fn three_records() -> (OursIn, Theirs, [Vec<u8>; 3]) {
    let (input, output, mut theirs) = ends(PLAIN, b"").await.unwrap();
    drop(output);
    let records = ["one", "two", "three"].map(|word| {
        theirs.say(word.as_bytes());
        theirs.sealed()
    });
    (input, theirs, records)
}

#[test]
fn records_count_once_and_in_order() {
    for (order, heard) in [(vec![0, 1, 2], 11), (vec![0, 0], 3), (vec![1, 0], 0), (vec![0, 2], 3)] {
        block_on(async {
            let (mut input, mut theirs, records) = three_records().await;
            for at in &order {
                theirs.stream.write_all(&records[*at]).await.unwrap();
            }
            assert_eq!(hear(&mut input, heard).await.unwrap(), b"onetwothree"[..heard]);
            if heard < 11 {
                for _ in 0..2 {
                    assert!(input.chunk().await.is_err(), "{order:?}");
                }
            }
        });
    }
}

#[test]
fn an_end_that_nobody_announced_is_an_error() {
    for cut in 0..3 * 25 + 5 {
        block_on(async {
            let (mut input, mut theirs, records) = three_records().await;
            theirs.stream.write_all(&records.concat()[..cut.min(77)]).await.unwrap();
            theirs.stream.shutdown().await.unwrap();
            let error = hear(&mut input, 12).await.unwrap_err();
            assert_eq!(error.to_string(), "the other side broke it off");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}

#[test]
fn what_is_no_record_is_refused_before_it_is_all_there() {
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
            let (mut input, _output, mut theirs) = ends(PLAIN, b"").await.unwrap();
            theirs.stream.write_all(bytes).await.unwrap();
            if !BOUNDS.by_header {
                theirs.stream.write_all(&[0; 15]).await.unwrap();
            }
            let error = timeout(PATIENCE, input.chunk()).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        });
    }
}

/// An end that may encrypt any record, and a reader of the back end of this build that receives it.
async fn liar() -> (WriteHalf<DuplexStream>, Sealer, OursIn) {
    let (client, server) = configs(false);
    let (ours, stream) = tokio::io::duplex(PIPE_BYTES);
    let ours = Cut { stream: ours, most: usize::MAX, flip: None, read: Arc::default() };
    let ((read, write), (our_read, our_write)) = (tokio::io::split(stream), tokio::io::split(ours));
    let liar = in_place::handshake::connect(read, write, client, name());
    let (liar, ours) = tokio::join!(liar, accept(our_read, our_write, server));
    let (stream, sealer) = liar.unwrap().writer.into_parts();
    (stream, sealer, ours.unwrap().reader)
}

fn sealed(sealer: &mut Sealer, kind: u8, plain: &[u8]) -> Vec<u8> {
    let mut record = [&[0; HEADER_BYTES], plain, &[0; TRAILER_BYTES]].concat();
    sealer.seal(ContentType::from(kind), &mut record).unwrap();
    record
}

#[test]
fn records_without_data_are_borne_for_a_while() {
    let update: &[u8] = &[24, 0, 0, 1, 0];
    // The kind, what is in it, how often it comes, and whether data is heard after that.
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
        (22, &[4, 0, 0, 0], 1, false), // a ticket is nothing that a client sends
        (0, b"", 1, false),
    ];
    for (kind, plain, times, is_borne) in cases {
        block_on(async {
            let (mut stream, mut sealer, mut input) = liar().await;
            for _ in 0..times {
                stream.write_all(&sealed(&mut sealer, kind, plain)).await.unwrap();
            }
            stream.write_all(&sealed(&mut sealer, 23, b"data")).await.unwrap();
            let heard = timeout(PATIENCE, hear(&mut input, 4)).await.unwrap();
            assert_eq!(heard.is_ok(), is_borne, "{kind} {plain:?} {times}");
        });
    }
}

#[test]
fn who_asks_for_new_keys_for_ever_is_stopped() {
    block_on(async {
        let (mut stream, mut sealer, mut input) = liar().await;
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
        let (mut input, mut output, mut theirs) = ends(PLAIN, b"").await.unwrap();
        // They do not like what they get, and say so.
        theirs
            .tls
            .read_tls(&mut &[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0][..])
            .unwrap();
        theirs.tls.process_new_packets().unwrap_err();
        theirs.flush().await;
        let error = input.chunk().await.unwrap_err();
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
        let written = output.put(b"nobody reads this");
        assert_eq!(written.is_ok(), BOUNDS.writes_after_error);
        output.flush().await.unwrap();
    });
}

#[test]
fn a_handshake_that_is_none_ends_at_once() {
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
            let ours = Cut { stream: ours, most: usize::MAX, flip: None, read: Arc::default() };
            stream.write_all(bytes).await.unwrap();
            let (read, write) = tokio::io::split(ours);
            let shaken = timeout(PATIENCE, accept(read, write, configs(false).1)).await.unwrap();
            assert_eq!(shaken.err().unwrap().kind(), io::ErrorKind::InvalidData, "{:?}", &bytes[..6]);
        });
    }
}

#[test]
fn another_key_than_the_expected_one_is_told_so() {
    block_on(async {
        let how = How { we_dial: true, ..PLAIN };
        let (ours, mut theirs) = strangers(how);
        let other = SecretKey::generate();
        let found = Arc::default();
        let config = config::client(&other, Some(other.public()), Arc::clone(&found)).unwrap();
        let (read, write) = tokio::io::split(ours);
        let (shaken, told) = tokio::join!(connect(read, write, config, name()), theirs.shake());
        assert_eq!(shaken.err().unwrap().kind(), io::ErrorKind::InvalidData);
        assert!(matches!(told, Err(rustls::Error::AlertReceived(_))), "{told:?}");
        assert!(found.get().is_some());
    });
}
