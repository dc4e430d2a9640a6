//! What becomes of a request.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tracing::error;

use super::watch::Watch;
use crate::daemon::access::Peer;
use crate::daemon::state::Daemon;
use crate::protocol::{Answer, Command, Failure, FailureCode, Request, Watching};
use crate::supervisor::Caller;

/// Who asks, and whom is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    peer: Arc<Peer>,
    daemon: Daemon,
    turns: Arc<Semaphore>,
}

/// How a request goes on.
pub(super) enum Begun<F> {
    /// It is answered.
    Answered(Result<Answer, Failure>),
    /// A watch begins, in place of the one before.
    Watch(Watching, Watch),
    /// It is answered when this is done.
    UnderWay(F),
}

impl Requests {
    /// Requests of this peer. All that it has under way take their turns here, on whichever
    /// connections.
    pub(super) fn new(peer: Peer, daemon: Daemon, turns: Arc<Semaphore>) -> Self {
        Self {
            peer: Arc::new(peer),
            daemon,
            turns,
        }
    }

    /// Answers what is known at once, and begins the rest. Dropping what is under way stops the
    /// waiting, not the doing.
    pub(super) fn begin(
        &self,
        request: Request,
    ) -> Begun<impl Future<Output = Result<Answer, Failure>> + use<>> {
        let command = request.command;
        let caller = self.caller();
        self.note_what_is_hidden(caller, &command);
        let supervisor = self.daemon.supervisor();
        Begun::Answered(match command {
            Command::Ping => Ok(Answer::Pong),
            Command::Info => Ok(Answer::Info(self.daemon.info(caller))),
            Command::Status { .. } | Command::List { .. } | Command::History { .. } => {
                supervisor.look_up(caller, command)
            }
            Command::Watch { users, since } => match supervisor.watch(caller, users, since) {
                Ok((watching, watcher)) => {
                    return Begun::Watch(watching, Watch::new(watcher, self.clone()));
                }
                Err(failure) => Err(failure),
            },
            Command::Reload if !caller.sees_all => Err(self.no_reload()),
            command => {
                let requests = self.clone();
                return Begun::UnderWay(async move { requests.carry_out(caller, command).await });
            }
        })
    }

    /// Who asks, and what that lets them see now.
    pub(super) fn caller(&self) -> Caller {
        self.daemon.live().policy.caller(&self.peer)
    }

    async fn carry_out(&self, caller: Caller, command: Command) -> Result<Answer, Failure> {
        // The way out of everything does not stand in line behind what hangs. Who sees everything has
        // the sessions of many to look after.
        let urgent = caller.sees_all || matches!(command, Command::ForceLogout { .. });
        let _turn = if urgent {
            None
        } else {
            // Nobody closes it.
            self.turns.acquire().await.ok()
        };
        let daemon = self.daemon.clone();
        let uid = self.peer.uid;
        self.detached(async move {
            match command {
                Command::Reload => {
                    let reloaded = daemon.reload(&format!("uid {uid}")).await;
                    reloaded.map(Answer::Reloaded)
                }
                command => daemon.supervisor().execute(caller, command).await,
            }
        })
        .await
    }

    /// Runs something that must end well or badly for its own reasons, not because its client went
    /// away in the middle.
    async fn detached<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let effect = self.daemon.effects().spawn(effect);
        effect.await.unwrap_or_else(|error| Err(failed(&error)))
    }

    fn no_reload(&self) -> Failure {
        let Peer { uid, pid, .. } = *self.peer;
        let what = "`reload`";
        self.daemon
            .refusals()
            .log(uid, pid, what, "", "only admins may reload");
        Failure::new(
            FailureCode::NotAllowed,
            format!(
                "Only admins may reload the configuration, and uid {uid} is none: ask as root, or \
                 have an admin add you to `access.admins`"
            ),
        )
    }

    /// The peer learns nothing of sessions that are not its own. Who looks after the machine learns
    /// that it asked for one.
    fn note_what_is_hidden(&self, caller: Caller, command: &Command) {
        if caller.sees_all {
            return;
        }
        let supervisor = self.daemon.supervisor();
        if let Some(user) = supervisor.hidden(caller, named(command)) {
            let Peer { uid, pid, .. } = *self.peer;
            let (what, of) = (format!("`{}`", command.name()), format!(" of {user}"));
            self.daemon
                .refusals()
                .log(uid, pid, &what, &of, "the session belongs to another uid");
        }
    }
}

/// What is answered when the daemon's own code failed at a request.
pub(super) fn failed(error: &JoinError) -> Failure {
    error!("a request failed inside the daemon: {error}");
    Failure::new(
        FailureCode::Internal,
        "The daemon failed while it did this, which is a fault of its own: its log says more. Ask \
         for the status to see what was done",
    )
}

/// The users that a command names.
fn named(command: &Command) -> &[String] {
    match command {
        Command::Connect { user, .. }
        | Command::Disconnect { user }
        | Command::ForceLogout { user }
        | Command::Status { user }
        | Command::Groups { user }
        | Command::Targets { user, .. }
        | Command::History {
            user: Some(user), ..
        } => std::slice::from_ref(user),
        Command::Watch { users, .. } => users,
        Command::Ping
        | Command::Info
        | Command::Reload
        | Command::List { .. }
        | Command::History { user: None, .. } => &[],
    }
}
