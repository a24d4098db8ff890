//! What the links to holders tell the owner of the fetches, and that it hears of the end of each of them.
//!
//! What is made of it is in `fetch`.

use brigade_core::{
    download::{Event, HolderId},
    name::Username,
    wire::{FrameError, Reason},
};
use tokio::sync::mpsc;

use crate::{identity::membership, transport::connection::ConnectionError};

/// What a link tells its owner.
#[derive(Debug)]
pub(crate) enum News {
    /// For the downloads.
    Core(Event),
    /// The second connection to a holder stands.
    SecondUp { holder: HolderId, serial: u64 },
    /// A download limit keeps the link from reading, or does so no more.
    Throttled { holder: HolderId, serial: u64, throttled: bool },
    /// The link has ended; `greeted` tells whether it ever stood. Nothing follows.
    Ended { holder: HolderId, serial: u64, greeted: bool, error: Option<LinkError> },
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Dial(#[from] crate::transport::dial::DialError),
    #[error(transparent)]
    Greet(#[from] crate::transport::greeting::GreetError),
    #[error(transparent)]
    Membership(#[from] membership::MembershipError),
    #[error("the holder at {address} is {found}, not {expected}")]
    Name { address: String, expected: Username, found: Username },
    #[error("the holder said goodbye: {0} ({1})")]
    Goodbye(Reason, String),
    #[error("all places for connections are taken (--max)")]
    NoPlace,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        Self::Connection(error.into())
    }
}

/// Whatever becomes of a link, the owner hears that it ended: also of one whose task panicked, which has said why.
#[derive(Debug)]
pub(crate) struct Ending {
    news: mpsc::Sender<News>,
    holder: HolderId,
    serial: u64,
    /// Whether the link ever stood.
    pub(crate) greeted: bool,
    told: bool,
}

impl Ending {
    pub(crate) const fn new(news: mpsc::Sender<News>, holder: HolderId, serial: u64) -> Self {
        Self { news, holder, serial, greeted: false, told: false }
    }

    /// The link has ended in order.
    pub(crate) async fn tell(mut self, error: Option<LinkError>) {
        self.told = true;
        let _ = self.news.send(self.ended(error)).await;
    }

    const fn ended(&self, error: Option<LinkError>) -> News {
        News::Ended { holder: self.holder, serial: self.serial, greeted: self.greeted, error }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.told && std::thread::panicking() {
            let (news, ended) = (self.news.clone(), self.ended(None));
            tokio::spawn(async move { news.send(ended).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, HolderId, News, mpsc};

    #[tokio::test]
    async fn a_link_that_panics_has_ended_too() {
        let (news, mut heard) = mpsc::channel(1);
        for stood in [false, true] {
            let ending = Ending::new(news.clone(), HolderId(3), 7);
            let link = tokio::spawn(async move {
                let mut ending = ending;
                ending.greeted = stood;
                panic!("as a link may");
            });
            assert!(link.await.is_err());
            let Some(News::Ended { holder: HolderId(3), serial: 7, greeted, .. }) = heard.recv().await else {
                panic!("that is not its end");
            };
            assert_eq!(greeted, stood);
        }
        Ending::new(news, HolderId(3), 8).tell(None).await;
        assert!(matches!(heard.recv().await, Some(News::Ended { serial: 8, .. })));
        assert!(heard.recv().await.is_none(), "nothing follows");
    }
}
