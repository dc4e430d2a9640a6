//! The one reconnect that belongs to a pairing.
//!
//! After a pairing the server closes the stream (stream error 515), and the library must log in with the
//! credentials in its memory. Each of the two stanzas has a task of its own, so the library may handle the
//! end of the stream before the pairing. So the second connection waits for the pairing; otherwise the
//! library would register again instead of logging in.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::wacore_binary::Node;

/// How long a pairing may take to be handled once its stream has ended.
const SETTLE: Duration = Duration::from_secs(5);

/// How many connections a link may have: the first one, that of the restart, and one more. The library's flag
/// for a restart may be set at the moment at which the restart begins, and then it connects once more.
const MOST_DIALS: usize = 3;

/// What to do about a connection that the library wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dial {
    Yes,
    /// The link has had all its connections.
    No,
    /// Let this try fail. The pairing was handled only now, and has set the library's flag for a restart after
    /// this try had begun. The next try begins with the flag cleared.
    Again,
}

/// Whether, and when, a link may connect a second time.
#[derive(Debug, Clone, Default)]
pub(super) struct Restart(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    dials: AtomicUsize,
    allowed: AtomicBool,
    logged_in: AtomicBool,
    settled: CancellationToken,
    /// The library's own switch, known once the client is built.
    reconnects: OnceLock<Arc<AtomicBool>>,
}

impl Restart {
    /// Takes the library's switch over, and turns it off.
    pub(super) fn adopt(&self, library: &Arc<AtomicBool>) {
        library.store(false, Ordering::SeqCst);
        let _ = self.0.reconnects.set(Arc::clone(library));
    }

    /// The device was paired before this link: there is no pairing to restart for.
    pub(super) fn is_paired(&self) {
        self.logged_in();
    }

    /// Whether this stream error announces the restart of a pairing.
    pub(super) fn is_announced_by(&self, node: &Node) -> bool {
        let code = node.attrs().optional_string("code");
        code.as_deref() == Some("515") && !self.0.logged_in.load(Ordering::SeqCst)
    }

    /// The library decides whether to reconnect right after its events, so this must be called
    /// within them.
    pub(super) fn allow(&self) {
        self.0.allowed.store(true, Ordering::SeqCst);
        self.switch(true);
    }

    /// The pairing came to nothing, so there is nothing to restart for.
    pub(super) fn forbid(&self) {
        self.0.allowed.store(false, Ordering::SeqCst);
        self.switch(false);
        self.settle();
    }

    /// The pairing has been handled.
    pub(super) fn settle(&self) {
        self.0.settled.cancel();
    }

    /// Turns the library's own reconnect off: the restart is over, if there was one. Otherwise the loss of
    /// this connection would not be reported.
    pub(super) fn logged_in(&self) {
        self.0.logged_in.store(true, Ordering::SeqCst);
        self.0.allowed.store(false, Ordering::SeqCst);
        self.switch(false);
    }

    /// Asked before each connection.
    pub(super) async fn may_dial(&self) -> Dial {
        let dials = self.0.dials.load(Ordering::SeqCst);
        if dials > 0 && !self.0.allowed.load(Ordering::SeqCst) {
            self.switch(false);
            return Dial::No;
        }
        if dials > 0 && !self.0.settled.is_cancelled() {
            if timeout(SETTLE, self.0.settled.cancelled()).await.is_ok() {
                return Dial::Again;
            }
            // No pairing was under way. A new link begins a new one.
            self.forbid();
            return Dial::No;
        }
        if dials >= MOST_DIALS {
            self.switch(false);
            return Dial::No;
        }
        self.0.dials.fetch_add(1, Ordering::SeqCst);
        Dial::Yes
    }

    fn switch(&self, on: bool) {
        if let Some(switch) = self.0.reconnects.get() {
            switch.store(on, Ordering::SeqCst);
        }
    }
}
