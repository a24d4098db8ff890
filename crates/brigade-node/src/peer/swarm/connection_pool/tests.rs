//! The end of a connection as the driver sees it.
//!
//! Nothing is dialled: the test is the task of the connection.

use std::sync::Arc;

use brigade_core::{
    id::ContentId,
    rate::Cap,
    wire::manager::{ContentHolders, PeerAddress},
};
use tokio::sync::{Semaphore, watch};

use super::{
    BTreeMap, CancellationToken, ConnectionConfig, ConnectionContext, ConnectionHandle, ConnectionPool,
    DialledConnection, Event, HolderConnections, Holders, NamedHolders, SecondConnection, TaskResult,
    run_task,
};
use crate::{
    identity::key::SecretKey,
    peer::{bandwidth::Traffic, swarm::writing_and_landing::PieceWriter},
    store::{
        folder::Folder,
        keeper::{Keeper, KeeperOptions},
        share::Share,
    },
};

async fn panics() -> TaskResult {
    panic!("as this test wants it");
}

#[tokio::test]
async fn a_connection_whose_task_panics_has_ended_with_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, stop) = (Folder::open(temp.path()).unwrap(), CancellationToken::new());
    let share = Share::new(folder.clone());
    let (keeper, _changes) =
        Keeper::start(folder.clone(), share, KeeperOptions::default(), stop.clone()).unwrap();
    let key = SecretKey::generate();
    let config = ConnectionConfig {
        network: key.public(),
        key,
        membership: watch::channel(String::new()).1,
        connection_slots: Arc::new(Semaphore::new(8)),
        traffic: Arc::new(Traffic::new(Cap::Off, Cap::Off)),
    };
    let (writer, _outcomes) = PieceWriter::start(folder, keeper);
    let (context, events) = ConnectionContext::new(config, writer);
    let mut pool = ConnectionPool::new(context.clone(), events);

    let peer = PeerAddress {
        key: SecretKey::generate().public(),
        username: "fire_user".parse().unwrap(),
        address: "127.0.0.1:7000".to_owned(),
    };
    let of = ContentHolders { id: ContentId([1; 32]), size: 7, complete: vec![0], partial: vec![] };
    let named = pool.add_holders(&Holders { peers: vec![peer], contents: vec![of] });
    let holder = pool.known.get(named[0].1[0]).unwrap().clone();
    let id = holder.id;
    let (first, inputs) = ConnectionHandle::new(1);
    let connections = HolderConnections {
        first,
        second: SecondConnection::None,
        open: BTreeMap::new(),
        second_is_next: false,
        is_established: true,
    };
    pool.connected.insert(id, connections);
    let connection = DialledConnection { holder, serial: 1, second: false };

    let result = run_task(panics(), &inputs.stop).await;
    connection.report_end(&context, true, result).await;
    assert!(matches!(pool.receive().await, Event::Lost { holder } if holder == id));
    assert_eq!(pool.connected().count(), 0);
    let (content, mut holders) = (named[0].0, NamedHolders::default());
    holders.set(content, &[id], &[]);
    let unusable = pool.unusable(&holders, [&[content], &[content]]);
    assert_eq!(unusable.shown[0].cause, "the task of the connection failed");
    assert_eq!((unusable.out_of_reach, unusable.wrong_data), (1, 0));
    stop.cancel();
}
