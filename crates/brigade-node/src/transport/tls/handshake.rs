//! The handshake: rustls's own, step by step, with its bytes in our hands.
//!
//! rustls is shown one record at a time, so that it ends with the last one of the handshake: what the other side
//! sent right behind that stays in the buffer, for [`super::inbound`]. Nothing is taken in beyond a bound.

use std::{io, ops::DerefMut, sync::Arc};

use brigade_core::id::PeerKey;
use rustls::{
    ClientConfig, Error, ExtractedSecrets, ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::ServerName,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    config,
    keys::{Kernel, Opener, Sealer, keys},
    records::HEADER_BYTES,
};

/// Bytes that are read at once, at first: most handshakes need no more.
const FIRST_BYTES: usize = 4 << 10;

/// Bytes of one handshake message, in however many records, and of the record that it ends in: ten times what the
/// longest of ours has.
const MOST_BYTES: usize = 32 << 10;

/// What came over a connection and was not opened.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Space, of which a part is filled.
    pub(crate) buffer: Vec<u8>,
    /// Where the filled part ends; it begins at the start.
    pub(crate) end: usize,
}

/// A stream whose ends know each other and have keys.
pub(crate) struct Secured<S> {
    pub(crate) stream: S,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) unread: Unread,
    /// The key that the other end proved to have.
    pub(crate) peer: Option<PeerKey>,
}

/// Does the handshake as the side that dialled.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Secured<S>> {
    shake(stream, UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?).await
}

/// Does the handshake as the side that was dialled.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<ServerConfig>,
) -> io::Result<Secured<S>> {
    shake(stream, UnbufferedServerConnection::new(config).map_err(io::Error::other)?).await
}

/// What client and server have in common, which rustls does not say.
trait End: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error>;
}

impl End for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Kernel::Client(kernel)))
    }
}

impl End for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Kernel::Server(kernel)))
    }
}

/// What is to be done next.
enum Step {
    Again,
    Send,
    Read,
}

async fn shake<S, E>(mut stream: S, mut end: E) -> io::Result<Secured<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: End,
{
    let mut shown = Shown::default();
    let mut out = vec![];
    loop {
        let (discard, next) = step(&mut end, shown.bytes(), &mut out);
        shown.discard(discard);
        match next {
            Ok(Step::Again) => {}
            Ok(Step::Send) => {
                stream.write_all(&out).await?;
                out.clear();
            }
            Ok(Step::Read) if end.is_handshaking() => shown.more(&mut stream).await?,
            Ok(Step::Read) => break,
            Err(error) => {
                // What rustls has to say of that, the other side shall hear.
                while end.wants_write() && step(&mut end, &mut [], &mut out).1.is_ok() {}
                let _ = stream.write_all(&out).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
    let peer = config::key_of(&end);
    let (sealer, opener) =
        end.finish().and_then(|(secrets, kernel)| keys(secrets, kernel)).map_err(io::Error::other)?;
    Ok(Secured { stream, sealer, opener, unread: shown.rest()?, peer })
}

/// One step of rustls: how many of the `incoming` bytes it needs no more, and what it wants. What is to be sent is
/// appended to `out`.
fn step<E: End>(end: &mut E, incoming: &mut [u8], out: &mut Vec<u8>) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { discard, state } = end.process(incoming);
    let next = match state {
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out).map(|()| Step::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Send)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Step::Read),
        Ok(_) => Err(Error::General("data in the middle of a handshake".to_owned())),
        Err(error) => Err(error),
    };
    (discard, next)
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let written = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => {
            out.resize(start + needed.required_size, 0);
            data.encode(&mut out[start..])
        }
        other => other,
    };
    let written = written.map_err(|error| Error::General(error.to_string()))?;
    out.truncate(start + written);
    Ok(())
}

/// What came, and how much of it rustls may see: up to the end of one record.
#[derive(Default)]
struct Shown {
    unread: Unread,
    /// Where the record begins that is being shown.
    record: usize,
    /// Where what is shown ends.
    shown: usize,
}

impl Shown {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.unread.buffer[..self.shown]
    }

    /// Forgets the first bytes.
    fn discard(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let Unread { buffer, end } = &mut self.unread;
        buffer.copy_within(count..*end, 0);
        *end -= count;
        self.shown -= count;
        self.record = self.record.saturating_sub(count);
    }

    /// Shows more, and reads where all was shown.
    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        loop {
            if let Some(end) = self.record_end()
                && self.shown == end
            {
                self.record = end; // all of that one was seen: the next
            }
            let Unread { buffer, end } = &mut self.unread;
            let until = record_end(&buffer[..*end], self.record).unwrap_or(*end).min(*end);
            if until > self.shown {
                self.shown = until;
                return Ok(());
            }
            if *end == buffer.len() {
                if *end >= MOST_BYTES {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a handshake without an end"));
                }
                buffer.resize((*end * 2).clamp(FIRST_BYTES, MOST_BYTES), 0);
            }
            match stream.read(&mut buffer[*end..]).await? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")),
                count => *end += count,
            }
        }
    }

    fn record_end(&self) -> Option<usize> {
        record_end(&self.unread.buffer[..self.unread.end], self.record)
    }

    /// What was not shown.
    fn rest(self) -> io::Result<Unread> {
        if self.shown > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a handshake that ends in a record"));
        }
        Ok(self.unread)
    }
}

/// Where the record ends that begins at `start`; `None` while its header is not there.
fn record_end(bytes: &[u8], start: usize) -> Option<usize> {
    let header = bytes.get(start..start + HEADER_BYTES)?;
    Some(start + HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]])))
}
