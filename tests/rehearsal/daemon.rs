//! A daemon as its own process.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a start or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a child: there is no event for the end of one that is not waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The daemon.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wasessiond");

/// The daemon, with steps that fail or that it dies at: see [`wasessiond::store::Step`].
pub(crate) fn failing(points: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("FAILPOINTS", points);
    command
}

/// A running daemon. Dropped, it is killed.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    /// Starts one by this command, which is given its arguments besides, and waits until it says READY=1.
    pub(crate) fn launch(home: &Path, command: Command) -> Self {
        Self::attempt(home, command)
            .unwrap_or_else(|failed| panic!("the daemon did not become ready: {failed}"))
    }

    /// [`Daemon::launch`], for one that may not get so far: the error is how it ended, and its log.
    pub(crate) fn attempt(home: &Path, command: Command) -> Result<Self, String> {
        Self::notifying(home, command).map(|(daemon, _)| daemon)
    }

    /// [`Daemon::attempt`], with the socket where its later notifications arrive.
    pub(crate) fn notifying(
        home: &Path,
        mut command: Command,
    ) -> Result<(Self, UnixDatagram), String> {
        let notify = home.join("notify.sock");
        let _ = std::fs::remove_file(&notify);
        let datagrams = UnixDatagram::bind(&notify).expect("bind the notify socket");
        datagrams
            .set_read_timeout(Some(LOOK_AGAIN))
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
        let mut daemon = Self { child, socket };
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            if let Ok(length) = datagrams.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                if text.lines().any(|line| line == "READY=1") {
                    return Ok((daemon, datagrams));
                }
                continue;
            }
            let ended = daemon.child.try_wait().expect("wait for the daemon");
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(home.join("daemon.log")).unwrap_or_default();
                let how = ended.map_or("it still runs".to_owned(), |status| status.to_string());
                return Err(format!("{how}\n{log}"));
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

    fn signal(self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.pid()), signal).expect("signal the daemon");
        self.wait()
    }

    /// Waits until it ends.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the daemon") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon did not end");
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
