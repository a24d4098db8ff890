//! A peer that sends bytes of the test's choice to a manager or a peer.
//!
//! TLS and frames are right, since the other side would read nothing otherwise; the test chooses the content of the
//! frames. Each read has a deadline.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use brigade_core::wire::{
    Message, Reason,
    frame::{self, HEADER_BYTES, Header, PIECE_KIND, PieceHeader},
    greeting::{Goodbye, Greeting, Hello, VERSION},
    manager::{FromManager, Join},
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{aws_lc_rs, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    sign::CertifiedKey,
    version::TLS13,
};

/// The deadline of an answer: longer than the time for a greeting, and longer than a lease.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bytes before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A connection after the TLS handshake.
pub(crate) struct ScriptedPeer {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// Messages that arrived before or between the data of a piece; they are received next.
    kept: VecDeque<(u8, Vec<u8>)>,
}

/// A frame with this kind and body.
pub(crate) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[kind], body].concat()
}

/// The frame of a message.
pub(crate) fn frame_of(message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![];
    frame::encode(message, &mut bytes);
    bytes
}

/// A right hello.
pub(crate) fn hello(membership: Option<&str>) -> Vec<u8> {
    let hello = Hello {
        version: VERSION,
        agent: "stranger".to_owned(),
        membership: membership.map(str::to_owned),
        reached_from_elsewhere: None,
    };
    frame_of(&Greeting::from(hello))
}

/// A new TCP connection with timeouts.
pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl ScriptedPeer {
    /// Connects to `port` on this machine and does the TLS handshake, with the key that follows from `seed`.
    pub(crate) fn dial(port: u16, seed: u8) -> Self {
        let config = Arc::new(tls(seed));
        let name = ServerName::try_from("nobody").unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        let mut stream = StreamOwned::new(connection, connect(port));
        stream.flush().unwrap(); // does the handshake
        Self { stream, kept: VecDeque::new() }
    }

    /// Connects and exchanges greetings.
    pub(crate) fn greet(port: u16, seed: u8, membership: Option<&str>) -> Self {
        let mut unknown = Self::dial(port, seed);
        unknown.send(&hello(membership));
        assert!(matches!(unknown.receive::<Greeting>(), Some(Greeting::Hello(_))));
        unknown
    }

    /// Connects and joins the network of the manager. Returns the session and the membership.
    pub(crate) fn join(manager: u16, seed: u8, port: u16) -> (Self, String) {
        let mut session = Self::greet(manager, seed, None);
        let username = format!("stranger_{seed}").parse().unwrap();
        session.send(&frame_of(&brigade_core::wire::manager::ToManager::from(Join {
            username: Ok(username),
            port,
            unbound: None,
        })));
        match session.receive() {
            Some(FromManager::Joined(joined)) => (session, joined.membership),
            other => panic!("{other:?}"),
        }
    }

    /// Sends bytes. It is no error if the other side has closed already: its messages are read afterwards.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next frame, kind and body; `None` at the end of the connection, in any form.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        self.kept.pop_front().or_else(|| self.next_frame())
    }

    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).map_err(not_late).ok()?;
        let header = Header::parse(&header).unwrap().unwrap();
        let mut body = vec![0; header.body_bytes];
        self.stream.read_exact(&mut body).map_err(not_late).ok()?;
        Some((header.kind, body))
    }

    /// The next message.
    #[track_caller]
    pub(crate) fn receive<M: Message>(&mut self) -> Option<M> {
        let (kind, body) = self.frame()?;
        Some(M::decode(kind, &body).unwrap().unwrap())
    }

    /// The first message that `wanted` accepts, within the deadline; earlier messages are skipped.
    #[track_caller]
    pub(crate) fn receive_until<M: Message, T>(&mut self, mut wanted: impl FnMut(M) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive().expect("the connection continues");
            if let Some(found) = wanted(message) {
                return found;
            }
            assert!(Instant::now() < deadline, "no wanted message within {PATIENCE:?}");
        }
    }

    /// Reads a complete requested piece; other messages that arrive meanwhile are received afterwards.
    #[track_caller]
    pub(crate) fn piece(&mut self, request: u32, bytes: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut piece = vec![];
        while piece.len() < bytes {
            assert!(Instant::now() < deadline, "{} bytes arrived of a piece of {bytes}", piece.len());
            let (kind, body) = self.next_frame().expect("the piece arrives");
            if kind == PIECE_KIND {
                let (header, data) = PieceHeader::parse(&body).unwrap();
                assert_eq!((header.request, header.offset as usize), (request, piece.len()));
                piece.extend_from_slice(data);
            } else {
                self.kept.push_back((kind, body));
            }
        }
        piece
    }

    /// Reads until the goodbye, and checks that the connection ends after it.
    #[track_caller]
    pub(crate) fn goodbye(&mut self) -> Goodbye {
        loop {
            let (kind, body) = self.frame().expect("the connection ends with a goodbye");
            if let Ok(Some(Greeting::Goodbye(goodbye))) = Greeting::decode(kind, &body) {
                assert!(self.frame().is_none(), "something follows a goodbye");
                return goodbye;
            }
        }
    }

    /// Reads until a goodbye with this reason whose text contains `words`.
    #[track_caller]
    pub(crate) fn receives_reason(mut self, reason: Reason, words: &str) {
        let goodbye = self.goodbye();
        assert_eq!(goodbye.reason, reason, "{goodbye:?}");
        assert!(goodbye.text.contains(words), "{words:?} is not in {goodbye:?}");
    }
}

/// A timeout is a failure of the test, unlike the end of the connection.
fn not_late(error: io::Error) -> io::Error {
    let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    assert!(!late, "no message within {PATIENCE:?}");
    error
}

fn tls(seed: u8) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pkcs8 = [&PKCS8_PREFIX[..], &[seed; 32]].concat();
    let key = aws_lc_rs::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).unwrap();
    let public = CertificateDer::from(key.public_key().unwrap().to_vec());
    let key = Arc::new(CertifiedKey::new(vec![public], key));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![b"brigade/1".to_vec()];
    config.enable_sni = false;
    config
}

/// Accepts any key.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is supported".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
