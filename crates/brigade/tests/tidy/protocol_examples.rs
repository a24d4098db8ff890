//! The bytes in `docs/protocol.md` are those of the code: each example is encoded here and compared.
//!
//! An example is a fenced block that begins with ```` ```hex NAME ````; on each line the bytes are before a `;`, and
//! their meaning after it. A failing test prints the right bytes.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use brigade_core::{
    geometry::Geometry,
    id::ContentId,
    piece_list::fold,
    time::UnixTime,
    wire::{
        Message, Reason,
        frame::{self, PIECE_DATA_BYTES, PieceHeader},
        greeting::{Goodbye, Greeting, Hello},
        manager::{FromManager, Lookup, LookupResult, ToManager, Version},
        peer::{AskList, FromHolder, HaveAll, ListPage, Open, Refuse, Request, RequestWhole, ToHolder},
    },
};
use brigade_node::internals_for_tests::verify;

use crate::protocol_document::document;

/// The file of one piece in the examples.
const SMALL: &[u8] = b"pass it on\n";

/// The size of the file of several pieces in the examples.
const LARGE_BYTES: usize = 600_000;

/// The size of a chunk of BLAKE3.
const CHUNK_BYTES: usize = 1024;

/// The lines of the document's block that begins with `fence`.
fn block(fence: &str) -> Vec<String> {
    let document = document();
    let lines = document.lines().skip_while(|line| *line != fence).skip(1).take_while(|line| *line != "```");
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn check(name: &str, expected: &[u8]) {
    let fence = format!("```hex {name}");
    let lines = block(&fence);
    let bytes = lines.iter().filter_map(|line| line.split(';').next());
    let digits: String = bytes.flat_map(str::split_whitespace).collect();
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        digits == expected,
        "docs/protocol.md: the block `{fence}` is not what is sent, which is\n{expected}"
    );
}

#[track_caller]
fn check_message(name: &str, message: &impl Message) {
    let mut bytes = vec![];
    frame::encode(message, &mut bytes);
    check(name, &bytes);
}

fn small_id() -> ContentId {
    ContentId(*blake3::hash(SMALL).as_bytes())
}

/// The bytes of the large file: 251 is prime, so bytes at a wrong position are found.
fn large_bytes() -> Vec<u8> {
    (0..=250).cycle().take(LARGE_BYTES).collect()
}

/// The chaining values of the pieces of the large file.
fn large_values() -> Vec<[u8; 32]> {
    let bytes = large_bytes();
    let geometry = Geometry::new(LARGE_BYTES as u64).unwrap();
    let value = |piece| {
        let start = usize::try_from(geometry.offset(piece)).unwrap();
        let data = &bytes[start..start + geometry.length(piece) as usize];
        blake3::Hasher::new().set_input_offset(start as u64).update(data).finalize_non_root()
    };
    geometry.pieces().map(value).collect()
}

fn large_id() -> ContentId {
    fold(&large_values()).unwrap()
}

#[test]
fn greetings() {
    let hello =
        Hello { version: 1, agent: "brigade/0.1.0".into(), membership: None, reached_from_elsewhere: None };
    check_message("hello", &Greeting::from(hello));
    let goodbye = Goodbye { reason: Reason::Full, text: "20 of 20 peers are here".into() };
    check_message("goodbye", &Greeting::from(goodbye));
}

#[test]
fn a_membership_and_the_hello_that_carries_it() {
    let token = block("```token").concat();
    let payload = block("```json").concat();
    let key =
        |claim: &str| payload.split(claim).nth(1).and_then(|rest| rest.get(..64)).unwrap().parse().unwrap();
    let (network, member) = (key(r#""network":""#), key(r#""key":""#));
    let claims = verify(Some(&token), network, member, UnixTime(1_790_000_000)).unwrap();
    assert_eq!(claims.username.as_str(), "water_user");
    assert_eq!(claims.expires, UnixTime(1_790_086_400));

    let hello = Hello {
        version: 1,
        agent: "brigade/0.1.0".into(),
        membership: Some(token.clone()),
        reached_from_elsewhere: None,
    };
    let mut bytes = vec![];
    frame::encode(&Greeting::from(hello), &mut bytes);
    let (before, behind) = bytes.split_at(bytes.len() - token.len());
    check("hello-member", before);
    assert_eq!(behind, token.as_bytes());
}

#[test]
fn a_lookup_and_its_answer() {
    check_message("lookup", &ToManager::from(Lookup { question: 7, name: "notes/todo.txt".into() }));
    let version = Version {
        id: small_id(),
        size: SMALL.len() as u64,
        mtime_s: 1_790_000_000,
        executable: false,
        holders: vec!["fire_user".parse().unwrap(), "water_user".parse().unwrap()],
        first_s: 1_790_000_900,
    };
    let found =
        LookupResult { question: 7, versions: vec![version], below: 0, closest: vec![], incomplete_ms: None };
    check_message("found", &FromManager::from(found));
}

#[test]
fn the_fetch_of_a_content_of_one_piece() {
    let request = RequestWhole { request: 1, id: small_id(), size: SMALL.len() as u64 };
    check_message("request-whole", &ToHolder::from(request));
    let mut piece = PieceHeader { request: 1, offset: 0 }.encode(SMALL.len()).to_vec();
    piece.extend_from_slice(SMALL);
    check("piece-whole", &piece);
    let refuse =
        Refuse { request: Some(1), channel: None, reason: Reason::NotFound, text: "it is not shared".into() };
    check_message("refuse", &FromHolder::from(refuse));
}

#[test]
fn the_fetch_of_one_of_several_pieces() {
    let open = Open { channel: 0, id: large_id(), size: LARGE_BYTES as u64 };
    check_message("open", &ToHolder::from(open));
    check_message("have-all", &FromHolder::from(HaveAll { channel: 0 }));
    check_message("ask-list", &ToHolder::from(AskList { channel: 0, first: 0 }));
    check_message(
        "list-page",
        &FromHolder::from(ListPage { channel: 0, first: 0, values: large_values().concat() }),
    );
    check_message("request", &ToHolder::from(Request { request: 2, channel: 0, piece: 2, offer: None }));
    let last = LARGE_BYTES - 2 * 262_144;
    check("piece-first", &PieceHeader { request: 2, offset: 0 }.encode(PIECE_DATA_BYTES));
    let offset = u32::try_from(PIECE_DATA_BYTES).unwrap();
    check("piece-second", &PieceHeader { request: 2, offset }.encode(last - PIECE_DATA_BYTES));
}

/// The fold as the document describes it, step by step, for three pieces.
#[test]
fn the_fold_of_three_pieces() {
    let values = large_values();
    let [first, second, third] = values.as_slice() else { panic!("{} pieces", values.len()) };
    let left = merge_subtrees_non_root(first, second, Mode::Hash);
    assert_eq!(*merge_subtrees_root(&left, third, Mode::Hash).as_bytes(), large_id().0);
    assert_eq!(large_id().0, *blake3::hash(&large_bytes()).as_bytes());
    check("value-01", &left);
    check("large-id", &large_id().0);
}

/// The first steps of the last piece's chaining value: a chunk, and two of them as a parent's children.
#[test]
fn the_value_of_a_chunk_and_of_two() {
    let bytes = large_bytes();
    let start = 512 * CHUNK_BYTES;
    let value = |from: usize, to: usize| {
        blake3::Hasher::new().set_input_offset(from as u64).update(&bytes[from..to]).finalize_non_root()
    };
    let (first, second) =
        (value(start, start + CHUNK_BYTES), value(start + CHUNK_BYTES, start + 2 * CHUNK_BYTES));
    check("chunk-512", &first);
    let both = merge_subtrees_non_root(&first, &second, Mode::Hash);
    assert_eq!(both, value(start, start + 2 * CHUNK_BYTES));
    check("chunks-512-513", &both);
}
