//! TLS 1.3 with Ed25519 raw public keys (RFC 7250) both ways, and nothing else: no certificates, no names, no
//! resumption, no older version.
//!
//! Resumption is off because a resumed session would skip the check of the key. The cipher is AES-128-GCM if the
//! processor has instructions for it, else ChaCha20-Poly1305. The ciphers are those of ring, which are nearly twice as
//! fast on common processors. Key exchange and signatures are those of AWS-LC, which has a post-quantum key exchange.

use std::sync::{Arc, OnceLock};

use brigade_core::id::PeerKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs,
        ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256},
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use crate::identity::key::{SecretKey, key_of_spki};

/// The name of the protocol, which both sides send (RFC 7301).
const ALPN: &[u8] = b"brigade/1";

/// The configuration for connections that others dial to the owner of `key`.
pub(crate) fn server(key: &SecretKey) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKeyVerifier { algorithms: algorithms() }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(key.certified()?))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true; // only for `super::in_place::keys`
    Ok(Arc::new(config))
}

/// The configuration for dialling the key `expected`, or any key if there is none. `found` gets the key of the other
/// side.
pub(crate) fn client(
    key: &SecretKey,
    expected: Option<PeerKey>,
    found: Arc<OnceLock<PeerKey>>,
) -> Result<Arc<ClientConfig>, Error> {
    client_with(provider(), key, expected, found)
}

/// The same with ciphers that a test chooses.
pub(crate) fn client_with(
    provider: Arc<CryptoProvider>,
    key: &SecretKey,
    expected: Option<PeerKey>,
    found: Arc<OnceLock<PeerKey>>,
) -> Result<Arc<ClientConfig>, Error> {
    let verifier = ExpectedKeyVerifier { expected, found, algorithms: algorithms() };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // rustls calls all custom verifiers dangerous; raw keys need one
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(
            key.certified()?,
        ))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_secret_extraction = true; // only for `super::in_place::keys`
    Ok(Arc::new(config))
}

/// The key that the other end of a finished handshake proved to have.
pub(crate) fn key_of(connection: &rustls::CommonState) -> Option<PeerKey> {
    match connection.peer_certificates()? {
        [spki] => key_of_spki(spki),
        _ => None,
    }
}

/// The cryptography of all connections.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let (aes, chacha) = (TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256);
        let cipher_suites = if has_aes() { vec![aes, chacha] } else { vec![chacha, aes] };
        Arc::new(CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() })
    };
    PROVIDER.get_or_init(make).clone()
}

fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// Accepts any Ed25519 key of a client: the greeting decides whether it is a member.
#[derive(Debug)]
struct AnyKeyVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

/// Accepts one key of a server, or any key if none is expected yet.
#[derive(Debug)]
struct ExpectedKeyVerifier {
    expected: Option<PeerKey>,
    found: Arc<OnceLock<PeerKey>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        spki: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        key_of_spki(spki).map(|_| ClientCertVerified::assertion()).ok_or_else(not_ed25519)
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
        verify_raw(message, spki, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for ExpectedKeyVerifier {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = key_of_spki(spki).ok_or_else(not_ed25519)?;
        self.found.get_or_init(|| found);
        match self.expected {
            Some(expected) if expected != found => {
                Err(Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
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
        verify_raw(message, spki, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn verify_raw(
    message: &[u8],
    spki: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    verify_tls13_signature_with_raw_key(message, &spki, signature, algorithms)
}

fn not_ed25519() -> Error {
    Error::InvalidCertificate(rustls::CertificateError::BadEncoding)
}
