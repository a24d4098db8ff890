//! The fuzz target of the reader of frames: the input is the decrypted data of a connection.
//!
//! The same bytes are read twice, in one part and in many: the result must be the same. A message that was read can be
//! written, and reading and writing it again gives the same bytes.

use std::{cell::OnceCell, io};

use brigade_core::wire::{
    Message,
    greeting::Greeting,
    manager::{FromManager, ToManager},
    peer::{FromHolder, ToHolder},
};
use tokio::runtime::{Builder, Runtime};

use crate::transport::{
    connection::{ConnectionError, Incoming, Reader},
    tls::record_traits::RecordReader,
};

thread_local! {
    // Reading has timeouts, which need a runtime even if nothing waits.
    static RUNTIME: OnceCell<Option<Runtime>> = const { OnceCell::new() };
}

/// Reads the frames in `input`. Its first byte sets their direction and the length of the parts.
///
/// # Panics
/// If the parts change the result, or a message cannot be written and read again.
pub fn frames(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    let most = [1, 3, 13, 1000][usize::from(first >> 6)];
    match first % 5 {
        0 => check::<Greeting>(bytes, most),
        1 => check::<ToManager>(bytes, most),
        2 => check::<FromManager>(bytes, most),
        3 => check::<ToHolder>(bytes, most),
        _ => check::<FromHolder>(bytes, most),
    }
}

fn check<M: Message + PartialEq>(bytes: &[u8], most: usize) {
    let whole = read::<M>(bytes, usize::MAX);
    assert_eq!(read::<M>(bytes, most), whole, "the parts change the result");
}

/// The frames that were read, and the error at the end.
#[derive(Debug, PartialEq)]
struct Frames<M> {
    frames: Vec<Frame<M>>,
    end: String,
}

#[derive(Debug, PartialEq)]
enum Frame<M> {
    Message(M),
    Piece { request: u32, offset: u32, data: Vec<u8> },
}

fn read<M: Message + PartialEq>(bytes: &[u8], most: usize) -> Option<Frames<M>> {
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().enable_time().build().ok());
        runtime.as_ref().map(|runtime| runtime.block_on(read_all(Reader::new(ChunkedBytes { bytes, most }))))
    })
}

async fn read_all<M: Message + PartialEq>(mut reader: Reader<ChunkedBytes<'_>>) -> Frames<M> {
    let mut frames = vec![];
    let end = loop {
        match next(&mut reader).await {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break String::new(),
            Err(error) => break error.to_string(),
        }
    };
    Frames { frames, end }
}

async fn next<M: Message + PartialEq>(
    reader: &mut Reader<ChunkedBytes<'_>>,
) -> Result<Option<Frame<M>>, ConnectionError> {
    let Some(incoming) = reader.next_frame::<M>().await? else { return Ok(None) };
    Ok(Some(match incoming {
        Incoming::Message(message) => {
            check_writing(&message);
            Frame::Message(message)
        }
        Incoming::Piece { header, bytes } => {
            let mut data = vec![0; bytes];
            let mut filled = 0;
            while filled < bytes {
                let part = bytes.min(filled + 4096);
                filled += reader.data(&mut data[filled..part]).await?;
            }
            Frame::Piece { request: header.request, offset: header.offset, data }
        }
    }))
}

/// Writes a message and reads it again. Fields with invalid values are not written, so the message may change once.
fn check_writing<M: Message>(message: &M) {
    let mut body = vec![];
    message.encode_body(&mut body);
    let Ok(Some(again)) = M::decode(message.kind(), &body) else { panic!("{message:?} does not read back") };
    let mut body_again = vec![];
    again.encode_body(&mut body_again);
    assert_eq!(body_again, body, "{message:?} is {again:?}");
}

/// Decrypted bytes, in parts of at most `most` bytes.
struct ChunkedBytes<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl RecordReader for ChunkedBytes<'_> {
    async fn chunk(&mut self) -> io::Result<&[u8]> {
        Ok(&self.bytes[..self.most.min(self.bytes.len())])
    }

    fn is_ready(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn take(&mut self, count: usize) {
        self.bytes = &self.bytes[count..];
    }
}
