//! Accepts connections, decides about each before anything of it is read, and hands it on.
//!
//! Nothing a client does can end the loop, and no error of one accept keeps the next from working.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use nix::errno::Errno;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::access::{LOOK_UP_WITHIN, Peer, groups_of};
use super::connection;
use super::permits::{self, Permit, Permits};
use super::socket::ControlSocket;
use super::state::Daemon;
use crate::failpoint;
use crate::protocol::preface::Welcome;

#[cfg(test)]
mod tests;

/// Without descriptors, accepting pauses this long, and up to this long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The socket's file is touched this often.
const TOUCH: Duration = Duration::from_hours(1);

/// Asks the accept loop whether it still runs.
#[derive(Debug, Clone)]
pub(super) struct LivenessProbe(mpsc::Sender<oneshot::Sender<()>>);

impl LivenessProbe {
    /// Whether the loop answers within this time.
    pub(super) async fn answers(&self, within: Duration) -> bool {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            self.0.send(answer).await.is_ok() && answered.await.is_ok()
        };
        timeout(within, asked).await.unwrap_or(false)
    }
}

/// The accept loop.
#[derive(Debug)]
pub(super) struct Listener {
    socket: ControlSocket,
    daemon: Daemon,
    permits: Permits,
    questions: mpsc::Receiver<oneshot::Sender<()>>,
}

impl Listener {
    /// A loop over this socket, and its liveness.
    #[must_use]
    pub(super) fn new(socket: ControlSocket, daemon: Daemon) -> (Self, LivenessProbe) {
        let (liveness, questions) = mpsc::channel(1);
        let listener = Self {
            socket,
            daemon,
            permits: Permits::new(permits::most()),
            questions,
        };
        (listener, LivenessProbe(liveness))
    }

    /// Accepts until the stop, then removes the socket and waits until every connection is closed.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut touch = interval(TOUCH);
        let mut pause = Pause::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(question) = self.questions.recv() => {
                    failpoint::hang("listener");
                    // The watchdog may have given up waiting.
                    let _ = question.send(());
                }
                _ = touch.tick() => self.socket.touch(),
                // While it pauses, clients wait in the kernel's queue.
                accepted = pause.over().then(|()| self.socket.listener.accept()) => match accepted {
                    Ok((stream, _)) => {
                        pause.end();
                        self.admit(stream, &connections, &stop);
                    }
                    Err(error) => pause.after(&error),
                },
            }
        }
        // A client that connects from here on is refused, instead of waiting in vain.
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }

    fn admit(&self, stream: UnixStream, connections: &TaskTracker, stop: &CancellationToken) {
        let (uid, gid, pid) = match stream.peer_cred() {
            Ok(peer) => (peer.uid(), peer.gid(), peer.pid()),
            Err(error) => {
                warn!("a connection is refused: the kernel does not say whose it is ({error})");
                return;
            }
        };
        let permit = match self.permit(uid) {
            Ok(permit) => permit,
            Err(why) => {
                let refusals = self.daemon.refusals();
                refusals.log(uid, pid, "a connection", "", &why);
                refuse(&stream, &why);
                return;
            }
        };
        let daemon = self.daemon.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut peer = Peer {
                uid,
                pid,
                groups: [gid].into(),
            };
            if daemon.in_force().policy.asks_for_groups(uid) {
                peer.groups.extend(look_up(uid, &daemon).await);
            }
            let (read, write) = stream.into_split();
            connection::serve(read, write, peer, daemon, permit.allowance(), stop).await;
            drop(permit);
        });
    }

    fn permit(&self, uid: u32) -> Result<Permit, String> {
        let in_force = self.daemon.in_force();
        in_force.policy.admit(uid).map_err(|why| why.to_string())?;
        // Admins by group are not known yet, and count as everybody: the places kept free are for
        // those who can help in any case.
        let groupless = Peer {
            uid,
            pid: None,
            groups: [].into(),
        };
        let sees_all = in_force.policy.caller(&groupless).sees_all;
        let permit = self.permits.take(
            uid,
            in_force.config.access.max_connections_per_uid,
            sees_all,
        );
        permit.map_err(|why| why.to_string())
    }
}

/// The groups of a uid. Without an answer in time it is a user like any other.
async fn look_up(uid: u32, daemon: &Daemon) -> Vec<u32> {
    let asked = groups_of(uid, &daemon.rooms().accounts).await;
    asked.unwrap_or_else(|| {
        warn!(
            peer_uid = uid,
            "the groups of uid {uid} are not known within {} s: until it connects again, it is no \
             admin by a group",
            LOOK_UP_WITHIN.as_secs()
        );
        Vec::new()
    })
}

/// Tells a client why it is turned away, if that can be done without waiting for it.
fn refuse(stream: &UnixStream, why: &str) {
    let welcome = Welcome::Error(why.to_owned()).to_string();
    let Ok(length) = u32::try_from(welcome.len()) else {
        return;
    };
    let frame = [&length.to_be_bytes(), welcome.as_bytes()].concat();
    // A fresh socket has room for it. If not, the close says enough.
    let _ = stream.writable().now_or_never();
    let _ = stream.try_write(&frame);
}

/// When accepting goes on after an error.
#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    last: Option<Duration>,
}

impl Pause {
    async fn over(&self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }

    fn end(&mut self) {
        if self.last.take().is_some() {
            warn!("connections are accepted again");
        }
        self.until = None;
    }

    fn after(&mut self, error: &io::Error) {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        match errno {
            // The client was gone before it was accepted.
            Errno::ECONNABORTED | Errno::EINTR | Errno::EAGAIN => {
                debug!("a connection was gone before it was accepted: {error}");
                return;
            }
            _ if self.last.is_some() => {}
            Errno::EMFILE | Errno::ENFILE => warn!(
                "no connection can be accepted: the limit of open files is reached ({error}). \
                 Clients wait. Raise LimitNOFILE= of the service, or close connections"
            ),
            _ => warn!("no connection can be accepted: {error}. Clients wait; it is tried again"),
        }
        // Longer each time, so that a lasting trouble costs nothing.
        let (shortest, longest) = PAUSES;
        let pause = self.last.map_or(shortest, |last| (last * 2).min(longest));
        self.last = Some(pause);
        self.until = Some(Instant::now() + pause);
    }
}
