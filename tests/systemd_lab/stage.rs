//! The installed daemon in a lab, a simulator in the lab's network, and somebody who watches.

use std::time::Duration;

use tokio::time::timeout;
use wasessiond::client::{Client, Options, Watch, WatchItem};
use wasessiond::protocol::{Event, EventKind, HistoryEntry, Phase, Status};

use crate::lab::{Lab, PATIENCE};

pub(crate) const PHONE: &str = "15550001001";
pub(crate) const SOCKET: &str = "/run/wasessiond/control.sock";

pub(crate) struct Stage {
    pub(crate) sim: wasim::Server,
    pub(crate) client: Client,
    pub(crate) watch: Watch,
    pub(crate) lab: Lab,
}

impl Stage {
    /// With the service and its socket started as they are shipped. The runtime of the test must be
    /// one of a single thread, which moves into the lab's network.
    pub(crate) async fn set() -> Option<Self> {
        Some(Self::with(Lab::boot()?, "", "").await)
    }

    /// With these lines of configuration in `[whatsapp]`, or before it.
    pub(crate) async fn with(lab: Lab, before: &str, whatsapp: &str) -> Self {
        let sim = simulator(&lab).await;
        configure(&lab, &sim, before, whatsapp);
        lab.sh("systemctl start wasessiond.socket wasessiond.service");
        let (client, watch) = join(&lab).await;
        Self {
            sim,
            client,
            watch,
            lab,
        }
    }

    /// After the daemon was started again.
    pub(crate) async fn join(&mut self) {
        (self.client, self.watch) = join(&self.lab).await;
    }

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
        })
        .await;
        found.unwrap_or_else(|_| {
            panic!(
                "what was waited for did not happen; seen: {seen:#?}\n{}",
                self.lab.journal("-u wasessiond")
            )
        })
    }

    pub(crate) async fn phase(&mut self, user: &str, phase: Phase) -> Status {
        if let Some(status) = self.watch.view().get(&user.parse().expect("a user"))
            && status.phase == phase
        {
            return status.clone();
        }
        let event = self
            .event(user, |e| {
                e.status.as_ref().is_some_and(|s| s.phase == phase)
            })
            .await;
        event.status.expect("it was looked at")
    }

    pub(crate) async fn ended(&mut self, user: &str) -> HistoryEntry {
        let event = self.event(user, |e| e.kind.ended().is_some()).await;
        event.kind.ended().expect("it was looked at").clone()
    }

    /// Asks for a session to be brought up.
    pub(crate) async fn connect(&self, user: &str) {
        let asked = self.client.connect_session(user, None).await;
        asked.expect("connect");
    }

    /// Pairs a user and waits until it is online; returns the device's JID.
    pub(crate) async fn pair(&mut self, user: &str, phone: &str) -> String {
        self.connect(user).await;
        let event = self.event(user, |e| matches!(e.kind, EventKind::Qr)).await;
        let qr = event.status.and_then(|s| s.qr).expect("a QR code");
        let code = qr.code.expect("its text");
        let device = self.sim.scan(code.reveal(), phone).await.expect("scan");
        self.phase(user, Phase::Online).await;
        device
    }
}

/// A simulator in the lab's network.
async fn simulator(lab: &Lab) -> wasim::Server {
    lab.join_network();
    wasim::Server::start(wasim::Options::default())
        .await
        .expect("a simulator")
}

fn configure(lab: &Lab, sim: &wasim::Server, before: &str, whatsapp: &str) {
    let text = format!(
        "{before}\n[whatsapp]\nendpoint = {:?}\nversion = \"2.3000.1\"\n{whatsapp}\n",
        sim.url()
    );
    lab.write("/etc/wasessiond/config.toml", &text);
    // The drop-in of the lab, which would override it.
    lab.sh("rm -rf /run/wasessiond-config");
}

/// A client, and a watch of everybody.
pub(crate) async fn join(lab: &Lab) -> (Client, Watch) {
    let options = Options {
        connect_timeout: Duration::from_secs(30),
        ..Options::default()
    };
    let client = Client::connect(&lab.path(SOCKET), options).await;
    let client = client.unwrap_or_else(|e| panic!("{e}\n{}", lab.journal("-u wasessiond")));
    let nobody: [&str; 0] = [];
    let watch = client.watch(nobody, None).await.expect("a watch");
    (client, watch)
}
