//! The answers to requests: at once from memory, or by a task when there is a slot.

use tokio::task::JoinError;
use tracing::error;

use super::frames::Frame;
use super::requester::Requester;
use super::watch::Watch;
use crate::daemon::access::Peer;
use crate::daemon::allowance::{Allowance, Need, Place};
use crate::daemon::budget::Charge;
use crate::daemon::config::OwnProxies;
use crate::daemon::state::Daemon;
use crate::protocol::codec::Encoding;
use crate::protocol::{
    Answer, Command, Failure, FailureCode, PasskeyAction, ProxyEdit, Request, TargetEdit, Watching,
};
use crate::supervisor::Caller;

/// The requests of one connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    requester: Requester,
    encoding: Encoding,
    allowance: Allowance,
}

/// A request that waits for a slot: as it was sent, in no more memory than that.
struct Kept {
    bytes: Box<[u8]>,
    _charge: Option<Charge>,
}

/// The beginning of a request that is carried out.
enum Start {
    /// At once.
    Now(Command, Place),
    /// When there is a place for it.
    Later(Kept),
}

/// The way a request is answered.
pub(super) enum Begun<F> {
    /// The answer is here.
    Answered(Result<Answer, Failure>),
    /// A watch begins, in place of the one before.
    Watch(Watching, Watch),
    /// The answer comes when this future is done.
    UnderWay(F),
}

impl Requests {
    pub(super) fn new(requester: Requester, encoding: Encoding, allowance: Allowance) -> Self {
        Self {
            requester,
            encoding,
            allowance,
        }
    }

    /// Answers from memory at once, and begins the rest. `frame` is what the request was read from.
    /// Dropping a request that is under way stops the waiting, not the effect.
    pub(super) fn begin(
        &self,
        request: Request,
        frame: Frame,
    ) -> Begun<impl Future<Output = Result<Answer, Failure>> + use<>> {
        let command = request.command;
        let caller = self.requester.caller();
        self.note_what_is_hidden(caller, &command);
        let daemon = &self.requester.daemon;
        let supervisor = daemon.supervisor();
        Begun::Answered(match command {
            Command::Ping => Ok(Answer::Pong),
            Command::Info => Ok(Answer::Info(Box::new(daemon.info(caller)))),
            Command::Status { .. } | Command::List { .. } | Command::History { .. } => {
                supervisor.look_up(caller, command)
            }
            Command::Watch { users, since } => match supervisor.watch(caller, users, since) {
                Ok((watching, watcher)) => {
                    let watch = Watch::new(watcher, self.requester.clone());
                    return Begun::Watch(watching, watch);
                }
                Err(failure) => Err(failure),
            },
            Command::Reload if !caller.sees_all => {
                Err(self.admins_only("`reload`", "reload the configuration"))
            }
            Command::RotateKey if !caller.sees_all => {
                Err(self.admins_only("`rotate_key`", "change the master key"))
            }
            command if chooses_a_proxy(&command) && !self.may_choose_a_proxy(caller) => {
                Err(self.no_proxy(&command))
            }
            command => {
                let need = need(caller, &command);
                let start = match self.allowance.try_place(need) {
                    Some(place) => Start::Now(command, place),
                    None => Start::Later(Kept::from_frame(frame)),
                };
                let requests = self.clone();
                return Begun::UnderWay(
                    async move { requests.carry_out(caller, need, start).await },
                );
            }
        })
    }

    async fn carry_out(&self, caller: Caller, need: Need, start: Start) -> Result<Answer, Failure> {
        let (command, place) = match start {
            Start::Now(command, place) => (command, place),
            Start::Later(kept) => {
                let place = self.allowance.place(need).await;
                let command = kept.decode(self.encoding)?;
                // A reload may have come while it waited.
                if chooses_a_proxy(&command) && !self.may_choose_a_proxy(caller) {
                    return Err(self.no_proxy(&command));
                }
                (command, place)
            }
        };
        let daemon = self.requester.daemon.clone();
        let uid = self.requester.peer.uid;
        self.detached(async move {
            // The effect has the place, not the client that waits: one that is gone makes no room for
            // more than its uid may have under way.
            let _place = place;
            match command {
                Command::Reload => {
                    let reloaded = daemon.reload(&format!("uid {uid}")).await;
                    reloaded.map(Answer::Reloaded)
                }
                Command::RotateKey => {
                    let supervisor = daemon.supervisor();
                    let rotated = supervisor.rotate_key(&format!("uid {uid}")).await;
                    rotated.map(Answer::RotatedKey)
                }
                command => daemon.supervisor().execute(caller, command).await,
            }
        })
        .await
    }

    /// Runs an effect that goes on when its client leaves in the middle of it.
    async fn detached<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let effect = self.requester.daemon.effects().spawn(effect);
        effect.await.unwrap_or_else(|error| Err(failed(&error)))
    }

    fn daemon(&self) -> &Daemon {
        &self.requester.daemon
    }

    /// The refusal of a command that concerns the daemon; `deed` says what it would do.
    fn admins_only(&self, command: &str, deed: &str) -> Failure {
        let Peer { uid, pid, .. } = *self.requester.peer;
        let why = format!("only admins may {deed}");
        self.daemon().refusals().log(uid, pid, command, "", &why);
        Failure::new(
            FailureCode::NotAllowed,
            format!(
                "Only admins may {deed}, and uid {uid} is none: ask as root, or have an admin add you to \
                 `access.admins`"
            ),
        )
    }

    fn may_choose_a_proxy(&self, caller: Caller) -> bool {
        caller.sees_all || self.daemon().in_force().config.access.own_proxies == OwnProxies::Owners
    }

    fn no_proxy(&self, command: &Command) -> Failure {
        let Peer { uid, pid, .. } = *self.requester.peer;
        let what = format!("`{}`", command.name());
        let why = "only admins may choose proxies";
        self.daemon().refusals().log(uid, pid, &what, "", why);
        Failure::new(
            FailureCode::NotAllowed,
            format!(
                "Only admins may choose the proxies of sessions here, and uid {uid} is none. Nothing was \
                 done: ask an admin to choose it, or to set `access.own_proxies = \"owners\"`"
            ),
        )
    }

    /// Logs that the peer asked for a session that is not its own. The peer itself does not learn that
    /// there is one.
    fn note_what_is_hidden(&self, caller: Caller, command: &Command) {
        if caller.sees_all {
            return;
        }
        let supervisor = self.daemon().supervisor();
        if let Some(user) = supervisor.hidden(caller, named(command)) {
            let Peer { uid, pid, .. } = *self.requester.peer;
            let (what, of) = (format!("`{}`", command.name()), format!(" of {user}"));
            self.daemon().refusals().log(
                uid,
                pid,
                &what,
                &of,
                "the session belongs to another uid",
            );
        }
    }
}

impl Kept {
    fn from_frame(frame: Frame) -> Self {
        Self {
            // The frame may share the memory of a whole buffer.
            bytes: frame.bytes.as_ref().into(),
            _charge: frame.charge,
        }
    }

    fn decode(self, encoding: Encoding) -> Result<Command, Failure> {
        let request = encoding.decode::<Request>(&self.bytes).map_err(|error| {
            // The request was read once before.
            error!("a request could not be read a second time: {error}");
            broken()
        })?;
        Ok(request.command)
    }
}

/// Whether the command chooses a session's proxy.
fn chooses_a_proxy(command: &Command) -> bool {
    match command {
        Command::Connect { proxy, .. } => proxy.is_some(),
        Command::Proxy { edit, .. } => *edit != ProxyEdit::Show,
        _ => false,
    }
}

/// The needs of a command. `force_logout` is the way out of everything, so it never waits behind other
/// requests. An admin needs no slot: it looks after the sessions of many.
fn need(caller: Caller, command: &Command) -> Need {
    let urgent = matches!(command, Command::ForceLogout { .. });
    Need {
        slot: !urgent && !caller.sees_all,
        bytes: if urgent { 0 } else { size(command) },
    }
}

/// The bytes that a decoded command holds.
fn size(command: &Command) -> usize {
    /// The allocator adds at most so much to each piece.
    const EACH: usize = 16;
    let text = |text: &String| EACH + text.capacity();
    let list = |list: &Vec<String>| {
        EACH + list.capacity() * size_of::<String>() + list.iter().map(text).sum::<usize>()
    };
    let more = match command {
        Command::Targets {
            edit: TargetEdit::Set(jids) | TargetEdit::Add(jids) | TargetEdit::Remove(jids),
            ..
        } => list(jids),
        Command::Connect {
            phone,
            expect,
            proxy,
            ..
        } => {
            let proxy = proxy.as_ref().map(|url| EACH + url.reveal().len());
            phone.iter().chain(expect).map(text).sum::<usize>() + proxy.unwrap_or_default()
        }
        Command::Passkey {
            action: PasskeyAction::Assert(assertion),
            ..
        } => EACH + assertion.reveal().len(),
        Command::Proxy {
            edit: ProxyEdit::Set(url),
            ..
        } => EACH + url.reveal().len(),
        _ => 0,
    };
    let users: usize = named(command).iter().map(text).sum();
    size_of::<Command>() + users + more
}

/// The answer when the daemon's own code failed at a request.
pub(super) fn failed(error: &JoinError) -> Failure {
    error!("a request failed inside the daemon: {error}");
    broken()
}

fn broken() -> Failure {
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
        | Command::Passkey { user, .. }
        | Command::Proxy { user, .. }
        | Command::History {
            user: Some(user), ..
        } => std::slice::from_ref(user),
        Command::Watch { users, .. } => users,
        Command::Ping
        | Command::Info
        | Command::Reload
        | Command::RotateKey
        | Command::List { .. }
        | Command::History { user: None, .. } => &[],
    }
}
