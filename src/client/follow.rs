//! Following what happens to sessions for as long as the program runs, over restarts of the daemon.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::protocol::{Event, FailureCode, HistoryEntry, Since, View};

use super::ends::Ends;
use super::{Client, ClientError, Snapshot, Watch, WatchItem};

/// Before the first try to connect again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Between two tries to connect at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many items wait for the reader. When they are more, the watch replaces events by one `Lagged`.
const QUEUE: usize = 64;

/// What comes out of a [`Follow`].
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowItem {
    /// The sessions as they are: at the beginning, and after each reconnect.
    State(Box<Snapshot>),
    /// Something happened just now.
    Event(Box<Event>),
    /// Something that happened while there was no connection. The [`State`](Self::State) that follows
    /// includes it: for a log, and for ends.
    Replayed(Box<Event>),
    /// A session that ended while this follower was not connected, or lagged: from the history.
    Missed(Box<HistoryEntry>),
    /// This reader fell behind and events are lost to it; the ends of sessions are not among them.
    Lagged {
        /// How many.
        missed: u64,
        /// The sessions as they are.
        state: Box<Snapshot>,
    },
    /// The connection ended. It is made again until it succeeds; [`State`](Self::State) says when.
    Lost(ClientError),
}

impl FollowItem {
    /// The session that ended, if this is about an end. Each end is reported by one item, whichever way
    /// this follower learned of it.
    #[must_use]
    pub fn ended(&self) -> Option<&HistoryEntry> {
        match self {
            Self::Event(event) | Self::Replayed(event) => event.kind.ended(),
            Self::Missed(entry) => Some(entry),
            Self::State(_) | Self::Lagged { .. } | Self::Lost(_) => None,
        }
    }
}

/// The state of some sessions and everything that happens to them, over restarts of the daemon: a
/// [`Watch`] that connects again and goes on where it was.
///
/// It finds in the history what happened while it was not connected. So the end of a session is never lost,
/// and never reported twice. It works in a task of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Follow {
    updates: mpsc::Receiver<Update>,
    client: Client,
    now: Snapshot,
    _task: AbortOnDropHandle<()>,
}

/// What the task sends to the reader.
#[derive(Debug)]
enum Update {
    Item(FollowItem),
    /// The state on this connection.
    Began(Client, Box<Snapshot>),
    /// An event of an end that the reader knows already: only the state changes.
    KnownEnd(Box<Event>),
    Failed(ClientError),
}

/// Why the task stops or begins anew.
enum Stop {
    /// The reader is gone.
    ReaderGone,
    Failed(ClientError),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Failed(error)
    }
}

impl Client {
    /// Follows these users, or, when none is named, everyone the caller may see, now and later; returns
    /// when the whole state is here. With `since`, first what happened after it, as far as that is
    /// remembered.
    ///
    /// It connects again as this client was connected. A client [over](Client::over) a stream cannot:
    /// then the end of the stream is the end. It uses the connection's one watch.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow<U>(
        &self,
        users: impl IntoIterator<Item = U>,
        since: Option<Since>,
    ) -> Result<Follow, ClientError>
    where
        U: Into<String>,
    {
        let users: Vec<String> = users.into_iter().map(Into::into).collect();
        // Before the watch begins: what ends in between is reported in any case.
        let ends = Ends::from_now(self, &users).await?;
        let watch = self.watch(users.iter().cloned(), since).await?;
        let now = watch.beginning().clone();
        let (sender, updates) = mpsc::channel(QUEUE);
        let follower = Follower {
            position: now.position(),
            users,
            ends,
            history_is_due: false,
            updates: sender,
        };
        Ok(Follow {
            updates,
            client: self.clone(),
            now,
            _task: AbortOnDropHandle::new(tokio::spawn(follower.run(watch))),
        })
    }
}

impl Follow {
    /// Waits for what comes next; the first is the [state](FollowItem::State). Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// What connecting again cannot help: the daemon refuses the watch, or speaks another version.
    pub async fn next(&mut self) -> Result<FollowItem, ClientError> {
        loop {
            match self.updates.recv().await {
                Some(Update::Item(item)) => {
                    match &item {
                        FollowItem::Event(event) => self.now.view.apply(event),
                        FollowItem::Lagged { state, .. } => self.now = Snapshot::clone(state),
                        _ => {}
                    }
                    return Ok(item);
                }
                Some(Update::Began(client, state)) => {
                    self.client = client;
                    self.now = Snapshot::clone(&state);
                    return Ok(FollowItem::State(state));
                }
                Some(Update::KnownEnd(event)) => self.now.view.apply(&event),
                Some(Update::Failed(error)) => return Err(error),
                None => return Err(ClientError::Closed(None)),
            }
        }
    }

    /// The sessions after the last item that [`next`](Self::next) returned.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.now.view
    }

    /// Where it stands: what to give as `since` to go on from here in another run of the program. When
    /// the state then says `gap`, look into the history: this cannot know what that run knew.
    #[must_use]
    pub fn position(&self) -> Since {
        self.now.position()
    }

    /// The connection it uses, or used last: for commands.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// The task's part.
struct Follower {
    users: Vec<String>,
    /// Everything up to this place was sent.
    position: Since,
    ends: Ends,
    /// Events were lost: the history must be read before anything else is sent.
    history_is_due: bool,
    updates: mpsc::Sender<Update>,
}

impl Follower {
    async fn run(mut self, mut watch: Watch) {
        loop {
            let Err(stop) = self.forward_all(&mut watch).await;
            let again = match stop {
                Stop::Failed(error)
                    if is_temporary(&error) && watch.client().can_connect_again() =>
                {
                    self.connect_again(watch, error).await
                }
                stop => Err(stop),
            };
            match again {
                Ok(begun) => watch = begun,
                Err(Stop::Failed(error)) => {
                    // When the reader is gone, nobody needs it.
                    let _ = self.updates.send(Update::Failed(error)).await;
                    return;
                }
                Err(Stop::ReaderGone) => return,
            }
        }
    }

    /// Sends everything of one connection to the reader, until the connection ends.
    async fn forward_all(&mut self, watch: &mut Watch) -> Result<std::convert::Infallible, Stop> {
        self.send_missed_ends(watch.client()).await?;
        for event in watch.replayed() {
            self.send_event(event.clone(), FollowItem::Replayed).await?;
        }
        let state = Box::new(watch.beginning().clone());
        self.send(Update::Began(watch.client().clone(), state))
            .await?;
        self.position = watch.position();
        loop {
            match watch.next().await? {
                WatchItem::Event(event) => self.send_event(*event, FollowItem::Event).await?,
                WatchItem::Lagged { missed, state } => {
                    self.history_is_due = true;
                    self.send_missed_ends(watch.client()).await?;
                    self.send(Update::Item(FollowItem::Lagged { missed, state }))
                        .await?;
                }
            }
            self.position = watch.position();
            if self.ends.are_many() {
                self.history_is_due = true;
                self.send_missed_ends(watch.client()).await?;
            }
        }
    }

    /// Sends the ends that no event reported.
    async fn send_missed_ends(&mut self, client: &Client) -> Result<(), Stop> {
        if self.history_is_due {
            for entry in self.ends.missed(client, &self.users).await? {
                self.send(Update::Item(FollowItem::Missed(Box::new(entry))))
                    .await?;
            }
            self.history_is_due = false;
        }
        Ok(())
    }

    async fn send_event(
        &mut self,
        event: Event,
        item: impl FnOnce(Box<Event>) -> FollowItem,
    ) -> Result<(), Stop> {
        let known = event.kind.ended().is_some_and(|e| !self.ends.note(e));
        let event = Box::new(event);
        self.send(if known {
            Update::KnownEnd(event)
        } else {
            Update::Item(item(event))
        })
        .await
    }

    async fn send(&self, update: Update) -> Result<(), Stop> {
        self.updates
            .send(update)
            .await
            .map_err(|_| Stop::ReaderGone)
    }

    /// Connects until it succeeds, and begins the watch where the last one ended.
    async fn connect_again(&mut self, lost: Watch, error: ClientError) -> Result<Watch, Stop> {
        self.send(Update::Item(FollowItem::Lost(error))).await?;
        let old = lost.client().clone();
        drop(lost);
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = self.updates.closed() => return Err(Stop::ReaderGone),
                () = sleep(pause) => {}
            }
            let watch = async {
                let client = old.connect_again().await?;
                let users = self.users.iter().cloned();
                client.watch(users, Some(self.position)).await
            };
            match watch.await {
                Ok(watch) => {
                    self.history_is_due |= watch.beginning().gap;
                    return Ok(watch);
                }
                Err(error) if is_temporary(&error) => pause = LONGEST_PAUSE.min(pause * 2),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether connecting again may help: the daemon is gone, stopping, or has too much to do.
fn is_temporary(error: &ClientError) -> bool {
    match error {
        ClientError::NoDaemon { .. }
        | ClientError::Refused(_)
        | ClientError::Closed(None)
        | ClientError::Timeout(_) => true,
        ClientError::Closed(Some(failure)) => failure.code != FailureCode::NotAllowed,
        ClientError::Failure(failure) => matches!(
            failure.code,
            FailureCode::Stopping
                | FailureCode::QuotaExceeded
                | FailureCode::DeadlineExceeded
                | FailureCode::Internal
        ),
        ClientError::Protocol(_)
        | ClientError::VersionMismatch(_)
        | ClientError::OtherRevision(_)
        | ClientError::Replaced => false,
    }
}
