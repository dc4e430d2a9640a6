//! One user of a daemon that has many: with a connection, a watch and a phone of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;
use wasessiond::client::{Client, ClientError, Options, Watch, WatchItem};
use wasessiond::protocol::{
    Cause, Event, EventKind, FailureCode, HistoryEntry, Phase, Stage as Reached, Unlink,
};
use wasim::Observation;

use crate::stage::Stage;

/// The longest that anything here takes is the return after a 429 at the second login in a row: up to two
/// minutes of backoff.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) struct Person {
    pub(crate) sim: wasim::Server,
    pub(crate) client: Client,
    watch: Watch,
    pub(crate) user: String,
    pub(crate) phone: String,
    /// The device's JID, once paired.
    pub(crate) device: String,
    state: PathBuf,
    socket: PathBuf,
    pid: i32,
}

impl Person {
    /// Number `number` of a stage: each has a name and a phone of its own.
    pub(crate) async fn new(stage: &Stage, number: usize) -> Self {
        let user = format!("user{number}");
        let (client, watch) = join(stage, &user).await;
        Self {
            sim: stage.sim.clone(),
            client,
            watch,
            user,
            phone: format!("1555000{:04}", 2000 + number),
            device: String::new(),
            state: stage.state(),
            socket: stage.daemon.as_ref().expect("it runs").socket.clone(),
            pid: stage.daemon.as_ref().expect("it runs").pid(),
        }
    }

    /// Likewise, paired and online.
    pub(crate) async fn paired(stage: &Stage, number: usize) -> Self {
        let mut person = Self::new(stage, number).await;
        person.pair().await;
        person
    }

    /// Joins the daemon that was started again.
    pub(crate) async fn rejoin(&mut self, stage: &Stage) {
        (self.client, self.watch) = join(stage, &self.user).await;
        self.pid = stage.daemon.as_ref().expect("it runs").pid();
    }

    /// Where another client of the same daemon connects.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) async fn connect(&self) -> Phase {
        let status = self.client.connect_session(&self.user, None).await;
        status.expect("connect").phase
    }

    pub(crate) async fn qr(&mut self) -> String {
        let event = self.event(|e| matches!(e.kind, EventKind::Qr)).await;
        let qr = event.status.and_then(|s| s.qr).expect("a QR code");
        qr.code.expect("its text").reveal().to_owned()
    }

    pub(crate) async fn pair(&mut self) {
        self.connect().await;
        let qr = self.qr().await;
        let device = self.sim.scan(&qr, &self.phone).await.expect("scan");
        self.event(|e| matches!(e.kind, EventKind::Paired)).await;
        self.device = device;
        self.online().await;
    }

    // ---- what happens ---------------------------------------------------------------------------

    pub(crate) async fn next(&mut self) -> Event {
        match timeout(PATIENCE, self.watch.next()).await {
            Ok(Ok(WatchItem::Event(event))) => {
                let again = matches!(event.kind, EventKind::Qr) && !self.device.is_empty();
                assert!(!again, "whoever is paired must not be shown a QR code");
                *event
            }
            Ok(Ok(WatchItem::Lagged { .. })) => panic!("the watch fell behind"),
            Ok(Err(e)) => panic!("the watch ended: {e}"),
            Err(_) => panic!("nothing happened to {} for {PATIENCE:?}", self.user),
        }
    }

    /// Waits for an event. What was paired does not end unless that is what is waited for.
    pub(crate) async fn event(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if fits(&event) {
                return event;
            }
            assert_eq!(event.kind.ended(), None, "it is gone");
        }
    }

    pub(crate) async fn phase(&mut self, phase: Phase) -> Event {
        self.event(|e| e.status.as_ref().is_some_and(|s| s.phase == phase))
            .await
    }

    /// The phase now; `None`: there is no session.
    pub(crate) async fn now(&self) -> Option<Phase> {
        match self.client.status(&self.user).await {
            Ok(status) => Some(status.phase),
            Err(ClientError::Failure(f)) if f.code == FailureCode::NotFound => None,
            Err(other) => panic!("{other}"),
        }
    }

    /// Waits until this holds of the session, which may be now.
    pub(crate) async fn until(&mut self, phase: Option<Phase>) {
        while self.now().await != phase {
            self.next().await;
        }
    }

    /// Waits until connecting got to this stage, which may be now.
    pub(crate) async fn until_stage(&mut self, stage: Reached) {
        loop {
            let status = self.client.status(&self.user).await.expect("status");
            if status.connecting.is_some_and(|c| c.stage == stage) {
                return;
            }
            self.next().await;
        }
    }

    /// Waits until it is online, as the device it was, without a QR code.
    pub(crate) async fn online(&mut self) {
        let status = self.phase(Phase::Online).await.status.expect("a status");
        assert_eq!(status.account.expect("an account").jid, self.device);
        self.has_credentials();
    }

    /// Whether an event has come that was not looked at. Events and answers come in order on one
    /// connection, so that after an answer this is no race.
    pub(crate) async fn pending(&mut self) -> Option<WatchItem> {
        let next = timeout(Duration::ZERO, self.watch.next()).await.ok()?;
        Some(next.expect("the watch goes on"))
    }

    /// What the simulator saw of this device since then, among what fits.
    pub(crate) async fn seen(
        &self,
        position: u64,
        fits: impl Fn(&Observation) -> bool,
    ) -> Option<Observation> {
        let ours = |o: &Observation| o.jid() == Some(&self.device) && fits(o);
        self.sim
            .wait_after(position, ours, Duration::ZERO)
            .await
            .ok()
    }

    // ---- what is left ---------------------------------------------------------------------------

    pub(crate) fn credentials(&self) -> PathBuf {
        self.state
            .join("sessions")
            .join(&self.user)
            .join("vault.db")
    }

    pub(crate) fn has_credentials(&self) {
        let length = std::fs::metadata(self.credentials()).map(|m| m.len());
        assert!(
            length.as_ref().is_ok_and(|l| *l > 0),
            "no credentials: {length:?}"
        );
    }

    /// The credentials are there as long as the history has no more ends than these.
    pub(crate) async fn has_credentials_unless_it_ended(&self, ends: usize) {
        if self.credentials().exists() {
            return;
        }
        // It was removed just now: then its end is in the history, or on its way there.
        loop {
            let history = self.client.history(Some(&self.user), None).await;
            if history.expect("history").len() > ends {
                return;
            }
            let leaving = self.now().await == Some(Phase::LoggingOut);
            assert!(leaving, "no credentials, and nobody said why");
        }
    }

    /// Nothing is left, on the disk, in the daemon, in its answers, and it was one logout.
    pub(crate) async fn is_gone(&self, cause: Cause, unlink: Unlink) -> HistoryEntry {
        let history = self.nothing_left().await;
        assert_eq!(history.len(), 1, "one logout: {history:?}");
        assert_eq!((history[0].cause, history[0].unlink), (cause, unlink));
        history[0].clone()
    }

    /// Nothing is left, on the disk, in the daemon, in its answers; returns how its sessions ended, the
    /// last one first.
    pub(crate) async fn nothing_left(&self) -> Vec<HistoryEntry> {
        let session = self.state.join("sessions").join(&self.user);
        assert!(!session.exists(), "something is left on the disk");
        let trash = format!("{}/{}.", self.state.join("trash").display(), self.user);
        let ours = |path: &Path| {
            path.starts_with(&session) || path.display().to_string().starts_with(&trash)
        };
        let in_trash = std::fs::read_dir(self.state.join("trash")).expect("read");
        for entry in in_trash.flatten() {
            assert!(!ours(&entry.path()), "left: {}", entry.path().display());
        }
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("read /proc");
        for file in open
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        {
            assert!(!ours(&file), "still open: {}", file.display());
        }
        let history = self.client.history(Some(&self.user), None).await;
        let history = history.expect("history");
        match self.client.status(&self.user).await {
            Err(ClientError::Failure(failure)) => {
                assert_eq!(failure.code, FailureCode::NotFound);
                let last = failure.last_logout.expect("the last logout");
                assert_eq!(Some(&*last), history.first());
            }
            other => panic!("it should be gone: {other:?}"),
        }
        history
    }
}

async fn join(stage: &Stage, user: &str) -> (Client, Watch) {
    let socket = &stage.daemon.as_ref().expect("it runs").socket;
    let client = Client::connect(socket, Options::default())
        .await
        .expect("join the daemon");
    let watch = client.watch([user], None).await.expect("watch");
    (client, watch)
}
