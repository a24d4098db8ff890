//! Limits: on data from other machines, on what is requested and kept, and on times; each with its reason. A limit
//! that only one module needs may stand in that module.
//!
//! A length is checked against its limit before anything is allocated for it. Limits that the protocol promises
//! to the other side are listed in `docs/protocol.md` too.

use std::time::Duration;

/// Bytes of a control frame, kind and body: room for a page of any list, small enough to hold for every
/// connection at once.
pub const CONTROL_FRAME_BYTES: usize = 64 * 1024;

/// Bytes of one frame that carries piece data, kind and header included: four TLS records, less the length.
pub const PIECE_FRAME_BYTES: usize = 64 * 1024 - 4;

/// Bytes of a page of any list, so that page and frame fit into [`CONTROL_FRAME_BYTES`] with room for keys.
pub const PAGE_BYTES: usize = 56 * 1024;

/// Pieces of one content: 16 TiB in pieces of 16 MiB. Its piece list is 32 MiB, its bitfield 128 KiB.
pub const PIECES: u32 = 1 << 20;

/// Chaining values in one page of a piece list (32 KiB).
pub const LIST_PAGE_VALUES: u32 = 1024;

/// Pieces in one page of a bitfield (32 KiB).
pub const BITFIELD_PAGE_PIECES: u32 = 1 << 18;

/// Pieces in one `have`.
pub const HAVE_PIECES: usize = 8192;

/// Requests that may be asked of one holder and not answered, over one connection.
pub const REQUESTS_IN_FLIGHT: usize = 512;

/// Pieces that one offer names: enough that the downloader lacks at least one of them.
pub const OFFERED_PIECES: usize = 4;

/// Contents that one connection may have open at once.
pub const OPEN_CHANNELS: usize = 256;

/// Entries of one `announce`, and names of one `withdraw`.
pub const ANNOUNCE_ENTRIES: usize = 512;

/// Names that one peer may announce: a million, each up to a few hundred bytes at the manager.
pub const ANNOUNCED_NAMES: usize = 1 << 20;

/// Names that the whole catalogue holds; one more is refused, so that its memory has an end.
pub const CATALOGUE_NAMES: usize = 1 << 22;

/// Contents in one `watch`, `unwatch`, `hold` or `unhold`.
pub const WATCH_CONTENTS: usize = 512;

/// Contents that one session may watch at once.
pub const WATCHED_CONTENTS: usize = 1 << 15;

/// Watched contents over all sessions: some 60 bytes each at the manager.
pub const WATCHES: usize = 1 << 22;

/// Contents of which one peer may announce that it holds a part.
pub const HELD_PARTS: usize = 1 << 12;

/// Peers that were served and have left and whose totals are remembered, so that a peer that comes back is not served
/// first again.
pub const REMEMBERED_DOWNLOADERS: usize = 1024;

/// Holders whose address and number are kept although no download needs them. More than this many are forgotten.
pub const REMEMBERED_HOLDERS: usize = 4096;

/// Members for which bytes sent and received are counted and shown.
pub const COUNTED_MEMBERS: usize = 10_000;

/// Holders that the manager names for one content.
pub const HOLDERS_NAMED: usize = 64;

/// Holders for which a peer remembers why it could not use them.
pub const UNREACHED_KEPT: usize = 256;
/// Unreachable holders that a waiting fetch shows with the cause.
pub const UNREACHED_SHOWN: usize = 16;

/// Holders from which one content is fetched at the same time when others fetch it too. More than ln N connections for
/// each peer keep a random network of N peers connected, and 20 is more than ln N for every real network.
pub const NEIGHBOURS: usize = 20;

/// Versions of one name that a lookup lists.
pub const VERSIONS_LISTED: usize = 64;

/// The number up to which a lookup counts the names below a folder. A program needs to know only whether there are any,
/// and how many to show.
pub const COUNTED_NAMES: usize = 100_000;

/// Near names that a lookup that found nothing offers.
pub const CLOSEST_NAMES: usize = 5;

/// Usernames that the manager binds to keys. After that, a new user is told that the network is full.
pub const MEMBERS: usize = 100_000;

/// Usernames that one key may have: enough to change the name, too few to collect names.
pub const NAMES_OF_A_KEY: usize = 8;

/// Sessions without a username (`files`, `peers`) that the manager keeps at once.
pub const OBSERVERS: usize = 256;

/// Bytes of a membership token (PASETO v4.public over at most 512 bytes of claims, in base64).
pub const MEMBERSHIP_BYTES: usize = 1024;

/// Bytes of a name.
pub const NAME_BYTES: usize = 1024;
/// Bytes of one component of a name: what common file systems take.
pub const COMPONENT_BYTES: usize = 255;
/// Components of a name.
pub const NAME_COMPONENTS: usize = 32;
/// Bytes of a username: it is also a folder's name, and a row of a table shows it whole.
pub const USERNAME_BYTES: usize = 64;
/// Bytes of a username that is not bound: what is left of [`USERNAME_BYTES`] beside a space and [`SESSIONS_OF_A_NAME`].
pub const UNBOUND_NAME_BYTES: usize = USERNAME_BYTES - 5;
/// Sessions at the same time that asked for the same unbound name: more fetches than one user runs on one machine.
pub const SESSIONS_OF_A_NAME: usize = 1024;
/// Bytes of any text meant for a person (reasons, agent names); what is longer is cut.
pub const TEXT_BYTES: usize = 512;

/// How long a peer stays in the table after its last sign of life.
pub const LEASE: Duration = Duration::from_secs(15);

/// How long a session without a username is kept without a message: a person may be typing a username.
pub const OBSERVER_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest time to wait for a manager whose catalogue is not complete yet: several leases, since the manager may be
/// restarted again.
pub const CATALOGUE_WAIT: Duration = Duration::from_secs(60);

/// The shortest time between two messages to a session about changed holders. The first change after a pause is sent at
/// once.
pub const UPDATE_INTERVAL: Duration = Duration::from_millis(50);

/// How long a membership is valid.
pub const MEMBERSHIP_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How often a membership is renewed over a session.
pub const MEMBERSHIP_RENEWAL: Duration = Duration::from_secs(3600);
/// How far the clocks of two machines may differ before a membership is refused.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// How long a connection may take to be made, encrypted and greeted.
pub const GREETING_TIME: Duration = Duration::from_secs(10);

/// Bytes of piece data that one process asks for and has not yet stored, over all holders.
pub const IN_FLIGHT_BYTES: u64 = 16 << 20;

/// Bytes of piece data asked of one holder and not yet stored.
pub const HOLDER_WINDOW_BYTES: u64 = 16 << 20;
