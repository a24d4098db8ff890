//! Downloaders that do not read: what they hold up, and what they get in the end.
//!
//! Who is sent what in which order is tested in the core, and at the binary.

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
        hello::{Hello, VERSION},
        peer::{FromHolder, ListPage},
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ConnectionError, FILL_BYTES, Load, PeerKey, Queued, Sent, Shop, Work, send};
use crate::{
    identity::key::SecretKey,
    peer::{
        bandwidth::traffic::Traffic,
        swarm::partial::Parts,
        upload::{
            read::Source,
            slots::{Guest, Uploads},
        },
    },
    store::{folder::Folder, share::Share},
    transport::{
        accept::Acceptor,
        connection::{Greeted, Incoming},
        dial::dial,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing moves where nobody reads. Where it is too short, a test proves less, and does not fail.
const STILL: Duration = Duration::from_millis(500);

const DOWNLOADER: PeerKey = PeerKey([1; 32]);
const FILE_BYTES: u32 = 32_000;
const NAME: &str = "file";

/// A downloader that is sent to, and a folder with a file in it.
struct Sender {
    _temp: tempfile::TempDir,
    share: Share,
    content: Content,
    traffic: Arc<Traffic>,
    uploads: Uploads,
    load: Arc<Load>,
    works: mpsc::Sender<Work>,
    /// Its end of the connection.
    downloader: Greeted,
    sending: JoinHandle<Result<(), ConnectionError>>,
    _guest: Guest,
    _stop: tokio_util::sync::DropGuard,
}

fn hello() -> Hello {
    Hello { version: VERSION, agent: "test".into(), membership: None, reached_from_elsewhere: None }
}

async fn connection() -> (Greeted, Greeted) {
    let (holder, downloader) = (SecretKey::generate(), SecretKey::generate());
    let acceptor = Acceptor::bind(&[(Ipv4Addr::LOCALHOST, 0).into()], &holder).await.unwrap();
    let addresses = [acceptor.address()];
    let accepted = async { acceptor.accept().await.unwrap().handshake().await.unwrap() };
    let (here, there) = tokio::join!(accepted, dial(&addresses, &downloader, Some(holder.public())));
    let (here, there) = tokio::join!(here.greet(hello()), there.unwrap().greet(hello()));
    (here.unwrap(), there.unwrap())
}

impl Sender {
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
        let shop = Shop::new(share.clone(), Parts::new(), traffic.clone(), stop.clone());
        let uploads = shop.uploads.clone();
        let (guest, _) = uploads.guest(DOWNLOADER).await;
        let (here, downloader) = connection().await;
        let (load, (works, for_sender)) = (Arc::new(Load::default()), mpsc::channel(8192));
        let sent = Arc::new(Sent::default());
        let sending = send(here.writer, for_sender, DOWNLOADER, sent, load.clone(), shop);
        Self {
            _temp: temp,
            share,
            content,
            traffic,
            uploads,
            load,
            works,
            downloader,
            sending: tokio::spawn(sending),
            _guest: guest,
            _stop: stop.drop_guard(),
        }
    }

    /// The downloader asks for the file; it is opened anew, as by one who asks for many.
    async fn asks(&self, request: u32) {
        let (share, shared) = (self.share.clone(), self.share.find(&self.content).unwrap());
        let source = Source::Shared { share, shared, open: Arc::new(OnceLock::new()) };
        self.load.take_request();
        let (channel, offer) = (None, None);
        let queued = Queued { request, channel, offer, source, file_offset: 0, bytes: FILE_BYTES, done: 0 };
        self.works.send(Work::Piece(queued)).await.unwrap();
    }

    /// Tells the downloader more than the system keeps for one that does not read.
    async fn told_much(&self) {
        for first in 0.. {
            let page = ListPage { channel: 1, first, values: vec![7; 32_000] };
            assert!(self.load.take_list() || first > 0);
            self.works.send(Work::List(page)).await.unwrap();
            let taken = async {
                while self.works.capacity() < self.works.max_capacity() {
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
async fn one_that_is_next_under_the_limit_and_does_not_read_holds_up_nobody() {
    let sender = Sender::new(Cap::At(1)).await;
    sender.asks(1).await;
    // The piece waits for hours, before all others, when the connection comes to a stop.
    sender.told_much().await;
    sender.traffic.limit(Cap::At(1_000_000), Cap::Off);
    let sent = timeout(PATIENCE, sender.traffic.may_send(100_000)).await;
    assert!(sent.is_ok(), "another downloader goes on");
    assert!(!sender.sending.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_for_a_slot_and_does_not_read_gets_none() {
    let sender = Sender::new(Cap::At(1_000_000)).await;
    let others: Vec<PeerKey> = (100..).take(LIMITED_SLOTS).map(|byte| PeerKey([byte; 32])).collect();
    let (mut guests, mut slots) = (vec![], vec![]);
    for key in &others {
        guests.push(sender.uploads.guest(*key).await);
        slots.push(timeout(PATIENCE, sender.uploads.slot(*key, None)).await.unwrap().unwrap());
    }
    sender.asks(1).await;
    sender.told_much().await;
    drop(slots);
    let mut slots = vec![];
    for key in &others {
        let slot = timeout(PATIENCE, sender.uploads.slot(*key, None)).await;
        slots.push(slot.expect("the slot is another's"));
    }
    assert!(!sender.sending.is_finished());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_ahead_and_withdrawn_since_is_refused() {
    const REQUESTS: u32 = 1500;
    let mut sender = Sender::new(Cap::Off).await;
    for request in 0..REQUESTS {
        sender.asks(request).await;
    }
    let mut left = 0;
    while left != sender.load.requests() {
        left = sender.load.requests();
        tokio::time::sleep(STILL).await;
    }
    sender.share.remove_for_test(&NAME.parse().unwrap());
    let answered = REQUESTS - u32::try_from(sender.load.requests()).unwrap();
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
    // The buffer that was being written goes out.
    let written = FILL_BYTES.div_ceil(FILE_BYTES);
    assert!(sent <= answered + written, "{sent} were sent, {answered} before it was withdrawn");
}
