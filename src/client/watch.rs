//! Following what happens to sessions.

use std::sync::Arc;

use crate::protocol::{Command, Event, Since, View, Watching};

use super::commands::unexpected;
use super::feed::Feed;
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
        state: Box<Watching>,
    },
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
    beginning: Watching,
    view: View,
    position: (u64, u64),
}

impl Client {
    /// Watches these users, or, when none is named, everyone the caller may see, now and later. With
    /// `since`, [`Watch::beginning`] also has what happened after it, as far as that is remembered.
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
        let crate::protocol::Answer::Watching(beginning) = answer else {
            return Err(unexpected("watch"));
        };
        Ok(Watch {
            client: self.clone(),
            feed,
            users,
            view: View::new(beginning.sessions.iter().cloned()),
            position: (beginning.epoch, beginning.seq),
            beginning,
        })
    }
}

impl Watch {
    /// How it began. `replayed` is for a log: the state already includes it.
    #[must_use]
    pub fn beginning(&self) -> &Watching {
        &self.beginning
    }

    /// The sessions after the last item that [`next`](Self::next) returned.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Waits for what comes next. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// How the connection ended, after everything that came before the end.
    pub async fn next(&mut self) -> Result<WatchItem, ClientError> {
        let item = self.feed.next().await?;
        match &item {
            WatchItem::Event(event) => {
                self.view.apply(event);
                self.position.1 = event.seq;
            }
            WatchItem::Lagged { state, .. } => {
                self.view = View::new(state.sessions.iter().cloned());
                self.position = (state.epoch, state.seq);
            }
        }
        Ok(item)
    }

    /// Where it stands: what to give as `since` to go on from here.
    #[must_use]
    pub fn position(&self) -> Since {
        Since {
            epoch: Some(self.position.0),
            seq: self.position.1,
        }
    }

    /// Goes on with the same users on a new connection. What happened in between is in
    /// [`Watch::beginning`]; where that says `gap` (the daemon was started again, or remembers too
    /// little), look into the history.
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
