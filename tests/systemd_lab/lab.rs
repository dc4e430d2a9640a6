//! A real systemd for a test: booted in namespaces of its own in less than a second, with the
//! project's programs and its `systemd/` tree installed as a package would install them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::skipped::skipped;

/// Whatever does not happen within this time does not happen, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What is asked again and again, because systemd tells nobody, is asked this often.
const AGAIN: Duration = Duration::from_millis(20);

/// A booted systemd. Dropped, it is gone, with everything that ran in it.
pub(crate) struct Lab {
    directory: TempDir,
    house: Child,
    /// Its PID 1, as the machine numbers it.
    init: i32,
}

/// Why no lab can be had here. `None`: one can.
fn obstacle() -> Option<String> {
    if !geteuid().is_root() {
        return Some("it needs root, for namespaces and a cgroup".to_owned());
    }
    if !Path::new("/usr/lib/systemd/systemd").exists() {
        return Some("systemd is not installed (apt-get install systemd)".to_owned());
    }
    for program in ["unshare", "nsenter", "setpriv", "systemctl", "journalctl"] {
        if which(program).is_none() {
            return Some(format!("there is no program {program}"));
        }
    }
    // The kernel may not let us, in a container: what is needed is tried.
    let tried = Command::new("unshare")
        .args([
            "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup",
        ])
        .args(["sh", "-c", TRY])
        .output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => Some(format!(
            "namespaces, cgroup2 or overlayfs are missing: {}",
            String::from_utf8_lossy(&tried.stderr).trim()
        )),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

const TRY: &str = "set -e
    mount -t tmpfs none /mnt
    mkdir /mnt/cgroup /mnt/upper /mnt/work /mnt/usr
    mount -t cgroup2 none /mnt/cgroup
    mount -t overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/usr";

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Says something where it is seen, whether the test passes or not.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Lab {
    /// Boots one, with the daemon installed and not yet started. `None`: this machine cannot, which
    /// was said.
    pub(crate) fn boot() -> Option<Self> {
        let lab = Self::bare(&[
            concat!(env!("CARGO_BIN_EXE_wasessiond"), ":/usr/bin/wasessiond"),
            concat!(env!("CARGO_BIN_EXE_wactl"), ":/usr/bin/wactl"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/usr:/opt/tree"),
        ])?;
        lab.install();
        Some(lab)
    }

    /// Boots one in which nothing of the project is, but these: `SOURCE:TARGET`, read-only.
    pub(crate) fn bare(files: &[&str]) -> Option<Self> {
        if let Some(why) = obstacle() {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test");
            skipped(&format!("{name}: no systemd can be booted here: {why}"));
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut boot = Command::new("setpriv");
        boot.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--propagation",
            "private",
        ])
        .args([
            "sh",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/systemd_lab/boot.sh"),
        ])
        .arg("house")
        .arg(directory.path())
        .args(files);
        let log = fs::File::create(directory.path().join("boot.log")).expect("a log");
        let house = boot
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("it boots");
        let mut lab = Self {
            directory,
            house,
            init: 0,
        };
        lab.wait_for_init();
        lab.until("the boot", || {
            lab.try_sh("systemctl is-system-running").stdout == b"running\n"
        });
        Some(lab)
    }

    /// The boot is a chain of processes, and the last one becomes systemd.
    fn wait_for_init(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut pid = i32::try_from(self.house.id()).expect("a pid");
            while let Some(child) = child_of(pid) {
                pid = child;
                if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|n| n == "systemd\n") {
                    self.init = pid;
                    return;
                }
            }
            let ended = self.house.try_wait().expect("its status");
            assert!(
                ended.is_none() && Instant::now() < until,
                "it does not boot ({ended:?}): {}",
                fs::read_to_string(self.directory.path().join("boot.log")).unwrap_or_default()
            );
            std::thread::sleep(AGAIN);
        }
    }

    /// What a package would do.
    fn install(&self) {
        self.sh("cp -a /opt/tree/. /usr/
            systemd-sysusers wasessiond.conf
            systemd-tmpfiles --create wasessiond.conf
            journalctl --update-catalog
            systemctl daemon-reload");
    }

    // ---- commands -------------------------------------------------------------------------------

    /// A program in there, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.init.to_string())
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
            ])
            .args([
                "env",
                "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            ])
            .args([
                "LANG=C.UTF-8",
                "SYSTEMD_PAGER=",
                "SYSTEMD_COLORS=0",
                "NO_COLOR=1",
            ])
            .arg(program);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn try_sh(&self, script: &str) -> Output {
        let mut shell = self.command("sh");
        shell.args(["-euc", script]).output().expect("a shell")
    }

    /// Runs a script that must succeed, and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let done = self.try_sh(script);
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(
            done.status.success(),
            "{script}\n{}: {out}{}\n{}",
            done.status,
            String::from_utf8_lossy(&done.stderr),
            self.journal("-u wasessiond")
        );
        out
    }

    /// The same while the other tasks of the test go on: a client that does not read meanwhile would
    /// hold up a stop of the daemon.
    pub(crate) async fn run(&self, script: &str) -> String {
        let mut shell = self.command("sh");
        shell.args(["-euc", script]);
        let done = tokio::process::Command::from(shell).output().await;
        let done = done.expect("a shell");
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success(), "{script}\n{}: {said}", done.status);
        said
    }

    /// Waits for something that systemd tells nobody about.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(
                Instant::now() < end,
                "{what} did not happen\n{}\n{}",
                self.sh("systemctl --no-pager status wasessiond.service || true"),
                self.journal("-u wasessiond")
            );
            std::thread::sleep(AGAIN);
        }
    }

    /// A property of the service.
    pub(crate) fn show(&self, property: &str) -> String {
        self.show_of("wasessiond.service", property)
    }

    pub(crate) fn show_of(&self, unit: &str, property: &str) -> String {
        let shown = self.try_sh(&format!("systemctl show --value -p {property} {unit}"));
        String::from_utf8_lossy(&shown.stdout).trim().to_owned()
    }

    pub(crate) fn until_shows(&self, property: &str, value: &str) {
        let what = format!("{property}={value}");
        self.until(&what, || self.show(property) == value);
    }

    /// What the journal has, everything that was written before included.
    pub(crate) fn journal(&self, arguments: &str) -> String {
        let script = format!("journalctl --sync; journalctl --no-pager -q {arguments}");
        String::from_utf8_lossy(&self.try_sh(&script).stdout).into_owned()
    }

    /// Entries of the journal, as it has them.
    pub(crate) fn entries(&self, arguments: &str) -> Vec<serde_json::Value> {
        let entries = self.journal(&format!("-o json --all {arguments}"));
        entries
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    // ---- files ----------------------------------------------------------------------------------

    /// A path of the lab, as the machine sees it.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.init))
    }

    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Settings of the administrator, as `systemctl edit` would write them.
    pub(crate) fn drop_in(&self, text: &str) {
        self.write("/etc/systemd/system/wasessiond.service.d/test.conf", text);
        self.sh("systemctl daemon-reload");
    }

    /// Makes what this thread does from here on happen in the network of the lab.
    pub(crate) fn join_network(&self) {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.init)).expect("a network");
        setns(network, CloneFlags::CLONE_NEWNET).expect("it lets us in");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.init != 0 {
            // The kernel ends everything in its pid namespace with it.
            let _ = kill(Pid::from_raw(self.init), Signal::SIGKILL);
        } else {
            let _ = self.house.kill();
        }
        let _ = self.house.wait();
    }
}

fn child_of(parent: i32) -> Option<i32> {
    let parents = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        (fields.nth(1)?.parse::<i32>().ok()? == parent).then_some(pid)
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(parents)
}
