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

/// How many items wait for a reader. Behind them the watch folds what is too much for it.
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
    /// A session that ended while nobody could tell this follower: from the history.
    Missed(Box<HistoryEntry>),
    /// This reader fell behind and events are lost to it; which sessions ended has been told.
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
    /// The session that ended, if this tells of one. Each end is told by one item, whichever way this
    /// follower learned of it.
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
/// What it could not be told meanwhile it finds in the history, so the end of a session is never lost
/// and never told twice. It works in a task of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Follow {
    told: mpsc::Receiver<Told>,
    client: Client,
    now: Snapshot,
    _task: AbortOnDropHandle<()>,
}

/// What the task tells.
#[derive(Debug)]
enum Told {
    Item(FollowItem),
    /// The state on this connection.
    Began(Client, Box<Snapshot>),
    /// An event whose end was told already: only the picture changes.
    Quiet(Box<Event>),
    Failed(ClientError),
}

/// Why the task stops or begins anew.
enum Stop {
    /// Nobody reads any more.
    Unread,
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
        // Before the watch begins: what ends in between is told in any case.
        let ends = Ends::from_now(self, &users).await?;
        let watch = self.watch(users.iter().cloned(), since).await?;
        let now = watch.beginning().clone();
        let (teller, told) = mpsc::channel(QUEUE);
        let follower = Follower {
            position: now.position(),
            users,
            ends,
            overdue: false,
            teller,
        };
        Ok(Follow {
            told,
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
            match self.told.recv().await {
                Some(Told::Item(item)) => {
                    match &item {
                        FollowItem::Event(event) => self.now.view.apply(event),
                        FollowItem::Lagged { state, .. } => self.now = Snapshot::clone(state),
                        _ => {}
                    }
                    return Ok(item);
                }
                Some(Told::Began(client, state)) => {
                    self.client = client;
                    self.now = Snapshot::clone(&state);
                    return Ok(FollowItem::State(state));
                }
                Some(Told::Quiet(event)) => self.now.view.apply(&event),
                Some(Told::Failed(error)) => return Err(error),
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
    /// Up to where everything is told.
    position: Since,
    ends: Ends,
    /// Events were lost: the history must be read before anything else is told.
    overdue: bool,
    teller: mpsc::Sender<Told>,
}

impl Follower {
    async fn run(mut self, mut watch: Watch) {
        loop {
            let Err(stop) = self.tell_all(&mut watch).await;
            let again = match stop {
                Stop::Failed(error) if passes(&error) && watch.client().can_connect_again() => {
                    self.connect_again(watch, error).await
                }
                stop => Err(stop),
            };
            match again {
                Ok(begun) => watch = begun,
                Err(Stop::Failed(error)) => {
                    // Nobody reads: nobody minds.
                    let _ = self.teller.send(Told::Failed(error)).await;
                    return;
                }
                Err(Stop::Unread) => return,
            }
        }
    }

    /// Tells everything of one connection, until that ends.
    async fn tell_all(&mut self, watch: &mut Watch) -> Result<std::convert::Infallible, Stop> {
        self.fill(watch.client()).await?;
        for event in watch.replayed() {
            self.tell_event(event.clone(), FollowItem::Replayed).await?;
        }
        let state = Box::new(watch.beginning().clone());
        self.tell(Told::Began(watch.client().clone(), state))
            .await?;
        self.position = watch.position();
        loop {
            match watch.next().await? {
                WatchItem::Event(event) => self.tell_event(*event, FollowItem::Event).await?,
                WatchItem::Lagged { missed, state } => {
                    self.overdue = true;
                    self.fill(watch.client()).await?;
                    self.tell(Told::Item(FollowItem::Lagged { missed, state }))
                        .await?;
                }
            }
            self.position = watch.position();
            if self.ends.are_many() {
                self.overdue = true;
                self.fill(watch.client()).await?;
            }
        }
    }

    /// Tells the ends that no event told.
    async fn fill(&mut self, client: &Client) -> Result<(), Stop> {
        if self.overdue {
            for entry in self.ends.missed(client, &self.users).await? {
                self.tell(Told::Item(FollowItem::Missed(Box::new(entry))))
                    .await?;
            }
            self.overdue = false;
        }
        Ok(())
    }

    async fn tell_event(
        &mut self,
        event: Event,
        item: impl FnOnce(Box<Event>) -> FollowItem,
    ) -> Result<(), Stop> {
        let known = event.kind.ended().is_some_and(|e| !self.ends.is_news(e));
        let event = Box::new(event);
        self.tell(if known {
            Told::Quiet(event)
        } else {
            Told::Item(item(event))
        })
        .await
    }

    async fn tell(&self, told: Told) -> Result<(), Stop> {
        self.teller.send(told).await.map_err(|_| Stop::Unread)
    }

    /// Connects until it succeeds, and begins the watch where the last one ended.
    async fn connect_again(&mut self, lost: Watch, error: ClientError) -> Result<Watch, Stop> {
        self.tell(Told::Item(FollowItem::Lost(error))).await?;
        let old = lost.client().clone();
        drop(lost);
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = self.teller.closed() => return Err(Stop::Unread),
                () = sleep(pause) => {}
            }
            let watch = async {
                let client = old.connect_again().await?;
                let users = self.users.iter().cloned();
                client.watch(users, Some(self.position)).await
            };
            match watch.await {
                Ok(watch) => {
                    self.overdue |= watch.beginning().gap;
                    return Ok(watch);
                }
                Err(error) if passes(&error) => pause = LONGEST_PAUSE.min(pause * 2),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether it makes sense to try again: the daemon is gone, stopping, or has too much to do.
fn passes(error: &ClientError) -> bool {
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
