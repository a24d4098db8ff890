//! The handshake on plain rustls: its output is written, and received bytes are passed to it.
//!
//! Data after the handshake in the same read is decrypted here and passed to the reader.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, pki_types::ServerName,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{record_reader::PlainReader, record_writer::PlainWriter, session::TlsSession};
use crate::transport::tls::{config, record_traits::Secured};

/// Bytes that are read at once: most handshakes need no more.
const READ_BYTES: usize = 4 << 10;

/// The limit on the bytes of a handshake: ten times those of this program.
const MOST_BYTES: usize = 32 << 10;

/// Both halves of a connection of this back end.
type Plain<R, W> = Secured<PlainReader<R>, PlainWriter<W>>;

/// Does the handshake as the side that dialled.
pub(crate) async fn connect<R, W>(
    read: R,
    write: W,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Plain<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    handshake(read, write, ClientConnection::new(config, name).map_err(io::Error::other)?.into()).await
}

/// Does the handshake as the side that was dialled.
pub(crate) async fn accept<R, W>(read: R, write: W, config: Arc<ServerConfig>) -> io::Result<Plain<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    handshake(read, write, ServerConnection::new(config).map_err(io::Error::other)?.into()).await
}

async fn handshake<R, W>(mut read: R, mut write: W, tls: Connection) -> io::Result<Plain<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let session = TlsSession::new(tls);
    let (mut received, mut plain, mut sealed) = (vec![0; READ_BYTES], vec![], vec![]);
    let mut bytes = 0;
    let mut has_ended = false;
    loop {
        send(&session, &mut sealed, &mut write).await?;
        if !session.lock().is_handshaking() {
            break;
        }
        if bytes > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the handshake is too long"));
        }
        let count = match read.read(&mut received).await? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof")),
            count => count,
        };
        bytes += count;
        has_ended = match session.decrypt(&received[..count], &mut plain) {
            Ok(has_ended) => has_ended,
            Err(error) => {
                // rustls turns the error into an alert, which is sent to the other side.
                let _ = send(&session, &mut sealed, &mut write).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
    }
    let peer = config::key_of(&session.lock());
    let reader = PlainReader::new(read, session.clone(), plain, has_ended);
    Ok(Secured { reader, writer: PlainWriter::new(write, session), peer })
}

/// Writes the output of rustls.
async fn send(
    session: &TlsSession,
    sealed: &mut Vec<u8>,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    session.take_sealed(sealed)?;
    write.write_all(sealed).await?;
    sealed.clear();
    Ok(())
}
