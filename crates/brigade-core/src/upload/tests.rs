//! Whose turn it is, as tables of wants, offers and grants.
//!
//! Whole crowds are simulated in `brigade-sim`.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Content, DownloaderId, Grant, LIMITED_SLOTS, OfferId, ServedPieces, Timestamp, Upload, UploadTotal,
    WantedContent, check, limits,
};
use crate::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::ContentId,
    wire::Reason,
};

const PIECE: u64 = 256 << 10;
const CONTENT: Content = Content { id: ContentId([7; 32]), size: 100 * PIECE };

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn limited() -> Upload {
    Upload::new(Some(10 * PIECE), 1)
}

/// Whose requests are served now, in order, as numbers.
fn grants(upload: &mut Upload) -> Vec<u32> {
    let grants = std::iter::from_fn(|| upload.next_grant());
    let served = grants.map(|grant| match grant {
        Grant::Serve { downloader, .. } => downloader.0,
        Grant::Offer { .. } => panic!("nobody wants anything"),
    });
    served.collect()
}

/// What is offered now: to whom, under which number, and which pieces.
fn offers(upload: &mut Upload) -> Vec<(DownloaderId, OfferId, Vec<PieceIndex>)> {
    let grants = std::iter::from_fn(|| upload.next_grant());
    let offered = grants.filter_map(|grant| match grant {
        Grant::Offer { downloader, offer, pieces, .. } => Some((downloader, offer, pieces)),
        Grant::Serve { .. } => None,
    });
    offered.collect()
}

fn want(upload: &mut Upload, downloader: u32, complete: Option<u32>, uplink: Option<u64>) {
    upload.want(at(0), DownloaderId(downloader), WantedContent { content: CONTENT, complete, uplink });
}

/// Serves everything for so many pieces; how many each of the downloaders got.
fn serve(
    upload: &mut Upload,
    pieces: u32,
    choose: impl Fn(u32, &[PieceIndex]) -> PieceIndex,
) -> Vec<(u32, u64)> {
    let mut now = at(0);
    let mut sending = vec![];
    for _ in 0..pieces {
        loop {
            match upload.next_grant() {
                Some(Grant::Offer { downloader, offer, pieces, .. }) => {
                    assert!(upload.accept(now, downloader, offer, choose(downloader.0, &pieces)));
                    upload.ready(downloader, offer);
                }
                Some(Grant::Serve { downloader, offer }) => sending.push((downloader, offer)),
                None => break,
            }
        }
        assert!(sending.len() <= LIMITED_SLOTS && !sending.is_empty());
        now = now.after(Duration::from_millis(100));
        let (downloader, offer) = sending.remove(0);
        upload.done(now, downloader, offer, PIECE);
    }
    upload.totals().map(|(downloader, total)| (downloader.0, total.pieces)).collect()
}

#[test]
fn refusals_come_from_cheap_to_dear() {
    let geometry = Geometry::new(3 * PIECE).unwrap();
    let mut pieces = Bitfield::none(3);
    pieces.set(PieceIndex(1));
    let some = Some((&geometry, ServedPieces::Some(&pieces)));
    assert_eq!(check(limits::REQUESTS_IN_FLIGHT, None, PieceIndex(9)), Err(Reason::TooMuch));
    assert_eq!(check(0, None, PieceIndex(9)), Err(Reason::NotFound));
    assert_eq!(check(0, some, PieceIndex(3)), Err(Reason::Protocol));
    assert_eq!(check(0, some, PieceIndex(2)), Err(Reason::NoPiece));
    assert_eq!(check(0, some, PieceIndex(1)), Ok(()));
    let most = limits::REQUESTS_IN_FLIGHT - 1;
    assert_eq!(check(most, Some((&geometry, ServedPieces::All)), PieceIndex(2)), Ok(()));
}

#[test]
fn without_a_limit_everyone_is_served_at_once_and_nothing_is_offered() {
    let mut upload = Upload::new(None, 1);
    want(&mut upload, 1, Some(100), None);
    (0..100).for_each(|downloader| upload.request(at(0), DownloaderId(downloader)));
    assert_eq!(grants(&mut upload).len(), 100);
    upload.set_limit(Some(PIECE));
    assert_eq!(offers(&mut upload), [], "all turns are taken");
}

#[test]
fn requests_go_round_by_who_had_least() {
    let mut upload = limited();
    for downloader in [1, 1, 1, 2, 2, 2, 3] {
        upload.request(at(0), DownloaderId(downloader));
    }
    assert_eq!(grants(&mut upload), [1, 2]);
    upload.done(at(1), DownloaderId(1), None, PIECE);
    assert_eq!(grants(&mut upload), [3]);
    upload.done(at(2), DownloaderId(3), None, PIECE / 2);
    upload.done(at(2), DownloaderId(2), None, PIECE / 4);
    assert_eq!(grants(&mut upload).len(), LIMITED_SLOTS);
}

#[test]
fn shares_are_even_whoever_asks_for_more() {
    let mut upload = limited();
    (0..50).for_each(|_| upload.request(at(0), DownloaderId(1)));
    (0..400).for_each(|_| upload.request(at(0), DownloaderId(2)));
    let shares = serve(&mut upload, 80, |_, _| PieceIndex(0));
    assert!(shares[0].1.abs_diff(shares[1].1) <= 1, "{shares:?}");
}

#[test]
fn offers_come_in_turn_and_each_names_other_pieces_that_were_not_sent() {
    let mut upload = limited();
    (1..9).for_each(|downloader| want(&mut upload, downloader, Some(100), None));
    let first = offers(&mut upload);
    let to: BTreeSet<_> = first.iter().map(|(downloader, ..)| *downloader).collect();
    assert_eq!(to.len(), first.len(), "nobody has two turns while another waits");
    assert!(first.len() > LIMITED_SLOTS, "one is on its way while others are sent");
    let pieces: Vec<_> = first.iter().flat_map(|(.., pieces)| pieces).collect();
    assert_eq!(pieces.iter().collect::<BTreeSet<_>>().len(), pieces.len());
    assert_eq!(first[0].2[0], PieceIndex(99), "the last one proves the size");
}

#[test]
fn the_first_copy_of_every_piece_leaves_before_the_second_of_any() {
    let mut upload = limited();
    (1..9).for_each(|downloader| want(&mut upload, downloader, Some(100), None));
    let sent = std::cell::RefCell::new(BTreeSet::new());
    let shares = serve(&mut upload, 96, |_, pieces| {
        assert!(sent.borrow_mut().insert(pieces[0]), "{pieces:?}");
        pieces[0]
    });
    assert!(shares.iter().all(|(_, pieces)| *pieces == 12), "{shares:?}");
}

#[test]
fn faster_uplinks_get_more_new_pieces_and_downloaders_without_uplink_come_last() {
    let mut upload = limited();
    let rate = 10 * PIECE;
    for (downloader, uplink) in
        [(1, Some(rate)), (2, Some(rate)), (3, Some(4 * rate)), (4, Some(0)), (5, None)]
    {
        want(&mut upload, downloader, Some(100), uplink);
    }
    let shares = serve(&mut upload, 95, |_, pieces| pieces.first().copied().unwrap_or(PieceIndex(0)));
    let [one, two, fast, taker, unknown] = shares[..].try_into().unwrap();
    assert!(fast.1 > one.1 * 2 && one.1.abs_diff(two.1) <= 2 && one.1.abs_diff(unknown.1) <= 2, "{shares:?}");
    assert!(taker.1 >= 1 && taker.1 <= 4, "{shares:?}");

    // Of one that has only a part, all get the same.
    let mut upload = limited();
    want(&mut upload, 1, None, Some(rate));
    want(&mut upload, 2, None, Some(8 * rate));
    let shares = serve(&mut upload, 40, |_, pieces| {
        assert_eq!(pieces, [], "a part was not chosen by what was sent");
        PieceIndex(0)
    });
    assert!(shares[0].1.abs_diff(shares[1].1) <= 1, "{shares:?}");
}

#[test]
fn a_declined_offer_goes_to_the_next_until_more_is_wanted() {
    let mut upload = limited();
    want(&mut upload, 1, None, None);
    let (downloader, offer, _) = offers(&mut upload).remove(0);
    upload.unwant(downloader, &CONTENT);
    assert_eq!(offers(&mut upload), []);
    assert!(!upload.accept(at(1), downloader, offer, PieceIndex(1)));
    want(&mut upload, 1, None, None);
    assert!(!offers(&mut upload).is_empty());
    upload.unwant(DownloaderId(1), &CONTENT);
    assert_eq!(offers(&mut upload), []);
}

#[test]
fn an_offer_that_nobody_answers_goes_to_another() {
    let mut upload = limited();
    want(&mut upload, 1, None, None);
    let made = offers(&mut upload);
    assert!(!made.is_empty());
    want(&mut upload, 2, None, None);
    assert_eq!(offers(&mut upload), [], "all turns are given");
    let due = upload.deadline().unwrap();
    assert_eq!(due, at(2000));
    upload.handle_timeout(due);
    assert!(offers(&mut upload).iter().all(|(downloader, ..)| *downloader == DownloaderId(2)));
    // It answers after all: its request waits like any other, and it is offered turns again.
    assert!(!upload.accept(at(2100), DownloaderId(1), made[0].1, PieceIndex(3)));
    upload.request(at(2100), DownloaderId(1));
    upload.unwant(DownloaderId(2), &CONTENT);
    let offered = offers(&mut upload);
    assert!(offered.iter().any(|(downloader, ..)| *downloader == DownloaderId(1)), "{offered:?}");
}

/// What it did not answer was of a content that it has by now.
#[test]
fn an_unanswered_offer_does_not_block_offers_of_another_content() {
    let mut upload = limited();
    want(&mut upload, 1, None, None);
    assert!(!offers(&mut upload).is_empty());
    let other = Content { id: ContentId([8; 32]), size: CONTENT.size };
    upload.want(at(10), DownloaderId(1), WantedContent { content: other, complete: None, uplink: None });
    upload.handle_timeout(upload.deadline().unwrap());
    assert_eq!(offers(&mut upload), [], "it is silent");
    upload.unwant(DownloaderId(1), &CONTENT);
    assert!(!offers(&mut upload).is_empty());
}

#[test]
fn a_cancelled_request_frees_its_turn_in_any_state() {
    let mut upload = limited();
    for downloader in [1, 2, 3, 3] {
        upload.request(at(0), DownloaderId(downloader));
    }
    assert_eq!(grants(&mut upload), [1, 2]);
    // The third waits for the line by now, its second request for its turn.
    upload.cancel(DownloaderId(3));
    upload.cancel(DownloaderId(3));
    upload.cancel(DownloaderId(3));
    upload.request(at(1), DownloaderId(4));
    upload.done(at(2), DownloaderId(1), None, PIECE);
    upload.done(at(2), DownloaderId(2), None, PIECE);
    assert_eq!(grants(&mut upload), [4]);
}

/// Requests that take up no offer may stand before those that do on the same connection.
#[test]
fn a_request_is_served_although_all_turns_are_given_to_what_stands_behind_it() {
    let mut upload = limited();
    want(&mut upload, 1, None, None);
    for (downloader, offer, _) in offers(&mut upload) {
        assert!(upload.accept(at(1), downloader, offer, PieceIndex(1)));
    }
    upload.request(at(1), DownloaderId(1));
    assert_eq!(grants(&mut upload), [1]);
}

#[test]
fn a_downloader_that_blocks_its_own_turns_delays_no_other() {
    let mut upload = limited();
    want(&mut upload, 1, None, None);
    for (downloader, offer, _) in offers(&mut upload) {
        assert!(upload.accept(at(1), downloader, offer, PieceIndex(1)));
    }
    want(&mut upload, 2, None, None);
    assert_eq!(offers(&mut upload), []);
    let due = upload.deadline().unwrap();
    upload.handle_timeout(due);
    assert!(offers(&mut upload).iter().all(|(downloader, ..)| *downloader == DownloaderId(2)));
    assert!(upload.deadline().is_some_and(|next| next > due));
}

#[test]
fn a_limit_that_comes_and_goes_takes_no_turns_with_it() {
    let mut upload = limited();
    for _ in 0..5 {
        want(&mut upload, 1, None, None);
        let made = offers(&mut upload);
        assert!(made.len() > LIMITED_SLOTS, "{}", made.len());
        for (downloader, offer, _) in &made[1..] {
            assert!(upload.accept(at(1), *downloader, *offer, PieceIndex(1)));
        }
        upload.set_limit(None);
        assert!(!upload.ready(DownloaderId(1), made[1].1), "without a limit nobody waits for a turn");
        upload.unwant(DownloaderId(1), &CONTENT);
        upload.set_limit(Some(10 * PIECE));
    }
}

#[test]
fn returned_pieces_are_offered_again() {
    let mut upload = Upload::new(Some(PIECE), 1);
    want(&mut upload, 1, Some(2), None);
    let made = offers(&mut upload);
    let (downloader, offer, pieces) = made[0].clone();
    assert!(upload.accept(at(0), downloader, offer, pieces[0]));
    upload.give_back(downloader, offer);
    made.iter().skip(1).for_each(|(downloader, offer, _)| upload.give_back(*downloader, *offer));
    let named: BTreeSet<_> = offers(&mut upload).into_iter().flat_map(|(.., pieces)| pieces).collect();
    assert_eq!(named.len(), 2);
}

/// A piece that is cut off, be it by the last byte, by leaving, or not at all; and one that goes on without its slot,
/// because its downloader reads slowly.
#[test]
fn an_incompletely_sent_piece_counts_as_not_sent() {
    for (bytes, leaves, continues_without_slot, left) in
        [(0, true, false, 2), (PIECE - 1, false, false, 2), (PIECE, false, false, 1), (9, false, true, 1)]
    {
        let mut upload = Upload::new(Some(PIECE), 1);
        want(&mut upload, 1, Some(2), None);
        let made = offers(&mut upload);
        let (downloader, offer, pieces) = made[0].clone();
        assert!(upload.accept(at(0), downloader, offer, pieces[0]) && upload.ready(downloader, offer));
        made.iter().skip(1).for_each(|(downloader, offer, _)| upload.give_back(*downloader, *offer));
        while upload.next_grant().is_some_and(|grant| matches!(grant, Grant::Offer { .. })) {}
        if continues_without_slot {
            upload.goes_on(offer);
        }
        if !leaves {
            upload.done(at(1), downloader, Some(offer), bytes);
        }
        upload.disconnected(downloader);
        want(&mut upload, 9, Some(2), None);
        let named: BTreeSet<_> = offers(&mut upload).into_iter().flat_map(|(.., pieces)| pieces).collect();
        assert_eq!(named.len(), left, "{bytes} bytes, {leaves}, {continues_without_slot}");
    }
}

#[test]
fn the_first_wanted_content_sets_the_weight() {
    let mut upload = limited();
    let rate = 10 * PIECE;
    let part = Content { id: ContentId([8; 32]), size: CONTENT.size };
    for downloader in [1, 2] {
        let uplink = Some(if downloader == 1 { 4 * rate } else { rate });
        want(&mut upload, downloader, Some(100), uplink);
        // That it wants something of which only a part is here changes nothing.
        upload.want(at(0), DownloaderId(downloader), WantedContent { content: part, complete: None, uplink });
    }
    let shares = serve(&mut upload, 60, |_, pieces| pieces[0]);
    assert!(shares[0].1 > shares[1].1 * 2, "{shares:?}");
}

#[test]
fn a_downloader_that_leaves_frees_its_slots_and_keeps_its_total() {
    let mut upload = limited();
    (0..3).for_each(|_| upload.request(at(0), DownloaderId(1)));
    upload.request(at(0), DownloaderId(2));
    assert_eq!(grants(&mut upload), [1, 2]);
    upload.done(at(1), DownloaderId(1), None, 10);
    assert_eq!(grants(&mut upload), [1]);
    upload.disconnected(DownloaderId(2));
    upload.done(at(2), DownloaderId(2), None, 10);
    assert_eq!(grants(&mut upload), [1]);
    want(&mut upload, 1, Some(9), None);
    upload.disconnected(DownloaderId(1));
    assert_eq!((upload.taken(), upload.next_grant()), (0, None));
    let total = UploadTotal { bytes: 10, pieces: 1 };
    assert_eq!(upload.totals().collect::<Vec<_>>(), [(DownloaderId(1), total), (DownloaderId(2), total)]);
}

#[test]
fn downloaders_that_left_do_not_fill_the_memory() {
    let mut upload = Upload::new(None, 1);
    let mut forgotten = BTreeSet::new();
    for downloader in 0..100_000 {
        let downloader = DownloaderId(downloader);
        upload.request(at(0), downloader);
        grants(&mut upload);
        let gets = downloader.0.is_multiple_of(20);
        upload.done(at(0), downloader, None, if gets { 10 } else { 0 });
        let freed = upload.disconnected(downloader);
        assert!(freed.is_none_or(|freed| forgotten.insert(freed)), "each is forgotten once");
        assert_eq!(freed == Some(downloader), !gets, "who got nothing, at once");
        assert_eq!(
            upload.disconnected(DownloaderId(1)),
            Some(DownloaderId(1)),
            "who is not known is of no use"
        );
    }
    assert_eq!(forgotten.len() + limits::REMEMBERED_DOWNLOADERS, 100_000);
    assert_eq!(upload.totals().count(), limits::REMEMBERED_DOWNLOADERS);
}
