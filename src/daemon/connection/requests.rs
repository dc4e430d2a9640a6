//! What becomes of a request.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::outbox::Outbox;
use crate::daemon::access::Peer;
use crate::daemon::state::Daemon;
use crate::protocol::{Answer, Command, Failure, FailureCode, Message, Reply, Request, Since};
use crate::supervisor::Watcher;

/// Who asks, whom is asked, and where the answers go. Cheap to clone: each request has one.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    pub(super) peer: Arc<Peer>,
    pub(super) daemon: Daemon,
    pub(super) outbox: Outbox,
    // The one watch of the connection. Whoever begins another one holds the lock until it runs.
    watch: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

impl Requests {
    pub(super) fn new(peer: Peer, daemon: Daemon, outbox: Outbox) -> Self {
        Self {
            peer: Arc::new(peer),
            daemon,
            outbox,
            watch: Arc::default(),
        }
    }

    /// Does what is asked, and replies. Dropping this future stops the waiting, not the doing.
    pub(super) async fn handle(self, Request { id, command }: Request) {
        let result = match command {
            Command::Watch { users, since } => return self.begin_watch(id, users, since).await,
            command => self.answer(command).await,
        };
        self.reply(id, result).await;
    }

    /// Answers a request that could not be read.
    pub(super) async fn refuse(self, id: u64, failure: Failure) {
        self.reply(id, Err(failure)).await;
    }

    async fn reply(&self, id: u64, result: Result<Answer, Failure>) {
        // An error: the writer is gone, and with it the client.
        let _ = self.outbox.send(Message::Reply(Reply { id, result })).await;
    }

    async fn answer(&self, command: Command) -> Result<Answer, Failure> {
        match command {
            Command::Ping => Ok(Answer::Pong),
            Command::Info => Ok(Answer::Info(self.daemon.info())),
            Command::Reload => {
                self.may_reload()?;
                let daemon = self.daemon.clone();
                let uid = self.peer.uid;
                self.detached(async move { daemon.reload(&format!("uid {uid}")).await })
                    .await
                    .map(Answer::Reloaded)
            }
            command => {
                let caller = self.daemon.live().policy.caller(&self.peer);
                let supervisor = self.daemon.supervisor().clone();
                self.detached(async move { supervisor.execute(caller, command).await })
                    .await
            }
        }
    }

    /// Runs something that must end well or badly for its own reasons, not because its client went
    /// away in the middle.
    async fn detached<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let effect = self.daemon.effects().spawn(effect);
        effect.await.unwrap_or_else(|error| {
            error!("a request failed inside the daemon: {error}");
            Err(Failure::new(
                FailureCode::Internal,
                "The daemon failed while it did this, which is a fault of its own: its log says \
                 more. Ask for the status to see what was done",
            ))
        })
    }

    fn may_reload(&self) -> Result<(), Failure> {
        let Peer { uid, pid, .. } = *self.peer;
        if self.daemon.live().policy.caller(&self.peer).sees_all {
            return Ok(());
        }
        let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        warn!(
            peer_uid = uid,
            peer_pid = pid,
            "a reload asked for by uid {uid}, pid {pid}, is refused: it is not an admin"
        );
        Err(Failure::new(
            FailureCode::NotAllowed,
            format!(
                "Only admins may reload the configuration, and uid {uid} is none: ask as root, or \
                 have an admin add you to `access.admins`"
            ),
        ))
    }

    async fn begin_watch(&self, id: u64, users: Vec<String>, since: Option<Since>) {
        let mut watch = self.watch.lock().await;
        let caller = self.daemon.live().policy.caller(&self.peer);
        let (watching, watcher) = match self.daemon.supervisor().watch(caller, users, since) {
            Ok(begun) => begun,
            // The one before goes on.
            Err(failure) => return self.reply(id, Err(failure)).await,
        };
        stop(&mut watch).await;
        self.reply(id, Ok(Answer::Watching(watching))).await;
        let forwarding = tokio::spawn(forward(watcher, self.outbox.clone()));
        *watch = Some(AbortOnDropHandle::new(forwarding));
    }

    /// Ends the watch, if there is one: after it no event comes.
    pub(super) async fn end_watch(&self) {
        stop(&mut *self.watch.lock().await).await;
    }
}

async fn stop(watch: &mut Option<AbortOnDropHandle<()>>) {
    if let Some(watch) = watch.take() {
        watch.abort();
        // It is over when this returns, whether by the abort or by itself.
        let _ = watch.await;
    }
}

/// Passes the state and the events on, one at a time. While the client does not read, this waits, and
/// the supervisor tells the watcher how much it missed.
async fn forward(mut watcher: Watcher, outbox: Outbox) {
    while let Some(message) = watcher.next().await {
        if outbox.send(message).await.is_err() {
            return;
        }
    }
}
