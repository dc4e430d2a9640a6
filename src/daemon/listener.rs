//! Accepts connections, decides about each before anything of it is read, and hands it on.
//!
//! Nothing a client does can end the loop, and no error of one accept keeps the next from working.

use std::collections::HashMap;
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

use super::access::{Peer, groups_of};
use super::connection;
use super::permits::{Permit, Permits};
use super::socket::ControlSocket;
use super::state::Daemon;
use crate::failpoint;
use crate::message_id;
use crate::protocol::preface::Welcome;

#[cfg(test)]
mod tests;

/// Without descriptors, accepting pauses this long, and up to this long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The socket's file is made to look used as often as this.
const TOUCH: Duration = Duration::from_hours(1);

/// Refusals of the same uid for the same reason are logged once in this time.
const REFUSALS: Duration = Duration::from_mins(1);

/// Asks the accept loop whether it still turns.
#[derive(Debug, Clone)]
pub struct Heart(mpsc::Sender<oneshot::Sender<()>>);

impl Heart {
    /// Whether the loop answers within this time.
    pub async fn beats(&self, within: Duration) -> bool {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            self.0.send(answer).await.is_ok() && answered.await.is_ok()
        };
        timeout(within, asked).await.unwrap_or(false)
    }
}

/// The accept loop.
#[derive(Debug)]
pub struct Listener {
    socket: ControlSocket,
    daemon: Daemon,
    permits: Permits,
    refusals: Refusals,
    questions: mpsc::Receiver<oneshot::Sender<()>>,
}

impl Listener {
    /// A loop over this socket, and its heart.
    #[must_use]
    pub fn new(socket: ControlSocket, daemon: Daemon) -> (Self, Heart) {
        let (heart, questions) = mpsc::channel(1);
        let listener = Self {
            socket,
            daemon,
            permits: Permits::default(),
            refusals: Refusals::default(),
            questions,
        };
        (listener, Heart(heart))
    }

    /// Accepts until the stop, then removes the socket and waits until every connection is closed.
    pub async fn run(mut self, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut touch = interval(TOUCH);
        let mut pause = Pause::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(question) = self.questions.recv() => {
                    failpoint::hang("listener");
                    // Whoever asked may have given up.
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
        // Whoever connects from here on is told that nobody is there, instead of waiting in vain.
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }

    fn admit(&mut self, stream: UnixStream, connections: &TaskTracker, stop: &CancellationToken) {
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
                self.refusals.log(uid, pid, &why);
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
            if daemon.live().policy.asks_for_groups(uid) {
                let looked_up = tokio::task::spawn_blocking(move || groups_of(uid));
                // Without an answer it is a user like any other.
                peer.groups.extend(looked_up.await.unwrap_or_default());
            }
            connection::serve(stream, peer, daemon, stop).await;
            drop(permit);
        });
    }

    fn permit(&self, uid: u32) -> Result<Permit, String> {
        let live = self.daemon.live();
        live.policy.admit(uid).map_err(|why| why.to_string())?;
        // Admins by group are not known yet, and count as everybody: the places kept free are for
        // those who can help in any case.
        let groupless = Peer {
            uid,
            pid: None,
            groups: [].into(),
        };
        let sees_all = live.policy.caller(&groupless).sees_all;
        let permit = self
            .permits
            .take(uid, live.config.access.max_connections_per_uid, sees_all);
        permit.map_err(|why| why.to_string())
    }
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

/// Logs refusals, but not each one of a flood.
#[derive(Debug, Default)]
struct Refusals {
    seen: HashMap<(u32, String), (Instant, u64)>,
}

impl Refusals {
    fn log(&mut self, uid: u32, pid: Option<i32>, why: &str) {
        let now = Instant::now();
        let key = (uid, why.to_owned());
        let since_last = self.seen.get(&key).copied();
        if let Some((at, unsaid)) = since_last
            && now.duration_since(at) < REFUSALS
        {
            self.seen.insert(key, (at, unsaid + 1));
            return;
        }
        let more = match since_last {
            Some((_, unsaid @ 1..)) => format!(" ({unsaid} more like it since the last such line)"),
            _ => String::new(),
        };
        let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        warn!(
            message_id = message_id::REFUSED,
            peer_uid = uid,
            peer_pid = pid,
            "a connection of uid {uid}, pid {pid}, is refused: {why}{more}"
        );
        self.seen
            .retain(|_, (at, _)| now.duration_since(*at) < REFUSALS);
        self.seen.insert(key, (now, 0));
    }
}
