//! Who plays: the simulator, the daemon, wactl.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use wasessiond::client::{Client, Options, Watch, WatchItem};
use wasessiond::protocol::Event;

use crate::show::say;

/// How long any step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const AS_DAEMON: &str = "as-wasessiond";
const AS_WACTL: &str = "as-wactl";

/// The real programs, as they are in their binaries; this one is started again for each.
pub(crate) fn play_another_part() -> Option<ExitCode> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.len() < 2 {
        return None;
    }
    let part = words.remove(1);
    match part.to_str() {
        Some(AS_DAEMON) => Some(wasessiond::daemon::main_with(&words)),
        Some(AS_WACTL) => Some(wasessiond::ctl::main_with(&words)),
        _ => None,
    }
}

pub(crate) struct Cast {
    pub(crate) sim: wasim::Server,
    pub(crate) client: Client,
    watch: Watch,
    daemon: Child,
    home: TempDir,
}

impl Cast {
    pub(crate) async fn assemble() -> Result<Self> {
        let sim = wasim::Server::start(wasim::Options::default()).await?;
        let home = tempfile::tempdir()?;
        let config = format!(
            "[whatsapp]\nendpoint = {:?}\nversion = \"2.3000.1\"\n",
            sim.url()
        );
        std::fs::write(home.path().join("config.toml"), config)?;
        say(&format!(
            "A WhatsApp server to rehearse against listens at {}",
            sim.url()
        ));
        let daemon = start_daemon(&home).await?;
        say("$ wasessiond\nready");
        let (client, watch) = join(&home).await?;
        Ok(Self {
            sim,
            client,
            watch,
            daemon,
            home,
        })
    }

    /// Waits until something happens to alice.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        let found = async {
            loop {
                if let WatchItem::Event(event) = self.watch.next().await?
                    && fits(&event)
                {
                    return Ok(*event);
                }
            }
        };
        let found = timeout(PATIENCE, found).await;
        found.with_context(|| format!("this did not happen in time: {what}"))?
    }

    /// Runs wactl to its end.
    pub(crate) async fn wactl(&self, words: &[&str]) -> Result<()> {
        self.begin_wactl(words)?.succeed().await
    }

    /// Starts wactl, which prints to this terminal.
    pub(crate) fn begin_wactl(&self, words: &[&str]) -> Result<Wactl> {
        say(&format!("$ wactl {}", words.join(" ")));
        let child = Command::new(std::env::current_exe()?)
            .arg(AS_WACTL)
            .args(words)
            .env("WASESSIOND_SOCKET", socket(&self.home))
            .kill_on_drop(true)
            .spawn()?;
        Ok(Wactl {
            child,
            words: words.join(" "),
        })
    }

    pub(crate) async fn restart(&mut self) -> Result<()> {
        say("$ systemctl restart wasessiond");
        self.end_daemon().await?;
        self.daemon = start_daemon(&self.home).await?;
        (self.client, self.watch) = join(&self.home).await?;
        Ok(())
    }

    pub(crate) async fn end_daemon(&mut self) -> Result<()> {
        let pid = self.daemon.id().context("the daemon has ended")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        let status = timeout(PATIENCE, self.daemon.wait()).await??;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    /// Everything of sessions that is on the disk.
    pub(crate) fn state(&self) -> BTreeSet<String> {
        let root = self.home.path().join("state");
        let mut found = BTreeSet::new();
        let mut pending = vec![root.join("sessions"), root.join("trash")];
        while let Some(dir) = pending.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if let Ok(name) = path.strip_prefix(&root) {
                    found.insert(name.display().to_string());
                }
                if path.is_dir() {
                    pending.push(path);
                }
            }
        }
        found
    }

    pub(crate) fn show_state(&self, when: &str) {
        let state = self.state();
        say(&format!("the state directory, {when}:"));
        for name in &state {
            say(&format!("  {name}"));
        }
        if state.is_empty() {
            say("  (no session, nothing in the trash)");
        }
    }
}

/// A wactl that runs.
pub(crate) struct Wactl {
    child: Child,
    words: String,
}

impl Wactl {
    /// Waits for its end, which must be a good one.
    pub(crate) async fn succeed(mut self) -> Result<()> {
        let status = timeout(PATIENCE, self.child.wait()).await??;
        ensure!(status.success(), "wactl {} ended with {status}", self.words);
        Ok(())
    }
}

fn socket(home: &TempDir) -> PathBuf {
    home.path().join("control.sock")
}

/// Starts a daemon, and waits until it says that it is ready, as systemd does.
async fn start_daemon(home: &TempDir) -> Result<Child> {
    let path = home.path().join("notify.sock");
    let _ = std::fs::remove_file(&path);
    let notify = UnixDatagram::bind(&path)?;
    notify.set_nonblocking(true)?;
    let notify = tokio::net::UnixDatagram::from_std(notify)?;
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(home.path().join("daemon.log"))?;
    let mut daemon = Command::new(std::env::current_exe()?)
        .arg(AS_DAEMON)
        .arg("--config")
        .arg(home.path().join("config.toml"))
        .arg("--state")
        .arg(home.path().join("state"))
        .arg("--socket")
        .arg(socket(home))
        .env("NOTIFY_SOCKET", &path)
        .env_remove("JOURNAL_STREAM")
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    let ready = async {
        let mut buffer = [0; 4096];
        loop {
            let length = notify.recv(&mut buffer).await?;
            if String::from_utf8_lossy(&buffer[..length])
                .lines()
                .any(|l| l == "READY=1")
            {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    tokio::select! {
        ready = timeout(PATIENCE, ready) => ready.context("the daemon did not become ready")??,
        status = daemon.wait() => {
            let log = std::fs::read_to_string(home.path().join("daemon.log")).unwrap_or_default();
            bail!("the daemon ended with {}: {log}", status?);
        }
    }
    Ok(daemon)
}

async fn join(home: &TempDir) -> Result<(Client, Watch)> {
    let client = Client::connect(&socket(home), Options::default()).await?;
    let watch = client.watch(["alice"], None).await?;
    Ok((client, watch))
}
