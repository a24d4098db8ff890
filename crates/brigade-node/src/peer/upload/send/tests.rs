//! Downloaders that do not read: they block no other, and they get no withdrawn content.
//!
//! The order of pieces is tested in the core, and at the binary.

use std::{
    fs,
    net::Ipv4Addr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use brigade_core::{
    id::{Content, ContentId},
    rate::Cap,
    upload::LIMITED_SLOTS,
    wire::{
        Reason,
        greeting::{Hello, VERSION},
        peer::{FromHolder, ListPage},
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    ConnectionError, FILL_BYTES, OpenRequests, PeerKey, QueuedPiece, REST_BYTES, SendContext, SendTask,
    SentCounter, Traffic, Uploads, send,
};
use crate::{
    identity::key::SecretKey,
    peer::upload::{piece_queue_and_reading::PieceSource, wants_and_offers::UploadClient},
    store::{folder::Folder, share::Share},
    transport::{connection::Incoming, dial::dial, greeting::GreetedConnection, port_listener::PortListener},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing moves if the downloader does not read. If it is too short, a test proves less, and does not fail.
const STILL: Duration = Duration::from_millis(500);

const DOWNLOADER: PeerKey = PeerKey([1; 32]);
const FILE_BYTES: u32 = 32_000;
const NAME: &str = "file";

/// A downloader that is sent to, and a folder with a file in it.
struct TestSender {
    _temp: tempfile::TempDir,
    share: Share,
    content: Content,
    traffic: Arc<Traffic>,
    uploads: Uploads,
    open_requests: Arc<OpenRequests>,
    tasks: mpsc::Sender<SendTask>,
    /// Its end of the connection.
    downloader: GreetedConnection,
    sending: JoinHandle<Result<(), ConnectionError>>,
    _client: UploadClient,
    _stop: tokio_util::sync::DropGuard,
}

fn hello() -> Hello {
    Hello { version: VERSION, agent: "test".into(), membership: None, reached_from_elsewhere: None }
}

async fn connection() -> (GreetedConnection, GreetedConnection) {
    let (holder, downloader) = (SecretKey::generate(), SecretKey::generate());
    let acceptor = PortListener::bind(&[(Ipv4Addr::LOCALHOST, 0).into()], &holder).await.unwrap();
    let addresses = [acceptor.address()];
    let accepted = async { acceptor.accept().await.unwrap().handshake().await.unwrap() };
    let (accepted, dialled) = tokio::join!(accepted, dial(&addresses, &downloader, Some(holder.public())));
    let (accepted, dialled) = tokio::join!(accepted.greet(hello()), dialled.unwrap().greet(hello()));
    (accepted.unwrap(), dialled.unwrap())
}

impl TestSender {
    async fn new(cap: Cap) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let bytes = vec![7; FILE_BYTES as usize];
        fs::write(temp.path().join(NAME), &bytes).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let content =
            Content { id: ContentId(*blake3::hash(&bytes).as_bytes()), size: u64::from(FILE_BYTES) };
        let (share, stamp) = (Share::new(folder.clone()), folder.stamp(&NAME.parse().unwrap()).unwrap());
        share.insert_for_test(NAME.parse().unwrap(), content, None, stamp);
        let (stop, traffic) = (CancellationToken::new(), Arc::new(Traffic::new(cap, Cap::Off)));
        let context = SendContext::start(traffic.clone(), stop.clone());
        let uploads = context.uploads.clone();
        let (client, _) = UploadClient::connect(&uploads, DOWNLOADER).await;
        let (holder, downloader) = connection().await;
        let (open_requests, (tasks, for_sender)) = (Arc::new(OpenRequests::default()), mpsc::channel(8192));
        let sent = Arc::new(SentCounter::default());
        let sending = send(holder.writer, for_sender, DOWNLOADER, sent, open_requests.clone(), context);
        Self {
            _temp: temp,
            share,
            content,
            traffic,
            uploads,
            open_requests,
            tasks,
            downloader,
            sending: tokio::spawn(sending),
            _client: client,
            _stop: stop.drop_guard(),
        }
    }

    /// The downloader requests the file, which is opened again, as if it requested many.
    async fn request(&self, request: u32) {
        self.request_first(request, FILE_BYTES).await;
    }

    /// The downloader requests a piece of the first bytes of the file.
    async fn request_first(&self, request: u32, bytes: u32) {
        let (share, shared) = (self.share.clone(), self.share.find(&self.content).unwrap());
        let source = PieceSource::Shared { share, shared, open: Arc::new(OnceLock::new()) };
        self.open_requests.add_piece();
        let (channel, offer) = (None, None);
        let queued = QueuedPiece { request, channel, offer, source, file_offset: 0, bytes, done: 0 };
        self.tasks.send(SendTask::Piece(queued)).await.unwrap();
    }

    /// Sends more messages than the system buffers for a downloader that does not read.
    async fn fill_send_buffer(&self) {
        for first in 0.. {
            let page = ListPage { channel: 1, first, values: vec![7; 32_000] };
            assert!(self.open_requests.add_list() || first > 0);
            self.tasks.send(SendTask::List(page)).await.unwrap();
            let taken = async {
                while self.tasks.capacity() < self.tasks.max_capacity() {
                    tokio::task::yield_now().await;
                }
            };
            if timeout(STILL, taken).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downloader_that_is_next_and_does_not_read_blocks_no_other() {
    let sender = TestSender::new(Cap::At(1)).await;
    sender.request(1).await;
    // The piece waits for hours, before all others, when the connection comes to a stop.
    sender.fill_send_buffer().await;
    sender.traffic.limit(Cap::At(1_000_000), Cap::Off);
    let sent = timeout(PATIENCE, sender.traffic.may_send(100_000)).await;
    assert!(sent.is_ok(), "another downloader goes on");
    assert!(!sender.sending.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downloader_that_waits_for_a_slot_and_does_not_read_gets_none() {
    let sender = TestSender::new(Cap::At(1_000_000)).await;
    let others: Vec<PeerKey> = (100..).take(LIMITED_SLOTS).map(|byte| PeerKey([byte; 32])).collect();
    let (mut clients, mut slots) = (vec![], vec![]);
    for key in &others {
        clients.push(UploadClient::connect(&sender.uploads, *key).await);
        slots.push(timeout(PATIENCE, sender.uploads.slot(*key, None)).await.unwrap().unwrap());
    }
    sender.request(1).await;
    sender.fill_send_buffer().await;
    drop(slots);
    let mut slots = vec![];
    for key in &others {
        let slot = timeout(PATIENCE, sender.uploads.slot(*key, None)).await;
        slots.push(slot.expect("the slot goes to another"));
    }
    assert!(!sender.sending.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_was_read_ahead_and_then_withdrawn_is_refused() {
    const REQUESTS: u32 = 1500;
    let mut sender = TestSender::new(Cap::Off).await;
    for request in 0..REQUESTS {
        sender.request(request).await;
    }
    let mut left = 0;
    while left != sender.open_requests.pieces() {
        left = sender.open_requests.pieces();
        tokio::time::sleep(STILL).await;
    }
    sender.share.remove_for_test(&NAME.parse().unwrap());
    let answered = REQUESTS - u32::try_from(sender.open_requests.pieces()).unwrap();
    let (mut sent, mut refused) = (0, 0);
    while refused < REQUESTS - sent {
        let next = sender.downloader.reader.next_frame::<FromHolder>();
        match timeout(PATIENCE, next).await.unwrap().unwrap().unwrap() {
            Incoming::Piece { header, mut bytes } => {
                sent += u32::from(header.offset == 0);
                while bytes > 0 {
                    bytes -= sender.downloader.reader.skip_data(bytes).await.unwrap();
                }
            }
            Incoming::Message(FromHolder::Refuse(refuse)) => {
                assert_eq!(refuse.reason, Reason::NotFound);
                refused += 1;
            }
            Incoming::Message(other) => panic!("{other:?}"),
        }
    }
    // The buffer that was being written is sent, and may end within a piece, as the one before it.
    let written = FILL_BYTES.div_ceil(FILE_BYTES) + 1;
    assert!(sent <= answered + written, "{sent} were sent, {answered} before it was withdrawn");
}

/// The downloader may send its next request as soon as it has a piece.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_is_not_open_any_more_when_the_downloader_has_it() {
    const REQUESTS: usize = 1500;
    let mut sender = TestSender::new(Cap::Off).await;
    for request in 0..REQUESTS {
        sender.request(u32::try_from(request).unwrap()).await;
    }
    for received in 1..=REQUESTS {
        let mut left = FILE_BYTES as usize;
        while left > 0 {
            let next = sender.downloader.reader.next_frame::<FromHolder>();
            let frame = timeout(PATIENCE, next).await.unwrap().unwrap().unwrap();
            let Incoming::Piece { mut bytes, .. } = frame else { panic!("{frame:?}") };
            left -= bytes;
            while bytes > 0 {
                bytes -= sender.downloader.reader.skip_data(bytes).await.unwrap();
            }
        }
        assert!(sender.open_requests.pieces() <= REQUESTS - received, "after {received} pieces");
    }
}

/// On one thread, the sender finds all requests in its queue when it begins.
#[tokio::test]
async fn a_short_rest_of_a_piece_is_sent_with_the_bytes_before_it() {
    for (rest, frames_of_last) in [(REST_BYTES, 1), (REST_BYTES + 1, 2)] {
        let mut sender = TestSender::new(Cap::Off).await;
        let last = FILL_BYTES / FILE_BYTES;
        for request in 0..last {
            sender.request(request).await;
        }
        sender.request_first(last, FILL_BYTES % FILE_BYTES + rest).await;
        let (mut left, mut frames) = ((FILL_BYTES + rest) as usize, 0);
        while left > 0 {
            let next = sender.downloader.reader.next_frame::<FromHolder>();
            let frame = timeout(PATIENCE, next).await.unwrap().unwrap().unwrap();
            let Incoming::Piece { header, mut bytes } = frame else { panic!("{frame:?}") };
            left -= bytes;
            frames += u32::from(header.request == last);
            while bytes > 0 {
                bytes -= sender.downloader.reader.skip_data(bytes).await.unwrap();
            }
        }
        assert_eq!(frames, frames_of_last, "{rest} bytes");
    }
}
