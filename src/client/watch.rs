//! Following what happens to sessions.

use std::sync::Arc;

use tokio::time::timeout;

use crate::protocol::{Answer, Command, Event, Since, Status, View};

use super::commands::unexpected;
use super::feed::{Beginning, Feed};
use super::{Client, ClientError};

/// What comes out of a [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchItem {
    /// Something happened.
    Event(Box<Event>),
    /// This reader fell behind and events are lost to it. Ends of sessions are in the history.
    Lagged {
        /// How many.
        missed: u64,
        /// The state now; the watch's view is already set to it.
        state: Box<Snapshot>,
    },
}

/// The sessions watched, all at one moment. A clone shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of the daemon's run, for what this client may see.
    pub epoch: u64,
    /// Whether events before it are lost to this watch. Ends of sessions are in the history.
    pub gap: bool,
    /// The sessions, with the number of the last event they include.
    pub view: View,
}

impl Snapshot {
    /// The number of the last event it includes.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.view.seq()
    }

    /// Every session, by user.
    pub fn sessions(&self) -> impl Iterator<Item = &Status> {
        self.view.sessions()
    }

    /// Where it stands: what to give as `since` to go on from here.
    #[must_use]
    pub fn position(&self) -> Since {
        Since {
            epoch: Some(self.epoch),
            seq: self.seq(),
        }
    }
}

/// The state of some sessions, and everything that happens to them.
///
/// It keeps its connection open. One connection has one watch: another one ends this one with
/// [`ClientError::Replaced`].
#[derive(Debug)]
pub struct Watch {
    client: Client,
    feed: Arc<Feed>,
    users: Vec<String>,
    beginning: Beginning,
    now: Snapshot,
}

impl Client {
    /// Watches these users, or, when none is named, everyone the caller may see, now and later; returns
    /// when the whole state is here. With `since`, [`Watch::replayed`] has what happened after it, as
    /// far as that is remembered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch<U>(
        &self,
        users: impl IntoIterator<Item = U>,
        since: Option<Since>,
    ) -> Result<Watch, ClientError>
    where
        U: Into<String>,
    {
        let users: Vec<String> = users.into_iter().map(Into::into).collect();
        let feed = Arc::new(Feed::default());
        let command = Command::Watch {
            users: users.clone(),
            since,
        };
        let answer = self.ask(command, Some(Arc::clone(&feed))).await?;
        if !matches!(answer, Answer::Watching(_)) {
            return Err(unexpected("watch", &answer));
        }
        let within = self.request_timeout();
        let beginning = timeout(within, feed.beginning()).await;
        let beginning = beginning.map_err(|_| ClientError::Timeout(within))??;
        Ok(Watch {
            client: self.clone(),
            feed,
            users,
            now: beginning.state.clone(),
            beginning,
        })
    }
}

impl Watch {
    /// The state in which it began.
    #[must_use]
    pub fn beginning(&self) -> &Snapshot {
        &self.beginning.state
    }

    /// What happened after `since` and before the state in which it began, which includes it already.
    #[must_use]
    pub fn replayed(&self) -> &[Event] {
        &self.beginning.replayed
    }

    /// The sessions after the last item that [`next`](Self::next) returned.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.now.view
    }

    /// Waits for what comes next. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// How the connection ended, after everything that came before the end.
    pub async fn next(&mut self) -> Result<WatchItem, ClientError> {
        let item = self.feed.next().await?;
        match &item {
            WatchItem::Event(event) => self.now.view.apply(event),
            WatchItem::Lagged { state, .. } => self.now = Snapshot::clone(state),
        }
        Ok(item)
    }

    /// Where it stands: what to give as `since` to go on from here.
    #[must_use]
    pub fn position(&self) -> Since {
        self.now.position()
    }

    /// Goes on with the same users on a new connection. What happened in between is in
    /// [`Watch::replayed`]; where [`Watch::beginning`] says `gap` (the daemon was started again, or
    /// remembers too little), look into the history.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resume(&self, client: &Client) -> Result<Self, ClientError> {
        client
            .watch(self.users.iter().cloned(), Some(self.position()))
            .await
    }

    /// The connection it uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}
