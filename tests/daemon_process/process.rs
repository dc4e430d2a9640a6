//! Starts a daemon, waits for what it says, and talks to it in frames made by hand.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Whatever does not happen within this time does not happen. Nothing waits so long that works.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a build for rehearsals must be told besides, else it does not start: nothing listens there.
const REHEARSAL: &str = if cfg!(feature = "simulator") {
    "\n[whatsapp]\nendpoint = \"ws://127.0.0.1:9/ws/chat\"\nversion = \"2.3000.1\"\n"
} else {
    ""
};

/// A directory with everything a daemon needs.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }

    /// Writes the configuration. What a rehearsal needs besides stands at its end.
    pub(crate) fn configure(&self, text: &str) {
        let more = if text.contains("[whatsapp]") {
            ""
        } else {
            REHEARSAL
        };
        self.write("config.toml", &[text, more].concat());
    }

    /// Writes a file, and makes its directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        std::fs::write(file, text).expect("a file");
    }

    /// Writes what a rehearsal needs as the lowest configuration there is in these directories.
    pub(crate) fn rehearse(&self, directory: &str) {
        self.write(
            &format!("{directory}/config.toml.d/00-rehearsal.toml"),
            REHEARSAL,
        );
    }

    /// Lets other users of the machine reach what is in it, as far as its modes do.
    pub(crate) fn open_to_others(&self) {
        let mode = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(self.directory.path(), mode).expect("a mode");
    }

    /// The program with an environment that holds nothing of the machine's.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasessiond"));
        self.rehearse("defaults");
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .env("WASESSIOND_CONFIG_PATH", self.path("defaults"))
            .env("NO_COLOR", "1");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The daemon in this directory.
    pub(crate) fn daemon(&self) -> Command {
        let config = self.path("config.toml");
        if !config.exists() {
            self.configure("");
        }
        let mut command = self.program();
        command.arg("--config").arg(config);
        command.arg("--socket").arg(self.socket());
        command.arg("--state").arg(self.path("state"));
        command
    }

    /// The daemon, ready.
    pub(crate) fn start(&self) -> Running {
        start(&mut self.daemon())
    }
}

/// Starts a daemon, and waits until it says that it is ready.
pub(crate) fn start(command: &mut Command) -> Running {
    let mut running = Running::spawn(command);
    running.wait_for("ready:");
    running
}

/// Runs a command that ends by itself: its status, and what it said on stdout and stderr.
pub(crate) fn outcome(command: &mut Command) -> (i32, String, String) {
    let mut running = Running::spawn(command);
    let stdout = running.child.stdout.take();
    let status = running.wait();
    let mut said = String::new();
    stdout
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("text");
    (
        status.code().expect("a status"),
        said,
        running.said.join("\n"),
    )
}

pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for a line of its log with this in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("{text:?} is not said ({error}), but:\n{}", self.log()),
            }
        }
    }

    /// Everything it said so far, on stderr.
    pub(crate) fn log(&self) -> String {
        self.said.join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it takes signals");
    }

    /// Waits until it has taken these signals over.
    #[cfg(feature = "simulator")]
    pub(crate) fn wait_until_it_takes(&self, signals: &[Signal]) {
        let wanted = signals
            .iter()
            .fold(0, |set, s| set | 1_u64 << (*s as i32 - 1));
        let file = format!("/proc/{}/status", self.child.id());
        let until = Instant::now() + DEADLINE;
        loop {
            let status = std::fs::read_to_string(&file).expect("it runs");
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:\t"));
            let caught = u64::from_str_radix(caught.expect("a set"), 16).expect("a number");
            if caught & wanted == wanted {
                return;
            }
            assert!(Instant::now() < until, "it takes {caught:x} only");
            // Nobody is told when a process takes a signal over.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.said.push(line),
                // Nobody holds its stderr any more.
                Err(RecvTimeoutError::Disconnected) => {
                    return self.child.wait().expect("its status");
                }
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.log()),
            }
        }
    }

    /// Asks it to stop, and waits until it has, in good order.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        self.end_well()
    }

    /// Waits until it has stopped in good order.
    pub(crate) fn end_well(mut self) -> String {
        let status = self.wait();
        assert_eq!(
            status.code(),
            Some(0),
            "{status}, {:?}:\n{}",
            status.signal(),
            self.log()
        );
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What a failed test leaves behind. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection, in frames made by hand.
pub(crate) struct Client(pub(crate) UnixStream);

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket);
        let stream = stream.unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Self(stream)
    }

    /// A connection that is welcome.
    pub(crate) fn json(socket: &Path) -> Self {
        let mut client = Self::connect(socket);
        client.say_hello();
        client
    }

    pub(crate) fn say_hello(&mut self) {
        self.send("wasession/1 json a test");
        let welcome = self.receive().expect("a welcome");
        assert!(
            welcome.starts_with("wasession/1 ok wasessiond/"),
            "{welcome}"
        );
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.try_send(text).expect("it is sent");
    }

    /// Sends a frame to a daemon that may be gone.
    pub(crate) fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        let length = u32::try_from(text.len()).expect("a short text");
        let frame = [&length.to_be_bytes(), text.as_bytes()].concat();
        self.0.write_all(&frame)
    }

    /// The next frame; `None`: the daemon closed.
    pub(crate) fn receive(&mut self) -> Option<String> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).ok()?;
        let length = usize::try_from(u32::from_be_bytes(head)).expect("a length");
        let mut frame = vec![0; length];
        self.0.read_exact(&mut frame).expect("a whole frame");
        Some(String::from_utf8(frame).expect("text"))
    }

    pub(crate) fn ask(&mut self, id: u64, command: impl Display) -> serde_json::Value {
        self.send(&format!("{{\"id\":{id},\"command\":{command}}}"));
        let reply = self.receive().expect("a reply");
        let mut reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
        assert_eq!(reply["reply"]["id"], id, "{reply}");
        reply["reply"]["result"].take()
    }

    pub(crate) fn ping(&mut self) {
        assert_eq!(self.ask(1, "\"ping\""), serde_json::json!({"Ok": "pong"}));
    }
}
