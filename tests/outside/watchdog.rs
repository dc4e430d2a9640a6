//! A service manager that waits for signs of life.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::daemon::Daemon;
use crate::stage::{Stage, join};

/// What stands as `WatchdogSec=` in a unit: later than this, and systemd kills the daemon.
const LIMIT: Duration = Duration::from_secs(12);

pub(crate) struct Watchdog {
    signs: mpsc::UnboundedReceiver<Instant>,
    last: Instant,
}

impl Watchdog {
    /// Starts the stage's daemon by this command, with a watchdog that is to be fed.
    pub(crate) async fn start(stage: &mut Stage, mut command: Command) -> Self {
        command.env("WATCHDOG_USEC", LIMIT.as_micros().to_string());
        let started = Daemon::notifying(stage.dir.path(), command);
        let (daemon, datagrams) = started.unwrap_or_else(|failed| panic!("not ready: {failed}"));
        let (sender, signs) = mpsc::unbounded_channel();
        std::thread::spawn(move || listen(&datagrams, &sender));
        let last = Instant::now();
        (stage.client, stage.watch) = join(&daemon).await;
        stage.daemon = Some(daemon);
        Self { signs, last }
    }

    /// Waits for so many more signs of life; none since the start, or since the last that was waited
    /// for, may come later than systemd would wait.
    pub(crate) async fn is_fed(&mut self, times: u32) {
        for _ in 0..times {
            let sign = timeout_at(self.last + LIMIT, self.signs.recv()).await;
            let sign = sign.ok().flatten().expect("systemd would have killed it");
            let gap = sign - self.last;
            assert!(gap <= LIMIT, "systemd would have killed it after {gap:?}");
            self.last = sign;
        }
    }
}

fn listen(datagrams: &UnixDatagram, sender: &mpsc::UnboundedSender<Instant>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok(length) = datagrams.recv(&mut buffer) else {
            // Nothing came for a moment.
            if sender.is_closed() {
                return;
            }
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        let fed = text.lines().any(|line| line == "WATCHDOG=1");
        if fed && sender.send(Instant::now()).is_err() {
            return;
        }
    }
}
