//! The state of rustls for one connection, which its reader and its writer share.
//!
//! Each call is one step of rustls on bytes in memory: no lock is held while a socket is read or written.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{Connection, Error};

/// The state of rustls. The lock is held while a few records are encrypted or decrypted: rustls has one state for both
/// directions.
#[derive(Debug, Clone)]
pub(crate) struct TlsSession(Arc<Mutex<Connection>>);

impl TlsSession {
    pub(crate) fn new(mut tls: Connection) -> Self {
        tls.set_buffer_limit(None); // the callers limit how much is written at once
        Self(Arc::new(Mutex::new(tls)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decrypts `received` and appends the plaintext to `plain`, also the plaintext before an error. Returns whether
    /// the other side has ended its direction.
    pub(crate) fn decrypt(&self, mut received: &[u8], plain: &mut Vec<u8>) -> Result<bool, Error> {
        let mut tls = self.lock();
        let failed = |error: io::Error| Error::General(error.to_string());
        while !received.is_empty() {
            if tls.read_tls(&mut received).map_err(failed)? == 0 {
                return Ok(true); // bytes after the end are ignored
            }
            let state = tls.process_new_packets();
            match tls.reader().read_to_end(plain) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(failed(error)),
                _ => {}
            }
            if state?.peer_has_closed() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Encrypts `plain` and appends the records to `sealed`, after all other output of rustls.
    pub(crate) fn encrypt(&self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        let mut tls = self.lock();
        tls.writer().write_all(plain)?;
        take_sealed(&mut tls, sealed)
    }

    /// Appends the output of rustls to `sealed`.
    pub(crate) fn take_sealed(&self, sealed: &mut Vec<u8>) -> io::Result<()> {
        take_sealed(&mut self.lock(), sealed)
    }
}

fn take_sealed(tls: &mut Connection, sealed: &mut Vec<u8>) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(sealed)?;
    }
    Ok(())
}
