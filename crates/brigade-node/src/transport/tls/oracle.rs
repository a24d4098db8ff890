//! The ends of the TLS back end of this build against rustls used by itself: what one sends, the other must read.
//!
//! The stream between them delivers as little at a time as a test wants, and may flip a bit. Whatever happens to the
//! bytes, wrong data is never returned, and nothing waits where an error is due.

mod damage;

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
    backend::{TlsReader, TlsWriter, accept, connect},
    config,
    record_io::{RecordReader, RecordWriter, Secured},
    records::Records,
};
use crate::identity::key::SecretKey;

/// More than any test sends before the other side reads.
const PIPE_BYTES: usize = 8 << 20;

/// What takes longer is waiting for the other side, in vain. In virtual time it costs nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that is read and written in small parts, and that may turn over a bit of what is read.
struct Cut {
    stream: DuplexStream,
    most: usize,
    /// How many bytes come before the one with the wrong bit, and which that is.
    flip: Option<(usize, u8)>,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for Cut {
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

impl AsyncWrite for Cut {
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

/// An end that is rustls alone.
struct Theirs {
    tls: Connection,
    stream: DuplexStream,
    heard: Vec<u8>,
}

impl Theirs {
    /// What it has to write, which is not written by that.
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

    fn say(&mut self, bytes: &[u8]) {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(bytes).unwrap();
    }

    /// Reads once; false at the end of the stream.
    async fn hear(&mut self) -> Result<bool, rustls::Error> {
        let mut part = vec![0; 64 << 10];
        let count = self.stream.read(&mut part).await.unwrap();
        let mut rest = &part[..count];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets()?;
            let _ = self.tls.reader().read_to_end(&mut self.heard);
        }
        Ok(count > 0)
    }

    async fn hear_all(&mut self, bytes: usize) -> Vec<u8> {
        while self.heard.len() < bytes {
            assert!(self.hear().await.unwrap(), "it ended");
        }
        std::mem::take(&mut self.heard)
    }

    /// Does its part of the handshake, and leaves what it says last unwritten.
    async fn shake(&mut self) -> Result<(), rustls::Error> {
        while self.tls.is_handshaking() {
            self.flush().await;
            if self.tls.is_handshaking() && !self.hear().await? {
                return Err(rustls::Error::HandshakeNotComplete);
            }
        }
        Ok(())
    }
}

type OursIn = TlsReader<ReadHalf<Cut>>;
type OursOut = TlsWriter<WriteHalf<Cut>>;

#[derive(Debug, Clone, Copy)]
struct How {
    we_dial: bool,
    chacha: bool,
    most: usize,
    flip: Option<(usize, u8)>,
    change_key_after: u64,
}

const PLAIN: How =
    How { we_dial: false, chacha: false, most: usize::MAX, flip: None, change_key_after: u64::MAX };

fn configs(chacha: bool) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    static KEYS: OnceLock<(SecretKey, SecretKey)> = OnceLock::new();
    let (client, server) = KEYS.get_or_init(|| (SecretKey::generate(), SecretKey::generate()));
    let suite = if chacha { TLS13_CHACHA20_POLY1305_SHA256 } else { TLS13_AES_128_GCM_SHA256 };
    let provider = Arc::new(CryptoProvider { cipher_suites: vec![suite], ..(*config::provider()).clone() });
    let client = config::client_with(provider, client, Some(server.public()), Arc::default()).unwrap();
    (client, config::server(server).unwrap())
}

/// Our end of a stream, and that of plain rustls, before the handshake.
fn strangers(how: How) -> (Cut, Theirs) {
    let (client, server) = configs(how.chacha);
    let (ours, stream) = tokio::io::duplex(PIPE_BYTES);
    let tls: Connection = match how.we_dial {
        true => ServerConnection::new(server).unwrap().into(),
        false => ClientConnection::new(client, name()).unwrap().into(),
    };
    (
        Cut { stream: ours, most: how.most, flip: how.flip, read: Arc::default() },
        Theirs { tls, stream, heard: vec![] },
    )
}

fn name() -> ServerName<'static> {
    ServerName::try_from("nobody").unwrap()
}

async fn shake(ours: Cut, how: How) -> io::Result<(OursIn, OursOut)> {
    let (client, server) = configs(how.chacha);
    let (read, write) = tokio::io::split(ours);
    let secured = match how.we_dial {
        true => connect(read, write, client, name()).await?,
        false => accept(read, write, server).await?,
    };
    let Secured { reader, mut writer, peer } = secured;
    assert!(peer.is_some());
    writer.change_key_after(how.change_key_after);
    Ok((reader, writer))
}

/// Both ends after the handshake. Theirs says `first` together with its last word in it.
async fn ends(how: How, first: &[u8]) -> io::Result<(OursIn, OursOut, Theirs)> {
    let (ours, mut theirs) = strangers(how);
    let shaking = async {
        let shaken = theirs.shake().await;
        if shaken.is_ok() {
            theirs.say(first);
        }
        theirs.flush().await;
        shaken.map_err(io::Error::other)
    };
    let both = async { tokio::join!(shake(ours, how), shaking) };
    let (ours, shaken) = timeout(PATIENCE, both).await?;
    let ((input, output), ()) = (ours?, shaken?);
    Ok((input, output, theirs))
}

/// So much of what comes.
async fn hear(input: &mut OursIn, bytes: usize) -> io::Result<Vec<u8>> {
    let mut heard = vec![];
    while heard.len() < bytes {
        let chunk = input.chunk().await?;
        if chunk.is_empty() {
            return Err(io::Error::other("it ended properly"));
        }
        heard.extend_from_slice(chunk);
        let count = chunk.len();
        input.take(count);
    }
    Ok(heard)
}

/// In virtual time, which passes where both ends wait: then it is at the next deadline at once.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

fn pattern(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 7 + at / 251 + seed) % 256).unwrap()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    WeSay(usize),
    WeSayInRecords(usize),
    TheySay(usize),
    TheyChangeTheirKey,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![0..40_usize, 16_380..16_390_usize, 0..200_000_usize];
    prop_oneof![
        bytes.clone().prop_map(Step::WeSay),
        bytes.clone().prop_map(Step::WeSayInRecords),
        bytes.prop_map(Step::TheySay),
        Just(Step::TheyChangeTheirKey),
    ]
}

async fn talk(how: How, steps: Vec<Step>) {
    let (mut input, mut output, mut theirs) = ends(how, b"first").await.unwrap();
    assert_eq!(hear(&mut input, 5).await.unwrap(), b"first");
    let mut records = Records::default();
    for (seed, step) in steps.into_iter().enumerate() {
        match step {
            Step::WeSay(bytes) => {
                output.put(&pattern(bytes, seed)).unwrap();
                output.flush().await.unwrap();
                assert_eq!(theirs.hear_all(bytes).await, pattern(bytes, seed));
            }
            Step::WeSayInRecords(bytes) => {
                records.put(&pattern(bytes, seed));
                let mut went = 0;
                output.send(&mut records, |more| went += more).await.unwrap();
                assert_eq!(went, bytes);
                assert_eq!(theirs.hear_all(bytes).await, pattern(bytes, seed));
            }
            Step::TheySay(bytes) => {
                theirs.say(&pattern(bytes, seed));
                theirs.flush().await;
                assert_eq!(hear(&mut input, bytes).await.unwrap(), pattern(bytes, seed));
            }
            Step::TheyChangeTheirKey => theirs.tls.refresh_traffic_keys().unwrap(),
        }
    }
    // Each side hears the other's proper end, more than once if it asks.
    output.shutdown().await.unwrap();
    while theirs.hear().await.unwrap() {}
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
    fn what_one_end_says_the_other_hears(
        we_dial in any::<bool>(),
        chacha in any::<bool>(),
        most in prop_oneof![1..30_usize, 1000..2000_usize, Just(usize::MAX)],
        change_key_after in prop_oneof![1..6_u64, Just(u64::MAX)],
        steps in vec(step(), 0..20),
    ) {
        block_on(talk(How { we_dial, chacha, most, change_key_after, ..PLAIN }, steps));
    }
}
