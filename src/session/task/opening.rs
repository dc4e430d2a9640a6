//! Opening a session's link, when it is its turn, and giving it up.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::super::logout::close;
use super::super::machine::Input;
use super::{Opening, Queue, Task};
use crate::blocking::UncancellableWork;
use crate::whatsapp::{CredentialsError, Link, Scope};

/// How long a restored session holds its turn at the most: a server that hangs must not hold up the
/// others.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// The most a restored session waits before it asks for its turn.
const RESTORE_SPREAD: Duration = Duration::from_millis(500);

/// How long what cannot be broken off (a link that is being opened, a write) may hold up a logout: its
/// reply then says so, within the deadline.
const GIVE_UP: Duration = Duration::from_secs(8);

impl Task {
    /// Begins to open a link; after a start of the daemon when it is its turn.
    pub(super) fn open_link(&mut self) {
        match self.context.turn.take() {
            None => self.begin_opening(),
            Some(turn) => {
                self.queue = Some(Box::pin(async move {
                    sleep(RESTORE_SPREAD.mul_f64(rand::random())).await;
                    turn.acquire_owned().await.ok()
                }));
            }
        }
    }

    pub(super) fn my_turn(&mut self, permit: Option<OwnedSemaphorePermit>) {
        self.queue = None;
        self.turn = permit.map(|permit| (permit, Instant::now() + LONGEST_TURN));
        self.begin_opening();
    }

    /// A session that waits for its turn and is asked for goes at once.
    pub(super) fn skip_the_queue(&mut self) {
        self.context.turn = None;
        if self.queue.take().is_some() {
            self.begin_opening();
        }
    }

    /// Opens a link in a task of its own, so that commands are answered meanwhile.
    pub(super) fn begin_opening(&mut self) {
        let scope = Scope::new(self.context.span.clone(), self.context.work.clone());
        self.scope = Some(scope.clone());
        let (events, told) = mpsc::unbounded_channel();
        self.events = Some(told);
        let gateway = self.context.gateway.clone();
        let auth_db = self.context.store.auth_db(&self.context.user);
        let expected = self.machine.expects();
        let before = self.given_up.take();
        let opening = async move {
            if let Some(before) = before {
                finish(before).await;
            }
            Link::open(&gateway, &auth_db, expected, scope, events).await
        };
        self.opening = Some(tokio::spawn(opening.instrument(self.context.span.clone())));
    }

    pub(super) async fn opened(&mut self, opened: Result<Link, CredentialsError>) {
        self.opening = None;
        match opened {
            Ok(link) => self.link = Some(link),
            Err(CredentialsError::Unusable { path, why }) => {
                let why = format!("{}: {why}", path.display());
                self.take(Input::Unusable(why)).await;
            }
            Err(unavailable) => self.take(Input::Unavailable(unavailable.to_string())).await,
        }
    }

    pub(super) async fn close_link(&mut self) {
        self.forget_link();
        if let Err(why) = close(&mut self.link, true).await {
            tracing::warn!("the old link did not end in time: {why}");
        }
    }

    /// Nothing that the link still tells counts any more, and one that is being opened is given up.
    pub(super) fn forget_link(&mut self) {
        self.events = None;
        self.queue = None;
        self.turn = None;
        if let (Some(scope), Some(opening)) = (self.scope.take(), self.opening.take()) {
            scope.cancel();
            self.given_up = Some(opening);
        }
    }

    /// Waits for what cannot be broken off, an opening that was given up above all.
    pub(super) async fn nothing_remains(&mut self) -> Result<(), String> {
        if let Some(given_up) = self.given_up.take() {
            self.context.work.leave(finish(given_up));
        }
        gone(&self.context.work).await
    }
}

pub(super) async fn gone(work: &UncancellableWork) -> Result<(), String> {
    let gone = timeout(GIVE_UP, work.gone()).await;
    gone.map_err(|_| {
        "its files are still being opened or written, a disk may be hanging".to_owned()
    })
}

/// Sees an opening through, and closes what it opened.
pub(super) async fn finish(opening: Opening) {
    if let Ok(Ok(link)) = opening.await {
        let _ = link.close(false).await;
    }
}

pub(super) async fn maybe(queue: &mut Option<Queue>) -> Option<OwnedSemaphorePermit> {
    match queue {
        Some(queue) => queue.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn opened(opening: &mut Option<Opening>) -> Result<Link, CredentialsError> {
    let Some(opening) = opening else {
        return std::future::pending().await;
    };
    match opening.await {
        Ok(opened) => opened,
        // A fault in there is a fault of this session.
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        Err(_) => std::future::pending().await,
    }
}
