//! Turns of several connections: one waits, one ends, one replaces another that is not yet known to be dead.
//!
//! The order of the turns is tested in the core.

use std::time::Duration;

use brigade_core::{geometry::PieceIndex, id::ContentId, upload::LIMITED_SLOTS};
use tokio::time::timeout;

use super::{
    CancellationToken, Cap, Content, PeerKey, Slot, ToUploadOwner, UploadOwner, Uploads, WantedContent, mpsc,
    oneshot, start, watch,
};
use crate::peer::upload::wants_and_offers::UploadClient;

const PATIENCE: Duration = Duration::from_secs(20);
/// More than are on offer at once.
const LATER: u32 = 4;
const CONTENT: Content = Content { id: ContentId([3; 32]), size: 10 << 20 };

fn limited(stop: &CancellationToken) -> (Uploads, watch::Sender<Cap>) {
    let (cap, limit) = watch::channel(Cap::At(1_000_000));
    (start(limit, stop.clone()), cap)
}

/// Takes all slots, for downloaders that stay connected as long.
async fn all_slots(uploads: &Uploads) -> Vec<(Slot, UploadClient)> {
    let mut slots = vec![];
    for number in 0..LIMITED_SLOTS {
        let key = PeerKey([100 + u8::try_from(number).unwrap(); 32]);
        let (client, _) = UploadClient::connect(uploads, key).await;
        slots.push((timeout(PATIENCE, uploads.slot(key, None)).await.unwrap().unwrap(), client));
    }
    slots
}

/// As when a limit is removed: a waiting connection then goes on without a slot.
#[tokio::test]
async fn a_connection_that_stops_waiting_takes_no_slot() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let mut clients = vec![];
    for number in 0..20 {
        clients.push(UploadClient::connect(&uploads, PeerKey([number; 32])).await);
    }
    for _ in 0..10 {
        let held = all_slots(&uploads).await;
        let mut waiting = vec![];
        for number in 0..20 {
            let mut wants = Box::pin(uploads.slot(PeerKey([number; 32]), None));
            assert!(timeout(Duration::ZERO, &mut wants).await.is_err(), "there are only so many slots");
            waiting.push(wants);
        }
        // Some stop waiting while there is no slot for them, some when they may have just got one.
        waiting.truncate(10);
        drop(held);
        tokio::task::yield_now().await;
        drop(waiting);
    }
    drop(all_slots(&uploads).await);
    stop.cancel();
}

/// A downloader that requests and cancels, over and over, leaves nothing behind.
#[test]
fn cancelled_requests_do_not_pile_up() {
    let (messages, mut received) = mpsc::channel(9);
    let mut owner = UploadOwner::new(Uploads(messages));
    owner.upload.set_limit(Some(1));
    let key = PeerKey([1; 32]);
    owner.handle(ToUploadOwner::Connected(key));
    for _ in 0..1000 {
        let (granted, _) = oneshot::channel();
        owner.wait_for_slot(key, None, granted);
    }
    let number = owner.ids.get(key).unwrap();
    assert_eq!(owner.downloaders[&number].waiting.len(), 1);
    owner.carry_out();
    owner.handle(received.try_recv().unwrap()); // the slot without a receiver is free again
    assert_eq!((owner.downloaders[&number].waiting.len(), owner.upload.taken()), (0, 0));
}

/// As when a downloader reconnects before its dead connection is known to be dead.
#[tokio::test]
async fn offers_go_to_the_connection_that_wanted_last_and_to_the_other_when_that_wants_no_more() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let key = PeerKey([1; 32]);
    let want = WantedContent { content: CONTENT, complete: Some(40), uplink: None };
    let (old, mut to_old) = UploadClient::connect(&uploads, key).await;
    old.want(want).unwrap();
    timeout(PATIENCE, to_old.recv()).await.unwrap().unwrap(); // it is not answered
    let (new, mut to_new) = UploadClient::connect(&uploads, key).await;
    new.want(want).unwrap();
    drop(old);
    let offered = timeout(PATIENCE, to_new.recv()).await.unwrap().unwrap();
    new.accept(offered.offer, offered.pieces[0]).unwrap();
    stop.cancel();
    // The same while the old one seems to live, and again after the new one needed nothing for a moment.
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let (old, mut to_old) = UploadClient::connect(&uploads, key).await;
    old.want(want).unwrap();
    timeout(PATIENCE, to_old.recv()).await.unwrap().unwrap();
    let (new, mut to_new) = UploadClient::connect(&uploads, key).await;
    for _ in 0..3 {
        new.want(want).unwrap();
        timeout(PATIENCE, to_new.recv()).await.unwrap().unwrap();
        while to_new.try_recv().is_ok() {}
        new.unwant(CONTENT).unwrap();
    }
    stop.cancel();
    for leaves in [false, true] {
        let stop = CancellationToken::new();
        let (uploads, _cap) = limited(&stop);
        let (earlier, mut to_earlier) = UploadClient::connect(&uploads, key).await;
        earlier.want(want).unwrap();
        let first = timeout(PATIENCE, to_earlier.recv()).await.unwrap().unwrap();
        let (later, _to_later) = UploadClient::connect(&uploads, key).await;
        later.want(want).unwrap();
        if leaves {
            drop(later);
        } else {
            later.unwant(CONTENT).unwrap();
        }
        let again = async { while to_earlier.recv().await.unwrap().offer.0 < first.offer.0 + LATER {} };
        timeout(PATIENCE, again).await.unwrap();
        stop.cancel();
    }
}

/// A downloader that disconnects with open offers, accepted or not, leaves its turns to the others.
#[tokio::test]
async fn a_downloader_that_disconnects_leaves_no_turns() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    for number in 0..100 {
        let key = PeerKey([number; 32]);
        let (client, mut offers) = UploadClient::connect(&uploads, key).await;
        client.want(WantedContent { content: CONTENT, complete: Some(40), uplink: None }).unwrap();
        let first = timeout(PATIENCE, offers.recv()).await.unwrap().unwrap();
        match number % 4 {
            0 => {}
            1 => std::mem::forget(client.accept(first.offer, first.pieces[0]).unwrap()),
            2 => client.unwant(CONTENT).unwrap(),
            _ => {
                let mut accepted = client.accept(first.offer, PieceIndex(7)).unwrap();
                accepted.set_has_slot();
                drop(timeout(PATIENCE, uploads.slot(key, Some(first.offer))).await.unwrap().unwrap());
            }
        }
    }
    drop(all_slots(&uploads).await);
    stop.cancel();
}

/// Peers connect, want, are served, and disconnect; late messages about them change nothing.
#[test]
fn a_hundred_thousand_downloaders_leave_a_table_of_bounded_size() {
    let (messages, mut received) = mpsc::channel(99);
    let mut owner = UploadOwner::new(Uploads(messages));
    owner.upload.set_limit(Some(1_000_000));
    let (offers, mut offers_out) = mpsc::channel(9);
    for number in 0..100_000_u32 {
        let mut key = PeerKey([0; 32]);
        key.0[..4].copy_from_slice(&number.to_be_bytes());
        owner.handle(ToUploadOwner::Connected(key));
        // The core looks through all that it remembers for every turn: most want nothing.
        if matches!(number % 50, 1 | 2) {
            let want = WantedContent { content: CONTENT, complete: Some(40), uplink: None };
            owner.handle(ToUploadOwner::Want { downloader: key, want, offers: offers.clone() });
            owner.carry_out();
            while offers_out.try_recv().is_ok() {}
        }
        if number % 50 == 2 {
            let (granted, slot) = oneshot::channel();
            owner.handle(ToUploadOwner::Slot { downloader: key, offer: None, granted });
            owner.carry_out();
            slot.blocking_recv().unwrap().bytes = 1000;
            owner.handle(received.try_recv().unwrap()); // it is done
        }
        owner.handle(ToUploadOwner::Disconnected(key, offers.clone()));
        let (granted, slot) = oneshot::channel();
        owner.handle(ToUploadOwner::Slot { downloader: key, offer: None, granted });
        assert!(slot.blocking_recv().is_err());
        owner.handle(ToUploadOwner::Done {
            downloader: key,
            offer: None,
            bytes: 0,
            continues_without_slot: false,
        });
    }
    assert_eq!((owner.downloaders.len(), owner.accepted.len()), (0, 0));
    assert_eq!(owner.ids.by_key.len(), owner.ids.keys.len());
    assert!(owner.ids.keys.len() <= brigade_core::limits::REMEMBERED_DOWNLOADERS, "{}", owner.ids.keys.len());
    assert_eq!(owner.upload.totals().count(), owner.ids.keys.len());
}
