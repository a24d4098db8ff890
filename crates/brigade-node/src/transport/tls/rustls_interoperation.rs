//! Tests of the TLS back end of this build against rustls alone: each must receive the data that the other sends.
//!
//! The stream between them can deliver few bytes at a time and can flip a bit. Wrong data must never be returned, and a
//! reader must not wait if it should return an error.

mod damaged_records;

use std::{
    io::{self, Read, Write},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof, proptest,
    test_runner::Config,
};
use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection,
    crypto::{
        CryptoProvider,
        ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256},
    },
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf},
    time::timeout,
};

use super::{
    config,
    record_buffer::RecordBuffer,
    record_traits::{RecordReader, RecordWriter, Secured},
    selected_backend::{TlsReader, TlsWriter, accept, connect},
};
use crate::identity::key::SecretKey;

/// More bytes than any test sends before the other side reads.
const PIPE_BYTES: usize = 8 << 20;

/// An end that waits longer would wait forever. Virtual time costs nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that is read and written in small parts, and that can flip a bit of the bytes that are read.
struct ChunkedStream {
    stream: DuplexStream,
    most: usize,
    /// The number of bytes before the one with the flipped bit, and the number of that bit.
    flip: Option<(usize, u8)>,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for ChunkedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.most.min(out.remaining());
        let mut part = vec![0; most];
        let mut space = ReadBuf::new(&mut part);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.read.fetch_add(count, Ordering::Relaxed);
        if let Some((before, bit)) = self.flip {
            if before < count {
                part[before] ^= 1 << bit;
            }
            self.flip = before.checked_sub(count).map(|before| (before, bit));
        }
        out.put_slice(&part[..count]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChunkedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = self.most.min(bytes.len());
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..most])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An end with rustls alone.
struct RustlsEnd {
    tls: Connection,
    stream: DuplexStream,
    received: Vec<u8>,
}

impl RustlsEnd {
    /// The bytes that rustls has to send. They are not sent yet.
    fn sealed(&mut self) -> Vec<u8> {
        let mut out = vec![];
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        out
    }

    async fn flush(&mut self) {
        let out = self.sealed();
        let _ = self.stream.write_all(&out).await;
    }

    fn send(&mut self, bytes: &[u8]) {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(bytes).unwrap();
    }

    /// Reads once; false at the end of the stream.
    async fn receive(&mut self) -> Result<bool, rustls::Error> {
        let mut part = vec![0; 64 << 10];
        let count = self.stream.read(&mut part).await.unwrap();
        let mut rest = &part[..count];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets()?;
            let _ = self.tls.reader().read_to_end(&mut self.received);
        }
        Ok(count > 0)
    }

    async fn receive_all(&mut self, bytes: usize) -> Vec<u8> {
        while self.received.len() < bytes {
            assert!(self.receive().await.unwrap(), "it ended");
        }
        std::mem::take(&mut self.received)
    }

    /// Does its side of the handshake. Its last message is not sent yet.
    async fn handshake(&mut self) -> Result<(), rustls::Error> {
        while self.tls.is_handshaking() {
            self.flush().await;
            if self.tls.is_handshaking() && !self.receive().await? {
                return Err(rustls::Error::HandshakeNotComplete);
            }
        }
        Ok(())
    }
}

type OurReader = TlsReader<ReadHalf<ChunkedStream>>;
type OurWriter = TlsWriter<WriteHalf<ChunkedStream>>;

#[derive(Debug, Clone, Copy)]
struct TestSetup {
    we_dial: bool,
    chacha: bool,
    most: usize,
    flip: Option<(usize, u8)>,
    change_key_after: u64,
}

const DEFAULT_SETUP: TestSetup =
    TestSetup { we_dial: false, chacha: false, most: usize::MAX, flip: None, change_key_after: u64::MAX };

fn configs(chacha: bool) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static KEYS: OnceLock<(SecretKey, SecretKey)> = OnceLock::new();
    let (client, server) = KEYS.get_or_init(|| (SecretKey::generate(), SecretKey::generate()));
    let suite = if chacha { TLS13_CHACHA20_POLY1305_SHA256 } else { TLS13_AES_128_GCM_SHA256 };
    let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..(*config::provider()).clone() });
    let client = config::client_with(provider, client, Some(server.public()), Arc::default()).unwrap();
    (client, config::server(server).unwrap())
}

/// The stream for the tested end, and the end with rustls alone, before the handshake.
fn unconnected_ends(setup: TestSetup) -> (ChunkedStream, RustlsEnd) {
    let (client, server) = configs(setup.chacha);
    let (ours, stream) = tokio::io::duplex(PIPE_BYTES);
    let tls: Connection = match setup.we_dial {
        true => ServerConnection::new(server).unwrap().into(),
        false => ClientConnection::new(client, name()).unwrap().into(),
    };
    (
        ChunkedStream { stream: ours, most: setup.most, flip: setup.flip, read: Arc::default() },
        RustlsEnd { tls, stream, received: vec![] },
    )
}

fn name() -> ServerName<'static> {
    ServerName::try_from("nobody").unwrap()
}

async fn handshake(ours: ChunkedStream, setup: TestSetup) -> io::Result<(OurReader, OurWriter)> {
    let (client, server) = configs(setup.chacha);
    let (read, write) = tokio::io::split(ours);
    let secured = match setup.we_dial {
        true => connect(read, write, client, name()).await?,
        false => accept(read, write, server).await?,
    };
    let Secured { reader, mut writer, peer } = secured;
    assert!(peer.is_some());
    writer.change_key_after(setup.change_key_after);
    Ok((reader, writer))
}

/// Both ends after the handshake. rustls sends `first` together with the last message of its handshake.
async fn ends(setup: TestSetup, first: &[u8]) -> io::Result<(OurReader, OurWriter, RustlsEnd)> {
    let (ours, mut theirs) = unconnected_ends(setup);
    let connecting = async {
        let connected = theirs.handshake().await;
        if connected.is_ok() {
            theirs.send(first);
        }
        theirs.flush().await;
        connected.map_err(io::Error::other)
    };
    let both = async { tokio::join!(handshake(ours, setup), connecting) };
    let (ours, connected) = timeout(PATIENCE, both).await?;
    let ((input, output), ()) = (ours?, connected?);
    Ok((input, output, theirs))
}

/// Receives this number of bytes.
async fn receive(input: &mut OurReader, bytes: usize) -> io::Result<Vec<u8>> {
    let mut received = vec![];
    while received.len() < bytes {
        let chunk = input.chunk().await?;
        if chunk.is_empty() {
            return Err(io::Error::other("it ended properly"));
        }
        received.extend_from_slice(chunk);
        let count = chunk.len();
        input.take(count);
    }
    Ok(received)
}

/// Runs a future in virtual time: if both ends wait, the clock moves to the next deadline at once.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

fn pattern(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 7 + at / 251 + seed) % 256).unwrap()).collect()
}

#[derive(Debug, Clone, Copy)]
enum TestStep {
    WeSend(usize),
    WeSendRecords(usize),
    TheySend(usize),
    TheyChangeKey,
}

fn step() -> impl Strategy<Value = TestStep> {
    let bytes = prop_oneof![0..40_usize, 16_380..16_390_usize, 0..200_000_usize];
    prop_oneof![
        bytes.clone().prop_map(TestStep::WeSend),
        bytes.clone().prop_map(TestStep::WeSendRecords),
        bytes.prop_map(TestStep::TheySend),
        Just(TestStep::TheyChangeKey),
    ]
}

async fn exchange(setup: TestSetup, steps: Vec<TestStep>) {
    let (mut input, mut output, mut theirs) = ends(setup, b"first").await.unwrap();
    assert_eq!(receive(&mut input, 5).await.unwrap(), b"first");
    let mut records = RecordBuffer::default();
    for (seed, step) in steps.into_iter().enumerate() {
        match step {
            TestStep::WeSend(bytes) => {
                output.put(&pattern(bytes, seed)).unwrap();
                output.flush().await.unwrap();
                assert_eq!(theirs.receive_all(bytes).await, pattern(bytes, seed));
            }
            TestStep::WeSendRecords(bytes) => {
                records.put(&pattern(bytes, seed));
                let mut sent = 0;
                output.send(&mut records, |more| sent += more).await.unwrap();
                assert_eq!(sent, bytes);
                assert_eq!(theirs.receive_all(bytes).await, pattern(bytes, seed));
            }
            TestStep::TheySend(bytes) => {
                theirs.send(&pattern(bytes, seed));
                theirs.flush().await;
                assert_eq!(receive(&mut input, bytes).await.unwrap(), pattern(bytes, seed));
            }
            TestStep::TheyChangeKey => theirs.tls.refresh_traffic_keys().unwrap(),
        }
    }
    // Each side sees the proper end of the other one, at each further read too.
    output.shutdown().await.unwrap();
    while theirs.receive().await.unwrap() {}
    assert_eq!(theirs.tls.reader().read(&mut [0]).unwrap(), 0);
    theirs.tls.send_close_notify();
    theirs.flush().await;
    for _ in 0..2 {
        assert!(input.chunk().await.unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(Config::with_cases(48))]

    #[test]
    fn both_ends_receive_what_the_other_sends(
        we_dial in any::<bool>(),
        chacha in any::<bool>(),
        most in prop_oneof![1..30_usize, 1000..2000_usize, Just(usize::MAX)],
        change_key_after in prop_oneof![1..6_u64, Just(u64::MAX)],
        steps in vec(step(), 0..20),
    ) {
        block_on(exchange(TestSetup { we_dial, chacha, most, change_key_after, ..DEFAULT_SETUP }, steps));
    }
}
