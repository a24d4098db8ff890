//! Public keys for the fuzz targets only: their records can be decrypted without a handshake.
//!
//! The feature `fuzzing` compiles this; no program has that feature.

use rustls::{
    ConnectionTrafficSecrets, ExtractedSecrets, SupportedCipherSuite,
    crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
};

/// Replaces rustls's key schedule: it has only the numbers of the keys of both directions.
pub(crate) struct FuzzingKeys {
    pub(crate) is_client: bool,
    sending: u8,
    receiving: u8,
}

impl FuzzingKeys {
    pub(crate) const SUITE: SupportedCipherSuite = TLS13_CHACHA20_POLY1305_SHA256;

    pub(crate) fn new(is_client: bool) -> Self {
        Self { is_client, sending: 0, receiving: 0 }
    }

    /// The first keys. Both directions have the same, so an end can read its own records.
    pub(crate) fn secrets() -> ExtractedSecrets {
        ExtractedSecrets { tx: (0, secret(0)), rx: (0, secret(0)) }
    }

    pub(crate) fn next_to_send(&mut self) -> (u64, ConnectionTrafficSecrets) {
        self.sending = self.sending.wrapping_add(1);
        (0, secret(self.sending))
    }

    pub(crate) fn next_to_receive(&mut self) -> (u64, ConnectionTrafficSecrets) {
        self.receiving = self.receiving.wrapping_add(1);
        (0, secret(self.receiving))
    }
}

fn secret(number: u8) -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Chacha20Poly1305 { key: [number; 32].into(), iv: [number; 12].into() }
}
