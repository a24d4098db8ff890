//! The TLS handshake: rustls runs it step by step, and this code reads and writes its bytes.
//!
//! rustls gets one record at a time, so that it ends with the last record of the handshake: the bytes after that record
//! stay in the buffer, for [`super::record_reader`]. The size of the buffer is limited.

use std::{io, ops::DerefMut, sync::Arc};

use rustls::{
    ClientConfig, Error, ExtractedSecrets, ServerConfig,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::ServerName,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    keys::{Kernel, keys},
    record_reader::{InPlaceReader, UnreadBytes},
    record_writer::InPlaceWriter,
};
use crate::transport::tls::{config, record_layout::HEADER_BYTES, record_traits::Secured};

/// Bytes of the first read: most handshakes need no more.
const FIRST_BYTES: usize = 4 << 10;

/// The limit on the bytes of one handshake message, in any number of records, and of the record that it ends in: ten
/// times the longest one of this program.
const MOST_BYTES: usize = 32 << 10;

/// Both halves of a connection of this back end.
type InPlace<R, W> = Secured<InPlaceReader<R>, InPlaceWriter<W>>;

/// Does the handshake as the side that dialled.
pub(crate) async fn connect<R, W>(
    read: R,
    write: W,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<InPlace<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    handshake(read, write, UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?).await
}

/// Does the handshake as the side that was dialled.
pub(crate) async fn accept<R, W>(read: R, write: W, config: Arc<ServerConfig>) -> io::Result<InPlace<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    handshake(read, write, UnbufferedServerConnection::new(config).map_err(io::Error::other)?).await
}

/// The common functions of a client and a server, for which rustls has no trait.
trait HandshakeSide: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> {
    type Data;
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error>;
}

impl HandshakeSide for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Kernel::Client(kernel)))
    }
}

impl HandshakeSide for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Kernel), Error> {
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Kernel::Server(kernel)))
    }
}

/// The next action.
enum HandshakeStep {
    Again,
    Send,
    Read,
}

async fn handshake<R, W, E>(mut read: R, mut write: W, mut end: E) -> io::Result<InPlace<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    E: HandshakeSide,
{
    let mut input = HandshakeInput::default();
    let mut out = vec![];
    loop {
        let (discard, next) = step(&mut end, input.bytes(), &mut out);
        input.discard(discard);
        match next {
            Ok(HandshakeStep::Again) => {}
            Ok(HandshakeStep::Send) => {
                write.write_all(&out).await?;
                out.clear();
            }
            Ok(HandshakeStep::Read) if end.is_handshaking() => input.more(&mut read).await?,
            Ok(HandshakeStep::Read) => break,
            Err(error) => {
                // rustls turns the error into an alert, which is sent to the other side.
                while end.wants_write() && step(&mut end, &mut [], &mut out).1.is_ok() {}
                let _ = write.write_all(&out).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
    let peer = config::key_of(&end);
    let (sealer, opener) =
        end.finish().and_then(|(secrets, kernel)| keys(secrets, kernel)).map_err(io::Error::other)?;
    let reader = InPlaceReader::new(read, opener, input.rest()?);
    Ok(Secured { reader, writer: InPlaceWriter::new(write, sealer), peer })
}

/// One step of rustls. Returns how many of the `incoming` bytes it does not need any more, and the next action. Bytes
/// to send are appended to `out`.
fn step<E: HandshakeSide>(
    end: &mut E,
    incoming: &mut [u8],
    out: &mut Vec<u8>,
) -> (usize, Result<HandshakeStep, Error>) {
    let UnbufferedStatus { discard, state } = end.process(incoming);
    let next = match state {
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out).map(|()| HandshakeStep::Again),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(HandshakeStep::Send)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(HandshakeStep::Read),
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

/// The received bytes, and how many of them rustls gets: up to the end of one record.
#[derive(Default)]
struct HandshakeInput {
    unread: UnreadBytes,
    /// The start of the current record.
    record: usize,
    /// The end of the bytes that rustls gets.
    visible: usize,
}

impl HandshakeInput {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.unread.buffer[..self.visible]
    }

    /// Removes the first bytes.
    fn discard(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let UnreadBytes { buffer, end } = &mut self.unread;
        buffer.copy_within(count..*end, 0);
        *end -= count;
        self.visible -= count;
        self.record = self.record.saturating_sub(count);
    }

    /// Makes more bytes visible to rustls. Reads from the stream if all are visible.
    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        loop {
            if let Some(end) = self.record_end()
                && self.visible == end
            {
                self.record = end; // rustls has all of it: continue with the next one
            }
            let UnreadBytes { buffer, end } = &mut self.unread;
            let until = record_end(&buffer[..*end], self.record).unwrap_or(*end).min(*end);
            if until > self.visible {
                self.visible = until;
                return Ok(());
            }
            if *end == buffer.len() {
                if *end >= MOST_BYTES {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake is too long"));
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

    /// The bytes after the handshake.
    fn rest(self) -> io::Result<UnreadBytes> {
        if self.visible > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake ends inside a record"));
        }
        Ok(self.unread)
    }
}

/// The end of the record that begins at `start`; `None` if its header is incomplete.
fn record_end(bytes: &[u8], start: usize) -> Option<usize> {
    let header = bytes.get(start..start + HEADER_BYTES)?;
    Some(start + HEADER_BYTES + usize::from(u16::from_be_bytes([header[3], header[4]])))
}
