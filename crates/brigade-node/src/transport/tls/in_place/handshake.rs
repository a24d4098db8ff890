//! The handshake: rustls's own, step by step, with its bytes in our hands.
//!
//! rustls is shown one record at a time, so that it ends with the last one of the handshake: what the other side
//! sent right behind that stays in the buffer, for [`super::record_reader`]. The size of the buffer has a bound.

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
    record_reader::{InPlaceReader, Unread},
    record_writer::InPlaceWriter,
};
use crate::transport::tls::{config, layout::HEADER_BYTES, record_io::Secured};

/// Bytes that are read at once, at first: most handshakes need no more.
const FIRST_BYTES: usize = 4 << 10;

/// Bytes of one handshake message, in however many records, and of the record that it ends in: ten times what the
/// longest of ours has.
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
    shake(read, write, UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?).await
}

/// Does the handshake as the side that was dialled.
pub(crate) async fn accept<R, W>(read: R, write: W, config: Arc<ServerConfig>) -> io::Result<InPlace<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    shake(read, write, UnbufferedServerConnection::new(config).map_err(io::Error::other)?).await
}

/// What client and server have in common, for which rustls has no trait.
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

/// What to do next.
enum Step {
    Again,
    Send,
    Read,
}

async fn shake<R, W, E>(mut read: R, mut write: W, mut end: E) -> io::Result<InPlace<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
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
                write.write_all(&out).await?;
                out.clear();
            }
            Ok(Step::Read) if end.is_handshaking() => shown.more(&mut read).await?,
            Ok(Step::Read) => break,
            Err(error) => {
                // The alert that rustls makes of the error is sent to the other side.
                while end.wants_write() && step(&mut end, &mut [], &mut out).1.is_ok() {}
                let _ = write.write_all(&out).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
    let peer = config::key_of(&end);
    let (sealer, opener) =
        end.finish().and_then(|(secrets, kernel)| keys(secrets, kernel)).map_err(io::Error::other)?;
    let reader = InPlaceReader::new(read, opener, shown.rest()?);
    Ok(Secured { reader, writer: InPlaceWriter::new(write, sealer), peer })
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

/// What was received, and how much of it rustls may see: up to the end of one record.
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
