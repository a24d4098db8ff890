//! Connections: TCP, TLS 1.3 with raw public keys both ways, frames.
//!
//! A *key* is dialled, and a connection to any other key fails. The result is a [`greeting::NewConnection`], which can
//! only greet, and after that a [`greeting::GreetedConnection`]. Code above this module sees no socket; code in it
//! knows no files.

pub(crate) mod accept_loop;
pub(crate) mod breach_log;
pub(crate) mod connection;
pub(crate) mod dial;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod greeting;
mod handshake_slot;
pub(crate) mod own_hello;
pub(crate) mod port_listener;
pub(crate) mod socket_addresses;
mod socket_options;
pub(crate) mod tls;

#[cfg(test)]
mod tests {
    use brigade_core::wire::{
        Reason,
        greeting::{Hello, NoCommonVersion, VERSION},
        manager::{FromManager, ListPeers, Noted, ToManager},
    };

    use super::{
        connection::ConnectionError,
        dial::{DialError, dial},
        greeting::{GreetError, GreetedConnection, NewConnection},
        port_listener::PortListener,
    };
    use crate::identity::key::SecretKey;

    fn hello(version: u32) -> Hello {
        Hello { version, agent: "test".into(), membership: None, reached_from_elsewhere: None }
    }

    async fn acceptor(key: &SecretKey) -> PortListener {
        PortListener::bind(&[([127, 0, 0, 1], 0).into()], key).await.unwrap()
    }

    async fn pair(holder: &SecretKey, downloader: &SecretKey) -> (NewConnection, NewConnection) {
        let acceptor = acceptor(holder).await;
        let addresses = [acceptor.address()];
        let accepted = async { acceptor.accept().await.unwrap().handshake().await.unwrap() };
        let dialled = dial(&addresses, downloader, Some(holder.public()));
        let (accepted, dialled) = tokio::join!(accepted, dialled);
        (accepted, dialled.unwrap())
    }

    #[tokio::test]
    async fn both_ends_know_the_other_key_and_exchange_messages() {
        let (holder, downloader) = (SecretKey::generate(), SecretKey::generate());
        let (accepted, dialled) = pair(&holder, &downloader).await;
        assert_eq!((accepted.peer(), dialled.peer()), (downloader.public(), holder.public()));
        let (accepted_end, dialling_end) =
            tokio::join!(accepted.greet(hello(VERSION)), dialled.greet(hello(VERSION + 5)));
        let (mut accepted_end, mut dialling_end): (GreetedConnection, GreetedConnection) =
            (accepted_end.unwrap(), dialling_end.unwrap());
        assert_eq!((accepted_end.hello.version, accepted_end.local), (VERSION + 5, dialling_end.remote));
        assert_eq!((accepted_end.version, dialling_end.version), (VERSION, VERSION));

        let question = ToManager::from(ListPeers { question: 7, after: None });
        dialling_end.writer.send(&question).await.unwrap();
        dialling_end.writer.flush().await.unwrap();
        assert_eq!(accepted_end.reader.next().await.unwrap(), Some(question));

        accepted_end.writer.send(&FromManager::from(Noted { number: 1 })).await.unwrap();
        accepted_end.writer.close(Reason::Stopping, "bye").await;
        assert_eq!(dialling_end.reader.next().await.unwrap(), Some(FromManager::from(Noted { number: 1 })));
        let last = dialling_end.reader.next::<FromManager>().await.unwrap();
        assert!(matches!(last, Some(FromManager::Goodbye(goodbye)) if goodbye.reason == Reason::Stopping));
        assert!(dialling_end.reader.next::<FromManager>().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn another_key_than_the_expected_one_is_refused_and_named() {
        let (holder, expected) = (SecretKey::generate(), SecretKey::generate());
        let acceptor = acceptor(&holder).await;
        let addresses = [acceptor.address()];
        let downloader = SecretKey::generate();
        let accepted = async { acceptor.accept().await.unwrap().handshake().await };
        let (accepted, dialled) =
            tokio::join!(accepted, dial(&addresses, &downloader, Some(expected.public())));
        assert!(accepted.is_err());
        assert!(matches!(dialled, Err(DialError::WrongKey { found, .. }) if found == holder.public()));
    }

    #[tokio::test]
    async fn an_unsupported_version_ends_the_connection_with_a_reason() {
        let (holder, downloader) = (SecretKey::generate(), SecretKey::generate());
        let (accepted, dialled) = pair(&holder, &downloader).await;
        let (accepted_end, dialling_end) =
            tokio::join!(accepted.greet(hello(VERSION)), dialled.greet(hello(0)));
        assert!(matches!(accepted_end, Err(GreetError::Version(NoCommonVersion(0)))));
        let mut dialling_end = dialling_end.unwrap();
        let last = dialling_end.reader.next::<FromManager>().await.unwrap();
        assert!(matches!(last, Some(FromManager::Goodbye(goodbye)) if goodbye.reason == Reason::Version));
    }

    #[tokio::test]
    async fn a_message_of_the_wrong_direction_breaks_the_protocol() {
        let (holder, downloader) = (SecretKey::generate(), SecretKey::generate());
        let (accepted, dialled) = pair(&holder, &downloader).await;
        let (accepted_end, dialling_end) =
            tokio::join!(accepted.greet(hello(VERSION)), dialled.greet(hello(VERSION)));
        let (mut accepted_end, mut dialling_end) = (accepted_end.unwrap(), dialling_end.unwrap());
        dialling_end.writer.send(&FromManager::from(Noted { number: 1 })).await.unwrap();
        dialling_end.writer.flush().await.unwrap();
        assert!(matches!(accepted_end.reader.next::<ToManager>().await, Err(ConnectionError::Frame(_))));
    }
}
