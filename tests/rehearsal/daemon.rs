//! A daemon as its own process.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a start or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wasessiond");

/// A running daemon. Dropped, it is killed.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    /// Starts one and waits until it says READY=1.
    pub(crate) fn start(home: &Path) -> Self {
        Self::launch(home, Command::new(PROGRAM))
    }

    /// The same by a command of the caller's, which runs what it is given besides.
    pub(crate) fn launch(home: &Path, mut command: Command) -> Self {
        let notify = home.join("notify.sock");
        let _ = std::fs::remove_file(&notify);
        let datagrams = UnixDatagram::bind(&notify).expect("bind the notify socket");
        datagrams
            .set_read_timeout(Some(PATIENCE))
            .expect("set a time-out");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(home.join("daemon.log"))
            .expect("open the log");
        let socket = home.join("control.sock");
        let child = command
            .arg("--config")
            .arg(home.join("config.toml"))
            .arg("--state")
            .arg(home.join("state"))
            .arg("--socket")
            .arg(&socket)
            .env("NOTIFY_SOCKET", &notify)
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start the daemon");
        let daemon = Self { child, socket };
        let mut buffer = [0; 4096];
        loop {
            let length = datagrams.recv(&mut buffer).unwrap_or_else(|e| {
                let log = std::fs::read_to_string(home.join("daemon.log")).unwrap_or_default();
                panic!("the daemon did not become ready: {e}\n{log}")
            });
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.lines().any(|line| line == "READY=1") {
                return daemon;
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid fits")
    }

    /// Stops it as systemd would.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal(Signal::SIGTERM)
    }

    /// Kills it without warning.
    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.pid()), signal).expect("signal the daemon");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the daemon") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon did not end");
            // There is no event for the end of a child that is not waited for.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
