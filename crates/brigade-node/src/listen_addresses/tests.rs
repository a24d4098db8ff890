//! The addresses that a peer takes, and the peers that cannot reach it there.
//!
//! The end-to-end tests check with network namespaces that other machines reach it.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use tokio::net::TcpStream;

use super::{Listener, ManagerContact, UnreachableFrom, own_address};
use crate::{
    identity::key::SecretKey,
    transport::{accept_loop::Accept, dial::dial},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn contact(local: &str, from_elsewhere: Option<bool>) -> ManagerContact {
    ManagerContact { local: ip(local), from_elsewhere }
}

#[tokio::test]
async fn beside_a_manager_that_others_reach_a_peer_listens_on_all_addresses() {
    let taken = contact("127.0.0.1", Some(true)).take_port(None, 0).unwrap();
    assert!(taken.port.address().ip().is_unspecified());
    assert_eq!(taken.address(), SocketAddr::new(ip("127.0.0.1"), taken.port.address().port()));
    // The port is taken on all addresses.
    let port = taken.port.address().port();
    assert!(contact("127.0.0.1", Some(false)).take_port(None, port).is_err());
    for reached in [Some(false), None] {
        let taken = contact("127.0.0.1", reached).take_port(None, 0).unwrap();
        assert_eq!(taken.port.address().ip(), ip("127.0.0.1"));
    }
    let host = SocketAddr::new(ip("127.0.0.2"), 0);
    let named = contact("127.0.0.1", Some(true)).take_port(Some(host), 0).unwrap();
    assert_eq!(named.port.address().ip(), ip("127.0.0.2"));
}

#[test]
fn a_link_local_host_keeps_its_zone() {
    let host = SocketAddrV6::new("fe80::7".parse().unwrap(), 0, 0, 2);
    let shown = own_address(Some(host.into()), contact("10.0.0.7", Some(true)), 7001);
    assert_eq!(shown.to_string(), "[fe80::7%2]:7001");
}

#[track_caller]
fn check(listening: &str, contact: ManagerContact, expected: Option<&str>) {
    let unreached = UnreachableFrom::of(SocketAddr::new(ip(listening), 7001), contact);
    let text = unreached.map(|unreached| unreached.to_string());
    assert_eq!(text.as_deref().map(|text| text.split(';').next().unwrap()), expected);
}

#[test]
fn a_peer_reports_from_where_it_is_unreachable() {
    let (beside, far) = (contact("127.0.0.1", Some(true)), contact("10.0.0.7", Some(true)));
    let alone = contact("127.0.0.1", Some(false));
    for contact in [beside, far, alone] {
        check("::", contact, None);
        check("0.0.0.0", contact, None);
    }
    check("127.0.0.1", alone, None);
    check("10.0.0.7", far, None);
    check("::ffff:10.0.0.7", far, None);
    let elsewhere = |address: &str| format!("peers on other machines cannot reach {address}:7001");
    check("127.0.0.1", beside, Some(&elsewhere("127.0.0.1")));
    check("127.0.0.1", far, Some(&elsewhere("127.0.0.1")));
    check("10.9.0.7", far, Some(&elsewhere("10.9.0.7")));
    check("fd00::7", far, Some(&elsewhere("[fd00::7]")));
    check("0.0.0.0", contact("fd00::7", Some(true)), Some(&elsewhere("0.0.0.0")));
    let unreachable_locally =
        "peers on this machine look for this one at 127.0.0.1:7001 and cannot reach it at 10.0.0.7:7001";
    check("10.0.0.7", alone, Some(unreachable_locally));
    check("10.0.0.7", beside, Some(unreachable_locally));
}

#[tokio::test]
async fn a_peer_moves_to_other_addresses_when_the_contact_changes() {
    let key = SecretKey::generate();
    let before = contact("127.0.0.1", Some(false));
    // The port is free for a moment when the peer moves. The system gives no port of these to outgoing connections.
    let taken = (20_000..30_000).find_map(|port| before.take_port(None, port).ok()).unwrap();
    let (mut listener, listening, contact) = taken.answer_as(&key, before).unwrap();
    let port = listening.address().port();
    let at = |host: &str| SocketAddr::new(ip(host), port);
    assert!(TcpStream::connect(at("127.0.0.2")).await.is_err());

    contact.send_replace(ManagerContact { from_elsewhere: Some(true), ..before });
    let mut address = listening.clone();
    let moved = async {
        let is_moved = address.0.wait_for(|address| address.bound.ip().is_unspecified());
        drop(tokio::time::timeout(Duration::from_secs(20), is_moved).await.unwrap());
        assert_eq!(address.unreached(), None);
        dial(&[at("127.0.0.2")], &SecretKey::generate(), Some(key.public())).await.unwrap();
    };
    serve_until(&mut listener, moved).await;

    // When only this machine reaches the manager again, the peer leaves the other addresses.
    contact.send_replace(before);
    let moved = async {
        while TcpStream::connect(at("127.0.0.2")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    serve_until(&mut listener, moved).await;
}

async fn serve_until(listener: &mut Listener, end: impl Future<Output = ()>) {
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            accepted = listener.accept() => drop(tokio::spawn(accepted.unwrap().handshake())),
        }
    }
}
