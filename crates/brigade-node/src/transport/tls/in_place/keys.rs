//! The keys of a connection after the handshake, one for each direction, and how they are updated.
//!
//! rustls makes all keys and decrypts. Only the encryption is done here: rustls copies the plaintext, and this code
//! encrypts it in place. No number is used twice with one key: a [`Sealer`] counts before it encrypts, is never cloned,
//! and changes its key long before the limit (RFC 8446, sections 4.6.3 and 5).
//!
//! The copies of secrets here are zeroized when they are dropped, and so are rustls's keys
//! ([`ConnectionTrafficSecrets`]). This code cannot zeroize rustls's copies of the initialization vectors, the expanded
//! keys within ring, or copies that the compiler leaves on the stack.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, ExtractedSecrets, ProtocolVersion, Tls13CipherSuite,
    client::ClientConnectionData,
    crypto::cipher::{InboundOpaqueMessage, MessageDecrypter},
    kernel::KernelConnection,
    server::ServerConnectionData,
};
use zeroize::Zeroizing;

use crate::transport::tls::record_layout::{HEADER_BYTES, RECORD_BYTES, TRAILER_BYTES};

/// The handshake message of a side that changes to its next key. It does not request the same from the other side.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// Bytes of the record with it.
const KEY_UPDATE_BYTES: usize = HEADER_BYTES + KEY_UPDATE.len() + TRAILER_BYTES;

/// The limit on records that are encrypted with one key, unless its cipher has a lower one: the limit of AES-GCM.
const MOST_RECORDS: u64 = 1 << 24;

/// rustls's state of a connection, which makes the next keys.
pub(crate) enum Kernel {
    /// Of a connection that was dialled.
    Client(KernelConnection<ClientConnectionData>),
    /// Of a connection that was accepted.
    Server(KernelConnection<ServerConnectionData>),
    /// Of a fuzz target.
    #[cfg(feature = "fuzzing")]
    Fixed(super::fuzzing_keys::FuzzingKeys),
}

/// The shared state of both directions. It is locked only while a key changes.
struct KeySchedule {
    kernel: Mutex<Kernel>,
    suite: &'static Tls13CipherSuite,
    /// Whether the other side has requested that this side changes its key before it sends more data.
    update_due: AtomicBool,
}

/// Encrypts records, in order.
pub(crate) struct Sealer {
    key: LessSafeKey,
    iv: Zeroizing<[u8; NONCE_LEN]>,
    /// The number of records that were encrypted with this key; also the number of the next one.
    sequence: u64,
    /// The number of records after which the key is changed.
    renew_after: u64,
    schedule: Arc<KeySchedule>,
}

/// Decrypts records, in order.
pub(crate) struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    sequence: u64,
    schedule: Arc<KeySchedule>,
}

/// A decrypted record, whose plaintext is at the start of its payload.
pub(crate) struct OpenedRecord {
    pub(crate) kind: ContentType,
    pub(crate) plain_bytes: usize,
}

/// The keys after a finished handshake.
pub(crate) fn keys(secrets: ExtractedSecrets, kernel: Kernel) -> Result<(Sealer, Opener), Error> {
    let suite = match &kernel {
        Kernel::Client(kernel) => kernel.negotiated_cipher_suite(),
        Kernel::Server(kernel) => kernel.negotiated_cipher_suite(),
        #[cfg(feature = "fuzzing")]
        Kernel::Fixed(_) => super::fuzzing_keys::FuzzingKeys::SUITE,
    };
    let suite = suite.tls13().ok_or_else(|| Error::General("only TLS 1.3 is supported".to_owned()))?;
    let schedule =
        Arc::new(KeySchedule { kernel: Mutex::new(kernel), suite, update_due: AtomicBool::new(false) });
    let (sequence, secret) = secrets.tx;
    let (key, iv) = sealing_key(&secret)?;
    let renew_after = most_records(suite) / 2;
    let sealer = Sealer { key, iv, sequence, renew_after, schedule: schedule.clone() };
    let (sequence, secret) = secrets.rx;
    let opener = Opener { decrypter: opening_key(suite, secret)?, sequence, schedule };
    Ok((sealer, opener))
}

fn most_records(suite: &Tls13CipherSuite) -> u64 {
    suite.common.confidentiality_limit.min(MOST_RECORDS)
}

fn sealing_key(
    secret: &ConnectionTrafficSecrets,
) -> Result<(LessSafeKey, Zeroizing<[u8; NONCE_LEN]>), Error> {
    let (algorithm, key, iv) = match secret {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
        _ => return Err(Error::General("an unsupported cipher".to_owned())),
    };
    let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Error::EncryptError)?;
    let mut copy = Zeroizing::new([0; NONCE_LEN]);
    if iv.as_ref().len() != copy.len() {
        return Err(Error::EncryptError);
    }
    copy.copy_from_slice(iv.as_ref());
    Ok((LessSafeKey::new(key), copy))
}

fn opening_key(
    suite: &Tls13CipherSuite,
    secret: ConnectionTrafficSecrets,
) -> Result<Box<dyn MessageDecrypter>, Error> {
    match secret {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok(suite.aead_alg.decrypter(key, iv)),
        _ => Err(Error::General("an unsupported cipher".to_owned())),
    }
}

impl KeySchedule {
    fn next_to_send(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.kernel.lock().unwrap_or_else(PoisonError::into_inner) {
            Kernel::Client(kernel) => kernel.update_tx_secret(),
            Kernel::Server(kernel) => kernel.update_tx_secret(),
            #[cfg(feature = "fuzzing")]
            Kernel::Fixed(keys) => Ok(keys.next_to_send()),
        }
    }

    fn next_to_receive(&self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match &mut *self.kernel.lock().unwrap_or_else(PoisonError::into_inner) {
            Kernel::Client(kernel) => kernel.update_rx_secret(),
            Kernel::Server(kernel) => kernel.update_rx_secret(),
            #[cfg(feature = "fuzzing")]
            Kernel::Fixed(keys) => Ok(keys.next_to_receive()),
        }
    }
}

impl Sealer {
    /// Encrypts one record in place. The plaintext, of the type `kind`, is between [`HEADER_BYTES`] and
    /// [`TRAILER_BYTES`].
    pub(crate) fn seal(&mut self, kind: ContentType, record: &mut [u8]) -> io::Result<()> {
        assert!((HEADER_BYTES + TRAILER_BYTES..=RECORD_BYTES).contains(&record.len()));
        if self.sequence >= most_records(self.schedule.suite) {
            return Err(io::Error::other("the limit on records with one key is reached"));
        }
        let mut nonce = *self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence += 1; // first, so that the number is never used again, even after an error
        let length = u16::try_from(record.len() - HEADER_BYTES).unwrap_or(u16::MAX); // bounded by the assertion
        let [high, low] = length.to_be_bytes();
        let header = [ContentType::ApplicationData.into(), 3, 3, high, low];
        let (start, rest) = record.split_at_mut(HEADER_BYTES);
        start.copy_from_slice(&header);
        let (inner, tag) = rest.split_at_mut(rest.len() - (TRAILER_BYTES - 1));
        inner[inner.len() - 1] = kind.into();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), inner);
        tag.copy_from_slice(sealed.map_err(|_| io::Error::other(Error::EncryptError))?.as_ref());
        Ok(())
    }

    /// Changes to the next key if the limit is near or the other side has requested it. Returns the record that must be
    /// written before the next ones.
    pub(crate) fn renew(&mut self) -> io::Result<Option<[u8; KEY_UPDATE_BYTES]>> {
        let wanted = self.schedule.update_due.swap(false, Ordering::AcqRel);
        if !wanted && self.sequence < self.renew_after {
            return Ok(None);
        }
        let mut record = [0; KEY_UPDATE_BYTES];
        record[HEADER_BYTES..HEADER_BYTES + KEY_UPDATE.len()].copy_from_slice(&KEY_UPDATE);
        self.seal(ContentType::Handshake, &mut record)?;
        let (sequence, secret) = self.schedule.next_to_send().map_err(io::Error::other)?;
        let (key, iv) = sealing_key(&secret).map_err(io::Error::other)?;
        (self.key, self.iv, self.sequence) = (key, iv, sequence);
        Ok(Some(record))
    }

    /// Sets the number of records after which the key is changed: a test cannot write millions.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn renew_after(&mut self, records: u64) {
        self.renew_after = records;
    }
}

impl Opener {
    /// Decrypts the next record in place. `payload` is all of it except the header.
    pub(crate) fn open(&mut self, payload: &mut [u8]) -> Result<OpenedRecord, Error> {
        let (start, bytes, kind) = (payload.as_ptr(), payload.len(), ContentType::ApplicationData);
        let message = InboundOpaqueMessage::new(kind, ProtocolVersion::TLSv1_2, payload);
        let message = self.decrypter.decrypt(message, self.sequence)?;
        self.sequence = self.sequence.checked_add(1).ok_or(Error::DecryptError)?;
        // Every cipher of TLS 1.3 in rustls decrypts to the start of the payload. Another one would return wrong data.
        let is_in_place = std::ptr::eq(message.payload.as_ptr(), start) && message.payload.len() <= bytes;
        if !is_in_place && !message.payload.is_empty() {
            return Err(Error::General("a record was not decrypted in place".to_owned()));
        }
        Ok(OpenedRecord { kind: message.typ, plain_bytes: message.payload.len() })
    }

    /// The other side has changed to its next key. `ours_too` is its request that this side changes its key too.
    pub(crate) fn renew(&mut self, ours_too: bool) -> Result<(), Error> {
        let (sequence, secret) = self.schedule.next_to_receive()?;
        self.decrypter = opening_key(self.schedule.suite, secret)?;
        self.sequence = sequence;
        if ours_too {
            self.schedule.update_due.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Whether the other side was dialled.
    pub(crate) fn is_client(&self) -> bool {
        match &*self.schedule.kernel.lock().unwrap_or_else(PoisonError::into_inner) {
            Kernel::Client(_) => true,
            Kernel::Server(_) => false,
            #[cfg(feature = "fuzzing")]
            Kernel::Fixed(keys) => keys.is_client,
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
