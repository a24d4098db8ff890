//! The database on a disk: what it keeps, whom it refuses, and the order of its answers.
//!
//! The core tests the rules about names.

use super::{
    Binding, BindingResult, Connection, DatabaseRequest, MemberDatabase, MemberDatabaseError, PeerKey,
    UnixTime, mpsc, schema,
};

fn binding(name: &str, key: u8) -> Binding {
    Binding { username: name.parse().unwrap(), key: PeerKey([key; 32]) }
}

#[test]
fn bindings_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.sqlite");
    let bindings = [binding("water_user", 2), binding("fire_user", 1), binding("Zoë", 1)];
    {
        let (mut file, before) = MemberDatabase::open(&path).unwrap();
        assert_eq!(before, []);
        file.write(&bindings, &[], UnixTime(1)).unwrap();
        assert!(file.write(&[binding("new", 3), binding("fire_user", 9)], &[], UnixTime(2)).is_err());
    }
    assert_eq!(MemberDatabase::open(&path).unwrap().1, bindings);
}

#[test]
fn a_full_disk_is_told_from_other_errors() {
    let error = |code| MemberDatabaseError::Database {
        path: "members.sqlite".to_owned(),
        source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
    };
    assert!(error(rusqlite::ffi::SQLITE_FULL).is_disk_full());
    assert!(!error(rusqlite::ffi::SQLITE_CANTOPEN).is_disk_full());
}

#[test]
fn names_that_fetches_bound_are_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.sqlite");
    let kept = [binding("fire_user", 1), binding("fetch-02020202", 9), binding("fetch-0303030", 3)];
    {
        let (mut file, _) = MemberDatabase::open(&path).unwrap();
        let fetches = [binding("fetch-01010101", 1), binding("fetch-07070707", 7)];
        file.write(&[&kept[..], &fetches].concat(), &[], UnixTime(1)).unwrap();
    }
    for _ in 0..2 {
        let (file, bindings) = MemberDatabase::open(&path).unwrap();
        assert_eq!(bindings, kept);
        let rows: isize =
            file.database.query_row("SELECT count(*) FROM members", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 3);
    }
}

#[test]
fn each_request_is_answered_when_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.sqlite");
    let (requests, requests_out) = mpsc::channel(8);
    let (done, mut answers) = mpsc::channel(8);
    let (file, _) = MemberDatabase::open(&path).unwrap();
    let all: Vec<_> = (0..5).map(|i| binding(&format!("user {i}"), i)).collect();
    all.iter().for_each(|binding| requests.try_send(DatabaseRequest::Bind(binding.clone())).unwrap());
    drop(requests);
    file.run(requests_out, &done);
    for Binding { username, .. } in &all {
        let expected = BindingResult { username: username.clone(), durable: true };
        assert_eq!(answers.try_recv(), Ok(expected));
    }
    assert_eq!(MemberDatabase::open(&path).unwrap().1, all);
}

#[test]
fn a_second_manager_and_tables_of_a_later_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.sqlite");
    let (file, _) = MemberDatabase::open(&path).unwrap();
    assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::InUse { .. })));
    file.database.pragma_update(None, "user_version", 3).unwrap();
    drop(file);
    assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::TooNew { found: 3, .. })));
    std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
    assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::Database { .. })));
}

#[test]
fn members_are_read_by_username_and_have_the_time_when_they_were_last_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, _) = MemberDatabase::open(&folder.path().join("members.sqlite")).unwrap();
    file.write(&[binding("water_user", 2), binding("Zoë", 1), binding("fire_user", 1)], &[], UnixTime(7))
        .unwrap();
    let seen = [("fire_user".parse().unwrap(), UnixTime(9)), ("nobody".parse().unwrap(), UnixTime(9))];
    file.write(&[], &seen, UnixTime(10)).unwrap();
    let page = |after: &str, limit| {
        let members = schema::page(&file.database, after, limit).unwrap();
        let rows = members.into_iter().map(|member| (member.username, member.since_s, member.last_seen_s));
        rows.collect::<Vec<_>>()
    };
    let row = |name: &str, seen| (name.to_owned(), 7, seen);
    assert_eq!(page("", 2), [row("Zoë", None), row("fire_user", Some(9))], "in the order of the bytes");
    assert_eq!(page("fire_user", 2), [row("water_user", None)]);
    assert_eq!(page("water_user", 2), []);
    let all = schema::all(&file.database, 2).unwrap();
    assert_eq!(all.iter().map(|member| &*member.username).collect::<Vec<_>>(), ["water_user", "Zoë"]);
}

#[test]
fn the_tables_of_the_first_version_are_updated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("members.sqlite");
    let first = "CREATE TABLE members (username TEXT NOT NULL PRIMARY KEY,
                     key BLOB NOT NULL CHECK (length(key) = 32), since_s INTEGER NOT NULL) STRICT;
                 INSERT INTO members VALUES ('fire_user', zeroblob(32), 5);
                 PRAGMA user_version = 1;";
    Connection::open(&path).unwrap().execute_batch(first).unwrap();
    for last_seen_s in [None, Some(6)] {
        let (mut file, bindings) = MemberDatabase::open(&path).unwrap();
        assert_eq!(bindings, [binding("fire_user", 0)]);
        assert_eq!(schema::all(&file.database, 9).unwrap()[0].last_seen_s, last_seen_s);
        file.write(&[], &[("fire_user".parse().unwrap(), UnixTime(6))], UnixTime(8)).unwrap();
    }
}
