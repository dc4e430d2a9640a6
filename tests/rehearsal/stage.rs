//! The stage of a rehearsal: a simulator, a daemon, and somebody who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::timeout;
use wasessiond::client::{Client, ClientError, Options, Watch, WatchItem};
use wasessiond::protocol::{
    Cause, Event, EventKind, FailureCode, HistoryEntry, Phase, Status, Unlink,
};

use crate::daemon::{Daemon, PROGRAM};

/// How long anything may take on a busy machine. What is waited for is an event, so a test is as fast
/// as what it tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const PHONE: &str = "15550001001";

pub(crate) struct Stage {
    pub(crate) sim: wasim::Server,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) client: Client,
    pub(crate) watch: Watch,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// With the default configuration.
    pub(crate) async fn set() -> Self {
        Self::with("").await
    }

    /// With these lines of configuration besides the endpoint.
    pub(crate) async fn with(config: &str) -> Self {
        Self::launch(config, Command::new(PROGRAM)).await
    }

    /// The same, with a daemon that is started by this command.
    pub(crate) async fn launch(config: &str, command: Command) -> Self {
        let sim = wasim::Server::start(wasim::Options::default())
            .await
            .expect("start the simulator");
        let dir = tempfile::tempdir().expect("make a directory");
        Self::found(sim, dir, config, command).await
    }

    /// With a simulator and a directory that are there already.
    pub(crate) async fn found(
        sim: wasim::Server,
        dir: TempDir,
        config: &str,
        command: Command,
    ) -> Self {
        let url = sim.url();
        Self::at(&url, sim, dir, config, command).await
    }

    /// The same, where the daemon finds the simulator at this URL.
    pub(crate) async fn at(
        url: &str,
        sim: wasim::Server,
        dir: TempDir,
        config: &str,
        command: Command,
    ) -> Self {
        let text = format!("[whatsapp]\nendpoint = {url:?}\nversion = \"2.3000.1\"\n{config}");
        std::fs::write(dir.path().join("config.toml"), text).expect("write the configuration");
        let daemon = Daemon::launch(dir.path(), command);
        let (client, watch) = join(&daemon).await;
        Self {
            sim,
            daemon: Some(daemon),
            client,
            watch,
            dir,
        }
    }

    /// Starts the daemon again, after a stop or a kill.
    pub(crate) async fn start(&mut self) {
        self.start_by(Command::new(PROGRAM)).await;
    }

    /// The same, by this command.
    pub(crate) async fn start_by(&mut self, command: Command) {
        let daemon = Daemon::launch(self.dir.path(), command);
        (self.client, self.watch) = join(&daemon).await;
        self.daemon = Some(daemon);
    }

    pub(crate) fn stop(&mut self) {
        let daemon = self.daemon.take().expect("it runs");
        let status = daemon.stop();
        assert!(status.success(), "{status}");
    }

    pub(crate) fn kill(&mut self) {
        self.daemon.take().expect("it runs").kill();
    }

    /// Waits until the daemon has died of what it was told to die of.
    pub(crate) fn died(&mut self) {
        let status = self.daemon.take().expect("it runs").wait();
        assert_eq!(
            status.signal(),
            Some(Signal::SIGKILL as i32),
            "it did not get to where it was to die: {status}\n{}",
            self.log()
        );
    }

    // ---- what happens ---------------------------------------------------------------------------

    /// Waits for an event about this user.
    pub(crate) async fn event(&mut self, user: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let mut seen = Vec::new();
        let found = timeout(PATIENCE, async {
            loop {
                match self.watch.next().await {
                    Ok(WatchItem::Event(event)) if event.user.as_str() == user => {
                        if fits(&event) {
                            return *event;
                        }
                        seen.push(event);
                    }
                    Ok(_) => {}
                    Err(e) => panic!("the watch ended: {e}; seen: {seen:#?}"),
                }
            }
        });
        match found.await {
            Ok(event) => event,
            Err(_) => panic!("what was waited for did not happen; seen: {seen:#?}"),
        }
    }

    /// Waits for an event about anybody.
    pub(crate) async fn any_event(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let next = timeout(PATIENCE, self.watch.next()).await;
            match next.expect("it happens in time") {
                Ok(WatchItem::Event(event)) if fits(&event) => return *event,
                Ok(_) => {}
                Err(e) => panic!("the watch ended: {e}"),
            }
        }
    }

    pub(crate) async fn phase(&mut self, user: &str, phase: Phase) -> Status {
        let event = self
            .event(user, |e| {
                e.status.as_ref().is_some_and(|s| s.phase == phase)
            })
            .await;
        event.status.expect("it was looked at")
    }

    /// The status in this phase: now, or when the session gets there. What was told up to then is behind: an event that
    /// is waited for afterwards is a later one.
    pub(crate) async fn until(&mut self, user: &str, phase: Phase) -> Status {
        self.catch_up().await;
        let name = user.parse().expect("a name");
        if let Some(status) = self.watch.view().get(&name)
            && status.phase == phase
        {
            return status.clone();
        }
        self.phase(user, phase).await
    }

    /// Reads what was told up to now.
    async fn catch_up(&mut self) {
        let daemon = self.daemon.as_ref().expect("it runs");
        let (_client, latest) = join(daemon).await;
        let now = latest.position().seq;
        while self.watch.position().seq < now {
            let item = timeout(PATIENCE, self.watch.next()).await;
            item.expect("what happened").expect("the watch goes on");
        }
    }

    pub(crate) async fn ended(&mut self, user: &str) -> HistoryEntry {
        let event = self.event(user, |e| e.kind.ended().is_some()).await;
        assert_eq!(event.status, None, "a session that ended has no status");
        event.kind.ended().expect("it was looked at").clone()
    }

    /// Waits for a QR code, and returns its text.
    pub(crate) async fn qr(&mut self, user: &str) -> String {
        let event = self.event(user, |e| matches!(e.kind, EventKind::Qr)).await;
        let qr = event.status.and_then(|s| s.qr).expect("a QR code");
        qr.code.expect("its text").reveal().to_owned()
    }

    // ---- what people do -------------------------------------------------------------------------

    /// Asks for a session to be brought up.
    pub(crate) async fn connect(&self, user: &str) {
        let asked = self.client.connect_session(user, None).await;
        asked.expect("connect");
    }

    /// Pairs a user and waits until it is online; returns the device's JID.
    pub(crate) async fn pair(&mut self, user: &str, phone: &str) -> String {
        self.connect(user).await;
        let qr = self.qr(user).await;
        let device = self.sim.scan(&qr, phone).await.expect("scan");
        self.event(user, |e| matches!(e.kind, EventKind::Paired))
            .await;
        self.phase(user, Phase::Online).await;
        device
    }

    /// Pairs many users at once, each with its own phone, and waits until all are online; returns their
    /// devices' JIDs.
    pub(crate) async fn pair_all(&mut self, people: &[(String, String)]) -> Vec<String> {
        for (user, _) in people {
            self.connect(user).await;
        }
        let mut devices = BTreeMap::new();
        let mut online = BTreeSet::new();
        while online.len() < people.len() {
            let next = timeout(PATIENCE, self.watch.next()).await;
            let Ok(WatchItem::Event(event)) = next.expect("it happens in time") else {
                panic!("the watch ended");
            };
            let Some((user, phone)) = people.iter().find(|(user, _)| *user == event.user.as_str())
            else {
                continue;
            };
            let Some(status) = event.status else { continue };
            if let (EventKind::Qr, Some(qr)) = (&event.kind, status.qr) {
                let code = qr.code.expect("its text");
                let device = self.sim.scan(code.reveal(), phone).await.expect("scan");
                devices.insert(user.clone(), device);
            } else if status.phase == Phase::Online {
                online.insert(user.clone());
            }
        }
        let device = |(user, _): &(String, String)| devices[user].clone();
        people.iter().map(device).collect()
    }

    /// The failure code of something that must fail.
    pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> FailureCode {
        match result {
            Err(ClientError::Failure(failure)) => failure.code,
            other => panic!("this should have been a failure: {other:?}"),
        }
    }

    // ---- what is left ---------------------------------------------------------------------------

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn session_dir(&self, user: &str) -> PathBuf {
        self.state().join("sessions").join(user)
    }

    /// Everything below the state directory but the lock and the history, with sizes.
    pub(crate) fn on_disk(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for part in ["sessions", "trash"] {
            let mut pending = vec![self.state().join(part)];
            while let Some(dir) = pending.pop() {
                for entry in std::fs::read_dir(&dir).expect("read").flatten() {
                    let meta = entry.metadata().expect("metadata");
                    let name = entry
                        .path()
                        .strip_prefix(self.state())
                        .expect("below")
                        .display()
                        .to_string();
                    if meta.is_dir() {
                        pending.push(entry.path());
                    }
                    found.insert(name, meta.len());
                }
            }
        }
        found
    }

    /// What there is of one user, while others come and go.
    pub(crate) fn of_user_on_disk(&self, user: &str) -> Vec<String> {
        let names = |part: &str| {
            let entries = std::fs::read_dir(self.state().join(part)).expect("read");
            entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        };
        let in_trash = format!("{user}.");
        names("sessions")
            .filter(|name| name == user)
            .chain(names("trash").filter(|name| name.starts_with(&in_trash)))
            .collect()
    }

    /// Whether the daemon has anything open below a user's directory, removed files included.
    pub(crate) fn descriptors(&self, user: &str) -> Vec<PathBuf> {
        let pid = self.daemon.as_ref().expect("it runs").pid();
        let dir = self.session_dir(user);
        let trash = self.state().join("trash");
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("read /proc");
        entries
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .filter(|target| target.starts_with(&dir) || target.starts_with(&trash))
            .collect()
    }

    /// Nothing of the user is left anywhere, now, and the daemon says so.
    pub(crate) async fn assert_gone(
        &self,
        user: &str,
        cause: Cause,
        unlink: Unlink,
    ) -> HistoryEntry {
        assert_eq!(
            self.on_disk(),
            BTreeMap::new(),
            "something is left on the disk"
        );
        assert_eq!(
            self.descriptors(user),
            Vec::<PathBuf>::new(),
            "something is left open"
        );
        match self.client.status(user).await {
            Err(ClientError::Failure(failure)) => {
                assert_eq!(failure.code, FailureCode::NotFound);
                let last = failure.last_logout.expect("the last logout");
                assert_eq!((last.cause, last.unlink), (cause, unlink));
            }
            other => panic!("{user} should be gone: {other:?}"),
        }
        let listed = self.client.list().await.expect("list");
        assert!(listed.iter().all(|s| s.user.as_str() != user), "{listed:?}");
        let history = self
            .client
            .history(Some(user), None)
            .await
            .expect("history");
        let newest = history.first().expect("a line in the history").clone();
        assert_eq!((newest.cause, newest.unlink), (cause, unlink));
        newest
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("daemon.log")).unwrap_or_default()
    }
}

pub(crate) async fn join(daemon: &Daemon) -> (Client, Watch) {
    let client = Client::connect(&daemon.socket, Options::default())
        .await
        .expect("join the daemon");
    let nobody: [&str; 0] = [];
    let watch = client.watch(nobody, None).await.expect("watch");
    (client, watch)
}
