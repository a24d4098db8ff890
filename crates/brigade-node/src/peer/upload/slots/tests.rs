//! Turns between connections: who waits, who goes, and who comes back before the old connection is known to be dead.
//!
//! Whose turn it is, is tested in the core.

use std::time::Duration;

use brigade_core::{id::ContentId, upload::LIMITED_SLOTS};
use tokio::time::timeout;

use super::{
    Ask, CancellationToken, Cap, Content, Guest, Owner, PeerKey, PieceIndex, Slot, Uploads, Want, mpsc,
    oneshot, watch,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// More than are on offer at once.
const LATER: u32 = 4;
const CONTENT: Content = Content { id: ContentId([3; 32]), size: 10 << 20 };

fn limited(stop: &CancellationToken) -> (Uploads, watch::Sender<Cap>) {
    let (cap, told) = watch::channel(Cap::At(1_000_000));
    (Uploads::start(told, stop.clone()), cap)
}

/// Takes every slot there is, for newcomers whose connections last as long.
async fn all_slots(uploads: &Uploads) -> Vec<(Slot, Guest)> {
    let mut slots = vec![];
    for number in 0..LIMITED_SLOTS {
        let key = PeerKey([100 + u8::try_from(number).unwrap(); 32]);
        let (guest, _) = uploads.guest(key).await;
        slots.push((timeout(PATIENCE, uploads.slot(key, None)).await.unwrap().unwrap(), guest));
    }
    slots
}

/// As where a cap is lifted: whoever waited goes on without a slot.
#[tokio::test]
async fn who_stops_waiting_takes_no_slot_with_it() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let mut guests = vec![];
    for number in 0..20 {
        guests.push(uploads.guest(PeerKey([number; 32])).await);
    }
    for _ in 0..10 {
        let held = all_slots(&uploads).await;
        let mut waiting = vec![];
        for number in 0..20 {
            let mut wants = Box::pin(uploads.slot(PeerKey([number; 32]), None));
            assert!(timeout(Duration::ZERO, &mut wants).await.is_err(), "there are only so many slots");
            waiting.push(wants);
        }
        // Some leave while nobody has a slot for them, some when they may have just got one.
        waiting.truncate(10);
        drop(held);
        tokio::task::yield_now().await;
        drop(waiting);
    }
    drop(all_slots(&uploads).await);
    stop.cancel();
}

/// A newcomer that asks and takes back, over and over, leaves nothing behind.
#[test]
fn what_is_taken_back_does_not_pile_up() {
    let (asks, mut heard) = mpsc::channel(9);
    let mut owner = Owner::new(asks);
    owner.upload.set_limit(Some(1));
    let key = PeerKey([1; 32]);
    owner.hear(Ask::Came(key));
    for _ in 0..1000 {
        let (granted, _) = oneshot::channel();
        owner.wait_for_slot(key, None, granted);
    }
    let number = owner.numbers.number(key);
    assert_eq!(owner.guests[&number].waiting.len(), 1);
    owner.grant();
    owner.hear(heard.try_recv().unwrap()); // the slot that nobody waits for comes back
    assert_eq!((owner.guests[&number].waiting.len(), owner.upload.taken()), (0, 0));
}

/// As where a newcomer comes back before its dead connection is known to be dead.
#[tokio::test]
async fn offers_go_to_the_connection_that_wanted_last_and_to_the_other_when_that_wants_no_more() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let key = PeerKey([1; 32]);
    let want = Want { content: CONTENT, complete: Some(40), uplink: None };
    let (old, mut to_old) = uploads.guest(key).await;
    old.wants(want).unwrap();
    timeout(PATIENCE, to_old.recv()).await.unwrap().unwrap(); // nobody answers it
    let (new, mut to_new) = uploads.guest(key).await;
    new.wants(want).unwrap();
    drop(old);
    let offered = timeout(PATIENCE, to_new.recv()).await.unwrap().unwrap();
    new.accepts(offered.offer, offered.pieces[0]).unwrap();
    stop.cancel();
    // The same while the old one seems to live, and again after the new one needed nothing for a moment.
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    let (old, mut to_old) = uploads.guest(key).await;
    old.wants(want).unwrap();
    timeout(PATIENCE, to_old.recv()).await.unwrap().unwrap();
    let (new, mut to_new) = uploads.guest(key).await;
    for _ in 0..3 {
        new.wants(want).unwrap();
        timeout(PATIENCE, to_new.recv()).await.unwrap().unwrap();
        while to_new.try_recv().is_ok() {}
        new.wants_no_more(CONTENT).unwrap();
    }
    stop.cancel();
    for leaves in [false, true] {
        let stop = CancellationToken::new();
        let (uploads, _cap) = limited(&stop);
        let (earlier, mut to_earlier) = uploads.guest(key).await;
        earlier.wants(want).unwrap();
        let first = timeout(PATIENCE, to_earlier.recv()).await.unwrap().unwrap();
        let (later, _to_later) = uploads.guest(key).await;
        later.wants(want).unwrap();
        if leaves {
            drop(later);
        } else {
            later.wants_no_more(CONTENT).unwrap();
        }
        let again = async { while to_earlier.recv().await.unwrap().offer.0 < first.offer.0 + LATER {} };
        timeout(PATIENCE, again).await.unwrap();
        stop.cancel();
    }
}

/// Whoever goes with offers in hand, taken up or not, leaves its turns to the others.
#[tokio::test]
async fn turns_outlive_no_connection() {
    let stop = CancellationToken::new();
    let (uploads, _cap) = limited(&stop);
    for number in 0..100 {
        let key = PeerKey([number; 32]);
        let (guest, mut offers) = uploads.guest(key).await;
        guest.wants(Want { content: CONTENT, complete: Some(40), uplink: None }).unwrap();
        let first = timeout(PATIENCE, offers.recv()).await.unwrap().unwrap();
        match number % 4 {
            0 => {}
            1 => std::mem::forget(guest.accepts(first.offer, first.pieces[0]).unwrap()),
            2 => guest.wants_no_more(CONTENT).unwrap(),
            _ => {
                let mut accepted = guest.accepts(first.offer, PieceIndex(7)).unwrap();
                accepted.has_its_slot();
                drop(timeout(PATIENCE, uploads.slot(key, Some(first.offer))).await.unwrap().unwrap());
            }
        }
    }
    drop(all_slots(&uploads).await);
    stop.cancel();
}

/// Peers come, want, are served, and go; whoever of them comes late with what it still had to say changes nothing.
#[test]
fn a_hundred_thousand_newcomers_leave_a_table_of_bounded_size() {
    let (asks, mut heard) = mpsc::channel(99);
    let mut owner = Owner::new(asks);
    owner.upload.set_limit(Some(1_000_000));
    let (desk, mut offers) = mpsc::channel(9);
    for number in 0..100_000_u32 {
        let mut key = PeerKey([0; 32]);
        key.0[..4].copy_from_slice(&number.to_be_bytes());
        owner.hear(Ask::Came(key));
        // The core looks through all that it remembers for every turn: most want nothing.
        if matches!(number % 50, 1 | 2) {
            let want = Want { content: CONTENT, complete: Some(40), uplink: None };
            owner.hear(Ask::Wants { newcomer: key, want, desk: desk.clone() });
            owner.grant();
            while offers.try_recv().is_ok() {}
        }
        if number % 50 == 2 {
            let (granted, slot) = oneshot::channel();
            owner.hear(Ask::Slot { newcomer: key, offer: None, granted });
            owner.grant();
            slot.blocking_recv().unwrap().bytes = 1000;
            owner.hear(heard.try_recv().unwrap()); // it is done
        }
        owner.hear(Ask::Left(key, desk.clone()));
        let (granted, slot) = oneshot::channel();
        owner.hear(Ask::Slot { newcomer: key, offer: None, granted });
        assert!(slot.blocking_recv().is_err());
        owner.hear(Ask::Done { newcomer: key, offer: None, bytes: 0, goes_on: false });
    }
    assert_eq!((owner.guests.len(), owner.accepted.len()), (0, 0));
    assert!(owner.numbers.len() <= brigade_core::limits::SERVED_REMEMBERED, "{}", owner.numbers.len());
    assert_eq!(owner.upload.totals().count(), owner.numbers.len());
}
